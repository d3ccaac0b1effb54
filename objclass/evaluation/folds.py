"""Stratified folds of whole groups."""

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, IntArray

SCALE = 2**60
"""Imbalances are compared as integers: they are the same on every processor."""


def folds_of(
    groups: NDArray[np.intp], classes: IntArray, count: int, random: np.random.Generator
) -> NDArray[np.intp]:
    """The fold of each object (n,), from 0: objects of a group are in one fold, each class in about equal parts.

    A class of two groups or more is never in one fold alone, so that no forest is trained without it, if this can be
    avoided.

    Parameters
    ----------
    groups, classes
        Of each object, from 0 and from 1.
    count
        Number of folds, at most that of the groups.
    random
        Draws the order in which groups are dealt out.
    """
    counts = class_counts(groups, classes)
    holders = np.count_nonzero(counts, axis=0)
    rarest = np.where(counts > 0, holders, len(counts) + 1).min(axis=1)
    order = np.lexsort((random.permutation(len(counts)), rarest))  # groups of rare classes first
    whole = np.column_stack([counts, counts.sum(axis=1)])  # besides the classes, the folds have equal sizes
    weight = SCALE // whole.shape[1] // np.maximum(whole.sum(axis=0), 1) ** 2
    load = np.zeros((count, whole.shape[1]), np.int64)
    fold = np.zeros(len(counts), np.intp)
    left = holders.copy()
    for group in order.tolist():
        present = np.flatnonzero(counts[group])
        left[present] -= 1
        last = present[(left[present] == 0) & (holders[present] > 1)]
        dealt = load[:, last] > 0
        alone = (dealt & (dealt.sum(axis=0) == 1)).sum(axis=1)  # classes that would be in this fold alone
        imbalance = (load * (whole[group] * weight)).sum(axis=1)
        fold[group] = best = np.lexsort((imbalance, alone))[0]
        load[best] += whole[group]
    return fold[groups]


def class_counts(groups: NDArray[np.intp], classes: IntArray) -> AnyArray:
    """Number of objects (groups, classes)."""
    counts = np.zeros((int(groups.max()) + 1, int(classes.max())), np.int64)
    np.add.at(counts, (groups, classes - 1), 1)
    return counts
