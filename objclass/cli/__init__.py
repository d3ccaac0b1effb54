"""The command line: one command per file; what the commands share is here. Standard library only."""

import argparse
import logging
import os
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Sequence
from dataclasses import MISSING, dataclass, field, fields
from inspect import get_annotations
from types import FrameType
from typing import Any, NoReturn

from argparse_dataclass import ArgumentParser

from objclass.cli.messages import RunLog
from objclass.errors import ObjclassError, Stop, TerminatedError, UsageError
from objclass.registry import resolve
from objclass.settings import help_of
from objclass.version import __version__

log = logging.getLogger("objclass")

COMMANDS = {
    "compile": "objclass.cli.compile:main",
    "train": "objclass.cli.train:main",
    "evaluate": "objclass.cli.evaluate:main",
    "inspect": "objclass.cli.inspect:main",
    "runs": "objclass.cli.runs:main",
    "rerun": "objclass.cli.rerun:main",
    "merge": "objclass.cli.merge:main",
    "features": "objclass.cli.features:main",
}
"""Name of a command -> its function of the arguments and a `Stop`; any other argument starts the run (`objclass.cli.headless`)."""

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""What ends a run in an orderly way, with the exit code 128 + number (130, 143, 129)."""

ONE_BLAS_THREAD = "OPENBLAS_NUM_THREADS", "1"
"""numpy's library of linear algebra, which has next to nothing to do here, would start a thread on every core as soon
as it is loaded, and each of them waits for work by turning round and round for a while."""

USAGE = """\
usage: objclass --headless --project P.ilp --raw_data IMAGE … --segmentation_image IMAGE …
       objclass --headless --help      all options of the run
       objclass train --help           train a project from labels
       objclass evaluate --help        say how good a classifier is
       objclass inspect P.ilp          print the contents of a project
       objclass features               list all features
       objclass runs FOLDER            list the runs of a folder, or compare two
       objclass rerun RUN_FILE         repeat a run
       objclass merge PARTS            join what the shards of a run have written
       objclass compile                compile all kernels ahead of the first run
       objclass --version

Object classification for microscopy images: objects from a segmentation, a label image or a
prediction map; their features; their classes by a trained project (ilastik's or our own).
"""


@dataclass(frozen=True)
class CommandOptions:
    """Base of the options of all commands."""

    given: frozenset[str] = field(default=frozenset(), metadata={"hidden": True}, kw_only=True)
    """Names of the options that were given, whatever their values."""


class Parser(ArgumentParser[Any]):
    """A dataclass as a command line; errors are raised, not printed.

    Flags are spelt with underscores. Of the dataclasses that ``options`` is made of, each that has a
    ``group`` is a part of the help, its docstring the introduction. An option of several values may be repeated: its values
    are collected in order.
    """

    def __init__(self, options: type, prog: str, description: str, usage: str | None = None) -> None:
        self._fields = {f.name: f for f in fields(options)}
        self._groups: dict[str | None, Any] = {}
        self._options_type = options
        super().__init__(options, prog=prog, description=description, usage=usage)

    def add_argument(self, *names: str, **settings: Any) -> Any:
        """Add an option with its name as the field has it."""
        flags = [f"--{n[2:].replace('-', '_')}" if n.startswith("--") else n for n in names]
        field = self._fields.get(flags[0].removeprefix("--"))
        if field is None:
            return super().add_argument(*flags, **settings)
        if field.metadata.get("hidden"):
            return None
        settings["help"] = help_of(field).replace("%", "%%")
        if field.metadata.get("repeat"):
            settings |= {"action": "append", "default": None}
        elif settings.get("nargs") == "+":
            settings |= {"action": "extend", "default": None}
        if "const" in field.metadata:
            settings["const"] = field.metadata["const"]
        group = self._group_of(field.name)
        add = super().add_argument if group is None else group.add_argument
        return add(*flags, **settings)

    def _group_of(self, name: str) -> Any:
        """The part of the help for an option: that of the dataclass that declares it, None if it has none."""
        if not self._groups:
            parts: list[Any] = [part for part in self._options_type.__mro__ if "group" in vars(part)]
            introduced = {part.group: part.__doc__ for part in reversed(parts)}  # the derived one comes first
            names = dict.fromkeys(part.group for part in parts)
            self._groups = {name: self.add_argument_group(name, introduced[name]) for name in names}
        declaring = next(part for part in self._options_type.__mro__ if name in get_annotations(part))
        return self._groups.get(getattr(declaring, "group", None))

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:
        """The options; any other argument is refused."""
        options, unknown = self.parse_known_args(args, namespace)
        self.refuse(unknown)
        return options

    def parse_known_args(
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        """The options, and the arguments that are not options."""
        found, unknown = argparse.ArgumentParser.parse_known_args(self, args, namespace)
        values = {k: v for k, v in vars(found).items() if v is not MISSING and v is not None}
        return self._options_type(**values, given=frozenset(values)), unknown

    def refuse(self, unknown: Sequence[str]) -> None:
        """Raise `UsageError` for the first argument that is not an option; the message suggests similar options."""
        if not unknown:
            return
        from difflib import get_close_matches

        near = get_close_matches(unknown[0].partition("=")[0], [f"--{name}" for name in self._fields])
        hint = f": is it {' or '.join(near)}?" if near else ""
        self.error(f"unrecognized argument {unknown[0]}{hint}")

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`."""
        text = f"{message} ({self.prog} --help lists the options)"
        raise UsageError(text)


def normalise(arguments: Sequence[str]) -> list[str]:
    """Hyphens in names of options as underscores: both spellings are one option.

    Examples
    --------
    >>> normalise(["--raw-data=a-b.png", "--", "--x-y"])
    ['--raw_data=a-b.png', '--', '--x-y']
    """
    result, options = [], True
    for argument in arguments:
        options = options and argument != "--"
        name, equals, value = argument.partition("=")
        if options and name.startswith("--"):
            argument = f"--{name[2:].replace('-', '_')}{equals}{value}"  # noqa: PLW2901
        result.append(argument)
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code.

    0 done · 1 finished, some lanes failed · 2 refused, nothing written · 3 nothing succeeded ·
    130 and 143 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    if arguments is None:  # a process of our own
        os.environ.setdefault(*ONE_BLAS_THREAD)
        open_closed_streams()
    with RunLog():
        return _exit_code(given, debug=debug, is_process=arguments is None)


def _exit_code(given: Sequence[str], *, debug: bool, is_process: bool) -> int:
    """Run a command; what it raises becomes a message and an exit code."""
    try:
        with _Terminable() as stop, warnings.catch_warnings():
            # warnings of libraries about files, such as a damaged comment next to intact pixels
            warnings.simplefilter("ignore", UserWarning)
            code = _run(given, stop)
            sys.stdout.flush()
            stop.check()
            return code
    except (KeyboardInterrupt, TerminatedError) as end:
        number = int(end.args[0]) if end.args else signal.SIGINT
        what = "interrupted" if number == signal.SIGINT else "terminated"
        log.error("%s: outputs that were not complete are removed", what)  # noqa: TRY400
        if is_process and threading.active_count() > 1:  # work in a long step is not waited for
            logging.shutdown()
            os._exit(128 + number)
        return 128 + number
    except SystemExit as end:  # argparse, after --help
        return int(end.code or 0)
    except BrokenPipeError:  # the reader of our output has closed it, such as `| head`
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115 (at exit, the rest goes there)
        return 128 + 13
    except Exception as fault:  # noqa: BLE001 (each becomes one line and an exit code)
        if debug:
            traceback.print_exc()
        log.error("%s", _explained(fault))  # noqa: TRY400 (one line is the promise)
        return fault.exit_code if isinstance(fault, ObjclassError) else 3


def _explained(fault: Exception) -> str:
    """One line that says what is wrong, and whether it is a bug in objclass."""
    text = " ".join(str(fault).split())
    if isinstance(fault, ObjclassError):
        return text
    if isinstance(fault, MemoryError):
        return f"out of memory: {text or 'give a smaller --max_memory or --jobs, or more memory (ulimit -v)'}"
    if isinstance(fault, OSError):  # the machine's: a full disk, a place that takes no files
        where = f"{fault.filename}: " if fault.filename else ""
        return f"{where}{fault.strerror or text}"
    return f"unexpected {type(fault).__name__}: {text} (a bug in objclass: --debug shows where)"


def _run(given: Sequence[str], stop: Stop) -> int:
    """Run the command that the first argument names, else the run."""
    if not given or list(given) in (["-h"], ["--help"]):
        sys.stdout.write(USAGE)
        return 0
    if given[0] not in COMMANDS and "--version" in given:
        sys.stdout.write(f"objclass {__version__}\n")
        return 0
    command = COMMANDS.get(given[0])
    main = resolve(command or "objclass.cli.headless:main")
    return int(main(normalise(given[1:] if command else given), stop))


def open_closed_streams() -> None:
    """Discard what would be written to a closed stdout or stderr.

    Without them, the next file that is opened would be taken for stdout or stderr by libraries.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (until the end)


class _Terminable:
    """While it is entered, `SIGNALS` raise and ask to stop, so that temporary files are removed."""

    def __enter__(self) -> Stop:
        self._stop = Stop()
        self._before: dict[int, Any] = {}
        if threading.current_thread() is threading.main_thread():
            numbers = [getattr(signal, name) for name in SIGNALS if hasattr(signal, name)]
            self._before = {number: signal.signal(number, self._raise) for number in numbers}
        return self._stop

    def _raise(self, number: int, _: FrameType | None) -> NoReturn:
        self._stop.ask(number)
        raise TerminatedError(number)

    def __exit__(self, *_: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
