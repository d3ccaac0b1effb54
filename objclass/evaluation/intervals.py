"""95 % intervals of scores: objects of a group are alike, so groups are what is counted.

The variance of a score is that of its values without each of the groups (the delete-one jackknife, Tukey 1958). What
is in [0, 1] gets the interval of Wilson (1927) for as many objects as a fraction of that variance would have
(the effective sample size of surveys, Korn & Graubard 1998), with the quantiles of Student's t for the few groups. In cross-validation the variance is
enlarged, since other training images would have resulted in another classifier (Nadeau & Bengio 2003).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import nan, sqrt

import numpy as np

from objclass.core import AnyArray, FloatArray
from objclass.evaluation.result import Score

CERTAINTY = 0.95

Statistic = Callable[[AnyArray], FloatArray]
"""Counts (…, a, b) -> a score (…)."""


@dataclass(frozen=True)
class Trials:
    """The fractions that a score is the mean of, as if objects were independent: it is no more certain than that.

    Parameters
    ----------
    successes, of
        Number of objects counted, and of objects asked, for each fraction.
    variance
        Jackknife variance of each fraction.
    groups
        Number of groups that each is asked of.
    """

    successes: FloatArray
    of: FloatArray
    variance: FloatArray
    groups: FloatArray

    @property
    def shrunk(self) -> FloatArray:
        """Each fraction, with a success and a failure more: never 0 or 1 (Laplace)."""
        return (self.successes + 1) / (self.of + 2)

    @property
    def least(self) -> FloatArray:
        """The variance of each fraction if objects were independent."""
        return self.shrunk * (1 - self.shrunk) / self.of


def jackknife(statistic: Statistic, counts: AnyArray) -> tuple[float, float]:
    """A score of counts (groups, a, b), and its variance (NaN for fewer than two groups)."""
    total = counts.sum(axis=0)
    without = statistic(total - counts)
    known = without[np.isfinite(without)]
    value = float(statistic(total))
    if len(known) < 2:
        return value, nan
    return value, float(((known - known.mean()) ** 2).sum() * (len(known) - 1) / len(known))


def retraining(folds: int) -> float:
    """What the variance of a cross-validated score is multiplied by, for a classifier of other training images.

    The variance between groups is that of one classifier. Folds share their training data; the variance of their mean is
    about (1/folds + held out/trained) times that of a fold (Nadeau & Bengio 2003), and not 1/folds of it.

    Examples
    --------
    >>> retraining(5)
    2.25
    """
    return 1 + folds / (folds - 1)


def bounded(value: float, variance: float, trials: Trials) -> Score:
    """The interval of a score in [0, 1].

    Parameters
    ----------
    value, variance
        The score and its variance.
    trials
        The fractions of which it is, or is like, the mean.
    """
    count = len(trials.of)
    if not count or not np.isfinite([value, variance]).all():
        return Score(value)
    lacking = np.maximum(trials.least - trials.variance, 0).sum() / count**2
    least = float(trials.least.sum()) / count**2  # fractions that make up for each other by chance have none
    variance = max(variance + float(lacking), least)
    shrunk = float(trials.shrunk.mean())
    spread = value * (1 - value)
    if lacking > 0:
        spread = max(spread, shrunk * (1 - shrunk))
    parts = np.maximum(trials.least, trials.variance)
    freedom = parts.sum() ** 2 / (parts**2 / (trials.groups - 1)).sum()  # Welch and Satterthwaite
    return wilson(value, spread / variance, float(freedom))


def wilson(value: float, objects: float, freedom: float) -> Score:
    """Wilson's interval of a fraction of independent objects, whose variance has so many degrees of freedom.

    Examples
    --------
    >>> found = wilson(0.5, 100, float("inf"))
    >>> round(found.low, 3), round(found.high, 3)
    (0.404, 0.596)
    """
    share = quantile(freedom) ** 2 / objects
    center = (value + share / 2) / (1 + share)
    half = sqrt(max(value * (1 - value) * share + share**2 / 4, 0)) / (1 + share)
    return Score(value, max(center - half, 0.0), min(center + half, 1.0))


def plain(value: float, variance: float, groups: int) -> Score:
    """The interval of a difference of two fractions, by Student's t."""
    if groups < 2 or not np.isfinite([value, variance]).all():
        return Score(value)
    half = quantile(groups - 1) * sqrt(variance)
    return Score(value, max(value - half, -1.0), min(value + half, 1.0))


def quantile(freedom: float) -> float:
    """How many standard errors of so many degrees of freedom the interval reaches to either side."""
    from scipy.special import ndtri, stdtrit

    tail = (1 + CERTAINTY) / 2
    return float(stdtrit(freedom, tail)) if freedom < 1e6 else float(ndtri(tail))
