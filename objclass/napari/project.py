"""The panel Project: open, save, export."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QFileDialog, QMessageBox, QWidget
from superqt import QElidingLabel

from objclass.errors import MissingImagesError
from objclass.napari.controller import Controller
from objclass.napari.export import ExportDialog
from objclass.napari.section import button, column, row
from objclass.session import Session

PROJECTS = "Projects (*.ilp)"


class ProjectPanel(QWidget):
    """Open and save projects, and write results. What takes long is done in another thread."""

    def __init__(self, controller: Controller) -> None:
        super().__init__()
        self.controller = controller
        self.name = QElidingLabel(elideMode=Qt.TextElideMode.ElideLeft)
        self.new = button("New", "Begin without images and labels", self._ask_and_begin)
        self.open = button("Open…", "Open a project with its images and labels", self._ask_and_open)
        self.save = button(
            "Save", "Save the project, so that it runs without a window and opens in ilastik", self._save
        )
        self.save_as = button("Save as…", "Save the project in another file", self._ask_and_save)
        self.export = button("Export…", "Write tables, images, a summary and a report", self._show_dialog)
        self.copy = button(
            "Copy command line", "Copy the command line that writes what is chosen in Export…", self._copy
        )
        self.dialog = ExportDialog(self)
        self.dialog.export.clicked.connect(self._export)
        self.dialog.copy.clicked.connect(self._copy)
        column(
            self.name,
            row(self.new, self.open, self.save, self.save_as),
            row(self.export, self.copy),
            into=self,
        )
        for signal in (
            controller.images_changed,
            controller.settings_changed,
            controller.classes_changed,
            controller.labels_changed,
        ):
            signal.connect(self._show_name)
        self._show_name()

    @property
    def _session(self) -> Session:
        return self.controller.session

    def _show_name(self) -> None:
        path = self._session.path
        changed = " (not saved)" if self._session.is_modified else ""
        self.name.setText(f"{os.path.basename(path) if path else 'New project'}{changed}")
        self.name.setToolTip(path or "")

    # ------------------------------------------------------------ open and save

    def _ask_and_begin(self) -> None:
        self._replace(lambda: self.controller.open(Session()))

    def _ask_and_open(self) -> None:
        self._replace(self._choose_and_open)

    def _choose_and_open(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a project", self._session.path or "", PROJECTS)
        if path:
            self.open_project(path)

    def replace_by(self, path: str, then: Callable[[], None] = lambda: None) -> None:
        """Open a project, after asking whether changes are to be saved.

        Parameters
        ----------
        path
            The project.
        then
            Called when it could be opened, before it is shown.
        """
        self._replace(lambda: self.open_project(path, then))

    def open_project(
        self,
        path: str,
        then: Callable[[], None] = lambda: None,
        *,
        folder: str | None = None,
        allow_misses: bool = False,
    ) -> None:
        """Open a project in place of the session; ask what to do if images are missing.

        Parameters
        ----------
        path
            The project.
        then
            Called when it could be opened, before it is shown.
        folder
            Where missing images are looked for.
        allow_misses
            Whether missing images are left out, with their labels.
        """

        def show(session: Session) -> None:
            then()
            self.controller.open(session)

        self.controller.task.begin(
            "Opening",
            lambda stop, progress: Session.open(path, folder=folder, allow_misses=allow_misses),
            show,
            lambda fault: isinstance(fault, MissingImagesError) and self._ask_for_images(path, then, fault),
        )

    def _ask_for_images(self, path: str, then: Callable[[], None], fault: MissingImagesError) -> bool:
        """Ask where the missing images of a project are; the answer is awaited without holding the window up."""
        question = self._question(
            f"{'Some' if fault.has_others else 'All'} images of the project are missing."
        )
        question.setInformativeText(str(fault))
        roles = QMessageBox.ButtonRole
        folder = question.addButton("Folder of images…", roles.AcceptRole)
        folder.clicked.connect(lambda _: self._open_with_folder(path, then))
        if fault.has_others:
            without = question.addButton("Open without them", roles.DestructiveRole)
            without.clicked.connect(lambda _: self.open_project(path, then, allow_misses=True))
        question.addButton(QMessageBox.StandardButton.Cancel)
        question.open()
        return True

    def _open_with_folder(self, path: str, then: Callable[[], None]) -> None:
        folder = QFileDialog.getExistingDirectory(self, "Folder of the images", os.path.dirname(path))
        if folder:
            self.open_project(path, then, folder=folder)

    def _question(self, text: str) -> QMessageBox:
        question = QMessageBox(QMessageBox.Icon.Question, "Object classification", text, parent=self)
        question.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        return question

    def _save(self, then: Callable[[], object] = lambda: None) -> None:
        if self._session.path is None:
            self._ask_and_save(then)
        else:
            self.save_project(None, then)

    def _ask_and_save(self, then: Callable[[], object] = lambda: None) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save the project", self._session.path or "project.ilp", PROJECTS
        )
        if path:
            self.save_project(str(Path(path).with_suffix(".ilp")), then)

    def save_project(self, path: str | None, then: Callable[[], object] = lambda: None) -> None:
        """Save the session, by default in its own file.

        Parameters
        ----------
        path
            The file, which is replaced.
        then
            Called when the project is saved.
        """
        session = self._session

        def tell(_: object) -> None:
            self._show_name()
            self.controller.status_changed.emit(f"Saved: {session.path}", False)
            then()

        self.controller.task.begin(
            "Saving",
            lambda stop, progress: session.save(path, overwrite=True, stop=stop, progress=progress),
            tell,
        )

    def _replace(self, then: Callable[[], None]) -> None:
        """Do what replaces the session, after asking whether changes are to be saved."""
        if not self._session.is_modified:
            then()
            return
        buttons = QMessageBox.StandardButton
        question = self._question("The project has changes that are not saved.")
        question.setStandardButtons(buttons.Save | buttons.Discard | buttons.Cancel)
        question.button(buttons.Save).clicked.connect(lambda _: self._save(then))
        question.button(buttons.Discard).clicked.connect(lambda _: then())
        question.open()

    # ------------------------------------------------------------------ results

    def _show_dialog(self) -> None:
        self.dialog.suggest(self._session.path)
        self.dialog.open()

    def _outputs(self) -> Any:
        """What is chosen; None if that is nothing, which is said."""
        self.dialog.suggest(self._session.path)
        return self.controller.change(self.dialog.outputs)

    def _copy(self) -> None:
        outputs = self._outputs()
        command = self.controller.change(self._session.command, outputs) if outputs is not None else None
        if command is not None:
            QApplication.clipboard().setText(command)
            self.controller.status_changed.emit("The command line is on the clipboard.", False)

    def _export(self) -> None:
        outputs, session = self._outputs(), self._session
        if outputs is None:
            return
        self.dialog.accept()
        self.controller.task.begin(
            "Exporting",
            lambda stop, progress: session.export(outputs, stop=stop, progress=progress),
            lambda _: self.controller.status_changed.emit("The results are written.", False),
        )
