"""`doctor`: what is wrong with this installation."""

from __future__ import annotations

import click

from kseg.cli.verb import Verb, start_tensorflow


@click.command(cls=Verb, short_help="Look at what kseg depends on.")
def doctor() -> None:
    """Look at what kseg depends on: versions, Keras' backend, processor, memory, GPU, variables.

    Exit 1 where something is wrong; each line of it says what to do.
    """
    import sys
    from contextlib import suppress

    from kseg.doctor import examine

    with suppress(ImportError):  # then that is among what is wrong
        start_tensorflow()
    signs = examine()
    for sign in signs:
        click.echo(str(sign))
    wrong = sum(sign.wrong for sign in signs)
    click.echo(f"\n{wrong} wrong" if wrong else "\nNothing is wrong.")
    sys.exit(1 if wrong else 0)
