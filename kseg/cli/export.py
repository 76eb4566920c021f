"""`export`: a bundle for TensorFlow Serving."""

from __future__ import annotations

import click

from kseg.cli.verb import Verb


@click.command(cls=Verb, tensorflow=True)
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
@click.option("--name", metavar="NAME", help="The model's name there. Default: the recipe's, or the file's.")
@click.option("--version", metavar="N", type=click.IntRange(min=1), help="Default: one more than there is.")
def export(model: str, output: str, name: str | None, version: int | None) -> None:
    """Write MODEL (a run folder, a preset or a .keras file) as BASE/NAME/VERSION.

    The bundle takes images as they are stored, any height and width, and gives `mask`.
    """
    from pathlib import Path

    from kseg.bundles import export as write
    from kseg.errors import ExportError
    from kseg.inference import Predictor, load
    from kseg.training.run import read_config

    network = load(model)
    if isinstance(network, Predictor):
        raise ExportError(f"{model}: this is a bundle already. Export the run folder or the .keras file it came from.")
    config = read_config(model)
    folder = write(
        network,
        output,
        name=name or (config["recipe"]["name"] if config else Path(model).stem),
        version=version,
        classes=config["classes"] if config else None,
    )
    click.echo(str(folder))
    click.echo(
        f"Serve it: tensorflow_model_server --rest_api_port=8501 --model_name={folder.parent.name} "
        f"--model_base_path={folder.parent.resolve()}",
        err=True,
    )
