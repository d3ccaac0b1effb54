"""Crops: objects cut out of their images."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import AnyArray, FloatArray, IntArray, Lane
from objclass.features.geometry import box_of, columns_xyz
from objclass.images.blockwise import box_reader
from objclass.pipeline.lane import Step

AROUND = 1.4
"""Side of the square around an object, relative to the longer side of its box."""

CHANNELS = 3
"""Channels of a crop, at most."""

PERCENTILES = 0.5, 99.5
"""Percentiles of the pixels of crops that are shown as dark and as bright."""

MINIMUM_WINDOW, MAXIMUM_WINDOW = 16, 2048
"""Side of a window in pixels; objects that are larger still are cut off."""


@dataclass(frozen=True)
class ObjectImage:
    """A crop of an object: ``mask`` (uint8, 1 on the object) and ``raw``, both with axes t, z, y, x, c."""

    mask: NDArray[np.uint8]
    raw: AnyArray | None


def object_images(lane: Lane, step: Step, margin: int, context: Context) -> list[ObjectImage]:
    """A crop of each object of a time step, with ``margin`` pixels around it, clipped to the image."""
    low, high = _boxes(step)
    size = np.array(lane.objects.shape[3 : 3 - step.objects.ndim : -1])
    read = box_reader(lane.raw, step.t, context) if lane.raw is not None else None
    crops = []
    for row in range(step.objects.count):
        start = np.maximum(low[row] - margin, 0).astype(int)
        box = box_of(start, np.minimum(high[row] + margin, size))
        mask = (step.objects.labels[box] == row + 1).astype(np.uint8)
        crops.append(ObjectImage(mask[None, ..., None], read(box)[None] if read is not None else None))
    return crops


def _boxes(step: Step) -> tuple[IntArray, IntArray]:
    """First and last coordinates (exclusive) of each object, x, y(, z)."""
    return (
        step.table.values["Default features", "Coord<Minimum>"],
        step.table.values["Default features", "Coord<Maximum>"],
    )


@dataclass(frozen=True)
class Crop:
    """An object in one plane, with the pixels around it.

    Parameters
    ----------
    raw
        Raw data (y, x, c), as stored, the first `CHANNELS` at most; one channel of zeros where there are none.
    mask
        Whether a pixel belongs to the object (y, x).
    """

    raw: AnyArray
    mask: NDArray[np.bool_]


def window_of(step: Step) -> int:
    """Side of a square in which most objects of a time step fit, to show objects of different images at one scale."""
    low, high = _boxes(step)
    sides = (high - low)[:, :2].max(axis=1)
    side = int(np.ceil(AROUND * np.quantile(sides, 0.75, method="higher"))) if len(sides) else 0
    return min(max(side, MINIMUM_WINDOW), MAXIMUM_WINDOW)


def plane_crops(
    lane: Lane, step: Step, ids: Sequence[int], window: int, maximum: int, context: Context
) -> Iterator[Crop]:
    """Crops of some objects of a time step; only the pixels around them are read.

    Parameters
    ----------
    lane, step
        The images, and the objects with their boxes (``Default features``).
    ids
        The objects.
    window
        Side of the square to cut out, in pixels; larger ones where an object does not fit. Squares are moved into the image.
    maximum
        Crops of at least twice as many pixels a side are thinned out, so that many of them can be held.

    Yields
    ------
    Crop
        The plane that has most voxels of the object.
    """
    read = box_reader(lane.raw, step.t, context) if lane.raw is not None else None
    bounds = [columns_xyz(box.astype(int), z) for z, box in enumerate(_boxes(step))]
    for label in ids:
        low, high = (bound[label - 1] for bound in bounds)
        side = min(max(window, int(np.ceil(AROUND * (high - low)[:2].max()))), MAXIMUM_WINDOW)
        y, x = (
            _window(low[a], high[a], side, n)
            for a, n in ((1, lane.objects.shape[2]), (0, lane.objects.shape[3]))
        )
        planes = [slice(z, z + 1) for z in range(low[2], high[2])]
        plane = max(planes, key=lambda z: int((step.objects.labels[z, y, x] == label).sum()))
        thin = slice(None, None, max(1, side // maximum))
        mask = (step.objects.labels[plane, y, x] == label)[0, thin, thin]
        raw = (
            read((plane, y, x))[0, thin, thin, :CHANNELS]
            if read is not None
            else np.zeros((*mask.shape, 1), np.uint8)
        )
        yield Crop(raw.copy(), mask)


def contrast_limits(crops: Sequence[AnyArray]) -> tuple[FloatArray, FloatArray]:
    """The `PERCENTILES` of the finite pixels of each channel of crops (y, x, c), all together; 0 where there are none."""
    channels = range(crops[0].shape[2])
    values = (np.concatenate([crop[..., c].ravel() for crop in crops]).astype(np.float64) for c in channels)
    low, high = np.transpose([np.percentile(_finite(of_channel), PERCENTILES) for of_channel in values])
    return low, high


def _finite(values: FloatArray) -> FloatArray:
    """The finite ones; 0 if there are none."""
    kept = values[np.isfinite(values)]
    return kept if len(kept) else np.zeros(1)


def _window(low: int, high: int, side: int, length: int) -> slice:
    """A stretch of an axis around a box, inside of the image.

    Examples
    --------
    >>> _window(10, 14, 8, 100), _window(0, 4, 8, 100), _window(96, 100, 8, 100), _window(0, 4, 8, 6)
    (slice(8, 16, None), slice(0, 8, None), slice(92, 100, None), slice(0, 6, None))
    """
    start = max(0, min((low + high - side) // 2, length - side))
    return slice(int(start), int(min(start + side, length)))
