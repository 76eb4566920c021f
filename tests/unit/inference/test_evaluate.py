import dataclasses
import json
import math

import numpy as np
import pytest

from kseg.datasets import Item
from kseg.datasets.contract import Dataset
from kseg.errors import DataError
from kseg.geometry import Geometry
from kseg.inference import Predictor, Report, evaluate


class Two(Dataset):
    """Two images; class 2 never occurs, one pixel is void."""

    name, splits, split, classes = "two", ("val",), "val", ("ground", "cell", "other")
    ids = ("a", "b")

    def __init__(self, has_instances: bool = False) -> None:
        self.has_instances = has_instances
        self.classes = self.classes[:2] if has_instances else self.classes

    def read(self, index: int) -> Item:
        label = np.array([[0, 1, 1, 255], [0, 0, 1, 1]][index : index + 1], np.int32)
        cells = np.array([[0, 1, 1, 0], [0, 0, 2, 2]][index : index + 1], np.int32)
        image = np.array([[0, 1, 1, 1], [0, 1, 1, 1]][index : index + 1], np.uint8)[..., None]
        return Item(self.ids[index], image, label, cells if self.has_instances else None)


def echo(classes: int) -> Predictor:
    """A network that answers with the grey level."""
    return Predictor(
        lambda images: np.eye(classes, dtype=np.float32)[images[..., 0].astype(int)], Geometry(), {"": 1}, {"": classes}
    )


def test_scores_come_from_one_matrix_over_the_split():
    report = evaluate(echo(3), Two())
    assert report.confusion.tolist() == [[2, 1, 0], [0, 4, 0], [0, 0, 0]]
    assert report.per_class["ground"] == pytest.approx(2 / 3) and report.per_class["cell"] == pytest.approx(4 / 5)
    assert math.isnan(report.per_class["other"])
    assert report.mean_iu == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert report.measures["pixel_accuracy"] == pytest.approx(6 / 7)
    assert [image["mean_iu"] for image in report.images] == pytest.approx([1.0, (1 / 2 + 2 / 3) / 2])


def test_objects_are_scored_where_they_are_numbered():
    report = evaluate(echo(2), Two(has_instances=True))
    # Both reference cells are two pixels, each found as part of a component of three.
    assert report.seg == pytest.approx(2 / 3) and report.measures["seg"] == report.seg


def test_the_challenges_measures_come_with_their_thresholds():
    data = Two()
    data.classes = data.classes[:2]
    report = evaluate(echo(2), data, measures=["pixel_error"])
    # The softmax of scores 0 and 1 is 0.27 and 0.73. White above 0.3: true positives 5 (void is no membrane), false 1.
    assert report.measures["pixel_error"] == pytest.approx(1 - 2 * 5 / (2 * 5 + 1))
    assert report.thresholds["pixel_error"] == pytest.approx(0.3) and "pixel_error 0.3" in report.protocol


def test_a_report_prints_draws_and_serialises_itself():
    report = evaluate(echo(3), Two())
    text = str(report)
    assert "mean IU 0.733" in text and "left out: other" in text and "one confusion matrix" in text
    assert "<meter" in report._repr_html_() and '<td class="number">0.733' in report._repr_html_()
    stored = json.loads(json.dumps(report.to_json()))
    assert stored["per_class"]["other"] is None and stored["split"] == "val" and stored["precision"] == "float32"
    assert stored["mean_iu"] == pytest.approx(report.mean_iu)


def test_names_of_classes_are_no_markup_and_small_shares_no_longer_than_others():
    data = Two()
    data.classes = ("<b>", *data.classes[1:])
    report = evaluate(echo(3), data)
    assert "<b>" not in report._repr_html_() and "&lt;b&gt;" in report._repr_html_()
    few = dataclasses.replace(report, confusion=np.array([[1, 2999, 0], [0, 1, 0], [0, 0, 0]]))
    assert [line.split()[1] for line in str(few).splitlines()[3:6]] == ["0.000", "0.000", "-"]


def test_other_classes_than_the_datas_are_refused():
    with pytest.raises(DataError, match="The network has 4 classes, two has 3"):
        evaluate(echo(4), Two())


def test_of_many_images_the_worst_are_printed():
    row = {"id": "a", "mean_iu": 0.5, "pixel_accuracy": 0.5}
    images = [{**row, "id": f"image{number}", "mean_iu": number / 100} for number in range(30)]
    report = Report("set", "val", ("a", "b"), np.eye(2, dtype=np.int64), tuple(images))
    text = str(report)
    assert "worst of 30 images" in text and "image4 " in text and "image5 " not in text
    assert len(report.to_json()["per_image"]) == 30


class TwoTasks(Two):
    classes = {"semantic": ("sky", "tree", "sea"), "geometric": ("up", "down")}
    scored_classes = {"semantic": (0, 1)}
    has_instances = False

    def __init__(self) -> None:
        pass

    def read(self, index: int) -> Item:
        semantic = np.array([[0, 1, 1, 2]], np.int32)
        return Item(
            self.ids[index], semantic[..., None].astype(np.uint8), {"semantic": semantic, "geometric": semantic // 2}
        )


def test_further_heads_are_scored_beside_the_first_and_the_protocols_classes_alone_are_averaged():
    def scores(images: np.ndarray) -> np.ndarray:
        found = np.where(images[..., 0] == 2, 1, images[..., 0]).astype(int)  # sea is taken for a tree
        return np.concatenate([np.eye(3)[found], np.eye(2)[found // 2]], axis=-1).astype(np.float32)

    report = evaluate(Predictor(scores, Geometry(), {"": 1}, {"semantic": 3, "geometric": 2}), TwoTasks())
    assert report.classes == ("sky", "tree", "sea")
    assert report.per_class == pytest.approx({"sky": 1, "tree": 2 / 3, "sea": 0})
    assert report.mean_iu == pytest.approx((1 + 2 / 3) / 2)
    assert report.measures["geometric_pixel_accuracy"] == pytest.approx(3 / 4)
    assert report.measures["geometric_mean_iu"] == pytest.approx((3 / 4 + 0) / 2)
    assert "leaves sea out of the means" in report.protocol


def test_a_network_without_the_datas_heads_is_refused():
    with pytest.raises(DataError, match="answers with one label per pixel, two has semantic"):
        evaluate(echo(3), TwoTasks())
