"""Which images are held out; by hand from SHA-256: `printf c | sha256sum` gives 2e7d..., and 0x2e7d / 2^16 = 0.18."""

import unicodedata

import pytest

from kseg.datasets.own.division import held_out

LETTERS = list("abcdefghij")


def names_held(names, rule="hash"):
    return {names[place] for place in held_out(names, rule)}


def test_names_whose_hash_lies_below_a_fifth_are_held_out():
    assert names_held(LETTERS) == {"c", "d", "f", "j"}


def test_a_name_that_is_added_moves_no_other():
    before = names_held(LETTERS)
    for more in (["k"], ["0", "k", "zebra"], [f"new{number}" for number in range(50)]):
        assert names_held(LETTERS + more) & set(LETTERS) == before


def test_about_a_fifth_of_many_names_is_held_out():
    assert 180 <= len(held_out([f"cell {number}" for number in range(1000)])) <= 220  # 200 give or take 1.6 deviations


def test_where_no_hash_is_below_the_smallest_is_held_out():
    assert names_held(["a", "b", "e"]) == {"b"}  # 0xca97..., 0x3e23..., 0x3f79...


def test_never_all_are_held_out():
    assert names_held(["c", "d"]) == {"d"}  # both below 0.2: 0x2e7d, 0x18ac


def test_a_name_means_the_same_in_both_forms_of_unicode():
    names = [f"Zürich {number}" for number in range(20)]
    assert held_out(names) == held_out([unicodedata.normalize("NFD", name) for name in names])


@pytest.mark.parametrize("count", [2, 5, 10])
def test_the_rule_of_earlier_runs_still_holds_out_what_it_did(count):
    expected = {2: {"a"}, 5: {"c"}, 10: {"e", "g"}}[count]
    assert names_held(LETTERS[:count], "shuffle") == expected
