"""The panels of the widget, driven by clicks and keys."""

import numpy as np
import pytest

from objclass.errors import ObjclassError
from objclass.session import Session
from objclass.session.state import SessionSettings
from tests.conftest import SAMPLES
from tests.napari.events import process, push, wait_until
from tests.napari.sessions import FEATURES


@pytest.fixture
def widget(module_viewer):
    """The widget in a viewer with raw data and a segmentation, which come from files; little is measured of them."""
    viewer = module_viewer
    viewer.layers.clear()
    viewer.open("sample_data/cells.tif")
    viewer.open("sample_data/cells_segmentation.tif", layer_type="labels")
    _, widget = viewer.window.add_plugin_dock_widget("objclass", "Object classification")
    widget.controller.open(Session(SessionSettings(FEATURES, trees=10)))
    widget.controller.live.evaluates = False
    process()
    yield widget
    viewer.layers.clear()  # Mesa crashes where an image is drawn while all docks are removed
    viewer.window.remove_dock_widget("all")
    process()


def use_images(widget):
    push(widget.images.add)
    wait_until(lambda: not widget.controller.is_busy)
    return widget.controller.session


def named(shown):
    return [shown.item(k).text() for k in range(shown.count())]


def test_layers_that_are_files_are_used_as_such(widget):
    assert named(widget.images.raw) == ["cells"]
    assert widget.images.role.currentData() == "segmentation_image"
    session = use_images(widget)
    lane = session.state.images[0].lane
    assert (lane.raw.files, lane.objects.files) == (
        ("sample_data/cells.tif",),
        ("sample_data/cells_segmentation.tif",),
    )
    assert named(widget.images.images) == ["cells"]
    assert "No classes" in widget.status.text()
    push(widget.images.remove)
    assert not session.state.images
    assert "No images" in widget.status.text()


def test_lists_follow_the_layers(widget, module_viewer):
    layer = module_viewer.add_image(np.zeros((3, 40, 50)), name="more")
    process()
    assert named(widget.images.objects) == ["cells", "cells_segmentation", "more"]
    layer.name = "others"
    process()
    assert named(widget.images.raw) == ["cells", "others"]
    assert [one.name for one in widget.images.objects.checked] == ["cells_segmentation"]
    module_viewer.layers.remove(layer)
    process()
    assert named(widget.images.raw) == ["cells"]


def test_layers_are_channels_and_others_are_refused_in_a_sentence(widget, module_viewer):
    module_viewer.add_image(np.ones((320, 320), "uint8"), name="second")
    process()
    widget.images.raw.check(id(module_viewer.layers["second"]))
    session = use_images(widget)
    assert session.state.images[0].lane.channels == 2
    module_viewer.add_image(np.ones((320, 310), "uint8"), name="third")
    process()
    widget.images.raw.check(id(module_viewer.layers["third"]))
    push(widget.images.add)
    assert "expected layers of one shape" in widget.status.text()
    assert len(session.state.images) == 1


def test_the_chosen_role_is_kept(widget, module_viewer):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    role = widget.images.role
    QTest.keyClick(role, Qt.Key.Key_Up)
    process()
    assert role.currentData() == "label_image"
    use_images(widget)
    process()
    assert role.currentData() == "label_image"
    module_viewer.add_labels(np.ones((320, 320), "uint8"), name="binary")
    process()
    widget.images.objects.check(id(module_viewer.layers["binary"]))
    assert role.currentData() == "label_image"  # that of the session


def test_channels_between_the_axes_of_objects_are_layers_of_the_session(widget, module_viewer):
    raw, labels = np.zeros((5, 2, 32, 32), np.uint8), np.zeros((5, 32, 32), np.int32)
    labels[:, 4:9, 4:9] = 1
    layers = module_viewer.layers
    layers.clear()
    module_viewer.add_image(raw, name="raw")
    module_viewer.add_labels(labels, name="labels")
    process()
    widget.images.raw.check(id(layers["raw"]))
    widget.images.objects.check(id(layers["labels"]))
    assert (widget.images.raw_axes.currentText(), widget.images.axes.currentText()) == ("zcyx", "zyx")
    use_images(widget)
    assert not layers["raw"].visible
    assert [layers[f"raw {k}"].data.shape for k in (0, 1)] == [layers["Objects"].data.shape] * 2
    assert all(layers[f"raw {k}"].visible for k in (0, 1))
    layers.remove("raw")
    assert module_viewer.dims.ndim == 3
    assert all(layers[f"raw {k}"].visible for k in (0, 1))


def test_a_list_without_a_chosen_layer_is_said_until_something_succeeds(widget):
    from qtpy.QtCore import Qt

    item = widget.images.objects.item(1)
    item.setCheckState(Qt.CheckState.Unchecked)
    push(widget.images.add)
    assert widget.status.text() == "Objects: no layer is chosen: check one."
    widget.images.add_files(["sample_data/cells_probabilities.h5"])
    assert "No images" in widget.status.text()
    widget.images.raw.item(0).setCheckState(Qt.CheckState.Unchecked)
    push(widget.images.add)
    assert widget.status.text() == "Raw data: no layer is chosen: check one."


def test_keys_move_the_slider_of_a_threshold(widget):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    threshold = widget.thresholds.threshold
    threshold.setValue(0.5)
    for key, value in ((Qt.Key.Key_PageUp, 0.6), (Qt.Key.Key_Right, 0.61), (Qt.Key.Key_Down, 0.6)):
        QTest.keyClick(threshold.slider, key)
        assert threshold.value() == value
    widget.thresholds._pause.stop()


def test_raw_data_of_another_shape_are_said(widget, module_viewer):
    module_viewer.layers.remove("cells")
    module_viewer.add_image(np.ones((320, 310), "uint8"), name="narrow")
    process()
    widget.images.raw.check(id(module_viewer.layers["narrow"]))
    session = use_images(widget)
    assert "narrow (320, 310) with axes yx from your choice" in widget.status.text()
    assert "differ along x (wrong axes?)" in widget.status.text()
    assert not session.state.images


def test_classes(widget):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QColorDialog, QLineEdit

    session, panel, controller = use_images(widget), widget.classes, widget.controller
    push(panel.add)
    push(panel.add)
    assert controller.current == 2
    place = panel.classes.visualItemRect(panel.classes.topLevelItem(0)).center()
    QTest.mouseClick(panel.classes.viewport(), Qt.MouseButton.LeftButton, pos=place)
    assert controller.current == 1
    QTest.mouseDClick(panel.classes.viewport(), Qt.MouseButton.LeftButton, pos=place)
    process()
    editor = panel.classes.findChild(QLineEdit)
    editor.selectAll()
    QTest.keyClicks(editor, "round")
    QTest.keyClick(editor, Qt.Key.Key_Return)
    process()
    assert [one.name for one in session.classes] == ["round", "Class 2"]
    controller.change(session.label, 0, [1, 2, 3], 1)
    assert panel.classes.topLevelItem(0).text(2) == "3"
    push(panel.color)
    dialog = panel.findChild(QColorDialog)
    dialog.setCurrentColor("#102030")
    dialog.accept()
    assert session.classes[0].color == (16, 32, 48)
    push(panel.remove)
    assert [one.name for one in session.classes] == ["Class 2"]
    push(panel.undo)
    assert session.state.label_counts == [3, 0]
    push(panel.redo)
    assert session.state.label_counts == [0]


def test_a_name_that_is_taken_is_said(widget):
    panel, session = widget.classes, widget.controller.session
    push(panel.add)
    push(panel.add)
    panel.classes.topLevelItem(0).setText(1, "Class 2")
    assert "there is a class Class 2 already" in widget.status.text()
    assert [one.name for one in session.classes] == ["Class 1", "Class 2"]
    assert panel.classes.topLevelItem(0).text(1) == "Class 1"


def test_an_error_is_said_until_the_user_does_what_works(widget, tmp_path):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    panel, controller, status = widget.classes, widget.controller, widget.status

    def fail():
        panel.classes.topLevelItem(0).setText(1, "Class 2")
        assert "there is a class Class 2 already" in status.text()

    def click(row):
        place = panel.classes.visualItemRect(panel.classes.topLevelItem(row)).center()
        QTest.mouseClick(panel.classes.viewport(), Qt.MouseButton.LeftButton, pos=place)

    push(panel.add)
    push(panel.add)
    valid = status.text()
    assert valid == controller.session.state.status
    for act in (
        lambda: click(0),
        lambda: push(panel.labelling),
        lambda: push(status.live),
        lambda: controller.select(0, (1,)),
        lambda: controller.change(controller.session.rename_class, 1, "Class 1"),
    ):
        click(1)
        fail()
        act()
        assert status.text() == valid
    fail()
    click(1)  # the current class already: nothing is done
    assert "there is a class" in status.text()
    (tmp_path / "bad.txt").write_text("no image")
    widget.images.add_files([str(tmp_path / "bad.txt"), "sample_data/cells_probabilities.h5"])
    assert "bad.txt" in status.text()
    controller._ended(ObjclassError("image: cannot be measured"))  # true whatever is chosen
    click(0)
    assert controller.current == 1
    assert "cannot be measured" in status.text()
    push(panel.add)
    assert "cannot be measured" not in status.text()


def test_the_work_ends_with_the_dock(widget, module_viewer):
    push(widget.images.add)
    module_viewer.window.remove_dock_widget(widget)
    assert widget.controller.live._is_closed
    assert not widget.controller.task.is_busy or widget.controller.task._stop.is_asked


def test_docks_are_opened_once_and_close_with_the_widget(widget, module_viewer):
    labelled(widget)
    before = set(module_viewer.window.dock_widgets)
    push(widget.docks.table)
    push(widget.docks.plot)
    push(widget.docks.table)
    assert set(module_viewer.window.dock_widgets) - before == {"Objects: table", "Objects: plot"}
    module_viewer.window.remove_dock_widget(module_viewer.window.dock_widgets["Objects: plot"])
    process()
    push(widget.docks.plot)
    assert "Objects: plot" in module_viewer.window.dock_widgets
    module_viewer.window.remove_dock_widget(widget)
    process()
    assert not set(module_viewer.window.dock_widgets) & {"Objects: table", "Objects: plot"}


def test_a_widget_that_was_closed_goes_on_when_it_is_opened_again(widget, module_viewer):
    session = labelled(widget)
    module_viewer.window.remove_dock_widget(widget)
    process()
    _, again = module_viewer.window.add_plugin_dock_widget("objclass", "Object classification")
    process()
    assert again.controller.session is session
    assert again.classes.classes.topLevelItem(0).text(2) == "3"
    assert len([one for one in module_viewer.layers if one.name.startswith("Classes")]) == 1


def test_the_work_ends_with_the_window(display):
    from tests.napari.events import opened

    with opened() as viewer:
        viewer.open("sample_data/cells.tif")
        _, widget = viewer.window.add_plugin_dock_widget("objclass", "Object classification")
        live = widget.controller.live
        viewer.close()
        process()
        assert live._is_closed


def test_thresholds_follow_at_once_and_say_what_is_lost(widget):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    panel, controller = widget.thresholds, widget.controller
    assert not widget.sections["Thresholds"].isVisible()
    widget.images.add_files(["sample_data/cells_probabilities.h5"])
    widget.images.objects.check("sample_data/cells_probabilities.h5")
    assert (widget.images.role.currentData(), widget.images.axes.currentText()) == ("prediction_maps", "yxc")
    session = use_images(widget)
    assert widget.sections["Thresholds"].isVisible()
    assert "60 objects in cells" in panel.count.text()
    push(widget.classes.add)
    controller.change(session.label, 0, [1, 2, 3], 1)
    panel.threshold.box.selectAll()
    QTest.keyClicks(panel.threshold.box, "0.999")
    QTest.keyClick(panel.threshold.box, Qt.Key.Key_Return)
    wait_until(lambda: session.state.settings.threshold.threshold == 0.999 and not controller.is_busy)
    assert "3 labels" in panel.count.text()
    assert "3 labels are lost" in widget.status.text()
    QTest.keyClick(panel.minimum, Qt.Key.Key_PageUp)
    wait_until(lambda: session.state.settings.threshold.min_size == 11)
    QTest.keyClick(panel.maximum, Qt.Key.Key_Up)
    wait_until(lambda: "min size 11 is above max size 1" in widget.status.text())
    wait_until(lambda: panel.maximum.value() == 0)
    wait_until(lambda: not controller.is_busy)
    center = panel.threshold.slider.rect().center()
    QTest.mouseMove(panel.threshold.slider, center)
    QTest.mouseClick(panel.threshold.slider, Qt.MouseButton.LeftButton, pos=center)
    wait_until(lambda: 0.3 < session.state.settings.threshold.threshold < 0.999)
    assert panel.core_threshold.isHidden()
    panel.method.setCurrentText("hysteresis")
    assert not panel.core_threshold.isHidden()
    wait_until(lambda: session.state.settings.threshold.method == "hysteresis")


def test_features(widget):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    panel = widget.features
    widget.controller.open(Session())
    widget.sections["Features"].open()
    assert not panel.tree.isVisible()
    session = use_images(widget)
    names = [branch.text(0) for branch in panel._branches()]
    assert "texture (not in ilastik)" in names
    assert "3D Convex Hull Features" not in names
    assert not panel.measure.isEnabled()
    branch = panel._branches()[names.index("2D Skeleton Features")]
    panel.tree.setCurrentItem(branch)
    QTest.keyClick(panel.tree, Qt.Key.Key_Space)
    QTest.keyClick(panel.tree, Qt.Key.Key_Right)
    QTest.keyClick(panel.tree, Qt.Key.Key_Down)
    assert "loop" in panel.tree.currentItem().toolTip(0)
    QTest.keyClick(panel.tree, Qt.Key.Key_Space)
    push(panel.measure)
    given = session.state.settings.features
    assert given[-1] == "Standard Object Features"
    assert "2D Skeleton Features:Hole Count" in given
    assert "2D Skeleton Features:Branch Count" not in given
    assert not panel.measure.isEnabled()
    push(panel.best)
    push(panel.measure)
    assert "texture" in session.state.settings.features
    wait_until(lambda: not widget.controller.is_busy)
    assert any(key[0] == "texture" for key in session.state.measured[0].table.values)


def labelled(widget):
    """A session with labels of two classes."""
    session = use_images(widget)
    push(widget.classes.add)
    push(widget.classes.add)
    widget.controller.change(session.label, 0, [1, 2, 3], 1)
    widget.controller.change(session.label, 0, [14, 16, 17], 2)
    wait_until(lambda: not widget.controller.is_busy)
    return session


def test_a_project_is_saved_exported_and_opened(widget, tmp_path, monkeypatch):
    from qtpy.QtWidgets import QApplication, QFileDialog

    from objclass.cli import main

    panel, controller, session = widget.project, widget.controller, labelled(widget)
    assert panel.name.text() == "New project (not saved)"
    push(panel.copy)
    assert "save it first" in widget.status.text()
    path = tmp_path / "a.ilp"
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "a"), ""))
    push(panel.save)
    wait_until(lambda: not controller.is_busy and path.exists())
    assert panel.name.text() == "a.ilp"
    assert widget.status.text() == f"Saved: {path}"

    push(panel.export)
    assert panel.dialog.isVisible()
    push(panel.dialog.export)
    table = tmp_path / "a_table.csv"
    wait_until(lambda: not controller.is_busy and table.exists())
    assert widget.status.text() == "The results are written."
    written = table.read_bytes()
    table.unlink()
    push(panel.copy)
    command = QApplication.clipboard().text()
    assert command.startswith("objclass --headless")
    assert main(command.split()[1:]) == 0
    assert table.read_bytes() == written

    push(panel.new)
    assert not controller.session.state.images
    monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
    push(panel.open)
    wait_until(lambda: controller.session is not session and controller.session.state.images)
    wait_until(lambda: not controller.is_busy)
    assert controller.session.state.label_counts == [3, 3]
    assert widget.classes.classes.topLevelItem(1).text(2) == "3"


def test_changes_are_not_lost_without_a_question(widget):
    from qtpy.QtWidgets import QMessageBox

    session = use_images(widget)
    push(widget.project.new)
    question = widget.project.findChild(QMessageBox)
    push(question.button(QMessageBox.StandardButton.Cancel))
    assert widget.controller.session is session
    push(widget.project.new)
    question = widget.project.findChildren(QMessageBox)[-1]
    push(question.button(QMessageBox.StandardButton.Discard))
    assert not widget.controller.session.state.images


def test_a_project_that_cannot_be_opened_is_said(widget, tmp_path):
    session = use_images(widget)
    (tmp_path / "no.ilp").write_text("no project")
    widget.project.open_project(str(tmp_path / "no.ilp"))
    wait_until(lambda: not widget.controller.is_busy)
    assert "no.ilp" in widget.status.text()
    assert widget.controller.session is session


def test_missing_images_are_asked_for(widget, tmp_path, monkeypatch):
    import shutil

    from qtpy.QtWidgets import QFileDialog, QMessageBox

    images = tmp_path / "images"
    images.mkdir()
    for name in ("cells.ilp", "cells_train.tif", "cells_train_segmentation.tif"):
        shutil.copy(SAMPLES / name, tmp_path if name.endswith(".ilp") else images)
    widget.project.open_project(str(tmp_path / "cells.ilp"))
    question = wait_until(lambda: widget.project.findChild(QMessageBox))
    assert "cells_train.tif" in question.informativeText()
    assert [one.text() for one in question.buttons()] == ["Folder of images…", "Cancel"]  # no image is there
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(images))
    push(next(one for one in question.buttons() if one.text() == "Folder of images…"))
    wait_until(lambda: widget.controller.session.state.images)
    assert str(images) in widget.controller.session.state.images[0].lane.raw.name


def test_live_update_can_wait(widget):
    session, controller = use_images(widget), widget.controller
    push(widget.status.live)
    labelled_with = session.state.found[0]
    push(widget.classes.add)
    push(widget.classes.add)
    controller.change(session.label, 0, [1], 1)
    controller.change(session.label, 0, [14], 2)
    wait_until(lambda: not controller.is_busy)
    assert session.state.found[0] is labelled_with
    assert session.predictions(0) is None
    push(widget.status.live)
    wait_until(lambda: session.predictions(0) is not None)


def test_clicks_label_or_select(widget):
    push(widget.classes.labelling)
    assert not widget.controller.is_labelling
    widget.controller.set_labelling(True)
    assert widget.classes.labelling.isChecked()


def test_the_next_uncertain_object_is_selected(widget):
    labelled(widget)
    push(widget.classes.next)
    key, numbers = widget.controller.selection
    assert key == 0
    assert len(numbers) == 1
