"""Channels of labelled pixels: computed only around them, box by box."""

from collections.abc import Iterator, Sequence
from itertools import product

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.compute.slabs import Box
from objclass.core import Image, Region
from objclass.pixels.classifier import interleaved
from objclass.pixels.features import PixelFeatures
from objclass.pixels.prediction import CHANNEL_BYTES, cube_shape, read_cubes

BOX_PIXELS = 1 << 18
"""Pixels of a box (with its halo) where the memory allows more."""

Labels = NDArray[np.uint8]
"""Axes t, z, y, x, c, the last of length 1: 0 is unlabelled, classes count from 1."""


def labelled_rows(
    features: PixelFeatures, image: Image, labels: Sequence[tuple[Region, Labels]], context: Context
) -> tuple[NDArray[np.float32], Labels]:
    """Channels and class of each labelled pixel.

    Parameters
    ----------
    features
        The channels.
    image
        Of which they are computed.
    labels
        Regions of the image and their labels; no pixel may be labelled in two of them.
    context
        Threads, memory for the boxes; the result does not depend on them.

    Returns
    -------
    tuple
        float32, shape (pixels, channels), and uint8, shape (pixels,): pixels in the order of t, z, y, x.
    """
    shape = image.shape
    boxes = list(_boxes(features, image, labels, context))
    places = np.sort(np.concatenate([_places(t, box, mark, shape) for t, box, mark in boxes]))
    rows = np.empty((len(places), features.count(shape[1], shape[4])), np.float32)
    classes = np.empty(len(places), np.uint8)
    halo = features.halo(shape[1])

    def measured(at: tuple[int, Box, Labels]) -> tuple[NDArray[np.intp], NDArray[np.float32], Labels]:
        t, box, mark = at
        channels = features.compute(read_cubes(image, t, box, halo, context), box)
        painted = np.flatnonzero(mark)
        found = interleaved([channel.reshape(-1)[painted] for channel in channels])
        return np.searchsorted(places, _places(t, box, mark, shape)), found, mark.reshape(-1)[painted]

    for number, (at, values, given) in enumerate(context.ordered(measured, boxes), 1):
        rows[at], classes[at] = values, given
        context.progress(image.name, number / len(boxes))
    return rows, classes


def _places(t: int, box: Box, mark: Labels, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Index of each labelled pixel of a box among all pixels of the image, ascending."""
    z, y, x = (index + part.start for index, part in zip(np.nonzero(mark), box, strict=True))
    return ((t * shape[1] + z) * shape[2] + y) * shape[3] + x


def _boxes(
    features: PixelFeatures, image: Image, labels: Sequence[tuple[Region, Labels]], context: Context
) -> Iterator[tuple[int, Box, Labels]]:
    """Time step, box and labels (z, y, x): no box larger than the memory allows, none without a label."""
    depth, channels = image.shape[1], image.shape[4]
    halo = features.halo(depth)
    pixels = BOX_PIXELS
    if context.limits.memory is not None:
        each = CHANNEL_BYTES * features.count(depth, channels) * (context.limits.jobs + 1)
        pixels = min(pixels, max(context.limits.memory // (2 * each), 1))
    sides = cube_shape(image.shape[1:4], halo, pixels)
    for region, mark in labels:
        for corner in product(*(range(0, n, s) for n, s in zip(mark.shape[1:4], sides, strict=True))):
            z, y, x = (slice(start, start + side) for start, side in zip(corner, sides, strict=True))
            for step, part in enumerate(mark[:, z, y, x, 0]):
                if part.any():
                    origin = tuple(
                        bounds.start + start for bounds, start in zip(region[1:4], corner, strict=True)
                    )
                    box, tight = bounding_box(part, origin)
                    yield region[0].start + step, box, part[tight]


def bounding_box(labels: Labels, origin: tuple[int, ...]) -> tuple[Box, tuple[slice, ...]]:
    """The smallest box that holds all labels (z, y, x): in the image, and in the array that starts at ``origin``."""
    inside = []
    for axis in range(labels.ndim):
        others = tuple(a for a in range(labels.ndim) if a != axis)
        where = np.flatnonzero(labels.any(axis=others))
        inside.append(slice(int(where[0]), int(where[-1]) + 1))
    z, y, x = (slice(s.start + o, s.stop + o) for s, o in zip(inside, origin, strict=True))
    return (z, y, x), tuple(inside)
