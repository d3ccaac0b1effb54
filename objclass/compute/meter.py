"""How far a lane is within its time steps: loops over slabs, cubes and objects move its meter on.

The meter of the present lane is a context variable, so that loops need not be given it. It is rough: how many loops
a stage has is not known, so each takes half of what is left of the stage.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Lock
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Meter:
    """The completed part of a lane, in time steps.

    Parameters
    ----------
    steps
        Number of time steps.
    report
        Called with the completed fraction, from any thread.
    """

    def __init__(self, steps: int, report: Callable[[float], None]) -> None:
        self._steps, self._report = steps, report
        self._at = self._stage = 0.0
        self._is_in_loop = False
        self._lock = Lock()

    def begin(self, stop: float) -> None:
        """Begin a stage, at whose end so many time steps are complete."""
        self._stage, self._is_in_loop = stop, False

    def arrive(self, at: float) -> None:
        """So many time steps are complete."""
        self._at = at
        self._report(at / self._steps)

    def loop(self, total: int) -> Callable[[], None] | None:
        """A function to call after each of so many parts, from any thread; None within another loop."""
        if self._is_in_loop or total < 2:
            return None
        self._is_in_loop = True
        start, length, done = self._at, (self._stage - self._at) / 2, 0

        def advance() -> None:
            nonlocal done
            with self._lock:
                done += 1
                self._is_in_loop = done < total
                self.arrive(start + length * done / total)

        return advance

    @contextmanager
    def reserved(self, part: float) -> Iterator[None]:
        """Loops within leave this part of the rest of the stage to those after them."""
        stage, self._stage = self._stage, self._at + (self._stage - self._at) * (1 - part)
        yield
        self.begin(stage)


_METER: ContextVar[Meter | None] = ContextVar("meter", default=None)


@contextmanager
def metered(meter: Meter | None) -> Iterator[None]:
    """Loops within move this meter on; with None, no meter."""
    token = _METER.set(meter)
    try:
        yield
    finally:
        _METER.reset(token)


def present() -> Meter:
    """The meter of the present lane; else one that nobody reads."""
    return _METER.get() or Meter(1, lambda _: None)


def loop(total: int) -> Callable[[], None] | None:
    """A function to call after each of so many parts; None where nobody reads it."""
    meter = _METER.get()
    return meter.loop(total) if meter is not None else None


def counted(items: Iterable[Item], total: int) -> Iterator[Item]:
    """The items, of which there are ``total``; each moves the meter on once it is done with."""
    advance = loop(total)
    for item in items:
        yield item
        if advance is not None:
            advance()


def unmetered(function: Callable[[Item], Result]) -> Callable[[Item], Result]:
    """The function, in which loops are parts of a loop that is counted already."""
    if _METER.get() is None:
        return function

    def inner(item: Item) -> Result:
        with metered(None):
            return function(item)

    return inner
