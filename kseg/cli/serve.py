"""`serve`: the configuration of a TensorFlow Serving server, and requests to one."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from kseg.cli.verb import Verb, VerbGroup


@click.group(cls=VerbGroup)
def serve() -> None:
    """Configure a TensorFlow Serving server, and ask one."""


@serve.command("config")
@click.argument("base", type=click.Path())
@click.option("-o", "--output", metavar="DIR", required=True, type=click.Path(), help="A new folder for the files.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    metavar="MODEL:LABEL=VERSION",
    help="Serve VERSION of MODEL under a name too, as a canary beside a stable one. May be repeated.",
)
@click.option(
    "--inside", metavar="PATH", default="/models", show_default=True, help="Where the server finds BASE (docker: so)."
)
@click.option(
    "--batch",
    metavar="N",
    type=click.IntRange(min=1),
    help="Let the server compute up to N requests together. Only where images have one size or come as files.",
)
def config(base: str, output: str, labels: tuple[str, ...], inside: str, batch: int | None) -> None:
    """Write the files for a server of every bundle in BASE (what `export -o BASE` wrote), and print how to start it."""
    from kseg.serving.config import write_config

    lines = write_config(base, output, labels=_by_model(labels), inside=inside, batch=batch)
    click.echo("\n".join(lines))


def _by_model(labels: tuple[str, ...]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for each in labels:
        name, _, rest = each.partition(":")
        label, _, version = rest.partition("=")
        if not name or not label or not version.isdigit():
            raise click.BadParameter(f"{each!r} is not MODEL:LABEL=VERSION, as cells:canary=2.", param_hint="--label")
        found.setdefault(name, {})[label] = int(version)
    return found


@serve.command("request", cls=Verb)
@click.argument("url")
@click.argument("paths", nargs=-1, type=click.Path())
@click.option("-i", "--input", "inputs", multiple=True, metavar="PATH", type=click.Path(), help="A file or a folder.")
@click.option("-o", "--output", metavar="DIR", required=True, type=click.Path(), help="Where the masks go.")
@click.option("--model", metavar="NAME", required=True, help="Its name on the server.")
@click.option("--version", metavar="N", type=click.IntRange(min=1), help="Default: the newest.")
@click.option("--label", metavar="NAME", help="A version by its label, in place of --version.")
@click.option("--timeout", metavar="S", default=60.0, show_default=True, help="Of one try, in seconds.")
@click.option("--at-once", metavar="N", default=4, show_default=True, type=click.IntRange(min=1), help="Requests.")
@click.option("--header", "headers", multiple=True, metavar="NAME:VALUE", help="Sent along. May be repeated.")
@click.option("--ca", metavar="FILE", type=click.Path(), help="Certificates to trust, for a server with its own.")
@click.option("--coloured", is_flag=True, help="Draw the masks in PASCAL VOC's colours.")
def request(
    url: str,
    paths: tuple[str, ...],
    inputs: tuple[str, ...],
    output: str,
    model: str,
    version: int | None,
    label: str | None,
    timeout: float,
    at_once: int,
    headers: tuple[str, ...],
    ca: str | None,
    coloured: bool,
) -> None:
    """Send images to the server at URL, and write their masks as DIR/STEM.png.

    URL is http://HOST:8501 (REST) or grpc://HOST:8500. An image that fails is named and stops nothing; then the exit
    code is 5.
    """
    from kseg.errors import KsegError
    from kseg.images import write_image
    from kseg.pictures import palette
    from kseg.serving import Client

    if version is not None and label is not None:
        raise click.UsageError("--version and --label name a version in two ways: give one.")
    files = _files([*inputs, *paths])
    failed = 0
    with Client(url, timeout=timeout, at_once=at_once, headers=_headers(headers), ca=ca) as client:
        answers = client.predict_each(model, files, version=version, label=label)
        for file, found in zip(files, answers, strict=True):
            if isinstance(found, KsegError):
                failed += 1
                click.echo(f"{file}: {found}", err=True)
                continue
            for head, mask in (found if isinstance(found, dict) else {"": found}).items():
                target = Path(output) / f"{file.stem}{f'_{head}' if head else ''}.png"
                write_image(target, palette()[mask.astype("int32") % 256] if coloured else mask)
                click.echo(str(target))
    click.echo(f"{len(files) - failed} of {len(files)} images answered.", err=True)
    sys.exit(5 if failed else 0)


def _files(paths: list[str]) -> list[Path]:
    """The image files of paths and folders."""
    from kseg.errors import DataError
    from kseg.images import is_image

    found: list[Path] = []
    for path in map(Path, paths):
        found += sorted(filter(is_image, path.iterdir())) if path.is_dir() else [path]
    if not found:
        raise DataError("There is no image to send.", "Name files or folders: `serve request URL -i DIR -o OUT`.")
    return found


def _headers(given: tuple[str, ...]) -> dict[str, Any]:
    for each in given:
        if ":" not in each:
            raise click.BadParameter(f"{each!r} is not NAME:VALUE.", param_hint="--header")
    return {name.strip(): value.strip() for name, _, value in (each.partition(":") for each in given)}


@serve.command("page", cls=Verb)
@click.option("--server", metavar="URL", required=True, help="The server: http://HOST:8501 or grpc://HOST:8500.")
@click.option("--model", metavar="NAME", required=True, help="Its name on the server.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Where the page listens.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65535))
@click.option(
    "--classes", metavar="FILE", type=click.Path(), help="The bundle's assets/classes.json, for names and colours."
)
def page(server: str, model: str, host: str, port: int, classes: str | None) -> None:
    """Show a page in the browser: drop an image, see its classes, download the mask. Ctrl-C ends it."""
    from kseg.serving.page import serve as run

    for address in run(server, model, host=host, port=port, classes=classes):
        click.echo(address)
