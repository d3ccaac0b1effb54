"""Whether probabilities are what they say."""

from math import fsum, nan

import numpy as np
from numpy.typing import NDArray

from objclass.core import IntArray
from objclass.evaluation.held_out import predicted
from objclass.evaluation.result import Calibration

BINS = 10
TOLERANCE = 1e-6
"""float32 has no 0.7: what is so little below the bound of a bin is in it."""


def calibration_of(probabilities: NDArray[np.float32], given: IntArray) -> Calibration:
    """Compare the highest probability of each prediction with how often such predictions are right.

    Parameters
    ----------
    probabilities
        (n, classes).
    given
        True class of each (n,), from 1.
    """
    exact = probabilities.astype(float)
    highest, is_correct = exact.max(axis=1), predicted(probabilities) == given
    bins = np.minimum((highest * BINS + TOLERANCE).astype(int), BINS - 1)
    rows = [np.flatnonzero(bins == k) for k in range(BINS)]
    claimed = [fsum(highest[index].tolist()) for index in rows]
    correct = [int(is_correct[index].sum()) for index in rows]
    objects = [len(index) for index in rows]
    gaps = fsum(abs(c - p) for c, p in zip(correct, claimed, strict=True))
    truth = np.arange(1, exact.shape[1] + 1) == given[:, None]
    return Calibration(
        tuple(k / BINS for k in range(BINS + 1)),
        tuple(objects),
        tuple(_mean(claimed, objects)),
        tuple(_mean(correct, objects)),
        gaps / len(given) if len(given) else nan,
        fsum(((exact - truth) ** 2).ravel().tolist()) / len(given) if len(given) else nan,
    )


def _mean(totals: list[float] | list[int], objects: list[int]) -> list[float]:
    return [total / count if count else nan for total, count in zip(totals, objects, strict=True)]
