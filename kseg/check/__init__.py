"""Finds what is wrong with a person's data, and writes a corrected copy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kseg.check.checked import Checked
from kseg.check.copy import write_copy
from kseg.check.finding import NO_HINDRANCE, Finding
from kseg.check.folder import check_pairs
from kseg.check.preflight import Needs, preflight
from kseg.check.registered import check_items
from kseg.check.sheet import contact_sheet
from kseg.check.text import in_words
from kseg.datasets import options_taken
from kseg.errors import ConfigError, DataError, SizeError
from kseg.options import checked

__all__ = ["Checked", "Finding", "Needs", "check", "contact_sheet", "in_words", "write_copy"]


def check(
    dataset: str,
    data_dir: str | Path | None = None,
    *,
    split: str | None = None,
    needs: Needs | None = None,
    **options: Any,
) -> Checked:
    """Finds everything that is wrong with a data set, file by file.

    Args:
      dataset: a registered name. Of `folder` and `list` every file is read, of others every item that their reader
        gives.
      data_dir, options: as `kseg.datasets.open` takes them.
      split: which part; None for all parts, which must not share an image.
      needs: what a training would ask of the data; None for what every training asks of a folder.

    Raises:
      DataError: the folder does not hold the data set, or no such split.
      ConfigError: there is no such data set or option.
    """
    options = checked(f"The data set {dataset!r}", options_taken(dataset), options)
    if dataset in ("folder", "list"):
        needs = needs or Needs()
        found = check_pairs(dataset, data_dir, split, options, needs)
    else:
        found = check_items(dataset, data_dir, split, options)
    if needs is not None and split is None and all(finding.kind in NO_HINDRANCE for finding in found.findings):
        try:
            preflight(dataset, data_dir, needs, options)
        except (ConfigError, DataError, SizeError) as error:
            found.findings.append(Finding.of("refused", dataset, error))
    return found
