"""Predictions for files and folders, page by page, as files a person or another program goes on with."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from kseg.datasets.own.ignored_files import unread_files
from kseg.errors import ConfigError, DataError, SizeError
from kseg.images import Pages, is_image, open_pages, stack_writer, stem_of, write_image
from kseg.inference.objects import ObjectPages, rules_of
from kseg.inference.prediction import class_ids, predict_maps, probabilities
from kseg.inference.predictor import Predictor, say_above_bar
from kseg.layers import Average, ScoreReading
from kseg.pictures import drawn_classes, in_number, object_colours, overlay, palette, sheet
from kseg.storage import write_text


def list_images(paths: Iterable[str | Path]) -> list[Path]:
    """The image files among `paths` and directly inside the folders among them, in order.

    Raises:
      DataError: a path does not exist, a folder has no image, or two files share the name results are called by.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.is_file() and is_image(file))
            if not inside:
                within = ", ".join(sorted(folder.name for folder in path.iterdir() if folder.is_dir())[:5])
                raise DataError(
                    f"{path}: no image in this folder. PNG, JPEG and TIFF are read."
                    + (f" Folders in it are not looked into ({within}): name those you mean." if within else "")
                    + "".join(f" It holds {words}." for words in unread_files(path))
                )
            files += inside
        elif path.exists():
            files.append(path)
        else:
            raise DataError(f"{path}: there is no such file or folder.")
    seen: dict[str, Path] = {}
    for file in files:
        stem = stem_of(file)
        if stem in seen:
            raise DataError(
                f"{seen[stem]} and {file} would both be written as {stem}.*. Predict them into different folders."
            )
        seen[stem] = file
    return files


def list_streams(paths: Mapping[str, str | Path], streams: Iterable[str]) -> list[dict[str, Path]]:
    """The images of each stream that belong together, by stream: those of one name before the ending, in order.

    Args:
      paths: a file or a folder for each stream.
      streams: those the network takes.

    Raises:
      DataError: a stream is missing or unknown, or an image has no partner in another stream.
    """
    wanted = list(streams)
    if wanted == [""]:
        raise DataError("The network takes one image, and no streams. Give files or folders in place of --stream.")
    if set(paths) != set(wanted):
        raise DataError(
            f"The network takes {' and '.join(wanted)}, found {' and '.join(paths) or 'no stream'}. Give each of them: "
            + " ".join(f"--stream {name}=PATH" for name in wanted)
        )
    files = {name: {stem_of(file): file for file in list_images([paths[name]])} for name in wanted}
    first, *others = files.values()
    for name, found in zip(wanted[1:], others, strict=True):
        lonely = sorted(first.keys() ^ found.keys())
        if lonely and len(first) + len(found) > 2:  # two single files may be called as they like
            raise DataError(
                f"{lonely[0]}: not an image of both {wanted[0]} ({paths[wanted[0]]}) and {name} ({paths[name]}). "
                "Images that belong together have the same name before the ending."
            )
    rows = zip(*(found.values() for found in files.values()), strict=True)
    return [dict(zip(wanted, row, strict=True)) for row in rows]


def check_apart(paths: Iterable[str | Path], files: Iterable[Path], folder: str | Path) -> None:
    """Whether results in `folder` leave the images as they are, and the folders they come from.

    Args:
      paths: what was named.
      files: the images in it.
      folder: where the results go.

    Raises:
      ConfigError: a result would replace an image, or be taken for one the next time.
    """
    home = Path(folder).resolve()
    for path in map(Path, paths):
        if path.is_dir() and path.resolve() == home:
            raise ConfigError(
                f"{folder}: the images lie there. Results beside them would be taken for images the next time, and one "
                "of the same name replace its image. Name another folder with -o."
            )
    for file in files:
        if file.parent.resolve() == home and file.suffix.lower() in (".png", ".tif"):
            raise ConfigError(
                f"{file}: its result in {folder} may have the same name and replace it. Name another folder with -o."
            )


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
    """Writes what `network` finds in an image or a stack; each file whole or not at all.

    Class ids are STEM.png: of more than two classes with the network's colours, else with VOC's, as VOC's server wants
    it. The numbers in it are the ids, and so Pillow, MATLAB and kseg read it; OpenCV and tf.io.decode_png make colours
    of them. Of two classes, or more than a palette's 256, the PNG is grey, which every tool reads as ids, and so are
    the pages of a STEM.tif. That is written of a stack, and of a TIFF that says how large its pixels are, where they
    lie on earth, how they are turned, or which have no data: all TIFFs keep this of their image.

    Args:
      network: the predictor.
      path: the image file; for a network of several streams one file for each, by stream. Results are named by the
        first.
      folder: where to.
      tile, average: as in `predict`.
      axes: what the pages of a TIFF are, as `kseg.images.open_pages` takes it.
      with_probabilities: also STEM_probabilities.tif, float32: class 1 of two classes, else a page per class.
      with_instances: also STEM_instances.tif: the objects of each class but 0, numbered through all slices; uint16, or
        uint32 where there are more than 65,535, which is said.
      with_table: also STEM_objects.csv: what `kseg.object_table` measures of each.
      rules: what counts as an object (kseg.instances.ObjectRules), by name; the network's own where None or not named.
      with_overlay: also STEM_overlay.png; of a stack, nine slices.
      progress: called after each page with how many are done, and how many there are.

    Returns:
      The files, that with the class ids first. Of a network with several heads STEM is followed by _HEAD.

    Raises:
      DataError: a file can't be read, or has other channels than the network; streams differ in size, or the network
        does not take theirs.
      SizeError: `tile` does not fit the network.
      ConfigError: a rule is out of range, or the network takes several images at a time, and one was given.
    """
    if isinstance(path, Path) and "" not in network.streams:
        raise ConfigError(
            f"This network takes {' and '.join(network.streams)} together, not {path} alone. Give each: "
            + " ".join(f"--stream {name}=PATH" for name in network.streams)
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
        raise DataError(f"{first}: {count} pages, but another stream has not. Streams are paired page by page.")
    with ExitStack() as files:
        heads = {
            head: _Results(
                files, f"{Path(folder) / stem_of(first)}{'_' if head else ''}{head}", shown, network.readings[head]
            )
            for head in network.heads
        }
        for head, results in heads.items():
            results.open(network.heads[head], with_probabilities, with_instances, with_overlay)
            if with_instances or with_table:
                results.open_objects(with_table, rules or {})
        for place in range(count):
            images, gaps = _read(pages, place)
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
                raise DataError(f"{first}: {error}") from error
            for head, results in heads.items():
                results.add(place, next(iter(images.values())), maps[head], np.any(gaps, axis=0) if gaps else None)
            progress(place + 1, count)
    return [file for results in heads.values() for file in results.finish()]


def _read(pages: Mapping[str, Pages], place: int) -> tuple[dict[str, np.ndarray], list[np.ndarray]]:
    """The images of each stream at `place`, and of those that lack data, where they do: (H, W) bool each."""
    read = {stream: each.read(place) for stream, each in pages.items()}
    gaps = [missing for _, missing in read.values() if missing is not None]
    return {stream: image for stream, (image, _) in read.items()}, gaps


class _Results:
    """The files one head's results go to, page after page."""

    def __init__(self, files: ExitStack, stem: str, source: Pages, reading: ScoreReading) -> None:
        self._files, self._stem, self._source, self._reading = files, stem, source, reading
        self._drawn = set(np.linspace(0, len(source) - 1, 9).round().astype(int).tolist())
        self._panels: dict[str, np.ndarray] = {}
        self._is_stack = len(source) > 1 or source.origin.needs_tiff or source.no_data is not None
        self._written = [Path(f"{stem}.tif" if self._is_stack else f"{stem}.png")]

    def open(self, classes: int, with_probabilities: bool, with_instances: bool, with_overlay: bool) -> None:
        self._classes, self._void = classes, 255 if classes <= 256 else 65535
        self._shown = [1] if classes == 2 else list(range(classes))
        self._ids = self._writer(self._written[0], 1, str(self._void)) if self._is_stack else None
        self._probabilities = self._added("probabilities", len(self._shown), "nan") if with_probabilities else None
        self._instances = self._added("instances", 1, None) if with_instances else None
        self._overlay = with_overlay
        self._objects: ObjectPages | None = None

    def open_objects(self, with_table: bool, rules: Mapping[str, Any]) -> None:
        self._objects = ObjectPages(
            rules_of(self._reading, **rules), self._classes, len(self._source), with_table=with_table
        )
        self._table = Path(f"{self._stem}_objects.csv") if with_table else None
        self._written += [self._table] if self._table else []

    def _added(self, ending: str, maps: int, no_data: str | None) -> Callable[[np.ndarray], None]:
        self._written.append(Path(f"{self._stem}_{ending}.tif"))
        return self._writer(self._written[-1], maps, no_data)

    def _writer(self, path: Path, maps: int, no_data: str | None) -> Callable[[np.ndarray], None]:
        """Of as many maps a slice; `no_data` marks what has none, where the image says that there may be such."""
        marked = no_data if self._source.no_data is not None else None
        writer = stack_writer(path, self._source.origin, pages=len(self._source), channels=maps, no_data=marked)
        return self._files.enter_context(writer)

    def maps_of(self, scores: np.ndarray) -> list[np.ndarray]:
        """What is kept of the scores (h, w, K) of a part: class ids, and where asked for probabilities."""
        ids = class_ids(scores, self._reading)
        return [ids] if self._probabilities is None else [ids, probabilities(scores)[..., self._shown]]

    def add(self, place: int, image: np.ndarray, maps: Sequence[np.ndarray], gaps: np.ndarray | None) -> None:
        """Writes slice `place`, of these maps of the whole image; what has no data is void, and no object."""
        ids = maps[0]
        if self._objects:
            before = self._objects.count
            objects = self._objects.add(ids if gaps is None else np.where(gaps, 0, ids), image)
            if place + 1 == len(self._source):
                self._write_objects(self._objects)
        if self._overlay and place in self._drawn:
            names, own = self._reading.names(self._classes), self._reading.colours
            if self._objects:
                found = in_number(self._objects.count - before, "object")
                self._panels[f"slice {place}: {found}"] = overlay(image, objects, own=object_colours())
            else:
                self._panels[f"slice {place}"] = drawn_classes(image, ids, names, own)
        self._last = ids if gaps is None else np.where(gaps, ids.dtype.type(self._void), ids)
        if self._ids:
            self._ids(self._last)
        if self._probabilities:
            for shown in range(len(self._shown)):
                share = maps[1][..., shown]
                self._probabilities(share if gaps is None else np.where(gaps, np.float32(np.nan), share))

    def _write_objects(self, objects: ObjectPages) -> None:
        """Writes the objects of all slices: only now it is known how many bits their numbers need."""
        if self._instances:
            if objects.bits > 16:
                say_above_bar(f"{self._stem}_instances.tif: 32 bits, since there are {objects.count:,} objects.")
            for page in objects.pages():
                self._instances(page)
        if self._table:
            write_text(self._table, objects.table())

    def finish(self) -> list[Path]:
        """Writes what is one picture; all files then."""
        if self._ids is None:
            coloured = 2 < self._classes <= 256
            write_image(self._written[0], self._last, palette=palette(self._reading.colours) if coloured else None)
        if self._overlay:
            self._written.append(Path(f"{self._stem}_overlay.png"))
            panels = self._panels
            write_image(self._written[-1], sheet(panels, columns=3) if len(panels) > 1 else next(iter(panels.values())))
        return self._written
