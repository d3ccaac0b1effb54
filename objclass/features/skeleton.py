"""ilastik's "2D Skeleton Features": each object's skeleton as a pruned tree, with vigra's numbers.

The algorithm is that of vigra (``skeletonizeImage`` and ``extractSkeletonFeatures`` by Ullrich Köthe,
MIT licence) with salience relative to the centre and topology preserved:

1. each pixel gets the vector to the nearest pixel beside the object (`boundary_vectors`);
2. where these vectors part, pixels are marked (`raw_skeleton`);
3. what is needless is unmarked, nearest to the boundary first (`thin`);
4. what remains is a graph (`graph`); the longest of its shortest ways is the centre line;
5. shortest ways from the middle of that make the graph a tree (`grow`) where each node knows the
   longest way out that it is part of (`pass_on`);
6. edges that close a loop are cut, and the loop is kept if it goes round a hole (`cut_loops`); the
   salient ends that remain are the branches.

Equal distances are everywhere on a pixel grid, so each order below (of neighbours, in heaps, in sums)
is part of the definition. The border of the image is no boundary: what touches it goes on. Whatever
is not the object is background, so a crop with one pixel around the object is all that is needed.

Functions marked ``@kernel`` know lists and numbers only. They run as they stand; where there are many
pixels, the same functions run compiled by numba (`objclass.kernels`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from objclass.core import FloatArray
from objclass.features import FeatureSet
from objclass.features.statistics import Crop, PerObject
from objclass.kernels import Kernels

FEATURES = FeatureSet("2D Skeleton Features")
feature = FEATURES.feature

Ints = list[int]
Floats = list[float]

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

REPAYS_LOADING = 150_000
"""So many pixels take about as long as numba and what it once compiled take to load."""

REPAYS_COMPILING = 700_000
"""About half of what compiling takes: the next run gains from it, too."""


# ---------------------------------------------------------------------------- statistics


@dataclass(frozen=True)
class Skeleton(PerObject):
    """What `skeleton_numbers` answers, with coordinates in the whole image.

    All is 0, coordinates too, for the few objects without a skeleton: some at the border of the image,
    and one that is the whole of it.
    """

    pixels: ClassVar[bool] = False
    reach: ClassVar[int] = 1

    @classmethod
    def of(cls, crop: Crop) -> Sequence[float]:
        """Measure one object."""
        mask = crop.mask
        function = kernel.choose(mask.size, crop.total)
        numbers = function(mask.ravel().view(np.uint8), mask.shape[1]) if function else plain(mask)
        if math.isnan(numbers[0]):
            return [0.0] * len(numbers)
        y, x = crop.origin
        return [*numbers[:6], *(a + b for a, b in zip(numbers[6:], (x, y) * 3, strict=True))]

    @classmethod
    def width(cls, ndim: int, channels: int) -> int:
        """Six numbers and three points."""
        return 12


def plain(mask: NDArray[np.bool_]) -> Floats:
    """Measure a mask without numba."""
    return skeleton_numbers(mask.ravel().view(np.uint8).tolist(), mask.shape[1])


kernel = Kernels(globals(), repays_loading=REPAYS_LOADING, repays_compiling=REPAYS_COMPILING)


# ---------------------------------------------------------------------------- pixels


@kernel
def neighbour(p: int, k: int, width: int, size: int) -> int:
    """The k-th neighbour of a pixel, NONE outside of the image."""
    x, q = p % width + DX[k], p + DX[k] + DY[k] * width
    return q if 0 <= x < width and 0 <= q < size else NONE


@kernel
def nearest_sites(square: Ints, first: int, last: int, begin: int, end: int) -> tuple[Ints, Ints]:
    """Which sites of a line are nearest to its places from ``begin`` to ``end``, and from where on.

    The sites are first … last, each at a distance of its own besides: ``square`` is that squared. Of
    equals the later one counts. Felzenszwalb and Huttenlocher 2012: the lower envelope of parabolas.
    """
    sites, since = [first], [begin]
    for c in range(first + 1, last + 1):
        start = begin
        while sites:
            b = sites[-1]
            # the first place that is at least as near to c as to b
            start = -((b * b + square[b] - c * c - square[c]) // (2 * (c - b)))
            if start > since[-1]:
                break
            sites.pop()
            since.pop()
            start = begin
        if start < end:
            sites.append(c)
            since.append(start)
    return sites, since


@kernel
def steps_along(inside: Ints, square: Ints, line: int, stride: int, length: int, steps: Ints) -> None:
    """Steps along a line to the nearest pixel beside the object, for each pixel of the object.

    ``square`` is how far each pixel of the image is from there already, squared, and is updated.
    """
    begin = 0
    far = [square[line + i * stride] for i in range(length)]
    for end in range(length + 1):
        if end < length and inside[line + end * stride]:
            continue
        if begin < end:  # a run of the object ends here
            first, last = max(begin - 1, 0), min(end, length - 1)
            sites, since = nearest_sites(far, first, last, begin, end)
            since.append(end)
            for i in range(len(sites)):
                for place in range(since[i], since[i + 1]):
                    p = line + place * stride
                    steps[p] = sites[i] - place
                    square[p] = steps[p] * steps[p] + far[sites[i]]
        begin = end + 1


@kernel
def boundary_vectors(inside: Ints, width: int) -> tuple[Ints, Ints, Ints]:
    """Vectors to the nearest pixel beside the object, and their squared lengths.

    Of equals the lowest row counts, in it the pixel to the right. If the whole image is object, vectors
    are 0.
    """
    size = len(inside)
    height = size // width
    beyond = (width + height) * (width + height)
    square = [beyond if inside[p] else 0 for p in range(size)]
    across, down = [0] * size, [0] * size
    for y in range(height):
        steps_along(inside, square, y * width, 1, width, across)
    for x in range(width):
        steps_along(inside, square, x, width, height, down)
    across = [across[p + down[p] * width] for p in range(size)]
    return across, down, [across[p] ** 2 + down[p] ** 2 for p in range(size)]


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
    # at the boundary: where the object is so thin that its other side is as near
    if inside[p] and max(abs(vx[p] - sx), abs(vy[p] - sy)) > 1:
        return p
    if inside[q] and max(abs(vx[q] + sx), abs(vy[q] + sy)) > 1:
        return q
    return NONE


@kernel
def raw_skeleton(inside: Ints, vx: Ints, vy: Ints, squared: Ints, width: int) -> Ints:
    """Mark the pixels between which the boundary vectors part, and the last steps to corners."""
    size = len(inside)
    marked, ends = [0] * size, [NONE]
    for p in range(size):
        for k in (1, 3):  # above and left
            q = neighbour(p, k, width, size)
            m = ridge(p, q, k, inside, vx, vy) if q != NONE else NONE
            if m != NONE:
                marked[m] = 1
                if squared[m] == NEAR:
                    ends.append(m)
    for p in ends[1:]:
        goes_on = False
        for k in range(8):
            q = neighbour(p, k, width, size)
            goes_on |= q != NONE and marked[q] != 0 and squared[q] < NEAR
        if not goes_on:
            marked[p + vx[p] // 2 + vy[p] // 2 * width] = 1
    return marked


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
    """Unmark what is needless, nearest to the boundary first, of equals what became so first."""
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


class Graph(NamedTuple):
    """A skeleton as a graph: its nodes are the marked pixels in scan order.

    ``pixels``, ``x``, ``y`` and ``depth`` (squared distance to the boundary) are those of the nodes.
    Neighbour k of node p is ``beside[8 * p + k]``, and ``joined`` says whether there is an edge. Unmarked
    neighbours within the bounding box of the skeleton are numbered, too, though no edges lead there.
    ``outside`` is how many pixels beside the object come before each pixel.

    ``before`` and ``cost`` are the node before each and the way to it, as `shortest_ways` found them last;
    ``place`` (in its heap) and ``seen`` are its own.
    """

    pixels: Ints
    x: Ints
    y: Ints
    depth: Ints
    beside: Ints
    joined: Ints
    outside: Ints
    before: Ints
    cost: Floats
    place: Ints
    seen: Ints


class Tree(NamedTuple):
    """A tree over a graph.

    ``reached`` are the nodes, nearest to the centre first. For each node: ``parent`` (the centre is its
    own), ``child`` (the one with the longest way out, NONE for leaves), ``length`` of the longest way
    out, and its ``salience``.
    """

    reached: Ints
    parent: Ints
    child: Ints
    length: Floats
    salience: Floats


@kernel
def graph(inside: Ints, marked: Ints, squared: Ints, width: int) -> Graph:
    """Make a graph of marked pixels."""
    pixels = [p for p in range(len(marked)) if marked[p]]
    x, y = [p % width for p in pixels], [p // width for p in pixels]
    left, right, top, bottom = min(x), max(x), y[0], y[-1]
    number, count = [NONE] * len(marked), len(pixels)
    for node in range(count):
        number[pixels[node]] = node
    beside, joined = [NONE] * (8 * count), [0] * (8 * count)
    for node in range(len(pixels)):
        for k in range(8):
            if left <= x[node] + DX[k] <= right and top <= y[node] + DY[k] <= bottom:
                q = pixels[node] + DX[k] + DY[k] * width
                if number[q] == NONE:
                    number[q] = count
                    count += 1
                beside[8 * node + k] = number[q]
                joined[8 * node + k] = marked[q]
    outside = [0]
    for p in range(len(inside)):
        outside.append(outside[-1] + (0 if inside[p] else 1))
    depth = [squared[p] for p in pixels]
    before, cost, place, seen = [NONE] * count, [math.inf] * count, [0] * count, [0]
    return Graph(pixels, x, y, depth, beside, joined, outside, before, cost, place, seen)


@kernel
def distance(p: int, q: int, net: Graph) -> float:
    """How far two nodes are from each other."""
    return math.sqrt(float((net.x[p] - net.x[q]) ** 2 + (net.y[p] - net.y[q]) ** 2))


@kernel
def cut(net: Graph, p: int, k: int) -> None:
    """Delete the edge from node p to its k-th neighbour."""
    if net.joined[8 * p + k]:
        net.joined[8 * p + k] = 0
        net.joined[8 * net.beside[8 * p + k] + 7 - k] = 0


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
def take(heap: Ints, place: Ints, cost: Floats) -> int:
    """Take the first out of the heap: the last comes to the top, and down to where it belongs."""
    first, i = heap[1], 1
    swap(heap, place, i, len(heap) - 1)
    heap.pop()
    while 2 * i < len(heap):
        child = 2 * i
        if child + 1 < len(heap) and cost[heap[child]] > cost[heap[child + 1]]:
            child += 1
        if cost[heap[i]] <= cost[heap[child]]:
            break
        swap(heap, place, i, child)
        i = child
    return first


@kernel
def shortest_ways(net: Graph, start: int, goal: int) -> Ints:
    """Dijkstra's algorithm: answers the nodes in the order they are reached.

    It ends with the goal, unless that is no node. The heap is binary and counts from 1. On the way to a
    goal, what is not joined is endlessly far: it leads nowhere, but it is in the heap and so has a say
    in which of two equal ways is found.
    """
    before, cost, place, beside, joined = net.before, net.cost, net.place, net.beside, net.joined
    for p in net.seen:  # by the call before
        before[p], cost[p], place[p] = NONE, math.inf, 0
    seen, heap, reached = [start], [NONE, start], [NONE]
    before[start], cost[start], place[start] = start, 0.0, 1
    while len(heap) > 1 and cost[heap[1]] < ENDLESS:
        p = take(heap, place, cost)
        reached.append(p)
        if p == goal:
            break
        for k in range(8):
            q, there = beside[8 * p + k], joined[8 * p + k]
            if there or (q != NONE and goal < len(cost)):
                away = cost[p] + PACE[k] if there else ENDLESS
                if away < cost[q]:
                    cost[q], before[q] = away, p
                    if place[q] == 0:
                        seen.append(q)
                        heap.append(q)
                        place[q] = len(heap) - 1
                    rise(heap, place, cost, place[q])
    net.seen[:] = seen
    return reached[1:]


@kernel
def way_back(net: Graph, last: int) -> Ints:
    """The nodes from the last one back to where `shortest_ways` started."""
    way = [last]
    while net.before[way[-1]] != way[-1]:
        way.append(net.before[way[-1]])
    return way


@kernel
def centre_line(net: Graph) -> tuple[Ints, Floats]:
    """The nodes of the longest of the shortest ways, and how far each is along it.

    From the last node to the one furthest away, and from there once more.
    """
    start = shortest_ways(net, len(net.x) - 1, len(net.cost))[-1]
    line, along = way_back(net, shortest_ways(net, start, len(net.cost))[-1]), [0.0]
    for i in range(1, len(line)):
        along.append(along[-1] + distance(line[i - 1], line[i], net))
    return line, along


@kernel
def half_way(along: Floats) -> int:
    """The place in the middle of a line."""
    half, k = along[-1] / 2, 0
    if half == 0:
        return 0
    while along[k + 1] < half:
        k += 1
    return int(k + (half - along[k]) / (along[k + 1] - along[k]) + 0.5)


# ---------------------------------------------------------------------------- tree


@kernel
def grow(net: Graph, centre: int) -> Tree:
    """Make a tree of shortest ways, and see from the leaves inwards which ways out are longest.

    Edges between branches that both go on are cut.
    """
    size = len(net.x)
    reached = shortest_ways(net, centre, len(net.cost))
    parent = net.before[:size]
    tree = Tree(reached, parent, [NONE] * size, [0.0] * size, [1.0] * size)
    for p in reached[::-1]:
        up = parent[p]
        for k in range(4):  # those earlier in scan order
            q = net.beside[8 * p + k]
            branching = net.joined[8 * p + k] and q != up and parent[q] != p
            if branching and min(tree.child[p], tree.child[q]) > NONE:
                cut(net, p, k)
        way = tree.length[p] + distance(p, up, net)
        if tree.length[up] < way:
            tree.length[up], tree.child[up] = way, p
        if tree.length[p] >= LONG:
            salience = (tree.length[p] + 0.5) / math.sqrt(float(net.depth[p]))
            tree.salience[p] = max(tree.salience[p], salience)
            tree.salience[up] = max(tree.salience[up], tree.salience[p])
    return tree


@kernel
def pass_on(net: Graph, tree: Tree) -> Ints:
    """From the centre outwards, give what the longest way has to all that is on it.

    Answers twice the area that is swept on the way from the centre to each node.
    """
    area = [0] * len(net.x)
    for p in tree.reached:
        up = tree.parent[p]
        if tree.child[up] == p:
            tree.length[p], tree.salience[p] = tree.length[up], tree.salience[up]
        else:
            tree.length[p] += distance(p, up, net)
        area[p] = area[up] + net.x[p] * net.y[up] - net.y[p] * net.x[up]
    return area


@kernel
def goes_round_hole(way: Ints, net: Graph) -> bool:
    """Whether a pixel within a closed way does not belong to the object.

    Green's theorem: the sum over an area is one along its boundary. An edge between two rows counts for
    the upper one, all that lies before its pixel there, and downwards more, upwards less.
    """
    pixels = 0
    for i in range(len(way)):
        p, q = way[i - 1], way[i]
        pixels += (net.y[q] - net.y[p]) * net.outside[min(net.pixels[p], net.pixels[q])]
    return pixels != 0


@kernel
def prune(p: int, net: Graph, tree: Tree) -> None:
    """Remove a branch from its leaf down to where a longer one goes on."""
    going = True
    while going:
        tree.salience[p] = 0.0
        for k in range(8):
            cut(net, p, k)
        going = tree.child[tree.parent[p]] == p
        p = tree.parent[p]


@kernel
def cut_loops(net: Graph, tree: Tree, area: Ints) -> tuple[Ints, int, float]:
    """Cut the loops at leaves; prune leaves that are in none and far from the boundary.

    Answers which nodes belong to a loop (the centre is taken for one), the number of loops, and the
    lengths of the ways out that met there.
    """
    loop, loops, total = [0] * len(net.x), 0, 0.0
    loop[tree.reached[0]] = 1
    for p in tree.reached[::-1]:
        for k in range(8):
            q = net.beside[8 * p + k]
            if tree.child[p] != NONE or not net.joined[8 * p + k] or q == tree.parent[p]:
                continue
            if abs(area[p] - net.x[p] * net.y[q] + net.y[p] * net.x[q] - area[q]) <= 3:
                continue  # too small for a hole
            cut(net, p, k)
            shortest_ways(net, p, q)
            way = way_back(net, q)
            if goes_round_hole(way, net):
                loops += 1
                total += tree.length[p] + tree.length[q]
                salience = max(tree.salience[p], tree.salience[q])
                for node in way:
                    loop[node] = 1
                    tree.salience[node] = max(tree.salience[node], salience)
        if tree.child[p] == NONE and not loop[p] and net.depth[p] >= NEAR:
            prune(p, net, tree)
        if loop[p]:
            loop[tree.parent[p]] = 1
    return loop, loops, total


@kernel
def skeleton_numbers(inside: Ints, width: int) -> Floats:
    """Measure the skeleton of one object, given as pixels in scan order; NaN if it has none.

    Number of branches and of holes, diameter, Euclidean diameter, total and average length; x and y
    of the centre and of both terminals.
    """
    vx, vy, squared = boundary_vectors(inside, width)
    marked = raw_skeleton(inside, vx, vy, squared, width)
    thin(marked, squared, width)
    if 1 not in marked:
        return [math.nan] * 12
    net = graph(inside, marked, squared, width)
    line, along = centre_line(net)
    first, centre, last = line[0], line[half_way(along)], line[-1]
    tree = grow(net, centre)
    area = pass_on(net, tree)
    loop, holes, total = cut_loops(net, tree, area)
    branches, length = 0, 0.0
    for p in tree.reached:
        salient = tree.salience[p] >= SALIENT * tree.salience[centre]
        if salient and tree.child[p] == NONE and not loop[p]:
            branches += 1
            length += tree.length[p]
            total += tree.length[p]
    numbers = [float(branches), float(holes), along[-1], distance(first, last, net), total]
    numbers.append(length / branches if branches else 0.0)
    for p in (centre, first, last):
        numbers.append(float(net.x[p]))
        numbers.append(float(net.y[p]))
    return numbers


# ---------------------------------------------------------------------------- features


@feature("Branch Count", title="Number of Branches", dims=(2,))
def branch_count(skeleton: Skeleton) -> FloatArray:
    """Number of salient branches of the skeleton that are not part of a loop."""
    return skeleton.numbers[:, 0]


@feature("Hole Count", title="Number of Holes", dims=(2,))
def hole_count(skeleton: Skeleton) -> FloatArray:
    """Number of loops of the skeleton that go round a hole."""
    return skeleton.numbers[:, 1]


@feature("Diameter", unit="px", dims=(2,))
def diameter(skeleton: Skeleton) -> FloatArray:
    """Length of the centre line, the longest of the shortest ways along the skeleton."""
    return skeleton.numbers[:, 2]


@feature("Euclidean Diameter", unit="px", dims=(2,))
def euclidean_diameter(skeleton: Skeleton) -> FloatArray:
    """Distance between the ends of the centre line."""
    return skeleton.numbers[:, 3]


@feature("Total Length", title="Length of the Skeleton", unit="px", dims=(2,))
def total_length(skeleton: Skeleton) -> FloatArray:
    """Sum of the lengths of the branches and of the ways round holes."""
    return skeleton.numbers[:, 4]


@feature("Average Length", title="Average Branch Length", unit="px", dims=(2,))
def average_length(skeleton: Skeleton) -> FloatArray:
    """Mean length of the branches, 0 without any."""
    return skeleton.numbers[:, 5]


@feature("Skeleton Center", title="Center of the Skeleton", shape=("d",), unit="px", dims=(2,))
def skeleton_center(skeleton: Skeleton) -> FloatArray:
    """Middle of the centre line."""
    return skeleton.numbers[:, 6:8]


@feature("Terminal 1", shape=("d",), unit="px", dims=(2,))
def terminal_1(skeleton: Skeleton) -> FloatArray:
    """End of the centre line."""
    return skeleton.numbers[:, 8:10]


@feature("Terminal 2", shape=("d",), unit="px", dims=(2,))
def terminal_2(skeleton: Skeleton) -> FloatArray:
    """Other end of the centre line."""
    return skeleton.numbers[:, 10:12]
