"""Pixels that lie in a file one after the other, as they are: in TIFF, NumPy and raw files.

Where a region is one stretch of the file, as slabs are, it is read and written as such: mapping the file
into memory would cost more than copying it, page by page.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from threading import Lock
from typing import Any, Literal

import numpy as np

from objclass.core import AnyArray

LARGE_BYTES = 1 << 26
"""The system keeps files up to this size in memory, to be read again soon; of larger ones it is asked to let go."""


@dataclass(frozen=True)
class PlainStore:
    """An array in a file, from ``offset`` on; ``dtype`` with its byte order, ``order`` C or Fortran."""

    path: str
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"] = "C"

    @property
    def is_plain(self) -> bool:
        """Whether slabs are quick to read."""
        return self.order == "C"

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region; only their part of the file is touched."""
        extents = tuple(part.stop - part.start for part in region)
        axis = first_of_stretch(region, self.shape)
        if self.order == "F" or prod(extents[:axis]) != 1:
            mapped = np.memmap(self.path, self.dtype, "r", self.offset, self.shape, self.order)
            return np.array(mapped[region])
        start = self.offset + first_pixel(region, self.shape) * self.dtype.itemsize
        return np.fromfile(self.path, self.dtype, prod(extents), offset=start).reshape(extents)


class PlainFile:
    """An array in a file that is being written, by any number of threads, C order; the file is there already.

    Parameters
    ----------
    path, offset
        The file, and where the first pixel is.
    shape, dtype
        Of the array; with byte order.
    """

    def __init__(self, path: str, offset: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self._offset, self._shape, self._dtype = offset, shape, dtype
        self._lock = Lock()
        self._is_large = prod(shape) * dtype.itemsize > LARGE_BYTES
        self._file = open(path, "r+b", buffering=0)  # noqa: SIM115 (closed by close)

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block to its place."""
        axis = first_of_stretch(region, self._shape)
        extents = tuple(part.stop - part.start for part in region)
        stretches = np.ascontiguousarray(block, self._dtype).reshape(prod(extents[:axis]), -1)
        for start, pixels in zip(_starts(region, self._shape, axis), stretches, strict=True):
            self._write_at(self._offset + start * self._dtype.itemsize, pixels)
        if self._is_large:
            self._let_go()

    def _let_go(self) -> None:
        """Have what was written go to the disk, and its memory serve what is written next.

        New memory costs the system more time than all else about a large file, and the commit waits for the disk
        in any case.
        """
        if hasattr(os, "posix_fadvise"):
            with suppress(OSError):  # it is advice
                os.posix_fadvise(self._file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def _write_at(self, place: int, pixels: AnyArray) -> None:
        left = pixels.data.cast("B")
        while left:  # the system may take less than it is given
            if hasattr(os, "pwrite"):
                written = os.pwrite(self._file.fileno(), left, place)
            else:
                with self._lock:
                    self._file.seek(place)
                    written = self._file.write(left) or 0
            left, place = left[written:], place + written

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def abort(self) -> None:
        """Let go of the file as it is."""
        with suppress(OSError):
            self._file.close()


def first_of_stretch(region: tuple[slice, ...], shape: tuple[int, ...]) -> int:
    """The first axis from which on the region lies in one stretch: those after it are whole.

    Examples
    --------
    >>> first_of_stretch((slice(0, 1), slice(2, 4), slice(0, 9)), (3, 5, 9))
    1
    """
    axis = len(shape) - 1
    while axis > 0 and region[axis] == slice(0, shape[axis]):
        axis -= 1
    return axis


def first_pixel(region: tuple[slice, ...], shape: tuple[int, ...]) -> int:
    """Position of the first pixel of a region in the array, in C order."""
    position = 0
    for part, length in zip(region, shape, strict=True):
        position = position * length + part.start
    return position


def _starts(region: tuple[slice, ...], shape: tuple[int, ...], axis: int) -> Iterator[int]:
    """Positions of the stretches from ``axis`` on, in C order."""
    first = first_pixel(region, shape)
    steps = [prod(shape[k + 1 :]) for k in range(axis)]
    for index in np.ndindex(*(part.stop - part.start for part in region[:axis])):
        yield first + sum(i * step for i, step in zip(index, steps, strict=True))


def reserve(path: str) -> None:
    """Take the space of a file's holes: a disk that gets full under mapped pixels kills the process."""
    with open(path, "rb+") as file:
        reserve_part(file.fileno(), 0, os.path.getsize(path))


def reserve_part(descriptor: int, start: int, size: int) -> None:
    """The same of a part of an open file, in bytes."""
    if not hasattr(os, "posix_fallocate"):
        return
    try:
        os.posix_fallocate(descriptor, start, size)
    except OSError as fault:
        if fault.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # some file systems cannot
            raise
