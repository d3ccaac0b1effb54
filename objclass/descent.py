"""How compiled code sends rows down the trees of a forest.

A block of rows goes through one tree after the other. The splits near the root, through which most rows go, are not
visited one after the other: all rows are compared with each of them, and each split that sends a row to the right
crosses out what lies to its left; the first that is left is where the row comes out (QuickScorer, Lucchese et al. 2015).
From there rows go on step by step, several at a time, so that one goes on while others wait for memory.

What the ranges of the columns say of a split, that it sends all rows of the block the same way, is decided once. So
rows that are pixels are taken in blocks of neighbours, which are alike.
"""

import heapq
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from objclass.compute.kernels import Kernel, kernel
from objclass.core import AnyArray, FloatArray

ROWS = 128
"""Rows that go through a tree before the next: so long it stays in the nearest cache."""

STEPS = 3
"""Splits that rows go down before it is looked which of them are in leaves."""

EXITS = 32
"""Most places where rows may come out of the splits near the root: bits of a vector."""

MANY = 16
"""Where more splits than this are open, rows come out at most exits: it does not pay to look where all of them go on."""

WORD = 0xFFFFFFFF
"""32 bits."""

NEXT_BITS = 22
"""Bits of a node for the number of its first child."""

NEXT = (1 << NEXT_BITS) - 1

LOWER = NEXT_BITS - (ROWS.bit_length() - 1)
"""How much lower the bits for the column are when it is multiplied by `ROWS`."""

OFFSET = ((1 << (32 - LOWER)) - 1) & ~(ROWS - 1)

NODES, COLUMNS = 1 << NEXT_BITS, 1 << (32 - NEXT_BITS)
"""Most nodes and columns that the packed nodes can hold."""

INFINITE = 0x7F800000
"""float32 infinity, as an integer."""

LAST = 0xFF800000
"""The key of infinity: keys beyond it belong to leaves."""

DE_BRUIJN = 0x077CB531
"""Shifted by 0 to 31 bits, its first five bits are different numbers (Leiserson et al. 1998)."""


class Layout(NamedTuple):
    """A forest as `descend` takes it. Of each tree, `EXITS` splits near the root, padded with splits that do nothing.

    Parameters
    ----------
    place
        Of a split near the root: where the keys of its column begin in a block.
    cut
        Its key: rows whose key is at least this go to the right.
    kept
        What is not crossed out then, a bit for each exit.
    exits
        The node at which a row goes on, in the order of `DE_BRUIJN`.
    nodes
        64 bits: the key; 10 bits of the column and 22 of the first child, which the second follows. A leaf is its own
        child; its key is beyond those of all rows by the number of the leaf in its tree, from 1.
    leaves
        Number of the first leaf of each tree.
    vote, share
        What a leaf adds to the classes (leaves, classes), and to the total.
    """

    place: NDArray[np.int64]
    cut: NDArray[np.uint32]
    kept: NDArray[np.uint32]
    exits: NDArray[np.int64]
    nodes: NDArray[np.int64]
    leaves: NDArray[np.int64]
    vote: NDArray[np.float32]
    share: NDArray[np.float64]


class Trees(NamedTuple):
    """What `lay_out` needs of a forest, over its nodes."""

    roots: AnyArray
    column: AnyArray
    cut: NDArray[np.float32]
    child: AnyArray
    vote: NDArray[np.float32]
    share: FloatArray
    weight: FloatArray


def lay_out(trees: Trees) -> Layout | None:
    """Pack a forest, None if it is too large for that."""
    order, first_nodes = _siblings_together(trees)
    if len(order) > NODES or trees.column.max(initial=0) >= COLUMNS:
        return None
    number = np.zeros(len(trees.column), np.int64)
    number[order] = np.arange(len(order))
    is_leaf = trees.child[order, 0] == order
    leaf = np.cumsum(is_leaf) - is_leaf
    leaves = leaf[first_nodes]
    of = np.searchsorted(first_nodes, np.arange(len(order)), side="right") - 1
    key = np.where(is_leaf, LAST + 1 + leaf - leaves[of], _keys(trees.cut[order]))
    column = np.where(is_leaf, 0, trees.column[order])
    link = column << NEXT_BITS | number[trees.child[order, 0]]
    nodes = (key.astype(np.uint64) << np.uint64(32) | link.astype(np.uint64)).view(np.int64)
    near = [_near_root(trees, int(root), number) for root in trees.roots]
    place, cut, kept, exits = (np.concatenate(parts) for parts in zip(*near, strict=True))
    ends = order[is_leaf]
    return Layout(place, cut, kept, exits, nodes, leaves, trees.vote[ends].ravel(), trees.share[ends])


def _siblings_together(trees: Trees) -> tuple[AnyArray, AnyArray]:
    """All nodes, tree after tree, the two children of a split next to each other; and where each tree begins."""
    levels, of_level = [], []
    nodes, of = trees.roots, np.arange(len(trees.roots))
    while len(nodes):
        levels.append(nodes)
        of_level.append(of)
        split = trees.child[nodes, 0] != nodes
        nodes, of = trees.child[nodes[split]].ravel(), np.repeat(of[split], 2)
    of = np.concatenate(of_level)
    order = np.concatenate(levels)[np.argsort(of, kind="stable")]
    sizes = np.bincount(of)
    return order, np.cumsum(sizes) - sizes


def _keys(values: NDArray[np.float32]) -> NDArray[np.int64]:
    """Integers from 0 to `LAST` in the order of the values, none of which is NaN; -0 and 0 are one."""
    bits = values.view(np.int32).astype(np.int64)
    return np.where(bits < 0, -(1 << 31) - bits, bits) + (1 << 31)


def _near_root(
    trees: Trees, root: int, number: NDArray[np.int64]
) -> tuple[AnyArray, AnyArray, AnyArray, AnyArray]:
    """Place, cut and kept bits of a tree's most visited splits, and the nodes at which rows come out of them."""
    inner: set[int] = set()
    visited = [(-trees.weight[root], root)]
    while visited and len(inner) < EXITS - 1:
        _, node = heapq.heappop(visited)
        if trees.child[node, 0] != node:
            inner.add(node)
            for child in trees.child[node].tolist():
                heapq.heappush(visited, (-trees.weight[child], child))
    place, exits = np.zeros(EXITS, np.int64), np.zeros(EXITS, np.int64)
    cut, kept = np.full(EXITS, WORD, np.uint32), np.full(EXITS, WORD, np.uint32)
    out = splits = 0
    begun: dict[int, int] = {}  # first exit to the left of a split
    todo = [root]
    while todo:  # from left to right
        node = todo.pop()
        if node not in inner:
            exits[((DE_BRUIJN << out) & WORD) >> 27] = number[node]
            out += 1
        elif node not in begun:
            begun[node] = out
            left, right = trees.child[node].tolist()
            todo += [right, node, left]
        else:
            place[splits], cut[splits] = trees.column[node] * ROWS, _keys(trees.cut[node : node + 1])[0]
            kept[splits] = WORD & ~((1 << out) - (1 << begun[node]))
            splits += 1
    return place, cut, kept, exits


# ---------------------------------------------------------------------------- compiled


class Space(NamedTuple):
    """Work space of a block of `ROWS` rows.

    Parameters
    ----------
    rows
        The rows.
    keys
        Their keys, column after column.
    low, high
        Least and greatest key of each column.
    open_splits
        The splits near the root that do not send all rows the same way.
    settled
        The node at which rows go on from each exit (see `marked`), in the order of `DE_BRUIJN`.
    alive
        For each row the exits that are not crossed out.
    node
        For each row the node where it is.
    waiting
        Rows that are not in leaves; then where the votes of each row's leaf begin.
    votes, total
        What leaves said so far: of each class, row after row; in all.
    """

    rows: NDArray[np.int64]
    keys: NDArray[np.uint32]
    low: NDArray[np.uint32]
    high: NDArray[np.uint32]
    open_splits: NDArray[np.int64]
    settled: NDArray[np.int64]
    alive: NDArray[np.uint32]
    node: NDArray[np.int64]
    waiting: NDArray[np.int64]
    votes: NDArray[np.float32]
    total: NDArray[np.float64]


def space(columns: int, classes: int) -> Space:
    """Work space for one thread."""
    return Space(
        np.zeros(ROWS, np.int64),
        np.zeros(columns * ROWS, np.uint32),
        np.zeros(columns, np.uint32),
        np.zeros(columns, np.uint32),
        np.zeros(EXITS + 4, np.int64),
        np.zeros(EXITS, np.int64),
        np.zeros(ROWS, np.uint32),
        np.zeros(ROWS, np.int64),
        np.zeros(ROWS + 3, np.int64),
        np.zeros(classes * ROWS, np.float32),
        np.zeros(ROWS),
    )


class Shape(NamedTuple):
    """Number of columns, trees and classes; how far apart rows, and columns, of the values are; and blocks of rows.

    Rows are the pixels of an image, planes × height × width, in C order; a block is a part of it of
    depth × tall × wide, cut off at its border.
    """

    columns: int
    trees: int
    classes: int
    row_step: int
    column_step: int
    planes: int
    height: int
    width: int
    depth: int
    tall: int
    wide: int


def blocks(shape: Shape) -> int:
    """Number of blocks."""
    return -(-shape.planes // shape.depth) * -(-shape.height // shape.tall) * -(-shape.width // shape.wide)


def block_of(planes: int, height: int) -> tuple[int, int, int]:
    """Extents z, y, x of a block of `ROWS` pixels of an image: as near to a cube, or square, as lines of a cache allow."""
    if height == 1:
        return 1, 1, ROWS
    return (1, 8, ROWS // 8) if planes == 1 else (4, 4, ROWS // 16)


def descend(
    values: NDArray[np.int32],
    layout: Layout,
    space: Space,
    votes: NDArray[np.float32],
    total: NDArray[np.float64],
    start: int,
    stop: int,
    shape: Shape,
) -> None:
    """Write what the leaves say of the rows in the blocks from ``start`` to ``stop``, tree after tree; arrays are flat.

    ``values`` are the bits of float32.
    """
    classes = shape.classes
    for block in range(start, stop):
        n = take_rows(block, shape, space.rows)
        load(values, n, shape, space)
        for i in range(ROWS):
            space.total[i] = 0.0
        for i in range(classes * ROWS):
            space.votes[i] = 0.0
        for tree in range(shape.trees):
            found = settle(layout, tree, space)
            if found == 0 and is_leaf(layout.nodes, space.node[0]):
                add_leaf(layout, tree, classes, space)
                continue
            count = come_out(layout, found, n, space)
            while count > 0:
                count = go_on(layout.nodes, space, count)
            add_leaves(layout, tree, n, classes, space)
        for i in range(n):
            row = space.rows[i]
            total[row] = space.total[i]
            for c in range(classes):
                votes[row * classes + c] = space.votes[c * ROWS + i]


@kernel
def take_rows(block: int, shape: Shape, rows: NDArray[np.int64]) -> int:
    """The rows of a block; returns how many there are."""
    across = (shape.width + shape.wide - 1) // shape.wide
    down = (shape.height + shape.tall - 1) // shape.tall
    z, rest = block // (across * down) * shape.depth, block % (across * down)
    y, x = rest // across * shape.tall, rest % across * shape.wide
    n = 0
    for k in range(z, min(z + shape.depth, shape.planes)):
        for j in range(y, min(y + shape.tall, shape.height)):
            for i in range(x, min(x + shape.wide, shape.width)):
                rows[n] = (k * shape.height + j) * shape.width + i
                n += 1
    return n


@kernel
def load(values: NDArray[np.int32], n: int, shape: Shape, space: Space) -> None:
    """Keys of the ``n`` rows of a block, and their ranges; of NaN any: such rows get no votes."""
    for c in range(shape.columns):
        first = c * shape.column_step
        for i in range(n):
            value = np.int64(values[space.rows[i] * shape.row_step + first])
            number = -INFINITE if value > INFINITE else value
            space.keys[c * ROWS + i] = (-0x80000000 - number if value < 0 else number) + 0x80000000
        for i in range(n, ROWS):
            space.keys[c * ROWS + i] = space.keys[c * ROWS]
        low = high = space.keys[c * ROWS]
        for i in range(ROWS):
            key = space.keys[c * ROWS + i]
            low, high = min(low, key), max(high, key)
        space.low[c], space.high[c] = low, high


@kernel
def settle(layout: Layout, tree: int, space: Space) -> int:
    """Find the splits near the root that are open, and where rows go on from the exits that they may come out of.

    Returns how many splits are open; if none is, ``node[0]`` is where all rows go on.
    """
    certain = common = np.int64(WORD)
    found = 0
    for k in range(tree * EXITS, (tree + 1) * EXITS - 1):
        column, cut, kept = layout.place[k] // ROWS, layout.cut[k], np.int64(layout.kept[k])
        some, every = space.high[column] >= cut, space.low[column] >= cut
        certain = certain & kept if some else certain
        common = common & kept if every else common
        space.open_splits[found] = k
        found += some != every
    for i in range(found, found + 3):  # whole groups: the last split of a tree does nothing
        space.open_splits[i] = (tree + 1) * EXITS - 1
    for i in range(ROWS):
        space.alive[i] = common
    if found > MANY:
        for i in range(EXITS):
            space.settled[i] = marked(layout.nodes, layout.exits[tree * EXITS + i])
        return found
    reached = common & (
        2 * (certain & -certain) - 1
    )  # no row comes out after an exit that no split crosses out
    while reached != 0:
        left = reached & -reached
        exit_ = (left * DE_BRUIJN >> 27) & 31
        space.node[0] = follow(layout.nodes, space, layout.exits[tree * EXITS + exit_])
        space.settled[exit_] = marked(layout.nodes, space.node[0])
        reached -= left
    return found


@kernel
def marked(nodes: NDArray[np.int64], node: int) -> Any:
    """The node, with the bit after its number set if it is a split."""
    return node | np.int64(not is_leaf(nodes, node)) << NEXT_BITS


@kernel
def follow(nodes: NDArray[np.int64], space: Space, node: int) -> int:
    """The first node from this one on that does not send all rows the same way."""
    while True:
        bits = nodes[node]
        cut, column = (bits >> 32) & WORD, ((bits >> LOWER) & OFFSET) // ROWS
        if space.low[column] >= cut:
            node = (bits & NEXT) + 1
        elif space.high[column] < cut <= LAST:
            node = bits & NEXT
        else:
            return node


@kernel
def is_leaf(nodes: NDArray[np.int64], node: int) -> bool:
    """Whether a node is a leaf."""
    return ((nodes[node] >> 32) & WORD) > LAST


@kernel
def come_out(layout: Layout, found: int, n: int, space: Space) -> int:
    """Send ``n`` rows through the open splits near the root, of which so many were found.

    Lists the rows that are not in leaves then; returns how many they are.
    """
    for k in range(0, found, 4):
        cross_out(layout, space.open_splits, k, space.keys, space.alive)
    count = 0
    for i in range(n):
        left = np.int64(space.alive[i])
        going_on = space.settled[((left & -left) * DE_BRUIJN >> 27) & 31]
        space.node[i] = going_on & NEXT
        space.waiting[count] = i
        count += going_on >> NEXT_BITS
    return count


@kernel
def cross_out(
    layout: Layout,
    splits: NDArray[np.int64],
    first: int,
    keys: NDArray[np.uint32],
    alive: NDArray[np.uint32],
) -> None:
    """Cross out what lies to the left of splits that send rows to the right: of four splits, from ``first`` on."""
    place, cut, kept, _, _, _, _, _ = layout
    k, k1, k2, k3 = splits[first], splits[first + 1], splits[first + 2], splits[first + 3]
    p, p1, p2, p3 = place[k], place[k1], place[k2], place[k3]
    cut0, cut1, cut2, cut3 = cut[k], cut[k1], cut[k2], cut[k3]
    kept0, kept1, kept2, kept3 = kept[k], kept[k1], kept[k2], kept[k3]
    all_ = np.uint32(WORD)
    for i in range(ROWS):
        left = alive[i] & (kept0 if keys[p + i] >= cut0 else all_)
        left = left & (kept1 if keys[p1 + i] >= cut1 else all_)
        left = left & (kept2 if keys[p2 + i] >= cut2 else all_)
        alive[i] = left & (kept3 if keys[p3 + i] >= cut3 else all_)


@kernel
def go_on(nodes: NDArray[np.int64], space: Space, count: int) -> int:
    """Take `STEPS` steps with each of the rows that wait; returns how many are not in leaves then."""
    keys, node, waiting = space.keys, space.node, space.waiting
    for j in range(count, count + 3):  # whole groups: the last row may be there several times
        waiting[j] = waiting[count - 1]
    for j in range(0, count, 4):
        i, i1, i2, i3 = waiting[j], waiting[j + 1], waiting[j + 2], waiting[j + 3]
        k, k1, k2, k3 = node[i], node[i1], node[i2], node[i3]
        for _ in range(STEPS):
            k = step(nodes, keys, k, i)
            k1 = step(nodes, keys, k1, i1)
            k2 = step(nodes, keys, k2, i2)
            k3 = step(nodes, keys, k3, i3)
        node[i], node[i1], node[i2], node[i3] = k, k1, k2, k3
    left = 0
    for j in range(count):
        i = waiting[j]
        waiting[left] = i
        left += not is_leaf(nodes, node[i])
    return left


@kernel
def step(nodes: NDArray[np.int64], keys: NDArray[np.uint32], k: int, row: int) -> int:
    """The child of a node to which a row goes; a leaf's is the leaf."""
    bits = nodes[k]
    return (bits & NEXT) + (keys[((bits >> LOWER) & OFFSET) + row] >= ((bits >> 32) & WORD))


@kernel
def add_leaf(layout: Layout, tree: int, classes: int, space: Space) -> None:
    """Add what the leaf of a tree says that all rows of a block are in."""
    leaf = layout.leaves[tree] + ((layout.nodes[space.node[0]] >> 32) & WORD) - LAST - 1
    share = layout.share[leaf]
    for i in range(ROWS):
        space.total[i] += share
    for c in range(classes):
        vote, first = layout.vote[leaf * classes + c], c * ROWS
        for i in range(ROWS):
            space.votes[first + i] += vote


@kernel
def add_leaves(layout: Layout, tree: int, n: int, classes: int, space: Space) -> None:
    """Add what the leaves of a tree say of the ``n`` rows of a block."""
    first = layout.leaves[tree] - LAST - 1
    for i in range(n):
        leaf = first + ((layout.nodes[space.node[i]] >> 32) & WORD)
        space.waiting[i] = leaf * classes
        space.total[i] += layout.share[leaf]
    for c in range(classes):
        at = c * ROWS
        for i in range(n):
            space.votes[at + i] += layout.vote[space.waiting[i] + c]


def _lengths(_: Any, layout: Layout, *given: Any) -> dict[str, int]:
    *_, shape = given
    size, ends = shape.trees * EXITS, len(layout.share)
    rows = shape.planes * shape.height * shape.width
    return {
        "values": (rows - 1) * shape.row_step + (shape.columns - 1) * shape.column_step + 1,
        **dict.fromkeys(("place", "cut", "kept", "exits"), size),
        "leaves": shape.trees,
        "vote": ends * shape.classes,
        **dict.fromkeys(("rows", "alive", "node"), ROWS),
        "keys": shape.columns * ROWS,
        **dict.fromkeys(("low", "high"), shape.columns),
        "open_splits": EXITS + 3,
        "settled": EXITS,
        "waiting": ROWS + 3,
        "votes": rows * shape.classes,
        "total": rows,
    }


descents = Kernel(descend, repays_loading=250_000, repays_compiling=8_000_000, lengths=_lengths)
"""Work is counted in rows × trees."""
