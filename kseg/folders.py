"""Where networks lie on the disk: the files of a run folder, the presets, the versions of a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kseg.errors import ConfigError, Setting

CONFIG = "config.json"
BEST_NETWORK = "model.keras"
LAST_NETWORK = "last.keras"
CHECKPOINTS = "checkpoints/step-*"  # a pattern for Path.glob
FOLDS = "folds"  # the run folders of a cross-validation, called 1, 2, ...
FACTS = Path("assets.extra", "kseg.json")  # what kseg must know of a bundle
PRESETS = Path(__file__).parent / "presets"


def presets() -> list[str]:
    """The names of the trained networks that come with kseg; each is a run folder inside the package."""
    return sorted(folder.name for folder in PRESETS.iterdir() if folder.is_dir())


def path_of(model: str | Path) -> Path:
    """The path that `model` names: a preset's folder if no file or folder has that name."""
    path = Path(model)
    return PRESETS / path if not path.exists() and str(path) in presets() else path


def keras_file(path: Path) -> Path | None:
    """The `.keras` file at `path`: the file itself, or the best network of a run folder; None without one."""
    file = path / BEST_NETWORK if path.is_dir() else path
    return file if file.is_file() and file.suffix == ".keras" else None


def run_folder(model: str | Path) -> Path:
    """The folder of the run that `model` names: a run folder, a preset, or a file in a run folder."""
    path = path_of(model)
    return path if path.is_dir() else path.parent


def read_config(folder: str | Path) -> dict[str, Any] | None:
    """The configuration of the run in `folder`, or of the preset of that name; None where it is no run.

    Raises:
      ConfigError: the file is damaged.
    """
    path = path_of(folder) / CONFIG
    if not path.is_file():
        return None
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        data = config.get("recipe", {}).get("data", {})
        if data.get("name") in ("folder", "list") and "split_rule" not in config:
            data["split_rule"] = "shuffle"  # the only rule when this run began
    except (ValueError, AttributeError) as error:
        raise ConfigError(f"{path}: damaged ({error}).", "Train again, or copy it from where it is whole.") from error
    return config


def axes_of_run(model: str | Path) -> str | None:
    """The axes of a TIFF's pages with which the run of `model` was trained (data.axes); None if it has none."""
    try:
        config = (run_folder(model) / CONFIG).read_text(encoding="utf-8")
        return json.loads(config)["recipe"]["data"].get("axes")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def advice_without_network(run: Path) -> tuple[str | Setting, ...]:
    """What to do about a run folder that lacks its best network."""
    again = Setting("run", str(run))
    advice: list[str | Setting] = []
    if any(run.glob(CHECKPOINTS)) or any(run.glob(f"{FOLDS}/*/{CHECKPOINTS}")):
        advice += ["Training with ", again, " goes on from the newest checkpoint and writes it."]
    if (run / LAST_NETWORK).is_file():
        space = " " if advice else ""
        advice += [f"{space}{run / LAST_NETWORK} is the network after the last step: name it in place of the run."]
    return tuple(advice) or (f"Neither checkpoints nor {LAST_NETWORK} are there: train it again, with ", again, ".")


def find_bundle(path: Path) -> Path | None:
    """The folder with saved_model.pb at `path`, or in its highest version; None if there is none."""
    versions = [folder for folder in path.glob("[0-9]*") if folder.name.isdigit()] if path.is_dir() else []
    for folder in (path, *sorted(versions, key=lambda version: -int(version.name))):
        if (folder / "saved_model.pb").is_file():
            return folder
    return None
