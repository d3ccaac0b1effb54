"""Keys for labels: 1 to 9 choose the class, N goes to the next uncertain object, Ctrl+Z and Ctrl+Shift+Z undo and redo."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QShortcut, QWidget

from objclass.napari.controller import Controller
from objclass.napari.mouse import is_editing

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer


class Keys(QObject):
    """Shortcuts in the window of a viewer.

    They work whatever layer is active and wherever the focus is, but for text fields; napari's own keys are back while
    a layer is painted on, and while no labels are given.

    Parameters
    ----------
    viewer
        The viewer.
    controller
        What is changed.
    next_uncertain
        Goes to the next uncertain object.
    """

    def __init__(self, viewer: "Viewer", controller: Controller, next_uncertain: Callable[[], None]) -> None:
        super().__init__(controller)
        self.viewer, self.controller = viewer, controller
        self._functions: dict[str, Callable[[], object]] = {
            **{str(k): partial(controller.set_current, k) for k in range(1, 10)},
            "N": next_uncertain,
            "Ctrl+Z": lambda: controller.change(controller.session.undo),
            "Ctrl+Shift+Z": lambda: controller.change(controller.session.redo),
        }
        self._shortcuts: list[QShortcut] = []
        self._active: Layer | None = None
        viewer.layers.selection.events.active.connect(self._follow_active)
        controller.labelling_changed.connect(self._set_enabled)

    def attach(self, window: QWidget) -> None:
        """Have the keys in a window."""
        for keys, function in self._functions.items():
            shortcut = QShortcut(QKeySequence(keys), window)
            shortcut.activated.connect(function)
            self._shortcuts.append(shortcut)
        self._follow_active()

    def close(self) -> None:
        """Leave the viewer as it was."""
        self.viewer.layers.selection.events.active.disconnect(self._follow_active)
        if self._active is not None:
            self._active.events.mode.disconnect(self._set_enabled)
        while self._shortcuts:
            shortcut = self._shortcuts.pop()
            shortcut.setEnabled(False)
            shortcut.deleteLater()

    def _follow_active(self, _event: object = None) -> None:
        if self._active is not None:
            self._active.events.mode.disconnect(self._set_enabled)
        self._active = self.viewer.layers.selection.active
        if self._active is not None:
            self._active.events.mode.connect(self._set_enabled)
        self._set_enabled()

    def _set_enabled(self, _event: object = None) -> None:
        for shortcut in self._shortcuts:
            shortcut.setEnabled(self.controller.is_labelling and not is_editing(self.viewer))
