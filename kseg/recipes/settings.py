"""Recipes to JSON and back, and changes of single fields and options by their dotted names."""

from __future__ import annotations

import dataclasses
import enum
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kseg.chosen import Chosen
from kseg.errors import ConfigError, did_you_mean
from kseg.options import check_required, checked, convert, options_of
from kseg.recipes.specs import AugmentSpec

AUGMENT = "data.augment"
PARTS = ("model", "data", "loss", "optimizer")  # those with options


def fixed_names(kind: Any, prefix: str = "") -> list[str]:
    """The dotted names of the fixed fields of a dataclass, and of the dataclasses in it."""
    names = []
    for name, hint in _hints(kind).items():
        names += fixed_names(hint, f"{prefix}{name}.") if dataclasses.is_dataclass(hint) else [prefix + name]
    return names


def to_json(part: Any) -> Any:
    """A dataclass as a dictionary; the options of a `Chosen` stand beside its fields."""
    if isinstance(part, Chosen):
        return {name: to_json(value) for name, value in {**part.fields, **part.options}.items()}
    if dataclasses.is_dataclass(part) and not isinstance(part, type):
        return {each.name: to_json(getattr(part, each.name)) for each in dataclasses.fields(part)}
    if isinstance(part, Mapping):
        return {name: to_json(value) for name, value in part.items()}
    if isinstance(part, enum.Enum):
        return part.name
    if isinstance(part, Path):
        return str(part)
    return [to_json(each) for each in part] if isinstance(part, list | tuple) else part


def from_json(kind: Any, values: Any, prefix: str) -> Any:
    """The dataclass `kind` with these values; `prefix` is its dotted name and a dot.

    Raises:
      ConfigError: a field or option is unknown, or a value has another type.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{prefix.rstrip('.')} is {values!r}, but must be a mapping of fields by name.")
    hints = _hints(kind)
    fields, options = {}, {}
    for name, value in values.items():
        if name in hints:
            hint = hints[name]
            if dataclasses.is_dataclass(hint):
                fields[name] = from_json(hint, value, f"{prefix}{name}.")
            elif typing.get_args(hint) and dataclasses.is_dataclass(typing.get_args(hint)[0]):
                fields[name] = tuple(from_json(typing.get_args(hint)[0], each, f"{prefix}{name}.") for each in value)
            else:
                fields[name] = convert(value, hint, prefix + name)
        else:
            options[name] = value
    if kind is AugmentSpec:
        return kind(**fields, **{name: augmentation_options(name, value) for name, value in options.items()})
    if issubclass(kind, Chosen):
        name = fields.get("name", kind.name)
        owner = f"The {kind.kind} {name!r}"
        options = {key: value for key, value in options.items() if value is not None}
        spec = kind(**fields, **(checked(owner, kind.takes(name), options, prefix) if options else {}))
        spec.check()
        return spec
    if options:
        unknown = prefix + next(iter(options))
        raise ConfigError(f"A recipe has no field {unknown!r}.", did_you_mean(unknown, fixed_names(kind, prefix)))
    return kind(**fields)


def augmentation_options(name: str, value: Any) -> dict[str, Any] | None:
    """The options of the augmentation `name`; None where it is switched off.

    Args:
      name: a registered name.
      value: options by name; true for the defaults; false, none or 0 to switch it off; or a value of its first option.

    Raises:
      ConfigError: there is no such augmentation or option, or a value has another type.
    """
    from kseg.pipeline import AUGMENTATIONS

    if name not in AUGMENTATIONS.names():
        dotted = [f"{AUGMENT}.{each}" for each in AUGMENTATIONS]
        dotted += [f"{AUGMENT}.{each}.{key}" for each in AUGMENTATIONS for key in options_of(AUGMENTATIONS.get(each))]
        raise ConfigError(f"There is no augmentation {name!r}.", did_you_mean(f"{AUGMENT}.{name}", dotted))
    known = options_of(AUGMENTATIONS.get(name))
    if not isinstance(value, Mapping):
        text = str(value).lower()
        if text in ("none", "false", "0", "0.0", ""):
            return None
        if text != "true" and not known:
            raise ConfigError(f"{AUGMENT}.{name} is {value!r}, but takes no option.", "Write true or none.")
        value = {} if text == "true" else {next(iter(known)): value}
    found = checked(f"The augmentation {name!r}", known, value, f"{AUGMENT}.{name}.")
    check_required(f"The augmentation {name!r}", known, found, f"{AUGMENT}.{name}.")
    AUGMENTATIONS.get(name)(**found)  # which refuses numbers out of bounds
    return found


def option_fields(recipe: Any) -> dict[str, Any]:
    """The options of a recipe by dotted names: those that differ from their default, and all options of augmentations.

    An augmentation without options has the value true.
    """
    from kseg.pipeline import AUGMENTATIONS

    found: dict[str, Any] = {}
    for part in PARTS:
        spec = getattr(recipe, part)
        known = spec.takes(spec.name) if spec.options else {}
        for key, value in spec.options.items():
            if value != known[key].default:
                found[f"{part}.{key}"] = value
    for name, options in recipe.data.augment.options.items():
        taken = {key: options.get(key, option.default) for key, option in options_of(AUGMENTATIONS.get(name)).items()}
        found |= {f"{AUGMENT}.{name}.{key}": value for key, value in taken.items()} or {f"{AUGMENT}.{name}": True}
    return found


def whole_name(name: str) -> str:
    """The dotted name of what can be taken away: for an option of an augmentation, the augmentation."""
    return ".".join(name.split(".")[:3]) if name.startswith(AUGMENT) else name


def changed(recipe: Any, changes: Mapping[str, Any]) -> Any:
    """The recipe with fields and options replaced; see Recipe.with_settings."""
    parts = {}
    values = to_json(recipe)
    for part in PARTS:
        spec = getattr(recipe, part)
        name = changes.get(f"{part}.name", spec.name)
        if name != spec.name:
            alike = type(spec).takes(name) == type(spec).takes(spec.name)  # raises where there is no such name
            if part == "model":
                values["stages"] = ()
            if part == "data":
                values["data"]["split"] = None
            if not (alike and part == "model"):
                values[part] = {key: value for key, value in values[part].items() if key not in spec.options}
        parts[part] = type(spec).takes(name) if _touches_options(changes, part, spec) else {}
    known = {*fixed_names(type(recipe)), *(f"{part}.{name}" for part, taken in parts.items() for name in taken)}
    for name, value in changes.items():
        if name.startswith(f"{AUGMENT}.") and name not in known:
            _set_augmentation(values["data"]["augment"], name.split(".")[2:], value)
            continue
        if name not in known or name == "published":
            raise _unknown(recipe, changes, name, known - {"published"})
        inner = values
        *path, leaf = name.split(".")
        for step in path:
            inner = inner[step]
        inner[leaf] = value
        if name in ("steps", "epochs") and value is not None:
            values["epochs" if name == "steps" else "steps"] = None
            values["minutes"] = values["minutes"] if "minutes" in changes else None
    return from_json(type(recipe), values, "")


def _unknown(recipe: Any, changes: Mapping[str, Any], name: str, known: set[str]) -> ConfigError:
    """The error for an unknown setting, or for an option that the chosen thing does not take."""
    part = name.partition(".")[0]
    if part not in PARTS or part == name:
        specs = {part: getattr(recipe, part) for part in PARTS}
        known = known | {f"{part}.{each}" for part, spec in specs.items() for each in spec.takes(spec.name)}
        return ConfigError(f"A recipe has no field {name!r}.", did_you_mean(name, known))
    chosen = changes.get(f"{part}.name", getattr(recipe, part).name)
    near = [each for each in known if each.startswith(f"{part}.")]
    return ConfigError(
        f"The {getattr(recipe, part).kind} {chosen!r} takes no option {name!r}.", did_you_mean(name, near)
    )


def _touches_options(changes: Mapping[str, Any], part: str, spec: Chosen) -> bool:
    """Whether a change names something else than a fixed field of this part."""
    own = {f"{part}.{name}" for name in spec.fields}
    return any(name.startswith(f"{part}.") and name not in own for name in changes)


def _set_augmentation(augment: dict[str, Any], path: list[str], value: Any) -> None:
    """Sets an augmentation, or one of its options, in the JSON of an AugmentSpec, which is checked later as a whole."""
    name, *option = path
    if option:
        before = augment.get(name)
        if before is not None and not isinstance(before, Mapping):
            before = augmentation_options(name, before)
        value = {**(before or {}), ".".join(option): value}
    augment[name] = value


def upgraded(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The JSON of a recipe in today's form, also where an older kseg wrote it.

    The old form had a field for every option of every network and data set (null where it was not set), a momentum for
    every optimiser, and a flat list of fields for all augmentations.
    """
    data = values.get("data")
    augment = data.get("augment") if isinstance(data, Mapping) else None
    if not isinstance(augment, Mapping) or not isinstance(augment.get("mirror"), bool):
        return values
    optimizer = dict(values.get("optimizer", {}))
    if optimizer.get("name", "adam") != "sgd":
        optimizer.pop("momentum", None)
    scale = augment.get("scale", 1.0)
    chosen = {
        "elastic": {"sigma": augment.get("elastic"), "spacing": augment.get("elastic_spacing")},
        "mirror": {"horizontal": augment["mirror"], "vertical": augment.get("flip", True)},
        "rotation": {"degrees": augment.get("rotation")},
        "shift": {"pixels": augment.get("shift")},
        "scale": {"most": None if scale == 1 else scale},
        "saturation": {"most": augment.get("saturation")},
        "grey": {"gain": augment.get("gain", 0.0), "offset": augment.get("offset", 0.0)},
    }
    kept = {
        name: {key: value for key, value in options.items() if value is not None}
        for name, options in chosen.items()
        if any(options.values())
    }
    if augment.get("grey_curve"):
        kept["grey_curve"] = {}
    fixed = {name: augment[name] for name in ("interpolation", "beyond") if name in augment}
    return {**values, "data": {**values["data"], "augment": {**fixed, **kept}}, "optimizer": optimizer}


def _hints(kind: Any) -> dict[str, Any]:
    """The types of the fixed fields of a dataclass."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {each.name: hints[each.name] for each in dataclasses.fields(kind) if each.name != "options"}
