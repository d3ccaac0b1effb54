"""A diagram of any two numbers of the objects, in which a lasso selects objects."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.backend_bases import Event, MouseEvent
from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg  # takes the binding that qtpy has loaded
from matplotlib.figure import Figure
from matplotlib.widgets import LassoSelector
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, Qt
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QComboBox, QCompleter, QHBoxLayout, QLabel, QSizePolicy, QVBoxLayout

from objclass.napari.controller import Controller
from objclass.napari.give_class import HELP, ClassButton, ClassKeys
from objclass.napari.lazy import LazyWidget
from objclass.napari.messages import objects
from objclass.napari.scatter import Points, Scatter
from objclass.session.table import PREDICTED, USER_LABEL, ObjectTable, object_table

FIRST = ("Size in pixels", "Mean Intensity")
"""Columns that are shown first, where they are measured."""

HEIGHT = 230
"""Pixels that leave room for titles of axes, however low the window is."""

CLICK = 3
"""A lasso that reaches no farther is a click, in pixels."""


class ColumnChoice(QComboBox):
    """Chooses a column, also by a part of its name.

    Parameters
    ----------
    default
        The column that is shown as soon as it is there, until the user chooses one.
    """

    def __init__(self, default: str) -> None:
        super().__init__(editable=True)
        self._wanted = default
        self.textActivated.connect(self._want)
        self.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.completer().setCompletionMode(QCompleter.CompletionMode.PopupCompletion)
        self.completer().setFilterMode(Qt.MatchFlag.MatchContains)
        self.lineEdit().editingFinished.connect(self._restore)

    def offer(self, names: Sequence[str], otherwise: int) -> None:
        """Offer columns; ``otherwise`` is the place of the one that is shown if the wanted one is not there."""
        if list(names) == [self.itemText(k) for k in range(self.count())]:
            return
        self.blockSignals(True)  # Qt's
        self.clear()
        self.addItems(list(names))
        self.setCurrentIndex(names.index(self._wanted) if self._wanted in names else otherwise)
        self.blockSignals(False)  # Qt's

    def _want(self, name: str) -> None:
        self._wanted = name

    def _restore(self) -> None:
        """Show the chosen column again after a text that is none."""
        self.setEditText(self.itemText(self.currentIndex()))


class PlotDock(LazyWidget):
    """Two numbers of the objects of the image that is shown, as points in the colours of their classes."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(*controller.of_objects, controller.selection_changed)
        self.controller, self.table = controller, ObjectTable()
        self.x, self.y, self.colored_by = ColumnChoice(FIRST[0]), ColumnChoice(FIRST[1]), QComboBox()
        self.colored_by.addItems([PREDICTED, USER_LABEL])
        self.note = QLabel()
        self.canvas: Any = FigureCanvasQTAgg(Figure())  # type: ignore[no-untyped-call]
        self.canvas.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.canvas.setMinimumHeight(HEIGHT)
        self.canvas.setToolTip(f"Draw around points to select their objects; Shift adds to them. {HELP}")
        self.scatter = Scatter(self.canvas.figure)
        self._lay_out()
        self._adds = False
        self.canvas.mpl_connect("button_press_event", self._begin)
        self.canvas.mpl_connect("resize_event", self._fit)
        self.lasso = LassoSelector(self.scatter.axes, self._select, useblit=True)
        for choice in (self.x, self.y, self.colored_by):
            choice.currentIndexChanged.connect(self.invalidate)
        ClassKeys(controller, self.canvas)

    def _lay_out(self) -> None:
        layout, row = QVBoxLayout(self), QHBoxLayout()
        for text, choice in (("x", self.x), ("y", self.y), ("colour", self.colored_by)):
            row.addWidget(QLabel(text))
            row.addWidget(choice, 0 if choice is self.colored_by else 1)
        below = QHBoxLayout()
        below.addWidget(self.note, 1)
        below.addWidget(ClassButton(self.controller))
        layout.addLayout(row)
        layout.addWidget(self.canvas, 1)
        layout.addLayout(below)

    # ------------------------------------------------------------------- state

    def refresh(self) -> None:
        """Draw the objects as they are now."""
        self.table = object_table(self.controller.session.state, self.controller.current_image)
        names = [column.name for column in self.table.columns if not column.classes]
        self.x.offer(names, len(names) - 2)
        self.y.offer(names, len(names) - 1)
        self._paint()
        points = self._points()
        self.scatter.show(points)
        self.note.setText(self._noted(points))
        self.canvas.draw_idle()

    def _points(self) -> Points:
        count, is_chosen = self.table.count, np.zeros(self.table.count, bool)
        key, numbers = self.controller.selection
        if key == self.table.key:
            is_chosen[np.array(numbers, int) - 1] = True
        names = self.x.currentText(), self.y.currentText()
        x, y = (self._numbers(name) for name in names)
        classes = self.table.cells(self.colored_by.currentText()) if count else np.zeros(0, np.uint8)
        colors = [one.color for one in self.controller.session.classes]
        return Points(x, y, names, classes, colors, is_chosen)

    def _numbers(self, name: str) -> NDArray[np.float64]:
        return self.table.cells(name).astype(float) if self.table.count else np.zeros(0)

    def _noted(self, points: Points) -> str:
        count, missing = len(points.x), int((~points.is_known).sum())
        if not count:
            return "No objects yet."
        lost = f", {missing} without these numbers" if missing else ""
        return f"{objects(count)}{lost}, {int(points.is_chosen.sum())} selected"

    def _paint(self) -> None:
        """Take the colours of the window, where they are others than before: the lasso draws all anew for it."""
        roles = QPalette.ColorRole.Window, QPalette.ColorRole.WindowText
        background, foreground = (self.palette().color(role).name() for role in roles)
        if (background, foreground) != self.scatter.colors:
            self.scatter.paint(background, foreground)
            self.lasso.set_props(color=foreground)

    def _fit(self, _: Event) -> None:
        self.scatter.fit()
        self.invalidate()

    def changeEvent(self, event: QEvent | None) -> None:  # noqa: N802  # Qt's name
        """Follow the theme of the window."""
        super().changeEvent(event)
        if event is not None and event.type() in (QEvent.Type.StyleChange, QEvent.Type.PaletteChange):
            self.invalidate()

    # --------------------------------------------------------------- selection

    def _begin(self, event: Event) -> None:
        """The button was pressed: with Shift, the lasso adds to the selection."""
        assert isinstance(event, MouseEvent)
        self._adds = bool(event.guiEvent.modifiers() & Qt.KeyboardModifier.ShiftModifier)

    def _select(self, corners: list[tuple[float, float]]) -> None:
        """A lasso was drawn."""
        shown = self.scatter.axes.transData.transform(corners)
        is_click = np.ptp(shown, axis=0).max() <= CLICK
        rows = self.scatter.nearest(corners[0]) if is_click else self.scatter.inside(corners)
        key, before = self.controller.selection
        kept = before if self._adds and key == self.table.key else ()
        numbers = np.union1d(rows + 1, np.array(kept, int))
        self.controller.select(self.table.key, tuple(numbers.tolist()))
