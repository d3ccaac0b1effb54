"""The dialog in which results are chosen."""

import os

from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialog,
    QFileDialog,
    QFormLayout,
    QLineEdit,
    QPushButton,
    QToolButton,
    QWidget,
)

from objclass.napari.section import SPACING, row
from objclass.session.export import COLUMNS, FORMATS, RESULTS, Outputs

WIDTH = 520
"""Pixels."""


class ExportDialog(QDialog):
    """Which results are written, and where."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Export")
        self.setMinimumWidth(WIDTH)
        self.table = PathBox("Table of objects", "Tables (*.csv *.tsv *.h5 *.parquet *.xlsx)")
        self.columns = QComboBox()
        self.columns.addItems(COLUMNS)
        self.physical = QCheckBox("lengths and sizes in µm, too")
        self.images = {name: QCheckBox(name.removeprefix("Object "), toolTip=name) for name in RESULTS}
        self.image_path = QLineEdit(placeholderText="{dataset_dir}/{nickname}_{result_type}")
        self.image_path.setToolTip("Path of the images; by default next to the raw data")
        self.format = QComboBox()
        self.format.addItems(FORMATS)
        self.format.setCurrentText("compressed hdf5")
        self.summary = PathBox("Summary", "Tables (*.csv *.tsv)")
        self.report = PathBox("Report", "Pages (*.html)")
        self.table.check.setChecked(True)
        self.table.check.setEnabled(False)
        self.table.check.setToolTip("Each run writes the table")
        self.export, self.copy = QPushButton("Export", default=True), QPushButton("Copy command line")
        self.cancel = QPushButton("Cancel")
        self.cancel.clicked.connect(self.reject)
        form = QFormLayout(self)
        form.setSpacing(SPACING)
        for name, widget in (
            ("Table", self.table),
            ("  Columns", row(self.columns, self.physical)),
            ("Images", row(*self.images.values())),
            ("  Path", self.image_path),
            ("  Format", self.format),
            ("Summary", self.summary),
            ("Report", self.report),
        ):
            form.addRow(name, widget)
        form.addRow(row(self.cancel, self.copy, self.export))

    def suggest(self, project: str | None) -> None:
        """Suggest paths next to a project, where none are given."""
        stem = os.path.splitext(project)[0] if project is not None else os.path.abspath("project")
        for box, ending in (
            (self.table, "_table.csv"),
            (self.summary, "_summary.csv"),
            (self.report, "_report.html"),
        ):
            if not box.line.isModified():
                box.line.setText(stem + ending)

    def outputs(self) -> Outputs:
        """What is chosen.

        Raises
        ------
        UsageError
            If there is no path for the table.
        """
        images = tuple(name for name, check in self.images.items() if check.isChecked())
        return Outputs(
            table=self.table.path or "",
            columns=self.columns.currentText(),
            is_physical=self.physical.isChecked(),
            images=images,
            image_path=self.image_path.text() or None if images else None,
            image_format=self.format.currentText() if images else None,
            summary=self.summary.path,
            report=self.report.path,
        )


class PathBox(QWidget):
    """A path, whether it is wanted, and a button to choose it."""

    def __init__(self, title: str, kinds: str) -> None:
        super().__init__()
        self.title, self.kinds = title, kinds
        self.check, self.line = QCheckBox(), QLineEdit()
        self.choose = QToolButton(text="…")
        self.choose.clicked.connect(self._ask)
        self.line.textEdited.connect(lambda _: self.check.setChecked(True))
        row(self.check, self.line, self.choose, into=self)

    @property
    def path(self) -> str | None:
        """The path, if it is wanted."""
        return self.line.text() or None if self.check.isChecked() else None

    def _ask(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, self.title, self.line.text(), self.kinds)
        if path:
            self.line.setText(path)
            self.line.setModified(True)
            self.check.setChecked(True)
