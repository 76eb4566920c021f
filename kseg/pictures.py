"""What a person looks at: overlays, sample strips, curves. Nothing here is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from kseg.storage import aside

SEPARATOR = 4
HEADER = 22


def palette() -> np.ndarray:
    """The PASCAL VOC colour of each number: (256, 3) uint8, RGB.

    Source: the VOC development kit's colour map: bit b of a channel, from the top, is bit 3b (+0, 1, 2) of the number.
    """
    numbers = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((numbers >> (3 * bit + channel)) & 1).astype(np.uint8) << (7 - bit)
    return colours


def for_display(image: np.ndarray) -> np.ndarray:
    """(H, W, C) of any depth as (H, W, 3) uint8: grey repeated; beyond 8 bits stretched between the 0.1 and 99.9 %."""
    if image.dtype != np.uint8:
        low, high = np.percentile(image, (0.1, 99.9))
        image = ((image.astype(np.float64) - low) / max(high - low, 1e-9) * 255).clip(0, 255).astype(np.uint8)
    return image[..., :3] if image.shape[2] >= 3 else np.repeat(image[..., :1], 3, axis=2)


def overlay(image: np.ndarray, numbers: np.ndarray) -> np.ndarray:
    """The image with all that has a number tinted and outlined in the number's colour.

    Args:
      image: (H, W, C).
      numbers: (H, W) integers: class ids or objects; 0 is left as it is.

    Returns:
      (H, W, 3) uint8, RGB.
    """
    picture = for_display(image).astype(np.float32)
    # The palette's darker colours are lifted, else they are lost on dark images.
    colours = 60 + 0.76 * palette()[np.where(numbers > 0, 1 + (numbers - 1) % 255, 0)].astype(np.float32)
    inside = numbers != 0
    picture[inside] = 0.72 * picture[inside] + 0.28 * colours[inside]
    numbers = numbers.astype(np.uint16)
    edge = cv2.erode(numbers, np.ones((3, 3), np.uint8)) != cv2.dilate(numbers, np.ones((3, 3), np.uint8))
    picture[inside & edge] = colours[inside & edge]
    return picture.astype(np.uint8)


def strip(image: np.ndarray, truth: np.ndarray, prediction: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """Input, truth, prediction and error side by side, each named.

    Args:
      image: (H, W, C).
      truth, prediction: (H, W) integers: class ids or objects.
      wrong: (H, W) bool, drawn red.

    Returns:
      (H + 22, 4 W + 12, 3) uint8, RGB.
    """
    shown = for_display(image)
    error = (shown * 0.45).astype(np.uint8)
    error[wrong] = (255, 60, 40)
    return side_by_side(
        {"input": shown, "truth": overlay(image, truth), "prediction": overlay(image, prediction), "error": error}
    )


def side_by_side(panels: Mapping[str, np.ndarray]) -> np.ndarray:
    """Pictures (H, W, 3) uint8 of any sizes in a row, each under its name."""
    tallest = max(panel.shape[0] for panel in panels.values())
    parts: list[np.ndarray] = []
    for name, panel in panels.items():
        height, width = panel.shape[:2]
        part = np.full((HEADER + tallest, width + SEPARATOR, 3), 255, np.uint8)
        part[HEADER : HEADER + height, :width] = panel
        cv2.putText(part, name, (4, 15), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        parts.append(part)
    return np.hstack(parts)[:, :-SEPARATOR]


def sheet(panels: Mapping[str, np.ndarray], columns: int = 4) -> np.ndarray:
    """Pictures (H, W, 3) uint8 of any sizes in rows of `columns`, each under its name."""
    named = list(panels.items())
    rows = [side_by_side(dict(named[start : start + columns])) for start in range(0, len(named), columns)]
    widest = max(row.shape[1] for row in rows)
    return np.vstack(
        [np.pad(row, ((0, SEPARATOR), (0, widest - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    )


def draw_curves(rows: Sequence[Mapping[str, float]], path: str | Path) -> None:
    """Draws loss and scores over the steps as PNG.

    Args:
      rows: one per epoch, with `step`, `loss` and, where they were measured, scores `val_...`.
      path: where to.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4), layout="constrained")
    scores = list(dict.fromkeys(key for row in rows for key in row if key.startswith("val_")))
    panels = [("training loss", ["loss"]), *([("scores on val", scores)] if scores else [])]
    for number, (title, keys) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), number)
        for key in keys:
            steps, values = zip(*((row["step"], row[key]) for row in rows if key in row), strict=True)
            axes.plot(steps, values, marker="o", markersize=3, label=key.removeprefix("val_"))
        axes.set(title=title, xlabel="step")
        axes.grid(alpha=0.3)
    axes.legend()
    with aside(path) as place:
        figure.savefig(place, dpi=110)


def draw_fields(
    maps: Sequence[tuple[str, int, float]],
    image: np.ndarray,
    fields: Mapping[str, tuple[float, float, float, float]],
    path: str | Path,
) -> None:
    """Draws a network's maps as bars and, on an image, what a cell reads, as PNG.

    Args:
      maps: name, channels and stride of each, in order; as high as they have cells, as wide as they have channels.
      image: (H, W, C).
      fields: left, top, width of what a cell reads, and the stride, pixels, by what is said of it.
      path: where to.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(13, 6), layout="constrained")
    bars, picture = figure.subplots(1, 2, width_ratios=(1.5, 1))
    place, colours = 0.0, [f"C{number}" for number in range(10)]
    strides = sorted({stride for _, _, stride in maps})
    for name, channels, stride in maps:
        width, height = 0.4 + 0.5 * np.log2(1 + channels), 1 / (1 + np.log2(stride))
        colour = colours[strides.index(stride) % 10]
        bars.add_patch(Rectangle((place, -height / 2), width, height, facecolor=colour, edgecolor="white"))
        bars.text(place + width / 2, -0.54, f"{name}  {channels}", rotation=90, fontsize=7, ha="center", va="top")
        place += width + 0.3
    bars.set(xlim=(-0.5, place), ylim=(-1.15, 0.6), title="maps: width by channels, height and colour by stride")
    bars.axis("off")
    picture.imshow(for_display(image))
    for number, (text, (left, top, width, stride)) in enumerate(fields.items()):
        colour = colours[number % 10]
        picture.add_patch(Rectangle((left - 0.5, top - 0.5), width, width, fill=False, edgecolor=colour, lw=2))
        corner = left + (width - stride) / 2 - 0.5, top + (width - stride) / 2 - 0.5
        picture.add_patch(Rectangle(corner, stride, stride, facecolor=colour, alpha=0.35))
        picture.plot([], [], color=colour, label=text)
    picture.set(title="what a cell reads, and the pixels it stands for")
    if fields:
        picture.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.06))
    with aside(path) as place_for_it:
        figure.savefig(place_for_it, dpi=110)
