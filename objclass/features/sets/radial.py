"""Radial distribution: where in an object its intensity is, from the border to the middle.

The pixels of an object are divided into 4 rings of equal width by their Euclidean distance to the nearest pixel that is
not of the object, in pixels, whatever their size; outside of the image there is no object. Ring 0 is at the border, ring 3
in the middle. Pixels that are NaN or infinite are left out. A ring without pixels, such as all but ring 0 of a line,
is like the whole object: its mean is 1, its coefficient of variation 0. So are those of an object whose mean is 0.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from objclass.core import FloatArray
from objclass.features.contract import FeatureSet
from objclass.features.statistics.per_object import Crop, PerObject

FEATURES = FeatureSet("radial", dtype=np.float64, hyphen=True, prefix="radial")
feature = FEATURES.feature

RINGS = 4


# ---------------------------------------------------------------------------- statistics


class Rings(PerObject):
    """Means of the rings, then their coefficients of variation: of the rings, from the border on, all channels."""

    voxel_bytes: ClassVar[int] = 50

    @classmethod
    def of(cls, crop: Crop) -> Sequence[float]:
        """The numbers of one object."""
        assert crop.raw is not None
        rings, values = rings_of(crop.mask), crop.raw[crop.mask]
        numbers = [in_rings(rings, values[:, c].astype(np.float64)) for c in range(values.shape[1])]
        of_all: list[float] = np.stack(numbers, axis=-1).ravel().tolist()
        return of_all

    @classmethod
    def width(cls, ndim: int, channels: int) -> int:
        """Two numbers of each ring in each channel."""
        return 2 * RINGS * channels


def rings_of(mask: NDArray[np.bool_]) -> NDArray[np.intp]:
    """The ring of each pixel of the object (v,)."""
    from scipy.ndimage import distance_transform_edt

    inside = tuple(slice(1, -1) for _ in mask.shape)
    distance = distance_transform_edt(np.pad(mask, 1))[inside][mask]
    depth = (distance - distance.min()) / (np.ptp(distance) or 1)
    rings: NDArray[np.intp] = np.minimum(depth * RINGS, RINGS - 1).astype(np.intp)
    return rings


def in_rings(rings: NDArray[np.intp], values: FloatArray) -> FloatArray:
    """Means, relative to that of the object, and coefficients of variation of the rings (2, rings)."""
    finite = np.isfinite(values)
    rings, values = rings[finite], values[finite]
    count = np.bincount(rings, minlength=RINGS)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        total = np.bincount(rings, values, RINGS)  # one by one, not in pairs
        mean = total / count
        deviation = np.sqrt(np.bincount(rings, (values - mean[rings]) ** 2, RINGS) / count)
        of_object = total.cumsum()[-1] / count.sum()
        relative = np.where((count > 0) & (of_object != 0), mean / of_object, 1)
        return np.stack([relative, np.where((count > 0) & (mean != 0), deviation / abs(mean), 0)])


# ---------------------------------------------------------------------------- features


@feature("mean", title="radial_mean", shape=(RINGS, "c"))
def mean(rings: Rings) -> FloatArray:
    """Mean of each ring, from the border to the middle, divided by the mean of the object."""
    return rings.numbers[:, : rings.numbers.shape[1] // 2]


@feature("variation", title="radial_variation", shape=(RINGS, "c"))
def variation(rings: Rings) -> FloatArray:
    """Coefficient of variation (standard deviation by mean) of each ring, from the border to the middle."""
    return rings.numbers[:, rings.numbers.shape[1] // 2 :]
