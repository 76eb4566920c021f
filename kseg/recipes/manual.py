"""Every setting of a recipe in words: its value, what it may be, and what it means."""

from __future__ import annotations

import re
import textwrap
import typing
from collections.abc import Iterator
from typing import Any, NamedTuple

from kseg.options import kind_in_words, meanings, options_of
from kseg.recipes.recipe import BELOW, NOT_NEGATIVE, POSITIVE, Recipe, field_names
from kseg.recipes.settings import AUGMENT, PARTS

WIDTH = 100


class Setting(NamedTuple):
    """A setting: its dotted name, its value in the recipe, what values it takes, and what it means."""

    name: str
    value: str
    takes: str
    meaning: str


def settings_of(recipe: Recipe) -> list[Setting]:
    """All settings of a recipe: its fields, and the options of all that it names, with every augmentation."""
    return sorted([*_fixed(recipe), *_options(recipe), *_augmentations(recipe)], key=_place)


def settings_in_words(recipe: Recipe) -> str:
    """A line for each setting with its value and what it may be, and below it what it means."""
    lines = [f"{recipe.name}: --set NAME=VALUE changes any of these. Each stands as the recipe has it.", ""]
    for each in settings_of(recipe):
        lines.append(f"{each.name} = {each.value}   ({each.takes})")
        meaning = re.sub(r"\bNone\b", "none", each.meaning)  # as `--set` takes it
        lines += textwrap.wrap(meaning, WIDTH, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def names_by_part() -> dict[str, list[str]]:
    """The names of the fields that every recipe has, by the part they belong to; "" for the recipe itself."""
    found: dict[str, list[str]] = {}
    for name in field_names():
        part, _, leaf = name.rpartition(".")
        found.setdefault(part, []).append(leaf)
    return dict(sorted(found.items()))


def _place(setting: Setting) -> tuple[int, bool]:
    """Where a setting stands: the recipe's own first, then part by part, augmentations last of the data."""
    part = setting.name.partition(".")[0] if "." in setting.name else ""
    return ["", *PARTS, "checkpoint"].index(part), setting.name.startswith(AUGMENT)


def _fixed(recipe: Recipe) -> Iterator[Setting]:
    for name in field_names():
        *path, leaf = name.split(".")
        kind: Any = Recipe
        for part in path:
            kind = typing.get_type_hints(kind)[part]
        bounds = [
            *["above 0"] * (name in POSITIVE),
            *["not below 0"] * (name in NOT_NEGATIVE),
            *[f"below {BELOW.get(name, 0):,}"] * (name in BELOW),
        ]
        takes = ", ".join([kind_in_words(typing.get_type_hints(kind)[leaf]), *bounds])
        yield Setting(name, _value(recipe.value(name)), takes, meanings(kind).get(leaf, ""))


def _options(recipe: Recipe) -> Iterator[Setting]:
    for part in PARTS:
        spec = getattr(recipe, part)
        for name, option in spec.takes(spec.name).items():
            value = spec.options.get(name, option.default)
            yield Setting(f"{part}.{name}", _value(value), kind_in_words(option.kind), option.meaning)


def _augmentations(recipe: Recipe) -> Iterator[Setting]:
    from kseg.pipeline import AUGMENTATIONS  # with TensorFlow

    done = recipe.data.augment.options
    for name in AUGMENTATIONS.names():
        entry = AUGMENTATIONS.get(name)
        what = (entry.__doc__ or "").strip().partition("\n")[0]
        yield Setting(f"{AUGMENT}.{name}", "true" if name in done else "none", "true or none", what)
        for key, option in options_of(entry).items():
            value = _value(done.get(name, {}).get(key, option.default))
            said = value if name in done else f"{value}, where it is done"
            yield Setting(f"{AUGMENT}.{name}.{key}", said, kind_in_words(option.kind), option.meaning)


def _value(value: Any) -> str:
    """A value as `--set` takes it; `-` for none of several."""
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(map(str, value)) or "-"
    return f"{value:g}" if isinstance(value, float) else str(value)
