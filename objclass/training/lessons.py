"""Lessons: the images of a training with the labelled objects in them, measured."""

import dataclasses
import logging
import os
from collections.abc import Collection, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from math import prod

import numpy as np

from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.core import FeatureTable, Lane, PixelSize, concatenate
from objclass.errors import InputError, UsageError
from objclass.evaluation.settings import GROUPINGS
from objclass.features.contract import Feature, candidates, choose, feature_set
from objclass.images.paths import natural
from objclass.pipeline.inputs import open_lanes
from objclass.pipeline.lane import CENTER, measure_step
from objclass.pipeline.pairing import Inputs, LanePaths, object_role, pair
from objclass.pipeline.plan import Plan, check_lane
from objclass.pipeline.sizes import described_sizes, in_pixels
from objclass.project.model import MAXIMUM_SIZE, Project
from objclass.segmentation.find import find_objects
from objclass.settings import ProjectThreshold
from objclass.training.adding import all_classes, check_class_names, check_known_classes
from objclass.training.labels.annotation import StepLabels
from objclass.training.labels.classes import check_formulas, check_names, class_list
from objclass.training.labels.given import GivenLanes
from objclass.training.labels.labels import Labels, check_misses
from objclass.training.labels.projects import Matched, matched, open_sources, threshold_of
from objclass.training.labels.routes import LabelFiles, read_labels
from objclass.training.request import TrainingRequest
from objclass.training.target import check_target

log = logging.getLogger("objclass")

READABLE = ("uint8", "uint16", "uint32", "float32")
"""Types of segmentations and label images that ilastik reads."""

Found = dict[int, dict[int, dict[int, str]]]
"""Lane -> time step -> class of each labelled object by id."""


@dataclass(frozen=True)
class Lessons:
    """The images of a training with the labelled objects in them, measured.

    Parameters
    ----------
    request
        What was asked for, thresholds in pixels; its ``inputs`` are the lanes in the order of ``lanes``.
    lanes
        The images, sorted by name and path, whatever the order in which they were given.
    plan
        How they are measured: ``shown`` are the features to learn from.
    found
        The labels.
    table
        A row for each labelled object, in the order of lanes, time steps and ids.
    classes
        Names of the classes.
    left_out
        Messages about labels that were left out.
    group
        What each object of the table belongs to, such as a track, ``""`` for nothing; empty if no label says so.
    """

    request: TrainingRequest
    lanes: tuple[Lane, ...]
    plan: Plan
    found: Found
    table: FeatureTable
    classes: tuple[str, ...]
    left_out: tuple[str, ...]
    group: tuple[str, ...] = ()


def read_lessons(request: TrainingRequest, base: Project | None, context: Context) -> Lessons:
    """Read the labels, find the objects and measure the labelled ones.

    Raises
    ------
    ObjclassError
        If images, labels or output cannot be used.
    """
    _check_output(request, request.labels)
    files = LabelFiles.of(request.labels)
    sources = open_sources(files.projects)
    paired = _paired(request, base, sources)
    order = canonical_order(paired.lanes)
    number_of = {place: number for number, place in enumerate(order)}
    request = dataclasses.replace(request, inputs=_ordered(request.inputs, paired.lanes, order))
    lanes = open_lanes(request.inputs, base, context)
    _check_output(request, [f for lane in lanes for image in lane.images for f in image.files])
    request = _in_pixels(request, lanes)
    _check_settings(request, base)
    _check_grouping(request, base, len(lanes))
    if sources:
        threshold = threshold_of(sources, base.threshold if base is not None else _given(request.threshold))
        request = dataclasses.replace(request, threshold=threshold)
    plan = _plan(request, base, lanes[0])
    for lane in lanes:
        _check_like(lane, lanes[0])
        check_lane(lane, plan)
    known = base.classes if base is not None else ()
    given = GivenLanes(
        lanes, request.class_names or known, allow_misses=request.allow_misses, context=context
    )
    labels = read_labels(
        files,
        given,
        [number_of[place] for place in range(paired.given)],
        [(lane, number_of[place]) for lane, place in paired.places],
        request.inputs.stack_along,
    )
    check_formulas([*(("--class_names", name) for name in request.class_names), *labels.named], known)
    named = {name for _, name in labels.named}
    if base is not None and not request.target:
        check_known_classes(base, named)
    _classes(request, base, named, labels)
    for line in _unreadable(lanes):
        log.warning("%s", line)
    measured = _measured(labels, lanes, plan, context)
    return _lessons(request, base, plan, labels, measured, [*paired.left_out, *labels.left_out])


# ---------------------------------------------------------------------------- which images, in which order


def _paired(request: TrainingRequest, base: Project | None, sources: Sequence[Project]) -> Matched:
    """The lanes: those that are given, and further ones of the projects whose labels are taken over."""
    project = base if base is not None or request.inputs.roles else next(iter(sources), None)
    role = object_role(request.inputs, project)
    given = pair(request.inputs, base) if request.inputs.roles else []
    if sources and sources[0].role != role:
        message = f"labels {sources[0].path}: objects of --{sources[0].role}, but --{role} is given"
        raise UsageError(message)
    return matched(sources, given, role, allow_misses=request.allow_misses)


def canonical_order(lanes: Sequence[LanePaths]) -> list[int]:
    """The places of lanes in the order of a project: by name, then by path, numbers in them by value."""

    def key(place: int) -> tuple[list[str | int], str, list[str | int], list[str]]:
        name, paths = lanes[place].name, [os.path.abspath(path) for path in lanes[place].paths.values()]
        return natural(name), name, natural(paths[0]), paths

    return sorted(range(len(lanes)), key=key)


def _ordered(inputs: Inputs, lanes: Sequence[LanePaths], order: Sequence[int]) -> Inputs:
    """The inputs with these lanes in this order."""
    chosen = tuple(lanes[place] for place in order)
    if not chosen:
        message = "labels without images: give the images that they are of, too (--raw_data and a segmentation or label image)"
        raise UsageError(message)
    paths = {role: [lane.paths[role] for lane in chosen] for role in chosen[0].paths}
    return dataclasses.replace(inputs, paths=paths, lanes=chosen, metadata_regex=None)


def _given(threshold: ProjectThreshold) -> ProjectThreshold | None:
    """The thresholds; None if nothing but defaults is given."""
    return None if threshold == ProjectThreshold() else threshold


# ---------------------------------------------------------------------------- the labelled objects


@dataclass(frozen=True)
class _LaneLesson:
    """The labels of a lane by time step, and a row for each labelled object of each time step that has some."""

    steps: dict[int, StepLabels]
    tables: list[FeatureTable]


def _measured(labels: Labels, lanes: Sequence[Lane], plan: Plan, context: Context) -> dict[int, _LaneLesson]:
    """The labelled objects of all lanes that have labels, several lanes at once where they are small."""
    numbers = labels.lanes()
    for number in sorted(set(range(len(lanes))) - set(numbers)):
        context.progress(lanes[number].nickname, 1.0)
    voxels = max((prod(lanes[number].objects.shape[1:4]) for number in numbers), default=0)
    at_once, limits = context.limits.divided(len(numbers), voxels)
    measure = partial(_measured_lane, labels=labels, lanes=lanes, plan=plan, context=context.within(limits))
    workers = context if at_once > 1 else context.within(Limits())
    with closing(workers.ordered(measure, numbers, helps=False)) as results:
        return dict(zip(numbers, results, strict=True))


def _measured_lane(
    number: int, labels: Labels, lanes: Sequence[Lane], plan: Plan, context: Context
) -> _LaneLesson:
    """The labelled objects of one lane; time steps without labels are not looked at."""
    lane, steps, tables = lanes[number], {}, []
    count = lane.objects.shape[0]
    for t in range(count):
        if labels.is_labelled(number, t, context):
            objects = find_objects(lane, t, plan.threshold, context)
            steps[t] = labels.of(number, t, objects, context)
            if steps[t].classes:
                ids = np.array(list(steps[t].classes), np.intp)
                tables.append(measure_step(lane, plan, t, objects, context).rows(ids - 1))
        context.progress(lane.nickname, (t + 1) / count)
    return _LaneLesson(steps, tables)


def _lessons(
    request: TrainingRequest,
    base: Project | None,
    plan: Plan,
    labels: Labels,
    measured: dict[int, _LaneLesson],
    left_out: list[str],
) -> Lessons:
    """All that was measured together."""
    lanes = labels.given.lanes
    steps = [step for lesson in measured.values() for step in lesson.steps.values()]
    if not request.allow_misses:
        check_misses(steps)
    left_out = [*left_out, *(line for step in steps for line in step.left_out)]
    tables = [table for lesson in measured.values() for table in lesson.tables]
    if not tables:
        lost = f" ({left_out[0]})" if left_out else ""
        message = f"labels of 0 classes: expected labelled objects of at least two classes{lost}"
        raise InputError(message)
    found: Found = {
        number: {t: {} for t in range(lane.objects.shape[0])} for number, lane in enumerate(lanes)
    }
    for number, lesson in measured.items():
        found[number] |= {t: step.classes for t, step in lesson.steps.items()}
    used = {name for step in steps for name in step.classes.values()}
    classes = _classes(request, base, used, labels)
    group = tuple(step.groups.get(label, "") for step in steps for label in step.classes)
    return Lessons(
        request,
        lanes,
        plan,
        found,
        concatenate(tables),
        classes,
        tuple(left_out),
        group if any(group) else (),
    )


def _classes(
    request: TrainingRequest, base: Project | None, used: Collection[str], labels: Labels
) -> tuple[str, ...]:
    """Names of the classes, in order: those that are given, or of the project, and those that labels name."""
    names = request.class_names or (all_classes(base, used) if base is not None else ())
    return class_list(used, names, numbered=labels.is_numbered)


def _check_output(request: TrainingRequest, inputs: Sequence[str]) -> None:
    """Refuse to write a project over one of these files, or where nothing can be written."""
    if request.target:
        check_target(request.target, inputs, overwrite=request.overwrite, is_added=request.output is not None)


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


def _check_grouping(request: TrainingRequest, base: Project | None, lanes: int) -> None:
    """Refuse a grouping of the cross-validation that cannot be, as far as that is known before objects are measured."""
    wanted = request.evaluation.group_by if request.evaluation is not None else ""
    own = base.training.group_name if base is not None and base.training is not None else "track"
    names = tuple(dict.fromkeys((*GROUPINGS, "track", own)))
    if wanted and wanted not in names:
        message = f"--group_by '{wanted}': expected {', '.join(names)}"
        raise UsageError(message)
    if wanted == "image" and base is None and lanes == 1:
        message = "--group_by 'image': only one image is given: leave --group_by out, or give more images"
        raise UsageError(message)


def _plan(request: TrainingRequest, base: Project | None, first: Lane) -> Plan:
    """The plan: the requested features, or those that the extended project has selected."""
    if base is not None:
        selected = tuple(feature for feature in base.features() if feature.key in base.selected)
        return Plan(_with_center(selected), selected, base.threshold, base.margin, base)
    ndim = first.objects.ndim
    if request.chooses_features:
        chosen = tuple(candidates(ndim, first.channels))
    else:
        chosen = tuple(choose(request.features, ndim, first.channels, training=True))
    margin = (request.margin,) * ndim if any(f.scope != "object" for f in chosen) else ()
    return Plan(_with_center(chosen), chosen, request.threshold, margin)


def _with_center(features: tuple[Feature, ...]) -> tuple[Feature, ...]:
    """The features, and the place of the object, which says what lies together."""
    return (*features, *(f for f in (feature_set(CENTER[0]) or {}).values() if f.key == CENTER))


def _check_like(lane: Lane, first: Lane) -> None:
    if (lane.objects.ndim, lane.channels) != (first.objects.ndim, first.channels):
        message = (
            f"{lane.objects.name} is {lane.objects.ndim}D with {lane.channels} channels, "
            f"{first.objects.name} {first.objects.ndim}D with {first.channels}: all images of a project need the "
            "same dimensions and channels"
        )
        raise InputError(message)


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
