"""`models`: which networks and recipes there are, and what one is made of."""

from __future__ import annotations

import click

from kseg.cli.verb import VerbGroup, set_option


@click.group(cls=VerbGroup)
def models() -> None:
    """List networks and recipes, or describe a network."""


@models.command("list", tensorflow=True)
def list_models() -> None:
    """Name the networks and the recipes."""
    from kseg.models import NETWORKS
    from kseg.training import recipes  # noqa: F401  (enters them)
    from kseg.training.recipe import RECIPES

    for title, registry in (("networks", NETWORKS), ("recipes", RECIPES)):
        click.echo(title)
        for name in registry.names():
            first = (registry.get(name).__doc__ or "").strip().splitlines()[0]
            click.echo(f"  {name:<16} {first}")


@models.command("describe", tensorflow=True)
@click.argument("name")
@set_option
def describe_model(name: str, settings: dict[str, str]) -> None:
    """Print the layers, parameters and sizes of network NAME, with its options set by --set."""
    from typing import Any, get_type_hints

    from kseg.models import NETWORKS, build, describe
    from kseg.training.recipe import convert

    hints = get_type_hints(NETWORKS.get(name))
    options: dict[str, Any] = {
        key: convert(value, hints[key], key) if key in hints else value for key, value in settings.items()
    }
    click.echo(describe(build(name, **options)))
