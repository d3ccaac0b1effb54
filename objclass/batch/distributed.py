"""Lanes that the workers of a distributed engine run: each by one of them, or one by all."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import groupby
from math import prod
from typing import TYPE_CHECKING

from objclass.batch.lane_task import LaneTask, arrived, run_lane_task
from objclass.batch.task import Numbered, Results, run_task
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.compute.slabs import VOXEL_BYTES
from objclass.core import Lane
from objclass.export.files import RunFiles
from objclass.export.naming import Task
from objclass.pipeline.cut import cut_lane, prepared
from objclass.pipeline.cut.parts import SMALLEST
from objclass.pipeline.lane import Clock, Step
from objclass.pipeline.plan import Plan

if TYPE_CHECKING:
    from objclass.batch.dask_workers import DaskWorkers


def is_cut(lane: Lane, lanes: int, count: int, limits: Limits) -> bool:
    """Whether ``count`` workers of these limits run a lane together, of so many lanes.

    They do where it is too large for one of them, or most of them would have nothing to do. Pixels that are computed are
    not cut: if there are many such lanes, each worker computes one of them, block by block.
    """
    steps, *shape, _ = lane.objects.shape
    voxels = prod(shape)
    is_large = not (lane.is_computed or limits.holds(voxels * VOXEL_BYTES))
    return count > 1 and (is_large or (lanes < count and steps * voxels > SMALLEST))


class DistributedEngine:
    """Lanes are tasks of workers; this process commits them.

    A large lane, or one of a few, is cut among the workers. Those that are written to a server, or to a file of
    several lanes, are written here.

    Parameters
    ----------
    workers
        They run lanes, or parts of them.
    context
        Of this process.
    """

    name = "dask"

    def __init__(self, workers: "DaskWorkers", context: Context) -> None:
        self._workers, self._context = workers, context
        self.limits = replace(workers.limits, jobs=workers.count)

    def results(self, lanes: Sequence[Numbered], plan: Plan, files: RunFiles) -> Results:
        """Each lane, run; in their order."""
        containers = Counter(path for _, task in lanes for path in task.shared - set(task.tables))
        shared = {path for path, count in containers.items() if count > 1}

        def way(numbered: Numbered) -> Callable[[Sequence[Numbered], Plan, RunFiles], Results]:
            _, task = numbered
            if task.paths and is_cut(task.lane, len(lanes), self._workers.count, self._workers.limits):
                return self._together
            return self._here if _is_written_here(task, shared) else self._there

        for run, group in groupby(lanes, way):
            with closing(run(list(group), plan, files)) as results:
                yield from results

    def _there(self, lanes: Sequence[Numbered], plan: Plan, files: RunFiles) -> Results:
        """Each lane by a worker."""
        common = plan, self._context
        items = (LaneTask(task, files.pending.workspaces(task.own_paths)) for _, task in lanes)
        with closing(self._workers.outcomes(run_lane_task, common, items)) as outcomes:
            for (number, task), outcome in zip(lanes, outcomes, strict=True):
                yield arrived(outcome, task, files.lane(number), self._context)

    def _here(self, lanes: Sequence[Numbered], plan: Plan, files: RunFiles) -> Results:
        """Each lane by this process."""
        for number, task in lanes:
            yield run_task(task, plan, files.lane(number), self._context)

    def _together(self, lanes: Sequence[Numbered], plan: Plan, files: RunFiles) -> Results:
        """Each lane by all workers; this process writes what they do not write."""
        context = self._context.with_workers(self._workers)
        for number, task in lanes:
            with files.folder(task.paths[0]) as folder:

                def walk(
                    lane: Lane, plan: Plan, context: Context, clock: Clock, folder: str = folder
                ) -> Iterator[Step]:
                    return cut_lane(lane, plan, context, self._workers, folder, clock)

                # images of pixels are made of what the workers have computed, too
                lane = prepared(task.lane, plan, self._workers, folder)
                result = run_task(replace(task, lane=lane), plan, files.lane(number), context, walk)
                result.task = task  # which the run knows
                yield result


def _is_written_here(task: Task, shared: Collection[str]) -> bool:
    """Whether an output of a lane is sent to a server, or goes to a file of several lanes."""
    return any(output.is_url or output.path in shared for output in task.outputs)
