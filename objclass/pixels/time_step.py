"""Time steps of a computed image that are kept while they are read."""

from collections.abc import Callable
from functools import partial
from math import prod
from threading import Lock
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.compute.limits import CACHED_TILE_BYTES
from objclass.compute.scratch import Scratch
from objclass.compute.slabs import Box
from objclass.core import AnyArray
from objclass.pixels.prediction import cut, full


class KeptTimeStep:
    """An array that is computed once for each time step, in the pieces that are computed together.

    The time step that was read last is kept: in memory where the limits allow it, else packed on scratch.

    Parameters
    ----------
    stored
        Is computed when it is read: t, z, y, x, channels; has ``chunks``.
    context
        Memory and threads.
    """

    def __init__(self, stored: Any, context: Context) -> None:
        self._stored, self._context, self._lock = stored, context, Lock()
        self.shape, self.dtype = tuple(stored.shape), np.dtype(stored.dtype)
        self._key = object()  # of its tiles in the cache: the id of an array that is gone may come again
        self._t = -1
        self._held: AnyArray | None = None
        self._scratch: Scratch | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle what is computed: another process, which reads a part only, computes that part."""
        return _anew, (self._stored,)

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of a region."""
        return np.concatenate(
            [
                self._step(t)((region[1], region[2], region[3]))[..., region[4]][None]
                for t in range(region[0].start, region[0].stop)
            ]
        )

    def _step(self, t: int) -> Callable[[Box], AnyArray]:
        """Reads boxes (z, y, x) of a time step, which is computed now if it is not the last one."""
        with self._lock:
            if t != self._t:
                self._fill(t)
            if self._held is not None:
                return partial(_of_array, self._held)
            assert self._scratch is not None
            return partial(self._of_tiles, t, self._scratch)

    def _fill(self, t: int) -> None:
        extents = self.shape[1:]
        self._t, self._held, self._scratch = -1, None, None
        if self._context.limits.holds(prod(extents) * self.dtype.itemsize):
            held = np.empty(extents, self.dtype)

            def put(box: Box, pixels: AnyArray) -> None:
                held[box] = pixels
        else:
            held, scratch = (
                None,
                Scratch(self._context.limits.share(CACHED_TILE_BYTES), self._context.scratch),
            )
            self._scratch = scratch

            def put(box: Box, pixels: AnyArray) -> None:
                scratch.put(tuple(part.start for part in box), pixels)

        def compute(box: Box) -> None:
            channels = slice(0, self.shape[4])
            put(box, self._stored.read((slice(t, t + 1), *box, channels))[0])

        for _ in self._context.ordered(compute, cut(full(extents), self._stored.chunks[1:4])):
            pass
        self._t, self._held = t, held

    def _of_tiles(self, t: int, scratch: Scratch, box: Box) -> AnyArray:
        """A box from the tiles on scratch."""
        sides = self._stored.chunks[1:4]
        found = np.empty((*(part.stop - part.start for part in box), self.shape[4]), self.dtype)
        for piece in cut(box, sides):
            corner = tuple(part.start // side * side for part, side in zip(piece, sides, strict=True))
            lengths = tuple(
                min(side, n - c) for side, n, c in zip(sides, self.shape[1:4], corner, strict=True)
            )
            tile = self._context.chunks.get(
                (self._key, t, corner), partial(scratch.get, corner, (*lengths, self.shape[4]), self.dtype)
            )
            inside = tuple(slice(p.start - c, p.stop - c) for p, c in zip(piece, corner, strict=True))
            place = tuple(slice(p.start - b.start, p.stop - b.start) for p, b in zip(piece, box, strict=True))
            found[place] = tile[inside]
        return found


def _of_array(held: AnyArray, box: Box) -> AnyArray:
    return held[box]


def _anew(stored: Any) -> Any:
    return stored
