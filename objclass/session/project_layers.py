"""The layers of a project: its training images, their objects, and the labels that it stores."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.core import AXES, AnyArray, Image, Lane
from objclass.errors import ObjclassError, ProjectError
from objclass.images import dataset_name
from objclass.pipeline.lane import threshold_for
from objclass.pipeline.plan import Plan
from objclass.project.model import Project
from objclass.project.open import open_any
from objclass.project.pixel_model import PixelProject, Strokes
from objclass.segmentation.find import find_objects
from objclass.session.layers import Classes, Layer, Layers, Place, image_layers, labels_layer
from objclass.settings import ResourceSettings
from objclass.training.pixel_lanes import stored_image
from objclass.training.retrain import stored_lane

MAXIMUM_LANES = 5
"""Images of a project or of a run that are shown; the first one is visible."""

UNLABELLED = {0: "transparent", None: "#a0a0a0"}
"""Colours of objects on which those of their labels lie."""


def project_layers(path: str, resources: ResourceSettings | None = None) -> Layers:
    """The layers of a project; pixels are read when they are looked at.

    Parameters
    ----------
    path
        An ``.ilp`` file, of object or of pixel classification.
    resources
        Threads and memory; by default those of the machine.

    Raises
    ------
    ObjclassError
        If it cannot be opened, or none of its images is there.
    """
    project, context = open_any(path), Context.of(resources or ResourceSettings())
    layers: list[Layer] = []
    remarks: list[str] = []
    if not project.lanes:
        message = f"{path}: a project without images"
        raise ProjectError(message)
    for number in range(min(len(project.lanes), MAXIMUM_LANES)):
        try:
            layers += _lane_layers(project, number, context)
        except ObjclassError as fault:
            remarks.append(f"{os.path.basename(path)}, image {number + 1}: {fault}")
    if not layers:
        message = f"{remarks[0]}: put the images where the project expects them"
        raise ProjectError(message)
    if len(project.lanes) > MAXIMUM_LANES:
        remarks.append(
            f"{os.path.basename(path)}: the first {MAXIMUM_LANES} of its {len(project.lanes)} images are shown"
        )
    return Layers(tuple(layers), tuple(remarks))


def _lane_layers(project: Project | PixelProject, number: int, context: Context) -> Sequence[Layer]:
    kind = "pixel_project" if isinstance(project, PixelProject) else "project"
    about = {kind: os.path.abspath(project.path), "lane": number}
    shown: dict[str, Any] = {"visible": number == 0}
    if isinstance(project, PixelProject):
        raw = stored_image(project, number, context)
        name, place = dataset_name(raw.name)[0], Place.of(raw)
        images = image_layers(raw, name, place, about | {"role": "raw_data"}, **shown)
        return [*images, *_strokes_layers(project, number, raw, place, name, about, shown)]
    lane = stored_lane(project, number, context)
    assert lane.raw is not None
    place = Place.of(lane.objects, lane.pixel_size)
    images = image_layers(lane.raw, lane.nickname, place, about | {"role": "raw_data"}, **shown)
    return [*images, *_objects_layers(project, number, lane, place, about, shown, context)]


def _objects_layers(
    project: Project,
    number: int,
    lane: Lane,
    place: Place,
    about: dict[str, Any],
    shown: dict[str, Any],
    context: Context,
) -> Iterator[Layer]:
    """Probabilities, objects and labels of a lane."""
    if lane.role == "prediction_maps":
        names = project.pixels.classes if project.pixels is not None else ()
        maps = about | {"role": lane.role}
        yield from image_layers(
            lane.objects, f"{lane.nickname} probability", place, maps, names=names, visible=False
        )
    settings = threshold_for(lane, Plan((), (), project.threshold))

    @lru_cache(2)
    def labels(t: int) -> AnyArray:
        return np.asarray(find_objects(lane, t, settings, context).labels[:])

    if not lane.is_computed:
        labels(0)  # what is wrong with the image is said now
    given = project.labels.get(number, {})
    largest = max((len(ids) for ids in given.values()), default=0)

    def classes(t: int) -> AnyArray:
        ids = labels(t)
        classes_of = np.zeros(max(largest, int(ids.max()) + 1), np.uint8)
        stored = given.get(t, ())
        classes_of[: len(stored)] = stored
        return classes_of[ids]

    # pixels that are classified when they are looked at take time
    shown = {"visible": False} if lane.is_computed else shown
    for kind, stored, options in (
        (
            "objects",
            Steps(labels, np.dtype(np.uint32), lane.objects.shape, lane),
            {"colormap": UNLABELLED, "opacity": 0.4},
        ),
        (
            "labels",
            Steps(classes, np.dtype(np.uint8), lane.objects.shape),
            Classes(project.classes, project.colors).options,
        ),
    ):
        steps = Image(lane.nickname, stored, AXES, project.path)
        yield labels_layer(
            steps, f"{lane.nickname} {kind}", place, about | {"role": kind}, **options, **shown
        )


@dataclass(frozen=True, eq=False)
class Steps:
    """Labels that are computed by time step, as a `Stored` with axes `AXES`.

    Parameters
    ----------
    of
        Time step -> labels, axes z, y, x.
    dtype
        Of the labels.
    shape
        That of the image.
    lane
        The lane whose objects they are; None for other labels.
    """

    of: Callable[[int], AnyArray]
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    lane: Lane | None = None

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Labels of the region."""
        t, z, y, x, _ = region
        steps = [self.of(step)[z, y, x] for step in range(t.start, t.stop)]
        return np.stack(steps).astype(self.dtype, copy=False)[..., None]


def _strokes_layers(
    project: PixelProject,
    number: int,
    raw: Image,
    place: Place,
    name: str,
    about: dict[str, Any],
    shown: dict[str, Any],
) -> Iterator[Layer]:
    """The painted labels of each stage."""
    for k, stage in enumerate(project.stages, 1):
        title = f"{name} strokes" + (f" {k}" if len(project.stages) > 1 else "")
        painted = Painted(tuple(stage.strokes.get(number, ())), (*raw.shape[:4], 1))
        image = Image(name, painted, AXES, project.path)
        options = Classes(stage.classes, stage.colors).options
        yield labels_layer(image, title, place, about | {"role": "labels"}, **options, **shown)


@dataclass(frozen=True)
class Painted:
    """Painted labels, as a `Stored` with axes `AXES`; 0 where nothing is painted."""

    strokes: Sequence[Strokes]
    shape: tuple[int, ...]
    dtype = np.dtype(np.uint8)

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Labels of the region; of two strokes, the later one counts."""
        found = np.zeros([part.stop - part.start for part in region], np.uint8)
        for stroke in self.strokes:
            common = [
                slice(max(a.start, b.start), min(a.stop, b.stop))
                for a, b in zip(region, stroke.region, strict=True)
            ]
            if all(part.start < part.stop for part in common):
                there, own = (_within(common, origin) for origin in (region, stroke.region))
                painted = stroke.labels[own]
                found[there] = np.where(painted > 0, painted, found[there])
        return found


def _within(region: Sequence[slice], origin: Sequence[slice]) -> tuple[slice, ...]:
    """A region that counts from the start of another one."""
    return tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(region, origin, strict=True))
