"""Which features to learn from: recursive elimination, judged by objects that were not learned from.

From all features on, a forest ranks those that are left, and the least important ones go; the number that is kept is the
one whose forests are best for held-out objects (I. Guyon et al., Gene selection for cancer classification using support
vector machines, 2002; for forests R. Díaz-Uriarte, S. Alvarez de Andrés, Gene selection and classification of microarray
data using random forest, 2006). Held-out objects take no part in the ranking, either.

A feature is kept or dropped with all its columns, since projects measure whole features; its importance is the mean of
theirs, so that many empty columns do not weigh as much as a few full ones.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import FloatArray, IntArray
from objclass.errors import UsageError, listed
from objclass.evaluation.groups import canonical, groups_of
from objclass.evaluation.held_out import Fit, drawn_folds, fits_of, generator, predicted
from objclass.evaluation.result import Score
from objclass.evaluation.scores import MINIMUM_GROUPS, MINIMUM_OBJECTS, Scores, confusions
from objclass.evaluation.settings import EvaluationSettings
from objclass.forest import Forest, grow, tree_seeds
from objclass.project.training_table import TrainingTable

Key = tuple[str, str]
"""Name of a feature set, name of a feature."""

FEWEST = 4
"""Number of features that are always kept."""

STEP = 2**0.5
"""By how much the number of features decreases from one forest to the next."""

OBJECTS = 1000
"""Number of objects of each class that are looked at: more would not change the choice, but take longer."""

SHOWN = 12
"""Dropped features that are named."""

DIGITS = 6
"""Importances and probabilities that agree in so many digits are equal."""


@dataclass(frozen=True)
class Selection:
    """The features that were chosen.

    Parameters
    ----------
    columns
        Places of their columns in the table, ascending.
    kept, dropped
        The features, in the order of the table.
    sizes, scores
        Numbers of features that were tried, descending, and balanced accuracy of held-out objects with each. The score
        of the number that was chosen is slightly optimistic.
    reason
        Why nothing was chosen, and all features are kept; ``""`` otherwise.
    """

    columns: tuple[int, ...]
    kept: tuple[Key, ...]
    dropped: tuple[Key, ...]
    sizes: tuple[int, ...] = ()
    scores: tuple[Score, ...] = ()
    reason: str = ""

    @property
    def balanced_accuracies(self) -> tuple[float, float]:
        """Balanced accuracy of held-out objects with all features, and with those that are kept."""
        return self.scores[0].value, self.scores[self.sizes.index(len(self.kept))].value

    @property
    def lines(self) -> list[str]:
        """Sentences for people."""
        total = len(self.kept) + len(self.dropped)
        if self.reason:
            return [f"all {total} features are kept: {self.reason}"]
        before, after = self.balanced_accuracies
        of_sets = Counter(name for name, _ in [*self.kept, *self.dropped])
        kept = Counter(name for name, _ in self.kept)
        parts = [f"{name} {kept[name]} of {count}" for name, count in of_sets.items()]
        score = f"cross-validated balanced accuracy {after:.3f}, with all of them {before:.3f}"
        return [
            f"{len(self.kept)} of {total} features are kept: {score}",
            f"kept of {', '.join(parts)}",
            *([f"dropped: {listed([_named(key) for key in self.dropped], SHOWN)}"] if self.dropped else []),
        ]


def choose_features(
    table: TrainingTable, features: Sequence[Key], settings: EvaluationSettings, context: Context
) -> Selection:
    """Choose the features to learn from.

    Parameters
    ----------
    table
        Labelled objects, in any order.
    features
        The feature of each column.
    settings
        The forests, and how objects are grouped into folds; ``repeats`` does not matter.
    context
        The context of the run, whose threads train the forests; the choice does not depend on it.

    Raises
    ------
    UsageError
        If there is not a feature for each column, or the table cannot be grouped as asked for.
    """
    if len(features) != len(table.columns):
        message = f"{len(features)} features for {len(table.columns)} columns: expected one for each"
        raise UsageError(message)
    table = _thinned(canonical(table), settings.seed)
    names = list(dict.fromkeys(features))
    of_column = np.array([names.index(key) for key in features], np.intp)
    candidates = np.unique(of_column[_different(table.rows)])
    groups = groups_of(table, settings.group_by)
    reason = _too_few(table, len(candidates), groups.count)
    if reason:
        return Selection(tuple(range(len(features))), tuple(names), (), reason=reason)
    elimination = Elimination(table, of_column, candidates, settings)
    fits = fits_of(drawn_folds(table, groups, settings, 1), settings.seed)
    found = np.zeros((len(elimination.sizes), len(table), len(table.names)), np.float32)
    for fit, probabilities in context.ordered(lambda fit: (fit, elimination.judged(fit)), fits):
        found[:, fit.held_out] = probabilities
    best = int(np.argmin([_error(one, table.classes) for one in found]))
    *_, (kept, _) = elimination.steps(np.arange(len(table)), settings.seed, best + 1)
    is_kept = np.isin(np.arange(len(names)), kept)
    return Selection(
        tuple(np.flatnonzero(is_kept[of_column]).tolist()),
        tuple(key for key, keep in zip(names, is_kept, strict=True) if keep),
        tuple(key for key, keep in zip(names, is_kept, strict=True) if not keep),
        tuple(elimination.sizes),
        tuple(
            Scores(
                confusions(table.classes, predicted(one), groups.of, len(table.names)), table.names
            ).balanced_accuracy()
            for one in found
        ),
    )


@dataclass(frozen=True)
class Elimination:
    """Forests of fewer and fewer features.

    Parameters
    ----------
    table
        The objects.
    of_column
        The feature of each column, from 0.
    candidates
        The features to begin with, ascending.
    settings
        The forests.
    """

    table: TrainingTable
    of_column: NDArray[np.intp]
    candidates: NDArray[np.intp]
    settings: EvaluationSettings

    @property
    def sizes(self) -> list[int]:
        """Numbers of features, descending."""
        sizes = [len(self.candidates)]
        while sizes[-1] > FEWEST:
            sizes.append(max(FEWEST, int(sizes[-1] / STEP)))
        return sizes

    def judged(self, fit: Fit) -> NDArray[np.float32]:
        """Probabilities of the objects that are held out, for each number of features (sizes, n, classes)."""
        rows = self.table.rows[fit.held_out]
        return np.stack(
            [
                forest.predict(rows[:, self._columns(kept)]).probabilities
                for kept, forest in self.steps(fit.trained, fit.seed, len(self.sizes))
            ]
        )

    def steps(
        self, trained: NDArray[np.intp], seed: int, count: int
    ) -> Iterator[tuple[NDArray[np.intp], Forest]]:
        """The features that are left, and their forest, for the first ``count`` sizes."""
        kept, settings = self.candidates, self.settings
        for following in [*self.sizes[1:], 0][:count]:
            columns = self._columns(kept)
            forest = grow(
                self.table.rows[np.ix_(trained, columns)],
                self.table.classes[trained],
                len(self.table.names),
                tree_seeds(seed, settings.trees),
                balanced=settings.balanced,
            )
            yield kept, forest
            ranking = self._ranking(column_importances(forest), columns, kept)
            kept = np.sort(kept[ranking[:following]])

    def _columns(self, kept: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.flatnonzero(np.isin(self.of_column, kept))

    def _ranking(
        self, importance: FloatArray, columns: NDArray[np.intp], kept: NDArray[np.intp]
    ) -> NDArray[np.intp]:
        """The order of the features: the most important one first, of equal ones the first."""
        place = np.searchsorted(kept, self.of_column[columns])
        mean = np.bincount(place, importance) / np.bincount(place)
        return np.argsort(-mean.round(DIGITS), kind="stable")


def _named(key: Key) -> str:
    """A feature with its set; the columns of a table are of none."""
    return " ".join(part for part in key if part)


def column_importances(forest: Forest) -> FloatArray:
    """By how much the splits of each column decrease Gini's impurity (columns,); their sum is 1 (Breiman 2001)."""
    levels, level = list[NDArray[np.intp]](), forest.roots
    while len(split := level[forest.child[level, 0] != level]):
        levels.append(split)
        level = forest.child[split].ravel()
    mass = forest.leaf * forest.weight[:, None]
    for split in reversed(levels):
        mass[split] = mass[forest.child[split]].sum(axis=1)
    weight = np.maximum(mass.sum(axis=1), np.finfo(float).tiny)
    impurity = weight - (mass * mass).sum(axis=1) / weight
    splits = np.concatenate(levels) if levels else np.zeros(0, np.intp)
    decrease = impurity[splits] - impurity[forest.child[splits]].sum(axis=1)
    total = np.bincount(forest.column[splits], decrease, forest.columns)
    return total / max(float(total.sum()), np.finfo(float).tiny)


def _thinned(table: TrainingTable, seed: int) -> TrainingTable:
    """The table with `OBJECTS` objects of each class at most."""
    random = generator(seed, 0, 0)
    rows = [np.flatnonzero(table.classes == number) for number in np.unique(table.classes)]
    drawn = [some if len(some) <= OBJECTS else random.permutation(some)[:OBJECTS] for some in rows]
    return table.take(np.sort(np.concatenate(drawn)))


def _too_few(table: TrainingTable, candidates: int, groups: int) -> str:
    """Why nothing can be chosen; ``""`` if it can."""
    rarest = int(np.unique(table.classes, return_counts=True)[1].min())
    if rarest < MINIMUM_OBJECTS:
        return f"a class has only {rarest} labelled objects"
    if groups < MINIMUM_GROUPS:
        return "no objects can be held out"
    return f"only {candidates} of them differ" if candidates <= FEWEST else ""


def _different(rows: NDArray[np.float32]) -> NDArray[np.intp]:
    """Places of the columns that are not constant, and not equal to an earlier one."""
    first = {column.tobytes(): k for k, column in reversed(list(enumerate(rows.T)))}
    return np.array(sorted(k for k in first.values() if np.ptp(rows[:, k]) > 0), np.intp)


def _error(probabilities: NDArray[np.float32], classes: IntArray) -> float:
    """Mean squared difference of the probabilities and the truth (G. W. Brier 1950), of each class the same weight.

    It is known better than balanced accuracy, since it also changes where no object moves to another class.
    """
    truth = np.arange(1, probabilities.shape[1] + 1) == classes[:, None]
    squares = ((probabilities.astype(np.float64) - truth) ** 2).sum(axis=1)
    count = np.bincount(classes)
    means = np.bincount(classes, squares)[count > 0] / count[count > 0]
    return round(float(means.mean()), DIGITS)
