import inspect

import pytest

from kseg import errors
from kseg.errors import KsegError, did_you_mean, in_a_line

EXIT_CODES = {
    "ConfigError": (3, ValueError),
    "DataError": (3, ValueError),
    "SizeError": (3, ValueError),
    "WeightsError": (3, ValueError),
    "ExportError": (3, RuntimeError),
    "ServingError": (5, RuntimeError),
    "TrainingDiverged": (4, RuntimeError),
    "Interrupted": (75, RuntimeError),
    "EnvironmentFailure": (5, OSError),
}


@pytest.mark.parametrize(("name", "expected"), EXIT_CODES.items())
def test_each_error_has_the_exit_code_and_the_builtin_parent_that_are_promised(name, expected):
    exit_code, builtin = expected
    with pytest.raises(builtin, match="^what and where$") as caught:
        raise getattr(errors, name)("what and where")
    assert isinstance(caught.value, KsegError) and caught.value.exit_code == exit_code


def test_there_is_no_error_beside_those_promised():
    kinds = {name for name, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, Exception)}
    assert kinds == {"KsegError", *EXIT_CODES} and KsegError.exit_code == 3


@pytest.mark.parametrize(
    ("name", "known", "sentence"),
    [
        ("aple", ["pear", "apple"], "Did you mean 'apple'? Known: apple, pear."),
        ("optimizer.learningrate", ["optimizer.learning_rate"], "Did you mean 'optimizer.learning_rate'? Known: "),
        ("optimizer.lr", ["optimizer.name", "optimizer.learning_rate"], "Did you mean 'optimizer.learning_rate'?"),
        ("lr", ["data.name", "optimizer.learning_rate"], "Did you mean 'optimizer.learning_rate'?"),
        ("depth", ["data.split", "model.depth"], "Did you mean 'model.depth'?"),
        ("model.lr", ["optimizer.learning_rate"], "Known: "),
        ("zzz", {"pear": 1, "apple": 2}, "Known: apple, pear."),
    ],
)
def test_the_nearest_name_is_suggested_only_where_one_is_near(name, known, sentence):
    assert did_you_mean(name, known).startswith(sentence)


def test_an_error_stands_on_one_line_without_a_terminals_colours():
    assert in_a_line(ValueError("\x1b[1mTwice.call()\x1b[0m\n  failed")) == "Twice.call() failed"
    assert in_a_line("{{node a/b}} lost [[{{node c}}]] [Op:D]") == "lost"
    assert in_a_line(KeyError()) == "KeyError" and in_a_line(ValueError("abc"), 2) == "ab"
