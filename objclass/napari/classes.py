"""The panel Classes: which class a click gives."""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QSignalBlocker, QSize, Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QColorDialog, QHeaderView, QPushButton, QTreeWidget, QTreeWidgetItem, QWidget

from objclass.napari.controller import Controller
from objclass.napari.give_class import swatch
from objclass.napari.section import button, column, row

KEY, NAME, LABELS = range(3)
"""Columns."""

ROW = 22
"""Pixels from row to row."""


class ClassesPanel(QWidget):
    """The classes with their colours and numbers of labels; the selected one is the class that a click gives.

    Parameters
    ----------
    controller
        What is shown, and changed.
    next_uncertain
        Goes to the next uncertain object.
    """

    def __init__(self, controller: Controller, next_uncertain: Callable[[], None]) -> None:
        super().__init__()
        self.controller = controller
        self.classes = QTreeWidget(rootIsDecorated=False, toolTip="Double click renames a class")
        self.classes.setHeaderLabels(["Key", "Class", "Labels"])
        header = self.classes.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        self.classes.itemChanged.connect(self._rename)
        self.classes.currentItemChanged.connect(self._choose)
        self.classes.itemDoubleClicked.connect(self._edit)
        self.add = button("Add", "Add a class", self._add)
        self.remove = button("Remove", "Remove the selected class with its labels", self._remove)
        self.color = button("Colour…", "Give the selected class another colour", self._ask_for_color)
        self.undo = button("Undo", "Take the last change of labels or classes back", self._undo)
        self.redo = button("Redo", "Make the change again that was taken back last", self._redo)
        self.labelling = QPushButton(
            "Label by clicks",
            checkable=True,
            checked=True,
            toolTip="Clicks on objects give labels; else they select objects",
        )
        self.labelling.toggled.connect(controller.set_labelling)
        self.next = button(
            "Next uncertain object", "Go to the object that is most useful to label next (N)", next_uncertain
        )
        column(
            self.classes,
            row(self.add, self.remove, self.color),
            row(self.undo, self.redo),
            row(self.labelling, self.next),
            into=self,
        )
        controller.classes_changed.connect(self._fill)
        controller.labels_changed.connect(self._count)
        controller.labelling_changed.connect(self.labelling.setChecked)
        controller.current_changed.connect(lambda _: self._select())
        self._fill()

    @property
    def _session(self) -> Any:
        return self.controller.session

    # -------------------------------------------------------------------- show

    def _fill(self) -> None:
        with QSignalBlocker(self.classes):
            self.classes.clear()
            for number, one in enumerate(self._session.classes, 1):
                item = QTreeWidgetItem([str(number) if number < 10 else "", one.name, ""])
                item.setIcon(NAME, swatch(one.color))
                item.setFlags(item.flags() | Qt.ItemFlag.ItemIsEditable)
                item.setSizeHint(NAME, QSize(0, ROW))
                item.setTextAlignment(LABELS, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.classes.addTopLevelItem(item)
        rows = max(2, min(9, len(self._session.classes)))
        self.classes.setFixedHeight(self.classes.header().sizeHint().height() + rows * ROW + 6)
        self._count()
        self._select()

    def _count(self) -> None:
        with QSignalBlocker(self.classes):
            for place, count in enumerate(self._session.state.label_counts):
                item = self.classes.topLevelItem(place)
                if item is not None:  # classes are new, too: they follow
                    item.setText(LABELS, f"{count:,}")
        history = self._session.state.history
        self.undo.setEnabled(bool(history.past))
        self.redo.setEnabled(bool(history.future))
        self.remove.setEnabled(bool(self._session.classes))
        self.color.setEnabled(bool(self._session.classes))

    def _select(self) -> None:
        with QSignalBlocker(self.classes):
            self.classes.setCurrentItem(self.classes.topLevelItem(self.controller.current - 1))

    # ------------------------------------------------------------------ change

    def _choose(self, item: QTreeWidgetItem | None) -> None:
        if item is not None:
            self.controller.set_current(self.classes.indexOfTopLevelItem(item) + 1)

    def _edit(self, item: QTreeWidgetItem, column_: int) -> None:
        if column_ == KEY:
            self._ask_for_color()
        elif column_ == LABELS:
            self.classes.editItem(item, NAME)

    def _rename(self, item: QTreeWidgetItem, column_: int) -> None:
        if column_ == NAME:
            number = self.classes.indexOfTopLevelItem(item) + 1
            self.controller.change(self._session.rename_class, number, item.text(NAME))
        self._fill()  # the name that it has now

    def _add(self) -> None:
        number = self.controller.change(self._session.add_class)
        if number is not None:
            self.controller.set_current(number)

    def _remove(self) -> None:
        self.controller.change(self._session.remove_class, self.controller.current)

    def _ask_for_color(self) -> None:
        number = self.controller.current
        dialog = QColorDialog(QColor(*self._session.classes[number - 1].color), self)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        dialog.colorSelected.connect(
            lambda color: self.controller.change(
                self._session.recolor_class, number, (color.red(), color.green(), color.blue())
            )
        )
        dialog.open()

    def _undo(self) -> None:
        self.controller.change(self._session.undo)

    def _redo(self) -> None:
        self.controller.change(self._session.redo)
