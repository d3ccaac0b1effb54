"""Messages for Python: errors and log lines name parameters, where those of the command line name options.

Messages are written once, and name an option as the command line spells it: ``--name``. Within a public
function of Python the same option is called by the name of its parameter.
"""

import functools
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from objclass.errors import ObjclassError

Call = TypeVar("Call", bound=Callable[..., Any])

_OPTION = re.compile(r"--(\w+)(?:=| (?=[-+.\d'\"]))?")
"""An option in a message, with the separator between it and its value."""

_names: ContextVar[Mapping[str, str] | None] = ContextVar("names", default=None)
"""Name of an option -> the name to use instead, while a public function of Python runs."""


def door(**names: str) -> Callable[[Call], Call]:
    """Decorate a public function of Python, whose messages then name its parameters.

    ``names``: name of an option -> the name to use instead, where it differs from the option's.
    """

    def decorate(function: Call) -> Call:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with _naming(names):
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


@contextmanager
def _naming(names: Mapping[str, str]) -> Iterator[None]:
    if _names.get() is not None:  # one public function calls another: the names are those of the outer one
        yield
        return
    token = _names.set(names)
    try:
        yield
    except ObjclassError as fault:
        fault.args = (with_parameters(str(fault), names),)
        raise
    finally:
        _names.reset(token)


class _ParameterNames(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        """Keep all lines; name parameters within a public function."""
        names = _names.get()
        if names is not None:
            record.msg, record.args = with_parameters(record.getMessage(), names), ()
        return True


logging.getLogger("objclass").addFilter(_ParameterNames())
