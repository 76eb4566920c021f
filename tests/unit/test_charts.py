import math

import pytest

from kseg.charts import draw_curves
from kseg.images import read_image


@pytest.mark.parametrize("measured", [(1, 2, 3), (2,), ()])
def test_curves_are_drawn_to_a_file_whenever_scores_were_measured(tmp_path, measured):
    rows = [{"step": step, "loss": 1 / step} | ({"val_mean_iu": 0.5} if step in measured else {}) for step in (1, 2, 3)]
    draw_curves(rows, tmp_path / "curves.png")
    assert read_image(tmp_path / "curves.png").shape == (374, 990, 3)
    assert [path.name for path in tmp_path.iterdir()] == ["curves.png"]


def test_curves_are_named_and_marked_as_the_caller_says(tmp_path):
    asked = []
    rows = [{"step": step, "loss": 1.0, "val_loss": 2.0, "val_my_error": 0.5} for step in (1, 2)]
    draw_curves(rows, tmp_path / "curves.png", lambda name: asked.append(name) or name, lambda name: name != "my_error")
    assert asked == ["my_error"]  # the loss on val stands beside that of the training, and is called so


def test_the_mark_stands_at_the_best_value_the_lowest_of_an_error(tmp_path):
    drawn = {}
    for higher in (True, False):
        rows = [{"step": step, "loss": 1.0, "val_a": value} for step, value in ((1, 0.25), (2, 0.75), (3, 0.5))]
        draw_curves(rows, tmp_path / "a.png", is_higher_better=lambda name, higher=higher: higher)
        drawn[higher] = read_image(tmp_path / "a.png")
    rows = [{"step": step, "loss": 1.0, "val_a_loss": value} for step, value in ((1, 0.25), (2, 0.75), (3, 0.5))]
    draw_curves(rows, tmp_path / "a.png", words=lambda name: "a")
    assert (drawn[True] != drawn[False]).any()
    assert (read_image(tmp_path / "a.png") == drawn[False]).all()  # a name that ends with loss is better when lower


def test_curves_with_scores_that_are_no_numbers_are_drawn(tmp_path):
    for score in (math.nan, 0.5):
        rows = [{"step": 1, "loss": 1.0, "val_mean_iu": math.nan}, {"step": 2, "loss": math.nan, "val_mean_iu": score}]
        draw_curves(rows, tmp_path / f"{score}.png")
    assert (read_image(tmp_path / "nan.png") != read_image(tmp_path / "0.5.png")).any()
