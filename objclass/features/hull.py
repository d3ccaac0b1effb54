"""ilastik's "2D" and "3D Convex Hull Features": despite their names, features of the bounding box.

vigra's convex hull starts from identical points, so that none of its facets ever has a normal, and
every pixel of the bounding box counts as inside. Projects are trained on those numbers, so they are
what is answered here: the "hull" is the bounding box, and a "defect" is a component of what the
object leaves free of it (direct neighbours: 4 in a plane, 6 in a volume).

Defects are numbered by their first pixel in scan order and summed in that order, in float64. The
moments of their sizes are unbiased: 0 for too few defects, NaN where all defects are of one size.

``DefectCenter`` follows vigra where the box is full, too: it is taken over from the object with the
previous id in the same time step, relative to the box. So it is the one feature here that may depend
on another object.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, FloatArray, IntArray
from objclass.features import FeatureSet
from objclass.features.statistics import Crop, Extent, PerObject

PLANE = FeatureSet("2D Convex Hull Features")
VOLUME = FeatureSet("3D Convex Hull Features")

LEFT_OVER = (0.5, 1.5)
"""Where ilastik puts the defects of full boxes until there are any: in both time steps that are known,
both of plane images. In volumes it is not known."""

Compute = Callable[..., AnyArray]


def feature(name: str, **stated: Any) -> Callable[[Compute], Compute]:
    """Register a function as a feature in the plane and in the volume."""

    def register(function: Compute) -> Compute:
        PLANE.feature(name, dims=(2,), **stated)(function)
        return VOLUME.feature(name, dims=(3,), **stated)(function)

    return register


# ---------------------------------------------------------------------------- statistics


@dataclass(frozen=True)
class Defects(PerObject):
    """What the object leaves free of its bounding box.

    The columns of ``numbers``: number of defects; mean, variance, skewness, kurtosis of their sizes;
    mean displacement; centre x, y(, z) from the lower corner of the box, NaN where the box is full.
    """

    pixels: ClassVar[bool] = False

    @classmethod
    def of(cls, crop: Crop) -> Sequence[float]:
        """Find the defects of one object and sum them up."""
        free = ~crop.mask
        points = np.nonzero(free)[::-1]
        if not len(points[0]):
            return [0.0] * 6 + [math.nan] * free.ndim
        which = components(free)[free] - 1
        sizes = np.bincount(which)
        centers = np.array([np.bincount(which, p) / sizes for p in points])
        away = centers - np.array([[p.mean()] for p in np.nonzero(crop.mask)[::-1]])
        displacement = _sum(sizes * np.sqrt(_sum(away * away))) / sizes.sum()
        moments = _moments(sizes.tolist())
        return [len(sizes), *moments, displacement, *(p.mean() for p in points)]

    @classmethod
    def width(cls, ndim: int, channels: int) -> int:
        """Six numbers and the coordinates of the centre."""
        return 6 + ndim


def components(free: NDArray[np.bool_]) -> NDArray[Any]:
    """Label the direct-connected components 1, 2, 3 … by their first pixel in scan order."""
    import cc3d

    labels: NDArray[Any] = cc3d.connected_components(free, connectivity=4 if free.ndim == 2 else 6)
    return labels


def _sum(values: FloatArray) -> Any:
    """Sum along the first axis, one by one (``np.sum`` adds in pairs)."""
    return np.cumsum(values, axis=0)[-1]


def _moments(sizes: Sequence[int]) -> tuple[float, float, float, float]:
    """Mean, and unbiased variance, skewness and excess kurtosis of the sizes of defects."""
    k = len(sizes)
    mean = sum(sizes) / k
    total, m2, m3, m4 = 0, 0.0, 0.0, 0.0
    for seen, size in enumerate(sizes, 1):
        total += size
        if seen > 1:  # vigra's running sum of squared deviations
            m2 += seen / (seen - 1) * ((total / seen - size) * (total / seen - size))
        m3 += math.pow(size - mean, 3)
        m4 += math.pow(size - mean, 4)
    variance = m2 / (k - 1) if k > 1 else 0.0
    skewness = kurtosis = 0.0
    if k > 2:
        skewness = math.sqrt(k) * m3 / m2**1.5 if m2 else math.nan
        skewness *= math.sqrt(k * (k - 1)) / (k - 2)
    if k > 3:
        kurtosis = k * m4 / (m2 * m2) - 3 if m2 else math.nan
        kurtosis = (k - 1) / ((k - 2) * (k - 3)) * ((k + 1) * kurtosis + 6)
    return mean, variance, skewness, kurtosis


# ---------------------------------------------------------------------------- features


@feature("InputVolume", title="Object Area", unit="px")
def input_volume(extent: Extent) -> IntArray:
    """Number of pixels (voxels) of the object."""
    return extent.count


@feature("HullVolume", title="Convex Hull Area", unit="px")
def hull_volume(extent: Extent) -> IntArray:
    """Number of pixels of the bounding box."""
    return np.prod(extent.high - extent.low + 1, axis=1)


@feature("Convexity")
def convexity(extent: Extent) -> FloatArray:
    """The part of the bounding box that the object takes up."""
    return input_volume(extent) / hull_volume(extent)


@feature("InputCenter", title="Object Center", shape=("d",), unit="px")
def input_center(extent: Extent) -> FloatArray:
    """Mean coordinates of the object."""
    return extent.center


@feature("HullCenter", title="Convex Hull Center", shape=("d",), unit="px")
def hull_center(extent: Extent) -> FloatArray:
    """Centre of the bounding box."""
    return (extent.low + extent.high) / 2


@feature("DefectCount", title="Number of Defects")
def defect_count(defects: Defects) -> FloatArray:
    """Number of defects: components of the part of the bounding box beside the object."""
    return defects.numbers[:, 0]


@feature("DefectVolumeMean", title="Mean Defect Area", unit="px")
def defect_volume_mean(defects: Defects) -> FloatArray:
    """Mean size of the defects, 0 without any."""
    return defects.numbers[:, 1]


@feature("DefectVolumeVariance", title="Variance of Defect Area", unit="px2")
def defect_volume_variance(defects: Defects) -> FloatArray:
    """Unbiased variance of the sizes of the defects, 0 for fewer than two."""
    return defects.numbers[:, 2]


@feature("DefectVolumeSkewness", title="Skewness of Defect Area")
def defect_volume_skewness(defects: Defects) -> FloatArray:
    """Unbiased skewness of the sizes of the defects, 0 for fewer than three."""
    return defects.numbers[:, 3]


@feature("DefectVolumeKurtosis", title="Kurtosis of Defect Area")
def defect_volume_kurtosis(defects: Defects) -> FloatArray:
    """Unbiased excess kurtosis of the sizes of the defects, 0 for fewer than four."""
    return defects.numbers[:, 4]


@feature("DefectDisplacementMean", title="Mean Defect Displacement", unit="px")
def defect_displacement_mean(defects: Defects) -> FloatArray:
    """Mean distance of the centres of the defects to the centre of the object, by size; 0 without."""
    return defects.numbers[:, 5]


@feature("DefectCenter", title="Defect Center", shape=("d",), unit="px")
def defect_center(defects: Defects, extent: Extent) -> FloatArray:
    """Mean coordinates of the part of the bounding box beside the object.

    Where there is none, those of the object with the previous id, moved along with the lower corner of
    the bounding box; for the first objects of a time step ``LEFT_OVER`` from that corner.
    """
    count, center = defects.numbers[:, 0], defects.numbers[:, 6:]
    d = center.shape[1]
    center = np.concatenate([[LEFT_OVER if d == 2 else (np.nan,) * d], center])
    # row i + 1 is object i
    last = np.maximum.accumulate(np.where(count > 0, np.arange(1, len(count) + 1), 0))
    return extent.low + center[last]
