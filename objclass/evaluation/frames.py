"""An evaluation as tables of pandas."""

from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from objclass.evaluation.result import Evaluation, Score
from objclass.evaluation.summary import rate, summary_lines
from objclass.evaluation.writing import SCORES, prediction_columns

if TYPE_CHECKING:
    from pandas import DataFrame, Index


@dataclass(frozen=True, repr=False)
class EvaluationResult:
    """How good a classifier is. Intervals are those of 95 %; NaN stands for what cannot be judged.

    Parameters
    ----------
    evaluation
        All that was found, as plain values.
    rows, index
        Of a table that was judged: the place of each judged object in it, and its index.
    """

    evaluation: Evaluation
    rows: NDArray[np.intp] | None = None
    index: "Index[Any] | None" = None

    def __repr__(self) -> str:
        found = self.evaluation
        return (
            f"<EvaluationResult: balanced accuracy {rate(found.balanced_accuracy.value)} of {len(found.objects.given)} objects of the "
            f"classes {', '.join(found.names)}; {len(found.cautions)} cautions>"
        )

    def summary(self) -> str:
        """One line for each fact."""
        return "\n".join(summary_lines(self.evaluation))

    @property
    def cautions(self) -> tuple[str, ...]:
        """Sentences that say why scores are optimistic, or cannot be judged."""
        return self.evaluation.cautions

    @cached_property
    def scores(self) -> "DataFrame":
        """Scores over all classes: ``value``, ``low``, ``high``; index: their names."""
        found = {name: getattr(self.evaluation, name) for name in SCORES}
        if self.evaluation.ungrouped is not None:
            found["ungrouped_balanced_accuracy"] = self.evaluation.ungrouped
        return _frame([asdict(score) for score in found.values()], list(found))

    @cached_property
    def by_class(self) -> "DataFrame":
        """Counts and rates of each class; index: its name."""
        rows = []
        for one in self.evaluation.by_class:
            counts = {name: getattr(one, name) for name in ("objects", "images", "predicted", "correct")}
            rates = [_spread(name, getattr(one, name)) for name in ("precision", "recall", "f1")]
            rows.append({key: value for part in (counts, *rates) for key, value in part.items()})
        return _frame(rows, list(self.evaluation.names))

    @cached_property
    def confusion(self) -> "DataFrame":
        """Number of objects: rows are true, columns predicted classes."""
        from pandas import DataFrame

        names = list(self.evaluation.names)
        return DataFrame(self.evaluation.confusion, names, names)

    @cached_property
    def predictions(self) -> "DataFrame":
        """The predictions of objects by forests that were not trained on them; rows and index are those of the table."""
        from pandas import DataFrame

        frame = DataFrame(prediction_columns(self.evaluation))
        if self.rows is None or self.index is None:
            return frame
        order = np.argsort(self.rows)
        return frame.iloc[order].set_index(self.index[self.rows[order]])

    @cached_property
    def importances(self) -> "DataFrame":
        """Loss of balanced accuracy without what a group of columns says; index: the group."""
        found = self.evaluation.importances
        rows = [
            {**_spread("loss", one.loss), "columns": list(one.columns), "shared_with": list(one.shared_with)}
            for one in found
        ]
        return _frame(rows, [one.group for one in found])

    @cached_property
    def learning_curve(self) -> "DataFrame":
        """Balanced accuracy (``value``, ``low``, ``high``) by the number of objects to learn from."""
        found = self.evaluation.learning_curve
        if found is None:
            return _frame([], [])
        return _frame([asdict(score) for score in found.scores], list(found.objects))

    @cached_property
    def calibration(self) -> "DataFrame":
        """Bins of the highest probability: ``objects``, mean ``probability``, fraction ``correct``; index: lower bound."""
        found = self.evaluation.calibration
        rows = zip(found.objects, found.probability, found.correct, strict=True)
        named = [dict(zip(("objects", "probability", "correct"), row, strict=True)) for row in rows]
        return _frame(named, list(found.edges[:-1]))

    @cached_property
    def by_image(self) -> "DataFrame":
        """``objects`` and ``accuracy`` of each image; index: its name."""
        found = self.evaluation.by_image
        rows = [{"objects": objects, "accuracy": accuracy} for _, objects, accuracy in found]
        return _frame(rows, [name for name, _, _ in found])


def _spread(name: str, score: Score | None) -> dict[str, float]:
    value, low, high = (score.value, score.low, score.high) if score is not None else (np.nan,) * 3
    return {name: value, f"{name}_low": low, f"{name}_high": high}


def _frame(rows: list[dict[str, Any]], index: list[Any]) -> "DataFrame":
    from pandas import DataFrame

    return DataFrame(rows, index=index)
