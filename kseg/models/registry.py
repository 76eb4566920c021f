"""Where networks are registered, by the name they are built under."""

from __future__ import annotations

from collections.abc import Callable

import keras

from kseg.registry import Registry

NETWORKS: Registry[Callable[..., keras.Model]] = Registry("network")
