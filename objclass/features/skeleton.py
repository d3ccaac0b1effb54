"""ilastik's "2D Skeleton Features": each object's skeleton as a pruned tree, with vigra's numbers.

The algorithm is that of vigra (``skeletonize`` and ``extractSkeletonFeatures`` by Ullrich Köthe, MIT
licence), with salience relative to the centre and topology preserved:

1. each pixel gets the vector to the nearest pixel beside the object (`boundary_vectors`);
2. where these vectors turn away from each other, pixels are marked (`raw_skeleton`);
3. what is marked is thinned, pixels near the boundary first (`thin`);
4. the longest of the shortest ways along the skeleton is its centre line (`centre_line`);
5. shortest ways from its middle make the skeleton a tree, of which each node gets the longest way
   that leads on from it (`grow`, `pass_on`); what closes a loop is cut, and kept in mind if it goes
   round a hole (`cut_loops`); the salient ends that remain are the branches.

Equal distances are everywhere on a pixel grid, so each order below (of neighbours, in heaps, in sums)
is part of the definition. The border of the image is no boundary: what touches it goes on.

Functions marked ``@kernel`` know nothing but lists and numbers: they run as they stand, and where
there are many pixels, the same functions run compiled by numba (`compiled`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import Any, ClassVar, TypeVar

import numpy as np

from objclass.features import FeatureSet
from objclass.features.statistics import Crop, PerObject

FEATURES = FeatureSet("2D Skeleton Features")
feature = FEATURES.feature

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
Ints = list[int]
Floats = list[float]

KERNELS: list[Any] = []
"""The kernels, each after those that it calls."""

DX = (-1, 0, 1, -1, 1, -1, 0, 1)
DY = (-1, -1, -1, 0, 0, 1, 1, 1)
PACE = (math.sqrt(2), 1.0, math.sqrt(2), 1.0, 1.0, math.sqrt(2), 1.0, math.sqrt(2))
"""The eight neighbours and how far they are; neighbour 7 - k is opposite to neighbour k."""

NONE = -1
"""No such pixel or node."""

ENDLESS = 1e300
"""Longer than all ways."""

NEAR = 4
"""Squared distances to the boundary below this one are near it."""

SALIENT = 0.2
"""How salient a branch must be to count, relative to the centre."""


def kernel(function: Kernel) -> Kernel:
    """Leave the function as it is; `compiled` knows it from now on."""
    KERNELS.append(function)
    return function


# ---------------------------------------------------------------------------- pixels


@kernel
def neighbour(p: int, k: int, width: int, size: int) -> int:
    """The k-th neighbour of a pixel, NONE outside of the image."""
    x, q = p % width + DX[k], p + DX[k] + DY[k] * width
    return q if 0 <= x < width and 0 <= q < size else NONE


@kernel
def nearest_in_row(inside: Ints, width: int) -> tuple[Ints, Ints]:
    """Steps along x to the nearest pixel beside the object, and their squares.

    In rows without such a pixel: no steps, and a square beyond all distances.
    """
    size = len(inside)
    far = 2 * (size + 1)
    across, square = [0] * size, [0] * size
    for row in range(0, size, width):
        begin, end = row, row + width
        for stop in range(row, end + 1):
            if stop < end and inside[stop]:
                continue
            for p in range(begin, stop):
                left = p - begin + 1 if begin > row else far
                right = stop - p if stop < end else far
                steps = right if right <= left else -left
                across[p] = steps if steps != far else 0
                square[p] = steps * steps
            begin = stop + 1
    return across, square


@kernel
def nearest_row(inside: Ints, square: Ints, p: int, width: int) -> int:
    """Steps along y to the row that has the nearest pixel beside the object, the lower of equals."""
    best, nearest, steps = square[p], 0, 1
    above = below = True
    while steps * steps <= best and (above or below):
        q = p - steps * width
        above = above and q >= 0
        if above:
            if steps * steps + square[q] < best:
                best, nearest = steps * steps + square[q], -steps
            above = inside[q] != 0
        q = p + steps * width
        below = below and q < len(inside)
        if below:
            if steps * steps + square[q] <= best:
                best, nearest = steps * steps + square[q], steps
            below = inside[q] != 0
        steps += 1
    return nearest


@kernel
def boundary_vectors(inside: Ints, width: int) -> tuple[Ints, Ints, Ints]:
    """Vectors to the nearest pixel beside the object, and their squared lengths.

    Where the whole image is object they are 0.
    """
    size = len(inside)
    across, square = nearest_in_row(inside, width)
    vx, vy, squared = [0] * size, [0] * size, [0] * size
    for p in range(size):
        if inside[p]:
            dy = nearest_row(inside, square, p, width)
            dx = across[p + dy * width]
            vx[p], vy[p], squared[p] = dx, dy, dx * dx + dy * dy
    return vx, vy, squared


@kernel
def ridge(p: int, q: int, k: int, inside: Ints, vx: Ints, vy: Ints) -> int:
    """Which of two pixels is marked (q is the k-th neighbour of p)."""
    sx, sy = DX[k], DY[k]
    if inside[p] and inside[q]:
        dx, dy = vx[q] - vx[p] + sx, vy[q] - vy[p] + sy
        if max(abs(dx), abs(dy)) <= 1:
            return NONE
        parting = dx * sx + dy * sy
        longer = dx * (vx[p] + vx[q]) + dy * (vy[p] + vy[q])
        return p if parting * longer <= 0 else q
    # at the boundary: only where the object is so thin that its other side is as near
    if inside[p] and max(abs(vx[p] - sx), abs(vy[p] - sy)) > 1:
        return p
    if inside[q] and max(abs(vx[q] + sx), abs(vy[q] + sy)) > 1:
        return q
    return NONE


@kernel
def goes_on(p: int, marked: Ints, squared: Ints, width: int) -> bool:
    """Whether the skeleton goes on from here towards the boundary."""
    for k in range(8):
        q = neighbour(p, k, width, len(marked))
        if q != NONE and marked[q] and squared[q] < NEAR:
            return True
    return False


@kernel
def raw_skeleton(inside: Ints, vx: Ints, vy: Ints, squared: Ints, width: int) -> Ints:
    """Mark pixels between which the boundary vectors part, and the ways out of corners."""
    marked, ends = [0] * len(inside), [NONE]
    for p in range(len(inside)):
        for k in (1, 3):  # above and left
            q = neighbour(p, k, width, len(inside))
            m = ridge(p, q, k, inside, vx, vy) if q != NONE else NONE
            if m != NONE:
                marked[m] = 1
                if squared[m] == NEAR:
                    ends.append(m)
    for p in ends[1:]:
        if not goes_on(p, marked, squared, width):
            marked[p + vx[p] // 2 + vy[p] // 2 * width] = 1
    return marked


def is_needless(code: int) -> bool:
    """Whether a pixel is at a corner or a blunt end, and nothing falls apart without it.

    Bit k of ``code`` says whether neighbour k is marked.
    """
    ring = [bool(code >> k & 1) for k in (0, 1, 2, 4, 7, 6, 5, 3)]
    direct = sum(ring[1::2])
    # Yokoi's number: into how many parts the neighbours fall
    parts = sum(not ring[k] and (ring[(k + 1) % 8] or ring[(k + 2) % 8]) for k in (1, 3, 5, 7))
    return parts == 1 and (direct == 2 or (direct == 1 and sum(ring) == 3))


NEEDLESS = np.array([is_needless(code) for code in range(256)])


@kernel
def is_removable(p: int, marked: Ints, width: int) -> bool:
    """Whether a pixel is marked, not at the border of the image, and needless."""
    if not (marked[p] and 0 < p % width < width - 1 and width <= p < len(marked) - width):
        return False
    code = 0
    for k in range(8):
        if marked[p + DX[k] + DY[k] * width]:
            code += 1 << k
    return bool(NEEDLESS[code])


@kernel
def thin(marked: Ints, squared: Ints, width: int) -> None:
    """Unmark what is needless, nearest to the boundary first, then in the order it became so."""
    turn = len(marked)
    queue = [(squared[p], p, p) for p in range(turn) if is_removable(p, marked, width)]
    heapify(queue)
    while queue:
        _, _, p = heappop(queue)
        if is_removable(p, marked, width):
            marked[p] = 0
            for k in range(8):
                q = p + DX[k] + DY[k] * width
                if is_removable(q, marked, width):
                    heappush(queue, (squared[q], turn, q))
                    turn += 1


# ---------------------------------------------------------------------------- graph


@kernel
def graph(marked: Ints, width: int) -> tuple[Ints, Ints, Ints]:
    """The pixels of the nodes in scan order, the neighbours of each, and which it is joined to.

    What is not marked, within the bounding box of what is, are nodes as well, though nothing leads
    there: `shortest_ways` wants them.
    """
    pixels = [p for p in range(len(marked)) if marked[p]]
    count = len(pixels)
    beside, joined = [NONE] * (8 * count), [0] * (8 * count)
    number = [NONE] * len(marked)
    for node in range(len(pixels)):
        number[pixels[node]] = node
    columns = [p % width for p in pixels]
    left, right = min(columns), max(columns)
    top, bottom = pixels[0] // width, pixels[-1] // width
    for node in range(len(pixels)):
        x, y = pixels[node] % width, pixels[node] // width
        for k in range(8):
            if left <= x + DX[k] <= right and top <= y + DY[k] <= bottom:
                q = pixels[node] + DX[k] + DY[k] * width
                if number[q] == NONE:
                    number[q] = count
                    count += 1
                beside[8 * node + k] = number[q]
                joined[8 * node + k] = marked[q]
    return pixels, beside, joined


@kernel
def cut(beside: Ints, joined: Ints, p: int, k: int) -> None:
    """Delete the edge from node p to its k-th neighbour."""
    if joined[8 * p + k]:
        joined[8 * p + k] = joined[8 * beside[8 * p + k] + 7 - k] = 0


@kernel
def swap(heap: Ints, place: Ints, i: int, j: int) -> None:
    """Exchange two places of the heap."""
    heap[i], heap[j] = heap[j], heap[i]
    place[heap[i]], place[heap[j]] = i, j


@kernel
def rise(heap: Ints, place: Ints, cost: Floats, i: int) -> None:
    """Bring what is at a place of the heap up to where it belongs."""
    while i > 1 and cost[heap[i // 2]] > cost[heap[i]]:
        swap(heap, place, i, i // 2)
        i //= 2


@kernel
def sink(heap: Ints, place: Ints, cost: Floats) -> None:
    """Bring what is at the top of the heap down to where it belongs."""
    i, last = 1, len(heap) - 1
    while 2 * i <= last:
        child = 2 * i
        if child < last and cost[heap[child]] > cost[heap[child + 1]]:
            child += 1
        if cost[heap[i]] <= cost[heap[child]]:
            break
        swap(heap, place, i, child)
        i = child


@kernel
def shortest_ways(beside: Ints, joined: Ints, start: int, goal: int) -> tuple[Ints, Ints]:
    """Dijkstra's algorithm: nodes in the order they are reached, and the node before each.

    It ends with the goal, unless that is NONE. The heap is binary and counts from 1. On the way to a
    goal there are edges of endless length: they lead nowhere, but what hangs on them is in the heap
    and has a say in which of two equal ways comes first.
    """
    size = max(max(beside), start) + 1
    before, cost, place = [NONE] * size, [math.inf] * size, [0] * size
    before[start], cost[start], place[start] = start, 0.0, 1
    heap, reached = [NONE, start], [NONE]
    while len(heap) > 1 and cost[heap[1]] < ENDLESS:
        p = heap[1]
        swap(heap, place, 1, len(heap) - 1)
        heap.pop()
        sink(heap, place, cost)
        reached.append(p)
        if p == goal:
            break
        for k in range(8):
            q = beside[8 * p + k]
            if q == NONE or (goal == NONE and not joined[8 * p + k]):
                continue
            away = cost[p] + PACE[k] if joined[8 * p + k] else ENDLESS
            if away < cost[q]:
                cost[q], before[q] = away, p
                if place[q] == 0:
                    heap.append(q)
                    place[q] = len(heap) - 1
                rise(heap, place, cost, place[q])
    return reached[1:], before


@kernel
def distance(p: int, q: int, x: Ints, y: Ints) -> float:
    """Between nodes that are neighbours, or one and the same."""
    return math.sqrt(float((x[p] - x[q]) ** 2 + (y[p] - y[q]) ** 2))


@kernel
def centre_line(beside: Ints, joined: Ints, x: Ints, y: Ints) -> tuple[Ints, Floats]:
    """The nodes of the longest of the shortest ways, and the distances along it.

    From the last node to the one furthest from it, and from there once more.
    """
    start = shortest_ways(beside, joined, len(x) - 1, NONE)[0][-1]
    reached, before = shortest_ways(beside, joined, start, NONE)
    line, along = [reached[-1]], [0.0]
    while line[-1] != start:
        line.append(before[line[-1]])
        along.append(along[-1] + distance(line[-1], line[-2], x, y))
    return line, along


@kernel
def middle(along: Floats) -> int:
    """The place half way along a line."""
    half, k = along[-1] / 2, 0
    if half == 0:
        return 0
    while along[k + 1] < half:
        k += 1
    return int(k + (half - along[k]) / (along[k + 1] - along[k]) + 0.5)


# ---------------------------------------------------------------------------- tree


@kernel
def grow(
    beside: Ints, joined: Ints, reached: Ints, parent: Ints, x: Ints, y: Ints, squared: Ints
) -> tuple[Ints, Floats, Floats]:
    """From the ends inwards: the child with the longest way on, that way's length, the salience.

    Edges between branches that go on anyway are cut.
    """
    child = [NONE] * len(x)
    length, salience = [0.0] * len(x), [1.0] * len(x)
    for p in reached[::-1]:
        up = parent[p]
        for k in range(4):  # those earlier in scan order
            q = beside[8 * p + k]
            if joined[8 * p + k] and q != up and parent[q] != p and child[p] != NONE and child[q] != NONE:
                cut(beside, joined, p, k)
        way = length[p] + distance(p, up, x, y)
        if length[up] < way:
            length[up], child[up] = way, p
        if length[p] >= 4:
            salience[p] = max(salience[p], (length[p] + 0.5) / math.sqrt(squared[p]))
        salience[up] = max(salience[up], salience[p])
    return child, length, salience


@kernel
def pass_on(
    reached: Ints, parent: Ints, child: Ints, length: Floats, salience: Floats, x: Ints, y: Ints
) -> Ints:
    """From the centre outwards: give what the best way has to the end of it.

    Answers the area (twice) that is swept on the way from the centre to each node.
    """
    area = [0] * len(x)
    for p in reached:
        up = parent[p]
        if child[up] == p:
            length[p], salience[p] = length[up], salience[up]
        else:
            length[p] += distance(p, up, x, y)
        area[p] = area[up] + x[p] * y[up] - y[p] * x[up]
    return area


@kernel
def goes_round_hole(polygon: Ints, x: Ints, y: Ints, inside: Ints, width: int) -> bool:
    """Whether a pixel within the polygon does not belong to the object.

    In each row a pixel is within if the polygon crosses the row an odd number of times left of it.
    Steps between neighbours cross, just below a row, where the upper of both is.
    """
    left = min([x[p] for p in polygon])
    right = max([x[p] for p in polygon])
    top = min([y[p] for p in polygon])
    bottom = max([y[p] for p in polygon])
    span = right - left + 1
    crossed = [0] * (span * (bottom - top + 1))
    for i in range(len(polygon)):
        p, q = polygon[i - 1], polygon[i]
        if y[p] != y[q]:
            upper = p if y[p] < y[q] else q
            crossed[(y[upper] - top) * span + x[upper] - left] ^= 1
    for row in range(top, bottom + 1):
        within = 0
        for column in range(left, right + 1):
            within ^= crossed[(row - top) * span + column - left]
            if within and not inside[row * width + column]:
                return True
    return False


@kernel
def way_round(beside: Ints, joined: Ints, start: int, goal: int) -> Ints:
    """The nodes on the shortest way, from the goal; only both ends if there is no way."""
    before = shortest_ways(beside, joined, start, goal)[1]
    way = [goal]
    while way[-1] != start:
        way.append(before[way[-1]])
    return way


@kernel
def prune(
    p: int, beside: Ints, joined: Ints, parent: Ints, child: Ints, salience: Floats
) -> None:
    """Remove a branch up to where another goes on."""
    last = False
    while not last:
        salience[p] = 0.0
        for k in range(8):
            cut(beside, joined, p, k)
        last = child[parent[p]] != p
        p = parent[p]


@kernel
def cut_loops(
    beside: Ints,
    joined: Ints,
    reached: Ints,
    parent: Ints,
    child: Ints,
    length: Floats,
    salience: Floats,
    x: Ints,
    y: Ints,
    squared: Ints,
    inside: Ints,
    width: int,
) -> tuple[int, float, Ints]:
    """Cut loops at the ends of branches: number of holes, length around them, nodes in loops."""
    area = pass_on(reached, parent, child, length, salience, x, y)
    loop = [0] * len(x)
    loop[reached[0]] = 1
    holes, total = 0, 0.0
    for p in reached[::-1]:
        if child[p] == NONE:
            for k in range(8):
                q = beside[8 * p + k]
                if not joined[8 * p + k] or q == parent[p]:
                    continue
                if abs(area[p] - (x[p] * y[q] - y[p] * x[q]) - area[q]) <= 3:
                    continue
                cut(beside, joined, p, k)
                way = way_round(beside, joined, p, q)
                if goes_round_hole(way, x, y, inside, width):
                    holes += 1
                    total += length[p] + length[q]
                    most = max(salience[p], salience[q])
                    for node in way:
                        loop[node] = 1
                        salience[node] = max(salience[node], most)
            if not loop[p] and squared[p] >= NEAR:
                prune(p, beside, joined, parent, child, salience)
        if loop[p]:
            loop[parent[p]] = 1
    return holes, total, loop


@kernel
def skeleton_numbers(inside: Ints, width: int) -> Floats:
    """The features of one object in the order of `Skeleton.numbers`."""
    vx, vy, squared = boundary_vectors(inside, width)
    marked = raw_skeleton(inside, vx, vy, squared, width)
    thin(marked, squared, width)
    if 1 not in marked:
        return [math.nan] * 12
    pixels, beside, joined = graph(marked, width)
    x, y = [p % width for p in pixels], [p // width for p in pixels]
    depth = [squared[p] for p in pixels]
    line, along = centre_line(beside, joined, x, y)
    centre, first, last = line[middle(along)], line[0], line[-1]
    reached, parent = shortest_ways(beside, joined, centre, NONE)
    child, length, salience = grow(beside, joined, reached, parent, x, y, depth)
    holes, total, loop = cut_loops(
        beside, joined, reached, parent, child, length, salience, x, y, depth, inside, width
    )
    branches, ways = 0, 0.0
    for p in reached:
        if child[p] == NONE and not loop[p] and salience[p] >= SALIENT * salience[centre]:
            branches += 1
            ways += length[p]
            total += length[p]
    return [
        float(branches),
        float(holes),
        along[-1],
        math.sqrt(float((x[first] - x[last]) ** 2 + (y[first] - y[last]) ** 2)),
        float(x[centre]),
        float(y[centre]),
        total,
        ways / branches if branches else 0.0,
        float(x[first]),
        float(y[first]),
        float(x[last]),
        float(y[last]),
    ]


@dataclass(frozen=True)
class Skeleton(PerObject):
    """Numbers."""

    pixels: ClassVar[bool] = False
    reach: ClassVar[int] = 1

    @classmethod
    def of(cls, crop: Crop) -> Sequence[float]:
        """Of one object."""
        g = skeleton_numbers(crop.mask.ravel().tolist(), crop.mask.shape[1])
        y, x = crop.origin
        for i, o in ((4, x), (5, y), (8, x), (9, y), (10, x), (11, y)):
            g[i] += o
        return g

    @classmethod
    def width(cls, ndim: int, channels: int) -> int:
        return 12


for _n, _a, _s in (
    ("Branch Count", 0, ()),
    ("Hole Count", 1, ()),
    ("Diameter", 2, ()),
    ("Euclidean Diameter", 3, ()),
    ("Skeleton Center", 4, ("d",)),
    ("Total Length", 6, ()),
    ("Average Length", 7, ()),
    ("Terminal 1", 8, ("d",)),
    ("Terminal 2", 10, ("d",)),
):

    def _f(s: Skeleton, a=_a, w=len(_s)):
        return s.numbers[:, a : a + 1 + w]

    from objclass.features import Feature

    FEATURES.add(
        Feature(
            FEATURES.name,
            _n,
            _f,
            (Skeleton,),
            {
                "Branch Count": "Number of Branches",
                "Hole Count": "Number of Holes",
                "Skeleton Center": "Center of the Skeleton",
                "Total Length": "Length of the Skeleton",
                "Average Length": "Average Branch Length",
            }.get(_n, _n),
            _s,
            dims=(2,),
        )
    )
