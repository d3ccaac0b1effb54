"""The settings of an evaluation."""

from dataclasses import dataclass

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
    """

    trees: int = 100
    seed: int = 0
    balanced: bool = False
    folds: int = 5
    repeats: int = 1
    group_by: str = ""
    learning_curve: bool = False
    importances: bool = False
