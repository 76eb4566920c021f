"""Slim forms of the networks of the FCN papers overfit a few images: mean IU, and the bound that the stride sets.

    python -m benchmarks.overfit_samples SAMPLES [--only RECIPE,...] [--steps 400] [--json FILE]

SAMPLES holds voc/, nyudv2/, siftflow/ and pascal_context/ as they are published, with a few images each. The bound is
the mean IU of the same labels, sampled once per stride and repeated. It is about what a network can reach whose scores
lie on such a grid. Since these scores are interpolated, a network can also exceed it, as the table shows. Three things
differ from the recipes: widths are an eighth, Adam replaces the papers' SGD, and the network is scored on the images
that it was trained on.

Measured on two busy cores with AVX-512, with 400 steps for each form unless the table says otherwise. In a recipe with
stages, each stage starts from the one before. VOC and PASCAL-Context: three real photographs each. NYUDv2: two frames;
one has a coarse label, the other an artificial depth and a constant HHA. SIFT Flow: two synthetic scenes. Mean IU, the
bound, and their ratio:

| form | mean IU | bound | ratio |
| --- | --- | --- | --- |
| voc-fcn32s, 16s, 8s | 0.821, 0.935, 0.959 | 0.704, 0.863, 0.936 | 1.17, 1.08, 1.02 |
| voc-fcn8s-atonce, 400 and 1,200 steps | 0.790, 0.901 | 0.936 | 0.84, 0.96 |
| voc-fcn-alexnet, -googlenet | 0.849, 0.887 | 0.704 | 1.21, 1.26 |
| nyud-fcn32s-rgb, -rgbd, -hha, -rgb-hha | 0.889, 0.898, 0.715, 0.926 | 0.585 | 1.52, 1.54, 1.22, 1.58 |
| context-fcn32s, 16s, 8s | 0.798, 0.883, 0.914 | 0.729, 0.828, 0.904 | 1.10, 1.07, 1.01 |
| siftflow-fcn32s, 16s, 8s, semantic, 800 steps | 0.965, 0.997, 0.999 | 0.796, 0.896, 0.941 | 1.21, 1.11, 1.06 |
| siftflow-fcn32s, 16s, 8s, geometric, 800 steps | 0.970, 0.996, 0.999 | 0.848, 0.908, 0.974 | 1.15, 1.10, 1.03 |
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path

import numpy as np

import kseg
from kseg.datasets import VOID, by_name
from kseg.metrics import confusion_matrix, mean_iu
from kseg.recipes.recipe import Recipe

# For each recipe the folder of its samples, and its own settings. The stages of a recipe are forms too.
FORMS = {
    "siftflow-fcn8s": ("siftflow", {}),
    "voc-fcn8s": ("voc", {"data.name": "voc2012"}),
    "voc-fcn8s-atonce": ("voc", {"data.name": "voc2012"}),
    "nyud-fcn32s-rgb-hha": ("nyudv2/fcn_layout", {}),
    "nyud-fcn32s-rgbd": ("nyudv2/fcn_layout", {}),
    "context-fcn8s": ("pascal_context", {}),
    "voc-fcn-alexnet": ("voc", {"data.name": "voc2012", "optimizer.accumulate": 1}),
    "voc-fcn-googlenet": ("voc", {"data.name": "voc2012", "optimizer.accumulate": 1}),
}
SLIM = {
    "model.width": 0.125,
    "model.fc_width": 512,
    "init_weights": "none",
    "loss.average": "pixels",
    "optimizer.name": "adam",
    "optimizer.schedule": "cosine",
    "optimizer.weight_decay": 0.0,
    "data.order": "epochs",
}
STRIDES = {"32s": 32, "16s": 16, "8s": 8, "alexnet": 32, "googlenet": 32}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("samples", type=Path)
    parser.add_argument("--only", default=",".join(FORMS))
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    rows = []
    for name in given.only.split(","):
        folder, own = FORMS[name]
        with tempfile.TemporaryDirectory() as place:
            data = trained_is_scored(given.samples / folder, Path(place, "data"))
            settings = {
                **SLIM,
                "steps": given.steps,
                "epoch_steps": given.steps // 3,
                "optimizer.learning_rate": given.rate,
            }
            started = time.monotonic()
            run = kseg.train(name, data_dir=data, run=Path(place, "run"), settings={**settings, **own})
            stages = sorted((run.folder / "stages").glob("*"), key=lambda path: path.stat().st_mtime)
            for each in (*stages, run.folder):
                found = rows_of(each)
                print(*map(json.dumps, found), sep="\n", flush=True)
                rows += found
            print(f"{name}: {time.monotonic() - started:.0f} s", flush=True)
        if given.json:
            given.json.write_text(json.dumps(rows, indent=1))


def trained_is_scored(samples: Path, place: Path) -> Path:
    """Copies the samples, with the images of train also as val, so that the best network is chosen on them."""
    shutil.copytree(samples, place)
    for lists in place.rglob("ImageSets/*/train.txt"):
        shutil.copyfile(lists, lists.with_name("val.txt"))
    return place


def rows_of(run: Path) -> list[dict]:
    """The mean IU of a form and its bound, for each head."""
    config = json.loads((run / "config.json").read_text())
    recipe = Recipe.from_json(config["recipe"])
    data = kseg.datasets.open(
        recipe.data.name, config["data_dir"], split=recipe.data.split or "train", **recipe.data.options()
    )
    report = kseg.evaluate(kseg.load(run), data)
    stride = next(stride for part, stride in STRIDES.items() if part in recipe.name)
    rows = []
    for head, classes in data.heads.items():
        labels = [by_name(data[index].label)[head] for index in range(len(data))]
        matrix = sum(confusion_matrix(label, coarse(label, stride), len(classes)) for label in labels)
        found = report.mean_iu if head in ("", "semantic") else report.measures[f"{head}_mean_iu"]
        bound = mean_iu(matrix)
        row = {"form": recipe.name, "head": head, "images": len(data), "stride": stride, "steps": recipe.steps}
        rows.append({**row, "mean_iu": round(found, 3), "bound": round(bound, 3), "ratio": round(found / bound, 3)})
    return rows


def coarse(label: np.ndarray, stride: int) -> np.ndarray:
    """The label (H, W) sampled once per stride and repeated; void becomes class 0."""
    centres = [np.minimum(np.arange(size) // stride * stride + stride // 2, size - 1) for size in label.shape]
    kept = label[np.ix_(*centres)]
    return np.where(kept == VOID, 0, kept)


if __name__ == "__main__":
    main()
