"""Novelty: how far an object lies outside of what a classifier has seen.

Features are divided by their standard deviation over the training objects, and weigh as often as the forest splits by them.
The score of an object is its distance to the nearest of at most 1,000 training objects in these units, divided by the distance that 99 % of the training
objects keep to those of other images: up to 1 it is as near as a training object of a new image would be.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from math import ceil, fsum, sqrt
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.compute.kernels import Kernel
from objclass.core import FloatArray, IntArray

MAXIMUM_REFERENCES = 1000
"""Maximum number of training objects that others are compared with."""

QUANTILE = 0.99
"""The part of the training objects whose score is at most 1."""

EXPECTED = 1 - QUANTILE
"""The part of the objects of images like those of the training that is expected to be novel."""

LARGEST = float(np.finfo(np.float32).max)

WIDTH = 64
"""References that are compared at once."""

STEP = 8
"""Columns after which a sum that is too large already ends."""

ROWS = 256
"""Objects that numpy compares at once."""

NO_GROUP = float("nan")
"""The group of references that are compared with all objects: it equals none."""

Floats = NDArray[np.float64]

Space = tuple[IntArray, FloatArray]
"""Columns and factors, as `NoveltyModel` has them: where distances between objects mean something."""


class References(NamedTuple):
    """Training objects that others are compared with.

    Parameters
    ----------
    by_column
        Scaled features (c, r'), r' a multiple of `WIDTH`; the last ones are infinitely distant.
    groups
        The group of each (r',), from 0, or `NO_GROUP`.
    """

    by_column: FloatArray
    groups: FloatArray


@dataclass(frozen=True)
class NoveltyModel:
    """Training objects that others are compared with.

    Parameters
    ----------
    columns
        The columns of the forest's rows that count (c,), those of the largest weight first.
    factor
        What each of them is multiplied by (c,): the root of its weight divided by its spread.
    references
        Training objects (r, c), float32, before multiplication; `MAXIMUM_REFERENCES` of them at most.
    threshold
        The distance whose score is 1.
    images
        Number of images whose objects were compared for it; objects of a single image are more alike than those of new
        images will be.
    """

    columns: IntArray
    factor: FloatArray
    references: NDArray[np.float32]
    threshold: float
    images: int = 1

    @property
    def space(self) -> Space:
        """Columns and factors."""
        return self.columns, self.factor

    def score(self, rows: NDArray[np.float32], context: Context | None = None) -> NDArray[np.float32]:
        """The novelty of objects (n,), float32: 0 is like one of the references, above 1 it is novel.

        Parameters
        ----------
        rows
            Features as the forest gets them (n, columns), float32, finite.
        context
            The context of the run; the scores do not depend on it.
        """
        scaled = rows[:, self.columns] * self.factor
        nearest = _nearest(scaled, np.zeros(len(rows)), self._known, context or Context())
        return np.minimum(np.sqrt(nearest) / self.threshold, LARGEST).astype(np.float32)

    @cached_property
    def _known(self) -> References:
        """The references, which are of no group."""
        by_column = _padded(self.references * self.factor)
        return References(by_column, np.full(by_column.shape[1], NO_GROUP))


def model_of(
    rows: NDArray[np.float32], classes: IntArray, groups: IntArray, splits: IntArray, images: int = 1
) -> NoveltyModel | None:
    """The model of training objects; None if they do not differ in any feature that the forest splits by.

    Parameters
    ----------
    rows
        Their features as the forest gets them (n, columns), float32, finite.
    classes
        Their classes (n,).
    groups
        The image of each, or what else makes objects alike (n,): the threshold comes from distances between different
        groups. With a single group each object is its own.
    images
        Number of images that they come from.
    splits
        Number of splits of the forest by each column (columns,).
    """
    space = space_of(rows, splits)
    if space is None:
        return None
    columns, factor = space
    chosen = _references(classes)
    apart = _apart(rows[:, columns] * factor, chosen, groups)
    return NoveltyModel(columns, factor, rows[np.ix_(chosen, columns)], _threshold(apart), images)


def novelty_within(
    rows: NDArray[np.float32], classes: IntArray, groups: IntArray, splits: IntArray
) -> FloatArray:
    """The novelty of training objects among those of other groups (n,): above 1 for the 1 % least like any other.

    Parameters
    ----------
    rows, classes, groups, splits
        As for `model_of`.
    """
    space = space_of(rows, splits)
    if space is None:
        return np.zeros(len(rows))
    columns, factor = space
    apart = _apart(rows[:, columns] * factor, _references(classes), groups)
    return np.where(np.isfinite(apart), np.sqrt(apart) / _threshold(apart), 0.0)


def space_of(rows: NDArray[np.float32], splits: IntArray) -> Space | None:
    """The space of training objects (`model_of`); None if they do not differ in any feature that the forest splits by."""
    spread = np.array([_deviation(column) for column in rows.T.astype(np.float64)])
    used = np.flatnonzero((splits > 0) & (spread > 0))
    if len(used) == 0:
        return None
    columns = used[np.argsort(-splits[used], kind="stable")]
    weight = splits[columns] / splits[columns].sum()
    return columns, np.sqrt(weight) / spread[columns]


def _threshold(apart: FloatArray) -> float:
    """The distance whose score is 1, of squared distances."""
    known = np.sort(np.sqrt(apart[np.isfinite(apart)]))
    threshold = float(known[ceil(QUANTILE * (len(known) - 1))]) if len(known) else 0.0
    return threshold or 1.0


def _deviation(values: FloatArray) -> float:
    """The standard deviation, of exactly rounded sums."""
    mean = fsum(values.tolist()) / len(values)
    return sqrt(fsum(((values - mean) ** 2).tolist()) / len(values))


def _references(classes: IntArray) -> IntArray:
    """Places of the objects that others are compared with: at most `MAXIMUM_REFERENCES`, rare classes whole."""
    left, chosen = MAXIMUM_REFERENCES, []
    numbers, counts = np.unique(classes, return_counts=True)
    for place, k in enumerate(np.argsort(counts, kind="stable")):
        members = np.flatnonzero(classes == numbers[k])
        count = min(len(members), left // (len(numbers) - place))
        chosen.append(members[np.arange(count) * len(members) // count])
        left -= count
    return np.sort(np.concatenate(chosen))


def _apart(scaled: FloatArray, chosen: IntArray, groups: IntArray) -> FloatArray:
    """Squared distance of each object to the nearest reference of another group; infinite if there is none.

    With a single group each object is its own.
    """
    groups = groups if len(np.unique(groups)) > 1 else np.arange(len(scaled))
    filled = np.pad(groups[chosen].astype(float), (0, -len(chosen) % WIDTH), constant_values=NO_GROUP)
    references = References(_padded(scaled[chosen]), filled)
    return _nearest(scaled, groups.astype(float), references, Context())


def _padded(references: FloatArray) -> FloatArray:
    """References (r, c) as columns (c, r'), r' a multiple of `WIDTH`, the last ones infinitely distant."""
    missing = -len(references) % WIDTH
    return np.ascontiguousarray(np.pad(references, ((0, missing), (0, 0)), constant_values=np.inf).T)


def _nearest(scaled: FloatArray, groups: FloatArray, references: References, context: Context) -> FloatArray:
    """Squared distance of each object (n, c) to the nearest reference that is not of its group (n,)."""
    found = np.full(len(scaled), np.inf)
    shape = Shape(*references.by_column.shape)
    compiled = nearness.choose(scaled.size * shape.references * context.limits.images)
    values, flat = np.ascontiguousarray(scaled).reshape(-1), references.by_column.reshape(-1)

    def compare(start: int) -> None:
        stop = min(start + part, len(scaled))
        if compiled:
            given = groups, references.groups, np.empty(WIDTH), found
            compiled(values, flat, *given, start, stop, shape)
        else:
            distances = _distances(scaled[start:stop], references.by_column)
            distances[groups[start:stop, None] == references.groups] = np.inf
            found[start:stop] = distances.min(axis=1)

    part = max(-(-len(scaled) // context.limits.jobs), 1) if compiled else ROWS
    for _ in context.ordered(compare, range(0, len(scaled), part)):
        pass
    return found


def _distances(scaled: FloatArray, by_column: FloatArray) -> FloatArray:
    """Squared distances (n, r'), added column by column."""
    found = np.zeros((len(scaled), by_column.shape[1]))
    for value, references in zip(scaled.T, by_column, strict=True):
        found += (value[:, None] - references) ** 2
    return found


# ---------------------------------------------------------------------------- compiled


class Shape(NamedTuple):
    """Numbers of columns, and of references."""

    columns: int
    references: int


def find_nearest(
    values: Floats,
    references: Floats,
    groups: Floats,
    of_references: Floats,
    space: Floats,
    nearest: Floats,
    start: int,
    stop: int,
    shape: Shape,
) -> None:
    """Squared distance of the objects ``start`` to ``stop`` to the nearest reference that is not of their group.

    Sums only grow, so a reference whose sum of some columns is not below the smallest distance is none that counts.
    """
    for i in range(start, stop):
        best = np.inf
        for first in range(0, shape.references, WIDTH):
            for k in range(WIDTH):
                space[k] = np.inf if groups[i] == of_references[first + k] else 0.0
            column, low = 0, 0.0
            while column < shape.columns and low < best:
                end = min(column + STEP, shape.columns)
                for j in range(column, end):
                    value, at = values[i * shape.columns + j], j * shape.references + first
                    for k in range(WIDTH):
                        gap = value - references[at + k]
                        space[k] += gap * gap
                column, low = end, space[0]
                for k in range(1, WIDTH):
                    low = min(low, space[k])
            best = min(best, low)
        nearest[i] = best


def _lengths(*given: Any) -> Mapping[str, int]:
    """The minimum number of elements of the arrays of `find_nearest`."""
    *_, stop, shape = given
    return {
        "values": stop * shape.columns,
        "references": shape.columns * shape.references,
        "groups": stop,
        "of_references": shape.references,
        "space": WIDTH,
        "nearest": stop,
    }


nearness = Kernel(find_nearest, repays_loading=30_000_000, repays_compiling=1_000_000_000, lengths=_lengths)
