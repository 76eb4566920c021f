"""What a step needs is counted before it is done."""

import keras
import pytest

import kseg
from kseg.device import memory_bytes
from kseg.errors import EnvironmentFailure
from kseg.preparation.memory import check_memory, kept_bytes


def test_each_convolutions_map_counts_in_the_precision_it_is_computed_in() -> None:
    image = keras.Input((None, None, 2))
    halved = keras.layers.MaxPooling2D()(keras.layers.Conv2D(3, 3, dtype="mixed_bfloat16")(image))
    model = keras.Model(image, keras.layers.Conv2DTranspose(5, 2, strides=2)(halved))
    # 10 x 8 pixels: three maps of 8 x 6 of two bytes, from 4 x 3 five maps of 8 x 6 of four bytes.
    assert kept_bytes(model, 7, 10, 8) == 7 * (8 * 6 * 3 * 2 + 8 * 6 * 5 * 4)


def test_streams_count_alike() -> None:
    options = {"classes": 3, "width": 1 / 16, "fc_width": 8}
    one = kept_bytes(kseg.build("fcn32s", **options), 1, 64, 96)
    both = kept_bytes(kseg.build("fcn32s", streams=("rgb", "hha"), **options), 1, 64, 96)
    assert both == 2 * one


@pytest.mark.skipif(memory_bytes() is None, reason="this system does not say how much memory it has")
def test_a_step_that_can_not_fit_is_refused_and_one_that_can_is_not() -> None:
    model = kseg.build("unet", width=4, depth=2, padding="same")
    check_memory(model, 2, 64, 64)
    with pytest.raises(
        EnvironmentFailure,
        match=r"A step on 2 x 400000 x 400000 pixels keeps at least .* smaller batch_size=... or crop=",
    ):
        check_memory(model, 2, 400_000, 400_000)


@pytest.mark.skipif(memory_bytes() is None, reason="this system does not say how much memory it has")
def test_a_training_that_can_not_fit_leaves_no_folder(tmp_path) -> None:
    with pytest.raises(EnvironmentFailure, match="this machine has"):
        kseg.train("demo", run=tmp_path / "run", settings={"data.crop": "400000,400000"})
    assert not (tmp_path / "run").exists()


def test_a_network_without_convolutions_of_its_own_keeps_nothing_that_is_counted():
    image = keras.Input((None, None, 1))
    assert kept_bytes(keras.Model(image, keras.layers.Dense(2)(image)), 4, 8, 8) == 0
