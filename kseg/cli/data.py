"""`data`: lists, downloads, checks, shows, counts and packs data sets, and writes the generated one."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from kseg.cli.spelling import as_option
from kseg.cli.verb import VerbGroup, say_next, set_option

if TYPE_CHECKING:
    from kseg.check import Checked, Needs
    from kseg.datasets import Dataset

COPY = "--fix DIR"  # what writes a corrected copy
dataset_option = click.option("--dataset", metavar="NAME", required=True, help="Which (`data list`).")
data_dir_option = click.option("--data-dir", metavar="DIR", type=click.Path(), help="Where it lies.")
split_option = click.option("--split", metavar="NAME", default="train", show_default=True)


@click.group(cls=VerbGroup)
def data() -> None:
    """List data sets, write the demo, look at one, count it, pack it."""


def _open(dataset: str, data_dir: str | None, split: str, settings: Mapping[str, str]) -> Dataset:
    """Opens the split of a data set with the options among `settings`; without TensorFlow."""
    from kseg import datasets

    return datasets.open(dataset, data_dir, split=split, **datasets.options_from(dataset, settings))


@data.command("list")
def list_datasets() -> None:
    """Name the data sets."""
    from kseg.datasets import DATASETS

    names = sorted(DATASETS.names())
    for name in names:
        first = (DATASETS.get(name).__doc__ or "").strip().partition("\n")[0]
        click.echo(f"{name:<{max(map(len, names))}}  {first}")


@data.command("demo")
@click.argument("folder", metavar="DIR", type=click.Path())
def demo(folder: str) -> None:
    """Write the generated touching cells to the new folder DIR."""
    from kseg.datasets.demo import write_demo
    from kseg.errors import ConfigError

    if Path(folder).exists():
        raise ConfigError(f"{folder}: this exists already.", "Name a new folder.")
    write_demo(Path(folder))
    click.echo(folder)
    say_next(f"train --dataset folder --data-dir {shlex.quote(folder)} --set data.instances=true")


@data.command("download")
@click.argument("name")
@click.option("-o", "--output", metavar="DIR", type=click.Path(), help="The folder to put it in. Default: NAME.")
def download(name: str, output: str | None) -> None:
    """Fetch, verify and unpack the public data set NAME.

    voc2011, voc2012, sbd, voc-fcn, voc-aug, pascal-context, nyudv2, siftflow, isbi2012, camvid, or one of the Cell
    Tracking Challenge, as DIC-C2DH-HeLa. The same command continues a download that stopped. KSEG_MIRROR names an
    address or folder to ask first; with KSEG_OFFLINE=1 no address is asked.
    """
    from kseg.datasets.downloads import missing, obtain, published

    entry, folder = published(name), Path(output or name)
    click.echo(f"{name}: {entry.terms}.", err=True)
    for part in missing(name, folder):
        click.echo(f"{part.file}: {part.state or 'fetching it'}", err=True)
        digest = obtain(part, folder)
        if digest is not None:
            click.echo(f"{part.file}: no digest was published; that of this file is {digest}.", err=True)
    inner = folder / entry.inside
    click.echo(f"{inner}")
    say_next(f"data check --dataset {entry.dataset} --data-dir {shlex.quote(str(inner))}")


@data.command("check")
@dataset_option
@data_dir_option
@click.option("--split", metavar="NAME", help="Which part. Default: all, and whether they share an image.")
@click.option(
    "--recipe", metavar="NAME", help="The training whose demands are asked. Default: own-unet for folder and list."
)
@set_option
@click.option("--json", "json_file", metavar="FILE|-", help="Write all findings as JSON; `-` prints nothing else.")
@click.option("--fix", metavar="DIR", type=click.Path(), help="Write a corrected copy to the new folder DIR.")
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(), help="Draw the findings into this picture. Default: none."
)
def check(
    dataset: str,
    data_dir: str | None,
    split: str | None,
    recipe: str | None,
    settings: dict[str, str],
    json_file: str | None,
    fix: str | None,
    output: str | None,
) -> None:
    """Read every file of a data set and say what is wrong with it; exit 1 if something is.

    It checks all that `train` checks before its first step, and takes its settings data.*, model.depth and
    model.padding. It writes only the files that -o, --json and --fix name.

    --fix (of --dataset folder) changes no file. In the copy, files are mended or left out.
    """
    import json
    import sys

    from kseg import check as checks
    from kseg.errors import ConfigError
    from kseg.images import write_image
    from kseg.storage import write_json

    if fix is not None and dataset != "folder":
        raise ConfigError(f"--fix mends a folder of your own (--dataset folder), not {dataset!r}.", "Leave it out.")
    needs, options = _needs(dataset, recipe, settings)
    found = checks.check(dataset, data_dir, split=split, needs=needs, **options)
    if json_file != "-":
        click.echo(checks.in_words(found, as_option, COPY, "--json FILE"))
    if fix:
        changes = checks.write_copy(found, fix)
        click.echo(f"{fix}: a corrected copy; its changes.csv names {len(changes):,} changes", err=json_file == "-")
    picture = checks.contact_sheet(found.findings) if output else None
    result = {**found.to_json(as_option, COPY), "picture": None if picture is None else output, "copy": fix}
    if json_file == "-":
        click.echo(json.dumps(result, indent=2))
    elif json_file:
        write_json(json_file, result)
    if output and picture is not None:
        write_image(output, picture)
        click.echo(output, err=json_file == "-")
    command = next_command(found, data_dir or ".", settings, fix)
    if command:
        say_next(command)
    sys.exit(1 if found.findings else 0)


def next_command(found: Checked, data_dir: str, settings: Mapping[str, str], copy: str | None) -> str | None:
    """The command that goes on from a check; None where nothing can be mended.

    It writes the corrected copy. Where there is one, it trains on it, or checks what is still wrong there.
    """
    mendable = [finding.mendable for finding in found.findings]
    if not any(mendable) or found.name != "folder" or not found.splits or found.pairs and found.is_copy_empty:
        return None
    if copy:
        settings = {**settings, **found.labels.settings}
    words = "".join(f" --set {shlex.quote(f'{key}={value}')}" for key, value in settings.items())
    verb = "train" if copy and all(mendable) else "data check"
    command = f"{verb} --dataset folder --data-dir {shlex.quote(copy or data_dir)}{words}"
    return command if copy else f"{command} --fix {shlex.quote(f'{Path(data_dir).resolve().name}-mended')}"


def _needs(dataset: str, recipe: str | None, settings: Mapping[str, str]) -> tuple[Needs | None, dict[str, Any]]:
    """What a training would ask of the data set, and the data set's options; the settings may be of both."""
    from kseg.datasets import options_from, options_taken
    from kseg.preparation.needs import KINDS, needs_of
    from kseg.recipes import RECIPES

    own = {f"data.{name}" for name in options_taken(dataset)}
    asked = {name: value for name, value in settings.items() if name in KINDS and name not in own}
    options = options_from(dataset, {name: value for name, value in settings.items() if name not in asked})
    if recipe is None and (dataset in ("folder", "list") or asked):
        recipe = "own-unet"
    return needs_of(RECIPES.get(recipe)(), asked) if recipe else None, options


@data.command("show")
@dataset_option
@data_dir_option
@split_option
@set_option
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(),
    help="What to write: a page where it ends in .html, else a picture. Default: DATASET-SPLIT.png.",
)
def show(dataset: str, data_dir: str | None, split: str, settings: dict[str, str], output: str | None) -> None:
    """Draw twelve images from all over a data set with their labels, and say what is in them.

    `data stats` counts the whole set, `data check` finds what is wrong with it.
    """
    from kseg.gallery import look, write_gallery

    gallery = look(_open(dataset, data_dir, split, settings))
    click.echo(str(gallery))
    path = output or f"{dataset}-{split}.png"
    write_gallery(gallery, path)
    click.echo(path)


@data.command("stats")
@dataset_option
@data_dir_option
@split_option
@set_option
@click.option("--json", "json_file", metavar="FILE|-", help="Write the figures as JSON; `-` prints nothing else.")
def stats(dataset: str, data_dir: str | None, split: str, settings: dict[str, str], json_file: str | None) -> None:
    """Count images, sizes, grey levels and pixels per class, and give the weights that balance the classes."""
    import json

    from kseg.datasets import survey
    from kseg.datasets.statistics import as_text, statistics
    from kseg.storage import write_json

    items = _open(dataset, data_dir, split, settings)
    figures = statistics(items, survey(items))
    click.echo(json.dumps(figures, indent=2) if json_file == "-" else as_text(figures))
    if json_file and json_file != "-":
        write_json(json_file, figures)


@data.command("pack", tensorflow=True)
@dataset_option
@data_dir_option
@click.option(
    "--split", "splits", metavar="NAME", multiple=True, help="May be repeated. Default: train, val, test as there are."
)
@set_option
@click.option("--shards", metavar="N", type=int, help="How many files per split. Default: one per 256 images.")
@click.option("--beam", metavar="OPTIONS", help="Run on Apache Beam, with its options in one text: --runner=...")
@click.option("-o", "--output", metavar="DIR", required=True, help="Where the shards go: a folder, or gs://...")
def pack(
    dataset: str,
    data_dir: str | None,
    splits: tuple[str, ...],
    settings: dict[str, str],
    shards: int | None,
    beam: str | None,
    output: str,
) -> None:
    """Write a data set into TFRecord shards. `--dataset packed --data-dir DIR` reads the same items from them.

    The same command continues one that was interrupted.
    """
    import sys

    from kseg.device import keep_freed_memory
    from kseg.errors import Interrupted
    from kseg.pipeline.beam import pack_on_beam
    from kseg.pipeline.shards import pack as pack_split

    keep_freed_memory()
    first = _open(dataset, data_dir, splits[0] if splits else "train", settings)
    for split in splits or [name for name in ("train", "val", "test") if name in first.splits]:
        items = _open(dataset, data_dir, split, settings)
        try:
            if beam is not None:
                pack_on_beam(items, output, options=shlex.split(beam), shards=shards, settings=settings)
            else:
                with click.progressbar(length=len(items), label=f"packing {split}", file=sys.stderr) as bar:
                    pack_split(items, output, shards=shards, settings=settings, progress=bar.update)
        except KeyboardInterrupt as error:
            raise Interrupted("Interrupted; finished shards stay. The same command goes on.", folder=output) from error
        click.echo(f"{split}: {len(items)} image{'s' * (len(items) > 1)}", err=True)
    click.echo(output)
    say_next(f"train --dataset packed --data-dir {shlex.quote(output)}")
