import enum
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pytest

from kseg.cli.spelling import as_option
from kseg.errors import ConfigError
from kseg.options import (
    Above,
    AtLeast,
    AtMost,
    Below,
    Option,
    check_required,
    check_values,
    checked,
    convert,
    kind_in_words,
    options_of,
)

if TYPE_CHECKING:
    from nowhere import Unknown


class Kind(enum.Enum):
    RED = "r"
    BLUE = 2


def sample(
    need: int, other: "Unknown" = None, size: "tuple[int, int]" = (1, 2), pair=(3, 4), drop: int | None = 5
) -> None: ...


def test_a_hint_that_can_not_be_resolved_leaves_the_others():
    found = options_of(sample)
    assert found["need"] == Option(int, None, True) and found["size"] == Option(tuple[int, int], (1, 2))
    assert found["pair"].kind is tuple and found["other"].default is None
    assert options_of(functools.partial(sample, need=3))["need"] == Option(int, 3)


@pytest.mark.parametrize(
    ("text", "hint", "wanted"),
    [
        ("a, b", list, ["a", "b"]),
        ("1,2", tuple, (1, 2)),
        ("1,2", list[str], ["1", "2"]),
        ("1,x", tuple[int, str], (1, "x")),
        ("1,2,3", tuple[int, ...], (1, 2, 3)),
        ("a/b", Path, Path("a/b")),
        ("none", Path | None, None),
        ("red", Kind, None),
        ("RED", Kind, Kind.RED),
        ("r", Kind, Kind.RED),
        ("2", Kind, Kind.BLUE),
    ],
)
def test_text_becomes_what_the_hint_says(text, hint, wanted):
    if (text, hint) == ("red", Kind):
        with pytest.raises(ConfigError, match="data.a is 'red', but must be one of RED, BLUE"):
            convert(text, hint, "data.a")
        return
    found = convert(text, hint, "data.a")
    assert found == wanted and type(found) is type(wanted)


@pytest.mark.parametrize("value", [32, "1,2,3", (1,), "7", {1, 2}])
def test_what_is_no_pair_is_refused_as_one(value):
    with pytest.raises(ConfigError, match="data.crop is .*, but must be 2 values with commas between them"):
        convert(value, tuple[int, int] | None, "data.crop")


def test_none_is_refused_where_it_would_quietly_mean_another_default():
    known = options_of(sample)
    with pytest.raises(ConfigError, match="data.drop can't be none, which stands for the default here, 5"):
        checked("The data set 'a'", known, {"drop": "none"}, "data.")
    assert checked("The data set 'a'", known, {"need": "none"}) == {}


def test_an_option_without_a_default_is_asked_for():
    with pytest.raises(
        ConfigError, match="^The data set 'a' needs data.need, which has no default. Pass need="
    ) as caught:
        check_required("The data set 'a'", options_of(sample), {}, "data.")
    assert caught.value.told(as_option).endswith("Pass --set data.need=...")
    check_required("The data set 'a'", options_of(sample), {"need": 0}, "data.")


@dataclass(frozen=True)
class Limits:
    rate: Annotated[float, Above(0)] = 1.0
    count: Annotated[int | None, AtLeast(1), AtMost(9)] = None
    share: Annotated[float, AtLeast(0), Below(1)] | None = None
    free: float = 0.0

    def __post_init__(self) -> None:
        check_values(type(self), vars(self), "part.")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("rate", 0.0, "above 0"),
        ("rate", float("nan"), "a finite number"),
        ("count", 0, "at least 1"),
        ("count", 10, "at most 9"),
        ("share", 1.0, "below 1"),
        ("share", -0.5, "at least 0"),
        ("free", float("inf"), "a finite number"),
    ],
)
def test_a_number_beyond_its_bounds_is_refused_in_a_dataclass_and_as_text(name, value, words):
    with pytest.raises(ConfigError, match=f"^part.{name} is {value}, but must be {words}.$"):
        Limits(**{name: value})
    with pytest.raises(ConfigError, match=f"^part.{name} is {value}, but must be {words}.$"):
        checked("It", options_of(Limits), {name: str(value)}, "part.")


def test_the_bounds_themselves_and_none_are_taken():
    text = {"rate": "0.001", "count": "9", "share": "0", "free": "-3"}
    found = checked("It", options_of(Limits), text)
    assert found == {"rate": 0.001, "count": 9, "share": 0.0, "free": -3.0}
    assert Limits(**found) and Limits(count=1) and Limits(count=None, share=None)
    assert checked("It", options_of(Limits), {"rate": "none", "count": "none"}) == {}
    with pytest.raises(ConfigError, match="part.count is '1.5', but must be a whole number"):
        checked("It", options_of(Limits), {"count": "1.5"}, "part.")


def test_the_arguments_of_a_function_have_bounds_too():
    def made(*, share: Annotated[float, AtLeast(0), Below(1)], name: str = "a") -> None: ...

    check_values(made, {"share": 0.0, "name": "b", "other": -1})
    with pytest.raises(ConfigError, match="^share is 1.0, but must be below 1.$"):
        check_values(made, {"share": 1.0})


def test_bounds_in_words():
    found = {name: kind_in_words(option.kind) for name, option in options_of(Limits).items()}
    assert found["rate"] == "a number, above 0" and found["count"] == "a whole number or none, at least 1, at most 9"
    assert kind_in_words(Annotated[int, Below(2**32)]) == "a whole number, below 4,294,967,296"
