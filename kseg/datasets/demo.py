"""Generated pictures of touching cells, each with a number: no download, and the same pictures from the same seed.

They look like phase-contrast images: clusters of rounded cells with a bright rim, a dark seam where two meet, a darker
nucleus, uneven light and noise.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from kseg.datasets.contract import DATASETS
from kseg.datasets.own.folder import Folder
from kseg.errors import EnvironmentFailure
from kseg.images import write_image
from kseg.storage import aside, cache_folder

SIZE = (192, 192)
COUNTS = {"train": 24, "val": 8}
SEED = 2015


@DATASETS.register("demo")
class Demo(Folder):
    """Touching cells that kseg generates; it needs no folder.

    They are written on first use: to `data_dir`, else to the cache folder.
    """

    name = "demo"
    published = True

    def __init__(self, data_dir: str | Path | None = None, *, split: str) -> None:
        root = cache_folder() / "demo-1" if data_dir is None else Path(data_dir)
        if not root.exists():
            try:
                write_demo(root)
            except EnvironmentFailure:
                if not root.exists():  # another process may have written it meanwhile
                    raise
        super().__init__(root, split=split, instances=True)


def write_demo(root: Path) -> None:
    """Writes the set to the new folder `root`, in the layout of `folder`, whole or not at all."""
    with aside(root) as new:
        for split, count in COUNTS.items():
            for kind in ("images", "labels"):
                (new / split / kind).mkdir(parents=True)
            for number in range(count):
                image, instances = draw_cells(SEED + number + 1000 * (split != "train"), *SIZE)
                write_image(new / split / "images" / f"cells_{number:02d}.png", image)
                write_image(new / split / "labels" / f"cells_{number:02d}.png", instances)
        (new / "classes.txt").write_text("background\ncell\n", encoding="utf-8")


def draw_cells(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture of touching cells, and the number of each cell.

    Returns:
      image (H, W) uint8 and instances (H, W) uint16, 0 background, 1..n.
    """
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    nearest = np.full((height, width), np.inf, np.float32)  # distance from the centre in radii: 1 on the outline
    second = nearest.copy()
    owner = np.zeros((height, width), np.uint16)
    body = np.zeros((height, width), np.float32)
    for cell, (row, column, radius) in enumerate(_place_cells(rng, height, width), start=1):
        d_row, d_column = rows - row, columns - column
        angle = np.arctan2(d_row, d_column)
        outline = np.float32(radius)
        for wave in (2, 3, 4):
            outline = outline * (1 + rng.uniform(0, 0.22 / wave) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi)))
        reach = np.hypot(d_row, d_column) / outline
        nearer = reach < nearest
        second = np.where(nearer, nearest, np.minimum(second, reach))
        nearest = np.where(nearer, reach, nearest)
        owner[nearer] = cell
        lift = rng.uniform(-12, 12)
        nucleus = np.exp(
            -(((rows - row - rng.normal(0, 2)) ** 2 + (columns - column - rng.normal(0, 2)) ** 2) / (0.22 * radius**2))
        )
        body[nearer] = (lift - rng.uniform(20, 40) * nucleus)[nearer]
    inside = nearest < 1
    owner[~inside] = 0
    rim = np.exp(-(((nearest - 0.93) / 0.09) ** 2))
    seam = np.exp(-(((second - nearest) / 0.10) ** 2)) * inside
    light = 95 + rng.uniform(-20, 20) * (rows / height - 0.5) + rng.uniform(-20, 20) * (columns / width - 0.5)
    image = light + np.where(inside, 22 + body, 0) + 45 * rim * (1 - seam) - 42 * seam
    image += 7 * _smooth(rng, height, width, 2.0) + 10 * _smooth(rng, height, width, 12.0)
    image = cv2.GaussianBlur(image.astype(np.float32), (0, 0), 0.9) + rng.normal(0, 5, (height, width))
    return image.clip(0, 255).round().astype(np.uint8), _renumber(owner)


def _place_cells(rng: np.random.Generator, height: int, width: int) -> list[tuple[float, float, float]]:
    """Row, column and radius of each cell. A cluster grows by cells that touch earlier ones."""
    cells: list[tuple[float, float, float]] = []
    for _ in range(max(1, round(height * width / 5200))):
        cluster = [(rng.uniform(0, height), rng.uniform(0, width), rng.uniform(11, 17))]
        for _ in range(rng.integers(1, 6)):
            row, column, radius = cluster[rng.integers(len(cluster))]
            own = rng.uniform(11, 17)
            angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.82, 0.95) * (radius + own)
            cluster.append((row + distance * np.sin(angle), column + distance * np.cos(angle), own))
        for row, column, radius in cluster:
            if all(np.hypot(row - r, column - c) > 0.75 * (radius + other) for r, c, other in cells):
                cells.append((row, column, radius))
    return cells


def _smooth(rng: np.random.Generator, height: int, width: int, sigma: float) -> np.ndarray:
    """Smooth noise (H, W) float32 of mean 0 and deviation 1."""
    noise = cv2.GaussianBlur(rng.normal(size=(height, width)).astype(np.float32), (0, 0), sigma)
    return (noise - noise.mean()) / noise.std()


def _renumber(owner: np.ndarray) -> np.ndarray:
    """The same objects numbered 1..n without gaps. Specks of an object that others cover are dropped."""
    result = np.zeros_like(owner)
    count = 0
    for cell in np.unique(owner[owner > 0]):
        _, parts, stats, _ = cv2.connectedComponentsWithStats((owner == cell).astype(np.uint8), connectivity=4)
        largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
        if stats[largest, cv2.CC_STAT_AREA] >= 12:
            count += 1
            result[parts == largest] = count
    return result
