"""What a run folder holds, and what is said where its network is missing."""

from kseg.errors import spelled
from kseg.folders import PRESETS, advice_without_network, keras_file, path_of, run_folder


def test_a_keras_file_is_named_itself_or_is_the_best_network_of_a_run(tmp_path):
    assert keras_file(tmp_path) is None and keras_file(tmp_path / "a.keras") is None
    best = tmp_path / "model.keras"
    best.touch()
    (tmp_path / "a.h5").touch()
    assert keras_file(tmp_path) == keras_file(best) == best and keras_file(tmp_path / "a.h5") is None
    assert run_folder(tmp_path) == run_folder(best) == tmp_path


def test_a_preset_is_found_unless_a_file_has_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert path_of("isbi2012-unet") == PRESETS / "isbi2012-unet" == run_folder("isbi2012-unet")
    (tmp_path / "isbi2012-unet").mkdir()
    assert path_of("isbi2012-unet").resolve() == tmp_path / "isbi2012-unet"


def test_a_run_without_its_best_network_is_told_what_is_left(tmp_path):
    again = f"run={str(tmp_path)!r}"
    nothing = f"Neither checkpoints nor last.keras are there: train it again, with {again}."
    assert spelled(advice_without_network(tmp_path)) == nothing
    last = f"{tmp_path / 'last.keras'} is the network after the last step: name it in place of the run."
    (tmp_path / "last.keras").touch()
    assert spelled(advice_without_network(tmp_path)) == last
    (tmp_path / "checkpoints" / "step-2").mkdir(parents=True)
    goes_on = f"Training with {again} goes on from the newest checkpoint and writes it."
    assert spelled(advice_without_network(tmp_path)) == f"{goes_on} {last}"
