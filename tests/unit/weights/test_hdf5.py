import h5py
import numpy as np
import pytest

from kseg.errors import WeightsError
from kseg.weights.hdf5 import open_hdf5, rows

NUMBERS = np.arange(60, dtype=np.float32).reshape(4, 15)


def written(path, fill):
    with h5py.File(path, "w") as file:
        fill(file)
    return path


def test_plain_and_compressed_numbers_are_read_row_by_row(tmp_path):
    def fill(file):
        file["a/plain"] = NUMBERS
        file["double"] = NUMBERS.astype(np.float64)
        file.create_dataset("a/b/small", data=NUMBERS, compression="gzip", shuffle=True)
        file.create_dataset("zeros", data=np.zeros((1000, 1000), np.float32), compression="gzip", chunks=(100, 1000))

    with open_hdf5(written(tmp_path / "a.h5", fill)) as datasets:
        assert set(datasets) == {"a/plain", "double", "a/b/small", "zeros"}
        for place in ("a/plain", "double", "a/b/small"):
            found = rows(datasets[place])(1, 3)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, NUMBERS[1:3])


def _external(file):
    file.create_dataset("a", (10,), "f4", external=[("/etc/hostname", 0, 40)])


def _virtual(file):
    layout = h5py.VirtualLayout((4, 15), "f4")
    layout[:] = h5py.VirtualSource("other.h5", "a", (4, 15))
    file.create_virtual_dataset("a", layout)


def _twice(file):
    file["a"] = NUMBERS
    file["b"] = file["a"]


def _circle(file):
    file["a/b"] = file["/"]


def _deep(file):
    file["/".join("abcdefghijklmnopqrstuvwxyz")] = NUMBERS


def _soft(file):
    file["a"] = h5py.SoftLink("/b")


def _outside(file):
    file["a"] = h5py.ExternalLink("/etc/other.h5", "a")


def _words(file):
    file["a"] = ["one", "two"]


def _nothing(file):
    file["a"] = h5py.Empty("f4")


def _claimed(file):
    file.create_dataset("a", (10**6, 10**6), "f4")


def _claimed_in_pieces(file):
    file.create_dataset("a", (10**6, 10**6), "f4", compression="gzip", chunks=(100, 100))[:9, :9] = 1


def _one_large_piece(file):
    file.create_dataset("a", (1,), "f4", maxshape=(None,), chunks=(10**6,), compression="gzip")[:] = 1


def _twice_compressed(file):
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_chunk((1000,))
    settings.set_deflate(9)
    settings.set_deflate(9)
    h5py.h5d.create(file.id, b"a", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((1000,)), settings)


@pytest.mark.parametrize(
    ("fill", "says"),
    [
        (_external, "a: its data lie in another file"),
        (_virtual, "a: its data lie in another file"),
        (_twice, "b: the same object under a second name"),
        (_circle, "the same object under a second name"),
        (_deep, "deeper than 16 levels"),
        (_soft, "a: a link to another object"),
        (_outside, "a: a link to another object"),
        (_words, "a: holds object, not plain numbers"),
        (_nothing, "not plain numbers"),
        (_claimed, "a: claims .* of which 0 bytes are in the file"),
        (_claimed_in_pieces, r"a: claims .1000000, 1000000. numbers"),
        (_one_large_piece, "in chunks of 4,000,000"),
        (_twice_compressed, "compressed in an unusual way"),
    ],
)
def test_what_is_no_plain_number_in_the_file_is_refused_by_name(tmp_path, fill, says):
    with (
        pytest.raises(WeightsError, match=rf"a\.h5: .*{says}"),
        open_hdf5(written(tmp_path / "a.h5", fill)),
    ):
        pass


def test_broken_and_other_files_are_said_to_be_so(tmp_path):
    path = written(tmp_path / "a.h5", lambda file: file.create_dataset("a/b", data=NUMBERS))
    data = path.read_bytes()
    for length in (0, 4, 100, len(data) // 2):
        path.write_bytes(data[:length])
        with pytest.raises(WeightsError, match=r"a\.h5: (no|broken) HDF5 file"), open_hdf5(path):
            pass
    with pytest.raises(WeightsError, match="no such file"), open_hdf5(tmp_path / "b.h5"):
        pass
    with pytest.raises(WeightsError, match="a folder"), open_hdf5(tmp_path):
        pass
