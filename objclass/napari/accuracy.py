"""How good the classifier is, and the objects behind the numbers."""

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from objclass.napari.controller import Controller
from objclass.napari.give_class import swatch
from objclass.napari.lazy import LazyWidget
from objclass.session.judgement import Judgement

RIGHT, WRONG = (46, 139, 87), (205, 70, 70)
"""Colours of cells of the confusion matrix, the stronger the greater their part of the class."""

HELP = (
    "Rows are the labels, columns the predictions of classifiers that were not trained on the object. "
    "Click on a number to select its objects."
)


class AccuracyPanel(LazyWidget):
    """Balanced accuracy, recall and precision, the confusion matrix, and what limits them."""

    def __init__(self, controller: Controller) -> None:
        super().__init__(
            controller.images_changed,
            controller.settings_changed,
            controller.classes_changed,
            controller.labels_changed,
            controller.measured,
            controller.classified,
            controller.judged,
            controller.busy_changed,
        )
        self.controller = controller
        self.note, self.headline, self.details = (QLabel(wordWrap=True) for _ in range(3))
        self.cautions = QLabel(
            wordWrap=True, textInteractionFlags=Qt.TextInteractionFlag.TextSelectableByMouse
        )
        self.headline.setStyleSheet("font-weight: bold;")
        self.matrix = QTableWidget(toolTip=HELP)
        self.matrix.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.matrix.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.matrix.cellClicked.connect(self._select)
        layout = QVBoxLayout(self)
        for widget in (self.note, self.headline, self.details, self.matrix, self.cautions):
            layout.addWidget(widget)
        layout.addStretch()

    def refresh(self) -> None:
        """Show the last judgement; grey where it is of other labels, objects or settings."""
        state = self.controller.session.state
        last = state.judgement
        self.note.setText(self._noted(last))
        self.note.setVisible(not state.is_judged)
        has_result = last is not None and last.result is not None
        for widget in (self.headline, self.details, self.matrix, self.cautions):
            widget.setVisible(has_result)
            widget.setEnabled(state.is_judged)
        if last is not None and has_result:
            self._show(last)

    def _noted(self, last: Judgement | None) -> str:
        """Why there is no judgement of the present labels."""
        state = self.controller.session.state
        if state.obstacle is not None:
            return f"Not judged yet: {state.obstacle}"
        if state.is_judged and last is not None:
            return f"Not judged yet: {last.refusal}"
        return "Judging by cross-validation …" if self.controller.is_busy else "Not judged yet."

    def _show(self, judgement: Judgement) -> None:
        headline, *details = judgement.lines
        self.headline.setText(headline[0].upper() + headline[1:])
        self.details.setText("\n".join(details))
        assert judgement.result is not None
        self.cautions.setText("\n".join(f"• {sentence}" for sentence in judgement.result.cautions))
        self._fill(judgement)

    def _fill(self, judgement: Judgement) -> None:
        """Counts by true and predicted class, recall at the right, precision below."""
        assert judgement.result is not None
        found, classes = judgement.result.evaluation, judgement.classification.labelling.classes
        count = len(found.names)
        self.matrix.setRowCount(count + 1)
        self.matrix.setColumnCount(count + 1)
        totals = found.confusion.sum(axis=1)
        for k, (name, one) in enumerate(zip(found.names, classes, strict=True)):
            icon = swatch(one.color)
            self.matrix.setVerticalHeaderItem(k, QTableWidgetItem(icon, name))
            self.matrix.setHorizontalHeaderItem(k, QTableWidgetItem(icon, name))
            for m in range(count):
                part = found.confusion[k, m] / max(totals[k], 1)
                self.matrix.setItem(k, m, _cell(str(found.confusion[k, m]), part, RIGHT if k == m else WRONG))
            recall, precision = judgement.rates[k]
            self.matrix.setItem(k, count, _cell(recall.replace(" (", "\n(")))
            self.matrix.setItem(count, k, _cell(precision.replace(" (", "\n(")))
        self.matrix.setItem(count, count, _cell(""))
        self.matrix.setVerticalHeaderItem(count, QTableWidgetItem("Precision"))
        self.matrix.setHorizontalHeaderItem(count, QTableWidgetItem("Recall"))
        self._fit()

    def _fit(self) -> None:
        """As high as its rows."""
        header = self.matrix.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.matrix.resizeRowsToContents()
        rows = sum(self.matrix.rowHeight(row) for row in range(self.matrix.rowCount()))
        bar = self.matrix.horizontalScrollBar().sizeHint().height()
        self.matrix.setFixedHeight(header.sizeHint().height() + rows + bar + 4)

    def _select(self, row: int, column: int) -> None:
        """Select the objects of a cell: of the image that is shown, or else of the first one that has some."""
        cells = self.controller.session.state.judged_objects(row + 1, column + 1)
        if not cells:
            return
        shown = self.controller.current_image
        key = shown if shown in cells else next(iter(cells))
        self.controller.show_image(key)
        self.controller.select(key, tuple(cells[key].tolist()))


def _cell(text: str, part: float = 0, color: tuple[int, int, int] = RIGHT) -> QTableWidgetItem:
    """A cell in a colour, the stronger the greater a part from 0 to 1."""
    item = QTableWidgetItem(text)
    item.setTextAlignment(Qt.AlignmentFlag.AlignCenter)
    item.setBackground(QColor(*color, round(200 * part)))
    return item
