"""The results of a session: written by the run that the command line starts."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from objclass.batch.request import Request
from objclass.batch.schedule import run
from objclass.compute.context import Context
from objclass.core import Image, Progress
from objclass.errors import LaneError, ObjclassError, Stop, UsageError
from objclass.export.images import SOURCES
from objclass.images import open_image
from objclass.pipeline.inputs import with_training_axes
from objclass.pipeline.pairing import Inputs
from objclass.pipeline.plan import FROM_FILE, ILASTIK
from objclass.project.model import Project
from objclass.registry import TABLE_PROFILES, output_formats
from objclass.session.command import arguments_of
from objclass.session.images import SessionImage
from objclass.session.projects import SavedProject
from objclass.settings import ROLES, ExportSettings, ResourceSettings
from objclass.training.new_project import new_project

RESULTS = SOURCES
"""Names of the result images."""

COLUMNS = tuple(TABLE_PROFILES)
"""Names of the profiles of columns of tables."""

FORMATS = tuple(entry.name for entry in output_formats() if not entry.part)
"""Names of the formats of images."""


@dataclass(frozen=True)
class Outputs:
    """The results to write. Paths may have ``{dataset_dir}`` and ``{nickname}`` in them, as on the command line.

    Parameters
    ----------
    table
        The table of objects; its suffix selects the format. Without ``{nickname}``, all images are in one table.
    columns
        Names and order of its columns: a profile of ``--table_columns``.
    is_physical
        Whether lengths and sizes are in um, too, by the pixel size of the images; not for the columns of ilastik.
    images
        The result images: of ``"Object Predictions"``, ``"Object Probabilities"`` and ``"Object Identities"``.
    image_path, image_format
        Path and format of the images; by default ``{dataset_dir}/{nickname}_{result_type}``, compressed HDF5.
    summary
        The table with a row for each image, time step and class.
    report
        The page that shows what was found (.html).
    objects
        The objects for other programs; the suffixes select the formats.
    """

    table: str | None = None
    columns: str = ILASTIK
    is_physical: bool = False
    images: tuple[str, ...] = ()
    image_path: str | None = None
    image_format: str | None = None
    summary: str | None = None
    report: str | None = None
    objects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not (self.table or self.images or self.summary or self.report or self.objects):
            message = (
                "Nothing to write: choose a table, images, a summary, a report or objects for other programs."
            )
            raise UsageError(message)


def request_of(
    saved: SavedProject, outputs: Outputs, resources: ResourceSettings, context: Context
) -> Request:
    """The run of the images of a saved project.

    Raises
    ------
    UsageError
        If images have axes that no command line gives.
    """
    request = Request(
        inputs=_inputs(saved, context),
        project=saved.path,
        export=ExportSettings(
            output_format=outputs.image_format, output_filename_format=_absolute(outputs.image_path)
        ),
        sources=outputs.images,
        table=_absolute(outputs.table),
        table_only=not outputs.images,
        profile=outputs.columns,
        summary=_absolute(outputs.summary),
        report=_absolute(outputs.report),
        objects=tuple(os.path.abspath(path) for path in outputs.objects),
        pixel_size=FROM_FILE if outputs.is_physical else None,
        resources=resources,
    )
    return replace(request, arguments=tuple(arguments_of(request)))


def _absolute(path: str | None) -> str | None:
    return path if path is None or path.startswith("{") else os.path.abspath(os.path.expanduser(path))


def _inputs(saved: SavedProject, context: Context) -> Inputs:
    images = saved.state.images
    roles = list(images[0].inputs)
    if any(list(image.inputs) != roles for image in images):
        message = "Some images have an atlas and others have none: no command line runs them together."
        raise UsageError(message)
    paths = {role: [_path(saved, image, role) for image in images] for role in roles}
    return Inputs({role: paths.get(role, []) for role in ROLES}, _axes(saved, paths, context))


def _path(saved: SavedProject, image: SessionImage, role: str) -> str:
    given = image.inputs[role]
    return f"{saved.path}/{given.inside.strip('/')}" if given.inside else given.path


def _axes(saved: SavedProject, paths: dict[str, list[str]], context: Context) -> tuple[str | None, ...]:
    """The axes that have to be given; none if those of the project and of the files are right."""
    images, lanes = saved.state.images, tuple(image.inputs for image in saved.state.images)
    project = replace(new_project(images[0].lane.role, (), ()), lanes=lanes)
    given = {role: [image.by_role[role] for image in images] for role in paths}
    if all(
        _found(path, role, project, context) == image.axes
        for role in paths
        for path, image in zip(paths[role], given[role], strict=True)
    ):
        return ()
    axes = {role: {image.axes for image in several} for role, several in given.items()}
    wrong = next((role for role, several in axes.items() if len(several) > 1), None)
    if wrong is not None:
        message = (
            f"The images have different axes ({', '.join(sorted(axes[wrong]))} of {wrong.replace('_', ' ')}): no command "
            "line runs them together: remove some of them, or store them with the same axes."
        )
        raise UsageError(message)
    ordered = [
        next(iter(axes[role])) if role in axes else None for role in ("raw_data", _second(axes), "atlas")
    ]
    while ordered[-1] is None:
        ordered.pop()
    return tuple(ordered)


def _second(roles: dict[str, set[str]]) -> str:
    return next((role for role in roles if role not in ("raw_data", "atlas")), "")


def _found(path: str, role: str, project: Project, context: Context) -> str:
    """The axes with which a run opens an image."""
    image: Image = open_image(path, context=context)
    try:
        return with_training_axes(image, role, project).axes
    except ObjclassError:
        return ""


def export(request: Request, stop: Stop | None, progress: Progress | None) -> None:
    """Run a request.

    Raises
    ------
    ObjclassError
        If the results cannot be written, or not all of them; the message says why.
    """
    with _errors() as lines:
        code = run(request, progress, stop)
    if code:
        message = "; ".join(lines) or "not all results were written"
        raise LaneError(message)


@contextmanager
def _errors() -> Iterator[list[str]]:
    """The errors that are logged meanwhile."""
    lines: list[str] = []
    handler = logging.Handler(logging.ERROR)
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]
    logger = logging.getLogger("objclass")
    logger.addHandler(handler)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
