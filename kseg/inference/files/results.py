"""The result files of an image or a stack, as a person or another program can use them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from kseg.images import Bands, Pages, stack_writer, write_image
from kseg.inference.files.object_pages import ObjectPages
from kseg.inference.objects import rules_of
from kseg.inference.prediction import class_ids, probabilities
from kseg.layers import ScoreReading
from kseg.log import LOG
from kseg.pictures import drawn_classes, in_number, object_colours, overlay, palette, sheet
from kseg.storage import write_text

PNG_PIXELS = 1 << 28  # class ids of a larger image that is read by rows are a tiled TIFF


@dataclass(frozen=True)
class Extras:
    """What `predict_files` writes beside the class ids.

    Attributes:
      with_probabilities: also STEM_probabilities.tif, float32: class 1 of two classes, else a page per class.
      with_instances: also STEM_instances.tif: the objects of each class but 0, numbered through all slices; uint16, or
        uint32 (with a message) for more than 65,535 objects.
      with_table: also STEM_objects.csv: the measurements of each object (`kseg.object_table`).
      rules: what counts as an object (kseg.instances.ObjectRules), by name; the network's own if None or not named.
      with_overlay: also STEM_overlay.png; of a stack, nine slices.
    """

    with_probabilities: bool = False
    with_instances: bool = False
    with_table: bool = False
    rules: Mapping[str, Any] = field(default_factory=dict)
    with_overlay: bool = False

    @property
    def has_objects(self) -> bool:
        """Whether objects are numbered."""
        return self.with_instances or self.with_table

    def classes_shown(self, classes: int) -> list[int]:
        """The classes whose probabilities are written, of a head with so many."""
        return [] if not self.with_probabilities else [1] if classes == 2 else list(range(classes))


class Results:
    """The result files of one head, written page after page."""

    def __init__(
        self,
        files: ExitStack,
        stem: str,
        source: Pages,
        reading: ScoreReading,
        classes: int,
        extras: Extras,
        by_rows: bool,
    ) -> None:
        """Begins the files.

        Args:
          files: what closes them; if that is given an error, nothing remains of them.
          stem: their names without what tells them apart.
          source: the image or stack.
          reading, classes: of the head.
          extras: what is written beside the class ids.
          by_rows: whether `add_rows` will be called, and not `add`.
        """
        self._files, self._stem, self._source, self._reading, self._classes = files, stem, source, reading, classes
        self._drawn = (
            set(np.linspace(0, len(source) - 1, 9).round().astype(int).tolist()) if extras.with_overlay else ()
        )
        self._panels: dict[str, np.ndarray] = {}
        is_large = by_rows and math.prod(source.shape[1:3]) > PNG_PIXELS
        is_stack = is_large or len(source) > 1 or source.origin.needs_tiff or source.no_data is not None
        self._written = [Path(f"{stem}.tif" if is_stack else f"{stem}.png")]
        self._void = np.uint8(255) if classes <= 256 else np.uint16(65535)
        self._shown = extras.classes_shown(classes)
        self._ids = self._writer(self._written[0], 1, self._void.itemsize, str(self._void)) if is_stack else None
        self._probabilities = self._added("probabilities", len(self._shown), "nan") if self._shown else None
        self._instances = self._added("instances", 1, None) if extras.with_instances else None
        self._objects: ObjectPages | None = None
        if extras.has_objects:
            rules = rules_of(reading, **extras.rules)
            self._objects = ObjectPages(rules, classes, len(source), with_table=extras.with_table)
        self._table = Path(f"{stem}_objects.csv") if extras.with_table else None
        self._written += [self._table] if self._table else []
        self._bands: list[Bands] = []

    def _added(self, ending: str, maps: int, no_data: str | None) -> Callable[[np.ndarray | Bands], None]:
        self._written.append(Path(f"{self._stem}_{ending}.tif"))
        return self._writer(self._written[-1], maps, 4, no_data)

    def _writer(
        self, path: Path, maps: int, value_bytes: int, no_data: str | None
    ) -> Callable[[np.ndarray | Bands], None]:
        """Writes pages with `maps` channels; `no_data` marks pixels without data, if the image names them."""
        marked = no_data if self._source.no_data is not None else None
        size_bytes = math.prod(self._source.shape[:3]) * maps * value_bytes
        writer = stack_writer(
            path, self._source.origin, pages=len(self._source), channels=maps, no_data=marked, size_bytes=size_bytes
        )
        return self._files.enter_context(writer)

    def maps_of(self, scores: np.ndarray) -> list[np.ndarray]:
        """The maps of a part that are kept, from its scores (h, w, K): class ids, and probabilities if asked for."""
        ids = class_ids(scores, self._reading)
        return [ids, probabilities(scores)[..., self._shown]] if self._shown else [ids]

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
        self._last, *shares = self._marked(maps, gaps)
        if self._ids:
            self._ids(self._last)
        if self._probabilities:
            for share in shares:
                self._probabilities(share)

    def add_rows(self, rows: slice, maps: Sequence[np.ndarray], gaps: np.ndarray | None) -> None:
        """Takes the maps of the next rows of a page, and writes the page when they are its last ones."""
        ids, *shares = self._marked(maps, gaps)
        shape = self._source.shape[1:3]
        if self._ids is None:
            if rows.start == 0:
                self._last = np.empty(shape, ids.dtype)
            self._last[rows] = ids
        written = [(self._ids, ids)] if self._ids else []
        written += [(self._probabilities, share) for share in shares if self._probabilities]
        if rows.start == 0:
            self._bands = [Bands(shape, each.dtype, Path(self._stem).parent) for _, each in written]
            for band in self._bands:
                self._files.callback(band.close)
        for (write, each), band in zip(written, self._bands, strict=True):
            band.add(each)
            if rows.stop == shape[0]:
                write(band)

    def _marked(self, maps: Sequence[np.ndarray], gaps: np.ndarray | None) -> list[np.ndarray]:
        """The class ids and the probabilities of each class that is shown, in which pixels without data are marked."""
        ids, shares = maps[0], [maps[1][..., shown] for shown in range(len(self._shown))]
        if gaps is None:
            return [ids, *shares]
        void = ids.dtype.type(self._void)
        return [np.where(gaps, void, ids), *(np.where(gaps, np.float32(np.nan), share) for share in shares)]

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
            colours = palette(self._reading.colours) if coloured else None
            write_image(self._written[0], self._last, palette=colours, in_areas=True)
        if panels := self._panels:
            self._written.append(Path(f"{self._stem}_overlay.png"))
            write_image(self._written[-1], sheet(panels, columns=3) if len(panels) > 1 else next(iter(panels.values())))
        return self._written
