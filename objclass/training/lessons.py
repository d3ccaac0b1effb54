"""Lessons: the images of a training with the labelled objects in them, measured."""

import dataclasses
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from objclass import images
from objclass.compute.context import Context
from objclass.core import FeatureTable, Lane, PixelSize, concatenate
from objclass.errors import InputError, UsageError
from objclass.features.contract import Feature, choose, feature_set
from objclass.pipeline.inputs import open_lanes
from objclass.pipeline.lane import CENTER, measure_step
from objclass.pipeline.plan import Plan, check_lane
from objclass.pipeline.sizes import described_sizes, in_pixels
from objclass.project.model import MAXIMUM_SIZE, Project
from objclass.segmentation.find import find_objects
from objclass.training.adding import all_classes, check_class_names
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
from objclass.training.request import TrainingRequest
from objclass.training.target import check_target

log = logging.getLogger("objclass")

READABLE = ("uint8", "uint16", "uint32", "float32")
"""Types of segmentations and label images that ilastik reads."""

Found = dict[int, dict[int, dict[int, str]]]
"""Given lane -> time step -> class of each labelled object by id."""


@dataclass(frozen=True)
class Lessons:
    """The images of a training with the labelled objects in them, measured.

    Parameters
    ----------
    request
        What was asked for, thresholds in pixels.
    lanes
        The images.
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
    """

    request: TrainingRequest
    lanes: tuple[Lane, ...]
    plan: Plan
    found: Found
    table: FeatureTable
    classes: tuple[str, ...]
    left_out: tuple[str, ...]


def read_lessons(request: TrainingRequest, base: Project | None, context: Context) -> Lessons:
    """Read the labels, find the objects and measure the labelled ones.

    Raises
    ------
    ObjclassError
        If images, labels or output cannot be used.
    """
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
    return Lessons(request, tuple(lanes), plan, found, concatenate(tables), classes, tuple(left_out))


def _check_output(request: TrainingRequest, lanes: Sequence[Lane]) -> None:
    given = [f for lane in lanes for i in lane.images for f in i.files]
    is_added = request.output is not None
    check_target(request.target, [*given, *request.labels], overwrite=request.overwrite, is_added=is_added)


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
        return Plan(_with_center(selected), selected, base.threshold, base.margin, base)
    ndim = first.objects.ndim
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


def _named_by(annotations: Sequence[Annotation], lanes: Sequence[Lane]) -> Label:
    """Labels from tables."""
    by_step: dict[tuple[int, int], list[Annotation]] = defaultdict(list)
    for annotation in annotations:
        by_step[annotation.lane, annotation.t].append(annotation)
    return lambda number, t, objects: named_labels(by_step[number, t], objects, lanes[number].nickname)


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
