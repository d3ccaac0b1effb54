"""Files that can only be decoded as a whole: decoded once in a run."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.core import AnyArray
from objclass.errors import ImageError


@dataclass(frozen=True, eq=False)
class WholeImage:
    """A `Stored` that is decoded as a whole by the first read, and cached while there is room.

    Parameters
    ----------
    path, internal
        The file, and the array in it.
    shape, dtype
        Of the pixels.
    decode
        Function that returns the pixels of ``path`` and ``internal``; defined in a module, so that it can be pickled.
    context
        Context of the run, with the cache.

    Raises
    ------
    ImageError
        If its pixels do not fit into the memory limit.
    """

    path: str
    internal: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    decode: Callable[[str, str], AnyArray]
    context: Context

    def __post_init__(self) -> None:
        limits, needed = self.context.limits, prod(self.shape) * self.dtype.itemsize
        if not limits.holds(needed):
            message = (
                f"{self.path}: can only be decoded whole, which takes {needed / 1e9:.2g} GB; "
                f"{limits.share(needed) / 1e9:.2g} GB are left: raise --max_memory, or save it in "
                "chunks, as HDF5 or Zarr"
            )
            raise ImageError(message)

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region."""
        return self.pixels()[region].copy()

    def pixels(self) -> AnyArray:
        """All pixels, read-only."""
        now = os.stat(self.path)
        key = (self.path, self.internal, now.st_ino, now.st_size, now.st_mtime_ns)
        return self.context.decoded.get(key, lambda: self.decode(self.path, self.internal))
