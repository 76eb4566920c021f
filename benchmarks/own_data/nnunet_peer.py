"""nnU-Net v2 with its own 2D plan: python -m benchmarks.own_data.nnunet_peer JOB.json [plan]

With `plan` it only plans and preprocesses, as `nnUNetv2_plan_and_preprocess -c 2d` does; that is outside of the
minutes, and done once for all seeds. Without, it trains and predicts.

Network, loss, optimiser, augmentation, patch size and batch are nnU-Net's own, and it does not compile, as always on a
processor. In its favour: it trains on all images (fold `all`); it makes no validations, which its prediction does not
need; it computes in bfloat16 where its first steps are quicker so, while its own trainer knows only float32 on a
processor; its rate falls with the clock and not with a number of steps ((1 - share of the time) ** 0.9), so the
training ends with the minutes. The predictor is its own, with tiles that overlap by half and mirrored averages.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.own_data import by_the_clock
from benchmarks.own_data.peer_job import Job

NUMBER, DATASET = 1, "Dataset001_own"
WORKERS = 0  # processes that augment; measured: 0.07 s for four crops, of a step of several seconds
POWER = 0.9  # of the falling rate
LONGEST = 12  # of the gradient


def prepare_folders(job: Job, only_plan: bool) -> Path:
    """nnU-Net reads its folders from the environment as it is imported; the folder of what it preprocessed."""
    shared = Path(job.shared)
    own = {"nnUNet_raw": shared / "raw", "nnUNet_preprocessed": shared / "preprocessed"}
    own["nnUNet_results"] = Path(job.folder) / "results"
    for name, folder in own.items():
        folder.mkdir(parents=True, exist_ok=True)
        os.environ[name] = str(folder)
    workers = 1 if only_plan else WORKERS  # the planner refuses 0
    os.environ |= {"nnUNet_compile": "f", "nnUNet_n_proc_DA": str(workers), "nnUNet_def_n_proc": "2"}
    return shared / "preprocessed" / DATASET


def write_raw(job: Job) -> None:
    """The images in the layout that nnU-Net reads."""
    from PIL import Image

    raw = Path(job.shared) / "raw" / DATASET
    for part in ("imagesTr", "labelsTr"):
        (raw / part).mkdir(parents=True, exist_ok=True)
    for image, label in zip(job.images, job.labels, strict=True):
        name = Path(image).stem
        shutil.copyfile(image, raw / "imagesTr" / f"{name}_0000.png")
        shutil.copyfile(label, raw / "labelsTr" / f"{name}.png")
    with Image.open(job.images[0]) as picture:
        channels = ("R", "G", "B") if picture.mode == "RGB" else ("grey",)
    labels = {"background": 0, **{f"class{number}": number for number in range(1, job.classes)}}
    if job.ignore_class is not None:
        labels["ignore"] = job.ignore_class
    facts = {
        "channel_names": {str(number): name for number, name in enumerate(channels)},
        "labels": labels,
        "numTraining": len(job.images),
        "file_ending": ".png",
    }
    (raw / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")


def plan(job: Job) -> None:
    """Plans and preprocesses; writes how long it took, last."""
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess

    start = time.perf_counter()
    extract_fingerprints([NUMBER], num_processes=2, check_dataset_integrity=True, show_progress_bar=False)
    name = plan_experiments([NUMBER])
    preprocess([NUMBER], name, configurations=("2d",), num_processes=(2,), show_progress_bar=False)
    (Path(job.shared) / "planned.json").write_text(json.dumps({"plan_s": time.perf_counter() - start, "plan": name}))


def train(job: Job, planned: Path, name: str) -> tuple[Any, dict[str, Any]]:
    """The trainer after its minutes, and what is to be known of it."""
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    torch.manual_seed(job.seed)
    plans = json.loads((planned / f"{name}.json").read_text(encoding="utf-8"))
    plans["continue_training"] = False
    dataset = json.loads((planned / "dataset.json").read_text(encoding="utf-8"))
    trainer = nnUNetTrainer(plans, "2d", "all", dataset, torch.device("cpu"))
    trainer.initialize()
    trainer.on_train_start()
    trainer.network.train()
    waited = 0.0

    def step(precision: str, done: float) -> None:
        """As `trainer.train_step`, which knows no bfloat16 on a processor."""
        nonlocal waited
        began = time.perf_counter()
        batch = next(trainer.dataloader_train)
        waited += time.perf_counter() - began
        for group in trainer.optimizer.param_groups:
            group["lr"] = trainer.initial_lr * (1 - done) ** POWER
        trainer.optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16) if precision == "bfloat16" else nullcontext():
            scores = trainer.network(batch["data"])
        loss = trainer.loss([one.float() for one in scores], batch["target"])
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trainer.network.parameters(), LONGEST)
        trainer.optimizer.step()

    facts = by_the_clock.train(step, job.minutes)
    facts |= {"augment_s": waited, "batch": trainer.batch_size}
    facts |= {"patch": list(trainer.configuration_manager.patch_size)}
    trainer.on_train_end()
    return trainer, facts


def predict(job: Job, trainer: Any) -> None:
    """Writes the predictions of nnU-Net's own predictor."""
    import torch
    from nnunetv2.imageio.natural_image_reader_writer import NaturalImage2DIO
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    predictor = nnUNetPredictor(perform_everything_on_device=False, device=torch.device("cpu"), allow_tqdm=False)
    predictor.initialize_from_trained_model_folder(trainer.output_folder_base, ("all",), "checkpoint_final.pth")
    reader = NaturalImage2DIO()
    for path in job.predicted:
        image, properties = reader.read_images([path])
        _, probabilities = predictor.predict_single_npy_array(image, properties, save_or_return_probabilities=True)
        job.keep(path, np.asarray(probabilities)[:, 0])


def main(path: str, only_plan: bool) -> None:
    """Does a job."""
    job = Job.read(path)
    planned = prepare_folders(job, only_plan)
    if only_plan:
        write_raw(job)
        plan(job)
        return
    random.seed(job.seed)
    np.random.seed(job.seed)
    about = json.loads((Path(job.shared) / "planned.json").read_text(encoding="utf-8"))
    trainer, facts = train(job, planned, about["plan"])
    start = time.perf_counter()
    predict(job, trainer)
    job.tell(**facts, predict_s=time.perf_counter() - start, plan_s=about["plan_s"])


if __name__ == "__main__":
    main(sys.argv[1], "plan" in sys.argv[2:])
