"""The images of a session, their objects, and what was measured of these."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import AnyArray, FeatureTable, FloatArray, Image, IntArray, Lane, Objects, concatenate
from objclass.errors import LaneError
from objclass.features.contract import Feature
from objclass.pipeline.lane import compute_pixels, measure_step, threshold_for
from objclass.pipeline.plan import Plan, check_features, check_lane
from objclass.project.model import TrainingInput, find
from objclass.segmentation.find import find_objects
from objclass.session.bounds import bounds_of
from objclass.session.labelling import Footprint, Labelling, Labels, Mark, StoredObject
from objclass.settings import ProjectThreshold

SHARE = 4
"""The label image of an image may take this part of the memory of the session."""

Box = tuple[slice, slice, slice, slice]
"""Slices along t, z, y, x."""


@dataclass(frozen=True, eq=False)
class SessionImage:
    """An image of a session: its raw data, and the image that defines the objects.

    Parameters
    ----------
    key
        A number that no other image of the session has.
    lane
        The images.
    inputs
        Role -> what a project says of an image: files by their absolute paths, others by a place inside of it.
    """

    key: int
    lane: Lane
    inputs: Mapping[str, TrainingInput] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the image, for windows and messages."""
        return self.lane.nickname or self.lane.objects.name

    @property
    def by_role(self) -> dict[str, Image]:
        """The images that are not computed, by their roles."""
        lane = self.lane
        objects = None if lane.is_computed else lane.objects
        given = {"raw_data": lane.raw, lane.role: objects, "atlas": lane.atlas}
        return {role: image for role, image in given.items() if image is not None}

    @property
    def files(self) -> list[str]:
        """The files that are read, but for the project that stores images."""
        named = [image for role, image in self.by_role.items() if not self.inputs[role].inside]
        return [file for image in named for file in image.files]

    @property
    def inside(self) -> dict[str, Image]:
        """Name of a dataset inside of a project -> the image that is stored there."""
        own = self.by_role
        return {
            given.inside: own[role] for role, given in self.inputs.items() if given.inside and role in own
        }

    @property
    def axes(self) -> str:
        """Axes of the image that defines the objects, without channels: those of label images that are shown."""
        return self.lane.objects.axes.replace("c", "")

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Lengths of t, z, y, x."""
        t, z, y, x, _ = self.lane.objects.shape
        return t, z, y, x


@dataclass(frozen=True, eq=False)
class FoundObjects:
    """The objects of an image, as a threshold separates them.

    They are numbered through all time steps, from 1 to `count`, in the order of time steps and ids: the object of a
    number is the row ``number - 1`` of tables.

    Parameters
    ----------
    image
        The image.
    threshold
        How its prediction map was thresholded; without a meaning for other images.
    numbers
        The number of the object of each voxel, axes t, z, y, x, uint32; 0 is background.
    starts
        Number of objects before each time step, and of all: length time steps + 1.
    originals
        Of each time step: the ids that a label image has given; None for other images.
    bounds
        Where each object lies: start and end along t, z, y, x, shape (objects, 4, 2).
    """

    image: SessionImage
    threshold: ProjectThreshold
    numbers: NDArray[np.uint32]
    starts: IntArray
    originals: tuple[AnyArray | None, ...]
    bounds: IntArray
    _places: dict[Footprint, int] = field(default_factory=dict, init=False, repr=False)
    _stored: dict[StoredObject, Footprint] = field(default_factory=dict, init=False, repr=False)
    _last: tuple[tuple[Mark, ...], Labels] = field(default=((), Labels()), init=False, repr=False)

    @property
    def count(self) -> int:
        """Number of objects."""
        return int(self.starts[-1])

    def box(self, number: int) -> Box:
        """Where an object lies: slices along t, z, y, x."""
        t, z, y, x = (slice(start, end) for start, end in self.bounds[number - 1].tolist())
        return t, z, y, x

    def step(self, t: int) -> NDArray[np.uint32]:
        """The label image of a time step, axes z, y, x, with ids from 1."""
        start = np.uint32(self.starts[t])
        labels = self.numbers[t]
        return np.where(labels > 0, labels - start, np.uint32(0)) if start else labels

    def objects(self, t: int) -> Objects:
        """The objects of a time step."""
        return Objects(self.step(t), int(self.starts[t + 1] - self.starts[t]), self.originals[t])

    def place(self, number: int) -> tuple[int, int]:
        """Time step and id of an object."""
        t = int(np.searchsorted(self.starts, number)) - 1
        return t, number - int(self.starts[t])

    def mark(self, number: int, class_number: int) -> Mark:
        """The label of an object."""
        return Mark(self.footprint(number), class_number)

    def footprint(self, number: int) -> Footprint:
        """The voxels of an object."""
        box = self.box(number)
        footprint = Footprint(self.image.key, box, self.numbers[box] == number)
        self._places[footprint] = number
        return footprint

    def located(self, labelling: Labelling) -> dict[StoredObject, Footprint]:
        """Where labelled objects of a project are; nowhere, if there is no such object."""
        marks = labelling.by_image.get(self.image.key, ())
        stored = [mark.footprint for mark in marks if isinstance(mark.footprint, StoredObject)]
        for one in stored:
            if one not in self._stored:
                self._stored[one] = self._place_of(one)
        return {one: self._stored[one] for one in stored}

    def _place_of(self, stored: StoredObject) -> Footprint:
        t, label = stored.timestep, stored.label
        if t < len(self.numbers) and 1 <= label <= self.starts[t + 1] - self.starts[t]:
            return self.footprint(int(self.starts[t]) + label)
        nowhere = slice(0, 0)
        return Footprint(self.image.key, (nowhere,) * 4, np.zeros((0,) * 4, bool))

    def number_of(self, footprint: Footprint | StoredObject) -> int:
        """The object that holds more than half of the voxels of a labelled object; 0: there is none."""
        if isinstance(footprint, StoredObject):
            return 0
        if footprint not in self._places:
            inside = self.numbers[footprint.box][footprint.mask]
            numbers, counts = np.unique(inside[inside > 0], return_counts=True)
            most = int(counts.argmax()) if len(counts) else 0
            is_half = len(counts) > 0 and 2 * int(counts[most]) > inside.size
            self._places[footprint] = int(numbers[most]) if is_half else 0
        return self._places[footprint]

    def labels(self, labelling: Labelling) -> Labels:
        """The labels of the objects."""
        marks = labelling.by_image.get(self.image.key, ())
        last = self._last
        if marks != last[0]:  # footprints are compared by identity: quick
            last = marks, self._labels_of(marks)
            object.__setattr__(self, "_last", last)
        return last[1]

    def _labels_of(self, given: Sequence[Mark]) -> Labels:
        marks: dict[int, list[Mark]] = {}
        for mark in given:
            marks.setdefault(self.number_of(mark.footprint), []).append(mark)
        lost = marks.pop(0, [])
        classes = {number: several[0].number for number, several in marks.items()}
        for number, several in marks.items():
            if len(several) > 1 and len({mark.number for mark in several}) > 1:
                del classes[number]
                lost += several
        return Labels(classes, marks, tuple(lost))

    def voxel(self, number: int) -> tuple[int, int, int, int]:
        """t, z, y, x of a voxel of an object near its centre."""
        t, z, y, x = self.box(number)
        mask = self.numbers[t, z, y, x][0] == number
        sizes = mask.sum(axis=(1, 2))
        center = np.average(np.arange(len(sizes)), weights=sizes)
        planes = np.flatnonzero(sizes)
        plane = int(planes[np.abs(planes - center).argmin()])
        rows, columns = np.nonzero(mask[plane])
        nearest = int(np.hypot(rows - rows.mean(), columns - columns.mean()).argmin())
        return t.start, z.start + plane, y.start + int(rows[nearest]), x.start + int(columns[nearest])


def objects_of(image: SessionImage, threshold: ProjectThreshold, context: Context) -> FoundObjects:
    """Find the objects of an image.

    Raises
    ------
    ObjclassError
        If its label image does not fit into memory, its values cannot be labels, or it lacks the channel.
    """
    lane, memory = image.lane, context.limits.memory
    size = int(np.prod(image.shape)) * 4
    if memory is not None and size > memory // SHARE:
        message = (
            f"{lane.objects.name} {lane.objects.stored.shape}: its label image takes {size / 1e9:.2g} GB of memory, "
            f"{memory // SHARE / 1e9:.2g} GB are left for it: label the objects of a part of it, then run the project "
            "on all of it"
        )
        raise LaneError(message)
    plan = Plan((), (), threshold)
    check_lane(lane, plan)
    settings = threshold_for(lane, plan)
    numbers = np.zeros(image.shape, np.uint32)
    starts, originals, bounds = [0], [], []
    whole = tuple(slice(0, n) for n in image.shape[1:])
    for t in range(image.shape[0]):
        context.stop.check()
        if lane.is_computed:
            compute_pixels(lane, t)
        found = find_objects(lane, t, settings, context)
        labels = np.asarray(found.labels[whole])
        np.add(labels, np.uint32(starts[-1]), out=numbers[t], where=labels > 0)
        starts.append(starts[-1] + found.count)
        originals.append(found.original)
        bounds.append(np.insert(bounds_of(labels, found.count), 0, (t, t + 1), axis=1))
    return FoundObjects(
        image, threshold, numbers, np.array(starts, np.int64), tuple(originals), np.concatenate(bounds)
    )


@dataclass(frozen=True, eq=False)
class MeasuredObjects:
    """The objects of an image with all features that were measured so far.

    Parameters
    ----------
    found
        The objects.
    table
        A row for each, in the order of their numbers.
    margin
        Neighbourhood of the features that look around objects; empty as long as there are none.
    """

    found: FoundObjects
    table: FeatureTable
    margin: tuple[int, ...] = ()

    def lacks(self, features: Sequence[Feature], margin: tuple[int, ...]) -> list[Feature]:
        """The features that are not measured yet."""
        return [
            feature
            for feature in features
            if feature.key not in self.table.values or (_looks_around(feature) and margin != self.margin)
        ]

    def still_valid(self, margin: tuple[int, ...]) -> dict[Any, FloatArray]:
        """The values that a margin does not change."""
        values = self.table.values
        if margin in ((), self.margin):
            return dict(values)
        return {key: column for key, column in values.items() if not _looks_around(find(*key))}


def _looks_around(feature: Feature | None) -> bool:
    return feature is not None and feature.scope != "object"


def measured(
    found: FoundObjects,
    features: Sequence[Feature],
    margin: tuple[int, ...],
    before: MeasuredObjects | None,
    context: Context,
) -> MeasuredObjects:
    """Measure objects; features that are known are kept.

    Raises
    ------
    ObjclassError
        If the features are not defined for the image.
    """
    known = before if before is not None and before.found is found else None
    missing = known.lacks(features, margin) if known is not None else list(features)
    if known is not None and not missing:
        return known
    plan = Plan(tuple(missing), tuple(missing), found.threshold, margin)
    lane = found.image.lane
    check_features(lane, plan)
    tables = []
    for t in range(len(found.numbers)):
        context.stop.check()
        tables.append(measure_step(lane, plan, t, found.objects(t), context))
        context.progress(lane.nickname, (t + 1) / len(found.numbers))
    new = concatenate(tables)
    kept = known.still_valid(margin) if known is not None else {}
    table = FeatureTable(new.timestep, new.label, {**kept, **new.values}, new.given)
    return MeasuredObjects(found, table, margin or (known.margin if known is not None else ()))
