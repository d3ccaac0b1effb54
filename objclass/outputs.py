"""The outputs: what is written where, and how it gets its name.

Files are written beside their final names and renamed when they are complete; what is not complete is
removed. Two outputs that are one file, and outputs that are an input, are found before.
"""

import contextlib
import logging
import os
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from objclass import maps, tables
from objclass.core import AXES, Lane, Writer
from objclass.errors import InputError, LaneError, ObjclassError, OutputError, UsageError
from objclass.maps import SLOT_AXES, Export
from objclass.pipeline import Plan
from objclass.registry import FORMAT_SUFFIXES, READERS, TABLE_WRITERS
from objclass.settings import ExportSettings

log = logging.getLogger("objclass")

KNOWN_SUFFIXES = {
    *READERS, *TABLE_WRITERS, *(f".{suffix}" for suffix in FORMAT_SUFFIXES.values()), ".zarr", ".n5",
}  # fmt: skip
"""Suffixes that are replaced by that of the output format; any other dot belongs to the name."""


@dataclass(frozen=True)
class Output:
    """A result image of a lane and the file that it goes to."""

    export: Export
    path: str
    format: str


@dataclass(frozen=True)
class Task:
    """A lane, its name in the table, and what is written of it."""

    lane: Lane
    name: str
    outputs: tuple[Output, ...]
    table: str | None


def plan_output(source: str, lane: Lane, plan: Plan, settings: ExportSettings, base: Path) -> Output:
    """Where and how a result image of a lane is written; relative paths start at ``base``.

    Raises
    ------
    ObjclassError
        If the format cannot hold it, or placeholders or subregion are off.
    """
    classes = len(plan.project.classes) if plan.project else 1
    size = plan.pixel_size or lane.pixel_size
    export, clipped = maps.plan_export(source, lane.objects, lane.role, classes, settings, size)
    if clipped:
        log.warning("%s: the subregion is clipped to the image", lane.nickname)
    fields = path_fields(lane, export)
    path = base / expand(str(settings.output_filename_format), fields)
    name = str(settings.output_format)
    image = replace(export.image, internal_path=expand(export.image.internal_path, fields))
    return Output(replace(export, image=image), with_suffix(str(path), FORMAT_SUFFIXES[name]), name)


def path_fields(lane: Lane, export: Export) -> dict[str, Any]:
    """What the placeholders of a path stand for."""
    bounds = dict(zip(AXES, export.region, strict=True))
    start = tuple(bounds[axis].start for axis in SLOT_AXES)
    stop = tuple(bounds[axis].stop for axis in SLOT_AXES)
    fields: dict[str, Any] = {
        "dataset_dir": lane.directory,
        "nickname": lane.nickname,
        "result_type": export.source,
        "roi": [start, stop],
    }
    for axis in AXES:
        fields |= {f"{axis}_start": bounds[axis].start, f"{axis}_stop": bounds[axis].stop}
    return fields


class _KnownFields(string.Formatter):
    """Fills in the placeholders it knows, leaves the others as they are."""

    def get_field(self, name: str, args: Any, kwargs: Any) -> tuple[Any, str]:
        if name not in kwargs:
            return _Literal(name), name
        return kwargs[name], name


class _Literal(str):
    """A placeholder that stays as it was written."""

    __slots__ = ()

    def __format__(self, spec: str) -> str:
        return "{" + self + (f":{spec}" if spec else "") + "}"


def expand(template: str, fields: Mapping[str, Any]) -> str:
    """Fill in the placeholders of a path.

    Raises
    ------
    UsageError
        If braces do not match or a format does not fit.

    Examples
    --------
    >>> expand("{nickname}_{x_start:03}_{other}", {"nickname": "a.b", "x_start": 7})
    'a.b_007_{other}'
    """
    try:
        filled = _KnownFields().vformat(template, (), fields)
    except (ValueError, IndexError, KeyError, AttributeError) as fault:
        message = f"path '{template}': {fault} (placeholders are {', '.join(fields)})"
        raise UsageError(message) from None
    return str(Path(filled).expanduser())


def with_suffix(path: str, suffix: str) -> str:
    """The path with the suffix of a format; only a known suffix is replaced.

    Examples
    --------
    >>> with_suffix("out/cell.001", "h5"), with_suffix("out/a.tiff", "h5")
    ('out/cell.001.h5', 'out/a.h5')
    """
    ending = Path(path).suffix
    stem = path.removesuffix(ending) if ending.lower() in KNOWN_SUFFIXES else path
    return f"{stem}.{suffix}"


def table_path(wanted: str | None, plan: Plan, lane: Lane, *, needed: bool) -> str | None:
    """Where the table of a lane goes: as wanted, else as stored in the project; None if nowhere.

    Raises
    ------
    UsageError
        If the suffix is not that of a table, or one is ``needed`` and nobody says where.
    """
    fields = {"dataset_dir": lane.directory, "nickname": lane.nickname}
    template = wanted
    if template is None and plan.project is not None and plan.project.table is not None:
        stored = expand(plan.project.table.path, fields)
        if Path(stored).suffix.lower() not in TABLE_WRITERS:
            stored = f"{stored}.{plan.project.table.file_type}"
        try:
            check_writable(stored)
            tables.writer_for(stored)
        except ObjclassError as fault:
            log.warning("no table: %s (set up in the project; --table_filename says where)", fault)
            return None
        return stored
    if template is None and plan.project is None:
        template = "{dataset_dir}/{nickname}_table.csv"
    if template is None:
        if needed:
            message = "--table_only: where to? give --table_filename"
            raise UsageError(message)
        return None
    path = expand(template, fields)
    tables.writer_for(path)
    return path


def table_header(task: Task, plan: Plan) -> list[str]:
    """Columns of the table of a lane, known from headers alone."""
    classes = plan.project.classes if plan.project else ()
    header = ["object_id", "timestep", "labelimage_oid"]
    if plan.project is not None:
        header += ["User Label", "Predicted Class", *(f"Probability of {c}" for c in classes)]
        header.append("Uncertainty")
    header.append("Image")
    if task.lane.role == "label_image":
        header.append("original_oid")
    ndim, channels = task.lane.objects.ndim, task.lane.channels
    for feature in plan.shown:
        header += feature.columns(ndim, channels)
    return list(dict.fromkeys(header))


def check_columns_agree(tasks: Sequence[Task], plan: Plan) -> None:
    """Refuse lanes that would give other columns than the first one in the same table.

    Raises
    ------
    InputError
        With both lanes and how they differ.
    """
    first: dict[str, tuple[Task, list[str]]] = {}
    for task in tasks:
        if task.table is None:
            continue
        header = table_header(task, plan)
        other, expected = first.setdefault(task.table, (task, header))
        if header != expected:
            message = (
                f"{task.table}: {_told(task.lane)} would give other columns than {_told(other.lane)}: "
                "put {nickname} into --table_filename, or run them apart"
            )
            raise InputError(message)


def _told(lane: Lane) -> str:
    return f"{lane.objects.name} ({lane.objects.ndim}D, {lane.channels} channels)"


def check_collisions(tasks: Sequence[Task], inputs: Sequence[str]) -> None:
    """Refuse outputs that are one file, that are an input, or that cannot be written.

    Raises
    ------
    OutputError
        With the file and what asks for it.
    """
    taken: dict[tuple[str, str], str] = {}
    sources = {os.path.realpath(path) for path in inputs}
    for task in tasks:
        for image in (task.lane.raw, task.lane.objects):
            sources |= {os.path.realpath(path) for path in (image.files if image else ())}
    wanted = [
        ((os.path.realpath(o.path), o.export.image.internal_path if o.path.endswith(".h5") else ""),
         f"{o.export.source} of {task.name}")
        for task in tasks for o in task.outputs
    ]  # fmt: skip
    table_paths = dict.fromkeys(task.table for task in tasks if task.table is not None)
    wanted += [((os.path.realpath(path), "table"), "the table") for path in table_paths]
    for (path, inside), what in wanted:
        if path in sources:
            message = f"{path}: {what} would overwrite an input: give another name"
            raise OutputError(message)
        other = taken.get((path, inside))
        shares = [w for (p, i), w in taken.items() if p == path and "table" in (inside, i)]
        if other is not None or shares:
            message = (
                f"{path}: both {other or shares[0]} and {what} would be written there: use {{nickname}} and "
                "{result_type} in --output_filename_format, or other names"
            )
            raise OutputError(message)
        taken[path, inside] = what
        check_writable(path)


def check_writable(path: str) -> None:
    """Refuse a path that cannot be written.

    Raises
    ------
    OutputError
        If it is a folder, or its folder is a file or not writable.
    """
    target = Path(path)
    if target.is_dir():
        message = f"output {path} is a folder"
        raise OutputError(message)
    folder = target.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        message = f"output {path}: {folder} is not a folder"
        raise OutputError(message)
    if not os.access(folder, os.W_OK):
        message = f"output {path}: the folder {folder} is not writable"
        raise OutputError(message)


def beside(path: str) -> str:
    """The temporary name of an output: in the same folder, so that it can be renamed."""
    target = Path(path)
    return str(target.with_name(f".{target.stem}.{os.getpid()}.part{target.suffix}"))


class Pending:
    """Files that are written beside their final names: renamed by `commit`, else removed."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}

    def add(self, path: str) -> str:
        """The temporary name for a file; its folder is made."""
        if path not in self._files:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            Path(beside(path)).unlink(missing_ok=True)  # of a process that was killed
            self._files[path] = beside(path)
        return self._files[path]

    def commit(self) -> None:
        """Give all files their final names."""
        for path, temporary in self._files.items():
            Path(temporary).replace(path)
        self._files.clear()

    def discard(self) -> None:
        """Remove what was not committed."""
        for temporary in self._files.values():
            with contextlib.suppress(OSError):
                Path(temporary).unlink()
        self._files.clear()


class ImageFiles:
    """The images of one lane, written together."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._pending = Pending()
        self.writers: list[Writer] = []
        self._outputs = outputs

    def __enter__(self) -> Self:
        try:
            for output in self._outputs:
                previous = output.path if Path(output.path).exists() else None
                make = maps.writer_of(output.format)
                path = self._pending.add(output.path)
                self.writers.append(make(path, output.export.image, previous))
        except BaseException:
            self.__exit__()
            raise
        return self

    def commit(self) -> None:
        """Finish all files and give them their names."""
        while self.writers:
            self.writers.pop(0).close()
        self._pending.commit()

    def __exit__(self, *_: object) -> None:
        for writer in self.writers:
            with contextlib.suppress(Exception):
                writer.close()
        self._pending.discard()


class TableFiles:
    """The tables of a run; a table of several lanes gets their rows in the order of the lanes."""

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._pending = Pending()
        self._writers: dict[str, tables.TableWriter] = {}
        self._headers: dict[str, list[str]] = {}
        self._left = [task.table for task in tasks if task.table is not None]

    def __enter__(self) -> Self:
        return self

    def append(self, path: str, header: Sequence[str], columns: tables.Columns) -> None:
        """Add the rows of a lane."""
        expected = self._headers.setdefault(path, list(header))
        if list(columns) != expected:
            message = f"{path}: columns {sorted(set(columns) ^ set(expected))[:5]} came or went"
            raise LaneError(message)
        if path not in self._writers:
            self._writers[path] = tables.writer_for(path)(self._pending.add(path))
        self._writers[path].append(columns)

    def commit(self) -> None:
        """Finish the tables that hold rows and give them their names."""
        while self._writers:
            self._writers.popitem()[1].close()
        self._pending.commit()

    def __exit__(self, *_: object) -> None:
        for writer in self._writers.values():
            with contextlib.suppress(Exception):
                writer.close()
        self._pending.discard()
