"""The lanes of a run: which images belong together, and the axes of each."""

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import isclose
from pathlib import Path

from objclass import images
from objclass.compute.context import Context
from objclass.core import PIXEL_ROLE, TRAINING_AXES, Image, Lane, PixelSize
from objclass.errors import ImageError, UsageError
from objclass.images.channel import channel_of
from objclass.pixels.chain import PixelChain, kept
from objclass.project.model import Project
from objclass.project.pixel_model import PixelProject

log = logging.getLogger("objclass")

OBJECT_ROLES = ("segmentation_image", "prediction_maps", "label_image")
"""Roles of the image that defines the objects."""

ONE_CHANNEL_ROLES = ("segmentation_image", "label_image")
"""Roles of images that have one channel, or of which one is chosen."""

MAXIMUM_ROLES = 3
"""Raw data, objects, atlas."""

Trained = Project | PixelProject | None
"""What was trained, if anything."""

_ROUNDING = 1e-4
"""Relative difference of two pixel sizes that are taken as equal, since formats round them."""


@dataclass(frozen=True)
class Inputs:
    """The images given for each role, lane after lane.

    Parameters
    ----------
    paths
        Role -> one entry for each lane.
    axes
        Axes of the first role, the second, …; a single entry is for all roles. None, or no entry: those of the
        file. Empty: no axes are given, and those of the training lane are used.
    stack_along
        The axis along which the files of a glob are stacked.
    ignore_training_axes
        Whether axes are taken from the files, not from the training lane.
    follow_links
        Whether files may refer to other files.
    channel
        The channel of segmentations and label images that shows the objects. None: they have only one.
    """

    paths: Mapping[str, Sequence[str]]
    axes: tuple[str | None, ...] = ()
    stack_along: str = "z"
    ignore_training_axes: bool = False
    follow_links: bool = False
    channel: int | None = None

    def axes_of(self, role: str) -> str | None:
        """The axes that were given for a role, None if there are none."""
        if len(self.axes) == 1:
            return self.axes[0]
        place = {"raw_data": 0, "atlas": 2}.get(role, 1)
        return self.axes[place] if place < len(self.axes) else None


def open_lanes(
    inputs: Inputs,
    project: Trained,
    context: Context | None = None,
    chain: PixelChain | None = None,
) -> list[Lane]:
    """Open the headers of all images, to be read in a context, and pair them to lanes.

    With a ``chain``, the prediction maps are computed from raw data; with a pixel project alone they are the result.
    """
    context = context or Context()
    if chain is not None:
        return _pixel_lanes(inputs, project, context, chain)
    assert not isinstance(project, PixelProject)
    if inputs.paths.get("prediction_mask"):
        message = "--prediction_mask: is an option of Pixel Classification: pixels are not classified here"
        raise UsageError(message)
    role = object_role(inputs, project)
    if len(inputs.axes) > MAXIMUM_ROLES:
        message = f"--input_axes of {len(inputs.axes)} entries: more entries than roles"
        raise UsageError(message)
    raws, objects = inputs.paths.get("raw_data", ()), inputs.paths.get(role, ())
    if len(raws) != len(objects) and (raws or project is not None):
        message = (
            f"{len(raws)} for --raw_data and {len(objects)} for --{role}: expected as many of each, one "
            'for each lane (a glob in quotes, "stack/*.png", is one lane; without quotes, a lane for each file)'
        )
        raise UsageError(message)
    atlases = inputs.paths.get("atlas", ())
    if len(atlases) not in (0, len(objects)):
        message = f"{len(atlases)} for --atlas and {len(objects)} for --{role}: expected as many, or none"
        raise UsageError(message)
    lanes = []
    for number, path in enumerate(objects):
        raw = _open(raws[number], "raw_data", inputs, project, context) if raws else None
        atlas = _open(atlases[number], "atlas", inputs, project, context) if atlases else None
        nickname, directory = images.dataset_name(raws[number] if raws else path)
        opened = _open(path, role, inputs, project, context)
        lanes.append(Lane(raw, opened, role, nickname, directory, atlas))
    return lanes


def _pixel_lanes(inputs: Inputs, project: Trained, context: Context, chain: PixelChain) -> list[Lane]:
    """Lanes whose pixels are classified."""
    given = [role for role in OBJECT_ROLES if inputs.paths.get(role)]
    if given:
        message = f"--{given[0]}: the pixel classifier of {chain.path} looks at raw data alone: leave it out"
        raise UsageError(message)
    raws = inputs.paths.get("raw_data", ())
    others = {role: inputs.paths.get(role, ()) for role in ("atlas", "prediction_mask")}
    for role, paths in others.items():
        if len(paths) not in (0, len(raws)):
            message = f"{len(paths)} for --{role} and {len(raws)} for --raw_data: expected as many, or none"
            raise UsageError(message)
    is_result = isinstance(project, PixelProject)
    is_combined = isinstance(project, Project) and project.classifies_pixels
    opened = [_open(path, "raw_data", inputs, project, context) for path in raws]
    context = context.within(replace(context.limits, images=sum(raw.shape[0] for raw in opened)))
    lanes = []
    for number, (path, raw) in enumerate(zip(raws, opened, strict=True)):
        atlas, mask = (
            _open(paths[number], role, inputs, project, context) if paths else None
            for role, paths in others.items()
        )
        # ilastik masks the pixels of its combined workflow by the atlas
        inside = atlas if mask is None and is_combined else mask
        probabilities = kept(chain.probabilities(raw, context, inside), context)
        nickname, directory = images.dataset_name(path)
        role = PIXEL_ROLE if is_result else "prediction_maps"
        lanes.append(Lane(raw, probabilities, role, nickname, directory, atlas, mask))
    return lanes


def warn_of_pixel_sizes(lanes: Sequence[Lane]) -> None:
    """Warn where the inputs of a lane have different pixel sizes; the warning says which one is used."""
    for lane in (lane for lane in lanes if lane.given_size is None):
        sized = [(image, image.pixel_size) for image in lane.images if image.pixel_size is not None]
        taken = lane.pixel_size
        if taken is None or all(_is_same(size, taken, lane.objects.ndim) for _, size in sized):
            continue
        sizes = ", ".join(f"{_described(size, lane.objects.ndim)} in {image.name}" for image, size in sized)
        log.warning(
            "pixel sizes differ: %s; %s is used (give --pixel_size for another one)",
            sizes, _described(taken, lane.objects.ndim),
        )  # fmt: skip


def _is_same(a: PixelSize, b: PixelSize, ndim: int) -> bool:
    close = (isclose(p, q, rel_tol=_ROUNDING) for p, q in zip(a.spacing(ndim), b.spacing(ndim), strict=True))
    return a.unit == b.unit and all(close)


def _described(size: PixelSize, ndim: int) -> str:
    lengths = ",".join(f"{axis}={n:g}" for axis, n in zip("zyx"[-ndim:], size.spacing(ndim), strict=True))
    return lengths + size.unit


def object_role(inputs: Inputs, project: Project | None) -> str:
    """The role of the images that define the objects.

    Raises
    ------
    UsageError
        If a role is given that the workflow does not have, or none, or several.
    """
    given = [role for role in OBJECT_ROLES if inputs.paths.get(role)]
    if project is not None:
        wrong = [role for role in given if role != project.role]
        if wrong:
            message = (
                f"--{wrong[0]}: {project.path} is of the workflow '{project.workflow}', whose inputs are "
                f"--raw_data and --{project.role}"
            )
            raise UsageError(message)
        return project.role
    if len(given) != 1:
        options = " and ".join(f"--{role}" for role in given) or "none"
        message = (
            f"{options} given: without --project, expected one of "
            f"{', '.join(f'--{role}' for role in OBJECT_ROLES)}"
        )
        raise UsageError(message)
    return given[0]


def _open(path: str, role: str, inputs: Inputs, project: Trained, context: Context) -> Image:
    """Open an image with its axes: those given, else those of the training lane, else those of the file."""
    axes = inputs.axes_of(role) if inputs.axes else None
    own = images.open_image(path, axes=axes, stack_along=inputs.stack_along, context=context)
    if inputs.channel is not None and role in ONE_CHANNEL_ROLES:
        own = channel_of(own, inputs.channel)
    if inputs.axes or project is None or inputs.ignore_training_axes:
        return own
    return with_training_axes(own, role, project)


def with_training_axes(own: Image, role: str, project: Project | PixelProject) -> Image:
    """The image with the axes of the project's last training lane, where they fit its shape.

    Raises
    ------
    ImageError
        If they do not.
    """
    trained = project.training_axes(role)
    if trained is None or trained == own.axes:
        return own
    if len(trained) != len(own.axes):
        return _fit_training_axes(own, trained, role)
    if own.axes_from != "shape":
        log.warning(
            "%s has axes %s; those of the training lane, %s, are used "
            "(--ignore_training_axistags uses those of the file)", own.name, own.axes, trained,
        )  # fmt: skip
    return replace(own, axes=trained, axes_from=TRAINING_AXES, pixel_size=None)


def _fit_training_axes(own: Image, trained: str, role: str) -> Image:
    """The axes of the file, if they differ from those of the training lane only in axes of length 1."""
    lengths = dict(zip(own.axes, own.stored.shape, strict=True))
    extra = [axis for axis in own.axes if axis not in trained and lengths[axis] > 1]
    if not extra:
        return own  # an axis of length 1 more or less is never an error
    if extra == ["c"] and role in ONE_CHANNEL_ROLES:
        return own  # refused as what it is
    message = (
        f"{role.replace('_', ' ')} {own.name} of shape {own.stored.shape} (axes {own.axes} from "
        f"{own.axes_from}) does not fit the axes {trained} that the project was trained with: "
        "give --ignore_training_axistags to use those of the file, or --input_axes"
    )
    raise ImageError(message)


def distinct_names(lanes: Sequence[Lane]) -> list[str]:
    """The nickname of each lane; for lanes of the same name the shortest end of their paths that differs.

    Bytes that are not UTF-8 are replaced, since tables cannot hold them.
    """
    parts = [tuple(map(_as_text, (*Path(lane.directory).parts, lane.nickname))) for lane in lanes]
    names = [part[-1] for part in parts]
    for depth in range(2, max((len(p) for p in parts), default=1) + 1):
        times = Counter(names)
        names = [
            Path(*part[-depth:]).as_posix() if times[name] > 1 else name
            for part, name in zip(parts, names, strict=True)
        ]
    times, seen = Counter(names), Counter[str]()
    for i, name in enumerate(names):
        if times[name] > 1:  # the same image twice
            seen[name] += 1
            names[i] = f"{name}#{seen[name]}"
    return names


def _as_text(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "replace")
