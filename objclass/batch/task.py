"""One lane of a run: from its images to its files."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import prod

from objclass.compute.context import Context
from objclass.errors import LaneError, ObjclassError, Stop
from objclass.export.columns import Columns, ilastik_columns
from objclass.export.files import ImageFiles, TableFiles
from objclass.export.naming import Task
from objclass.export.paint import painter
from objclass.pipeline.crops import ObjectImage, object_images
from objclass.pipeline.lane import Clock, collect, run_lane
from objclass.pipeline.plan import Plan


@contextmanager
def as_lane_error(task: Task, stop: Stop) -> Iterator[None]:
    """Faults that only pixels show, as one line that names the lane."""
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
        stop.check()  # libraries may make something else of one
        message = f"{task.name}: unexpected {type(fault).__name__}: {fault} (a bug: --debug shows where)"
        raise LaneError(message) from fault


@dataclass
class LaneResult:
    """A lane that was run, or the fault that ended it: its files are written, but not yet in place."""

    task: Task
    context: Context
    clock: Clock = field(default_factory=Clock)
    counts: dict[str, int] = field(default_factory=dict)
    images: ImageFiles | None = None
    columns: Columns = field(default_factory=dict)
    crops: list[ObjectImage] = field(default_factory=list)
    fault: ObjclassError | None = None

    def discard(self) -> None:
        """Remove what it wrote."""
        if self.images is not None:
            self.images.discard()


def run_task(task: Task, plan: Plan, context: Context) -> LaneResult:
    """Run one lane, and write its images under temporary names."""
    finished = LaneResult(task, context.within(context.limits))
    try:
        with as_lane_error(task, context.stop):
            _measure_and_paint(finished, plan)
    except ObjclassError as fault:
        finished.discard()
        finished.fault = fault
    except BaseException:
        finished.discard()
        raise
    return finished


def _measure_and_paint(finished: LaneResult, plan: Plan) -> None:
    task, clock, context = finished.task, finished.clock, finished.context
    steps = task.lane.objects.shape[0]
    measured = []
    finished.images = images = ImageFiles(task.outputs, context).__enter__()
    for step in run_lane(task.lane, plan, context, clock):
        for output, writer in zip(task.outputs, images.writers, strict=True):
            layout = getattr(writer, "layout", output.export.image.axes)
            voxels = prod(step.objects.labels.shape) * context.limits.images
            paint = painter(output.export.source, step.predictions, layout, voxels)
            output.export.write(writer, step.t, step.objects.labels, paint, context)
            clock.lap("paint")
        measured.append((step.table, step.predictions))
        if task.crop_margin is not None:
            finished.crops += object_images(task.lane, step, task.crop_margin, context)
        context.progress(task.name, (step.t + 1) / steps)
    images.close()
    clock.lap("write")
    table, predictions = collect(measured)
    classes = plan.project.classes if plan.project is not None else ()
    finished.counts["objects"] = len(table)
    if predictions is not None:
        found = predictions.classes
        finished.counts |= {name: int((found == k).sum()) for k, name in enumerate(classes, 1)}
    if task.table is not None:
        finished.columns = ilastik_columns(table, plan.shown, task.lane, task.name, classes, predictions)
        clock.lap("table")


def keep(result: LaneResult, table_files: TableFiles) -> None:
    """Put the files of a lane in place, and its rows into the table.

    Raises
    ------
    ObjclassError
        If the lane, or this, failed; nothing of it is left then.
    """
    if result.fault is not None:
        raise result.fault
    assert result.images is not None
    try:
        with as_lane_error(result.task, result.context.stop):
            result.clock.restart()
            result.images.commit()
            if result.task.table is not None:
                table_files.append(result.task.table, result.columns, result.crops)
            result.clock.lap("table")
    finally:
        result.discard()


def written(task: Task) -> list[str]:
    """The files of a lane."""
    return [o.path for o in task.outputs] + ([task.table] if task.table else [])
