"""Memory that is used again: what the system gives anew it clears first, which takes longer than many a filter."""

import math
from threading import Lock

import numpy as np
from numpy.typing import NDArray


class Buffers:
    """Arrays of float32 that were given back, for any number of threads."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._free: list[NDArray[np.float32]] = []

    def take(self, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """An array with any content."""
        size = math.prod(shape)
        with self._lock:
            self._free.sort(key=len)
            fitting = next((k for k, buffer in enumerate(self._free) if len(buffer) >= size), -1)
            buffer = self._free.pop(fitting) if self._free else None
        if buffer is None or len(buffer) < size:  # a larger one takes the place of the largest
            buffer = np.empty(size, np.float32)
        return buffer[:size].reshape(shape)

    def give(self, *arrays: NDArray[np.float32]) -> None:
        """Give arrays back that came from `take`; nobody may use them, or parts of them, any more."""
        with self._lock:
            for array in arrays:
                assert array.base is not None
                self._free.append(array.base)

    def __reduce__(self) -> "tuple[type[Buffers], tuple[()]]":
        """Pickle without arrays: another process has its own."""
        return Buffers, ()
