"""`train`: a recipe, a run folder, a report."""

from __future__ import annotations

import click

from kseg.cli.verb import Verb, program_name, set_option


@click.command(cls=Verb, tensorflow=True)
@click.option(
    "--recipe", metavar="NAME", help="What to follow (`models list`). Default: by the data set, else the demo."
)
@click.option("--model", metavar="NAME", help="Another network than the recipe's.")
@click.option("--dataset", metavar="NAME", help="What to train on (`data list`).")
@click.option("--data-dir", metavar="DIR", type=click.Path(), help="Where the data set lies.")
@click.option("--run", metavar="DIR", type=click.Path(), help="The run folder to make. Default: runs/RECIPE-N.")
@set_option
@click.option("--steps", metavar="N", type=int, help="Batches to train for.")
@click.option("--epochs", metavar="N", type=int, help="The same in epochs.")
@click.option("--batch-size", metavar="N", type=int, help="Crops per step.")
@click.option("--crop", metavar="H,W", help="Height and width the network is given.")
@click.option(
    "--init-weights",
    metavar="WHAT",
    help="What the network starts from: imagenet, none, or a file of weights. Default: the recipe's.",
)
@click.option("--seed", metavar="N", type=int, help="Of weights, order and augmentation.")
def train(
    recipe: str | None,
    model: str | None,
    dataset: str | None,
    data_dir: str | None,
    run: str | None,
    settings: dict[str, str],
    **fields: str | int | None,
) -> None:
    """Train a network and score it on held-out images.

    Alone it trains a small U-Net on generated touching cells. For your own images (DIR/images and
    DIR/labels, paired by name): train --dataset folder --data-dir DIR.
    """
    if fields["steps"] and fields["epochs"]:
        raise click.UsageError("Give either --steps or --epochs.")
    from kseg.training.trainer import default_recipe
    from kseg.training.trainer import train as run_training

    given = {
        "model.name": model,
        "data.name": dataset,
        "data.batch_size": fields.pop("batch_size"),
        "data.crop": fields.pop("crop"),
    }
    given = {key: value for key, value in {**given, **fields}.items() if value is not None}
    finished = run_training(
        recipe or default_recipe(dataset), data_dir=data_dir, run=run, settings={**given, **settings}
    )
    click.echo(str(finished.report))
    folder = finished.folder
    program = program_name()
    click.echo(
        f"\nThe run is in {folder}: model.keras, report.json, curves.png, samples/.\n"
        f"Next:\n"
        f"  {program} predict {folder} IMAGE... -o predictions/ --overlay\n"
        f"  {program} evaluate {folder}\n"
        f"  {program} export {folder}",
        err=True,
    )
