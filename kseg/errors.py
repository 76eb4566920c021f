"""What can go wrong, and the exit code of each.

KsegError                      3
├── ConfigError  (ValueError)    a recipe, an option, a name
├── DataError  (ValueError)      an image, a label, a folder
├── SizeError  (ValueError)      a height or width the network can't take
├── WeightsError  (ValueError)   a file of weights or a saved network
├── ExportError  (RuntimeError)  a bundle that can't be written, or differs from its network
├── ServingError  (RuntimeError) 5: a server's answer
├── TrainingDiverged  (RuntimeError)  4: a loss that has become NaN
├── Interrupted  (RuntimeError)      75: a training that was asked to stop and has saved its state
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
    """A field or an argument, and the value that helps; as text it is written as in Python: `ignore_class=255`.

    Attributes:
      name: a recipe's field by its dotted name ("data.ignore_class"), or an argument ("data_dir").
      value: the value to set; `...` if only the user can know it.
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
    """Something that may be wrong, but does not stop anything.

    Attributes:
      what: what looks wrong, where, and what was found.
      fix: what to do about it, as in an error.
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
    """The base of all errors that a user can cause.

    Attributes:
      what: what is wrong, where, and what was found.
      fix: what to do about it; empty if nobody knows.
      exit_code: the exit code of the command line.
      spelling: how `str` writes the settings of the fix; None for Setting's own form.
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
    """A recipe, an option or a name that is not valid."""


class DataError(KsegError, ValueError):
    """An image, a label or a folder that is not what it should be."""


class SizeError(KsegError, ValueError):
    """A height or width that does not fit the network; the message names the nearest that fits."""


class WeightsError(KsegError, ValueError):
    """A saved network or a file of weights that can't be read."""


class ExportError(KsegError, RuntimeError):
    """A bundle that can't be written, or whose results differ from its network's."""


class ServingError(KsegError, RuntimeError):
    """A server that refused or could not be reached."""

    exit_code = 5


class TrainingDiverged(KsegError, RuntimeError):
    """A loss that has become NaN."""

    exit_code = 4


class Interrupted(KsegError, RuntimeError):
    """A training that was asked to stop and has saved its state; `folder` is its run folder."""

    exit_code = 75

    def __init__(self, what: str, *fix: str | Setting, folder: str | Path | None = None) -> None:
        super().__init__(what, *fix)
        self.folder = folder


class EnvironmentFailure(KsegError, OSError):
    """A full disk, a missing permission, a network that failed."""

    exit_code = 5


def in_a_line(error: BaseException | str, length: int = 160) -> str:
    """An error's text on one line, cut to `length`; its type if it has no text.

    Terminal colours and nodes of TensorFlow's graph ("{{function_node ...}}", "[[...]]", "[Op:...]") are left out.
    """
    text = re.sub(r"\x1b\[[0-9;]*m|\{\{.*?\}\}|\[\[.*?\]\]|\[Op:[^\]]*\]", "", str(error))
    return " ".join(text.split())[:length] or type(error).__name__


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """A sentence that lists the known names, and one that proposes the nearest if there is one.

    A dotted name is also near if its last part is `name`, or if the letters of `name` begin its words:
    `optimizer.learning_rate` for `learning_rate`, `lr` or `optimizer.lr`.
    """
    names = sorted(known)
    near = [each for each in names if "." in each and name in _short_forms(each)]
    near = near or difflib.get_close_matches(name, names, n=1)
    return (f"Did you mean {near[0]!r}? " if near else "") + f"Known: {', '.join(names)}."


def _short_forms(name: str) -> tuple[str, ...]:
    """The last part of a dotted name, the first letters of its words, and the same with the part before it."""
    part, _, last = name.rpartition(".")
    letters = "".join(word[:1] for word in last.split("_"))
    return last, letters, f"{part}.{letters}"
