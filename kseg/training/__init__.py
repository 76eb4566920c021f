"""The training machine: steps, optimisers, devices, checkpoints. It knows no recipe and no run folder."""

from typing import TYPE_CHECKING

from kseg.lazy import lazy

if TYPE_CHECKING:
    from kseg.training import optimizers
else:
    __getattr__, __dir__ = lazy(__name__, {})

__all__ = ["optimizers"]
