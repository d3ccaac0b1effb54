"""Read the pixels of a time step by box: from memory, from the file, or through cached tiles."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import prod
from threading import Lock
from typing import Any, TypeVar

import numpy as np

from objclass.compute.context import Context
from objclass.compute.limits import CACHED_CHUNK_BYTES, CACHED_TILE_BYTES
from objclass.compute.scratch import Scratch
from objclass.compute.slabs import Box
from objclass.compute.tiles import TILE_VOXELS, Tiles
from objclass.compute.timings import Timings
from objclass.core import AXES, AnyArray, Image, Stored

Made = TypeVar("Made")

Read = Callable[[Box], AnyArray]
"""Box (z, y, x) of a time step -> its pixels, axes z, y, x, c; read-only."""

PLANES = 16
"""Planes of a tile, where the file has no chunks."""


@dataclass(frozen=True)
class TimedArray:
    """A `Stored` that measures the time of reading."""

    stored: Stored
    timings: Timings

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the stored axes."""
        return self.stored.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        return self.stored.dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Lengths of the pieces that are packed together, if there are such."""
        return getattr(self.stored, "chunks", None)

    @property
    def is_plain(self) -> bool:
        """Whether slabs are quick to read."""
        return getattr(self.stored, "is_plain", False)

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region."""
        with self.timings.on("read"):
            return self.stored.read(region)


def timed(image: Image, timings: Timings) -> Image:
    """The image, with the time of reading measured."""
    return replace(image, stored=TimedArray(image.stored, timings))


def slab_reader(image: Image, t: int, channels: slice, context: Context) -> Read:
    """Reads some channels of a time step, slab by slab.

    Chunks of the file are thicker than slabs. If a layer of chunks fits into the cache, the file is read
    directly; else each slab would unpack it anew, so it is stored on scratch, in tiles as thick as slabs.
    """

    def read(box: Box) -> AnyArray:
        return image.read((slice(t, t + 1), *box, channels))[0]

    shape, limits = image.shape[1:4], context.limits
    planes, rows = _chunk(image)
    size = (channels.stop - channels.start) * image.dtype.itemsize
    first = limits.slabs(shape)[0]
    thick = min(planes, shape[0])
    if (
        thick <= first.stop_z - first.z
        or thick * prod(shape[1:]) * size <= limits.share(CACHED_CHUNK_BYTES) // 2
    ):
        return read
    thin = max(n for n in range(1, first.stop_z - first.z + 1) if planes % n == 0)
    maximum = limits.share(CACHED_TILE_BYTES) // (thick * shape[2] * size * (limits.jobs + 1))
    tile = thin, min(max(maximum // rows * rows, rows), shape[1])
    return _packed_again(read, shape, (thick, tile[1]), tile, context)


def _packed_again(
    read: Read, shape: tuple[int, int, int], layer: tuple[int, int], tile: tuple[int, int], context: Context
) -> Read:
    """Reads a time step once, in boxes of ``layer`` planes and rows, and stores it on scratch in tiles."""
    (thick, rows), (thin, _) = layer, tile
    kept = context.limits.share(CACHED_TILE_BYTES)
    scratch = Scratch(kept, context.scratch)
    corners = [(z, y) for z in range(0, shape[0], thick) for y in range(0, shape[1], rows)]

    def put(corner: tuple[int, int]) -> tuple[tuple[int, ...], np.dtype[Any]]:
        z, y = corner
        box = slice(z, min(z + thick, shape[0])), slice(y, min(y + rows, shape[1])), slice(0, shape[2])
        pixels = read(box)
        for k in range(0, len(pixels), thin):
            scratch.put((z + k, y), pixels[k : k + thin])
        return pixels.shape[3:], pixels.dtype

    def fill() -> Tiles:
        *_, (channels, dtype) = context.ordered(put, corners)

        def load(box: Box) -> AnyArray:
            extents = tuple(part.stop - part.start for part in box)
            return scratch.get((box[0].start, box[1].start), (*extents, *channels), dtype)

        return Tiles(shape, tile, load, kept)

    filled = _once(fill)
    return lambda box: filled()[box]


def box_reader(image: Image, t: int, context: Context) -> Read:
    """Reads boxes around objects of a time step, and slabs: of one that may be held, all at once, only once.

    Slabs of what is stored as it is are read straight: to hold it for them would take memory that the system has
    to clear first, which takes longer than to read it in each pass.
    """
    _, *lengths, channels = image.shape
    shape = image.shape[1:4]
    whole = tuple(slice(0, n) for n in lengths)
    read = slab_reader(image, t, slice(0, channels), context)
    if context.limits.holds(prod(image.shape[1:]) * image.dtype.itemsize):
        held = _once(lambda: read((whole[0], whole[1], whole[2])))
        is_quick = getattr(image.stored, "is_plain", False) and image.axes == "".join(
            sorted(image.axes, key=AXES.index)
        )
        return lambda box: read(box) if is_quick and box[2] == whole[2] else held()[box]
    planes, rows = _chunk(image)
    planes = min(planes, shape[0]) if planes > 1 else min(PLANES, shape[0])
    step = planes, max(TILE_VOXELS // (planes * shape[2]), rows)
    tiles = Tiles(shape, step, read, context.limits.share(CACHED_TILE_BYTES))
    # slabs are read directly, each once in a pass; boxes around objects are close to each other
    return lambda box: read(box) if box[2] == whole[2] else tiles[box]


def _once(make: Callable[[], Made]) -> Callable[[], Made]:
    """What ``make`` returns, made by the first thread that asks."""
    lock, made = Lock(), list[Made]()

    def get() -> Made:
        with lock:
            if not made:
                made.append(make())
        return made[0]

    return get


def _chunk(image: Image) -> tuple[int, int]:
    """Planes and rows of the chunks of the file, 1 where there are none."""
    chunks = dict(zip(image.axes, getattr(image.stored, "chunks", None) or (), strict=False))
    return chunks.get("z", 1), chunks.get("y", 1)
