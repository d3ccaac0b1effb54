"""The line that says what is done, and what stands in the way."""

from qtpy.QtWidgets import QCheckBox, QLabel, QProgressBar, QPushButton, QSizePolicy, QWidget

from objclass.napari.controller import Controller
from objclass.napari.section import column, row

ORANGE = "#e69f00"
"""A colour that is seen on dark and on light ground."""


class Status(QWidget):
    """The status line: a sentence, and the progress of work."""

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
        controller.status_changed.connect(self._say)
        controller.progressed.connect(self._progress)
        controller.busy_changed.connect(self._show_work)
        self._show_work()

    def text(self) -> str:
        """What is said."""
        return self.message.text()

    def _say(self, text: str, is_wrong: bool) -> None:  # noqa: FBT001  # Qt's signal
        self.message.setText(text)
        self.message.setVisible(bool(text))
        self.message.setStyleSheet(f"color: {ORANGE}; font-weight: bold;" if is_wrong else "")

    def _progress(self, name: str, part: float) -> None:
        self.work.setText(f"{self._what}: {name}")
        self.bar.setRange(0, 1000)
        self.bar.setValue(round(part * 1000))

    @property
    def _what(self) -> str:
        return self.controller.task.name if self.controller.task.is_busy else "Working"

    def _show_work(self) -> None:
        is_busy = self.controller.is_busy
        self.bar.setRange(0, 0 if is_busy else 1000)  # 0: for how long is not known
        self.bar.setValue(0)
        self.work.setText(f"{self._what} …" if is_busy else "Ready.")
        self.cancel.setVisible(self.controller.task.is_busy)
