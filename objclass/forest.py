"""The forest: trees as plain arrays, evaluated as vigra does, to the last bit.

vigra stores a tree as two arrays. ``topology`` (integers): number of columns, number of classes, then
nodes, the root at index 2: a split is ``0, p, child0, child1, column``, a leaf ``0x40000000, p``.
``parameters`` (float64): at ``p`` the weight of the node, then the threshold of a split or the class
probabilities of a leaf. A row goes to child0 where ``row[column] < threshold``.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from threading import local
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import AnyArray, FloatArray, IntArray, Predictions
from objclass.descent import Layout, Shape, Trees, block_of, blocks, descents, lay_out, space
from objclass.errors import ProjectError, UsageError

LEAF = 0x40000000
MAXIMUM_SPLITS = 10_000
"""Deeper trees are taken for damage (or for an attack that costs the reader time)."""

ALONE = 200
"""Rows below which one thread grows all trees: most of their time is Python's, whose lock others would wait for."""

FEW, MOST = 8, 1 << 20
"""Up to so many visits (rows × trees) per node, and in all, the trees walk together, level by level; above,
rows are split node by node."""


@dataclass(frozen=True)
class Forest:
    """All trees in one set of arrays over nodes.

    Parameters
    ----------
    columns, classes
        Number of columns of the rows, and of classes.
    roots
        First node of each tree.
    column, threshold
        Of each split; (0, inf) in leaves.
    child
        Nodes to go on to, shape (nodes, 2): below the threshold, otherwise. A leaf has itself.
    leaf
        Class probabilities of leaves (float64, zeros in splits), shape (nodes, classes).
    weight
        Number of training samples in the node.
    weighted
        Whether leaves count by their weight (never in ilastik's own projects).
    """

    columns: int
    classes: int
    roots: NDArray[np.intp]
    column: NDArray[np.intp]
    threshold: FloatArray
    child: NDArray[np.intp]
    leaf: FloatArray
    weight: FloatArray
    weighted: bool = False

    @property
    def trees(self) -> int:
        """Number of trees."""
        return len(self.roots)

    @property
    def splits(self) -> IntArray:
        """Number of splits by each column (columns,)."""
        is_split = self.child[:, 0] != np.arange(len(self.child))
        return np.bincount(self.column[is_split], minlength=self.columns)

    @property
    def depth(self) -> int:
        """Most splits between a root and a leaf."""
        level, nodes = 0, self.roots
        while len(nodes := nodes[self.child[nodes, 0] != nodes]):
            level, nodes = level + 1, self.child[nodes].ravel()
        return level

    def predict(
        self,
        rows: NDArray[np.float32],
        context: Context | None = None,
        extents: tuple[int, int, int] | None = None,
        work: int | None = None,
    ) -> Predictions:
        """Class probabilities of rows (n, columns), float32.

        vigra adds the probabilities of the leaves as float32, tree after tree, and divides by their
        total; a row with NaN gets zeros.

        Parameters
        ----------
        rows
            Features, float32.
        context
            The context of the run. Its threads share large numbers of rows; the result does not depend on it.
        extents
            Lengths z, y, x, if the rows are the pixels of an image in C order: neighbours are alike, so that it is
            faster to take them together.
        work
            Rows × trees of the whole run, to choose the formulation, where more is known than the context says.

        Raises
        ------
        ProjectError
            If the rows have another number of columns than the forest.
        """
        if rows.ndim != 2 or rows.shape[1] != self.columns:
            message = f"{rows.shape[-1]} feature columns: the forest was trained on {self.columns}"
            raise ProjectError(message)
        rows = np.asarray(rows, np.float32)
        of_context = len(rows) * self.trees * (context.limits.images if context else 1)
        compiled = descents.choose(work or of_context)
        if compiled and self._layout:
            votes, total = self._descend(
                compiled, self._layout, rows, context or Context(), extents or (1, 1, len(rows))
            )
        else:
            votes, total = self._count(rows)
        with np.errstate(invalid="ignore", divide="ignore"):
            votes /= total.astype(np.float32)[:, None]
        if np.isnan(rows.min(initial=0)):  # which of them costs a second array, and there hardly ever is one
            votes[np.isnan(rows).any(axis=1)] = 0
        return Predictions(votes)

    @cached_property
    def _cut(self) -> NDArray[np.float32]:
        """The smallest float32 not below each threshold: a float32 is below both or below neither."""
        with np.errstate(over="ignore", invalid="ignore"):
            cut = self.threshold.astype(np.float32)
            low = cut < self.threshold
            cut[low] = np.nextafter(cut[low], np.float32(np.inf))
        cut[np.isnan(cut)] = -np.inf  # nothing is below NaN either
        return cut

    @cached_property
    def _votes(self) -> tuple[NDArray[np.float32], FloatArray]:
        """What each leaf adds to the classes (nodes, classes), and to the total (nodes)."""
        votes = self.leaf * self.weight[:, None] if self.weighted else self.leaf
        return votes.astype(np.float32), votes.sum(axis=1)

    @cached_property
    def _layout(self) -> Layout | None:
        """The forest for compiled code."""
        vote, share = self._votes
        return lay_out(Trees(self.roots, self.column, self._cut, self.child, vote, share, self.weight))

    def _descend(
        self,
        compiled: Any,
        layout: Layout,
        rows: NDArray[np.float32],
        context: Context,
        extents: tuple[int, int, int],
    ) -> tuple[NDArray[np.float32], FloatArray]:
        """Votes (n, classes) and their total (n), compiled."""
        votes, total = np.empty((len(rows), self.classes), np.float32), np.empty(len(rows))
        by_column = rows.T.flags.c_contiguous
        steps = (1, len(rows)) if by_column else (self.columns, 1)
        values = (rows.T if by_column else np.ascontiguousarray(rows)).reshape(-1).view(np.int32)
        shape = Shape(self.columns, self.trees, self.classes, *steps, *extents, *block_of(*extents[:2]))
        count = blocks(shape)
        part = max(-(-count // context.limits.jobs), 1)

        def write(start: int) -> None:
            stop, room = min(start + part, count), space(self.columns, self.classes)
            compiled(values, layout, room, votes.reshape(-1), total, start, stop, shape)

        for _ in context.ordered(write, range(0, count, part)):
            pass
        return votes, total

    def _count(self, rows: NDArray[np.float32]) -> tuple[NDArray[np.float32], FloatArray]:
        """Votes (n, classes) and their total (n), by numpy."""
        votes, total = np.zeros((self.classes, len(rows)), np.float32), np.zeros(len(rows))
        vote, share = self._votes
        by_class = np.ascontiguousarray(vote.T)
        by_column = np.ascontiguousarray(rows.T)
        for reached in self._leaves(by_column):
            for c in range(self.classes):
                votes[c] += by_class[c].take(reached)
            total += share.take(reached)
        return np.ascontiguousarray(votes.T), total

    def _leaves(self, columns: NDArray[np.float32]) -> Iterable[NDArray[np.intp]]:
        """The leaf that each row reaches, tree after tree; ``columns`` are the rows transposed."""
        if columns.shape[1] * self.trees <= min(FEW * len(self.column), MOST):
            return self._walk(columns)
        return (self._split(columns, root) for root in self.roots)

    def _walk(self, columns: NDArray[np.float32]) -> NDArray[np.intp]:
        """All rows through all trees at once, one level after the other."""
        node = np.repeat(self.roots[:, None], columns.shape[1], axis=1)
        row = np.arange(columns.shape[1])
        while True:
            above = columns[self.column[node], row] >= self._cut[node]
            following = self.child[node, above.astype(np.intp)]
            if np.array_equal(following, node):
                return node
            node = following

    def _split(self, columns: NDArray[np.float32], root: int) -> NDArray[np.intp]:
        """All rows through one tree: the rows of a node are split between its children."""
        reached = np.empty(columns.shape[1], np.intp)
        todo = [(int(root), np.arange(columns.shape[1]))]
        while todo:
            node, here = todo.pop()
            left, right = self.child[node].tolist()
            if left == node or not len(here):
                reached[here] = node
                continue
            below = columns[self.column[node]].take(here) < self._cut[node]
            todo += [(left, here.compress(below)), (right, here.compress(~below))]
        return reached


def decode(
    trees: Sequence[tuple[AnyArray, AnyArray]], columns: int, classes: int, *, weighted: bool = False
) -> Forest:
    """Read trees, each ``(topology, parameters)``, and check all that a damaged file could hold.

    Raises
    ------
    ProjectError
        If an index points outside its tree, a node is met twice (a circle), or a node is of another
        kind than threshold split and leaf.
    """
    topology = np.concatenate([t for t, _ in trees], dtype=np.int64, casting="unsafe")
    parameters = np.concatenate([p for _, p in trees], dtype=np.float64, casting="unsafe")
    ends = np.cumsum([len(t) for t, _ in trees])
    starts = ends - [len(t) for t, _ in trees]
    parameter_ends = np.cumsum([len(p) for _, p in trees])
    parameter_starts = parameter_ends - [len(p) for _, p in trees]
    _check(min(len(t) for t, _ in trees) >= 4, "a tree without nodes")
    _check((topology[starts] == columns).all(), f"a tree of other than {columns} columns")
    _check((topology[starts + 1] == classes).all(), f"a tree of other than {classes} classes")

    number = np.full(len(topology), -1)
    found: list[tuple[AnyArray, ...]] = []
    tree, place = np.arange(len(trees)), starts + 2
    count = depth = used = 0
    while len(place):
        depth += 1
        _check(depth <= MAXIMUM_SPLITS, f"more than {MAXIMUM_SPLITS} splits one after the other")
        _check((number[place] < 0).all(), "a circle")
        number[place] = here = count + np.arange(len(place))
        _check((number[place] == here).all(), "a circle")  # a node met twice keeps one of its numbers
        count += len(place)
        is_leaf = topology[place] == LEAF
        _check((is_leaf | (topology[place] == 0)).all(), "a node that is neither split nor leaf")
        _check((place + np.where(is_leaf, 1, 4) < ends[tree]).all(), "a node past the end")
        at = topology[place + 1] + parameter_starts[tree]
        last = at + np.where(is_leaf, classes, 1)
        used += len(place) + int((last - at).sum())
        _check(used <= len(parameters), "nodes that share their parameters")
        _check(
            ((at >= parameter_starts[tree]) & (last < parameter_ends[tree])).all(),
            "parameters past the end",
        )
        found.append((place, at, is_leaf))
        tree, place = tree[~is_leaf], place[~is_leaf]
        children = topology[place[:, None] + [2, 3]]
        inside = (children >= 2) & (children < (ends - starts)[tree][:, None])
        _check(inside.all(), "a child outside its tree")
        place = (children + starts[tree][:, None]).ravel()
        tree = np.repeat(tree, 2)
    return _assemble(topology, parameters, number, starts, found, columns, classes, weighted=weighted)


def _assemble(
    topology: AnyArray,
    parameters: FloatArray,
    number: AnyArray,
    starts: AnyArray,
    found: Sequence[tuple[AnyArray, ...]],
    columns: int,
    classes: int,
    *,
    weighted: bool,
) -> Forest:
    """Put checked nodes, in the order in which they were met, into arrays."""
    place, at, is_leaf = (np.concatenate(part) for part in zip(*found, strict=True))
    count = len(place)
    split, leaf_nodes = np.flatnonzero(~is_leaf), np.flatnonzero(is_leaf)
    tree = np.searchsorted(starts, place, side="right") - 1
    column, threshold = np.zeros(count, np.intp), np.full(count, np.inf)
    child = np.repeat(np.arange(count)[:, None], 2, axis=1)
    leaf = np.zeros((count, classes))
    column[split] = topology[place[split] + 4]
    _check(((column >= 0) & (column < columns)).all(), f"a column outside the {columns}")
    threshold[split] = parameters[at[split] + 1]
    child[split] = number[topology[place[split, None] + [2, 3]] + starts[tree[split], None]]
    leaf[leaf_nodes] = parameters[at[leaf_nodes, None] + 1 + np.arange(classes)]
    return Forest(
        columns,
        classes,
        np.arange(len(starts)),
        column,
        threshold,
        child,
        leaf,
        parameters[at],
        weighted,
    )


def _check(holds: Any, fault: str) -> None:
    if not holds:
        message = f"its forest is damaged: {fault}; open it in ilastik and train again"
        raise ProjectError(message)


def encode(forest: Forest) -> list[tuple[NDArray[np.int32], FloatArray]]:
    """The trees as vigra stores them: ``(topology, parameters)`` of each."""
    return [_encode_tree(forest, int(root)) for root in forest.roots]


def _encode_tree(forest: Forest, root: int) -> tuple[NDArray[np.int32], FloatArray]:
    """Nodes depth first, as vigra writes them."""
    order, todo = [], [root]
    while todo:
        node = todo.pop()
        order.append(node)
        left, right = forest.child[node]
        if left != node:
            todo += [int(right), int(left)]
    nodes = np.array(order)
    is_leaf = forest.child[nodes, 0] == nodes
    place = np.zeros(len(forest.column), np.int64)
    ints, floats = np.where(is_leaf, 2, 5), np.where(is_leaf, 1 + forest.classes, 2)
    place[nodes] = 2 + np.cumsum(ints) - ints
    at = np.cumsum(floats) - floats
    topology = np.zeros(2 + ints.sum(), np.int32)
    parameters = np.zeros(floats.sum())
    topology[:2] = forest.columns, forest.classes
    topology[place[nodes]] = np.where(is_leaf, LEAF, 0)
    topology[place[nodes] + 1] = at
    parameters[at] = forest.weight[nodes]
    split, leaves = nodes[~is_leaf], nodes[is_leaf]
    topology[place[split, None] + [2, 3]] = place[forest.child[split]]
    topology[place[split] + 4] = forest.column[split]
    parameters[at[~is_leaf] + 1] = forest.threshold[split]
    parameters[at[is_leaf, None] + 1 + np.arange(forest.classes)] = forest.leaf[leaves]
    return topology, parameters


def fit(
    rows: NDArray[np.float32],
    labels: NDArray[np.integer[Any]],
    classes: int,
    trees: int,
    seed: int,
    *,
    balanced: bool = False,
    context: Context | None = None,
) -> tuple[Forest, float]:
    """Train a random forest (Breiman 2001) of scikit-learn's trees; return it with its out-of-bag accuracy.

    Each tree is trained on as many rows as there are, drawn with replacement, and looks at the square root of the number of
    columns in each split.

    Parameters
    ----------
    rows
        Features (n, columns), float32, finite.
    labels
        Class of each row, from 1.
    classes
        Number of classes of the project; those that no row has get probability 0.
    trees, seed
        Number of trees, random state.
    balanced
        Whether rows of each class are drawn equally often, however few it has (the balanced forest of Chen, Liaw and
        Breiman 2004).
    context
        The context of the run, whose threads grow the trees; the forest does not depend on it.

    Raises
    ------
    UsageError
        If there are no trees, or the random state has not 32 bits.
    """
    check_growth(trees, seed)
    rows = np.ascontiguousarray(rows, np.float32)
    grown, votes = [], np.zeros((len(rows), classes))
    seeds = tree_seeds(seed, trees)
    for tree in _grown(rows, labels, classes, seeds, balanced=balanced, context=context or Context()):
        unseen = np.flatnonzero(tree.times == 0)
        votes[unseen] += tree.nodes.leaf[tree.tree.apply(rows[unseen])]
        grown.append(tree.nodes)
    return _together(grown, rows.shape[1], classes), _share_of_right(votes, labels)


def _share_of_right(votes: FloatArray, labels: NDArray[np.integer[Any]]) -> float:
    """Fraction of rows that get most votes (n, classes) for their own class; rows without votes do not count (NaN if none has)."""
    asked = votes.any(axis=1)
    if not asked.any():
        return float("nan")
    return float((votes.argmax(axis=1) + 1 == labels)[asked].mean())


def check_growth(trees: int, seed: int) -> None:
    """Check number of trees and random state.

    Raises
    ------
    UsageError
        If there are no trees, or the random state has not 32 bits.
    """
    if trees < 1 or not 0 <= seed < 2**32:
        message = (
            f"--trees {trees}, --seed {seed}: expected a tree at least, and a seed from 0 to {2**32 - 1}"
        )
        raise UsageError(message)


def grow(
    rows: NDArray[np.float32],
    labels: NDArray[np.integer[Any]],
    classes: int,
    seeds: IntArray,
    *,
    balanced: bool = False,
    context: Context | None = None,
) -> Forest:
    """As `fit`, a tree for each of the seeds, without the out-of-bag accuracy."""
    rows = np.ascontiguousarray(rows, np.float32)
    grown = _grown(rows, labels, classes, seeds, balanced=balanced, context=context or Context())
    return _together([tree.nodes for tree in grown], rows.shape[1], classes)


class _Nodes(NamedTuple):
    """The nodes of a tree, as `Forest` has those of all; children count from its root."""

    column: NDArray[np.intp]
    threshold: FloatArray
    child: NDArray[np.intp]
    leaf: FloatArray
    weight: FloatArray


class _Grown(NamedTuple):
    """A tree, the same one as scikit-learn has it, and how many times each row was drawn for it."""

    nodes: _Nodes
    tree: Any
    times: IntArray


class _Randoms(local):
    """The random numbers of a thread, seeded anew for each tree: a new `RandomState` takes as long as to grow a small tree."""

    def __init__(self) -> None:
        self._own = np.random.RandomState()

    def of(self, seed: int) -> np.random.RandomState:
        """As a new one with this seed, until the next one is asked for."""
        self._own.seed(seed)
        return self._own


def _grown(
    rows: NDArray[np.float32],
    labels: NDArray[np.integer[Any]],
    classes: int,
    seeds: IntArray,
    *,
    balanced: bool,
    context: Context,
) -> Iterator[_Grown]:
    """The trees, in the order of their seeds.

    scikit-learn's own forests exchange the filters of warnings of the process while they grow, which threads must
    not do at the same time. Its checks of what is given take longer than to grow a small tree.
    """
    from sklearn import config_context
    from sklearn.tree import DecisionTreeClassifier

    known, targets = np.unique(labels, return_inverse=True)
    randoms = _Randoms()

    def grown(seed: int) -> _Grown:
        times = np.bincount(drawn(randoms.of(seed), targets, balanced=balanced), minlength=len(rows))
        model = DecisionTreeClassifier(max_features="sqrt", random_state=randoms.of(seed))
        with config_context(assume_finite=True, skip_parameter_validation=True):  # of this thread alone
            model.fit(rows, targets, sample_weight=times.astype(float), check_input=False)
        return _Grown(_from_sklearn(model.tree_, known - 1, classes), model.tree_, times)

    if len(rows) < ALONE:
        context = Context(stop=context.stop)
    yield from context.ordered(grown, seeds.tolist())


def _together(trees: Sequence[_Nodes], columns: int, classes: int) -> Forest:
    """The forest of trees."""
    sizes = np.array([len(tree.column) for tree in trees])
    roots = np.cumsum(sizes) - sizes
    child = np.concatenate([tree.child + root for tree, root in zip(trees, roots, strict=True)])
    column, threshold, _, leaf, weight = (np.concatenate(part) for part in zip(*trees, strict=True))
    return Forest(columns, classes, roots, column, threshold, child, leaf, weight)


def tree_seeds(seed: int, trees: int) -> IntArray:
    """The random state of each tree of a forest."""
    return np.random.RandomState(seed).randint(2**31 - 1, size=trees)


def drawn(random: np.random.RandomState, classes: IntArray, *, balanced: bool) -> IntArray:
    """The rows that a tree is trained on, drawn with replacement, as many as there are.

    Parameters
    ----------
    random
        Random numbers, new from the seed of the tree.
    classes
        Class of each row, from 0; each occurs.
    balanced
        Whether each class is drawn equally often, rather than each row.
    """
    count = len(classes)
    if not balanced:
        return random.randint(0, count, count)
    sizes = np.bincount(classes)
    chosen = random.randint(0, len(sizes), count)
    first = np.cumsum(sizes) - sizes
    return np.argsort(classes, kind="stable")[first[chosen] + random.randint(0, sizes[chosen])]


def _from_sklearn(tree: Any, known: NDArray[np.intp], classes: int) -> _Nodes:
    """The nodes of scikit-learn's tree."""
    count = tree.node_count
    is_leaf = tree.children_left < 0
    own = np.arange(count)
    child = np.column_stack(
        [np.where(is_leaf, own, tree.children_left), np.where(is_leaf, own, tree.children_right)]
    )
    # scikit-learn goes left on x <= t, vigra on x < t: the next float64 makes them agree
    threshold = np.where(is_leaf, np.inf, np.nextafter(tree.threshold, np.inf))
    share = tree.value[:, 0, :]
    leaf = np.zeros((count, classes))
    leaf[:, known] = np.where(is_leaf[:, None], share / share.sum(axis=1, keepdims=True), 0)
    column = np.where(is_leaf, 0, tree.feature).astype(np.intp)
    return _Nodes(column, threshold, child, leaf, tree.weighted_n_node_samples.astype(float))
