import io

import numpy as np
import pytest
import scipy.io
from dataset_case import put_mat, put_text
from hypothesis import given, settings
from hypothesis import strategies as st

from kseg.datasets.lines import read_lines
from kseg.datasets.mat import read_mat
from kseg.errors import DataError, EnvironmentFailure

LABEL = np.arange(12, dtype=np.uint8).reshape(3, 4)


def whole_file():
    with io.BytesIO() as file:
        # As MATLAB itself writes it: SciPy 1.17 crashes on a wrong type of number in an uncompressed array.
        scipy.io.savemat(file, {"S": LABEL, "T": {"Segmentation": LABEL}}, do_compression=True)
        return file.getvalue()


def test_arrays_and_members_of_structs_come_back(tmp_path):
    put_mat(tmp_path / "a.mat", S=LABEL, T={"Segmentation": LABEL})
    np.testing.assert_array_equal(read_mat(tmp_path / "a.mat", "S"), LABEL)
    np.testing.assert_array_equal(read_mat(tmp_path / "a.mat", "T")["Segmentation"][0, 0], LABEL)


@pytest.mark.filterwarnings("ignore")
@settings(max_examples=200, deadline=None)
@given(place=st.integers(0, len(whole_file()) - 1), value=st.integers(0, 255), cut=st.booleans())
def test_a_damaged_file_is_an_array_or_a_data_error(tmp_path_factory, place, value, cut):
    content = bytearray(whole_file())
    content[place] = value
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    path.write_bytes(content[:place] if cut else content)
    try:
        read_mat(path, "S")
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
