import pytest

from kseg.errors import ConfigError, did_you_mean
from kseg.registry import Registry


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
    with pytest.raises(ConfigError, match="The fruit 'pear' is there already. builtins must choose another name."):
        fruit.register("pear")(float)
    assert fruit.get("pear") is int
