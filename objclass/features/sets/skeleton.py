"""ilastik's "2D Skeleton Features": each object's skeleton as a pruned tree, with vigra's numbers.

The algorithm is that of vigra (``skeletonizeImage`` and ``extractSkeletonFeatures`` by Ullrich Köthe,
MIT licence) with salience relative to the centre and topology preserved:

1. each pixel gets the vector to the nearest pixel outside of the object (`boundary_vectors`);
2. where these vectors part, pixels are marked (`raw_skeleton`);
3. unnecessary pixels are unmarked, nearest to the boundary first (`thin`);
4. the remaining pixels are a graph (`graph`); the longest of its shortest paths is the centre line;
5. shortest paths from its middle make the graph a tree (`grow`), in which each node has the length of the
   longest path through it (`pass_on`);
6. edges that close a loop are cut, and the loop is kept if it goes round a hole (`cut_loops`); the
   salient ends that remain are the branches.

Equal distances are everywhere on a pixel grid, so each order below (of neighbours, in heaps, in sums)
is part of the definition. The border of the image is no boundary: an object that touches it goes on. Everything
else is background, so a crop with one pixel around the object is all that is needed.

Functions marked ``@kernel`` know lists or arrays and numbers only, and make none: `Space` is where they
work. They run as Python; where there are many pixels, the same functions run compiled by numba
(`objclass.compute.kernels`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from objclass.compute.kernels import Kernel, kernel
from objclass.core import FloatArray, IntArray
from objclass.features.contract import FeatureSet
from objclass.features.geometry import batches, together
from objclass.features.statistics.extent import Extent
from objclass.features.statistics.per_object import Crop, PerObject

if TYPE_CHECKING:
    from objclass.features.frame import Frame

FEATURES = FeatureSet("2D Skeleton Features", prefix="skeleton")
feature = FEATURES.feature

Ints = NDArray[np.int64] | list[int]
Floats = NDArray[np.float64] | list[float]

DX = (-1, 0, 1, -1, 1, -1, 0, 1)
DY = (-1, -1, -1, 0, 0, 1, 1, 1)
PACE = (math.sqrt(2), 1.0, math.sqrt(2), 1.0, 1.0, math.sqrt(2), 1.0, math.sqrt(2))
"""The eight neighbours and how far they are; neighbour 7 - k is opposite to neighbour k."""

NONE = -1
"""No such pixel or node."""

ENDLESS = 1e300
"""Longer than any way."""

NEAR = 4
"""Squared distances to the boundary below this one are near it."""

LONG = 4.0
"""Shorter ways are no more salient than others: the boundary is made of steps."""

SALIENT = 0.2
"""How salient a branch must be to count, relative to the centre."""

SLAB = 1 << 22
"""Pixels that are read at once where objects are many."""


# ---------------------------------------------------------------------------- statistics


@dataclass(frozen=True)
class Skeleton(PerObject):
    """What `skeleton_numbers` returns, with coordinates in the whole image.

    All values are 0, coordinates too, for the few objects without a skeleton: some at the border of the image,
    and one that is the whole of it.
    """

    pixels: ClassVar[bool] = False
    reach: ClassVar[int] = 1
    voxel_bytes: ClassVar[int] = 640

    @classmethod
    def of(cls, crop: Crop) -> Sequence[float]:
        """Measure one object."""
        numbers = plain(crop.mask)
        if math.isnan(numbers[0]):
            return [0.0] * len(numbers)
        y, x = crop.origin
        return [*numbers[:6], *(a + b for a, b in zip(numbers[6:], (x, y) * 3, strict=True))]

    @classmethod
    def of_all(cls, frame: "Frame", extent: Extent) -> FloatArray | None:
        """Measure all objects, compiled, unless they are too few."""
        size = np.array(frame.shape[:0:-1])
        low, high = np.maximum(extent.low - 1, 0), np.minimum(extent.high + 2, size)
        function = skeletons.choose(int(np.prod(high - low, axis=1).sum()) * frame.context.limits.images)
        if function is None:
            return None
        frame.check_boxes(low, high, voxel_bytes=8 * sum(_lengths(1)))
        numbers = np.zeros((frame.objects.count, 12))
        for rows in batches(low, high, SLAB):
            numbers[rows] = measured(function, frame, low[rows], high[rows], rows.start + 1)
        return numbers

    @classmethod
    def width(cls, ndim: int, channels: int) -> int:
        """Six numbers and three points."""
        return 12


def measured(function: Any, frame: "Frame", low: IntArray, high: IntArray, first: int) -> FloatArray:
    """The numbers (n, 12) of ``first`` and the objects that follow, compiled; ``low`` and ``high`` (n, 2)."""
    corner, box = together(low, high)
    labels = np.ascontiguousarray(frame.objects.labels[box])
    bounds = np.column_stack([low, high]) - np.tile(corner[:2], 2)
    numbers = np.empty((len(low), 12))
    room = _arrays(int(np.prod(high - low, axis=1).max()))
    function(labels, labels.shape[2], bounds, len(low), first, numbers, room)
    numbers[:, 6:] += np.tile(corner[:2], 3)
    return np.where(np.isnan(numbers[:, :1]), 0, numbers)


def plain(mask: NDArray[np.bool_]) -> list[float]:
    """Measure a mask without numba."""
    height, width = mask.shape
    numbers = [0.0] * 12
    labels = mask.ravel().view(np.uint8).tolist()
    measure_skeletons(labels, width, [0, 0, width, height], 1, 1, numbers, space(mask.size))
    return numbers


class Space(NamedTuple):
    """Where an object is measured; all but the last four fields are integers.

    One of each pixel: ``inside`` the object, ``square``, ``across``, ``vx``, ``vy`` and ``squared`` (see
    `boundary_vectors`), ``marked``, ``number`` (of its node) and ``outside``, the number of pixels outside of
    the object before it.

    One of each node (a marked pixel, in scan order): ``pixels``, ``x``, ``y`` and ``depth`` (squared
    distance to the boundary). Neighbour k of node p is ``neighbours[8 * p + k]``, and ``joined`` says whether
    there is an edge. Unmarked neighbours within the bounding box of the skeleton are numbered, too, though
    no edges lead there.

    ``before`` and ``cost`` are the node before each and the way to it, as `shortest_ways` found them last;
    ``place`` (in its heap, ``waiting``) and ``seen`` (after their number) are its own, ``reached`` what it
    returns.

    The tree: ``order`` are its nodes, nearest to the centre first. For each node ``parent`` (the centre is
    its own), ``child`` (the one with the longest way out, NONE for leaves), ``length`` of the longest way
    out, and its ``salience``; twice the ``area`` swept on the way there, and whether it is in a ``loop``.

    ``line`` and ``along`` are the centre line and how far each node is along it. The others are room for
    lists: ``far``, ``sites``, ``since``, ``ends``, ``heap`` and ``queue`` of `thin`, and ``way``.
    """

    inside: Ints
    square: Ints
    across: Ints
    vx: Ints
    vy: Ints
    squared: Ints
    marked: Ints
    number: Ints
    outside: Ints
    pixels: Ints
    x: Ints
    y: Ints
    depth: Ints
    neighbours: Ints
    joined: Ints
    before: Ints
    place: Ints
    waiting: Ints
    seen: Ints
    reached: Ints
    order: Ints
    parent: Ints
    child: Ints
    area: Ints
    loop: Ints
    line: Ints
    far: Ints
    sites: Ints
    since: Ints
    ends: Ints
    heap: Ints
    queue: Ints
    way: Ints
    cost: Floats
    along: Floats
    length: Floats
    salience: Floats


ROOM = {"ends": 2, "neighbours": 8, "joined": 8, "heap": 9, "queue": 9}
"""How many entries for each pixel where it is not one. What is pushed: one and once for each neighbour."""

FLOATS = 4


def _lengths(size: int) -> list[int]:
    return [ROOM.get(name, 1) * size + 2 for name in Space._fields]


def space(size: int) -> Space:
    """Room for an object of that many pixels, as lists."""
    room: Any = ([0] * n for n in _lengths(size))
    return Space(*room)


def _arrays(size: int) -> Space:
    """The same as arrays, not filled: most of them will hardly be used."""
    kinds = [np.int64] * (len(Space._fields) - FLOATS) + [np.float64] * FLOATS
    room: Any = map(np.empty, _lengths(size), kinds)
    return Space(*room)


# ---------------------------------------------------------------------------- pixels


@kernel
def neighbour(p: int, k: int, width: int, size: int) -> int:
    """The k-th neighbour of a pixel, NONE outside of the image."""
    x, q = p % width + DX[k], p + DX[k] + DY[k] * width
    return q if 0 <= x < width and 0 <= q < size else NONE


@kernel
def nearest_sites(s: Space, first: int, last: int, begin: int, end: int) -> int:
    """Which sites of a line are nearest to its places from ``begin`` to ``end``, and from where on.

    The sites are first … last, each at a distance of its own besides: ``far`` is that squared. Of equals
    the later one counts. Returns how many there are in ``sites`` and ``since``. Felzenszwalb and
    Huttenlocher 2012: the lower envelope of parabolas.
    """
    far, sites, since = s.far, s.sites, s.since
    sites[0], since[0], count = first, begin, 1
    for c in range(first + 1, last + 1):
        start = begin
        while count > 0:
            b = sites[count - 1]
            # the first place that is at smallest as near to c as to b
            start = -((b * b + far[b] - c * c - far[c]) // (2 * (c - b)))
            if start > since[count - 1]:
                break
            count -= 1
            start = begin
        if start < end:
            sites[count], since[count] = c, start
            count += 1
    return count


@kernel
def steps_along(s: Space, line: int, stride: int, length: int, steps: Ints) -> None:
    """Steps along a line to the nearest pixel outside of the object, for each pixel of the object.

    ``square`` is how far each pixel of the image is from there already, squared, and is updated.
    """
    begin = 0
    for i in range(length):
        s.far[i] = s.square[line + i * stride]
    for end in range(length + 1):
        if end < length and s.inside[line + end * stride]:
            continue
        if begin < end:  # a run of the object ends here
            count = nearest_sites(s, max(begin - 1, 0), min(end, length - 1), begin, end)
            s.since[count] = end
            for i in range(count):
                for place in range(s.since[i], s.since[i + 1]):
                    p, step = line + place * stride, s.sites[i] - place
                    steps[p] = step
                    s.square[p] = step * step + s.far[s.sites[i]]
        begin = end + 1


@kernel
def boundary_vectors(s: Space, width: int, height: int) -> None:
    """Vectors to the nearest pixel outside of the object, and their squared lengths.

    Of equals the lowest row counts, in it the pixel to the right. If the whole image is object, vectors
    are 0.
    """
    beyond = (width + height) * (width + height)
    for p in range(width * height):
        s.square[p] = beyond if s.inside[p] else 0
        s.across[p] = s.vy[p] = 0
    for y in range(height):
        steps_along(s, y * width, 1, width, s.across)
    for x in range(width):
        steps_along(s, x, width, height, s.vy)
    for p in range(width * height):
        s.vx[p] = s.across[p + s.vy[p] * width]
        s.squared[p] = s.vx[p] * s.vx[p] + s.vy[p] * s.vy[p]


@kernel
def ridge(s: Space, p: int, q: int, k: int) -> int:
    """Which of two pixels is marked (q is the k-th neighbour of p)."""
    inside, vx, vy = s.inside, s.vx, s.vy
    sx, sy = DX[k], DY[k]
    if inside[p] and inside[q]:
        dx, dy = vx[q] - vx[p] + sx, vy[q] - vy[p] + sy
        if max(abs(dx), abs(dy)) <= 1:
            return NONE
        parting = dx * sx + dy * sy
        longer = dx * (vx[p] + vx[q]) + dy * (vy[p] + vy[q])
        return p if parting * longer <= 0 else q
    # at the boundary: where the object is so thin that its other side is as near
    if inside[p] and max(abs(vx[p] - sx), abs(vy[p] - sy)) > 1:
        return p
    if inside[q] and max(abs(vx[q] + sx), abs(vy[q] + sy)) > 1:
        return q
    return NONE


@kernel
def raw_skeleton(s: Space, width: int, height: int) -> None:
    """Mark the pixels between which the boundary vectors part, and the last steps to corners."""
    size, count = width * height, 0
    for p in range(size):
        s.marked[p] = 0
    for p in range(size):
        for k in (1, 3):  # above and left
            q = neighbour(p, k, width, size)
            m = ridge(s, p, q, k) if q != NONE else NONE
            if m != NONE:
                s.marked[m] = 1
                if s.squared[m] == NEAR:
                    s.ends[count] = m
                    count += 1
    for i in range(count):
        p, goes_on = s.ends[i], False
        for k in range(8):
            q = neighbour(p, k, width, size)
            goes_on |= q != NONE and s.marked[q] != 0 and s.squared[q] < NEAR
        if not goes_on:
            s.marked[p + s.vx[p] // 2 + s.vy[p] // 2 * width] = 1


def is_needless(code: int) -> bool:
    """Whether a pixel is at a corner or a blunt end, and nothing falls apart without it.

    Bit k of ``code`` says whether neighbour k is marked.
    """
    ring = [bool(code >> k & 1) for k in (0, 1, 2, 4, 7, 6, 5, 3)]
    direct = sum(ring[1::2])
    # Yokoi's number: into how many parts the neighbours fall
    parts = sum(not ring[k] and (ring[k + 1 - 8] or ring[k + 2 - 8]) for k in (1, 3, 5, 7))
    return parts == 1 and (direct == 2 or (direct == 1 and sum(ring) == 3))


NEEDLESS = np.array([is_needless(code) for code in range(256)])


@kernel
def is_removable(s: Space, p: int, width: int, height: int) -> bool:
    """Whether a pixel is marked, not at the border of the image, and needless."""
    if not (s.marked[p] and 0 < p % width < width - 1 and width <= p < width * (height - 1)):
        return False
    code = 0
    for k in range(8):
        if s.marked[p + DX[k] + DY[k] * width]:
            code += 1 << k
    return bool(NEEDLESS[code])


@kernel
def push(heap: Ints, count: int, key: int) -> None:
    """Add to a heap of ``count`` numbers, the smallest on top."""
    i = count
    while i > 0 and key < heap[(i - 1) // 2]:
        heap[i] = heap[(i - 1) // 2]
        i = (i - 1) // 2
    heap[i] = key


@kernel
def pop(heap: Ints, count: int) -> int:
    """Remove the smallest number from a heap of ``count`` numbers."""
    smallest, key, i = heap[0], heap[count - 1], 0
    while 2 * i + 1 < count - 1:
        child = 2 * i + 1
        if child + 1 < count - 1 and heap[child + 1] < heap[child]:
            child += 1
        if key <= heap[child]:
            break
        heap[i] = heap[child]
        i = child
    heap[i] = key
    return smallest


@kernel
def thin(s: Space, width: int, height: int) -> None:
    """Unmark what is needless, nearest to the boundary first, of equals what became so first."""
    turn, waiting, turns = 0, 0, 10 * width * height
    for p in range(width * height):
        if is_removable(s, p, width, height):
            s.queue[turn] = p
            push(s.heap, waiting, s.squared[p] * turns + turn)
            turn, waiting = turn + 1, waiting + 1
    while waiting > 0:
        p = s.queue[pop(s.heap, waiting) % turns]
        waiting -= 1
        if is_removable(s, p, width, height):
            s.marked[p] = 0
            for k in range(8):
                q = p + DX[k] + DY[k] * width
                if is_removable(s, q, width, height):
                    s.queue[turn] = q
                    push(s.heap, waiting, s.squared[q] * turns + turn)
                    turn, waiting = turn + 1, waiting + 1


# ---------------------------------------------------------------------------- graph


class Graph(NamedTuple):
    """A skeleton as a graph, in its `Space`: how many nodes, and how many are numbered in all."""

    s: Space
    nodes: int
    numbered: int


@kernel
def graph(s: Space, width: int, height: int) -> Graph:
    """Make a graph of marked pixels."""
    size, nodes, neighbours = width * height, 0, 0
    left, right = width, 0
    for p in range(size):
        s.outside[p] = neighbours
        neighbours += 0 if s.inside[p] else 1
        s.number[p] = NONE
        if s.marked[p]:
            x, y = p % width, p // width
            s.number[p], s.pixels[nodes], s.x[nodes], s.y[nodes] = nodes, p, x, y
            s.depth[nodes] = s.squared[p]
            left, right = min(left, x), max(right, x)
            nodes += 1
    numbered, top, bottom = nodes, s.y[0], s.y[max(nodes - 1, 0)]
    for node in range(nodes):
        for k in range(8):
            s.neighbours[8 * node + k], s.joined[8 * node + k] = NONE, 0
            if left <= s.x[node] + DX[k] <= right and top <= s.y[node] + DY[k] <= bottom:
                q = s.pixels[node] + DX[k] + DY[k] * width
                if s.number[q] == NONE:
                    s.number[q] = numbered
                    numbered += 1
                s.neighbours[8 * node + k] = s.number[q]
                s.joined[8 * node + k] = s.marked[q]
    for node in range(numbered):
        s.before[node], s.cost[node], s.place[node] = NONE, math.inf, 0
    s.seen[0] = 0
    return Graph(s, nodes, numbered)


@kernel
def distance(s: Space, p: int, q: int) -> float:
    """How far two nodes are from each other."""
    dx, dy = s.x[p] - s.x[q], s.y[p] - s.y[q]
    return math.sqrt(float(dx * dx + dy * dy))


@kernel
def cut(s: Space, p: int, k: int) -> None:
    """Delete the edge from node p to its k-th neighbour."""
    if s.joined[8 * p + k]:
        s.joined[8 * p + k] = 0
        s.joined[8 * s.neighbours[8 * p + k] + 7 - k] = 0


@kernel
def swap(s: Space, i: int, j: int) -> None:
    """Exchange two places of the heap."""
    heap = s.waiting
    heap[i], heap[j] = heap[j], heap[i]
    s.place[heap[i]], s.place[heap[j]] = i, j


@kernel
def rise(s: Space, i: int) -> None:
    """Bring what is at a place of the heap up to where it belongs."""
    while i > 1 and s.cost[s.waiting[i // 2]] > s.cost[s.waiting[i]]:
        swap(s, i, i // 2)
        i //= 2


@kernel
def take(s: Space, last: int) -> int:
    """Take the first out of the heap: the last comes to the top, and down to where it belongs."""
    heap, cost, i = s.waiting, s.cost, 1
    first = heap[1]
    swap(s, 1, last)
    while 2 * i < last:
        child = 2 * i
        if child + 1 < last and cost[heap[child]] > cost[heap[child + 1]]:
            child += 1
        if cost[heap[i]] <= cost[heap[child]]:
            break
        swap(s, i, child)
        i = child
    return first


@kernel
def shortest_ways(net: Graph, start: int, goal: int, reached: Ints) -> int:
    """Dijkstra's algorithm: puts the nodes in the order they are reached, returns how many.

    It ends with the goal, unless that is no node. The heap is binary and counts from 1. On the way to a
    goal, what is not joined is endlessly far: it leads nowhere, but it is in the heap and so has a say
    in which of two equal ways is found.
    """
    s = net.s
    before, cost, place, heap = s.before, s.cost, s.place, s.waiting
    for i in range(1, s.seen[0] + 1):  # by the call before
        p = s.seen[i]
        before[p], cost[p], place[p] = NONE, math.inf, 0
    s.seen[1], seen, heap[1], waiting, count = start, 1, start, 1, 0
    before[start], cost[start], place[start] = start, 0.0, 1
    while waiting > 0 and cost[heap[1]] < ENDLESS:
        p = take(s, waiting)
        waiting -= 1
        reached[count] = p
        count += 1
        if p == goal:
            break
        for k in range(8):
            q, there = s.neighbours[8 * p + k], s.joined[8 * p + k]
            if there or (q != NONE and goal < net.numbered):
                away = cost[p] + PACE[k] if there else ENDLESS
                if away < cost[q]:
                    cost[q], before[q] = away, p
                    if place[q] == 0:
                        seen, waiting = seen + 1, waiting + 1
                        s.seen[seen], heap[waiting], place[q] = q, q, waiting
                    rise(s, place[q])
    s.seen[0] = seen
    return count


@kernel
def way_back(s: Space, last: int, way: Ints) -> int:
    """The nodes from the last one back to where `shortest_ways` started; returns how many."""
    way[0], count = last, 1
    while s.before[way[count - 1]] != way[count - 1]:
        way[count] = s.before[way[count - 1]]
        count += 1
    return count


@kernel
def centre_line(net: Graph) -> int:
    """The nodes of the longest of the shortest ways, and how far each is along it; returns how many.

    From the last node to the one furthest away, and from there once more.
    """
    s = net.s
    start = s.reached[shortest_ways(net, net.nodes - 1, net.numbered, s.reached) - 1]
    last = s.reached[shortest_ways(net, start, net.numbered, s.reached) - 1]
    count = way_back(s, last, s.line)
    s.along[0] = 0.0
    for i in range(1, count):
        s.along[i] = s.along[i - 1] + distance(s, s.line[i - 1], s.line[i])
    return count


@kernel
def half_way(along: Floats, count: int) -> int:
    """The place in the middle of a line."""
    half, k = along[count - 1] / 2, 0
    if half == 0:
        return 0
    while along[k + 1] < half:
        k += 1
    return int(k + (half - along[k]) / (along[k + 1] - along[k]) + 0.5)


# ---------------------------------------------------------------------------- tree


@kernel
def grow(net: Graph, centre: int) -> int:
    """Make a tree of shortest ways, and see from the leaves inwards which ways out are longest.

    Edges between branches that both go on are cut. Returns how many nodes it has.
    """
    s = net.s
    count = shortest_ways(net, centre, net.numbered, s.order)
    for p in range(net.nodes):
        s.parent[p], s.child[p], s.length[p], s.salience[p] = s.before[p], NONE, 0.0, 1.0
    for i in range(count - 1, -1, -1):
        p = s.order[i]
        up = s.parent[p]
        for k in range(4):  # those earlier in scan order
            q = s.neighbours[8 * p + k]
            branching = s.joined[8 * p + k] and q != up and s.parent[q] != p
            if branching and min(s.child[p], s.child[q]) > NONE:
                cut(s, p, k)
        way = s.length[p] + distance(s, p, up)
        if s.length[up] < way:
            s.length[up], s.child[up] = way, p
        if s.length[p] >= LONG:
            salience = (s.length[p] + 0.5) / math.sqrt(float(s.depth[p]))
            s.salience[p] = max(s.salience[p], salience)
            s.salience[up] = max(s.salience[up], s.salience[p])
    return count


@kernel
def pass_on(s: Space, count: int) -> None:
    """From the centre outwards, give what the longest way has to all that is on it; sweep the areas.

    ``count`` is how many nodes the tree has.
    """
    for i in range(count):
        p = s.order[i]
        up = s.parent[p]
        if i == 0:
            s.area[p] = 0
        if s.child[up] == p:
            s.length[p], s.salience[p] = s.length[up], s.salience[up]
        else:
            s.length[p] += distance(s, p, up)
        s.area[p] = s.area[up] + s.x[p] * s.y[up] - s.y[p] * s.x[up]


@kernel
def goes_round_hole(s: Space, count: int) -> bool:
    """Whether a pixel within a closed ``way`` of ``count`` nodes does not belong to the object.

    Green's theorem: the sum over an area is one along its boundary. An edge between two rows counts for
    the upper one, all that lies before its pixel there, and downwards more, upwards less.
    """
    pixels, p = 0, s.way[count - 1]
    for i in range(count):
        q = s.way[i]
        pixels += (s.y[q] - s.y[p]) * s.outside[min(s.pixels[p], s.pixels[q])]
        p = q
    return pixels != 0


@kernel
def prune(s: Space, p: int) -> None:
    """Remove a branch from its leaf down to where a longer one goes on."""
    going = True
    while going:
        s.salience[p] = 0.0
        for k in range(8):
            cut(s, p, k)
        going = s.child[s.parent[p]] == p
        p = s.parent[p]


@kernel
def cut_loops(net: Graph, count: int) -> tuple[int, float]:
    """Cut the loops at leaves; prune leaves that are in none and far from the boundary.

    Finds which nodes belong to a ``loop`` (the centre is taken for one). Returns the number of loops, and
    the lengths of the ways out that met there.
    """
    s = net.s
    loops, total = 0, 0.0
    for p in range(net.nodes):
        s.loop[p] = 0
    s.loop[s.order[0]] = 1
    for i in range(count - 1, -1, -1):
        p = s.order[i]
        for k in range(8):
            q = s.neighbours[8 * p + k]
            if s.child[p] != NONE or not s.joined[8 * p + k] or q == s.parent[p]:
                continue
            if abs(s.area[p] - s.x[p] * s.y[q] + s.y[p] * s.x[q] - s.area[q]) <= 3:
                continue  # too small for a hole
            cut(s, p, k)
            shortest_ways(net, p, q, s.reached)
            nodes = way_back(s, q, s.way)
            if goes_round_hole(s, nodes):
                loops += 1
                total += s.length[p] + s.length[q]
                salience = max(s.salience[p], s.salience[q])
                for j in range(nodes):
                    s.loop[s.way[j]] = 1
                    s.salience[s.way[j]] = max(s.salience[s.way[j]], salience)
        if s.child[p] == NONE and not s.loop[p] and s.depth[p] >= NEAR:
            prune(s, p)
        if s.loop[p]:
            s.loop[s.parent[p]] = 1
    return loops, total


@kernel
def skeleton_numbers(s: Space, width: int, height: int, numbers: Floats, at: int) -> None:
    """Measure the skeleton of one object, from ``inside`` on; NaN if it has none.

    Number of branches and of holes, diameter, Euclidean diameter, total and average length; x and y
    of the centre and of both terminals: twelve numbers, put where ``at`` says.
    """
    boundary_vectors(s, width, height)
    raw_skeleton(s, width, height)
    thin(s, width, height)
    net = graph(s, width, height)
    if net.nodes == 0:
        for k in range(12):
            numbers[at + k] = math.nan
        return
    steps = centre_line(net)
    first, last = s.line[0], s.line[steps - 1]
    centre = s.line[half_way(s.along, steps)]
    count = grow(net, centre)
    pass_on(s, count)
    holes, total = cut_loops(net, count)
    branches, length = 0, 0.0
    for i in range(count):
        p = s.order[i]
        salient = s.salience[p] >= SALIENT * s.salience[centre]
        if salient and s.child[p] == NONE and not s.loop[p]:
            branches += 1
            length += s.length[p]
            total += s.length[p]
    numbers[at], numbers[at + 1] = float(branches), float(holes)
    numbers[at + 2], numbers[at + 3] = s.along[steps - 1], distance(s, first, last)
    numbers[at + 4], numbers[at + 5] = total, length / branches if branches else 0.0
    numbers[at + 6], numbers[at + 7] = float(s.x[centre]), float(s.y[centre])
    numbers[at + 8], numbers[at + 9] = float(s.x[first]), float(s.y[first])
    numbers[at + 10], numbers[at + 11] = float(s.x[last]), float(s.y[last])


def measure_skeletons(
    labels: NDArray[np.uint32] | list[int],
    stride: int,
    bounds: Ints,
    n: int,
    first: int,
    numbers: Floats,
    s: Space,
) -> None:
    """Measure n objects, ``first`` and those that follow, in a label image with rows of that ``stride``.

    ``bounds`` are x and y of the first pixel and behind the last one of each object's crop; coordinates
    in ``numbers`` are those in ``labels``.
    """
    for i in range(n):
        left, top = bounds[4 * i], bounds[4 * i + 1]
        width, height = bounds[4 * i + 2] - left, bounds[4 * i + 3] - top
        for y in range(height):
            for x in range(width):
                found = labels[(top + y) * stride + left + x] == first + i
                s.inside[y * width + x] = 1 if found else 0
        skeleton_numbers(s, width, height, numbers, 12 * i)
        for k in range(12 * i + 6, 12 * i + 12, 2):
            numbers[k] += left
            numbers[k + 1] += top


def _room_needed(_: Any, stride: int, bounds: IntArray, n: int, *__: Any) -> dict[str, int]:
    ends = bounds.reshape(n, 4)
    size = int(np.prod(ends[:, 2:] - ends[:, :2], axis=1).max(initial=0))
    rows = int(ends[:, 3].max(initial=0))
    named = dict(zip(Space._fields, _lengths(size), strict=True))
    return named | {"labels": rows * stride, "bounds": 4 * n, "numbers": 12 * n}


skeletons = Kernel(
    measure_skeletons,
    repays_loading=10_000,
    repays_compiling=500_000,  # about half of what compiling takes: the next run gains from it, too
    lengths=_room_needed,
)
"""Work is counted in pixels of bounding boxes."""


# ---------------------------------------------------------------------------- features


@feature("Branch Count", title="Number of Branches", dims=(2,))
def branch_count(skeleton: Skeleton) -> FloatArray:
    """Number of salient branches of the skeleton that are not part of a loop."""
    return skeleton.numbers[:, 0]


@feature("Hole Count", title="Number of Holes", dims=(2,))
def hole_count(skeleton: Skeleton) -> FloatArray:
    """Number of loops of the skeleton that surround a hole."""
    return skeleton.numbers[:, 1]


@feature("Diameter", unit="px", dims=(2,))
def diameter(skeleton: Skeleton) -> FloatArray:
    """Length of the centre line: the longest of the shortest paths along the skeleton."""
    return skeleton.numbers[:, 2]


@feature("Euclidean Diameter", unit="px", dims=(2,))
def euclidean_diameter(skeleton: Skeleton) -> FloatArray:
    """Distance between the ends of the centre line."""
    return skeleton.numbers[:, 3]


@feature("Total Length", title="Length of the Skeleton", unit="px", dims=(2,))
def total_length(skeleton: Skeleton) -> FloatArray:
    """Sum of the lengths of the branches and of the paths around holes."""
    return skeleton.numbers[:, 4]


@feature("Average Length", title="Average Branch Length", unit="px", dims=(2,))
def average_length(skeleton: Skeleton) -> FloatArray:
    """Mean length of the branches, 0 without any."""
    return skeleton.numbers[:, 5]


@feature(
    "Skeleton Center", title="Center of the Skeleton", shape=("axis",), unit="px", dims=(2,), location=True
)
def skeleton_center(skeleton: Skeleton) -> FloatArray:
    """Middle of the centre line."""
    return skeleton.numbers[:, 6:8]


@feature("Terminal 1", shape=("axis",), unit="px", dims=(2,), location=True)
def terminal_1(skeleton: Skeleton) -> FloatArray:
    """End of the centre line."""
    return skeleton.numbers[:, 8:10]


@feature("Terminal 2", shape=("axis",), unit="px", dims=(2,), location=True)
def terminal_2(skeleton: Skeleton) -> FloatArray:
    """Other end of the centre line."""
    return skeleton.numbers[:, 10:12]
