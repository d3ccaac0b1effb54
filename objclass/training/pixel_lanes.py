"""The images that a pixel classifier learns from, each with its labels: given ones, and those of projects."""

import dataclasses
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from objclass import images
from objclass.compute.context import Context
from objclass.core import Image
from objclass.errors import InputError, ProjectError, UsageError
from objclass.images.paths import check_here, public, relative, split_stack
from objclass.images.urls import is_url
from objclass.pipeline.pairing import Inputs
from objclass.project.model import TrainingInput
from objclass.project.pixel_model import PixelProject, Strokes
from objclass.training.stored_images import input_of, inside_name, stored_path
from objclass.training.strokes import renumbered

Key = tuple[str, ...]
"""Real paths of the files of an image: the same for two names of it."""


@dataclass(frozen=True)
class PixelLane:
    """An image to learn from.

    Parameters
    ----------
    given
        What the project is to say of it.
    image
        None if it is not looked at, for want of labels.
    strokes
        Its labels; of two of a pixel, the later one counts.
    others
        Role -> what else a project has in the lane.
    """

    given: TrainingInput
    image: Image | None
    strokes: tuple[Strokes, ...] = ()
    others: Mapping[str, TrainingInput] = field(default_factory=dict)

    @property
    def inputs(self) -> dict[str, TrainingInput]:
        """What the project is to say of the lane."""
        return {"raw_data": self.given, **self.others}

    @property
    def opened(self) -> Image:
        """The image of a lane that has one."""
        assert self.image is not None
        return self.image


def project_lanes(
    sources: Sequence[PixelProject],
    classes: Sequence[str],
    base: PixelProject | None,
    target: str,
    context: Context,
) -> dict[Key, PixelLane]:
    """The lanes of projects.

    Parameters
    ----------
    sources
        Whose labels are taken over; of the base, lanes without labels as well.
    classes
        Names of all classes: the labels are numbered by them.
    base
        The project that the others are added to, if there is one.
    target
        The project that will hold the lanes.
    context
        Of the run that reads the images.

    Raises
    ------
    ProjectError
        If an image that has labels is not found.
    """
    lanes: dict[Key, PixelLane] = {}
    inside = images_inside(base)
    for source in sources:
        numbers = [classes.index(name) + 1 for name in source.classes]
        for number, entry in enumerate(source.lanes):
            strokes = source.stages[0].strokes.get(number, ())
            if "raw_data" not in entry or not (strokes or source is base):
                continue
            raw, key = entry["raw_data"], image_key(stored_path(source, entry["raw_data"]))
            if raw.inside and source is not base:
                raw = _named_anew(raw, inside)
            inside.add(raw.inside.strip("/"))
            image = stored_image(source, number, context) if strokes else None
            others = {
                role: _moved(source, given, None, target)
                for role, given in entry.items()
                if role != "raw_data" and source is base
            }
            lane = lanes.get(key) or PixelLane(_moved(source, raw, image, target), image, (), others)
            own = renumbered(strokes, numbers, source.path)
            lanes[key] = dataclasses.replace(lane, image=lane.image or image, strokes=(*lane.strokes, *own))
    return lanes


def given_lanes(
    inputs: Inputs, lanes: Mapping[Key, PixelLane], target: str, context: Context
) -> dict[Key, PixelLane]:
    """The lanes of ``--raw_data``, in order: those of projects where the image is one of theirs.

    Raises
    ------
    UsageError
        If an image is given twice.
    """
    found: dict[Key, PixelLane] = {}
    for path in inputs.paths.get("raw_data", ()):
        key = image_key(path)
        if key in found:
            message = f"--raw_data names {path} twice: paint one image of labels for it"
            raise UsageError(message)
        axes, stack = inputs.axes_of("raw_data") if inputs.axes else None, inputs.stack_along
        image = images.open_image(path, axes=axes, stack_along=stack, context=context)
        nickname, _ = images.dataset_name(path)
        new = TrainingInput(_relative(path, target), image.axes, image.stored.shape, nickname)
        lane = lanes.get(key) or PixelLane(new, image)
        found[key] = dataclasses.replace(lane, image=lane.image or image)
    return found


def open_lane(image: Image, number: int) -> PixelLane:
    """The lane of an image that is open: files are named by their absolute paths, arrays go into the project.

    Parameters
    ----------
    image
        Raw data.
    number
        Of the lane, from 0.
    """
    return PixelLane(input_of(image, f"image{number}"), image)


def image_key(path: str) -> Key:
    """What tells images apart."""
    return tuple(public(piece) if is_url(piece) else os.path.realpath(piece) for piece in split_stack(path))


def stored_image(project: PixelProject, number: int, context: Context) -> Image:
    """An image that a project was trained on, from where the project is, or from inside of it.

    Raises
    ------
    ProjectError
        If the project does not name it, or it is not there.
    """
    given = project.lanes[number].get("raw_data") if number < len(project.lanes) else None
    if given is None:
        message = f"{project.path} does not name the raw data of lane {number}"
        raise ProjectError(message)
    try:
        check_here(stored_path(project, given))
        own = images.open_image(stored_path(project, given), context=context)
    except InputError as fault:
        message = (
            f"{project.path}: to train on its labels takes the images that they were painted on: {fault}"
        )
        raise ProjectError(message) from None
    fits = len(given.axes) == len(own.stored.shape)
    return dataclasses.replace(own, axes=given.axes, axes_from=project.path) if fits else own


def images_inside(project: PixelProject | None) -> set[str]:
    """Names of the datasets of the images that a project holds."""
    if project is None:
        return set()
    return {given.inside.strip("/") for lane in project.lanes for given in lane.values() if given.inside}


def _named_anew(given: TrainingInput, taken: Collection[str]) -> TrainingInput:
    """The image of another project, whose dataset gets a name that is not taken yet."""
    name = inside_name(given.inside.strip("/").rpartition("/")[2].strip(".") or "image", taken)
    return dataclasses.replace(given, path=name, inside=name)


def _moved(source: PixelProject, given: TrainingInput, image: Image | None, target: str) -> TrainingInput:
    """The same image, as seen from another project."""
    path = given.path if given.inside else _relative(stored_path(source, given), target)
    if image is None:
        return dataclasses.replace(given, path=path)
    return dataclasses.replace(given, path=path, axes=image.axes, shape=image.stored.shape)


def _relative(path: str, target: str) -> str:
    folder = str(Path(target).resolve().parent)
    return os.pathsep.join(relative(piece, folder) for piece in split_stack(path))
