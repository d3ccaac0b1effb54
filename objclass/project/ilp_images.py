"""Images that are stored inside of a project."""

from collections.abc import Mapping, Sequence
from typing import Any

import h5py
import numpy as np

from objclass.core import AnyArray, Image
from objclass.images.attributes import axistags
from objclass.images.chunked.grid import chunk_shape
from objclass.project.model import TrainingInput

LABEL_ROLES = ("segmentation_image", "label_image")
LABEL_TYPES = ("uint8", "uint16", "uint32", "float32")
"""Roles of images whose values are labels, and the types of pixels of which ilastik opens them."""


def write_images(
    file: h5py.File,
    lanes: Sequence[Mapping[str, TrainingInput]],
    images: Mapping[str, Image],
    base: str | None,
) -> None:
    """Write the images that lanes name inside of the project, as far as they are not there yet.

    Parameters
    ----------
    file
        The project that is written.
    lanes
        Its lanes.
    images
        Name of a dataset -> the image to be stored there.
    base
        The project from which the others are copied.
    """
    named = {given.inside: role for lane in lanes for role, given in lane.items() if given.inside}
    inside = sorted(name for name in named if name not in images and name not in file)
    if base is not None and inside:
        with h5py.File(base, "r") as source:
            for name in inside:
                source.copy(name, file, name=name)
    for name, image in images.items():
        _write_image(file, name, image, _type_for(named.get(name, ""), image))


def _write_image(file: h5py.File, name: str, image: Image, dtype: np.dtype[Any]) -> None:
    """An image as ilastik stores it in a project, chunk by chunk."""
    stored = image.stored
    chunks = chunk_shape(image.axes, stored.shape, dtype)
    options = {"chunks": chunks, "compression": "gzip", "compression_opts": 1}
    dataset = file.create_dataset(name, stored.shape, dtype, **options)
    dataset.attrs["axistags"] = axistags(image.axes, image.pixel_size)
    for region in dataset.iter_chunks():
        dataset[region] = stored.read(region)


def _type_for(role: str, image: Image) -> np.dtype[Any]:
    """The type in which an image is stored: labels in one that ilastik opens, where it holds them."""
    stored = image.stored
    if stored.dtype == bool:
        return np.dtype(np.uint8)
    if role not in LABEL_ROLES or stored.dtype.name in LABEL_TYPES:
        return stored.dtype
    return np.dtype(np.uint32) if _are_uint32(image) else stored.dtype


def _are_uint32(image: Image) -> bool:
    """Whether all pixels are whole numbers from 0 to 2³² - 1."""
    t, z, y, x, c = image.shape
    planes = ((slice(n, n + 1), slice(k, k + 1)) for n in range(t) for k in range(z))
    whole = (slice(0, y), slice(0, x), slice(0, c))
    return all(_fit(image.read((*plane, *whole))) for plane in planes)


def _fit(pixels: AnyArray) -> bool:
    in_range = ((pixels >= 0) & (pixels < 2**32)).all()
    return bool(in_range and (pixels == np.floor(pixels)).all())
