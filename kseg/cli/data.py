"""`data`: which data sets there are, the generated one, and a look at any of them."""

from __future__ import annotations

import click

from kseg.cli.verb import VerbGroup, program_name, set_option


@click.group(cls=VerbGroup)
def data() -> None:
    """List data sets, write the demo, look at one."""


@data.command("list")
def list_datasets() -> None:
    """Name the data sets."""
    from kseg.datasets import DATASETS

    for name in DATASETS.names():
        first = (DATASETS.get(name).__doc__ or "").strip().splitlines()[0]
        click.echo(f"{name:<10} {first}")


@data.command("demo")
@click.argument("folder", metavar="DIR", type=click.Path())
def demo(folder: str) -> None:
    """Write the generated touching cells to the new folder DIR."""
    from pathlib import Path

    from kseg.datasets.demo import write_demo
    from kseg.errors import ConfigError

    if Path(folder).exists():
        raise ConfigError(f"{folder}: this exists already. Name a new folder.")
    write_demo(Path(folder))
    click.echo(folder)
    click.echo(
        f"Next:\n  {program_name()} train --dataset folder --data-dir {folder} --set data.instances=true", err=True
    )


@data.command("show")
@click.option("--dataset", metavar="NAME", required=True, help="Which (`data list`).")
@click.option("--data-dir", metavar="DIR", type=click.Path(), help="Where it lies.")
@click.option("--split", metavar="NAME", default="train", show_default=True)
@set_option
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(), help="The picture to write. Default: DATASET-SPLIT.png."
)
def show(dataset: str, data_dir: str | None, split: str, settings: dict[str, str], output: str | None) -> None:
    """Draw the first twelve images of a data set with their labels, and say what it holds."""
    from kseg.datasets import survey
    from kseg.images import write_image
    from kseg.pictures import overlay, sheet
    from kseg.training.run import open_data

    items = open_data(None, dataset, data_dir, split, settings)
    found = survey(items)
    click.echo(
        f"{items.name} {split}: {found.images} images, {found.kind}, {found.channels} channels, "
        f"up to {found.brightest:g}"
    )
    click.echo(f"heights {found.heights[0]} to {found.heights[1]}, widths {found.widths[0]} to {found.widths[1]}")
    for name, count in zip(items.classes, found.class_pixels, strict=True):
        click.echo(f"  {name:<16} {count / found.class_pixels.sum():7.2%}")
    panels = {}
    for item in (items[index] for index in range(min(12, len(items)))):
        numbers = item.label if item.instances is None else item.instances
        panels[item.id] = overlay(item.image, numbers)
    path = output or f"{dataset}-{split}.png"
    write_image(path, sheet(panels))
    click.echo(path)
