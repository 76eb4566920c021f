import json
import resource
from pathlib import Path

import numpy as np
import platformdirs
import pytest

from kseg.errors import EnvironmentFailure
from kseg.images import stack_writer, write_image
from kseg.storage import aside, cache_folder, write_json, write_text

NOISE = np.random.default_rng(0).integers(0, 256, (1100, 1100, 3)).astype(np.uint8)


@pytest.fixture
def full_disk():
    """No file may grow beyond a megabyte."""
    _, hard = limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def write_stack(path: Path) -> None:
    with stack_writer(path) as write:
        write(NOISE)


def write_folder(path: Path) -> None:
    with aside(path) as place:
        place.mkdir()
        (place / "small").write_text("a")
        (place / "large").write_bytes(bytes(2 << 20))


@pytest.mark.parametrize("write", [lambda path: write_text(path, "a" * (2 << 20)), write_stack, write_folder])
def test_a_full_disk_is_said_in_one_sentence_and_leaves_the_old_file(tmp_path, full_disk, write):
    path = tmp_path / "a.tif"
    path.write_text("old")
    with pytest.raises(EnvironmentFailure, match="a.tif: can't be written .File too large.*Free some space") as caught:
        write(path)
    assert isinstance(caught.value, OSError) and caught.value.exit_code == 5
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.tif"] and path.read_text() == "old"


def test_a_picture_that_does_not_fit_the_disk_leaves_nothing(tmp_path, full_disk):
    with pytest.raises(EnvironmentFailure, match="a.png: can't be written"):
        write_image(tmp_path / "a.png", NOISE)
    assert not list(tmp_path.iterdir())


def test_a_parent_that_is_a_file_is_named(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(EnvironmentFailure, match=r"a/b/c.json: can't be written \(Not a directory\)"):
        write_json(tmp_path / "a" / "b" / "c.json", 1)
    assert (tmp_path / "a").read_text() == "old"


@pytest.mark.parametrize("failure", [ValueError, KeyboardInterrupt])
def test_a_block_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, failure):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(failure), aside(path) as place:
        place.write_text("new")
        raise failure
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.txt"] and path.read_text() == "old"


def test_the_old_file_stands_until_the_block_ends(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with aside(path) as place:
        place.write_text("new")
        assert path.read_text() == "old" and place.suffix == ".txt" and place.parent.parent == tmp_path
    assert path.read_text() == "new" and [entry.name for entry in tmp_path.iterdir()] == ["a.txt"]


def test_a_folder_appears_whole_and_does_not_replace_another(tmp_path):
    def write(inner: str) -> None:
        with aside(tmp_path / "new" / "run") as place:
            place.mkdir()
            (place / inner).touch()

    write("x")
    with pytest.raises(EnvironmentFailure, match="run: can't be written .Directory not empty"):
        write("y")
    assert [entry.name for entry in (tmp_path / "new").rglob("*")] == ["run", "x"]


def test_a_block_that_writes_nothing_is_told_so(tmp_path):
    with pytest.raises(EnvironmentFailure, match="No such file"), aside(tmp_path / "a"):
        pass


def test_another_file_that_was_missing_is_named(tmp_path):
    with (
        pytest.raises(EnvironmentFailure, match=r"a: can't be written \(No such file or directory: /nowhere/b\)"),
        aside(tmp_path / "a"),
    ):
        Path("/nowhere/b").read_text()


def test_text_and_json_come_back_as_they_went(tmp_path):
    write_text(tmp_path / "a.txt", "Zähne\n")
    write_json(tmp_path / "a.json", {"a": [1, 2.5, None]})
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == "Zähne\n"
    assert json.loads((tmp_path / "a.json").read_text()) == {"a": [1, 2.5, None]}


def test_the_cache_is_where_kseg_home_says_else_the_platforms(monkeypatch):
    monkeypatch.setenv("KSEG_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere")
    monkeypatch.delenv("KSEG_HOME")
    assert cache_folder() == Path(platformdirs.user_cache_dir("kseg"))
