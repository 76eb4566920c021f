import numpy as np
import pytest

from kseg.errors import DataError
from kseg.instances import object_table
from kseg.instances.table import column_names

OBJECTS = np.array([[0, 0, 0, 0], [0, 7, 7, 0], [0, 7, 0, 0], [2, 0, 0, 0]])
IMAGE = np.arange(16).reshape(4, 4)


def test_each_object_is_measured():
    # Object 7: pixels (1, 1), (1, 2), (2, 1) of levels 5, 6, 9. Object 2: (3, 0) of level 12.
    two, seven = object_table(OBJECTS, IMAGE)
    assert seven == {
        "id": 7,
        "area": 3,
        "centroid_row": pytest.approx(4 / 3),
        "centroid_column": pytest.approx(4 / 3),
        "top": 1,
        "left": 1,
        "bottom": 3,
        "right": 3,
        "mean": pytest.approx(20 / 3),
        "touches_border": False,
    }
    assert (two["id"], two["area"], two["mean"], two["touches_border"]) == (2, 1, 12, True)
    assert list(seven) == column_names(1)


def test_each_channel_has_its_mean():
    image = np.stack([IMAGE, 2 * IMAGE], axis=-1).astype(np.uint8)
    two = object_table(OBJECTS, image)[0]
    assert (two["mean_1"], two["mean_2"]) == (12, 24) and list(two) == column_names(2)


def test_without_an_image_there_is_no_mean_and_without_objects_no_row():
    assert "mean" not in object_table(OBJECTS)[0]
    assert object_table(np.zeros((3, 3), int), np.zeros((3, 3))) == []


def test_other_arrays_are_refused():
    with pytest.raises(DataError, match=r"image: \(3, 4\), but the objects are \(4, 4\)"):
        object_table(OBJECTS, IMAGE[:3])
    for wrong in (OBJECTS / 2, OBJECTS[0], -OBJECTS):
        with pytest.raises(DataError, match="integers, at least 0, as kseg.objects"):
            object_table(wrong)
