"""What this processor does quickly, as far as it can be told without TensorFlow."""

from __future__ import annotations

from pathlib import Path


def trains_faster_compiled() -> bool:
    """Whether a training step is quicker through XLA than operation by operation.

    Measured on two cores, U-Net of width 16 and batch normalisation, 4 crops of 256 x 256: with AVX-512, where
    TensorFlow has oneDNN on, 0.53 s against 0.75 s compiled. With AVX2 alone it is the other way round: at the
    paper's size 17.1 s against 8.7 s.
    """
    try:
        return "avx512f" not in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return True
