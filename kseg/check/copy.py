"""Writes a corrected copy of a person's data: mends what can be mended, leaves out the rest, changes no original."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from kseg.check.checked import Checked, CheckedPair
from kseg.check.labels.label_findings import Mend
from kseg.datasets.labels.colours import codes_of
from kseg.datasets.labels.label_files import read_objects
from kseg.datasets.labels.smoothed import unshaded
from kseg.errors import ConfigError, DataError
from kseg.images import is_stack, open_pages, read_image, read_label, stack_writer, turned, write_image
from kseg.storage import aside, write_text

CHANGES, COLOURS, CLASSES = "changes.csv", "colours.csv", "classes.txt"
_HELD = {("uint8", 1), ("uint8", 3), ("uint16", 1)}


def write_copy(checked: Checked, folder: str | Path) -> list[tuple[str, str]]:
    """Writes the corrected copy, whole or not at all. Its changes.csv names every file that was changed.

    Args:
      checked: what was found in a `folder`.
      folder: a new one.

    Returns:
      The changes: the file and what was done.

    Raises:
      ConfigError: the folder exists.
      DataError: nothing would be left in it, or a file changed meanwhile.
      EnvironmentFailure: the disk is full, or the folder can't be written.
    """
    folder = Path(folder)
    if folder.exists():
        raise ConfigError(f"{folder}: this exists already.", "Name a new folder for the corrected copy.")
    if checked.root is None or checked.is_copy_empty:
        raise DataError(f"{folder}: no pair would be left in a corrected copy.", "Mend the files where they were made.")
    changes: list[tuple[str, str]] = [
        (finding.file, f"left out: {finding.what}")
        for finding in checked.findings
        if finding.kind in ("unpaired", "name")
    ]
    with aside(folder) as copy:
        for one in checked.pairs:
            changes += _write_pair(checked, one, copy)
        _write_names(checked, copy)
        with (copy / CHANGES).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("file", "change"), *changes])
    return changes


def _write_pair(checked: Checked, one: CheckedPair, copy: Path) -> list[tuple[str, str]]:
    """Writes one pair as it is or mended, and returns what was done to its files."""
    assert checked.root is not None
    image, label = one.pair.image, one.pair.label
    names = [path.relative_to(checked.root).as_posix() for path in (image, label)]
    if one.left_out:
        return [(name, f"left out: {one.left_out}") for name in names]
    target = copy / one.split
    for kind in ("images", "labels"):
        (target / kind).mkdir(parents=True, exist_ok=True)
    changes = []
    turn, stem = one.label_turn, one.pair.name.replace("/", "_")
    if one.image.orientation != 1 and turn is not None and _write_upright(image, target / "images" / stem):
        changes.append((names[0], f"turned upright by its orientation tag {one.image.orientation}"))
    else:
        shutil.copy2(image, target / "images" / f"{stem}{image.suffix}")
    mends = [checked.labels.mends.get((label, number)) for number in range(len(one.label.pages))]
    if label.is_dir():
        _write_label(target / "labels" / stem, [turned(read_objects(label), turn or 1)])
        changes.append((names[1], f"the masks in it became the numbers of {stem}"))
    elif turn in (1, None) and not any(mends):
        shutil.copy2(label, target / "labels" / f"{stem}{label.suffix}")
    else:
        pages = [turned(_mended(label, number, mend), turn or 1) for number, mend in enumerate(mends)]
        _write_label(target / "labels" / stem, pages)
        changes += [(names[1], deed) for deed in dict.fromkeys(_deed(mend) for mend in mends if mend)]
        if turn not in (1, None):
            changes.append((names[1], f"turned as its image, orientation tag {turn}"))
    changes += [
        (name, f"renamed to {stem}") for name, path in zip(names, (image, label), strict=True) if path.stem != stem
    ]
    return changes


def _write_upright(path: Path, stem: Path) -> bool:
    """Writes an image as its tag shows it to `stem`.png or .tif. Returns False where neither can hold its type."""
    pages = [open_pages(path)[number] for number in range(len(open_pages(path)))]
    if any((page.dtype.name, page.shape[2]) not in _HELD for page in pages):
        return False
    _write_pages(stem, [page[..., 0] if page.shape[2] == 1 else page for page in pages], as_stack=is_stack(path))
    return True


def _write_pages(stem: Path, pages: Sequence[np.ndarray], *, as_stack: bool) -> None:
    """Writes all pages as `stem`.tif, or the only one as `stem`.png."""
    if not as_stack:
        write_image(stem.with_name(f"{stem.name}.png"), pages[0])
        return
    with stack_writer(stem.with_name(f"{stem.name}.tif")) as write:
        for page in pages:
            write(page)


def _mended(path: Path, number: int, mend: Mend | None) -> np.ndarray:
    """A label page with its numbers corrected: (H, W) int32."""
    if mend is not None and mend.threshold:
        grey = read_image(path, number)[..., 0] if mend.lossy else read_label(path, number)
        return np.where(grey >= 128, mend.threshold, 0).astype(np.int32)
    if mend is not None and mend.colours is not None:
        numbers = {red << 16 | green << 8 | blue: new for (red, green, blue), new in mend.colours.items()}
        return _replaced(unshaded(codes_of(read_image(path, number)), numbers), numbers)
    stored = read_label(path, number)
    return stored if mend is None else _replaced(stored, mend.values)


def _replaced(array: np.ndarray, values: Mapping[int, int]) -> np.ndarray:
    """`array` (H, W) integers with some values replaced by others."""
    found, inverse = np.unique(array, return_inverse=True)
    return np.array([values.get(value, value) for value in found.tolist()], np.int32)[inverse].reshape(array.shape)


def _write_label(stem: Path, pages: Sequence[np.ndarray]) -> None:
    """Writes the pages (H, W) as `stem`.png, or as `stem`.tif where a PNG can't hold them."""
    lowest, highest = min(int(page.min()) for page in pages), max(int(page.max()) for page in pages)
    kind = np.int32 if lowest < 0 or highest > 65535 else np.uint8 if highest <= 255 else np.uint16
    pages = [np.ascontiguousarray(page, kind) for page in pages]
    _write_pages(stem, pages, as_stack=len(pages) > 1 or kind == np.int32)


def _deed(mend: Mend) -> str:
    """What a mend does, as text."""
    if mend.threshold:
        return f"{'saved without loss: ' if mend.lossy else ''}{mend.threshold} from grey level 128 on, else 0"
    if mend.colours is not None:
        return "colours to numbers"
    return "numbers " + ", ".join(f"{old} to {new}" for old, new in mend.values.items() if old != new)


def _write_names(checked: Checked, copy: Path) -> None:
    """Writes the numbers of the colours and the names of the classes. A colour without a name is its own name."""
    assert checked.root is not None
    table, colours = checked.table, checked.labels.colours
    names = [*(table.names if table else ())]
    if (checked.root / CLASSES).is_file():
        shutil.copyfile(checked.root / CLASSES, copy / CLASSES)
    elif colours and not names and sorted(colours.values()) == list(range(len(colours))):
        names = ["#{:02x}{:02x}{:02x}".format(*colour) for colour in colours]
        write_text(copy / CLASSES, "\n".join(names) + "\n")
    numbers = table.numbers if table else colours
    if not numbers:
        return
    named = bool(names)
    lines = ["number,class,red,green,blue" if named else "class,red,green,blue"]
    for colour, number in sorted(numbers.items(), key=lambda item: item[1]):
        name = f",{names[number] if number < len(names) else 'void'}" if named else ""
        lines.append(f"{number}{name},{','.join(map(str, colour))}")
    write_text(copy / COLOURS, "\n".join(lines) + "\n")
