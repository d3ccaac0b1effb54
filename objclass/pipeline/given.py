"""Images that Python gives: arrays, paths or open images, each with its axes."""

import os
from dataclasses import replace
from typing import Any

from objclass import images as image_files
from objclass.compute.context import Context
from objclass.core import Image
from objclass.images.lazy import LazyImage
from objclass.images.source import axes_by_shape
from objclass.pipeline.inputs import with_training_axes
from objclass.project.model import Project
from objclass.project.pixel_model import PixelProject


def given_image(
    given: Any,
    axes: str | None,
    name: str,
    role: str,
    project: Project | PixelProject | None = None,
    context: Context | None = None,
    *,
    stack_along: str = "z",
) -> Image:
    """The image of a role, with its axes: those given, else those of the training lane, else its own."""
    channels = role not in ("label_image", "segmentation_image")
    if isinstance(given, LazyImage) and axes is None:
        image = given.image
    elif isinstance(given, str | os.PathLike):
        image = image_files.open_image(
            os.fspath(given), axes=axes, axes_from="axes=", stack_along=stack_along, context=context
        )
    else:
        image = image_files.from_array(given, axes, name, channels=channels)
    if image.axes_from == "shape":
        image = replace(image, axes=axes_by_shape(image.stored.shape, channels=channels))
    return image if axes or project is None else with_training_axes(image, role, project)


def given_raw(
    given: Any,
    axes: str | None,
    name: str,
    objects: Image,
    project: Project | None = None,
    context: Context | None = None,
) -> Image:
    """Raw data; where they do not say their axes, they are those of the objects, then channels."""
    image = given_image(given, axes, name, "raw_data", context=context)
    if image.axes_from == "shape":
        image = replace(image, axes=_axes_like(image, objects))
    return image if axes or project is None else with_training_axes(image, "raw_data", project)


def _axes_like(image: Image, objects: Image) -> str:
    """The axes of the objects (and channels) where the shape fits them, else those of the image."""
    of_objects = list(zip(objects.axes, objects.stored.shape, strict=True))
    without = [(axis, length) for axis, length in of_objects if axis != "c"]
    letters, lengths = "".join(axis for axis, _ in without), tuple(length for _, length in without)
    if image.stored.shape == lengths:
        return letters
    return f"{letters}c" if image.stored.shape[:-1] == lengths else image.axes
