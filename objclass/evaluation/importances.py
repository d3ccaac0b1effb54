"""Which features the forest needs: permutation importance of held-out objects (Breiman 2001), by groups of columns."""

import re
from collections.abc import Mapping, Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import AnyArray, FloatArray
from objclass.evaluation.groups import Groups
from objclass.evaluation.held_out import Fit, fits_of, generator, judged_by, predicted
from objclass.evaluation.intervals import Statistic, jackknife, plain, retraining
from objclass.evaluation.result import Importance
from objclass.evaluation.scores import Scores, confusions, recalls
from objclass.evaluation.settings import EvaluationSettings
from objclass.forest import Forest
from objclass.project.training_table import TrainingTable

SHUFFLES = 5
"""How many times the columns of a group are shuffled."""

SHARED = 0.9
"""Correlation from which on a column says what another one says."""


def importances(
    table: TrainingTable,
    groups: Groups,
    folds: Sequence[NDArray[np.intp]],
    settings: EvaluationSettings,
    context: Context,
) -> tuple[Importance, ...]:
    """The importance of each group of columns, the most important first.

    Objects that are held out get the values of other held-out objects, in all columns of the group at once.
    """
    columns = column_groups(table)
    classes, count = len(table.names), len(columns) * SHUFFLES

    def look(forest: Forest, fit: Fit) -> AnyArray:
        rows = table.rows[fit.held_out]
        several = (_shuffled(rows, places, fit.seed, k) for k, places in enumerate(columns.values()))
        found = [predicted(forest.predict(some).probabilities) for some in chain([rows], several)]
        return np.concatenate(found).reshape(count + 1, len(rows))

    fits = fits_of(folds[:1], settings.seed)
    found = np.zeros((count + 1, len(table)), np.int32)
    for fit, some in judged_by(table, fits, settings, context, look):
        found[:, fit.held_out] = some
    inflation = retraining(len(fits))
    whole = confusions(table.classes, found[0], groups.of, classes)
    judged = Scores(whole, table.names).judged
    shared = _shared(table.rows, columns)
    result = []
    for k, (name, places) in enumerate(columns.items()):
        several = found[1 + k * SHUFFLES : 1 + (k + 1) * SHUFFLES]
        shuffled = [confusions(table.classes, one, groups.of, classes) for one in several]
        value, variance = jackknife(_loss(judged), np.stack([whole, *shuffled], axis=1))
        loss = plain(value, variance * inflation, groups.count)
        result.append(Importance(name, tuple(table.columns[p] for p in places), loss, shared[name]))
    return tuple(sorted(result, key=lambda one: (-round(one.loss.value, 9), one.group)))


def column_groups(table: TrainingTable) -> Mapping[str, list[int]]:
    """Name of each group -> places of its columns: the feature sets; features, where there is a single set."""
    names = table.sets if len(set(table.sets)) > 1 else [feature_of(column) for column in table.columns]
    return {name: [k for k, other in enumerate(names) if other == name] for name in sorted(set(names))}


def feature_of(column: str) -> str:
    """The feature of a column: its name without the numbers of its values.

    Examples
    --------
    >>> feature_of("Histogram_12"), feature_of("intensity_mean-0"), feature_of("area")
    ('Histogram', 'intensity_mean', 'area')
    """
    return re.sub(r"(?<=.)([_-]\d+)+$", "", column)


def _shuffled(
    rows: NDArray[np.float32], places: Sequence[int], seed: int, number: int
) -> NDArray[np.float32]:
    """The rows, again and again, each time with some columns shuffled together."""
    random = generator(seed, number)
    found = np.tile(rows, (SHUFFLES, 1, 1))
    for some in found:
        some[:, places] = rows[random.permutation(len(rows))][:, places]
    return found.reshape(-1, rows.shape[1])


def _loss(judged: NDArray[np.intp]) -> Statistic:
    """Balanced accuracy of the first confusion matrix less the mean of that of the others."""

    def statistic(counts: AnyArray) -> FloatArray:
        score = recalls(counts)[..., judged].mean(axis=-1)
        return score[..., 0] - score[..., 1:].mean(axis=-1)

    return statistic


def _shared(rows: NDArray[np.float32], columns: Mapping[str, Sequence[int]]) -> Mapping[str, tuple[str, ...]]:
    """For each group the other ones of which a column is like most of its columns."""
    with np.errstate(invalid="ignore", divide="ignore"):
        alike = np.nan_to_num(
            np.abs(np.corrcoef(rows.astype(float), rowvar=False)).reshape(rows.shape[1], -1)
        )
    found = {}
    for name, own in columns.items():
        nearest = {o: alike[np.ix_(own, there)].max(axis=1) for o, there in columns.items() if o != name}
        found[name] = tuple(o for o, near in nearest.items() if np.median(near.round(6)) >= SHARED)
    return found
