"""Strips: input, truth, prediction and errors of an item, side by side in one picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import keras
import numpy as np

from kseg.datasets import Dataset, Item, by_name
from kseg.inference import Predictor, predict, predictor
from kseg.instances import number
from kseg.metrics import compare_objects, confusion_matrix
from kseg.pictures import (
    EDGE_FALSE,
    EDGE_MISSED,
    ERROR_COLOURS,
    FALSE,
    MERGED,
    MISSED,
    SPLIT,
    STRONG,
    WRONG,
    alike,
    clear_class,
    in_number,
    legend,
    object_colours,
    png,
    stacked,
    strip,
)
from kseg.storage import aside

ERRORS = {WRONG: "another class", MISSED: "missed", FALSE: "false", SPLIT: "split", MERGED: "merged"}


def write_strips(
    model: keras.Model | Predictor, data: Dataset, folder: Path, indices: Sequence[int]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Draws items as strips, `folder`/ID.png.

    Args:
      model: the network, which predicts the items.
      data: the data set; of several streams and heads the first of each is drawn.
      folder: the folder for the pictures.
      indices: of the items.

    Returns:
      The strips, (H, W, 3) uint8, by the items' ids; and the confusion matrices of all items, (K, K), rows truth, by
      head.
    """
    call, strips = predictor(model), {}
    confusions = {head: np.zeros((len(names),) * 2, np.int64) for head, names in data.heads.items()}
    for index in indices:
        item = data[index]
        found = by_name(predict(call, call.image_of(item.image, item.id)))
        for head, label in item.labels.items():
            confusions[head] += confusion_matrix(label, found[head], len(data.heads[head]), data.ignore_class)
        strips[item.id] = draw_strip(data, item, found, call)
        with aside(folder / f"{item.id}.png") as temporary:
            temporary.write_bytes(png(strips[item.id]))
    return strips, confusions


def evenly_spaced(length: int, count: int) -> list[int]:
    """`count` indices from 0 to length - 1 at equal distances, including both; fewer if there are not so many."""
    return np.unique(np.linspace(0, length - 1, count).round().astype(int)).tolist()


def draw_strip(data: Dataset, item: Item, found: dict[str, np.ndarray], call: Predictor) -> np.ndarray:
    """Input, truth, prediction and errors of an item side by side; of more than two classes the names below.

    Args:
      data: the item's data set.
      item: with its truth; void has no colour.
      found: (H, W) class ids by head. The first head is drawn.
      call: the network; it gives the names and colours of the classes. If it has no names, the data give them.

    Returns:
      (H, W, 3) uint8.
    """
    head, label = next(iter(item.labels.items()))
    prediction, image = found[head], next(iter(item.images.values()))
    void = label == data.ignore_class
    if item.instances is not None:
        return _strip_of_objects(image, item.instances, number(prediction == 1, call.readings[head].rules), void)
    classes, own = call.readings[head].classes or data.heads[head], call.readings[head].colours
    clear = clear_class(classes)
    left = data.ignore_class if clear is None else clear
    truth = label if clear is None else np.where(void, clear, label)
    errors = np.where((prediction != label) & ~void, WRONG, 0)
    if clear is not None:
        errors[(errors > 0) & (prediction == clear)] = MISSED
        errors[(errors > 0) & (label == clear)] = FALSE
    shares = {kind: f"{said}: {(errors == kind).mean():.1%}" for kind, said in ERRORS.items() if (errors == kind).any()}
    if len(classes) <= 2:
        return _with_legend(strip(image, truth, prediction, errors, clear=left, own=own), shares)
    picture = strip(image, truth, prediction, errors, clear=left, tint=STRONG, own=own)
    seen = {int(number) for number in np.union1d(label[~void], prediction)}
    names = {number: name for number, name in enumerate(classes) if number in seen}
    return _with_legend(stacked(picture, legend(names, picture.shape[1], clear=clear, own=own)), shares)


def _strip_of_objects(image: np.ndarray, truth: np.ndarray, found: np.ndarray, void: np.ndarray) -> np.ndarray:
    """The strip of an item whose objects are numbered: objects with an error are coloured as a whole and counted.

    Wrong pixels at the edges of other objects have colours of their own.
    """
    compared = compare_objects(found, truth, void)
    seen = {MISSED: compared.true_missed, FALSE: compared.found_false}
    seen |= {SPLIT: compared.true_split, MERGED: compared.found_merged}
    errors = np.select([(truth > 0) & (found == 0), (found > 0) & (truth == 0)], [EDGE_MISSED, EDGE_FALSE], 0)
    for kind, objects in seen.items():
        of_truth = kind in (MISSED, SPLIT)
        numbers, ids = (truth, compared.true_ids) if of_truth else (found, compared.found_ids)
        errors[np.isin(numbers, ids[objects])] = kind
    errors[void] = 0
    said = {kind: f"{ERRORS[kind]}: {int(objects.sum()):,}" for kind, objects in seen.items()}
    counts = (
        f"truth: {in_number(len(compared.true_ids), 'object')}",
        f"prediction: {in_number(len(compared.found_ids), 'object')}",
    )
    picture = strip(image, truth, alike(found, truth), errors, own=object_colours(), said=counts)
    return _with_legend(picture, {**said, EDGE_MISSED: "pixels missed", EDGE_FALSE: "pixels too many"})


def _with_legend(picture: np.ndarray, kinds: Mapping[int, str]) -> np.ndarray:
    """A strip with the colours of its errors below it."""
    if not kinds:
        return picture
    return stacked(picture, legend(kinds, picture.shape[1], clear=None, own=ERROR_COLOURS, exact=True))
