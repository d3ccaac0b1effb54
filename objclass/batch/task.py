"""One lane of a run: from its images to its files."""

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from objclass.compute.context import Context
from objclass.compute.meter import Meter, metered
from objclass.compute.origin import in_lane
from objclass.core import Lane
from objclass.errors import EngineError, LaneError, ObjclassError, Stop
from objclass.export.files import LaneFiles, OwnLaneFiles
from objclass.export.naming import Task
from objclass.export.sink import Contribution, Sink
from objclass.export.sinks import sinks_of
from objclass.pipeline.lane import Clock, Step, run_lane
from objclass.pipeline.plan import Plan


@contextmanager
def as_lane_error(task: Task, stop: Stop) -> Iterator[None]:
    """Raise faults that only reading pixels reveals as a `LaneError`, one line that names the lane."""
    try:
        yield
    except ObjclassError:
        raise
    except MemoryError:
        message = f"{task.lane.objects.name}: not enough memory for an image of {task.lane.objects.shape}"
        raise LaneError(message) from None
    except OSError as fault:
        message = f"{task.name}: {fault}"
        raise LaneError(message) from fault
    except Exception as fault:
        stop.check()  # libraries may turn it into another error
        message = f"{task.name}: unexpected {type(fault).__name__}: {fault} (a bug: --debug shows where)"
        raise LaneError(message) from fault


Files = TypeVar("Files", bound=LaneFiles)

Walk = Callable[[Lane, Plan, Context, Clock], Iterator[Step]]
"""What makes the time steps of a lane, such as `run_lane`."""


@dataclass
class LaneResult(Generic[Files]):
    """A lane that was run, or the fault that ended it: its files are written, but not yet in place."""

    task: Task
    context: Context
    files: Files
    sinks: Sequence[Contribution]
    clock: Clock = field(default_factory=Clock)
    counts: dict[str, int] = field(default_factory=dict)
    novel: int | None = None
    warnings: list[str] = field(default_factory=list)
    fault: ObjclassError | None = None

    def discard(self) -> None:
        """Remove its files, unless they are committed."""
        for sink in self.sinks:
            sink.abort()
        self.files.abort()


Numbered = tuple[int, Task]
"""A lane with its number among all of the run, from 0."""

Results = Generator[LaneResult[OwnLaneFiles], None, None]
"""Lanes that were run, in their order."""


def run_task(
    task: Task, plan: Plan, files: Files, context: Context, walk: Walk | None = None
) -> LaneResult[Files]:
    """Run one lane, and write its files under temporary names."""
    sinks = sinks_of(task, plan)
    result = LaneResult(task, context.within(context.limits), files, sinks)
    meter = Meter(task.lane.objects.shape[0], partial(context.progress, task.name))
    try:
        with in_lane(task.name, result.warnings), metered(meter), as_lane_error(task, context.stop):
            _write(result, sinks, plan, meter, walk or run_lane)
    except EngineError:
        result.discard()
        raise
    except ObjclassError as fault:
        result.discard()
        result.fault = fault
        context.progress(task.name, 1.0)  # it has ended
    except BaseException:
        result.discard()
        raise
    return result


def _write(result: LaneResult[Any], sinks: Sequence[Sink], plan: Plan, meter: Meter, walk: Walk) -> None:
    task, clock, context = result.task, result.clock, result.context
    names = plan.project.classes if plan.project is not None else ()
    classes = [f"{name} (class)" if name == "objects" else name for name in names]
    counts = Counter(dict.fromkeys(("objects", *classes), 0))
    for sink in sinks:
        sink.begin(result.files, context)
    for step in walk(task.lane, plan, context, clock):
        meter.begin(step.t + 1)
        for sink in sinks:
            sink.step(step)
            clock.lap(sink.duty)
        counts["objects"] += step.objects.count
        if step.predictions is not None:
            found = step.predictions.classes
            for k, name in enumerate(classes, 1):  # two classes may have one name
                counts[name] += int((found == k).sum())
            if (is_novel := step.predictions.is_novel) is not None:
                result.novel = (result.novel or 0) + int(is_novel.sum())
        meter.arrive(step.t + 1)
    for sink in sinks:
        sink.finish()
        clock.lap("write")
    result.counts |= counts


def keep(result: LaneResult[Any], kept: Callable[[], None]) -> None:
    """Commit a lane: its files get their final names, its rows go into the table; then call ``kept``.

    Raises
    ------
    ObjclassError
        If the lane or its commit failed; then none of its files is left.
    """
    if result.fault is not None:
        raise result.fault
    try:
        with in_lane(result.task.name, result.warnings), as_lane_error(result.task, result.context.stop):
            result.clock.restart()
            for sink in result.sinks:
                sink.commit()
            result.files.commit(partial(_note, result.clock, kept))
    finally:
        result.discard()


def _note(clock: Clock, kept: Callable[[], None]) -> None:
    clock.lap("commit")
    kept()


def written(task: Task) -> list[str]:
    """The paths of all files of a lane."""
    described = [task.dictionary] if task.dictionary is not None else []
    return [*(o.path for o in task.outputs), *task.pictures, *task.objects, *task.tables, *described]
