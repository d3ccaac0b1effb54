"""Images of several shapes, shown one after the other."""

import numpy as np
import pytest

from objclass.session import Session
from objclass.session.state import SessionSettings
from tests.napari.events import opened, process, wait_until
from tests.napari.sessions import FEATURES, grid, wait_for_work

OWN = ["Uncertainty", "Classes", "Objects", "Labels", "Selection"]


@pytest.fixture
def widget(module_viewer):
    """The widget in a viewer without layers."""
    module_viewer.layers.clear()
    module_viewer.dims.ndisplay = 2
    dock, widget = module_viewer.window.add_plugin_dock_widget("objclass", "Object classification")
    yield widget
    wait_for_work(widget.controller)
    module_viewer.window.remove_dock_widget(dock)


def session_of(*shapes, name="image"):
    """Images of so many rows and columns of squares, of which the corners are labelled; or volumes, with a number of planes."""
    session = Session(SessionSettings(FEATURES, trees=10))
    session.add_class("dark")
    session.add_class("bright")
    for seed, shape in enumerate(shapes):
        *planes, rows, columns = shape
        raw, ids = (np.broadcast_to(one, (*planes, *one.shape)) for one in grid(rows, columns, seed))
        axes = "zyx"[-raw.ndim :]
        key = session.add_image(raw, label_image=ids, raw_axes=axes, axes=axes, name=f"{name} {seed}")
        session.update()
        session.label(key, [1], 1)
        session.label(key, [rows * columns], 2)
    return session


def open_session(widget, session):
    widget.controller.open(session)
    widget.controller.live.evaluates = False
    wait_for_work(widget.controller)
    process()


def choose(widget, place):
    """Click on an image in the list."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    images = widget.images.images
    images.scrollToItem(images.item(place))
    center = images.visualItemRect(images.item(place)).center()
    QTest.mouseClick(images.viewport(), Qt.MouseButton.LeftButton, pos=center)
    process()
    assert widget.controller.current_image == widget.controller.session.state.images[place].key


def is_shown(widget, place):
    """Whether the layers show an image, and its classes."""
    image = widget.controller.session.state.images[place]
    found, layers = widget.controller.session.state.found[image.key], widget.viewer.layers
    classes = np.append(0, widget.controller.session.predictions(image.key).classes)
    wanted = classes[found.numbers.reshape(layers["Classes"].data.shape)]
    raw = layers[image.lane.nickname]
    assert np.array_equal(layers.extent.world[1] + 1, wanted.shape)
    return np.array_equal(layers["Classes"].data, wanted) and raw.data.shape == wanted.shape


def test_images_of_several_shapes_are_shown_in_the_same_layers(widget, module_viewer):
    open_session(widget, session_of((8, 8), (4, 12), (8, 8), (20, 3)))
    own = {name: module_viewer.layers[name] for name in OWN}
    for place in (1, 3, 0, 2, 1, 0):
        choose(widget, place)
        module_viewer.screenshot(flash=False)
        assert is_shown(widget, place)
        assert {name: module_viewer.layers[name] for name in OWN} == own
        assert len(module_viewer.layers) == len(OWN) + 1


def test_layers_that_were_deleted_while_images_are_switched(widget, module_viewer):
    open_session(widget, session_of((8, 8), (4, 12), (20, 3)))
    for place, name in ((1, "Objects"), (2, "Labels"), (0, "Uncertainty"), (1, "image 0"), (2, "Selection")):
        module_viewer.layers.selection = {module_viewer.layers[name]}
        module_viewer.layers.remove_selected()
        process()
        choose(widget, place)
        module_viewer.screenshot(flash=False)
        assert is_shown(widget, place)
    module_viewer.layers.clear()
    choose(widget, 0)
    assert is_shown(widget, 0)


def test_the_viewer_shows_a_place_of_the_image_and_names_its_axes(widget, module_viewer):
    dims = module_viewer.dims
    open_session(widget, session_of((6, 4, 4)))
    dims.set_current_step(0, 5)
    open_session(widget, session_of((2, 4, 4)))
    assert dims.current_step[0] == 1
    assert dims.axis_labels == ("z", "y", "x")


def test_names_that_the_user_gave_to_axes_are_kept(widget, module_viewer):
    dims = module_viewer.dims
    open_session(widget, session_of((6, 4, 4), (2, 4, 4)))
    dims.axis_labels = ("t", "y", "x")
    choose(widget, 1)
    assert dims.axis_labels == ("t", "y", "x")
    dims.axis_labels = ("z", "rows", "x")
    choose(widget, 0)
    assert dims.axis_labels == ("z", "rows", "x")
    dims.axis_labels = ("z", "y", "x")  # those of the next test


def test_a_long_name_is_shown_in_full_as_tool_tip(widget):
    name = f"/data/{'long/' * 30}cells.h5/exported"
    open_session(widget, session_of((4, 4), name=name))
    images = widget.images.images
    assert images.item(0).toolTip() == images.item(0).text() == f"{name} 0"
    assert images.horizontalScrollBar().maximum() == 0
    assert images.visualItemRect(images.item(0)).width() <= images.viewport().width()


def test_a_click_on_the_image_brings_deleted_layers_back(widget, module_viewer):
    open_session(widget, session_of((8, 8)))
    for name in ("Objects", "image 0", "Classes"):
        module_viewer.layers.selection = {module_viewer.layers[name]}
        module_viewer.layers.remove_selected()
    process()
    choose(widget, 0)
    assert is_shown(widget, 0)
    assert {*OWN} <= {layer.name for layer in module_viewer.layers}


def test_sessions_of_planes_and_volumes(widget, module_viewer):
    for shapes in (((8, 8), (4, 12)), ((3, 4, 4), (5, 3, 6)), ((6, 6),)):
        open_session(widget, session_of(*shapes))
        for place in reversed(range(len(shapes))):
            choose(widget, place) if len(shapes) > 1 else None
            module_viewer.screenshot(flash=False)
            assert is_shown(widget, place)
    assert {layer.ndim for layer in module_viewer.layers} == {2}


def test_channels_at_the_end_are_shown_by_layers_that_lie_as_the_objects_do(widget, module_viewer):
    raw, ids = grid(4, 6)
    maps = np.stack([ids > 0, ids == 0], axis=-1).astype(np.float32)
    channels = module_viewer.add_image(np.stack([raw, raw // 2], axis=-1), name="raw", rgb=False)
    objects = module_viewer.add_image(maps, name="maps", rgb=False)
    process()
    widget.images.raw.check(id(channels))
    widget.images.objects.check(id(objects))
    widget.images.role.setCurrentIndex(widget.images.role.findData("prediction_maps"))
    widget.images.raw_axes.setCurrentText("yxc")
    widget.images.axes.setCurrentText("yxc")
    widget.images.add.click()
    wait_until(lambda: not widget.controller.is_busy)
    assert not channels.visible
    assert not objects.visible
    shown = [layer for layer in module_viewer.layers if layer.visible]
    assert {layer.data.shape for layer in shown} == {raw.shape}
    assert np.array_equal(shown[1].data, raw // 2)


def test_a_window_with_several_images_is_closed(display):
    with opened() as viewer:
        _, widget = viewer.window.add_plugin_dock_widget("objclass", "Object classification")
        open_session(widget, session_of((8, 8), (4, 12), (20, 3)))
        choose(widget, 2)
        widget.controller.change(widget.controller.session.label, 0, [2], 1)
        choose(widget, 1)
