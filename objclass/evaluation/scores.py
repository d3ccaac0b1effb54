"""Scores from confusion matrices (…, classes, classes): rows are true, columns predicted classes."""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, FloatArray, IntArray
from objclass.evaluation.intervals import Statistic, Trials, bounded, jackknife
from objclass.evaluation.result import ClassScores, Score

MINIMUM_OBJECTS, MINIMUM_GROUPS = 10, 2
"""Of a class of fewer objects, or in cross-validation of fewer groups, counts are given, no rates."""


def confusions(
    given: IntArray, predicted: IntArray, groups: NDArray[np.intp], classes: int
) -> NDArray[np.int64]:
    """The confusion matrix of each group (groups, classes, classes).

    Parameters
    ----------
    given, groups
        True class (from 1) and group (from 0) of each object (n,).
    predicted
        Predicted classes (n,), or those of several repeats (repeats, n), each of which counts.
    """
    found = np.zeros((int(groups.max(initial=-1)) + 1, classes, classes), np.int64)
    np.add.at(found, (groups, given - 1, predicted - 1), 1)
    return found


def diagonal(counts: AnyArray) -> AnyArray:
    """Number of correct objects of each class."""
    return np.diagonal(counts, axis1=-2, axis2=-1)


def recalls(counts: AnyArray) -> FloatArray:
    """Fraction of the objects of each class that are predicted as it; NaN if there are none."""
    return _ratio(diagonal(counts), counts.sum(axis=-1))


def precisions(counts: AnyArray) -> FloatArray:
    """Fraction of the objects predicted as each class that are of it; NaN if there are none."""
    return _ratio(diagonal(counts), counts.sum(axis=-2))


def f1s(counts: AnyArray) -> FloatArray:
    """Harmonic mean of precision and recall; NaN if there are neither objects nor predictions."""
    return _ratio(2 * diagonal(counts), counts.sum(axis=-1) + counts.sum(axis=-2))


def accuracy(counts: AnyArray) -> FloatArray:
    """Fraction of the objects that are predicted correctly."""
    return _ratio(diagonal(counts).sum(axis=-1), counts.sum(axis=(-2, -1)))


def matthews(counts: AnyArray) -> FloatArray:
    """Matthews' correlation of true and predicted classes (Gorodkin 2004 for several); 0 if either is constant."""
    true, predicted = counts.sum(axis=-1).astype(float), counts.sum(axis=-2).astype(float)
    total = true.sum(axis=-1)
    covariance = total * diagonal(counts).sum(axis=-1) - (true * predicted).sum(axis=-1)
    spread = (total**2 - (true**2).sum(axis=-1)) * (total**2 - (predicted**2).sum(axis=-1))
    found = _ratio(covariance, np.sqrt(spread))
    return np.where(spread > 0, found, 0.0)


def _ratio(part: AnyArray, whole: AnyArray) -> FloatArray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(whole > 0, part / whole, nan)


def _one(rates: Statistic, k: int) -> Statistic:
    """The rate of one class."""
    return lambda counts: rates(counts)[..., k]


@dataclass(frozen=True)
class Scores:
    """All scores of confusion matrices.

    Parameters
    ----------
    counts
        The confusion matrix of each group (groups, classes, classes).
    names
        Of the classes.
    inflation
        What the variances between groups are multiplied by (`retraining`): 1 for one classifier on other data.
    minimum
        Number of groups that a class needs: in cross-validation a class of one group is never known when it is judged.
    repeats
        How many times each object is counted: it says no more than one object.
    """

    counts: NDArray[np.int64]
    names: tuple[str, ...]
    inflation: float = 1.0
    minimum: int = MINIMUM_GROUPS
    repeats: int = 1

    @property
    def total(self) -> NDArray[np.int64]:
        """The confusion matrix of all objects, summed over repeats."""
        return self.counts.sum(axis=0)

    @property
    def objects(self) -> NDArray[np.int64]:
        """Number of objects of each class."""
        return self.total.sum(axis=1) // self.repeats

    @property
    def holders(self) -> NDArray[np.int64]:
        """Number of groups that have objects of each class."""
        return np.count_nonzero(self.counts.sum(axis=2), axis=0)

    @property
    def judged(self) -> NDArray[np.intp]:
        """The classes (from 0) that can be judged."""
        return np.flatnonzero(self.holders >= self.minimum)

    def accuracy(self) -> Score:
        """`accuracy`."""
        value, variance = self._jackknife(accuracy)
        total = self.total
        correct, objects = np.trace(total) / self.repeats, total.sum() / self.repeats
        one = Trials(*(np.array([float(x)]) for x in (correct, objects, variance, len(self.counts))))
        return bounded(value, variance, one)

    def balanced_accuracy(self) -> Score:
        """Mean recall of the classes that can be judged; NaN for fewer than two of them."""
        return self._mean(recalls, self._recall_trials)

    def f1(self) -> Score:
        """Mean F1 of the classes that can be judged; NaN for fewer than two of them."""
        return self._mean(f1s, self._f1_trials)

    def matthews(self) -> Score:
        """`matthews`: its interval is that of a fraction, moved from [0, 1] to [-1, 1]."""
        if len(self.judged) < 2:
            return Score(nan)
        value, variance = self._jackknife(lambda counts: (matthews(counts) + 1) / 2)
        found = bounded(value, variance, self._recall_trials(self.judged))
        return Score(*(2 * x - 1 for x in (found.value, found.low, found.high)))

    def by_class(self, shown: IntArray | None = None) -> tuple[ClassScores, ...]:
        """Counts of each class, and rates where it is not too rare.

        Parameters
        ----------
        shown
            The confusion matrix (classes, classes) that is counted; by default that of all objects.
        """
        shown = self.total if shown is None else shown
        return tuple(self._of_class(k, shown) for k in range(len(self.names)))

    def _of_class(self, k: int, shown: IntArray) -> ClassScores:
        objects = int(self.objects[k])
        counts = (objects, int(self.holders[k]), int(shown[:, k].sum()), int(shown[k, k]))
        if objects < MINIMUM_OBJECTS or k not in self.judged:
            return ClassScores(self.names[k], *counts, None, None, None)
        only = np.array([k])
        return ClassScores(
            self.names[k],
            *counts,
            self._mean(precisions, self._precision_trials, only) if self.total[:, k].any() else None,
            self._mean(recalls, self._recall_trials, only),
            self._mean(f1s, self._f1_trials, only),
        )

    def _mean(
        self,
        rates: Statistic,
        trials: Callable[[NDArray[np.intp]], Trials],
        classes: NDArray[np.intp] | None = None,
    ) -> Score:
        chosen = self.judged if classes is None else classes
        if classes is None and len(chosen) < 2:
            return Score(nan)
        value, variance = self._jackknife(lambda counts: rates(counts)[..., chosen].mean(axis=-1))
        return bounded(value, variance, trials(chosen))

    def _jackknife(self, statistic: Statistic) -> tuple[float, float]:
        value, variance = jackknife(statistic, self.counts)
        return value, variance * self.inflation

    def _recall_trials(self, classes: NDArray[np.intp]) -> Trials:
        return self._trials(recalls, diagonal(self.total), self.total.sum(axis=1), classes)

    def _precision_trials(self, classes: NDArray[np.intp]) -> Trials:
        return self._trials(precisions, diagonal(self.total), self.total.sum(axis=0), classes)

    def _f1_trials(self, classes: NDArray[np.intp]) -> Trials:
        of = (self.total.sum(axis=0) + self.total.sum(axis=1)) / 2
        return self._trials(f1s, diagonal(self.total), of, classes)

    def _trials(
        self,
        rates: Statistic,
        successes: AnyArray,
        of: AnyArray,
        classes: NDArray[np.intp],
    ) -> Trials:
        variances = [self._jackknife(_one(rates, int(k)))[1] for k in classes]
        groups = np.maximum(self.holders[classes], 2).astype(float)
        return Trials(
            successes[classes] / self.repeats, of[classes] / self.repeats, np.array(variances), groups
        )
