"""The mouse on the canvas: clicks and drags give objects the current class, or select them."""

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtWidgets import QWidget

from objclass.napari.controller import Controller
from objclass.napari.layers import ObjectLayers

if TYPE_CHECKING:
    from napari.viewer import Viewer

LEFT, RIGHT = 1, 2
"""Buttons of the mouse, as in events of napari."""

CLICK = 4
"""A press that moves by fewer pixels of the canvas is a click."""


def is_editing(viewer: "Viewer") -> bool:
    """Whether mouse and keys are for the active layer, which is painted on, say."""
    active = viewer.layers.selection.active
    return active is not None and str(active.mode) != "pan_zoom"


class Mouse(QObject):
    """Labels and selects objects.

    While labels are given, a click, or a drag that begins on an object, gives the current class to all objects that it
    touches; a right click takes a label away. A drag that begins on background moves the camera, and so does each drag
    in the 3D view, or while the space bar is held. A click with Shift selects an object; so does each click while no
    labels are given.

    Parameters
    ----------
    viewer
        The viewer.
    controller
        What is changed.
    layers
        The objects that are shown.
    """

    def __init__(self, viewer: "Viewer", controller: Controller, layers: ObjectLayers) -> None:
        super().__init__(controller)
        self.viewer, self.controller, self.layers = viewer, controller, layers
        self._is_space_held = False
        self._double_clicks = list(viewer.mouse_double_click_callbacks)
        viewer.mouse_double_click_callbacks[:] = [self._double_click]
        viewer.mouse_drag_callbacks.append(self._press)

    def attach(self, canvas: QWidget) -> None:
        """Watch the space bar on the widget that is drawn on."""
        canvas.installEventFilter(self)

    def close(self) -> None:
        """Leave the viewer as it was."""
        self.viewer.mouse_drag_callbacks.remove(self._press)
        self.viewer.mouse_double_click_callbacks.remove(self._double_click)
        self.viewer.mouse_double_click_callbacks[:0] = self._double_clicks

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802  # Qt's name
        """Know whether the space bar is held; all events go on to napari."""
        if event is not None and event.type() in {QEvent.Type.KeyPress, QEvent.Type.KeyRelease}:
            is_held = event.type() == QEvent.Type.KeyPress
            self._is_space_held = is_held if event.key() == Qt.Key.Key_Space else self._is_space_held
        return False

    def _press(self, viewer: "Viewer", event: Any) -> Generator[None, None, None]:
        """From the press of a button to its release."""
        if self.layers.shown is None or is_editing(viewer):
            return
        number, is_label, button = self._number(event), self._is_label(event), event.button
        if number and is_label and button == LEFT and viewer.dims.ndisplay == 2 and not self._is_space_held:
            yield from self._stroke(event)
            return
        start, is_click = np.array(event.pos), True
        yield
        while event.type == "mouse_move":
            is_click = is_click and np.abs(event.pos - start).max() < CLICK
            yield
        if is_click:
            self._click(number, button, is_label=is_label)

    def _stroke(self, event: Any) -> Generator[None, None, None]:
        """Label all objects that the mouse passes; this is undone together."""
        is_continued, last = False, event.position
        while True:
            passed = self.layers.shown.between(last, event.position) if self.layers.shown is not None else []
            is_continued |= self._label(passed, self.controller.current, is_continued=is_continued)
            last, event.handled = event.position, True  # the camera stays
            if event.type == "mouse_release":
                return
            yield

    def _double_click(self, viewer: "Viewer", event: Any) -> None:
        """Take the second of two quick clicks for another one; on background, do what napari does."""
        number = 0 if self.layers.shown is None or is_editing(viewer) else self._number(event)
        if number:
            self._click(number, event.button, is_label=self._is_label(event))
            return
        for callback in self._double_clicks:
            callback(viewer, event)

    def _click(self, number: int, button: int, *, is_label: bool) -> None:
        if not number:
            self.controller.status_changed.emit("There is no object: click on one.", False)
        elif is_label and button in {LEFT, RIGHT}:
            self._label([number], self.controller.current if button == LEFT else 0)
        elif button == LEFT and self.layers.shown is not None:
            self.controller.select(self.layers.shown.found.image.key, (number,))

    def _label(self, numbers: list[int], class_number: int, *, is_continued: bool = False) -> bool:
        """Give objects a class; return whether that is a change."""
        session, shown = self.controller.session, self.layers.shown
        before = session.state.labelling
        if shown is not None:
            key = shown.found.image.key
            self.controller.change(session.label, key, numbers, class_number, continued=is_continued)
        return session.state.labelling is not before

    def _is_label(self, event: Any) -> bool:
        return self.controller.is_labelling and "Shift" not in event.modifiers

    def _number(self, event: Any) -> int:
        """The number of the object under the mouse; 0: there is none."""
        return self.layers.at(event.position, event.view_direction)
