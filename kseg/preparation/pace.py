"""How many steps fit into the minutes that a training may take on this machine."""

from __future__ import annotations

import gc
import tempfile
import time
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import keras

from kseg.callbacks import Validate
from kseg.errors import ConfigError, Setting
from kseg.formats import clock
from kseg.inference.in_training import save_network
from kseg.log import LOG
from kseg.preparation.prepared import Prepared
from kseg.recipes.recipe import as_registered
from kseg.reports.choice import choose_readings
from kseg.training.devices import Devices, shared
from kseg.training.loop import readable
from kseg.training.step import step_of

MOST_S, MOST_STEPS = 5.0, 30  # how long steps are timed
IMAGES = 3  # that are scored to time a validation


@dataclass(frozen=True)
class Pace:
    """What the parts of a training take, in seconds.

    Attributes:
      start_s: the first step, in which TensorFlow traces or compiles it.
      step_s: a step, with the wait for its batch.
      epoch_s: what follows an epoch: the validation and the saved files.
      report_s: what follows the last epoch.
    """

    start_s: float
    step_s: float
    epoch_s: float
    report_s: float

    def steps(self, seconds: float, epoch_steps: int) -> int:
        """How many steps fit into `seconds`, with a validation after each `epoch_steps` and at the end; at least 1."""
        left = max(seconds - self.start_s - self.report_s, 0)
        epochs, left = divmod(left, epoch_steps * self.step_s + self.epoch_s)
        return max(int(epochs) * epoch_steps + max(int((left - self.epoch_s) / self.step_s), 0), 1)


def timed(prepared: Prepared, devices: Devices, *, folds: int = 1) -> Prepared:
    """The training with as many steps as fit into its `minutes`; unchanged where it has none, or is deterministic.

    Of a cross-validation it is one of so many trainings that share the minutes, and a report of all follows them.

    The speed is measured on a copy of the network that is thrown away. What is done here counts as part of the minutes.
    It is not measured for stages or for several workers: there the recipe's own minutes give way to its steps.

    Raises:
      ConfigError: other minutes than the recipe's own were asked for, but it has stages, or several workers train.
    """
    recipe = prepared.recipe
    if recipe.minutes is None or recipe.deterministic:
        return prepared
    if recipe.stages or devices.workers > 1:
        if recipe.minutes == as_registered(recipe).minutes:
            return replace(prepared, recipe=replace(recipe, minutes=None))
        what = f"{recipe.name} trains in stages" if recipe.stages else "several workers train"
        raise ConfigError(
            f"minutes is {recipe.minutes:g}, but {what}, for which the steps are not measured.",
            *("Say how many: ", Setting("steps", 1000), "."),
        )
    began = time.monotonic()
    found = _pace(prepared, devices)
    spent = time.monotonic() - began
    share = (60 * recipe.minutes - spent) / folds - (found.report_s if folds > 1 else 0)
    steps = found.steps(share, prepared.epoch_steps)
    minutes = f"{recipe.minutes:g} minutes"
    minutes += f", {recipe.minutes / folds:.3g} for each of {folds} trainings" if folds > 1 else ""
    LOG.info(
        "%s: %s steps of %.2f s, and %s s after each %d of them. Another `minutes` makes it longer or shorter.",
        *(minutes, f"{steps:,}", found.step_s, f"{found.epoch_s:.1f}", prepared.epoch_steps),
    )
    if steps < prepared.epoch_steps:
        short = clock(60 * recipe.minutes / folds)
        LOG.warning("%s is short: not even one epoch of %d steps.", short, prepared.epoch_steps)
    return replace(prepared, recipe=replace(recipe, steps=steps, epochs=None))


def _pace(prepared: Prepared, devices: Devices) -> Pace:
    """The pace of a training, measured."""
    model = prepared.network(devices)
    trial = replace(prepared, recipe=replace(prepared.recipe, steps=1 + MOST_STEPS, epochs=None))
    batches = trial.batches(model, devices)
    step = step_of(model, batches.element_spec, devices, compiled=prepared.is_compiled(devices))
    stream = readable(batches)
    start = time.monotonic()
    step(*shared(next(stream)[1], devices))
    first = time.monotonic()
    done = 0
    for _, batch in islice(stream, MOST_STEPS):
        step(*shared(batch, devices))
        done += 1
        if time.monotonic() - first > MOST_S:
            break
    step_s = (time.monotonic() - first) / max(done, 1)
    image_s = _image_s(prepared, model)
    counts = {part: len(data) for part, data in prepared.parts.items()}
    held = counts.get("val", 0)
    pace = Pace(
        first - start,
        step_s,
        held * image_s + _save_s(model),
        held * _choice_s(prepared, model) + len(prepared.scored) * image_s,
    )
    del model, step, stream, batches
    gc.collect()
    return pace


def _image_s(prepared: Prepared, model: keras.Model) -> float:
    """Seconds to predict and score an image."""
    few = prepared.looked_at[:IMAGES]
    validate = Validate(few, [prepared.measure])
    validate.set_model(model)
    validate.on_epoch_end(0)  # traces
    start = time.monotonic()
    validate.on_epoch_end(0)
    return (time.monotonic() - start) / len(few)


def _choice_s(prepared: Prepared, model: keras.Model) -> float:
    """Seconds per image of val to choose how the scores are read."""
    few = prepared.looked_at[:IMAGES]
    start = time.monotonic()
    choose_readings(model, few, prepared.measure)
    return (time.monotonic() - start) / len(few)


def _save_s(model: keras.Model) -> float:
    """Seconds to save the network, and the checkpoint with about twice its numbers for the optimiser."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.monotonic()
        save_network(model, Path(folder) / "model.keras")
        return 3 * (time.monotonic() - start)
