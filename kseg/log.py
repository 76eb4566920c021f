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


class _OnStandardError(logging.Handler):
    """Prints to the current sys.stderr, which notebooks and tests replace.

    Attributes:
      spelling: how `told` writes settings.
    """

    spelling: Spelling = str

    def emit(self, record: logging.LogRecord) -> None:
        head = "warning: " if record.levelno >= logging.WARNING else ""
        over_bar = "\r\x1b[K" if sys.stderr.isatty() else ""  # a terminal's progress bar is drawn again below the line
        # Not click.echo: in some locales it prints into the line of a bar that is drawn.
        print(f"{over_bar}{head}{record.getMessage()}", file=sys.stderr, flush=True)


_HANDLER = _OnStandardError()


def _logger() -> logging.Logger:
    logger = logging.getLogger("kseg")
    if not logger.handlers:
        logger.addHandler(_HANDLER)
        logger.propagate = False  # else a user's own root handler would show each line twice
    if logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
    return logger


LOG = _logger()


def told(*advice: str | Setting) -> str:
    """The advice as text, for LOG and for files: its settings as Python writes them, or as `settings_spelled` says."""
    return spelled(advice, _HANDLER.spelling)


@contextmanager
def settings_spelled(spelling: Spelling) -> Iterator[None]:
    """Within the block `told` writes settings by `spelling`; every verb of the command line runs in such a block."""
    before, _HANDLER.spelling = _HANDLER.spelling, spelling
    try:
        yield
    finally:
        _HANDLER.spelling = before


def is_shown() -> bool:
    """Whether progress is shown."""
    return LOG.isEnabledFor(logging.INFO)


@contextmanager
def progress_bar(label: str, *, work: Iterable[Any] | None = None, length: int | None = None) -> Iterator[Any]:
    """A bar of click on standard error: iterate over it, or call its `update`; hidden if the logger is silenced."""
    import click

    with click.progressbar(work, length=length, label=label, file=sys.stderr, hidden=not is_shown()) as bar:
        yield bar
