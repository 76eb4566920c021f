"""`evaluate`: the scores of a network on a split."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from kseg.layers import Average

from kseg.cli.verb import Verb, average_option, precision_option, set_option


@click.command(cls=Verb, tensorflow=True, short_help="Score a network, per class and per image.")
@click.argument("model")
@click.option("--dataset", metavar="NAME", help="What to score on. Default: what the run was trained on.")
@click.option("--data-dir", metavar="DIR", type=click.Path(), help="Where it lies. Default: the run's.")
@click.option("--split", metavar="NAME", help="Which part. Default: test where there is one, else val.")
@set_option
@click.option("--tile", metavar="N", type=int, help="Height and width of what the network is given at a time.")
@average_option
@precision_option
@click.option("--json", "json_file", metavar="FILE|-", help="Write the scores as JSON; `-` prints nothing else.")
def evaluate(
    model: str,
    dataset: str | None,
    data_dir: str | None,
    split: str | None,
    settings: dict[str, str],
    tile: int | None,
    average: Average | None,
    precision: str | None,
    json_file: str | None,
) -> None:
    """Score MODEL (a run folder, a preset, a .keras file or a bundle), per class and per image."""
    from kseg.inference import load, predictor
    from kseg.reports import evaluate as score
    from kseg.reports import usual_measures
    from kseg.reports.scoring import measures_of, open_data
    from kseg.storage import write_json

    network = predictor(load(model), precision=precision or "float32")
    data = open_data(model, dataset, data_dir, split, settings)
    measures = [*usual_measures(data), *measures_of(model, data)]
    with click.progressbar(length=len(data), label="scoring", file=sys.stderr) as bar:
        report = score(
            network,
            data,
            tile=tile,
            average=average,
            measures=measures,
            progress=lambda done, all_of_them: bar.update(1),
        )
    if json_file == "-":
        click.echo(json.dumps(report.to_json(), indent=2))
        return
    click.echo(str(report))
    if json_file:
        write_json(json_file, report.to_json())
