"""The nouns of an evaluation: what it found, plain values only."""

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

from objclass.core import IntArray


@dataclass(frozen=True)
class Score:
    """An estimate and its 95 % interval; NaN where nothing can be said."""

    value: float
    low: float = nan
    high: float = nan


@dataclass(frozen=True)
class ClassScores:
    """How well the objects of one class are recognised.

    Parameters
    ----------
    name
        The class.
    objects, images
        Number of its labelled objects, and of the images (groups) that they come from.
    predicted, correct
        Number of objects predicted as this class, and of those that are of it; where folds were repeated, by the mean
        probabilities over repeats.
    precision, recall, f1
        The rates, means over repeats; None where the class is too rare to judge: then only the counts count.
    """

    name: str
    objects: int
    images: int
    predicted: int
    correct: int
    precision: Score | None
    recall: Score | None
    f1: Score | None


@dataclass(frozen=True)
class Calibration:
    """Whether objects predicted with a probability of 0.8 are right in 80 of 100 cases.

    Parameters
    ----------
    edges
        Bounds of the bins of the highest probability (bins + 1,).
    objects, probability, correct
        Number of predictions in each bin (one for each object in each repeat), their mean highest probability, and the
        fraction of correct ones (NaN if empty).
    error
        Expected calibration error: the mean difference of both, weighted by the number of objects.
    brier
        Mean squared difference of the probabilities and the truth, summed over classes (0 is perfect).
    """

    edges: tuple[float, ...]
    objects: tuple[int, ...]
    probability: tuple[float, ...]
    correct: tuple[float, ...]
    error: float
    brier: float


@dataclass(frozen=True)
class LearningCurve:
    """Balanced accuracy with fewer labels.

    Parameters
    ----------
    objects
        Number of labelled objects (mean over folds) that each point was trained on, increasing; the last is all of them.
    scores
        Balanced accuracy at each point.
    verdict
        A sentence: whether more labels would help.
    """

    objects: tuple[int, ...]
    scores: tuple[Score, ...]
    verdict: str


@dataclass(frozen=True)
class Importance:
    """Loss of balanced accuracy of held-out objects when the columns of a group are shuffled together.

    Parameters
    ----------
    group, columns
        A feature set (a feature, where there is one set only), and its columns.
    loss
        The loss: about 0 if the forest does not need the group.
    shared_with
        Other groups that hold most of what it says: the forest can take it from them, so its loss is small.
    """

    group: str
    columns: tuple[str, ...]
    loss: Score
    shared_with: tuple[str, ...] = ()


@dataclass(frozen=True)
class Judged:
    """Objects with their true and predicted classes, by classifiers that were not trained on them.

    Parameters
    ----------
    image, timestep, label
        Index of the rows (n,); ``image`` is a place in the images of the table.
    given, predicted
        True and predicted class (n,), from 1.
    probabilities
        (n, classes), float32; the mean over repeats where they were repeated.
    fold
        The fold in which each was held out in the first repeat, from 0; all 0 without cross-validation.
    """

    image: IntArray
    timestep: IntArray
    label: IntArray
    given: IntArray
    predicted: IntArray
    probabilities: NDArray[np.float32]
    fold: IntArray


@dataclass(frozen=True)
class Evaluation:
    """An honest account of how good a classifier is.

    Parameters
    ----------
    names, images
        Names of the classes, and of the images.
    method
        ``"cross-validation"``, or ``"held-out images"``: a project judged by labels that it was not trained on.
    grouped_by
        What objects of a fold share: ``"image"``, ``"region"``, ``"track"``, ``"time"``, the name of a column; ``""``: nothing.
    groups, folds, repeats, seed
        Number of such groups, of folds, of repeats; random state.
    accuracy, balanced_accuracy, f1, matthews
        Over all classes, of the counts of all repeats: what to expect of one classifier; ``balanced_accuracy`` is the mean recall of the classes, ``f1`` the mean of theirs.
    by_class
        For each class.
    confusion
        Number of objects (classes, classes), as in ``objects``: rows are true, columns predicted classes. Where folds
        were repeated these are by the mean probabilities, so that rates differ a little from the scores.
    calibration
        Of the probabilities.
    learning_curve, importances
        None and empty where they were not asked for.
    ungrouped
        Balanced accuracy of folds drawn at random; much higher than ``balanced_accuracy`` where images differ. None
        where it is the same, or was not computed.
    by_image
        Name, number of objects and accuracy (mean over repeats) of each image.
    cautions
        Sentences that say why numbers are optimistic, or cannot be judged.
    objects
        The predictions behind the numbers.
    """

    names: tuple[str, ...]
    images: tuple[str, ...]
    method: str
    grouped_by: str
    groups: int
    folds: int
    repeats: int
    seed: int
    accuracy: Score
    balanced_accuracy: Score
    f1: Score
    matthews: Score
    by_class: tuple[ClassScores, ...]
    confusion: IntArray
    calibration: Calibration
    objects: Judged
    learning_curve: LearningCurve | None = None
    importances: tuple[Importance, ...] = ()
    ungrouped: Score | None = None
    by_image: tuple[tuple[str, int, float], ...] = ()
    cautions: tuple[str, ...] = ()

    @property
    def is_correct(self) -> NDArray[np.bool_]:
        """Whether each object was predicted correctly by the mean probabilities (n,)."""
        return self.objects.given == self.objects.predicted
