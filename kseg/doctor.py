"""Checks of the installation on this machine, each with advice if something is wrong."""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from kseg.device import ALLOCATOR, has_onednn, memory_bytes, onednn_advice, settings, trains_faster_compiled
from kseg.errors import did_you_mean, in_a_line

VARIABLES = ("KSEG_HOME", "KSEG_MIRROR", "KSEG_OFFLINE", "KSEG_TRACEBACK")
# Packages that write other contents into the same files as opencv-python-headless
_SHARED = ("opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")


@dataclass(frozen=True)
class Sign:
    """The result of one check.

    Attributes:
      name: what was checked.
      found: what was found, as text.
      advice: what to do; "" for nothing.
      wrong: whether kseg fails, or does not behave as documented, until that is done.
    """

    name: str
    found: str
    advice: str = ""
    wrong: bool = False

    def __str__(self) -> str:
        mark = "wrong: " if self.wrong else ""
        return f"{self.name:<24} {mark}{self.found}" + (f"\n{'':<24} {self.advice}" if self.advice else "")


def examine() -> list[Sign]:
    """Checks everything that kseg depends on; imports TensorFlow."""
    return [*_versions(), *_libraries(), *_machine(), *_variables()]


def _versions() -> Iterator[Sign]:
    """Python and the packages that setup.py asks for, as installed."""
    if _installed("kseg") is None:
        yield Sign("kseg", "not installed", "In kseg's folder, run: pip install -e .", wrong=True)
        return
    python, wanted = platform.python_version(), metadata.metadata("kseg")["Requires-Python"]
    fits = SpecifierSet(wanted).contains(python, prereleases=True)
    advice = "" if fits else f"kseg needs Python {wanted}. Make an environment with it: python3.12 -m venv .venv"
    yield Sign("python", python, advice, not fits)
    for text in metadata.requires("kseg") or []:
        needed = Requirement(text)
        if needed.marker is None or needed.marker.evaluate({"extra": ""}):
            found = _installed(needed.name)
            fits = found is not None and needed.specifier.contains(found, prereleases=True)
            advice = "" if fits else f"kseg needs {needed.name}{needed.specifier}: pip install '{needed}'"
            yield Sign(needed.name, found or "not installed", advice, not fits)
    if _installed("opencv-python-headless") and (others := [name for name in _SHARED if _installed(name)]):
        yield Sign(
            "cv2",
            f"{', '.join(others)} and opencv-python-headless are both installed, and overwrite each other's files",
            f"Keep one: pip uninstall -y {' '.join(others)} opencv-python-headless; pip install opencv-python-headless",
            wrong=True,
        )


def _installed(name: str) -> str | None:
    try:
        return metadata.version(canonicalize_name(name))
    except metadata.PackageNotFoundError:
        return None


def _libraries() -> Iterator[Sign]:
    """Whether the libraries that break most often can be imported, and the settings of Keras."""
    broken = [sign for name in ("cv2", "tensorflow", "keras") if (sign := _broken(name))]
    yield from broken
    if any(sign.name == "keras" for sign in broken):
        return
    import keras

    for name, found, right, variable in (
        ("keras backend", keras.backend.backend(), "tensorflow", "KERAS_BACKEND"),
        ("keras image format", keras.config.image_data_format(), "channels_last", "keras.config.set_image_data_format"),
        ("keras floatx", keras.config.floatx(), "float32", "keras.config.set_floatx"),
    ):
        advice = "" if found == right else f"kseg needs {right}. Check {variable} and ~/.keras/keras.json."
        yield Sign(name, found, advice, found != right)


def _broken(name: str) -> Sign | None:
    """The failed check of a library that can't be imported; None if it can."""
    try:
        importlib.import_module(name)
    except (ImportError, OSError, AttributeError) as error:  # incomplete installations raise each of these
        package = {"cv2": "opencv-python-headless"}.get(name, name)
        backend = os.environ.get("KERAS_BACKEND", "tensorflow")
        advice = f"Install it again: pip install --force-reinstall {package}"
        if name == "keras" and backend != "tensorflow":
            advice = f"KERAS_BACKEND is {backend}, but kseg needs tensorflow: unset KERAS_BACKEND"
        return Sign(name, f"can't be imported ({in_a_line(error, 1000)})", advice, wrong=True)
    return None


def _machine() -> Iterator[Sign]:
    """The processor, the memory, the GPU, and the settings that are in force on this machine."""
    yield Sign("processor", f"{os.cpu_count()} threads; {settings().kind}")
    memory = memory_bytes()
    yield Sign("memory", "unknown" if memory is None else f"{memory / 2**30:.1f} GiB")
    if _broken("tensorflow") or _broken("keras"):
        return
    import tensorflow as tf

    from kseg.inference.precision import settled_precision

    gpus = tf.config.list_physical_devices("GPU")
    advice = "" if gpus else "If this machine has one: pip install 'tensorflow[and-cuda]', and run nvidia-smi."
    yield Sign("GPU", f"{len(gpus)} that TensorFlow sees" if gpus else "none that TensorFlow sees", advice)
    yield Sign("precision auto", settled_precision("auto"))
    yield Sign("oneDNN", "on" if has_onednn() else "off", "" if gpus else onednn_advice())
    yield Sign("training steps", "compiled by XLA" if trains_faster_compiled() else "operation by operation")


def _variables() -> Iterator[Sign]:
    """The environment variables of kseg and of the memory allocator."""
    for name, value in sorted(os.environ.items()):
        if name.startswith("KSEG_"):
            advice = "" if name in VARIABLES else f"kseg has no such variable. {did_you_mean(name, VARIABLES)}"
            yield Sign(name, value, advice, bool(advice))
    if platform.libc_ver()[0] == "glibc":
        best = " ".join(f"{name}={size}" for name, size in ALLOCATOR.items())
        unset = [name for name in ALLOCATOR if name not in os.environ]
        found = ", ".join(f"{name}={os.environ.get(name, '(unset)')}" for name in ALLOCATOR)
        advice = f"To make batches up to a fifth faster in Python: export {best} (`train` and `data pack` set them)."
        yield Sign("allocator", found, advice if unset else "")
