import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
import tifffile

import kseg
from kseg.errors import ConfigError, EnvironmentFailure, Interrupted, TrainingDiverged
from kseg.images import write_image
from kseg.runs.dry_run import rehearse
from kseg.runs.stages import Stage
from kseg.runs.start import settled
from kseg.runs.trainer import _lost

SLIM = {
    "model.width": 2, "model.depth": 1, "model.normalization": "none", "data.crop": "16,16", "data.batch_size": 1,
    "optimizer.name": "sgd", "steps": 1, "precision": "float32",
}  # fmt: skip


@pytest.fixture
def halves(tmp_path):
    """Ten grey images, bright on the right, and their labels."""
    label = np.zeros((20, 20), np.uint8)
    label[:, 10:] = 1
    for number in range(10):
        write_image(tmp_path / "data" / "images" / f"{number}.png", label * 200)
        write_image(tmp_path / "data" / "labels" / f"{number}.png", label)
    return tmp_path / "data"


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_a_training_states_its_precision_and_its_report_is_in_float32(halves, precision):
    run = kseg.train("own-unet", data_dir=halves, run=halves.parent / "run", settings={**SLIM, "precision": precision})
    assert json.loads((run.folder / "config.json").read_text())["precision"] == precision
    assert json.loads((run.folder / "report.json").read_text())["precision"] == "float32"
    assert run.report.protocol.endswith(", float32.")
    assert precision in (run.folder / "MODEL_CARD.md").read_text()
    assert run.model.get_layer("enc0_conv1").dtype_policy.name == precision
    assert keras.config.dtype_policy().name == "float32"


def test_a_deterministic_training_and_the_next_run_on_a_processor_that_others_compile_for(halves):
    # In a process of its own, since all of TensorFlow is deterministic from then on.
    script = f"""
import kseg, kseg.training.step.one_step as step
step.trains_faster_compiled = lambda: True
for name, deterministic in (("one", True), ("two", False)):
    settings = {SLIM} | {{"deterministic": deterministic}}
    kseg.train("own-unet", data_dir={str(halves)!r}, run={str(halves.parent)!r} + "/" + name, settings=settings)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_papers_training_takes_its_first_step_at_a_slim_width(tmp_path):
    label = np.zeros((30, 24, 24), np.uint8)
    label[:, :, :10], label[:, :, 12:] = 255, 255
    for name in ("train-volume.tif", "train-labels.tif"):
        tifffile.imwrite(tmp_path / name, label, photometric="minisblack", metadata=None)
    settings = {"model.width": 1, "steps": 1, "average": "none"}
    run = kseg.train("isbi2012-unet-paper", data_dir=tmp_path, run=tmp_path / "run", settings=settings)
    assert run.model.get_layer("enc0_conv1").dtype_policy.name == "mixed_float16"
    assert run.report.precision == "float32" and 0 <= run.model.get_layer("reading").reading.threshold < 1
    assert run.model.compute_output_shape((1, 572, 572, 1)) == (1, 388, 388, 2)


def test_a_run_goes_on_with_its_own_recipe_precision_and_data(halves, capsys):
    settings = {**SLIM, "steps": 4, "epoch_steps": 2, "precision": "mixed_bfloat16"}
    run = kseg.train("own-unet", data_dir=halves, run=halves.parent / "run", settings=settings)
    rows = (run.folder / "metrics.jsonl").read_text().splitlines()
    (run.folder / "report.json").unlink()
    again = kseg.train(run=run.folder)
    assert "going on after step 4 of 4" in capsys.readouterr().err
    assert json.loads((run.folder / "config.json").read_text())["precision"] == "mixed_bfloat16"
    assert again.report.precision == "float32" and again.report.mean_iu == run.report.mean_iu
    settings["precision"] = "auto"
    earlier = run.folder / "checkpoints" / "step-000002"
    kseg.train("own-unet", data_dir=halves, settings=settings, resume=earlier)
    assert "going on after step 2 of 4" in capsys.readouterr().err
    redone = (run.folder / "metrics.jsonl").read_text().splitlines()
    assert redone[0] == rows[0] and json.loads(redone[1])["step"] == 4 and len(redone) == 2


@pytest.mark.parametrize("here", ["avx2", "avx512f"])
def test_a_run_goes_on_with_the_steps_it_began_with_and_a_new_one_as_the_processor_wants(halves, monkeypatch, here):
    from kseg import device
    from kseg.training import loop

    made, real = [], loop.step_of

    def noted(model, element_spec, devices, *, compiled):
        made.append(compiled)
        return real(model, element_spec, devices, compiled=compiled)

    monkeypatch.setattr(loop, "step_of", noted)
    monkeypatch.setattr(device, "_flags", lambda: "avx2" if here == "avx512f" else "avx512f")
    settings = {**SLIM, "steps": 2, "optimizer.schedule": "constant"}
    run = kseg.train("own-unet", data_dir=halves, run=halves.parent / "run", settings=settings)
    began = json.loads((run.folder / "config.json").read_text())
    assert (began["processor"], began["compiled"]) == (("AVX2", True) if here == "avx512f" else ("AVX-512", False))
    monkeypatch.setattr(device, "_flags", lambda: here)
    kseg.train(run=run.folder, settings={"steps": 3})
    assert json.loads((run.folder / "config.json").read_text())["compiled"] is began["compiled"]
    kseg.train("own-unet", data_dir=halves, run=halves.parent / "new", settings=settings)
    assert made == [here == "avx512f", here == "avx512f", here == "avx2"]
    whole = {**settings, "data.crop": "none"}
    run = kseg.train("own-unet", data_dir=halves, run=halves.parent / "whole", settings=whole)
    assert json.loads((run.folder / "config.json").read_text())["compiled"] is False  # XLA needs one size


def test_an_interrupted_training_says_what_goes_on(halves, monkeypatch):
    monkeypatch.setattr("kseg.runs.one_stage.run_steps", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Interrupted, match=r"kseg.train\(run='.*run'\) goes on"):
        kseg.train("own-unet", data_dir=halves, run=halves.parent / "run", settings=SLIM)


def test_data_without_a_data_set_are_not_taken_for_the_demos(halves):
    with pytest.raises(ConfigError, match="not said which data set this is. Pass settings={\"data.name\": 'folder'}"):
        kseg.train(data_dir=halves, settings=SLIM)


def test_a_step_that_does_not_fit_into_memory_says_so(halves, monkeypatch):
    def full(*_, **__):
        raise tf.errors.ResourceExhaustedError(None, None, "failed to allocate memory")

    monkeypatch.setattr("kseg.objectives.PixelCrossEntropy.sums", full)
    with pytest.raises(EnvironmentFailure, match="does not fit into memory. Pass a smaller batch_size"):
        rehearse("own-unet", data_dir=halves, settings=SLIM)


def test_what_is_interrupted_before_the_first_step_leaves_nothing(halves, monkeypatch):
    monkeypatch.setattr("kseg.runs.one_stage.newest_of", lambda *_: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted) as caught:
        kseg.train("own-unet", data_dir=halves, run=halves.parent / "run", settings=SLIM)
    assert caught.value.folder is None and not (halves.parent / "run").exists()


def test_one_callback_needs_no_list(halves):
    seen = []
    counting = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(epoch))
    kseg.train("own-unet", data_dir=halves, run=halves.parent / "run", settings=SLIM, callbacks=counting)
    assert seen == [0]


def test_a_callback_that_sets_the_rate_is_refused_beside_a_schedule_before_the_first_step(halves):
    setting = keras.callbacks.LearningRateScheduler(lambda epoch: 0.1)
    with pytest.raises(ConfigError, match="LearningRateScheduler sets the learning rate"):
        kseg.train("own-unet", data_dir=halves, run=halves.parent / "run", settings=SLIM, callbacks=setting)
    assert not (halves.parent / "run").exists()


def test_a_run_whose_checkpoints_are_gone_begins_anew_and_says_so(halves, capsys):
    run = kseg.train("own-unet", data_dir=halves, run=halves.parent / "run", settings=SLIM)
    shutil.rmtree(run.folder / "checkpoints")
    (run.folder / "report.json").unlink()
    kseg.train(run=run.folder)
    assert "there is no whole checkpoint, so the training begins at the first step" in capsys.readouterr().err


def test_summed_losses_under_mixed_float16_begin_at_a_scale_that_fits(halves):
    settings = {**SLIM, "precision": "mixed_float16", "loss.average": "none", "steps": 4, "data.crop": "512,512"}
    settings |= {"model.width": 1, "optimizer.name": "adam", "optimizer.learning_rate": 1e-6}
    run = kseg.train("own-unet", data_dir=halves, run=halves.parent / "run", settings=settings)
    assert json.loads((run.folder / "metrics.jsonl").read_text().splitlines()[-1])["skipped"] <= 2


def test_what_diverged_says_which_files_came_first(halves):
    wild = {"optimizer.name": "sgd", "optimizer.learning_rate": 1e38, "optimizer.schedule": "constant", "steps": 9}
    wild["optimizer.skip"] = 1
    with pytest.raises(TrainingDiverged, match=r"at step \d of 9: the output of layer .*, of \d, \d\.") as caught:
        kseg.train(
            "own-unet", data_dir=halves, run=halves.parent / "run", settings={**SLIM, **wild, "data.batch_size": 2}
        )
    assert caught.value.exit_code == 4


def test_a_rehearsal_tells_what_a_training_takes_and_writes_nothing(halves):
    (found,) = rehearse("own-unet", data_dir=halves, run=halves.parent / "run", settings={**SLIM, "steps": 100})
    # Convolutions of 20, 38, 76, 148, 34 (up), 74, 38 and 6 weights.
    assert found.parameters == 434 and found.memory_bytes > 2**20 and found.step_s > 0
    assert "unet, 434 parameters" in str(found) and " for 100 steps" in str(found)
    assert "10:00:00 for 36,000 steps" in str(dataclasses.replace(found, step_s=1.0, steps=36_000))
    assert [path.name for path in halves.parent.iterdir()] == ["data"]


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="the system forgets no peak of memory")
def test_a_rehearsal_does_not_count_the_memory_that_was_used_before(halves):
    resource = pytest.importorskip("resource")
    np.ones(1 << 29, np.uint8)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    (found,) = rehearse("own-unet", data_dir=halves, settings=SLIM)
    assert found.memory_bytes < before


def test_where_a_worker_is_lost_in_a_stage_the_stages_checkpoint_is_named(tmp_path):
    stages = [Stage(None, tmp_path / name) for name in ("stages/a", "stages/b", "")]
    lost = tf.errors.UnavailableError(None, None, "connection reset")
    assert "No checkpoint was made yet" in str(_lost(lost, stages))
    for name in ("stages/a/checkpoints/step-000009", "stages/b/checkpoints/step-000002"):
        (tmp_path / name).mkdir(parents=True)
    assert "stages/b/checkpoints/step-000002 is the newest checkpoint" in str(_lost(lost, stages))


def test_the_saved_network_opens_in_plain_keras(halves):
    run = kseg.train("own-unet", data_dir=halves, run=halves.parent / "run", settings=SLIM)
    for name in ("model", "last"):
        network = keras.saving.load_model(run.folder / f"{name}.keras")
        assert not network.compiled  # neither loss nor optimiser, which plain Keras does not know


def test_a_data_set_of_a_paper_is_trained_by_its_recipe():
    for dataset, recipe in {"voc2012": "voc-fcn8s", "nyudv2": "nyud-fcn32s-rgb", "packed": "own-unet"}.items():
        assert settled(None, {"data.name": dataset}, None).name == recipe


def test_callbacks_of_ones_own_come_after_the_scores_and_may_keep_a_state(halves):
    class Diary(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.scores = []

        def on_epoch_end(self, epoch, logs=None):
            self.scores.append(logs["val_mean_iu"])

        def state(self):
            return {"scores": self.scores}

        def restore(self, state):
            self.scores = state["scores"]

    first, settings = Diary(), {**SLIM, "steps": 2, "epoch_steps": 1}
    run = kseg.train("own-unet", data_dir=halves, run=halves.parent / "run", settings=settings, callbacks=[first])
    assert len(first.scores) == 2
    (run.folder / "report.json").unlink()
    again = Diary()
    kseg.train(run=run.folder, callbacks=[again])
    assert again.scores == first.scores


def test_the_report_is_of_the_best_network_where_the_last_is_worse(halves):
    class Ruin(keras.callbacks.Callback):
        """Takes away what was learned, after the first epoch."""

        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 1:
                for variable in self.model.trainable_variables:
                    variable.assign(tf.zeros_like(variable))
                self.model.optimizer.learning_rate = 0.0

    # One weight for brightness, which tells bright from dark after a few steps; of zeros all is dark.
    layers = [keras.Input((None, None, 1)), keras.layers.Rescaling(1 / 255), keras.layers.Conv2D(2, 1)]
    settings = {"data.name": "folder", "data.crop": "16,16", "data.batch_size": 4, "precision": "float32"}
    settings |= {"steps": 40, "epoch_steps": 20, "optimizer.learning_rate": 0.3, "optimizer.schedule": "constant"}
    run = kseg.train(
        data_dir=halves,
        model=keras.Sequential(layers),
        run=halves.parent / "run",
        settings=settings,
        callbacks=Ruin(),
    )
    data = kseg.datasets.open("folder", halves, split="val")
    best, last = (kseg.evaluate(kseg.load(run.folder / f"{name}.keras"), data) for name in ("model", "last"))
    assert last.mean_iu == pytest.approx(0.25)  # half the pixels right: IU 1/2 and 0
    assert run.report.mean_iu == best.mean_iu > last.mean_iu
    assert json.loads((run.folder / "report.json").read_text())["mean_iu"] == best.mean_iu
