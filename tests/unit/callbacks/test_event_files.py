import itertools
import json
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg
from kseg.callbacks import EventFiles, Samples
from kseg.callbacks.event_files import layer_graph
from kseg.errors import EnvironmentFailure, Interrupted
from kseg.objectives import PixelCrossEntropy


@pytest.fixture(scope="module")
def network():
    model = kseg.build("unet", width=2, depth=1, padding="same", dropout=0)
    model.compile("adam", PixelCrossEntropy())
    return model


def read(folder):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    found = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0})
    return found.Reload()


def epochs(callback, first, last):
    for epoch in range(first, last):
        for position in range(40):
            callback.on_train_batch_end(position, {"loss": epoch + 1.0})
        callback.on_epoch_end(epoch, {"loss": epoch + 1.0, "val_mean_iu": 0.1 * epoch})


def test_curves_pictures_and_the_graph_are_read_back_by_tensorboard(network, tmp_path):
    data = kseg.datasets.open("demo", split="val")
    samples = Samples(data, tmp_path / "samples", count=1)
    batches = kseg.batches(data, size=2, crop=(32, 32), steps=24).repeat()
    callbacks = [samples, EventFiles(tmp_path / "events", samples)]
    network.fit(batches, steps_per_epoch=24, epochs=2, shuffle=False, verbose=0, callbacks=callbacks)
    found = read(tmp_path / "events")
    assert {"loss", "epoch/loss", "learning_rate"} <= set(found.Tags()["scalars"])
    assert [event.step for event in found.Scalars("loss")] == [20, 40]
    assert [event.step for event in found.Scalars("epoch/loss")] == [24, 48]
    (tag,) = found.Tags()["images"]
    picture = found.Images(tag)[0]
    assert tag == "samples/cells_00" and picture.step == 24
    assert picture.encoded_image_string.startswith(b"\xff\xd8\xff") and picture.width <= 1024
    assert {node.name for node in found.Graph().node} >= {"image", "scaling", "enc0_conv1", "dec0_concat"}


def test_no_step_is_there_twice_after_a_training_was_taken_up_again(network, tmp_path, monkeypatch):
    seconds = itertools.count(1_700_000_000)  # TensorBoard orders files by the second in their names
    monkeypatch.setattr(time, "time", lambda: float(next(seconds)))
    first = EventFiles(tmp_path)
    first.set_model(network)
    first.on_train_begin()
    epochs(first, 0, 2)
    saved = first.state()
    epochs(first, 2, 4)  # lost: what came after the checkpoint was never seen to its end
    first.on_train_end()
    again = EventFiles(tmp_path)
    again.set_model(network)
    again.restore(saved)
    again.on_train_begin()
    epochs(again, 2, 3)
    again.on_train_end()
    found = read(tmp_path)
    assert [event.step for event in found.Scalars("val/mean_iu")] == [40, 80, 120]
    assert [event.step for event in found.Scalars("loss")] == [20, 40, 60, 80, 100, 120]
    assert found.Graph().node


def test_the_strips_of_the_finished_network_come_last(network, tmp_path):
    events = EventFiles(tmp_path)
    events.set_model(network)
    events.on_train_begin()
    epochs(events, 0, 2)
    events.on_train_end()
    events.finish({"cells": np.zeros((20, 90, 3), np.uint8)})
    found = read(tmp_path)
    assert [event.step for event in found.Images("samples/cells")] == [80]
    assert [event.step for event in found.Scalars("val/mean_iu")] == [40, 80]


def test_losses_of_an_unfinished_window_are_kept_over_a_break(network, tmp_path):
    first = EventFiles(tmp_path)
    first.set_model(network)
    first.on_train_begin()
    for loss in range(15):
        first.on_train_batch_end(0, {"loss": float(loss)})
    saved = json.loads(json.dumps(first.state()))
    first.on_train_end()
    again = EventFiles(tmp_path)
    again.set_model(network)
    again.restore(saved)
    again.on_train_begin()
    for loss in range(15, 20):
        again.on_train_batch_end(0, {"loss": float(loss)})
    again.on_train_end()
    assert [(event.step, event.value) for event in read(tmp_path).Scalars("loss")] == [(20, 9.5)]


def test_a_folder_that_is_a_file_is_named_in_one_sentence(network, tmp_path):
    (tmp_path / "events").write_text("")
    events = EventFiles(tmp_path / "events")
    events.set_model(network)
    with pytest.raises(EnvironmentFailure, match="events: can't be written .*Free some space or choose another place"):
        events.on_train_begin()
    events.on_train_end()


class FullDisk:
    """TensorBoard's writer where the disk is full."""

    def refuse(self, *_):
        raise tf.errors.ResourceExhaustedError(None, None, "events.out; No space left on device")

    add_event = flush = close = refuse


@pytest.fixture
def events_on_full_disk(network, tmp_path):
    events = EventFiles(tmp_path)
    events.set_model(network)
    events._writer = FullDisk()
    return events


def test_a_full_disk_is_told_in_one_sentence_wherever_it_shows(events_on_full_disk):
    events = events_on_full_disk
    full = pytest.raises(EnvironmentFailure, match="can't be written .*No space left on device.* Free some space")
    with full:
        events.on_epoch_end(0, {})
    events._writer.add_event = lambda event: None
    with full:
        events.on_epoch_end(0, {})
    with full:
        events.on_train_end()


def test_a_full_disk_at_the_end_hides_nothing_that_broke_the_training_off(events_on_full_disk):
    with pytest.raises(Interrupted):
        try:
            raise Interrupted("told to stop")
        finally:
            events_on_full_disk.on_train_end()


def test_pictures_are_kept_again_after_a_tenth_more_steps(network, tmp_path):
    samples = Samples(kseg.datasets.open("demo", split="val"), tmp_path)
    samples.drawn, samples.drawings = {"a": np.zeros((30, 2000, 3), np.uint8)}, 1
    events = EventFiles(tmp_path / "events", samples)
    events.set_model(network)
    events.on_train_begin()
    for _ in range(400):
        events.on_train_batch_end(0, {"loss": 1.0})
        samples.drawings += 1
        events.on_epoch_end(0, {"loss": 1.0})
    events.on_train_end()
    pictures = read(tmp_path / "events").Images("samples/a")
    kept = [picture.step for picture in pictures]
    assert kept[:3] == [1, 2, 3] and kept[-1] > 360 and len(kept) < 50
    assert all(later >= 1.1 * step for step, later in zip(kept, kept[1:], strict=False))
    assert {picture.width for picture in pictures} == {1024}


def test_a_graph_joins_the_layers_as_the_network_does(network):
    nodes = {node.name: node for node in layer_graph(network).node}
    assert nodes["enc0_conv1"].input == ["scaling"] and nodes["enc0_conv1"].op == "Conv2D"
    assert any(len(node.input) == 2 for node in nodes.values())  # the concatenation
    assert all(name in nodes for node in nodes.values() for name in node.input)


def test_a_network_of_another_kind_has_no_graph():
    assert layer_graph(keras.Sequential([keras.layers.Dense(1)])) is None


def test_the_values_are_the_mean_loss_of_twenty_steps_and_the_optimisers_rate(tmp_path):
    model = kseg.build("unet", depth=1, width=2, padding="same", normalization="batch")
    model.compile(keras.optimizers.SGD(0.125), PixelCrossEntropy())
    events = EventFiles(tmp_path)
    events.set_model(model)
    events.on_train_begin()
    for step in range(40):
        events.on_train_batch_end(step, {"loss": float(step)})
    events.on_epoch_end(0, {"loss": 19.5, "val_mean_iu": 0.25})
    events.on_train_end()
    found = {tag: [event.value for event in read(tmp_path).Scalars(tag)] for tag in read(tmp_path).Tags()["scalars"]}
    assert found["loss"] == [9.5, 29.5] and found["epoch/loss"] == [19.5]  # means of 0..19 and 20..39
    assert found["learning_rate"] == [0.125] and found["val/mean_iu"] == [0.25]


def test_operations_between_layers_are_nodes_of_the_graph():
    image = keras.Input((None, None, 1), name="image")
    model = keras.Model(image, keras.layers.Conv2D(2, 1, name="scores")(keras.ops.relu(image)))
    nodes = {node.name: list(node.input) for node in layer_graph(model).node}
    assert list(nodes)[0] == "image" and nodes["scores"] == [list(nodes)[1]] and nodes[list(nodes)[1]] == ["image"]
