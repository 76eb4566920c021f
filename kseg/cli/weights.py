"""`weights`: lists, fetches, verifies and imports published files of weights."""

from __future__ import annotations

import shlex
import sys

import click

from kseg.cli.verb import Verb, VerbGroup, say_next


@click.group(cls=VerbGroup)
def weights() -> None:
    """List, fetch, verify and import files of weights."""


@weights.command("list")
def list_sources() -> None:
    """List the published files, their sizes, and the kind of digest they are verified by."""
    from kseg.weights.sources import SOURCES

    click.echo(f"{'name':<22} {'size':>7} {'digest':<7} file")
    for name, source in SOURCES.items():
        size = f"{source.size_bytes / 1e6:.0f} MB" if source.size_bytes else "unknown"
        digest = source.digest.split(":")[0] if source.digest else "unknown"
        click.echo(f"{name:<22} {size:>7} {digest:<7} {source.file}\n{'':<23}{source.what}")
        if not source.addresses and source.page:
            click.echo(f"{'':<23}fetch it by hand from {source.page}")
    click.echo(err=True)
    say_next("weights fetch NAME", "weights verify FILE")


@weights.command("fetch")
@click.argument("name")
def fetch(name: str) -> None:
    """Fetch the published file NAME (`weights list`) into the cache, and verify it.

    KSEG_HOME is the cache folder, KSEG_MIRROR an address or folder to try first; with KSEG_OFFLINE=1 no address is
    tried.
    """
    from kseg.download import digest_of
    from kseg.weights.sources import fetched, source

    path = fetched(name)
    if source(name).digest is None:
        click.echo(f"No digest was published; this file's digest is sha256 {digest_of(path)}.", err=True)
    click.echo(str(path))


@weights.command("verify")
@click.argument("file", type=click.Path(exists=True, dir_okay=False))
def verify(file: str) -> None:
    """Check by its digest whether FILE is a published file of weights; exit 1 if it is not.

    If no digest was published, only its name and size are checked, and the file's own digest is printed.
    """
    from kseg.weights.sources import verified

    found = verified(file)
    click.echo(found.text)
    sys.exit(0 if found.right else 1)


@weights.command("import", cls=Verb, tensorflow=True)
@click.argument("file", type=click.Path())
@click.option("-o", "--output", metavar="FILE.keras", required=True, type=click.Path(), help="The file to write.")
@click.option("--model", metavar="NAME", help="The network, if it can't be told from the file (`models list`).")
@click.option(
    "--preprocessing",
    metavar="TABLE",
    default="own",
    help="The input scaling that the weights were trained with: vgg, voc, nyud-rgb, ... Default: the network's own.",
)
def import_file(file: str, output: str, model: str | None, preprocessing: str) -> None:
    """Make a network of FILE (Caffe's, keras.applications' or PyTorch's) for predict, evaluate and export."""
    from kseg.errors import ConfigError
    from kseg.inference.in_training import save_network
    from kseg.weights import import_weights

    if not output.endswith(".keras"):
        raise ConfigError(f"{output}: a network is written as a .keras file.", f"Name it {output}.keras.")
    network = import_weights(file, network=model, preprocessing=preprocessing)
    save_network(network, output)
    click.echo(output)
    segments = isinstance(network.output, dict) or len(network.output.shape) == 4
    file = shlex.quote(output)
    say_next(f"predict {file} IMAGE... -o predictions/ --overlay" if segments else f"train --init-weights {file}")
