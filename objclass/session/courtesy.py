"""Work in another thread gives way to its owner, such as a window."""

from collections.abc import Callable
from threading import Event

from objclass.errors import Stop

Post = Callable[[Callable[[], None]], None]
"""Has a function called later in the thread of the owner; may be called from any thread."""

PATIENCE = 0.1
"""Seconds for which the work waits for its owner at most."""


class CourteousStop(Stop):
    """A stop at whose checks the work waits until its owner has done what it had to do.

    Else each call of the owner from and to compiled code would have to wait for the interpreter, which the work holds
    for up to five milliseconds: the many that draw a window would take several times as long.

    Parameters
    ----------
    post
        Hands a function to the thread of the owner.
    """

    def __init__(self, post: Post) -> None:
        super().__init__()
        self._post, self._is_free = post, Event()
        self._is_free.set()

    def check(self) -> None:
        """Raise if asked to end; else wait, not for an owner that has not come back from the last time."""
        super().check()
        if self._is_free.is_set():
            self._is_free.clear()
            self._post(self._is_free.set)
            self._is_free.wait(PATIENCE)
            super().check()
