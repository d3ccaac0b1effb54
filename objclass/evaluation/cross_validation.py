"""Judge the classifier that a table trains: cross-validation, grouped by image."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import AnyArray
from objclass.errors import InputError
from objclass.evaluation.account import account_of
from objclass.evaluation.groups import Groups, by_nothing, canonical, groups_of
from objclass.evaluation.held_out import (
    Choose,
    drawn_folds,
    fits_of,
    out_of_fold,
    out_of_fold_chosen,
    predicted,
)
from objclass.evaluation.importances import importances
from objclass.evaluation.learning_curve import REPEATS, learning_curve
from objclass.evaluation.result import Evaluation, Importance, LearningCurve
from objclass.evaluation.settings import EvaluationSettings
from objclass.project.training_table import TrainingTable

OF_CHOSEN = (
    "Learning curve and importances are those of the features that were chosen with all labels: they are slightly "
    "optimistic, unlike the scores."
)


@dataclass(frozen=True)
class Choice:
    """Columns that were chosen with the help of the labels: to judge them, they are chosen again without those held out.

    Parameters
    ----------
    columns
        Places of the columns that the classifier learns from.
    choose
        How they are chosen.
    """

    columns: Sequence[int]
    choose: Choose


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """What forests say of objects that they were not trained on: all that an evaluation follows from.

    Parameters
    ----------
    table, groups, settings
        The objects in their canonical order, how they are grouped, and how they were cross-validated.
    probabilities
        Those of each repeat (repeats, n, classes).
    fold, pair, learning_curve, importances, cautions
        As `account_of` has them.
    """

    table: TrainingTable
    groups: Groups
    settings: EvaluationSettings
    probabilities: NDArray[np.float32]
    fold: NDArray[np.intp]
    pair: AnyArray | None = None
    learning_curve: LearningCurve | None = None
    importances: tuple[Importance, ...] = ()
    cautions: tuple[str, ...] = ()

    @property
    def evaluation(self) -> Evaluation:
        """Scores with their intervals: milliseconds, while the forests have taken seconds."""
        return account_of(
            self.table,
            self.groups,
            self.probabilities,
            self.settings,
            method="cross-validation",
            fold=self.fold,
            pair=self.pair,
            learning_curve=self.learning_curve,
            importances=self.importances,
            cautions=self.cautions,
        )

    def with_names(self, names: tuple[str, ...]) -> "CrossValidation":
        """With other names of the classes."""
        return replace(self, table=replace(self.table, names=names))


def evaluate(
    table: TrainingTable, settings: EvaluationSettings, context: Context, choice: Choice | None = None
) -> Evaluation:
    """The evaluation of `cross_validate`, which documents parameters and errors."""
    return cross_validate(table, settings, context, choice).evaluation


def cross_validate(
    table: TrainingTable, settings: EvaluationSettings, context: Context, choice: Choice | None = None
) -> CrossValidation:
    """Judge the forest that is trained on a table, by forests that are trained on a part of its groups.

    Parameters
    ----------
    table
        Labelled objects of two classes at least, in any order.
    settings
        How they are grouped, and what is computed.
    context
        The context of the run, whose threads train the forests; the result does not depend on it.
    choice
        How the columns were chosen; None: they were not. Learning curve and importances are those of the chosen ones;
        folds at random, for which they would have to be chosen again, are left out.

    Raises
    ------
    InputError
        If the objects are of fewer than two classes, or there are too few to hold some out.
    UsageError
        If the table cannot be grouped as asked for.
    """
    table = canonical(table)
    if len(np.unique(table.classes)) < 2 or len(table) < 4:
        message = (
            f"{len(table)} labelled objects of {len(np.unique(table.classes))} classes: an evaluation needs four "
            "objects at least, of two classes"
        )
        raise InputError(message)
    groups = groups_of(table, settings.group_by)
    folds = drawn_folds(table, groups, settings, settings.repeats)
    fits = fits_of(folds, settings.seed)
    if choice is None:
        probabilities = whole = out_of_fold(table, fits, settings, context)
        pair = _against_random(table, groups, probabilities[0], settings, context)
    else:
        probabilities, pair = out_of_fold_chosen(table, fits, settings, context, choice.choose), None
        table = table.with_columns(choice.columns)
        if settings.learning_curve:
            whole = out_of_fold(table, fits_of(folds[:REPEATS], settings.seed), settings, context)
    curve = found = None
    if settings.learning_curve:
        curve = learning_curve(table, groups, folds, whole, settings, context)
    if settings.importances:
        found = importances(table, groups, folds, settings, context)
    return CrossValidation(
        table,
        groups,
        settings,
        probabilities,
        folds[0],
        pair,
        curve,
        found or (),
        (OF_CHOSEN,) if choice is not None and (curve or found) else (),
    )


def _against_random(
    table: TrainingTable,
    groups: Groups,
    probabilities: NDArray[np.float32],
    settings: EvaluationSettings,
    context: Context,
) -> AnyArray | None:
    """Predicted classes (2, n), by folds of whole groups and by folds at random; None where groups are objects.

    Parameters
    ----------
    probabilities
        Of the first repeat: both are of one forest for each object.
    """
    if groups.count == len(table):
        return None
    fits = fits_of(drawn_folds(table, by_nothing(table), settings, 1), settings.seed)
    return np.stack([predicted(probabilities), predicted(out_of_fold(table, fits, settings, context)[0])])
