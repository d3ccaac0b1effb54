"""Predictions of objects by forests that were not trained on their groups."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import IntArray
from objclass.evaluation.folds import folds_of
from objclass.evaluation.groups import Groups
from objclass.evaluation.settings import EvaluationSettings
from objclass.forest import Forest, grow, tree_seeds
from objclass.project.training_table import TrainingTable

Seen = TypeVar("Seen")

Choose = Callable[[TrainingTable], Sequence[int]]
"""A table -> the places of the columns to learn from."""


@dataclass(frozen=True)
class Fit:
    """A forest of a cross-validation: the rows that it is trained on, those that are held out, its random state."""

    repeat: int
    trained: NDArray[np.intp]
    held_out: NDArray[np.intp]
    seed: int


def drawn_folds(
    table: TrainingTable, groups: Groups, settings: EvaluationSettings, repeats: int
) -> list[NDArray[np.intp]]:
    """The folds of each repeat, as `folds_of` returns them."""
    count = min(settings.folds, groups.count)
    return [
        folds_of(groups.of, table.classes, count, generator(settings.seed, repeat))
        for repeat in range(repeats)
    ]


def fits_of(folds: Iterable[NDArray[np.intp]], seed: int) -> list[Fit]:
    """The forests of all folds of all repeats."""
    return [
        Fit(
            repeat,
            np.flatnonzero(fold != number),
            np.flatnonzero(fold == number),
            int(generator(seed, repeat, number + 1).integers(2**32)),
        )
        for repeat, fold in enumerate(folds)
        for number in range(int(fold.max()) + 1)
    ]


def judged_by(
    table: TrainingTable,
    fits: Iterable[Fit],
    settings: EvaluationSettings,
    context: Context,
    look: Callable[[Forest, Fit], Seen],
) -> Iterator[tuple[Fit, Seen]]:
    """Train each forest, on the threads of the run, and look at what it says of the rows that are held out."""
    alone = Context(stop=context.stop)  # a thread has forests of its own, and ends between two of their trees

    def work(fit: Fit) -> tuple[Fit, Seen]:
        forest = grow(
            table.rows[fit.trained],
            table.classes[fit.trained],
            len(table.names),
            tree_seeds(fit.seed, settings.trees),
            balanced=settings.balanced,
            context=alone,
        )
        return fit, look(forest, fit)

    yield from context.ordered(work, list(fits))


def out_of_fold(
    table: TrainingTable, fits: Sequence[Fit], settings: EvaluationSettings, context: Context
) -> NDArray[np.float32]:
    """Probabilities of each object, held out once in each repeat (repeats, n, classes)."""
    found = np.zeros((fits[-1].repeat + 1, len(table), len(table.names)), np.float32)

    def look(forest: Forest, fit: Fit) -> NDArray[np.float32]:
        return forest.predict(table.rows[fit.held_out]).probabilities

    for fit, probabilities in judged_by(table, fits, settings, context, look):
        found[fit.repeat, fit.held_out] = probabilities
    return found


def out_of_fold_chosen(
    table: TrainingTable, fits: Sequence[Fit], settings: EvaluationSettings, context: Context, choose: Choose
) -> NDArray[np.float32]:
    """`out_of_fold`, where each forest learns from columns that are chosen without the objects that are held out."""
    found = np.zeros((fits[-1].repeat + 1, len(table), len(table.names)), np.float32)

    def work(fit: Fit) -> tuple[Fit, NDArray[np.float32]]:
        part = table.with_columns(choose(table.take(fit.trained)))
        alone = dataclasses.replace(fit, repeat=0)
        return fit, out_of_fold(part, [alone], settings, Context(stop=context.stop))[0, fit.held_out]

    for fit, probabilities in context.ordered(work, list(fits)):
        found[fit.repeat, fit.held_out] = probabilities
    return found


def mean(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """The mean over repeats (n, classes)."""
    return probabilities.mean(axis=0, dtype=np.float64).astype(np.float32)


def predicted(probabilities: NDArray[np.float32]) -> IntArray:
    """The most probable class of each row (…, classes), from 1; of several equally probable ones the first."""
    return probabilities.argmax(axis=-1) + 1


def generator(seed: int, *path: int) -> np.random.Generator:
    """Random numbers of their own for each part of an evaluation."""
    return np.random.default_rng([seed, *path])
