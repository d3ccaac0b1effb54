"""Where a message of the log comes from: the run and the lane, also if a thread that works for them sends it.

Standard library only.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

RUN: ContextVar[Any] = ContextVar("run", default=None)
"""What keeps the messages of the present run; None outside of the command line."""

LANE: ContextVar[str | None] = ContextVar("lane", default=None)
"""The name of the present lane."""


@contextmanager
def in_lane(name: str) -> Iterator[None]:
    """Messages that are sent within come from this lane."""
    token = LANE.set(name)
    try:
        yield
    finally:
        LANE.reset(token)
