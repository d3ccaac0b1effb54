"""The line that says what is done, and what stands in the way."""

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QLabel, QProgressBar, QPushButton, QSizePolicy, QWidget

from objclass.napari.controller import Controller
from objclass.napari.section import column, row

ORANGE = "#e69f00"
"""A colour that is seen on dark and on light ground."""


PERIOD = 100
"""Milliseconds between two reports of progress that are shown."""


class Status(QWidget):
    """The status line: a sentence, and the progress of work.

    Progress is shown in a while: a bar draws the window at once, which must not happen while layers are changed. The bar of
    work whose end is not known stays empty: one that moves has the whole window drawn anew with each step, by OpenGL.
    """

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self.controller = controller
        self.message = QLabel(wordWrap=True)
        self.work = QLabel(wordWrap=True)
        self.bar = QProgressBar(textVisible=False, maximum=1000)
        self.bar.setFixedHeight(8)
        self.cancel = QPushButton("Cancel", visible=False, toolTip="Stop the work that a button has begun")
        self.cancel.clicked.connect(controller.task.cancel)
        self.live = QCheckBox("Live update", checked=True, toolTip="Classify all objects after each change")
        self.live.toggled.connect(controller.set_live)
        self.live.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)
        column(self.message, row(self.work, self.cancel, self.live), self.bar, into=self)
        self._report: tuple[str, float] | None = None
        self._later = QTimer(self, singleShot=True, interval=PERIOD)
        self._later.timeout.connect(self._show_work)
        controller.status_changed.connect(self._say)
        controller.progressed.connect(self._progress)
        controller.busy_changed.connect(self._follow_work)
        self._show_work()

    def text(self) -> str:
        """What is said."""
        return self.message.text()

    def _say(self, text: str, is_wrong: bool) -> None:  # noqa: FBT001  # Qt's signal
        self.message.setText(text)
        self.message.setVisible(bool(text))
        self.message.setStyleSheet(f"color: {ORANGE}; font-weight: bold;" if is_wrong else "")

    def _progress(self, name: str, part: float) -> None:
        self._report = name, part
        self._show_later()

    def _follow_work(self) -> None:
        self._report = None
        self._show_later()

    def _show_later(self) -> None:
        if not self._later.isActive():
            self._later.start()

    @property
    def _what(self) -> str:
        return self.controller.task.name if self.controller.task.is_busy else "Working"

    def _show_work(self) -> None:
        is_busy = self.controller.is_busy
        name, part = self._report if is_busy and self._report else ("", 0.0)
        self.bar.setValue(round(part * 1000))
        self.work.setText(f"{self._what}: {name}" if name else f"{self._what} …" if is_busy else "Ready.")
        self.cancel.setVisible(self.controller.task.is_busy)
