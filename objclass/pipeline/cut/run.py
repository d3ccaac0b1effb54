"""Run one lane by workers: the same steps as `objclass.pipeline.lane.run_lane`."""

import logging
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from objclass.compute.context import Context
from objclass.compute.limits import CACHED_TILE_BYTES
from objclass.compute.meter import counted, metered, present
from objclass.compute.workers import Workers
from objclass.core import PIXEL_ROLE, AnyArray, FeatureTable, Lane, Objects, Predictions
from objclass.pipeline.cut import tasks
from objclass.pipeline.cut.labels import CORES, LABELS, PartLabels
from objclass.pipeline.cut.left_overs import completed
from objclass.pipeline.cut.owner import Owner
from objclass.pipeline.cut.parts import PARTS_OF_WORKER, Parts, parts_of
from objclass.pipeline.cut.pixels import batches, prepared, stages_of
from objclass.pipeline.cut.tasks import Report, Stage
from objclass.pipeline.cut.union import Found, Numbers, numbers_of, numbers_of_ids
from objclass.pipeline.lane import (
    FEATURES_PART,
    PIXELS_PART,
    SEGMENT_PART,
    Clock,
    Step,
    check_count,
    collect,
    threshold_for,
    warn_of_none,
    warn_of_whole,
    without_objects,
)
from objclass.pipeline.plan import Plan
from objclass.segmentation.threshold import warn_of_range

log = logging.getLogger("objclass")


def cut_lane(
    lane: Lane,
    plan: Plan,
    context: Context,
    workers: Workers,
    folder: str,
    clock: Clock | None = None,
    parts: Parts | None = None,
) -> Iterator[Step]:
    """Run a lane, cut among workers; yield the time steps that `run_lane` yields, in the same order.

    Parameters
    ----------
    lane, plan
        What is to be done; both pickle.
    context
        That of the run. It is asked whether the run is to end; workers have contexts of their own.
    workers
        Who does it.
    folder
        An empty folder on a disk that all workers see. It must stay as long as the label images of the steps are read:
        these are read from it, in whichever process (they pickle).
    clock
        Measures the time of each stage: ``segment``, ``union`` (which is not divided), ``features``.
    parts
        How each time step is cut; None: as `parts_of` says.

    Raises
    ------
    LaneError
        As `run_lane`; or if the folder cannot be written to.
    """
    clock = clock or Clock()
    lane = prepared(lane, plan, workers, folder)
    pixels = stages_of(lane, plan, workers, folder) if lane.is_computed else ()
    threshold = threshold_for(lane, plan)
    parts = parts or parts_of(lane, threshold, workers.limits, workers.count)
    _, depth, height, width, _ = lane.objects.shape
    whole = Parts((depth, height, width), (depth, height))
    elsewhere = Context(workers.limits, follow_links=context.follow_links)
    stage = Stage(lane, plan, threshold, folder, parts or whole, elsewhere, pixels)
    work = Work(stage, context, workers, clock)
    if lane.role == PIXEL_ROLE:
        yield from pixel_steps(work)
        return
    with closing(by_parts(work) if parts else by_steps(work)) as steps:
        for step in steps:
            warn_of_whole(lane, threshold, step)
            yield step
    warn_of_none(lane, threshold, work.count)


@dataclass
class Work:
    """A lane that workers do."""

    stage: Stage
    context: Context
    workers: Workers
    clock: Clock
    count: int = 0
    """Number of objects so far."""
    _said: set[tuple[int, str]] = field(default_factory=set)

    @property
    def steps(self) -> int:
        """Number of time steps."""
        return self.stage.lane.objects.shape[0]

    @property
    def by_cubes(self) -> bool:
        """Whether probabilities are computed by tasks for cubes: there are few time steps."""
        return bool(self.stage.pixels) and self.steps < PARTS_OF_WORKER * self.workers.count

    def each(
        self, function: Callable[..., Any], items: Iterable[tuple[Any, ...]]
    ) -> Generator[Any, None, None]:
        """``function(stage, context, *item)`` for each item, by the workers, in their order."""
        given = ((function, item) for item in items)
        with closing(self.workers.ordered(tasks.do, self.stage, given)) as reports:
            for report in reports:
                self.context.stop.check()
                self._note(report)
                yield report.result

    def all(self, function: Callable[..., Any], items: Sequence[tuple[Any, ...]]) -> list[Any]:
        """The results of `each`, which move the meter on."""
        return list(counted(self.each(function, items), len(items)))

    def _note(self, report: Report) -> None:
        """Log the messages of a task, each once for a lane; count its time."""
        for level, text in report.messages:
            if (level, text) not in self._said:
                self._said.add((level, text))
                log.log(level, "%s", text)
        for name, seconds in report.seconds.items():
            self.context.timings.add(name, seconds)

    def add(self, count: int) -> None:
        """Count the objects of a time step; refuse too many."""
        self.count += count
        check_count(self.count, self.stage.plan, self.context)

    def labels(self, t: int, before: Sequence[int]) -> PartLabels:
        """The label image of a time step."""
        keep = self.context.limits.share(CACHED_TILE_BYTES)
        return PartLabels(self.stage.files(t), before, keep)


def pixel_steps(work: Work) -> Generator[Step, None, None]:
    """Time steps of a lane whose pixels alone are classified."""
    work.clock.restart()
    with closing(pixels_by_cubes(work) if work.by_cubes else pixels_by_steps(work)) as done:
        for t in done:
            work.clock.lap("pixels")
            yield without_objects(work.stage.lane, t)
            work.clock.restart()


def pixels_by_steps(work: Work) -> Generator[int, None, None]:
    """The time steps whose probabilities are known, each computed by one task."""
    every = range(work.steps)
    with closing(work.each(tasks.pixels_of_step, [(t,) for t in every])) as results:
        for t, _ in zip(every, results, strict=True):
            yield t


def pixels_by_cubes(work: Work) -> Generator[int, None, None]:
    """The time steps whose probabilities are known, each computed by many tasks, classifier by classifier."""
    for t in range(work.steps):
        present().begin(t + PIXELS_PART)
        for number, pixels in enumerate(work.stage.pixels):
            cubes = batches(pixels, PARTS_OF_WORKER * work.workers.count)
            work.all(tasks.pixels_of_cubes, [(t, number, some) for some in cubes])
        yield t


def by_steps(work: Work) -> Generator[Step, None, None]:
    """Each time step by one task."""
    work.clock.restart()
    if work.by_cubes:
        with metered(None):  # a meter goes through the time steps once
            deque(pixels_by_cubes(work), maxlen=0)
        work.clock.lap("pixels")
    every = [(t, not work.by_cubes) for t in range(work.steps)]
    with closing(work.each(tasks.run_step, every)) as results:
        for (t, _), (count, original, table, predictions) in zip(every, results, strict=True):
            work.clock.lap("features")
            work.add(count)
            yield Step(t, Objects(work.labels(t, [0]), count, original), table, predictions)
            work.clock.restart()


def by_parts(work: Work) -> Generator[Step, None, None]:
    """Each time step by many tasks."""
    work.clock.restart()
    for t in pixels_by_cubes(work):
        if work.stage.pixels:
            work.clock.lap("pixels")
        yield cut_step(work, t)
        work.clock.restart()


def cut_step(work: Work, t: int) -> Step:
    """One time step, cut into parts: label them, join and number what was found, measure."""
    clock, meter, stage = work.clock, present(), work.stage
    pixels = PIXELS_PART if stage.pixels else 0.0
    meter.begin(t + pixels + (1 - pixels) * SEGMENT_PART)
    found: list[Found] = work.all(tasks.label_part, [(t, k) for k in range(len(stage.parts.slabs))])
    clock.lap("segment")
    numbers, original = numbered(work, t, found)
    work.add(numbers.count)
    meter.begin(t + pixels + (1 - pixels) * (SEGMENT_PART + FEATURES_PART))
    table, predictions = measured(work, t, found, numbers)
    if original is not None:
        table = replace(table, given={"original_oid": original, **table.given})
    labels = work.labels(t, numbers.before[:-1].tolist())
    return Step(t, Objects(labels, numbers.count, original), table, predictions)


def numbered(work: Work, t: int, found: Sequence[Found]) -> tuple[Numbers, AnyArray | None]:
    """The numbers of the objects of a time step and, for a label image, their ids in it.

    The files of the parts get the numbers, too.
    """
    stage, clock, files = work.stage, work.clock, work.stage.files(t)
    tops = [part.top for part in found if part.top is not None]
    if tops:
        warn_of_range(stage.lane.objects, stage.threshold, max(tops))
    if found[0].original is not None:
        ids = [part.original for part in found if part.original is not None]
        numbers, original = numbers_of_ids(ids)
    else:
        seams = list(stage.parts.seams)
        pairs, core_pairs = (
            work.all(tasks.seam_pairs, [(t, *seam, kind) for seam in seams]) if is_found else []
            for kind, is_found in ((LABELS, True), (CORES, found[0].cores is not None))
        )
        clock.lap("segment")
        numbers, original = numbers_of(found, stage.threshold, seams, pairs, core_pairs), None
    for number, known in enumerate(numbers.known):
        files.write_known(number, known)
    clock.lap("union")
    return numbers, original


def measured(
    work: Work, t: int, found: Sequence[Found], numbers: Numbers
) -> tuple[FeatureTable, Predictions | None]:
    """Features and predictions of the objects of a time step."""
    owners = [
        Owner(number, before, stop - before, members)
        for number, (before, stop, members) in enumerate(
            zip(numbers.before[:-1].tolist(), numbers.before[1:].tolist(), numbers.members, strict=True)
        )
    ]
    value_range = None
    if tasks.needs_range(work.stage.plan):
        ends = [part.value_range for part in found if part.value_range is not None]
        if len(ends) < len(found):
            ends = work.all(tasks.range_of_part, [(t, owner.number, owner.before) for owner in owners])
        value_range = min(low for low, _ in ends), max(high for _, high in ends)
    results = work.all(tasks.measure_part, [(t, owner, value_range) for owner in owners])
    work.clock.lap("features")
    complete = collect(list(completed(results, work.stage.plan, work.context)))
    work.clock.lap("union")
    return complete
