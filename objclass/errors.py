"""Everything that objclass raises on purpose, on one page.

    ObjclassError
    ├── UsageError      the command line or the arguments of a call are wrong
    ├── InputError      an input cannot be used: a file, an image, a project, images that do not match
    │   ├── ImageError    an image file: missing, unreadable, wrong axes or dtype
    │   └── ProjectError  a project file: damaged, of another workflow, unsupported
    │       └── MissingImagesError  images of a project cannot be opened
    ├── OutputError     an output cannot be written there, or not in that format
    ├── PluginError     an installed plug-in cannot be loaded, or is not what it should be
    ├── EngineError     the processes that run the lanes are gone
    └── LaneError       a fault that only the pixels could show

The message of each is one line: what was given, what was expected, what to do.
"""

import re
import signal
from collections.abc import Iterable, Mapping
from difflib import get_close_matches


class ObjclassError(Exception):
    """Base of all; ``exit_code`` is what the command line returns for it.

    Its message is one line, without the secrets of URLs; control characters in names from files are escaped.
    """

    exit_code = 2

    def __init__(self, message: str = "") -> None:
        super().__init__(without_secrets(" ".join(message.splitlines())))


class UsageError(ObjclassError, ValueError):
    """The options contradict each other, or one of them is wrong."""


class InputError(ObjclassError, ValueError):
    """An input cannot be used."""


class ImageError(InputError):
    """An image file is missing, unreadable, or does not fit."""


class ProjectError(InputError):
    """A project file is damaged, of another workflow, or needs something that is not supported."""


class MissingImagesError(ProjectError):
    """Images of a project cannot be opened; it may be with the folder where they are, or without them.

    Parameters
    ----------
    message
        What is missing, and what to do.
    has_others
        Whether other images can be opened, so that the project can be opened without those that are missing.
    """

    def __init__(self, message: str, *, has_others: bool = False) -> None:
        super().__init__(message)
        self.has_others = has_others


class OutputError(ObjclassError, OSError):
    """An output cannot be written there, or not in that format."""


class PluginError(ObjclassError, RuntimeError):
    """An installed plug-in cannot be loaded, or is not what it should be."""


class LaneError(ObjclassError, RuntimeError):
    """A lane failed while its pixels were read or its results written."""

    exit_code = 3


class EngineError(ObjclassError, RuntimeError):
    """The engine that runs the lanes of a batch is gone: its scheduler does not respond, or there are no workers."""

    exit_code = 3


class TerminatedError(BaseException):
    """A signal asked the process to end; the argument is the number of the signal."""


class Stop:
    """Whether a run was asked to end: by a signal, or by another thread."""

    def __init__(self) -> None:
        self._number: int | None = None

    def ask(self, number: int = signal.SIGINT) -> None:
        """Ask the run to end as the signal of that number would; it does at the next `check`."""
        self._number = int(number)

    @property
    def is_asked(self) -> bool:
        """Whether the run was asked to end."""
        return self._number is not None

    def check(self) -> None:
        """Raise `TerminatedError` if asked to; for places that are passed again and again.

        A signal raises where it comes, too, but libraries may swallow that.
        """
        if self._number is not None:
            raise TerminatedError(self._number)


_URL = r"(?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]+://"

_PASSWORD = re.compile(rf"(https?://)[^/\s]*@|({_URL})[^/\s@:]*:[^/\s]*@", re.IGNORECASE)
"""Other schemes have names before ``@``, such as that of a container."""

_QUERY = re.compile(rf"({_URL}[^\s?'\"]{{0,2000}})\?[^\s'\"]*?(?=[:;,.)]*(?:[\s'\"]|$))")
"""What follows ``?`` may be a signature that gives access; punctuation behind it belongs to the sentence.

No URL is longer than some 2,000 letters; without a limit, a long text of many would take very long.
"""


def without_secrets(text: str) -> str:
    """A text whose URLs have neither a password nor a query, for messages and files.

    Examples
    --------
    >>> without_secrets("https://me:word@host/a.zarr?sig=abc: not found, s3://bucket/b.zarr")
    'https://host/a.zarr: not found, s3://bucket/b.zarr'
    >>> without_secrets("abfs://container@account/a.zarr")
    'abfs://container@account/a.zarr'
    """
    return _QUERY.sub(r"\1", _PASSWORD.sub(r"\1\2", text)) if "://" in text else text


def listed(names: Iterable[str], maximum: int = 5) -> str:
    """Names for a message: the first ones, at most ``maximum``, and the number of the others.

    Examples
    --------
    >>> listed("abcdefg"), listed(["a (20, 30)", "b"]), listed([])
    ('a, b, c, d, e and 2 more', 'a (20, 30); b', 'nothing')
    """
    every = list(names)
    shown, rest = every[:maximum], len(every) - maximum
    separator = "; " if any("," in name for name in shown) else ", "
    return (separator.join(shown) or "nothing") + (f" and {rest} more" if rest > 0 else "")


def suggestion(name: str, known: Mapping[str, str]) -> str:
    """A part of a message about an unknown name: what to write for the most similar known one, if any is similar.

    Parameters
    ----------
    name
        The unknown name.
    known
        Known name -> how to write it.

    Examples
    --------
    >>> suggestion("nicknmae", {"nickname": "{nickname}"}), suggestion("colour", {"area": "area"})
    (' (did you mean {nickname}?)', '')
    """
    close = get_close_matches(name, known, 1)
    return f" (did you mean {known[close[0]]}?)" if close else ""
