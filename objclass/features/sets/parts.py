"""The dark and the bright part of each object: a nucleus in a stained cell, spots in a fluorescent one.

In each channel the pixels of an object are divided by the threshold of N. Otsu (A threshold selection method from
grey-level histograms, 1979): up to it they are the dark part, above it the bright part. The histogram is that of the
object, with 256 equal bins from its smallest to its largest value. The components of a part are direct-connected (4
neighbours in a plane, 6 in a volume); those below a fiftieth of the object are noise, and do not count.

Pixels that are NaN or infinite belong to neither part. An object of a single value is dark as a whole; numbers of a part
without pixels are 0.
"""

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, FloatArray, IntArray
from objclass.features.contract import FeatureSet
from objclass.features.sets.ilastik_hull import components
from objclass.features.sets.regionprops import convex_image
from objclass.features.statistics.per_object import Crop, PerObject

FEATURES = FeatureSet("parts", dtype=np.float64, hyphen=True, prefix="parts")
feature = FEATURES.feature

BINS = 256

NOISE = 50
"""Components of fewer than this fraction (1 / NOISE) of the object do not count."""

Mask = NDArray[np.bool_]


# ---------------------------------------------------------------------------- statistics


class Parts(PerObject):
    """Numbers of the parts of each object: those of one name, of all channels, are columns side by side."""

    voxel_bytes: ClassVar[int] = 30

    names: ClassVar = (
        "share",
        "contrast",
        "separation",
        "edge",
        "dark_mean",
        "dark_count",
        "dark_largest",
        "dark_solidity",
        "bright_mean",
        "bright_count",
        "bright_largest",
        "bright_solidity",
    )

    @classmethod
    def of(cls, crop: Crop) -> Sequence[float]:
        """The numbers of one object."""
        assert crop.raw is not None
        channels = [in_channel(crop.mask, crop.raw[..., c]) for c in range(crop.raw.shape[-1])]
        return [number for of_one in zip(*channels, strict=True) for number in of_one]

    @classmethod
    def width(cls, ndim: int, channels: int) -> int:
        """All names in each channel."""
        return len(cls.names) * channels

    def named(self, name: str) -> FloatArray:
        """The numbers of that name (n, channels)."""
        channels = self.numbers.shape[1] // len(self.names)
        first = self.names.index(name) * channels
        return self.numbers[:, first : first + channels]


def in_channel(mask: Mask, image: AnyArray) -> list[float]:
    """The numbers of one object in one channel, in the order of `Parts`."""
    mask = mask & np.isfinite(image)
    values = image[mask].astype(np.float64)
    if not len(values):
        return [0.0] * len(Parts.names)
    is_bright, separation = divided(values)
    bright = np.zeros(mask.shape, bool)
    bright[mask] = is_bright
    counts = np.bincount(is_bright, minlength=2)
    means = (np.bincount(is_bright, values, 2) / np.maximum(counts, 1)).tolist()  # sums one by one
    contrast = means[1] - means[0] if counts[1] else 0.0
    least = len(values) / NOISE
    shapes = [shape_of(part, least) for part in (mask & ~bright, bright)]
    whole = [counts[0] / len(values), contrast, separation, edge_of(mask, bright)]
    return [*whole, means[0], *shapes[0], means[1], *shapes[1]]


def divided(values: FloatArray) -> tuple[NDArray[np.intp], float]:
    """Whether each value (n,) is above Otsu's threshold, and how much of the variance is between the parts.

    The variance is that of the bins, as integers; of several thresholds that are as good it is the lowest one.

    Examples
    --------
    >>> divided(np.array([1.0, 9.0, 2.0, 9.0]))[0].tolist()
    [0, 1, 0, 1]
    """
    x = values / 2  # the difference of any two is finite
    x -= x.min()
    largest = x.max()
    if largest == 0:
        return np.zeros(len(values), np.intp), 0.0
    bins = np.minimum((x / largest * BINS).astype(np.intp), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    places = np.arange(BINS)
    total, squares = counts @ places, counts @ (places * places)
    below, sums = np.cumsum(counts)[:-1], np.cumsum(counts * places)[:-1]
    above = len(values) - below
    between = (
        (sums / below - (total - sums) / above) ** 2 * below * above
    )  # bin 0 and the last one are never empty
    best = int(between.argmax())
    variance = float(squares) * len(values) - float(total) ** 2
    return (bins > best).astype(np.intp), float(between[best] / variance)


def edge_of(mask: Mask, bright: Mask) -> float:
    """Number of pixel sides between the parts, divided by those along the side of a square (face of a cube) of the object's size.

    Examples
    --------
    >>> edge_of(np.ones((4, 4), bool), np.arange(4) * np.ones((4, 1)) > 1)
    1.0
    """
    sides = 0
    for axis in range(mask.ndim):
        inside, light = mask.swapaxes(0, axis), bright.swapaxes(0, axis)
        sides += int(np.count_nonzero(inside[1:] & inside[:-1] & (light[1:] != light[:-1])))
    size = int(np.count_nonzero(mask))
    return sides * math.pow(size, 1 / mask.ndim) / size


def shape_of(part: Mask, least: float) -> tuple[float, float, float]:
    """Number of components of ``least`` pixels or more, fraction of the largest, fraction of the convex image."""
    if not part.any():
        return 0.0, 0.0, 0.0
    sizes: IntArray = np.bincount(components(part)[part])
    count = int(sizes.sum())
    convex = np.count_nonzero(convex_image(part))
    return float(np.count_nonzero(sizes >= max(least, 1))), sizes.max() / count, count / convex


# ---------------------------------------------------------------------------- features


@feature("share", title="parts_dark_share", shape=("c",))
def share(parts: Parts) -> FloatArray:
    """Fraction of the pixels that belong to the dark part."""
    return parts.named("share")


@feature("contrast", title="parts_contrast", shape=("c",), unit="intensity")
def contrast(parts: Parts) -> FloatArray:
    """Mean value of the bright part less that of the dark part."""
    return parts.named("contrast")


@feature("separation", title="parts_separation", shape=("c",))
def separation(parts: Parts) -> FloatArray:
    """How well the object divides into two parts: fraction of the variance that is between them, 0 to 1 (Otsu's η)."""
    return parts.named("separation")


@feature("edge", title="parts_edge", shape=("c",))
def edge(parts: Parts) -> FloatArray:
    """Length of the border between the parts, in sides of squares of the object's size (3D: its area, in faces of cubes)."""
    return parts.named("edge")


@feature("dark_mean", title="parts_dark_mean", shape=("c",), unit="intensity")
def dark_mean(parts: Parts) -> FloatArray:
    """Mean value of the dark part."""
    return parts.named("dark_mean")


@feature("dark_count", title="parts_dark_count", shape=("c",))
def dark_count(parts: Parts) -> FloatArray:
    """Number of components of the dark part that are not noise."""
    return parts.named("dark_count")


@feature("dark_largest", title="parts_dark_largest", shape=("c",))
def dark_largest(parts: Parts) -> FloatArray:
    """Fraction of the dark part that belongs to its largest component."""
    return parts.named("dark_largest")


@feature("dark_solidity", title="parts_dark_solidity", shape=("c",))
def dark_solidity(parts: Parts) -> FloatArray:
    """Fraction of the convex image of the dark part that belongs to it."""
    return parts.named("dark_solidity")


@feature("bright_mean", title="parts_bright_mean", shape=("c",), unit="intensity")
def bright_mean(parts: Parts) -> FloatArray:
    """Mean value of the bright part."""
    return parts.named("bright_mean")


@feature("bright_count", title="parts_bright_count", shape=("c",))
def bright_count(parts: Parts) -> FloatArray:
    """Number of components of the bright part that are not noise."""
    return parts.named("bright_count")


@feature("bright_largest", title="parts_bright_largest", shape=("c",))
def bright_largest(parts: Parts) -> FloatArray:
    """Fraction of the bright part that belongs to its largest component."""
    return parts.named("bright_largest")


@feature("bright_solidity", title="parts_bright_solidity", shape=("c",))
def bright_solidity(parts: Parts) -> FloatArray:
    """Fraction of the convex image of the bright part that belongs to it."""
    return parts.named("bright_solidity")
