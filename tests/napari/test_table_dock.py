"""The table of objects: rows, headers, keys and selections."""

import io
import time

import numpy as np
import pandas as pd
import pytest

from objclass.session.table import NUMBER, PREDICTED, UNCERTAINTY, USER_LABEL, ObjectTable, TableColumn
from tests.napari.events import process, wait_until
from tests.napari.sessions import shown_dock, wait_for_work


@pytest.fixture
def dock(display):
    from objclass.napari.table_dock import TableDock

    with shown_dock(TableDock, (900, 300)) as dock:
        wait_until(lambda: len(dock.model.rows) == 64 and column(dock, PREDICTED)[0])
        yield dock


def column(dock, name):
    """The texts of a column, as they are shown."""
    place = dock.model.table.place(name)
    return [dock.model.index(row, place).data() for row in range(dock.model.rowCount())]


def click_row(dock, row, modifier="No"):
    """Click on a row that is in sight."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    spot = dock.view.visualRect(dock.model.index(row, 0)).center()
    assert dock.view.viewport().rect().contains(spot)
    held = getattr(Qt.KeyboardModifier, f"{modifier}Modifier")
    QTest.mouseClick(dock.view.viewport(), Qt.MouseButton.LeftButton, held, spot)
    process()


def click_title(dock, name):
    """Click on the title of a column."""
    from qtpy.QtCore import QPoint, Qt
    from qtpy.QtTest import QTest

    header = dock.view.horizontalHeader()
    place = dock.model.table.place(name)
    dock.view.scrollTo(dock.model.index(0, place))
    spot = QPoint(header.sectionViewportPosition(place) + 20, header.height() // 2)
    QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, spot)
    process()


def key(dock, name, modifier="No"):
    """Press a key with the focus on the table."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    dock.view.setFocus()
    held = getattr(Qt.KeyboardModifier, f"{modifier}Modifier")
    QTest.keyClick(dock.view, getattr(Qt.Key, f"Key_{name}"), held)
    process()


def shown_selection(dock):
    """The numbers of the objects of highlighted rows."""
    ranges = dock.view.selectionModel().selection()
    rows = [dock.model.rows[part.top() : part.bottom() + 1] for part in ranges]
    return sorted((np.concatenate(rows) + 1).tolist()) if rows else []


def test_rows_that_are_clicked_are_selected_for_all(dock):
    click_row(dock, 2)
    assert dock.controller.selection == (0, (3,))
    click_row(dock, 4, "Shift")
    assert dock.controller.selection == (0, (3, 4, 5))
    click_row(dock, 3, "Control")
    assert dock.controller.selection == (0, (3, 5))
    assert "2 selected" in dock.count.text()


def test_objects_that_others_select_are_shown(dock):
    dock.controller.select(0, (60,))
    assert shown_selection(dock) == [60]
    assert dock.view.viewport().rect().intersects(dock.view.visualRect(dock.model.index(59, 0)))
    dock.controller.select(7, (3,))  # of another image
    assert shown_selection(dock) == []


def test_a_click_on_a_title_sorts_and_the_selection_stays_with_its_objects(dock):
    click_row(dock, 1)
    click_title(dock, "Mean Intensity")
    values = [float(text) for text in column(dock, "Mean Intensity")]
    assert values == sorted(values)
    assert shown_selection(dock) == [2]
    click_title(dock, "Mean Intensity")
    assert [float(text) for text in column(dock, "Mean Intensity")] == values[::-1]
    dock.uncertain.click()
    process()
    known = dock.controller.session.predictions(0).uncertainty
    assert column(dock, NUMBER) == [str(n + 1) for n in np.argsort(-known, kind="stable")]


def test_rows_are_chosen_by_class(dock):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    dock.choice.setFocus()
    QTest.keyClick(dock.choice, Qt.Key.Key_Down)  # the first class
    process()
    assert dock.choice.currentText() == "Predicted: dark"
    assert set(column(dock, PREDICTED)) == {"dark"}
    assert dock.count.text().startswith(f"{len(dock.model.rows)} of 64 objects")
    dock.controller.change(dock.controller.session.rename_class, 1, "dim")
    wait_for_work(dock.controller)
    assert dock.choice.currentText() == "Predicted: dim"
    assert set(column(dock, PREDICTED)) == {"dim"}


def test_keys_and_the_button_give_selected_rows_a_class(dock):
    click_row(dock, 2)
    click_row(dock, 4, "Shift")
    key(dock, "2")
    assert column(dock, USER_LABEL)[2:5] == ["bright"] * 3
    assert dock.controller.current == 2
    key(dock, "Delete")
    assert column(dock, USER_LABEL)[2:5] == [""] * 3
    dock.controller.set_current(1)
    from objclass.napari.give_class import ClassButton

    button = dock.findChild(ClassButton)
    assert button.text() == "Label 3 selected as dark"
    button.click()
    process()
    assert column(dock, USER_LABEL)[2:5] == ["dark"] * 3


def test_new_classes_change_neither_what_is_in_sight_nor_what_is_selected(dock):
    dock.view.verticalScrollBar().setValue(20)
    click_row(dock, 25)
    before = dock.model.table
    key(dock, "1")
    wait_for_work(dock.controller)
    wait_until(lambda: dock.model.table is not before and not dock._is_stale)
    assert dock.view.verticalScrollBar().value() == 20
    assert shown_selection(dock) == [26]
    assert column(dock, USER_LABEL)[25] == "dark"


def test_selected_rows_are_copied_as_text(dock):
    from qtpy.QtWidgets import QApplication

    dock.uncertain.click()
    process()
    click_row(dock, 0)
    click_row(dock, 2, "Shift")
    key(dock, "C", "Control")
    copied = pd.read_csv(io.StringIO(QApplication.clipboard().text()), sep="\t")
    assert [str(n) for n in copied[NUMBER]] == column(dock, NUMBER)[:3]
    assert list(copied) == [one.name for one in dock.model.table.columns]
    assert np.allclose(
        copied[UNCERTAINTY], [float(text) for text in column(dock, UNCERTAINTY)[:3]], atol=1e-4
    )


def test_a_hidden_table_waits_until_it_is_seen(dock):
    dock.hide()
    before = dock.model.table
    dock.controller.change(dock.controller.session.label, 0, [30], 1)
    process()
    assert dock.model.table is before
    dock.show()
    process()
    assert column(dock, USER_LABEL)[29] == "dark"


def test_a_million_rows_are_sorted_and_scrolled_without_delay(dock, monkeypatch):
    count = 1_000_000
    values = np.random.default_rng(0).random(count, np.float32)
    columns = (
        TableColumn(NUMBER, lambda: np.arange(1, count + 1)),
        TableColumn(PREDICTED, lambda: np.ones(count, np.uint8), classes=("dark", "bright")),
        TableColumn(UNCERTAINTY, lambda: values),
        TableColumn(USER_LABEL, lambda: np.zeros(count, np.uint8), classes=("dark", "bright")),
        *(TableColumn(f"feature {k}", lambda: values) for k in range(50)),
    )
    table = ObjectTable(0, count, columns)
    monkeypatch.setattr("objclass.napari.table_dock.object_table", lambda *_: table)
    begin = time.perf_counter()
    dock.uncertain.click()
    dock.refresh()
    process()
    for place in np.linspace(0, dock.view.verticalScrollBar().maximum(), 20):
        dock.view.verticalScrollBar().setValue(int(place))
        dock.view.viewport().repaint()
    dock.controller.select(0, tuple(range(1, count, 2)))  # nowhere together
    dock.view.viewport().repaint()
    assert time.perf_counter() - begin < 5
    assert dock.model.rows[0] == values.argmax()
    assert shown_selection(dock)
