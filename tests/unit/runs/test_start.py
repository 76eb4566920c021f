import keras
import numpy as np
import pytest

from kseg.errors import ConfigError
from kseg.images import write_image
from kseg.runs.start import begin, check_callbacks
from kseg.training.specs import OptimizerSpec

SLIM = {"data.name": "folder", "model.width": 2, "model.depth": 1, "precision": "float32"}


@pytest.fixture
def mine(tmp_path):
    for number in range(4):
        write_image(tmp_path / "images" / f"{number}.png", np.full((16, 16), 50 * number, np.uint8))
        write_image(tmp_path / "labels" / f"{number}.png", np.eye(16, dtype=np.uint8))
    return tmp_path


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        ({"loss.border_weight": 5}, "labels of folder do not number their objects. If they do, pass instances=True"),
        ({"optimizer.power": 2}, "it belongs to the polynomial schedule, but optimizer.schedule is cosine"),
    ],
)
def test_a_setting_that_would_change_nothing_is_refused(mine, setting, reason):
    with pytest.raises(ConfigError, match=f"{next(iter(setting))} would change nothing: .*{reason}"):
        begin(None, mine, None, {**SLIM, **setting}, "auto")


def test_the_same_settings_are_taken_where_they_count(mine):
    counting = {"data.instances": True, "loss.border_weight": 5, "optimizer.schedule": "polynomial"}
    prepared, *_ = begin(None, mine, None, {**SLIM, **counting, "optimizer.power": 2}, "auto")
    assert (prepared.recipe.loss.border_weight, prepared.recipe.optimizer.power) == (5, 2)
    begin(None, mine, None, {**SLIM, "loss.border_weight": 0}, "auto")


def test_a_table_of_colours_is_found_from_any_folder(mine, tmp_path, monkeypatch):
    (mine / "tab.csv").write_text("class,red,green,blue\ndark,0,0,0\nbright,1,1,1\n")
    monkeypatch.chdir(mine)
    prepared, *_ = begin(None, mine, None, {**SLIM, "data.colours": "tab.csv"}, "auto")
    assert prepared.recipe.data.colours == str(mine / "tab.csv")


def test_masks_that_are_mostly_1_are_doubted(mine, capsys):
    for path in (mine / "labels").iterdir():
        write_image(path, 1 - np.eye(16, dtype=np.uint8))
    begin(None, mine, None, SLIM, "auto")
    assert "class 1 covers 94% of the pixels: where 0 is the object, pass values=(1, 0)" in capsys.readouterr().err


@pytest.mark.parametrize(
    "callback", [keras.callbacks.ReduceLROnPlateau(), keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate)]
)
def test_a_callback_and_a_schedule_cant_both_set_the_rate(callback):
    others = [keras.callbacks.TerminateOnNaN(), callback]
    words = rf"{type(callback).__name__} sets the learning rate, and so does the recipe's schedule \(cosine\). Pass"
    with pytest.raises(ConfigError, match=words):
        check_callbacks(others, OptimizerSpec())
    check_callbacks(others, OptimizerSpec(schedule="constant"))
    check_callbacks(others[:1], OptimizerSpec())
