"""Widgets that follow a session lazily."""

from typing import Any

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QWidget


class LazyWidget(QWidget):
    """A widget that is refreshed once after many changes, and only where it can be seen.

    It is deleted when its dock is removed; to show it again, make another one.
    """

    def __init__(self, *changes: Any) -> None:
        super().__init__()
        self._is_stale = True
        self._timer = QTimer(self, singleShot=True, interval=0)
        self._timer.timeout.connect(self._refresh_if_seen)
        for change in changes:
            change.connect(self.invalidate)

    def refresh(self) -> None:
        """Show the present state."""
        raise NotImplementedError

    def invalidate(self, *_: Any) -> None:
        """Have it refreshed when Qt is idle, or when it is shown."""
        self._is_stale = True
        self._timer.start()

    def _refresh_if_seen(self) -> None:
        if self._is_stale and self.isVisible():
            self._is_stale = False
            self.refresh()

    def event(self, event: QEvent) -> bool:
        """Be deleted when napari has taken the widget out of its window.

        It would else be deleted by Python, whenever and in whatever thread it collects garbage; Qt allows that in this
        thread only.
        """
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            self.deleteLater()
        return super().event(event)

    def showEvent(self, event: QShowEvent | None) -> None:  # noqa: N802  # Qt's name
        """Show what has changed meanwhile."""
        super().showEvent(event)
        self._timer.start()
