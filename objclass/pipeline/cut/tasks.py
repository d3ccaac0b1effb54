"""What workers do for a lane: plain functions of plain data, which may be done twice."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.compute.origin import Message, captured
from objclass.compute.slabs import Box, Slab
from objclass.core import AnyArray, FeatureTable, Image, IntArray, Lane, Objects, Predictions
from objclass.features.sets.standard import global_maximum, global_minimum
from objclass.features.statistics.intensity import FLT_MAX, Histogram
from objclass.features.statistics.kinds import closure
from objclass.images.blockwise import Read, box_reader, timed
from objclass.images.window import is_within, placed, window, within
from objclass.pipeline.cut import left_overs
from objclass.pipeline.cut.labels import CORES, LABELS, Ids, PartFiles, final_ids
from objclass.pipeline.cut.owner import Owner, OwnLabels
from objclass.pipeline.cut.parts import Parts
from objclass.pipeline.cut.pixels import PixelStage
from objclass.pipeline.cut.union import Found
from objclass.pipeline.lane import frame_of, measure_step, table_of
from objclass.pipeline.plan import Plan
from objclass.segmentation.find import find_objects
from objclass.segmentation.part import OpenComponents, find_part
from objclass.settings import ThresholdSettings

GLOBAL = (global_minimum, global_maximum)
"""Features of all objects of a time step."""

MARGIN = 2
"""Voxels that features look at around an object, besides its neighbourhood."""


@dataclass(frozen=True, eq=False)
class Stage:
    """What all tasks of a lane need.

    Parameters
    ----------
    lane, plan, threshold
        What is to be done.
    folder
        Where label images are written.
    parts
        How time steps are cut.
    context
        That of each worker: it pickles without its caches.
    pixels
        The pixel classifiers whose probabilities are `objects` of the lane, if they are computed.
    """

    lane: Lane
    plan: Plan
    threshold: ThresholdSettings
    folder: str
    parts: Parts
    context: Context
    pixels: Sequence[PixelStage] = ()

    def files(self, t: int) -> PartFiles:
        """The files of a time step."""
        return PartFiles(self.folder, t, self.parts)

    def timed(self, context: Context) -> Lane:
        """The lane, with the time of reading measured."""
        lane, timings = self.lane, context.timings
        raw = timed(lane.raw, timings) if lane.raw is not None else None
        return replace(lane, objects=timed(lane.objects, timings), raw=raw)


@dataclass(frozen=True)
class Report:
    """What a task returns: its result, what it logged, and the seconds of its parts."""

    result: Any
    messages: list[Message]
    seconds: dict[str, float]


def do(stage: Stage, item: tuple[Callable[..., Any], tuple[Any, ...]]) -> Report:
    """Do a task: a function of the stage, a context and arguments."""
    function, arguments = item
    context, messages = stage.context.within(stage.context.limits), list[Message]()
    with captured(messages):
        result = function(stage, context, *arguments)
    return Report(result, messages, dict(context.timings))


# ---------------------------------------------------------------------------- time steps


def run_step(
    stage: Stage,
    context: Context,
    t: int,
    computes: bool,  # noqa: FBT001  an argument of a task
) -> tuple[int, AnyArray | None, FeatureTable, Predictions | None]:
    """A whole time step: number of objects, their original ids, features, predictions.

    It ``computes`` probabilities, too, or others have done that.
    """
    if computes:
        pixels_of_step(stage, context, t)
    lane = stage.timed(context)
    objects = find_objects(lane, t, stage.threshold, context)
    files = stage.files(t)
    files.write(0, objects.labels, objects.count, context)
    files.write_known(0, np.zeros((3, 0)))
    table = measure_step(lane, stage.plan, t, objects, context)
    return objects.count, objects.original, table, _classes(stage.plan, table, context)


def _classes(plan: Plan, table: FeatureTable, context: Context) -> Predictions | None:
    return plan.project.classify(table, context) if plan.project is not None else None


def pixels_of_step(stage: Stage, context: Context, t: int) -> None:
    """The probabilities of a whole time step."""
    for pixels in stage.pixels:
        pixels.compute(t, pixels.result.cubes, context)


# ---------------------------------------------------------------------------- parts


def pixels_of_cubes(stage: Stage, context: Context, t: int, number: int, cubes: Sequence[Box]) -> None:
    """The probabilities of some cubes, by one of the pixel classifiers."""
    stage.pixels[number].compute(t, cubes, context)


def label_part(stage: Stage, context: Context, t: int, number: int) -> Found:
    """Find the objects of a part, and write their label image."""
    found = find_part(stage.timed(context), t, stage.parts.slabs[number], stage.threshold, context)
    files = stage.files(t)
    files.write(number, found.labels, found.count, context)
    if found.cores is not None:
        files.write(number, found.cores.labels, found.cores.count, context, CORES)
    value_range = None
    if needs_range(stage.plan) and not may_vanish(found.open):
        value_range = range_of(stage, context, t, number, lambda tile: found.labels[tile] > 0)
    cores = found.cores.open if found.cores is not None else None
    return Found(found.count, found.open, found.original, cores, found.overlaps, found.top, value_range)


def may_vanish(found: OpenComponents) -> bool:
    """Whether open components may be no objects in the end."""
    return found.sizes is not None or found.holds_core is not None


def needs_range(plan: Plan) -> bool:
    """Whether features depend on the range of the values of all objects of a time step."""
    inside = [feature for feature in plan.features if feature.scope == "object"]
    return any(f.compute in GLOBAL or Histogram in closure(f.needs) for f in inside)


def seam_pairs(stage: Stage, _: Context, t: int, a: int, b: int, kind: str = LABELS) -> IntArray:
    """Which ids of two parts touch at their seam, the first part before the second one: pairs (2, n)."""
    files, parts = stage.files(t), stage.parts
    planes, rows = parts.tile
    first, second = parts.slabs[a], parts.slabs[b]
    pairs = []
    for box in parts.tiles(second):
        z, y = box[0].start + second.z, box[1].start + second.y
        here = slice(z, z + box[0].stop - box[0].start), slice(y, y + box[1].stop - box[1].start), box[2]
        if first.z == second.z and y == second.y:  # rows of one plane
            above = slice(y - 1 - (y - 1 - first.y) % rows, y)
            before = files.tile((here[0], above, box[2]), kind)[:, -1]
            pairs.append(_touching(before, files.tile(here, kind)[:, 0]))
        if first.z != second.z and z == second.z:
            above = slice(z - 1 - (z - 1 - first.z) % planes, z)
            before = files.tile((above, here[1], box[2]), kind)[-1]
            pairs.append(_touching(before, files.tile(here, kind)[0]))
    every = np.unique(np.concatenate([np.zeros(0, np.uint64), *pairs]))
    return np.stack([every >> np.uint64(32), every & np.uint64(0xFFFFFFFF)]).astype(np.int64)


def _touching(before: Ids, after: Ids) -> NDArray[np.uint64]:
    """Pairs of ids, each as one number, that are at the same place."""
    touch = (before > 0) & (after > 0)
    return np.unique(before[touch].astype(np.uint64) << np.uint64(32) | after[touch])


def range_of_part(stage: Stage, context: Context, t: int, number: int, before: int) -> tuple[float, float]:
    """The range of the values of objects in a part, where some of what was found there may have vanished."""
    files, part = stage.files(t), stage.parts.slabs[number]
    is_object = final_ids(files.known(number), files.count(number), before) > 0
    return range_of(stage, context, t, number, lambda tile: is_object[files.tile(placed(tile, part))])


def range_of(
    stage: Stage, context: Context, t: int, number: int, is_object: Callable[[Box], NDArray[np.bool_]]
) -> tuple[float, float]:
    """The smallest and the largest raw value (of the only channel) of objects in a part, as `Intensity` has them.

    ``is_object`` says which voxels of a tile (which counts from the first voxel of the part) belong to objects.
    """
    part, raw = stage.parts.slabs[number], stage.timed(context).raw
    assert raw is not None
    read = box_reader(window(raw, t, part.within(stage.parts.shape)), 0, context)

    def look(tile: Box) -> tuple[float, float]:
        return extremes(read(tile)[..., 0][is_object(tile)])

    low, high = zip(*context.ordered(look, stage.parts.tiles(part)), strict=True)
    return min(low), max(high)


def extremes(values: AnyArray) -> tuple[float, float]:
    """The smallest and the largest of values as float32; NaN is left out, without any they are ±FLT_MAX."""
    if values.dtype.kind == "f":
        with np.errstate(over="ignore"):
            values = values.astype(np.float32)
        low = np.fmin.reduce(values, initial=np.float32(FLT_MAX))
        high = np.fmax.reduce(values, initial=np.float32(-FLT_MAX))
        return float(low) + 0.0, float(high) + 0.0  # never -0
    if not len(values):
        return FLT_MAX, -FLT_MAX
    return float(np.float32(values.min())), float(np.float32(values.max()))


def measure_part(
    stage: Stage, context: Context, t: int, owner: Owner, value_range: tuple[float, float] | None
) -> left_overs.Measured:
    """Features and predictions of the objects that begin in a part; their ids are those of the time step."""
    lane, plan, files = stage.timed(context), stage.plan, stage.files(t)
    labels = OwnLabels(files, owner, context)
    slabs = labels.slabs
    raw = _reader(lane.raw, t, slabs, plan.margin, context) if lane.raw is not None else None
    frame = frame_of(lane, plan, Objects(labels, owner.count), raw, context)
    frame = replace(frame, slabs=slabs, first=owner.before, value_range=value_range)
    table = table_of(lane, replace(plan, features=(*plan.features, *left_overs.needed(plan))), t, frame)
    table, low, center = left_overs.split(replace(table, label=table.label + owner.before))
    return left_overs.Measured(table, _classes(plan, table, context), low, center)


def _reader(image: Image, t: int, slabs: Sequence[Slab], margin: Sequence[int], context: Context) -> Read:
    """Reads boxes of a time step, of which most are near the slabs."""
    _, y, z = (*margin, 0, 0, 0)[:3]
    chunks = dict(zip(image.axes, getattr(image.stored, "chunks", None) or (), strict=False))
    ends = [
        (min(s.z for s in slabs), max(s.stop_z for s in slabs), z, chunks.get("z", 1)),
        (min(s.y for s in slabs), max(s.stop_y for s in slabs), y, chunks.get("y", 1)),
    ]
    near = [
        slice(
            max(start - wide - MARGIN, 0) // chunk * chunk,
            min(-(-(stop + wide + MARGIN) // chunk) * chunk, n),
        )
        for (start, stop, wide, chunk), n in zip(ends, image.shape[1:3], strict=True)
    ]
    where = near[0], near[1], slice(0, image.shape[3])
    read = box_reader(window(image, t, where), 0, context)

    def read_box(box: Box) -> AnyArray:
        if is_within(box, where):
            return read(within(box, where))
        return image.read((slice(t, t + 1), *box, slice(0, image.shape[4])))[0]

    return read_box
