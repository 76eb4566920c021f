"""Finds what is not read in a person's folders: files of other kinds, other folders."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from operator import attrgetter
from pathlib import Path

from kseg.datasets.own.pairing import Pair, folders_in
from kseg.images import is_image

MOST_NAMED = 3
# Files of operating systems, which are not worth a word.
_UNSAID = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
# Text files may be labels only if they have the name of an image, as YOLO's have.
_TEXTS = {".txt", ".md", ".csv", ".xml", ".yaml", ".yml", ".log", ".pdf", ".html", ".ini", ".tfw", ".pgw", ".jgw"}
_MEANT = {
    ".txt": "boxes or outlines of YOLO?",
    ".xml": "boxes of VOC or CVAT?",
    ".json": "outlines of LabelMe or COCO?",
    ".npy": "arrays of NumPy or Cellpose",
    ".npz": "arrays of NumPy",
    ".roi": "outlines of ImageJ",
    ".zip": "an archive, or outlines of ImageJ",
}
_HOW = " Save images as PNG or TIFF, and labels as images in which each pixel has its class."


def unread_files(folder: Path) -> list[str]:
    """Text about the files directly in `folder` that are not read, one for each ending."""
    stems = {path.stem for path in folder.iterdir() if is_image(path)}
    found: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir(), key=attrgetter("name")):
        name = path.name.lower()
        if is_image(path) or path.is_dir() or name.startswith(".") or name in _UNSAID:
            continue
        ending = ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()
        if ending not in _TEXTS and ending or path.stem in stems and ending in _MEANT:
            found.setdefault(ending, []).append(path.name)
    return [_listed(folder, ending, names) for ending, names in found.items()]


def unread_inputs(paths: Iterable[Path]) -> list[str]:
    """One sentence about what is not read in the folders among the paths; [] where all is read."""
    found = []
    for folder in (path for path in paths if path.is_dir()):
        found += unread_files(folder)
        found += [f"the folder {name}/ in {folder.name}/" for name in folders_in(folder)]
    return said(found)


def _listed(folder: Path, ending: str, names: Collection[str]) -> str:
    some = ", ".join([*names][:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")
    meant = f"; {_MEANT[ending]}" if ending in _MEANT else ""
    return f"{len(names)} {ending} in {folder.name}/ ({some}{meant})"


def said(found: Sequence[str], how: str = "") -> list[str]:
    """One sentence about what was not read; [] where all was."""
    return [f"not looked at: {'; '.join(found)}.{how}"] if found else []


def unread(root: Path, looked_into: Sequence[Path], paired: Sequence[Path], pairs: Collection[Pair]) -> list[str]:
    """One sentence about what was not read in a folder of images and labels; [] where all was.

    Args:
      root: the folder.
      looked_into: folders whose inner folders were looked at; `root` is one.
      paired: folders whose files were paired.
      pairs: the files that were paired.
    """
    used = list(dict.fromkeys([*paired, *looked_into]))
    files = [words for folder in used for words in unread_files(folder)]
    files_of_pairs = {path for pair in pairs for path in (pair.image, pair.label)}
    around = {path.parent for path in files_of_pairs}
    known = {*used, *files_of_pairs, *around, *(path for folder in around for path in folder.parents)}
    rest = []
    for folder in used:
        inside = sorted(folder.iterdir(), key=attrgetter("name"))
        images = 0 if folder in paired else sum(is_image(path) and path.is_file() for path in inside)
        rest += [f"{images} images directly in {folder.name}/"] if images else []
        for path in inside:
            if path not in known and path.is_dir() and path.name[0] not in "._" and any(path.iterdir()):
                rest.append(f"the folder {path.relative_to(root).as_posix()}/")
    return said([*files, *rest], how=_HOW if files else "")
