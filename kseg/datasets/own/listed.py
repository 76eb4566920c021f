"""Images and labels that a table names line by line.

DIR/list.csv        image,label,split,weight
                    scans/a.png,drawn/a_mask.png,train,1
                    scans/b.png,drawn/b_mask.png,val,1

Paths start at the table's folder. Without a column `split` about a fifth of the images are held out, by a hash of each
path. Without `weight` all weights are 1.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from kseg.datasets.contract import DATASETS, find_root
from kseg.datasets.own.folder import Folder
from kseg.datasets.own.layouts import SPLIT_OF
from kseg.datasets.own.pairing import Pair
from kseg.errors import ConfigError, DataError, Setting, in_a_line

COLUMNS = ("image", "label", "split", "weight")


@DATASETS.register("list")
class Listed(Folder):
    """Your own images and labels as list.csv names them: columns image, label[, split][, weight].

    Args:
      data_dir: the table, the folder that holds list.csv, or the one around it.
      split: one that the table names, or all; train or val where it names none.
      instances, classes, ignore_class, values, colours, enlarge_labels, split_rule, axes, alpha, orientation, upright:
        as `folder` takes them.
    """

    name = "list"

    def _find(self, data_dir: str | Path | None) -> tuple[Path, dict[str, list[Pair]]]:
        if self._leave:
            raise ConfigError("data.unlabelled can't apply to a table: each line names a label.", "Leave it out.")
        table = table_in(data_dir)
        rows = read_table(table)
        self.has_weights = "weight" in rows[0][1]
        self.root = table.parent
        parts = pairs_of(table, rows)
        return self.root, self._divide(parts[""], table) if "" in parts else parts

    def _stem(self, pair: Pair) -> str:
        """The image's path, since a table may name a/image.png and b/image.png."""
        path = pair.image.relative_to(self.root) if pair.image.is_relative_to(self.root) else pair.image
        return "_".join(part for part in (path.parent / path.stem).parts if part not in ("..", path.anchor))


def table_in(data_dir: str | Path | None) -> Path:
    """The table: `data_dir` itself, or list.csv in it, in a folder in it, or in the folder around it.

    Raises:
      DataError: there is no table.
    """
    given = Path(data_dir or "")
    if given.suffix.lower() == ".csv" and given.is_file():
        return given
    advice = ("A table of another name is passed itself: ", Setting("data_dir", "TABLE.csv"), ".")
    return find_root("list", data_dir, ["list.csv"], if_none=advice) / "list.csv"


def pairs_of(table: Path, rows: Sequence[tuple[int, Mapping[str, str]]]) -> dict[str, list[Pair]]:
    """The pairs in the rows by split, "" where there is no such column; training and validation are train and val.

    Raises:
      DataError: a weight is no number of 0 or more.
    """
    parts: dict[str, list[Pair]] = {}
    for line, row in rows:
        name = row.get("split", "")
        split = SPLIT_OF.get(name.lower(), name)
        pair = Pair(table.parent / row["image"], table.parent / row["label"], weight=_weight(table, line, row))
        parts.setdefault(split, []).append(pair)
    return parts


def read_table(path: Path) -> list[tuple[int, dict[str, str]]]:
    """The rows of `path` with the numbers of their lines; a row is a dict by the names of the columns.

    Raises:
      DataError: it is no table in UTF-8, a column is unknown or missing, a cell is empty, or there is no row.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True, strict=True)
            columns = [column.strip() for column in reader.fieldnames or ()]
            reader.fieldnames = columns
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: no table in UTF-8 ({in_a_line(error)}).", "Save it as CSV with commas.") from error
    if not {"image", "label"} <= set(columns) <= set(COLUMNS) or len(columns) != len(set(columns)):
        what = f"{path}: the first line names the columns {', '.join(columns) or '(none)'}."
        raise DataError(what, "They must be image and label; split and weight may follow, with commas between.")
    for line, row in rows:
        if None in row or not all(isinstance(cell, str) and cell.strip() for cell in row.values()):
            what = f"{path}: line {line} does not have {len(columns)} cells with something in each."
            raise DataError(what, "Fill it in.")
    if not rows:
        what = f"{path}: there is no line below the names of the columns."
        raise DataError(what, "Name an image and a label in each.")
    found = [(line, {column: cell.strip() for column, cell in row.items()}) for line, row in rows]
    for line, row in found:
        if row.get("split") == "all":
            raise DataError(f"{path}: line {line} names the split all, which stands for every line.", "Name another.")
    return found


def _weight(table: Path, line: int, row: Mapping[str, str]) -> float:
    try:
        weight = float(row.get("weight", "1"))
    except ValueError:
        weight = -1.0
    if not 0 <= weight < float("inf"):
        raise DataError(f"{table}: line {line} has the weight {row['weight']!r}.", "It must be a number, 0 or above.")
    return weight
