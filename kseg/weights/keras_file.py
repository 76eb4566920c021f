"""Networks that Keras saved."""

from __future__ import annotations

import zipfile
from pathlib import Path

import keras

from kseg.errors import Setting, WeightsError, in_a_line


def read_keras_file(path: Path) -> keras.Model:
    """The network in a `.keras` file.

    Raises:
      WeightsError: it can't be loaded.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise zipfile.BadZipFile("no zip archive, which .keras files are")
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise WeightsError(
            f"{path}: this file can't be loaded ({in_a_line(error)}).",
            "Is it whole, and written by Keras 3? If it has layers of your own, import their module first (",
            Setting("plugin"),
            ").",
        ) from error
