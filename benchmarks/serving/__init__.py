"""Requests to served bundles: a stand-in for TensorFlow Serving, and what many requests at once cost."""
