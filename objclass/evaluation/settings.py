"""The settings of an evaluation."""

from dataclasses import dataclass
from operator import index

from objclass.errors import UsageError
from objclass.settings import check, knob

GROUPINGS = ("image", "region", "time")
"""What objects of a fold can share, besides a track or a column of the table."""


@dataclass(frozen=True)
class EvaluationSettings:
    """How a classifier is judged by cross-validation.

    Parameters
    ----------
    trees, seed, balanced
        The forest, as `objclass.forest.fit` has them; ``seed`` draws the folds, too.
    folds, repeats
        Number of folds, and how many times they are drawn anew.
    group_by
        One of `GROUPINGS`, or the name of the groups of the table; ``""``: images, of a single one tracks, time or
        regions, in this order.
    learning_curve, importances
        Whether to compute them, which takes as long again.

    Raises
    ------
    UsageError
        If a number is out of its range, or not whole.
    """

    trees: int = knob(100, "number of trees", minimum=1, maximum=100000)
    seed: int = knob(0, "random state of folds and forests", minimum=0, maximum=2**32 - 1)
    balanced: bool = False
    folds: int = knob(5, "number of folds", minimum=2, maximum=1000)
    repeats: int = knob(1, "how many times folds are drawn", minimum=1, maximum=1000)
    group_by: str = ""
    learning_curve: bool = False
    importances: bool = False

    def __post_init__(self) -> None:
        for name in ("trees", "seed", "folds", "repeats"):
            given = getattr(self, name)
            try:
                object.__setattr__(self, name, index(given))  # numbers of numpy, too
            except TypeError:
                message = f"--{name} {given!r}: expected a whole number"
                raise UsageError(message) from None
        check(self)
