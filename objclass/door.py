"""The door for Python: errors and log lines name parameters, where the command line has options.

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
"""An option in a message, with what stands between it and a value."""

_names: ContextVar[Mapping[str, str] | None] = ContextVar("names", default=None)
"""Name of an option -> how to call it, while a public function of Python runs."""


def door(**names: str) -> Callable[[Call], Call]:
    """A public function of Python; ``names`` are what it calls options that have another name there."""

    def decorate(function: Call) -> Call:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            with _naming(names):
                return function(*args, **kwargs)

        return call  # type: ignore[return-value]  # it has the signature of the function

    return decorate


def with_parameters(text: str, names: Mapping[str, str]) -> str:
    """A message that names parameters.

    Parameters
    ----------
    text
        It names options.
    names
        Name of an option -> how to call it; without one, it is a parameter of that name.

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
    if _names.get() is not None:  # one public function uses another: the outer one knows the user's words
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
        """Keep all lines; those of a public function name parameters."""
        names = _names.get()
        if names is not None:
            record.msg, record.args = with_parameters(record.getMessage(), names), ()
        return True


logging.getLogger("objclass").addFilter(_ParameterNames())
