"""Windows that are closed while work is under way, and several of them."""

import numpy as np

from objclass.session import Session
from objclass.session.state import SessionSettings
from tests.napari.events import click, opened, process, wait_until
from tests.napari.sessions import FEATURES, grid, wait_for_work


def start(viewer, rows=8):
    """A session of one image with two classes, in the viewer's widget."""
    _, widget = viewer.window.add_plugin_dock_widget("objclass", "Object classification")
    session = Session(SessionSettings(FEATURES, trees=10))
    session.add_class("dark")
    session.add_class("bright")
    raw, ids = grid(rows, rows)
    session.add_image(raw, label_image=ids)
    widget.controller.open(session)
    return widget


def test_a_window_is_closed_while_work_is_under_way(display):
    with opened() as viewer:
        live = start(viewer, 60).controller.live
        assert live.is_busy
    worker = live._thread
    wait_until(lambda: worker is None or not worker.is_alive())


def test_a_widget_that_is_removed_is_deleted_by_qt_and_leaves_the_viewer(display):
    """Python collects garbage in any thread; Qt's objects have to be gone before."""
    gone = []
    with opened() as viewer:
        layer = viewer.add_image(np.zeros((9, 9), np.uint8))
        widget = start(viewer)
        process()
        widget.destroyed.connect(lambda: gone.append(1))
        viewer.window.remove_dock_widget(widget)
        process()
        assert gone
        layer.name = "other"
        viewer.layers.selection.active = None
        viewer.layers.remove(layer)
        viewer.add_image(np.zeros((9, 9), np.uint8))
        process()


def test_two_windows_do_not_disturb_each_other(display):
    with opened() as first, opened() as second:
        one, two = start(first), start(second)
        for widget in (one, two):
            wait_for_work(widget.controller)
        second.reset_view()
        process()
        click(second, (2, 2))
        labels = [dict(widget.controller.session.labels(0).classes) for widget in (one, two)]
        assert labels == [{}, {1: 1}]
        second.window.remove_dock_widget("all")
        first.reset_view()
        click(first, (2, 2))
        assert dict(one.controller.session.labels(0).classes) == {1: 1}
        click(second, (2, 12))
        assert dict(two.controller.session.labels(0).classes) == {1: 1}
