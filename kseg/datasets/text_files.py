"""Text files with one id or name per line."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from kseg.errors import DataError, EnvironmentFailure

# Lists that come with kseg; the modules that read them name their sources.
IDS = Path(__file__).with_name("ids")


def read_lines(path: Path) -> list[str]:
    """The lines of a text file without blank lines, surrounding spaces and the byte order mark.

    Raises:
      DataError: there is no such file, or it is no text.
      EnvironmentFailure: there is no permission, or the disk fails.
    """
    with opened(path) as file:
        try:
            lines = file.read().decode("utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise DataError(f"{path}: this is no text in UTF-8.", "Save it again in that encoding.") from error
    return [line.strip() for line in lines if line.strip()]


def opened(path: Path) -> BinaryIO:
    """A file of a data set, opened for reading.

    Raises:
      DataError: there is no such file.
      EnvironmentFailure: the system refuses it.
    """
    try:
        return open(path, "rb")
    except FileNotFoundError as error:
        fix = "Is this the data set as published, unpacked whole?"
        raise DataError(f"{path}: there is no such file.", fix) from error
    except OSError as error:
        what = f"{path}: can't be read ({error.strerror})."
        raise EnvironmentFailure(what, "Mend that, or copy it elsewhere.") from error
