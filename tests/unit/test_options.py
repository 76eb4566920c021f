import enum
import functools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from kseg.errors import ConfigError
from kseg.options import Option, check_required, checked, convert, options_of

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
        ConfigError, match="The data set 'a' needs data.need, which has no default: pass --set data.need="
    ):
        check_required("The data set 'a'", options_of(sample), {}, "data.")
    check_required("The data set 'a'", options_of(sample), {"need": 0}, "data.")
