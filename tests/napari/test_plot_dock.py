"""Diagrams of objects: lassos, clicks, colours."""

import numpy as np
import pytest

from tests.napari.events import process, wait_until
from tests.napari.sessions import shown_dock, wait_for_work


@pytest.fixture
def dock(display):
    from objclass.napari.plot_dock import PlotDock

    with shown_dock(PlotDock, (600, 500)) as dock:
        wait_until(lambda: not dock._is_stale and dock.scatter.points.classes.all())
        process()
        yield dock


def spot(dock, x, y):
    """The pixel of the canvas that shows a place of the diagram."""
    from qtpy.QtCore import QPoint

    column, row = dock.scatter.axes.transData.transform((x, y)) / dock.canvas.device_pixel_ratio
    return QPoint(round(column), round(dock.canvas.height() - row))


def draw(dock, corners, modifier="No"):
    """Draw a lasso with the left button of the mouse."""
    from qtpy.QtCore import QEvent, QPointF, Qt
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QApplication

    held, button = getattr(Qt.KeyboardModifier, f"{modifier}Modifier"), Qt.MouseButton.LeftButton
    spots = [spot(dock, *corner) for corner in corners]
    QTest.mousePress(dock.canvas, button, held, spots[0])
    for place in map(QPointF, spots[1:]):
        # QTest's moves the pointer of the display, which tells of it when it likes
        there = place, dock.canvas.mapToGlobal(place)
        move = QMouseEvent(QEvent.Type.MouseMove, *there, Qt.MouseButton.NoButton, button, held)
        QApplication.sendEvent(dock.canvas, move)
        process()
    QTest.mouseRelease(dock.canvas, button, held, spots[-1])
    process()


def around(left, low, right, high):
    """A lasso around a rectangle."""
    return [(left, low), (right, low), (right, high), (left, high), (left, low + (high - low) / 10)]


def numbers_where(dock, condition):
    """Numbers of the objects whose size and intensity fulfil a condition."""
    size, mean = (dock.table.cells(name) for name in ("Size in pixels", "Mean Intensity"))
    return tuple((np.flatnonzero(condition(size, mean)) + 1).tolist())


def test_a_lasso_selects_the_objects_inside_of_it(dock):
    assert (dock.x.currentText(), dock.y.currentText()) == ("Size in pixels", "Mean Intensity")
    draw(dock, around(20, 60, 33, 110))
    inside = numbers_where(dock, lambda size, mean: (size > 20) & (size < 33) & (mean > 60) & (mean < 110))
    assert inside
    assert dock.controller.selection == (0, inside)
    draw(dock, around(20, 150, 33, 190), "Shift")
    more = numbers_where(dock, lambda size, mean: (size > 20) & (size < 33) & (mean > 150) & (mean < 190))
    assert dock.controller.selection == (0, tuple(sorted({*inside, *more})))


def test_a_click_selects_the_nearest_object_or_none(dock):
    size, mean = (dock.table.cells(name) for name in ("Size in pixels", "Mean Intensity"))
    draw(dock, [(size[20], mean[20])])
    [number] = dock.controller.selection[1]
    assert (size[number - 1], mean[number - 1]) == pytest.approx((size[20], mean[20]), abs=3)
    draw(dock, [(27, dock.scatter.axes.get_ylim()[1] - 1)])
    assert dock.controller.selection == (0, ())


def test_objects_of_a_lasso_get_a_class_by_a_key(dock):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    draw(dock, around(20, 60, 33, 110))
    chosen = dock.controller.selection[1]
    dock.canvas.setFocus()
    QTest.keyClick(dock.canvas, Qt.Key.Key_2)
    process()
    labels = dock.controller.session.labels(0).classes
    assert len(chosen) > 4
    assert {labels[number] for number in chosen} == {2}
    wait_for_work(dock.controller)


def test_points_have_the_colours_of_classes_and_selected_ones_stand_out(dock):
    colors = [tuple(part / 255 for part in one.color) for one in dock.controller.session.classes]
    assert circles(dock)[:2] == [(color, "o") for color in sorted_by_count(dock, colors)]
    dock.controller.select(0, (5, 6))
    process()
    assert dock.note.text() == "64 objects, 2 selected"
    assert len(dock.scatter._artists[-1].get_xdata()) == 2
    dock.colored_by.setCurrentText("User Label")
    process()
    assert len(dock.scatter._artists[0].get_xdata()) == 64 - 8  # grey: without a label


def circles(dock):
    return [(artist.get_color(), artist.get_marker()) for artist in dock.scatter._artists]


def sorted_by_count(dock, colors):
    counts = np.bincount(dock.scatter.points.classes, minlength=3)[1:]
    return [colors[k] for k in np.argsort(-counts, kind="stable")]


def test_the_same_column_twice_is_a_histogram(dock):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    dock.x.setFocus()
    line = dock.x.lineEdit()
    line.selectAll()
    QTest.keyClicks(line, "Mean Intensity")
    QTest.keyClick(line, Qt.Key.Key_Return)
    process()
    assert dock.scatter.axes.get_ylabel() == "Objects"
    assert sum(artist.get_data().values.max() for artist in dock.scatter._artists[:1]) >= 1
    top = dock.scatter.axes.get_ylim()[1]
    draw(dock, around(60, top / 4, 110, top / 2))
    assert dock.controller.selection[1] == numbers_where(dock, lambda _, mean: (mean >= 60) & (mean <= 110))


def test_many_points_are_drawn_as_an_image(dock, monkeypatch):
    monkeypatch.setattr("objclass.napari.scatter.MAXIMUM_MARKERS", 10)
    dock.refresh()
    [image, _rings] = dock.scatter._artists
    colors = {tuple(color) for color in np.unique(image.get_array()[..., :3].reshape(-1, 3), axis=0).tolist()}
    expected = {
        tuple(np.float32(part / 255).item() for part in one.color) for one in dock.controller.session.classes
    }
    assert colors == {(0.0, 0.0, 0.0), *expected}
    before = dock.scatter._artists
    dock.hide()
    dock.controller.select(0, (1,))
    process()
    assert dock.scatter._artists is before  # nothing is drawn where it cannot be seen


def test_a_text_that_is_no_column_is_replaced(dock):
    from qtpy.QtTest import QTest

    line = dock.y.lineEdit()
    line.setFocus()
    line.selectAll()
    QTest.keyClicks(line, "nonsense")
    dock.canvas.setFocus()
    line.editingFinished.emit()
    assert dock.y.currentText() == "Mean Intensity"


def test_colours_follow_the_theme(dock):
    dock.setStyleSheet("QWidget { background-color: rgb(20, 30, 40); color: rgb(200, 210, 220); }")
    wait_until(lambda: dock.scatter.colors == ("#141e28", "#c8d2dc"))
    assert dock.scatter.figure.get_facecolor()[:3] == pytest.approx((20 / 255, 30 / 255, 40 / 255))
