"""A lane as a task of a worker: it comes as plain data, and goes back so; the coordinator commits it."""

import logging
from dataclasses import dataclass, field, replace
from functools import partial

from objclass.batch.task import LaneResult, keep, run_task
from objclass.batch.worker import Outcome, portable
from objclass.compute.context import Context
from objclass.compute.origin import in_lane
from objclass.core import Lane
from objclass.errors import LaneError, ObjclassError
from objclass.export.attempt import Arrival, AttemptFiles, Delivery
from objclass.export.files import OwnLaneFiles
from objclass.export.naming import Task
from objclass.export.sinks import maker_of
from objclass.pipeline.inputs import computed
from objclass.pipeline.plan import Plan

log = logging.getLogger("objclass")


@dataclass(frozen=True)
class LaneTask:
    """A lane, and where a worker may write.

    Parameters
    ----------
    task
        The lane.
    workspaces
        Parent folder of its outputs -> the folder of the coordinator where they are written.
    """

    task: Task
    workspaces: dict[str, str]


@dataclass(frozen=True)
class LaneReport:
    """A lane that a worker has run, or the fault that ended it."""

    delivery: Delivery = field(default_factory=Delivery)
    counts: dict[str, int] = field(default_factory=dict)
    novel: int | None = None
    seconds: dict[str, float] = field(default_factory=dict)
    timings: dict[str, float] = field(default_factory=dict)
    fault: Exception | None = None


def run_lane_task(common: tuple[Plan, Context], item: LaneTask) -> LaneReport:
    """Run a lane, and complete its files under temporary names: what a worker does."""
    plan, context = common
    task = replace(item.task, lane=_with_pixels(item.task.lane, plan, context))
    try:
        result = run_task(task, plan, AttemptFiles(item.workspaces), context)
        keep(result, _nothing)
    except ObjclassError as fault:
        log.debug("", exc_info=fault)  # where it was raised is not known elsewhere
        return LaneReport(fault=portable(fault))
    return LaneReport(
        result.files.delivery,
        result.counts,
        result.novel,
        dict(result.clock.seconds),
        dict(result.context.timings),
    )


def _with_pixels(lane: Lane, plan: Plan, context: Context) -> Lane:
    """The lane with its probabilities, if they are computed, as one process computes them."""
    if not lane.is_computed:
        return lane
    assert plan.pixels is not None
    assert lane.raw is not None
    return replace(
        lane, objects=computed(plan.pixels, lane.raw, lane.atlas, lane.mask, plan.trained, context)
    )


def _nothing() -> None:
    """The coordinator keeps the account."""


def arrived(outcome: Outcome, task: Task, files: OwnLaneFiles, context: Context) -> LaneResult[OwnLaneFiles]:
    """The lane as if it had been run here."""
    report = outcome.result
    if report is None:
        report = LaneReport(fault=LaneError(str(outcome.fault)))
    files.adopt(report.delivery.files, report.delivery.merged)
    arrival = Arrival(report.delivery.entries, files, partial(maker_of, task))
    result = LaneResult(task, context.within(context.limits), files, [arrival])
    result.counts, result.novel, result.fault = report.counts, report.novel, report.fault
    result.clock.seconds |= report.seconds
    result.context.timings.update(report.timings)
    with in_lane(task.name, result.warnings):
        outcome.log()
    context.progress(task.name, 1.0)
    return result
