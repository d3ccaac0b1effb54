"""Ways to give labels, one function each: a CSV with ids or points, a painted label image."""

import csv
import io
import math
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from objclass.compute.context import Context
from objclass.compute.slabs import Slab
from objclass.core import AnyArray, Image, Lane, Objects
from objclass.errors import InputError, UsageError, listed
from objclass.export.tables.text import FORMULA_STARTS
from objclass.images.blockwise import slab_reader
from objclass.pipeline.inputs import distinct_names
from objclass.project.model import MAXIMUM_CLASSES
from objclass.segmentation.labelling import integral


@dataclass(frozen=True)
class Annotation:
    """One label: the class of an object of a lane and time step, given by its id or by a point in it."""

    lane: int
    t: int
    name: str
    label: int = 0
    original: int = 0
    place: tuple[int, int, int] | None = None
    """z, y, x."""
    line: str = ""
    """File and line of the label, for messages."""


@dataclass(frozen=True)
class StepLabels:
    """The labels of the objects of a time step.

    Parameters
    ----------
    classes
        Class of each labelled object by id.
    left_out
        Messages about labels that were left out.
    places
        Number of points, or of painted pixels.
    misses
        How many of them lie on background.
    """

    classes: dict[int, str]
    left_out: list[str]
    places: int
    misses: int


Label = Callable[[int, int, Objects], StepLabels]
"""Lane, time step, its objects -> their labels."""


TABLES = (".csv", ".tsv", ".txt")
SPREADSHEETS = (".xlsx", ".xlsm", ".xls", ".ods")
SPREADSHEET_STARTS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")

UNLABELLED = ("", "0")
"""A ``User Label`` of an object that is not labelled."""

MAXIMUM_MISSES = 1 / 3
"""Maximum fraction of points or painted pixels on background: more are a sign that they are not of these objects."""


def are_painted(labels: Sequence[str]) -> bool:
    """Whether the labels are painted images, by the suffix of the first."""
    return Path(labels[0]).suffix.lower() not in (*TABLES, *SPREADSHEETS)


Row = tuple[str, dict[str, str]]
"""File and line of a row of a table for messages, and its fields by column."""


def read_csv(
    path: str, lanes: Sequence[Lane], *, allow_misses: bool = False
) -> tuple[list[Annotation], list[str]]:
    """Labels of a table: ``class``, and ``labelimage_oid``, ``original_oid`` or ``x, y[, z]``.

    ``timestep`` (or ``t``) may be left out (0); ``image`` too if there is one lane. Separators may be
    comma, semicolon or tab. In the table of a run, ``User Label`` is the class, and rows without one are
    ignored.

    Returns
    -------
    The labels, and messages about those of images that are not given, which ``allow_misses`` leaves out.

    Raises
    ------
    InputError
        If a line cannot be used; the message names it and says why.
    """
    try:
        rows = _read_rows(path, _table_text(path), lanes)
    except csv.Error as fault:  # a quote that is never closed makes the rest of the file one field
        message = f"labels {path}: {fault}: expected CSV (is a quote not closed?)"
        raise InputError(message) from None
    names = lane_names(lanes)
    absent = Counter(name for _, row in rows if (name := _image_of(row)) and _number(name, names) is None)
    if absent and not allow_misses:
        message = (
            f"labels {path} name images that are not given: {listed(absent)} (given: {listed(distinct_names(lanes))}): "
            f"give them too, or --allow_misses to leave their {absent.total()} labels out"
        )
        raise InputError(message)
    annotations = [_annotation(row, names, lanes, line) for line, row in rows if _image_of(row) not in absent]
    return annotations, [f"{path}: {n} labels of {name}, which is not given" for name, n in absent.items()]


def _read_rows(path: str, text: str, lanes: Sequence[Lane]) -> list[Row]:
    """The rows that hold a label."""
    header = text.partition("\n")[0]
    separator = max("\t;,", key=header.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    written = [name.strip().lower() for name in rows.fieldnames or ()]
    is_filled_in = "class" not in written and "user label" in written
    known = {"t": "timestep", "user label": "class"} if is_filled_in else {"t": "timestep"}
    named = [known.get(name, name) for name in written]
    rows.fieldnames = named
    _check_columns(path, written, named, lanes)
    filled: list[Row] = []
    for row in rows:
        line = f"{path} line {rows.line_num}"
        surplus = row.pop(None, [])  # the key of fields without a heading
        if any(value.strip() for value in surplus):
            message = (
                f"labels {line}: {len(named) + len(surplus)} fields, but the header has {len(named)}: put text "
                f'that contains "{separator}" in quotes'
            )
            raise InputError(message)
        is_empty = not any((value or "").strip() for value in row.values())
        if is_empty or (is_filled_in and (row["class"] or "").strip() in UNLABELLED):
            continue
        filled.append((line, row))
    if is_filled_in and not filled:
        message = (
            f"labels {path}: no User Label is filled in: write class names there, or give a column class"
        )
        raise InputError(message)
    return filled


def _image_of(row: Mapping[str, str]) -> str:
    """The name of the image of a row, ``""`` if it has none."""
    return (row.get("image") or "").strip()


def _number(name: str, names: Mapping[str, int]) -> int | None:
    """The lane of an image that is named as it is, or by a path; -1 where several have the name."""
    return names.get(name, names.get(Path(name).name))


def _table_text(path: str) -> str:
    """The text of a table, in UTF-8."""
    remedy = "save it as CSV in UTF-8 (in Excel: CSV UTF-8)"
    try:
        data = Path(path).read_bytes()
    except OSError as fault:
        message = f"labels {path}: {fault.strerror}"
        raise InputError(message) from None
    if data.startswith(SPREADSHEET_STARTS):
        message = f"labels {path} are a spreadsheet, not text: {remedy}"
        raise InputError(message)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        message = f"labels {path} line {line}: not UTF-8 text (byte 0x{data[fault.start]:02x}): {remedy}"
        raise InputError(message) from None


def _check_columns(path: str, written: Sequence[str], named: Sequence[str], lanes: Sequence[Lane]) -> None:
    """Refuse a table with duplicate or missing columns."""
    columns = set(named)
    used = ("class", "image", "timestep", "labelimage_oid", "original_oid", "x", "y", "z")
    twice = [name for name in used if named.count(name) > 1]
    if twice:
        headings = " and ".join(w for w, n in zip(written, named, strict=True) if n == twice[0])
        message = f"labels {path}: several columns are the {twice[0]} ({headings}): keep one"
        raise InputError(message)
    by_place = {"x", "y"} <= columns
    if "class" not in columns or not (by_place or columns & {"labelimage_oid", "original_oid"}):
        message = (
            f"labels {path} have the columns '{listed(sorted(columns), 12)}': expected class, and "
            "labelimage_oid or x, y (z), and timestep and image where there are several"
        )
        raise InputError(message)
    if len(lanes) > 1 and "image" not in columns:
        message = f"labels {path}: {len(lanes)} images are given, so a column image is needed"
        raise InputError(message)
    steps = max(lane.objects.shape[0] for lane in lanes)
    if steps > 1 and "timestep" not in columns:
        message = (
            f"labels {path}: there are {steps} time steps, so a column timestep (or t) is needed; "
            f"its columns are {listed(sorted(columns), 12)}"
        )
        raise InputError(message)
    renumbered = lanes[0].role == "label_image" and "labelimage_oid" in columns
    if renumbered and not columns & {"original_oid", "x"}:
        message = (
            f"labels {path}: labelimage_oid may mean the ids of your label image or those of an earlier run, "
            "which counts from 1: call the ids of the label image original_oid"
        )
        raise InputError(message)


def lane_names(lanes: Sequence[Lane]) -> dict[str, int]:
    """All names that a table may use for a lane: nickname, distinguishing path, file name."""
    names: dict[str, int] = {}
    for number, (lane, name) in enumerate(zip(lanes, distinct_names(lanes), strict=True)):
        files = {Path(p).name for i in lane.images for p in i.files[:1]}
        for known in (name, lane.nickname, *files):
            names[known] = number if names.get(known, number) == number else -1
    return names


def _annotation(
    row: Mapping[str, str], names: Mapping[str, int], lanes: Sequence[Lane], line: str
) -> Annotation:
    """The label of one line of a table; timestep and image are required where there are several."""
    number = partial(_cell, row, line)
    lane = _lane_of(_image_of(row), names, lanes, line)
    label_class = (row.get("class") or "").strip()
    if fault := name_fault(label_class):
        message = f"labels {line}: {fault}"
        raise InputError(message)
    shape = lanes[lane].objects.shape
    t = number("timestep", needed=shape[0] > 1)
    if not 0 <= t < shape[0]:
        message = f"labels {line}: timestep {t}: there are {shape[0]} (from 0)"
        raise InputError(message)
    label, original = (number(c, needed=False) for c in IDS)
    by_id = bool(label or original)
    if by_id and not ((row.get("x") or "").strip() and (row.get("y") or "").strip()):
        return Annotation(lane, t, label_class, label, original, line=line)
    place = number("z", needed=shape[1] > 1), number("y", needed=True), number("x", needed=True)
    return Annotation(lane, t, label_class, label, original, place, line)


def _lane_of(name: str, names: Mapping[str, int], lanes: Sequence[Lane], line: str) -> int:
    """The lane of an image that is given; the only one where no image is named."""
    lane = _number(name, names) if name else (0 if len(lanes) == 1 else None)
    if lane is not None and lane >= 0:
        return lane
    why = f"image '{name}' is the name of several" if name else "no image"
    message = f"labels {line}: {why}: expected one of {listed(distinct_names(lanes))}"
    raise InputError(message)


IDS = ("labelimage_oid", "original_oid")


def name_fault(name: str) -> str | None:
    r"""A message about an unsuitable name of a class, None if it is suitable.

    Examples
    --------
    >>> name_fault("mitotic\tcell")
    "class 'mitotic\\tcell' contains a tab: expected plain text on one line"
    """
    if not name:
        return "no class"
    wrong = next((c for c in name if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp")), None)
    if wrong is None:
        return None
    known = {"\t": "a tab", "\n": "a line break", "\r": "a line break"}
    what = known.get(wrong, f"the control character U+{ord(wrong):04X}")
    return f"class {name!r} contains {what}: expected plain text on one line"


def _cell(row: Mapping[str, str], line: str, column: str, *, needed: bool) -> int:
    """A number of a table, 0 if it is missing and not needed; coordinates are rounded to pixels."""
    text = (row.get(column) or "").strip()
    expected = "a number" if column in ("x", "y", "z") else "a whole number"
    try:
        value = float(text) if text or needed else 0.0
        if column not in ("x", "y", "z") and value != int(value):
            raise ValueError  # noqa: TRY301 (refused below)
        if column in IDS and text and value < 1:
            expected = "a number from 1 on (0 is background)"
            raise ValueError  # noqa: TRY301 (refused below)
        return math.floor(value + 0.5)
    except (ValueError, OverflowError):
        message = f"labels {line}: {column} '{text}': expected {expected}"
        raise InputError(message) from None


def named_labels(annotations: Sequence[Annotation], objects: Objects, image: str) -> StepLabels:
    """The labels of a time step from those of a table.

    Raises
    ------
    InputError
        If there is no such object, or an object has two classes.
    """
    found: dict[int, str] = {}
    left_out = []
    for given in annotations:
        label = _labelled_object(given, objects)
        if label == 0:
            left_out.append(f"{given.line}: there is no object at this point of {image}")
            continue
        if found.setdefault(label, given.name) != given.name:
            message = (
                f"labels {given.line}: object {label} of {image}, time step {given.t}, is both "
                f"{found[label]} and {given.name}"
            )
            raise InputError(message)
    points = sum(given.place is not None for given in annotations)
    return StepLabels(found, left_out, points, len(left_out))


def _labelled_object(given: Annotation, objects: Objects) -> int:
    """Id of the labelled object, 0 for background."""
    labels = objects.labels
    by_id = _by_id(given, objects) if given.label or given.original else 0
    if given.place is not None:
        if not all(0 <= p < n for p, n in zip(given.place, labels.shape, strict=True)):
            z, y, x = given.place
            flipped = 0 <= y < labels.shape[2] and 0 <= x < labels.shape[1]
            message = (
                f"labels {given.line}: x={x}, y={y}, z={z} is outside the image"
                f"{' (are x and y swapped?)' if flipped else ''}"
            )
            raise InputError(message)
        z, y, x = given.place
        there = int(labels[z : z + 1, y : y + 1, x : x + 1].item())
        if by_id and there != by_id:
            message = f"labels {given.line}: x, y are in object {there}, but the id is that of object {by_id}"
            raise InputError(message)
        return there
    return by_id


def _by_id(given: Annotation, objects: Objects) -> int:
    """Id of the object of a label that is given by id."""
    if given.original and objects.original is not None:
        hit = np.flatnonzero(objects.original == given.original)
        if len(hit):
            return int(hit[0]) + 1
    elif 1 <= given.label <= objects.count:
        return given.label
    message = (
        f"labels {given.line}: there is no object {given.label or given.original}: time step {given.t} has "
        f"{objects.count} objects"
    )
    raise InputError(message)


def check_misses(steps: Sequence[StepLabels], *, painted: bool) -> None:
    """Refuse labels of which too many are points or painted pixels on background.

    Parameters
    ----------
    steps
        The labels of all time steps of all lanes.
    painted
        Whether they are painted images.

    Raises
    ------
    InputError
        If there are too many; the message says how many, and names the first.
    """
    places, misses = sum(step.places for step in steps), sum(step.misses for step in steps)
    if misses <= MAXIMUM_MISSES * places:
        return
    first = next(step.left_out[0] for step in steps if step.misses)
    what, doubt = "points", "are x and y swapped, or in another unit than pixels?"
    if painted:
        what, doubt = "painted pixels", "strokes that train pixels need --pixels"
    message = (
        f"{misses} of {places} {what} of the labels lie on background ({doubt}): give --allow_misses to leave "
        f"them out; {first}"
    )
    raise InputError(message)


def painted_labels(image: Image, t: int, objects: Objects, name: str, context: Context) -> StepLabels:
    """The labels of a time step from a painted image: the class that covers most of the painted pixels of an object.

    Raises
    ------
    InputError
        If objects are painted with two classes in equal parts.
    """
    votes, stray = _votes(image, t, objects, context)
    tied = [
        label for label, vote in votes.items()
        if len(vote) > 1 and len({n for _, n in vote.most_common(2)}) == 1
    ]  # fmt: skip
    if tied:
        message = (
            f"labels {image.name}: objects {', '.join(map(str, tied))} of {name}, time step {t}, are "
            "painted with two classes in equal parts: paint each with one"
        )
        raise InputError(message)
    left_out = [f"{image.name}: {stray} painted pixels on background"] if stray else []
    mixed = [label for label, vote in votes.items() if len(vote) > 1]
    left_out += [
        f"{image.name}: object {label}: the class with most of its painted pixels is used" for label in mixed
    ]
    classes = {label: str(vote.most_common(1)[0][0]) for label, vote in votes.items()}
    return StepLabels(classes, left_out, stray + sum(vote.total() for vote in votes.values()), stray)


def _votes(image: Image, t: int, objects: Objects, context: Context) -> tuple[dict[int, Counter[int]], int]:
    """Painted pixels of each object by value, sorted by object; and those on background."""
    shape = image.shape[1:4]
    read = slab_reader(image, t, slice(0, 1), context)

    def count(slab: Slab) -> tuple[AnyArray, AnyArray]:
        box = slab.within(shape)
        paint, labels = integral(read(box)[..., 0], image.name), objects.labels[box]
        painted = paint > 0
        pairs = np.column_stack([labels[painted], paint[painted]])
        return np.unique(pairs, axis=0, return_counts=True)

    found: Counter[tuple[int, int]] = Counter()
    for pairs, counts in context.ordered(count, context.limits.slabs(shape)):
        for (label, value), number in zip(pairs.tolist(), counts.tolist(), strict=True):
            found[int(label), int(value)] += number
    votes: dict[int, Counter[int]] = defaultdict(Counter)
    for (label, value), number in sorted(found.items()):
        votes[label][value] = number
    return votes, votes.pop(0, Counter()).total()


def class_list(
    found: Mapping[int, Mapping[int, Mapping[int, str]]], names: Sequence[str], *, painted: bool
) -> tuple[str, ...]:
    """Names of the classes, in order; painted values in ``found`` are replaced by names.

    Raises
    ------
    InputError
        If a label is of a class that is not in the list.
    """
    used = {name for steps in found.values() for labels in steps.values() for name in labels.values()}
    classes = tuple(names)
    if painted:
        largest = max((int(value) for value in used), default=0)
        if largest > MAXIMUM_CLASSES:
            message = f"painted value {largest}: expected classes 1, 2, 3 …: is it a label image of objects?"
            raise InputError(message)
        classes = classes or tuple(f"Class {k}" for k in range(1, largest + 1))
        if largest > len(classes):
            message = f"painted value {largest}, but {len(classes)} class names"
            raise InputError(message)
        for steps in found.values():
            for labels in steps.values():
                for label, value in list(labels.items()):
                    labels[label] = classes[int(value) - 1]  # type: ignore[index]
        return classes
    classes = classes or tuple(sorted(used, key=_natural))
    unknown = sorted(used - set(classes))
    if unknown:
        message = f"labels of class {', '.join(unknown)}: --class_names has {', '.join(classes)}"
        raise InputError(message)
    if len(classes) > MAXIMUM_CLASSES:
        message = f"{len(classes)} classes: expected at most {MAXIMUM_CLASSES} (is class a column of ids?)"
        raise InputError(message)
    return classes


def check_names(classes: Sequence[str]) -> None:
    """Refuse names of classes that could not be distinguished in a project or a table.

    Raises
    ------
    UsageError
        If there is one; the message names it.
    """
    for name in classes:
        if fault := name_fault(name):
            message = f"--class_names: {fault}"
            raise UsageError(message)
    if len(set(classes)) < len(classes):
        message = f"--class_names {' '.join(classes)}: expected different names"
        raise UsageError(message)


def check_formulas(names: Iterable[tuple[str, str]], known: Collection[str] = ()) -> None:
    """Refuse names of new classes that a spreadsheet would run as formulas in the tables of a run.

    Parameters
    ----------
    names
        Where a name is written, for the message, and the name.
    known
        The classes that a project has already.

    Raises
    ------
    InputError
        If there is one; the message names it.
    """
    for place, name in names:
        if name.startswith(FORMULA_STARTS) and name not in known:
            message = f"{place}: class '{name}' begins with '{name[0]}', which a spreadsheet would run as a formula: give it another name"
            raise InputError(message)


def _natural(name: str) -> tuple[bool, float, str]:
    """Numbers by value, before words."""
    return (not name.isdecimal(), float(name) if name.isdecimal() else 0.0, name)
