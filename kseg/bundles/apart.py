"""A bundle in processes of their own: through TensorFlow's C API, and in another interpreter's TensorFlow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kseg.bundles.c_api import framed, unframed
from kseg.errors import ExportError, in_a_line
from kseg.serving.messages import parsed

_PROGRAM = """
import sys, numpy as np, tensorflow as tf
try:
    import tensorflow_addons
    beside = tensorflow_addons.__version__
except ImportError:
    beside = "none"
given = np.load(sys.argv[2])
call = tf.saved_model.load(sys.argv[1]).signatures["serving_default"]
count = len({name.split("/")[0] for name in given.files})
found = {}
for number in range(count):
    mine = [name for name in given.files if name.split("/")[0] == str(number)]
    inputs = {name.split("/", 1)[1]: tf.constant(given[name]) for name in mine}
    found.update({f"{number}/{name}": each.numpy() for name, each in call(**inputs).items()})
np.savez(sys.argv[3], **found)
print(tf.__version__, beside)
"""


class VerificationFailed(ExportError):
    """A bundle that a server must not get."""

    exit_code = 1


def in_c(folder: Path, requests: Sequence[Any]) -> tuple[dict[str, Any], list[Any], list[float]]:
    """The signatures of a bundle, its answers to requests, and the seconds of each, through TensorFlow's C API.

    Raises:
      VerificationFailed: the bundle can't be loaded.
    """
    with tempfile.TemporaryDirectory() as place:
        asked, answered = Path(place, "requests"), Path(place, "answers")
        asked.write_bytes(framed(list(requests)))
        words = [sys.executable, "-m", "kseg.bundles.c_api", str(folder), str(asked), str(answered)]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=_environment())
        if done.returncode:
            raise VerificationFailed(f"A server could not load the bundle: {_last_line(done.stderr)}")
        signatures, times = done.stdout.strip().splitlines()
        answers = [parsed("PredictResponse", each) for each in unframed(answered.read_bytes())]
    return json.loads(signatures), answers, json.loads(times)


def _environment() -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    paths = os.pathsep.join([root, *filter(None, [os.environ.get("PYTHONPATH")])])
    return {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": paths}


def in_python(python: str, folder: Path, images: Sequence[Mapping[str, np.ndarray]]) -> tuple[str, list[Any]]:
    """The versions of TensorFlow and tensorflow-addons in another interpreter, and the masks that it computes.

    Args:
      python: the interpreter, which needs nothing of kseg.
      folder: of the bundle.
      images: (H, W, C) by stream.

    Returns:
      The versions in words, and for each image its masks (1, H, W) by the names of the outputs.

    Raises:
      VerificationFailed: it can't run the bundle.
    """
    given = {
        f"{number}/{stream or 'images'}": image[None]
        for number, streams in enumerate(images)
        for stream, image in streams.items()
    }
    with tempfile.TemporaryDirectory() as place:
        np.savez(Path(place, "given.npz"), **given)  # type: ignore[arg-type]
        words = [python, "-c", _PROGRAM, str(folder), f"{place}/given.npz", f"{place}/found.npz"]
        own = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "KERAS_BACKEND")}
        done = subprocess.run(words, capture_output=True, text=True, check=False, env=own)
        if done.returncode:
            raise VerificationFailed(f"{python} could not run the bundle: {_last_line(done.stderr)}")
        with np.load(Path(place, "found.npz")) as found:
            masks = [
                {name.partition("/")[2]: found[name] for name in found.files if name.split("/")[0] == str(number)}
                for number in range(len(images))
            ]
    return " with tensorflow-addons ".join(done.stdout.split()[-2:]), masks


def _last_line(text: str) -> str:
    return in_a_line((text.strip().splitlines() or ["it ended without a word"])[-1], 300)
