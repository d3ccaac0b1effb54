"""How a lane is cut into parts: time steps, or stretches of planes (or of rows of one plane) of a time step."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import prod

from objclass.compute.limits import Limits
from objclass.compute.slabs import Box, Slab, slabs
from objclass.compute.tiles import TILE_VOXELS
from objclass.core import Lane
from objclass.segmentation.threshold import WHOLE
from objclass.settings import ThresholdSettings

PARTS_OF_WORKER = 2
"""Parts for each worker, so that none waits long for another."""

LARGEST, SMALLEST = 1 << 27, 1 << 20
"""Voxels of a part: at most, and at least where memory does not ask for smaller ones."""

THIN = 64
"""Planes of a part, if these are so large that a worker cannot hold as many."""

LABEL_BYTES = 4


@dataclass(frozen=True)
class Parts:
    """How a time step is cut: a grid of parts, each of them a grid of tiles, the pieces of its label image on disk.

    Parameters
    ----------
    shape
        Lengths z, y, x of the time step.
    block
        Planes and rows of a part; several planes only if they are whole.
    tile_voxels
        Voxels of a tile at most, unless a row has more.
    """

    shape: tuple[int, int, int]
    block: tuple[int, int]
    tile_voxels: int = TILE_VOXELS

    @cached_property
    def slabs(self) -> list[Slab]:
        """The parts, in scan order."""
        return list(slabs(self.shape, block=self.block))

    @property
    def along_y(self) -> int:
        """Number of parts of a plane."""
        return -(-self.shape[1] // self.block[1])

    @cached_property
    def tile(self) -> tuple[int, int]:
        """Planes and rows of a tile, which divide a part."""
        planes, rows = self.block
        _, height, width = self.shape
        if rows < height:
            return 1, _divisor(rows, _rows(width, self.tile_voxels))
        if height * width > self.tile_voxels:
            return 1, _rows(width, self.tile_voxels)
        return _divisor(planes, self.tile_voxels // (height * width)), rows

    def holder(self, box: Box) -> int:
        """The part that holds the first voxel of a box."""
        return box[0].start // self.block[0] * self.along_y + box[1].start // self.block[1]

    def grid(self, part: Slab) -> tuple[int, int]:
        """Number of tiles of a part along z and y."""
        planes, rows = self.tile
        return -(-(part.stop_z - part.z) // planes), -(-(part.stop_y - part.y) // rows)

    def tiles(self, part: Slab) -> list[Box]:
        """The tiles of a part, in scan order, counted from its first voxel."""
        shape = part.stop_z - part.z, part.stop_y - part.y, self.shape[2]
        return [tile.within(shape) for tile in slabs(shape, block=self.tile)]

    @property
    def seams(self) -> Iterator[tuple[int, int]]:
        """Pairs of parts that touch, the first one first."""
        for number, part in enumerate(self.slabs):
            if part.y > 0:
                yield number - 1, number
            if part.z > 0:
                yield number - self.along_y, number


def _rows(width: int, voxels: int = TILE_VOXELS) -> int:
    return max(voxels // width, 1)


def _divisor(number: int, maximum: int) -> int:
    """The largest divisor that is not above a maximum."""
    return max(n for n in range(1, min(number, max(maximum, 1)) + 1) if number % n == 0)


def parts_of(lane: Lane, settings: ThresholdSettings, limits: Limits, count: int) -> Parts | None:
    """How each time step of a lane is cut for so many workers of these limits; None: not within time steps.

    Time steps are not cut if there are enough of them, or if there is one worker that can hold one; what some methods
    need whole is never cut. The time steps of a lane that are cut are done one after the other.
    """
    steps, *shape, _ = lane.objects.shape
    if lane.role == "prediction_maps" and settings.method in WHOLE:
        return None
    voxels, wanted = prod(shape), PARTS_OF_WORKER * count
    largest = largest_part(lane, limits)
    if steps >= wanted or (voxels <= largest and (count == 1 or voxels <= SMALLEST)):
        return None
    each = min(largest, max(-(-voxels // wanted), SMALLEST))
    z, y, x = shape
    return Parts((z, y, x), block_of((z, y, x), each, wanted, _unit(lane)))


def largest_part(lane: Lane, limits: Limits) -> int:
    """Voxels of the largest part whose labels and raw data a worker may hold."""
    raw = lane.raw.dtype.itemsize * lane.channels if lane.raw is not None else 0
    if limits.memory is None:
        return LARGEST
    return max(min(LARGEST, limits.memory // 6 // max(LABEL_BYTES, raw)), 1)


def block_of(
    shape: tuple[int, int, int], voxels: int, wanted: int, unit: tuple[int, int] = (1, 1)
) -> tuple[int, int]:
    """Planes and rows of parts of about so many voxels: multiples of ``unit`` (and of tiles) if these are small.

    Parts have several planes even if they are larger then, as long as there are as many parts as ``wanted``: in thin
    ones most objects would be open. A worker that cannot hold a part works in slabs.

    Examples
    --------
    >>> block_of((512, 512, 512), 1 << 25, 4), block_of((1, 10_000, 10_000), 1 << 25, 4)
    ((128, 512), (1, 3354))
    """
    depth, height, width = shape
    planes = max(voxels // (height * width), min(depth // wanted, THIN))
    if planes >= 1:
        number = -(-depth // planes)
        return _rounded(-(-depth // number), unit[0], TILE_VOXELS // (height * width)), height
    rows = max(voxels // width, 1)
    number = -(-height // rows)
    return 1, min(_rounded(-(-height // number), unit[1], _rows(width)), height)


def _rounded(length: int, unit: int, tile: int) -> int:
    """A multiple of the unit that is not longer, or of a tile, that may be longer; unless the length is below these."""
    if unit > 1:
        return max(length // unit * unit, min(unit, length))
    return -(-length // tile) * tile if 1 < tile <= length else length


def _unit(lane: Lane) -> tuple[int, int]:
    """Planes and rows of the chunks of the file of the objects."""
    chunks = dict(zip(lane.objects.axes, getattr(lane.objects.stored, "chunks", None) or (), strict=False))
    return chunks.get("z", 1), chunks.get("y", 1)
