"""What all files of objects for other programs have in common."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray

from objclass import registry
from objclass.compute.context import Context
from objclass.errors import UsageError
from objclass.export.columns import Column, Columns, Rows, filled
from objclass.export.files import LaneFiles
from objclass.export.naming import Task
from objclass.export.objects.outlines import Outline, outlines
from objclass.export.profiles import columns_of
from objclass.export.sink import Header
from objclass.pipeline.lane import Step
from objclass.pipeline.plan import Plan
from objclass.project.model import Color, class_colors

CENTER, COUNT, STOPS = (("Default features", name) for name in ("RegionCenter", "Count", "Coord<Maximum>"))

IDS = (
    *("object_id", "timestep", "labelimage_oid", "label", "label_id", "ObjectNumber"),
    *("frame", "timepoint", "ImageNumber", "Metadata_T", "class_id"),
)
"""Columns of tables that identify an object: no measurements."""


def format_of(path: str) -> registry.ObjectFormat:
    """The format of the suffix of a path.

    Raises
    ------
    UsageError
        If no program takes objects in files of that suffix.
    """
    found = registry.object_format(path)
    if found is None:
        message = f"--export_objects {path}: expected a name that ends in {_suffixes(registry.object_formats(plugins=True))}"
        raise UsageError(message)
    return found


def _suffixes(formats: Iterator[registry.ObjectFormat]) -> str:
    return ", ".join(suffix for found in formats for suffix in found.suffixes)


class ObjectSink:
    """The objects of a lane in a file of their own; a format derives from it.

    Row i of whatever is measured in a time step belongs to the object whose pixels have the value i + 1.
    """

    duty = "objects"

    def __init__(self, task: Task, path: str, plan: Plan) -> None:
        project = plan.project
        self.lane, self.image, self.path, self.plan = task.lane, task.name, path, plan
        self.classes: tuple[str, ...] = project.classes if project is not None else ()
        self.colors: tuple[Color, ...] = class_colors(project.colors, len(self.classes)) if project else ()
        self.cleanup = ExitStack()
        """What closes the files that `begin` has opened."""

    def refusal(self, header: Header) -> str | None:
        """The reason why the format cannot hold the lane, or cannot be written here, and what to do."""
        found = format_of(self.path)
        if not found.fits(header.lane.objects.shape):
            depth_or_time = (
                "volumes" if header.lane.objects.ndim == 3 and not found.volumes else "time series"
            )
            others = (
                other
                for other in registry.object_formats(plugins=True)
                if other.fits(header.lane.objects.shape)
            )
            return f"{self.path}: {found.name} holds no {depth_or_time}: give a name in {_suffixes(others)}"
        if found.library and find_spec(found.library) is None:
            return (
                f"{self.path}: {found.name} is written with {found.library}, which is not installed: "
                f'pip install "objclass[{found.extra}]"'
            )
        return None

    def begin(self, files: LaneFiles, context: Context) -> None:
        """Get the temporary name."""
        self.context, self.temporary = context, files.add(self.path)

    def step(self, step: Step) -> None:
        """Write the objects of a time step; defined by the format."""
        raise NotImplementedError

    def finish(self) -> None:
        """Complete the file; defined by the format."""
        raise NotImplementedError

    def commit(self) -> None:
        """Nothing is shared between lanes."""

    def abort(self) -> None:
        """Close the file without finishing it."""
        with suppress(Exception):
            self.cleanup.close()

    def outlines(self, step: Step) -> Iterator[tuple[int, Outline]]:
        """The outlines of all objects, plane by plane: z and the outline, in the order of the labels."""
        depth, height, width = step.objects.labels.shape
        stops = step.table.values[STOPS][:, 1].astype(int)
        for z in range(depth):
            cut = self.context.limits.slabs((1, height, width))
            for outline in outlines(step.objects.labels, z, stops, cut):
                self.context.stop.check()
                yield z, outline

    def columns(self) -> Sequence[Column]:
        """The columns of the table."""
        return columns_of(self.lane, self.plan)

    def measurements(self, step: Step) -> Columns:
        """All columns of the table that are numbers, by their names in the table."""
        rows = Rows(step.table, self.image, self.lane.metadata, step.predictions)
        columns = filled(self.columns(), rows)
        return {
            name: found for name, found in columns.items() if found.dtype.kind in "iuf" and name not in IDS
        }

    def numbered_classes(self) -> list[str]:
        """Names of the classes; of two of the same name the second one is numbered."""
        return [
            f"{name} ({again + 1})" if (again := self.classes[:k].count(name)) else name
            for k, name in enumerate(self.classes)
        ]

    def probability_names(self) -> list[str]:
        """Names of columns of probabilities."""
        return [f"p_{name}" for name in self.numbered_classes()]

    def class_names(self, step: Step) -> NDArray[np.object_] | None:
        """The class of each object; None without a project."""
        if step.predictions is None:
            return None
        return np.array(self.classes, dtype=object)[step.predictions.classes - 1]


def sink_for(task: Task, path: str, plan: Plan) -> ObjectSink:
    """The sink of a file of objects.

    Raises
    ------
    UsageError
        If no program takes objects in files of that suffix.
    """
    made: ObjectSink = registry.resolve(format_of(path).sink)(task, path, plan)
    return made
