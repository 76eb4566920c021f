"""The prediction of many files as an Apache Beam pipeline, on any runner (the extra `beam`)."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kseg.errors import ConfigError, DataError, EnvironmentFailure, in_a_line
from kseg.images import is_image, stem_of
from kseg.inference.files.flow import predict_file
from kseg.inference.files.results import Extras
from kseg.inference.load import load
from kseg.inference.predictor import Predictor, predictor
from kseg.layers import Average
from kseg.registry import load_plugin, loaded_plugins

FAILED = "failed.jsonl"
_NOTE = ".failed.json"  # the end of the file in which a worker notes a failure
_DONE = (".png", ".tif")  # endings of the file with the class ids, which is written last


@dataclass(frozen=True)
class _Task:
    """What each worker must know.

    Attributes:
      model: what `kseg.load` takes; every worker must find it.
      folder: where the results go.
      extras, tile, average, axes, precision: as in `predict_files`.
      plugins: what is imported first.
    """

    model: str
    folder: str
    extras: Extras
    tile: int | None
    average: Average | None
    axes: str | None
    precision: str
    plugins: Sequence[str]


def predict_on_beam(
    model: str,
    sources: Iterable[str],
    folder: str,
    *,
    options: Sequence[str] = (),
    extras: Extras = Extras(),  # noqa: B008  # it is frozen
    tile: int | None = None,
    average: Average | None = None,
    axes: str | None = None,
    precision: str = "float32",
) -> list[dict[str, str]]:
    """Writes the predictions of `predict_files` for files that any of Beam's file systems opens.

    A file whose class ids are in `folder` is done, and is not read again: so a pipeline that was ended goes on. A file
    that can't be predicted stops nothing; it stands in FOLDER/failed.jsonl with the reason, and is tried again the next
    time.

    Args:
      model: what `kseg.load` takes; every worker must find it, as the plugins that are loaded.
      sources: files, folders, and patterns as gs://BUCKET/*.png.
      folder: a folder that all workers share, or an address.
      options: Beam's own, as ["--runner=FlinkRunner", "--flink_master=host:8081"]; none for the direct runner.
      extras, tile, average, axes, precision: as in `predict_files`.

    Returns:
      The files that failed: their `path` and the `reason`.

    Raises:
      ConfigError: Apache Beam is not installed.
      DataError: there is no image, or two would have results of one name.
      EnvironmentFailure: the pipeline failed. What is finished stays.
    """
    try:
        import apache_beam
        from apache_beam.io.filesystems import FileSystems
        from apache_beam.options.pipeline_options import PipelineOptions
    except ImportError as error:
        raise ConfigError("Apache Beam is not installed.", "Install it: pip install 'kseg[beam]'.") from error
    given = PipelineOptions(list(options))
    files = list(_listed(sources))
    if not FileSystems.exists(folder):
        FileSystems.mkdirs(folder)
    if old := _notes(folder):  # of a pipeline that was ended
        FileSystems.delete(old)
    task = _Task(model, folder, extras, tile, average, axes, precision, loaded_plugins())
    try:
        with apache_beam.Pipeline(options=given) as pipeline:
            steps = pipeline | apache_beam.Create(files) | apache_beam.Reshuffle()
            _ = steps | apache_beam.ParDo(_predicting(task))
    except RuntimeError as error:
        *_, reason = [error, *str(error).strip().splitlines()]  # the last line
        raise EnvironmentFailure(
            f"{folder}: the pipeline failed ({in_a_line(reason)}). What is finished stays there.",
            "Check that kseg, the network and the images are on every worker, and run it again.",
        ) from error
    return _failures(folder)


def _failures(folder: str) -> list[dict[str, str]]:
    """The failures that the workers noted, which are written into one file; none where it is empty."""
    from apache_beam.io.filesystems import FileSystems

    notes, found = _notes(folder), []
    for note in notes:
        with FileSystems.open(note) as file:
            found.append(json.loads(file.read()))
    with FileSystems.create(FileSystems.join(folder, FAILED)) as file:
        file.write("".join(f"{json.dumps(each)}\n" for each in found).encode())
    if notes:
        FileSystems.delete(notes)
    return found


def _notes(folder: str) -> list[str]:
    from apache_beam.io.filesystems import FileSystems

    return sorted(each.path for each in FileSystems.match([FileSystems.join(folder, f"*{_NOTE}")])[0].metadata_list)


def _listed(sources: Iterable[str]) -> Iterator[str]:
    """The image files among and in `sources`.

    Raises:
      DataError: there is none, or two would have results of one name.
    """
    from apache_beam.io.filesystems import FileSystems

    stems: dict[str, str] = {}
    for source in sources:
        is_folder = "://" not in source and Path(source).is_dir()
        found = FileSystems.match([FileSystems.join(source, "*") if is_folder else source])[0].metadata_list
        paths = sorted(each.path for each in found)
        if is_folder or "*" in source:
            paths = [path for path in paths if is_image(Path(path)) and Path(path).name != FAILED]
        if not paths:
            raise DataError(f"{source}: no image there.", "Name files, a folder, or a pattern as gs://BUCKET/*.png.")
        for path in paths:
            stem = stem_of(Path(path))
            if stem in stems:
                what = f"{stems[stem]} and {path}: both results would be called {stem}.*."
                raise DataError(what, "Predict them into different folders.")
            stems[stem] = path
            yield path


def _predicting(task: _Task) -> Any:
    """The step that predicts a file, and gives the reason where that fails."""
    import apache_beam
    from apache_beam.utils.shared import Shared

    class Predicting(apache_beam.DoFn):
        def __init__(self, task: _Task, shared: Shared) -> None:
            self._task, self._shared = task, shared

        def setup(self) -> None:
            # One network for all threads of a process, however often the step is made.
            self._network = self._shared.acquire(lambda: _Network(self._task))

        def process(self, source: str) -> None:
            self._network.predict(source)

    return Predicting(task, Shared())


class _Network:
    """The network of a worker."""

    def __init__(self, task: _Task) -> None:
        for plugin in task.plugins:
            load_plugin(plugin)
        self._task = task
        self._network: Predictor = predictor(load(task.model), precision=task.precision)

    def predict(self, source: str) -> None:
        """Writes the results of a file, unless they are there; the class ids last. Notes why a file fails."""
        from apache_beam.io.filesystems import FileSystems

        try:
            self._predict(source)
        except DataError as error:
            with tempfile.TemporaryDirectory(prefix="kseg-") as place:
                note = Path(place, "note")
                note.write_text(json.dumps({"path": source, "reason": str(error)}), encoding="utf-8")
                _put(note, FileSystems.join(self._task.folder, f"{stem_of(Path(source))}{_NOTE}"))

    def _predict(self, source: str) -> None:
        from apache_beam.io.filesystems import FileSystems

        task = self._task
        heads = [f"_{head}" if head else "" for head in self._network.heads]
        stem = stem_of(Path(source))
        if all(
            any(FileSystems.exists(FileSystems.join(task.folder, f"{stem}{head}{ending}")) for ending in _DONE)
            for head in heads
        ):
            return
        with tempfile.TemporaryDirectory(prefix="kseg-") as place:
            local = Path(source)
            if "://" in source:
                local = Path(place, Path(source).name)
                with FileSystems.open(source) as remote, open(local, "wb") as file:
                    shutil.copyfileobj(remote, file)
            extras = task.extras
            found = predict_file(
                self._network,
                local,
                Path(place, "results"),
                tile=task.tile,
                average=task.average,
                axes=task.axes,
                with_probabilities=extras.with_probabilities,
                with_instances=extras.with_instances,
                with_table=extras.with_table,
                rules=extras.rules,
                with_overlay=extras.with_overlay,
            )
            ids = {f"{stem}{head}{ending}" for head in heads for ending in _DONE}
            for path in sorted(found, key=lambda each: each.name in ids):
                _put(path, FileSystems.join(task.folder, path.name))


def _put(path: Path, target: str) -> None:
    """Copies a file to its place, where it is whole or absent."""
    from apache_beam.io.filesystems import FileSystems

    if "://" not in target:
        new = Path(f"{target}.{os.getpid()}.tmp")
        shutil.copyfile(path, new)
        new.replace(target)
        return
    with FileSystems.create(target) as remote, open(path, "rb") as file:
        shutil.copyfileobj(file, remote)
