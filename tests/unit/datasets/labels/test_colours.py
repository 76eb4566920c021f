"""Tables of colours that people write."""

import pytest

from kseg.datasets.labels.colours import read_table
from kseg.errors import DataError


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ("a,0,0,0\nb,1,0,0\nc,1,0,0", r"the colour \(1, 0, 0\) is there twice"),
        ("a,0,0,0\nb,256,0,0", r"the colour \(256, 0, 0\) has a number above 255"),
        ("0,0,0,0\n300,1,0,0", "300 is the number of .* or above 255"),
        ("0,0,0,0\n99999999999999,1,0,0", "0 is the number of one class and of 99999999999999"),
    ],
)
def test_a_table_that_does_not_hold_is_refused(tmp_path, lines, complaint):
    path = tmp_path / "colours.csv"
    path.write_text(f"class,r,g,b\n{lines}\n")
    with pytest.raises(DataError, match=f"colours.csv: {complaint}"):
        read_table(path)


def test_two_classes_of_one_number_are_refused_and_two_colours_of_one_class_are_not(tmp_path):
    path = tmp_path / "colours.csv"
    path.write_text("id,name,r,g,b\n0,ground,0,0,0\n1,cell,1,0,0\n1,wall,2,0,0\n")
    with pytest.raises(DataError, match="1 is the number of cell and of wall"):
        read_table(path)
    path.write_text("id,name,r,g,b\n0,ground,0,0,0\n1,cell,1,0,0\n1,cell,2,0,0\n")
    assert read_table(path).numbers == {(0, 0, 0): 0, (1, 0, 0): 1, (2, 0, 0): 1}
    assert read_table(path).names == ("ground", "cell")


def test_a_cell_that_only_looks_like_a_number_is_none(tmp_path):
    """Python calls a raised 2 a digit, and makes no number of it."""
    path = tmp_path / "colours.csv"
    path.write_text("class,r,g,b\na,0,0,0\nb,1,0,0\nc,\u00b255,0,0\n")
    assert read_table(path).numbers == {(0, 0, 0): 0, (1, 0, 0): 1}
