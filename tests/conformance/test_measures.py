"""What holds for every registered measure."""

import numpy as np
import pytest
from metric_case import METRIC_CASES

from kseg.instances import components
from kseg.metrics import MEASURES, Seen, measure, title_of

every_case = pytest.mark.parametrize("case", METRIC_CASES, ids=lambda case: case.name)
CERTAIN = 40  # a score that leaves the other class a probability below what float32 tells from 0


def seen_of(label: np.ndarray, prediction: np.ndarray, scale: float = CERTAIN, **options) -> Seen:
    scores = scale * np.eye(2, dtype=np.float32)[prediction]
    return Seen(label, scores, ("a.b", "cell"), instances=components(label == 1), **options)


def two_cells() -> np.ndarray:
    label = np.ones((9, 12), np.int32)
    label[:, 5:7] = label[0] = 0
    return label


def noisy(seed: int) -> Seen:
    random = np.random.default_rng(seed)
    label = two_cells()
    prediction = np.where(random.random(label.shape) < 0.2, 1 - label, label)
    return seen_of(label, prediction, scale=1.5, scored_classes=(1,))


def test_every_measure_has_a_case():
    assert {case.name.partition(".")[0] for case in METRIC_CASES} == set(MEASURES.names())


@every_case
def test_a_perfect_prediction_has_the_best_score(case):
    found = measure(case.name)
    seen = seen_of(two_cells(), two_cells())
    assert found.of_sums(found.sums(seen)) == pytest.approx(1 if found.higher else 0, abs=1e-12)


@every_case
def test_cells_that_are_merged_have_a_worse_score(case):
    found = measure(case.name)
    score = found.of_sums(found.sums(seen_of(two_cells(), np.ones_like(two_cells()))))
    assert score < 1 if found.higher else score > 0


@every_case
def test_the_sums_of_images_give_the_score_of_all(case):
    found, images = measure(case.name), [noisy(1), noisy(2), seen_of(two_cells(), two_cells(), scored_classes=(1,))]
    total = sum(found.sums(each) for each in images)
    assert found.of_sums(total) == pytest.approx(case.of_all(images), rel=1e-12, nan_ok=True)
    assert found.score(total).value == found.of_sums(total) and isinstance(found.score(total).value, float)


@every_case
def test_where_nothing_is_labelled_there_is_no_score_and_nothing_is_added(case):
    found = measure(case.name)
    void = np.full((9, 12), 255, np.int32)
    empty, some = found.sums(seen_of(void, two_cells(), scored_classes=(1,))), found.sums(noisy(0))
    if case.is_nan_without:
        assert np.isnan(found.of_sums(empty))
        assert found.of_sums(empty + some) == found.of_sums(some)


@every_case
def test_it_is_called_by_its_name_and_has_words(case):
    assert measure(case.name).name == case.name and title_of(case.name) and "_" not in title_of(case.name).strip("V_")
