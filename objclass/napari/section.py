"""The parts of the widget: headings that open and close, and rows."""

from collections.abc import Callable

from qtpy.QtWidgets import QBoxLayout, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

SPACING = 4
"""Pixels between widgets."""

HEADING = (
    "QPushButton, QPushButton:checked { text-align: left; font-weight: bold; border: none; padding: 4px;"
    " background: transparent; }"
)


class Section(QWidget):
    """A part of the widget, which a click on its heading hides and shows.

    superqt's `QCollapsible` fixes the height of what it shows, which cuts off parts that grow.
    """

    def __init__(self, title: str, content: QWidget, *, is_open: bool = True) -> None:
        super().__init__()
        self.title, self.content = title, content
        self.heading = QPushButton(checkable=True, checked=is_open, flat=True)
        self.heading.setStyleSheet(HEADING)
        self.heading.toggled.connect(self._show)
        column(self.heading, content, into=self)
        self._show(is_open)

    def open(self) -> None:
        """Show the content."""
        self.heading.setChecked(True)

    def _show(self, is_open: bool) -> None:  # noqa: FBT001  # Qt's signal
        self.content.setVisible(is_open)
        self.heading.setText(f"{'▾' if is_open else '▸'}  {self.title}")


def column(*widgets: QWidget, into: QWidget | None = None) -> QWidget:
    """Widgets below each other."""
    return _filled(QVBoxLayout(), widgets, into)


def row(*widgets: QWidget, into: QWidget | None = None) -> QWidget:
    """Widgets in a row."""
    return _filled(QHBoxLayout(), widgets, into)


def button(text: str, tip: str, slot: Callable[[], object]) -> QPushButton:
    """A button that calls a function."""
    made = QPushButton(text, toolTip=tip)
    made.clicked.connect(lambda _: slot())
    return made


def _filled(layout: QBoxLayout, widgets: tuple[QWidget, ...], into: QWidget | None) -> QWidget:
    whole = into or QWidget()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(SPACING)
    for widget in widgets:
        layout.addWidget(widget)
    whole.setLayout(layout)
    return whole
