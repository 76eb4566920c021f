"""Images as a network takes them: checked for shape, numbers and depth."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import DataError, in_a_line


def checked_image(image: Any, name: str) -> np.ndarray:
    """`image` as (H, W, C), with C = 1 if it is (H, W).

    Args:
      image: an array.
      name: which image it is, for messages.

    Raises:
      DataError: it is something else, empty, or holds NaN or infinity.
    """
    if isinstance(image, str | Path):
        raise DataError(f"{name}: a path, not an array.", f"Read it first: kseg.images.read_image({str(image)!r}).")
    try:
        array = np.asarray(image)
    except ValueError as error:
        raise DataError(f"{name}: {in_a_line(error)}.", "Give an array (H, W) or (H, W, C).") from error
    if array.ndim not in (2, 3) or not array.size:
        several = " Give one image at a time." if array.ndim == 4 else ""
        raise DataError(f"{name}: an array of shape {array.shape}.", f"Give an array (H, W) or (H, W, C).{several}")
    if array.dtype.kind not in "buif":
        raise DataError(f"{name}: values of type {array.dtype}.", "Give grey levels or colours as numbers.")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        share = 1 - np.isfinite(array).mean()
        raise DataError(f"{name}: {share:.1%} of its values are NaN or infinite.", "Replace them first.")
    return array if array.ndim == 3 else array[..., None]


def depth_warning(image: np.ndarray, white: float) -> str:
    """Why an image can't have the depth of images whose white is `white`; "" if it can.

    An image is too bright if a pixel is above twice white. Whether it is too dark shows in its type alone, since a dark
    image is no fault: 8 bits where white is far above 255, or fractions up to 1.
    """
    brightest = float(image.max())
    fractions = image.dtype.kind == "f" and 0 < brightest <= 1
    if image.dtype == np.uint8 and white > 2 * 255:
        found = "it has 8 bits"
    elif brightest > 2 * white or fractions and white > 2:
        found = f"its brightest pixel is {brightest:g}"
    else:
        return ""
    return (
        f"{found}, but white is {white:g} to this network. It was trained on images of another depth: the prediction "
        "will mean little. Save the images as those it was trained on, or train on such images."
    )
