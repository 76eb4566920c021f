"""Files for TensorBoard: curves, sample pictures, and the network's graph."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kseg.callbacks.samples import Samples
from kseg.errors import EnvironmentFailure
from kseg.pictures import fitted, jpeg

LOSS_STEPS = 20  # steps per point of the loss curve
PICTURES_GROW = 1.1  # the next pictures are written after so many times the steps, since TensorBoard shows ten of each
PICTURE_WIDTH = 1024


class EventFiles(keras.callbacks.Callback):
    """Writes curves, the strips that `samples` draws, and the network's layers as a graph for TensorBoard.

    The horizontal axis shows steps. A training that is resumed tells TensorBoard to drop what an earlier process wrote
    about steps that are repeated. If the disk is full, or the folder can't be written, EnvironmentFailure is raised.
    """

    def __init__(self, folder: str | Path, samples: Samples | None = None) -> None:
        super().__init__()
        self.folder, self.samples = Path(folder), samples
        self._step = 0
        self._writer: Any = None
        self._losses: list[float] = []
        self._pictured_at, self._pictured = 0.0, 0

    def state(self) -> dict[str, Any]:
        return {"step": self._step, "pictured_at": self._pictured_at, "losses": list(self._losses)}

    def restore(self, state: dict[str, Any]) -> None:
        self._step, self._pictured_at = state["step"], state["pictured_at"]
        self._losses = list(state["losses"])

    def on_train_begin(self, logs: dict | None = None) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog

        self._open()
        # TensorBoard drops the events of earlier files from this step on.
        self._add(self._step + 1, session_log=SessionLog(status=SessionLog.START))
        if self._step == 0:
            graph = layer_graph(self.model)
            if graph is not None:
                self._add(0, graph_def=graph.SerializeToString())

    def on_train_batch_end(self, batch: int, logs: dict | None = None) -> None:
        self._step += 1
        loss = float((logs or {}).get("loss", math.nan))
        if math.isfinite(loss):
            self._losses.append(loss)
        if self._step % LOSS_STEPS == 0 and self._losses:
            self._scalars({"loss": sum(self._losses) / len(self._losses)})
            self._losses.clear()

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        figures = {
            f"val/{key[4:]}" if key.startswith("val_") else f"epoch/{key}": value for key, value in (logs or {}).items()
        }
        self._scalars({**figures, "learning_rate": float(tf.convert_to_tensor(self.model.optimizer.learning_rate))})
        if self.samples and self.samples.drawings > self._pictured and self._step >= PICTURES_GROW * self._pictured_at:
            self._pictured_at, self._pictured = self._step, self.samples.drawings
            self._pictures(self.samples.drawn)
        with self._writing():
            self._writer.flush()

    def on_train_end(self, logs: dict | None = None) -> None:
        writer, self._writer = self._writer, None
        if writer is None:
            return
        has_failed = sys.exception() is not None  # the error that ended the training is more important
        try:
            with self._writing():
                writer.close()
        except EnvironmentFailure:
            if not has_failed:
                raise

    def finish(self, strips: Mapping[str, Any]) -> None:
        """Adds the strips of the finished network, by the items' ids, at the last step."""
        self._open()
        self._pictures(strips)
        self.on_train_end()

    def _open(self) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        with self._writing():
            self._writer = EventFileWriter(str(self.folder))

    def _scalars(self, figures: Mapping[str, Any]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=tag, simple_value=float(value)) for tag, value in figures.items()]
        self._add(self._step, summary=Summary(value=values))

    def _pictures(self, strips: Mapping[str, Any]) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        for name, strip in strips.items():
            picture = fitted(strip, PICTURE_WIDTH) if strip.shape[1] > PICTURE_WIDTH else strip
            height, width = picture.shape[:2]
            image = Summary.Image(height=height, width=width, colorspace=3, encoded_image_string=jpeg(picture))
            self._add(self._step, summary=Summary(value=[Summary.Value(tag=f"samples/{name}", image=image)]))

    def _add(self, step: int, **what: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        with self._writing():
            self._writer.add_event(Event(step=step, wall_time=time.time(), **what))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turns errors of the system and of TensorBoard's writer into an EnvironmentFailure."""
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            reason = error.message if isinstance(error, tf.errors.OpError) else error.strerror or str(error)
            raise EnvironmentFailure(
                f"{self.folder}: can't be written ({reason}).", "Free some space or choose another place."
            ) from error


def layer_graph(model: keras.Model) -> Any:
    """The layers of a functional network as TensorBoard's GraphDef, names split at dots; None for any other model."""
    from tensorboard.compat.proto.graph_pb2 import GraphDef

    layers = model.get_config().get("layers", []) if isinstance(model, keras.Model) else []
    if not layers or "inbound_nodes" not in layers[0]:
        return None

    graph = GraphDef()
    made = {each.name: each for each in model.operations}  # also keras.ops between layers
    for layer in layers:
        before = dict.fromkeys(name.replace(".", "/") for name in _layers_named_in(layer["inbound_nodes"]))
        node = graph.node.add(name=layer["name"].replace(".", "/"), op=layer["class_name"], input=list(before))
        node.attr["output"].s = str(getattr(made[layer["name"]].output, "shape", "")).encode()
    return graph


def _layers_named_in(value: Any) -> Iterator[str]:
    """The layers that a layer's `inbound_nodes` name."""
    if isinstance(value, Mapping):
        if "keras_history" in value:
            yield value["keras_history"][0]
        value = list(value.values())
    if isinstance(value, list | tuple):
        for each in value:
            yield from _layers_named_in(each)
