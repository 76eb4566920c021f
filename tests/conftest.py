"""What all tests share."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory):
    """No test reads or leaves anything in the person's own cache."""
    os.environ["KSEG_HOME"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def shared() -> Path:
    """The builders' folder of golden and real data; absent at a user's."""
    folder = Path(os.environ.get("KSEG_SHARED") or Path(__file__).resolve().parents[2] / "shared")
    if not folder.is_dir():
        pytest.skip(f"needs the builders' data, which is not at {folder}")
    return folder


@pytest.fixture(scope="session")
def few_cells(tmp_path_factory) -> Path:
    """The first images of the demo: two to learn from, three to score."""
    from kseg.datasets.demo import write_demo

    folder = tmp_path_factory.mktemp("data") / "cells"
    write_demo(folder)
    for split, count in (("train", 2), ("val", 3)):
        for kind in ("images", "labels"):
            for path in sorted((folder / split / kind).iterdir())[count:]:
                path.unlink()
    return folder


@pytest.fixture(scope="module", autouse=True)
def _no_plugins_of_others():
    """What a module's tests register is not there for the next: the order of tests changes nothing."""
    from kseg.registry import REGISTRIES

    yield
    for registry in REGISTRIES.values():
        for name in [name for name in registry if registry.origin(name)]:
            del registry._entries[name], registry._origins[name]
