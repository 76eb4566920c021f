"""Small trees of images and labels for the checks, whole until a test damages them."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from kseg.check import Checked, Finding, check
from kseg.cli.spelling import as_option

HEIGHT, WIDTH = 6, 8
LABEL = np.zeros((HEIGHT, WIDTH), np.uint8)
LABEL[1:3, 2:5] = 1
LABEL[4:, 6:] = 2


def image(seed: int) -> np.ndarray:
    """(6, 8, 3) uint8, different for each seed."""
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3)).astype(np.uint8)


def put(path: Path, array: np.ndarray, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path, **options)
    return path


def tree(root: Path, *labels: np.ndarray, splits: tuple[str, ...] = ("train", "val"), ending: str = ".png") -> Path:
    """Writes train/ and val/ (or what is named) with a pair a, b, ... for each label, two of `LABEL` by default."""
    for place, split in enumerate(splits):
        for number, label in enumerate(labels or (LABEL, LABEL)):
            name = "abcdefgh"[number]
            put(root / split / "images" / f"{name}.png", image(10 * place + number))
            put(root / split / "labels" / f"{name}{ending}", label)
    return root


def kinds(found: Checked) -> list[str]:
    return [finding.kind for finding in found.findings]


def fix_of(finding: Finding) -> str:
    """How to mend it, as the command line says it."""
    return finding.advice(as_option, "--fix DIR")


def lines(root: Path, **options: Any) -> list[str]:
    """The findings of the folder as lines."""
    return [str(finding) for finding in check("folder", root, **options).findings]
