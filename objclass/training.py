"""The lesson: images and labels -> measured objects -> forest -> project."""

import csv
import dataclasses
import io
import logging
import math
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass import images
from objclass.core import FeatureTable, Image, Lane, Objects, concatenate
from objclass.errors import InputError, OutputError, UsageError
from objclass.features import choose
from objclass.forest import fit
from objclass.lanes import Inputs, distinct_names, object_role, open_lanes
from objclass.outputs import Pending, check_writable
from objclass.pipeline import Plan, check_lane, measure_step
from objclass.project import (
    MOST_CLASSES,
    WORKFLOWS,
    Project,
    TableSettings,
    TrainingInput,
    sorted_keys,
)
from objclass.segmentation import find_objects, integral
from objclass.settings import ProjectThreshold

log = logging.getLogger("objclass")

COLORS = (
    (230, 25, 75), (60, 180, 75), (0, 130, 200), (255, 225, 25), (245, 130, 48), (145, 30, 180),
    (70, 240, 240), (240, 50, 230), (210, 245, 60), (250, 190, 212), (0, 128, 128), (220, 190, 255),
    (170, 110, 40), (255, 250, 200), (128, 0, 0), (170, 255, 195),
)  # fmt: skip
"""Colours of the classes: Trubetskoy's list of distinct colours."""

ALWAYS_COMPUTED = ("Coord<Maximum>", "Coord<Minimum>", "Count", "RegionCenter")
"""What ilastik puts into every table."""


@dataclass(frozen=True)
class Lesson:
    """What training is asked for.

    Parameters
    ----------
    project
        The file to write.
    inputs
        Images to learn from.
    labels
        One CSV, or a painted label image for each lane.
    class_names
        Names of the classes in order; else as the CSV has them, sorted.
    """

    project: str
    inputs: Inputs
    labels: Sequence[str]
    class_names: tuple[str, ...] = ()
    threshold: ProjectThreshold = field(default_factory=ProjectThreshold)
    features: tuple[str, ...] = ("Standard Object Features",)
    margin: int = 30
    trees: int = 100
    seed: int = 0


@dataclass(frozen=True)
class Annotation:
    """One label: the class of an object of a lane and time step, named by id or by a place in it."""

    lane: int
    t: int
    name: str
    label: int = 0
    original: int = 0
    place: tuple[int, int, int] | None = None
    """z, y, x."""
    line: str = ""
    """Where it was given, for messages."""


@dataclass(frozen=True)
class Lessons:
    """What was learned, for people: objects by class, out-of-bag accuracy, what was left out."""

    counts: Mapping[str, int]
    accuracy: float
    left_out: tuple[str, ...]


def train(lesson: Lesson) -> Lessons:
    """Measure the labelled objects, fit a forest, write the project.

    Raises
    ------
    ObjclassError
        With what is wrong with images, labels or output; nothing is written then.
    """
    role = object_role(lesson.inputs, None)
    lanes = open_lanes(lesson.inputs, None)
    _check_output(lesson, lanes)
    first = lanes[0]
    ndim, channels = first.objects.ndim, first.channels
    chosen = choose(lesson.features, ndim, channels, training=True)
    margin = (lesson.margin,) * ndim if any(f.scope != "object" for f in chosen) else ()
    plan = Plan(tuple(chosen), tuple(chosen), lesson.threshold, margin)
    for lane in lanes:
        _check_like(lane, first)
        check_lane(lane, plan)
    is_painted = _is_painted(lesson.labels)
    label = _painted_by(lesson, lanes) if is_painted else _named_by(lesson.labels, lanes)

    tables: list[FeatureTable] = []
    found: dict[int, dict[int, dict[int, str]]] = {}
    left_out: list[str] = []
    for number, lane in enumerate(lanes):
        found[number] = {}
        for t in range(lane.objects.shape[0]):
            objects = find_objects(lane, t, plan.threshold)
            labels, lost = label(number, t, objects)
            left_out += lost
            found[number][t] = labels
            if labels or not tables:
                table = measure_step(lane, plan, t, objects)
                tables.append(table.rows(np.array(sorted(labels), np.intp) - 1))
    classes = class_list(found, lesson.class_names, painted=is_painted)
    return _finish(lesson, role, lanes, plan, concatenate(tables), found, classes, left_out)


Label = Callable[[int, int, Objects], tuple[dict[int, str], list[str]]]
"""Lane, time step, its objects -> class of each labelled object by id, and what was left out."""


def _named_by(paths: Sequence[str], lanes: Sequence[Lane]) -> Label:
    """Labels from tables."""
    by_step: dict[tuple[int, int], list[Annotation]] = defaultdict(list)
    for path in paths:
        for annotation in read_csv(path, lanes):
            by_step[annotation.lane, annotation.t].append(annotation)
    return lambda number, t, objects: named_labels(by_step[number, t], objects, lanes[number].nickname)


def _painted_by(lesson: Lesson, lanes: Sequence[Lane]) -> Label:
    """Labels from painted images."""
    if len(lesson.labels) != len(lanes):
        message = f"{len(lesson.labels)} label images for {len(lanes)} lanes: expected one for each lane"
        raise UsageError(message)
    painted = []
    for path, lane in zip(lesson.labels, lanes, strict=True):
        image = images.open_image(path, stack_along=lesson.inputs.stack_along)
        if image.stored.shape == lane.objects.stored.shape:  # painted over it: it has its axes
            image = dataclasses.replace(image, axes=lane.objects.axes, axes_from=lane.objects.name)
        if image.shape[:4] != lane.objects.shape[:4] or image.shape[4] != 1:
            message = (
                f"labels {image.name} of shape {image.stored.shape} (axes {image.axes}) do not fit "
                f"{lane.objects.name} of shape {lane.objects.stored.shape} (axes {lane.objects.axes}): expected "
                "one class value for each of its pixels, in one channel"
            )
            raise InputError(message)
        painted.append(image)
    return lambda number, t, objects: painted_labels(painted[number], t, objects, lanes[number].nickname)


def _check_output(lesson: Lesson, lanes: Sequence[Lane]) -> None:
    """Refuse to write the project over what it is made of, or where nothing can be written."""
    if Path(lesson.project).suffix.lower() != ".ilp":
        message = f"project {lesson.project}: expected a name that ends in .ilp"
        raise UsageError(message)
    given = [f for lane in lanes for i in lane.images for f in i.files]
    if os.path.realpath(lesson.project) in {os.path.realpath(path) for path in [*given, *lesson.labels]}:
        message = f"project {lesson.project} would overwrite an input: give another name"
        raise OutputError(message)
    check_writable(lesson.project)


def _finish(
    lesson: Lesson,
    role: str,
    lanes: Sequence[Lane],
    plan: Plan,
    table: FeatureTable,
    found: Mapping[int, Mapping[int, Mapping[int, str]]],
    classes: tuple[str, ...],
    left_out: Sequence[str],
) -> Lessons:
    """Fit the forest and write the project."""
    numbers = {name: k for k, name in enumerate(classes, 1)}
    given = np.array(
        [numbers[steps[t][i]] for steps in found.values() for t in sorted(steps) for i in sorted(steps[t])],
        int,
    )
    present = np.unique(given)
    if len(present) < 2:
        lost = f" ({left_out[0]})" if left_out else ""
        message = f"labels of {len(present)} classes: expected objects of two classes at least{lost}"
        raise InputError(message)
    selected = sorted_keys(plan.features)
    names = tuple(dict.fromkeys([*ALWAYS_COMPUTED, *(name for _, name in selected)]))
    project = Project(
        path=lesson.project,
        workflow=next(name for name, r in WORKFLOWS.items() if r == role),
        version="",
        role=role,
        classes=classes,
        computed=tuple(sorted({*selected, *(("Standard Object Features", n) for n in ALWAYS_COMPUTED)})),
        selected=selected,
        margin=plan.margin,
        threshold=lesson.threshold,
        colors=tuple(COLORS[k % len(COLORS)] for k in range(len(classes))),
        labels={n: _label_inputs(steps, numbers) for n, steps in found.items()},
        table=TableSettings("csv", "{dataset_dir}/{nickname}.csv", names),
        lanes=tuple(_training_lane(lesson, number, lane) for number, lane in enumerate(lanes)),
    )
    forest, accuracy = fit(project.matrix(table), given, len(classes), lesson.trees, lesson.seed)
    _write(lesson.project, project, forest)
    counts = Counter(given.tolist())
    return Lessons({name: counts[k] for name, k in numbers.items()}, accuracy, tuple(left_out))


def _write(path: str, project: Project, forest: Any) -> None:
    from objclass.project.ilp import write_project

    pending = Pending()
    try:
        write_project(pending.add(path), dataclasses.replace(project, forest=forest))
        pending.commit()
    finally:
        pending.discard()


def _check_like(lane: Lane, first: Lane) -> None:
    if (lane.objects.ndim, lane.channels) != (first.objects.ndim, first.channels):
        message = (
            f"{lane.objects.name} is {lane.objects.ndim}D with {lane.channels} channels, "
            f"{first.objects.name} {first.objects.ndim}D with {first.channels}: one forest learns from images "
            "of one kind"
        )
        raise InputError(message)


def _label_inputs(
    steps: Mapping[int, Mapping[int, str]], numbers: Mapping[str, int]
) -> dict[int, NDArray[Any]]:
    """Class of each object by id, 0 for none, for each time step."""
    result = {}
    for t, labels in steps.items():
        classes = np.zeros(max([1, *labels]) + 1)
        for label, name in labels.items():
            classes[label] = numbers[name]
        result[t] = classes
    return result


def _training_lane(lesson: Lesson, number: int, lane: Lane) -> dict[str, TrainingInput]:
    """What the project says of a lane; paths are relative to it, so that both can be moved."""
    folder = Path(lesson.project).resolve().parent
    given = {"raw_data": lane.raw, lane.role: lane.objects}
    result = {}
    for role, image in given.items():
        if image is None:
            continue
        path = lesson.inputs.paths[role][number]
        parts = [os.path.relpath(Path(part).absolute(), folder) for part in path.split(os.pathsep)]
        relative = os.pathsep.join(parts).replace(os.sep, "/")
        nickname, _ = images.dataset_name(path)
        result[role] = TrainingInput(relative, image.axes, image.stored.shape, nickname)
    return result


# --- labels ---------------------------------------------------------------------------------------


def _is_painted(labels: Sequence[str]) -> bool:
    return Path(labels[0]).suffix.lower() not in (".csv", ".tsv", ".txt")


def read_csv(path: str, lanes: Sequence[Lane]) -> list[Annotation]:
    """Labels of a table: ``class``, and ``labelimage_oid``, ``original_oid`` or ``x, y[, z]``.

    ``timestep`` may be left out (0); ``image`` too if there is one lane. Separators may be comma,
    semicolon or tab.

    Raises
    ------
    InputError
        With line and reason.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        message = f"labels {path}: {fault.strerror if isinstance(fault, OSError) else 'not UTF-8 text'}"
        raise InputError(message) from None
    header = text.partition("\n")[0]
    separator = max("\t;,", key=header.count)
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator)
    rows.fieldnames = [name.strip().lower() for name in rows.fieldnames or ()]
    columns = set(rows.fieldnames)
    by_place = {"x", "y"} <= columns
    if "class" not in columns or not (by_place or columns & {"labelimage_oid", "original_oid"}):
        message = (
            f"labels {path} have the columns '{', '.join(sorted(columns))}': expected class, and "
            "labelimage_oid or x, y (z), and timestep and image where there are several"
        )
        raise InputError(message)
    if len(lanes) > 1 and "image" not in columns:
        message = f"labels {path}: {len(lanes)} images are given, so a column image must tell them apart"
        raise InputError(message)
    renumbered = lanes[0].role == "label_image" and "labelimage_oid" in columns
    if renumbered and not columns & {"original_oid", "x"}:
        message = (
            f"labels {path}: labelimage_oid may mean the ids of your label image or those of an earlier run, "
            "which counts from 1: call the ids of the label image original_oid"
        )
        raise InputError(message)
    names = _lane_names(lanes)
    return [
        _annotation(row, names, lanes, f"{path} line {rows.line_num}")
        for row in rows
        if any((value or "").strip() for value in row.values() if isinstance(value, str))
    ]


def _lane_names(lanes: Sequence[Lane]) -> dict[str, int]:
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
    """One line of a table; what the image has several of must be said."""
    number = partial(_cell, row, line)
    lane = 0
    name = (row.get("image") or "").strip()
    if len(lanes) > 1 or name:
        lane = names.get(name, names.get(Path(name).name, -1))
        if lane < 0:
            message = f"labels {line}: image '{name}' is not one of {', '.join(sorted(names))}"
            raise InputError(message)
    label_class = (row.get("class") or "").strip()
    if not label_class or not label_class.isprintable():
        message = f"labels {line}: {'a class of several lines' if label_class else 'no class'}"
        raise InputError(message)
    shape = lanes[lane].objects.shape
    t = number("timestep", needed=shape[0] > 1)
    if not 0 <= t < shape[0]:
        message = f"labels {line}: timestep {t}: there are {shape[0]} (from 0)"
        raise InputError(message)
    label, original = (number(c, needed=False) for c in ("labelimage_oid", "original_oid"))
    by_id = bool(label or original)
    if by_id and not ((row.get("x") or "").strip() and (row.get("y") or "").strip()):
        return Annotation(lane, t, label_class, label, original, line=line)
    place = number("z", needed=shape[1] > 1), number("y", needed=True), number("x", needed=True)
    return Annotation(lane, t, label_class, label, original, place, line)


def _cell(row: Mapping[str, str], line: str, column: str, *, needed: bool) -> int:
    """A number of a table, 0 where it is not needed and not there; places are rounded to pixels."""
    text = (row.get(column) or "").strip()
    try:
        value = float(text) if text or needed else 0.0
        if column not in ("x", "y", "z") and value != int(value):
            raise ValueError  # noqa: TRY301 (told below)
        return math.floor(value + 0.5)
    except (ValueError, OverflowError):
        message = f"labels {line}: {column} '{text}': expected a number"
        raise InputError(message) from None


def named_labels(
    annotations: Iterable[Annotation], objects: Objects, image: str
) -> tuple[dict[int, str], list[str]]:
    """Class of each labelled object of a time step, and what was left out.

    Raises
    ------
    InputError
        If there is no such object, or one was given two classes.
    """
    found: dict[int, str] = {}
    left_out = []
    for given in annotations:
        label = _labelled_object(given, objects)
        if label == 0:
            left_out.append(f"{given.line}: no object at that place of {image}")
            continue
        if found.setdefault(label, given.name) != given.name:
            message = (
                f"labels {given.line}: object {label} of {image}, time step {given.t}, is both "
                f"{found[label]} and {given.name}"
            )
            raise InputError(message)
    return found, left_out


def _labelled_object(given: Annotation, objects: Objects) -> int:
    """Id of the object that is meant, 0 for background."""
    labels = objects.labels
    by_id = _by_id(given, objects) if given.label or given.original else 0
    if given.place is not None:
        if not all(0 <= p < n for p, n in zip(given.place, labels.shape, strict=True)):
            z, y, x = given.place
            message = f"labels {given.line}: x={x}, y={y}, z={z} is outside the image"
            raise InputError(message)
        there = int(labels[given.place])
        if by_id and there != by_id:
            message = f"labels {given.line}: x, y say object {there}, the id says object {by_id}"
            raise InputError(message)
        return there
    return by_id


def _by_id(given: Annotation, objects: Objects) -> int:
    """Id of the object that is named by id."""
    if given.original and objects.original is not None:
        hit = np.flatnonzero(objects.original == given.original)
        if len(hit):
            return int(hit[0]) + 1
    elif 1 <= given.label <= objects.count:
        return given.label
    message = (
        f"labels {given.line}: no object {given.label or given.original}: time step {given.t} has "
        f"{objects.count}"
    )
    raise InputError(message)


def painted_labels(image: Image, t: int, objects: Objects, name: str) -> tuple[dict[int, str], list[str]]:
    """Class of each object from a painted image: the one that covers most of its painted pixels.

    Raises
    ------
    InputError
        If objects are painted with two classes in equal parts.
    """
    paint = integral(image.read(image.frame(t))[0, ..., 0], image.name)
    touched = (paint > 0) & (objects.labels > 0)
    pairs, counts = np.unique(
        np.column_stack([objects.labels[touched], paint[touched]]), axis=0, return_counts=True
    )
    votes: dict[int, Counter[int]] = defaultdict(Counter)
    for (label, value), count in zip(pairs.tolist(), counts.tolist(), strict=True):
        votes[int(label)][int(value)] += count
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
    stray = int(((paint > 0) & (objects.labels == 0)).sum())
    left_out = [f"{image.name}: {stray} painted pixels on background"] if stray else []
    mixed = [label for label, vote in votes.items() if len(vote) > 1]
    left_out += [f"{image.name}: object {label}: the class of most of its paint counts" for label in mixed]
    return {label: str(vote.most_common(1)[0][0]) for label, vote in votes.items()}, left_out


def class_list(
    found: Mapping[int, Mapping[int, Mapping[int, str]]], names: Sequence[str], *, painted: bool
) -> tuple[str, ...]:
    """Names of the classes, in order; in ``found``, painted values are replaced by them.

    Raises
    ------
    InputError
        If a label is of a class that is not in the list.
    """
    used = {name for steps in found.values() for labels in steps.values() for name in labels.values()}
    classes = tuple(names)
    if painted:
        largest = max((int(value) for value in used), default=0)
        if largest > MOST_CLASSES:
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
    if len(set(classes)) < len(classes):
        message = f"--class_names {' '.join(classes)}: expected different names"
        raise UsageError(message)
    unknown = sorted(used - set(classes))
    if unknown:
        message = f"labels of class {', '.join(unknown)}: --class_names has {', '.join(classes)}"
        raise InputError(message)
    if len(classes) > MOST_CLASSES:
        message = f"{len(classes)} classes: expected {MOST_CLASSES} at most (is class a column of ids?)"
        raise InputError(message)
    return classes


def _natural(name: str) -> tuple[bool, float, str]:
    """Numbers by value, before words."""
    return (not name.isdecimal(), float(name) if name.isdecimal() else 0.0, name)
