import numpy as np

from kseg.layers import MeanProbability


def test_the_mean_of_two_probabilities_by_hand():
    one, other = np.log([0.2, 0.8]), np.log([0.6, 0.4]) + 7  # a number added to all scores changes no probability
    found = MeanProbability()([np.float32([[[one]]]), np.float32([[[other]]])])
    np.testing.assert_allclose(np.exp(found), [[[[0.4, 0.6]]]], rtol=1e-6)


def test_scores_far_apart_give_finite_scores():
    one, other = np.float32([[[[0, 1e30, -1e30]]]]), np.float32([[[[0, 300, -300]]]])
    found = np.asarray(MeanProbability()([one, other]))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0, 0, 0, :2], [np.log(0.5) - 300, 0], rtol=1e-6)


def test_half_precision_is_computed_in_float32():
    layer = MeanProbability(dtype="mixed_float16")
    half = np.float16([[[[0.0, 3.0]]]])
    np.testing.assert_array_equal(np.asarray(layer([half, half]), "float32").argmax(-1), 1)
    assert MeanProbability().compute_dtype == "float32"
