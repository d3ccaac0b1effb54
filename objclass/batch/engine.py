"""The engine of a run: what its lanes are run by. Threads of this process, or the workers of a distributed engine."""

from collections import Counter
from collections.abc import Callable, Collection, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from itertools import groupby
from math import prod
from typing import TYPE_CHECKING, Protocol

from objclass.batch.lane_task import LaneTask, arrived, run_lane_task
from objclass.batch.task import LaneResult, run_task
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.compute.slabs import VOXEL_BYTES
from objclass.core import Lane
from objclass.export.files import OwnLaneFiles, RunFiles
from objclass.export.naming import Task
from objclass.pipeline.cut import cut_lane, prepared
from objclass.pipeline.cut.parts import SMALLEST
from objclass.pipeline.lane import Clock, Step
from objclass.pipeline.plan import Plan
from objclass.settings import EngineSettings, ResourceSettings

if TYPE_CHECKING:
    from objclass.batch.dask_workers import DaskWorkers

Results = Generator[LaneResult[OwnLaneFiles], None, None]

Numbered = tuple[int, Task]
"""A lane with its number among all of the run, from 0."""


class Engine(Protocol):
    """What runs lanes."""

    name: str
    limits: Limits
    """Memory and threads of the whole run."""

    def results(self, lanes: Sequence[Numbered], plan: Plan, files: RunFiles) -> Results:
        """Each lane, run; in their order.

        Raises
        ------
        EngineError
            If the engine is gone.
        """


@contextmanager
def engine_for(settings: EngineSettings, resources: ResourceSettings, context: Context) -> Iterator[Engine]:
    """The engine of the user's choice; its processes, if it has some of its own, end with it.

    Raises
    ------
    UsageError
        If it cannot be used.
    """
    if settings.engine == "threads":
        yield ThreadEngine(context)
        return
    from objclass.batch.cluster import dask_workers

    with dask_workers(settings, resources, context) as (workers, here):
        yield DistributedEngine(workers, context.within(here))


class ThreadEngine:
    """Lanes are run by the threads of this process: several at once where they are small."""

    name = "threads"

    def __init__(self, context: Context) -> None:
        self._context = context
        self.limits = context.limits

    def results(self, lanes: Sequence[Numbered], plan: Plan, files: RunFiles) -> Results:
        """Each lane, run; in their order."""
        context = self._context
        images = sum(task.lane.objects.shape[0] for _, task in lanes)
        at_once, limits = share_out([task for _, task in lanes], replace(context.limits, images=images))
        each, every = context.within(limits), context if at_once > 1 else context.within(Limits())

        def run_one(numbered: Numbered) -> LaneResult[OwnLaneFiles]:
            number, task = numbered
            return run_task(task, plan, files.lane(number), each)

        return every.ordered(run_one, lanes, LaneResult.discard, helps=False)


def share_out(tasks: Sequence[Task], limits: Limits) -> tuple[int, Limits]:
    """The number of lanes that are run at once, and the limits of each.

    Small lanes are run in parallel, each by one thread; large ones one after the other, in blocks, as are
    lanes that are written to one file.
    """
    files = [path for task in tasks for path in {output.path for output in task.outputs}]
    if not tasks or len(set(files)) < len(files):
        return 1, limits
    return limits.divided(len(tasks), max(prod(task.lane.objects.shape[1:4]) for task in tasks))


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
