"""Unpacked chunks that are kept: slabs are thinner than most chunks, and the next one wants them again."""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from math import prod
from threading import Lock
from typing import Any

import numpy as np

from objclass.core import AnyArray, Stored


class Kept:
    """The pixels that were unpacked last, up to so many bytes."""

    def __init__(self, most: int) -> None:
        self.most = most
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
            while self._bytes > self.most and self._pixels:
                _, oldest = self._pixels.popitem(last=False)
                self._bytes -= oldest.nbytes


KEPT = Kept(1 << 28)
"""Of all images of this process; how much it keeps is set by what a run may use."""


@dataclass(frozen=True, eq=False)
class Chunked:
    """A `Stored` that is packed in chunks: each block would unpack those it touches once more.

    Parameters
    ----------
    stored
        Reads the pixels.
    chunks
        Shape of a chunk.
    """

    stored: Stored
    chunks: tuple[int, ...]
    shape: tuple[int, ...] = field(init=False)
    dtype: np.dtype[Any] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "shape", self.stored.shape)
        object.__setattr__(self, "dtype", self.stored.dtype)

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region; only the chunks that it touches are read."""
        wide = tuple(
            slice(part.start // side * side, min(-(-part.stop // side) * side, n))
            for part, side, n in zip(region, self.chunks, self.shape, strict=True)
        )
        needed = prod(part.stop - part.start for part in wide) * self.dtype.itemsize
        if wide == region or needed > KEPT.most // 2:  # the rest is for the other images of the lane
            return self.stored.read(region)
        key = self, tuple((part.start, part.stop) for part in wide)
        unpacked = KEPT.get(key)
        if unpacked is None:
            unpacked = self.stored.read(wide)
            KEPT.put(key, unpacked)
        inside = (slice(r.start - w.start, r.stop - w.start) for r, w in zip(region, wide, strict=True))
        return unpacked[tuple(inside)].copy()
