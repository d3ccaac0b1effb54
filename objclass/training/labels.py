"""Ways to give labels, one function each: a CSV by id or by point, a painted label image."""

import csv
import io
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from objclass.core import Image, Lane, Objects
from objclass.errors import InputError, UsageError
from objclass.pipeline.inputs import distinct_names
from objclass.project.model import MAXIMUM_CLASSES
from objclass.segmentation.labelling import integral


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


Label = Callable[[int, int, Objects], tuple[dict[int, str], list[str]]]
"""Lane, time step, its objects -> class of each labelled object by id, and what was left out."""


def are_painted(labels: Sequence[str]) -> bool:
    """Whether the labels are painted images, by the suffix of the first."""
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
    names = lane_names(lanes)
    return [
        _annotation(row, names, lanes, f"{path} line {rows.line_num}")
        for row in rows
        if any((value or "").strip() for value in row.values() if isinstance(value, str))
    ]


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
    if len(set(classes)) < len(classes):
        message = f"--class_names {' '.join(classes)}: expected different names"
        raise UsageError(message)
    unknown = sorted(used - set(classes))
    if unknown:
        message = f"labels of class {', '.join(unknown)}: --class_names has {', '.join(classes)}"
        raise InputError(message)
    if len(classes) > MAXIMUM_CLASSES:
        message = f"{len(classes)} classes: expected {MAXIMUM_CLASSES} at most (is class a column of ids?)"
        raise InputError(message)
    return classes


def _natural(name: str) -> tuple[bool, float, str]:
    """Numbers by value, before words."""
    return (not name.isdecimal(), float(name) if name.isdecimal() else 0.0, name)
