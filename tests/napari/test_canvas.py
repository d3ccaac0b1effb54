"""Labels by mouse and keys, in a real window."""

import json

import numpy as np
import pytest

from objclass import open_project
from objclass.cli import main
from objclass.evaluation.writing import as_json
from objclass.session import Session
from objclass.session.state import SessionSettings
from tests.napari.events import canvas, click, drag, move, pixel, press, process, wait_until
from tests.napari.sessions import FEATURES, grid, wait_for_work

DARK, BRIGHT = 1, 8
"""Objects of the left column and of the right one."""


@pytest.fixture
def widget(module_viewer):
    """The widget in a viewer without layers."""
    viewer = module_viewer
    viewer.layers.clear()
    viewer.dims.ndisplay = 2
    dock, widget = viewer.window.add_plugin_dock_widget("objclass", "Object classification")
    yield widget
    wait_for_work(widget.controller)
    viewer.window.remove_dock_widget(dock)


def show(widget, raw, ids, axes):
    """A session with an image and two classes; return the viewer."""
    session = Session(SessionSettings(FEATURES, trees=10))
    session.add_class("dark")
    session.add_class("bright")
    session.add_image(raw, label_image=ids, raw_axes=axes, axes=axes)
    widget.controller.open(session)
    widget.controller.live.evaluates = False
    wait_for_work(widget.controller)
    widget.viewer.reset_view()
    process()


@pytest.fixture
def plane(widget, module_viewer):
    """The widget with a plane of 64 objects, and the viewer."""
    show(widget, *grid(), "yx")
    return widget, module_viewer


@pytest.fixture
def volume(widget, module_viewer):
    """The widget with a volume of 64 objects, of which 16 are in each of four layers, and the viewer."""
    raw, ids = grid(4, 4)
    layers = [np.where(ids > 0, ids + 16 * k, 0) for k in range(4)]
    thick = [part for layer in layers for part in [layer, layer, 0 * layer]]
    show(widget, np.stack([raw] * 12), np.stack(thick).astype(np.uint16), "zyx")
    return widget, module_viewer


def inside(widget, number):
    """A position in the world, in an object."""
    shown = widget.canvas.layers.shown
    voxels = np.argwhere(shown.numbers == number)
    return shown.layer.data_to_world(voxels[len(voxels) // 2])


def labels(widget):
    return dict(widget.controller.session.labels(widget.controller.current_image).classes)


def shown(viewer, name):
    return np.asarray(viewer.layers[name].data)


def label_two_classes(widget, viewer):
    click(viewer, inside(widget, DARK))
    press(viewer, "2")
    click(viewer, inside(widget, BRIGHT))


def test_two_classes_are_labelled_and_colours_come(plane):
    widget, viewer = plane
    objects = np.asarray(viewer.layers["Objects"].data[:, :])
    assert not objects[grid()[1] == 0].any()
    assert 0 < objects.sum() < (grid()[1] > 0).sum()  # outlines
    label_two_classes(widget, viewer)
    assert labels(widget) == {DARK: 1, BRIGHT: 2}
    wait_for_work(widget.controller)
    predicted = widget.controller.session.predictions(0).classes
    assert set(predicted) == {1, 2}
    assert np.array_equal(shown(viewer, "Classes"), np.append(0, predicted)[grid()[1]])
    assert shown(viewer, "Uncertainty").max() <= 1
    assert set(np.unique(shown(viewer, "Labels"))) == {0, 1, 2}
    picture = viewer.screenshot(flash=False)
    red, green, _ = np.moveaxis(picture[..., :3].astype(int), -1, 0)
    assert (red - green).max() > 100
    assert (green - red).max() > 50
    widget.controller.change(widget.controller.session.recolor_class, 1, (0, 0, 255))
    assert np.allclose(viewer.layers["Classes"].colormap.color_dict[1], (0, 0, 1, 1))


def test_a_drag_is_one_step_and_leaves_nothing_out(plane):
    widget, viewer = plane
    center = viewer.camera.center
    drag(viewer, [inside(widget, 9), inside(widget, 12), inside(widget, 36)])
    assert set(labels(widget)) == {9, 10, 11, 12, 20, 28, 36}
    assert viewer.camera.center == center
    press(viewer, "Z", "control")
    assert labels(widget) == {}
    press(viewer, "Z", "control+shift")
    assert set(labels(widget)) == {9, 10, 11, 12, 20, 28, 36}


def test_a_drag_from_background_or_with_space_moves_the_camera(plane):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    widget, viewer = plane
    center = np.array(viewer.camera.center)
    drag(viewer, [(9, 9), (19, 9), (29, 9)])
    moved = np.array(viewer.camera.center)
    assert abs(moved - center).max() > 5
    assert "no object" not in widget.status.text()
    QTest.keyPress(canvas(viewer), Qt.Key.Key_Space)
    drag(viewer, [inside(widget, 20), inside(widget, 12)])
    QTest.keyRelease(canvas(viewer), Qt.Key.Key_Space)
    assert abs(np.array(viewer.camera.center) - moved).max() > 5
    assert labels(widget) == {}


def test_a_right_click_removes_a_label_and_background_is_no_object(plane):
    widget, viewer = plane
    label_two_classes(widget, viewer)
    click(viewer, inside(widget, DARK), "right")
    assert labels(widget) == {BRIGHT: 2}
    click(viewer, (9, 9))
    assert labels(widget) == {BRIGHT: 2}
    assert "no object" in widget.status.text()
    drag(viewer, [inside(widget, BRIGHT), (60, 60)], "right")
    assert labels(widget) == {BRIGHT: 2}


def test_quick_clicks_are_clicks_not_zoom(plane):
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    from tests.napari.events import pixel

    widget, viewer = plane
    zoom = viewer.camera.zoom
    point = pixel(viewer, inside(widget, 5))
    QTest.mouseDClick(canvas(viewer), Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, point)
    process()
    assert labels(widget) == {5: 1}
    assert viewer.camera.zoom == zoom


def test_objects_are_selected_and_brought_into_sight(plane):
    widget, viewer = plane
    controller = widget.controller
    click(viewer, inside(widget, 5), modifiers="shift")
    assert controller.selection == (0, (5,))
    assert labels(widget) == {}
    assert viewer.layers["Selection"].visible
    controller.set_labelling(False)
    click(viewer, inside(widget, 6))
    assert controller.selection == (0, (6,))
    assert labels(widget) == {}
    viewer.camera.zoom, viewer.camera.center = 40, (5, 5)
    controller.select(0, (64,))
    assert np.allclose(viewer.camera.center[-2:], inside(widget, 64), atol=5)
    controller.select(0, ())
    assert not viewer.layers["Selection"].visible


def test_n_goes_to_uncertain_objects(plane):
    widget, viewer = plane
    label_two_classes(widget, viewer)
    wait_for_work(widget.controller)
    seen = set()
    for _ in range(3):
        press(viewer, "N")
        _, (number,) = widget.controller.selection
        assert number not in {*labels(widget), *seen}
        seen.add(number)
        assert np.allclose(viewer.camera.center[-2:], inside(widget, number), atol=5)


def test_the_status_bar_describes_objects(plane):
    widget, viewer = plane
    label_two_classes(widget, viewer)
    wait_for_work(widget.controller)
    move(viewer, (9, 9))
    move(viewer, inside(widget, BRIGHT))
    wait_until(lambda: "object 8, bright" in str(viewer.status))
    assert "label bright" in str(viewer.status)
    move(viewer, (9, 9))
    wait_until(lambda: "object" not in str(viewer.status))


def test_layers_that_are_painted_on_keep_their_mouse_and_keys(plane):
    widget, viewer = plane
    painted = viewer.add_labels(np.zeros((80, 80), np.uint8))
    painted.mode = "paint"
    click(viewer, inside(widget, 5))
    assert painted.data.any()
    assert labels(widget) == {}
    press(viewer, "Z", "control")
    assert not painted.data.any()
    painted.mode = "pan_zoom"
    click(viewer, inside(widget, 5))
    press(viewer, "2")
    assert labels(widget) == {5: 1}
    assert widget.controller.current == 2


def test_keys_are_text_in_text_fields(plane):
    from qtpy.QtWidgets import QLineEdit

    widget, viewer = plane
    field = QLineEdit(widget)
    field.show()
    for key in "2N":
        press(viewer, key, widget=field)
    assert field.text() == "2n"
    assert widget.controller.current == 1
    field.deleteLater()


def test_layers_that_were_deleted_are_left_alone(plane):
    widget, viewer = plane
    viewer.layers.remove(viewer.layers["Labels"])
    viewer.layers.remove(viewer.layers["Objects"])
    label_two_classes(widget, viewer)
    wait_for_work(widget.controller)
    assert labels(widget) == {DARK: 1, BRIGHT: 2}
    assert "Labels" not in viewer.layers
    assert set(np.unique(shown(viewer, "Classes"))) == {0, 1, 2}


def test_removed_layers_are_freed_in_their_context(plane):
    """Without one napari frees what it may not, and Mesa crashes when it draws the next time."""
    from qtpy.QtGui import QOpenGLContext

    viewer = plane[1]
    found = []
    viewer.layers.events.removed.connect(lambda _: found.append(QOpenGLContext.currentContext()))
    canvas(viewer).doneCurrent()
    viewer.layers.remove("Objects")
    assert found == [canvas(viewer).context()]


def test_volumes_in_slices(volume):
    widget, viewer = volume
    viewer.dims.set_point(0, 4)
    click(viewer, inside(widget, 17))
    press(viewer, "2")
    viewer.dims.set_point(0, 1)
    drag(viewer, [inside(widget, 2), inside(widget, 4)])
    assert labels(widget) == {17: 1, 2: 2, 3: 2, 4: 2}
    wait_for_work(widget.controller)
    press(viewer, "N")
    _, (number,) = widget.controller.selection
    assert number in widget.canvas.layers.shown.numbers[int(viewer.dims.point[0])]


def test_volumes_in_the_3d_view(volume):
    widget, viewer = volume
    viewer.dims.ndisplay = 3
    viewer.camera.angles = (0, 0, 90)
    process()
    seen = widget.canvas.layers.at(inside(widget, 1), viewer.camera.calculate_nd_view_direction(3, (0, 1, 2)))
    click(viewer, inside(widget, 1))
    assert list(labels(widget)) == [seen]
    drag(viewer, [inside(widget, 3), inside(widget, 16)])
    assert list(labels(widget)) == [seen]
    press(viewer, "2")
    click(viewer, inside(widget, seen + 3))
    assert list(labels(widget).values()) == [1, 2]
    wait_for_work(widget.controller)
    press(viewer, "N")
    _, (number,) = widget.controller.selection
    assert np.allclose(viewer.camera.center, inside(widget, number), atol=6)
    viewer.dims.ndisplay = 2


def test_time_series(widget, module_viewer):
    raw, ids = grid(4, 4)
    show(widget, np.stack([raw, raw[::-1], raw]), np.stack([ids, ids[::-1], ids]), "tyx")
    module_viewer.dims.set_point(0, 2)
    click(module_viewer, inside(widget, 33))
    press(module_viewer, "2")
    module_viewer.dims.set_point(0, 0)
    click(module_viewer, inside(widget, 4))
    assert labels(widget) == {33: 1, 4: 2}
    widget.controller.select(0, (20,))
    assert module_viewer.dims.point[0] == 1


def test_layers_lie_where_those_of_the_user_do(widget, module_viewer):
    raw, ids = grid()
    place = {"scale": (2, 3), "translate": (100, -50), "rotate": 30, "units": ("um", "um")}
    module_viewer.add_image(raw, name="raw", **place)
    objects = module_viewer.add_labels(ids, name="ids", **place)
    process()
    widget.images.add.click()
    wait_until(lambda: not widget.controller.is_busy)
    widget.controller.change(widget.controller.session.add_class)
    module_viewer.reset_view()
    click(module_viewer, objects.data_to_world((10 * 3 + 1, 10 * 5 + 2)))
    assert labels(widget) == {8 * 3 + 5 + 1: 1}
    assert [str(unit) for unit in module_viewer.layers["Classes"].units] == ["micrometer"] * 2
    assert not objects.visible


def test_raw_data_and_outlines_are_seen_through_the_uncertainty(plane):
    widget, viewer = plane
    layers, shown = widget.canvas.layers, widget.canvas.layers.shown
    layers._set("Uncertainty", np.float32(np.arange(shown.found.count + 1) > 0))
    viewer.layers["Uncertainty"].visible = True
    for name in ("Classes", "Objects", "Labels"):
        viewer.layers[name].visible = False
    widget.controller.select(0, (57,))  # a large dark one
    process()
    picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3].astype(int)
    ratio = picture.shape[1] / canvas(viewer).width()

    def color(position):
        point = pixel(viewer, position)
        return picture[round(point.y() * ratio), round(point.x() * ratio)].sum()

    voxels = [np.argwhere(shown.numbers == number) for number in (57, 60)]
    rim, (dark, bright) = voxels[0][0], [one.mean(axis=0) for one in voxels]
    assert color(bright) > color(dark) + 100
    assert color(rim) > color(dark) + 150


def test_the_accuracy_that_is_shown_is_that_of_the_command_line(plane, tmp_path, capsys):
    widget, viewer = plane
    session, panel = widget.controller.session, widget.sections["Accuracy"].content
    left, right = ([8 * y + x for y in range(3) for x in columns] for columns in (range(1, 5), range(5, 9)))
    for key, numbers in (("1", [*left, 40]), ("2", [*right, 33])):  # the last ones are wrong
        press(viewer, key)
        for number in numbers:
            click(viewer, inside(widget, number))
    widget.controller.live.evaluates = True
    widget.controller.request()
    wait_until(lambda: session.state.is_judged and not widget.controller.is_busy)
    process()
    path, scores = tmp_path / "p.ilp", tmp_path / "scores.json"
    widget.project.save_project(str(path))
    wait_until(lambda: widget.status.text() == f"Saved: {path}")
    assert main(["evaluate", "--project", str(path), "--evaluation", str(scores)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert panel.headline.text().startswith("Balanced accuracy 0.")
    assert "95 % interval" in panel.headline.text()
    assert [panel.headline.text().lower(), *panel.details.text().splitlines()] == [
        printed[0].lower(),
        *printed[1:3],
    ]
    found = json.loads(scores.read_text())
    cells = [[panel.matrix.item(k, m).text() for m in range(3)] for k in range(2)]
    assert [[int(count) for count in row[:2]] for row in cells] == found["confusion"]
    assert [sum(row) for row in found["confusion"]] == [13, 13]
    for k, one in enumerate(found["classes"]):
        rates = [cells[k][2], panel.matrix.item(2, k).text()]
        assert [float(rate.split()[0]) for rate in rates] == [
            round(one[name]["value"], 2) for name in ("recall", "precision")
        ]
    evaluation = as_json(session.state.judgement.result.evaluation)
    assert {**found, "learning_curve": None, "importances": []} == evaluation
    assert open_project(path).facts["evaluation"] == evaluation
