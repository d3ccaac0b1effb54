"""How good a classification is, and the objects behind the numbers."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from objclass.compute.context import Context
from objclass.core import IntArray
from objclass.errors import InputError
from objclass.evaluation.cross_validation import CrossValidation
from objclass.evaluation.frames import EvaluationResult
from objclass.evaluation.scores import MINIMUM_OBJECTS
from objclass.evaluation.settings import EvaluationSettings
from objclass.evaluation.summary import class_cells, method_line, score_lines
from objclass.session.classification import Classification
from objclass.training.judge import cross_validate_project, grown_like

REPEATS = 5
"""How many times folds are drawn, as in ``objclass evaluate``."""


@dataclass(frozen=True, eq=False)
class Judgement:
    """How good a classification is.

    Parameters
    ----------
    classification
        The classification.
    found
        Its cross-validation, as on the command line; None if there are too few labels.
    refusal
        Why there is none, as a sentence.
    """

    classification: Classification
    found: CrossValidation | None
    refusal: str = ""

    @cached_property
    def result(self) -> EvaluationResult | None:
        """Its evaluation; None if there are too few labels."""
        return EvaluationResult(self.found.evaluation) if self.found is not None else None

    def renamed(self, classification: Classification) -> "Judgement":
        """That of the same classification with other names and colours of its classes."""
        names = classification.trained.classes
        found = self.found.with_names(names) if self.found is not None else None
        return Judgement(classification, found, self.refusal)

    @property
    def lines(self) -> tuple[str, ...]:
        """Sentences: scores with their 95 % intervals, and how they came about; or why there are none."""
        if self.result is None:
            return (self.refusal,)
        found = self.result.evaluation
        if all(one.recall is None and one.precision is None for one in found.by_class):
            return (f"Too few labels to judge: label at least {MINIMUM_OBJECTS} objects of each class.",)
        return (*score_lines(found), method_line(found))

    @property
    def rates(self) -> list[tuple[str, str]]:
        """Recall and precision of each class, as texts; counts where a class is too rare for rates."""
        if self.result is None:
            return []
        cells = [class_cells(one) for one in self.result.evaluation.by_class]
        return [(recall, precision) for _, _, _, recall, precision, _ in cells]

    def objects(self, true: int, predicted: int) -> dict[int, IntArray]:
        """The labelled objects of a cell of the confusion matrix: key of an image -> their numbers, ascending.

        Parameters
        ----------
        true, predicted
            Classes, from 1; what is predicted is what forests say that were not trained on the object.
        """
        if self.result is None:
            return {}
        objects = self.result.evaluation.objects
        is_in_cell = (objects.given == true) & (objects.predicted == predicted)
        cells = {}
        for place, key in enumerate(self._keys()):
            chosen = is_in_cell & (objects.image == place)
            if chosen.any():
                starts = self.classification.measured[key].found.starts
                cells[key] = np.sort(starts[objects.timestep[chosen]] + objects.label[chosen])
        return cells

    def _keys(self) -> list[int]:
        """The key of each image of the evaluation, which has sorted them by name."""
        training = self.classification.trained.training
        assert training is not None
        keys = list(self.classification.measured)
        return [keys[k] for k in sorted(range(len(keys)), key=training.images.__getitem__)]


def judged(last: Classification, context: Context) -> Judgement:
    """Judge a classification by cross-validation, as the command line does with its project."""
    if last.trained.training is None:
        return Judgement(
            last, None, "There are no labels to judge the classifier by: click on objects of each class."
        )
    context.stop.check()
    _ = last.novelty  # from now on it is known
    settings = grown_like(last.trained, EvaluationSettings(repeats=REPEATS))
    try:
        return Judgement(last, cross_validate_project(last.trained, settings, context))
    except InputError as fault:
        return Judgement(last, None, str(fault))
