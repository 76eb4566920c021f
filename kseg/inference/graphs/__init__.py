"""A network as TensorFlow graphs, with its weights as it computes fastest."""

from kseg.inference.graphs.graph import NetworkGraphs, class_ids

__all__ = ["NetworkGraphs", "class_ids"]
