"""SavedModel bundles for TensorFlow Serving: written, checked, and in other programs' forms."""

from kseg.bundles.export import export

__all__ = ["export"]
