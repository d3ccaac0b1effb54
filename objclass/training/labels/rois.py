"""Regions of interest of ImageJ: a .roi file, or the .zip of its ROI Manager.

Coordinates are corners of pixels. Positions (channel, slice, frame) count from 1; 0 is no position: every plane, and every
time step.
"""

import io
import math
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.errors import InputError
from objclass.training.labels.annotation import Annotation, Reading
from objclass.training.labels.area import Area, oval, rectangle
from objclass.training.labels.classes import checked_name, numbered_name
from objclass.training.labels.given import GivenLanes
from objclass.training.labels.text import MAXIMUM_BYTES, read_bytes, reason

MAXIMUM_REGION_BYTES = 1 << 27
"""Of one region when it is unpacked."""

DEFAULT_NAME = re.compile(r"[0-9]+(-[0-9]+)+|")
"""What ImageJ calls a region that nobody has named: its place, ``0012-0034``."""

OUR_NAME = re.compile(r"[0-9]+_(.+)", re.DOTALL)
"""What the regions of ``--export_objects`` are called: label and class."""

POINTS, RECTANGLES, OVALS, POLYGONS = {"POINT"}, {"RECT"}, {"OVAL"}, {"POLYGON", "FREEHAND", "TRACED"}
"""Types of regions that are read."""


@dataclass(frozen=True)
class Region:
    """A region, its name, where it is, for messages, and its coordinates: one array for each ring."""

    roi: Any
    name: str
    line: str
    coordinates: Sequence[Any]


def read_rois(path: str, given: GivenLanes) -> Reading:
    """Labels of regions: the class of each is its group, or its name.

    If the regions are named as those of ``--export_objects`` (``12_mitotic``), the name says the class. Else, if a region has
    a group, all must, and groups are the numbers of classes. Else names are classes; of regions of the same name ImageJ
    calls the later ones ``mitotic-1``, ``mitotic-2``.

    Raises
    ------
    InputError
        If it is no such file, or a region cannot be used; the message names it.
    """
    if find_spec("roifile") is None:
        message = (
            f"labels {path}: regions of ImageJ are read with roifile, which is not installed: "
            'pip install "objclass[roi]"'
        )
        raise InputError(message)
    regions = [_decoded(number, entry, data, path) for number, (entry, data) in enumerate(_members(path), 1)]
    lane = given.number("", path, path)
    classes = _classes(regions, lane, given)
    annotations = [
        given.checked(annotation)
        for region, name in zip(regions, classes.names, strict=True)
        for annotation in _annotations(region, name, lane, given)
    ]
    return Reading(annotations, is_numbered=classes.are_numbers)


# ---------------------------------------------------------------------------- the file


def _members(path: str) -> Iterator[tuple[str, bytes]]:
    """The name and the bytes of each region of a file."""
    data = read_bytes(path)
    if not path.lower().endswith(".zip"):
        yield "", data
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            members = [
                m for m in file.infolist() if not m.is_dir() and not m.filename.startswith("__MACOSX/")
            ]
            _check_sizes(path, members)
            for member in members:
                yield member.filename, file.read(member)
    except InputError:
        raise
    except Exception as fault:  # noqa: BLE001  zipfile raises anything for a damaged file
        message = f"labels {path}: not a zip of ImageJ's ROI Manager, or damaged: {reason(fault)}"
        raise InputError(message) from None


def _check_sizes(path: str, members: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse a file that would fill the memory, or of other things than regions."""
    others = [m.filename for m in members if not m.filename.lower().endswith(".roi")]
    if others or not members:
        what = f"holds {others[0]}" if others else "is empty"
        message = f"labels {path}: {what}: expected a zip of ImageJ's ROI Manager (.roi files)"
        raise InputError(message)
    largest = max(members, key=lambda m: m.file_size)
    if largest.file_size > MAXIMUM_REGION_BYTES or sum(m.file_size for m in members) > MAXIMUM_BYTES:
        message = f"labels {path}: {largest.filename} has {largest.file_size} bytes when it is unpacked: is it a region?"
        raise InputError(message)


def _decoded(number: int, entry: str, data: bytes, path: str) -> Region:
    """A region of its bytes."""
    from roifile import ImagejRoi

    line = f"{path} region {number}"
    try:
        roi = ImagejRoi.frombytes(data)
        coordinates = list(roi.coordinates(multi=True))
    except Exception as fault:  # noqa: BLE001  a library that reads damaged bytes may raise anything
        message = f"labels {line}: not a region of ImageJ, or damaged: {reason(fault)}"
        raise InputError(message) from None
    name = roi.name or entry.rpartition("/")[2].removesuffix(".roi")
    return Region(roi, name, f"{line} '{name}'" if name.isprintable() else line, coordinates)


# ---------------------------------------------------------------------------- classes


@dataclass(frozen=True)
class Classes:
    """The class of each region, and whether classes are given by numbers."""

    names: Sequence[str]
    are_numbers: bool


def _classes(regions: Sequence[Region], lane: int, given: GivenLanes) -> Classes:
    """The class of each region, by the rule of `read_rois`."""
    ours = [OUR_NAME.fullmatch(_without_plane(region, given.shape(lane))) for region in regions]
    if all(ours):
        named = [checked_name(m[1], r.line) for m, r in zip(ours, regions, strict=True) if m is not None]
        _check_groups(regions, named)
        return Classes(named, are_numbers=False)
    if any(region.roi.group for region in regions):
        return Classes([_of_group(region, given) for region in regions], True)
    names = Counter(region.name for region in regions)
    return Classes([_of_name(region, names) for region in regions], False)


def _check_groups(regions: Sequence[Region], names: Sequence[str]) -> None:
    """Refuse regions that were given another group or another name than the others of their class: it is not clear which counts."""
    pairs = Counter(
        (name, region.roi.group) for region, name in zip(regions, names, strict=True) if region.roi.group
    )
    usual = sorted(pairs, key=lambda pair: (-pairs[pair], pair))
    group_of, name_of = ({pair[k]: pair[1 - k] for pair in reversed(usual)} for k in (0, 1))
    for region, name in zip(regions, names, strict=True):
        group = region.roi.group
        if group and (group_of[name] != group or name_of[group] != name):
            message = (
                f"labels {region.line}: named {name}, but in group {group}, which differs from other regions: expected one "
                "group for each name (or names without numbers, of which groups alone say the class)"
            )
            raise InputError(message)


def _without_plane(region: Region, shape: tuple[int, int, int, int]) -> str:
    """The name of a region without what ``--export_objects`` appends of its time step and plane."""
    steps, depth, _, _ = shape
    name = re.sub(r"_z[0-9]+$", "", region.name) if depth > 1 else region.name
    return re.sub(r"_t[0-9]+$", "", name) if steps > 1 else name


def _of_group(region: Region, given: GivenLanes) -> str:
    if not region.roi.group:
        message = (
            f"labels {region.line}: no group, but others have one: expected a group, which says the class"
        )
        raise InputError(message)
    return numbered_name(region.roi.group, given.classes, region.line, "group")


def _of_name(region: Region, names: Mapping[str, int]) -> str:
    name = region.name.strip()
    base = re.sub(r"-[0-9]+$", "", name)
    if DEFAULT_NAME.fullmatch(name):
        message = (
            f"labels {region.line}: neither a group nor the name of a class: give the regions of a class one group, "
            "or its name"
        )
        raise InputError(message)
    return checked_name(base if base in names else name, region.line)


# ---------------------------------------------------------------------------- places


def _annotations(region: Region, name: str, lane: int, given: GivenLanes) -> Iterator[Annotation]:
    """The labels of a region: one for each of its points, or its area, in each of its time steps."""
    roi, kind = region.roi, region.roi.roitype.name
    steps, depth, _, _ = given.shape(lane)
    t, z = _plane(roi, steps, depth)
    times = range(steps) if t is None else [t]
    if kind in POINTS:
        channels = given.lanes[lane].channels
        for (x, y), slice_number in _points(region):
            if slice_number and channels > 1 and max(steps, depth) > 1:
                message = (
                    f"labels {region.line}: points of several slices of an image of {channels} channels, of which each "
                    "counts as a slice: expected a region for each slice"
                )
                raise InputError(message)
            own_t, own_z = _unstacked(slice_number, steps, depth) if slice_number else (None, z)
            if own_z is None and depth > 1:
                message = f"labels {region.line}: a point without a slice, in a volume"
                raise InputError(message)
            place = own_z or 0, math.floor(y), math.floor(x)
            for step in times if own_t is None else [own_t]:
                yield Annotation(lane, step, name, region.line, place=place)
        return
    area = Area(tuple(_rings(region, kind)), z)
    for step in times:
        yield Annotation(lane, step, name, region.line, area=area)


def _plane(roi: Any, steps: int, depth: int) -> tuple[int | None, int | None]:
    """Time step and plane of a region, from 0; None where it has none."""
    if roi.t_position or roi.z_position or roi.c_position or not roi.position:
        return _from_one(roi.t_position, steps), _from_one(roi.z_position, depth)
    return _unstacked(roi.position, steps, depth)


def _from_one(position: int, length: int) -> int | None:
    """A position from 0; an axis of length 1 needs none."""
    return position - 1 if position and length > 1 else None


def _unstacked(position: int, steps: int, depth: int) -> tuple[int | None, int | None]:
    """Time step and plane of a position in a stack of planes, from 1."""
    if steps > 1 and depth > 1:
        return (position - 1) // depth, (position - 1) % depth
    return _from_one(position, steps), _from_one(position, depth)


def _points(region: Region) -> Iterator[tuple[tuple[float, float], int]]:
    """The points of a region, each with its position in the stack, 0 for none."""
    roi = region.roi
    kinds = set() if roi.counters is None else set(roi.counters.tolist())
    if len(kinds) > 1:
        message = f"labels {region.line}: points of {len(kinds)} counters: expected a region for each class"
        raise InputError(message)
    places = _finite(region.coordinates[0], region.line)
    positions = [0] * len(places) if roi.counter_positions is None else roi.counter_positions.tolist()
    yield from ((tuple(place), number) for place, number in zip(places.tolist(), positions, strict=True))


def _rings(region: Region, kind: str) -> Iterator[NDArray[np.float64]]:
    """The rings of an area."""
    roi, line = region.roi, region.line
    box = (roi.left, roi.top, roi.right, roi.bottom)
    if roi.subpixelrect and roi.widthd > 0 and roi.heightd > 0:
        box = (roi.xd, roi.yd, roi.xd + roi.widthd, roi.yd + roi.heightd)
    if kind in RECTANGLES and roi.multi_coordinates is None:
        rings = [rectangle(*box)]
    elif kind in OVALS:
        rings = [oval(*box)]
    elif kind in POLYGONS | RECTANGLES:
        rings = list(region.coordinates)
    else:
        message = f"labels {line}: a region of the type {kind.lower()}: expected points or areas"
        raise InputError(message)
    for ring in rings:
        corners = _finite(ring, line)
        if len(corners) < 3:
            message = f"labels {line}: {len(corners)} corners: expected an area"
            raise InputError(message)
        yield corners


def _finite(coordinates: Any, line: str) -> NDArray[np.float64]:
    found = np.asarray(coordinates, np.float64).reshape(-1, 2)
    if not len(found) or not np.isfinite(found).all():
        message = f"labels {line}: expected coordinates that are finite numbers"
        raise InputError(message)
    return found
