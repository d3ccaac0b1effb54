"""Pixels that are kept since they may be wanted again: slabs are thinner than most chunks of files."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock

from objclass.core import AnyArray


class ByteLRU:
    """The pixels that were used last, up to so many bytes; each is loaded once, however many threads ask.

    Parameters
    ----------
    maximum
        Bytes. Pixels that alone are more are loaded anew each time.
    """

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.bytes = 0
        """Of what is kept now."""
        self._entries: OrderedDict[Hashable, Future[AnyArray]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, load: Callable[[], AnyArray]) -> AnyArray:
        """The pixels of a key, to be read only: loaded by the first thread that asks, the others wait for it.

        What goes wrong while they are loaded is raised in all of these threads; the next one tries again.
        """
        with self._lock:
            entry = self._entries.get(key)
            is_first = entry is None
            if entry is None:
                entry = self._entries[key] = Future()
            self._entries.move_to_end(key)
        if not is_first:
            return entry.result()
        try:
            pixels = load()
        except BaseException as fault:
            with self._lock:
                del self._entries[key]
            entry.set_exception(fault)
            raise
        with self._lock:
            entry.set_result(pixels)
            self.bytes += pixels.nbytes
            self._make_room()
        return pixels

    def _make_room(self) -> None:
        """Let go of those that were not used for the longest time, until the others fit."""
        for key, entry in list(self._entries.items()):
            if self.bytes <= self.maximum:
                return
            if entry.done():
                del self._entries[key]
                self.bytes -= entry.result().nbytes
