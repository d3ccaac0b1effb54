"""The objects of an image as a table: who they are, their classes, and what was measured of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from objclass.core import FeatureTable, IntArray, Predictions
from objclass.export.columns import Column, Layout, Rows, ilastik_columns
from objclass.pipeline.lane import CENTER
from objclass.project.model import find
from objclass.session.images import FoundObjects, MeasuredObjects
from objclass.session.state import State

if TYPE_CHECKING:
    from pandas import DataFrame

NUMBER, PREDICTED, PROBABILITY, UNCERTAINTY, USER_LABEL, NOVELTY = (
    "Object", "Predicted Class", "Probability", "Uncertainty", "User Label", "Novelty"
)  # fmt: skip
"""Names of columns."""


@dataclass(frozen=True, eq=False)
class TableColumn:
    """A column of a table of objects. Its values are only computed where they are used.

    Parameters
    ----------
    name, definition, unit
        Its name, what its values are, and their unit; ``""`` for none.
    compute
        Returns its values, an array of numbers (n,).
    classes
        Names of the classes, where values are classes from 1, 0 for none; else empty.
    """

    name: str
    compute: Callable[[], NDArray[Any]]
    definition: str = ""
    unit: str = ""
    classes: tuple[str, ...] = ()

    @cached_property
    def cells(self) -> NDArray[Any]:
        """Its values (n,)."""
        return self.compute()

    def text(self, row: int | np.integer[Any]) -> str:
        """A value as it is shown; ``""`` where it is not known."""
        value = self.cells[row]
        if self.classes:
            return self.classes[value - 1] if value else ""
        if isinstance(value, np.integer):
            return str(value)
        return "" if np.isnan(value) else f"{value:.5g}"

    def order(self, *, descending: bool = False) -> IntArray:
        """The rows in the order of the values; equal ones in the order of the table, missing ones last."""
        values = self.cells
        if self.classes:
            values = np.where(values > 0, values, np.nan)
        if not descending:
            return np.argsort(values, kind="stable")
        known = len(values) - (int(np.isnan(values).sum()) if values.dtype.kind == "f" else 0)
        backwards = len(values) - 1 - np.argsort(values[::-1], kind="stable")
        return np.concatenate([backwards[:known][::-1], backwards[known:][::-1]])


@dataclass(frozen=True, eq=False)
class ObjectTable:
    """The objects of an image; the object of a number is the row ``number - 1``.

    Parameters
    ----------
    key
        The image; -1: none.
    count
        Number of objects.
    columns
        The columns.
    """

    key: int = -1
    count: int = 0
    columns: tuple[TableColumn, ...] = ()

    def place(self, name: str) -> int:
        """The place of a column; -1 if there is none of this name."""
        return next((place for place, column in enumerate(self.columns) if column.name == name), -1)

    def cells(self, name: str) -> NDArray[Any]:
        """The values of a column."""
        return self.columns[self.place(name)].cells

    def frame(self, rows: IntArray, places: Sequence[int] | None = None) -> "DataFrame":
        """Some rows and columns (all by default) with the names of classes, for the clipboard."""
        from pandas import DataFrame

        chosen = self.columns if places is None else [self.columns[place] for place in places]
        return DataFrame({column.name: _plain(column, rows) for column in chosen})

    @property
    def choices(self) -> dict[str, Callable[[], NDArray[np.bool_]]]:
        """Name of a choice of rows -> function that returns whether each row is chosen (n,)."""
        if not self.columns:
            return {}
        classes = self.columns[self.place(PREDICTED)].classes
        of_class = {
            f"Predicted: {name}": partial(self._is, PREDICTED, k) for k, name in enumerate(classes, 1)
        }
        return {
            "All objects": lambda: np.ones(self.count, bool),
            **of_class,
            "Labelled": lambda: self.cells(USER_LABEL) > 0,
            "Not labelled": partial(self._is, USER_LABEL, 0),
            "Predicted otherwise than labelled": self._is_contradicted,
            "Novel": lambda: self.cells(NOVELTY) > 1,
        }

    def _is(self, name: str, value: int) -> NDArray[np.bool_]:
        return self.cells(name) == value

    def _is_contradicted(self) -> NDArray[np.bool_]:
        given, predicted = self.cells(USER_LABEL), self.cells(PREDICTED)
        return (given > 0) & (predicted > 0) & (given != predicted)


def _plain(column: TableColumn, rows: IntArray) -> NDArray[Any]:
    values = column.cells[rows]
    return np.array(["", *column.classes], object)[values] if column.classes else values


def object_table(state: State, key: int) -> ObjectTable:
    """The table of the objects of an image, as far as they are known.

    Its columns are named as those of the tables that a run exports; features follow the place of the object. Classes
    and probabilities are unknown until the objects are classified.
    """
    found = state.found.get(key)
    if found is None:
        return ObjectTable()
    one = state.measured.get(key)
    measured = one if one is not None and one.found is found else None
    names = tuple(each.name for each in state.labelling.classes)
    columns = (
        *_own_columns(found),
        *_class_columns(names, found.count, _predictions(state, key)),
        TableColumn(
            USER_LABEL,
            lambda: _user_labels(found.count, state.labels(key).classes),
            "The class that was given",
            classes=names,
        ),
        *(_measured_columns(measured) if measured is not None else ()),
    )
    return ObjectTable(key, found.count, columns)


def _predictions(state: State, key: int) -> Predictions | None:
    """The predictions, with the novelty of the objects once that is known."""
    predictions, last = state.predictions(key), state.classification
    if predictions is None or last is None:
        return None
    return replace(predictions, novelty=last.known_novelty.get(key))


def _own_columns(found: FoundObjects) -> list[TableColumn]:
    steps = np.arange(len(found.starts) - 1)
    counts = np.diff(found.starts)
    return [
        TableColumn(NUMBER, lambda: np.arange(1, found.count + 1), "Its number in the image, from 1"),
        TableColumn("timestep", lambda: np.repeat(steps, counts), "Its time step, from 0"),
        TableColumn(
            "labelimage_oid",
            lambda: np.arange(1, found.count + 1) - np.repeat(found.starts[:-1], counts),
            "Its id in the time step, from 1",
        ),
    ]


def _class_columns(names: tuple[str, ...], count: int, predictions: Predictions | None) -> list[TableColumn]:
    def known(of: Callable[[Predictions], Any]) -> Callable[[], NDArray[Any]]:
        def compute() -> NDArray[Any]:
            values = of(predictions) if predictions is not None else None
            return values if values is not None else np.full(count, np.nan, np.float32)

        return compute

    nothing = np.zeros(count, np.uint8)
    return [
        TableColumn(
            PREDICTED,
            lambda: predictions.classes if predictions is not None else nothing,
            "The most probable class",
            classes=names,
        ),
        TableColumn(PROBABILITY, known(lambda own: own.probabilities.max(axis=1)), "Of the predicted class"),
        TableColumn(
            UNCERTAINTY,
            known(lambda own: own.uncertainty),
            "1 minus the difference between the two highest probabilities",
        ),
        TableColumn(
            NOVELTY,
            known(lambda own: own.novelty),
            "Above 1: unlike all objects that the classifier has learnt from",
        ),
    ]


def _user_labels(count: int, classes: Any) -> NDArray[np.uint8]:
    labels = np.zeros(count, np.uint8)
    if classes:
        labels[np.array(list(classes)) - 1] = list(classes.values())
    return labels


def _measured_columns(measured: MeasuredObjects) -> list[TableColumn]:
    """What was measured, the centre first."""
    lane, table = measured.found.image.lane, measured.table
    keys = sorted(table.values, key=lambda key: key != CENTER)
    features = tuple(feature for key in keys if (feature := find(*key)) is not None)
    layout = Layout(lane.objects.ndim, lane.channels, features, given=tuple(table.given))
    rows = Rows(FeatureTable(table.timestep, table.label, table.values, table.given), "")
    return [_table_column(column, rows) for column in ilastik_columns(layout) if _is_measured(column, layout)]


def _is_measured(column: Column, layout: Layout) -> bool:
    return bool(column.source) or column.name in layout.given


def _table_column(column: Column, rows: Rows) -> TableColumn:
    return TableColumn(column.name, partial(column.of, rows), column.definition, column.unit)
