"""What a data set holds, in figures: grey levels, classes, and the weights that balance the classes."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from kseg.datasets.contract import Dataset, by_name
from kseg.datasets.survey import Survey

BAR = 30  # characters for a share of 1


def class_weights(found: Survey, by: Literal["inverse", "median"]) -> Any:
    """The weight of each class's pixels, so that rare classes count as much as common ones.

    With n_c the pixels of class c, N = sum n_c, and K the number of classes that occur:

    inverse: w_c = N / (K n_c). All classes together weigh the same, and the mean weight over all pixels is 1.
    median: w_c = median(f) / f_c, where f_c is n_c over all pixels of the images in which c occurs, and the median
    goes over the classes that occur.

    They are factors of each pixel's loss. PixelCrossEntropy divides by the number of pixels that count, not by the sum
    of their weights. So a class weighs the same in every batch and on every replica, whether it is rare or common
    there, and the mean over replicas with equally many such pixels is what one device gives.

    Args:
      found: of the split that is trained on.
      by: which rule.

    Returns:
      K floats >= 0, or a dict of such by head; 0 for a class without a pixel.

    Source: Eigen, Fergus, "Predicting Depth, Surface Normals and Semantic Labels with a Common Multi-Scale
    Convolutional Architecture" (ICCV 2015), on the loss for semantic labels. Deviation: void pixels are not counted,
    neither in n_c nor in the pixels of an image; the paper does not mention them.
    """
    pixels, present = by_name(found.class_pixels), by_name(found.present_pixels)
    weights = {head: _weights(pixels[head], present[head], by) for head in pixels}
    return weights.get("", weights)


def _weights(pixels: np.ndarray, present: np.ndarray, by: str) -> tuple[float, ...]:
    occurs = pixels > 0
    weights = np.zeros(len(pixels))
    if occurs.any():
        if by == "inverse":
            weights[occurs] = pixels.sum() / (occurs.sum() * pixels[occurs])
        else:
            frequencies = pixels[occurs] / present[occurs]
            weights[occurs] = np.median(frequencies) / frequencies
    return tuple(weights.tolist())


def statistics(data: Dataset, found: Survey) -> dict[str, Any]:
    """The figures of `found`, a survey of `data`, as a dictionary for JSON.

    Per class of each head ("" where there is one): pixels, share of the pixels that are not void, images in which it
    occurs, and both `class_weights`.
    """
    by_head = [by_name(values) for values in (found.class_pixels, found.class_images, found.void_pixels)]
    inverse, median = (by_name(class_weights(found, by)) for by in ("inverse", "median"))
    heads = {}
    for head, names in data.heads.items():
        pixels, images, void = (values[head] for values in by_head)
        known = max(1, int(pixels.sum()))
        heads[head] = {
            "void_share": void / max(1, void + int(pixels.sum())),
            "classes": [
                {
                    "name": name,
                    "pixels": int(pixels[number]),
                    "share": int(pixels[number]) / known,
                    "images": int(images[number]),
                    "inverse_weight": inverse[head][number],
                    "median_weight": median[head][number],
                }
                for number, name in enumerate(names)
            ],
        }
    return {
        "dataset": data.name,
        "split": data.split,
        "images": found.images,
        "kind": found.kind,
        "channels": found.channels,
        "brightest": found.brightest,
        "heights": list(found.heights),
        "widths": list(found.widths),
        "mean": {stream: mean.tolist() for stream, mean in by_name(found.mean).items()},
        "deviation": {stream: deviation.tolist() for stream, deviation in by_name(found.deviation).items()},
        "heads": heads,
        "fingerprint": found.fingerprint,
    }


def as_text(figures: dict[str, Any]) -> str:
    """The figures of `statistics` as lines to read, with a bar per class."""
    lines = [
        f"{figures['dataset']} {figures['split']}: {figures['images']:,} images, {figures['kind']}, "
        f"{figures['channels']} channels, up to {figures['brightest']:g}",
        "heights {} to {}, widths {} to {}".format(*figures["heights"], *figures["widths"]),
    ]
    for stream, mean in figures["mean"].items():
        pairs = zip(mean, figures["deviation"][stream], strict=True)
        lines.append(f"{stream} mean and deviation: ".lstrip() + ", ".join(f"{m:.2f} ± {d:.2f}" for m, d in pairs))
    for head, found in figures["heads"].items():
        width = max(len(one["name"]) for one in found["classes"])
        lines += ["", f"{head} void: ".lstrip() + f"{found['void_share']:.2%} of the pixels"]
        lines.append(f"{'class':<{width}}  {'images':>8}  {'share':>7}  {'inverse':>8}  {'median':>8}")
        lines += [
            f"{one['name']:<{width}}  {one['images']:>8,}  {one['share']:7.2%}  {one['inverse_weight']:8.4g}  "
            f"{one['median_weight']:8.4g}  {'#' * round(BAR * one['share'])}".rstrip()
            for one in found["classes"]
        ]
    return "\n".join(lines)
