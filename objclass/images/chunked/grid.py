"""Images in chunks: collect blocks of any shape into chunks, which the threads of the run compress."""

from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from math import prod
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.compute.threads import Task
from objclass.core import AnyArray

CHUNK_BYTES = 512_000
"""Target size of a chunk in bytes, as in ilastik."""


def chunk_shape(
    axes: str, shape: tuple[int, ...], dtype: np.dtype[Any], maximum: int = CHUNK_BYTES
) -> tuple[int, ...]:
    """Shape of the chunks: of about ``maximum`` bytes, one time step and channel, else near a cube.

    Examples
    --------
    >>> chunk_shape("tzyxc", (1, 200, 512, 512, 1), np.dtype(np.float32))
    (1, 50, 51, 50, 1)
    """
    remaining = maximum // dtype.itemsize
    longest = [1 if axis in "tc" else n for axis, n in zip(axes, shape, strict=True)]
    chunk = [1] * len(axes)
    # short axes first: the rest is for the long ones
    order = sorted(range(len(axes)), key=longest.__getitem__)
    for done, axis in enumerate(order):
        side = int(remaining ** (1 / (len(order) - done)) + 0.5)
        chunk[axis] = max(min(side, longest[axis]), 1)
        remaining //= chunk[axis]
    return tuple(chunk)


class Grid:
    """An image cut into chunks, and the chunks that are being filled.

    Parameters
    ----------
    shape, chunks
        Of the image, and of its chunks.
    dtype
        Of the pixels.
    """

    def __init__(self, shape: tuple[int, ...], chunks: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.shape, self.chunks, self.dtype = shape, chunks, dtype
        self.waiting: dict[tuple[int, ...], tuple[AnyArray, int]] = {}
        """Index of a chunk -> its pixels, and how many of them are missing."""

    def touched(self, region: tuple[slice, ...]) -> Iterator[tuple[int, ...]]:
        """Indices of the chunks that share pixels with a region, in C order."""
        return product(*(
            range(part.start // side, -(-part.stop // side))
            for part, side in zip(region, self.chunks, strict=True)
        ))  # fmt: skip

    def place(self, index: tuple[int, ...]) -> tuple[slice, ...]:
        """The region of a chunk, cut to the image."""
        sides = zip(index, self.chunks, self.shape, strict=True)
        return tuple(slice(i * side, min(i * side + side, n)) for i, side, n in sides)

    def add(self, region: tuple[slice, ...], block: AnyArray) -> Iterator[tuple[tuple[int, ...], AnyArray]]:
        """Fill in a block; index and pixels of each chunk that is complete now.

        Each pixel must be given exactly once. Chunks at the end of the image have their full shape too, with
        zeros beyond the image.
        """
        for index in self.touched(region):
            place = self.place(index)
            if index not in self.waiting:
                size = prod(part.stop - part.start for part in place)
                self.waiting[index] = (np.zeros(self.chunks, self.dtype), size)
            chunk, missing = self.waiting[index]
            inside, given = overlap(place, region)
            chunk[inside] = block[given]
            missing -= prod(part.stop - part.start for part in inside)
            self.waiting[index] = (chunk, missing)
            if missing == 0:
                yield index, self.waiting.pop(index)[0]

    def rest(self) -> Iterator[tuple[tuple[int, ...], AnyArray]]:
        """The incomplete chunks: zero where no pixels were given."""
        for index in sorted(self.waiting):
            yield index, self.waiting.pop(index)[0]


def overlap(
    place: tuple[slice, ...], region: tuple[slice, ...]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The intersection of two regions, as slices of each.

    Examples
    --------
    >>> overlap((slice(10, 20),), (slice(15, 30),))
    ((slice(5, 10, None),), (slice(0, 5, None),))
    """
    pairs = list(zip(place, region, strict=True))
    bounds = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in pairs]
    first = tuple(slice(s - p.start, e - p.start) for (s, e), p in zip(bounds, place, strict=True))
    second = tuple(slice(s - r.start, e - r.start) for (s, e), r in zip(bounds, region, strict=True))
    return first, second


class Packing:
    """Compress chunks by the threads of the run while the next ones are made.

    The number of unfinished chunks is bounded; a caller with more chunks helps with the work.

    Parameters
    ----------
    work
        Function that compresses a chunk, and may write it.
    context
        Context of the run; None: the caller does all the work.
    """

    def __init__(self, work: Callable[..., Any], context: Context | None) -> None:
        self._work = work
        self._threads = (context or Context()).threads
        self.maximum = 4 * self._threads.jobs
        """Chunks that are under way at maximum."""
        self._running: deque[Task[Any]] = deque()

    def put(self, *arguments: Any) -> Task[Any]:
        """Begin the work on a chunk; raise the error of an earlier one."""
        while len(self._running) >= self.maximum:
            self._running.popleft().result()
        task = self._threads.begin(partial(self._work, *arguments))
        self._running.append(task)
        return task

    def close(self) -> None:
        """Wait for all chunks; then raise the first error."""
        while self._running:
            task = self._running.popleft()
            try:
                task.result()
            except BaseException:
                self.abort()
                raise

    def abort(self) -> None:
        """Cancel chunks that have not been begun, and wait for the others."""
        for task in [task for task in self._running if not task.cancel()]:
            task.fault()
        self._running.clear()


def deflated(chunk: AnyArray) -> bytes:
    """Pixels packed in the zlib format."""
    import imagecodecs

    # zlib-ng packs label images several times as fast as zlib and libdeflate: its level 2 as well as their 1
    encode: Any = imagecodecs.zlibng_encode if imagecodecs.ZLIBNG.available else imagecodecs.zlib_encode
    return bytes(encode(chunk, level=2))
