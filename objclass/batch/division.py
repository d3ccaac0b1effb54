"""How a run is divided into tasks: which part of a lane each does, what it reads, and the memory that it may take."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod

from objclass.batch.distributed import is_cut
from objclass.batch.engine import share_out
from objclass.batch.estimate import needed_memory
from objclass.batch.processes import shared_out
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.compute.slabs import Box, Slab
from objclass.core import Image, Lane
from objclass.export.naming import Task
from objclass.pipeline.cut import parts_of
from objclass.pipeline.plan import Plan
from objclass.segmentation.smoothing import halo, kernels_for
from objclass.settings import EngineSettings, ResourceSettings, ThresholdSettings


@dataclass(frozen=True)
class Capacity:
    """What an engine does at once.

    Parameters
    ----------
    engine
        Its name.
    count
        Number of tasks.
    limits
        Memory and threads of each.
    processes
        Number of processes that have a copy of the program.
    """

    engine: str
    count: int
    limits: Limits
    processes: int = 1


@dataclass(frozen=True)
class Portion:
    """What a task does of a lane: time steps, planes and rows, each from the first to before the last.

    Parameters
    ----------
    t, z, y
        Where it is.
    blocks
        In how many blocks it is done, so that it fits into the memory.
    memory
        Maximum bytes of its memory.
    reads
        Role of an image -> bytes of its pixels, unpacked.
    """

    t: tuple[int, int]
    z: tuple[int, int]
    y: tuple[int, int]
    blocks: int
    memory: int
    reads: dict[str, int]


def capacity_of(
    settings: EngineSettings, resources: ResourceSettings, context: Context, tasks: Sequence[Task]
) -> Capacity:
    """What the engine of the user's choice does at once. A scheduler that is given is asked.

    Raises
    ------
    UsageError
        If there is no such scheduler, or it has no workers.
    """
    if settings.engine == "threads":
        count, limits = share_out(tasks, context.limits)
        return Capacity(settings.engine, count, limits)
    from objclass.batch.cluster import dask_workers

    if settings.scheduler is None and settings.scheduler_file is None:
        count, limits = shared_out(context.limits)
        return Capacity(settings.engine, count, limits, count + 1)
    with dask_workers(settings, resources, context) as (workers, _):
        return Capacity(settings.engine, workers.count, workers.limits, workers.count + 1)


def portions_of(task: Task, plan: Plan, capacity: Capacity, lanes: int) -> list[Portion]:
    """The tasks of a lane, one of so many, in their order."""
    lane, limits = task.lane, capacity.limits
    steps, depth, height, *_ = lane.objects.shape
    threshold = plan.threshold_of(lane)
    whole = Slab(0, depth, 0, height)
    if capacity.engine == "threads" or not is_cut(lane, lanes, capacity.count, limits):
        places = [((0, steps), whole)]
    else:
        parts = parts_of(lane, threshold, limits, capacity.count)
        slabs = parts.slabs if parts is not None else [whole]
        places = [((t, t + 1), slab) for t in range(steps) for slab in slabs]
    return [_portion(lane, plan, threshold, limits, t, slab) for t, slab in places]


def _portion(
    lane: Lane, plan: Plan, threshold: ThresholdSettings, limits: Limits, t: tuple[int, int], slab: Slab
) -> Portion:
    box = slab.within(lane.objects.shape[1:4])
    z, y, x = (part.stop - part.start for part in box)
    reads = {
        role: (t[1] - t[0]) * _voxels(wide) * channels * image.dtype.itemsize
        for role, image, channels, wide in _inputs(lane, plan, threshold, box)
    }
    memory = needed_memory(lane, limits, z * y * x)
    return Portion(
        t, (slab.z, slab.stop_z), (slab.y, slab.stop_y), len(limits.slabs((z, y, x))), memory, reads
    )


def _inputs(
    lane: Lane, plan: Plan, threshold: ThresholdSettings, box: Box
) -> Iterator[tuple[str, Image, int, Box]]:
    """The images that are read for a part of a lane: role, image, number of channels, and their box."""
    shape = lane.objects.shape[1:4]
    if lane.raw is not None:
        has_neighbourhoods = any(feature.scope != "object" for feature in plan.features)
        margin = (*(plan.margin if has_neighbourhoods else ()), 0, 0, 0)[2::-1]
        yield "raw_data", lane.raw, lane.channels, _widened(box, margin, shape)
    if not lane.is_computed:
        is_map = lane.role == "prediction_maps"
        kernels = kernels_for(shape, threshold.sigma_xyz) if is_map else ()
        channels = 2 if is_map and threshold.method != "simple" else 1
        yield lane.role, lane.objects, channels, halo(box, shape, kernels)[0]
    for role, image in (("atlas", lane.atlas), ("prediction_mask", lane.mask)):
        if image is not None:
            yield role, image, image.shape[4], box


def _widened(box: Box, margin: Sequence[int], shape: Sequence[int]) -> Box:
    """A box with a margin (z, y, x), as far as the image goes."""
    z, y, x = (
        slice(max(part.start - around, 0), min(part.stop + around, length))
        for part, around, length in zip(box, margin, shape, strict=True)
    )
    return z, y, x


def _voxels(box: Box) -> int:
    return prod(part.stop - part.start for part in box)
