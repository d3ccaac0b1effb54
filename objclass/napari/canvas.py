"""The viewer shows the session, and its mouse and keys change it."""

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QEvent, QObject
from qtpy.QtOpenGLWidgets import QOpenGLWidget
from qtpy.QtWidgets import QMainWindow, QWidget

from objclass.core import Predictions
from objclass.napari.controller import Controller
from objclass.napari.keys import Keys
from objclass.napari.layers import ObjectLayers
from objclass.napari.mouse import Mouse

if TYPE_CHECKING:
    from napari.components import Camera
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
        self._status: object = None
        self.layers = ObjectLayers(viewer, controller)
        self.mouse = Mouse(viewer, controller, self.layers)
        self.keys = Keys(viewer, controller, self.next_uncertain)
        controller.selection_changed.connect(self._show_selection)
        viewer.events.status.connect(self._tell_object)
        viewer.layers.events.removing.connect(self._make_current)
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

    def _make_current(self) -> None:
        """Make the context of OpenGL current: napari frees what a removed layer has drawn without it, and Mesa crashes."""
        if self.drawing is not None:
            self.drawing.makeCurrent()

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
        self.viewer.events.status.disconnect(self._tell_object)
        self.viewer.layers.events.removing.disconnect(self._make_current)
        self.keys.close()
        self.mouse.close()
        self.layers.close()

    @property
    def _camera(self) -> "Camera":
        # before napari 0.9 the camera was the viewer's
        return self.viewer.scene.camera if hasattr(self.viewer, "scene") else self.viewer.camera

    def _show_selection(self, key: int, numbers: tuple[int, ...]) -> None:
        """Have a single object in sight."""
        if len(numbers) == 1:
            self.controller.show_image(key)
            self._show(numbers[0])

    def _show(self, number: int, *, always: bool = False) -> None:
        """Move the camera to an object if it is out of sight, or always; magnify it if it is small."""
        shown, dims, camera = self.layers.shown, self.viewer.dims, self._camera
        if shown is None or self.drawing is None:
            return
        center = np.array(dims.point, float)
        place = shown.center(number, dims.ndisplay)
        center[-len(place) :] = place
        for axis in dims.not_displayed:
            dims.set_point(axis, center[axis])
        aim = center[list(dims.displayed)]
        reach = np.array([self.drawing.height(), self.drawing.width()]) / 2 / camera.zoom
        distance = np.abs(aim - np.asarray(camera.center)[-len(aim) :])
        is_small = shown.extent(number, dims.ndisplay) * camera.zoom < SMALL
        if is_small:
            camera.zoom = WANTED / shown.extent(number, dims.ndisplay)
        if always or is_small or (distance > (reach if len(aim) == 2 else reach.min())).any():
            camera.center = tuple(aim)

    def _tell_object(self, _event: object = None) -> None:
        """Say in the status bar what is known of the object under the mouse."""
        camera, dims, status = self._camera, self.viewer.dims, self.viewer.status
        if not self.viewer.mouse_over_canvas or status == self._status:
            return
        direction = camera.calculate_nd_view_direction(dims.ndim, dims.displayed)
        text = self._description(self.layers.at(self.viewer.cursor.position, direction))
        if isinstance(status, dict):
            self._status = status | {"coordinates": f"{status['coordinates']}  {text}".rstrip()}
        else:
            self._status = f"{status}  {text}".rstrip()
        self.viewer.status = self._status

    def _description(self, number: int) -> str:
        shown, session = self.layers.shown, self.controller.session
        if shown is None or not number:
            return ""
        key = shown.found.image.key
        known = [f"object {number}"]
        predictions = session.predictions(key)
        if predictions is not None:
            own = Predictions(predictions.probabilities[number - 1 : number])
            name = session.classes[own.classes[0] - 1].name
            known.append(f"{name} {own.probabilities.max():.2f}, uncertainty {own.uncertainty[0]:.2f}")
        label = session.labels(key).classes.get(number)
        if label is not None:
            known.append(f"label {session.classes[label - 1].name}")
        return ", ".join(known)
