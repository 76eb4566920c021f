"""The command line: one module per verb, imported when the verb is called."""

from __future__ import annotations

import importlib

import click

from kseg.cli.verb import VerbGroup

VERBS = ("train", "evaluate", "predict", "export", "models", "weights", "data", "serve", "doctor")


class Program(VerbGroup):
    """The verbs, in the order in which a user needs them."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in VERBS:
            return None
        return getattr(importlib.import_module(f"kseg.cli.{name}"), name)


@click.group(cls=Program, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="kseg", message="%(package)s %(version)s")
def main() -> None:
    """FCN and U-Net for Keras: train, score, predict, export, serve.

    `train` alone trains a small U-Net on generated cells in about two minutes.
    """
