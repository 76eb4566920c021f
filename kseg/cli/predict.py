"""`predict`: writes class ids for files and folders, and on request probabilities, objects and overlays."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from kseg.inference import Predictor
    from kseg.layers import Average

from kseg.cli.spelling import as_option
from kseg.cli.verb import Verb, average_option, precision_option, stream_option
from kseg.log import LOG, progress_bar

TICKS = 1000  # steps of the progress bar for each file, so that the bar moves within a stack


@click.command(cls=Verb, tensorflow=True, short_help="Find the classes in images.")
@click.argument("model")
@click.option(
    "-i", "--input", "inputs", metavar="PATH", multiple=True, type=click.Path(), help="An image, a stack or a folder."
)
@click.argument("paths", nargs=-1, type=click.Path())
@click.option(
    "-o", "--output", metavar="DIR", required=True, type=click.Path(file_okay=False), help="The folder for the results."
)
@click.option("--tile", metavar="N", type=int, help="Height and width of the tiles that the network is given.")
@click.option(
    "--axes",
    metavar="AXES",
    help="What a TIFF's pages are: CYX channels, ZYX slices. Default: as the file says, or as in the training.",
)
@stream_option
@average_option
@precision_option
@click.option(
    "--probabilities", is_flag=True, help="Also STEM_probabilities.tif: float32, of two classes class 1, else all."
)
@click.option("--instances", is_flag=True, help="Also STEM_instances.tif: one number per object, unique in a stack.")
@click.option(
    "--table",
    is_flag=True,
    help="Also STEM_objects.csv: area, position (as the image is displayed) and grey level of each object.",
)
@click.option(
    "--min-size",
    metavar="N",
    type=int,
    help="Leave out objects with fewer pixels; 0 keeps all. Default: as chosen on val.",
)
@click.option(
    "--fill-holes/--no-fill-holes", default=None, help="Fill the holes of objects, or not. Default: as chosen on val."
)
@click.option(
    "--separate/--no-separate", default=None, help="Separate objects that touch, or not. Default: as chosen on val."
)
@click.option("--overlay", is_flag=True, help="Also STEM_overlay.png: the classes drawn on the image.")
@click.option(
    "--beam",
    metavar="OPTIONS",
    help="Run on Apache Beam, with its options in one text: --runner=... Inputs and DIR may be addresses.",
)
def predict(
    model: str,
    inputs: tuple[str, ...],
    paths: tuple[str, ...],
    output: str,
    streams: dict[str, str],
    tile: int | None,
    axes: str | None,
    average: Average | None,
    precision: str | None,
    probabilities: bool,
    instances: bool,
    table: bool,
    min_size: int | None,
    fill_holes: bool | None,
    separate: bool | None,
    overlay: bool,
    beam: str | None,
) -> None:
    """Find the classes in images with MODEL (a run folder, a preset, a .keras file or a bundle).

    Writes DIR/STEM.png with class ids for each image, DIR/STEM.tif for a stack. With more than two classes the PNG has
    a palette, with the colours of the network's classes or else PASCAL VOC's; its pixel values are the ids.
    """
    if not inputs + paths and not streams:
        raise click.UsageError("No images are given. Give files or folders after MODEL.")
    if inputs + paths and streams:
        raise click.UsageError("Give either images or --stream NAME=PATH for each stream.")
    rules = {"min_size": min_size, "fill_holes": fill_holes, "separate": separate}
    asked = [name for name, value in rules.items() if value is not None]
    if asked and not (instances or table):
        raise click.UsageError(
            f"--{asked[0].replace('_', '-')} says what counts as an object. Ask for objects: --instances or --table."
        )
    if beam is not None:
        about: dict[str, Any] = {"tile": tile, "average": average, "axes": axes, "precision": precision or "float32"}
        about["extras"] = (probabilities, instances, table, rules, overlay)
        _on_beam(model, [*inputs, *paths], streams, output, beam, about)
        return
    from kseg.datasets.own.ignored_files import unread_inputs
    from kseg.errors import DataError
    from kseg.folders import axes_of_run
    from kseg.images import stem_of
    from kseg.inference import load, predictor
    from kseg.inference.files import Extras, check_apart, list_images, list_streams, predict_files

    named = tuple(streams.values()) or inputs + paths
    files: Sequence[Any] = [] if streams else list_images(named)
    network = predictor(load(model), precision=precision or "float32")
    axes = axes or axes_of_run(model)
    network.outer_average(average)  # raises here if it does not suit the network, before an image is read
    if streams:
        files = list_streams(streams, network.streams)
    check_apart(named, [path for file in files for path in (file.values() if streams else [file])], output)
    failed: list[DataError] = []
    kinds: Counter[str] = Counter()
    with progress_bar("predicting", length=TICKS * len(files)) as bar, _noting_interrupts() as check:
        results = predict_files(
            network,
            files,
            output,
            tile=tile,
            average=average,
            axes=axes,
            extras=Extras(probabilities, instances, table, rules, overlay),
            progress=partial(_advance, bar, check),
        )
        with closing(results):
            for number, (path, found) in enumerate(zip(files, results, strict=True)):
                if isinstance(found, DataError):
                    if len(files) == 1:
                        raise found
                    failed.append(found)
                    _advance(bar, check, number, 1, 1)
                    LOG.info("error: %s", found.told(as_option))
                    continue
                first = next(iter(path.values())) if streams else path
                kinds.update(f"STEM{file.name.removeprefix(stem_of(first))}" for file in found)
                if not sys.stderr.isatty():
                    click.echo(str(found[0]))
    for note in unread_inputs(map(Path, named)):
        click.echo(f"note: {note}", err=True)
    if failed:
        others = f"; the results of the others are in {output}" if kinds else ""
        raise DataError(f"{len(failed)} of {len(files)} files failed, each named above{others}.") from failed[-1]
    read = f"{len(files)} file{'s' if len(files) > 1 else ''} read"
    written = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    click.echo(f"{read}, {kinds.total()} written to {output}: {written}", err=True)
    if note := _looks_black(network, is_stack="STEM.tif" in kinds, with_overlay=overlay):
        click.echo(note, err=True)


@contextmanager
def _noting_interrupts() -> Iterator[Callable[[], None]]:
    """Inside, Ctrl-C is only noted; what it gives raises KeyboardInterrupt then. A second Ctrl-C raises it at once.

    Python would raise it anywhere: in a finaliser, where it is lost, or where a file was just begun, which then stays.
    """
    noted: list[int] = []

    def note(number: int, frame: Any) -> None:
        if noted:
            raise KeyboardInterrupt
        noted.append(number)
        click.echo("Stopping after this page. Once more ends at once.", err=True)

    def check() -> None:
        if noted:
            raise KeyboardInterrupt

    if threading.current_thread() is not threading.main_thread():  # which alone gets signals
        yield check
        return
    before = signal.signal(signal.SIGINT, note)
    try:
        yield check
        check()
    finally:
        signal.signal(signal.SIGINT, before)


def _advance(bar: Any, check: Callable[[], None], number: int, done: float, pages: int) -> None:
    """Moves the bar to page `done` of `pages` of the file `number`."""
    check()
    bar.update(TICKS * number + int(TICKS * done / pages) - bar.pos)


def _looks_black(network: Predictor, *, is_stack: bool, with_overlay: bool) -> str:
    """A note that masks of grey ids look black; empty if they have colours."""
    for head, count in network.heads.items():
        if count == 2 or count > 256 or is_stack:
            names = network.readings[head].names(count)
            ids = f"0 ({names[0]}) {'and' if count == 2 else 'to'} {count - 1} ({names[-1]})"
            seen = "STEM_overlay.png shows" if with_overlay else "--overlay draws"
            return f"The masks hold the numbers {ids} and look black in a viewer; {seen} them on the image."
    return ""


def _on_beam(
    model: str, sources: list[str], streams: dict[str, str], output: str, beam: str, about: dict[str, Any]
) -> None:
    """Predicts by a pipeline of Apache Beam; exit code 3 if a file failed."""
    from kseg.inference.files import Extras
    from kseg.inference.files.beam import FAILED, predict_on_beam

    if streams:
        raise click.UsageError("--beam takes images, not --stream.")
    extras = Extras(*about.pop("extras"))
    failed = predict_on_beam(model, sources, output, options=shlex.split(beam), extras=extras, **about)
    for each in failed[:10]:
        LOG.info("error: %s", each["reason"])
    if failed:
        LOG.info("%d files failed: %s/%s has all.", len(failed), output, FAILED)
        sys.exit(3)
