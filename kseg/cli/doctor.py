"""`doctor`: checks this installation."""

from __future__ import annotations

import click

from kseg.cli.verb import Verb, start_tensorflow


@click.command(cls=Verb, short_help="Check what kseg depends on.")
def doctor() -> None:
    """Check what kseg depends on: versions, Keras' backend, processor, memory, GPU, environment variables.

    Exit 1 if something is wrong; each such line says what to do.
    """
    import sys
    from contextlib import suppress

    from kseg.doctor import examine

    with suppress(ImportError):  # `examine` reports it
        start_tensorflow()
    signs = examine()
    for sign in signs:
        click.echo(str(sign))
    wrong = sum(sign.wrong for sign in signs)
    click.echo(f"\n{wrong} wrong" if wrong else "\nNothing is wrong.")
    sys.exit(1 if wrong else 0)
