"""What lies in a person's folders and is not looked at: files that kseg does not read, other folders."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path

from kseg.datasets.pairing import Pair
from kseg.images import is_image

MOST_NAMED = 3
# What systems and people put beside images, and nobody misses.
_UNSAID = {"thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"}
# Texts say something only where they are called as an image, as YOLO's labels are.
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
_HOW = "Save images as PNG or TIFF, and labels as images in which each pixel has its class."


def unread_files(folder: Path) -> list[str]:
    """The files directly in `folder` that are not read, by their endings, in words."""
    stems = {path.stem for path in folder.iterdir() if is_image(path)}
    found: dict[str, list[str]] = {}
    for path in sorted(folder.iterdir()):
        name = path.name.lower()
        if path.is_dir() or is_image(path) or name.startswith(".") or name in _UNSAID:
            continue
        ending = ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()
        if ending not in _TEXTS and ending or path.stem in stems and ending in _MEANT:
            found.setdefault(ending, []).append(path.name)
    return [_in_words(folder, ending, names) for ending, names in found.items()]


def _in_words(folder: Path, ending: str, names: Collection[str]) -> str:
    some = ", ".join([*names][:MOST_NAMED]) + (", ..." if len(names) > MOST_NAMED else "")
    meant = f"; {_MEANT[ending]}" if ending in _MEANT else ""
    return f"{len(names)} {ending} in {folder.name}/ ({some}{meant})"


def said(found: Iterable[str], *, labels: bool = True) -> list[str]:
    """One sentence of what was not looked at; none where there is nothing."""
    text = "; ".join(found)
    return [f"not looked at: {text}." + (f" {_HOW}" if " in " in text and labels else "")] if text else []


def unread(root: Path, used: Collection[Path], pairs: Collection[Pair]) -> list[str]:
    """One sentence of what was not looked at in a folder of images and labels.

    Args:
      root: the folder.
      used: the folders in it that were looked into.
      pairs: the files that were paired.
    """
    files = [words for folder in dict.fromkeys([*used, root]) for words in unread_files(folder)]
    known = {*used}
    for pair in pairs:
        for path in (pair.image, pair.label):
            known |= {path, *path.parents}
    folders = []
    for folder in dict.fromkeys([root, *used]):
        for path in sorted(folder.iterdir()):
            if path.is_dir() and path not in known and path.name[0] not in "._" and any(path.iterdir()):
                folders.append(f"the folder {path.relative_to(root).as_posix()}/")
    return said([*files, *folders])
