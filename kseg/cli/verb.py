"""What all verbs share: an error becomes one paragraph and an exit code; options that mean the same everywhere."""

from __future__ import annotations

import errno
import os
import signal
import sys
from pathlib import Path
from typing import Any

import click

from kseg.cli.spelling import as_option
from kseg.device import LOG_LEVEL, choose_onednn, settings, without_notes
from kseg.errors import EnvironmentFailure, Interrupted, KsegError, did_you_mean
from kseg.log import settings_spelled
from kseg.registry import load_plugin


class Verb(click.Command):
    """A command that prints an error as one paragraph; `--traceback` shows its traceback, too.

    With `tensorflow=True` TensorFlow is started first, with the settings of this processor and without its notes.
    """

    def __init__(self, *args: Any, tensorflow: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tensorflow = tensorflow
        shown = click.Option(
            ["--traceback"], is_flag=True, expose_value=False, callback=_remember, help="Show an error's traceback."
        )
        plugins = click.Option(
            ["--plugin", "plugins"],
            multiple=True,
            metavar="MODULE|FILE.py",
            expose_value=False,
            callback=_remember_plugins,
            help="Import your own module, which registers networks, data sets, ... May be repeated.",
        )
        self.params += [plugins, shown]

    def invoke(self, context: click.Context) -> Any:
        try:
            if self._tensorflow:
                start_tensorflow(onednn=self.onednn(context))
            with settings_spelled(as_option):
                for plugin in context.meta.get("kseg.plugins", ()):
                    load_plugin(plugin)
                return super().invoke(context)
        except KsegError as error:
            _end(context, error, error)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            sys.exit(130)  # what a shell reports
        except ModuleNotFoundError as error:
            backend = os.environ.get("KERAS_BACKEND")
            if error.name != backend:
                raise
            what = f"KERAS_BACKEND is {backend}, which is not installed."
            _end(context, EnvironmentFailure(what, "Install it, or unset the variable."), error)
        except BrokenPipeError:  # the reader of the output has ended, as in `kseg data list | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # else Python complains when it flushes standard output
            sys.exit(128 + signal.SIGPIPE)  # what a shell reports
        except OSError as error:
            _end(context, _of_system(error), error)

    def onednn(self, context: click.Context) -> bool | None:
        """Whether TensorFlow shall compute by oneDNN; None leaves it to TensorFlow."""
        return settings().onednn


class VerbGroup(click.Group):
    """A group of verbs that suggests the nearest name for an unknown one."""

    command_class = Verb

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple:
        if args and not args[0].startswith("-") and self.get_command(context, args[0]) is None:
            context.fail(f"There is no command {args[0]!r}. {did_you_mean(args[0], self.list_commands(context))}")
        return super().resolve_command(context, args)


def program_name() -> str:
    """The name under which the user called this program, for the commands that messages propose."""
    return "python cli.py" if Path(sys.argv[0]).name == "cli.py" else "kseg"


def say_next(*commands: str) -> None:
    """Proposes the user's next commands: each a verb and its arguments, with paths quoted by shlex."""
    click.echo("\n  ".join(["Next:", *(f"{program_name()} {command}" for command in commands)]), err=True)


def _as_dictionary(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    for value in values:
        if "=" not in value:
            raise click.BadParameter(f"{value!r} has no '='. Write KEY=VALUE.")
    return dict(value.split("=", 1) for value in values)


def _by_stream(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    found = _as_dictionary(context, parameter, values)
    if len(found) < len(values):
        names = [value.partition("=")[0] for value in values]
        twice = next(name for name in names if names.count(name) > 1)
        raise click.BadParameter(f"{twice!r} is given twice. Give each stream once.")
    return found


set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_as_dictionary,
    help="Set one field; may be repeated.",
)


average_option = click.option(
    "--average",
    type=click.Choice(["none", "mirror", "rotations", "symmetries"]),
    help="Average the scores over mirrored or rotated versions of the image. Default: the network's own average.",
)

PRECISIONS = ["auto", "float32", "mixed_float16", "mixed_bfloat16"]

precision_option = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    help="What the network computes in; auto is the fastest on this machine. Default: float32, so that a mask does not "
    "depend on the processor.",
)


stream_option = click.option(
    "--stream",
    "streams",
    multiple=True,
    metavar="NAME=PATH",
    callback=_by_stream,
    help="An image or folder for each stream of a network with several; paired by file name.",
)


def start_tensorflow(*, onednn: bool | None = None) -> None:
    """Imports TensorFlow and finds its devices, without its notes on drivers.

    Args:
      onednn: whether it shall compute by oneDNN, unless the user's environment says; None leaves it to TensorFlow.
    """
    if "tensorflow" in sys.modules:
        return
    choose_onednn(onednn)
    os.environ.setdefault(LOG_LEVEL, "3")  # also for the processes that this one starts
    with without_notes():
        import tensorflow as tf

        if "TF_CONFIG" not in os.environ:  # workers must connect to each other before they list devices
            tf.config.list_logical_devices()


def _remember(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    context.meta["kseg.traceback"] = value


def _remember_plugins(context: click.Context, parameter: click.Parameter, value: tuple[str, ...]) -> None:
    context.meta["kseg.plugins"] = value


def _of_system(error: OSError) -> EnvironmentFailure:
    """The failure to report for an OSError that no other module has caught."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return EnvironmentFailure(f"{error}.", "Free some space.")
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        return EnvironmentFailure(f"{error}.", "Ask for permission, or name another folder.")
    return EnvironmentFailure(f"{error or type(error).__name__}.")


def _end(context: click.Context, error: KsegError, cause: BaseException) -> None:
    if context.meta.get("kseg.traceback") or os.environ.get("KSEG_TRACEBACK") == "1":
        import traceback

        traceback.print_exception(cause)
    text = error.told(as_option)
    click.echo(text if isinstance(error, Interrupted) else f"error: {text}", err=True)
    sys.exit(error.exit_code)
