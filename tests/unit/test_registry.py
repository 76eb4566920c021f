import functools
import importlib
import subprocess
import sys

import pytest

from kseg.errors import ConfigError, did_you_mean
from kseg.registry import Registry, _load_installed, load_plugin, loaded_plugins


@pytest.fixture
def fruit():
    registry: Registry[type] = Registry("fruit")
    registry.register("pear")(int)
    registry.register("apple")(str)
    return registry


def test_the_decorator_gives_back_what_it_enters(fruit):
    assert fruit.register("plum")(float) is float and fruit.get("plum") is float


def test_names_come_in_the_order_of_registration(fruit):
    assert fruit.names() == ["pear", "apple"]


def test_an_unknown_name_gets_the_nearest_and_all_there_are(fruit):
    with pytest.raises(ConfigError, match="There is no fruit 'aple'. Did you mean 'apple'. Known: apple, pear."):
        fruit.get("aple")


def test_a_name_like_none_gets_no_suggestion():
    assert did_you_mean("zzz", ["pear", "apple"]) == "Known: apple, pear."


def test_a_name_taken_twice_is_refused_and_the_first_stays(fruit):
    with pytest.raises(ConfigError, match="The fruit 'pear' is registered already. builtins must choose another name."):
        fruit.register("pear")(float)
    assert fruit.get("pear") is int


class Installed:
    """An entry point of an installed package."""

    def __init__(self, name, load):
        self.name, self.value, self.load = name, f"{name}.module", load


@pytest.fixture
def installed(monkeypatch):
    """Packages that are looked for anew, and how often."""
    looked, packages = [], []

    def entry_points(group):
        looked.append(group)
        return packages

    monkeypatch.setattr("kseg.registry.metadata.entry_points", entry_points)
    monkeypatch.setattr("kseg.registry._load_installed", functools.cache(_load_installed.__wrapped__))
    return packages, looked


def test_installed_plugins_are_imported_only_for_an_unknown_name_or_a_list_and_once(fruit, installed):
    packages, looked = installed
    packages.append(Installed("exotic", lambda: fruit.register("mango")(bytes)))
    assert fruit.get("pear") is int and "mango" not in fruit and looked == []
    assert (
        fruit.get("mango") is bytes and fruit.origin("mango") == "exotic.module" and fruit.origin("pear") == "builtins"
    )
    assert fruit.names() == ["pear", "apple", "mango"] and looked == ["kseg.plugins"]


def test_an_installed_plugin_that_fails_is_a_warning(fruit, installed, caplog):
    def broken():
        raise ImportError("no such thing")

    installed[0].append(Installed("broken", broken))
    installed[0].append(Installed("exotic", lambda: fruit.register("mango")(bytes)))
    assert fruit.names() == ["pear", "apple", "mango"]
    assert "the plugin broken (broken.module) can't be imported: no such thing" in caplog.text


def test_a_plugin_is_imported_once_by_file_or_by_name_and_its_names_remember_it(fruit, tmp_path, monkeypatch):
    (tmp_path / "plugin_of_fruit.py").write_text(
        "import builtins\nbuiltins.imports = getattr(builtins, 'imports', 0) + 1\n"
    )
    monkeypatch.setattr("builtins.imports", 0, raising=False)
    for _ in range(2):
        load_plugin(str(tmp_path / "plugin_of_fruit.py"))
    import builtins

    assert builtins.imports == 1 and str(tmp_path / "plugin_of_fruit.py") in loaded_plugins()
    with pytest.raises(ConfigError, match="no_such_module: this plugin can't be imported"):
        load_plugin("no_such_module")
    (tmp_path / "json.py").write_text("")
    with pytest.raises(ConfigError, match="a module 'json' is imported already"):
        load_plugin(str(tmp_path / "json.py"))


def test_what_is_defined_anew_takes_the_place_of_itself_and_of_nothing_else(fruit):
    def define(name, module):
        made = type(name, (), {"__module__": module})
        return fruit.register("fig")(made)

    first = define("Fig", "mine")
    assert define("Fig", "mine") is fruit.get("fig") and fruit.get("fig") is not first
    for name, module in (("Date", "mine"), ("Fig", "theirs")):
        with pytest.raises(ConfigError, match="The fruit 'fig' is registered already"):
            define(name, module)
    with pytest.raises(ConfigError, match="is registered already"):
        fruit.register("fig")(functools.partial(define, "Fig"))


def test_a_notebooks_cell_may_register_under_the_same_name_whatever_the_class_is_called(fruit):
    for name in ("Lime", "Lime", "Lemon"):
        fruit.register("lime")(type(name, (), {"__module__": "__main__"}))
    assert fruit.get("lime").__name__ == "Lemon"


def test_a_plugin_that_was_imported_by_hand_is_not_imported_again_and_its_file_is_remembered(tmp_path, monkeypatch):
    path = tmp_path / "plugin_by_hand.py"
    path.write_text(
        "from kseg.registry import REGISTRIES\n\n\n@REGISTRIES['berry'].register('elder')\nclass Elder: ...\n"
    )
    berries: Registry[type] = Registry("berry")
    monkeypatch.syspath_prepend(str(tmp_path))
    importlib.import_module("plugin_by_hand")
    assert berries.origin("elder") == str(path)
    kept = berries.get("elder")
    load_plugin(str(path))
    assert berries.get("elder") is kept and str(path) in loaded_plugins()


def test_a_module_in_the_working_folder_is_found_by_its_name(tmp_path, monkeypatch):
    (tmp_path / "plugin_in_folder.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", list(sys.path))
    load_plugin("plugin_in_folder")
    assert "plugin_in_folder" in loaded_plugins()


def test_a_plugin_that_ends_the_program_is_refused(tmp_path):
    (tmp_path / "plugin_that_ends.py").write_text("import sys\nsys.exit(3)\n")
    with pytest.raises(ConfigError, match=r"plugin_that_ends.py: this plugin can't be imported \(SystemExit: 3\)"):
        load_plugin(str(tmp_path / "plugin_that_ends.py"))


def test_what_a_plugin_is_the_first_to_import_stays_ksegs_own(tmp_path):
    """In a fresh process, since the rooms are imported here already."""
    (tmp_path / "mine.py").write_text(
        "from kseg.datasets import DATASETS, Dataset\nfrom kseg.metrics import MEASURES, MEASURES as found\n\n\n"
        "@DATASETS.register('mine')\nclass Mine(Dataset):\n    pass\n\n\n"
        "MEASURES.register('again')(found.get('mean_iu'))\n"
    )
    code = (
        "from kseg.registry import load_plugin, REGISTRIES\nload_plugin('mine.py')\n"
        "print([(kind, name, REGISTRIES[kind].origin(name)) for kind, name in "
        "[('data set', 'folder'), ('measure', 'mean_iu'), ('data set', 'mine'), ('measure', 'again')]])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    path = str(tmp_path / "mine.py")
    assert done.stdout.strip() == str(
        [
            ("data set", "folder", None),
            ("measure", "mean_iu", None),
            ("data set", "mine", path),
            ("measure", "again", path),
        ]
    ), done.stderr
