"""The docks of the viewer that buttons open: the table of objects, and the diagram."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QPushButton, QWidget

from objclass.napari.controller import Controller
from objclass.napari.section import row
from objclass.napari.table_dock import TableDock

if TYPE_CHECKING:
    from napari.viewer import Viewer


class DockButtons(QWidget):
    """A button for each dock; what is open already is brought to the front."""

    def __init__(self, viewer: "Viewer", controller: Controller) -> None:
        super().__init__()
        self.viewer, self.controller = viewer, controller
        self._open: dict[str, tuple[QWidget, QWidget]] = {}
        self.table = self._button("Table", "Objects of the image in a table", TableDock, "bottom")
        self.plot = self._button("Plot", "Objects of the image as points of two features", _plot, "bottom")
        row(self.table, self.plot, into=self)

    def leave_viewer(self) -> None:
        """Close the docks that are open."""
        for _, content in self._open.values():
            self.viewer.window.remove_dock_widget(content)
        self._open.clear()

    def _button(self, name: str, tip: str, make: Callable[[Controller], QWidget], area: str) -> QPushButton:
        button = QPushButton(name, toolTip=tip)
        button.clicked.connect(lambda _: self._show(name, make, area))
        return button

    def _show(self, name: str, make: Callable[[Controller], QWidget], area: str) -> None:
        if name not in self._open:
            content = make(self.controller)
            content.destroyed.connect(partial(self._open.pop, name, None))  # the user has closed its dock
            title = f"Objects: {name.lower()}"
            dock = self.viewer.window.add_dock_widget(content, name=title, area=area, tabify=True)
            self._open[name] = dock, content
        dock, _ = self._open[name]
        dock.show()
        dock.raise_()


def _plot(controller: Controller) -> QWidget:
    from objclass.napari.plot_dock import PlotDock  # matplotlib takes half a second

    return PlotDock(controller)
