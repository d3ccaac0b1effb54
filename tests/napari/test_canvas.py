"""Labels by mouse and keys, in a real window."""

import numpy as np
import pytest

from tests.conftest import SAMPLES
from tests.napari.events import click, drag, press, wait_until

ROUND, LONG = 1, 14
"""Objects of the sample image."""


@pytest.fixture
def widget(module_viewer):
    """The widget with the sample image and two classes."""
    viewer = module_viewer
    viewer.layers.clear()
    viewer.dims.ndisplay = 2
    dock, widget = viewer.window.add_plugin_dock_widget("objclass", "Object classification")
    controller = widget.controller
    add(viewer, controller, str(SAMPLES / "cells.tif"), str(SAMPLES / "cells_segmentation.tif"))
    yield widget
    viewer.window.remove_dock_widget(dock)


def add(viewer, controller, raw, segmentation):
    session = controller.session
    key = controller.change(session.add_image, raw, segmentation)
    controller.change(session.add_class, "round")
    controller.change(session.add_class, "long")
    wait_until(lambda: not controller.live.is_busy)
    viewer.reset_view()
    return key


def inside(widget, number):
    """A position in the world, in an object."""
    found = widget.canvas.layers.found
    voxels = np.argwhere(found.numbers == number)
    return voxels[len(voxels) // 2][-2:]


def labels(widget):
    return dict(widget.controller.session.labels(widget.canvas.layers.found.image.key).classes)


def shown(viewer, name):
    return np.asarray(viewer.layers[name].data)


def test_two_classes_are_labelled_and_colours_come(module_viewer, widget):
    viewer, controller = module_viewer, widget.controller
    click(viewer, inside(widget, ROUND))
    press(viewer, "2")
    click(viewer, inside(widget, LONG))
    assert labels(widget) == {ROUND: 1, LONG: 2}
    wait_until(lambda: not controller.live.is_busy)
    predicted = controller.session.predictions(controller.current_image).classes
    assert set(predicted) == {1, 2}
    assert np.array_equal(
        shown(viewer, "Classes"), np.append(0, predicted)[widget.canvas.layers.found.numbers[0, 0]]
    )


def test_only_outlines_of_objects_are_white(module_viewer, widget):
    objects = np.asarray(module_viewer.layers["Objects"].data[:, :])
    numbers = widget.canvas.layers.found.numbers[0, 0]
    assert not objects[numbers == 0].any()
    assert 0 < objects.sum() < (numbers > 0).sum()


def test_a_drag_is_one_step_and_leaves_nothing_out(module_viewer, widget):
    start, end = inside(widget, 16), inside(widget, 17)
    center = module_viewer.camera.center
    drag(module_viewer, [start, end])
    assert set(labels(widget)) >= {16, 17}
    assert len(labels(widget)) > 2
    assert module_viewer.camera.center == center
    press(module_viewer, "Z", "control")
    assert labels(widget) == {}
    press(module_viewer, "Z", "control+shift")
    assert set(labels(widget)) >= {16, 17}


def test_a_right_click_removes_a_label(module_viewer, widget):
    click(module_viewer, inside(widget, ROUND))
    click(module_viewer, inside(widget, LONG))
    click(module_viewer, inside(widget, ROUND), "right")
    assert labels(widget) == {LONG: 1}
