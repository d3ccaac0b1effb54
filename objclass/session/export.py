"""The results of a session: written by the run that the command line starts."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from objclass.batch.request import Request
from objclass.batch.schedule import run
from objclass.compute.context import Context
from objclass.core import Progress
from objclass.errors import ImageError, LaneError, Stop, UsageError
from objclass.export.images import SOURCES
from objclass.pipeline.inputs import open_lane
from objclass.pipeline.pairing import Inputs, LanePaths
from objclass.pipeline.plan import FROM_FILE, ILASTIK
from objclass.registry import TABLE_PROFILES, output_formats
from objclass.session.command import arguments_of
from objclass.session.images import SessionImage
from objclass.session.projects import SavedProject, lanes_of
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
    """The images as a run opens them: with the axes that they have in the session."""
    images = saved.state.images
    roles = list(images[0].inputs)
    if any(list(image.inputs) != roles for image in images):
        message = "Some images have an atlas and others have none: no command line runs them together."
        raise UsageError(message)
    paths = {role: [_path(saved, image, role) for image in images] for role in roles}
    every = {role: paths.get(role, []) for role in ROLES}
    for ignored in (False, True):
        inputs = Inputs(every, ignore_training_axes=ignored)
        if all(_is_opened_alike(saved, image, inputs, context) for image in images):
            return inputs
    message = (
        "Not all images have the same order of axes, and their files do not say it: no command line runs them together: "
        "store them with the same axes."
    )
    raise UsageError(message)


def _path(saved: SavedProject, image: SessionImage, role: str) -> str:
    given = image.inputs[role]
    return f"{saved.path}/{given.inside.strip('/')}" if given.inside else given.path


def _is_opened_alike(saved: SavedProject, image: SessionImage, inputs: Inputs, context: Context) -> bool:
    """Whether a run opens an image with the axes that it has in the session."""
    project = replace(new_project(image.lane.role, (), ()), lanes=lanes_of(saved.state))
    paths = LanePaths({role: _path(saved, image, role) for role in image.inputs}, "")
    opened = saved.state.opened
    chain = opened.project.pixels if opened is not None else None
    try:
        found = open_lane(paths, inputs, project, context, chain)
    except ImageError:
        return False
    own = SessionImage(image.key, found).by_role
    return all(own[role].axes == one.axes for role, one in image.by_role.items())


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
