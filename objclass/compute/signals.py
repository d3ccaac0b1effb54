"""Blocks of code that signals do not interrupt."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = ("SIGINT", "SIGTERM", "SIGHUP")
"""Names of the signals that ask a process to end."""


def ending_signals() -> list[int]:
    """Numbers of the signals of `ENDING` that this platform has."""
    return [int(getattr(signal, name)) for name in ENDING if hasattr(signal, name)]


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay the signals of `ENDING` until the block is done; then they take effect.

    Signals interrupt only the main thread; in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []

    def wait(number: int, _: FrameType | None) -> None:
        waiting.append(number)

    before = {number: signal.getsignal(number) for number in ending_signals()}
    before = {number: handler for number, handler in before.items() if callable(handler)}
    for number in before:
        signal.signal(number, wait)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in waiting[:1]:
            signal.raise_signal(number)
