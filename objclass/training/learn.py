"""Images and labels -> measured objects -> forest -> project."""

import dataclasses
import os
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass import images
from objclass.compute.context import Context
from objclass.core import FeatureTable, Lane, concatenate
from objclass.errors import InputError, OutputError, UsageError
from objclass.export.atomic import Pending, check_writable
from objclass.features.contract import choose
from objclass.forest import fit
from objclass.images.paths import relative, split_stack
from objclass.pipeline.inputs import Inputs, object_role, open_lanes
from objclass.pipeline.lane import measure_step
from objclass.pipeline.plan import Plan, check_lane
from objclass.project.model import WORKFLOWS, Project, TableSettings, TrainingInput, sorted_keys
from objclass.segmentation.find import find_objects
from objclass.settings import ProjectThreshold
from objclass.training.labels import (
    Annotation,
    Label,
    are_painted,
    class_list,
    named_labels,
    painted_labels,
    read_csv,
)

COLORS = (
    (230, 25, 75), (60, 180, 75), (0, 130, 200), (255, 225, 25), (245, 130, 48), (145, 30, 180),
    (70, 240, 240), (240, 50, 230), (210, 245, 60), (250, 190, 212), (0, 128, 128), (220, 190, 255),
    (170, 110, 40), (255, 250, 200), (128, 0, 0), (170, 255, 195),
)  # fmt: skip
"""Colours of the classes: Trubetskoy's list of distinct colours."""

ALWAYS_COMPUTED = ("Coord<Maximum>", "Coord<Minimum>", "Count", "RegionCenter")
"""What ilastik puts into every table."""


@dataclass(frozen=True)
class TrainingRequest:
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
class TrainingResult:
    """What was learned, for people: objects by class, out-of-bag accuracy, what was left out."""

    counts: Mapping[str, int]
    accuracy: float
    left_out: tuple[str, ...]


def train(lesson: TrainingRequest, context: Context | None = None) -> TrainingResult:
    """Measure the labelled objects, fit a forest, write the project.

    Raises
    ------
    ObjclassError
        With what is wrong with images, labels or output; nothing is written then.
    """
    context = context or Context()
    role = object_role(lesson.inputs, None)
    lanes = open_lanes(lesson.inputs, None, context)
    _check_output(lesson, lanes)
    first = lanes[0]
    ndim, channels = first.objects.ndim, first.channels
    chosen = choose(lesson.features, ndim, channels, training=True)
    margin = (lesson.margin,) * ndim if any(f.scope != "object" for f in chosen) else ()
    plan = Plan(tuple(chosen), tuple(chosen), lesson.threshold, margin)
    for lane in lanes:
        _check_like(lane, first)
        check_lane(lane, plan)
    is_painted = are_painted(lesson.labels)
    label = _painted_by(lesson, lanes, context) if is_painted else _named_by(lesson.labels, lanes)

    tables: list[FeatureTable] = []
    found: dict[int, dict[int, dict[int, str]]] = {}
    left_out: list[str] = []
    for number, lane in enumerate(lanes):
        found[number] = {}
        for t in range(lane.objects.shape[0]):
            objects = find_objects(lane, t, plan.threshold, context)
            labels, lost = label(number, t, objects)
            left_out += lost
            found[number][t] = labels
            if labels or not tables:
                table = measure_step(lane, plan, t, objects, context)
                tables.append(table.rows(np.array(sorted(labels), np.intp) - 1))
    classes = class_list(found, lesson.class_names, painted=is_painted)
    return _finish(lesson, role, lanes, plan, concatenate(tables), found, classes, left_out)


def _named_by(paths: Sequence[str], lanes: Sequence[Lane]) -> Label:
    """Labels from tables."""
    by_step: dict[tuple[int, int], list[Annotation]] = defaultdict(list)
    for path in paths:
        for annotation in read_csv(path, lanes):
            by_step[annotation.lane, annotation.t].append(annotation)
    return lambda number, t, objects: named_labels(by_step[number, t], objects, lanes[number].nickname)


def _painted_by(lesson: TrainingRequest, lanes: Sequence[Lane], context: Context) -> Label:
    """Labels from painted images."""
    if len(lesson.labels) != len(lanes):
        message = f"{len(lesson.labels)} label images for {len(lanes)} lanes: expected one for each lane"
        raise UsageError(message)
    painted = []
    for path, lane in zip(lesson.labels, lanes, strict=True):
        image = images.open_image(path, stack_along=lesson.inputs.stack_along, context=context)
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


def _check_output(lesson: TrainingRequest, lanes: Sequence[Lane]) -> None:
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
    lesson: TrainingRequest,
    role: str,
    lanes: Sequence[Lane],
    plan: Plan,
    table: FeatureTable,
    found: Mapping[int, Mapping[int, Mapping[int, str]]],
    classes: tuple[str, ...],
    left_out: Sequence[str],
) -> TrainingResult:
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
    return TrainingResult({name: counts[k] for name, k in numbers.items()}, accuracy, tuple(left_out))


def _write(path: str, project: Project, forest: Any) -> None:
    from objclass.project.ilp_write import write_project

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


def _training_lane(lesson: TrainingRequest, number: int, lane: Lane) -> dict[str, TrainingInput]:
    """What the project says of a lane; paths are relative to it, so that both can be moved."""
    folder = Path(lesson.project).resolve().parent
    given = {"raw_data": lane.raw, lane.role: lane.objects}
    result = {}
    for role, image in given.items():
        if image is None:
            continue
        path = lesson.inputs.paths[role][number]
        parts = [relative(part, str(folder)) for part in split_stack(path)]
        nickname, _ = images.dataset_name(path)
        result[role] = TrainingInput(os.pathsep.join(parts), image.axes, image.stored.shape, nickname)
    return result
