"""`export`: writes a bundle for TensorFlow Serving."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from kseg.layers import Average

from kseg.cli.verb import Verb, average_option, precision_option


@click.command(cls=Verb, tensorflow=True, short_help="Write a network for TensorFlow Serving.")
@click.argument("model")
@click.option(
    "-o",
    "--output",
    metavar="BASE",
    default="models",
    show_default=True,
    type=click.Path(),
    help="The server's model folder.",
)
@click.option("--name", metavar="NAME", help="The model's name there. Default: the run's, or the file's.")
@click.option("--version", metavar="N", type=click.IntRange(min=1), help="Default: the highest there, plus 1.")
@click.option(
    "--form",
    type=click.Choice(["savedmodel", "onnx", "litert", "openvino"]),
    default="savedmodel",
    show_default=True,
    help="Another program's form: BASE/NAME.onnx, ...",
)
@click.option("--verify", is_flag=True, help="Call it as a server would, and refuse it if masks differ; exit 1.")
@average_option
@precision_option
def export(
    model: str,
    output: str,
    name: str | None,
    version: int | None,
    form: str,
    verify: bool,
    average: Average | None,
    precision: str | None,
) -> None:
    """Write MODEL (a run folder, a preset or a .keras file) as BASE/NAME/VERSION.

    The bundle takes images as they are stored or as files, of any height and width, and gives masks. Its graph computes
    the network's own average; --average none leaves it out. With --verify, MODEL may be a bundle, which is checked
    where it lies.
    """
    from kseg.bundles import export as write
    from kseg.bundles import verify as check
    from kseg.errors import ExportError
    from kseg.folders import path_of
    from kseg.inference import Predictor, load, pixels_read, predictor
    from kseg.layers import AVERAGES

    network = load(model)
    if isinstance(network, Predictor) and verify:
        found = check(path_of(model))
        click.echo(str(found))
        sys.exit(0 if found.passed else 1)
    if isinstance(network, Predictor):
        raise ExportError(
            f"{model}: this is a bundle already.", "Export the run folder or the .keras file that it was made from."
        )
    path = path_of(model).resolve()
    run = path if path.is_dir() else path.parent  # a run's model.keras gets the run's name
    name = name or (run.name if (run / "config.json").is_file() else path.stem)
    if form != "savedmodel":
        _write_form(network, output, name, form, average, precision)
        return
    settings: dict[str, Any] = {"version": version, "average": average, "precision": precision or "float32"}
    folder = write(network, output, name=name, run=run, verify=verify, **settings)
    click.echo(str(folder))
    held = predictor(network).outer_average(average)
    if held != "none":
        click.echo(
            f"The graph computes the {AVERAGES[held]}: a request reads {pixels_read(held)} times the pixels of one "
            "pass and takes about as many times as long. --average none leaves it out; then masks differ from those "
            "of `predict`.",
            err=True,
        )
    if folder.name != "1" and version is None:
        click.echo(
            f"{folder.parent} held version {int(folder.name) - 1}. TensorFlow Serving will now serve {folder.name} "
            "instead. To serve both, export under another --name.",
            err=True,
        )
    click.echo(
        f"Serve it: tensorflow_model_server --rest_api_port=8501 --model_name={shlex.quote(folder.parent.name)} "
        f"--model_base_path={shlex.quote(str(folder.parent.resolve()))}",
        err=True,
    )


def _write_form(
    network: Any,
    output: str,
    name: str,
    form: str,
    average: Average | None,
    precision: str | None,
) -> None:
    """Writes another program's form, and says how well it agrees."""
    from kseg.bundles.forms import write_form

    found = write_form(network, output, name=name, form=form, average=average, precision=precision or "float32")
    click.echo(str(found.path))
    click.echo(f"{found.agreement:.4%} of the pixels are as in predict, at least.", err=True)
