"""The layers of the results of a run: its images, and the table of its objects."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from objclass.batch.run_file import RUN_FILE, Record, read_run
from objclass.compute.context import Context
from objclass.core import AXES, AnyArray, Image, IntArray, PixelSize
from objclass.errors import ImageError, InputError, ObjclassError
from objclass.evaluation.measurements import (
    IMAGE_NAMES,
    LABEL_NAMES,
    READERS,
    TIME_NAMES,
    Table,
    read_columns,
)
from objclass.export.colors import PICTURES
from objclass.export.images import PIXEL_PROBABILITIES, PIXEL_SOURCES, SOURCES
from objclass.images import open_image
from objclass.images.paths import check_here
from objclass.project.open import open_any
from objclass.registry import image_format
from objclass.session.layers import Classes, Layer, Layers, Place, image_layers, labels_layer
from objclass.session.project_layers import MAXIMUM_LANES
from objclass.settings import ResourceSettings

PREDICTIONS, PROBABILITIES, IDENTITIES = SOURCES
SEGMENTATION = PIXEL_SOURCES[1]

RESULTS = (*SOURCES, PIXEL_PROBABILITIES, *PIXEL_SOURCES)
"""What the names of result images end in; a longer one comes before its own end."""

CLASS_NAMES = ("predicted class", "class")
CENTERS = {axis: (f"center of the object_{k}", f"centroid_{axis}_px") for k, axis in enumerate("xyz")}
"""Names of columns, in lower case."""


def is_run(path: str) -> bool:
    """Whether a path is a run file, or a folder with one; nothing is read."""
    return os.path.isfile(_run_file(path)) and Path(_run_file(path)).name.startswith(Path(RUN_FILE).stem)


def _run_file(path: str) -> str:
    return os.path.join(path, RUN_FILE) if os.path.isdir(path) else path


def run_layers(path: str, resources: ResourceSettings | None = None) -> Layers:
    """The layers of the results of a run; pixels are read when they are looked at.

    Parameters
    ----------
    path
        The run file, or the folder that it is in.
    resources
        Threads and memory; by default those of the machine.

    Raises
    ------
    ObjclassError
        If it is none, or none of its results is there.
    """
    file = os.path.abspath(_run_file(path))
    run, context = read_run(Path(file)), Context.of(resources or ResourceSettings())
    try:
        return _layers(run, file, context)
    except ObjclassError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError) as fault:
        message = f"{file}: the run file is damaged: {fault}"
        raise InputError(message) from None


def _layers(run: Record, file: str, context: Context) -> Layers:
    name = os.path.basename(os.path.dirname(file))
    lanes = [lane for lane in run["lanes"] if lane["status"] == "done"]
    classes = _classes(run)
    layers: list[Layer] = []
    remarks: list[str] = []
    for lane in lanes[:MAXIMUM_LANES]:
        results = LaneResults(run, lane, file, classes, context)
        layers += [_shown_first(layer, is_first=lane is lanes[0]) for layer in results.layers()]
        remarks += results.remarks
    if not layers:
        message = f"{file}: {remarks[0] if remarks else 'a run without results'}"
        raise InputError(message)
    if len(lanes) > MAXIMUM_LANES:
        remarks.append(f"{name}: the first {MAXIMUM_LANES} of its {len(lanes)} images are shown")
    return Layers(tuple(layers), tuple(remarks))


def _shown_first(layer: Layer, *, is_first: bool) -> Layer:
    """The layer, hidden if it is not one of the first image."""
    data, options, kind = layer
    return data, options if is_first else options | {"visible": False}, kind


def _classes(run: Record) -> Classes:
    """Names and colours of the classes of a run; those of its project while that is there."""
    for entry in (run.get("project"), run.get("pixel_project")):
        if entry is not None:
            try:
                project = open_any(os.path.join(run["folder"], entry["path"]))
                return Classes(tuple(project.classes), tuple(project.colors))
            except ObjclassError:
                continue
    return Classes(tuple(map(str, run["classes"])))


def result_layer(path: str, resources: ResourceSettings | None = None) -> Layers:
    """The layer of one result image; its classes have the colours of the run that wrote it, if its run file is there.

    Raises
    ------
    ObjclassError
        If it cannot be read.
    """
    context = Context.of(resources or ResourceSettings())
    classes, run_file = Classes(()), os.path.join(os.path.dirname(os.path.abspath(path)), RUN_FILE)
    if os.path.isfile(run_file):
        classes = _classes(read_run(Path(run_file)))
    image = open_image(path, context=context)
    name = Path(path).name.partition(".")[0]
    return Layers(tuple(_result_layers(image, _kind(path, image), name, Place.of(image), {}, classes)))


@dataclass
class LaneResults:
    """The results of a lane.

    Parameters
    ----------
    run, lane
        Records of the run file.
    file
        The run file.
    classes
        Those of the objects, or of the pixels.
    context
        That in which images are read.
    """

    run: Record
    lane: Record
    file: str
    classes: Classes
    context: Context

    def __post_init__(self) -> None:
        self.name = str(self.lane["image"])
        self.remarks: list[str] = []
        project = self.run.get("project")
        self.about = {"run": self.file, "lane": self.lane["number"]}
        if project is not None:
            self.about["project"] = os.path.join(self.run["folder"], project["path"])

    def layers(self) -> list[Layer]:
        """The layers, the lowest one first."""
        raw = self._raw()
        opened = ((path, self._tried(path)) for path in self._images())
        images = {_kind(path, image): image for path, image in opened if image is not None}
        known = [image for image in (raw, *images.values()) if image is not None]
        if not known:
            return []
        whole, offset, table = self._place_of_all(known), self._offset(known), self._table()
        layers: list[Layer] = []
        if raw is not None:
            place = whole.of_part(raw, {})
            layers += image_layers(raw, self.name, place, self.about | {"role": "raw_data"})
        for kind in sorted(images, key=lambda kind: (kind == PREDICTIONS, kind == IDENTITIES)):
            image = images[kind]
            more: dict[str, Any] = {"visible": PREDICTIONS not in images} if kind == IDENTITIES else {}
            if kind == IDENTITIES and table is not None:
                image, more["features"] = numbered(image, table)
            about, place = self.about | {"role": kind}, whole.of_part(image, offset)
            layers += _result_layers(image, kind, f"{self.name} {kind}", place, about, self.classes, **more)
        if table is not None and IDENTITIES not in images:
            layers += self._points(table, whole.of_part(known[0], {}))
        return layers

    def _place_of_all(self, images: Sequence[Image]) -> Place:
        """The axes of all images, so that a single plane of a volume lies in it."""
        axes = {axis for image in images for axis in Place.of(image).axes}
        return Place("".join(axis for axis in AXES if axis in axes), self._size())

    def _offset(self, images: Sequence[Image]) -> Mapping[str, int]:
        """Where the results begin in the raw data; that of runs of earlier versions is not known."""
        offset = self.lane.get("offset")
        if offset is None and len({image.shape[:4] for image in images}) > 1:
            self.remarks.append(
                f"{self.name}: the results are of a part of the raw data; both are shown from 0 on"
            )
        return {axis: int(start) for axis, start in (offset or {}).items()}

    def _images(self) -> Iterator[str]:
        """The result images: paths; the files of a sequence are one."""
        sequences: dict[str, list[str]] = {}
        tables = {entry["path"] for entry in self.lane["files"] if "lanes" in entry}
        for path in map(str, self.lane["outputs"]):
            is_image = image_format(Path(path).suffix.lower()) is not None and path not in tables
            if is_image and not any(name in Path(path).name for name in PICTURES):
                kind = next((name for name in RESULTS if name in Path(path).name), path)
                sequences.setdefault(kind, []).append(self._place(path))
        yield from (os.pathsep.join(paths) for paths in sequences.values())

    def _raw(self) -> Image | None:
        """The raw data: the first of several inputs, or what pixels were classified of."""
        first, *others = self.lane["inputs"]
        has_raw = others or self.run.get("pixel_project") is not None
        return self._tried(self._place(str(first["name"])), str(first["axes"])) if has_raw else None

    def _place(self, path: str) -> str:
        """Where a file of the run is: where it was, or next to the run file, if that was moved."""
        there = os.path.join(self.run["folder"], path)
        own = os.path.join(os.path.dirname(self.file), os.path.basename(path))
        return own if not os.path.exists(there) and os.path.exists(own) else there

    def _tried(self, path: str, axes: str | None = None) -> Image | None:
        try:
            check_here(path)
            image = open_image(path, stack_along="t", context=self.context)
            if axes is None or axes == image.axes or len(axes) != len(image.axes):
                return image
            return replace(image, axes=axes, axes_from=self.file, pixel_size=None)
        except ImageError as fault:
            self.remarks.append(f"{self.name}: {fault}")
            return None

    def _size(self) -> PixelSize | None:
        size = self.lane.get("pixel_size")
        return PixelSize(size["x"], size["y"], size["z"], size["unit"]) if size else None

    def _table(self) -> Table | None:
        """The rows of the lane in its table; None if there is none that is read here."""
        paths = [str(path) for path in self.lane["outputs"] if Path(path).suffix.lower() in READERS]
        for path in map(self._place, paths):
            try:
                table = read_columns(path)
            except ObjclassError as fault:
                self.remarks.append(f"{self.name}: {str(fault).removeprefix('--table ')}")
                continue
            image = _column(table, IMAGE_NAMES)
            if _column(table, LABEL_NAMES) is None:
                continue  # a summary
            rows = slice(None) if image is None else np.flatnonzero(image == self.name)
            return {name: values[rows] for name, values in table.items()}
        return None

    def _points(self, table: Table, place: Place) -> Iterator[Layer]:
        """The centres of the objects, in the colours of their classes."""
        times = _column(table, TIME_NAMES)
        columns = [times if axis == "t" else _column(table, CENTERS[axis]) for axis in place.axes]
        known = [column for column in columns if column is not None and len(column)]
        if len(known) < len(columns):
            return
        name = next((name for name in table if name.lower() in CLASS_NAMES), None)
        colors = self.classes.cycle
        color = {"face_color": name, "face_color_cycle": colors} if name and colors else {}
        options = {"features": dict(table), "size": 8, "border_width": 0, **color}
        about = self.about | {"role": "table"}
        yield (
            np.stack(known, axis=1).astype(float),
            place.options(f"{self.name} table", about, **options),
            "points",
        )


def _kind(path: str, image: Image) -> str:
    """Which result an image is: as its name says, else as its pixels look."""
    name = os.path.basename(path.split(os.pathsep, maxsplit=1)[0])
    by_dtype = (
        PREDICTIONS if image.dtype == np.uint8 else IDENTITIES if image.dtype.kind in "iu" else PROBABILITIES
    )
    return next((kind for kind in RESULTS if kind in name), by_dtype)


def _result_layers(
    image: Image, kind: str, name: str, place: Place, about: Mapping[str, Any], classes: Classes, **more: Any
) -> Iterator[Layer]:
    """The layers of a result image: labels for classes and ids, hidden images for others."""
    if kind in (PREDICTIONS, SEGMENTATION):
        yield labels_layer(image, name, place, about, opacity=0.5, **classes.options, **more)
    elif kind == IDENTITIES:
        yield labels_layer(image, name, place, about, opacity=0.5, **more)
    else:
        yield from image_layers(image, name, place, about, names=classes.names, visible=False, **more)


def _column(table: Table, names: Sequence[str]) -> AnyArray | None:
    """The column that has one of these names, in lower case; the first name that is there counts."""
    lower = {name.lower(): values for name, values in table.items()}
    return next((lower[name] for name in names if name in lower), None)


def numbered(image: Image, table: Table) -> tuple[Image, dict[str, AnyArray]]:
    """A label image with ids that are unique through time, and the features of a layer of it.

    The ids of several time steps become the numbers of the rows of the table, from 1.

    Parameters
    ----------
    image
        The label image.
    table
        A row for each object.
    """
    ids, times = _column(table, LABEL_NAMES), _column(table, TIME_NAMES)
    assert ids is not None
    if image.shape[0] == 1:
        return image, {"index": ids, **table}
    if times is None:
        return image, {}
    index = np.arange(1, len(ids) + 1)
    return replace(image, stored=Numbered(image, ids, times), axes=AXES), {"index": index, **table}


@dataclass(frozen=True, eq=False)
class Numbered:
    """A label image whose ids become the numbers of rows, as a `Stored` with axes `AXES`."""

    image: Image
    ids: IntArray
    times: IntArray
    dtype = np.dtype(np.uint32)

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.image.shape

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Numbers of rows, from 1; 0 for background, and for ids that the table lacks."""
        t, z, y, x, c = region
        pixels = self.image.read((t, z, y, x, c))
        return np.stack(
            [self._step(step, part) for step, part in zip(range(t.start, t.stop), pixels, strict=True)]
        )

    def _step(self, t: int, pixels: AnyArray) -> AnyArray:
        rows = np.flatnonzero(self.times == t)
        order = rows[np.argsort(self.ids[rows])]
        known = self.ids[order]
        place = np.minimum(np.searchsorted(known, pixels), max(len(known) - 1, 0))
        if not len(known):
            return np.zeros(pixels.shape, np.uint32)
        return np.where(known[place] == pixels, order[place] + 1, 0).astype(np.uint32)
