"""Pictures of what the network sees: input, truth, prediction and errors of a few items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kseg.callbacks.pace import Pace
from kseg.callbacks.validation import SharedPredictor
from kseg.datasets import Dataset, Item, by_name
from kseg.inference import Predictor, predict, predictor
from kseg.instances import number
from kseg.layers import Average
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

KINDS = {WRONG: "another class", MISSED: "missed", FALSE: "false", SPLIT: "split", MERGED: "merged"}


class Samples(keras.callbacks.Callback):
    """Draws input, truth, prediction and errors of `count` items from all over the data, as `folder`/ID.png.

    After each epoch, or every few so that drawing takes no more than a quarter percent of the time.

    Attributes:
      drawn: the strips of the latest drawing, (H, W, 3) uint8 by the items' ids.
      drawings: how many there were.
      confusions: confusion matrices of the latest drawing's items, (K, K), rows truth, by head.
    """

    def __init__(
        self, data: Dataset, folder: str | Path, count: int = 4, *, shared: SharedPredictor | None = None
    ) -> None:
        super().__init__()
        self.data, self.folder, self.count = data, Path(folder), count
        self.drawn: dict[str, np.ndarray] = {}
        self.drawings, self.confusions = 0, dict[str, np.ndarray]()
        self._shared = shared or SharedPredictor()
        self._pace = Pace()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        self._pace(self._draw)

    def _draw(self) -> None:
        call, data = self._shared(self.model), self.data
        self.confusions = {head: np.zeros((len(names),) * 2, np.int64) for head, names in data.heads.items()}
        self.drawn = {}
        for index in spread(len(data), self.count):
            item = data[index]
            found = _found(call, item, None)
            for head, label in item.labels.items():
                self.confusions[head] += confusion_matrix(label, found[head], len(data.heads[head]), data.ignore_class)
            self.drawn[item.id] = draw_strip(data, item, found, call)
        for name, picture in self.drawn.items():
            _write(self.folder / f"{name}.png", picture)
        self.drawings += 1


def write_samples(
    model: keras.Model | Predictor,
    data: Dataset,
    folder: Path,
    indices: Sequence[int] | None = None,
    average: Average | None = None,
) -> dict[str, np.ndarray]:
    """Draws input, truth, prediction and errors of the items `indices` as `folder`/ID.png; None for four of all.

    Of several streams the first is drawn, of several heads the first too. `average` as in `predict`.

    Returns:
      The strips, (H, W, 3) uint8 by the items' ids.
    """
    call, strips = predictor(model), {}
    for index in spread(len(data), 4) if indices is None else indices:
        item = data[index]
        strips[item.id] = draw_strip(data, item, _found(call, item, average), call)
        _write(folder / f"{item.id}.png", strips[item.id])
    return strips


def spread(length: int, count: int) -> list[int]:
    """`count` places from all over 0..length-1, the first and the last among them."""
    return np.unique(np.linspace(0, length - 1, count).round().astype(int)).tolist()


def draw_strip(data: Dataset, item: Item, found: dict[str, np.ndarray], call: Predictor) -> np.ndarray:
    """Input, truth, prediction and errors of an item side by side, with the names of more than two classes below.

    Args:
      data: where it is from.
      item: with its truth; void is left as it is.
      found: (H, W) class ids by head. The first head is drawn.
      call: what found them; it knows the names and colours of the classes, of one without a reading the data do.
    """
    head, label = next(iter(item.labels.items()))
    prediction, image = found[head], next(iter(item.images.values()))
    void = label == data.ignore_class
    if item.instances is not None:
        return _strip_of_objects(image, item.instances, number(prediction == 1, call.readings[head].rules), void)
    classes, own = call.readings[head].classes or data.heads[head], call.readings[head].colours
    clear = clear_class(classes)
    left = data.ignore_class if clear is None else clear  # void has no colour
    truth = label if clear is None else np.where(void, clear, label)
    errors = np.where((prediction != label) & ~void, WRONG, 0)
    if clear is not None:
        errors[(errors > 0) & (prediction == clear)] = MISSED
        errors[(errors > 0) & (label == clear)] = FALSE
    shares = {kind: f"{said}: {(errors == kind).mean():.1%}" for kind, said in KINDS.items() if (errors == kind).any()}
    if len(classes) <= 2:
        return _with_legend(strip(image, truth, prediction, errors, clear=left, own=own), shares)
    picture = strip(image, truth, prediction, errors, clear=left, tint=STRONG, own=own)
    seen = {int(number) for number in np.union1d(label[~void], prediction)}
    names = {number: name for number, name in enumerate(classes) if number in seen}
    return _with_legend(stacked(picture, legend(names, picture.shape[1], clear=clear, own=own)), shares)


def _strip_of_objects(image: np.ndarray, truth: np.ndarray, found: np.ndarray, void: np.ndarray) -> np.ndarray:
    """The strip of an item whose objects are numbered: each error is a whole object, edges apart, and is counted."""
    compared = compare_objects(found, truth, void)
    seen = {MISSED: compared.true_missed, FALSE: compared.found_false}
    seen |= {SPLIT: compared.true_split, MERGED: compared.found_merged}
    errors = np.select([(truth > 0) & (found == 0), (found > 0) & (truth == 0)], [EDGE_MISSED, EDGE_FALSE], 0)
    for kind, objects in seen.items():
        of_truth = kind in (MISSED, SPLIT)
        numbers, ids = (truth, compared.true_ids) if of_truth else (found, compared.found_ids)
        errors[np.isin(numbers, ids[objects])] = kind
    errors[void] = 0
    said = {kind: f"{KINDS[kind]}: {int(objects.sum()):,}" for kind, objects in seen.items()}
    counts = (
        f"truth: {in_number(len(compared.true_ids), 'object')}",
        f"prediction: {in_number(len(compared.found_ids), 'object')}",
    )
    picture = strip(image, truth, alike(found, truth), errors, own=object_colours(), said=counts)
    return _with_legend(picture, {**said, EDGE_MISSED: "pixels missed", EDGE_FALSE: "pixels too many"})


def _with_legend(picture: np.ndarray, kinds: Mapping[int, str]) -> np.ndarray:
    """A strip with the colours of its errors below."""
    if not kinds:
        return picture
    return stacked(picture, legend(kinds, picture.shape[1], clear=None, own=ERROR_COLOURS, exact=True))


def _found(call: Predictor, item: Item, average: Average | None) -> dict[str, Any]:
    """The class ids (H, W) that the network finds in an item, by head."""
    return by_name(predict(call, call.image_of(item.image, item.id), average=average))


def _write(path: Path, picture: np.ndarray) -> None:
    """Writes a picture as PNG, whole or not at all."""
    with aside(path) as place:
        place.write_bytes(png(picture))
