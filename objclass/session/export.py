"""The results of a session: written by the run that the command line starts."""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
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
        The table of objects, which each run writes; its suffix selects the format. Without ``{nickname}``, all images are in one table.
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

    table: str
    columns: str = ILASTIK
    is_physical: bool = False
    images: tuple[str, ...] = ()
    image_path: str | None = None
    image_format: str | None = None
    summary: str | None = None
    report: str | None = None
    objects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.table:
            message = "Each run writes a table of the objects: give its path."
            raise UsageError(message)


def request_of(
    saved: SavedProject, outputs: Outputs, resources: ResourceSettings, context: Context
) -> Request:
    """The run of the images of a saved project.

    Raises
    ------
    UsageError
        If images have axes that no command line gives, or lack the pixel size that is needed.
    """
    _check_sizes(saved, outputs)
    request = Request(
        inputs=_inputs(saved, context),
        project=saved.path,
        export=ExportSettings(
            output_format=outputs.image_format, output_filename_format=_absolute_if_given(outputs.image_path)
        ),
        sources=outputs.images,
        table=_absolute(outputs.table),
        table_only=not outputs.images,
        profile=outputs.columns,
        summary=_absolute_if_given(outputs.summary),
        report=_absolute_if_given(outputs.report),
        objects=tuple(map(_absolute, outputs.objects)),
        pixel_size=FROM_FILE if outputs.is_physical else None,
        resources=resources,
    )
    return replace(request, arguments=tuple(arguments_of(request)))


def _check_sizes(saved: SavedProject, outputs: Outputs) -> None:
    """Refuse lengths in um of images without a pixel size."""
    if not outputs.is_physical or outputs.columns == ILASTIK:
        return
    for image in saved.state.images:
        if image.lane.pixel_size is None:
            message = f"{image.name}: its file has no pixel size: lengths and sizes are known in pixels only"
            raise UsageError(message)


def _absolute(path: str) -> str:
    return path if path.startswith("{") else os.path.abspath(os.path.expanduser(path))


def _absolute_if_given(path: str | None) -> str | None:
    return None if path is None else _absolute(path)


def _inputs(saved: SavedProject, context: Context) -> Inputs:
    """The images as a run opens them: with the axes that they have in the session."""
    images = saved.state.images
    if not images:
        message = str(saved.state.obstacle)
        raise UsageError(message)
    roles = [set(image.by_role) for image in images]
    if any(one != roles[0] for one in roles):
        message = "Some images have an atlas and others have none: no command line runs them together."
        raise UsageError(message)
    paths = {
        role: [_path(saved, image, role) for image in images] if role in roles[0] else [] for role in ROLES
    }
    with suppress(ImageError):  # axes of the first images may not fit the others
        if _are_opened_alike(saved, given := Inputs(paths), context):
            return given
    by_file = Inputs(paths, ignore_training_axes=True)
    if _are_opened_alike(saved, by_file, context):
        return by_file
    message = (
        "Not all images have the same order of axes, and their files do not say it: no command line runs them together: "
        "store them with the same axes."
    )
    raise UsageError(message)


def _path(saved: SavedProject, image: SessionImage, role: str) -> str:
    given = image.inputs[role]
    return f"{saved.path}/{given.inside.strip('/')}" if given.inside else given.path


def _are_opened_alike(saved: SavedProject, inputs: Inputs, context: Context) -> bool:
    """Whether a run opens the images with the axes that they have in the session."""
    state = saved.state
    project = replace(new_project(state.images[0].lane.role, (), ()), lanes=lanes_of(state))
    chain = state.opened.project.pixels if state.opened is not None else None
    for image in state.images:
        paths = LanePaths({role: _path(saved, image, role) for role in image.by_role}, "")
        found = SessionImage(image.key, open_lane(paths, inputs, project, context, chain)).by_role
        if any(found[role].axes != one.axes for role, one in image.by_role.items()):
            return False
    return True


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
