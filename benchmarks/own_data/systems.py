"""The systems: each trains on a work for some minutes, and predicts its test images."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from PIL import Image

from benchmarks.own_data.peer_job import Job
from benchmarks.own_data.processes import ROOT, run
from benchmarks.own_data.scores import Found
from benchmarks.own_data.works import Folders, Work


@dataclass(frozen=True)
class Training:
    """One training of a system.

    Attributes:
      work: what it learns.
      files: the files of the work.
      minutes, seed: how long, and the seed of its random numbers.
      folder: a folder for this training.
      shared: a folder for what all trainings of the system on this work share.
      python: the interpreter of the peers.
    """

    work: Work
    files: Folders
    minutes: float
    seed: int
    folder: Path
    shared: Path
    python: str

    @property
    def predicted(self) -> list[Path]:
        """The images to predict."""
        folders = [self.files.test, *([self.files.choose] if self.files.choose else [])]
        return [path for folder in folders for path in sorted(folder.iterdir())]


Answer = tuple[dict[str, Any], dict[str, Found]]
"""The facts of a training, and what was found by the names of the images."""


def kseg(training: Training) -> Answer:
    """kseg's commands for a folder of one's own, as a user gives them; nothing but the labels' meaning is set."""
    work, log, model = training.work, training.folder / "log.txt", training.folder / "run"
    settings = [part for each in work.kseg_settings for part in ("--set", each)]
    command = ["train", "--dataset", "folder", "--data-dir", str(training.files.own), *settings]
    command += ["--minutes", f"{training.minutes:g}", "--seed", str(training.seed), "--run", str(model)]
    trained = run([sys.executable, ROOT / "cli.py", *command], log)
    wanted = ["--instances"] if work.has_objects else []
    wanted += ["--probabilities"] if training.files.choose else []
    output, predict_s = training.folder / "predictions", 0.0
    for folder in (training.files.test, training.files.choose):
        if folder:
            asked = ["predict", str(model), "-i", str(folder), "-o", str(output), *wanted]
            predict_s += run([sys.executable, ROOT / "cli.py", *asked], log).seconds
    lines = (model / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    config = json.loads((model / "config.json").read_text(encoding="utf-8"))
    last, recipe = json.loads(lines[-1]), config["recipe"]
    facts = {
        "steps": last["step"],
        "train_s": last["seconds"],
        "precision": config["precision"],
        "batch": recipe["data"]["batch_size"],
        "peak_mb": trained.peak_mb,
        "wall_s": trained.seconds,
        "predict_s": predict_s,
        "plan_s": 0.0,
        "command": shlex.join(["kseg", *command]).replace(str(training.folder.parents[2]), "FOLDER"),
    }
    found = {}
    for path in training.predicted:
        objects = tifffile.imread(output / f"{path.stem}_instances.tif") if work.has_objects else None
        chance = tifffile.imread(output / f"{path.stem}_probabilities.tif") if training.files.choose else None
        found[path.stem] = Found(_picture(output / f"{path.stem}.png"), objects, chance)
    return facts, found


def smp(training: Training) -> Answer:
    """The plain U-Net of segmentation_models_pytorch."""
    return _peer(training, "smp_peer")


def nnunet(training: Training) -> Answer:
    """nnU-Net v2 with its own 2D plan."""
    return _peer(training, "nnunet_peer")


def otsu(training: Training) -> Answer:
    """A threshold and a watershed, without a network."""
    return _peer(training, "otsu_peer")


SYSTEMS: dict[str, Callable[[Training], Answer]] = {
    "kseg": kseg,
    "nnunet": nnunet,
    "smp": smp,
    "otsu": otsu,
}
FOR_BRIGHT = ("otsu",)  # these find bright objects alone
PACKAGES = {"nnunet": "nnunetv2", "smp": "segmentation_models_pytorch", "otsu": "skimage"}
"""What the interpreter of the peers must have."""


def _peer(training: Training, module: str) -> Answer:
    job = Job(
        images=[str(path) for path in training.files.images],
        labels=[str(path) for path in training.files.labels],
        predicted=[str(path) for path in training.predicted],
        classes=training.work.peer_classes,
        ignore_class=training.work.ignore_class,
        upright=training.work.upright,
        probabilities=training.files.choose is not None,
        minutes=training.minutes,
        seed=training.seed,
        shared=str(training.shared / module),
        folder=str(training.folder),
    )
    training.folder.mkdir(parents=True, exist_ok=True)
    file, log = training.folder / "job.json", training.folder / "log.txt"
    file.write_text(json.dumps(asdict(job), indent=1), encoding="utf-8")
    program: Sequence[str | Path] = [training.python, "-m", f"benchmarks.own_data.{module}", file]
    if module == "nnunet_peer" and not (Path(job.shared) / "planned.json").exists():
        run([*program, "plan"], log)
    ended = run(program, log)
    facts = json.loads((training.folder / "facts.json").read_text(encoding="utf-8"))
    facts |= {
        "wall_s": ended.seconds - facts["predict_s"],
        "command": f"python -m benchmarks.own_data.{module} JOB.json",
    }
    found = {}
    for path in training.predicted:
        with np.load(training.folder / "predictions" / f"{path.stem}.npz") as arrays:
            found[path.stem] = Found(arrays["classes"], arrays.get("objects"), arrays.get("probability"))
    return facts, found


def _picture(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture)
