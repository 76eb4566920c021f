"""The plan of a training on a person's own images: what it takes from a look at them, before the first step.

The rules were tried in short trainings on busy cores, one seed each, by the scores of images that were not trained
on, which `benchmarks.own_data` scores too:

- Nuclei (400 steps): depth 3, which sees 89 pixels, had F1 of objects 0.897, depth 4 0.882, in 0.8 of the time. A
  gain of brightness of 0.3 (own-unet's own) had 0.897, 0.5 had 0.871, and 0.8 (with depth 4) 0.785, though the
  images' peaks lie between 34 and 255. So the gain is not planned. A running average of the weights changed nothing
  (0.894). After 1,000 steps at depth 3, with border weights of 10, 3 and 0: F1 0.916, 0.909, 0.885, SEG 0.784, 0.797,
  0.770, foreground IU 0.891, 0.903, 0.893. With 3 and Dice 0.915, 0.797, 0.905. Width 32 with 10: 0.907, 0.779.
- HeLa cells, 128 pixels wide: crops of 256, four a step, had SEG 0.691 after 300 steps; crops of 384, two a step,
  0.585; depth 5 0.731. After 800 steps 0.798, and 0.757 with elastic deformation, which is not planned therefore.
- CamVid (500 steps, mirrored left to right alone): mean IU 0.406; with Dice 0.411; with `median` class weights
  0.358, which are not planned therefore; with Dice and weights by the square root of the share 0.418, which found
  the rare classes at the cost of buildings; depth 5 0.409; a rate of 5e-3 0.396.
- The EM stack (300 steps): mean IU 0.774, and 0.770 with elastic deformation. After 400 steps V_rand 0.944, with Dice
  0.957, pixel error 0.050 in both.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kseg.datasets import Dataset, Survey, by_name
from kseg.datasets.traits import LEAST_IMAGES
from kseg.device import memory_bytes
from kseg.folders import read_config, run_folder
from kseg.geometry import unet_geometry
from kseg.images import white_of_levels
from kseg.preparation.needs import needs_of
from kseg.recipes.recipe import Recipe

NETWORK, IMAGES, TRAINING = "network", "images", "training"  # the lines of a plan
PLANNED = ("depth", "width")  # of a network's options
DEPTHS = (3, 4, 5)
AROUND = 2  # an object with half of its neighbours is so many times as wide as the object
CROP, MOST_CROP = 256, 384  # pixels a side: where neither objects nor images say another, and for large objects
FEW_TOUCH = 0.01  # of the objects
COST = 3  # a pixel that is trained on costs as much as so many that are predicted
VALIDATING = 0.1  # of the time, if an epoch is not too short or too long for that
LEAST_EPOCH, MOST_EPOCH = 50, 500  # steps

Surveys = Mapping[str, Survey]


class Means(NamedTuple):
    """What a step may take.

    Attributes:
      least_gib: of memory.
      pixels: of all crops of a step.
      width: of the network.
    """

    least_gib: float
    pixels: int
    width: int


# Measured with U-Nets of depth 4 in float32 on two cores: 1.3 GiB at most for the last row. A GPU was not at hand.
ON_PROCESSOR = (Means(0, CROP**2, 16), Means(2, 2 * CROP**2, 16), Means(4, 4 * CROP**2, 16))


@dataclass(frozen=True)
class Choice:
    """One value that the plan gives a setting.

    Attributes:
      topic: the line of the plan that tells it.
      name: the setting's dotted name.
      value: what it is set to.
      text: the same in words.
      reason: what in the images it follows from.
    """

    topic: str
    name: str
    value: Any
    text: str
    reason: str

    def __str__(self) -> str:
        value = ",".join(map(str, self.value)) if isinstance(self.value, list | tuple) else str(self.value).lower()
        return f"  {self.name} = {value}: {self.reason}"


def planned(recipe: Recipe, data: Dataset, surveys: Surveys, asked: Collection[str]) -> list[Choice]:
    """What the images say about the settings of a recipe that nobody asked for.

    Args:
      recipe: the recipe, of which the choices that follow from others keep what was asked for.
      data: what is trained on.
      surveys: of each part, "train" and "val" among them.
      asked: the names of the settings that stay as they are.
    """
    choices = [each for each in _start(recipe) if not is_asked(each.name, asked)]  # no rule changes these
    asked = [*asked, *(each.name for each in choices)]
    recipe = recipe.with_settings({each.name: each.value for each in choices})
    for rule in (_depth, _crop, _batch, _light, _sides, _training, _epochs):
        choices += [each for each in rule(recipe, data, surveys) if not is_asked(each.name, asked)]
        recipe = recipe.with_settings({each.name: each.value for each in choices})
    return choices


def told(choices: Collection[Choice]) -> list[str]:
    """A plan in a line per topic, each with its reasons."""
    lines = []
    for topic in dict.fromkeys(each.topic for each in choices):
        by_reason: dict[str, list[str]] = {}
        for each in choices:
            if each.topic == topic:
                by_reason.setdefault(each.reason, []).append(each.text)
        lines.append(f"plan, {topic}: " + "; ".join(f"{', '.join(texts)}: {why}" for why, texts in by_reason.items()))
    return lines


def is_asked(name: str, asked: Collection[str]) -> bool:
    """Whether the setting `name`, one inside it, or the one that it lies in is among those that were asked for."""
    return any(f"{one}.".startswith(f"{other}.") for each in asked for one, other in ((each, name), (name, each)))


def plan_of(config: Mapping[str, Any] | None) -> list[Choice]:
    """The plan that a run's config.json holds."""
    return [Choice(**each) for each in (config or {}).get("plan", [])]


def _start(recipe: Recipe) -> Iterator[Choice]:
    """The options of the network whose weights it starts from, if that is a run or a preset."""
    config = read_config(run_folder(recipe.init_weights))
    start = Recipe.from_json(config["recipe"]).model if config else None
    if start is not None and start.name == recipe.model.name:
        why = f"as in {recipe.init_weights}, whose weights it starts from"
        known = start.takes(start.name)
        for name in sorted({*recipe.model.options, *start.options} - {"preprocessing"}):
            own, value = (model.options.get(name, known[name].default) for model in (recipe.model, start))
            if name in PLANNED or value != own:
                yield Choice(NETWORK, f"model.{name}", value, f"{name} {value}", why)


def _depth(recipe: Recipe, data: Dataset, surveys: Surveys) -> Iterator[Choice]:
    """As many poolings as let a pixel see an object with half of its neighbours."""
    wanted, why = _extent(surveys["train"])
    if recipe.model.name == "unet":
        seen = {depth: 2 * unet_geometry(depth, "valid").border + 1 for depth in DEPTHS}
        depth = next((depth for depth in DEPTHS if seen[depth] >= wanted), DEPTHS[-1])
        yield Choice(NETWORK, "model.depth", depth, f"depth {depth} (a pixel sees {seen[depth]})", why)


def _crop(recipe: Recipe, data: Dataset, surveys: Surveys) -> Iterator[Choice]:
    """Crops that hold an object with half of its neighbours; not larger than the images, nor than the memory takes."""
    found, geometry = surveys["train"], needs_of(recipe).geometry
    if geometry is not None and recipe.data.crop is not None:
        wanted, why = _extent(found) if found.traits.objects else (CROP, _size(found))
        most = max(CROP, min(wanted, MOST_CROP, math.isqrt(_means()[0].pixels)))
        crop = tuple(geometry.next_input(min(most, side) + 2 * geometry.border) for side in _largest(found))
        yield Choice(NETWORK, "data.crop", crop, "crops of {} x {}".format(*crop), why)


def _batch(recipe: Recipe, data: Dataset, surveys: Surveys) -> Iterator[Choice]:
    """As many crops as the memory holds, and the width."""
    means, why = _means()
    if recipe.model.name == "unet" and recipe.data.crop is not None:
        batch = max(1, round(means.pixels / math.prod(recipe.data.crop)))
        yield Choice(NETWORK, "data.batch_size", batch, f"{batch} a step", why)
        yield Choice(NETWORK, "model.width", means.width, f"width {means.width}", why)


def _means() -> tuple[Means, str]:
    """What this machine takes, and why."""
    memory = memory_bytes()
    means = [each for each in ON_PROCESSOR if memory is None or memory >= each.least_gib * 2**30][-1]
    return means, "an unknown memory" if memory is None else f"{memory / 2**30:.0f} GiB of memory"


def _size(found: Survey) -> str:
    return "the images are up to {} x {} pixels".format(*_largest(found))


def _extent(found: Survey) -> tuple[int, str]:
    """How many pixels are to be seen together, and why."""
    large = found.traits.large_diameter
    if large is None:
        return max(_largest(found)), _size(found)
    wanted = math.ceil(AROUND * large)
    return wanted, f"a large object is {large:.0f} pixels wide, with half of its neighbours {wanted}"


def _light(recipe: Recipe, data: Dataset, surveys: Surveys) -> Iterator[Choice]:
    """White, where the levels stay far below that of the images' type."""
    found = surveys["train"]
    if recipe.data.white is None and found.kind != "float32" and 0 < found.brightest < found.white / 4:
        white = white_of_levels(found.brightest)
        yield Choice(IMAGES, "data.white", white, f"white is {white:g}", f"no level is above {found.brightest:g}")


def _sides(recipe: Recipe, data: Dataset, surveys: Surveys) -> Iterator[Choice]:
    """Whether the images have an up, and so which of their mirror images and turns could be images too."""
    traits = surveys["train"].traits
    leans, seen = traits.leans, traits.items
    is_told = "upright" in recipe.data.options or data.upright
    if is_told:
        up, why = data.upright, "the data set says so"
    elif leans:
        number, row = max(leans.items(), key=lambda lean: abs(lean[1] - 0.5))
        name, side = next(iter(data.heads.values()))[number], "above" if row < 0.5 else "below"
        up, why = True, f"{name} lies {side} the middle"
    else:
        up = False
        few = f"{seen} images are too few to tell an up from the labels"
        why = "no class lies above or below the middle" if seen >= LEAST_IMAGES else few
    if up and not is_told and "upright" in recipe.data.takes(recipe.data.name):
        yield Choice(IMAGES, "data.upright", True, "the images have an up", why)
    if up:
        yield Choice(IMAGES, "data.augment.mirror.vertical", False, "crops mirrored left to right alone", why)
        yield Choice(IMAGES, "data.augment.rotation", None, "not turned", why)
    else:
        yield Choice(IMAGES, "data.augment.mirror", True, "crops mirrored", why)
        yield Choice(IMAGES, "data.augment.rotation", True, "turned", why)


def _training(recipe: Recipe, data: Dataset, surveys: Surveys) -> Iterator[Choice]:
    """What rare classes and the pixels between objects count, and how often the network is validated."""
    found = surveys["train"]
    shares = _shares(data, found)
    is_mean = recipe.loss.options.get("average", "pixels") == "pixels"  # to which Dice, a mean too, can be added
    if recipe.loss.name == "cross_entropy" and is_mean and shares:
        share, name = min(shares)
        why = f"{name}, the rarest class, has {100 * share:.2g}% of the pixels"
        yield Choice(TRAINING, "loss.dice", 1.0, "Dice beside cross-entropy", why)
    if data.has_instances:
        share = found.traits.touching_share
        height = recipe.loss.border_weight if share >= FEW_TOUCH else 0.0
        what = f"pixels between objects weigh up to {height:g} more" if height else "no weights between objects"
        yield Choice(TRAINING, "loss.border_weight", height, what, f"{share:.0%} of the objects touch another one")


def _shares(data: Dataset, found: Survey) -> list[tuple[float, str]]:
    """The share of the pixels of each class that occurs, and its name; of several heads the first."""
    head, names = next(iter(data.heads.items()))
    pixels = by_name(found.class_pixels)[head]
    return [(count / pixels.sum(), name) for count, name in zip(pixels, names, strict=True) if count]


def _epochs(recipe: Recipe, data: Dataset, surveys: Surveys) -> Iterator[Choice]:
    """Validations that take about a tenth of the time, but neither too many nor too few."""
    crop, held = recipe.data.crop, surveys.get("val")
    if crop is not None and held is not None:
        step = COST * recipe.data.batch_size * math.prod(crop)
        head = next(iter(data.heads))
        pixels = int(by_name(held.class_pixels)[head].sum()) + by_name(held.void_pixels)[head]
        steps = math.ceil((1 / VALIDATING - 1) * pixels / step / 10) * 10
        steps = min(max(steps, LEAST_EPOCH), MOST_EPOCH)
        why = f"a validation predicts {pixels / 1e6:.2g} million pixels, a step trains on {step / COST / 1e6:.2g}"
        yield Choice(TRAINING, "epoch_steps", steps, f"validated after each {steps} steps", why)


def _largest(found: Survey) -> tuple[int, int]:
    """The largest height and the largest width of the images."""
    return found.heights[1], found.widths[1]
