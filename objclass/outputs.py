"""The outputs: what is written where, and how it gets its name.

Files are written beside their final names and renamed when they are complete; what is not complete is
removed. Two outputs that are one file, and outputs that are an input, are found before.
"""

import contextlib
import hashlib
import logging
import os
import shutil
import string
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from objclass import maps, tables
from objclass.core import AXES, FeatureTable, Lane, Predictions, Writer
from objclass.errors import InputError, ObjclassError, OutputError, UsageError
from objclass.images import sequence
from objclass.maps import SLOT_AXES, Export
from objclass.pipeline import Plan, given_columns
from objclass.registry import FORMAT_SUFFIXES, READERS, TABLE_WRITERS
from objclass.settings import ExportSettings

log = logging.getLogger("objclass")

KNOWN_SUFFIXES = {
    *READERS, *TABLE_WRITERS, *(f".{suffix}" for suffix in FORMAT_SUFFIXES.values()), ".zarr", ".n5",
}  # fmt: skip
"""Suffixes that are replaced by that of the output format; any other dot belongs to the name."""

SHARED_SUFFIXES = (".h5", ".n5")
"""Files and folders that hold several datasets, each with a name: what is there already is kept."""

FOLDER_SUFFIXES = (".n5", ".zarr")
"""Outputs that are folders."""

LOSSY = ("jpeg", "jpg", "jpeg sequence", "jpg sequence")
"""Formats that change classes and ids."""


@dataclass(frozen=True)
class Output:
    """A result image of a lane and where it goes.

    Parameters
    ----------
    export
        What is written.
    path
        The file, folder or URL; of a sequence, with ``{slice_index}``.
    format
        Name of the format.
    slices
        The files of a sequence, in order.
    """

    export: Export
    path: str
    format: str
    slices: tuple[str, ...] = ()

    @property
    def is_url(self) -> bool:
        """Whether it goes to a server, which needs no name on this machine."""
        return self.format not in FORMAT_SUFFIXES

    @property
    def files(self) -> tuple[str, ...]:
        """All that it takes: links followed, so that each has one name only."""
        return (self.path,) if self.is_url else tuple(map(os.path.realpath, self.slices or (self.path,)))


@dataclass(frozen=True)
class Task:
    """A lane, its name in the table, and what is written of it."""

    lane: Lane
    name: str
    outputs: tuple[Output, ...]
    table: str | None
    crop_margin: int | None = None
    """Pixels around the pictures of objects in the table; None for no pictures."""


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
    export = _with_classes(export, plan)
    if clipped:
        log.warning("%s: the subregion is clipped to the image", lane.nickname)
    name = str(settings.output_format)
    if name in LOSSY:
        log.warning(
            "%s: values in %s files are only nearly those written: png keeps them", lane.nickname, name
        )
    fields = path_fields(lane, export)
    inside = _internal_path(export.image.internal_path, fields)
    export = replace(export, image=replace(export.image, internal_path=inside))
    # a name that begins with ~ is none of the user's home
    template = os.path.expanduser(str(settings.output_filename_format))
    if name not in FORMAT_SUFFIXES:
        return Output(export, _url(expand(template, fields), name), name)
    suffix = FORMAT_SUFFIXES[name]

    def filled(more: dict[str, Any]) -> str:
        return with_suffix(str(base / expand(template, fields | more)), suffix)

    slices: tuple[str, ...] = ()
    if name.endswith(" sequence"):
        slices = tuple(filled({"slice_index": index}) for index in _slice_indices(export))
        _check_slices(slices, template, name)
    return Output(export, filled({}), name, slices)


def _internal_path(template: str, fields: Mapping[str, Any]) -> str:
    """The name of the dataset, filled in."""
    inside = expand(template, fields)
    parts = inside.strip("/").split("/")
    if {"", ".", ".."} & set(parts):
        message = (
            f"--output_internal_path '{inside}': expected a name such as exported_data or volume/classes"
        )
        raise UsageError(message)
    return inside


def _url(path: str, name: str) -> str:
    if "://" not in path:
        message = f"--output_filename_format '{path}': {name} goes to a server: expected a URL"
        raise UsageError(message)
    return path


class SliceIndex(int):
    """The number of a slice: without a format of its own, with as many digits as the last one has."""

    digits: int

    def __new__(cls, number: int, digits: int) -> Self:
        """A number, and how many digits it is written with."""
        index = super().__new__(cls, number)
        index.digits = digits
        return index

    def __format__(self, spec: str) -> str:
        return int.__format__(self, spec or f"0{self.digits}")

    def __str__(self) -> str:
        return format(self)


def _slice_indices(export: Export) -> Iterator[SliceIndex]:
    """The numbers of the slices: those that they have in the whole image."""
    axis, count = sequence.slices(export.image)
    start = export.region[AXES.index(axis)].start
    # as in ilastik, which counts the digits of the number after the last
    return (SliceIndex(start + n, len(str(start + count))) for n in range(count))


def _check_slices(paths: Sequence[str], template: str, name: str) -> None:
    if len(set(paths)) < len(paths):
        message = (
            f"--output_filename_format '{template}': {name}: expected {{slice_index}} in it, the number of "
            f"each of the {len(paths)} files"
        )
        raise UsageError(message)


def _with_classes(export: Export, plan: Plan) -> Export:
    """The same, the names and colors of the classes known to the writer."""
    if plan.project is None or export.source == "Object Identities":
        return export
    shown = slice(None) if export.image.labels else export.region[AXES.index("c")]
    names, colors = plan.project.classes[shown], plan.project.colors[shown]
    return replace(export, image=replace(export.image, names=names, colors=colors))


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
    if not template:
        message = "the path of an output is empty"
        raise UsageError(message)
    try:
        filled = _KnownFields().vformat(template, (), fields)
    except (ValueError, IndexError, KeyError, AttributeError) as fault:
        message = f"path '{template}': {fault} (placeholders are {', '.join(fields)})"
        raise UsageError(message) from None
    return filled


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
        stored = str(Path(expand(plan.project.table.path, fields)).expanduser())
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
    path = str(Path(expand(template, fields)).expanduser())
    tables.writer_for(path)
    return path


def table_header(task: Task, plan: Plan) -> list[str]:
    """Columns of the table of a lane, known from headers alone."""
    lane = task.lane
    nothing = np.zeros(0, int)
    widths = {f.key: len(f.columns(lane.objects.ndim, lane.channels)) for f in plan.shown}
    empty = FeatureTable(
        nothing,
        nothing,
        {key: np.zeros((0, width)) for key, width in widths.items()},
        dict.fromkeys(given_columns(lane), nothing),
    )
    classes = plan.project.classes if plan.project else ()
    predictions = Predictions(np.zeros((0, len(classes)), np.float32)) if plan.project else None
    return list(tables.ilastik_columns(empty, plan.shown, lane, task.name, classes, predictions))


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
        refusal = tables.writer_for(task.table).refusal(header)
        if task.crop_margin is not None and not task.table.lower().endswith(".h5"):
            refusal = "pictures of objects (--table_images) need a table in HDF5: give it a name in .h5"
        if refusal:
            message = f"{task.table}: {refusal}"
            raise OutputError(message)
        other, expected = first.setdefault(task.table, (task, header))
        if header != expected:
            message = (
                f"{task.table}: {_told(task.lane)} would give other columns than {_told(other.lane)}: "
                "put {nickname} into --table_filename, or run them apart"
            )
            raise InputError(message)


def _told(lane: Lane) -> str:
    return f"{lane.objects.name} ({lane.objects.ndim}D, {lane.channels} channels)"


def check_tables(tasks: Sequence[Task], template: str | None) -> None:
    """Refuse lanes of one name where each was to have a table of its own.

    Raises
    ------
    OutputError
        With the table.
    """
    if template is None or "{nickname" not in template:
        return
    for path, lanes in Counter(task.table for task in tasks).items():
        if lanes > 1:
            message = (
                f"{path}: {lanes} images would have this table: use {{dataset_dir}}, or one table for all"
            )
            raise OutputError(message)


def check_collisions(tasks: Sequence[Task], inputs: Sequence[str]) -> None:
    """Refuse outputs that are one file, that are an input, or that cannot be written.

    Raises
    ------
    OutputError
        With the file and what asks for it.
    """
    sources = {os.path.realpath(path) for path in inputs}
    for task in tasks:
        for image in task.lane.images:
            sources |= {os.path.realpath(path) for path in image.files}
    taken: dict[str, dict[str, str]] = {}
    for path, inside, what in _wanted(tasks):
        within = f"{path}{os.sep}"
        if path in sources or (
            path.endswith(FOLDER_SUFFIXES) and any(source.startswith(within) for source in sources)
        ):
            message = f"{path}: {what} would overwrite an input: give another name"
            raise OutputError(message)
        there = taken.setdefault(path, {})
        other = next((there[name] for name in there if _clash(name, inside)), None)
        if other is not None:
            message = (
                f"{path}: both {other} and {what} would be written there: use {{nickname}} and "
                "{result_type} in --output_filename_format, or other names"
            )
            raise OutputError(message)
        there[inside] = what
        if "://" not in path:  # which no path has whose links are followed
            check_writable(path)


ALONE = "/"
"""Stands for the whole file where a dataset would have a name."""


def _clash(name: str, other: str) -> bool:
    """Whether two datasets of a file are one, or one would lie in the other."""
    return ALONE in (name, other) or f"{name}/".startswith(f"{other}/") or f"{other}/".startswith(f"{name}/")


def _wanted(tasks: Sequence[Task]) -> Iterator[tuple[str, str, str]]:
    """Real path, dataset in it, and description of all that is written."""
    for task in tasks:
        for output in task.outputs:
            is_shared = output.path.endswith(SHARED_SUFFIXES)
            inside = output.export.image.internal_path.strip("/") if is_shared else ALONE
            for path in output.files:
                yield path, inside, f"{output.export.source} of {task.name}"
    for path in dict.fromkeys(task.table for task in tasks if task.table is not None):
        yield os.path.realpath(path), ALONE, "the table"


def check_writable(path: str) -> None:
    """Refuse a path that cannot be written.

    Raises
    ------
    OutputError
        If it is a folder that cannot be replaced, or its folder is a file or not writable.
    """
    target = Path(path)
    try:
        target.lstat()
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        pass  # the folder is looked at below
    except OSError as fault:
        message = f"output {path}: {fault.strerror}"
        raise OutputError(message) from None
    if target.suffix in FOLDER_SUFFIXES:
        _check_folder(target)
    elif target.is_dir():
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


def _check_folder(target: Path) -> None:
    """Refuse what an output that is a folder would destroy: as ilastik, any OME-Zarr."""
    if target.is_dir() and target.suffix == ".zarr":
        message = f"output {target} exists already: remove it, or give another name"
        raise OutputError(message)
    if target.exists() and not target.is_dir():
        message = f"output {target} is a file, expected a folder or none: remove it, or give another name"
        raise OutputError(message)


def beside(path: str) -> str:
    """The temporary name of an output: in the same folder, so that it can be renamed."""
    target = Path(path)
    # a digest, since the name itself may be as long as names can be
    digest = hashlib.sha256(target.name.encode()).hexdigest()[:12]
    return str(target.with_name(f".objclass-{digest}-{os.getpid()}.part{target.suffix}"))


class Pending:
    """Files and folders that are written beside their final names: renamed by `commit`, else removed."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}
        self._folders: list[str] = []

    def add(self, path: str) -> str:
        """The temporary name for a file or a folder; the folder that it lies in is made."""
        if path not in self._files:
            self._files[path] = self._cleared(path)
        return self._files[path]

    def add_slices(self, paths: Sequence[str]) -> str:
        """The temporary folder of the files of a sequence, which lie in it by number."""
        folder = self._cleared(paths[0])
        self._folders.append(folder)
        for parent in {Path(path).parent for path in paths}:
            self._make(parent)
        self._files |= {path: sequence.slice_path(folder, number) for number, path in enumerate(paths)}
        return folder

    def _cleared(self, path: str) -> str:
        temporary = beside(path)
        self._make(Path(path).parent)
        _remove(temporary)  # of a killed process of the same number
        return temporary

    @staticmethod
    def _make(folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as fault:
            message = f"output folder {folder} cannot be made: {fault.strerror}"
            raise OutputError(message) from None

    def commit(self) -> None:
        """Give all files and folders their final names."""
        for path, temporary in self._files.items():
            _rename(temporary, path)
        self._files.clear()
        self.discard()

    def discard(self) -> None:
        """Remove what was not committed."""
        for temporary in (*self._files.values(), *self._folders):
            with contextlib.suppress(OSError):
                _remove(temporary)
        self._files.clear()
        self._folders.clear()


def _remove(path: str) -> None:
    """Remove a file or a folder, if there is one."""
    target = Path(path)
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)


def _rename(temporary: str, path: str) -> None:
    """Give a file or a folder its name, in place of what has it."""
    if not Path(path).is_dir():
        Path(temporary).replace(path)
        return
    # a folder cannot take the name of another one: it steps aside first, and back if that fails
    aside = f"{beside(path)}.old"
    _remove(aside)
    Path(path).rename(aside)
    try:
        Path(temporary).rename(path)
    except OSError:
        Path(aside).rename(path)
        raise
    _remove(aside)


class ImageFiles:
    """The images of one lane, written together."""

    def __init__(self, outputs: Sequence[Output]) -> None:
        self._pending = Pending()
        self.writers: list[Writer] = []
        self._outputs = outputs

    def __enter__(self) -> Self:
        try:
            for output in self._outputs:
                self.writers.append(self._begin(output))  # one by one: those before a failure are closed
        except BaseException:
            self.discard()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def _begin(self, output: Output) -> Writer:
        make = maps.writer_of(output.format)
        if output.is_url:
            return make(output.path, output.export.image, None)
        if output.slices:
            return make(self._pending.add_slices(output.slices), output.export.image, None)
        previous = output.path if Path(output.path).exists() else None
        return make(self._pending.add(output.path), output.export.image, previous)

    def close(self) -> None:
        """Finish all files, under their temporary names."""
        while self.writers:
            self.writers.pop(0).close()

    def commit(self) -> None:
        """Give the files their names."""
        self.close()
        self._pending.commit()
        for output in self._outputs:
            output.export.warn(output.path)

    def discard(self) -> None:
        """Remove what was not committed."""
        for writer in self.writers:
            with contextlib.suppress(Exception):
                writer.close()
        self.writers.clear()
        self._pending.discard()


class TableFiles:
    """The tables of a run: rows in the order of the lanes, each table renamed with its last lane.

    Only rows of finished lanes are ever appended, so what is there when a run ends early is whole.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._lanes = Counter(task.table for task in tasks if task.table is not None)
        self._open: dict[str, tuple[tables.TableWriter, Pending]] = {}

    def __enter__(self) -> Self:
        return self

    def append(self, path: str, columns: tables.Columns, crops: Sequence[tables.ObjectImage] = ()) -> None:
        """Add the rows of a finished lane."""
        if path not in self._open:
            pending = Pending()
            self._open[path] = tables.writer_for(path)(pending.add(path)), pending
        try:
            self._open[path][0].append(columns, crops)
        except BaseException:
            self._open.pop(path)[1].discard()
            raise
        self._lanes[path] -= 1
        if not self._lanes[path]:
            self._finish(path)

    def _finish(self, path: str) -> None:
        writer, pending = self._open.pop(path)
        try:
            writer.close()
            pending.commit()
        finally:
            pending.discard()

    def __exit__(self, *_: object) -> None:
        for path in list(self._open):
            self._finish(path)
