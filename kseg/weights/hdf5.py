"""Reads HDF5 files of unknown origin: only datasets of plain numbers that lie in the file itself."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from kseg.errors import WeightsError, in_a_line

# zlib makes at most 1032 bytes out of one; the other filters keep the size
_DEFLATE, _SHUFFLE, _FLETCHER32 = 1, 2, 3
_GROWTH = 1032
_DEEPEST = 16
_SMALL_CHUNK_BYTES = 1 << 20


@contextmanager
def open_hdf5(path: str | Path) -> Iterator[dict[str, h5py.Dataset]]:
    """The datasets of the file by their paths, as "data/conv1_1/0", in the order of the file.

    Read them through `rows`, within the `with` block. Attributes are ignored.

    Raises:
      WeightsError: no HDF5 file, or a broken one; a link (soft, external, a circle of groups); a dataset that lies
        in another file (virtual, external), holds no plain numbers, or is larger than the file allows.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            if stream.read(8) != b"\x89HDF\r\n\x1a\n":
                raise WeightsError(f"{path}: no HDF5 file (other first bytes).", "Is it whole, and the right one?")
        file = h5py.File(path, "r")
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: there is no such file.", "Name one that exists.") from error
    except IsADirectoryError as error:
        raise WeightsError(f"{path}: a folder.", "Name a file of weights.") from error
    except PermissionError:
        raise
    except (OSError, RuntimeError) as error:
        raise WeightsError(f"{path}: broken HDF5 file ({in_a_line(error)}).", "Fetch it again.") from error
    with file:
        try:
            found = dict(_walk(file, "", set()))
        except WeightsError as error:
            raise WeightsError(f"{path}: {error.what}", *error.fix) from error
        except (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError) as error:
            raise WeightsError(f"{path}: broken HDF5 file ({in_a_line(error)}).", "Fetch it again.") from error
        yield found


def rows(dataset: h5py.Dataset) -> Callable[[int, int], np.ndarray]:
    """A function that gives rows start..stop of the dataset's first axis as float32.

    Raises:
      WeightsError: by that function, if the file is broken there.
    """

    def read(start: int, stop: int) -> np.ndarray:
        try:
            return np.asarray(dataset[start:stop], np.float32)
        except (OSError, RuntimeError, ValueError) as error:
            where = f"{dataset.file.filename}: {dataset.name.lstrip('/')}, rows {start} to {stop}"
            raise WeightsError(f"{where}: can't be read ({in_a_line(error)}).", "Fetch the file again.") from error

    return read


def _walk(group: h5py.Group, prefix: str, seen: set[int]) -> Iterator[tuple[str, h5py.Dataset]]:
    """The datasets under `group`.

    Raises:
      WeightsError: an object is there twice, or is a link; groups lie too deep, or a dataset is no plain numbers.
    """
    if prefix.count("/") > _DEEPEST:
        raise WeightsError(f"{prefix}: groups lie deeper than {_DEEPEST} levels.", "Is it a file of weights?")
    for name in group:
        path = prefix + name
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise WeightsError(f"{path}: a link to another object.", "Write the file anew with the data in it.")
        entry = group[name]
        address = h5py.h5o.get_info(entry.id).addr
        if address in seen:
            raise WeightsError(f"{path}: the same object under a second name.", "Write the file anew without that.")
        seen.add(address)
        if isinstance(entry, h5py.Group):
            yield from _walk(entry, path + "/", seen)
        elif isinstance(entry, h5py.Dataset):
            _check(entry, path)
            yield path, entry


def _check(dataset: h5py.Dataset, path: str) -> None:
    """Raises WeightsError unless the dataset is plain numbers that lie in the file."""
    if dataset.is_virtual or dataset.external:
        raise WeightsError(f"{path}: its data lie in another file.", "Write the file anew with the data in it.")
    if dataset.dtype.kind not in "fiu" or dataset.shape is None:
        raise WeightsError(f"{path}: holds {dataset.dtype}, not plain numbers.", "Weights are float16, 32 or 64.")
    count = math.prod(dataset.shape)
    wanted, stored = count * dataset.dtype.itemsize, dataset.id.get_storage_size()
    settings = dataset.id.get_create_plist()
    filters = [settings.get_filter(index)[0] for index in range(settings.get_nfilters())]
    if set(filters) - {_DEFLATE, _SHUFFLE, _FLETCHER32} or filters.count(_DEFLATE) > 1:
        raise WeightsError(
            f"{path}: compressed in an unusual way (filters {filters}).", "Write it with gzip, or uncompressed."
        )
    chunk = math.prod(dataset.chunks or (0,)) * dataset.dtype.itemsize
    size = Path(dataset.file.filename).stat().st_size
    growth = _GROWTH if _DEFLATE in filters else 1
    if stored > size or wanted > stored * growth or chunk > max(wanted, _SMALL_CHUNK_BYTES):
        raise WeightsError(
            f"{path}: claims {dataset.shape} numbers, {wanted:,} bytes in chunks of {chunk:,}, of which {stored:,} "
            "bytes are in the file.",
            "Fetch the file again.",
        )
