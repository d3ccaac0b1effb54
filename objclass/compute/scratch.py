"""Arrays put down packed, in memory or in a temporary file."""

from collections.abc import Hashable
from tempfile import SpooledTemporaryFile, gettempdir
from threading import Lock
from typing import Any
from weakref import finalize

import numpy as np

from objclass.core import AnyArray
from objclass.errors import LaneError


class Scratch:
    """Arrays put down packed, in memory while they are few, else in a temporary file.

    The file goes when this is no longer used, or with the process.

    Parameters
    ----------
    held
        Bytes that may stay in memory.
    """

    def __init__(self, held: int) -> None:
        self._file = SpooledTemporaryFile(max_size=max(held, 1))  # noqa: SIM115 (closed with this)
        finalize(self, self._file.close)
        self._places: dict[Hashable, tuple[int, int]] = {}
        self._lock = Lock()

    def put(self, key: Hashable, pixels: AnyArray) -> None:
        """Put down an array under a key."""
        from imagecodecs import zstd_encode

        packed = zstd_encode(np.ascontiguousarray(pixels).data.cast("B"), level=1)  # type: ignore[arg-type]
        with self._lock:
            start = self._file.seek(0, 2)
            try:
                self._file.write(packed)
            except OSError as fault:
                message = f"scratch data in {gettempdir()}: {fault.strerror} (TMPDIR says where they go)"
                raise LaneError(message) from fault
            self._places[key] = start, len(packed)

    def get(self, key: Hashable, shape: tuple[int, ...], dtype: Any) -> AnyArray:
        """The array that was put down under a key."""
        from imagecodecs import zstd_decode

        with self._lock:
            start, size = self._places[key]
            self._file.seek(start)
            packed = self._file.read(size)
        pixels = np.empty(shape, dtype)
        zstd_decode(packed, out=pixels.data.cast("B"))
        return pixels
