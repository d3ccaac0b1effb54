"""How good a classification is, and the objects behind the numbers."""

from dataclasses import dataclass

import numpy as np

from objclass.core import IntArray
from objclass.evaluation.frames import EvaluationResult
from objclass.session.classification import Classification


@dataclass(frozen=True, eq=False)
class Judgement:
    """How good a classification is.

    Parameters
    ----------
    classification
        The classification.
    result
        Its evaluation: by cross-validation, as on the command line.
    """

    classification: Classification
    result: EvaluationResult

    def objects(self, true: int, predicted: int) -> dict[int, IntArray]:
        """The labelled objects of a cell of the confusion matrix: key of an image -> their numbers, ascending.

        Parameters
        ----------
        true, predicted
            Classes, from 1; what is predicted is what forests say that were not trained on the object.
        """
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
