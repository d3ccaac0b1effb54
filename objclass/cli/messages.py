"""Messages of a run: lines on stderr, log files. Standard library only."""

import json
import logging
import sys
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar, Optional, Self
from unicodedata import category

from objclass.compute.origin import LANE, RUN
from objclass.errors import UsageError, without_secrets
from objclass.settings import knob

log = logging.getLogger("objclass")

FEW_LANES, FEW_WARNINGS = 50, 10
"""Of longer batches not every lane is shown on stderr, of more warnings from the same place in the code only the first."""


@dataclass(frozen=True)
class MessageOptions:
    """Messages on stderr, and in files."""

    group: ClassVar[str] = "messages"

    quiet: bool = knob(False, "print only warnings and errors, no progress")
    debug: bool = knob(False, "show the traceback of an error, and the time that each stage took")
    logfile: Optional[str] = knob(
        None,
        "add the messages to this file as well, with the time: those of --quiet too, and of every lane of a long batch",
        metavar="FILE",
        type=str,
    )
    log_json: Optional[str] = knob(
        None,
        "add the messages to this file as JSON, an object for each line: time, level, lane, message; for a lane that is done "
        "number of objects of each class, seconds and outputs",
        metavar="FILE",
        type=str,
    )


_TURNS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that reverse the direction of writing, so that one text can look like another."""

_STEERING = frozenset(("Cc", "Cs", "Zl", "Zp"))
"""Unicode's categories of control characters, halves of letters, ends of lines and paragraphs."""


def printable(text: str) -> str:
    r"""Text from a file, safe to print on a terminal: control characters are escaped.

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


class _Printable(logging.Formatter):
    """Messages of one line each: control characters are escaped."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  logging's name
        """The message without what follows it, such as a traceback."""
        record.message = printable(without_secrets(record.message))
        return super().formatMessage(record)


class _OneLine(_Printable):
    """``objclass: warning: …`` for warnings and errors, plain lines below."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        text = super().format(record)
        level = record.levelname.lower()
        return f"objclass: {level}: {text}" if record.levelno >= logging.WARNING else text


class _Json(logging.Formatter):
    """A JSON object on one line."""

    def format(self, record: logging.LogRecord) -> str:
        """Time in UTC, level, lane, message, and the fields that the message has (``extra={"fields": …}``)."""
        time = datetime.fromtimestamp(record.created, UTC)
        entry = {
            "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "lane": LANE.get(),
            "message": without_secrets(record.getMessage().strip()),
            **fields_of(record),
        }
        if record.exc_info:
            entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in entry.items() if value is not None})


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """The fields of a message, such as the counts of a lane."""
    return getattr(record, "fields", {})


def _is_shown(record: logging.LogRecord) -> bool:
    """Whether a message is shown on stderr: of the lanes of a long batch the first, and one at each tenth."""
    fields = fields_of(record)
    number, lanes = fields.get("number"), fields.get("lanes", 0)
    if number is None or lanes <= FEW_LANES or record.levelno != logging.INFO:
        return True
    return bool(number == 1 or number * 10 // lanes > (number - 1) * 10 // lanes)


class Console(logging.StreamHandler[Any]):
    """Lines on stderr, above the progress bars if there are any.

    Parameters
    ----------
    is_complete
        Whether everything is shown: each lane of a long batch, each of many warnings of the same kind.
    """

    bars: Any = None
    """The class of the bars while they are shown."""

    def __init__(self, *, is_complete: bool) -> None:
        super().__init__(sys.stderr)
        self._is_complete = is_complete
        self._warnings: Counter[tuple[str, int]] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        if self._is_complete:
            self._write(record)
            return
        place = record.pathname, record.lineno
        self._warnings[place] += record.levelno == logging.WARNING
        if _is_shown(record) and self._warnings[place] <= FEW_WARNINGS:
            self._write(record)
        elif self._warnings[place] == FEW_WARNINGS + 1:
            rest = "more warnings of this kind are not shown here: --logfile and --log_json have all of them"
            self._write(
                logging.makeLogRecord({"msg": rest, "levelno": logging.WARNING, "levelname": "WARNING"})
            )

    def _write(self, record: logging.LogRecord) -> None:
        if self.bars is None:
            super().emit(record)
        else:
            self.bars.write(self.format(record), file=self.stream)


class _LogFile(logging.FileHandler):
    """A file of messages, to which nothing is added once it cannot be written: a full disk does not end the run."""

    _is_broken = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        if not self._is_broken:
            super().emit(record)

    def handleError(self, _: logging.LogRecord) -> None:  # noqa: N802  logging's name
        """Say why the file is not continued."""
        self._is_broken = True
        log.warning("%s: no more messages are added: %s", self.baseFilename, sys.exc_info()[1])

    def close(self) -> None:
        """Close the file; what cannot be written is lost."""
        with suppress(OSError):
            super().close()


class RunLog:
    """The messages of one run; those of other runs in this process have their own."""

    console: Console

    def __init__(self) -> None:
        self._handlers: list[logging.Handler] = []

    def __enter__(self) -> Self:
        self._token = RUN.set(self)
        self.set_up()
        return self

    def set_up(
        self,
        *,
        quiet: bool = False,
        debug: bool = False,
        logfile: str | None = None,
        log_json: str | None = None,
    ) -> None:
        """Write messages to stderr, and to files that are given.

        Raises
        ------
        UsageError
            If a file cannot be opened.
        """
        self._remove()
        level = logging.DEBUG if debug else logging.INFO
        self.console = Console(is_complete=debug)
        self._add(self.console, _OneLine(), logging.WARNING if quiet else level)
        if logfile:
            lines = _Printable("%(asctime)s %(levelname)s %(message)s")
            self._add(_opened("logfile", logfile), lines, level)
        if log_json:
            if logfile and Path(logfile).absolute() == Path(log_json).absolute():
                message = f"--log_json {log_json}: is the --logfile, too: give another name"
                raise UsageError(message)
            self._add(_opened("log_json", log_json), _Json(), level)

    def _add(self, handler: logging.Handler, formatter: logging.Formatter, level: int) -> None:
        handler.setFormatter(formatter)
        handler.setLevel(level)
        handler.addFilter(self)
        self._handlers.append(handler)
        log.addHandler(handler)
        _follow_handlers()

    def filter(self, _: logging.LogRecord) -> bool:
        """Whether a message comes from this run, or from none: from a thread of a library."""
        return RUN.get() in (None, self)

    @staticmethod
    def owns(handler: logging.Handler) -> bool:
        """Whether it is a handler of any run."""
        return any(isinstance(filter_, RunLog) for filter_ in handler.filters)

    def _remove(self) -> None:
        for handler in self._handlers:
            log.removeHandler(handler)
            handler.close()
        self._handlers.clear()
        _follow_handlers()

    def __exit__(self, *_: object) -> None:
        self._remove()
        RUN.reset(self._token)


def _follow_handlers() -> None:
    """Let pass what a handler of any run takes; without runs, the log is as Python makes it."""
    levels = [handler.level for handler in log.handlers if RunLog.owns(handler)]
    log.setLevel(min(levels, default=logging.NOTSET))
    log.propagate = not levels  # a program that calls this one would print them again


def _opened(option: str, path: str) -> logging.Handler:
    """A log file.

    Raises
    ------
    UsageError
        If it cannot be opened.
    """
    try:
        found = Path(path).expanduser().absolute()
        found.parent.mkdir(parents=True, exist_ok=True)
        return _LogFile(found, encoding="utf-8", errors="backslashreplace")
    except OSError as fault:
        message = f"--{option} {path}: {fault.strerror}"
        raise UsageError(message) from None


def set_up_log(options: MessageOptions) -> None:
    """Write messages as the options of the command say.

    Raises
    ------
    UsageError
        If a file cannot be opened.
    """
    run_log: RunLog = RUN.get()
    run_log.set_up(
        quiet=options.quiet, debug=options.debug, logfile=options.logfile, log_json=options.log_json
    )
