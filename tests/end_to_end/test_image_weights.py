"""The column `weight` of a `list`: what it does in training, and that it does nothing in evaluation."""

from pathlib import Path

import numpy as np
import pytest

import kseg
from kseg.images import write_image

SETTINGS = {
    "data.name": "list",
    "model.width": 4,
    "model.depth": 1,
    "model.normalization": "none",  # batch statistics would count every image
    "data.crop": (16, 16),
    "data.batch_size": 2,
    "steps": 6,
    "epoch_steps": 3,
    "optimizer.name": "sgd",
    "precision": "float32",
}


def write_table(root: Path, weights: list[float], *, seed: int = 0) -> Path:
    """Two images to train on with their weights, and two of val; `seed` changes the second and its label."""
    rows = ["image,label,split,weight"]
    for number, weight in enumerate([*weights, 1, 1]):
        random = np.random.default_rng([number, seed if number == 1 else 0])
        label = (random.random((16, 16)) > 0.6).astype(np.uint8)
        for kind, array in (
            ("image", 100 * label + random.integers(0, 60, label.shape).astype(np.uint8)),
            ("label", label),
        ):
            (root / kind).mkdir(parents=True, exist_ok=True)
            write_image(root / kind / f"{number}.png", array)
        rows.append(f"image/{number}.png,label/{number}.png,{'train' if number < 2 else 'val'},{weight}")
    (root / "list.csv").write_text("\n".join(rows))
    return root


def trained(root: Path, run: Path) -> list[np.ndarray]:
    kseg.train("own-unet", data_dir=root, run=run, settings=SETTINGS)
    return kseg.load(run / "last.keras").get_weights()


def test_an_image_of_weight_0_has_no_influence_on_what_is_learned(tmp_path):
    one, other, counted = (
        trained(write_table(tmp_path / name, weights, seed=seed), tmp_path / f"{name}-run")
        for name, weights, seed in (("one", [1, 0], 0), ("other", [1, 0], 1), ("counted", [1, 1], 1))
    )
    for first, second in zip(one, other, strict=True):
        np.testing.assert_array_equal(first, second)
    assert any((first != second).any() for first, second in zip(one, counted, strict=True))


def test_evaluation_counts_every_image_alike_whatever_its_weight(tmp_path):
    network = kseg.build("unet", depth=1, width=2, padding="same")
    reports = []
    for name, weights in (("even", [1, 1]), ("odd", [0, 1000])):
        data = kseg.datasets.open("list", write_table(tmp_path / name, weights), split="train")
        assert [item.weight for item in data] == weights
        reports.append(kseg.evaluate(network, data))
    even, odd = reports
    np.testing.assert_array_equal(even.confusion, odd.confusion)
    assert odd.confusion.sum() == 2 * 16 * 16 and odd.mean_iu == pytest.approx(even.mean_iu)
