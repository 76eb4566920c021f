import io
import struct
import zlib

import numpy as np
import pytest
import scipy.io
import scipy.sparse
from dataset_case import put_mat, put_text
from hypothesis import given, settings
from hypothesis import strategies as st

from kseg.datasets.published.mat import read_mat
from kseg.datasets.text_files import read_lines
from kseg.errors import DataError, EnvironmentFailure

LABEL = np.arange(12, dtype=np.uint8).reshape(3, 4)


def whole_file(compressed):
    """A file of an array S and, as SBD has it, a struct T with a cell of sparse arrays before the mask."""
    edges = np.empty((2, 1), object)
    edges[:, 0] = [scipy.sparse.csc_matrix(number == LABEL) for number in (1, 2)]
    with io.BytesIO() as file:
        variables = {"S": LABEL, "T": {"Boundaries": edges, "Segmentation": LABEL}}
        scipy.io.savemat(file, variables, do_compression=compressed)
        return file.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "?"])
def test_whole_numbers_of_every_type_come_back_in_their_shape(tmp_path, kind, compressed):
    values = (np.arange(24).reshape(2, 3, 4) % 100).astype(kind)
    with open(tmp_path / "a.mat", "wb") as file:
        scipy.io.savemat(file, {"before": "text", "S": values}, do_compression=compressed)
    found = read_mat(tmp_path / "a.mat", "S")
    assert found.dtype == np.int32 and found.flags.c_contiguous
    np.testing.assert_array_equal(found, values)


def test_a_member_of_a_struct_is_read_whatever_stands_beside_it(tmp_path):
    for compressed in (False, True):
        (tmp_path / "a.mat").write_bytes(whole_file(compressed))
        np.testing.assert_array_equal(read_mat(tmp_path / "a.mat", "T", "Segmentation"), LABEL)
        with pytest.raises(DataError, match="there is no variable T.Borders in it"):
            read_mat(tmp_path / "a.mat", "T", "Borders")
        with pytest.raises(DataError, match="there is no variable U in it. Is this the data set as published"):
            read_mat(tmp_path / "a.mat", "U")


def test_numbers_stored_narrow_and_the_highest_byte_first_are_read(tmp_path):
    # A double array [[1, 2, 3]] as MATLAB keeps it: in one byte each, and these and its name in the tag's own 8 bytes.
    parts = [
        struct.pack(">IIII", 6, 8, 6, 0),
        struct.pack(">IIii", 5, 8, 1, 3),
        b"\0\1\0\1S\0\0\0",
        b"\0\3\0\2\1\2\3\0",
    ]
    array = struct.pack(">II", 14, 48) + b"".join(parts)
    deflated = zlib.compress(array)
    for content in (array, struct.pack(">II", 15, len(deflated)) + deflated):
        (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0".ljust(124) + b"\1\0MI" + content)
        assert read_mat(tmp_path / "a.mat", "S").tolist() == [[1, 2, 3]]


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (np.array([[1.5]]), "fractions, or numbers beyond 32 bits"),
        (np.array([[np.nan]]), "fractions, or numbers beyond 32 bits"),
        (np.array([[2**31]]), "fractions, or numbers beyond 32 bits"),
        (np.array([[1j]]), "no plain numbers, but an array of class 6"),
        ("text", "no plain numbers, but an array of class 4"),
    ],
)
def test_what_is_no_whole_number_is_refused(tmp_path, value, found):
    put_mat(tmp_path / "a.mat", S=value)
    with pytest.raises(DataError, match=f"a.mat: .*{found}.*Copy it again"):
        read_mat(tmp_path / "a.mat", "S")


def test_version_7_3_and_what_is_no_such_file_are_told_apart(tmp_path):
    path = tmp_path / "a.mat"
    for content in (b"MATLAB 7.3".ljust(124) + b"\0\2IM" + b"\x89HDF".rjust(388), b"\x89HDF\r\n\x1a\n"):
        path.write_bytes(content)
        with pytest.raises(DataError, match="version 7.3, where 5 was published"):
            read_mat(path, "S")
    path.write_bytes(b"no matrix" * 30)
    with pytest.raises(DataError, match="no MATLAB file, or a damaged one .its header is not that of version 5 to 7"):
        read_mat(path, "S")


def test_a_bomb_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("kseg.datasets.published.mat.LARGEST", 50)
    (tmp_path / "a.mat").write_bytes(whole_file(True))
    with pytest.raises(DataError, match="deflated element that does not end within 50 bytes"):
        read_mat(tmp_path / "a.mat", "S")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("names", [("S",), ("T", "Segmentation")])
def test_any_damaged_byte_gives_an_array_or_a_data_error(tmp_path, compressed, names):
    # SciPy 1.17 crashes on three of these files: a type of number that there is not.
    whole, path = whole_file(compressed), tmp_path / "a.mat"
    for place, byte in enumerate(whole):
        for value in {0, 8, 14, 20, 255, byte ^ 1, byte ^ 128} - {byte}:
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            try:
                assert read_mat(path, *names).dtype == np.int32
            except DataError as error:
                assert str(error).startswith(f"{path}: ")


@settings(max_examples=300, deadline=None)
@given(
    damage=st.dictionaries(st.integers(0, len(whole_file(False)) - 1), st.integers(0, 255), max_size=5),
    cut=st.booleans(),
)
def test_several_damaged_bytes_or_a_cut_give_an_array_or_a_data_error(tmp_path_factory, damage, cut):
    content = bytearray(whole_file(False))
    for place, value in damage.items():
        content[place] = value
    path = tmp_path_factory.getbasetemp() / "several.mat"
    path.write_bytes(content[: min(damage, default=0)] if cut else content)
    try:
        read_mat(path, "T", "Segmentation")
    except DataError as error:
        assert str(error).startswith(f"{path}: ")


def test_a_folder_in_a_file_s_place_is_the_machine_s_fault(tmp_path):
    for read in (read_lines, lambda path: read_mat(path, "S")):
        with pytest.raises(EnvironmentFailure, match="can't be read"):
            read(tmp_path)


def test_lines_are_read_whatever_their_ends(tmp_path):
    put_text(tmp_path / "a.txt", "\ufeffone ", "", " two", end="\r\n")
    assert read_lines(tmp_path / "a.txt") == ["one", "two"]
    (tmp_path / "a.txt").write_bytes(b"\xff\xfeo\0n\0e\0")
    with pytest.raises(DataError, match="a.txt: this is no text in UTF-8"):
        read_lines(tmp_path / "a.txt")
