"""The batch: lanes, names of outputs, collisions, failure containment, progress.

Everything that headers can tell is checked for all lanes before the first pixel is read and before
anything is written. Outputs are written beside their final names and renamed when a lane is complete.
"""

import contextlib
import hashlib
import json
import logging
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from objclass import images, machine, maps, tables
from objclass.blocks import KEPT_CHUNKS, VOXEL_BYTES, Limits, ordered
from objclass.core import Lane, PixelSize, Progress
from objclass.errors import LaneError, ObjclassError, UsageError, check_signals
from objclass.features import choose
from objclass.lanes import Inputs, distinct_names, open_lanes, warn_of_pixel_sizes
from objclass.outputs import (
    ImageFiles,
    Pending,
    TableFiles,
    Task,
    check_collisions,
    check_columns_agree,
    check_tables,
    plan_output,
    table_path,
)
from objclass.pipeline import Clock, Plan, check_lane, collect, object_images, plan_for, run_lane
from objclass.project import Project, open_project
from objclass.retraining import retrained
from objclass.settings import (
    EXPORT_DEFAULTS,
    LEAST_MEMORY,
    ExportSettings,
    ResourceSettings,
    ThresholdSettings,
)

log = logging.getLogger("objclass")

OVERHEAD = 300_000_000
"""Bytes that Python and the libraries take, whatever the images."""

RUN_FILE = "objclass_run.json"

DEFAULT_FEATURES = ("regionprops",)
"""What is measured without a project."""


@dataclass(frozen=True)
class Request:
    """What a run is asked for."""

    inputs: Inputs
    project: str | None = None
    export: ExportSettings = field(default_factory=ExportSettings)
    sources: tuple[str, ...] = ()
    table: str | None = None
    table_only: bool = False
    threshold: ThresholdSettings = field(default_factory=ThresholdSettings)
    features: tuple[str, ...] = ()
    margin: int = 30
    pixel_size: PixelSize | None = None
    retrain: bool = False
    table_images: bool = False
    resources: ResourceSettings = field(default_factory=ResourceSettings)
    arguments: tuple[str, ...] = ()


def run(request: Request, progress: Progress | None = None) -> int:
    """Run all lanes; answers the exit code.

    Raises
    ------
    ObjclassError
        For everything that is found before something is written.
    """
    started = perf_counter()
    np.empty(31 << 20, np.uint8)  # freed at once: from now on glibc keeps what smaller arrays leave
    project = open_project(request.project) if request.project else None
    if project is not None and (request.retrain or project.forest is None):
        project = retrained(project)
    if project is not None and project.inclusive_maximum:
        log.info(
            "%s is of ilastik %s: its classifier gets the last coordinate as Bounding Box Maximum, as it was "
            "trained; the table has the one after it, as ilastik has since",
            project.path,
            project.version,
        )
    lanes = open_lanes(request.inputs, project)
    if request.pixel_size is None:
        warn_of_pixel_sizes(lanes)
    plan = replace(make_plan(request, lanes, project), limits=limits_for(request.resources))
    tasks = plan_tasks(request, plan, lanes)
    report = RunReport(request, plan, tasks)
    try:
        with TableFiles(tasks) as table_files:
            return _run_tasks(tasks, plan, table_files, report, progress or _quiet)
    finally:
        report.write(perf_counter() - started)


def _run_tasks(
    tasks: Sequence[Task], plan: Plan, table_files: TableFiles, report: "RunReport", progress: Progress
) -> int:
    """Run the lanes, several at once where that pays; what they give is kept in their order."""
    at_once, plan = share_out(tasks, plan)
    done = 0
    run_one = partial(run_task, plan=plan, progress=progress)
    with closing(ordered(run_one, tasks, at_once, Finished.discard)) as results:
        for number, result in enumerate(results, 1):
            label = f"lane {number}/{len(tasks)} {result.task.name}"
            try:
                keep(result, table_files)
            except ObjclassError as fault:
                report.failed(result.task, str(fault))
                log.error("%s failed: %s", label, " ".join(str(fault).split()))  # noqa: TRY400
                log.debug("", exc_info=True)
                return 1 if done else LaneError.exit_code
            done += 1
            seconds = result.clock.seconds
            report.finished(result.task, result.counts, seconds, result.clock.within)
            log.info("%s: %d objects in %.2f s", label, result.counts["objects"], sum(seconds.values()))
            log.info("  %s", ", ".join(written(result.task)))
            log.debug("  %s", _told(seconds))
            log.debug("  within these, summed over threads: %s", _told(result.clock.within))
    return 0


def _told(seconds: Mapping[str, float]) -> str:
    return ", ".join(f"{part} {taken:.3f} s" for part, taken in seconds.items())


def share_out(tasks: Sequence[Task], plan: Plan) -> tuple[int, Plan]:
    """How many lanes are run at once, and the plan with what each of them may use.

    Small lanes are run side by side, each by one thread; large ones one after the other, in blocks. So are
    lanes that go to one file.
    """
    limits = plan.limits
    files = [output.path for task in tasks for output in task.outputs]
    if limits.jobs == 1 or len(tasks) == 1 or len(set(files)) < len(files):
        return 1, plan
    at_once = min(limits.jobs, len(tasks))
    each = Limits(limits.memory // at_once if limits.memory is not None else None, limits.block, 1)
    largest = max(int(np.prod(task.lane.objects.shape[1:4])) for task in tasks)
    if not each.holds(largest * VOXEL_BYTES):
        return 1, plan
    return at_once, replace(plan, limits=each)


def _quiet(_: str, __: float) -> None:
    """No progress."""


def limits_for(resources: ResourceSettings) -> Limits:
    """What the user allows, else what the machine has: all cores, and half of the free memory."""
    if resources.max_memory is not None:
        memory: int | None = resources.max_memory - OVERHEAD
    else:
        free = machine.free_memory()
        memory = None if free is None else max(free // 2, LEAST_MEMORY - OVERHEAD)
    limits = Limits(memory, resources.block_shape, resources.jobs or machine.cores())
    images.limit(limits.share(KEPT_CHUNKS), limits.jobs)
    return limits


def make_plan(request: Request, lanes: Sequence[Lane], project: Project | None) -> Plan:
    """What to measure, and whether it fits all lanes.

    Raises
    ------
    ObjclassError
        If a lane does not fit, or would give other columns than the first.
    """
    if project is not None:
        plan = plan_for(project, lanes, request.pixel_size)
    else:
        first = lanes[0]
        names = request.features or DEFAULT_FEATURES
        features = tuple(choose(names, first.objects.ndim, first.channels))
        places = choose(["Default features"], first.objects.ndim, first.channels)
        margin = (request.margin,) * first.objects.ndim
        plan = Plan(
            tuple(dict.fromkeys([*features, *places])),
            features,
            request.threshold,
            margin,
            None,
            request.pixel_size,
        )
    for lane in lanes:
        check_lane(lane, plan)
    return plan


def plan_tasks(request: Request, plan: Plan, lanes: Sequence[Lane]) -> list[Task]:
    """Work out all files of all lanes.

    Raises
    ------
    ObjclassError
        If two outputs are one file, one would overwrite an input, or a folder cannot be written.
    """
    project = plan.project
    settings = EXPORT_DEFAULTS
    if project is not None:
        settings = project.export.over(settings)
    settings = request.export.over(settings)
    sources = () if request.table_only else request.sources
    if not sources and not request.table_only:
        sources = (maps.SOURCES[0],) if project else ("Object Identities",)
    if project is None and set(sources) - {"Object Identities"}:
        message = f"{sources[0]}: without --project there are no classes: expected Object Identities"
        raise UsageError(message)
    base = Path.cwd()
    if project is not None and request.export.output_filename_format is None:
        base = Path(project.path).resolve().parent
    names = distinct_names(lanes)
    crop_margin = None
    if request.table_images:
        crop_margin = project.table.margin if project is not None and project.table is not None else 0
    tasks = []
    for lane, name in zip(lanes, names, strict=True):
        outputs = tuple(plan_output(s, lane, plan, settings, base) for s in sources)
        path = table_path(request.table, plan, lane, needed=request.table_only)
        tasks.append(Task(lane, name, outputs, path, crop_margin))
    check_tables(tasks, request.table)
    check_columns_agree(tasks, plan)
    check_collisions(tasks, [request.project] if request.project else [])
    return tasks


@contextmanager
def _as_lane_error(task: Task) -> Iterator[None]:
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
        check_signals()  # libraries may make something else of one
        message = f"{task.name}: unexpected {type(fault).__name__}: {fault} (a bug: --debug shows where)"
        raise LaneError(message) from fault


@dataclass
class Finished:
    """A lane that was run, or the fault that ended it: its files are written, but not yet in place."""

    task: Task
    clock: Clock = field(default_factory=Clock)
    counts: dict[str, int] = field(default_factory=dict)
    images: ImageFiles | None = None
    columns: tables.Columns = field(default_factory=dict)
    crops: list[tables.ObjectImage] = field(default_factory=list)
    fault: ObjclassError | None = None

    def discard(self) -> None:
        """Remove what it wrote."""
        if self.images is not None:
            self.images.discard()


def run_task(task: Task, plan: Plan, progress: Progress) -> Finished:
    """Run one lane, and write its images under temporary names."""
    finished = Finished(task)
    try:
        with _as_lane_error(task):
            _measure_and_paint(finished, plan, progress)
    except ObjclassError as fault:
        finished.discard()
        finished.fault = fault
    except BaseException:
        finished.discard()
        raise
    return finished


def _measure_and_paint(finished: Finished, plan: Plan, progress: Progress) -> None:
    task, clock = finished.task, finished.clock
    steps = task.lane.objects.shape[0]
    measured = []
    finished.images = images = ImageFiles(task.outputs).__enter__()
    for step in run_lane(task.lane, plan, clock):
        for output, writer in zip(task.outputs, images.writers, strict=True):
            layout = getattr(writer, "layout", output.export.image.axes)
            paint = maps.painter(output.export.source, step.predictions, layout)
            output.export.write(writer, step.t, step.objects.labels, paint, plan.limits)
            clock.lap("paint")
        measured.append((step.table, step.predictions))
        if task.crop_margin is not None:
            finished.crops += object_images(task.lane, step, task.crop_margin, plan.limits)
        progress(task.name, (step.t + 1) / steps)
    images.close()
    clock.lap("write")
    table, predictions = collect(measured)
    classes = plan.project.classes if plan.project is not None else ()
    finished.counts["objects"] = len(table)
    if predictions is not None:
        found = predictions.classes
        finished.counts |= {name: int((found == k).sum()) for k, name in enumerate(classes, 1)}
    if task.table is not None:
        finished.columns = tables.ilastik_columns(
            table, plan.shown, task.lane, task.name, classes, predictions
        )
        clock.lap("table")


def keep(result: Finished, table_files: TableFiles) -> None:
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
        with _as_lane_error(result.task):
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


class RunReport:
    """``objclass_run.json``: what was run, on what, with which result."""

    def __init__(self, request: Request, plan: Plan, tasks: Sequence[Task]) -> None:
        paths = [o.path for t in tasks for o in t.outputs]
        tables_ = [t.table for t in tasks if t.table]
        # beside the table if it was asked for, not where a project once wanted it
        first = next(iter([*tables_, *paths] if request.table else [*paths, *tables_]), None)
        self._path = Path(first).parent / RUN_FILE if first else None
        project = plan.project
        self._content: dict[str, Any] = {
            "objclass": version("objclass"),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "arguments": list(request.arguments),
            "project": _file_entry(project.path) if project else None,
            "jobs": plan.limits.jobs,
            "memory": plan.limits.memory,
            "threshold": _plain(plan.threshold),
            "features": [": ".join(feature.key) for feature in plan.features],
            "classes": list(project.classes) if project else [],
            "lanes": [],
        }

    def finished(
        self,
        task: Task,
        counts: Mapping[str, int],
        seconds: Mapping[str, float],
        within: Mapping[str, float],
    ) -> None:
        """A lane is complete; ``within`` are seconds of all threads in the parts of ``seconds``."""
        rounded = {name: round(taken, 4) for name, taken in seconds.items()}
        threads = {name: round(taken, 4) for name, taken in within.items()}
        self._add(task, "done", counts=dict(counts), seconds=rounded, thread_seconds=threads)

    def failed(self, task: Task, fault: str) -> None:
        """A lane failed."""
        self._add(task, "failed", error=fault)

    def _add(self, task: Task, status: str, **more: Any) -> None:
        self._content["lanes"].append(
            {
                "image": task.name,
                "status": status,
                "inputs": [
                    {
                        "name": image.name,
                        "axes": image.axes,
                        "axes_from": image.axes_from,
                        "shape": list(image.stored.shape),
                        "dtype": str(image.dtype),
                        "files": [_file_entry(path) for path in image.files],
                    }
                    for image in task.lane.images
                ],
                "outputs": written(task),
                **more,
            }
        )

    def write(self, seconds: float) -> None:
        """Write the file beside the table, or beside the first image."""
        if self._path is None:
            return
        self._content["seconds"] = round(seconds, 4)
        self._content["peak_memory"] = machine.peak_memory()
        pending = Pending()
        temporary = pending.add(str(self._path))
        Path(temporary).write_text(json.dumps(self._content, indent=1) + "\n", encoding="utf-8")
        pending.commit()


@cache  # one file may stand for many lanes
def _file_entry(path: str) -> dict[str, Any]:
    """A file and the digest of its content."""
    entry: dict[str, Any] = {"path": path}
    with contextlib.suppress(OSError):
        entry["sha256"] = _digest(Path(path))
    return entry


def _digest(path: Path) -> str:
    """SHA-256 of a file; of a folder, of the names and digests of its files, sorted."""
    if path.is_dir():
        files = (file for file in path.rglob("*") if file.is_file())
        lines = sorted(f"{file.relative_to(path).as_posix()} {_digest(file)}\n" for file in files)
        return hashlib.sha256("".join(lines).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(settings: ThresholdSettings) -> dict[str, Any]:
    return {name: getattr(settings, name) for name in settings.__dataclass_fields__}
