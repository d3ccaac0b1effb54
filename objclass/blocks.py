"""The blocks: how a big image is cut, how components are joined over the seams, what is kept on scratch.

A slab is a stretch of the image in scan order (C order of z, y, x): whole planes, or whole rows of one
plane where planes are too large. The voxels of the slabs, one slab after the other, come in the order of
the whole image, and so whatever is folded in that order does not depend on the cutting.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import prod
from tempfile import SpooledTemporaryFile, gettempdir
from threading import Lock
from typing import Any, TypeVar
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, IntArray
from objclass.errors import LaneError

VOXELS = 1 << 22
"""Voxels of a slab where nothing else is said."""

VOXEL_BYTES = 64
"""Working memory for a voxel of a slab."""

TILE_VOXELS = 1 << 18
"""Voxels of a part of a slab that is packed alone on scratch, so that boxes read little more than they need."""

KEPT_TILES = 1 << 28
"""Most bytes of tiles that are kept unpacked."""

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

    def slabs(self, shape: tuple[int, int, int], unit: tuple[int, int] = (1, 1)) -> list[Slab]:
        """How a time step (z, y, x) is cut; into pieces of ``unit`` planes and rows where that is said."""
        voxels = VOXELS
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
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()

    def take() -> Result:
        result = waiting[0].result()  # may be interrupted: until it is here, it is one of those left
        waiting.popleft()
        return result

    with ThreadPoolExecutor(jobs) as pool:
        try:
            for item in items:
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
        self._step, self._load, self._keep = step, load, keep
        self._kept: OrderedDict[tuple[int, int], AnyArray] = OrderedDict()
        self._size = 0
        self._lock = Lock()

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
        with self._lock:
            if (i, j) in self._kept:
                self._kept.move_to_end((i, j))
                return self._kept[i, j]
        tile = self._load(self._place(i, j))
        with self._lock:
            if (i, j) not in self._kept:  # two threads may have wanted it at once
                self._kept[i, j] = tile
                self._size += tile.nbytes
            while self._size > self._keep and len(self._kept) > 1:
                _, oldest = self._kept.popitem(last=False)
                self._size -= oldest.nbytes
        return tile

    def _place(self, i: int, j: int) -> Box:
        (planes, rows), (z, y, x) = self._step, self.shape
        return (
            slice(i * planes, min((i + 1) * planes, z)),
            slice(j * rows, min((j + 1) * rows, y)),
            slice(0, x),
        )


class HeldLabels:
    """A label image in memory, made slab by slab."""

    def __init__(self, shape: tuple[int, int, int], cut: Sequence[Slab], limits: Limits) -> None:
        self._cut, self._limits = cut, limits
        self._shape = shape
        self._array = np.zeros(shape if len(cut) > 1 else (0, 0, 0), np.uint32)

    def write(self, number: int, labels: NDArray[np.uint32]) -> None:
        """Put down a slab, with ids of its own from 1."""
        if len(self._cut) == 1:
            self._array = labels
        else:
            self._array[self._cut[number].within(self._shape)] = labels

    def plain(self, number: int) -> NDArray[np.uint32]:
        """A slab with its own ids."""
        return self._array[self._cut[number].within(self._shape)]

    def finish(self, ids: Sequence[NDArray[np.uint32]]) -> NDArray[np.uint32]:
        """The image, where the ids 0 … n of each slab have become ``ids[number]``."""

        def renumber(number: int) -> None:
            table = ids[number]
            if not np.array_equal(table, np.arange(len(table))):
                place = self._cut[number].within(self._shape)
                self._array[place] = np.take(table, self._array[place])

        for _ in ordered(renumber, range(len(self._cut)), self._limits.jobs):
            pass
        return self._array


class PackedLabels:
    """A label image on scratch, made slab by slab, its tiles packed.

    The file is removed when the image is no longer used, or with the process.
    """

    def __init__(self, shape: tuple[int, int, int], cut: Sequence[Slab], limits: Limits) -> None:
        first = cut[0]
        planes, rows = first.stop_z - first.z, first.stop_y - first.y
        self._cut, self._shape = cut, shape
        self._rows = rows if rows < shape[1] else min(max(TILE_VOXELS // (planes * shape[2]), 1), rows)
        self._step = planes, self._rows
        self._keep = limits.share(KEPT_TILES)
        self._file = SpooledTemporaryFile(max_size=max(self._keep, 1))  # noqa: SIM115 (closed with this)
        finalize(self, self._file.close)
        self._places: dict[tuple[int, int], tuple[int, int]] = {}
        self._lock = Lock()

    def write(self, number: int, labels: NDArray[np.uint32]) -> None:
        """Put down a slab, with ids of its own from 1."""
        from imagecodecs import zstd_encode

        slab = self._cut[number]
        for y in range(slab.y, slab.stop_y, self._rows):
            tile = np.ascontiguousarray(labels[:, y - slab.y : y - slab.y + self._rows])
            packed = zstd_encode(tile.data.cast("B"), level=1)  # type: ignore[arg-type]
            with self._lock:
                start = self._file.seek(0, 2)
                self._append(packed)
                self._places[slab.z, y] = start, len(packed)

    def _append(self, packed: bytes | bytearray) -> None:
        try:
            self._file.write(packed)
        except OSError as fault:
            message = f"scratch data in {gettempdir()}: {fault.strerror} (TMPDIR says where they go)"
            raise LaneError(message) from fault

    def plain(self, number: int) -> NDArray[np.uint32]:
        """A slab with its own ids."""
        slab = self._cut[number]
        z, _, x = slab.within(self._shape)
        ends = [(y, min(y + self._rows, slab.stop_y)) for y in range(slab.y, slab.stop_y, self._rows)]
        return np.concatenate([self._unpack((z, slice(*end), x)) for end in ends], axis=1)

    def _unpack(self, tile: Box) -> NDArray[np.uint32]:
        from imagecodecs import zstd_decode

        z, y, x = tile
        with self._lock:
            start, size = self._places[z.start, y.start]
            self._file.seek(start)
            packed = self._file.read(size)
        labels = np.empty((z.stop - z.start, y.stop - y.start, x.stop), np.uint32)
        zstd_decode(packed, out=labels.data.cast("B"))
        return labels

    def finish(self, ids: Sequence[NDArray[np.uint32]]) -> Tiles:
        """The image, where the ids 0 … n of each slab have become ``ids[number]``."""
        tables = {(slab.z, slab.y): table for slab, table in zip(self._cut, ids, strict=True)}
        are_rows = self._rows == self._cut[0].stop_y - self._cut[0].y

        def load(tile: Box) -> AnyArray:
            table = tables[tile[0].start, tile[1].start if are_rows else 0]
            return np.take(table, self._unpack(tile))

        return Tiles(self._shape, self._step, load, self._keep)


def label_image(
    shape: tuple[int, int, int], cut: Sequence[Slab], limits: Limits
) -> HeldLabels | PackedLabels:
    """A label image that is about to be made: in memory if the limits allow it, else on scratch."""
    holds = limits.holds(prod(shape) * np.dtype(np.uint32).itemsize)
    return (HeldLabels if holds else PackedLabels)(shape, cut, limits)


class Components:
    """Connected components of an image that comes slab by slab, in scan order.

    Within a slab they are labelled already, 1 … n by their first voxel; here those of equal value that touch
    over a seam (by direct neighbours) become one.

    Parameters
    ----------
    labels
        Holds the slabs.
    cut
        The slabs.
    """

    def __init__(self, labels: HeldLabels | PackedLabels, cut: Sequence[Slab]) -> None:
        self._labels, self._cut = labels, cut
        self._starts = [0]
        self._pairs: list[IntArray] = []
        self._last: NDArray[np.uint32] | None = None
        self._values: list[AnyArray] = []

    @property
    def count(self) -> int:
        """Components so far; those in several slabs count in each."""
        return self._starts[-1]

    def add(self, labels: NDArray[np.uint32], count: int, values: Any = 1) -> None:
        """The next slab: its labels 1 … ``count``; ``values``, of the same shape, or one for all of them."""
        number = len(self._starts) - 1
        slab = self._cut[number]
        if slab.y > 0:  # rows of one plane
            self._join(number - 1, self._last_of(number - 1)[:, -1], labels[:, 0], _face(values, 1))
        if slab.z > 0:
            above = next(i for i in range(number - 1, -1, -1) if self._cut[i].y == slab.y)
            self._join(above, self._last_of(above)[-1], labels[0], _face(values, 0))
        self._starts.append(self.count + count)
        self._last = labels
        values = np.asarray(values)
        by_label = np.full(count + 1, values if values.ndim == 0 else 0, values.dtype)
        if values.ndim:
            by_label[labels.ravel()] = values.ravel()
        self._values.append(by_label)

    def _last_of(self, number: int) -> NDArray[np.uint32]:
        if number == len(self._starts) - 2 and self._last is not None:
            return self._last
        return self._labels.plain(number)

    def _join(self, above: int, before: NDArray[np.uint32], after: NDArray[np.uint32], values: Any) -> None:
        """Remember which components of a slab ``above`` touch which of the present one."""
        touch = (before > 0) & (after > 0) & (self._values[above][before] == values)
        if not touch.any():
            return
        pairs = np.unique(before[touch].astype(np.uint64) << np.uint64(32) | after[touch])
        a = (pairs >> np.uint64(32)).astype(np.int64) - 1 + self._starts[above]
        b = (pairs & np.uint64(0xFFFFFFFF)).astype(np.int64) - 1 + self.count
        self._pairs.append(np.stack([a, b]))

    def roots(self) -> IntArray:
        """The first part of each component, for each of its parts (from 0, over all slabs)."""
        return roots(self.count, np.concatenate([np.zeros((2, 0), np.int64), *self._pairs], axis=1))

    def tables(self, ids: NDArray[np.uint32]) -> list[NDArray[np.uint32]]:
        """For each slab what its labels 0 … n become, if all parts, in order, become ``ids``."""
        zero = np.zeros(1, np.uint32)
        ends = zip(self._starts[:-1], self._starts[1:], strict=True)
        return [np.concatenate([zero, ids[start:stop]]) for start, stop in ends]


def _face(values: Any, axis: int) -> Any:
    """The first layer along an axis, if there is more than one value."""
    return values.take(0, axis) if np.ndim(values) else values


def roots(count: int, pairs: IntArray) -> IntArray:
    """Union-find: the least member of the set of each of 0 … ``count`` - 1, where pairs (2, n) are joined.

    Examples
    --------
    >>> roots(5, np.array([[3, 1], [4, 3]]))
    array([0, 1, 2, 1, 1])
    """
    parent = np.arange(count)
    a, b = pairs
    while len(a):
        a, b = parent[a], parent[b]
        apart = a != b
        a, b = a[apart], b[apart]
        np.minimum.at(parent, np.maximum(a, b), np.minimum(a, b))
        while not np.array_equal(above := parent[parent], parent):
            parent = above
    return parent


def numbered(kept: NDArray[np.bool_], root: IntArray) -> tuple[NDArray[np.uint32], int]:
    """Ids 1 … n of the kept components by their first part, for all parts (0 for the others), and n."""
    first = kept & (root == np.arange(len(root)))
    ids = np.cumsum(first).astype(np.uint32)
    return np.where(kept[root], ids[root], np.uint32(0)), int(first.sum())
