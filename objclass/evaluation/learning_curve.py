"""How the score grows with the number of labels."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import AnyArray, FloatArray
from objclass.evaluation.groups import Groups
from objclass.evaluation.held_out import Fit, fits_of, generator, out_of_fold, predicted
from objclass.evaluation.intervals import jackknife, plain, retraining
from objclass.evaluation.result import LearningCurve, Score
from objclass.evaluation.scores import Scores, confusions, recalls
from objclass.evaluation.settings import EvaluationSettings
from objclass.project.training_table import TrainingTable

PARTS = (0.125, 0.25, 0.5)
"""The parts of the labelled objects that are learnt from, besides all of them."""

LEAST = 10
"""Objects that a forest is trained on at least."""

REPEATS = 2
"""How many times folds are drawn for it, at most."""

WORTHWHILE = 0.02
"""A gain of balanced accuracy that is worth the labelling."""


def learning_curve(
    table: TrainingTable,
    groups: Groups,
    folds: Sequence[NDArray[np.intp]],
    probabilities: NDArray[np.float32],
    settings: EvaluationSettings,
    context: Context,
) -> LearningCurve:
    """Train on parts of the objects, group after group: fewer objects are objects of fewer images.

    Parameters
    ----------
    folds, probabilities
        Of each repeat, and what `out_of_fold` returns for them.
    """
    folds = folds[:REPEATS]
    whole = fits_of(folds, settings.seed)
    parts = [part for part in PARTS if part * min(len(fit.trained) for fit in whole) >= LEAST]
    fits = [[_thinned(table, groups, fit, part, k) for fit in whole] for k, part in enumerate(parts)]
    points = [out_of_fold(table, some, settings, context) for some in fits]
    counts = [
        confusions(table.classes, predicted(found), groups.of, len(table.names))
        for found in [*points, probabilities[: len(folds)]]
    ]
    inflation = retraining(int(folds[0].max()) + 1)
    return LearningCurve(
        tuple(round(sum(len(fit.trained) for fit in some) / len(some)) for some in [*fits, whole]),
        tuple(
            Scores(found, table.names, inflation, repeats=len(folds)).balanced_accuracy() for found in counts
        ),
        verdict(gain(counts[-2], counts[-1], table.names, inflation) if parts else None),
    )


def gain(before: AnyArray, after: AnyArray, names: tuple[str, ...], inflation: float) -> Score:
    """How much higher the balanced accuracy is, by confusion matrices of the same groups."""
    judged = Scores(after, names).judged

    def difference(counts: AnyArray) -> FloatArray:
        both = recalls(counts)[..., judged].mean(axis=-1)
        return both[..., 1] - both[..., 0]

    value, variance = jackknife(difference, np.stack([before, after], axis=1))
    return plain(value, variance * inflation, len(after))


def verdict(found: Score | None) -> str:
    """Whether more labels would help, from the gain by the second half of them.

    Examples
    --------
    >>> verdict(Score(0.06, 0.03, 0.09))
    'more labels would probably help: the second half of them raised balanced accuracy by 0.06 (0.03 to 0.09)'
    """
    if found is None:
        return "too few labels to say whether more would help"
    by = f"balanced accuracy by {found.value:.2f} ({found.low:.2f} to {found.high:.2f})"
    by = by.replace("-0.00", "0.00")
    if found.low > 0 and found.value >= WORTHWHILE / 2:
        return f"more labels would probably help: the second half of them raised {by}"
    if found.high < WORTHWHILE:
        return f"more labels of this kind would hardly help: the second half of them changed {by}"
    return f"whether more labels would help is not certain: the second half of them changed {by}"


def _thinned(table: TrainingTable, groups: Groups, fit: Fit, part: float, number: int) -> Fit:
    """The fit with a part of its rows: of each class, those of the groups that are drawn first."""
    random = generator(fit.seed, number)
    turn = random.permutation(groups.count)[groups.of[fit.trained]]
    rows = fit.trained[np.lexsort((random.permutation(len(turn)), turn))]
    classes = table.classes[rows]
    kept = [rows[classes == k] for k in np.unique(classes)]
    taken = [some[: int(np.ceil(part * len(some)))] for some in kept]
    return replace(fit, trained=np.sort(np.concatenate(taken)))
