"""Which model is asked for, and within which limits."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kseg.serving.answers import AGAIN, TimedOut, Unreachable

T = TypeVar("T")
_FIRST_WAIT, _LONGEST_WAIT = 0.2, 10.0  # seconds


@dataclass(frozen=True)
class Asked:
    """What a request is for.

    Attributes:
      model: its name on the server.
      signature: of the model.
      version, label: one of several versions; None for the newest.
    """

    model: str
    signature: str = "serving_default"
    version: int | None = None
    label: str | None = None

    @property
    def of_model(self) -> tuple[str, int | None, str | None]:
        """The same without a signature."""
        return self.model, self.version, self.label


@dataclass
class Limits:
    """What a request may cost.

    Attributes:
      timeout: of one try, seconds.
      tries: how often a request is sent, where the server is busy or the connection is lost.
      most_bytes: of an answer.
      at_once: requests at a time.
      signatures: of the models that were asked for.
    """

    timeout: float = 60.0
    tries: int = 4
    most_bytes: int = 2**30
    at_once: int = 4
    signatures: dict[Any, Any] = field(default_factory=dict)
    closed: threading.Event = field(default_factory=threading.Event)

    def tried(self, once: Callable[[], T], state: Callable[[T], tuple[str, str | None]]) -> T:
        """What `once` gives; it is tried again, after longer and longer waits, where the server is busy.

        Args:
          once: one try. If the connection is lost it raises Unreachable.
          state: the code of a result, and how many seconds the server asks to wait.
        """
        wait = _FIRST_WAIT
        for left in reversed(range(self.tries)):
            asked = None
            try:
                found = once()
                code, asked = state(found)
                if code not in AGAIN or not left:
                    return found
            except Unreachable:
                if not left:
                    raise
            pause = min(_seconds(asked) or wait * random.uniform(0.5, 1.0), _LONGEST_WAIT)
            if self.closed.wait(pause):
                raise TimedOut("The client was closed while it waited to try again.")
            wait = min(2 * wait, _LONGEST_WAIT)
        raise AssertionError("a request is tried once at least")


def _seconds(text: str | None) -> float | None:
    """The seconds of a Retry-After; None where it is a date or nothing."""
    try:
        return max(float(text), 0.0) if text is not None else None
    except ValueError:
        return None
