"""Give the selected objects a class: by a button, or by keys."""

from qtpy.QtCore import QEvent, QObject, Qt
from qtpy.QtGui import QColor, QIcon, QKeyEvent, QPixmap
from qtpy.QtWidgets import QPushButton, QWidget

from objclass.napari.controller import Controller

KEYS = {str(number): number for number in range(1, 10)}
"""Text of a key -> the class that it gives."""

HELP = "Keys 1 to 9 give the selected objects a class, Delete takes their labels away."


def swatch(color: tuple[int, int, int], size: int = 12) -> QIcon:
    """An icon in the colour of a class."""
    picture = QPixmap(size, size)
    picture.fill(QColor(*color))
    icon = QIcon(picture)
    icon.addPixmap(picture, QIcon.Mode.Selected)  # Qt would tint it
    return icon


def give_class(controller: Controller, number: int) -> None:
    """Give the selected objects a class; 0 takes their labels away."""
    key, numbers = controller.selection
    if not numbers or number > len(controller.session.classes):
        return
    if number:
        controller.set_current(number)
    controller.change(controller.session.label, key, numbers, number)


class ClassButton(QPushButton):
    """Gives the selected objects the current class."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(toolTip=HELP)
        self.controller = controller
        for change in (controller.selection_changed, controller.current_changed, controller.classes_changed):
            change.connect(self._refresh)
        self.clicked.connect(self._give)
        self._refresh()

    def _refresh(self) -> None:
        count, classes = len(self.controller.selection[1]), self.controller.session.classes
        self.setEnabled(bool(count and classes))
        current = classes[self.controller.current - 1] if classes else None
        self.setIcon(swatch(current.color) if current is not None else QIcon())
        what = f"{count} selected" if count else "selected objects"
        self.setText(f"Label {what} as {current.name}" if current is not None else f"Label {what}")

    def _give(self) -> None:
        give_class(self.controller, self.controller.current)


class ClassKeys(QObject):
    """Has the keys 1 to 9 and Delete give the selected objects a class while a widget has the focus."""

    def __init__(self, controller: Controller, widget: QWidget) -> None:
        super().__init__(widget)
        self.controller = controller
        widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:  # noqa: N802  # Qt's name
        """Take the keys, before shortcuts of the window do."""
        if not isinstance(event, QKeyEvent):
            return False
        number = _class_of(event)
        if number is None:
            return False
        event.accept()
        if event.type() == QEvent.Type.KeyPress:
            give_class(self.controller, number)
        return True


def _class_of(event: QKeyEvent) -> int | None:
    """The class that a key gives; None: it gives none."""
    held = event.modifiers() & ~Qt.KeyboardModifier.KeypadModifier
    if held != Qt.KeyboardModifier.NoModifier:
        return None
    if event.key() in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
        return 0
    return KEYS.get(event.text())
