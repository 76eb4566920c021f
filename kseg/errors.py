"""What can go wrong, and the exit code of each.

KsegError                      3
├── ConfigError  (ValueError)    a recipe, an option, a name
├── DataError  (ValueError)      an image, a label, a folder
├── SizeError  (ValueError)      a height or width the network can't take
├── WeightsError  (ValueError)   a file of weights or a saved network
├── ExportError  (RuntimeError)  a bundle that can't be written or does not hold
├── ServingError  (RuntimeError) 5: a server's answer
├── TrainingDiverged  (RuntimeError)  4: a loss that is not a number
├── Interrupted  (RuntimeError)      75: a training that was told to stop, its state saved
└── EnvironmentFailure  (OSError)     5: disk, permission, network

A message has four parts: what is wrong, where, what was found, what to do. The first three are text (`error.what`).
The last is data (`error.fix`): text with settings in it, so that Python and the command line each write a setting in
their own way.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Setting:
    """A field and the value that mends something; as text it reads as Python does: `ignore_class=255`.

    Attributes:
      name: a recipe's field by its dotted name ("data.ignore_class"), or an argument ("data_dir").
      value: what to set it to; `...` where only the user can know it.
    """

    name: str
    value: Any = ...

    def __str__(self) -> str:
        value = "..." if self.value is ... else repr(self.value)
        section, _, field = self.name.partition(".")
        if field and section != "data":
            return f'settings={{"{self.name}": {value}}}'
        return f"{field or section}={value}"


Advice = Sequence[str | Setting]
Spelling = Callable[[Setting], str]


def spelled(advice: Advice, spelling: Spelling = str) -> str:
    """The advice as text, its settings written by `spelling`."""
    return "".join(part if isinstance(part, str) else spelling(part) for part in advice)


@dataclass(frozen=True)
class Doubt:
    """What may be wrong, though nothing stops at it.

    Attributes:
      what: what looks wrong, where, and what was found.
      fix: what to do about it, as an error's.
    """

    what: str
    fix: Advice = ()

    @property
    def parts(self) -> Advice:
        """The whole message."""
        return (self.what, " ", *self.fix) if self.fix else (self.what,)

    def __str__(self) -> str:
        return spelled(self.parts)


class KsegError(Exception):
    """The root of everything a user can cause.

    Attributes:
      what: what is wrong, where, and what was found.
      fix: what to do about it; empty where nobody can say.
      exit_code: the command line's.
      spelling: how `str` writes the settings of the fix; None as Setting itself does.
    """

    exit_code = 3
    spelling: Spelling | None = None

    def __init__(self, what: str = "", *fix: str | Setting) -> None:
        self.what, self.fix = what, fix
        super().__init__(self.told())  # whole: Keras makes an error of a layer again, from its first argument alone

    def told(self, spelling: Spelling = str) -> str:
        """The whole message, its settings written by `spelling`."""
        between = "" if not self.fix or not self.what or self.what.endswith("\n") else " "
        return f"{self.what}{between}{spelled(self.fix, spelling)}"

    def __str__(self) -> str:
        return self.told(self.spelling or str)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.what, *self.fix), self.__dict__


class ConfigError(KsegError, ValueError):
    """A recipe, an option or a name that does not hold."""


class DataError(KsegError, ValueError):
    """An image, a label or a folder that is not what it should be."""


class SizeError(KsegError, ValueError):
    """A height or width that the network can't take; the message names the next that fits."""


class WeightsError(KsegError, ValueError):
    """A saved network or a file of weights that can't be read."""


class ExportError(KsegError, RuntimeError):
    """A bundle that can't be written, or does not compute what the network does."""


class ServingError(KsegError, RuntimeError):
    """A server that refused or could not be reached."""

    exit_code = 5


class TrainingDiverged(KsegError, RuntimeError):
    """A loss that is not a number any more."""

    exit_code = 4


class Interrupted(KsegError, RuntimeError):
    """A training that was told to stop and saved its state; `folder` is the run that goes on."""

    exit_code = 75

    def __init__(self, what: str, *fix: str | Setting, folder: str | Path | None = None) -> None:
        super().__init__(what, *fix)
        self.folder = folder


class EnvironmentFailure(KsegError, OSError):
    """A full disk, a missing permission, a network that failed."""

    exit_code = 5


def in_a_line(error: BaseException | str, length: int = 160) -> str:
    """What an error says on one line, cut to `length`; its kind where it says nothing.

    Without a terminal's colours and the nodes of TensorFlow's graph ("{{function_node ...}}", "[[...]]", "[Op:...]").
    """
    text = re.sub(r"\x1b\[[0-9;]*m|\{\{.*?\}\}|\[\[.*?\]\]|\[Op:[^\]]*\]", "", str(error))
    return " ".join(text.split())[:length] or type(error).__name__


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The sentence that lists what is known, and the nearest name where there is one.

    The nearest of dotted names may be one whose last part is `name`, or whose words begin with its letters:
    `optimizer.learning_rate` for `learning_rate`, `lr` or `optimizer.lr`.
    """
    names = sorted(known)
    near = [each for each in names if "." in each and name in _short_forms(each)]
    near = near or difflib.get_close_matches(name, names, n=1)
    return (f"Did you mean {near[0]!r}? " if near else "") + f"Known: {', '.join(names)}."


def _short_forms(name: str) -> tuple[str, ...]:
    """The last part of a dotted name, its words' first letters, and these behind the part before."""
    part, _, last = name.rpartition(".")
    letters = "".join(word[:1] for word in last.split("_"))
    return last, letters, f"{part}.{letters}"
