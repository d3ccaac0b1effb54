"""Pixels that lie in a file as they are: mapped into memory, to be read or written in place."""

import errno
import mmap
import os
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from objclass.core import AnyArray


@dataclass(frozen=True)
class Mapped:
    """A `Stored` whose pixels lie one after the other.

    Parameters
    ----------
    offset
        Bytes before the first of them.
    dtype
        In the byte order of the file.
    order
        Whether the last axis is the fastest, or the first.
    """

    path: str
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    order: Literal["C", "F"] = "C"

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region; only their part of the file is touched."""
        return np.array(np.memmap(self.path, self.dtype, "r", self.offset, self.shape, self.order)[region])


def reserve(path: str) -> None:
    """Take the space of a file's holes: a disk that gets full under mapped pixels kills the process."""
    if not hasattr(os, "posix_fallocate"):
        return
    with open(path, "rb+") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, os.path.getsize(path))
        except OSError as fault:
            if fault.errno not in (errno.EOPNOTSUPP, errno.EINVAL):  # some file systems cannot
                raise


def let_go(mapped: Any) -> None:
    """Take written pages of a mapped file out of the memory of this process: the system has them."""
    if hasattr(mmap, "MADV_DONTNEED"):
        mapped._mmap.madvise(mmap.MADV_DONTNEED)  # noqa: SLF001 (numpy has no other way)
