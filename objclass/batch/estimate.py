"""What a run will take: memory and disk by the headers, time by measuring a small image of the same kind."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from time import perf_counter
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.compute.slabs import VOXEL_BYTES, VOXELS
from objclass.core import AnyArray, ArrayStore, Image, Lane
from objclass.export.naming import Task
from objclass.pipeline.lane import run_lane
from objclass.pipeline.plan import Plan

BASE = 150_000_000
"""Bytes that Python and the libraries need."""

PIXEL_BYTES = 350_000_000
"""Bytes that a thread needs to classify pixels: features of a cube, and its filters."""

SPARE = 1.2
"""What a scheduler is asked for, in place of 1."""

SIDES = {2: (1, 384, 384), 3: (24, 96, 96)}
"""Lengths z, y, x of the image that time is measured with."""

PITCH = 16
"""Pixels from one of its objects to the next."""

VALUE_BYTES = 9
"""Bytes of a number in a table, about."""


@dataclass(frozen=True)
class Estimate:
    """What a run, or a lane of it, takes.

    Parameters
    ----------
    memory
        Largest number of bytes in memory.
    disk
        Bytes of its images, if they cannot be compressed.
    seconds
        Wall time; None if it could not be measured.
    row
        Bytes of an object in the tables.
    """

    memory: int
    disk: int
    seconds: float | None
    row: int

    @property
    def requested(self) -> str:
        """What to ask a scheduler for: ``--mem=900M``."""
        return f"--mem={int(np.ceil(self.memory * SPARE / 1e8)) * 100}M"


def needed_memory(lane: Lane, limits: Limits, voxels: int) -> int:
    """Maximum bytes in memory where so many voxels of a time step of a lane are done at a time."""
    held = [voxels * np.dtype(np.uint32).itemsize]
    if lane.raw is not None:
        held.append(voxels * lane.channels * lane.raw.dtype.itemsize)
    working = sum(size if limits.holds(size) else limits.share(size) for size in held)
    working += VOXEL_BYTES * min(voxels, VOXELS) * min(limits.jobs + 1, -(-voxels // VOXELS))
    if lane.is_computed:
        working += PIXEL_BYTES * limits.jobs
    return BASE + (working if limits.memory is None else min(working, limits.memory))


def estimate_lane(task: Task, columns: int, memory: int, speed: float | None) -> Estimate:
    """What one lane takes, where ``memory`` is that of its largest task, and ``speed`` is seconds for a voxel of one thread."""
    shape = task.lane.objects.shape
    disk = sum(prod(o.export.image.shape) * o.export.image.dtype.itemsize for o in task.outputs)
    seconds = None if speed is None else speed * prod(shape[:4])
    return Estimate(memory, disk, seconds, VALUE_BYTES * columns if task.table else 0)


def estimate_run(lanes: Sequence[Estimate], at_once: int, jobs: int, processes: int = 1) -> Estimate:
    """What a run of these lanes takes, of which so many tasks are done at once by so many threads in all."""
    memory = processes * BASE + at_once * max((lane.memory - BASE for lane in lanes), default=0)
    known = [lane.seconds for lane in lanes if lane.seconds is not None]
    seconds = sum(known) / jobs if len(known) == len(lanes) else None
    return Estimate(memory, sum(lane.disk for lane in lanes), seconds, max((e.row for e in lanes), default=0))


def measured_speed(lane: Lane, plan: Plan) -> float | None:
    """Seconds for a voxel, in one thread, of a small image like those of a lane, full of small objects."""
    sides = SIDES[lane.objects.ndim]
    place = np.mgrid[tuple(slice(0, n) for n in sides)] % PITCH - PITCH / 2
    inside = (place[1:] ** 2).sum(axis=0) + (place[0] ** 2 if sides[0] > 1 else 0) < (PITCH / 3) ** 2
    rng = np.random.default_rng(0)

    def like(image: Image, pixels: AnyArray) -> Image:
        whole = np.broadcast_to(pixels[None, ..., None], (1, *sides, image.shape[4])).astype(image.dtype)
        return replace(image, stored=ArrayStore(whole), axes="tzyxc", pixel_size=None)

    small: dict[str, Any] = {"objects": like(lane.objects, inside), "atlas": None, "mask": None}
    if lane.raw is not None:
        small["raw"] = like(lane.raw, rng.integers(0, 100, sides))
    if lane.is_computed:
        if plan.pixels is None or small.get("raw") is None:
            return None
        small["objects"] = plan.pixels.probabilities(small["raw"], Context(), None)
    try:
        for _ in range(2):  # the first one imports and loads
            start = perf_counter()
            for _step in run_lane(replace(lane, **small), plan):
                pass
            seconds = perf_counter() - start
    except Exception:  # noqa: BLE001  of an image that nobody has made: no estimate then
        return None
    return seconds / prod(sides)
