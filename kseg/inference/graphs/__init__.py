"""A network as TensorFlow graphs, with its weights as it computes fastest."""

from kseg.inference.graphs.graph import NetworkGraph, class_ids
from kseg.inference.graphs.held import HeldWeights, can_hold

__all__ = ["HeldWeights", "NetworkGraph", "can_hold", "class_ids"]
