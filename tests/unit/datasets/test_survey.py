import numpy as np
import pytest

from kseg.datasets import Dataset, Item, survey
from kseg.errors import ConfigError, DataError


class Listed(Dataset):
    name, split, splits, classes = "listed", "train", ("train",), ("a", "b")

    def __init__(self, *images, label=0, instances=None):
        self.items = [
            Item(str(place), image, np.full(image.shape[:2], label, np.int32), instances)
            for place, image in enumerate(images)
        ]
        self.ids = [item.id for item in self.items]

    def read(self, index):
        return self.items[index]


GREY = np.full((2, 3, 1), 9, np.uint8)
COLOUR = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)


def test_a_survey_says_what_there_is():
    data = Listed(GREY, np.full((4, 2, 1), 200, np.uint8), label=1)
    data.items[0].label[0, :2] = 0, 255
    found = survey(data)
    assert (found.images, found.channels, found.kind, found.brightest) == (2, 1, "uint8", 200)
    assert (found.heights, found.widths, found.class_pixels.tolist()) == ((2, 4), (2, 3), [1, 12])


@pytest.mark.parametrize(("kind", "white"), [(np.uint8, 255), (np.uint16, 65535)])
def test_white_follows_from_the_depth(kind, white):
    assert survey(Listed(GREY.astype(kind))).white == white


def test_the_white_of_float_images_must_be_given():
    with pytest.raises(ConfigError, match="float32, up to 9: their white can't be known. Pass white=9, or"):
        _ = survey(Listed(GREY.astype(np.float32))).white


def test_grey_stored_as_colour_counts_as_grey():
    assert survey(Listed(np.repeat(GREY, 3, axis=2))).channels == 1
    assert survey(Listed(np.repeat(GREY, 3, axis=2), COLOUR)).channels == 3


def test_mixed_depths_and_channels_are_refused_with_an_example_of_each():
    with pytest.raises(DataError, match=r"listed: images of different depth: uint8 \(0\), uint16 \(2\). Save all"):
        survey(Listed(GREY, GREY, GREY.astype(np.uint16)))
    with pytest.raises(DataError, match=r"listed: images of different channels: 1 \(0\), 4 \(1\)"):
        survey(Listed(GREY, np.zeros((2, 3, 4), np.uint8)))


def test_the_fingerprint_tells_any_change():
    changed = GREY.copy()
    changed[1, 2] = 10
    cells = np.ones((2, 3), np.int32)
    variants = [
        Listed(GREY),
        Listed(changed),
        Listed(GREY, label=1),
        Listed(GREY, GREY),
        Listed(GREY.reshape(3, 2, 1)),
        Listed(GREY, instances=cells),
        Listed(GREY, instances=cells + 1),
    ]
    assert len({survey(data).fingerprint for data in variants}) == len(variants)
    assert survey(Listed(GREY)).fingerprint == survey(Listed(GREY.copy())).fingerprint


def test_a_split_without_items_is_refused():
    with pytest.raises(DataError, match="listed: there is nothing in the split train. Take another"):
        survey(Listed())


def test_the_first_wrong_label_stops_it():
    with pytest.raises(DataError, match="0: label 2 at row 0, column 0 .*, but there are 2 classes"):
        survey(Listed(GREY, label=2))


def test_the_median_object_is_that_of_all_images():
    assert survey(Listed(GREY, GREY)).object_area is None
    cells = np.array([[0, 7, 7], [7, 9, 100_000]], np.int32)  # of 3, 1 and 1 pixels
    assert survey(Listed(GREY, GREY, label=1, instances=cells)).object_area == 1
    assert survey(Listed(GREY, label=1, instances=np.full((2, 3), 5, np.int32))).object_area == 6
