"""What kseg tells while it works: the logger `kseg`, shown on standard error.

`logging.getLogger("kseg").setLevel("ERROR")` silences a call, its progress bars included. Its handler can be replaced.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from kseg.errors import Setting, Spelling, spelled


class Told:
    """A message with settings in it, for LOG and for files: as text they are Python's, within a verb its options."""

    _spelling: Spelling = staticmethod(str)

    def __init__(self, *parts: str | Setting) -> None:
        self.parts = parts

    def __str__(self) -> str:
        return spelled(self.parts, self._spelling)


@contextmanager
def settings_spelled(spelling: Spelling) -> Iterator[None]:
    """Within the block Told writes settings by `spelling`, as the command line does."""
    before = Told._spelling
    Told._spelling = staticmethod(spelling)
    try:
        yield
    finally:
        Told._spelling = staticmethod(before)


class _OnStandardError(logging.Handler):
    """Prints to the current sys.stderr, which notebooks and tests replace."""

    def emit(self, record: logging.LogRecord) -> None:
        head = "warning: " if record.levelno >= logging.WARNING else ""
        # click.echo would print into the line of a progress bar in some locales.
        print(f"{head}{record.getMessage()}", file=sys.stderr, flush=True)


def _logger() -> logging.Logger:
    logger = logging.getLogger("kseg")
    if not logger.handlers:
        logger.addHandler(_OnStandardError())
        logger.propagate = False  # else a user's own root handler would show each line twice
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    return logger


LOG = _logger()


def is_shown() -> bool:
    """Whether progress is to be shown."""
    return LOG.isEnabledFor(logging.INFO)


@contextmanager
def progress_bar(label: str, *, work: Iterable[Any] | None = None, length: int | None = None) -> Iterator[Any]:
    """A bar of click on standard error: iterate over it, or call its `update`; hidden where the logger is silenced."""
    import click

    with click.progressbar(work, length=length, label=label, file=sys.stderr, hidden=not is_shown()) as bar:
        yield bar
