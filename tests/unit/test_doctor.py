import os

import pytest

from kseg import device
from kseg.doctor import Sign, examine


def signs_by_name() -> dict[str, Sign]:
    return {sign.name: sign for sign in examine()}


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Enters a package among those that are installed, before all others."""
    monkeypatch.syspath_prepend(tmp_path)

    def install(name: str, version: str, more: str = "") -> None:
        folder = tmp_path / f"{name.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{more}")

    return install


def test_a_whole_installation_has_nothing_wrong_and_names_its_parts(monkeypatch):
    for name in [name for name in os.environ if name.startswith("KSEG_")]:
        monkeypatch.delenv(name)
    signs = signs_by_name()
    assert [str(sign) for sign in signs.values() if sign.wrong] == []
    wanted = {"python", "tensorflow", "keras", "numpy", "opencv-python-headless", "keras backend", "processor"}
    assert wanted | {"memory", "GPU", "precision auto"} <= signs.keys()
    assert signs["keras backend"].found == "tensorflow" and "pytest" not in signs


def test_the_settings_in_force_are_shown_with_the_variable_that_changes_them(monkeypatch):
    monkeypatch.setattr(device, "_flags", lambda: "flags : avx2 avx_vnni")
    monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    signs = signs_by_name()
    assert signs["processor"].found.endswith(" threads; AVX2")
    assert signs["training steps"].found == "compiled by XLA"
    assert signs["oneDNN"].found == "on" and "export TF_ENABLE_ONEDNN_OPTS=0 " in signs["oneDNN"].advice
    assert not signs["oneDNN"].wrong
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    assert (signs_by_name()["oneDNN"].found, signs_by_name()["oneDNN"].advice) == ("off", "")
    monkeypatch.setattr(device, "_flags", lambda: "flags : avx2 avx512f")
    signs = signs_by_name()
    assert signs["training steps"].found == "operation by operation"
    assert signs["oneDNN"].found == "off" and "export TF_ENABLE_ONEDNN_OPTS=1 " in signs["oneDNN"].advice


def test_a_version_out_of_range_names_the_one_that_is_needed(installed):
    installed("numpy", "1.26.4")
    found = signs_by_name()["numpy"]
    assert (found.wrong, found.found) == (True, "1.26.4")
    assert found.advice == "kseg needs numpy>=2: pip install 'numpy>=2'"


def test_a_python_out_of_range_names_the_one_that_is_needed(installed):
    installed("kseg", "0.1.0", "Requires-Python: >=3.99\n")
    found = signs_by_name()["python"]
    assert found.wrong and found.advice.startswith("kseg needs Python >=3.99. Make an environment with it")


def test_two_forms_of_opencv_are_wrong_together(installed):
    installed("opencv-python", "4.11.0.86")
    found = signs_by_name()["cv2"]
    assert found.wrong and "opencv-python and opencv-python-headless" in found.found
    assert found.advice.startswith("Keep one: pip uninstall -y opencv-python opencv-python-headless;")


def test_a_misspelt_variable_gets_the_nearest_and_a_known_one_is_shown(monkeypatch):
    monkeypatch.setenv("KSEG_OFLINE", "1")
    monkeypatch.setenv("KSEG_HOME", "/tmp/cache")
    signs = signs_by_name()
    assert signs["KSEG_OFLINE"].wrong and "Did you mean 'KSEG_OFFLINE'?" in signs["KSEG_OFLINE"].advice
    assert (signs["KSEG_HOME"].found, signs["KSEG_HOME"].wrong) == ("/tmp/cache", False)


@pytest.mark.skipif("allocator" not in signs_by_name(), reason="the C library is not glibc")
def test_the_allocators_variables_are_named_until_both_are_set(monkeypatch):
    monkeypatch.delenv("MALLOC_TRIM_THRESHOLD_", raising=False)
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "16777216")
    found = signs_by_name()["allocator"]
    assert not found.wrong
    assert "export MALLOC_TRIM_THRESHOLD_=268435456 MALLOC_MMAP_THRESHOLD_=16777216" in found.advice
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "268435456")
    assert signs_by_name()["allocator"].advice == ""
