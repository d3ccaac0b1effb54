"""Which objects to show of a class: typical, uncertain, disagreeing with their label, novel ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from objclass.core import FloatArray, IntArray
from objclass.export.report import NOVEL, TYPICAL, UNCERTAIN

DISAGREEING = "disagreeing"

TITLES = {
    TYPICAL: ("Typical", "Predicted as this class with the highest probabilities."),
    UNCERTAIN: ("Uncertain", "The two highest probabilities are closest to each other."),
    DISAGREEING: ("Disagreeing with the label", "Labelled as this class, and predicted as another one: the most certain first."),
    NOVEL: ("Novel", "Least like the objects of the training, in the features that the classifier uses."),
}  # fmt: skip
"""Heading and explanation of each kind, in the order of the page."""

MAXIMUM_PICTURES = 400
"""Of a page, so that it stays under 10 MB."""

ROW = 9
"""Pictures of a class and kind, where there are few classes."""


@dataclass(frozen=True)
class Candidates:
    """Predicted objects, from which those to show are chosen.

    Parameters
    ----------
    predicted
        The class of each object (n,), from 1.
    probabilities
        Of the classes (n, classes).
    image
        A number of its image (n,).
    given
        The class that it was labelled as (n,), from 1, 0 without a label; None where no object has one.
    novelty
        How far outside of the training it is (n,): above 1 it is novel; None if unknown.
    """

    predicted: IntArray
    probabilities: NDArray[np.float32]
    image: IntArray
    given: IntArray | None = None
    novelty: FloatArray | None = None

    @property
    def named(self) -> IntArray:
        """The class under which each object is shown: its label, else what it is predicted as."""
        return self.predicted if self.given is None else np.where(self.given > 0, self.given, self.predicted)


def pictures_for(classes: int) -> int:
    """Number of pictures of each class and kind.

    Examples
    --------
    >>> pictures_for(3), pictures_for(20), pictures_for(255)
    (9, 5, 1)
    """
    return max(1, min(ROW, MAXIMUM_PICTURES // (len(TITLES) * classes)))


def maximum_of(kind: str, count: int, free: int) -> int:
    """Maximum number of pictures of a kind, of so many objects that are not shown yet.

    Of few objects half are typical, so that uncertain ones are left.
    """
    return min(count, (free + 1) // 2) if kind == TYPICAL else count


MAXIMUM_CLASSES = MAXIMUM_PICTURES // len(TITLES)
"""Classes that are shown; of more the first ones."""


def chosen(found: Candidates, number: int, count: int) -> dict[str, IntArray]:
    """The objects to show of a class, by kind; no object twice, and equally good ones from different images.

    Parameters
    ----------
    found
        All objects.
    number
        The class, from 1.
    count
        Maximum number of each kind.

    Returns
    -------
    Kind -> rows of `found`, the best first; kinds without objects are left out.
    """
    members = np.flatnonzero(found.named == number)
    top = np.sort(found.probabilities[members], axis=1)
    margin = top[:, -1] - top[:, -2] if top.shape[1] > 1 else top[:, -1]
    is_wrong = found.predicted[members] != number
    wanted = {
        DISAGREEING: (is_wrong, -top[:, -1]),
        TYPICAL: (~is_wrong, -found.probabilities[members, number - 1]),
        UNCERTAIN: (np.ones(len(members), bool), margin),
    }
    if found.novelty is not None:
        novelty = found.novelty[members]
        wanted = {NOVEL: (novelty > 1, -novelty), **wanted}
    shown: dict[str, IntArray] = {}
    is_free = np.ones(len(members), bool)
    for kind, (is_of_kind, order) in wanted.items():
        places = np.flatnonzero(is_of_kind & is_free)
        maximum = maximum_of(kind, count, len(places))
        best = places[_first(order[places], found.image[members[places]], maximum)]
        is_free[best] = False
        shown[kind] = members[best]
    return {kind: shown[kind] for kind in TITLES if len(shown.get(kind, ()))}


def _first(order: FloatArray, image: IntArray, count: int) -> IntArray:
    """Places of the smallest values; of equal ones, the first of each image before the second of any."""
    again = np.zeros(len(order), int)
    by_image = np.lexsort((order, image))
    starts = np.flatnonzero(np.diff(image[by_image], prepend=-1))
    again[by_image] = np.arange(len(order)) - np.repeat(starts, np.diff(starts, append=len(order)))
    return np.lexsort((again, order))[:count]
