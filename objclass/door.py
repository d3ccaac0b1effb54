"""Messages for Python and for windows, where those of the command line name options.

Messages are written once, and name an option as the command line spells it: ``--name``. Within a public function of
Python the same option is called by the name of its parameter, in a window by words.
"""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from typing import Any, TypeVar

from objclass.errors import ObjclassError

Call = TypeVar("Call", bound=Callable[..., Any])

_OPTION = re.compile(r"--(\w+)(=| (?=[-+.\d'\"]))?")
"""An option in a message, with the separator between it and its value."""

Translation = Callable[[str], str]
"""Returns a message that names options in another way."""

_translation: ContextVar[Translation | None] = ContextVar("translation", default=None)
"""That of messages, while a public function of Python or one of a window runs."""


def door(**names: str) -> Callable[[Call], Call]:
    """Decorate a public function of Python, whose messages then name its parameters.

    ``names``: name of an option -> the name to use instead, where it differs from the option's.
    """

    def decorate(function: Call) -> Call:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with translated(partial(with_parameters, names=names)):
                return function(*args, **kwargs)

        return call  # type: ignore[return-value]  # it has the signature of the function

    return decorate


def with_parameters(text: str, names: Mapping[str, str]) -> str:
    """The message with parameters in place of options.

    Parameters
    ----------
    text
        A message that names options.
    names
        Name of an option -> the name to use instead; by default the parameter of the option's name.

    Examples
    --------
    >>> with_parameters("wrong --input_axes?", {"input_axes": "axes="})
    'wrong axes=?'
    >>> with_parameters("--margin -3: expected at least 0", {})
    'margin=-3: expected at least 0'
    """
    return _OPTION.sub(lambda option: names.get(option[1], f"{option[1]}="), text)


def with_words(text: str, names: Mapping[str, str]) -> str:
    """The message with words in place of options.

    Parameters
    ----------
    text
        A message that names options.
    names
        Name of an option -> what a window calls it; by default the words of its name.

    Examples
    --------
    >>> with_words("wrong --input_axes? give --raw_data", {"input_axes": "axes"})
    'wrong axes? give raw data'
    >>> with_words("--margin=-3: expected at least 0", {})
    'margin -3: expected at least 0'
    """

    def words(option: re.Match[str]) -> str:
        return names.get(option[1], option[1].replace("_", " ")) + (" " if option[2] else "")

    return _OPTION.sub(words, text)


@contextmanager
def translated(translation: Translation) -> Iterator[None]:
    """Have messages name options in another way; within another such context, that of the outer one holds."""
    if _translation.get() is not None:
        yield
        return
    token = _translation.set(translation)
    try:
        yield
    except ObjclassError as fault:
        fault.args = (translation(str(fault)),)
        raise
    finally:
        _translation.reset(token)


class _ParameterNames(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Keep all lines; name parameters within a public function."""
        translation = _translation.get()
        if translation is not None:
            record.msg, record.args = translation(record.getMessage()), ()
        return True


logging.getLogger("objclass").addFilter(_ParameterNames())
