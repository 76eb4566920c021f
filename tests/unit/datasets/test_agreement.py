import numpy as np
import pytest

from kseg.datasets import Dataset, Item, survey
from kseg.datasets.agreement import check_parts_agree, check_whole_images, difference_of_classes
from kseg.errors import ConfigError, DataError, SizeError
from kseg.geometry import unet_geometry

PETS = ("background", "cat", "dog")


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (PETS, ""),
        (("Background", "CAT", " dog "), ""),
        (("class 0", "class 1", "class 2"), ""),
        (("background", "dog", "cat"), "the same names, but in another order"),
        (("background", "cat", "cow"), "class 2 is dog in one and cow in the other"),
        (("background", "cat"), "3 classes are not 2"),
    ],
)
def test_classes_are_the_same_where_their_names_are_or_kseg_made_them_up(other, difference):
    assert difference_of_classes(PETS, other) == difference


def test_what_folders_of_numbered_objects_call_their_classes_matches_any_two():
    assert difference_of_classes(("background", "object"), ("membrane", "cell")) == ""
    assert difference_of_classes(("background", "object"), ("class 0", "class 1", "class 2")) != ""


class Part(Dataset):
    name = "mine"

    def __init__(self, *sizes, channels=1, kind=np.uint8, classes=PETS):
        self.sizes, self.shape, self.classes = sizes, (channels, kind), classes
        self.ids = [f"image{number}" for number in range(len(sizes))]

    def read(self, index):
        channels, kind = self.shape
        pixels = np.arange(np.prod(self.sizes[index]) * channels).reshape(*self.sizes[index], channels)
        label = {head: np.zeros(self.sizes[index], np.int32) for head in self.heads}
        return Item(self.ids[index], pixels.astype(kind), label.get("", label))


@pytest.mark.parametrize(
    ("other", "complaint"),
    [
        (Part((4, 4), channels=5), "mine: test has images of 5 channels, train of 1. Save all"),
        (Part((4, 4), kind=np.uint16), "mine: test has images of uint16, train of uint8. Save all"),
        (Part((4, 4), classes=("background", "dog", "cat")), "mine: test has the classes background, dog, cat, but"),
        (Part((4, 4), classes={"a": PETS, "b": PETS}), "mine: test has labels for a and b, but train for one label"),
    ],
)
def test_a_part_that_differs_from_train_is_refused(other, complaint):
    parts = {"train": Part((4, 4)), "test": other}
    with pytest.raises(DataError, match=complaint):
        check_parts_agree(parts, {split: survey(part) for split, part in parts.items()})


def test_grey_and_colour_images_go_together():
    parts = {"train": Part((4, 4)), "val": Part((4, 4), channels=3)}
    check_parts_agree(parts, {split: survey(part) for split, part in parts.items()})


def test_a_whole_image_must_fit_the_network():
    geometry = unet_geometry(2, "same")
    check_whole_images(survey(Part((8, 12), (8, 12))), geometry, 2)
    with pytest.raises(SizeError, match="image image1: height 9 does not fit .* set one that fits, as crop=.8, 12."):
        check_whole_images(survey(Part((8, 12), (9, 12))), geometry, 1)


def test_whole_images_of_several_sizes_stand_in_no_batch():
    found = survey(Part((8, 12), (12, 8)))
    check_whole_images(found, unet_geometry(2, "same"), 1)
    with pytest.raises(ConfigError, match="2 sizes: image0 is 8 x 12, image1 12 x 8. .* set crop=..., or batch_size=1"):
        check_whole_images(found, unet_geometry(2, "same"), 2)
