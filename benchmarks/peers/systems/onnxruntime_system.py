"""ONNX Runtime: the forward pass in float32."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnxruntime


def load(task: Any) -> str:
    return task.file


def caller(file: str, task: Any) -> Callable[[], Any]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = task.threads
    session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    image = task.work.image(task.batch).transpose(0, 3, 1, 2).copy()
    return lambda: session.run(None, {"image": image})[0].transpose(0, 2, 3, 1)
