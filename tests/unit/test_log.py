import pytest

from kseg.cli.spelling import as_option
from kseg.errors import Setting
from kseg.log import LOG, progress_bar, settings_spelled, told

RATE = Setting("data.batch_size", 2)


@pytest.fixture
def silenced():
    LOG.setLevel("ERROR")
    yield
    LOG.setLevel("INFO")


def test_a_message_goes_to_standard_error_and_a_warning_says_that_it_is_one(capsys):
    LOG.info("a message")
    LOG.warning("something is odd")
    assert capsys.readouterr() == ("", "a message\nwarning: something is odd\n")


def test_settings_are_written_as_python_does_and_within_a_verb_as_its_options():
    assert told("pass ", RATE, ".") == "pass batch_size=2."
    with settings_spelled(as_option):
        assert told("pass ", RATE, ".") == "pass --batch-size 2."
    with pytest.raises(ValueError, match="out"), settings_spelled(as_option):
        raise ValueError("out")
    assert told(RATE) == "batch_size=2"


def test_a_silenced_logger_shows_no_message_and_no_bar(capsys, silenced):
    LOG.warning("something is odd")
    with progress_bar("work", work=[1, 2]) as bar:
        assert list(bar) == [1, 2]
    assert capsys.readouterr() == ("", "")


def test_a_bar_is_drawn_on_standard_error(capsys):
    with progress_bar("work", length=2) as bar:
        bar.update(2)
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("work")
