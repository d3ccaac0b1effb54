"""The outputs of a lane: result images, the table, the pictures of its objects."""

import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.core import AnyArray, FeatureTable, Lane, Predictions
from objclass.export.colors import ColorSink
from objclass.export.columns import Columns, Rows, filled
from objclass.export.files import LaneFiles
from objclass.export.images import Boxes, is_of_pixels
from objclass.export.naming import Output, Task
from objclass.export.objects.object_sink import sink_for
from objclass.export.paint import painter, unchanged, with_channel
from objclass.export.profiles import columns_of
from objclass.export.report import COLUMN
from objclass.export.report_sink import ReportSink, report_maker
from objclass.export.sink import Header, Sink
from objclass.export.summary import Group, Summary, groups_of, summary_columns
from objclass.export.tables import format_of, table_maker, table_refusal
from objclass.images.sequence import writer_of
from objclass.images.writer import Writer
from objclass.pipeline.crops import ObjectImage, object_images
from objclass.pipeline.lane import Step, collect, no_objects
from objclass.pipeline.plan import Plan
from objclass.pixels.chain import kept
from objclass.pixels.classifier import segmentation, uncertainty


def sinks_of(task: Task, plan: Plan) -> list[Sink]:
    """All sinks of a lane."""
    sinks: list[Sink] = [
        PixelSink(output, task, plan) if is_of_pixels(output.export.source) else ImageSink(output)
        for output in task.outputs
    ]
    if task.pictures and plan.project is not None:
        sinks.append(ColorSink(task.lane, plan.project, task.pictures))
    sinks += [sink_for(task, path, plan) for path in task.objects]
    if task.table is not None:
        if task.crop_margin is not None:
            sinks.append(PictureSink(task, task.table, task.crop_margin))
        sinks.append(TableSink(task, task.table, plan))
    if task.summary is not None:
        sinks.append(SummarySink(task, task.summary, plan))
    if task.report is not None:
        sinks.append(ReportSink(task, task.report))
    return sinks


def maker_of(task: Task, path: str) -> Callable[[str], Any]:
    """The function that opens one of `Task.tables`, given the path of its temporary file."""
    if task.report is not None and path == task.report.path:
        return report_maker(task.report)
    return table_maker(path, task.details)


def empty_rows(task: Task, path: str, plan: Plan, context: Context) -> Columns:
    """The columns of one of `Task.tables`, without rows."""
    if task.report is not None and path == task.report.path:
        return {COLUMN: np.empty(0, object)}
    if task.summary is not None and path == task.summary.path:
        return summary_columns([], task.summary, task.lane, task.name, None)
    table, predictions = no_objects(task.lane, plan, context)
    return filled(columns_of(task.lane, plan), Rows(table, task.name, task.lane.metadata, predictions))


class ImageSink:
    """A result image, painted time step by time step."""

    duty = "paint"

    def __init__(self, output: Output) -> None:
        self._output = output
        self._writer: Writer | None = None

    def refusal(self, header: Header) -> str | None:
        """The reason why an existing container cannot hold the image."""
        output = self._output
        if not output.is_shared or not os.path.exists(output.path):
            return None
        image = output.export.image
        clash = writer_of(output.format.name).clash(output.path, image)
        return f"{output.path}/{image.internal_path.strip('/')}: {clash}" if clash else None

    def begin(self, files: LaneFiles, context: Context) -> None:
        """Open the file."""
        output, self._context = self._output, context
        make, image = writer_of(output.format.name), output.export.image
        if output.is_url:
            self._writer = make(output.path, image, context)
        elif output.slices:
            self._writer = make(files.add_slices(output.slices), image, context)
        elif output.is_shared:
            self._writer = make(files.share(output.path, make.container, merge=True), image, context)
        else:
            self._writer = make(files.add(output.path), image, context)

    def step(self, step: Step) -> None:
        """Paint the objects."""
        assert self._writer is not None
        export = self._output.export
        layout = getattr(self._writer, "layout", export.image.axes)
        voxels = prod(step.objects.labels.shape) * self._context.limits.images
        paint = painter(export.source, step.predictions, layout, voxels)
        export.write(self._writer, step.t, step.objects.labels, paint, self._context)

    def finish(self) -> None:
        """Close the file."""
        assert self._writer is not None
        self._writer.close()
        self._writer = None

    def commit(self) -> None:
        """Warn about values that did not fit."""
        self._output.export.warn(self._output.path)

    def abort(self) -> None:
        """Close the file without finishing it."""
        if self._writer is not None:
            with suppress(Exception):
                self._writer.abort()
            self._writer = None


class PixelSink(ImageSink):
    """A result image of classified pixels, read time step by time step."""

    duty = "pixels"

    def __init__(self, output: Output, task: Task, plan: Plan) -> None:
        super().__init__(output)
        self._lane, self._plan = task.lane, plan

    def begin(self, files: LaneFiles, context: Context) -> None:
        """Open the file; features are computed once for each time step, in cubes."""
        super().begin(files, context)
        self._image = self._lane.objects
        if self._output.export.source == "Features":
            assert self._plan.pixels is not None
            assert self._lane.raw is not None
            self._image = kept(self._plan.pixels.features(self._lane.raw, context), context)

    def step(self, step: Step) -> None:
        """Compute the pixels."""
        assert self._writer is not None
        source, boxes = self._output.export.source, Boxes(self._image, step.t)
        self._output.export.write(self._writer, step.t, boxes, PAINTERS[source], self._context)


def _paint_segmentation(pixels: AnyArray) -> AnyArray:
    return with_channel(segmentation(pixels))


def _paint_uncertainty(pixels: AnyArray) -> AnyArray:
    return with_channel(uncertainty(pixels))


PAINTERS: dict[str, Callable[[AnyArray], AnyArray]] = {
    "Probabilities": unchanged,
    "Pixel Probabilities": unchanged,
    "Features": unchanged,
    "Simple Segmentation": _paint_segmentation,
    "Uncertainty": _paint_uncertainty,
}
"""Name of a result image -> what is made of the probabilities (or features) of its pixels."""


class TableSink:
    """The rows of a lane, in the table of the lane or of all lanes."""

    duty = "table"

    def __init__(self, task: Task, path: str, plan: Plan) -> None:
        self._task, self._path, self._plan = task, path, plan
        self._measured: list[tuple[FeatureTable, Predictions | None]] = []
        self._columns: Columns = {}

    def refusal(self, header: Header) -> str | None:
        """The reason why the format of the table cannot hold the columns."""
        return table_refusal(self._path, header.columns)

    def begin(self, files: LaneFiles, context: Context) -> None:
        """Do nothing: the table is opened with its first rows."""
        self._files, self._context = files, context

    def step(self, step: Step) -> None:
        """Keep the features and predictions."""
        self._measured.append((step.table, step.predictions))

    def finish(self) -> None:
        """Make the columns."""
        table, predictions = collect(self._measured)
        self._measured.clear()
        task = self._task
        rows = Rows(table, task.name, task.lane.metadata, predictions, number=task.first_step)
        self._columns = filled(columns_of(task.lane, self._plan), rows)

    def commit(self) -> None:
        """Add the rows."""
        maker = table_maker(self._path, self._task.details)
        self._files.append(self._path, maker, self._columns)

    def abort(self) -> None:
        """Discard the rows."""
        self._columns = {}


class PictureSink:
    """A picture of each object, in the table."""

    duty = "pictures"

    def __init__(self, task: Task, path: str, margin: int) -> None:
        self._task, self._path, self._margin = task, path, margin
        self._pictures: list[ObjectImage] = []

    def refusal(self, header: Header) -> str | None:
        """The reason why the format of the table cannot hold pictures."""
        if format_of(self._path).pictures:
            return None
        return (
            f"{self._path}: pictures of objects (--table_images) need a table in HDF5: give it a name in .h5"
        )

    def begin(self, files: LaneFiles, context: Context) -> None:
        """Do nothing: the table is opened with its first rows."""
        self._files, self._context = files, context

    def step(self, step: Step) -> None:
        """Cut out the objects."""
        self._pictures += object_images(self._task.lane, step, self._margin, self._context)

    def finish(self) -> None:
        """Do nothing."""

    def commit(self) -> None:
        """Add the pictures."""
        maker = table_maker(self._path, self._task.details)
        self._files.share(self._path, maker).append_pictures(self._pictures)
        self._pictures.clear()

    def abort(self) -> None:
        """Discard the pictures."""
        self._pictures.clear()


class SummarySink:
    """The counts of a lane, in the summary of all lanes."""

    duty = "summary"

    def __init__(self, task: Task, summary: Summary, plan: Plan) -> None:
        self._task, self._summary = task, summary
        self._size = plan.carried_size(task.lane)
        self._classes = plan.project.classes if plan.project is not None else ()
        self._groups: list[Group] = []

    def refusal(self, header: Header) -> str | None:
        """The reason why the format of the summary cannot hold its columns."""
        path, lane = self._summary.path, self._task.lane
        own = self._columns(replace(lane, metadata=()))
        clash = next((name for name, _ in lane.metadata if name in own), None)
        if clash is not None:
            return f"{path}: the summary has a column '{clash}' of its own: give the metadata column '{clash}' another name"
        return table_refusal(path, list(self._columns(lane)))

    def _columns(self, lane: Lane) -> Columns:
        return summary_columns(self._groups, self._summary, lane, self._task.name, self._size)

    def begin(self, files: LaneFiles, context: Context) -> None:
        """Do nothing: the summary is opened with its first rows."""
        self._files = files

    def step(self, step: Step) -> None:
        """Count the objects."""
        self._groups += groups_of(step, self._classes)

    def finish(self) -> None:
        """Do nothing: there are few rows."""

    def commit(self) -> None:
        """Add the rows."""
        path = self._summary.path
        maker = table_maker(path, self._task.details)
        self._files.append(path, maker, self._columns(self._task.lane))

    def abort(self) -> None:
        """Discard the rows."""
        self._groups.clear()
