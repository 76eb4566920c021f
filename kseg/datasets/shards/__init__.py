"""Packed data sets: TFRecord shards, the records in them, and addresses as gs://."""
