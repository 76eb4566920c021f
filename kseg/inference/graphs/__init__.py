"""A network as TensorFlow graphs, with its weights as it computes fastest."""

from kseg.inference.graphs.graph import NetworkGraph, class_ids

__all__ = ["NetworkGraph", "class_ids"]
