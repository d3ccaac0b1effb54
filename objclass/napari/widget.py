"""The widget Object classification."""

from typing import TYPE_CHECKING

from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QCloseEvent, QShowEvent
from qtpy.QtWidgets import QFrame, QMainWindow, QScrollArea, QVBoxLayout, QWidget

from objclass.napari.accuracy import AccuracyPanel
from objclass.napari.canvas import Canvas
from objclass.napari.classes import ClassesPanel
from objclass.napari.controller import Controller
from objclass.napari.docks import DockButtons
from objclass.napari.dropped import DroppedProject
from objclass.napari.features import FeaturesPanel
from objclass.napari.home import is_own
from objclass.napari.images import ImagesPanel
from objclass.napari.project import ProjectPanel
from objclass.napari.section import SPACING, Section, column
from objclass.napari.status import Status
from objclass.napari.thresholds import ThresholdsPanel

if TYPE_CHECKING:
    from napari.viewer import Viewer


KEPT = "objclass_session"
"""Property of a window: the session of the widget that was closed in it, so that no labels are lost."""


class ObjectClassification(QWidget):
    """Label objects by clicks, and see all others classified.

    A window has one: a second one takes the place of the first, and goes on with its session.
    """

    def __init__(self, napari_viewer: "Viewer") -> None:
        super().__init__()
        remove_from(napari_viewer)
        self.viewer, self.controller = napari_viewer, Controller(parent=self)
        self._main: QMainWindow | None = None
        self.canvas = Canvas(napari_viewer, self.controller, self)
        self.status = Status(self.controller)
        self.project = ProjectPanel(self.controller)
        self.dropped = DroppedProject(napari_viewer, self.project.replace_by)
        self.images = ImagesPanel(napari_viewer, self.controller)
        self.classes = ClassesPanel(self.controller, self.canvas.next_uncertain)
        self.thresholds = ThresholdsPanel(self.controller)
        self.features = FeaturesPanel(self.controller)
        self.docks = DockButtons(napari_viewer, self.controller)
        self.sections = {
            title: Section(title, panel, is_open=title != "Features")
            for title, panel in (
                ("Project", self.project),
                ("Images", self.images),
                ("Thresholds", self.thresholds),
                ("Features", self.features),
                ("Classes", column(self.classes, self.docks)),
                ("Accuracy", AccuracyPanel(self.controller)),
            )
        }
        self.images.adding.connect(self.canvas.layers.expect)
        self.images.clicked.connect(self.canvas.layers.complete)
        self._lay_out()
        self.destroyed.connect(self.controller.close)
        self.controller.images_changed.connect(self._show_sections)
        self._show_sections()
        self.controller.tell_status()

    def _lay_out(self) -> None:
        inner = QWidget()
        layout = QVBoxLayout(inner)
        layout.setContentsMargins(0, 0, SPACING, 0)
        layout.addWidget(self.dropped)
        for section in self.sections.values():
            layout.addWidget(section)
        layout.addStretch(1)
        area = QScrollArea(widgetResizable=True, frameShape=QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inner)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(SPACING, SPACING, SPACING, SPACING)
        whole.addWidget(area, 1)
        whole.addWidget(self.status)
        self.setMinimumWidth(300)

    def _show_sections(self) -> None:
        """Offer thresholds where there are prediction maps."""
        self.sections["Thresholds"].setVisible(self.controller.session.state.is_thresholded)

    def event(self, event: QEvent) -> bool:
        """Stop the work when napari has taken the widget out of its window, and be deleted: as for `LazyWidget`."""
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            for part in (self.docks, self.images, self.dropped):
                part.leave_viewer()
            self.controller.close()
            self.deleteLater()
            if self._main is not None:
                self._main.setProperty(KEPT, self.controller.session)
        return super().event(event)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802  # Qt's name
        """Go on with the session of a widget that was closed in the same window."""
        super().showEvent(event)
        main = self.window()
        if self._main is not None or not isinstance(main, QMainWindow):
            return
        self._main, kept = main, main.property(KEPT)
        if kept is not None and not self.controller.session.is_modified:
            for layer in filter(is_own, list(self.viewer.layers)):
                self.viewer.layers.remove(layer)  # they were those of the other widget
            self.controller.open(kept)

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802  # Qt's name
        """Stop the work."""
        self.controller.close()
        super().closeEvent(event)


def remove_from(viewer: "Viewer") -> None:
    """Take the widget out of a viewer if it is there: two would both take each click, and add the same layers."""
    for widget in list(viewer.window.dock_widgets.values()):
        if isinstance(widget, ObjectClassification):
            viewer.window.remove_dock_widget(widget)
