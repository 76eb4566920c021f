"""The command line, called as a test calls it."""

from click.testing import CliRunner, Result

from kseg.cli import main


def call(*words, exit_code: int = 0) -> Result:
    """What the command said; an exception that it did not turn into words is raised."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    if not isinstance(result.exception, SystemExit | None):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result
