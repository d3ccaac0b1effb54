"""Write projects to files."""

import logging
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from objclass.errors import ProjectError, listed
from objclass.export.atomic import Pending, check_output
from objclass.images.paths import relative, split_stack
from objclass.project.model import Project, TrainingInput
from objclass.project.pixel_model import PixelProject
from objclass.registry import ILASTIK_FEATURE_SETS

log = logging.getLogger("objclass")


def save_project(
    path: str,
    project: Project | PixelProject,
    *,
    overwrite: bool = False,
    base: str | None = None,
    kept: Sequence[int] | None = None,
) -> None:
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
        A project of objects whose other content is kept.
    kept
        The lanes of it, from 0, that are the first ones of the project; by default all of them.

    Raises
    ------
    ProjectError
        If the project has two stages.
    OutputError
        If the file exists and may not be replaced, or cannot be written.
    """
    from objclass.project.ilp_pixels_write import write_pixel_project  # needs h5py
    from objclass.project.ilp_write import extend_project, write_project

    check_output(f"project {path}", path, (), overwrite=overwrite)
    if isinstance(project, PixelProject) and len(project.stages) > 1:
        message = f"{project.path} is of the workflow '{project.workflow}': expected Pixel Classification"
        raise ProjectError(message)
    pending = Pending()
    try:
        if isinstance(project, PixelProject):
            write_pixel_project(pending.add(path), moved(project, path), project.path or None)
        elif base is None:
            write_project(pending.add(path), moved(project, path), project.path or None)
        else:
            extend_project(base, pending.add(path), moved(project, path), kept)
        pending.commit()
        if isinstance(project, Project):
            _say_whether_ilastik_opens(path, project)
    finally:
        pending.discard()


def _say_whether_ilastik_opens(path: str, project: Project) -> None:
    others = dict.fromkeys(name for name, _ in project.selected if name not in ILASTIK_FEATURE_SETS)
    if others:
        log.warning(
            "%s: ilastik will not open this project, since it has no features %s (objclass runs it)",
            path,
            listed(list(others)),
        )


Kind = TypeVar("Kind", Project, PixelProject)


def moved(project: Kind, path: str) -> Kind:
    """A project with the paths of its images relative to another place of the file."""
    old, new = Path(project.path).resolve().parent, Path(path).resolve().parent
    if project.path and old == new:
        return project

    def named(given: TrainingInput) -> TrainingInput:
        if given.inside:
            return given
        if not project.path:  # it was trained in memory: paths are absolute
            parts = [relative(part, str(new)) for part in split_stack(given.path)]
        else:
            parts = [_relative(part, old, new) for part in split_stack(given.path)]
        return replace(given, path=os.pathsep.join(parts))

    lanes = tuple({role: named(given) for role, given in lane.items()} for lane in project.lanes)
    return replace(project, path=path, lanes=lanes)


def _relative(part: str, old: Path, new: Path) -> str:
    return part if "://" in part or os.path.isabs(part) else relative(str(old / part), str(new))
