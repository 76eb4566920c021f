"""OpenVINO: the forward pass. Left to itself it computes in bfloat16 where that is fast, so the precision is set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import openvino

PRECISIONS = {"float32": "f32", "mixed_bfloat16": "bf16", "mixed_float16": "f16"}


def load(task: Any) -> str:
    return task.file


def caller(file: str, task: Any) -> Callable[[], Any]:
    settings = {"INFERENCE_PRECISION_HINT": PRECISIONS[task.precision], "INFERENCE_NUM_THREADS": str(task.threads)}
    settings |= {"PERFORMANCE_HINT": "LATENCY"}
    network = openvino.Core().compile_model(file, "CPU", settings)
    image = task.work.image(task.batch).transpose(0, 3, 1, 2).copy()
    return lambda: network(image)[0].transpose(0, 2, 3, 1)
