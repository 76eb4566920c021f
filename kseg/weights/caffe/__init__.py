"""Caffe's files of weights: read, recognised, loaded."""
