"""How the command line writes a setting that a message proposes."""

from __future__ import annotations

import shlex

import click

from kseg.errors import Setting

# The options that set one field of a recipe, or one argument under another name, by its name.
OPTIONS = {
    "data.batch_size": "batch-size",
    "data.crop": "crop",
    "data.name": "dataset",
    "model.name": "model",
    "network": "model",
}
# Fields of a recipe without a dot, for which `train` has no option.
ONLY_SET = ("average", "epoch_steps", "fold", "measure")


def as_option(setting: Setting) -> str:
    """The option for a setting: `--set data.ignore_class=255`, `--crop 256,256`, `--deterministic`."""
    name, text = setting.name, _as_text(setting.value)
    option = f"--{OPTIONS.get(name, name.replace('_', '-'))}"
    if ("." in name or name in ONLY_SET) and not (name in OPTIONS or _is_of_verb(option)):
        return f"--set {shlex.quote(f'{name}={text}') if setting.value is not ... else f'{name}={text}'}"
    return option if setting.value is True else f"{option} {text if setting.value is ... else shlex.quote(text)}"


def _is_of_verb(option: str) -> bool:
    """Whether the verb that is running has this option."""
    context = click.get_current_context(silent=True)
    return context is not None and any(option in each.opts for each in context.command.params)


def _as_text(value: object) -> str:
    if value is ...:
        return "..."
    if isinstance(value, list | tuple):
        return ",".join(map(_as_text, value))
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
