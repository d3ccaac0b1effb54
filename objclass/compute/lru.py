"""A cache of pixels that may be needed again, since slabs are thinner than most chunks of files."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock

from objclass.core import AnyArray


class ByteLRU:
    """A cache of the most recently used pixels, limited in bytes; each entry is loaded once for all threads.

    Parameters
    ----------
    maximum
        Maximum bytes. An entry that is larger on its own is loaded anew each time.
    """

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self.bytes = 0
        """Bytes of all entries."""
        self._entries: OrderedDict[Hashable, Future[AnyArray]] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable, load: Callable[[], AnyArray]) -> AnyArray:
        """The pixels of a key, read-only: loaded by the first thread that needs them, while others wait.

        An error while loading is raised in all of these threads; the next call tries again.
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
        """Remove the least recently used entries until the others fit."""
        for key, entry in list(self._entries.items()):
            if self.bytes <= self.maximum:
                return
            if entry.done():
                del self._entries[key]
                self.bytes -= entry.result().nbytes
