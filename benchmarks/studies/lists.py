"""All studies, in the order of the page of results."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

from benchmarks.studies.study import Arm, Study

CAMVID = "--recipe camvid-fcn8s --data-dir {shared}/camvid"
AT_ONCE = f"{CAMVID} --model fcn8s-atonce"
NUCLEI = "--dataset folder --data-dir {files} --set data.instances=true"
PRESET_SIZE = 256  # pixels: nuclei images of this height and width stand for those that a preset was trained on
OWN_COUNTS = (1, 3, 10, 30)


def _nuclei(shared: Path, files: Path) -> None:
    """The nuclei as one folder of one's own, with the 19 that are scored apart."""
    for part, new in (("train", "own"), ("val", "test")):
        _copy(shared, part, [row["name"] for row in _of_part(shared, part)], files / new)


def _nuclei_by_size(shared: Path, files: Path) -> None:
    """Nuclei images of one size for a first network, and of all other sizes as the images of a person who uses it."""
    for part in ("train", "val"):
        rows = _of_part(shared, part)
        others = [row["name"] for row in rows if not _has_preset_size(row)]
        if part == "train":
            _copy(shared, part, [row["name"] for row in rows if _has_preset_size(row)], files / "first")
            for count in OWN_COUNTS:
                _copy(shared, part, others[:: len(others) // count][:count], files / f"own-{count}")
        else:
            _copy(shared, part, others, files / "test")


def _of_part(shared: Path, part: str) -> list[dict[str, str]]:
    with (shared / "dsb2018" / "images.csv").open(encoding="utf-8", newline="") as file:
        return [row for row in csv.DictReader(file) if row["part"] == part]


def _has_preset_size(row: dict[str, str]) -> bool:
    return (int(row["height"]), int(row["width"])) == (PRESET_SIZE, PRESET_SIZE)


def _copy(shared: Path, part: str, names: list[str], folder: Path) -> None:
    for kind, ending in (("images", "png"), ("labels", "tif")):
        (folder / kind).mkdir(parents=True)
        for name in names:
            shutil.copy(shared / "dsb2018" / part / kind / f"{name}.{ending}", folder / kind)


def _start_counts() -> list[Arm]:
    """The first network, and for each number of images a training from it and one from random weights."""
    arms = [Arm("first network", f"{NUCLEI}/first --steps 1500 --set epoch_steps=100", is_scored=False)]
    for count in OWN_COUNTS:
        words = f"{NUCLEI}/own-{count} --steps 300 --set epoch_steps=100"
        arms += [Arm(f"{count} from nothing", words), Arm(f"{count} from it", words, start="first network")]
    return arms


STUDIES = {
    study.name: study
    for study in (
        Study(
            "camvid-stages",
            "FCN-32s, 16s and 8s on CamVid",
            "What does each skip repair? The paper's table 2 has mean IU 59.4, 62.4 and 62.7 on VOC, and its later "
            "version 65.5 for FCN-8s in stages beside 65.4 at once. These networks have a quarter of VGG16's width "
            "and start from random weights: ImageNet's can't be had on the machine of this measurement. The published "
            "figure for FCN-8s on CamVid, 57.0 on its test part at 360 x 480, comes from ImageNet's weights.",
            [
                Arm("FCN-32s", f"{CAMVID} --model fcn32s --steps 6000"),
                Arm("FCN-16s", f"{CAMVID} --model fcn16s --steps 3000", start="FCN-32s"),
                Arm("FCN-8s", f"{CAMVID} --model fcn8s --steps 3000", start="FCN-16s"),
                Arm("FCN-8s at once", f"{AT_ONCE} --steps 12000"),
                Arm(
                    "U-Net of the same cost",
                    f"{CAMVID} --model unet --set model.width=16 --set model.padding=same "
                    "--set model.normalization=batch --set model.dropout=0 --set data.crop=176,240 --steps 12000",
                ),
            ],
            "--split val",
            ("mean_iu", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iu"),
        ),
        Study(
            "camvid-settings",
            "What settings add on CamVid",
            "FCN-8s at once, 2,000 steps from random weights; each training differs from the first in one setting.",
            [
                Arm("as the recipe has it", f"{AT_ONCE} --steps 2000"),
                Arm("median class weights", f"{AT_ONCE} --steps 2000 --set loss.class_weights=median"),
                Arm("Dice beside cross-entropy", f"{AT_ONCE} --steps 2000 --set loss.dice=1"),
                Arm("scaled by up to 1.5", f"{AT_ONCE} --steps 2000 --set data.augment.scale.most=1.5"),
                Arm("average of the weights", f"{AT_ONCE} --steps 2000 --set optimizer.ema=0.99"),
                Arm("fixed up-sampling", f"{AT_ONCE} --steps 2000 --set model.upsampling=fixed"),
                Arm("half as wide again", f"{AT_ONCE} --steps 2000 --set model.width=0.375"),
                Arm("twice as long", f"{AT_ONCE} --steps 4000"),
            ],
            "--split val",
            ("mean_iu", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iu"),
        ),
        Study(
            "batch",
            "Small batches with much momentum",
            "The later paper compares what it calls accumulated, online and heavy learning (from memory: mean IU 51.9, "
            "60.7 and 63.6 on VOC). Here FCN-32s sees 8,000 frames in each training, by SGD at a constant rate.",
            [
                Arm(
                    f"batch {batch}, momentum {momentum}",
                    f"{CAMVID} --model fcn32s --set optimizer.name=sgd --set optimizer.momentum={momentum} "
                    f"--set optimizer.schedule=constant --set optimizer.learning_rate={rate} --batch-size {batch} "
                    f"--steps {8000 // batch}",
                )
                for batch, momentum, rate in ((20, 0.9, 0.01), (1, 0.9, 0.01), (1, 0.99, 0.001))
            ],
            "--split val",
            ("mean_iu", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iu"),
            along=True,
        ),
        Study(
            "sampling",
            "Whole images beside patches",
            "The paper samples patches by leaving out cells of a whole image, sees no quicker convergence by steps, "
            "and takes more time. Here a step sees as many pixels either way.",
            [
                Arm("4 whole images", f"{AT_ONCE} --steps 1500"),
                Arm("16 patches of a quarter", f"{AT_ONCE} --steps 1500 --crop 90,120 --batch-size 16"),
            ],
            "--split val",
            ("mean_iu", "pixel_accuracy", "mean_accuracy", "frequency_weighted_iu"),
            along=True,
        ),
        Study(
            "elastic",
            "Elastic deformation on the EM stack",
            "The U-Net paper calls elastic deformation the key to few images, and gives no figure without it. The "
            "network is chosen on slices 21 to 23 and scored on 24 to 29.",
            [
                Arm("with", "--recipe isbi2012-unet --data-dir {shared}/isbi2012 --steps 1000"),
                Arm(
                    "without",
                    "--recipe isbi2012-unet --data-dir {shared}/isbi2012 --steps 1000 --set data.augment.elastic=none",
                ),
            ],
            "--split test",
            ("v_rand", "v_info", "pixel_error", "mean_iu"),
        ),
        Study(
            "borders",
            "Weights between touching nuclei",
            "The U-Net paper weighs the pixels between touching cells by up to 10 more. It gives no figure without.",
            [
                Arm(
                    f"up to {weight} more" if weight else "none",
                    f"{NUCLEI}/own --steps 1000 --set loss.border_weight={weight}",
                )
                for weight in (0, 1, 3, 10)
            ],
            "--data-dir {files}/test --split all",
            ("object_f1", "seg", "count_error", "mean_iu"),
            _nuclei,
        ),
        Study(
            "transfer",
            "A backbone from CamVid for nuclei",
            "FCN-8s on nuclei, from random weights and from the network that learnt CamVid at once. VOC's and NYUDv2's "
            "samples at hand are four images each, too few for a curve.",
            [
                Arm("CamVid", f"{AT_ONCE} --steps 2000", is_scored=False),
                *(
                    Arm(
                        name,
                        f"{NUCLEI}/own --model fcn8s-atonce --set model.width=0.25 --set model.fc_width=256 "
                        "--set model.padding=same --set model.upsampling=learned --steps 600 --set epoch_steps=50",
                        start=start,
                    )
                    for name, start in (("from nothing", None), ("from CamVid", "CamVid"))
                ),
            ],
            "--data-dir {files}/test --split all",
            ("object_f1", "seg", "mean_iu"),
            _nuclei,
            along=True,
        ),
        Study(
            "few-images",
            "What a trained network saves",
            "A network learns 45 images of nuclei of 256 x 256 pixels. A person then trains on 1, 3, 10 or 30 images "
            "of other sizes, from that network or from nothing; 8 such images are scored.",
            _start_counts(),
            "--data-dir {files}/test --split all",
            ("object_f1", "seg", "mean_iu"),
            _nuclei_by_size,
        ),
    )
}
"""By name."""
