"""Charts by Matplotlib: curves of a training, and a network's maps and receptive fields."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from kseg.pictures import for_display
from kseg.storage import aside


def draw_curves(
    rows: Sequence[Mapping[str, float]],
    path: str | Path,
    words: Callable[[str], str] = lambda name: name,
    is_higher_better: Callable[[str], bool] = lambda name: not name.endswith("loss"),
) -> None:
    """Draws losses and scores over the steps as PNG; the best value of each on val is marked and named.

    Args:
      rows: one per epoch, with `step`, `loss`, and if they were measured `val_loss` and scores `val_...`.
      path: the file.
      words: gives a score's title from its name without `val_`.
      is_higher_better: whether a higher score is better, from the same name.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9, 3.4))  # a computed layout would double the time
    figure.subplots_adjust(left=0.085, right=0.99, bottom=0.15, top=0.91, wspace=0.21)
    measured = dict.fromkeys(key for row in rows for key in row if key.startswith("val_"))
    losses, scores = ([key for key in measured if (key == "val_loss") == is_loss] for is_loss in (True, False))
    panels = [("loss", ["loss", *losses]), *([("scores on val", scores)] * bool(scores))]
    for number, (title, keys) in enumerate(panels, start=1):
        axes = figure.add_subplot(1, len(panels), number)
        for key in keys:
            steps, values = zip(*((row["step"], row[key]) for row in rows if key in row), strict=True)
            (line,) = axes.plot(steps, values, marker="o", markersize=3)
            numbers = [index for index, value in enumerate(values) if math.isfinite(value)]
            if key == "loss":
                line.set_label("in training, mean of an epoch")
            elif numbers:
                name = key.removeprefix("val_")
                said = "loss on val" if key == "val_loss" else words(name)
                best = (max if is_higher_better(name) else min)(numbers, key=values.__getitem__)
                line.set_label(f"{said}: best {values[best]:.3f} at step {steps[best]:,}")
                axes.plot(steps[best], values[best], "*", markersize=12, color=line.get_color())
        axes.set(title=title, xlabel="step")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.grid(alpha=0.3)
        if axes.get_legend_handles_labels()[0]:
            axes.legend()
    with aside(path) as temporary:
        figure.savefig(temporary, dpi=110)


def draw_fields(
    maps: Sequence[tuple[str, int, float]],
    image: np.ndarray,
    fields: Mapping[str, tuple[float, float, float, float]],
    path: str | Path,
) -> None:
    """Draws a network's maps as bars, and receptive fields on an image, as PNG.

    Args:
      maps: name, channels and stride of each map, in order. Bars are higher for smaller strides, wider for more
        channels.
      image: (H, W, C).
      fields: left, top and width of a cell's receptive field, and the stride, pixels, by the text for the legend.
      path: the file.
    """
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(13, 6), layout="constrained")
    bars, picture = figure.subplots(1, 2, width_ratios=(1.5, 1))
    left_edge, colours = 0.0, [f"C{number}" for number in range(10)]
    strides = sorted({stride for _, _, stride in maps})
    for name, channels, stride in maps:
        width, height = 0.4 + 0.5 * np.log2(1 + channels), 1 / (1 + np.log2(stride))
        colour = colours[strides.index(stride) % 10]
        bars.add_patch(Rectangle((left_edge, -height / 2), width, height, facecolor=colour, edgecolor="white"))
        bars.text(left_edge + width / 2, -0.54, f"{name}  {channels}", rotation=90, fontsize=7, ha="center", va="top")
        left_edge += width + 0.3
    bars.set(xlim=(-0.5, left_edge), ylim=(-1.15, 0.6), title="maps: width by channels, height and colour by stride")
    bars.axis("off")
    picture.imshow(for_display(image))
    for number, (text, (left, top, width, stride)) in enumerate(fields.items()):
        colour = colours[number % 10]
        picture.add_patch(Rectangle((left - 0.5, top - 0.5), width, width, fill=False, edgecolor=colour, lw=2))
        corner = left + (width - stride) / 2 - 0.5, top + (width - stride) / 2 - 0.5
        picture.add_patch(Rectangle(corner, stride, stride, facecolor=colour, alpha=0.35))
        picture.plot([], [], color=colour, label=text)
    picture.set(title="receptive fields, and the pixels each cell stands for")
    if fields:
        picture.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.06))
    with aside(path) as temporary:
        figure.savefig(temporary, dpi=110)
