"""config.json of a run folder: whether a training may go on with it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from kseg.device import ONEDNN
from kseg.errors import Advice, ConfigError, Setting
from kseg.folders import CHECKPOINTS, FOLDS, read_config
from kseg.log import LOG
from kseg.recipes import Recipe

ANOTHER_RUN: Advice = ("Name another folder: ", Setting("run", "NEW"))


def open_run(run: str | Path | None, resume: str | Path) -> tuple[Path | None, dict[str, Any] | None]:
    """The named run folder and its configuration; None for a folder or configuration that does not exist yet.

    Args:
      run: the folder; None for a new one, or for that of the checkpoint.
      resume: "auto", "never", or a checkpoint's folder.

    Raises:
      ConfigError: the folder exists though it may not, it holds something else, or the checkpoint is of another run.
    """
    if resume not in ("auto", "never"):
        of_checkpoint = Path(resume).resolve().parent.parent
        if not Path(resume).is_dir():
            raise ConfigError(f"{resume}: there is no such checkpoint.", "They lie in RUN/checkpoints/step-...")
        if run is not None and Path(run).resolve() != of_checkpoint:
            raise ConfigError(f"{resume}: this is a checkpoint of {of_checkpoint}, not of {run}.", "Leave the run out.")
        run = run or of_checkpoint
    if run is None:
        return None, None
    folder = Path(run)
    if folder.exists() and resume == "never":
        raise ConfigError(
            f"{folder}: this run folder exists already.", *ANOTHER_RUN, ", or go on: ", Setting("resume", "auto"), "."
        )
    config = read_config(folder) if folder.is_dir() else None
    if config is None and folder.exists():
        inside = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else ["a file"]
        found = [name for name in inside if not name.startswith(".kseg-")][:3]
        if found:
            raise ConfigError(f"{folder}: no run folder (no config.json; found {', '.join(found)}).", *ANOTHER_RUN, ".")
    return folder, config


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Inside, no other process can train in `folder`, if the system has file locks.

    Raises:
      ConfigError: another process trains there.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    lock = os.open(folder, os.O_RDONLY)  # the folder's lock, since its files are replaced by new ones
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigError(
                f"{folder}: another process trains there.",
                *("Wait for it, or name another folder: ", Setting("run", "NEW"), "."),
            ) from error
        except OSError:
            pass  # a file system without locks
        yield
    finally:
        os.close(lock)


def check_same(folder: Path, recorded: Mapping[str, Any], config: Mapping[str, Any]) -> None:
    """Checks that a run may go on with this configuration: the same, or one with more steps.

    Raises:
      ConfigError: recipe, classes or data differ (the message names what differs); or the learning rate depends on the
        number of steps.
    """
    before, now = _flat(recorded), _flat(config)
    differing = [name for name in dict.fromkeys([*before, *now]) if before.get(name) != now.get(name)]
    if is_longer(recorded, config) and len(differing) == 1:
        _check_can_be_longer(folder, now, differing[0], before[differing[0]])
        differing = []
    lines = [
        f"  {name}: {before.get(name, 'not there')} in this run, {now.get(name, 'not there')} asked for"
        for name in differing
    ]
    if lines and all(line.startswith("  fingerprint.") for line in lines):
        raise ConfigError(
            f"{folder}: the images or labels are not those that this run began with.\n" + "\n".join(lines) + "\n",
            "Put them back as they were, or begin another run on these, from its network: ",
            *_from_network(folder),
            ".",
        )
    if lines:
        raise ConfigError(
            f"{folder}: this run has another configuration.\n" + "\n".join(lines) + "\n",
            "Ask for the same (the run alone does), or begin another run from its network: ",
            *_from_network(folder),
            ".",
        )
    changed = [f"{name} {old}" for name, old in recorded["versions"].items() if old != config["versions"].get(name)]
    if recorded.get("threads", config.get("threads")) != config.get("threads"):
        changed.append(f"{recorded['threads']} threads, and goes on with {config['threads']}")
    if recorded.get("onednn", config.get("onednn")) != config.get("onednn"):
        word, value = ("with", 1) if recorded["onednn"] else ("without", 0)
        changed.append(f"TensorFlow {word} oneDNN (to go on so: export {ONEDNN}={value} before Python starts)")
    if changed:
        LOG.warning("this run began with %s; figures may differ by rounding.", ", ".join(changed))
    if recorded.get("processor", config.get("processor")) != config.get("processor"):
        LOG.warning(
            "this run began on a processor with %s, and goes on on one with %s, with the settings it began with: "
            "figures may differ by rounding, and are equal bit for bit on one kind of processor alone.",
            *(recorded["processor"], config["processor"]),
        )


def _from_network(folder: Path) -> Advice:
    return Setting("run", "NEW"), " and ", Setting("init_weights", str(folder))


def is_longer(recorded: Mapping[str, Any], config: Mapping[str, Any]) -> bool:
    """Whether `config` asks for more steps, or more epochs, than the run was begun with."""
    before, now = recorded["recipe"], config["recipe"]
    return any((now.get(field) or 0) > (before.get(field) or math.inf) for field in ("steps", "epochs"))


def _check_can_be_longer(folder: Path, now: Mapping[str, Any], field: str, before: int) -> None:
    """Raises ConfigError where a training planned for more steps would have differed from the first step on."""
    more = Setting(field, now[field] - before)
    way: Advice = ("Begin another run from its network: ", *_from_network(folder), " and ", more, ".")
    schedule = now["optimizer.schedule"]
    if schedule != "constant":
        raise ConfigError(
            f"{folder}: {field} is {before} in this run, {now[field]} asked for, but its learning rate "
            f"(optimizer.schedule={schedule}) falls to 0 at the end of {before} {field}.",
            *way,
        )
    if not any((*folder.glob(CHECKPOINTS), *folder.glob(f"{FOLDS}/*/{CHECKPOINTS}"))):
        raise ConfigError(f"{folder}: no checkpoint is left to go on from.", *way)


def check_given(folder: Path, recorded: Mapping[str, Any], objects: Mapping[str, Any]) -> None:
    """Checks that a run goes on with the objects that it began with.

    Args:
      folder: the run's.
      recorded: its configuration.
      objects: `Given.to_json` of the objects handed over now.

    Raises:
      ConfigError: an object is missing, new or different; the message names what differs.
    """
    before = recorded.get("objects", {})
    missing = [name for name in before if name not in objects]
    if missing:
        raise ConfigError(
            f"{folder}: this run was begun in Python with objects for {', '.join(before)}.",
            f"Go on in Python, with the same: kseg.train(run={str(folder)!r}, "
            f"{', '.join(f'{name}=...' for name in before)}).",
        )
    for name, value in objects.items():
        where = _first_difference(before.get(name), value, name)
        if where:
            raise ConfigError(f"{folder}: this run was begun with another {name}: {where}.", "Hand over the same.")


def _first_difference(before: Any, now: Any, name: str) -> str:
    """A text that names the first difference between two JSON values; "" where they are equal."""
    if before == now:
        return ""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
        return _first_difference(before.get(keys[0]), now.get(keys[0]), f"{name}.{keys[0]}")
    if isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        index = next(index for index, pair in enumerate(zip(before, now, strict=True)) if pair[0] != pair[1])
        return _first_difference(before[index], now[index], f"{name}[{index}]")
    return f"{name} was {before!r:.80}, now it is {now!r:.80}"


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """What two equal runs agree in: the recipe's fields by dotted name, the classes, and the data's fingerprints."""
    fields = Recipe.from_json(config["recipe"]).fields()
    fingerprints = {f"fingerprint.{split}": value[:12] for split, value in config["fingerprint"].items()}
    # How often the state is saved does not change any result; what was measured for the minutes stands in the steps.
    kept = {name: value for name, value in fields.items() if not name.startswith("checkpoint.") and name != "minutes"}
    return {**kept, "classes": config["classes"], **fingerprints}
