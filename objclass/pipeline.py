"""The run: one lane, step by step, from pixels to classes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import Any

import numpy as np

from objclass.blocks import ALL, Limits
from objclass.core import (
    AnyArray,
    FeatureTable,
    FloatArray,
    Image,
    Lane,
    Objects,
    PixelSize,
    Predictions,
    concatenate,
)
from objclass.errors import ImageError, ProjectError, UsageError
from objclass.features import Feature, Frame, feature_set, measure
from objclass.features.statistics import box_of
from objclass.project import Project
from objclass.reading import Spent, box_reader, timed
from objclass.segmentation import check_first_block, find_objects
from objclass.settings import ThresholdSettings
from objclass.tables import ObjectImage

CENTER = ("Default features", "RegionCenter")


@dataclass(frozen=True)
class Plan:
    """What to do with every lane.

    Parameters
    ----------
    features
        All features to measure.
    shown
        Those that the table shows, in this order.
    threshold
        How prediction maps are cut.
    margin
        Neighbourhood along x, y(, z) in pixels.
    project
        Classifies; None only measures.
    pixel_size
        What the user states; it overrides what the images say.
    limits
        Memory, blocks and threads; they change no result.
    """

    features: tuple[Feature, ...]
    shown: tuple[Feature, ...]
    threshold: ThresholdSettings = field(default_factory=ThresholdSettings)
    margin: tuple[int, ...] = ()
    project: Project | None = None
    pixel_size: PixelSize | None = None
    limits: Limits = ALL

    def spacing(self, ndim: int) -> tuple[float, ...]:
        """Extents of a pixel that features see, (y, x) or (z, y, x): 1 unless the user states others.

        A forest was trained in pixels; and what a file says must not turn a column ``area`` from pixels
        to µm² behind the user's back.
        """
        size = self.pixel_size if self.project is None else None
        return (size or PixelSize()).spacing(ndim)


@dataclass(frozen=True)
class Step:
    """Results for one time step."""

    t: int
    objects: Objects
    table: FeatureTable
    predictions: Predictions | None


def plan_for(project: Project, lanes: Sequence[Lane], pixel_size: PixelSize | None = None) -> Plan:
    """What a project asks for.

    The table shows the default features first, then the others in sorted order; those that the forest
    does without are left out where an image cannot have them (a skeleton in 3D).
    """
    defaults: Mapping[str, Feature] = feature_set("Default features") or {}
    features = [
        feature
        for feature in project.features()
        if feature.key in project.selected
        or all(feature.fits(lane.objects.ndim, lane.channels) for lane in lanes)
    ]
    by_key = {feature.key: feature for feature in features}
    shown = [by_key[key] for key in project.shown() if key in by_key]
    chosen = {feature.name for feature in shown if feature.set_name == "Standard Object Features"}
    extra = [f for name, f in defaults.items() if name not in chosen]
    return Plan(
        tuple(dict.fromkeys([*features, *defaults.values()])),
        (*extra, *shown),
        project.threshold,
        project.margin,
        project,
        pixel_size,
    )


def check_lane(lane: Lane, plan: Plan) -> None:
    """Find what headers and a first look can tell before the run.

    Raises
    ------
    ImageError, ProjectError, UsageError
        With what does not fit.
    """
    if lane.role == "prediction_maps":
        _check_channels(lane, plan.threshold)
    else:
        check_first_block(lane.objects)
        if lane.objects.shape[4] > 1:
            message = (
                f"{lane.role.replace('_', ' ')} {lane.objects.name} has {lane.objects.shape[4]} "
                f"channels (axes {lane.objects.axes} from {lane.objects.axes_from}): expected one "
                "(wrong --input_axes?)"
            )
            raise ImageError(message)
    check_features(lane, plan)


def check_features(lane: Lane, plan: Plan) -> None:
    """Refuse a lane whose features would not be those that are asked for.

    Raises
    ------
    ProjectError, UsageError
        With what does not fit.
    """
    if plan.project is not None and plan.project.forest is not None:
        given = lane.raw or lane.objects
        told = f"{given.name} {given.stored.shape} with axes {given.axes} from {given.axes_from}"
        plan.project.check_columns(lane.objects.ndim, lane.channels, told)
    _check_margin(lane, plan)
    if lane.raw is None and any(f.looks_at_pixels for f in plan.features):
        message = f"{lane.objects.name}: the features look at raw data: give --raw_data"
        raise UsageError(message)


def _check_margin(lane: Lane, plan: Plan) -> None:
    around = any(feature.scope != "object" for feature in plan.features)
    ndim = lane.objects.ndim
    if around and (len(plan.margin) < ndim or min(plan.margin[:ndim]) <= 0):
        message = (
            f"{lane.objects.name} is {ndim}D: its neighbourhood features need a margin above 0 along each "
            f"axis, x, y(, z): {plan.margin} is stored"
        )
        raise ProjectError(message)


def _check_channels(lane: Lane, threshold: ThresholdSettings) -> None:
    channels = lane.objects.shape[4]
    used = {threshold.channel}
    if threshold.method != "simple":
        used.add(threshold.core_channel)
    if max(used) >= channels:
        message = (
            f"prediction maps {lane.objects.name} have {channels} channels (axes {lane.objects.axes} "
            f"from {lane.objects.axes_from}): channel {max(used)} is asked for (counted from 0)"
        )
        raise ImageError(message)


def run_lane(lane: Lane, plan: Plan, clock: "Clock | None" = None) -> Iterator[Step]:
    """Walk a lane, time step by time step; the clock is told where the time went."""
    clock = clock or Clock()
    lane = replace(
        lane,
        objects=timed(lane.objects, clock.within),
        raw=timed(lane.raw, clock.within) if lane.raw is not None else None,
    )
    for t in range(lane.objects.shape[0]):
        clock.restart()
        objects = find_objects(lane, t, plan.threshold, plan.limits, clock.within)
        clock.lap("segment")
        table = measure_step(lane, plan, t, objects)
        clock.lap("features")
        predictions = plan.project.classify(table, plan.limits.jobs) if plan.project is not None else None
        clock.lap("classify")
        yield Step(t, objects, table, predictions)


def measure_step(lane: Lane, plan: Plan, t: int, objects: Objects) -> FeatureTable:
    """The table of one time step."""
    frame = Frame(
        objects,
        box_reader(lane.raw, t, plan.limits) if lane.raw is not None else None,
        lane.channels,
        plan.spacing(objects.ndim),
        plan.margin,
        plan.limits,
    )
    values: dict[Any, FloatArray] = dict(measure(frame, plan.features))
    given = {"original_oid": objects.original} if objects.original is not None else {}
    if lane.atlas is not None:
        given |= atlas_values(lane.atlas, t, values[CENTER], plan.limits)
    return FeatureTable(np.full(objects.count, t), np.arange(1, objects.count + 1), values, given)


def object_images(lane: Lane, step: Step, margin: int, limits: Limits) -> list[ObjectImage]:
    """Each object of a time step cut out, with ``margin`` pixels around it as far as the image goes."""
    low, high = (step.table.values["Default features", f"Coord<{end}>"] for end in ("Minimum", "Maximum"))
    size = np.array(lane.objects.shape[3 : 3 - step.objects.ndim : -1])
    read = box_reader(lane.raw, step.t, limits) if lane.raw is not None else None
    crops = []
    for row in range(step.objects.count):
        start = np.maximum(low[row] - margin, 0).astype(int)
        box = box_of(start, np.minimum(high[row] + margin, size))
        mask = (step.objects.labels[box] == row + 1).astype(np.uint8)
        crops.append(ObjectImage(mask[None, ..., None], read(box)[None] if read is not None else None))
    return crops


def given_columns(lane: Lane) -> list[str]:
    """Columns that come with the objects of a lane."""
    label_image = ["original_oid"] if lane.role == "label_image" else []
    return label_image + (_atlas_columns(lane.atlas) if lane.atlas is not None else [])


def _atlas_columns(atlas: Image) -> list[str]:
    channels = atlas.shape[4]
    return ["AtlasMapping"] if channels == 1 else [f"AtlasMapping_{c}" for c in range(channels)]


def atlas_values(atlas: Image, t: int, center: FloatArray, limits: Limits) -> dict[str, AnyArray]:
    """Value of the atlas at the rounded centre (x, y(, z)) of each object, by column."""
    read = box_reader(atlas, t, limits)
    x, y, *z = np.rint(center).astype(int).T
    depth = z[0] if z else np.zeros_like(y)
    found = np.zeros((len(x), atlas.shape[4]), atlas.dtype)
    for slab in limits.slabs(atlas.shape[1:4]):
        here = (depth >= slab.z) & (depth < slab.stop_z) & (y >= slab.y) & (y < slab.stop_y)
        if here.any():
            pixels = read(slab.within(atlas.shape[1:4]))
            found[here] = pixels[depth[here] - slab.z, y[here] - slab.y, x[here]]
    return {name: found[:, c] for c, name in enumerate(_atlas_columns(atlas))}


class Clock:
    """Seconds spent on named parts, one after the other; ``within`` them, of all threads, on others."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.within = Spent()
        self._last = perf_counter()

    def restart(self) -> None:
        """What has passed since the last lap is counted nowhere."""
        self._last = perf_counter()

    def lap(self, name: str) -> None:
        """What has passed since the last lap was spent on ``name``."""
        now = perf_counter()
        self.seconds[name] = self.seconds.get(name, 0.0) + now - self._last
        self._last = now


def collect(
    measured: Sequence[tuple[FeatureTable, Predictions | None]],
) -> tuple[FeatureTable, Predictions | None]:
    """Tables and predictions of the time steps of a lane, one after the other."""
    found = [predictions.probabilities for _, predictions in measured if predictions is not None]
    return (
        concatenate([table for table, _ in measured]),
        Predictions(np.concatenate(found)) if found else None,
    )
