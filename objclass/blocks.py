"""The blocks: how a big image is cut, read by box, and kept on scratch.

A slab is a stretch of the image in scan order (C order of z, y, x): whole planes, or whole rows of one
plane where planes are too large. The voxels of the slabs, one slab after the other, come in the order of
the whole image, and so whatever is folded in that order does not depend on the cutting.
"""

from collections import deque
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile, gettempdir
from threading import Lock
from typing import Any, TypeVar
from weakref import finalize

import numpy as np

from objclass.core import AnyArray
from objclass.errors import LaneError, check_signals
from objclass.kept import Kept

VOXELS = 1 << 22
"""Voxels of a slab where nothing else is said."""

VOXEL_BYTES = 32
"""Working memory for a voxel of a slab."""

TILE_VOXELS = 1 << 18
"""Voxels of a part of a slab that is packed alone on scratch, so that boxes read little more than they need."""

KEPT_TILES = KEPT_CHUNKS = 1 << 28
"""Most bytes that are kept of unpacked tiles, and of unpacked chunks of inputs."""

Box = tuple[slice, slice, slice]
"""A part of a time step: slices with integer bounds along z, y, x."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Slab:
    """Planes ``z`` to ``stop_z`` of a time step, of these the rows ``y`` to ``stop_y``."""

    z: int
    stop_z: int
    y: int
    stop_y: int

    @property
    def origin(self) -> tuple[int, int, int]:
        """Coordinates (z, y, x) of the first voxel."""
        return self.z, self.y, 0

    def within(self, shape: tuple[int, int, int]) -> Box:
        """Its slices (z, y, x)."""
        return slice(self.z, self.stop_z), slice(self.y, self.stop_y), slice(0, shape[2])


def slabs(
    shape: tuple[int, int, int],
    voxels: int = VOXELS,
    block: tuple[int, int] | None = None,
    unit: tuple[int, int] = (1, 1),
) -> Iterator[Slab]:
    """Cut (z, y, x) into slabs of at most ``voxels`` voxels, or of ``block`` planes and rows.

    A slab has one row at least, and several planes only if they are whole; unless it is to be made of
    pieces of ``unit`` planes and rows.

    Examples
    --------
    >>> [slab.origin for slab in slabs((1, 5, 10), voxels=20)]
    [(0, 0, 0), (0, 2, 0), (0, 4, 0)]
    >>> [slab.origin for slab in slabs((4, 2, 3), block=(3, 2))]
    [(0, 0, 0), (3, 0, 0)]
    """
    z, y, x = shape
    unit = (1, 1) if block else unit
    least = min(unit[0], z)
    planes, rows = block or (voxels // (y * x), max(voxels // (x * least), 1))
    if planes < least or rows < y:
        planes, rows = least, max(rows // unit[1] * unit[1], min(unit[1], rows))
    else:
        planes, rows = planes // least * least, y
    for start_z in range(0, z, planes):
        for start_y in range(0, y, rows):
            yield Slab(start_z, min(start_z + planes, z), start_y, min(start_y + rows, y))


@dataclass(frozen=True)
class Limits:
    """How much may be held in memory and done at once.

    Parameters
    ----------
    memory
        Bytes of pixels and of what is made of them; None: as many as it takes.
    block
        Planes and rows of a slab, in place of what would be chosen.
    jobs
        Threads.
    """

    memory: int | None = None
    block: tuple[int, int] | None = None
    jobs: int = 1

    def slabs(
        self, shape: tuple[int, int, int], unit: tuple[int, int] = (1, 1), voxels: int = VOXELS
    ) -> list[Slab]:
        """How a time step (z, y, x) is cut: into slabs of at most so many voxels, made of pieces of
        ``unit`` planes and rows where that is said.
        """
        if self.memory is not None:  # as many slabs as there are threads, and one that is read ahead
            voxels = min(voxels, self.memory // (2 * VOXEL_BYTES * (self.jobs + 1)))
        return list(slabs(shape, max(voxels, 1), self.block, unit))

    def share(self, most: int) -> int:
        """Bytes, up to ``most``, for one of the things that stay in memory besides the slabs.

        Slabs take half of the memory; labels, raw data and unpacked chunks a sixth each.
        """
        return most if self.memory is None else min(most, self.memory // 6)

    def holds(self, size: int) -> bool:
        """Whether so many bytes may stay in memory besides the slabs."""
        return self.share(size) == size


def ordered(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    jobs: int = 1,
    drop: Callable[[Result], object] | None = None,
) -> Generator[Result, None, None]:
    """``function`` of each item, by so many threads, answered in the order of the items.

    At most one result more than there are threads waits to be taken; results that are never taken, since
    the caller stops or an earlier one failed, are told to ``drop``.
    """
    if jobs == 1:
        for item in items:
            check_signals()
            yield function(item)
        return
    waiting: deque[Future[Result]] = deque()

    def take() -> Result:
        result = waiting[0].result()  # may be interrupted: until it is here, it is one of those left
        waiting.popleft()
        return result

    with ThreadPoolExecutor(jobs) as pool:
        try:
            for item in items:
                check_signals()
                waiting.append(pool.submit(function, item))
                if len(waiting) > jobs:
                    yield take()
            while waiting:
                yield take()
        finally:
            left = [future for future in waiting if not future.cancel()]
            for future in left:
                if future.exception() is None and drop is not None:
                    drop(future.result())


ALL = Limits()
"""No limits, one thread."""


class Tiles:
    """A time step read by box through tiles of whole rows, of which those used last are kept.

    Parameters
    ----------
    shape
        z, y, x.
    step
        Planes and rows of a tile.
    load
        Reads a tile: its pixels, axes z, y, x and what else there is.
    keep
        Bytes of tiles to be kept.
    """

    def __init__(
        self, shape: tuple[int, int, int], step: tuple[int, int], load: Callable[[Box], AnyArray], keep: int
    ) -> None:
        self.shape = shape
        self._step, self._load = step, load
        self._kept = Kept(keep)

    def __getitem__(self, box: Box) -> AnyArray:
        """The pixels of a box, to be read only."""
        (planes, rows), (z, y, _) = self._step, box
        down = range(z.start // planes, max(-(-z.stop // planes), z.start // planes + 1))
        along = range(y.start // rows, max(-(-y.stop // rows), y.start // rows + 1))
        if len(down) == len(along) == 1:
            return self._part(down[0], along[0], box)
        # copied one by one: as long as a part of it is held, a whole tile is
        layers = [np.concatenate([self._part(i, j, box).copy() for j in along], axis=1) for i in down]
        return np.concatenate(layers)

    def _part(self, i: int, j: int, box: Box) -> AnyArray:
        """What a tile has of the box."""
        (planes, rows), (z, y, x) = self._step, box
        tile = self._tile(i, j)
        return tile[
            max(z.start - i * planes, 0) : z.stop - i * planes,
            max(y.start - j * rows, 0) : y.stop - j * rows,
            x,
        ]

    def _tile(self, i: int, j: int) -> AnyArray:
        tile = self._kept.get((i, j))
        if tile is None:
            tile = self._load(self._place(i, j))
            self._kept.put((i, j), tile)
        return tile

    def _place(self, i: int, j: int) -> Box:
        (planes, rows), (z, y, x) = self._step, self.shape
        return (
            slice(i * planes, min((i + 1) * planes, z)),
            slice(j * rows, min((j + 1) * rows, y)),
            slice(0, x),
        )


class Scratch:
    """Arrays put down packed, in memory while they are few, else in a temporary file.

    The file goes when this is no longer used, or with the process.

    Parameters
    ----------
    held
        Bytes that may stay in memory.
    """

    def __init__(self, held: int) -> None:
        self._file = SpooledTemporaryFile(max_size=max(held, 1))  # noqa: SIM115 (closed with this)
        finalize(self, self._file.close)
        self._places: dict[Hashable, tuple[int, int]] = {}
        self._lock = Lock()

    def put(self, key: Hashable, pixels: AnyArray) -> None:
        """Put down an array under a key."""
        from imagecodecs import zstd_encode

        packed = zstd_encode(np.ascontiguousarray(pixels).data.cast("B"), level=1)  # type: ignore[arg-type]
        with self._lock:
            start = self._file.seek(0, 2)
            try:
                self._file.write(packed)
            except OSError as fault:
                message = f"scratch data in {gettempdir()}: {fault.strerror} (TMPDIR says where they go)"
                raise LaneError(message) from fault
            self._places[key] = start, len(packed)

    def get(self, key: Hashable, shape: tuple[int, ...], dtype: Any) -> AnyArray:
        """The array that was put down under a key."""
        from imagecodecs import zstd_decode

        with self._lock:
            start, size = self._places[key]
            self._file.seek(start)
            packed = self._file.read(size)
        pixels = np.empty(shape, dtype)
        zstd_decode(packed, out=pixels.data.cast("B"))
        return pixels
