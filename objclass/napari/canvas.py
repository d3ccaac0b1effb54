"""The viewer shows the session, and its mouse and keys change it."""

from typing import TYPE_CHECKING

import numpy as np
from napari.layers import Layer
from qtpy.QtCore import QEvent, QObject
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QMainWindow, QWidget

from objclass.core import FloatArray
from objclass.napari.controller import Controller
from objclass.napari.keys import Keys
from objclass.napari.layers import ObjectLayers, displayed
from objclass.napari.mouse import Mouse

if TYPE_CHECKING:
    from napari.viewer import Viewer

SMALL, WANTED = 24, 120
"""An object of less than so many pixels of the canvas is magnified, to so many."""

CHOICE = 20
"""Maximum number of uncertain objects to go through."""


class Canvas(QObject):
    """Layers, mouse, keys and camera of a viewer, for a session.

    Parameters
    ----------
    viewer
        The viewer.
    controller
        What is shown, and changed.
    widget
        The widget of the session: when it is docked, its window has the keys; when it is taken out of it, mouse and keys are napari's again.
    """

    def __init__(self, viewer: "Viewer", controller: Controller, widget: QWidget) -> None:
        super().__init__(controller)
        self.viewer, self.controller, self.widget = viewer, controller, widget
        self.drawing: QWidget | None = None
        self.layers = ObjectLayers(viewer, controller)
        self.mouse = Mouse(viewer, controller, self.layers)
        self.keys = Keys(viewer, controller, self.next_uncertain)
        controller.selection_changed.connect(self._show_selection)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802  # Qt's name
        """Follow the widget into a window, and out of it."""
        if event is None or watched is not self.widget:
            return False
        if event.type() == QEvent.Type.Show and self.drawing is None:
            self._attach()
        elif event.type() == QEvent.Type.ParentChange and self.drawing is not None:
            self.close()
        return False

    def _attach(self) -> None:
        window = self.widget
        while window is not None and not isinstance(window, QMainWindow):
            window = window.parentWidget()
        if window is not None:
            self.drawing = window.findChild(QOpenGLWidget)
            self.mouse.attach(self.drawing)
            self.keys.attach(window)

    def place(self, key: int, like: Layer) -> None:
        """Show an image's objects where a layer is, which has the axes of the image, without channels."""
        self.layers.place(key, like)

    def next_uncertain(self) -> None:
        """Go to the object that is most useful to label next; from that one, to the next one."""
        choice = self.controller.session.uncertain(CHOICE)
        if not choice:
            self.controller.tell_status()
            return
        key, selected = self.controller.selection
        here = (key, selected[0]) if selected else (-1, 0)
        key, number = choice[(choice.index(here) + 1) % len(choice)] if here in choice else choice[0]
        self.controller.show_image(key)
        self.controller.select(key, (number,))
        self._show(number, always=True)

    def close(self) -> None:
        """Leave the viewer as it was, but for its layers."""
        self.widget.removeEventFilter(self)
        self.keys.close()
        self.mouse.close()

    def _show_selection(self, key: int, numbers: tuple[int, ...]) -> None:
        """Have a single object in sight."""
        if len(numbers) == 1:
            self.controller.show_image(key)
            self._show(numbers[0])

    def _show(self, number: int, *, always: bool = False) -> None:
        """Move the camera to an object if it is out of sight, or always."""
        if self.layers.found is None or self.drawing is None:
            return
        center, extent = self._place(number)
        shown = list(self.viewer.dims.displayed)
        for axis in set(range(self.viewer.dims.ndim)) - set(shown):
            self.viewer.dims.set_point(axis, center[axis])
        camera, size = self.viewer.camera, self.drawing.size()
        reach = np.array([size.height(), size.width()]) / 2 / camera.zoom
        distance = np.abs(center[shown] - np.asarray(camera.center)[-len(shown) :])
        limit = reach if len(shown) == 2 else reach.min()
        if extent * camera.zoom < SMALL:
            camera.zoom = WANTED / extent
            always = True
        if always or (distance > limit).any():
            camera.center = tuple(center[shown])

    def _place(self, number: int) -> tuple[FloatArray, float]:
        """The center of an object in the world, along all axes of the viewer, and its length there."""
        found = self.layers.found
        assert found is not None
        numbers = displayed(found)
        box = ["tzyx".index(axis) for axis in found.image.axes]
        slices = [found.boxes[number - 1][k] for k in box]
        mask = numbers[tuple(slices)] == number
        hidden = len(slices) - self.viewer.dims.ndisplay
        voxel = []
        for axis, part in enumerate(slices):
            if axis < hidden:  # the plane in which most of it lies
                most = mask.sum(axis=tuple(k for k in range(mask.ndim) if k != axis)).argmax()
                voxel.append(part.start + int(most))
            else:
                voxel.append((part.start + part.stop - 1) / 2)
        world = self.layers.world(voxel)
        ends = [self.layers.world([getattr(part, side) for part in slices]) for side in ("start", "stop")]
        center = np.array(self.viewer.dims.point, float)
        center[-len(world) :] = world
        return center, float(np.abs(ends[1] - ends[0])[hidden:].max())
