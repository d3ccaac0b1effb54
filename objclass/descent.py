"""How compiled code sends rows down the trees of a forest.

A block of rows goes through one tree after the other. The splits near the root, through which most rows go, are not
visited one after the other: all rows are compared with each of them, and each split that sends a row to the right
crosses out what lies to its left; the first that is left is where the row comes out (QuickScorer, Lucchese et al. 2015).
From there rows go on step by step, several at a time, so that one goes on while others wait for memory.
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
    """Work space: keys of a block (columns, `ROWS`); for each row the exits that are not crossed out, the node where it
    is, and a list of rows that are not in leaves.
    """

    keys: NDArray[np.uint32]
    alive: NDArray[np.uint32]
    node: NDArray[np.int64]
    waiting: NDArray[np.int64]


def space(columns: int) -> Space:
    """Work space for one thread."""
    return Space(
        np.zeros(columns * ROWS, np.uint32), np.zeros(ROWS, np.uint32), np.zeros(ROWS, np.int64), np.zeros(ROWS + 3, np.int64)
    )  # fmt: skip


class Shape(NamedTuple):
    """Number of columns, trees and classes; how far apart rows, and columns, of the values are."""

    columns: int
    trees: int
    classes: int
    row_step: int
    column_step: int


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
    """Add what the leaves say of the rows from ``start`` to ``stop``, tree after tree; arrays are flat.

    ``values`` are the bits of float32.
    """
    keys, alive, node, waiting = space
    for block in range(start, stop, ROWS):
        n = min(ROWS, stop - block)
        load(values, block, n, shape, keys)
        for tree in range(shape.trees):
            for i in range(ROWS):
                alive[i] = WORD
            for k in range(tree * EXITS, (tree + 1) * EXITS, 4):
                cross_out(layout, k, keys, alive)
            for i in range(n):
                left = np.int64(alive[i])
                node[i] = layout.exits[tree * EXITS + (((left & -left) * DE_BRUIJN >> 27) & 31)]
                waiting[i] = i
            count = n
            while count > 0:
                count = go_on(layout.nodes, keys, node, waiting, count)
            add_leaves(layout, tree, node, n, shape.classes, votes, total, block)


@kernel
def load(values: NDArray[np.int32], block: int, n: int, shape: Shape, keys: NDArray[np.uint32]) -> None:
    """Keys of a block of ``n`` rows; of NaN any: such rows get no votes."""
    for c in range(shape.columns):
        for i in range(n):
            value = np.int64(values[(block + i) * shape.row_step + c * shape.column_step])
            number = -INFINITE if value > INFINITE else value
            keys[c * ROWS + i] = (-0x80000000 - number if value < 0 else number) + 0x80000000


@kernel
def add_leaves(
    layout: Layout,
    tree: int,
    node: NDArray[np.int64],
    n: int,
    classes: int,
    votes: NDArray[np.float32],
    total: NDArray[np.float64],
    block: int,
) -> None:
    """Add what the leaves of a tree say of the ``n`` rows of a block."""
    first = layout.leaves[tree] - LAST - 1
    for i in range(n):
        leaf = first + ((layout.nodes[node[i]] >> 32) & WORD)
        total[block + i] += layout.share[leaf]
        for c in range(classes):
            votes[(block + i) * classes + c] += layout.vote[leaf * classes + c]


@kernel
def cross_out(layout: Layout, k: int, keys: NDArray[np.uint32], alive: NDArray[np.uint32]) -> None:
    """Cross out what lies to the left of splits that send rows to the right: of four splits, from ``k`` on."""
    place, cut, kept, _, _, _, _, _ = layout
    p, p1, p2, p3 = place[k], place[k + 1], place[k + 2], place[k + 3]
    cut0, cut1, cut2, cut3 = cut[k], cut[k + 1], cut[k + 2], cut[k + 3]
    kept0, kept1, kept2, kept3 = kept[k], kept[k + 1], kept[k + 2], kept[k + 3]
    all_ = np.uint32(WORD)
    for i in range(ROWS):
        left = alive[i] & (kept0 if keys[p + i] >= cut0 else all_)
        left = left & (kept1 if keys[p1 + i] >= cut1 else all_)
        left = left & (kept2 if keys[p2 + i] >= cut2 else all_)
        alive[i] = left & (kept3 if keys[p3 + i] >= cut3 else all_)


@kernel
def go_on(
    nodes: NDArray[np.int64],
    keys: NDArray[np.uint32],
    node: NDArray[np.int64],
    waiting: NDArray[np.int64],
    count: int,
) -> int:
    """Take `STEPS` steps with each of the rows that wait; returns how many are not in leaves then."""
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
        left += ((nodes[node[i]] >> 32) & WORD) <= LAST
    return left


@kernel
def step(nodes: NDArray[np.int64], keys: NDArray[np.uint32], k: int, row: int) -> int:
    """The child of a node to which a row goes; a leaf's is the leaf."""
    bits = nodes[k]
    return (bits & NEXT) + (keys[((bits >> LOWER) & OFFSET) + row] >= ((bits >> 32) & WORD))


def _lengths(_: Any, layout: Layout, *given: Any) -> dict[str, int]:
    *_, stop, shape = given
    size = shape.trees * EXITS
    ends = len(layout.share)
    return {
        "values": (stop - 1) * shape.row_step + (shape.columns - 1) * shape.column_step + 1,
        **dict.fromkeys(("place", "cut", "kept", "exits"), size),
        "leaves": shape.trees,
        "vote": ends * shape.classes,
        "keys": shape.columns * ROWS,
        "alive": ROWS,
        "node": ROWS,
        "waiting": ROWS + 3,
        "votes": stop * shape.classes,
        "total": stop,
    }


descents = Kernel(descend, repays_loading=250_000, repays_compiling=8_000_000, lengths=_lengths)
"""Work is counted in rows × trees."""
