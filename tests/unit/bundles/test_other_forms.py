"""A bundle in another program's form."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import kseg


@pytest.mark.filterwarnings("ignore")  # TensorFlow's, of its own interpreter
def test_a_bundle_s_class_ids_convert_to_litert_and_stay_the_same(tmp_path):
    keras.utils.set_random_seed(0)
    network = kseg.build("unet", depth=1, width=2, padding="same", classes=3)
    bundle = kseg.export(network, tmp_path, name="a")
    converter = tf.lite.TFLiteConverter.from_saved_model(str(bundle), signature_keys=["serving_default"])
    runner = tf.lite.Interpreter(model_content=converter.convert()).get_signature_runner("serving_default")
    image = np.random.default_rng(0).integers(0, 256, (1, 32, 40, 1)).astype(np.uint8)
    ids = runner(images=image)["mask"]
    assert ids.dtype == np.uint8
    np.testing.assert_array_equal(ids[0], kseg.predict(kseg.load(bundle), image[0]))
