"""The manual of a recipe: each setting with its value, the values it takes, and its meaning."""

from __future__ import annotations

import re
import textwrap
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple

from kseg.options import kind_in_words, meanings, options_of
from kseg.recipes.recipe import Recipe, field_names
from kseg.recipes.settings import AUGMENT, PARTS

WIDTH = 100


class Entry(NamedTuple):
    """A setting: its dotted name, its value in the recipe, the values it takes, and its meaning."""

    name: str
    value: str
    takes: str
    meaning: str


def entries_of(recipe: Recipe) -> list[Entry]:
    """All settings of a recipe: its fields, the options of all that it names, and every augmentation."""
    return sorted([*_fixed(recipe), *_options(recipe), *_augmentations(recipe)], key=_order)


def manual_of(recipe: Recipe) -> str:
    """The manual as text: for each setting a line with its value and the values it takes, and below it its meaning."""
    lines = [f"{recipe.name}: each setting with its value in this recipe. All of them can be changed.", ""]
    for each in entries_of(recipe):
        lines.append(f"{each.name} = {each.value}   ({each.takes})")
        meaning = re.sub(r"\bNone\b", "none", each.meaning)  # as settings are written
        lines += textwrap.wrap(meaning, WIDTH, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def names_by_part() -> dict[str, list[str]]:
    """The names of the fields of every recipe, by the part of the recipe; "" for the recipe itself."""
    found: dict[str, list[str]] = {}
    for name in field_names():
        part, _, leaf = name.rpartition(".")
        found.setdefault(part, []).append(leaf)
    return dict(sorted(found.items()))


def _order(entry: Entry) -> tuple[int, bool]:
    """The order of the manual: the recipe's own fields, then part by part, and augmentations after the data."""
    part = entry.name.partition(".")[0] if "." in entry.name else ""
    return ["", *PARTS, "checkpoint"].index(part), entry.name.startswith(AUGMENT)


def _fixed(recipe: Recipe) -> Iterator[Entry]:
    for name in field_names():
        *path, leaf = name.split(".")
        kind: Any = Recipe
        for part in path:
            kind = typing.get_type_hints(kind)[part]
        takes = kind_in_words(typing.get_type_hints(kind, include_extras=True)[leaf])
        yield Entry(name, _value(recipe.value(name)), takes, meanings(kind).get(leaf, ""))


def _options(recipe: Recipe) -> Iterator[Entry]:
    for part in PARTS:
        spec = getattr(recipe, part)
        for name, option in spec.takes(spec.name).items():
            value = spec.options.get(name, option.default)
            yield Entry(f"{part}.{name}", _value(value), kind_in_words(option.kind), option.meaning)


def _augmentations(recipe: Recipe) -> Iterator[Entry]:
    from kseg.pipeline import AUGMENTATIONS  # with TensorFlow

    done = recipe.data.augment.options
    for name in AUGMENTATIONS.names():
        entry = AUGMENTATIONS.get(name)
        what = (entry.__doc__ or "").strip().partition("\n")[0]
        yield Entry(f"{AUGMENT}.{name}", "true" if name in done else "none", "true or none", what)
        for key, option in options_of(entry).items():
            value = _value(done.get(name, {}).get(key, option.default))
            said = value if name in done else f"{value}, where it is done"
            yield Entry(f"{AUGMENT}.{name}.{key}", said, kind_in_words(option.kind), option.meaning)


def _value(value: Any) -> str:
    """A value as text; `-` for an empty list."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "-"
    return f"{value:g}" if isinstance(value, float) else str(value)
