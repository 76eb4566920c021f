"""The requests that a server replays when it has loaded a bundle, so that the first person does not wait.

A server refuses a bundle with more than 1,000 of them, or with one that fails. They have small images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kseg.bundles.graph import BYTES, MASK, PROBABILITIES, SCORES
from kseg.serving.messages import new, tensors

FILE = Path("assets.extra", "tf_serving_warmup_requests")


def write_warm_up(folder: Path, name: str, images: Sequence[Mapping[str, np.ndarray]]) -> None:
    """Writes a request for each signature and each image.

    Args:
      folder: of the bundle.
      name: the model's name on the server.
      images: by stream, (1, H, W, C) in the type that the network takes.
    """
    (folder / FILE).parent.mkdir(exist_ok=True)
    with tf.io.TFRecordWriter(str(folder / FILE)) as writer:
        for request in _requests(name, images):
            writer.write(new("PredictionLog", predict_log=new("PredictLog", request=request)).SerializeToString())


def _requests(name: str, images: Sequence[Mapping[str, np.ndarray]]) -> Iterator[Any]:
    for streams in images:
        stored = {stream or "images": image for stream, image in streams.items()}
        for signature in (MASK, SCORES, PROBABILITIES):
            yield request_of(name, signature, stored)
        if all(image.dtype != np.float32 and image.shape[3] in (1, 3) for image in streams.values()):
            files = {stream: np.array([png_of(image[0])], object) for stream, image in stored.items()}
            yield request_of(name, BYTES, files)


def request_of(name: str, signature: str, inputs: Mapping[str, np.ndarray]) -> Any:
    """The message that asks for a signature."""
    spec = new("ModelSpec", name=name, signature_name=signature)
    return new("PredictRequest", model_spec=spec, inputs=tensors(inputs))


def png_of(image: np.ndarray) -> bytes:
    """The PNG of an image (H, W, 1 or 3) uint8 or uint16."""
    return tf.io.encode_png(image).numpy()
