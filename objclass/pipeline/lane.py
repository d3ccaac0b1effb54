"""One lane, time step by time step, from pixels to classes."""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from math import prod
from time import perf_counter
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.compute.meter import present
from objclass.core import (
    PIXEL_ROLE,
    AnyArray,
    FeatureTable,
    FloatArray,
    Image,
    Lane,
    Objects,
    Predictions,
    concatenate,
    joined,
)
from objclass.errors import LaneError
from objclass.features.engine import measure
from objclass.features.frame import Frame
from objclass.images.blockwise import Read, box_reader, timed
from objclass.pipeline.looks import in_range_of
from objclass.pipeline.plan import Plan
from objclass.segmentation.find import find_objects
from objclass.segmentation.labelling import integral
from objclass.settings import ThresholdSettings

log = logging.getLogger("objclass")

OBJECT_BYTES, FEATURE_BYTES = 400, 16
"""Measured memory (bytes) for an object of a run, and for each of its features."""

PIXELS_PART, SEGMENT_PART, FEATURES_PART = 0.8, 0.3, 0.4
"""Rough parts of the time of a time step: of pixels where they are computed; of objects and features in the rest of it."""

COUNT, CENTER = ("Default features", "Count"), ("Default features", "RegionCenter")


@dataclass(frozen=True)
class Step:
    """Results for one time step."""

    t: int
    objects: Objects
    table: FeatureTable
    predictions: Predictions | None


def run_lane(
    lane: Lane, plan: Plan, context: Context | None = None, clock: "Clock | None" = None
) -> Iterator[Step]:
    """Run a lane, time step by time step; the clock measures the time of each part."""
    context, clock, meter = context or Context(), clock or Clock(), present()
    if lane.role == PIXEL_ROLE:
        for t in range(lane.objects.shape[0]):
            meter.begin(t + PIXELS_PART)
            compute_pixels(lane, t)
            clock.lap("pixels")
            yield without_objects(lane, t)
        return
    lane = replace(
        lane,
        objects=timed(lane.objects, context.timings),
        raw=timed(lane.raw, context.timings) if lane.raw is not None else None,
    )
    threshold = threshold_for(lane, plan)
    count = 0
    for t in range(lane.objects.shape[0]):
        clock.restart()
        pixels = PIXELS_PART if lane.is_computed else 0.0
        if lane.is_computed:
            meter.begin(t + pixels)
            compute_pixels(lane, t)
            clock.lap("pixels")
        meter.begin(t + pixels + (1 - pixels) * SEGMENT_PART)
        objects = find_objects(lane, t, threshold, context)
        clock.lap("segment")
        count += objects.count
        check_count(count, plan, context)
        meter.begin(t + pixels + (1 - pixels) * (SEGMENT_PART + FEATURES_PART))
        table = measure_step(lane, plan, t, objects, context)
        clock.lap("features")
        predictions = plan.project.classify(table, context) if plan.project is not None else None
        clock.lap("classify")
        step = Step(t, objects, table, predictions)
        warn_of_whole(lane, threshold, step)
        yield step
    warn_of_none(lane, threshold, count)


def threshold_for(lane: Lane, plan: Plan) -> ThresholdSettings:
    """How the prediction map of a lane is thresholded, in its units; a message says so if it was given in others."""
    threshold, message = plan.threshold_of(lane), None
    if lane.role == "prediction_maps":
        threshold, message = in_range_of(lane.objects, threshold)
    if message:
        log.info("%s", message)
    return threshold


def warn_of_whole(lane: Lane, threshold: ThresholdSettings, step: Step) -> None:
    """Warn if the only object of a time step is all of it."""
    objects, sizes = step.objects, step.table.values.get(COUNT, np.zeros((1, 1)))
    if objects.count == 1 and sizes[0, 0] == prod(objects.labels.shape):
        log.warning(
            "%s, time step %d: the whole image is one object%s",
            lane.objects.name,
            step.t,
            _why(lane, threshold),
        )


def warn_of_none(lane: Lane, threshold: ThresholdSettings, count: int) -> None:
    """Warn if a lane has no objects."""
    if count == 0:
        log.warning("%s: no objects%s", lane.objects.name, _why(lane, threshold))


def _why(lane: Lane, threshold: ThresholdSettings) -> str:
    """The thresholds, to explain why they select no pixel or every pixel."""
    if lane.role != "prediction_maps":
        return ""
    cores = "" if threshold.method == "simple" else f", core threshold {threshold.core_threshold:g}"
    part = " of its range" if threshold.rescaled else ""
    return (
        f" (channel {threshold.channel}, threshold {threshold.threshold:g}{part}{cores}; objects of at least "
        f"{threshold.min_size} pixels{'' if threshold.max_size is None else f' and at most {threshold.max_size}'})"
    )


def compute_pixels(lane: Lane, t: int) -> None:
    """Compute the probabilities of a time step, which are kept, by all threads.

    Whoever asks first for a pixel computes the time step. If a thread of the pool did, within work on slabs, the
    others would wait for it within theirs.
    """
    first = slice(0, 1)
    lane.objects.read((slice(t, t + 1), first, first, first, first))


def without_objects(lane: Lane, t: int) -> Step:
    """A time step whose pixels alone are classified."""
    nothing = np.zeros(0, int)
    labels = np.broadcast_to(np.uint32(0), lane.objects.shape[1:4])
    return Step(t, Objects(labels, 0), FeatureTable(nothing, nothing, {}), None)


def check_count(count: int, plan: Plan, context: Context) -> None:
    """Refuse more objects than their features fit into memory, where they stay until the lane is done.

    Raises
    ------
    LaneError
        If there are too many; the message says how many and how much memory they need.
    """
    memory = context.limits.memory
    needed = count * (OBJECT_BYTES + FEATURE_BYTES * len(plan.features))
    if memory is not None and needed > memory:
        message = (
            f"{count} objects: their features need about {needed / 1e9:.2g} GB, {memory / 1e9:.2g} GB are left: "
            "raise --max_memory, leave out features or small objects (is it noise?)"
        )
        raise LaneError(message)


def measure_step(
    lane: Lane, plan: Plan, t: int, objects: Objects, context: Context | None = None
) -> FeatureTable:
    """The feature table of one time step."""
    context = context or Context()
    read_raw = box_reader(lane.raw, t, context) if lane.raw is not None else None
    return table_of(lane, plan, t, frame_of(lane, plan, objects, read_raw, context))


def frame_of(lane: Lane, plan: Plan, objects: Objects, read_raw: Read | None, context: Context) -> Frame:
    """Objects of a time step of a lane, to be measured."""
    return Frame(
        objects,
        read_raw,
        lane.channels,
        plan.measured_size(lane).spacing(objects.ndim),
        plan.margin,
        context,
    )


def table_of(lane: Lane, plan: Plan, t: int, frame: Frame) -> FeatureTable:
    """The feature table of objects of a time step."""
    objects = frame.objects
    values: dict[Any, FloatArray] = dict(measure(frame, plan.features))
    given = {"original_oid": objects.original} if objects.original is not None else {}
    if lane.atlas is not None:
        given |= atlas_values(lane.atlas, t, values[CENTER], frame.context)
    return FeatureTable(np.full(objects.count, t), np.arange(1, objects.count + 1), values, given)


def no_objects(
    lane: Lane, plan: Plan, context: Context | None = None
) -> tuple[FeatureTable, Predictions | None]:
    """Table and predictions of a lane without objects: arrays of the types that any image of the lane gives."""
    ndim, nothing = lane.objects.ndim, np.zeros(0, int)
    values = {f.key: np.zeros((0, len(f.columns(ndim, lane.channels))), f.dtype) for f in plan.features}
    given: dict[str, AnyArray] = {}
    if lane.role == "label_image":
        given["original_oid"] = integral(np.zeros(0, lane.objects.dtype), lane.objects.name)
    if lane.atlas is not None:
        given |= {name: np.zeros(0, lane.atlas.dtype) for name in _atlas_columns(lane.atlas)}
    table = FeatureTable(nothing, nothing, values, given)
    return table, plan.project.classify(table, context or Context()) if plan.project is not None else None


def given_columns(lane: Lane) -> list[str]:
    """Names of the columns of a lane that are not measured."""
    label_image = ["original_oid"] if lane.role == "label_image" else []
    return label_image + (_atlas_columns(lane.atlas) if lane.atlas is not None else [])


def _atlas_columns(atlas: Image) -> list[str]:
    channels = atlas.shape[4]
    return ["AtlasMapping"] if channels == 1 else [f"AtlasMapping_{c}" for c in range(channels)]


def atlas_values(atlas: Image, t: int, center: FloatArray, context: Context) -> dict[str, AnyArray]:
    """Value of the atlas at the rounded centre (x, y(, z)) of each object, by column."""
    read = box_reader(atlas, t, context)
    x, y, *z = np.rint(center).astype(int).T
    depth = z[0] if z else np.zeros_like(y)
    found = np.zeros((len(x), atlas.shape[4]), atlas.dtype)
    first, last = depth.min(initial=atlas.shape[1]), depth.max(initial=-1)
    for slab in context.limits.slabs(atlas.shape[1:4]):
        if slab.stop_z <= first or slab.z > last:
            continue
        here = (depth >= slab.z) & (depth < slab.stop_z) & (y >= slab.y) & (y < slab.stop_y)
        if here.any():
            pixels = read(slab.within(atlas.shape[1:4]))
            found[here] = pixels[depth[here] - slab.z, y[here] - slab.y, x[here]]
    return {name: found[:, c] for c, name in enumerate(_atlas_columns(atlas))}


class Clock:
    """Seconds spent on named parts, one after the other."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._last = perf_counter()

    def restart(self) -> None:
        """Start anew: the time since the last lap is not counted."""
        self._last = perf_counter()

    def lap(self, name: str) -> None:
        """Count the time since the last lap as spent on ``name``."""
        now = perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now


def collect(
    measured: Sequence[tuple[FeatureTable, Predictions | None]],
) -> tuple[FeatureTable, Predictions | None]:
    """Tables and predictions of the time steps of a lane, one after the other."""
    found = [predictions for _, predictions in measured if predictions is not None]
    return concatenate([table for table, _ in measured]), joined(found) if found else None
