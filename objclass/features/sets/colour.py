"""Colour: how the channels of an image that has several relate to each other within an object.

Pixels that are NaN or infinite in any channel are left out. Where an object has no other pixels, or the sum of
the channels is 0, their shares are equal; all other numbers are 0 then.
"""

from dataclasses import replace
from itertools import combinations
from math import comb
from typing import ClassVar

import numpy as np

from objclass.core import FloatArray
from objclass.features.contract import FeatureSet
from objclass.features.statistics.groups import Group, PerGroup
from objclass.features.voxels import Voxels

FEATURES = FeatureSet("colour", dtype=np.float64, hyphen=True, prefix="colour")
feature = FEATURES.feature


# ---------------------------------------------------------------------------- statistics


class Shares(PerGroup):
    """Shares of the channels in their sum: of the object, and the standard deviation of those of its pixels."""

    names: ClassVar = ("share", "share_std")
    margin: ClassVar[int] = 0
    voxel_bytes: ClassVar[int] = 60
    channel_bytes: ClassVar[int] = 30

    @classmethod
    def of_group(cls, group: Group) -> FloatArray:
        """Compute them."""
        voxels = finite(group.voxels)
        of_object = shares(np.array([voxels.sums(x) for x in voxels.raw]))
        deviations = [np.sqrt(covariance(voxels, x, x)) for x in shares(voxels.raw)]
        return np.concatenate([of_object, deviations]).T


class Pairs(PerGroup):
    """Numbers of each pair of channels."""

    names: ClassVar = ("correlation", "difference", "difference_std")
    margin: ClassVar[int] = 0
    voxel_bytes: ClassVar[int] = 60
    channel_bytes: ClassVar[int] = 30

    @classmethod
    def of_group(cls, group: Group) -> FloatArray:
        """Compute them."""
        voxels = finite(group.voxels)
        pairs = list(combinations(voxels.raw, 2))
        differences = [a - b for a, b in pairs]
        columns = [
            *(correlation(voxels, a, b) for a, b in pairs),
            *(means(voxels, x) for x in differences),
            *(np.sqrt(covariance(voxels, x, x)) for x in differences),
        ]
        return np.array(columns).T

    @classmethod
    def width(cls, ndim: int, channels: int) -> int:
        """All names, for each pair."""
        return len(cls.names) * comb(channels, 2)


def finite(voxels: Voxels) -> Voxels:
    """The voxels that are finite in all channels, as float64."""
    values = voxels.raw.astype(np.float64)
    where = np.isfinite(values).all(axis=0)
    return replace(voxels, rows=voxels.rows[where], raw=values[:, where], positions=())


def means(voxels: Voxels, x: FloatArray) -> FloatArray:
    """Means (n,) of numbers of the voxels (v,), 0 without any; of equal numbers exactly this number."""
    low, high = voxels.reduce(np.minimum, x, 0), voxels.reduce(np.maximum, x, 0)
    # the rounding of a sum would make numbers vary that do not
    return np.where(low == high, low, voxels.sums(x) / np.maximum(voxels.counts, 1))


def covariance(voxels: Voxels, x: FloatArray, y: FloatArray) -> FloatArray:
    """Covariances (n,; of the population) of numbers of the voxels (v,)."""
    return means(voxels, (x - voxels.of_each(means(voxels, x))) * (y - voxels.of_each(means(voxels, y))))


def correlation(voxels: Voxels, x: FloatArray, y: FloatArray) -> FloatArray:
    """Pearson's correlations (n,), 0 where one of both does not vary."""
    scale = np.sqrt(covariance(voxels, x, x)) * np.sqrt(covariance(voxels, y, y))
    return np.where(scale == 0, 0, covariance(voxels, x, y) / scale)


def shares(values: FloatArray) -> FloatArray:
    """Each channel (first axis) divided by the sum of all, equal ones where that is 0."""
    total = np.cumsum(values, axis=0)[-1]
    return np.where(total == 0, 1 / len(values), values / total)


# ---------------------------------------------------------------------------- features


@feature("share", title="colour_share", shape=("c",), channels="many")
def share(found: Shares) -> FloatArray:
    """Sum of the values of a channel, divided by that of all channels."""
    return found.named("share")


@feature("share_std", title="colour_share_std", shape=("c",), channels="many")
def share_std(found: Shares) -> FloatArray:
    """Standard deviation of the share of a channel in the sum of all, from pixel to pixel."""
    return found.named("share_std")


@feature("correlation", title="colour_correlation", shape=("pairs",), channels="many")
def pearson_correlation(pairs: Pairs) -> FloatArray:
    """Pearson's correlation of two channels over the pixels, 0 where one of both does not vary."""
    return pairs.named("correlation")


@feature("difference", title="colour_difference", shape=("pairs",), unit="intensity", channels="many")
def difference(pairs: Pairs) -> FloatArray:
    """Mean difference of two channels, the first less the second."""
    return pairs.named("difference")


@feature("difference_std", title="colour_difference_std", shape=("pairs",), unit="intensity", channels="many")
def difference_std(pairs: Pairs) -> FloatArray:
    """Standard deviation of the difference of two channels, from pixel to pixel."""
    return pairs.named("difference_std")
