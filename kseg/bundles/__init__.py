"""SavedModel bundles for TensorFlow Serving: written, and verified before they leave."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kseg.lazy import lazy

if TYPE_CHECKING:
    from kseg.bundles.bundle import export
    from kseg.bundles.verification import verify
else:
    __getattr__, __dir__ = lazy(__name__, {"export": "kseg.bundles.bundle", "verify": "kseg.bundles.verification"})

__all__ = ["export", "verify"]
