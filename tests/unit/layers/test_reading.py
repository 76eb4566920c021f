import keras
import numpy as np
import pytest

from kseg.errors import ConfigError
from kseg.layers import ReadScores, ScoreReading


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def policy(request):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy(before)


def test_scores_stay_float32_under_any_policy(policy):
    scores = np.array([[[[1.0, 1.0001]]]], np.float32)
    read = keras.ops.convert_to_numpy(ReadScores()(scores))
    assert read.dtype == np.float32 and read.tolist() == scores.tolist()


def test_a_layer_goes_to_a_configuration_and_back_with_its_reading():
    layer = ReadScores(classes=["a", "b"], colours=[[1, 2, 3], [4, 5, 6]], threshold=0.25, min_size=3, name="reading")
    again = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(layer))
    assert again.reading == layer.reading and again.name == "reading"
    assert layer.reading == ScoreReading(("a", "b"), ((1, 2, 3), (4, 5, 6)), threshold=0.25, min_size=3)
    with pytest.raises(ConfigError, match="threshold is 2, but must be a probability"):
        ReadScores(threshold=2)
