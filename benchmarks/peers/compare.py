"""How well the results of two systems agree, and how far float32 may part them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from benchmarks.peers.works import Work

# Relative differences of losses: (of the first step, of a later one). The first is a mean over all pixels, whose
# rounding errors mostly cancel. Later ones follow gradients that were rounded too: PyTorch in two layouts differed by
# 5e-5.
STEP_BOUNDS = {"float32": (1e-4, 1e-3), "mixed": (0.02, 0.05)}
LATER = 3  # steps after the first; each step multiplies what rounding does, until losses say nothing about equality
MIXED_AGREEMENT = 0.9  # a network with random weights has many pixels whose two best scores are close


def agreement(found: np.ndarray, wanted: np.ndarray) -> float:
    """The share of pixels whose highest score is that of the same class; both (N, H, W, K)."""
    return float(np.mean(found.argmax(-1) == wanted.argmax(-1)))


def difference(found: np.ndarray, wanted: np.ndarray) -> float:
    """The largest difference of two scores, relative to the largest score."""
    return float(np.abs(found - wanted).max() / np.abs(wanted).max())


def forward_bound(work: Work, epsilon: float = 2.0**-24) -> float:
    """The largest `difference` that rounding explains.

    A sum of n products, each rounded by up to epsilon, is off by about sqrt(n) epsilon of its size, in whatever order
    it is computed. Each of L layers adds as much, independently: sqrt(n L) epsilon. Five times that is allowed, since
    it is the worst of a million scores. n is that of the largest layer: fc6 of FCN, the deepest one of U-Net.
    """
    if work.network == "unet":
        depth = work.options.get("depth", 4)
        terms, layers = 9 * work.options.get("width", 64) * 2**depth, 5 * depth + 3
    else:
        terms, layers = 49 * max(1, round(512 * work.options.get("width", 1))), 16
    return 5 * math.sqrt(terms * layers) * epsilon


def step_agreement(found: Sequence[float], wanted: Sequence[float]) -> float:
    """1 - the relative difference of the losses three steps after the first."""
    last = min(len(found), len(wanted), LATER + 1) - 1
    return 1 - abs(found[last] - wanted[last]) / abs(wanted[last])


def forward_fault(work: Work, precision: str, found: np.ndarray, wanted: np.ndarray, epsilon: float) -> str:
    """What is wrong with scores; empty if nothing is."""
    if found.shape != wanted.shape:
        return f"its scores have the shape {found.shape}, those of the reference {wanted.shape}"
    if not np.isfinite(found).all():
        return "its scores are not finite"
    if precision == "float32":
        bound, off = forward_bound(work, epsilon), difference(found, wanted)
        return f"its scores differ by {off:.1e} of the largest, rounding explains {bound:.1e}" if off > bound else ""
    same = agreement(found, wanted)
    return f"only {same:.3f} of its pixels agree with float32" if same < MIXED_AGREEMENT else ""


def step_fault(precision: str, found: Sequence[float], wanted: Sequence[float]) -> str:
    """What is wrong with the losses of training steps; empty if nothing is."""
    first, last = STEP_BOUNDS["float32" if precision == "float32" else "mixed"]
    off = abs(found[0] - wanted[0]) / abs(wanted[0])
    if not off <= first:
        return f"its first loss is {found[0]:.6g}, not {wanted[0]:.6g}"
    same = step_agreement(found, wanted)
    return "" if same >= 1 - last else f"its loss after {LATER} steps is off by {1 - same:.1e} of the reference's"
