"""Files and folders that are dropped on the viewer."""

import shutil

import numpy as np
import pytest

from objclass.cli import main
from objclass.napari.reader import project_reader, run_reader
from tests.conftest import SAMPLES
from tests.napari.events import canvas, move, process, wait_until


def drop(viewer, path):
    """Drag a file from another program, and drop it on the canvas."""
    from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
    from qtpy.QtGui import QDragEnterEvent, QDropEvent
    from qtpy.QtWidgets import QApplication

    data, target = QMimeData(), viewer.window._qt_viewer
    data.setUrls([QUrl.fromLocalFile(str(path))])
    # Qt sends a drop to the widget that took the drag
    given = Qt.DropAction.CopyAction, data, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    QApplication.sendEvent(target, QDragEnterEvent(QPointF(50, 50).toPoint(), *given))
    QApplication.sendEvent(target, QDropEvent(QPointF(50, 50), *given))
    process()


@pytest.fixture
def viewer(module_viewer):
    yield module_viewer
    module_viewer.layers.clear()


def test_a_project_is_dropped(viewer):
    drop(viewer, SAMPLES / "cells.ilp")
    wait_until(lambda: len(viewer.layers) == 3)
    labels = viewer.layers["cells_train labels"]
    y, x = np.argwhere(np.asarray(labels.data) == 2)[0]
    viewer.layers.selection.active = labels
    move(viewer, (y, x))
    assert "class: ring" in labels.get_status((y, x), world=True)["value"]
    assert np.allclose(labels.get_color(2), np.array((60, 180, 75, 255)) / 255)
    assert viewer.dims.axis_labels == ("y", "x")


def test_the_project_of_a_layer_is_opened(viewer):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    dock, widget = viewer.window.add_plugin_dock_widget("objclass", "Object classification")
    assert not widget.dropped.isVisible()
    drop(viewer, SAMPLES / "cells.ilp")
    wait_until(widget.dropped.isVisible)
    assert widget.dropped.text() == "Open cells.ilp"
    QTest.mouseClick(widget.dropped, Qt.MouseButton.LeftButton)
    wait_until(lambda: widget.controller.session.state.images and not widget.controller.is_busy, 60)
    assert widget.controller.session.state.label_counts == [12, 12, 12]
    assert "cells_train labels" not in viewer.layers
    assert not widget.dropped.isVisible()
    viewer.window.remove_dock_widget(dock)


def test_a_run_file_is_dropped(viewer, tmp_path):
    assert main(["--headless", "--quiet", "--project", f"{SAMPLES}/cells.ilp", "--raw_data", f"{SAMPLES}/cells.tif",
                 "--segmentation_image", f"{SAMPLES}/cells_segmentation.tif", "--export_object_identities_img",
                 "--output_filename_format", f"{tmp_path}/{{nickname}}_{{result_type}}",
                 "--table_filename", f"{tmp_path}/t.csv"]) == 0  # fmt: skip
    drop(viewer, tmp_path / "objclass_run.json")
    wait_until(lambda: len(viewer.layers) == 2)
    objects = viewer.layers["cells Object Identities"]
    y, x = np.argwhere(np.asarray(objects.data) == 7)[0]
    assert "Predicted Class" in objects.get_status((y, x), world=True)["value"]
    viewer.layers.clear()
    viewer.open(tmp_path, plugin="objclass")
    assert len(viewer.layers) == 2


def test_what_is_wrong_is_said_without_a_traceback(viewer, tmp_path):
    from napari.utils.notifications import notification_manager

    shutil.copy(SAMPLES / "cells.ilp", tmp_path)
    drop(viewer, tmp_path / "cells.ilp")
    (said,) = notification_manager.records
    assert "no such file" in said.message
    assert not hasattr(said, "exception")
    notification_manager.records.clear()
    assert not viewer.layers
    assert canvas(viewer).isVisible()


def test_what_is_not_ours_is_left_to_others(tmp_path):
    assert run_reader(str(tmp_path)) is None
    assert run_reader(["a.json", "b.json"]) is None
    assert project_reader(["a.ilp", "b.ilp"]) is None
