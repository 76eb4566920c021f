"""Predictions for files and folders, page by page, as files a person or another program goes on with."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from kseg.errors import DataError
from kseg.images import is_image, open_pages, stack_writer, with_channels, write_image
from kseg.inference.averaging import Average
from kseg.inference.predictor import Predictor
from kseg.inference.tiles import predict_scores, probabilities
from kseg.instances import number
from kseg.pictures import overlay, sheet


def list_images(paths: Iterable[str | Path]) -> list[Path]:
    """The image files among `paths` and directly inside the folders among them, in order.

    Raises:
      DataError: a path does not exist, a folder has no image, or two files share the name results are called by.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.is_file() and is_image(file))
            if not inside:
                raise DataError(f"{path}: no image in this folder. PNG, JPEG and TIFF are read.")
            files += inside
        elif path.exists():
            files.append(path)
        else:
            raise DataError(f"{path}: there is no such file or folder.")
    seen: dict[str, Path] = {}
    for file in files:
        if file.stem in seen:
            raise DataError(
                f"{seen[file.stem]} and {file} would both be written as {file.stem}.*. "
                "Predict them into different folders."
            )
        seen[file.stem] = file
    return files


def predict_file(
    network: Predictor,
    path: Path,
    folder: str | Path,
    *,
    tile: int | None = None,
    average: Average | None = None,
    with_probabilities: bool = False,
    with_instances: bool = False,
    with_overlay: bool = False,
) -> list[Path]:
    """Writes what `network` finds in the image or stack `path`; each file whole or not at all.

    Args:
      network: the predictor.
      path: the image file.
      folder: where to.
      tile, average: as in `predict`.
      with_probabilities: also STEM_probabilities.tif, float32: class 1 of two classes, else a page per class.
      with_instances: also STEM_instances.tif, uint16: the 4-connected components of each class but 0.
      with_overlay: also STEM_overlay.png; of a stack, nine slices.

    Returns:
      The files, that with the class ids first.

    Raises:
      DataError: the file can't be read, has other channels than the network, or more than 65,535 objects.
    """
    pages = open_pages(path)
    stem = Path(folder) / path.stem
    ids_path = Path(f"{stem}.tif" if len(pages) > 1 else f"{stem}.png")
    written = [ids_path]
    drawn = set(np.linspace(0, len(pages) - 1, 9).round().astype(int).tolist())
    panels: dict[str, np.ndarray] = {}

    with ExitStack() as files:

        def writer(ending: str):
            written.append(Path(f"{stem}_{ending}.tif"))
            return files.enter_context(stack_writer(written[-1]))

        write_ids = files.enter_context(stack_writer(ids_path)) if len(pages) > 1 else None
        write_probabilities = writer("probabilities") if with_probabilities else None
        write_instances = writer("instances") if with_instances else None
        for place in range(len(pages)):
            image = with_channels(pages[place], network.channels, str(path))
            scores = predict_scores(network, image, tile=tile, average=average)
            ids = scores.argmax(axis=-1).astype(np.uint8)
            if write_ids:
                write_ids(ids)
            if write_probabilities:
                shares = probabilities(scores)
                for class_id in [1] if network.classes == 2 else range(network.classes):
                    write_probabilities(shares[..., class_id])
            objects = number(ids) if with_instances or with_overlay else ids
            if write_instances:
                if objects.max() > 65535:
                    raise DataError(
                        f"{path}: {objects.max():,} objects are more than 16 bits can number. Predict it in parts."
                    )
                write_instances(objects.astype(np.uint16))
            if with_overlay and place in drawn:
                panels[f"slice {place}"] = overlay(image, objects if with_instances else ids)
    if write_ids is None:
        write_image(ids_path, ids)
    if with_overlay:
        written.append(Path(f"{stem}_overlay.png"))
        write_image(written[-1], sheet(panels, columns=3) if len(pages) > 1 else next(iter(panels.values())))
    return written
