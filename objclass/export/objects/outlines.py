"""Exact outlines of the objects of a plane, along the edges of their pixels.

A corner is a vertex of the pixel grid at which the outline of an object turns. Corners are found from the four
pixels around each vertex, slab by slab. An edge of an outline leads from a corner to the next one on the same
line of the grid, so edges are found by sorting, and rings by following the edges:

    y=0  +---+---+      object: pixels (0, 0), (0, 1), (1, 0)
         |   |   |      corners (x, y): (0, 0) (2, 0) (2, 1) (1, 1) (1, 2) (0, 2)
    y=1  +---+---+
         |   |
    y=2  +---+

Pixels that touch only at a corner lie in different polygons, and a ring that would touch itself is split there,
so that every polygon is valid (OGC Simple Features).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from objclass.compute.slabs import Slab
from objclass.core import AnyArray, IntArray

Ring = NDArray[np.int64]
"""Corners of a ring (x, y), each once; the object lies on the right-hand side as one sees it with y downwards."""

Polygon = list[Ring]
"""The outer ring, then those of the holes."""


@dataclass(frozen=True)
class Outline:
    """The outline of an object: a polygon for each of its parts that touch others at most at corners."""

    label: int
    polygons: list[Polygon]

    @property
    def is_simple(self) -> bool:
        """Whether it is one polygon without holes."""
        return len(self.polygons) == len(self.polygons[0]) == 1


EAST, SOUTH, WEST, NORTH = range(4)

CONVEX = ((SOUTH, WEST), (WEST, NORTH), (EAST, SOUTH), (NORTH, EAST))
"""Direction to and from the corner of a pixel north-west, north-east, south-west, south-east of the vertex."""

CONCAVE = ((EAST, NORTH), (SOUTH, EAST), (NORTH, WEST), (WEST, SOUTH))
"""The same of the corner of three pixels, where that pixel is not of the object."""


class Corners(NamedTuple):
    """Corners: label of the object, position, direction (`EAST` …) of the edges to and from it."""

    label: IntArray
    y: IntArray
    x: IntArray
    before: IntArray
    after: IntArray

    def rows(self, index: AnyArray) -> Self:
        """Some of the corners."""
        return type(self)(*(values[index] for values in self))


def outlines(labels: Any, z: int, stops: IntArray, cut: Iterable[Slab]) -> Iterator[Outline]:
    """The outlines of all objects in a plane, in the order of their labels.

    Corners are kept until their object, and those before it, are complete.

    Parameters
    ----------
    labels
        Label image (z, y, x), read by box.
    stops
        For each label from 1, the row after its last one.
    cut
        Slabs of one plane.
    """
    _, height, width = labels.shape
    waiting = corners(np.zeros((1, 2), np.uint32), 0)
    for slab in cut:
        first, last = max(slab.y - 1, 0), slab.stop_y == height
        rows = labels[slice(z, z + 1), slice(first, slab.stop_y), slice(0, width)][0]
        pixels = np.pad(rows, ((int(slab.y == 0), int(last)), (1, 1)))
        found = corners(pixels, slab.y)
        waiting = Corners(*map(np.concatenate, zip(waiting, found, strict=True)))
        # the lower edge of an object lies one row further down
        unfinished = np.flatnonzero((stops >= slab.stop_y) & (not last))
        complete = unfinished[0] if len(unfinished) else len(stops)
        done = waiting.label <= complete
        yield from trace(waiting.rows(done))
        waiting = waiting.rows(~done)


def corners(pixels: AnyArray, y: int) -> Corners:
    """All corners at the vertices between neighbouring rows and columns of labels.

    Parameters
    ----------
    pixels
        Rows of a label image, the first one above the vertices of row ``y``; a column of 0 on both sides.
    """
    columns = pixels.shape[1] - 1
    around = pixels[:-1, :-1], pixels[:-1, 1:], pixels[1:, :-1], pixels[1:, 1:]
    nw, ne, sw, se = around
    turns = ((nw != ne) | (sw != se)) & ((nw != sw) | (ne != se))  # neither lines nor even areas
    at = np.flatnonzero(turns)
    vertex_y, vertex_x = at // columns + y, at % columns
    four = np.stack([quadrant[turns] for quadrant in around])
    parts = []
    for quadrant in range(4):
        own, beside, below, opposite = (
            four[quadrant],
            four[quadrant ^ 1],
            four[quadrant ^ 2],
            four[3 - quadrant],
        )
        is_convex = (own != 0) & (beside != own) & (below != own)
        is_concave = (beside != 0) & (beside == below) & (beside == opposite) & (own != beside)
        for here, label, (before, after) in (
            (is_convex, own, CONVEX[quadrant]),
            (is_concave, beside, CONCAVE[quadrant]),
        ):
            count = np.count_nonzero(here)
            directions = np.full(count, before, np.int8), np.full(count, after, np.int8)
            parts.append(Corners(label[here], vertex_y[here], vertex_x[here], *directions))
    return Corners(*map(np.concatenate, zip(*parts, strict=True)))


def trace(found: Corners) -> Iterator[Outline]:
    """The outlines that corners of whole objects make, in the order of the labels."""
    if not len(found.label):
        return
    found = found.rows(np.lexsort((found.after, found.x, found.y, found.label)))
    order, starts = rings(next_corners(found))
    ends = np.append(starts[1:], len(order))
    found = found.rows(order)
    points = np.stack([found.x, found.y], axis=1)
    touched = _touching(found, np.repeat(np.arange(len(starts)), ends - starts))
    ring_label: list[int] = []
    ring_points: list[Ring] = []
    for number, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        pieces = split(points[start:end]) if number in touched else [points[start:end]]
        ring_points += pieces
        ring_label += [int(found.label[start])] * len(pieces)
    yield from _polygons(ring_label, ring_points)


def next_corners(found: Corners) -> IntArray:
    """Index of the corner at the end of the edge that starts at each corner.

    On a line of the grid the edges of one object in one direction do not overlap: the first start belongs to the
    first end, and so on.
    """
    following = np.empty(len(found.label), np.int64)
    for direction in range(4):
        line, place = (found.y, found.x) if direction in (EAST, WEST) else (found.x, found.y)
        start, end = np.flatnonzero(found.after == direction), np.flatnonzero(found.before == direction)
        starts = start[np.lexsort((place[start], line[start], found.label[start]))]
        following[starts] = end[np.lexsort((place[end], line[end], found.label[end]))]
    return following


def rings(following: IntArray) -> tuple[IntArray, IntArray]:
    """The cycles of a permutation: indices cycle by cycle, each from its smallest, and where cycles start.

    Steps are doubled until they lead round the longest cycle.

    Examples
    --------
    >>> rings(np.array([2, 3, 4, 1, 0]))
    (array([0, 2, 4, 1, 3]), array([0, 3]))
    """
    own = np.arange(len(following))
    first, jump = own, following
    while not np.array_equal(smaller := np.minimum(first, first[jump]), first):
        first, jump = smaller, jump[jump]
    is_last = following == first
    jump, left = np.where(is_last, own, following), np.where(is_last, 0, 1)
    while not np.array_equal(further := jump[jump], jump):
        left, jump = left + left[jump], further
    order = np.lexsort((-left, first))
    return order, np.flatnonzero(first[order] == order)


def _touching(found: Corners, ring: IntArray) -> set[int]:
    """Numbers of the rings that come to a vertex twice."""
    order = np.lexsort((found.x, found.y, ring))
    ring, y, x = ring[order], found.y[order], found.x[order]
    again = (ring[1:] == ring[:-1]) & (y[1:] == y[:-1]) & (x[1:] == x[:-1])
    return set(ring[1:][again].tolist())


def split(ring: Ring) -> list[Ring]:
    """The parts of a ring that come to no vertex twice.

    Examples
    --------
    >>> eight = [(0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (1, 2), (1, 1), (0, 1)]
    >>> [part.tolist() for part in split(np.array(eight))]
    [[[1, 1], [2, 1], [2, 2], [1, 2]], [[0, 0], [1, 0], [1, 1], [0, 1]]]
    """
    parts: list[Ring] = []
    path: list[tuple[int, ...]] = []
    depth: dict[tuple[int, ...], int] = {}
    for vertex in map(tuple, ring.tolist()):
        if vertex in depth:
            start = depth[vertex]
            parts.append(np.array(path[start:]))
            for passed in path[start:]:
                del depth[passed]
            del path[start:]
        depth[vertex] = len(path)
        path.append(vertex)
    return [*parts, np.array(path)]


def _polygons(label: Sequence[int], found: Sequence[Ring]) -> Iterator[Outline]:
    """Put rings together: each object with its polygons, each polygon with its holes."""
    edges = _Edges.of(found)
    is_hole = edges.areas() < 0
    owner = _owners(np.array(label), edges, is_hole) if is_hole.any() else np.zeros(0, int)
    polygons: dict[int, Polygon] = {n: [found[n]] for n in np.flatnonzero(~is_hole).tolist()}
    for hole in np.flatnonzero(is_hole).tolist():
        polygons[int(owner[hole])].append(found[hole])
    objects: dict[int, list[Polygon]] = {}
    for number, polygon in polygons.items():
        objects.setdefault(label[number], []).append(polygon)
    for number, parts in objects.items():
        yield Outline(number, parts)


class _Edges(NamedTuple):
    """The edges of many rings, ring after ring: corners at which they start and end, and numbers of the rings."""

    start: IntArray
    end: IntArray
    ring: IntArray

    @classmethod
    def of(cls, found: Sequence[Ring]) -> Self:
        """The edges of rings."""
        start, lengths = np.concatenate(found), list(map(len, found))
        stops = np.cumsum(lengths)
        following = np.arange(1, len(start) + 1)
        following[stops - 1] = stops - lengths
        return cls(start, start[following], np.repeat(np.arange(len(found)), lengths))

    def areas(self) -> IntArray:
        """Areas of the rings, of holes negative: sums over the horizontal edges."""
        strips = (self.start[:, 0] - self.end[:, 0]) * self.start[:, 1]
        return np.add.reduceat(strips, np.flatnonzero(np.diff(self.ring, prepend=-1)))


def _owners(label: IntArray, edges: _Edges, is_hole: NDArray[np.bool_]) -> IntArray:
    """Number of the outer ring around each ring.

    From the pixel above the first corner of a hole, go left to the edge of its object: the ring of that edge is an
    outer ring, or a hole that begins further up.
    """
    width = int(edges.start[:, 0].max()) + 1
    height = int(edges.start[:, 1].max()) + 1
    rank = np.unique(label, return_inverse=True)[1]
    top = edges.start[:, 1] * width + edges.start[:, 0]
    first = np.minimum.reduceat(top, np.flatnonzero(np.diff(edges.ring, prepend=-1)))
    owner = np.arange(len(label))

    rises = (edges.start[:, 1] > edges.end[:, 1]) & np.isin(label, label[is_hole])[edges.ring]
    (x, y), ring = edges.end[rises].T, edges.ring[rises]
    length = edges.start[rises][:, 1] - y
    rows = np.arange(length.sum()) + np.repeat(y - np.cumsum(length) + length, length)
    ring = np.repeat(ring, length)
    keys = (rank[ring] * height + rows) * width + np.repeat(x, length)
    order = np.argsort(keys)
    wanted = rank[is_hole] * height * width + first[is_hole] - width
    owner[is_hole] = ring[order][np.searchsorted(keys[order], wanted, side="right") - 1]
    while not np.array_equal(further := owner[owner], owner):
        owner = further
    return owner
