"""The engine of a run: what its lanes are run by. Threads of this process, or the workers of a distributed engine."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from typing import Protocol

from objclass.batch.task import LaneResult, Numbered, Results, run_task
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.export.files import OwnLaneFiles, RunFiles
from objclass.export.naming import Task
from objclass.pipeline.plan import Plan
from objclass.settings import EngineSettings, ResourceSettings


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
    from objclass.batch.distributed import DistributedEngine

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
