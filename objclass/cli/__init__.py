"""The command line: one command per file; what they share is here. Standard library only."""

import logging
import signal
import sys
import threading
import traceback
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn
from unicodedata import category

from argparse_dataclass import ArgumentParser

from objclass.errors import ObjclassError, Stop, TerminatedError, UsageError
from objclass.registry import resolve
from objclass.settings import help_of

log = logging.getLogger("objclass")

COMMANDS = {
    "compile": "objclass.cli.compile:main",
    "train": "objclass.cli.train:main",
    "inspect": "objclass.cli.inspect:main",
    "features": "objclass.cli.features:main",
}
"""Name of a command -> its function of the arguments and a `Stop`; anything else is the run (`objclass.cli.headless`)."""

SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
"""What ends a run in an orderly way, with the exit code 128 + number (130, 143, 129)."""

USAGE = """\
usage: objclass --headless --project P.ilp --raw_data IMAGE … --segmentation_image IMAGE …
       objclass --headless --help      all options of the run
       objclass train --help           train a project from labels
       objclass inspect P.ilp          what is in a project
       objclass features               every feature there is
       objclass compile                compile all kernels ahead, as for a container image
       objclass --version

Object classification for microscopy images: objects from a segmentation, a label image or a
prediction map; their features; their classes by a trained project (ilastik's or our own).
"""


class Parser(ArgumentParser[Any]):
    """A dataclass as a command line; errors are raised, not printed.

    Flags are spelt with underscores. A field whose metadata has ``repeat`` may be given several
    times.
    """

    def __init__(self, options: type, prog: str, description: str) -> None:
        self._fields = {f.name: f for f in fields(options)}
        super().__init__(options, prog=prog, description=description)

    def add_argument(self, *names: str, **stated: Any) -> Any:
        """Add an option with its name as the field has it."""
        flags = [f"--{n[2:].replace('-', '_')}" if n.startswith("--") else n for n in names]
        field = self._fields.get(flags[0].removeprefix("--"))
        metadata: Mapping[str, Any] = field.metadata if field is not None else {}
        if field is not None:
            stated["help"] = help_of(field).replace("%", "%%")
        if metadata.get("repeat"):
            stated |= {"action": "append", "default": None}
        if "const" in metadata:
            stated["const"] = metadata["const"]
        return super().add_argument(*flags, **stated)

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`."""
        told = f"{message} ({self.prog} --help lists the options)"
        raise UsageError(told)


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


_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""They turn the direction of writing, and so can show one text as another."""


def printable(text: str) -> str:
    r"""Text of a file as it may reach a terminal: what would steer it is spelt out.

    Examples
    --------
    >>> print(printable("a\x1b[31m\nµ"))
    a\u001b[31m\u000aµ
    """
    if text.isprintable():
        return text
    return "".join(
        f"\\u{ord(letter):04x}" if letter in _TURNS or category(letter) in _STEERING else letter
        for letter in text
    )


_STEERING = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Unicode's categories of control characters, halves of letters, ends of lines and paragraphs."""


class _Printable(logging.Formatter):
    """Messages on one line each, whatever text they bear."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        """The message without what follows it, such as a traceback."""
        record.message = printable(record.message)
        return super().formatMessage(record)


class _OneLine(_Printable):
    """``objclass: warning: …`` for warnings and errors, plain lines below."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        text = super().format(record)
        level = record.levelname.lower()
        return f"objclass: {level}: {text}" if record.levelno >= logging.WARNING else text


def set_up_log(*, quiet: bool = False, debug: bool = False, logfile: str | None = None) -> None:
    """Messages to stderr, and to a file if asked for."""
    log.handlers.clear()
    log.propagate = False
    log.setLevel(logging.DEBUG if debug else logging.INFO)
    console = logging.StreamHandler(sys.stderr)
    console.setLevel(logging.WARNING if quiet else logging.NOTSET)
    console.setFormatter(_OneLine())
    log.addHandler(console)
    if logfile:
        try:
            Path(logfile).absolute().parent.mkdir(parents=True, exist_ok=True)
            file = logging.FileHandler(logfile, encoding="utf-8")
        except OSError as fault:
            message = f"--logfile {logfile}: {fault.strerror}"
            raise UsageError(message) from None
        file.setFormatter(_Printable("%(asctime)s %(levelname)s %(message)s"))
        log.addHandler(file)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; returns the exit code.

    0 done · 1 finished, some lanes failed · 2 refused, nothing written · 3 nothing succeeded ·
    130 and 143 interrupted.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    if not given or given in (["-h"], ["--help"]):
        sys.stdout.write(USAGE)
        return 0
    if given == ["--version"]:
        from importlib.metadata import version

        sys.stdout.write(f"objclass {version('objclass')}\n")
        return 0
    command = COMMANDS.get(given[0])
    rest = given[1:] if command else given
    set_up_log()
    try:
        with _Terminable() as stop, warnings.catch_warnings():
            # what libraries find odd about a file, such as a damaged comment beside sound pixels
            warnings.simplefilter("ignore", UserWarning)
            code = int(resolve(command or "objclass.cli.headless:main")(normalise(rest), stop))
            stop.check()
            return code
    except ObjclassError as fault:
        if debug:
            traceback.print_exc()
        log.error("%s", " ".join(str(fault).split()))  # noqa: TRY400 (one line is the promise)
        return fault.exit_code
    except (KeyboardInterrupt, TerminatedError) as stop:
        number = int(stop.args[0]) if stop.args else signal.SIGINT
        what = "interrupted" if number == signal.SIGINT else "terminated"
        log.error("%s: outputs that were not complete are removed", what)  # noqa: TRY400
        return 128 + number
    except SystemExit as stop:  # argparse, after --help
        return int(stop.code or 0)
    except Exception as fault:
        if debug:
            raise
        log.error(  # noqa: TRY400
            "unexpected %s: %s (a bug in objclass: --debug shows where)",
            type(fault).__name__,
            " ".join(str(fault).split()),
        )
        return 3


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
