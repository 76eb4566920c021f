"""From image files to result files, page by page: reading, computing and writing overlap.

A thread reads the next page while the network computes, and another one writes the last. So three or four pages are in
memory, however many files there are. Of large pages there are two, or bands of their rows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from kseg.errors import ConfigError, DataError, SizeError
from kseg.images import Pages, open_pages, stem_of
from kseg.inference.files.inputs import each_stream
from kseg.inference.files.large import Rows, Way, way_of
from kseg.inference.files.results import Extras, Results
from kseg.inference.prediction import predict_bands, predict_maps
from kseg.inference.predictor import Predictor
from kseg.layers import Average
from kseg.overlap import ahead, behind

Source = Path | Mapping[str, Path]


def predict_file(
    network: Predictor,
    path: Source,
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
    progress: Callable[[float, int], None] = lambda done, pages: None,
) -> list[Path]:
    """Writes the prediction for an image or a stack; each file whole or not at all.

    The class ids are written as STEM.png. For 3 to 256 classes it has a palette, as VOC's server requires: the
    network's own colours, or VOC's. Its numbers are the ids. Pillow, MATLAB and kseg read them; OpenCV and
    tf.io.decode_png read colours in their place. For two classes, or more than 256, the PNG is grey: every tool reads
    the ids.

    In place of it STEM.tif, which is grey too, is written for a stack, and for a TIFF that says how large its pixels
    are, where they lie on earth, how they are rotated, or which have no data. All TIFFs keep this from their image.

    A TIFF that would take more than 256 MB with its maps is read, predicted and written by rows, with the same numbers:
    memory then holds a band of tiles, and the class ids if they are a PNG. Of more than 2^28 pixels they are a tiled
    TIFF. Objects, an overlay and an average need the whole image, as do networks that can't be tiled; it is refused if
    it does not fit into memory.

    Args:
      network: the predictor.
      path: the image file; for a network with several streams one file for each, by stream. The results have the name
        of the first.
      folder: where the results go.
      tile, average: as in `predict`.
      axes: the axes of a TIFF's pages, as in `kseg.images.open_pages`.
      with_probabilities, with_instances, with_table, rules, with_overlay: as in `Extras`.
      progress: called after each page with the number of pages done, and of all pages; within a page that is predicted
        by rows, with a fraction of it.

    Returns:
      The files; the first one has the class ids. For a network with several heads STEM is followed by _HEAD.

    Raises:
      DataError: a file can't be read, or its channels are not the network's; the streams differ in size, or the network
        does not take their size; it must be predicted as a whole, but does not fit into memory.
      SizeError: `tile` does not fit the network.
      ConfigError: a rule is out of range, or a network with several streams was given a single image.
    """
    extras = Extras(with_probabilities, with_instances, with_table, rules or {}, with_overlay)
    about: dict[str, Any] = {"tile": tile, "average": average, "axes": axes, "extras": extras}
    files = predict_files(network, [path], folder, **about, progress=lambda _, done, pages: progress(done, pages))
    with closing(files):
        (found,) = files
    if isinstance(found, DataError):
        raise found
    return found


def predict_files(
    network: Predictor,
    sources: Iterable[Source],
    folder: str | Path,
    *,
    tile: int | None = None,
    average: Average | None = None,
    axes: str | None = None,
    extras: Extras = Extras(),  # noqa: B008  # it is frozen
    progress: Callable[[int, float, int], None] = lambda file, done, pages: None,
) -> Generator[list[Path] | DataError, None, None]:
    """Writes the predictions for images and stacks, as `predict_file` does, and reads ahead of the network meanwhile.

    Args:
      network, folder, tile, average, axes: as in `predict_file`.
      sources: the image files; for a network with several streams, for each image one file by stream.
      extras: what is written beside the class ids.
      progress: called after each page or part of it with the number of the file (from 0), and as in `predict_file`.

    Yields:
      For each source in order its files, or the error by which it alone fails.

    Raises:
      As `predict_file`, but for errors of single files.
    """
    flow = _Flow(network, Path(folder), tile, average, axes, extras)
    with ExitStack() as stack:
        stack.callback(flow.drop_all)
        for part in stack.enter_context(closing(behind(flow.write, flow.predicted(sources)))):
            if part.done:
                progress(part.file.number, part.done, len(part.file))
            if part.result is not None:
                yield part.result


@dataclass(eq=False)
class _File:
    """A file on its way.

    Attributes:
      number: among the sources.
      name: of its first stream, for messages.
      pages: by stream.
      way: how its pages are read.
      has_failed: whether nothing more is to be read, computed or written of it.
      is_over: whether its result, files or an error, is known.
      files: closes the result files.
      heads: the results of each head.
    """

    number: int
    name: Path
    pages: Mapping[str, Pages] = field(default_factory=dict)
    way: Way = "ahead"
    has_failed: bool = False
    is_over: bool = False
    files: ExitStack | None = None
    heads: Mapping[str, Results] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.shown)

    @property
    def shown(self) -> Pages:
        """The pages of the first stream."""
        return next(iter(self.pages.values()))


class _Part(NamedTuple):
    """What passes from stage to stage: a page, rows of it, or the error by which its file fails.

    Attributes:
      done: the number of pages that are done with it.
      images: by stream, (H, W, C).
      gaps: the pixels without data, (H, W) bool; None if all have data.
      rows: those that the maps cover; None for the whole page.
      maps: by head.
      result: an error; after the last page of a file, its result files.
    """

    file: _File
    page: int = 0
    done: float = 0
    images: Mapping[str, np.ndarray] = {}
    gaps: np.ndarray | None = None
    rows: slice | None = None
    maps: Mapping[str, Any] = {}
    result: list[Path] | DataError | None = None


def _loaded(part: _Part) -> _Part:
    """The part with its page's images."""
    read = {stream: each.read(part.page) for stream, each in part.file.pages.items()}
    gaps = [missing for _, missing in read.values() if missing is not None]
    images = {stream: image for stream, (image, _) in read.items()}
    return part._replace(images=images, gaps=np.any(gaps, axis=0) if gaps else None)


class _Flow:
    """The three stages: `read` and `write` run in threads, `predicted` in the caller's."""

    def __init__(
        self,
        network: Predictor,
        folder: Path,
        tile: int | None,
        average: Average | None,
        axes: str | None,
        extras: Extras,
    ) -> None:
        self._network, self._folder, self._tile, self._average = network, folder, tile, average
        self._axes, self._extras = axes, extras
        self._open: list[_File] = []  # those with unfinished result files

    def read(self, sources: Iterable[Source]) -> Iterator[_Part]:
        """The pages of all files."""
        for number, source in enumerate(sources):
            by_stream = {"": source} if isinstance(source, Path) else dict(source)
            file = _File(number, next(iter(by_stream.values())))
            try:
                self._begin(file, by_stream)
                for page in range(len(file)):
                    if file.has_failed:
                        break
                    part = _Part(file, page, page + 1)
                    yield _loaded(part) if file.way == "ahead" else part
            except DataError as error:
                yield _Part(file, result=error)

    def _begin(self, file: _File, sources: Mapping[str, Path]) -> None:
        """Opens the images of all streams."""
        network = self._network
        if "" in sources and "" not in network.streams:
            raise ConfigError(
                f"This network takes {' and '.join(network.streams)} together, not {file.name} alone.",
                *each_stream(network.streams),
            )
        file.pages = {
            stream: open_pages(path, axes=self._axes, by_rows=True).for_channels(network.streams.get(stream, 0))
            for stream, path in sources.items()
        }
        if any(len(each) != len(file) for each in file.pages.values()):
            what = f"{file.name}: {len(file)} pages, but another stream has more or fewer."
            raise DataError(what, "Give streams of equal length.")
        file.way = way_of(network, file.pages, self._extras, self._average)

    def predicted(self, sources: Iterable[Source]) -> Iterator[_Part]:
        """The maps of all pages."""
        with closing(ahead(self.read(sources))) as parts:
            for part in parts:
                if part.file.has_failed:
                    continue
                if part.result is not None:
                    part.file.has_failed = True
                    yield part
                    continue
                try:
                    yield from self._by_rows(part) if part.file.way == "rows" else self._whole(part)
                except DataError as error:
                    part.file.has_failed = True
                    yield _Part(part.file, result=error)
                del part

    def _whole(self, part: _Part) -> Iterator[_Part]:
        part = part if part.images else _loaded(part)
        images, network = part.images, self._network
        image = network.image_of(images.get("", images), str(part.file.name))
        try:
            maps = predict_maps(
                network,
                image if "" in images else network.join(image),
                self._change(part),
                tile=self._tile,
                average=self._average,
            )
        except SizeError as error:
            if self._tile is not None:
                raise
            raise DataError(f"{part.file.name}: {error.what}", *error.fix) from error
        yield part._replace(maps=maps)

    def _by_rows(self, part: _Part) -> Iterator[_Part]:
        image = Rows(self._network, part.file.shown, part.page)
        for rows, maps in predict_bands(self._network, image, self._change(part), tile=self._tile):
            done = part.page + rows.stop / image.shape[0]
            yield part._replace(done=done, gaps=image.gaps(rows), rows=rows, maps=maps)
        image.check_depth()

    def _change(self, part: _Part) -> Callable[[np.ndarray, str], list[np.ndarray]] | None:
        """What makes the maps of each head, None for class ids alone; begins the result files with the first page."""
        if part.page == 0:
            self._begin_results(part.file)
        heads = part.file.heads
        if not self._extras.with_probabilities:
            return None
        return lambda scores, head: heads[head].maps_of(scores)

    def _begin_results(self, file: _File) -> None:
        file.files = ExitStack()
        self._open.append(file)
        stem = self._folder / stem_of(file.name)
        heads = {}
        for head, classes in self._network.heads.items():
            name = f"{stem}_{head}" if head else str(stem)
            about = (file.shown, self._network.readings[head], classes, self._extras, file.way == "rows")
            heads[head] = Results(file.files, name, *about)
        file.heads = heads

    def write(self, part: _Part) -> _Part:
        """Writes what was predicted; the part that is returned has the file's result, if it is finished or failed."""
        file = part.file
        if file.is_over:
            return _Part(file)
        try:
            if isinstance(part.result, DataError):
                raise part.result
            for head, results in file.heads.items():
                if part.rows is None:
                    results.add(part.page, next(iter(part.images.values())), part.maps[head], part.gaps)
                else:
                    results.add_rows(part.rows, part.maps[head], part.gaps)
            if part.done < len(file):
                return _Part(file, done=part.done)
            self._close(file)
            written = [path for results in file.heads.values() for path in results.finish()]
            return _Part(file, done=part.done, result=written)
        except BaseException as error:
            file.has_failed = True
            self._close(file, error)
            if isinstance(error, DataError):
                return _Part(file, result=error)
            raise

    def _close(self, file: _File, error: BaseException | None = None) -> None:
        """Puts the result files into their places; if there is an error, removes them, and raises what writers say."""
        file.is_over = True
        files, file.files = file.files, None
        if files is not None:
            self._open.remove(file)
            files.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)

    def drop_all(self) -> None:
        """Removes what was written of the files that are not finished."""
        for file in list(self._open):
            self._close(file, KeyboardInterrupt())
