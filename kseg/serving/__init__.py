"""Trained networks behind a server: requests, configuration and a page. Nothing here imports TensorFlow."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kseg.lazy import lazy

if TYPE_CHECKING:
    from kseg.serving.client import Client
else:
    __getattr__, __dir__ = lazy(__name__, {"Client": "kseg.serving.client"})

__all__ = ["Client"]
