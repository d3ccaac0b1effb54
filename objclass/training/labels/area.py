"""Areas: parts of an image that are drawn, and the objects that lie in them.

Coordinates are corners of pixels: the first pixel reaches from 0 to 1, and lies in an area if its centre (0.5, 0.5) does.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import IntArray, Objects

CROSSINGS = 1 << 22
"""Maximum number of edges times rows that are looked at together."""


@dataclass(frozen=True, eq=False)
class Area:
    """A part of a plane, or of all planes.

    Parameters
    ----------
    rings
        Corners (n, 2) of each ring: x, y, float64. A pixel lies in the area if it lies in an odd number of rings.
    z
        The plane; None: all planes.
    """

    rings: tuple[NDArray[np.float64], ...]
    z: int | None = None

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom."""
        corners = np.concatenate(self.rings)
        (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
        return left, top, right, bottom

    def within(self, height: int, width: int) -> tuple[slice, slice]:
        """The rows and columns of an image in which pixels of the area may lie."""
        left, top, right, bottom = self.bounds
        return _between(top, bottom, height), _between(left, right, width)

    def mask(self, rows: slice, columns: slice) -> NDArray[np.bool_]:
        """Which pixels of some rows and columns lie in the area.

        From the left, each edge that crosses the line through the centres of a row changes inside and outside.

        Examples
        --------
        >>> Area((np.array([[0.0, 0], [3, 0], [0, 3]]),)).mask(slice(0, 3), slice(0, 3)).astype(int).tolist()
        [[1, 1, 0], [1, 0, 0], [0, 0, 0]]
        """
        height, width = rows.stop - rows.start, columns.stop - columns.start
        start = np.concatenate(self.rings)
        end = np.concatenate([np.roll(ring, -1, axis=0) for ring in self.rings])
        low, high = np.sort([start[:, 1], end[:, 1]], axis=0)
        first = np.clip(np.ceil(low - 0.5), rows.start, rows.stop).astype(np.int64)
        stop = np.clip(np.ceil(high - 0.5), rows.start, rows.stop).astype(np.int64)
        edge = np.repeat(np.arange(len(start)), stop - first)
        row = np.arange(len(edge)) - np.repeat(np.cumsum(stop - first) - stop, stop - first)
        (x, y), (to_x, to_y) = start[edge].T, end[edge].T
        crossing = x + (row + 0.5 - y) * ((to_x - x) / (to_y - y))
        column = (
            np.clip(np.ceil(crossing - 0.5), columns.start, columns.stop).astype(np.int64) - columns.start
        )
        place = (row - rows.start) * (width + 1) + column
        changes = np.bincount(place, minlength=height * (width + 1)).reshape(height, width + 1)
        return np.cumsum(changes[:, :-1], axis=1) % 2 == 1


def _between(low: float, high: float, length: int) -> slice:
    """The pixels along an axis whose centres lie between two coordinates."""
    first = min(max(math.ceil(low - 0.5), 0), length)
    return slice(first, max(min(math.ceil(high - 0.5), length), first))


def rectangle(left: float, top: float, right: float, bottom: float) -> NDArray[np.float64]:
    """The ring of a rectangle."""
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float64)


def oval(left: float, top: float, right: float, bottom: float, corners: int = 256) -> NDArray[np.float64]:
    """The ring of an ellipse, by many corners."""
    center, radius = ((left + right) / 2, (top + bottom) / 2), ((right - left) / 2, (bottom - top) / 2)
    turns = [2 * math.pi * k / corners for k in range(corners)]
    return np.array(
        [(center[0] + radius[0] * math.cos(a), center[1] + radius[1] * math.sin(a)) for a in turns]
    )


def objects_in(areas: Sequence[Area], objects: Objects, context: Context) -> list[list[int]]:
    """The ids of the objects of each area.

    An object is of an area if more than half of its pixels lie in it, or if more than half of the area lies in the object.
    Only the pixels in the planes of the area count.
    """
    found: list[list[int]] = [[] for _ in areas]
    depth = objects.labels.shape[0]
    for z in sorted({area.z for area in areas}, key=lambda z: -1 if z is None else z):
        planes = slice(0, depth) if z is None else slice(z, z + 1)
        sizes = _sizes(objects, planes, context)
        for number, area in enumerate(areas):
            if area.z == z:
                context.stop.check()
                found[number] = _in_area(area, objects, planes, sizes, context)
    return found


def _in_area(area: Area, objects: Objects, planes: slice, sizes: IntArray, context: Context) -> list[int]:
    _, height, width = objects.labels.shape
    rows, columns = area.within(height, width)
    total = 0
    counts: dict[int, int] = {}
    for part in _parts(area, rows, columns, context):
        mask = area.mask(part, columns)
        for z in range(planes.start, planes.stop):
            labels = objects.labels[slice(z, z + 1), part, columns][0][mask]
            total += labels.size
            ids, numbers = np.unique(labels, return_counts=True)
            for label, number in zip(ids.tolist(), numbers.tolist(), strict=True):
                counts[label] = counts.get(label, 0) + number
    counts.pop(0, None)
    return sorted(label for label, n in counts.items() if 2 * n > sizes[label] or 2 * n > total)


def _parts(area: Area, rows: slice, columns: slice, context: Context) -> Iterator[slice]:
    """Some rows at a time, as many as memory allows."""
    height, width = rows.stop - rows.start, columns.stop - columns.start
    if 0 in (height, width):
        return
    slab = context.limits.slabs((1, height, width))[0]
    step = min(slab.stop_y, max(CROSSINGS // sum(map(len, area.rings)), 1))
    for first in range(rows.start, rows.stop, step):
        yield slice(first, min(first + step, rows.stop))


def _sizes(objects: Objects, planes: slice, context: Context) -> IntArray:
    """The number of pixels of each object in some planes, by id."""
    _, height, width = objects.labels.shape
    shape = (planes.stop - planes.start, height, width)
    sizes = np.zeros(objects.count + 1, np.int64)
    for slab in context.limits.slabs(shape):
        z, y, x = slab.within(shape)
        box = slice(z.start + planes.start, z.stop + planes.start), y, x
        sizes += np.bincount(objects.labels[box].ravel(), minlength=objects.count + 1)
    return sizes
