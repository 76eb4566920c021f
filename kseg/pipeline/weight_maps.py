"""Weight maps: they make a network learn rare classes, and the gaps between touching cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import cv2
import numpy as np

from kseg.datasets import VOID
from kseg.errors import ConfigError, DataError
from kseg.instances import separate


def class_weight_map(label: np.ndarray, class_weights: Sequence[float]) -> np.ndarray:
    """The weight of each pixel's class.

    Args:
      label: (H, W) integers, 0..K-1, or 255 for void.
      class_weights: K weights, no unit, >= 0.

    Returns:
      (H, W) float32, 0 where void.
    """
    table = np.zeros(VOID + 1, np.float32)
    table[: len(class_weights)] = class_weights
    table[VOID] = 0
    return table[label]


def border_weight_map(
    cells: np.ndarray,
    *,
    w0: float = 10.0,
    sigma: float = 5.0,
    class_weights: tuple[float, float] | None = None,
    where: Literal["background", "everywhere"] = "background",
) -> np.ndarray:
    """Pixel weights that stress the gaps between touching cells.

    w = w_c + w0 exp(-(d1 + d2)^2 / (2 sigma^2)), where d1 and d2 are the distances to the nearest pixel of the
    nearest and of the second nearest cell: exact Euclidean, 0 inside a cell.

    Args:
      cells: (H, W) integers, 0 background, one number per cell.
      w0: height of the border term, no unit, >= 0.
      sigma: width of the border term, pixels, > 0.
      class_weights: w_c of background and of cells; None for (1, 1).
      where: "background" for the border term outside of cells only, as in the authors' later code; "everywhere" for the
        equation as printed.

    Returns:
      (H, W) float32, > 0; the border term is 0 if there are fewer than two cells.

    Raises:
      DataError: `cells` is not (H, W) integers >= 0.
      ConfigError: `w0` or `sigma` is out of range.

    Source: U-Net paper, equation 2. The paper does not say which distance it uses, nor what the weight inside cells is.
    """
    cells = _checked(cells, "border_weight_map")
    if w0 < 0 or sigma <= 0:
        raise ConfigError(f"border_weight_map: w0 is {w0}, sigma {sigma}.", "Give w0 >= 0 and sigma > 0.")
    background, inside = class_weights or (1.0, 1.0)
    nearest, second = _two_nearest(cells, _reach(w0, sigma))
    border = w0 * np.exp(-((nearest + second) ** 2) / (2 * sigma**2))
    if where == "background":
        border[cells > 0] = 0
    return (np.where(cells > 0, inside, background) + border).astype(np.float32)


def balanced_weight_map(
    cells: np.ndarray,
    *,
    background: float = 0.1,
    balance_sigma: float = 10.0,
    separation: float = 50.0,
    separation_sigma: float = 6.0,
) -> np.ndarray:
    """Pixel weights that stress the background near cells, most between touching cells: the authors' later form.

    Touching cells are separated first (kseg.instances.separate). The weight is 1 inside cells, elsewhere
    v + (1 - v) exp(-d1^2 / (2 s_bal^2)) + lambda exp(-(d1 + d2)^2 / (2 s_sep^2)), where d1 and d2 are the distances
    to the nearest pixel of the nearest and of the second nearest cell before separation: exact Euclidean, 0 inside a
    cell.

    Args:
      cells: (H, W) integers, 0 background, one number per cell, not separated.
      background: v, the weight far from any cell, no unit, > 0, at most 1.
      balance_sigma: s_bal, how far from a cell the background is stressed, pixels, > 0.
      separation: lambda, height of the ridge between cells, no unit, >= 0.
      separation_sigma: s_sep, width of the ridge, pixels, > 0.

    Returns:
      (H, W) float32, > 0.

    Raises:
      DataError: `cells` is not (H, W) integers >= 0.
      ConfigError: a number is out of range.

    Source: Falk et al., "U-Net: deep learning for cell counting, detection, and morphometry" (2019), with the
    defaults of the authors' Fiji plugin, commit 870e503.
    """
    cells = _checked(cells, "balanced_weight_map")
    if not 0 < background <= 1 or separation < 0 or min(balance_sigma, separation_sigma) <= 0:
        raise ConfigError(
            f"balanced_weight_map: background is {background}, balance_sigma {balance_sigma}, separation {separation}, "
            f"separation_sigma {separation_sigma}.",
            "Give 0 < background <= 1, separation >= 0 and sigmas > 0.",
        )
    reach = max(_reach(1.0, balance_sigma), _reach(separation, separation_sigma))
    nearest, second = _two_nearest(cells, reach)
    weights = background + (1 - background) * np.exp(-(nearest**2) / (2 * balance_sigma**2))
    weights += separation * np.exp(-((nearest + second) ** 2) / (2 * separation_sigma**2))
    weights[separate(cells) > 0] = 1
    return weights.astype(np.float32)


def _checked(cells: np.ndarray, function: str) -> np.ndarray:
    """The argument `cells` of `function`, as an array.

    Raises:
      DataError: it is not (H, W) integers >= 0.
    """
    cells = np.asarray(cells)
    if cells.ndim != 2 or cells.dtype.kind not in "iu" or (cells.size and cells.min() < 0):
        raise DataError(
            f"{function}: cells are {cells.dtype} {cells.shape}.", "Give one integer >= 0 per pixel, (H, W)."
        )
    return cells


def _reach(height: float, sigma: float) -> int:
    """The distance beyond which a Gaussian term is below 2^-30: too little for float32 beside a weight above 1/64."""
    return math.ceil(sigma * math.sqrt(2 * math.log(2**30 * max(height, 1.0))))


def _two_nearest(cells: np.ndarray, reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances (H, W) float64 to the nearest and second nearest cell, inf beyond `reach`.

    The distances to a cell are computed only up to `reach` around it.
    """
    nearest = np.full(cells.shape, np.inf)
    second = nearest.copy()
    for cell, (top, left, bottom, right) in _boxes(cells).items():
        around = slice(max(0, top - reach), bottom + reach), slice(max(0, left - reach), right + reach)
        outside = (cells[around] != cell).astype(np.uint8)
        rounded = cv2.distanceTransform(outside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE).astype(np.float64)
        distance = np.sqrt(np.rint(rounded**2))  # squared distances are whole numbers: this undoes float32's rounding
        np.minimum(second[around], np.maximum(nearest[around], distance), out=second[around])
        np.minimum(nearest[around], distance, out=nearest[around])
    return nearest, second


def _boxes(cells: np.ndarray) -> dict[int, tuple[int, int, int, int]]:
    """Top, left, bottom and right (the last two exclusive) of each cell."""
    rows, columns = np.nonzero(cells)
    numbers, which = np.unique(cells[rows, columns], return_inverse=True)
    first = np.full((2, len(numbers)), max(cells.shape))
    stop = np.zeros_like(first)
    for axis, indices in enumerate((rows, columns)):
        np.minimum.at(first[axis], which, indices)
        np.maximum.at(stop[axis], which, indices + 1)
    return dict(zip(numbers.tolist(), zip(*first.tolist(), *stop.tolist(), strict=True), strict=True))
