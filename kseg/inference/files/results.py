"""Predictions for files, page by page, as files that a person or another program can use."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from kseg.errors import ConfigError, DataError, SizeError
from kseg.images import Pages, open_pages, stack_writer, stem_of, write_image
from kseg.inference.files.inputs import each_stream
from kseg.inference.files.object_pages import ObjectPages
from kseg.inference.objects import rules_of
from kseg.inference.prediction import class_ids, predict_maps, probabilities
from kseg.inference.predictor import Predictor
from kseg.layers import Average, ScoreReading
from kseg.log import LOG
from kseg.pictures import drawn_classes, in_number, object_colours, overlay, palette, sheet
from kseg.storage import write_text


def predict_file(
    network: Predictor,
    path: Path | Mapping[str, Path],
    folder: str | Path,
    *,
    tile: int | None = None,
    average: Average | None = None,
    axes: str | None = None,
    with_probabilities: bool = False,
    with_instances: bool = False,
    with_table: bool = False,
    rules: Mapping[str, Any] | None = None,
    with_overlay: bool = False,
    progress: Callable[[int, int], None] = lambda done, pages: None,
) -> list[Path]:
    """Writes the prediction for an image or a stack; each file whole or not at all.

    The class ids are written as STEM.png. For 3 to 256 classes it has a palette, as VOC's server requires: the
    network's own colours, or VOC's. Its numbers are the ids. Pillow, MATLAB and kseg read them; OpenCV and
    tf.io.decode_png read colours in their place. For two classes, or more than 256, the PNG is grey: every tool reads
    the ids.

    In place of it STEM.tif, which is grey too, is written for a stack, and for a TIFF that says how large its pixels
    are, where they lie on earth, how they are rotated, or which have no data. All TIFFs keep this from their image.

    Args:
      network: the predictor.
      path: the image file; for a network with several streams one file for each, by stream. The results have the name
        of the first.
      folder: where the results go.
      tile, average: as in `predict`.
      axes: the axes of a TIFF's pages, as in `kseg.images.open_pages`.
      with_probabilities: also STEM_probabilities.tif, float32: class 1 of two classes, else a page per class.
      with_instances: also STEM_instances.tif: the objects of each class but 0, numbered through all slices; uint16, or
        uint32 (with a message) for more than 65,535 objects.
      with_table: also STEM_objects.csv: the measurements of each object (`kseg.object_table`).
      rules: what counts as an object (kseg.instances.ObjectRules), by name; the network's own if None or not named.
      with_overlay: also STEM_overlay.png; of a stack, nine slices.
      progress: called after each page with the number of pages done, and of all pages.

    Returns:
      The files; the first one has the class ids. For a network with several heads STEM is followed by _HEAD.

    Raises:
      DataError: a file can't be read, or its channels are not the network's; the streams differ in size, or the network
        does not take their size.
      SizeError: `tile` does not fit the network.
      ConfigError: a rule is out of range, or a network with several streams was given a single image.
    """
    if isinstance(path, Path) and "" not in network.streams:
        raise ConfigError(
            f"This network takes {' and '.join(network.streams)} together, not {path} alone.",
            *each_stream(network.streams),
        )
    sources = {"": path} if isinstance(path, Path) else dict(path)
    first = next(iter(sources.values()))
    pages = {
        stream: open_pages(source, axes=axes).for_channels(network.streams.get(stream, 0))
        for stream, source in sources.items()
    }
    shown = next(iter(pages.values()))
    count = len(shown)
    if any(len(each) != count for each in pages.values()):
        raise DataError(
            f"{first}: {count} pages, but another stream has more or fewer.", "Give streams of equal length."
        )
    stem = Path(folder) / stem_of(first)
    with ExitStack() as files:
        heads = {
            head: _Results(
                *(files, f"{stem}_{head}" if head else str(stem), shown, network.readings[head], classes),
                with_probabilities=with_probabilities,
                with_instances=with_instances,
                with_table=with_table,
                with_overlay=with_overlay,
                rules=rules or {},
            )
            for head, classes in network.heads.items()
        }
        for page in range(count):
            images, gaps = _read(pages, page)
            image = network.image_of(images.get("", images), str(first))
            try:
                maps = predict_maps(
                    network,
                    image if "" in images else network.join(image),
                    lambda scores, head: heads[head].maps_of(scores),
                    tile=tile,
                    average=average,
                )
            except SizeError as error:
                if tile is not None:
                    raise
                raise DataError(f"{first}: {error.what}", *error.fix) from error
            for head, results in heads.items():
                results.add(page, next(iter(images.values())), maps[head], np.any(gaps, axis=0) if gaps else None)
            progress(page + 1, count)
    return [file for results in heads.values() for file in results.finish()]


def _read(pages: Mapping[str, Pages], page: int) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """The images of each stream on a page, and the pixels without data, (H, W) bool, of each stream that has some."""
    read = {stream: each.read(page) for stream, each in pages.items()}
    gaps = [missing for _, missing in read.values() if missing is not None]
    return {stream: image for stream, (image, _) in read.items()}, gaps


class _Results:
    """The result files of one head, written page after page."""

    def __init__(
        self,
        files: ExitStack,
        stem: str,
        source: Pages,
        reading: ScoreReading,
        classes: int,
        *,
        with_probabilities: bool,
        with_instances: bool,
        with_table: bool,
        with_overlay: bool,
        rules: Mapping[str, Any],
    ) -> None:
        self._files, self._stem, self._source, self._reading, self._classes = files, stem, source, reading, classes
        self._drawn = set(np.linspace(0, len(source) - 1, 9).round().astype(int).tolist()) if with_overlay else ()
        self._panels: dict[str, np.ndarray] = {}
        is_stack = len(source) > 1 or source.origin.needs_tiff or source.no_data is not None
        self._written = [Path(f"{stem}.tif" if is_stack else f"{stem}.png")]
        self._void = 255 if classes <= 256 else 65535
        self._shown = [1] if classes == 2 else list(range(classes))
        self._ids = self._writer(self._written[0], 1, str(self._void)) if is_stack else None
        self._probabilities = self._added("probabilities", len(self._shown), "nan") if with_probabilities else None
        self._instances = self._added("instances", 1, None) if with_instances else None
        self._objects: ObjectPages | None = None
        if with_instances or with_table:
            self._objects = ObjectPages(rules_of(reading, **rules), classes, len(source), with_table=with_table)
        self._table = Path(f"{stem}_objects.csv") if with_table else None
        self._written += [self._table] if self._table else []

    def _added(self, ending: str, maps: int, no_data: str | None) -> Callable[[np.ndarray], None]:
        self._written.append(Path(f"{self._stem}_{ending}.tif"))
        return self._writer(self._written[-1], maps, no_data)

    def _writer(self, path: Path, maps: int, no_data: str | None) -> Callable[[np.ndarray], None]:
        """Writes pages with `maps` channels; `no_data` marks pixels without data, if the image names them."""
        marked = no_data if self._source.no_data is not None else None
        writer = stack_writer(path, self._source.origin, pages=len(self._source), channels=maps, no_data=marked)
        return self._files.enter_context(writer)

    def maps_of(self, scores: np.ndarray) -> list[np.ndarray]:
        """The maps of a part that are kept, from its scores (h, w, K): class ids, and probabilities if asked for."""
        ids = class_ids(scores, self._reading)
        return [ids] if self._probabilities is None else [ids, probabilities(scores)[..., self._shown]]

    def add(self, page: int, image: np.ndarray, maps: Sequence[np.ndarray], gaps: np.ndarray | None) -> None:
        """Writes a page from the maps of the whole image; pixels without data (`gaps`) are void, and no objects."""
        ids = maps[0]
        if self._objects:
            before = self._objects.count
            objects = self._objects.add(ids if gaps is None else np.where(gaps, 0, ids), image)
            if page + 1 == len(self._source):
                self._write_objects(self._objects)
        if page in self._drawn:
            names, own = self._reading.names(self._classes), self._reading.colours
            if self._objects:
                found = in_number(self._objects.count - before, "object")
                self._panels[f"slice {page}: {found}"] = overlay(image, objects, own=object_colours())
            else:
                self._panels[f"slice {page}"] = drawn_classes(image, ids, names, own)
        self._last = ids if gaps is None else np.where(gaps, ids.dtype.type(self._void), ids)
        if self._ids:
            self._ids(self._last)
        if self._probabilities:
            for shown in range(len(self._shown)):
                share = maps[1][..., shown]
                self._probabilities(share if gaps is None else np.where(gaps, np.float32(np.nan), share))

    def _write_objects(self, objects: ObjectPages) -> None:
        """Writes the objects of all pages. Earlier it is not known how many bits their numbers need."""
        if self._instances:
            if objects.bits > 16:
                LOG.info(f"{self._stem}_instances.tif: 32 bits, since there are {objects.count:,} objects.")
            for page in objects.pages():
                self._instances(page)
        if self._table:
            write_text(self._table, objects.table())

    def finish(self) -> list[Path]:
        """Writes the files that hold a single picture, and returns all files."""
        if self._ids is None:
            coloured = 2 < self._classes <= 256
            write_image(self._written[0], self._last, palette=palette(self._reading.colours) if coloured else None)
        if panels := self._panels:
            self._written.append(Path(f"{self._stem}_overlay.png"))
            write_image(self._written[-1], sheet(panels, columns=3) if len(panels) > 1 else next(iter(panels.values())))
        return self._written
