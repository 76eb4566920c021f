"""Tables of colours, which programs write beside labels in colours to say which colour means which class."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from kseg.datasets.contract import VOID
from kseg.datasets.text_files import read_lines
from kseg.errors import DataError, Setting
from kseg.images import ColouredLabel, is_stack, open_pages

Colour = tuple[int, int, int]
# The names in kseg's corrected copies, in CVAT and VOC, and in CamVid and its successors.
TABLES = ("colours.csv", "colors.csv", "labelmap.txt", "class_dict.csv", "label_colors.txt")
NAMES_OF_VOID = {"void", "unlabelled", "unlabeled", "ignore", "ignored", "unknown"}
_NUMBER, _NAME = ("number", "id", "class_id"), ("name", "class_name", "label", "class")
_CHANNELS = (("red", "r"), ("green", "g"), ("blue", "b"))


@dataclass(frozen=True)
class ColourTable:
    """The number of each colour, 255 for void, and the names of the classes, () where the table has none."""

    path: Path
    numbers: Mapping[Colour, int]
    names: tuple[str, ...] = ()

    @property
    def has_void(self) -> bool:
        return VOID in self.numbers.values()


def find_table(root: Path, named: str | None) -> ColourTable | None:
    """The table that was named, else the one in `root`.

    Raises:
      DataError: there is no such file, it is no table of colours, or `root` has two.
    """
    there = [root / name for name in TABLES if (root / name).is_file()]
    if named is None and len(there) > 1:
        what = f"{root}: {' and '.join(path.name for path in there)} could both say which colour is which class."
        raise DataError(what, "Keep one, or name it: ", Setting("data.colours"), ".")
    if named is None:
        return read_table(there[0]) if there else None
    path = Path(named) if Path(named).is_file() or not (root / named).is_file() else root / named
    return read_table(path)


def read_table(path: Path) -> ColourTable:
    """The table in `path`: CSV with columns red, green, blue and name or number; or lines NAME:R,G,B or R G B NAME.

    Classes without a number are numbered in the order of the lines, but a class called background is the first.

    Raises:
      DataError: it is no such table, or has a colour or a number twice.
    """
    lines = [line for line in read_lines(path) if not line.startswith("#")]
    rows = list(_of_csv(lines) if path.suffix.lower() == ".csv" else _of_text(lines))
    if not rows:
        what = f"{path}: no table of colours."
        raise DataError(what, "Write a line class,red,green,blue and below it one line per class, as car,64,0,128.")
    rows.sort(key=lambda row: row[1].lower() != "background")
    free = iter(range(len(rows)))
    numbers: dict[Colour, int] = {}
    names: dict[int, str] = {}
    for number, name, colour in rows:
        if colour in numbers or max(colour) > 255:
            wrong = "is there twice" if colour in numbers else "has a number above 255"
            raise DataError(f"{path}: the colour {colour} {wrong}.", "Mend the table.")
        if name.lower() in NAMES_OF_VOID or number == VOID:
            numbers[colour] = VOID
        else:
            numbers[colour] = next(free) if number is None else number
            if numbers[colour] > VOID or names.setdefault(numbers[colour], name) != name:
                both = f"{names.get(numbers[colour]) or 'one class'} and of {name or 'another'}"
                what = f"{path}: {numbers[colour]} is the number of {both}, or above {VOID}."
                raise DataError(what, "Give every class a number of its own, or leave all numbers out.")
    complete = names.keys() == set(range(len(names))) and all(names.values())
    return ColourTable(path, numbers, tuple(names[number] for number in range(len(names))) if complete else ())


def _of_csv(lines: list[str]) -> Iterator[tuple[int | None, str, Colour]]:
    reader = csv.DictReader(lines, skipinitialspace=True)
    columns = {(name or "").strip().lower().replace(" ", "_"): name for name in reader.fieldnames or ()}
    channels = [next((columns[name] for name in names if name in columns), None) for names in _CHANNELS]
    if None in channels:
        return
    for row in reader:
        cells = {name: (row.get(column) or "").strip() for name, column in columns.items()}
        number = next((cells[name] for name in _NUMBER if name in cells), "")
        name = next((cells[name] for name in _NAME if name in cells), "")
        if not number and _is_number(name):
            number, name = name, ""
        values = [str(row.get(channel) or "").strip() for channel in channels]
        if all(map(_is_number, values)):
            yield int(number) if _is_number(number) else None, name, (int(values[0]), int(values[1]), int(values[2]))


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10


def _of_text(lines: list[str]) -> Iterator[tuple[int | None, str, Colour]]:
    for line in lines:
        named = re.match(r"(?P<name>[^:]+):\s*(?P<r>\d+)\s*,\s*(?P<g>\d+)\s*,\s*(?P<b>\d+)", line)
        found = named or re.match(r"(?P<r>\d+)\s+(?P<g>\d+)\s+(?P<b>\d+)\s+(?P<name>.+)$", line)
        if found:
            yield None, found["name"].strip(), (int(found["r"]), int(found["g"]), int(found["b"]))


def read_coloured(path: Path, page: int, table: ColourTable) -> np.ndarray | None:
    """The class numbers of the colours in a label, (H, W) int32; None where the label holds numbers.

    A file of grey levels holds numbers. So does a file with a palette whose colours are not in the table.

    Raises:
      ColouredLabel: a colour is not in the table.
    """
    pages = open_pages(path)
    has_palette = pages.shape[-1] == 1 and not is_stack(path) and _mode(path) == "P"
    if pages.shape[-1] < 3 and not has_palette:
        return None
    image = pages[page]
    if image.dtype != np.uint8 or image.shape[-1] != 3:
        return None
    codes = codes_of(image)
    known = {red << 16 | green << 8 | blue: number for (red, green, blue), number in table.numbers.items()}
    found, inverse = np.unique(codes, return_inverse=True)
    unknown = [code for code in found.tolist() if code not in known]
    if unknown and has_palette:
        return None
    if unknown:
        row, column = np.argwhere(codes == unknown[0])[0]
        where = f"at row {row}, column {column}"
        what = f"{path}: the colour {colour_of(unknown[0])} {where} is not in {table.path.name}."
        fix = "Add it there; the corrected copy of `kseg data check` is without the shades along smoothed edges."
        raise ColouredLabel(what, fix)
    return np.array([known[code] for code in found.tolist()], np.int32)[inverse].reshape(codes.shape)


def codes_of(image: np.ndarray) -> np.ndarray:
    """One number per pixel of an image (H, W, 3) uint8: (H, W) int32."""
    return image.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)


def colour_of(code: int) -> Colour:
    """The red, green and blue of a pixel's number."""
    return code >> 16, code >> 8 & 255, code & 255


def _mode(path: Path) -> str:
    with Image.open(path) as picture:
        return picture.mode
