"""The account of how good predictions are: all scores, and what limits them."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from objclass.core import IntArray
from objclass.evaluation.calibration import calibration_of
from objclass.evaluation.cautions import cautions_of, mixing
from objclass.evaluation.groups import Groups
from objclass.evaluation.held_out import mean, predicted
from objclass.evaluation.intervals import retraining
from objclass.evaluation.result import Evaluation, Importance, Judged, LearningCurve
from objclass.evaluation.scores import MINIMUM_GROUPS, Scores, confusions
from objclass.evaluation.settings import EvaluationSettings
from objclass.project.training_table import TrainingTable


def account_of(
    table: TrainingTable,
    groups: Groups,
    probabilities: NDArray[np.float32],
    settings: EvaluationSettings,
    *,
    method: str,
    fold: IntArray,
    pair: IntArray | None = None,
    learning_curve: LearningCurve | None = None,
    importances: tuple[Importance, ...] = (),
    cautions: Iterable[str] = (),
) -> Evaluation:
    """An evaluation from what classifiers say of objects that they were not trained on.

    Parameters
    ----------
    table, groups
        The objects, and how they are grouped.
    probabilities
        Those of each repeat (repeats, n, classes). Scores and calibration are means over repeats, each of a single
        classifier; counts and the table of predictions are those of the mean probabilities.
    method, fold
        As in `Evaluation` and `Judged`.
    pair
        Predicted classes (2, n), by folds of whole groups and by folds at random.
    cautions
        Further ones.
    """
    repeats, together = len(probabilities), mean(probabilities)
    each, found = predicted(probabilities), predicted(together)
    folds = int(fold.max(initial=-1)) + 1
    inflation = retraining(folds) if folds > 1 else 1.0
    minimum = MINIMUM_GROUPS if folds > 1 else 1
    counts = confusions(table.classes, each, groups.of, len(table.names))
    scores = Scores(counts, table.names, inflation, minimum, repeats)
    shown = confusions(table.classes, found, np.zeros(len(table), np.intp), len(table.names))[0]
    random = None
    if pair is not None:
        counts = confusions(table.classes, pair[1], groups.of, len(table.names))
        random = Scores(counts, table.names, inflation)
    return Evaluation(
        names=table.names,
        images=table.images,
        method=method,
        grouped_by=groups.name,
        groups=groups.count,
        folds=folds,
        repeats=repeats,
        seed=settings.seed,
        accuracy=scores.accuracy(),
        balanced_accuracy=scores.balanced_accuracy(),
        f1=scores.f1(),
        matthews=scores.matthews(),
        by_class=scores.by_class(shown),
        confusion=shown,
        calibration=calibration_of(np.concatenate(probabilities), np.tile(table.classes, repeats)),
        objects=Judged(table.image, table.timestep, table.label, table.classes, found, together, fold),
        learning_curve=learning_curve,
        importances=importances,
        ungrouped=random.balanced_accuracy() if random is not None else None,
        by_image=_by_image(table, each),
        cautions=(
            *cautions,
            *cautions_of(table, groups, scores, settings, method, mixing(table, scores, pair)),
        ),
    )


def _by_image(table: TrainingTable, each: IntArray) -> tuple[tuple[str, int, float], ...]:
    """Name, number of objects and accuracy (mean over repeats) of each image that has any."""
    rows = {name: table.image == k for k, name in enumerate(table.images)}
    return tuple(
        (name, int(of.sum()), float((each == table.classes)[:, of].mean()))
        for name, of in rows.items()
        if of.any()
    )
