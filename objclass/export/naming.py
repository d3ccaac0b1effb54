"""Names of outputs: placeholders, suffixes, files of sequences."""

import logging
import os
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from objclass.core import AXES, Lane
from objclass.errors import ObjclassError, OutputError, UsageError, suggestion
from objclass.export.atomic import check_writable
from objclass.export.images import PIXEL_PROBABILITIES, SLOT_AXES, Export, is_of_pixels, plan_export
from objclass.export.report import Report
from objclass.export.summary import Summary
from objclass.export.tables import TableDetails, format_of, writer_for
from objclass.images import sequence
from objclass.images.sequence import writer_of
from objclass.images.urls import is_url
from objclass.pipeline.plan import Plan
from objclass.project.model import Project
from objclass.project.pixel_model import PixelProject
from objclass.registry import OutputFormat, image_format, output_format, table_format, table_formats
from objclass.settings import ExportSettings

log = logging.getLogger("objclass")


@dataclass(frozen=True)
class Output:
    """A result image of a lane and its path.

    Parameters
    ----------
    export
        How it is written.
    path
        The file, folder or URL; of a sequence, with ``{slice_index}``.
    format
        The format.
    slices
        The files of a sequence, in order.
    """

    export: Export
    path: str
    format: OutputFormat
    slices: tuple[str, ...] = ()

    @property
    def is_url(self) -> bool:
        """Whether it is sent to a server, so that it has no path on this machine."""
        return not self.format.suffix

    @property
    def is_shared(self) -> bool:
        """Whether it is one of several images in a file."""
        return hasattr(writer_of(self.format.name), "container")

    @property
    def files(self) -> tuple[str, ...]:
        """Real paths of all its files, with links followed, so that each file has only one name."""
        return (self.path,) if self.is_url else tuple(map(os.path.realpath, self.slices or (self.path,)))


@dataclass(frozen=True)
class Task:
    """A lane, its name in the table, and its outputs."""

    lane: Lane
    name: str
    outputs: tuple[Output, ...]
    table: str | None
    pictures: tuple[str, ...] = ()
    """The files of `objclass.export.colors.PICTURES`, if they were requested."""

    crop_margin: int | None = None
    """Pixels around the pictures of objects in the table; None for no pictures."""

    summary: Summary | None = None
    report: Report | None = None
    objects: tuple[str, ...] = ()
    """The files of objects for other programs."""
    details: TableDetails = field(default_factory=TableDetails)
    """The dialect, units and facts of its tables."""

    dictionary: str | None = None
    """The file that describes the columns of the table; None for no such file."""

    first_step: int = 1
    """Number of its first time step among those of all lanes, from 1; where the table does not show it, 1."""

    @property
    def tables(self) -> list[str]:
        """The files that have rows of the lane: the table of its objects, the summary, and the report."""
        shared = [part.path for part in (self.summary, self.report) if part is not None]
        return [*([self.table] if self.table is not None else []), *shared]

    @property
    def paths(self) -> list[str]:
        """All that is there when the lane is done."""
        return [*self.own_paths, *self.tables]

    @property
    def own_paths(self) -> list[str]:
        """The same without tables: images, also those in files that other lanes may share, and objects."""
        images = [path for o in self.outputs if not o.is_url for path in o.slices or (o.path,)]
        return [*images, *self.pictures, *self.objects]

    @property
    def shared(self) -> set[str]:
        """Files that other lanes may share."""
        containers = {output.path for output in self.outputs if output.is_shared}
        return containers | {*self.tables}


def plan_output(
    source: str, lane: Lane, plan: Plan, settings: ExportSettings, base: Path, *, ilastik_names: bool = False
) -> Output:
    """The path and format of a result image of a lane; relative paths start at ``base``.

    With ``ilastik_names``, the part after the last dot of a name is taken for a suffix.

    Raises
    ------
    ObjclassError
        If the format cannot hold it, or placeholders or subregion are wrong.
    """
    export, clipped = plan_export(source, lane, _channels(source, plan), settings, plan.carried_size(lane))
    export = _with_classes(export, plan)
    if clipped:
        log.warning("%s: the subregion is clipped to the image", lane.nickname)
    kind = output_format(str(settings.output_format))
    assert kind is not None  # plan_export has refused it
    if kind.lossy:
        log.warning("%s: %s files change values a little; png stores them exactly", lane.nickname, kind.name)
    fields = path_fields(lane, export)
    inside = _internal_path(export.image.internal_path, fields)
    export = replace(export, image=replace(export.image, internal_path=inside))
    # here a name that begins with ~ does not mean the home folder
    template = os.path.expanduser(str(settings.output_filename_format))
    if not kind.suffix:
        return Output(export, _url(expand(template, fields), kind.name), kind)

    def filled(more: dict[str, Any]) -> str:
        path = str(base / _on_this_machine("output_filename_format", expand(template, fields | more)))
        stem, _ = os.path.splitext(path)
        return f"{stem}{kind.suffix}" if ilastik_names else with_suffix(path, kind.suffix)

    slices: tuple[str, ...] = ()
    if kind.part:
        slices = tuple(filled({"slice_index": index}) for index in _slice_indices(export))
        _check_slices(slices, template, kind.name)
    return Output(export, filled({}), kind, slices)


def picture_paths(names: Sequence[str], lane: Lane, settings: ExportSettings, base: Path) -> tuple[str, ...]:
    """Paths of the PNG files of whole planes: named as result images, with other result types."""
    steps, depth, height, width, _ = lane.objects.shape
    lengths = dict(zip(AXES, (steps, depth, height, width, 1), strict=True))
    bounds = {f"{axis}_start": 0 for axis in AXES} | {f"{axis}_stop": n for axis, n in lengths.items()}
    roi = [(0,) * len(SLOT_AXES), tuple(lengths[axis] for axis in SLOT_AXES)]
    fields = bounds | {"dataset_dir": lane.directory, "nickname": lane.nickname, "roi": roi}
    template = os.path.expanduser(str(settings.output_filename_format))
    paths = (expand(template, fields | {"result_type": name}) for name in names)
    return tuple(
        with_suffix(str(base / _on_this_machine("output_filename_format", path)), ".png") for path in paths
    )


def _channels(source: str, plan: Plan) -> int:
    """Number of channels of a result image."""
    if source == "Features" and plan.pixels is not None:
        return plan.pixels.classifiers[-1].columns
    if source in ("Object Probabilities", "Probabilities", PIXEL_PROBABILITIES):
        return len(_classes(source, plan))
    return 1


def _classes(source: str, plan: Plan) -> tuple[str, ...]:
    """Names of the classes that a result image shows."""
    if is_of_pixels(source):
        return plan.pixels.classes if plan.pixels is not None and source != "Features" else ()
    return plan.project.classes if plan.project is not None and source != "Object Identities" else ()


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
        message = f"--output_filename_format '{path}': {name} is written to a server: expected a URL"
        raise UsageError(message)
    return path


def _on_this_machine(option: str, path: str) -> str:
    """The path, unless it is a URL, such as one next to data on a server.

    Raises
    ------
    OutputError
        If it is one.
    """
    if is_url(path):
        message = f"--{option} {path}: results are not written to servers: give a path on this machine, such as results/{{nickname}}"
        raise OutputError(message)
    return path


class SliceIndex(int):
    """The number of a slice: without a format of its own, with as many digits as the last one has."""

    digits: int

    def __new__(cls, number: int, digits: int) -> Self:
        """Make a number that is written with so many digits."""
        index = super().__new__(cls, number)
        index.digits = digits
        return index

    def __format__(self, spec: str) -> str:
        return int.__format__(self, spec or f"0{self.digits}")

    def __str__(self) -> str:
        return format(self)


def _slice_indices(export: Export) -> Iterator[SliceIndex]:
    """The numbers of the slices in the whole image."""
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
    """The export, with names and colors of the classes for the writer."""
    classes = _classes(export.source, plan)
    if not classes:
        return export
    trained = plan.pixels.classifiers[-1] if is_of_pixels(export.source) and plan.pixels else plan.project
    assert trained is not None
    shown = slice(None) if export.image.labels else export.region[AXES.index("c")]
    names, colors = classes[shown], trained.colors[shown]
    return replace(export, image=replace(export.image, names=names, colors=colors))


def path_fields(lane: Lane, export: Export) -> dict[str, Any]:
    """Placeholder of a path -> its value."""
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


TABLE_PLACEHOLDERS = ("dataset_dir", "nickname")
"""Placeholders in the path of a table, or of objects for other programs."""

PLACEHOLDERS = (
    *TABLE_PLACEHOLDERS, "result_type", "roi", *(f"{axis}_{end}" for axis in AXES for end in ("start", "stop")),
)  # fmt: skip
"""Placeholders in the path of an image; sequences have ``slice_index``, too."""


def check_placeholders(option: str, template: str | None, known: Sequence[str]) -> None:
    """Refuse a path with unknown placeholders, which would be written as they stand.

    Raises
    ------
    UsageError
        If there is one; the message names it and the most similar known one.
    """
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(template or "") if name is not None]
    except ValueError:  # what is wrong with its braces is said where it is filled in
        return
    written = {name: f"{{{name}}}" for name in known}
    for name in fields:
        if name not in written:
            message = (
                f"--{option} '{template}': there is no placeholder {{{name}}}{suggestion(name, written)}: expected "
                f"{' '.join(written.values())}"
            )
            raise UsageError(message)


MAXIMUM_WIDTH = 255
"""Maximum number of characters of a placeholder: no file has a longer name."""


class _KnownFields(string.Formatter):
    """Fills in known placeholders, leaves others as they are."""

    def get_field(self, name: str, args: Any, kwargs: Any) -> tuple[Any, str]:
        if name not in kwargs:
            return _Literal(name), name
        return kwargs[name], name

    def format_field(self, value: Any, format_spec: str) -> str:
        if any(int(number) > MAXIMUM_WIDTH for number in re.findall(r"[0-9]+", format_spec)):
            message = f"the format ':{format_spec}' is wider than {MAXIMUM_WIDTH} characters"
            raise ValueError(message)
        return str(super().format_field(value, format_spec))


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
    """The path with the suffix of a format; only a suffix of an image or a table is replaced.

    Any other dot belongs to the name.

    Examples
    --------
    >>> with_suffix("out/cell.001", ".h5"), with_suffix("out/a.tiff", ".h5"), with_suffix("out/a.csv.gz", ".h5")
    ('out/cell.001.h5', 'out/a.h5', 'out/a.h5')
    """
    stem, ending = split_suffix(path)
    is_known = bool(ending) and (image_format(ending.lower()) or table_format(path))
    return f"{stem if is_known else path}{suffix}"


def split_suffix(path: str) -> tuple[str, str]:
    """The path without its suffix, and the suffix; those of our tables may have two parts.

    Examples
    --------
    >>> split_suffix("out/a.1.csv.gz"), split_suffix("out/a.tar.gz")
    (('out/a.1', '.csv.gz'), ('out/a.tar', '.gz'))
    """
    suffix = next((entry.suffix for entry in table_formats() if path.lower().endswith(entry.suffix)), None)
    return (path[: -len(suffix)], path[-len(suffix) :]) if suffix else os.path.splitext(path)


def check_stored(path: str, project: Project | PixelProject, lane: Lane) -> None:
    """Refuse an unsafe path that comes from a project, not from the command line.

    Raises
    ------
    OutputError
        If it is outside of the folders of the project and of the data, or exists already.
    """
    target = os.path.realpath(path)
    folders = [os.path.dirname(os.path.realpath(project.path))]
    if not is_url(lane.directory):
        folders.append(os.path.realpath(lane.directory))
    if "://" in path or not any(Path(target).is_relative_to(folder) for folder in folders):
        message = f"{path} is outside of the folders of the project and of the data"
        raise OutputError(message)
    if os.path.lexists(target):
        message = f"{path} exists already"
        raise OutputError(message)


def table_path(
    wanted: str | None, plan: Plan, lane: Lane, *, needed: bool, ilastik_names: bool = False
) -> str | None:
    """The path of the table of a lane: as given, else as stored in the project; None for no table.

    With ``ilastik_names``, ``x.csv`` becomes ``x_table.csv``.

    Raises
    ------
    UsageError
        If the suffix is not that of a table, or a table is ``needed`` and there is no path for it.
    """
    fields = {"dataset_dir": lane.directory, "nickname": lane.nickname}
    template = wanted
    if template is None and plan.project is not None and plan.project.table is not None:
        stored = expand(plan.project.table.path, fields)
        stored = stored if is_url(stored) else str(Path(stored).expanduser())
        if table_format(stored) is None:
            stored = f"{stored}.{plan.project.table.file_type}"
        stored = ilastik_table(stored) if ilastik_names else stored
        try:
            check_stored(stored, plan.project, lane)
            check_writable(stored)
            writer_for(stored)
        except ObjclassError as fault:
            if needed:
                message = f"--table_only: {fault} (path stored in the project): give --table_filename"
                raise UsageError(message) from None
            log.warning(
                "no table is written: %s (path stored in the project; to choose another one, give --table_filename)",
                fault,
            )
            return None
        return stored
    if template is None and plan.trained is None:
        template = "{dataset_dir}/{nickname}_table.csv"
    if template is None:
        if needed:
            message = "--table_only: there is no path for the table: give --table_filename"
            raise UsageError(message)
        return None
    path = _on_this_machine("table_filename", expand(template, fields))
    path = str(Path(path).expanduser())
    writer_for(path)
    return ilastik_table(path) if ilastik_names and wanted is not None else path


def object_paths(wanted: Sequence[str], lane: Lane) -> tuple[str, ...]:
    """The paths of the files of objects of a lane.

    Raises
    ------
    UsageError
        If braces do not match.
    """
    fields = {"dataset_dir": lane.directory, "nickname": lane.nickname}
    paths = (_on_this_machine("export_objects", expand(template, fields)) for template in wanted)
    return tuple(str(Path(path).expanduser()) for path in paths)


def ilastik_table(path: str) -> str:
    """The file name that ilastik writes for a table; HDF5 tables keep the name.

    Examples
    --------
    >>> ilastik_table("out/cells.1.csv"), ilastik_table("out/cells.h5"), ilastik_table("out/cells.csv.gz")
    ('out/cells.1_table.csv', 'out/cells.h5', 'out/cells_table.csv.gz')
    """
    stem, suffix = split_suffix(path)
    return path if suffix.lower() == ".h5" else f"{stem}_table{suffix}"


DICTIONARY = "_columns.csv"
"""End of the name of the file that describes the columns of a table."""


def dictionary_path(table: str) -> str:
    """The path of the file that describes the columns of a table.

    Examples
    --------
    >>> dictionary_path("out/cells.1.csv"), dictionary_path("out/cells.tsv.gz")
    ('out/cells.1_columns.csv', 'out/cells_columns.csv')
    """
    return f"{table[: -len(format_of(table).suffix)]}{DICTIONARY}"
