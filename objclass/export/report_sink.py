"""The findings of a lane, in the report of a run."""

from collections import defaultdict
from collections.abc import Callable
from functools import partial
from math import fsum
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.core import FloatArray, IntArray
from objclass.export.columns import Columns
from objclass.export.examples import Choice, measured
from objclass.export.files import LaneFiles
from objclass.export.findings import FindingsWriter
from objclass.export.naming import Task
from objclass.export.parts import Part
from objclass.export.report import BINS, UPPER, Findings, Report, Spread, report_kind
from objclass.export.sink import Header
from objclass.pipeline.lane import COUNT, Step
from objclass.registry import resolve


def report_maker(report: Report) -> Callable[[str], Any]:
    """The function that opens a report, or a part of one, given the path of its temporary file."""
    part = Part.of(report.path)
    if part is not None and part.is_report:
        return partial(FindingsWriter, report=report)
    return partial(resolve(report_kind(report.path).of_run), report=report)


class ReportSink:
    """What a report shows of a lane."""

    duty = "report"

    def __init__(self, task: Task, report: Report) -> None:
        self._task, self._report = task, report
        groups = len(report.classes)
        self._counts: list[tuple[int, ...]] = []
        self._pixels = np.zeros(groups, np.int64)
        self._spreads: dict[str, list[tuple[Spread, ...]]] = defaultdict(list)
        self._novel: IntArray | None = None
        self._choice = Choice(task.lane, groups, report.examples)
        self._columns: Columns = {}

    def refusal(self, header: Header) -> str | None:
        """None: a report shows any lane."""
        return None

    def begin(self, files: LaneFiles, context: Context) -> None:
        """Do nothing: the report is opened with its first lane."""
        self._files, self._context = files, context

    def step(self, step: Step) -> None:
        """Count the objects, and choose examples."""
        found, groups = measured(step), len(self._report.classes)
        self._counts.append(tuple(np.bincount(found.group, minlength=groups).tolist()))
        sizes = step.table.values[COUNT][:, 0]
        self._pixels += np.bincount(found.group, sizes, groups).astype(np.int64)
        for measure, upper in UPPER.items():
            if measure in found.values:
                spread = spreads(found.values[measure], found.group, groups, upper)
                self._spreads[measure].append(spread)
        if step.predictions is not None and step.predictions.is_novel is not None:
            novel = np.bincount(found.group[step.predictions.is_novel], minlength=groups)
            self._novel = novel if self._novel is None else self._novel + novel
        self._choice.add(step, found, self._context)

    def finish(self) -> None:
        """Make the row of the lane."""
        lane = self._task.lane
        named = {
            "raw data": lane.raw,
            lane.role.replace("_", " "): None if lane.is_computed else lane.objects,
        }
        self._columns = Findings(
            self._task.name,
            tuple((role, image.name) for role, image in named.items() if image is not None),
            lane.metadata,
            tuple(self._counts),
            tuple(self._pixels.tolist()),
            {
                measure: tuple(map(joined, zip(*parts, strict=True)))
                for measure, parts in self._spreads.items()
            },
            () if self._novel is None else tuple(self._novel.tolist()),
            self._choice.examples(),
        ).columns

    def commit(self) -> None:
        """Add the row."""
        self._files.append(self._report.path, report_maker(self._report), self._columns)

    def abort(self) -> None:
        """Discard the row."""
        self._columns = {}


def spreads(values: FloatArray, group: IntArray, groups: int, upper: float) -> tuple[Spread, ...]:
    """How values from 0 are spread, class by class; ``upper`` is the end of the last bin."""
    bins = np.minimum(values / upper * BINS, BINS - 1).astype(int)
    counts = np.bincount(group * BINS + bins, minlength=groups * BINS).reshape(groups, BINS)
    return tuple(Spread(tuple(counts[k].tolist()), fsum(values[group == k].tolist())) for k in range(groups))


def joined(parts: tuple[Spread, ...]) -> Spread:
    """The spread of all objects of several time steps or lanes."""
    counts = np.sum([part.counts for part in parts], axis=0).tolist()
    return Spread(tuple(counts), fsum(part.total for part in parts))
