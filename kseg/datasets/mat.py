"""MATLAB files, as several published sets keep their labels in."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kseg.datasets.lines import opened
from kseg.errors import DataError


def read_mat(path: Path, variable: str) -> Any:
    """One variable of a MATLAB file of version 4 to 7, an array with a field per member where it is a struct.

    Raises:
      DataError: the file is missing or damaged, of version 7.3, or has no such variable.
      EnvironmentFailure: there is no permission, or the disk fails.
    """
    from scipy.io import loadmat  # a quarter of a second, which only these sets pay

    with opened(path) as file:
        try:
            found = loadmat(file, variable_names=[variable])
        except NotImplementedError as error:
            raise DataError(f"{path}: MATLAB's version 7.3, where 5 was published. Take the published file.") from error
        except Exception as error:  # scipy raises whatever its parser stumbles over
            reason = " ".join(str(error).split())[:120] or type(error).__name__
            raise DataError(f"{path}: no MATLAB file, or a damaged one ({reason}). Copy it again.") from error
    if variable not in found:
        raise DataError(f"{path}: there is no variable {variable} in it. Is this the data set as published?")
    return found[variable]
