"""The command line, called as a test calls it."""

import multiprocessing
import os
from pathlib import Path

from click.testing import CliRunner, Result

from kseg.cli import main

processes = multiprocessing.get_context("forkserver")  # whose children find TensorFlow imported, but not yet at work
processes.set_forkserver_preload(["kseg.runs.trainer"])


def call(*words, exit_code: int = 0) -> Result:
    """What the command said; an exception that it did not turn into words is raised."""
    result = CliRunner().invoke(main, [str(word) for word in words])
    if not isinstance(result.exception, SystemExit | None):
        raise result.exception
    assert result.exit_code == exit_code, result.output
    return result


def run_verb(words: list[str], output: Path, largest_file: int | None = None) -> None:
    """`kseg WORDS` in a process of its own, all that it says in a file; no file may grow beyond so many bytes."""
    handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    if largest_file:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))
    main(words)
