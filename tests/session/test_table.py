"""Tables of objects."""

import numpy as np
import pytest

from objclass.session import Session
from objclass.session.state import SessionSettings
from objclass.session.table import ObjectTable, TableColumn, object_table

MEAN = "Standard Object Features:Mean"


@pytest.fixture
def session():
    """Two time steps of six and three pixels that are objects, with given ids."""
    ids = np.zeros((2, 4, 6), np.uint8)
    ids[0, ::2, ::2] = [[10, 20, 30], [40, 50, 60]]
    ids[1, 0, ::2] = [7, 8, 9]
    session = Session(SessionSettings((MEAN,), trees=10))
    session.add_image(ids * 2, label_image=ids, raw_axes="tyx", axes="tyx", name="movie")
    session.add_class("low")
    session.add_class("high")
    return session


def test_there_is_no_table_before_there_are_objects(session):
    table = object_table(session.state, 0)
    assert (table.key, table.count, table.columns, table.choices) == (-1, 0, (), {})


def test_columns_have_the_names_of_exported_tables_and_centres_come_first(session):
    session.update()
    session.label(0, [1], 1)
    session.label(0, [6], 2)
    session.update()
    table = object_table(session.state, 0)
    frame = table.frame(np.arange(9))
    assert list(frame) == [
        "Object", "timestep", "labelimage_oid", "Predicted Class", "Probability", "Uncertainty", "Novelty", "User Label",
        "original_oid", "Center of the object_0", "Center of the object_1", "Mean Intensity",
    ]  # fmt: skip
    assert frame["Object"].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert frame["timestep"].tolist() == [0] * 6 + [1] * 3
    assert frame["labelimage_oid"].tolist() == [1, 2, 3, 4, 5, 6, 1, 2, 3]
    assert frame["original_oid"].tolist() == [10, 20, 30, 40, 50, 60, 7, 8, 9]
    assert frame["Mean Intensity"].tolist() == [20, 40, 60, 80, 100, 120, 14, 16, 18]
    assert frame["User Label"].tolist() == ["low", "", "", "", "", "high", "", "", ""]
    known = session.predictions(0)
    assert frame["Predicted Class"].tolist() == [["low", "high"][k - 1] for k in known.classes]
    assert frame["Probability"].tolist() == known.probabilities.max(axis=1).tolist()
    assert frame["Uncertainty"].tolist() == known.uncertainty.tolist()


def test_classes_are_unknown_before_objects_are_classified(session):
    session.update()
    table = object_table(session.state, 0)
    texts = [column.text(0) for column in table.columns[3:8]]
    assert texts == [""] * 5
    assert not any(table.choices[name]().any() for name in ("Predicted: low", "Labelled", "Novel"))
    assert table.choices["Not labelled"]().all()


def test_rows_are_chosen_by_class_label_and_contradiction(session):
    session.update()
    session.label(0, [1, 2, 3], 1)
    session.label(0, [4, 5, 6], 2)
    session.update()
    session.label(0, [6], 1)
    choices = object_table(session.state, 0).choices
    chosen = {name: (np.flatnonzero(choose()) + 1).tolist() for name, choose in choices.items()}
    assert chosen["All objects"] == list(range(1, 10))
    assert chosen["Predicted: low"] == [1, 2, 3, 7, 8, 9]
    assert chosen["Predicted: high"] == [4, 5, 6]
    assert chosen["Labelled"] == [1, 2, 3, 4, 5, 6]
    assert chosen["Not labelled"] == [7, 8, 9]
    assert chosen["Predicted otherwise than labelled"] == [6]


@pytest.mark.parametrize(
    ("values", "up", "down"),
    [
        (np.array([2.0, np.nan, 1, 2, np.nan]), [2, 0, 3, 1, 4], [0, 3, 2, 1, 4]),
        (np.array([3, 1, 3, 2]), [1, 3, 0, 2], [0, 2, 3, 1]),
        (np.array([], np.float32), [], []),
    ],
)
def test_equal_values_keep_their_order_and_missing_ones_are_last(values, up, down):
    column = TableColumn("a", lambda: values)
    assert column.order().tolist() == up
    assert column.order(descending=True).tolist() == down


def test_objects_without_a_class_are_last():
    column = TableColumn("a", lambda: np.array([0, 2, 1, 0], np.uint8), classes=("x", "y"))
    assert column.order().tolist() == [2, 1, 0, 3]
    assert column.order(descending=True).tolist() == [1, 2, 0, 3]


def test_values_are_computed_where_they_are_used():
    asked = []
    columns = tuple(TableColumn(name, lambda name=name: asked.append(name) or np.arange(3)) for name in "ab")
    table = ObjectTable(0, 3, columns)
    assert table.frame(np.array([2, 0]), [1])["b"].tolist() == [2, 0]
    assert table.cells("b").tolist() == [0, 1, 2]
    assert asked == ["b"]


def test_objects_unlike_those_of_the_training_are_chosen(session):
    session.update()
    session.label(0, [7, 8, 9], 1)
    session.label(0, [1, 2], 2)
    session.update()
    table = object_table(session.state, 0)
    novelty = session.state.classification.novelty[0]
    assert table.cells("Novelty").tolist() == novelty.tolist()
    assert table.choices["Novel"]().tolist() == (novelty > 1).tolist()
    assert novelty[5] > 1
    assert novelty[[0, 1, 6, 7, 8]].tolist() == [0] * 5
