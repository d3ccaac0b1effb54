"""Windows that are closed while work is under way, and several of them."""

from threading import Event
from time import monotonic, sleep

import numpy as np
import pytest

from objclass.errors import Stop
from objclass.session import Session, export
from objclass.session.state import SessionSettings
from tests.napari.events import click, opened, process, push, wait_until
from tests.napari.sessions import FEATURES, grid, labelled_session, wait_for_work

KEPT = {"a.ilp", "objclass_run.json"}
"""Files of a folder in which an export was stopped: the run file says how far it came."""


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


def test_a_second_widget_takes_the_place_of_the_first(viewer):
    from objclass.napari.widget import ObjectClassification

    callbacks = [viewer.mouse_double_click_callbacks, viewer.mouse_drag_callbacks]
    before = [list(one) for one in callbacks]
    first = start(viewer)
    wait_for_work(first.controller)
    viewer.reset_view()
    process()
    click(viewer, (2, 2))
    session = first.controller.session
    second = ObjectClassification(viewer)
    viewer.window.add_dock_widget(second, name="another")
    process()
    assert list(viewer.window.dock_widgets.values()) == [second]
    assert second.controller.session is session
    wait_for_work(second.controller)
    names = [layer.name for layer in viewer.layers]
    assert len(names) == len(set(names)) == 6
    click(viewer, (2, 12))
    assert dict(session.labels(0).classes) == {1: 1, 2: 1}
    viewer.window.remove_dock_widget(second)
    assert callbacks == before


class Waiting(Stop):
    """A stop that waits until it is asked for, from when files are written in a folder."""

    def __init__(self, given, folder):
        self.given, self.folder, self.reached = given, folder, Event()

    is_asked = property(lambda self: self.given.is_asked)

    def check(self):
        if {one.name for one in self.folder.iterdir()} - KEPT:
            self.reached.set()
            end = monotonic() + 30
            while not self.is_asked and monotonic() < end:
                sleep(0.005)
            assert self.is_asked
        self.given.check()


@pytest.fixture
def exporting(viewer, tmp_path, monkeypatch):
    """The widget while it exports, with files that are half written."""
    _, widget = viewer.window.add_plugin_dock_widget("objclass", "Object classification")
    session = labelled_session()
    session.save(tmp_path / "a.ilp")
    widget.controller.open(session)
    widget.controller.live.evaluates = False
    wait_for_work(widget.controller)
    run, stops = export.run, []

    def wait(request, progress, stop):
        stops.append(Waiting(stop, tmp_path))
        return run(request, progress, stops[0])

    monkeypatch.setattr(export, "run", wait)
    push(widget.project.export)
    dialog = widget.project.dialog
    for check in (dialog.summary.check, *dialog.images.values()):
        check.click()
    dialog.image_path.setText(f"{tmp_path}/{{nickname}}_{{result_type}}")
    push(dialog.export)
    wait_until(lambda: stops and (stops[0].reached.is_set() or not widget.controller.is_busy))
    assert stops[0].reached.is_set()
    return widget


def test_an_export_is_cancelled(exporting, tmp_path):
    status, thread = exporting.status, exporting.controller.task._thread
    assert status.work.text().startswith("Exporting")
    push(status.cancel)
    wait_until(lambda: not exporting.controller.is_busy)
    thread.join(10)
    assert not thread.is_alive()
    assert {one.name for one in tmp_path.iterdir()} <= KEPT
    wait_until(lambda: not status.cancel.isVisible())
    assert "results are written" not in status.text()


def test_a_window_is_closed_during_an_export(exporting, viewer, tmp_path):
    thread = exporting.controller.task._thread
    viewer.close()
    process()
    thread.join(10)
    assert not thread.is_alive()
    assert {one.name for one in tmp_path.iterdir()} <= KEPT
