"""The objects of the image that is shown, as a table that is linked with the viewer."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    Qt,
    Signal,
)
from qtpy.QtGui import QIcon, QKeyEvent, QKeySequence
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QComboBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
    QVBoxLayout,
)

from objclass.napari.controller import Controller
from objclass.napari.give_class import ClassButton, ClassKeys, swatch
from objclass.napari.lazy import LazyWidget
from objclass.napari.messages import objects
from objclass.session.table import UNCERTAINTY, ObjectTable, TableColumn, object_table

MINIMUM_WIDTH, MAXIMUM_WIDTH, MARGIN = 60, 170, 24
"""Width of columns, and what the arrow of sorting needs beside a title, in pixels."""

MAXIMUM_RANGES = 300
"""Ranges of selected rows that Qt draws without delay; the rows after them are not highlighted."""

NUMBERS = Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
TEXTS = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter

Rows = NDArray[np.intp]


class ObjectModel(QAbstractTableModel):
    """Rows of a table of objects, for Qt. A cell is only looked at while it is shown.

    Attributes
    ----------
    table
        The table.
    rows
        The rows of the table that are shown, in their order.
    swatches
        Icons in the colours of the classes.
    """

    def __init__(self) -> None:
        super().__init__()
        self.table, self.rows = ObjectTable(), np.zeros(0, np.intp)
        self.swatches: list[QIcon] = []

    def show(self, table: ObjectTable, rows: Rows, swatches: list[QIcon]) -> None:
        """Show rows of a table; where there are as many as before, the view stays as it is."""
        names = [[column.name for column in one.columns] for one in (self.table, table)]
        is_same = names[0] == names[1] and len(rows) == len(self.rows) and table.key == self.table.key
        if not is_same:
            self.beginResetModel()
        self.table, self.rows, self.swatches = table, rows, swatches
        if not is_same:
            self.endResetModel()
        elif len(rows):
            self.dataChanged.emit(self.index(0, 0), self.index(len(rows) - 1, len(table.columns) - 1))

    def rowCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: N802, B008  # Qt's
        """Number of rows that are shown."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: QModelIndex = QModelIndex()) -> int:  # noqa: N802, B008  # Qt's
        """Number of columns."""
        return 0 if parent.isValid() else len(self.table.columns)

    def data(self, index: QModelIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """The text of a cell, for screen readers; `CellDelegate` draws it."""
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        return self.table.columns[index.column()].text(self.rows[index.row()])

    def headerData(  # noqa: N802  # Qt's name
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        """The title of a column, and what its values are."""
        if orientation != Qt.Orientation.Horizontal or section >= len(self.table.columns):
            return None
        column = self.table.columns[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return column.name
        return described(column) if role == Qt.ItemDataRole.ToolTipRole else None


def described(column: TableColumn) -> str:
    """What a column is, with its unit."""
    unit = f" [{column.unit}]" if column.unit else ""
    return f"{column.name}{unit}: {column.definition}" if column.definition else f"{column.name}{unit}"


class CellDelegate(QStyledItemDelegate):
    """Draws the cells of an `ObjectModel`. Qt would ask for nine roles of each cell, which takes five times as long."""

    def initStyleOption(  # noqa: N802  # Qt's name
        self, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Hand text, alignment and icon to the style."""
        model: ObjectModel = index.model()
        column, row = model.table.columns[index.column()], model.rows[index.row()]
        option.text = column.text(row)
        option.features = QStyleOptionViewItem.ViewItemFeature.HasDisplay
        option.displayAlignment = NUMBERS if not column.classes else TEXTS
        if column.classes and option.text:
            option.features |= QStyleOptionViewItem.ViewItemFeature.HasDecoration
            option.icon = model.swatches[column.cells[row] - 1]


class ObjectView(QTableView):
    """Rows of objects, all of the same height, so that a million are laid out at once.

    Attributes
    ----------
    copied
        The user has pressed the keys that copy.
    """

    copied = Signal()

    def __init__(self, model: ObjectModel) -> None:
        super().__init__(wordWrap=False, showGrid=False)
        self.setModel(model)
        self.setItemDelegate(CellDelegate(self))
        self.horizontalHeader().setSelectionModel(
            QItemSelectionModel(model, self)
        )  # it would look at all rows
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        rows, titles = self.verticalHeader(), self.horizontalHeader()
        rows.hide()
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(self.fontMetrics().height() + 6)
        titles.setSectionsClickable(True)
        titles.setHighlightSections(False)
        titles.setSortIndicator(-1, Qt.SortOrder.AscendingOrder)
        titles.setSortIndicatorShown(True)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:  # noqa: N802  # Qt's name
        """Copy rows rather than the current cell."""
        if event is not None and event.matches(QKeySequence.StandardKey.Copy):
            self.copied.emit()
        else:
            super().keyPressEvent(event)

    def fit_columns(self) -> None:
        """Widths by titles; to look at cells would take long."""
        header, model = self.horizontalHeader(), self.model()
        for section in range(model.columnCount()):
            title = model.headerData(section, Qt.Orientation.Horizontal)
            wanted = header.fontMetrics().horizontalAdvance(title) + MARGIN
            header.resizeSection(section, min(max(wanted, MINIMUM_WIDTH), MAXIMUM_WIDTH))


class TableDock(LazyWidget):
    """The objects of the image that is shown: sort and choose them, see them in the viewer, give several a class."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(*controller.of_objects)
        self.controller, self.model = controller, ObjectModel()
        self._is_following = False
        self.choice = QComboBox(toolTip="Rows that are shown")
        self.choice.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self.uncertain = QPushButton("Most uncertain first")
        self.copy = QPushButton("Copy", toolTip="Copy the selected rows as text, for spreadsheets (Ctrl+C)")
        self.count = QLabel()
        self.view = ObjectView(self.model)
        self._lay_out()
        controller.selection_changed.connect(self._follow)
        self.choice.activated.connect(self.invalidate)
        self.uncertain.clicked.connect(self._sort_by_uncertainty)
        self.copy.clicked.connect(self.copy_rows)
        self.view.horizontalHeader().sortIndicatorChanged.connect(self.invalidate)
        self.view.selectionModel().selectionChanged.connect(self._select)
        self.view.copied.connect(self.copy_rows)
        ClassKeys(controller, self.view)

    def _lay_out(self) -> None:
        layout, row = QVBoxLayout(self), QHBoxLayout()
        for widget in (self.choice, self.uncertain, ClassButton(self.controller), self.copy, self.count):
            row.addWidget(widget)
        row.addStretch()
        layout.addLayout(row)
        layout.addWidget(self.view)

    # ------------------------------------------------------------------- state

    def refresh(self) -> None:
        """Show the objects as they are now; the scroll bars stay, and the same objects are selected."""
        table = object_table(self.controller.session.state, self.controller.current_image)
        self._offer(list(table.choices))
        bars = self.view.verticalScrollBar(), self.view.horizontalScrollBar()
        places = [bar.value() for bar in bars]
        titles = [column.name for column in self.model.table.columns]
        with self._following():
            swatches = [swatch(one.color) for one in self.controller.session.classes]
            self.model.show(table, self._chosen_rows(table), swatches)
            self._highlight()
        if titles != [column.name for column in table.columns]:
            self.view.fit_columns()
        for bar, place in zip(bars, places, strict=True):
            bar.setValue(place)
        self._count()

    def _offer(self, choices: list[str]) -> None:
        """The choices of rows; the present one is kept by its name, or by its place if a class was renamed."""
        offered = [self.choice.itemText(k) for k in range(self.choice.count())]
        if choices == offered:
            return
        text, place = self.choice.currentText(), self.choice.currentIndex()
        self.choice.clear()
        self.choice.addItems(choices)
        kept = choices.index(text) if text in choices else place if len(choices) == len(offered) else 0
        self.choice.setCurrentIndex(kept)

    def _chosen_rows(self, table: ObjectTable) -> Rows:
        """The rows to be shown, in order."""
        header = self.view.horizontalHeader()
        section = header.sortIndicatorSection()
        descending = header.sortIndicatorOrder() == Qt.SortOrder.DescendingOrder
        is_sorted = 0 <= section < len(table.columns)
        rows = table.columns[section].order(descending=descending) if is_sorted else np.arange(table.count)
        choice = self.choice.currentText()
        return rows[table.choices[choice]()[rows]] if self.choice.currentIndex() > 0 else rows

    def _count(self) -> None:
        shown, count = len(self.model.rows), self.model.table.count
        selected = len(self._selected_numbers())
        self.count.setText(f"{shown} of {objects(count)}" + (f", {selected} selected" if selected else ""))
        self.copy.setEnabled(selected > 0)

    # --------------------------------------------------------------- selection

    @contextmanager
    def _following(self) -> Iterator[None]:
        """While the view follows others, what it selects is not passed on to them."""
        self._is_following = True
        try:
            yield
        finally:
            self._is_following = False

    def _select(self) -> None:
        """The user has selected rows."""
        if self._is_following:
            return
        parts = [
            self.model.rows[part.top() : part.bottom() + 1] for part in self.view.selectionModel().selection()
        ]
        numbers = np.unique(np.concatenate(parts)) + 1 if parts else np.zeros(0, int)
        with self._following():
            self.controller.select(self.model.table.key, tuple(numbers.tolist()))
        self._count()

    def _follow(self) -> None:
        """Others have selected objects: show them."""
        if self._is_following:
            return
        with self._following():
            first = self._highlight()
        if first is not None:
            self.view.scrollTo(self.model.index(first, 0))
        self._count()

    def _selected_numbers(self) -> tuple[int, ...]:
        key, numbers = self.controller.selection
        return numbers if key == self.model.table.key else ()

    def _places(self) -> Rows:
        """The places of the selected objects among the rows that are shown, ascending."""
        is_selected = np.zeros(self.model.table.count + 1, bool)
        numbers = np.array(self._selected_numbers(), int)
        is_selected[numbers[numbers <= self.model.table.count]] = True
        return np.flatnonzero(is_selected[self.model.rows + 1])

    def _highlight(self) -> int | None:
        """Select the rows of the selected objects in the view; return the first one."""
        places = self._places()
        selection, last = QItemSelection(), self.model.columnCount() - 1
        for part in np.split(places, np.flatnonzero(np.diff(places) > 1) + 1)[:MAXIMUM_RANGES]:
            if len(part):
                corners = self.model.index(int(part[0]), 0), self.model.index(int(part[-1]), last)
                selection.select(*corners)
        flags = QItemSelectionModel.SelectionFlag.ClearAndSelect
        self.view.selectionModel().select(selection, flags)
        if not len(places):
            return None
        first = int(places[0])
        self.view.selectionModel().setCurrentIndex(
            self.model.index(first, 0), QItemSelectionModel.SelectionFlag.NoUpdate
        )
        return first

    # ----------------------------------------------------------------- actions

    def _sort_by_uncertainty(self) -> None:
        place = self.model.table.place(UNCERTAINTY)
        self.view.horizontalHeader().setSortIndicator(place, Qt.SortOrder.DescendingOrder)
        self.view.scrollToTop()

    def copy_rows(self) -> None:
        """Copy the selected rows to the clipboard, in their order: columns are separated by tabs."""
        places = self._places()
        if len(places):
            frame = self.model.table.frame(self.model.rows[places])
            QApplication.clipboard().setText(frame.to_csv(sep="\t", index=False))
