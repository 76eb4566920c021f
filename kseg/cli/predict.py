"""`predict`: class ids, and on request probabilities, objects and overlays, for files and folders."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from kseg.layers import Average

from kseg.cli.verb import Verb, average_option, precision_option, stream_option


@click.command(cls=Verb, tensorflow=True)
@click.argument("model")
@click.option(
    "-i", "--input", "inputs", metavar="PATH", multiple=True, type=click.Path(), help="An image, a stack or a folder."
)
@click.argument("paths", nargs=-1, type=click.Path())
@click.option(
    "-o", "--output", metavar="DIR", required=True, type=click.Path(file_okay=False), help="Where the results go."
)
@click.option("--tile", metavar="N", type=int, help="Height and width of what the network is given at a time.")
@click.option(
    "--axes", metavar="AXES", help="What a TIFF's pages are, where it does not say: CYX channels, ZYX slices."
)
@stream_option
@average_option
@precision_option
@click.option(
    "--probabilities", is_flag=True, help="Also STEM_probabilities.tif: float32, class 1 of two, else a page per class."
)
@click.option("--instances", is_flag=True, help="Also STEM_instances.tif: 16 bit, one number per object.")
@click.option("--overlay", is_flag=True, help="Also STEM_overlay.png: what was found, drawn on the image.")
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
    overlay: bool,
) -> None:
    """Find the classes in images with MODEL (a run folder, a preset, a .keras file or a bundle).

    Writes DIR/STEM.png with class ids for each image, DIR/STEM.tif for a stack. Of more than two classes the PNG has
    the colours of the network's classes, else VOC's, as its server takes it; the numbers in it are the ids.
    """
    if not inputs + paths and not streams:
        raise click.UsageError("Which images? Give files or folders after MODEL.")
    if inputs + paths and streams:
        raise click.UsageError("Give either images or --stream NAME=PATH for each stream.")
    from kseg.errors import DataError
    from kseg.inference import load, predictor, say_above_bar
    from kseg.inference.files import check_apart, list_images, list_streams, predict_file

    named = tuple(streams.values()) or inputs + paths
    files: Sequence[Any] = [] if streams else list_images(named)
    network = predictor(load(model), precision=precision or "float32")
    network.outer_average(average)  # refused before an image is read
    if streams:
        files = list_streams(streams, network.streams)
    check_apart(named, [path for file in files for path in (file.values() if streams else [file])], output)
    failed: list[DataError] = []
    with click.progressbar(files, label="predicting", file=sys.stderr) as bar:
        for path in bar:
            try:
                written = predict_file(
                    network,
                    path,
                    output,
                    tile=tile,
                    average=average,
                    axes=axes,
                    with_probabilities=probabilities,
                    with_instances=instances,
                    with_overlay=overlay,
                )
            except DataError as error:
                if len(files) == 1:
                    raise
                failed.append(error)
                say_above_bar(f"error: {error}")
                continue
            if not sys.stderr.isatty():
                click.echo(str(written[0]))
    if failed:
        raise DataError(
            f"{len(failed)} of {len(files)} files failed, each named above; the results of the others are in {output}."
        ) from failed[-1]
    click.echo(f"{len(files)} {'file' if len(files) == 1 else 'files'} in {output}", err=True)
