"""The dry run: everything that headers can tell, for all lanes, with all that is wrong; no pixel is read."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import zip_longest
from math import prod
from typing import Any

from objclass.batch.division import Capacity, Portion, capacity_of, portions_of
from objclass.batch.estimate import Estimate, estimate_lane, estimate_run, measured_speed
from objclass.batch.plan import make_plan, make_tasks, other_inputs
from objclass.batch.projects import compared, pixel_chain
from objclass.batch.request import Request
from objclass.batch.shards import share_of
from objclass.batch.task import written
from objclass.compute.context import Context
from objclass.core import Image, Lane
from objclass.errors import ObjclassError
from objclass.export.checks import collisions, disagreements, table_header
from objclass.export.naming import Task
from objclass.images import open_image
from objclass.images.paths import public
from objclass.pipeline.inputs import open_lane
from objclass.pipeline.pairing import Trained, pair
from objclass.pipeline.plan import Plan
from objclass.pixels.chain import PixelChain
from objclass.project.open import open_any


@dataclass(frozen=True)
class Fault:
    """Something that is wrong: the lane (empty: the run as a whole), the file if it is one file's, and what to do."""

    lane: str
    file: str
    message: str


@dataclass
class Survey:
    """What a dry run has found.

    Attributes
    ----------
    count
        Number of lanes of the run, of all shards.
    tasks
        The lanes that can be run, with their outputs; of a shard its own.
    first
        The number of the first of ``tasks`` among them, from 0.
    faults
        All that is wrong.
    notes
        What could not be checked.
    lanes
        What each of ``tasks`` takes.
    total
        What the run takes.
    capacity
        What is done at once.
    portions
        For each of ``tasks`` the tasks that it is divided into.
    """

    count: int = 0
    tasks: Sequence[Task] = ()
    first: int = 0
    faults: list[Fault] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    lanes: list[Estimate] = field(default_factory=list)
    total: Estimate | None = None
    capacity: Capacity | None = None
    portions: list[list[Portion]] = field(default_factory=list)

    @contextmanager
    def noting(self, lane: str = "", file: str = "") -> Iterator[None]:
        """Note an error as a fault of a lane."""
        try:
            yield
        except ObjclassError as error:
            self.faults.append(Fault(lane, public(file), str(error)))
        except OSError as error:
            self.faults.append(
                Fault(lane, public(file), f"{error.filename or file}: {error.strerror or error}")
            )


def survey(request: Request) -> Survey:
    """Find all that headers can tell of a run; nothing is written, and no pixel is read."""
    found, context = Survey(), Context.of(request.resources, follow_links=request.inputs.follow_links)
    project: Trained = None
    pixels: PixelChain | None = None
    with found.noting():
        if request.project:
            project = open_any(request.project)
        pixels = pixel_chain(request, project, context, lambda pixel_project, _: pixel_project)
        if request.novelty and (project is None or project.is_trained):
            project = compared(project)
    if project is not None and not project.is_trained:
        found.notes.append(f"{request.project}: its classifier is missing: the run trains it first")
    if found.faults:
        return found
    lanes: list[Lane] = []
    with found.noting():
        lanes = _open_all(request, project, pixels, context, found)
    if not found.count:
        _try_each(request, found)
    if lanes and (plan := _plan_all(request, lanes, project, pixels, found)):
        _estimate(found, request, plan, context, is_trained=project is None or project.is_trained)
    return found


def _try_each(request: Request, found: Survey) -> None:
    """Where images cannot be paired: those that cannot be opened."""
    for paths in request.inputs.paths.values():
        for path in paths:
            with found.noting("", path):
                open_image(path, stack_along=request.inputs.stack_along)


def _open_all(
    request: Request, project: Trained, pixels: PixelChain | None, context: Context, found: Survey
) -> list[Lane]:
    """The lanes that can be opened."""
    inputs, lanes = request.inputs, []
    paired = pair(inputs, project, pixels)
    found.count = len(paired)
    for paths in paired:
        try:
            lanes.append(open_lane(paths, inputs, project, context, pixels))
        except (ObjclassError, OSError):
            before = len(found.faults)
            axes = replace(inputs, axes=paths.axes or inputs.axes)
            for role, path in paths.paths.items():  # each by itself: several may be wrong
                with found.noting(paths.name or paths.origin, path):
                    open_image(path, axes=axes.axes_of(role), stack_along=inputs.stack_along, context=context)
            if len(found.faults) == before:
                with found.noting(paths.name or paths.origin):
                    raise
    return lanes


def _plan_all(
    request: Request, lanes: Sequence[Lane], project: Trained, pixels: PixelChain | None, found: Survey
) -> Plan | None:
    """Plan each lane by itself, then all that can be run together."""
    fit = []
    alone = replace(request, report=None)  # a report is of all lanes
    for lane in lanes:
        before = len(found.faults)
        with found.noting(lane.nickname):
            make_tasks(alone, make_plan(alone, [lane], project, pixels, headers_only=True), [lane])
        if len(found.faults) == before:
            fit.append(lane)
    if not fit:
        return None
    with found.noting():
        plan = make_plan(request, fit, project, pixels, headers_only=True)
        found.tasks = make_tasks(request, plan, fit)
        for task, fault in disagreements(found.tasks, plan):
            found.faults.append(Fault(task.name, "", str(fault)))
        for path, clash in collisions(found.tasks, other_inputs(request)):
            found.faults.append(Fault("", path, str(clash)))
        share = share_of(request, found.tasks)
        found.tasks, found.first = share.tasks, share.first
        return plan
    return None


def _estimate(found: Survey, request: Request, plan: Plan, context: Context, *, is_trained: bool) -> None:
    """Find the tasks of the lanes, and estimate what they take."""
    if not found.tasks:
        return  # a shard without lanes
    with found.noting():
        found.capacity = capacity_of(request.engine, request.resources, context, found.tasks)
    if found.capacity is None:
        return
    first, capacity, count = found.tasks[0], found.capacity, len(found.tasks)
    speed = measured_speed(first.lane, plan) if is_trained else None
    columns = len(table_header(first, plan)) if first.table else 0
    found.portions = [portions_of(task, plan, capacity, count) for task in found.tasks]
    for task, portions in zip(found.tasks, found.portions, strict=True):
        memory = max(portion.memory for portion in portions)
        found.lanes.append(estimate_lane(task, columns, memory, speed))
    threads = capacity.count if capacity.processes > 1 else context.limits.jobs
    found.total = estimate_run(found.lanes, capacity.count, threads, capacity.processes)


def as_json(found: Survey) -> str:
    """The survey as a JSON document."""
    document = {
        "engine": asdict(found.capacity) if found.capacity is not None else None,
        "lanes": [
            {
                **_described(task),
                "estimate": asdict(taken),
                "tasks": [asdict(portion) for portion in portions],
            }
            for task, taken, portions in _with_estimates(found)
        ],
        "count": found.count,
        "faults": [asdict(fault) for fault in found.faults],
        "notes": found.notes,
        "estimate": {**asdict(found.total), "mem": found.total.requested} if found.total else None,
    }
    return json.dumps(document, indent=1, default=str)


def _with_estimates(found: Survey) -> Iterator[tuple[Task, Estimate, list[Portion]]]:
    """The lanes, what each takes, and the tasks of each, as far as they are known."""
    nothing = Estimate(0, 0, None, 0)
    for task, taken, portions in zip_longest(found.tasks, found.lanes, found.portions):
        yield task, taken or nothing, portions or []


def _described(task: Task) -> dict[str, Any]:
    lane = task.lane
    roles = {"raw_data": lane.raw, lane.role: None if lane.is_computed else lane.objects, "atlas": lane.atlas}
    roles["prediction_mask"] = lane.mask
    return {
        "lane": task.name,
        "images": {role: _image(image) for role, image in roles.items() if image is not None},
        "metadata": dict(lane.metadata),
        "outputs": written(task),
    }


def _image(image: Image) -> dict[str, Any]:
    return {
        "path": image.name,
        "axes": image.axes,
        "axes_from": image.axes_from,
        "shape": list(image.stored.shape),
        "dtype": str(image.dtype),
        "pixel_size": image.pixel_size.record if image.pixel_size is not None else None,
        "remote_chunks": _remote_chunks(image),
    }


def _remote_chunks(image: Image) -> int | None:
    """How many chunks are fetched from a server; None for files, and where it is not known."""
    chunks = getattr(image.stored, "chunks", None)
    if not image.version or chunks is None:
        return None
    return prod(-(-length // side) for length, side in zip(image.stored.shape, chunks, strict=True))


def as_lines(found: Survey) -> Iterator[str]:
    """The survey as text."""
    for number, (task, taken, portions) in enumerate(_with_estimates(found), found.first + 1):
        described = _described(task)
        yield f"{number}. {task.name}"
        for role, image in described["images"].items():
            shape = " × ".join(map(str, image["shape"]))
            size = image["pixel_size"]
            scale = f", {size['x']:g} {size['unit']}" if size else ""
            count = image["remote_chunks"]
            fetched = f", from a server in up to {count} chunks" if count else ""
            yield f"   {role}: {image['path']}: axes {image['axes']} from {image['axes_from']}, {shape}, {image['dtype']}{scale}{fetched}"
        if described["metadata"]:
            yield "   " + ", ".join(f"{name}={text}" for name, text in described["metadata"].items())
        yield f"   writes {', '.join(described['outputs'])}"
        if portions:
            yield f"   {_divided(portions, task.lane)}"
            yield f"   {_amounts(taken)}"
    if found.capacity is not None:
        count, memory = found.capacity.count, found.capacity.limits.memory
        room = f", each with {memory / 1e6:.0f} MB to work with" if memory is not None else ""
        yield f"engine {found.capacity.engine}: up to {count} task{'s' * (count != 1)} at once{room}"
    if found.total is not None:
        total = found.total
        rows = f", and about {total.row} B for each object in a table" if total.row else ""
        count = len(found.tasks)
        yield f"{count} lane{'s' * (count != 1)}: {_amounts(total)}{rows}; for a scheduler: {total.requested}"
    elif found.count and not found.faults:
        yield f"no lanes: {found.count} are fewer than shards"
    yield from found.notes


def _divided(portions: Sequence[Portion], lane: Lane) -> str:
    """The tasks of a lane: how many, of what size, and what the largest of them reads."""
    reads = {role: max(portion.reads[role] for portion in portions) for role in portions[0].reads}
    read = ", ".join(f"{role} {size / 1e6:.1f} MB" for role, size in reads.items())
    blocks = max(portion.blocks for portion in portions)
    in_blocks = f", in {blocks} blocks for each time step" if blocks > 1 else ""
    if len(portions) == 1:
        return f"1 task: reads {read}{in_blocks}"
    z, y = (max(b - a for a, b in ends) for ends in ((p.z for p in portions), (p.y for p in portions)))
    _, depth, height, *_ = lane.objects.shape
    size = f"{y} rows" if y < height else f"{z} planes" if z < depth else "a time step"
    return f"{len(portions)} tasks of up to {size}: each reads up to {read}{in_blocks}"


def _amounts(taken: Estimate) -> str:
    time = f", about {taken.seconds:.1f} s" if taken.seconds is not None else ""
    return f"up to {taken.memory / 1e6:.0f} MB of memory, up to {taken.disk / 1e6:.1f} MB of images{time}"
