"""What this machine does quickly and holds, as far as it can be told without TensorFlow."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def trains_faster_compiled() -> bool:
    """Whether a training step is quicker through XLA than operation by operation.

    Measured on two cores, U-Net of width 16 and batch normalisation, 4 crops of 256 x 256: with AVX-512, where
    TensorFlow has oneDNN on, 0.53 s against 0.75 s compiled. With AVX2 alone it is the other way round: at the
    paper's size 17.1 s against 8.7 s.
    """
    return "avx512f" not in _flags()


def multiplies_bfloat16() -> bool:
    """Whether this processor has AMX: bfloat16 is then several times float32's speed, and emulated elsewhere.

    Measured on two cores with AMX, U-Net at the paper's size: 0.97 s a step against 3.31 s.
    """
    return "amx_bf16" in _flags()


def _flags() -> str:
    """What the system says of the processor; nothing where there is no /proc/cpuinfo."""
    try:
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return ""


def memory_bytes() -> int | None:
    """The memory this process may fill: the machine's or, where that is less, its container's; None where unknown."""
    try:
        found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, ValueError, OSError):  # Windows
        return None
    with suppress(OSError, ValueError):  # no container, or none with a limit
        found.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="utf-8")))
    return min(found)
