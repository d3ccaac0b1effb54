"""Which objects to label next: uncertain ones that are unlike each other."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import AnyArray, FloatArray, IntArray, Lane
from objclass.errors import ProjectError, UsageError
from objclass.export.atomic import Pending, check_output
from objclass.export.tables.text import CsvWriter
from objclass.features.geometry import columns_xyz
from objclass.novelty import Space
from objclass.pipeline.inputs import distinct_names
from objclass.pipeline.lane import CENTER, Step, run_lane
from objclass.pipeline.plan import plan_for
from objclass.project.model import Project
from objclass.training.retrain import open_training_lane

log = logging.getLogger("objclass")

POOL = 10
"""The objects are chosen from so many times their number: the most uncertain ones."""

BOX = ("Default features", "Coord<Minimum>"), ("Default features", "Coord<Maximum>")


@dataclass(frozen=True)
class Suggestion:
    """An object that is worth a label.

    Parameters
    ----------
    lane, t
        Number of its lane among those given, and its time step.
    place
        x, y, z of one of its pixels, near its centre.
    predicted
        The most probable class, from 1.
    uncertainty, novelty
        1 less the gap between the two most probable classes; how unlike those of the training it is, NaN if that is
        not known.
    row
        Its features as the forest gets them.
    """

    lane: int
    t: int
    place: tuple[int, int, int]
    predicted: int
    uncertainty: np.float32
    novelty: np.float32
    row: NDArray[np.float32]


def suggestions(
    project: Project,
    lanes: Sequence[Lane],
    labels: Sequence[Mapping[int, AnyArray]],
    count: int,
    context: Context,
) -> list[Suggestion]:
    """The objects to label next, the most useful one first.

    Of the most uncertain objects, the first one is the most uncertain, and each further one has the largest product of
    uncertainty and distance to those before, in the units of the project's novelty.

    Parameters
    ----------
    project
        With a forest.
    lanes
        The images to choose from.
    labels
        The classes of the objects of each lane that have labels already, by id: time step -> array, 0 for none.
    count
        Maximum number of objects.
    """
    pool: list[Suggestion] = []
    size = POOL * count
    for number, lane in enumerate(lanes):
        for step in run_lane(lane, plan_for(project, [lane]), context):
            given = labels[number].get(step.t, np.zeros(0))
            worst = float(pool[-1].uncertainty) if len(pool) == size else -np.inf
            pool += _most_uncertain(project, number, step, given, size, worst)
            pool = sorted(pool, key=lambda one: -one.uncertainty)[:size]  # stable
    return _spread(pool, project, count)


def suggestions_of(project: Project, count: int, context: Context) -> tuple[list[Suggestion], list[Lane]]:
    """The objects of the images of a project to label next, and these images.

    Raises
    ------
    ProjectError
        If the project has no classifier or no images, or one is not found.
    """
    project.check_trained()
    if not project.lanes:
        message = f"--suggest: {project.path} names no images: it was made of a table"
        raise ProjectError(message)
    lanes = [open_training_lane(project, number, context) for number in range(len(project.lanes))]
    labels = [project.labels.get(number, {}) for number in range(len(lanes))]
    return suggestions(project, lanes, labels, count, context), lanes


def _most_uncertain(
    project: Project, lane: int, step: Step, labels: AnyArray, count: int, worst: float
) -> list[Suggestion]:
    """The most uncertain objects of a time step without a label, above the worst; of equal ones the first."""
    if step.predictions is None or not step.objects.count:
        return []
    uncertainty, classes = step.predictions.uncertainty, step.predictions.classes
    novelty = step.predictions.novelty
    known = np.zeros(step.objects.count, bool)
    given = np.flatnonzero(labels)
    known[given[given <= step.objects.count] - 1] = True
    chosen = most_uncertain(uncertainty, ~known & (uncertainty > worst), count)
    rows = project.matrix(step.table.rows(chosen))
    return [
        Suggestion(
            lane,
            step.t,
            _place(step, k),
            int(classes[k]),
            uncertainty[k],
            novelty[k] if novelty is not None else np.float32(np.nan),
            row.copy(),  # not a view, which would keep all of them
        )
        for k, row in zip(chosen.tolist(), rows, strict=True)
    ]


def most_uncertain(uncertainty: NDArray[np.float32], wanted: NDArray[np.bool_], count: int) -> IntArray:
    """Places of the most uncertain of the wanted objects (n,), at most ``count``; of equal ones the first."""
    places = np.flatnonzero(wanted)
    return places[np.argsort(-uncertainty[places], kind="stable")[:count]]


def _place(step: Step, k: int) -> tuple[int, int, int]:
    """x, y, z of the pixel of an object that is nearest to its centre, in the plane of its centre if it has one there."""
    low, high = (
        columns_xyz(step.table.values[key][k : k + 1].astype(int), edge)[0] for edge, key in enumerate(BOX)
    )
    center = columns_xyz(step.table.values[CENTER][k : k + 1], 0)[0]
    box = slice(low[1], high[1]), slice(low[0], high[0])
    for z in sorted(range(low[2], high[2]), key=lambda z: abs(z - center[2])):
        y, x = np.nonzero(step.objects.labels[z : z + 1, box[0], box[1]][0] == k + 1)
        if len(x):
            x, y = x + low[0], y + low[1]
            nearest = int(np.argmin((x - center[0]) ** 2 + (y - center[1]) ** 2))
            return int(x[nearest]), int(y[nearest]), z
    message = f"object {k + 1} has no pixels in its box"
    raise AssertionError(message)


def _spread(pool: Sequence[Suggestion], project: Project, count: int) -> list[Suggestion]:
    """Of the pool, those that are uncertain and unlike each other."""
    if not pool:
        return []
    if project.novelty is None:
        log.warning(
            "--suggest: %s: features of its labelled objects are not known, or all alike: the suggested objects are the most "
            "uncertain ones, whether they are like each other or not",
            project.path,
        )
    rows, uncertainty = np.stack([one.row for one in pool]), np.array([one.uncertainty for one in pool])
    space = project.novelty.space if project.novelty is not None else None
    return [pool[k] for k in unlike_each_other(rows, uncertainty, space, count)]


def unlike_each_other(
    rows: NDArray[np.float32], uncertainty: NDArray[np.float32], space: Space | None, count: int
) -> list[int]:
    """Places of uncertain objects that are unlike each other, the first one first.

    Parameters
    ----------
    rows
        Features of the objects as the forest gets them (n, columns), the most uncertain object first.
    uncertainty
        Of each object (n,).
    space
        How much each feature counts; None: the first objects are chosen.
    count
        Maximum number of objects.
    """
    scaled = rows[:, space[0]] * space[1] if space is not None else np.zeros((len(rows), 1))
    return spread_out(scaled, uncertainty, count)


def spread_out(scaled: FloatArray, uncertainty: NDArray[np.float32], count: int) -> list[int]:
    """Places of uncertain objects that are unlike each other, the first one first.

    Parameters
    ----------
    scaled
        The objects (n, columns), the first of which is chosen first. Then it is always the one of the largest product of
        uncertainty and distance to the nearest of those before.
    uncertainty
        Of each object (n,).
    count
        Maximum number of objects.

    Examples
    --------
    >>> spread_out(np.array([[0.0], [0.1], [4.0], [6.0]]), np.float32([1.0, 0.9, 0.8, 0.5]), 3)
    [0, 2, 3]
    """
    weight = uncertainty.astype(np.float64) ** 2
    chosen, nearest = [0], np.full(len(scaled), np.inf)
    while len(chosen) < min(count, len(scaled)):
        squares = np.zeros(len(scaled))
        for column in scaled.T:  # in this order, whatever the processor
            squares += (column - column[chosen[-1]]) ** 2
        nearest = np.minimum(nearest, squares)
        nearest[chosen] = -1  # never again, even if all others are the same
        chosen.append(int(np.where(nearest < 0, -1, nearest * weight).argmax()))
    return chosen


# ---------------------------------------------------------------------------- their file


def check_suggestions(path: str, inputs: Sequence[str], *, overwrite: bool) -> None:
    """Refuse a file of suggestions that is none, or would replace another file: it may be filled in by hand.

    Raises
    ------
    UsageError, OutputError
        If it cannot be written; the message says why.
    """
    if Path(path).suffix.lower() != ".csv":
        message = f"--suggestions {path}: expected a name that ends in .csv"
        raise UsageError(message)
    check_output(f"--suggestions {path}", path, inputs, overwrite=overwrite)


def write_suggestions(
    path: str, found: Sequence[Suggestion], lanes: Sequence[Lane], project: Project
) -> None:
    """Write objects as a table that ``--labels`` takes once classes are filled in."""
    names = distinct_names(lanes)
    places: IntArray = np.array([one.place for one in found], int).reshape(-1, 3)
    columns: dict[str, AnyArray] = {
        "image": np.array([names[one.lane] for one in found], object),
        "timestep": np.array([one.t for one in found], int),
        "x": places[:, 0],
        "y": places[:, 1],
        "z": places[:, 2],
        "class": np.full(len(found), "", object),
        "predicted_class": np.array([project.classes[one.predicted - 1] for one in found], object),
        "uncertainty": np.array([one.uncertainty for one in found], np.float32),
        "novelty": np.array([one.novelty for one in found], np.float32),
    }
    pending = Pending()
    try:
        writer = CsvWriter(pending.add(path))
        writer.append(columns)
        writer.close()
        pending.commit()
    finally:
        pending.discard()
