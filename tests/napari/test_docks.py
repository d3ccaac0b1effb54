"""Docks and the viewer together: what is selected in one is selected in all."""

import gc
import threading

import pytest

from tests.napari.events import process, wait_until
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
