"""Write projects to files."""

import os
from dataclasses import replace
from pathlib import Path

from objclass.errors import OutputError
from objclass.export.atomic import Pending, check_writable
from objclass.images.paths import relative, split_stack
from objclass.project.model import Project, TrainingInput


def save_project(path: str, project: Project, *, overwrite: bool = False, base: str | None = None) -> None:
    """Write a project; the file gets its name when it is complete.

    Parameters
    ----------
    path
        The file to write.
    project
        Its content.
    overwrite
        Whether an existing file may be replaced.
    base
        A project file whose other content is kept.

    Raises
    ------
    OutputError
        If the file exists and may not be replaced, or cannot be written.
    """
    from objclass.project.ilp_write import extend_project, write_project  # needs h5py

    if Path(path).exists() and not overwrite:
        message = f"project {path} exists already: --overwrite replaces it"
        raise OutputError(message)
    check_writable(path)
    pending = Pending()
    try:
        if base is None:
            write_project(pending.add(path), _moved(project, path))
        else:
            extend_project(base, pending.add(path), project)
        pending.commit()
    finally:
        pending.discard()


def _moved(project: Project, path: str) -> Project:
    """The project with image paths relative to another place of the file."""
    old, new = Path(project.path).absolute().parent, Path(path).absolute().parent
    if not project.path or old == new:
        return project

    def named(given: TrainingInput) -> TrainingInput:
        parts = [_relative(part, old, new) for part in split_stack(given.path)]
        return replace(given, path=os.pathsep.join(parts))

    lanes = tuple({role: named(given) for role, given in lane.items()} for lane in project.lanes)
    return replace(project, path=path, lanes=lanes)


def _relative(part: str, old: Path, new: Path) -> str:
    return part if "://" in part or os.path.isabs(part) else relative(str(old / part), str(new))
