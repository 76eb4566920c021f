from types import SimpleNamespace

import numpy as np
import pytest

from kseg.errors import ConfigError, DataError
from kseg.metrics import MEASURES, Measure, Seen, is_higher_better, measure, title_of

# Of ten pixels one is void: class 1 has 3 found, 1 missed and 2 false ones; class 0 has 3 found.
LABEL = np.array([[1, 1, 1, 1, 0], [0, 0, 0, 0, 255]])
PREDICTION = np.array([[1, 1, 1, 0, 0], [0, 0, 1, 1, 1]])


def seen_of(prediction=PREDICTION, label=LABEL, **options) -> Seen:
    return Seen(label, np.eye(2, dtype=np.float32)[prediction], ("ground", "cell"), **options)


def score_of(name, *seen: Seen) -> float:
    found = measure(name)
    return found.of_sums(sum(found.sums(each) for each in seen))


class Missed(Measure):
    """Cell pixels that were not found."""

    higher = False

    def sums(self, seen):
        return np.array([((seen.label == 1) & (seen.prediction != 1)).sum(), (seen.label == 1).sum()])

    def of_sums(self, total):
        return total[0] / total[1] if total[1] else float("nan")


@pytest.mark.parametrize(
    ("name", "score"),
    [
        ("iu.cell", 3 / 6),
        ("iu.ground", 3 / 6),
        ("dice.cell", 6 / 9),
        ("dice", (6 / 9 + 6 / 9) / 2),
        ("pixel_accuracy", 6 / 9),
        ("mean_accuracy", (3 / 4 + 3 / 5) / 2),
    ],
)
def test_scores_are_those_worked_out_by_hand(name, score):
    assert score_of(name, seen_of()) == pytest.approx(score)


def test_the_iu_of_a_class_is_of_all_images_not_the_mean_of_theirs():
    # The second image has no true cell, but five false pixels: 3 of 6 + 5.
    second = seen_of(np.ones((1, 5), int), np.zeros((1, 5), int))
    assert score_of("iu.cell", seen_of(), second) == pytest.approx(3 / 11)
    assert np.isnan(score_of("iu.cell", second))


def test_means_go_over_the_scored_classes_alone():
    assert score_of("mean_accuracy", seen_of(scored_classes=(1,))) == pytest.approx(3 / 4)


def test_images_without_true_objects_are_left_out_of_seg_and_said_to_be():
    objects = np.array([[1, 1, 1, 1, 0], [0] * 5])  # found: 3 of its 4 pixels, by a component of 6
    seen = [seen_of(instances=objects), seen_of(instances=np.zeros((2, 5), int)), seen_of()]
    found = measure("seg")
    score = found.score(sum(found.sums(each) for each in seen))
    assert score.value == pytest.approx(3 / 7)
    assert score.left_out == "SEG leaves out 2 images without true objects"
    assert np.isnan(score_of("seg", seen[1])) and found.score(found.sums(seen[0])).left_out == ""


def test_a_measure_of_the_challenge_tells_the_threshold_it_was_best_at():
    # The softmax of scores 0 and 1 is 0.27 and 0.73. Above 0.3: 4 right of 6 white ones and 5 that are no membrane.
    found = measure("pixel_error")
    score = found.score(found.sums(seen_of()))
    assert score.value == pytest.approx(1 - 2 * 4 / (6 + 5)) and score.threshold == pytest.approx(0.3)


def test_a_measure_of_ones_own_is_chosen_by_its_name_or_as_an_object(monkeypatch):
    monkeypatch.setattr(MEASURES, "_entries", dict(MEASURES._entries))
    MEASURES.register("cells_missed")(Missed)
    assert score_of("cells_missed", seen_of()) == score_of(Missed(), seen_of()) == 1 / 4
    assert measure("cells_missed").name == "cells_missed" and measure(Missed()).name == "missed"
    assert title_of("cells_missed") == "cells missed" and not is_higher_better("cells_missed")


def test_names_that_are_no_measures_are_refused():
    for name, words in (
        ("mean_ui", "There is no measure 'mean_ui'. Did you mean 'mean_iu'"),
        ("iu", "iu needs a part after a dot. Write iu.NAME"),
        ("dice.", "dice needs a part after a dot"),
        ("seg.cell", "seg takes nothing after its name. Write seg."),
        (3, "must be a name"),
    ):
        with pytest.raises(ConfigError, match=words):
            measure(name)


def test_what_a_data_set_lacks_is_told():
    data = SimpleNamespace(heads={"what": ("a", "b", "c"), "where": ("up", "down")}, has_instances=False)
    assert measure("seg").lacks(data) == "no numbered objects"
    assert measure("v_rand").lacks(data) == "not two classes"
    assert measure("iu.bb").lacks(data) == "no class 'bb', only a, b, c"
    assert measure("iu.b").lacks(data) == measure("mean_iu").lacks(data) == ""
    with pytest.raises(DataError, match="iu.sell: no class 'sell'. Did you mean 'cell'"):
        score_of("iu.sell", seen_of())


def test_figures_have_words_and_losses_are_better_when_lower():
    words = {"mean_iu": "mean IU", "where_mean_iu": "where mean IU", "dice.a_b": "Dice of a_b", "my_own": "my own"}
    assert {name: title_of(name) for name in words} == words
    assert title_of("missed", [Missed()]) == "missed" and not is_higher_better("missed", [Missed()])
    assert is_higher_better("my_own") and is_higher_better("v_rand")
    assert not is_higher_better("loss") and not is_higher_better("warping_error")
