"""Pixels that are kept since they may be wanted again: slabs are thinner than most chunks of files."""

from collections import OrderedDict
from collections.abc import Hashable
from threading import Lock

from objclass.core import AnyArray


class ByteLRU:
    """The pixels that were unpacked last, up to so many bytes."""

    def __init__(self, maximum: int) -> None:
        self.maximum = maximum
        self._pixels: OrderedDict[Hashable, AnyArray] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, key: Hashable) -> AnyArray | None:
        """What is kept under a key, if it still is."""
        with self._lock:
            if key in self._pixels:
                self._pixels.move_to_end(key)
            return self._pixels.get(key)

    def put(self, key: Hashable, pixels: AnyArray) -> None:
        """Keep pixels; the longest unused ones make room."""
        with self._lock:
            if key not in self._pixels:
                self._pixels[key] = pixels
                self._bytes += pixels.nbytes
            while self._bytes > self.maximum and self._pixels:
                _, oldest = self._pixels.popitem(last=False)
                self._bytes -= oldest.nbytes
