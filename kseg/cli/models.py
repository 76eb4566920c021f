"""`models`: lists networks, recipes and presets, and describes one."""

from __future__ import annotations

import click

from kseg.cli.verb import VerbGroup, set_option


@click.group(cls=VerbGroup, short_help="List networks and recipes, or describe one.")
def models() -> None:
    """List networks, recipes and presets, or describe a network or a recipe."""


@models.command("list", tensorflow=True)
def list_models() -> None:
    """List the networks, the recipes and the presets."""
    from kseg.folders import presets
    from kseg.models import NETWORKS
    from kseg.recipes import RECIPES

    width = max(map(len, (*NETWORKS.names(), *RECIPES.names())))
    for title, registry in (("networks", NETWORKS), ("recipes", RECIPES)):
        click.echo(title)
        for name in registry.names():
            first = (registry.get(name).__doc__ or "").strip().partition("\n")[0]
            click.echo(f"  {name:<{width}} {first}")

    click.echo("presets")
    for name in presets():
        click.echo(f"  {name}")


@models.command("describe", tensorflow=True)
@click.argument("name")
@set_option
@click.option("--draw", metavar="FILE", type=click.Path(), help="Also draw its maps and receptive fields, as PNG.")
@click.option("-i", "--input", "image", metavar="PATH", type=click.Path(), help="The image to draw them on.")
def describe_model(name: str, settings: dict[str, str], draw: str | None, image: str | None) -> None:
    """Describe the network or recipe NAME, with --set as in `train`.

    Of a network: layers, parameters, receptive fields and the sizes it takes. Of a recipe: every setting with its
    value, the values it can have, and its meaning.
    """
    from kseg.errors import ConfigError, did_you_mean
    from kseg.images import read_image
    from kseg.models import NETWORKS, build, describe
    from kseg.models import draw as draw_network
    from kseg.options import Option, checked, options_of
    from kseg.recipes import RECIPES
    from kseg.recipes.manual import manual_of

    if name in RECIPES.names():
        if draw:
            raise ConfigError(f"--draw is for a network, and {name} is a recipe.", "Leave it out.")
        click.echo(manual_of(RECIPES.get(name)().with_settings(settings)))
        return
    if name not in NETWORKS.names():
        names = [*NETWORKS.names(), *RECIPES.names()]
        raise ConfigError(f"There is no network or recipe {name!r}.", did_you_mean(name, names))
    known = {**options_of(NETWORKS.get(name)), "preprocessing": Option(str, "own")}  # by name, as `build` takes it
    network = build(name, **checked(f"The network {name!r}", known, settings))
    click.echo(describe(network))
    if draw:
        draw_network(network, draw, None if image is None else read_image(image))
