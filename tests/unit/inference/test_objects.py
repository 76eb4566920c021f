"""Objects in Python and in the files of `predict`, by a network that answers with what the image shows."""

import csv
import dataclasses

import numpy as np
import pytest
import tifffile

import kseg
from kseg.errors import ConfigError
from kseg.geometry import Geometry
from kseg.inference import Predictor
from kseg.inference.files import predict_file
from kseg.inference.files.object_pages import ObjectPages
from kseg.instances import ObjectRules
from kseg.layers import ScoreReading, readings_of, with_reading
from kseg.reports import choice, evaluate
from kseg.reports.choice import choose_objects


def echo(classes: int = 2, **reading) -> Predictor:
    """A network that answers with the grey level."""
    return Predictor(
        lambda images: np.eye(classes, dtype=np.float32)[images[..., 0].astype(int)],
        Geometry(),
        {"": 1},
        {"": classes},
        readings={"": ScoreReading(**reading)},
    )


# A square of nine pixels with a hole, and two specks.
PAGE = np.zeros((6, 8), np.uint8)
PAGE[1:4, 1:4] = 1
PAGE[2, 2], PAGE[0, 7], PAGE[5, 6] = 0, 1, 1


def rows_of(path) -> list[dict]:
    return list(csv.DictReader(path.read_text().splitlines()))


def test_objects_are_found_by_the_networks_own_rules_or_as_asked():
    own = echo(min_size=2, fill_holes=True)
    assert np.bincount(kseg.objects(own, PAGE).ravel()).tolist() == [39, 9]
    assert np.bincount(kseg.objects(own, PAGE, fill_holes=False, min_size=0).ravel()).tolist() == [38, 1, 8, 1]
    assert kseg.objects(echo(), PAGE).max() == 3 and kseg.objects(echo(), PAGE).dtype == np.int32
    with pytest.raises(ConfigError, match="min_size is -3"):
        kseg.objects(own, PAGE, min_size=-3)


def test_the_table_is_that_of_the_objects(tmp_path):
    rows = kseg.object_table(kseg.objects(echo(), PAGE), PAGE)
    assert [row["area"] for row in rows] == [1, 8, 1] and [row["mean"] for row in rows] == [1, 1, 1]
    assert [row["touches_border"] for row in rows] == [True, False, True]


def test_a_stacks_objects_are_numbered_through_and_measured_slice_by_slice(tmp_path):
    tifffile.imwrite(tmp_path / "stack.tif", np.stack([PAGE, 0 * PAGE, PAGE]), photometric="minisblack")
    written = predict_file(
        echo(fill_holes=True), tmp_path / "stack.tif", tmp_path / "out", with_instances=True, with_table=True
    )
    assert [path.name for path in written] == ["stack.tif", "stack_instances.tif", "stack_objects.csv"]
    found = tifffile.imread(written[1])
    assert found.dtype == np.uint16 and np.unique(found[0]).tolist() == [0, 1, 2, 3]
    assert not found[1].any() and np.unique(found[2]).tolist() == [0, 4, 5, 6]
    rows = rows_of(written[2])
    assert [(row["id"], row["slice"], row["area"]) for row in rows] == [
        ("1", "0", "1"), ("2", "0", "9"), ("3", "0", "1"), ("4", "2", "1"), ("5", "2", "9"), ("6", "2", "1")
    ]  # fmt: skip
    assert "class" not in rows[0] and rows[1]["centroid_row"] == "2.0" and rows[1]["mean"] == "0.889"


def test_rules_that_are_asked_for_take_the_place_of_the_networks(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", PAGE)
    words = {"with_table": True, "rules": {"min_size": 2, "fill_holes": None}}
    written = predict_file(echo(min_size=99), tmp_path / "a.tif", tmp_path / "out", **words)
    assert [row["area"] for row in rows_of(written[-1])] == ["8"]
    with pytest.raises(ConfigError, match="min_size is -1"):
        predict_file(echo(), tmp_path / "a.tif", tmp_path / "out", with_table=True, rules={"min_size": -1})


def test_each_class_has_objects_of_its_own_and_the_table_names_it(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.array([[1, 1, 2], [0, 0, 2]], np.uint8))
    written = predict_file(echo(3), tmp_path / "a.tif", tmp_path / "out", with_table=True)
    assert [(row["id"], row["class"], row["area"]) for row in rows_of(written[-1])] == [
        ("1", "1", "2"),
        ("2", "2", "2"),
    ]


def test_an_image_without_objects_has_a_table_without_rows(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", 0 * PAGE)
    written = predict_file(echo(), tmp_path / "a.tif", tmp_path / "out", with_instances=True, with_table=True)
    assert written[-1].read_text() == (
        "id,area,centroid_row,centroid_column,top,left,bottom,right,mean,touches_border\n"
    )
    assert not tifffile.imread(written[1]).any()


def test_more_than_16_bits_can_number_are_written_in_32_and_said(tmp_path, capsys):
    dots = np.zeros((300, 300), np.uint8)
    dots[::2, ::2] = 1  # 22,500 objects a slice
    tifffile.imwrite(tmp_path / "dots.tif", np.stack([dots] * 3), photometric="minisblack")
    written = predict_file(echo(), tmp_path / "dots.tif", tmp_path / "out", with_instances=True)
    found = tifffile.imread(written[-1])
    assert found.dtype == np.uint32 and found.max() == 67_500 and len(np.unique(found)) == 67_501
    assert "dots_instances.tif: 32 bits, since there are 67,500 objects." in capsys.readouterr().err


def test_16_bits_hold_65535_objects():
    pages = ObjectPages(ObjectRules(), 2, 1)
    pages.count = 65_534
    assert pages.add(np.eye(1, dtype=np.uint8), np.zeros((1, 1, 1))).max() == 65_535 and pages.bits == 16
    assert pages.add(np.eye(1, dtype=np.uint8), np.zeros((1, 1, 1))).max() == 65_536 and pages.bits == 32


class Cells(kseg.datasets.Dataset):
    """Two touching cells that the network sees as one, ringed by specks."""

    name, splits, split, classes, ids = "cells", ("val",), "val", ("background", "cell"), ("a", "b")
    has_instances = True

    def read(self, index):
        rows, columns = np.mgrid[:48, :80]
        cells = [(rows - 24) ** 2 + (columns - place) ** 2 <= 14**2 for place in (28, 51)]
        instances = np.where(cells[0] & (columns < 40), 1, np.where(cells[1], 2, 0)).astype(np.int32)
        image = (instances > 0).astype(np.uint8)
        image[2, 2::3] = 1
        return kseg.datasets.Item(self.ids[index], image[..., None], (instances > 0).astype(np.int32), instances)


def test_rules_are_chosen_by_which_the_objects_are_found_best():
    # The specks are single pixels, a cell has some 600: of the sizes up to a quarter of that the largest.
    threshold, rules = choose_objects(echo(), Cells())
    assert (threshold, rules) == (0.5, ObjectRules(min_size=128, fill_holes=False, separate=True))
    report = evaluate(echo(**dataclasses.asdict(rules)), Cells())
    assert report.objects == {"true": 4, "found": 4, "matched": 4, "missed": 0, "false": 0, "split": 0, "merged": 0}
    assert report.measures["object_f1"] == 1 and report.measures["count_error"] == 0
    assert "parted at their necks where they touch, of 128 pixels or more." in report.protocol


def test_without_rules_the_same_masks_are_merged_and_full_of_specks_and_the_report_says_so():
    report = evaluate(echo(), Cells())
    specks = 2 * len(range(2, 80, 3))
    assert report.objects["merged"] == 2 and report.objects["false"] == specks
    assert report.measures["object_f1"] == 0 and report.measures["count_error"] == (specks + 2 - 4) / 4
    assert f"4 true objects, {specks + 2} found: 0 match." in str(report)
    assert f"{specks} of the found ones are false" in report._repr_html_()
    assert report.to_json()["objects"]["merged"] == 2


def test_of_three_classes_the_largest_score_stays_the_mask():
    class Three(Cells):
        classes = ("background", "cell", "dirt")

    assert choose_objects(echo(3), Three()) == (None, ObjectRules(128, False, True))


def test_nothing_is_chosen_where_there_is_no_true_object():
    class Empty(Cells):
        def read(self, index):
            item = super().read(index)
            return dataclasses.replace(item, instances=0 * item.instances, label=0 * item.label)

    assert choose_objects(echo(), Empty()) is None


def test_what_counts_as_an_object_travels_with_the_network(tmp_path):
    reading = ScoreReading(("background", "cell"), threshold=0.4, min_size=20, fill_holes=True, separate=True)
    network = with_reading(kseg.build("unet", width=2, depth=1, padding="same"), reading)
    network.save(tmp_path / "a.keras")
    assert readings_of(kseg.load(tmp_path / "a.keras")) == {"": reading}
    assert reading.rules == ObjectRules(20, True, True)
    with pytest.raises(ConfigError, match="min_size is -1"):
        ScoreReading(min_size=-1)


def test_of_a_large_image_the_middle_is_looked_at():
    assert choice._middle((40, 50)) == (slice(0, 40), slice(0, 50))
    rows, columns = choice._middle((6000, 4000))  # four times as many pixels: half of each side
    assert (rows, columns) == (slice(1500, 4500), slice(1000, 3000))
