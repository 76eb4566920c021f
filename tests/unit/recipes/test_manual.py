import pytest
from click.testing import CliRunner

from kseg.cli import main
from kseg.options import kind_in_words, meanings
from kseg.pipeline import AUGMENTATIONS
from kseg.recipes import RECIPES
from kseg.recipes.manual import entries_of, manual_of
from kseg.recipes.recipe import field_names
from kseg.recipes.settings import PARTS


@pytest.mark.parametrize("name", RECIPES.names())
def test_every_setting_of_every_recipe_is_there_once_with_its_meaning(name):
    recipe = RECIPES.get(name)()
    found = entries_of(recipe)
    names = [each.name for each in found]
    assert len(names) == len(set(names))
    options = {f"{part}.{key}" for part in PARTS for key in getattr(recipe, part).takes(getattr(recipe, part).name)}
    assert set(names) >= {*field_names(), *options, *recipe.fields()}
    assert set(names) >= {f"data.augment.{each}" for each in AUGMENTATIONS.names()}
    assert [each.name for each in found if not (each.meaning and each.takes and each.value)] == []


def test_a_setting_has_the_recipes_value_its_bounds_and_its_meaning():
    recipe = RECIPES.get("own-unet")().with_settings({"optimizer.learning_rate": "0.5", "data.augment.shift": "7"})
    found = {each.name: each for each in entries_of(recipe)}
    assert found["optimizer.learning_rate"][1:] == ("0.5", "a number, above 0", "at the start.")
    assert found["data.crop"].value == "256,256" and found["steps"].takes == "a whole number or none, above 0"
    assert found["seed"].takes == "a whole number, at least 0, below 4,294,967,296"
    assert found["model.padding"][1:3] == ("same", "valid or same")
    assert found["data.augment.shift"].value == "true" and found["data.augment.shift.pixels"].value == "7"
    assert found["data.augment.elastic"].value == "none"
    assert found["data.augment.elastic.sigma"].value == "10, where it is done"


def test_values_stand_as_set_takes_them():
    recipe = RECIPES.get("demo")()
    same = {
        each.name: each.value
        for each in entries_of(recipe)
        if each.name in field_names() and each.value != "-" and not each.name.startswith("data.augment")
    }
    assert {
        *("steps", "epochs", "epoch_steps", "data.batch_size", "data.white", "optimizer.learning_rate"),
        *("optimizer.clip_norm", "optimizer.accumulate"),
        *("checkpoint.every_steps", "checkpoint.every_minutes", "checkpoint.keep"),
    } <= set(same)
    assert recipe.with_settings(same | {"epochs": recipe.epochs, "steps": recipe.steps}).fields() == recipe.fields()


def test_the_command_line_lists_the_entries_of_a_recipe_and_those_of_all_in_the_help():
    said = CliRunner().invoke(main, ["models", "describe", "own-unet", "--set", "steps=7"])
    assert (
        said.exit_code == 0
        and "\nsteps = 7   (a whole number or none, above 0)\n    how many steps to train;" in said.stdout
    )
    assert said.stdout.rstrip("\n") == manual_of(RECIPES.get("own-unet")().with_settings({"steps": 7}))
    assert max(map(len, said.stdout.splitlines())) <= 120
    told = CliRunner().invoke(main, ["train", "--help"]).stdout
    for name in field_names():
        assert name.rpartition(".")[2] in told, name
    assert "models describe RECIPE" in told
    wrong = CliRunner().invoke(main, ["models", "describe", "own-unett"])
    assert wrong.exit_code == 3 and "Did you mean 'own-unet'" in wrong.stderr
    drawn = CliRunner().invoke(main, ["models", "describe", "own-unet", "--draw", "a.png"])
    assert drawn.exit_code == 3 and "--draw is for a network" in drawn.stderr


def test_meanings_are_read_from_the_docstring():
    class Thing:
        """What it is.

        Attributes:
          one, two: of both,
            on two lines: with a colon.
          three: another.

        Source: none: at all.
        """

    both = "of both, on two lines: with a colon."
    assert meanings(Thing) == {"one": both, "two": both, "three": "another."}


@pytest.mark.parametrize(
    "kind, words",
    [
        (int, "a whole number"),
        (float | None, "a number or none"),
        (tuple[int, int], "2 whole numbers with commas between"),
        (tuple[str, ...], "names with commas between"),
        (bool, "true or false"),
    ],
)
def test_kinds_in_words(kind, words):
    assert kind_in_words(kind) == words
