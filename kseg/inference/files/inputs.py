"""Finds the images that a person names: files, folders, and an image for each stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from kseg.datasets.own.ignored_files import unread_files
from kseg.errors import ConfigError, DataError, Setting
from kseg.images import is_image, stem_of


def list_images(paths: Iterable[str | Path]) -> list[Path]:
    """The image files among `paths`, and those directly in the folders among them, in order.

    Raises:
      DataError: a path does not exist, a folder has no image, or the results of two files would have the same name.
    """
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            inside = sorted(file for file in path.iterdir() if file.is_file() and is_image(file))
            if not inside:
                within = ", ".join(sorted(folder.name for folder in path.iterdir() if folder.is_dir())[:5])
                unread = "".join(f" It holds {words}." for words in unread_files(path))
                advice = f" Its own folders are not searched ({within}): name those you mean." if within else ""
                raise DataError(f"{path}: no image in this folder.{unread}", f"kseg reads PNG, JPEG and TIFF.{advice}")
            files += inside
        elif path.exists():
            files.append(path)
        else:
            raise DataError(f"{path}: there is no such file or folder.", "Name one that exists.")
    seen: dict[str, Path] = {}
    for file in files:
        stem = stem_of(file)
        if stem in seen:
            raise DataError(
                f"{seen[stem]} and {file}: both results would be called {stem}.*.",
                "Predict them into different folders.",
            )
        seen[stem] = file
    return files


def list_streams(paths: Mapping[str, str | Path], streams: Iterable[str]) -> list[dict[str, Path]]:
    """The images of all streams that belong together, by stream: they have the same name before the ending.

    Args:
      paths: a file or a folder for each stream.
      streams: the streams of the network.

    Raises:
      DataError: a stream is missing or unknown, or an image has no partner in another stream.
    """
    wanted = list(streams)
    if wanted == [""]:
        raise DataError(
            "The network takes one image, and no streams.", "Give files or folders in place of ", Setting("stream"), "."
        )
    if set(paths) != set(wanted):
        raise DataError(
            f"The network takes {' and '.join(wanted)}, found {' and '.join(paths) or 'no stream'}.",
            *each_stream(wanted),
        )
    files = {name: {stem_of(file): file for file in list_images([paths[name]])} for name in wanted}
    first, *others = files.values()
    for name, found in zip(wanted[1:], others, strict=True):
        lonely = sorted(first.keys() ^ found.keys())
        if lonely and len(first) + len(found) > 2:  # two single files may have any names
            raise DataError(
                f"{lonely[0]}: not an image of both {wanted[0]} ({paths[wanted[0]]}) and {name} ({paths[name]}).",
                "Give images that belong together the same name before the ending.",
            )
    rows = zip(*(found.values() for found in files.values()), strict=True)
    return [dict(zip(wanted, row, strict=True)) for row in rows]


def each_stream(names: Iterable[str]) -> list[str | Setting]:
    """The advice to give an image for each stream."""
    settings: list[str | Setting] = [part for name in names for part in (" ", Setting("stream", f"{name}=PATH"))]
    return ["Give each of them:", *settings, "."]


def check_apart(paths: Iterable[str | Path], files: Iterable[Path], folder: str | Path) -> None:
    """Checks that results in `folder` do not replace the images, nor lie among them.

    Args:
      paths: the files and folders that were named.
      files: the images among and in them.
      folder: where the results go.

    Raises:
      ConfigError: a result would replace an image, or be taken for an image the next time.
    """
    home = Path(folder).resolve()
    for path in map(Path, paths):
        if path.is_dir() and path.resolve() == home:
            raise ConfigError(
                f"{folder}: the images lie there. Results beside them would be taken for images the next time, and a "
                "result with the name of its image would replace it.",
                *("Name another folder (", Setting("output"), ")."),
            )
    for file in files:
        if file.parent.resolve() == home and file.suffix.lower() in (".png", ".tif"):
            raise ConfigError(
                f"{file}: its result in {folder} may have the same name and replace it.",
                *("Name another folder (", Setting("output"), ")."),
            )
