import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.callbacks import KeepBest, MetricsLog
from kseg.errors import Interrupted, TrainingDiverged, WeightsError
from kseg.inference import set_precision
from kseg.objectives import PixelCrossEntropy
from kseg.training import checkpoint
from kseg.training.checkpoint import Keeper, Position, newest_whole, read_checkpoint, sweep
from kseg.training.loop import Plan, run_steps
from kseg.training.optimizers import freeze, make_optimizer
from kseg.training.specs import CheckpointSpec, OptimizerSpec


def network(precision: str = "float32", width: int = 2) -> keras.Model:
    keras.utils.set_random_seed(0)
    model = kseg.build("unet", width=width, depth=1, padding="same", normalization="batch", dropout=0.5)
    set_precision(model, precision)
    compiled(model, precision)
    return model


def compiled(model: keras.Model, precision: str) -> None:
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(0.02, 6))
    scaled = precision == "mixed_float16"
    model.compile(keras.optimizers.LossScaleOptimizer(optimizer) if scaled else optimizer, PixelCrossEntropy())


def small(precision: str = "float32") -> keras.Model:
    """What a U-Net has to keep in a checkpoint, in a network whose graph is quickly made."""
    keras.utils.set_random_seed(0)
    image = keras.Input((None, None, 1))
    x = keras.layers.Conv2D(2, 3, padding="same", use_bias=False)(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Dropout(0.5)(keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.9)(x)))
    x = keras.layers.Dropout(0.5)(keras.layers.Conv2D(2, 3, padding="same", activation="relu")(x))
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(x))
    set_precision(model, precision)
    compiled(model, precision)
    return model


def batches(start: int = 0):
    data = kseg.datasets.open("demo", split="val")
    return kseg.batches(data, crop=(16, 16), start=start, steps=6 - start)


class Scores(keras.callbacks.Callback):
    """Gives each epoch the score it is told."""

    def __init__(self, *scores: float) -> None:
        super().__init__()
        self.scores = scores

    def on_epoch_end(self, epoch, logs=None):
        logs["val_mean_iu"] = self.scores[epoch]


def parts(folder, *scores: float) -> list[keras.callbacks.Callback]:
    return [Scores(*(scores or [0.0] * 6)), KeepBest(folder / "model.keras"), MetricsLog(folder)]


def keeper_of(folder, model, callbacks=(), **options) -> Keeper:
    return Keeper(folder, CheckpointSpec(**options), model, callbacks, SimpleNamespace(asked=False))


def names(folder) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run folder with a checkpoint after three steps, in the middle of the second epoch."""
    folder = tmp_path_factory.mktemp("trained")
    model, callbacks = network(), parts(folder)
    keeper = keeper_of(folder, model, callbacks, every_steps=3)
    run_steps(model, batches().take(3), Plan(6, 2), callbacks=callbacks, keeper=keeper)
    assert names(folder) == ["step-000002", "step-000003"]
    return folder


@pytest.fixture
def saved(trained, tmp_path):
    return shutil.copytree(trained, tmp_path / "run")


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_a_training_taken_up_in_the_middle_of_an_epoch_ends_as_the_unbroken_one(precision, tmp_path):
    ends = []
    for folder, stops in ((tmp_path / "whole", [6]), (tmp_path / "broken", [3, 4, 6])):
        for stop in stops:
            model, callbacks = small(precision), parts(folder)
            keeper = keeper_of(folder, model, callbacks, every_steps=1)
            found = newest_whole(folder / "checkpoints")
            if found:
                keeper.restore(found)
            begun = keeper.position.step
            stream = batches(begun).take(stop - begun)
            run_steps(model, stream, Plan(6, 4), callbacks=callbacks, keeper=keeper)
        ends.append(read_checkpoint(folder / "checkpoints" / "step-000006"))
        rows = [(row["epoch"], row["step"], row["loss"]) for row in callbacks[2].rows]
        ends.append([number for row in rows for number in row])
    np.testing.assert_allclose(ends[3], ends[1], rtol=1e-5)
    assert [ends[1][index] for index in (0, 1, 3, 4)] == [1, 4, 2, 6]
    for one, other in zip(ends[0].variables, ends[2].variables, strict=True):
        # Threads may add up in another order; bit for bit is what --deterministic is for.
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("stops", [[6], [1, 2, 3, 4, 5, 6]])
def test_keras_callbacks_go_on_where_they_were(stops, tmp_path):
    watched = {"monitor": "val_mean_iu", "mode": "max", "min_delta": 0}
    for stop in stops:
        model = small()
        model.compile(keras.optimizers.SGD(0.1), PixelCrossEntropy())
        others = [
            keras.callbacks.ReduceLROnPlateau(patience=2, factor=0.5, **watched),
            keras.callbacks.EarlyStopping(patience=3, **watched),
        ]
        callbacks = [*parts(tmp_path, 0.5, 0.4, 0.3, 0.2, 0.6, 0.6), *others]
        keeper = keeper_of(tmp_path, model, callbacks)
        if found := newest_whole(tmp_path / "checkpoints"):
            keeper.restore(found)
        begun = keeper.position.step
        run_steps(model, batches(begun).take(stop - begun), Plan(6, 1), callbacks=callbacks, keeper=keeper)
    # Two epochs below 0.5 halve the rate, three end the training for good.
    assert keeper.position.step == 4 and keeper.position.stopped
    assert float(model.optimizer.learning_rate) == pytest.approx(0.05)


@pytest.mark.parametrize("stops", [[6], [3, 4, 6]])
def test_a_row_of_skipped_steps_goes_on_after_a_break(stops, tmp_path):
    for stop in stops:
        model = small()
        keeper = keeper_of(tmp_path, model, every_steps=1)
        if found := newest_whole(tmp_path / "checkpoints"):
            keeper.restore(found)
        begun = keeper.position.step
        image, label = next(iter(batches()))[:2]
        broken = tf.data.Dataset.from_tensors((image * np.nan, label)).repeat(stop - begun)
        try:
            run_steps(model, broken, Plan(7, 7, skip=4), keeper=keeper)
        except TrainingDiverged as error:
            assert keeper.position.row == 4 and "the image holds NaN" in str(error)
            return
    pytest.fail("not noticed")


def test_dropout_seeds_optimiser_and_loss_scale_are_in_it(tmp_path):
    model = network("mixed_float16")
    keeper = keeper_of(tmp_path, model)
    model.optimizer.dynamic_scale.assign(77.0)
    seeds = [variable for variable in model.variables if "seed_generator" in variable.path]
    for number, seed in enumerate(seeds):
        seed.assign([number, 5])
    keeper.save()
    other = network("mixed_float16")
    keeper_of(tmp_path, other).restore(read_checkpoint(tmp_path / "checkpoints" / "step-000000"))
    assert float(other.optimizer.dynamic_scale) == 77.0
    restored = [variable.numpy().tolist() for variable in other.variables if "seed_generator" in variable.path]
    assert restored == [[number, 5] for number in range(len(seeds))] and len(seeds) == 2


@pytest.mark.parametrize("file", ["state.npz", "best.keras"])
def test_a_byte_changed_anywhere_is_noticed_or_changes_nothing(saved, file):
    path = saved / "checkpoints" / "step-000003"
    whole, content = read_checkpoint(path), (path / file).read_bytes()
    noticed = 0
    for place in np.linspace(0, len(content) - 1, 60).astype(int):
        (path / file).write_bytes(content[:place] + bytes([content[place] ^ 0xFF]) + content[place + 1 :])
        try:
            found = read_checkpoint(path)
        except WeightsError as error:
            assert str(path) in str(error) and "damaged" in str(error)
            noticed += 1
        else:
            assert found.callbacks == whole.callbacks and found.position == whole.position
            for one, other in zip(found.variables, whole.variables, strict=True):
                np.testing.assert_array_equal(one, other)
    assert noticed > 30


@pytest.mark.parametrize("harm", ["state.npz", "best.keras"])
def test_a_damaged_checkpoint_is_named_and_passed_over(saved, harm, capsys):
    path = saved / "checkpoints" / "step-000003"
    assert newest_whole(saved / "checkpoints").path == path
    content = (path / harm).read_bytes()
    (path / harm).unlink()  # best.keras has other names, whose content must stay
    (path / harm).write_bytes(content[: len(content) // 2])
    assert newest_whole(saved / "checkpoints").position == Position(2, pytest.approx(1.4, abs=1), losses=2)
    assert f"passed over: {path}: this checkpoint is damaged" in capsys.readouterr().err
    shutil.rmtree(saved / "checkpoints" / "step-000002")
    assert newest_whole(saved / "checkpoints") is None


@pytest.mark.parametrize("stops", [[6], [4, 6]])
def test_the_newest_and_the_best_are_kept(stops, tmp_path):
    for stop in stops:
        model, callbacks = small(), parts(tmp_path, 0.1, 0.9, 0.2, 0.3, 0.4, 0.5)
        keeper = keeper_of(tmp_path, model, callbacks, keep=2)
        if found := newest_whole(tmp_path / "checkpoints"):
            keeper.restore(found)
        begun = keeper.position.step
        stream = batches(begun).take(stop - begun)
        run_steps(model, stream, Plan(6, 1), callbacks=callbacks, keeper=keeper)
    assert names(tmp_path) == ["step-000002", "step-000005", "step-000006"]
    assert read_checkpoint(tmp_path / "checkpoints" / "step-000006").best_step == 2


def test_a_checkpoint_is_made_by_steps_by_minutes_and_at_an_epochs_end(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    keeper = keeper_of(tmp_path, network(), every_steps=10, every_minutes=2, keep=9)
    for step, seconds, ended in ((1, 0, False), (2, 119, False), (3, 120, False), (4, 239, False), (5, 239, True)):
        now[0] = seconds
        keeper.after_step(Position(step), epoch_ended=ended)
    keeper.after_step(Position(10), epoch_ended=False)
    assert names(tmp_path) == ["step-000003", "step-000005", "step-000010"]


def test_what_is_told_to_stop_saves_first(tmp_path):
    stop = SimpleNamespace(asked=True)
    keeper = Keeper(tmp_path, CheckpointSpec(), network(), [], stop)
    with pytest.raises(Interrupted, match="after step 7; the state is saved"):
        keeper.after_step(Position(7, 1.5), epoch_ended=False)
    assert read_checkpoint(tmp_path / "checkpoints" / "step-000007").position == Position(7, 1.5)


def test_an_earlier_checkpoint_takes_the_later_ones_place(saved):
    model, callbacks = network(), parts(saved)
    keeper = keeper_of(saved, model, callbacks)
    keeper.restore(read_checkpoint(saved / "checkpoints" / "step-000002"))
    keeper.save()
    assert names(saved) == ["step-000002"]


def test_the_best_network_and_the_rows_of_that_time_come_back(saved):
    best = (saved / "model.keras").read_bytes()
    (saved / "model.keras").unlink()
    (saved / "model.keras").write_bytes(b"of steps that are to come again")
    (saved / "metrics.jsonl").write_text("{}\n{}\n")
    keeper_of(saved, network(), parts(saved)).restore(newest_whole(saved / "checkpoints"))
    assert (saved / "model.keras").read_bytes() == best
    assert len((saved / "metrics.jsonl").read_text().splitlines()) == 1


def test_a_checkpoint_of_another_network_is_refused(saved):
    keeper = keeper_of(saved, network(width=3), parts(saved))
    with pytest.raises(WeightsError, match="step-000003: .* variables that do not fit"):
        keeper.restore(newest_whole(saved / "checkpoints"))


def frozen(*rates: str) -> keras.Model:
    model, spec = network(), OptimizerSpec(rate_factors=rates)
    freeze(spec, model)
    model.compile(make_optimizer(spec, 6), PixelCrossEntropy())
    return model


def test_a_checkpoint_of_a_network_with_frozen_layers_has_all_weights_and_no_moments_of_those(tmp_path):
    model = frozen("enc*:0")
    model.get_layer("enc0_conv1").kernel.assign(np.full((3, 3, 1, 2), 7.0))
    keeper_of(tmp_path, model).save()
    saved = read_checkpoint(tmp_path / "checkpoints" / "step-000000")
    other = frozen("enc*:0")
    keeper_of(tmp_path, other).restore(saved)
    assert other.get_layer("enc0_conv1").kernel.numpy().tolist() == np.full((3, 3, 1, 2), 7.0).tolist()
    # Adam has two moments for each weight: of the twelve in the first two blocks it has none.
    assert len(keeper_of(tmp_path, frozen())._variables) == len(saved.variables) + 24
    with pytest.raises(WeightsError, match="variables that do not fit"):
        keeper_of(tmp_path, frozen()).restore(saved)


def test_what_a_killed_process_was_writing_is_removed(saved):
    for name in (".kseg-a/model.keras", "checkpoints/.kseg-b/step-000004/state.npz"):
        (saved / name).parent.mkdir(parents=True)
        (saved / name).write_bytes(b"half")
    assert newest_whole(saved / "checkpoints").position.step == 3
    sweep(saved)
    assert not list(saved.rglob(".kseg-*")) and len(names(saved)) == 2


def test_a_checkpoint_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    """What a power cut would show, and no killed process does."""
    events = []
    fsync, replace, rename = os.fsync, os.replace, Path.rename
    paths = lambda handle: Path(os.readlink(f"/proc/self/fd/{handle}")).name  # noqa: E731
    monkeypatch.setattr(os, "fsync", lambda handle: (events.append(f"to disk: {paths(handle)}"), fsync(handle)))
    monkeypatch.setattr(
        os, "replace", lambda one, other: (events.append(f"named: {Path(other).name}"), replace(one, other))
    )
    monkeypatch.setattr(Path, "rename", lambda self, to: (events.append(f"named: {Path(to).name}"), rename(self, to)))
    keeper = keeper_of(tmp_path, network())
    keeper.save()
    named = events.index("named: step-000000")
    assert events.index("to disk: state.npz") < named and events.index("to disk: step-000000") < named
    assert "to disk: checkpoints" in events[named:]
