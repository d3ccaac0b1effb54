"""Docks and the viewer together: what is selected in one is selected in all."""

import gc
import threading

import numpy as np
import pytest

from tests.napari.events import click, process, wait_until
from tests.napari.sessions import labelled_session, wait_for_work


@pytest.fixture
def widget(module_viewer):
    module_viewer.layers.clear()
    dock, widget = module_viewer.window.add_plugin_dock_widget("objclass", "Object classification")
    widget.controller.open(labelled_session(images=2))
    widget.controller.live.evaluates = False
    wait_for_work(widget.controller)
    yield widget
    module_viewer.window.remove_dock_widget(dock)


@pytest.fixture
def table(module_viewer, widget):
    from objclass.napari.table_dock import TableDock

    table = TableDock(widget.controller)
    dock = module_viewer.window.add_dock_widget(table, area="bottom")
    wait_until(lambda: len(table.model.rows) == 64)
    module_viewer.reset_view()
    yield table
    module_viewer.window.remove_dock_widget(dock)


def click_row(table, row):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    index = table.model.index(row, 0)
    table.view.scrollTo(index)
    spot = table.view.visualRect(index).center()
    QTest.mouseClick(table.view.viewport(), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, spot)
    process()


def test_objects_are_selected_in_the_viewer_and_in_the_table(module_viewer, widget, table):
    click(module_viewer, (41, 32), modifiers="shift")
    number = int(widget.controller.session.state.found[0].numbers[0, 0, 41, 32])
    assert widget.controller.selection == (0, (number,))
    [part] = table.view.selectionModel().selection()
    assert table.model.rows[part.top()] == number - 1
    camera = module_viewer.scene.camera
    camera.zoom *= 20
    camera.center = (0, 0, 0)
    click_row(table, 62)  # far away
    assert widget.controller.selection == (0, (63,))
    seen = np.array(camera.center[-2:])
    assert np.abs(seen - (72, 63)).max() < 8


def test_keys_label_rows_where_the_table_has_the_focus(widget, table):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    click_row(table, 20)
    table.view.setFocus()
    QTest.keyClick(table.view, Qt.Key.Key_2)
    process()
    assert widget.controller.session.labels(0).classes[21] == 2


def test_another_image_has_another_table(widget, table):
    widget.controller.show_image(1)
    process()
    assert table.model.table.key == 1


def test_docks_that_are_removed_are_deleted_by_qt(module_viewer, widget):
    """Python collects garbage in any thread; Qt's objects have to be gone before."""
    from objclass.napari.accuracy import AccuracyPanel
    from objclass.napari.plot_dock import PlotDock

    gone = []
    for dock in (PlotDock(widget.controller), AccuracyPanel(widget.controller)):
        dock.destroyed.connect(lambda: gone.append(1))
        module_viewer.window.add_dock_widget(dock)
        process()
        module_viewer.window.remove_dock_widget(dock)
        process()
    del dock
    assert len(gone) == 2
    thread = threading.Thread(target=gc.collect)
    thread.start()
    thread.join()
    widget.controller.change(widget.controller.session.label, 0, [20], 1)
    process()


def test_a_dock_that_the_user_has_closed_is_opened_again(module_viewer, widget):
    buttons = widget.docks
    for _ in range(2):
        buttons.table.click()
        dock, _content = buttons._open["Table"]
        assert dock.isVisible()
        dock.destroyOnClose()  # as its button does
        process()
        assert not buttons._open
