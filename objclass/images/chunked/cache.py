"""A cache of unpacked chunks: slabs are thinner than most chunks, and the next slab needs them again."""

from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.core import AnyArray, Stored


@dataclass(frozen=True, eq=False)
class CachedChunks:
    """A `Stored` of compressed chunks, with a cache, since neighbouring blocks need the same chunks.

    Parameters
    ----------
    stored
        Reads the pixels.
    chunks
        Shape of a chunk.
    context
        Context of the run, with the cache.
    is_far
        Whether chunks come from a server: then regions of whole chunks are cached, too, for the next pass.
    """

    stored: Stored
    chunks: tuple[int, ...]
    context: Context
    is_far: bool = False
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
        kept = self.context.chunks
        if (
            wide == region and not self.is_far
        ) or needed > kept.maximum // 2:  # the rest is for the other images of the lane
            return self.stored.read(region)
        key = self, tuple((part.start, part.stop) for part in wide)
        unpacked = kept.get(key, lambda: self.stored.read(wide))
        inside = (slice(r.start - w.start, r.stop - w.start) for r, w in zip(region, wide, strict=True))
        return unpacked[tuple(inside)].copy()
