"""The options of whatever is registered: the keywords of its signature. Text and JSON become values of their types."""

from __future__ import annotations

import enum
import functools
import inspect
import math
import types
import typing
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from kseg.errors import ConfigError, did_you_mean


@dataclass(frozen=True)
class Option:
    """What a keyword takes.

    Attributes:
      kind: its type; Any where neither a hint nor the default says it.
      default: its default.
      is_required: whether it has none.
      meaning: what the docstring says of it.
    """

    kind: Any
    default: Any
    is_required: bool = False
    meaning: str = field(default="", compare=False)


def options_of(entry: Callable[..., Any], without: Collection[str] = ()) -> dict[str, Option]:
    """The options that `entry` takes, by name.

    Args:
      entry: a function or a class.
      without: keywords that are no options, as those that the data set gives.
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
    """Checks that the options without a default are there; the arguments are those of `checked`.

    Raises:
      ConfigError: one is not.
    """
    for name, option in known.items():
        if option.is_required and name not in values:
            raise ConfigError(
                f"{owner} needs {prefix}{name}, which has no default: pass --set {prefix}{name}=... "
                f"(in Python {name}=...)."
            )


def _hint(entry: Any, name: str, annotation: Any) -> Any:
    """The type that an annotation stands for; None where there is none, or it names what only type checkers see."""
    while isinstance(entry, functools.partial):
        entry = entry.func
    maker = entry.__init__ if inspect.isclass(entry) else entry
    if annotation is inspect.Parameter.empty:
        return None
    try:
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        return typing.get_type_hints(holder, globalns=getattr(maker, "__globals__", {}))[name]
    except (NameError, TypeError, AttributeError, SyntaxError):
        return None


def meanings(entry: Any) -> dict[str, str]:
    """What the docstring of `entry` says of each of its arguments or attributes, by name.

    Args:
      entry: a function or a class, its docstring in Google's form, as this one.
    """
    found: dict[str, str] = {}
    inside, names = False, list[str]()
    for line in (inspect.getdoc(entry) or "").splitlines() if entry.__doc__ else []:
        depth = len(line) - len(line.lstrip())
        if line.strip() and depth == 0:
            inside = line.strip() in ("Args:", "Attributes:")
            margin = 0
        elif inside and line.strip():
            margin = margin or depth
            before, colon, text = line.strip().partition(":")
            if depth == margin and colon:
                names = before.replace("`", "").split(", ")
                found |= {name: text.strip() for name in names}
            else:
                found |= {name: f"{found[name]} {line.strip()}" for name in names}
    return found


def kind_in_words(kind: Any) -> str:
    """What values a type takes, for a person."""
    plain = {int: "a whole number", float: "a number", str: "a name", bool: "true or false", type(None): "none"}
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(kind_in_words(each) for each in arguments)
    if origin is Literal:
        return ", ".join(map(str, arguments[:-1])) + f" or {arguments[-1]}"
    if _is_sequence(origin):
        each = {int: "whole numbers", float: "numbers"}.get(arguments[0] if arguments else Any, "names")
        count = "" if Ellipsis in arguments or len(arguments) < 2 else f"{len(arguments)} "
        return f"{count}{each} with commas between"
    return plain.get(kind, "any value")


def checked(owner: str, known: Mapping[str, Option], values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The options `values` as their types. None, or "none" for a number, stands for the default, and is left out.

    Args:
      owner: what takes them, for messages.
      known: what it takes, as `options_of` gives it.
      values: as text, from JSON, or as they are.
      prefix: what stands before their names in messages, as "data.".

    Raises:
      ConfigError: an option is unknown (the nearest is named), or its value is of another type.
    """
    found = {}
    for name, value in values.items():
        if name not in known:
            takes = did_you_mean(prefix + name, [prefix + each for each in known]) if known else "It takes none."
            raise ConfigError(f"{owner} takes no option {prefix + name!r}. {takes}")
        kind, default = known[name].kind, known[name].default
        is_none = isinstance(value, str) and value in ("none", "None")
        if is_none and default is not None and type(None) in typing.get_args(kind):
            raise ConfigError(
                f"{prefix}{name} can't be none, which stands for the default here, {default}. Give another value."
            )
        is_default = is_none and kind in (int, float, bool)
        found[name] = None if is_default else convert(value, known[name].kind, prefix + name)
    return {name: value for name, value in found.items() if value is not None}


def convert(value: Any, hint: Any, name: str) -> Any:
    """`value`, from JSON or as text, as the type `hint` says.

    Raises:
      ConfigError: it is not of that type.
    """
    if hint is Any:
        return _guessed(value) if isinstance(value, str) else value
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return _one_of(value, arguments, name)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{name} is {value!r}, but must be one of {', '.join(map(str, arguments))}.")
        return value
    if _is_sequence(origin) or hint in (list, tuple, Sequence):
        return _sequence(value, origin or hint, arguments, name)
    if inspect.isclass(hint) and issubclass(hint, enum.Enum):
        return _member(value, hint, name)
    if hint is Path:
        return Path(_plain(value, str, name))
    if hint is bool and not isinstance(value, bool):
        if str(value).lower() not in ("true", "false"):
            raise ConfigError(f"{name} is {value!r}, but must be true or false.")
        return str(value).lower() == "true"
    if hint in (int, float, str):
        return _plain(value, hint, name)
    return value


def check_numbers(owner: str, positive: Collection[str] = (), **numbers: float | None) -> None:
    """Checks that numbers are finite and not below 0; those named in `positive` must be above 0. None is passed over.

    Raises:
      ConfigError: one is not; the message names it as OWNER.NAME.
    """
    for name, value in numbers.items():
        if value is None:
            continue
        if not math.isfinite(value):
            raise ConfigError(f"{owner}.{name} is {value}, but must be a finite number.")
        if value < 0 or (value == 0 and name in positive):
            bound = "must be above 0" if name in positive else "must not be below 0"
            raise ConfigError(f"{owner}.{name} is {value}, but {bound}.")


def _one_of(value: Any, kinds: Sequence[Any], name: str) -> Any:
    """`value` as the first of several types that takes it."""
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


def _sequence(value: Any, kind: type, arguments: Sequence[Any], name: str) -> Any:
    """`value`, or text with commas, as a tuple, or as a list where that is the type.

    Args:
      arguments: the types within, as `typing.get_args` gives them.
    """
    count = len(arguments) if kind is tuple and Ellipsis not in arguments else 0
    parts = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
    if not isinstance(parts, Sequence) or count and len(parts) != count:
        wanted = f"{count} values" if count else "values"
        raise ConfigError(f"{name} is {value!r}, but must be {wanted} with commas between them.")
    inner = arguments if count else [arguments[0] if arguments else Any] * len(parts)
    found = [convert(part, each, name) for part, each in zip(parts, inner, strict=True)]
    return found if kind is list else tuple(found)


def _member(value: Any, kind: type[enum.Enum], name: str) -> Any:
    """`value`, or the name or value of a member of `kind`, as that member."""
    for member in kind:
        if value is member or value in (member.name, member.value, str(member.value)):
            return member
    raise ConfigError(f"{name} is {value!r}, but must be one of {', '.join(kind.__members__)}.")


def _plain(value: Any, hint: Any, name: str) -> Any:
    """`value` as a number or a text."""
    try:
        if hint is int and isinstance(value, float) and not value.is_integer():
            raise ValueError
        found = hint(value)
    except (TypeError, ValueError, OverflowError) as error:
        kind = {"int": "a whole number", "float": "a number"}.get(hint.__name__, hint.__name__)
        raise ConfigError(f"{name} is {value!r}, but must be {kind}.") from error
    if hint is float and not math.isfinite(found):
        raise ConfigError(f"{name} is {found}, but must be a finite number.")
    return found


def _is_sequence(origin: Any) -> bool:
    return inspect.isclass(origin) and issubclass(origin, Sequence)


def _guessed(text: str) -> Any:
    """What a text most likely means, where nothing says its type: nothing, a truth, a number, or itself."""
    known = {"none": None, "true": True, "false": False}
    if text.lower() in known:
        return known[text.lower()]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text
