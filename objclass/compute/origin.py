"""Where a message of the log comes from: the run and the lane, also if a thread that works for them sends it.

Standard library only.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

RUN: ContextVar[Any] = ContextVar("run", default=None)
"""What keeps the messages of the present run; None outside of the command line."""

LANE: ContextVar[str | None] = ContextVar("lane", default=None)
"""The name of the present lane."""


WARNINGS: ContextVar[list[str] | None] = ContextVar("warnings", default=None)
"""The warnings of the present lane."""


@contextmanager
def in_lane(name: str, warnings: list[str]) -> Iterator[None]:
    """Messages that are sent within come from this lane; its warnings are added to a list."""
    tokens = LANE.set(name), WARNINGS.set(warnings)
    try:
        yield
    finally:
        LANE.reset(tokens[0])
        WARNINGS.reset(tokens[1])


Message = tuple[int, str]
"""Level and text of a message of the log."""

CAPTURED: ContextVar[list[Message] | None] = ContextVar("captured", default=None)
"""The messages of the present task of a worker, which are for the log of another process."""


@contextmanager
def captured(messages: list[Message]) -> Iterator[None]:
    """Messages that are sent within are added to a list, and go nowhere else."""
    token = CAPTURED.set(messages)
    try:
        yield
    finally:
        CAPTURED.reset(token)


def _collect(record: logging.LogRecord) -> bool:
    """Add a warning to those of its lane; the message goes on unless it is captured."""
    messages = CAPTURED.get()
    if messages is not None:
        messages.append((record.levelno, record.getMessage()))
        return False
    warnings = WARNINGS.get()
    if warnings is not None and record.levelno == logging.WARNING:
        warnings.append(record.getMessage())
    return True


logging.getLogger("objclass").addFilter(_collect)
