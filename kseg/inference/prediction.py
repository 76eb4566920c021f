"""Prediction at any size: mirrored borders, and tiles that give the same numbers as one pass over the whole image.

kseg.geometry says where the tiles lie, and why their distance is a multiple of the network's stride.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kseg.errors import WeightsError
from kseg.geometry import mirrored, spans
from kseg.inference.averaging import averaged
from kseg.inference.graphs import class_ids
from kseg.inference.input_images import checked_image
from kseg.inference.predictor import Predictor, predictor
from kseg.inference.signature import SEGMENTS, parts_of
from kseg.layers import Average

Change = Callable[[np.ndarray, str], Sequence[np.ndarray]]
WHOLE_PIXELS = 1_400_000  # the largest image for a single pass: 1.5 GB at the paper's width


def predict(
    model: keras.Model | Predictor,
    image: Any,
    *,
    tile: int | None = None,
    average: Average | None = None,
    precision: str = "float32",
) -> Any:
    """The class of each pixel of an image of any size.

    Args:
      model: a network or a predictor.
      image: (H, W) or (H, W, C) grey levels or colours as the network was trained on; a dict of them for a network with
        several streams.
      tile: height and width of the input that the network gets at a time; None for the whole image if it is small
        enough, else tiles of about 1024.
      average: over which versions of the image the scores are averaged: mirror, rotations, symmetries or none; None for
        the network's own.
      precision: what the network computes in: float32, mixed_float16, mixed_bfloat16, or auto for what this device
        computes fastest.

    Returns:
      (H, W) uint8, class ids (uint16 for more than 256 classes); a dict of them for a network with several heads.

    Raises:
      ConfigError: there is no such average or precision, or it does not suit the network.
      SizeError: `tile` does not fit the network; the message names the next size that does.
      DataError: the image is no array of finite numbers, or has other channels than the network.
      WeightsError: the network does not give scores of two or more classes for each pixel.
    """
    image, call = _prepare(model, image, precision)
    ids = {head: found for head, (found,) in predict_maps(call, image, tile=tile, average=average).items()}
    return ids.get("", ids)


def predict_maps(
    call: Predictor,
    image: np.ndarray,
    change: Change | None = None,
    *,
    tile: int | None = None,
    average: Average | None = None,
) -> dict[str, Sequence[np.ndarray]]:
    """Maps of the whole image that `change` computes from the scores, by head.

    `change` gets one tile at a time, so that the scores of the whole image are never in memory, except for an average.

    Args:
      call: the predictor.
      image: (H, W, C), of all streams.
      change: takes the scores (h, w, K) of a part of the image, and their head; gives maps (h, w) or (h, w, L). None
        for the class ids alone, which the network's graph computes.
      tile, average: as in `predict`.
    """
    outer = call.outer_average(average)
    if outer != "none":
        parts = parts_of(_averaged(call, image, tile, outer), call.heads)
        change = change or (lambda scores, head: [class_ids(scores, call.readings[head])])
        return {head: change(part, head) for head, part in parts.items()}
    maps: dict[str, Sequence[np.ndarray]] = {}
    for kept, parts in _maps_of_tiles(call, image, change, tile):
        for head, found in parts.items():
            if head not in maps:
                maps[head] = [np.empty((*image.shape[:2], *one.shape[2:]), one.dtype) for one in found]
            for whole, one in zip(maps[head], found, strict=True):
                whole[kept] = one
    return maps


def predict_bands(
    call: Predictor,
    image: Any,
    change: Change | None = None,
    *,
    tile: int | None = None,
) -> Iterator[tuple[slice, dict[str, list[np.ndarray]]]]:
    """The maps of `predict_maps` without an average, from above to below: a slice of rows, and by head their maps.

    Args:
      call: the predictor.
      image: has the shape (H, W, C), and image[numbers] gives the rows (n, W, C) of these numbers. They lie close
        together, and later ones never lie further up.
      change, tile: as in `predict_maps`.
    """
    maps: dict[str, list[np.ndarray]] = {}
    for (rows, columns), parts in _maps_of_tiles(call, image, change, tile):
        for head, found in parts.items():
            if head not in maps:
                maps[head] = [np.empty((len(one), image.shape[1], *one.shape[2:]), one.dtype) for one in found]
            for band, one in zip(maps[head], found, strict=True):
                band[:, columns] = one
        if columns.stop == image.shape[1]:
            yield rows, maps
            maps = {}


def _maps_of_tiles(
    call: Predictor, image: Any, change: Change | None, tile: int | None
) -> Iterator[tuple[tuple[slice, slice], dict[str, Sequence[np.ndarray]]]]:
    """The parts of an image as (rows, columns), each with the maps of every head."""
    for kept, parts in _tiles(call, image, tile, call.ids if change is None else call.scores):
        yield kept, {head: [part] if change is None else change(part, head) for head, part in parts.items()}


def predict_scores(
    model: keras.Model | Predictor,
    image: Any,
    *,
    tile: int | None = None,
    average: Average | None = None,
    precision: str = "float32",
) -> Any:
    """The scores of each pixel, (H, W, K) float32, before softmax, or a dict by head; otherwise as `predict`."""
    image, call = _prepare(model, image, precision)
    return call.split(_averaged(call, image, tile, call.outer_average(average)))


def _averaged(call: Predictor, image: np.ndarray, tile: int | None, average: Average) -> np.ndarray:
    """The scores (H, W, K) of all heads, averaged over the versions of an image (H, W, C)."""

    def scores_of(versions: Any) -> np.ndarray:
        version = np.asarray(versions)[0]
        whole = np.empty((1, *version.shape[:2], call.classes), np.float32)
        for kept, scores in _tiles(call, version, tile, call.scores):
            for head, part in parts_of(whole[0], call.heads).items():
                part[kept] = scores[head]
        return whole

    images = image[None].astype(np.float32) if average == "rotations" else image[None]
    return np.asarray(averaged(images, scores_of, average))[0]


def probabilities(scores: np.ndarray) -> np.ndarray:
    """The softmax of (..., K) scores, float32."""
    if scores.shape[-1] > 2:
        powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)
    # Sums and maxima over an axis of two numbers are slow.
    powers = np.exp(scores - np.maximum(scores[..., :1], scores[..., 1:]))
    return powers / (powers[..., :1] + powers[..., 1:])


def _prepare(model: keras.Model | Predictor, image: Any, precision: str) -> tuple[np.ndarray, Predictor]:
    """The image (H, W, C) of all streams, and the predictor."""
    call = predictor(model, precision=precision)
    if "" not in call.streams:
        if isinstance(image, Mapping):
            image = {name: checked_image(part, f"image {name}") for name, part in image.items()}
        return call.join(image), call
    return call.image_of(image, "image"), call


def _tiles(
    call: Predictor, image: np.ndarray, tile: int | None, compute: Callable[[np.ndarray], dict[str, np.ndarray]]
) -> Iterator[tuple[tuple[slice, slice], dict[str, np.ndarray]]]:
    """The parts of an image as (rows, columns), each with what `compute` gives for it by head: (h, w) or (h, w, K)."""
    geometry = call.geometry
    height, width = image.shape[:2]
    if min(call.heads.values()) < 2:
        raise WeightsError(f"This network gives {' and '.join(map(str, call.heads.values()))} channels.", SEGMENTS)
    if tile is None and geometry.margin is not None:
        reach = 2 * geometry.border
        if geometry.next_input(height + reach) * geometry.next_input(width + reach) > WHOLE_PIXELS:
            tile = geometry.usual_tile()
    for rows in spans(height, geometry, tile):
        band = image[mirrored(rows.read, rows.read_stop, height)]
        for columns in spans(width, geometry, tile):
            given = band[:, mirrored(columns.read, columns.read_stop, width)]
            found = {head: part[0] for head, part in compute(given[None]).items()}
            bottom, right = (part.skip + part.keep_stop - part.keep for part in (rows, columns))
            for head, part in found.items():
                if part.ndim < 2 or part.shape[0] < bottom or part.shape[1] < right:
                    shape = part.shape if part.dtype.kind == "f" else (*part.shape, call.heads[head])  # of class ids
                    raise WeightsError(f"This network gives {shape} for an image of {given.shape}.", SEGMENTS)
            kept = slice(rows.keep, rows.keep_stop), slice(columns.keep, columns.keep_stop)
            yield kept, {head: part[rows.skip : bottom, columns.skip : right] for head, part in found.items()}
