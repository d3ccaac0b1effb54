"""Checks before anything is written: outputs that collide, tables that do not fit."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from objclass.core import Lane
from objclass.errors import InputError, OutputError, UsageError, listed
from objclass.export import tables
from objclass.export.atomic import check_writable
from objclass.export.naming import Task
from objclass.export.objects.object_sink import format_of
from objclass.export.profiles import columns_of
from objclass.export.sink import Header
from objclass.export.sinks import sinks_of
from objclass.images.paths import same_file_key
from objclass.pipeline.plan import ILASTIK, Plan
from objclass.registry import ImageFormat, image_format, table_format, table_formats


def table_header(task: Task, plan: Plan) -> list[str]:
    """Columns of the table of a lane, known from headers alone."""
    return [column.name for column in columns_of(task.lane, plan)]


def check_sinks(tasks: Sequence[Task], plan: Plan) -> None:
    """Refuse lanes whose outputs cannot be written in the requested formats.

    Raises
    ------
    OutputError
        If there is one; the message says which output, why, and what to do.
    """
    for task in tasks:
        header = Header(task.lane, tuple(table_header(task, plan)))
        for sink in sinks_of(task, plan):
            refusal = sink.refusal(header)
            if refusal is not None:
                raise OutputError(refusal)


def check_metadata(tasks: Sequence[Task], plan: Plan) -> None:
    """Refuse metadata that have the name of another column of the table.

    Raises
    ------
    UsageError
        If there are such metadata; the message names the column.
    """
    for task in tasks:
        if task.table is None or not task.lane.metadata or plan.profile != ILASTIK:
            continue  # other profiles call such metadata metadata_…
        others = table_header(replace(task, lane=replace(task.lane, metadata=())), plan)
        clash = next((name for name, _ in task.lane.metadata if name in others), None)
        if clash is not None:
            message = f"metadata column '{clash}': the table has a column of this name: give the metadata another name"
            raise UsageError(message)


def disagreements(tasks: Sequence[Task], plan: Plan) -> Iterator[tuple[Task, InputError]]:
    """Lanes that would have other columns than the first one in the same table; the message names both lanes."""
    first: dict[str, tuple[Task, list[str]]] = {}
    for task in tasks:
        if task.table is None:
            continue
        header = table_header(task, plan)
        other, expected = first.setdefault(task.table, (task, header))
        if header != expected:
            message = (
                f"{task.table}: {_described(task.lane, plan)} would have other columns than {_described(other.lane, plan)}: "
                "put {nickname} into --table_filename, or run them separately"
            )
            yield task, InputError(message)


def _described(lane: Lane, plan: Plan) -> str:
    ndim, size = lane.objects.ndim, plan.physical_size(lane)
    pixels = "" if size is None else f", pixels of {size.described(ndim)}"
    return f"{lane.objects.name} ({ndim}D, {lane.channels} channels{pixels})"


def check_tables(tasks: Sequence[Task], template: str | None) -> None:
    """Refuse lanes of the same name where each has a table of its own.

    Raises
    ------
    OutputError
        If there are such lanes; the message names the table.
    """
    if template is None or "{nickname" not in template:
        return
    for path, lanes in Counter(task.table for task in tasks).items():
        if lanes > 1:
            message = (
                f"{path}: {lanes} images would have this table: use {{dataset_dir}}, or one table for all"
            )
            raise OutputError(message)


def check_dialect(tasks: Sequence[Task]) -> None:
    """Refuse a dialect of CSV where no table is CSV.

    Raises
    ------
    UsageError
        If there is none; the message names the tables.
    """
    paths = list(dict.fromkeys(path for task in tasks for path in task.tables if table_format(path)))
    dialect = tasks[0].details.dialect
    if dialect != tables.TableDetails.dialect and not any(tables.format_of(path).dialects for path in paths):
        known = ", ".join(entry.suffix for entry in table_formats() if entry.dialects)
        message = f"--csv_dialect {dialect}: {listed(paths) if paths else 'no table'} is written: expected a table in {known}"
        raise UsageError(message)


def check_collisions(tasks: Sequence[Task], inputs: Sequence[str]) -> None:
    """Refuse the first of `collisions`.

    Raises
    ------
    OutputError
        If there is one.
    """
    for _, fault in collisions(tasks, inputs):
        raise fault


def check_free(tasks: Sequence[Task]) -> None:
    """Refuse to replace folders, with ``tasks`` that an earlier run has not completed.

    Raises
    ------
    OutputError
        If one is there.
    """
    for path, _, _, kind in _wanted(tasks):
        if "://" not in path:
            check_writable(path, kind)


def collisions(
    tasks: Sequence[Task], inputs: Sequence[str], *, resumed: bool = False
) -> Iterator[tuple[str, OutputError]]:
    """Outputs that are the same file, that are an input, or that cannot be written: the file, and what is wrong.

    Folders of a run that is ``resumed`` may be there: `check_free` refuses those that were not completed.
    """
    files = {*inputs, *(path for task in tasks for image in task.lane.images for path in image.files)}
    sources = {same_file_key(os.path.realpath(path)) for path in files}
    taken: dict[str, dict[str, str]] = {}
    for path, inside, what, kind in _wanted(tasks):
        key = same_file_key(path)
        within = f"{key}{os.sep}"
        is_folder = kind is not None and kind.folder
        if key in sources or (is_folder and any(source.startswith(within) for source in sources)):
            yield path, OutputError(f"{path}: {what} would overwrite an input: give another name")
            continue
        there = taken.setdefault(key, {})
        other = next((there[name] for name in there if _clash(name, inside)), None)
        if other is not None:
            message = (
                f"{path}: both {other} and {what} would be written there: use {{nickname}} (and "
                "{result_type} for images) in the names of outputs, or other names"
            )
            yield path, OutputError(message)
            continue
        there[inside] = what
        try:
            if "://" not in path:  # no path contains it once its links are followed
                check_writable(path, kind, resumed=resumed)
        except OutputError as fault:
            yield path, fault


ALONE = "/"
"""In place of the name of a dataset: the whole file."""


def _clash(name: str, other: str) -> bool:
    """Whether two datasets of a file have the same name, or one would be inside the other."""
    return ALONE in (name, other) or f"{name}/".startswith(f"{other}/") or f"{other}/".startswith(f"{name}/")


def _wanted(tasks: Sequence[Task]) -> Iterator[tuple[str, str, str, ImageFormat | None]]:
    """Real path, dataset in it, description and format of each output."""
    for task in tasks:
        for output in task.outputs:
            kind = image_format(output.format.suffix) if output.format.suffix else None
            inside = output.export.image.internal_path.strip("/") if kind and kind.shared else ALONE
            for path in output.files:
                yield path, inside, f"{output.export.source} of {task.name}", kind
        for path in task.pictures:
            yield os.path.realpath(path), ALONE, f"a picture of {task.name}", None
        for path in task.objects:
            kind = image_format(".zarr") if format_of(path).folder else None
            yield os.path.realpath(path), ALONE, f"the objects of {task.name}", kind
    for path in dict.fromkeys(task.table for task in tasks if task.table is not None):
        yield os.path.realpath(path), ALONE, "the table", None
    for path in dict.fromkeys(task.dictionary for task in tasks if task.dictionary is not None):
        yield os.path.realpath(path), ALONE, "the description of the columns", None
    for path in dict.fromkeys(task.summary.path for task in tasks if task.summary is not None):
        yield os.path.realpath(path), ALONE, "the summary", None
    for path in dict.fromkeys(task.report.path for task in tasks if task.report is not None):
        yield os.path.realpath(path), ALONE, "the report", None
