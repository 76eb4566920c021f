import numpy as np
import pytest
from dataset_case import classes_of, put, put_mat, write_siftflow

from kseg import datasets
from kseg.errors import DataError

SCENES = "spatial_envelope_256x256_static_8outdoorcategories"


@pytest.fixture
def root(tmp_path):
    write_siftflow(tmp_path / "SiftFlowDataset")
    return tmp_path / "SiftFlowDataset"


def test_each_image_has_two_labels_and_neither_s_void_becomes_a_class(root):
    item = datasets.open("siftflow", root, split="trainval")[1]
    label = classes_of(16, 20, 34, 1)[1].astype(int)
    np.testing.assert_array_equal(item.label["semantic"], np.where(label == 0, 255, label - 1))
    np.testing.assert_array_equal(item.label["geometric"], np.where(label % 4 == 0, 255, label % 4 - 1))


def test_images_that_nobody_labelled_are_left_out(root):
    data = datasets.open("siftflow", root, split="trainval")
    assert "urb506" in (root / "TrainSet1.txt").read_text() and data.ids[-1] == "mountain_land3"


def test_the_three_classes_without_test_pixels_are_not_scored():
    kind = datasets.siftflow.SiftFlow
    assert len(kind.scored_classes["semantic"]) == 30 and kind.scored_classes["geometric"] == (0, 1, 2)
    left_out = set(range(33)) - set(kind.scored_classes["semantic"])
    assert [kind.classes["semantic"][number] for number in sorted(left_out)] == ["cow", "desert", "moon"]


def test_a_wrong_label_or_size_names_the_files(root):
    data = datasets.open("siftflow", root, split="test")
    put_mat(root / "GeoLabels" / SCENES / "forest_nat4.mat", S=np.full((16, 20), 4))
    with pytest.raises(DataError, match="forest_nat4.mat: label 3 at row 0, .* but there are 3 geometric classes"):
        data[0]
    put(root / "Images" / SCENES / "highway_gre5.jpg", np.zeros((20, 16, 3), np.uint8))
    with pytest.raises(DataError, match=r"highway_gre5.mat: the image is 20 x 16, the label 16 x 20 \(turned"):
        data[1]


def test_the_lists_have_the_published_lengths(root, shared):
    for split, name, count in (("trainval", "TrainSet1.txt", 2486), ("test", "TestSet1.txt", 200)):
        ids = (shared / "data" / "lists" / f"siftflow_fcn_{split}_{count}.txt").read_text().split()
        added = ["highway_bost181", "street_urb506"] if split == "trainval" else []
        (root / name).write_text("\r\n".join(f"{SCENES}\\{one}.jpg" for one in [*ids, *added]))
        assert datasets.open("siftflow", root, split=split).ids == ids


def test_the_sample_is_read(shared):
    item = datasets.open("siftflow", shared / "data" / "siftflow", split="test")[0]
    assert item.image.shape == (256, 256, 3)
    for label, corner in ((item.label["semantic"], 255), (item.label["geometric"], 255)):
        assert (label[-6:, :6] == corner).all() and (label == 255).sum() == 36
