"""The widget Object classification."""

from typing import TYPE_CHECKING

from qtpy.QtGui import QCloseEvent
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from objclass.napari.controller import Controller

if TYPE_CHECKING:
    from napari.viewer import Viewer


class ObjectClassification(QWidget):
    """Label objects by clicks, and see all others classified."""

    def __init__(self, napari_viewer: "Viewer") -> None:
        super().__init__()
        self.viewer, self.controller = napari_viewer, Controller(parent=self)
        self.status = QLabel(wordWrap=True)
        layout = QVBoxLayout(self)
        layout.addWidget(self.status)
        self.controller.status_changed.connect(lambda text, _: self.status.setText(text))
        self.controller.tell_status()

    def closeEvent(self, event: QCloseEvent | None) -> None:  # noqa: N802  # Qt's name
        """Stop the work."""
        self.controller.close()
        super().closeEvent(event)
