"""A button that opens the project of a layer that was dropped on the viewer."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QPushButton

from objclass.session.layers import SOURCE

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer


class DroppedProject(QPushButton):
    """Opens the project of the active layer; hidden where it has none.

    Parameters
    ----------
    viewer
        The viewer.
    open_project
        Opens a project; called with its path, and what to do then.
    """

    def __init__(self, viewer: "Viewer", open_project: Callable[[str, Callable[[], None]], None]) -> None:
        super().__init__(visible=False, toolTip="Open the project of the selected layer in this widget")
        self.viewer, self._open = viewer, open_project
        viewer.layers.selection.events.active.connect(self._follow)
        self.clicked.connect(lambda _: self._open(self.path, self._remove_layers))
        self._follow()

    def leave_viewer(self) -> None:
        """Follow the selected layer no more."""
        self.viewer.layers.selection.events.active.disconnect(self._follow)

    def _follow(self, _event: object = None) -> None:
        active = self.viewer.layers.selection.active
        self.path = project_of(active) if active is not None else ""
        self.setText(f"Open {os.path.basename(self.path)}")
        self.setVisible(bool(self.path))

    def _remove_layers(self) -> None:
        """Remove the layers of the project, which the session shows by its own."""
        path = self.path
        for layer in [one for one in self.viewer.layers if project_of(one) == path]:
            self.viewer.layers.remove(layer)


def project_of(layer: "Layer") -> str:
    """The project that a layer was read from, or by which it was classified; empty for others."""
    return str(layer.metadata.get(SOURCE, {}).get("project", ""))
