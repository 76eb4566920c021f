"""`train`: a recipe, a run folder, a report."""

from __future__ import annotations

import shlex

import click

from kseg.cli.verb import PRECISIONS, Verb, program_name, say_next, set_option
from kseg.errors import Interrupted


class Train(Verb):
    """The verb, whose help ends with the settings of `--set`. A run goes on with oneDNN as it began."""

    def onednn(self, context: click.Context) -> bool | None:
        from kseg.runs.config import open_run

        recorded = open_run(context.params["run"], context.params["resume"])[1] or {}
        began = recorded.get("onednn")
        return super().onednn(context) if began is None else began

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        from kseg.recipes.manual import names_by_part

        formatter.write_paragraph()
        formatter.write_text(
            "Settings of every recipe, for --set NAME=VALUE. `models describe RECIPE` tells the meaning, the value and "
            "the bounds of each, and those of the options of its network, data set, loss, optimiser and augmentations."
        )
        with formatter.indentation():
            formatter.write_dl([(f"{part}." * bool(part), ", ".join(names)) for part, names in names_by_part().items()])


@click.command(cls=Train, tensorflow=True)
@click.option(
    "--recipe", metavar="NAME", help="What to follow (`models list`). Default: by the data set, else the demo."
)
@click.option("--model", metavar="NAME", help="Another network than the recipe's.")
@click.option("--dataset", metavar="NAME", help="What to train on (`data list`).")
@click.option("--data-dir", metavar="DIR", type=click.Path(), help="Where the data set lies.")
@click.option("--run", metavar="DIR", type=click.Path(), help="New, or to go on with. Default: runs/RECIPE-N.")
@set_option
@click.option("--steps", metavar="N", type=int, help="Batches to train for.")
@click.option(
    "--epochs", metavar="N", type=int, help="Epochs to train for, in place of --steps. An epoch ends with a validation."
)
@click.option(
    "--minutes",
    metavar="N",
    type=float,
    help="How long to train on this machine, in place of --steps. Default for your own images: 10.",
)
@click.option(
    "--folds",
    metavar="K",
    type=int,
    help="Cross-validate your own images: K trainings, each without one of K parts, scored on what they have not seen. "
    "The run's network is the ensemble of all K. --minutes is the time of all together.",
)
@click.option("--batch-size", metavar="N", type=int, help="Crops per step.")
@click.option("--crop", metavar="H,W", help="Height and width the network is given.")
@click.option(
    "--init-weights",
    metavar="WHAT",
    help="What the network starts from (in a recipe with stages, the first stage): imagenet, none, a file of weights "
    "or a run. Default: the recipe's.",
)
@click.option("--precision", type=click.Choice(PRECISIONS), help="Default: the recipe's, else what suits this device.")
@click.option(
    "--resume",
    metavar="auto|never|CHECKPOINT",
    default="auto",
    help="What to do with a --run that exists: go on from its newest checkpoint, refuse it, or go on from CHECKPOINT.",
)
@click.option("--seed", metavar="N", type=int, help="Of weights, order and augmentation.")
@click.option("--deterministic", is_flag=True, help="The same seed gives the same weights, bit for bit.")
@click.option(
    "--dry-run",
    is_flag=True,
    help="Only build the network and time a step; tells parameters, memory and time. Writes nothing.",
)
@click.pass_context
def train(
    context: click.Context,
    recipe: str | None,
    model: str | None,
    dataset: str | None,
    data_dir: str | None,
    run: str | None,
    settings: dict[str, str],
    resume: str,
    deterministic: bool,
    dry_run: bool,
    **fields: str | float | None,
) -> None:
    """Train a network and score it on held-out images.

    Alone it trains a small U-Net on generated touching cells. For your own images (DIR/images and
    DIR/labels, paired by name): train --dataset folder --data-dir DIR. An interrupted training goes on with
    train --run DIR.
    """
    if sum(fields[name] is not None for name in ("steps", "epochs", "minutes")) > 1:
        raise click.UsageError("Give one of --steps, --epochs and --minutes.")
    from kseg.device import keep_freed_memory
    from kseg.formats import in_figures
    from kseg.metrics import title_of
    from kseg.runs.dry_run import rehearse
    from kseg.runs.trainer import train as run_training

    keep_freed_memory()
    given = {
        "model.name": model,
        "data.name": dataset,
        "data.batch_size": fields.pop("batch_size"),
        "data.crop": fields.pop("crop"),
        "deterministic": deterministic or None,
    }
    given = {key: value for key, value in {**given, **fields}.items() if value is not None}
    given |= settings
    if dry_run:
        for rehearsal in rehearse(recipe, data_dir=data_dir, run=run, settings=given, resume=resume):
            click.echo(str(rehearsal))
        return
    plugins = "".join(f" --plugin {shlex.quote(each)}" for each in context.meta.get("kseg.plugins", ()))
    try:
        finished = run_training(recipe, data_dir=data_dir, run=run, settings=given, resume=resume)
    except Interrupted as error:
        if error.folder is None:
            raise Interrupted("Interrupted before the first step; nothing was written.") from error
        command = f"{program_name()} train --run {shlex.quote(str(error.folder))}{plugins}"
        raise Interrupted(f"Interrupted; the state is saved. To go on:\n  {command}", folder=error.folder) from error
    if finished.report is None:
        return  # the first worker prints the scores
    click.echo(str(finished.report))
    if finished.published:
        first = [(each, *next(iter(each.figures.items()))) for each in finished.published]
        texts = [f"{title_of(name)} {in_figures(value)} ({each.source})" for each, name, value in first]
        click.echo(f"published: {', '.join(texts)}")
    folder = shlex.quote(str(finished.folder))
    streams = finished.recipe.model.options.get("streams") or ()
    images = " ".join(f"--stream {name}=IMAGES" for name in streams) or "IMAGE..."
    in_folds = bool(finished.report.folds)
    inside = "samples/, and folds/ with a run for each fold" if in_folds else "curves.png, samples/"
    click.echo(f"\nThe run is in {finished.folder}: model.keras, report.html, {inside}.", err=True)
    new = " --data-dir NEW" if in_folds and not finished.report.together else ""
    say_next(
        f"predict {folder} {images} -o predictions/ --overlay{plugins}",
        f"evaluate {folder}{new}{plugins}",
        f"export {folder}{plugins}",
    )
