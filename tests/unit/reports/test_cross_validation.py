"""Each image is scored once, by the network that has not seen it; the numbers are worked out by hand."""

import keras
import numpy as np
import pytest

from kseg.datasets import Dataset, Item
from kseg.datasets.folds import Pool
from kseg.layers import ScoreReading, readings_of, with_reading
from kseg.metrics import measure
from kseg.reports.cross_validation import CrossValidation


class Squares(Dataset):
    """Three images of 8 x 8 pixels, with an object of 4 x 4 in the first two."""

    name, classes, has_instances = "squares", ("background", "object"), True

    def __init__(self):
        self.ids = ["a", "b", "c"]

    def read(self, index):
        label = np.zeros((8, 8), np.int32)
        label[2:6, 2:6] = index < 2
        return Item(self.ids[index], (label * 100).astype(np.uint8)[..., None], label, label)


def network(slope, least):
    """It gives class 1 the score slope * (grey level - 50); its own reading leaves out objects below `least` pixels."""
    image = keras.Input((None, None, 1))
    convolution = keras.layers.Conv2D(2, 1)
    model = keras.Model(image, convolution(image))
    convolution.set_weights([np.float32([[[[0, slope]]]]), np.float32([0, -50 * slope])])
    return with_reading(model, ScoreReading(("background", "object"), min_size=least))


@pytest.fixture
def found():
    """The first network is right, and scores a and c; the second takes each for the other, and scores b."""
    return CrossValidation([network(0.1, 3), network(-0.1, 5)], Pool([Squares()], "train"), [[0, 2], [1]])


def test_every_image_is_scored_by_the_network_that_has_not_seen_it(found):
    report = found.report(measure("mean_iu"))
    # a and c: 16 + 0 pixels of objects and 48 + 64 of background, all right; b: 16 and 48, all wrong.
    assert report.confusion.tolist() == [[112, 48], [16, 16]]
    assert report.mean_iu == pytest.approx((112 / 176 + 16 / 80) / 2)
    assert [each["id"] for each in report.images] == ["a", "b", "c"]
    assert [each["mean_iu"] for each in report.images] == [1, 0, 1]
    assert [(each.split, each.mean_iu) for each in report.folds] == [("fold 1", 1), ("fold 2", 0)]
    assert report.ranges("mean_iu") == [(0, 1)]
    assert "3 images of squares, cross-validated in 2 folds, each scored by the network" in report.protocol
    assert str(report).startswith("squares, cross-validated: mean IU 0.418  (folds: 0.000 to 1.000)\n")
    written = report.to_json()
    assert [each["images"] for each in written["folds"]] == [["a", "c"], ["b"]] and "test" not in written
    assert written["split"] == "cross-validated" and written["folds"][1]["mean_iu"] == 0


def test_one_reading_is_chosen_on_all_images_together(found):
    start = ScoreReading(("background", "object"), average="mirror")
    chosen = found.choose({"": start}, measure("object_f1"))[""]
    # The second network's object is wrong at any threshold, so the first one's decides: half its smallest true object.
    assert (chosen.average, chosen.threshold, chosen.classes) == ("mirror", 0.5, start.classes)
    assert all(readings_of(each) == {"": chosen} for each in found.networks)
    assert chosen.min_size <= 4  # a quarter of the median object of 16 pixels
    assert found.choose({"": start}, measure("mean_iu"))[""].threshold is None


def test_a_measure_that_some_fold_lacks_has_the_range_of_the_others(found):
    report = found.report(measure("seg"))
    assert report.ranges("seg") == [(0, 1)]
    lacking = CrossValidation(found.networks, found.data, [[0, 1], [2]])  # no object in c
    assert lacking.report(measure("seg")).ranges("seg") == [(1, 1)]
