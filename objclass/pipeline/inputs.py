"""The lanes of a run: the images of each, open, and their axes."""

import logging
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from math import isclose
from pathlib import Path

from objclass import images
from objclass.compute.context import Context
from objclass.core import PIXEL_ROLE, ROUNDING, TRAINING_AXES, Image, Lane, PixelSize
from objclass.errors import ImageError
from objclass.images.channel import channel_of
from objclass.images.urls import is_url
from objclass.pipeline.pairing import OBJECT_ROLES, Inputs, LanePaths, Trained, pair
from objclass.pixels.chain import PixelChain, kept
from objclass.project.model import Project
from objclass.project.pixel_model import PixelProject

log = logging.getLogger("objclass")

ONE_CHANNEL_ROLES = ("segmentation_image", "label_image")
"""Roles of images that have one channel, or of which one is chosen."""


def open_lanes(
    inputs: Inputs,
    project: Trained,
    context: Context | None = None,
    chain: PixelChain | None = None,
) -> list[Lane]:
    """Pair the images to lanes, and open the headers of all of them, to be read in a context.

    With a ``chain``, the prediction maps are computed from raw data; with a pixel project alone they are the result.
    """
    context, paired = context or Context(), pair(inputs, project, chain)
    context = context.within(replace(context.limits, images=len(paired)))
    opened = partial(open_lane, inputs=inputs, project=project, context=context, chain=chain)
    if any(is_url(path) for lane in paired for path in lane.paths.values()):  # servers take their time
        return list(context.threads.ordered(opened, paired))
    return [opened(paths) for paths in paired]


def computed(
    chain: PixelChain, raw: Image, atlas: Image | None, mask: Image | None, project: Trained, context: Context
) -> Image:
    """The probabilities of the pixels of a lane, each time step computed once while it is read."""
    inside = mask_of(atlas, mask, project)
    context = context.within(replace(context.limits, images=context.limits.images * raw.shape[0]))
    return kept(chain.probabilities(raw, context, inside), context)


def mask_of(atlas: Image | None, mask: Image | None, project: Trained) -> Image | None:
    """The image that says where pixels have probabilities: ilastik's combined workflow masks them by the atlas."""
    is_combined = isinstance(project, Project) and project.classifies_pixels
    return atlas if mask is None and is_combined else mask


def open_lane(
    paths: LanePaths, inputs: Inputs, project: Trained, context: Context, chain: PixelChain | None = None
) -> Lane:
    """Open the headers of the images of one lane; ``inputs`` says how.

    Raises
    ------
    ImageError
        If an image cannot be opened, or they do not fit each other.
    """
    inputs = replace(inputs, axes=paths.axes or inputs.axes)
    opened = {role: _open(path, role, inputs, project, context) for role, path in paths.paths.items()}
    raw, atlas, mask = (opened.get(role) for role in ("raw_data", "atlas", "prediction_mask"))
    if chain is None:
        role = next(role for role in OBJECT_ROLES if role in opened)
        objects = opened[role]
    else:
        assert raw is not None
        role = PIXEL_ROLE if isinstance(project, PixelProject) else "prediction_maps"
        objects = computed(chain, raw, atlas, mask, project, context)
    nickname, directory = images.dataset_name(paths.image)
    return Lane(
        raw,
        objects,
        role,
        paths.nickname or nickname,
        directory,
        atlas,
        mask,
        tuple((name, _as_text(text)) for name, text in paths.metadata),
        paths.pixel_size,
        paths.cutout,
    )


def warn_of_pixel_sizes(lanes: Sequence[Lane]) -> None:
    """Warn where the inputs of a lane have different pixel sizes; the warning says which one is used."""
    for lane in (lane for lane in lanes if lane.given_size is None):
        sized = [(image, image.pixel_size) for image in lane.images if image.pixel_size is not None]
        taken = lane.pixel_size
        if taken is None or all(_is_same(size, taken, lane.objects.ndim) for _, size in sized):
            continue
        sizes = ", ".join(f"{size.described(lane.objects.ndim)} in {image.name}" for image, size in sized)
        log.warning(
            "pixel sizes differ: %s; %s is used (give --pixel_size for another one)",
            sizes, taken.described(lane.objects.ndim),
        )  # fmt: skip


def _is_same(a: PixelSize, b: PixelSize, ndim: int) -> bool:
    close = (isclose(p, q, rel_tol=ROUNDING) for p, q in zip(a.spacing(ndim), b.spacing(ndim), strict=True))
    return a.unit == b.unit and all(close)


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
    return distinguished([(lane.directory, lane.nickname) for lane in lanes])


def distinguished(images: Sequence[tuple[str, str]]) -> list[str]:
    """`distinct_names` of images that are given by folder and nickname."""
    parts = [tuple(map(_as_text, (*Path(folder).parts, nickname))) for folder, nickname in images]
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
