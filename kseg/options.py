"""The options of a registered function or class: its keywords. Text and JSON become values of the keywords' types."""

from __future__ import annotations

import enum
import functools
import inspect
import math
import operator
import re
import textwrap
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from kseg.errors import ConfigError, Setting, did_you_mean

_HOLDS: dict[str, Callable[[Any, Any], bool]] = {
    "above": operator.gt,
    "at least": operator.ge,
    "below": operator.lt,
    "at most": operator.le,
}


@dataclass(frozen=True)
class Bound:
    """A bound of a number, written beside its type: `Annotated[float | None, Above(0)]`. None meets every bound.

    Attributes:
      relation: above, at least, below or at most.
      number: the bound.
    """

    relation: str
    number: float

    def holds(self, value: float) -> bool:
        return _HOLDS[self.relation](value, self.number)

    def __str__(self) -> str:
        return f"{self.relation} {self.number:,}"


Above, AtLeast, Below, AtMost = (functools.partial(Bound, relation) for relation in _HOLDS)


@dataclass(frozen=True)
class Option:
    """An option: a keyword of a function or class.

    Attributes:
      kind: its type, with its bounds; Any if neither a hint nor the default tells it.
      default: its default.
      is_required: whether it has no default.
      meaning: its text in the docstring.
    """

    kind: Any
    default: Any
    is_required: bool = False
    meaning: str = field(default="", compare=False)


def options_of(entry: Callable[..., Any], without: Collection[str] = ()) -> dict[str, Option]:
    """The options that `entry` takes, by name.

    Args:
      entry: a function or a class.
      without: keywords that are not options, such as those that the data set gives.
    """
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found, means = {}, meanings(entry)
    for name, parameter in inspect.signature(entry).parameters.items():
        if parameter.kind in kinds and name not in without:
            is_required = parameter.default is inspect.Parameter.empty
            default = None if is_required else parameter.default
            kind = _hint(entry, name, parameter.annotation)
            kind = kind or (Any if default is None else type(default))
            found[name] = Option(kind, default, is_required, means.get(name, ""))
    return found


def check_required(owner: str, known: Mapping[str, Option], values: Mapping[str, Any], prefix: str = "") -> None:
    """Checks that `values` has all options without a default; the arguments are those of `checked`.

    Raises:
      ConfigError: one is missing.
    """
    for name, option in known.items():
        if option.is_required and name not in values:
            raise ConfigError(f"{owner} needs {prefix}{name}, which has no default.", "Pass ", Setting(prefix + name))


def _hint(entry: Any, name: str, annotation: Any) -> Any:
    """The type that an annotation stands for; None without one, or if it uses names that only type checkers see."""
    while isinstance(entry, functools.partial):
        entry = entry.func
    maker = entry.__init__ if inspect.isclass(entry) else entry
    if annotation is inspect.Parameter.empty:
        return None
    try:
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        known = getattr(maker, "__globals__", {})
        return typing.get_type_hints(holder, globalns=known, include_extras=True)[name]
    except (NameError, TypeError, AttributeError, SyntaxError):
        return None


def meanings(entry: Any) -> dict[str, str]:
    """The text about each argument or attribute in the docstring of `entry`, by name.

    Args:
      entry: a function or a class with a docstring in Google's form, like this one.
    """
    found: dict[str, str] = {}
    text = inspect.getdoc(entry) if entry.__doc__ else None
    for part in re.findall(r"^(?:Args|Attributes):\n((?: .*\n?|\n)*)", text or "", re.MULTILINE):
        for names, meaning in re.findall(r"^(\S[^:\n]*):(.*(?:\n .*)*)", textwrap.dedent(part), re.MULTILINE):
            found |= dict.fromkeys(names.replace("`", "").split(", "), " ".join(meaning.split()))
    return found


def kind_in_words(kind: Any) -> str:
    """A type's values as a phrase for a reader: "a whole number, above 0"."""
    plain = {int: "a whole number", float: "a number", str: "a name", bool: "true or false", type(None): "none"}
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(kind_in_words(each) for each in arguments)
    if origin is Literal:
        return ", ".join(map(str, arguments[:-1])) + f" or {arguments[-1]}"
    if origin is Annotated:
        return ", ".join([kind_in_words(arguments[0]), *map(str, _bounds(kind))])
    if origin in (list, tuple, Sequence):
        each = {int: "whole numbers", float: "numbers"}.get(arguments[0] if arguments else Any, "names")
        count = "" if Ellipsis in arguments or len(arguments) < 2 else f"{len(arguments)} "
        return f"{count}{each} with commas between"
    return plain.get(kind, "any value")


def checked(owner: str, known: Mapping[str, Option], values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The values converted to the types of their options; None, and "none" for a number, mean the default: left out.

    Args:
      owner: the name of what has these options, for messages.
      known: its options, from `options_of`.
      values: as text, from JSON, or of the right types.
      prefix: stands before the names in messages, such as "data.".

    Raises:
      ConfigError: an option is unknown (the message names the nearest), or its value has another type.
    """
    found = {}
    for name, value in values.items():
        if name not in known:
            advice = did_you_mean(prefix + name, [prefix + each for each in known]) if known else "It takes none."
            raise ConfigError(f"{owner} takes no option {prefix + name!r}.", advice)
        kind, default = known[name].kind, known[name].default
        plain = typing.get_args(kind)[0] if typing.get_origin(kind) is Annotated else kind
        is_none = isinstance(value, str) and value in ("none", "None")
        if is_none and default is not None and type(None) in typing.get_args(plain):
            raise ConfigError(
                f"{prefix}{name} can't be none, which stands for the default here, {default}.", "Give another value."
            )
        is_default = is_none and plain in (int, float, bool)
        found[name] = None if is_default else convert(value, kind, prefix + name)
    return {name: value for name, value in found.items() if value is not None}


def convert(value: Any, hint: Any, name: str) -> Any:
    """`value`, from JSON or as text, converted to the type `hint`. For types that are not in _READERS it is unchanged.

    Raises:
      ConfigError: it can't be converted, or does not meet the bounds beside the type.
    """
    reader = _READERS.get(typing.get_origin(hint) or hint)
    if reader is None and inspect.isclass(hint) and issubclass(hint, enum.Enum):
        reader = _member
    return value if reader is None else reader(value, hint, name)


def check_values(entry: Any, values: Mapping[str, Any], prefix: str = "") -> None:
    """Checks numbers against the bounds in the signature of a function, or in the fields of a dataclass.

    A dataclass checks itself in __post_init__: `check_values(type(self), vars(self), "checkpoint.")`.

    Args:
      entry: the function or the dataclass.
      values: its arguments or fields by name; only numbers are checked.
      prefix: stands before the names in messages, such as "data.".

    Raises:
      ConfigError: a number is not finite, or does not meet its bounds.
    """
    for name, hint in typing.get_type_hints(entry, include_extras=True).items():
        if isinstance(values.get(name), int | float):
            _check_number(values[name], _bounds(hint), prefix + name)


def _check_number(value: Any, bounds: Sequence[Bound], name: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{name} is {value}, but must be a finite number.")
    for bound in bounds:
        if not bound.holds(value):
            raise ConfigError(f"{name} is {value}, but must be {bound}.")


def _bounds(hint: Any) -> list[Bound]:
    """The bounds beside a type, or beside one of several types."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [bound for each in typing.get_args(hint) for bound in _bounds(each)]
    return [each for each in getattr(hint, "__metadata__", ()) if isinstance(each, Bound)]


def _bounded(value: Any, hint: Any, name: str) -> Any:
    found = convert(value, hint.__origin__, name)
    if found is not None:
        _check_number(found, _bounds(hint), name)
    return found


def _one_of(value: Any, hint: Any, name: str) -> Any:
    """`value` converted to the first of several types that accepts it."""
    kinds = typing.get_args(hint)
    if type(None) in kinds and (value is None or value in ("none", "None", "")):
        return None
    reasons: list[ConfigError] = []
    for kind in kinds:
        if kind is type(None):
            continue
        if kind is not float and inspect.isclass(kind) and isinstance(value, kind) and not isinstance(value, bool):
            return value
        try:
            return convert(value, kind, name)
        except ConfigError as error:
            reasons.append(error)
    raise reasons[0]


def _choice(value: Any, hint: Any, name: str) -> Any:
    choices = typing.get_args(hint)
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}, but must be one of {', '.join(map(str, choices))}.")
    return value


def _sequence(value: Any, hint: Any, name: str) -> Any:
    """`value`, or text with commas, as a list or a tuple."""
    kind, arguments = typing.get_origin(hint) or hint, typing.get_args(hint)
    count = len(arguments) if kind is tuple and Ellipsis not in arguments else 0
    parts = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(parts, Sequence) or count and len(parts) != count:
        wanted = f"{count} values" if count else "values"
        raise ConfigError(f"{name} is {value!r}, but must be {wanted} with commas between them.")
    inner = arguments if count else [arguments[0] if arguments else Any] * len(parts)
    found = [convert(part, each, name) for part, each in zip(parts, inner, strict=True)]
    return found if kind is list else tuple(found)


def _member(value: Any, kind: Any, name: str) -> Any:
    """The member of an enumeration that `value` is, or that has this name or value."""
    for member in kind:
        if value is member or value in (member.name, member.value, str(member.value)):
            return member
    raise ConfigError(f"{name} is {value!r}, but must be one of {', '.join(kind.__members__)}.")


def _truth(value: Any, hint: Any, name: str) -> bool:
    if str(value).lower() not in ("true", "false"):
        raise ConfigError(f"{name} is {value!r}, but must be true or false.")
    return str(value).lower() == "true"


def _plain(value: Any, hint: Any, name: str) -> Any:
    """`value` as a number or a text."""
    try:
        if hint is int and isinstance(value, float) and not value.is_integer():
            raise ValueError
        found = hint(value)
    except (TypeError, ValueError, OverflowError) as error:
        kind = {int: "a whole number", float: "a number", Path: "a path"}[hint]
        raise ConfigError(f"{name} is {value!r}, but must be {kind}.") from error
    _check_number(found, (), name)
    return found


def _guessed(value: Any, hint: Any, name: str) -> Any:
    """The value that a text most likely means if its type is unknown: none, true or false, a number, or the text."""
    known = {"none": None, "true": True, "false": False}
    if not isinstance(value, str) or value.lower() in known:
        return known[value.lower()] if isinstance(value, str) else value
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    return value


# The function that converts to each type; a type with arguments, such as `tuple[int, ...]`, has that of its origin.
_READERS: dict[Any, Callable[[Any, Any, str], Any]] = {
    Any: _guessed,
    Annotated: _bounded,
    **dict.fromkeys((typing.Union, types.UnionType), _one_of),
    Literal: _choice,
    **dict.fromkeys((list, tuple, Sequence), _sequence),
    bool: _truth,
    **dict.fromkeys((int, float, str, Path), _plain),
}
