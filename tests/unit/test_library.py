"""What a library user finds: names, types, versions."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

import kseg
from kseg.errors import ConfigError

ROOT = Path(kseg.__file__).parents[1]
LAZY = ("kseg", "kseg.metrics", "kseg.training", "kseg.weights")

USER = """
import kseg

reveal_type(kseg.build)
reveal_type(kseg.load)
reveal_type(kseg.train)
reveal_type(kseg.predict)
reveal_type(kseg.Recipe)
reveal_type(kseg.__version__)
reveal_type(kseg.datasets.open)
reveal_type(kseg.models.fcn8s)
reveal_type(kseg.models.unet)
reveal_type(kseg.weights.import_caffemodel)
reveal_type(kseg.metrics.v_rand)
reveal_type(kseg.training.optimizers.for_mean_loss)
data = kseg.datasets.open("camvid", "CamVid", split="val")
reveal_type(data[0])
reveal_type(data[1:3])
kseg.bulid("unet")
kseg.models.fcn8s(clases=2)
kseg.models.unet(variant="papper")
kseg.datasets.open("camvid", "CamVid")
kseg.training.nothing
"""
REVEALED = {
    "kseg.build": r"def \(name: str, \*, classes: int | typing.Mapping\[str, int\] | None =, .*weights: str | ",
    "kseg.load": r"def \(path: str | pathlib.Path",
    "kseg.train": r"def \(recipe: str | kseg.recipes.recipe.Recipe | None =.* -> kseg.runs.trainer.Run",
    "kseg.predict": r"def \(model: .*, image: .*tile: int | None =",
    "kseg.Recipe": r"def \(name: str.* -> kseg.recipes.recipe.Recipe",
    "kseg.__version__": "str$",
    "kseg.datasets.open": r"def \(name: str, .*split: str, .* -> kseg.datasets.contract.Dataset",
    "kseg.models.fcn8s": r"def \(\*, classes: int | typing.Mapping.*backbone: Literal\['vgg16'\] | ",
    "kseg.models.unet": r"def \(\*, classes: int =, .*depth: int =",
    "kseg.weights.import_caffemodel": r"def \(path: str | pathlib.Path",
    "kseg.metrics.v_rand": r"def \(prediction: numpy.* -> float",
    "kseg.training.optimizers.for_mean_loss": r"def \(spec: .*, pixels: int\)",
    "data[0]": "kseg.datasets.contract.Item$",
    "data[1:3]": "kseg.datasets.contract.Dataset$",
}
FOUND = (
    'Module has no attribute "bulid"; maybe "build"?',
    'Unexpected keyword argument "clases"',
    'Argument "variant" to "unet" has incompatible type',
    'Missing named argument "split"',
    'Module has no attribute "nothing"',
)


@pytest.mark.parametrize("strictly", [[], ["--strict"]], ids=["plain", "strict"])
def test_a_type_checker_sees_the_signatures_and_finds_the_mistakes_in_a_users_script(tmp_path, monkeypatch, strictly):
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(USER)
    monkeypatch.setenv("MYPYPATH", str(ROOT))
    monkeypatch.chdir(tmp_path)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--no-pretty",
        "--cache-dir",
        str(tmp_path / "cache"),
        *strictly,
        "user.py",
    ]
    said = subprocess.run(command, capture_output=True, text=True).stdout
    lines = [line for line in said.splitlines() if line.startswith("user.py:")]
    script = USER.splitlines()
    notes = {}
    for line in lines:
        if match := re.match(r'user.py:(\d+): note: Revealed type is "(.*)"$', line):
            notes[script[int(match[1]) - 1].removeprefix("reveal_type(").removesuffix(")")] = match[2]
    assert notes.keys() == REVEALED.keys()
    for name, pattern in REVEALED.items():
        assert re.match(re.sub(r" \| ", r" \\| ", pattern), notes[name]), f"{name}: {notes[name]}"
    errors = [line for line in lines if ": error: " in line]
    assert len(errors) == len(FOUND) and all(words in line for words, line in zip(FOUND, errors, strict=True)), errors


@pytest.mark.parametrize("package", LAZY)
def test_what_a_type_checker_sees_of_a_lazy_package_is_what_there_is(package):
    module = importlib.import_module(package)
    tree = ast.parse(Path(module.__file__).read_text())
    (typed,) = (node for node in tree.body if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    for node in typed.body:
        if isinstance(node, ast.ImportFrom):
            source = importlib.import_module(node.module)
            for alias in node.names:
                assert alias.name in module.__all__ and getattr(module, alias.name) is getattr(source, alias.name)
    named = {alias.name for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert set(module.__all__) == named | {name for name in module.__all__ if name in vars(module)} | {
        name for name in module.__all__ if name == "__version__"
    }
    assert dir(module) == sorted(module.__all__)


def test_submodules_resolve_and_what_is_not_there_is_an_attribute_error():
    code = (
        "import kseg\n"
        "assert kseg.training.optimizers.for_mean_loss and kseg.weights.sources and kseg.metrics.em\n"
        "assert kseg.datasets.downloads and kseg.pipeline.shards and kseg.bundles\n"
        "for room in (kseg, kseg.training, kseg.weights, kseg.metrics, kseg.datasets, kseg.pipeline):\n"
        "    assert not hasattr(room, 'nothing') and not hasattr(room, '_nothing')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_name_whose_module_fails_says_why_and_not_that_it_is_missing(tmp_path, monkeypatch):
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "__init__.py").write_text(
        "from kseg.lazy import lazy\n__all__ = []\n__getattr__, __dir__ = lazy(__name__, {})\n"
    )
    (tmp_path / "room" / "broken.py").write_text("import a_package_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    room = importlib.import_module("room")
    with pytest.raises(ModuleNotFoundError, match="a_package_that_is_not_there"):
        room.broken  # noqa: B018
    with pytest.raises(AttributeError, match="room has no 'nothing'"):
        room.nothing  # noqa: B018


def test_the_version_is_that_of_setup_py_and_types_are_shipped():
    setup = (ROOT / "setup.py").read_text()
    assert f'version="{kseg.__version__}"' in setup and '"py.typed"' in setup
    assert (ROOT / "kseg" / "py.typed").read_text() == ""


def test_names_are_listed_at_the_top():
    assert {"unet", "fcn8s", "fcn8s-atonce", "vgg16"} <= set(kseg.models.names())
    assert {"folder", "camvid", "voc2012"} <= set(kseg.datasets.names())
    assert {"demo", "own-unet", "voc-fcn8s"} <= set(kseg.recipes.names())
    assert all(kseg.recipes.RECIPES.get(name)().name == name for name in kseg.recipes.names())


def test_a_recipe_is_written_with_what_kseg_recipes_exports():
    from kseg.recipes import DataSpec, ModelSpec, OptimizerSpec

    recipe = kseg.Recipe("mine", ModelSpec(width=8), DataSpec(name="demo"), optimizer=OptimizerSpec(), steps=3)
    assert kseg.Recipe.from_json(recipe.to_json()) == recipe and isinstance(recipe, kseg.recipes.Recipe)
    with pytest.raises(ConfigError):
        kseg.Recipe("mine")


def test_every_kind_lists_its_names():
    for room, name in (("metrics", "mean_iu"), ("objectives", "dice"), ("pipeline", "mirror"), ("datasets", "demo")):
        assert name in getattr(kseg, room).names()
