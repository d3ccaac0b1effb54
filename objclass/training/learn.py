"""Images and labels -> measured objects -> forest -> project."""

import dataclasses
import logging
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
from objclass.core import FeatureTable, Lane, PixelSize, concatenate
from objclass.errors import InputError, OutputError, UsageError
from objclass.export.atomic import check_writable
from objclass.export.projects import save_project
from objclass.features.contract import Key, choose
from objclass.forest import Forest, fit
from objclass.images.paths import relative, split_stack
from objclass.pipeline.inputs import open_lanes
from objclass.pipeline.lane import measure_step
from objclass.pipeline.pairing import Inputs, object_role
from objclass.pipeline.plan import FromFile, Plan, check_lane
from objclass.pipeline.sizes import described_sizes, in_pixels
from objclass.project.model import (
    MAXIMUM_SIZE,
    WORKFLOWS,
    Project,
    TableSettings,
    TrainingInput,
    class_colors,
    sorted_keys,
)
from objclass.project.open import open_project
from objclass.segmentation.find import find_objects
from objclass.settings import ProjectThreshold
from objclass.training.adding import (
    all_classes,
    check_class_names,
    joined,
    lane_numbers,
    merged,
    rows_of_project,
)
from objclass.training.labels import (
    Annotation,
    Label,
    StepLabels,
    are_painted,
    check_formulas,
    check_misses,
    check_names,
    class_list,
    named_labels,
    painted_labels,
    read_csv,
)

log = logging.getLogger("objclass")

ALWAYS_COMPUTED = ("Coord<Maximum>", "Coord<Minimum>", "Count", "RegionCenter")
"""Features that ilastik writes into every table."""


READABLE = ("uint8", "uint16", "uint32", "float32")
"""Types of segmentations and label images that ilastik reads."""

Found = dict[int, dict[int, dict[int, str]]]
"""Given lane -> time step -> class of each labelled object by id."""


@dataclass(frozen=True)
class TrainingRequest:
    """The request of a training: what the command line or the caller has given.

    Parameters
    ----------
    project
        The file to write, or to add labels to.
    inputs
        Images to learn from.
    labels
        One CSV, or a painted label image for each lane.
    class_names
        Names of the classes in the order of their numbers; by default those of the CSV, sorted.
    output
        Another file to write: then the labels are added to those of ``project``, whose features and
        thresholds are used.
    overwrite
        Whether a project may be replaced.
    allow_misses
        Whether more than a third of the points of a CSV, or of the painted pixels, may lie on background; and
        whether a CSV may have labels of images that are not given.
    pixel_size
        In place of that of the images, for thresholds that are areas or volumes.
    class_weight
        ``"balanced"``: each class counts the same. None: each object counts the same.
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
    output: str | None = None
    overwrite: bool = False
    allow_misses: bool = False
    pixel_size: PixelSize | FromFile | None = None
    class_weight: str | None = None

    @property
    def target(self) -> str:
        """The file to write."""
        return self.output or self.project


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training: number of objects of each class, out-of-bag accuracy, labels left out."""

    counts: Mapping[str, int]
    accuracy: float
    left_out: tuple[str, ...]


def train(request: TrainingRequest, context: Context | None = None) -> TrainingResult:
    """Measure the labelled objects, fit a forest, write the project.

    Raises
    ------
    ObjclassError
        If images, labels or output cannot be used; then nothing is written.
    """
    context = context or Context()
    base = open_project(request.project) if request.output is not None else None
    if base is not None and base.pixels is not None:
        message = (
            f"{base.path} classifies pixels and objects: labels are added to such a project in ilastik alone"
        )
        raise UsageError(message)
    role = object_role(request.inputs, base)
    lanes = open_lanes(request.inputs, base, context)
    _check_output(request, lanes)
    request = _in_pixels(request, lanes)
    _check_settings(request, base)
    plan = _plan(request, base, lanes[0])
    for lane in lanes:
        _check_like(lane, lanes[0])
        check_lane(lane, plan)
    is_painted = are_painted(request.labels)
    tables_of_labels = [
        read_csv(path, lanes, allow_misses=request.allow_misses)
        for path in (() if is_painted else request.labels)
    ]
    annotations = [a for given, _ in tables_of_labels for a in given]
    named = [("--class_names", name) for name in request.class_names]
    named += [(f"labels {given.line}", given.name) for given in annotations]
    check_formulas(named, base.classes if base is not None else ())
    label = _painted_by(request, lanes, context) if is_painted else _named_by(annotations, lanes)

    tables: list[FeatureTable] = []
    found: Found = {}
    steps: list[StepLabels] = []
    for number, lane in enumerate(lanes):
        found[number] = {}
        for t in range(lane.objects.shape[0]):
            objects = find_objects(lane, t, plan.threshold, context)
            steps.append(label(number, t, objects))
            labels = found[number][t] = steps[-1].classes
            if labels or not tables:
                table = measure_step(lane, plan, t, objects, context)
                tables.append(table.rows(np.array(sorted(labels), np.intp) - 1))
            context.progress(lane.nickname, (t + 1) / lane.objects.shape[0])
    if not request.allow_misses:
        check_misses(steps, painted=is_painted)
    left_out = [line for _, lines in tables_of_labels for line in lines]
    left_out += [line for step in steps for line in step.left_out]
    names = request.class_names or (all_classes(base, annotations) if base is not None else ())
    classes = class_list(found, names, painted=is_painted)
    for line in _unreadable(lanes):
        log.warning("%s", line)
    if base is None:
        return _finish(request, role, lanes, plan, concatenate(tables), found, classes, left_out)
    return _finish_added(request, base, lanes, concatenate(tables), found, classes, left_out, context)


def _in_pixels(request: TrainingRequest, lanes: Sequence[Lane]) -> TrainingRequest:
    """The request with thresholds in pixels, since projects hold no other ones.

    Raises
    ------
    UsageError
        If the images have pixels of different sizes.
    """
    if not request.threshold.physical_sizes:
        return request
    given = request.pixel_size
    lines: dict[tuple[str, ...], Lane] = {}
    for lane in lanes:
        size = given if isinstance(given, PixelSize) else lane.given_size or lane.pixel_size
        lines.setdefault(tuple(described_sizes(request.threshold, lane, size)), lane)
        threshold = in_pixels(request.threshold, lane, size)
    if len(lines) > 1:
        differing = "; ".join(
            f"{' and '.join(found)} in {lane.objects.name}" for found, lane in lines.items()
        )
        message = f"{differing}: a project holds one number of pixels: give it in pixels, or --pixel_size"
        raise UsageError(message)
    for line in next(iter(lines)):
        log.info("%s: the project holds the number of pixels", line)
    return dataclasses.replace(request, threshold=threshold)


def _check_settings(request: TrainingRequest, base: Project | None) -> None:
    """Refuse settings that a project cannot hold, or that have no effect."""
    request.threshold.check_cores()
    for name in ("min_size", "max_size"):
        if (getattr(request.threshold, name) or 0) > MAXIMUM_SIZE:
            message = f"--{name} {getattr(request.threshold, name)}: a project holds {MAXIMUM_SIZE} at most"
            raise UsageError(message)
    check_names(request.class_names)
    if base is not None:
        check_class_names(base, request.class_names)


def _plan(request: TrainingRequest, base: Project | None, first: Lane) -> Plan:
    """The plan: the requested features, or those that the extended project has selected."""
    if base is not None:
        selected = tuple(feature for feature in base.features() if feature.key in base.selected)
        return Plan(selected, selected, base.threshold, base.margin, base)
    ndim = first.objects.ndim
    chosen = tuple(choose(request.features, ndim, first.channels, training=True))
    margin = (request.margin,) * ndim if any(f.scope != "object" for f in chosen) else ()
    return Plan(chosen, chosen, request.threshold, margin)


def _named_by(annotations: Sequence[Annotation], lanes: Sequence[Lane]) -> Label:
    """Labels from tables."""
    by_step: dict[tuple[int, int], list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        by_step[annotation.lane, annotation.t].append(annotation)
    return lambda number, t, objects: named_labels(by_step[number, t], objects, lanes[number].nickname)


def _unreadable(lanes: Sequence[Lane]) -> list[str]:
    """Warnings about segmentations and label images of types that ilastik cannot open."""
    warnings = []
    for lane in lanes:
        # bool from a file of numbers becomes uint8
        dtype = getattr(lane.objects.stored, "stored", lane.objects.stored).dtype
        if lane.role != "prediction_maps" and str(dtype) not in READABLE:
            warnings.append(
                f"{lane.objects.name} is {dtype}: ilastik reads {', '.join(READABLE)} here, and will not open "
                "this lane of the project (objclass will): save the image as one of these"
            )
    return warnings


def _painted_by(request: TrainingRequest, lanes: Sequence[Lane], context: Context) -> Label:
    """Labels from painted images."""
    if len(request.labels) != len(lanes):
        message = f"{len(request.labels)} label images for {len(lanes)} lanes: expected one for each lane"
        raise UsageError(message)
    painted = []
    for path, lane in zip(request.labels, lanes, strict=True):
        image = images.open_image(path, stack_along=request.inputs.stack_along, context=context)
        if image.stored.shape == lane.objects.stored.shape:  # painted over that image: it has the same axes
            image = dataclasses.replace(image, axes=lane.objects.axes, axes_from=lane.objects.name)
        if image.shape[:4] != lane.objects.shape[:4] or image.shape[4] != 1:
            message = (
                f"labels {image.name} of shape {image.stored.shape} (axes {image.axes}) do not fit "
                f"{lane.objects.name} of shape {lane.objects.stored.shape} (axes {lane.objects.axes}): expected "
                "one class value for each of its pixels, in one channel"
            )
            raise InputError(message)
        painted.append(image)
    return lambda number, t, objects: painted_labels(
        painted[number], t, objects, lanes[number].nickname, context
    )


def _check_output(request: TrainingRequest, lanes: Sequence[Lane]) -> None:
    given = [f for lane in lanes for i in lane.images for f in i.files]
    is_added = request.output is not None
    check_target(request.target, [*given, *request.labels], overwrite=request.overwrite, is_added=is_added)


def check_target(target: str, inputs: Sequence[str], *, overwrite: bool, is_added: bool) -> None:
    """Refuse to write a project over an input, or where nothing can be written.

    Parameters
    ----------
    target
        The file to write.
    inputs
        The files that are read.
    overwrite
        Whether a project may be replaced.
    is_added
        Whether labels are added to another project.

    Raises
    ------
    ObjclassError
        If it cannot be written; the message says why in one line.
    """
    if Path(target).suffix.lower() != ".ilp":
        message = f"project {target}: expected a name that ends in .ilp"
        raise UsageError(message)
    if os.path.realpath(target) in {os.path.realpath(path) for path in inputs}:
        message = f"project {target} would overwrite an input: give another name"
        raise OutputError(message)
    if os.path.exists(target) and not overwrite:
        message = (
            f"project {target} exists already: --overwrite replaces it"
            f"{'' if is_added else ', --output NEW.ilp adds the labels to those that it has'}"
        )
        raise OutputError(message)
    check_writable(target)


def _finish_added(
    request: TrainingRequest,
    base: Project,
    lanes: Sequence[Lane],
    table: FeatureTable,
    found: Found,
    classes: tuple[str, ...],
    left_out: Sequence[str],
    context: Context,
) -> TrainingResult:
    """Fit a forest on the labels of a project and the new ones, and write both to another project."""
    numbers = {name: k for k, name in enumerate(classes, 1)}
    places = lane_numbers(base, lanes, request.inputs.paths)
    new: dict[int, dict[int, NDArray[Any]]] = {}
    for n, steps in found.items():
        new.setdefault(places[n], {}).update(_label_inputs(steps, numbers))
    labels, changed = merged(base, new)
    if changed:
        log.warning("%d objects had another class in %s: the new class is used", changed, base.path)
    old, given_before = rows_of_project(base, new, context)
    given = np.concatenate([given_before, _classes_of(found, numbers)])
    lanes_after = dict(enumerate(base.lanes))
    for n, lane in enumerate(lanes):
        lanes_after.setdefault(places[n], _training_lane(request, n, lane))
    project = dataclasses.replace(
        base,
        path=str(request.output),
        classes=classes,
        colors=class_colors(base.colors, len(classes)),
        labels={n: labels.get(n) or {0: np.zeros(2)} for n in lanes_after},
        lanes=tuple(lanes_after.values()),
    )
    return _fitted(request, project, joined(base, old, table), given, left_out)


def _finish(
    request: TrainingRequest,
    role: str,
    lanes: Sequence[Lane],
    plan: Plan,
    table: FeatureTable,
    found: Found,
    classes: tuple[str, ...],
    left_out: Sequence[str],
) -> TrainingResult:
    """Fit the forest and write the project."""
    numbers = {name: k for k, name in enumerate(classes, 1)}
    project = dataclasses.replace(
        new_project(role, classes, sorted_keys(plan.features), plan.margin),
        path=request.project,
        threshold=request.threshold,
        labels={n: _label_inputs(steps, numbers) for n, steps in found.items()},
        lanes=tuple(_training_lane(request, number, lane) for number, lane in enumerate(lanes)),
    )
    return _fitted(request, project, table, _classes_of(found, numbers), left_out)


def new_project(
    role: str,
    classes: tuple[str, ...],
    selected: tuple[Key, ...],
    margin: tuple[int, ...] = (),
    forest: Forest | None = None,
) -> Project:
    """A project of ours, without images and labels.

    Parameters
    ----------
    role
        Role of its second input: ``segmentation_image``, ``prediction_maps`` or ``label_image``.
    classes
        Names of the classes.
    selected
        Keys of the features that the forest uses, in the order of its columns.
    margin
        Neighbourhood along x, y(, z) in pixels; empty if no feature needs one.
    forest
        The classifier.
    """
    names = tuple(dict.fromkeys([*ALWAYS_COMPUTED, *(name for _, name in selected)]))
    return Project(
        path="",
        workflow=next(name for name, r in WORKFLOWS.items() if r == role),
        version="",
        role=role,
        classes=classes,
        computed=tuple(sorted({*selected, *(("Standard Object Features", n) for n in ALWAYS_COMPUTED)})),
        selected=selected,
        margin=margin,
        forest=forest,
        colors=class_colors((), len(classes)),
        table=TableSettings("csv", "{dataset_dir}/{nickname}.csv", names),
    )


def _classes_of(found: Found, numbers: Mapping[str, int]) -> NDArray[Any]:
    """Class of each labelled object, in the order in which they are measured."""
    return np.array(
        [numbers[steps[t][i]] for steps in found.values() for t in sorted(steps) for i in sorted(steps[t])],
        int,
    )


def _fitted(
    request: TrainingRequest,
    project: Project,
    table: FeatureTable,
    given: NDArray[Any],
    left_out: Sequence[str],
) -> TrainingResult:
    """Fit the forest and write the project."""
    present = np.unique(given)
    if len(present) < 2:
        lost = f" ({left_out[0]})" if left_out else ""
        message = f"labels of {len(present)} classes: expected labelled objects of at least two classes{lost}"
        raise InputError(message)
    forest, accuracy = fit(
        project.matrix(table),
        given,
        len(project.classes),
        request.trees,
        request.seed,
        balanced=request.class_weight == "balanced",
    )
    base = None if request.output is None else request.project
    save_project(project.path, dataclasses.replace(project, forest=forest), overwrite=True, base=base)
    counts = Counter(given.tolist())
    return TrainingResult(
        {name: counts[k] for k, name in enumerate(project.classes, 1)}, accuracy, tuple(left_out)
    )


def _check_like(lane: Lane, first: Lane) -> None:
    if (lane.objects.ndim, lane.channels) != (first.objects.ndim, first.channels):
        message = (
            f"{lane.objects.name} is {lane.objects.ndim}D with {lane.channels} channels, "
            f"{first.objects.name} {first.objects.ndim}D with {first.channels}: all images of a project need the "
            "same dimensions and channels"
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


def _training_lane(request: TrainingRequest, number: int, lane: Lane) -> dict[str, TrainingInput]:
    """A lane as the project stores it; paths are relative to the project, so that both can be moved together."""
    folder = Path(request.target).resolve().parent
    given = {"raw_data": lane.raw, lane.role: lane.objects}
    result = {}
    for role, image in given.items():
        if image is None:
            continue
        path = request.inputs.paths[role][number]
        parts = [relative(part, str(folder)) for part in split_stack(path)]
        nickname, _ = images.dataset_name(path)
        result[role] = TrainingInput(os.pathsep.join(parts), image.axes, image.stored.shape, nickname)
    return result
