"""Texture: grey-level co-occurrence after Haralick, and local binary patterns, of each channel.

A pair of neighbouring pixels counts if both belong to the object; pixels that are NaN or infinite belong
to none. Distances are in pixels, whatever their size.

Co-occurrence (R. M. Haralick, K. Shanmugam, I. Dinstein, Textural features for image classification, 1973):
grey values are quantised for each object and channel to 16 levels between the mean less and plus 3 standard
deviations (G. Collewet, M. Strzelecki, F. Mariette, Influence of MRI acquisition protocols and image intensity
normalization methods on texture classification, 2004); values beyond belong to the first and the last level. So these
features describe the pattern alone, whatever its brightness and contrast, and outliers do not matter.
Matrices are symmetric, one for each direction (4 in 2D, 13 in 3D) to the nearest pixels; a feature is the mean over
the directions in which the object has pairs. Values are those of ``skimage.feature.graycoprops``. Objects without any pair, such as single pixels, have the values of flat ones:
contrast, dissimilarity and entropy 0, homogeneity, angular second moment and correlation 1.

Local binary patterns (T. Ojala, M. Pietikäinen, T. Mäenpää, Multiresolution gray-scale and rotation invariant
texture classification with local binary patterns, 2002): see `pattern_counts`.
"""

import math
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from objclass.core import FloatArray, IntArray
from objclass.features.contract import FeatureSet
from objclass.features.statistics.groups import Direction, Group, PerChannel, directions
from objclass.features.voxels import Voxels

FEATURES = FeatureSet("texture", dtype=np.float64, hyphen=True, prefix="texture")
feature = FEATURES.feature

LEVELS = 16
"""Levels of grey of co-occurrence matrices."""

DEVIATIONS = 3
"""Standard deviations on either side of the mean that the levels cover."""

FLAT = (0.0, 0.0, 1.0, 1.0, 1.0, 0.0)
"""The properties of co-occurrence matrices with a single level."""

GREY = np.arange(LEVELS)

APART = (abs(GREY[:, None] - GREY).reshape(-1, 1) == GREY).astype(np.int64)
"""Which entries of a matrix (row) are of levels that are so far apart (column)."""

RING = ((-1, -1), (-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1))
"""The eight neighbours in a plane, one after the other around the pixel."""

PATTERNS = len(RING) + 2


# ---------------------------------------------------------------------------- statistics


class CoOccurrence(PerChannel):
    """Means over all directions of the properties of co-occurrence matrices."""

    names: ClassVar = (
        "contrast",
        "dissimilarity",
        "homogeneity",
        "angular_second_moment",
        "correlation",
        "entropy",
    )

    @classmethod
    def of_channel(cls, group: Group) -> FloatArray:
        """Properties of the matrix of each direction, averaged."""
        levels = quantised(group.voxels)
        image, count = group.image(levels), group.voxels.count
        total, number = np.zeros((count, len(FLAT))), np.zeros((count, 1))
        for direction in directions(len(group.shape)):
            matrix = co_occurrence(group, levels, image, direction)
            has_pairs = matrix.any(axis=(1, 2))
            total[has_pairs] += properties(matrix[has_pairs])
            number[has_pairs] += 1
        return np.where(number > 0, total / np.maximum(number, 1), FLAT)


class BinaryPatterns(PerChannel):
    """How often each uniform rotation-invariant local binary pattern occurs, see `pattern_counts`."""

    names: ClassVar = tuple(f"pattern_{k}" for k in range(PATTERNS))

    @classmethod
    def of_channel(cls, group: Group) -> FloatArray:
        """Fractions of the pixels that have all neighbours, 0 where there are none."""
        planes = [(0, 1)] if len(group.shape) == 2 else [(1, 2), (0, 2), (0, 1)]
        counts = np.add.reduce([pattern_counts(group, plane) for plane in planes])
        return counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)


def quantised(voxels: Voxels) -> IntArray:
    """The level of each voxel (v,), from 0."""
    x = voxels.raw[0] / 2  # the difference of any two is finite
    low, high = voxels.reduce(np.minimum, x, 0), voxels.reduce(np.maximum, x, 0)
    range_ = np.where(high > low, high - low, 1)
    x = (x - voxels.of_each(low)) / voxels.of_each(range_)
    count = np.maximum(voxels.counts, 1)
    x -= voxels.of_each(voxels.sums(x) / count)
    deviation = np.sqrt(voxels.sums(x * x) / count)
    width = np.where(deviation > 0, deviation, 1) * (2 * DEVIATIONS / LEVELS)
    return np.clip(np.floor(x / voxels.of_each(width)) + LEVELS // 2, 0, LEVELS - 1).astype(np.intp)


def co_occurrence(group: Group, levels: IntArray, image: IntArray, direction: Direction) -> IntArray:
    """How often two levels are neighbours in a direction or its opposite (n, levels, levels).

    ``levels`` are those of the voxels (v,), ``image`` the flat image of them.
    """
    places, inside = group.neighbours(direction)
    pairs = (group.voxels.rows[inside] * LEVELS + levels[inside]) * LEVELS + image[places[inside]]
    count = group.voxels.count
    counts = np.bincount(pairs, minlength=count * LEVELS**2).reshape(count, LEVELS, LEVELS)
    return counts + counts.swapaxes(1, 2)


def properties(matrix: IntArray) -> FloatArray:
    """The properties (n, 6) of symmetric matrices (n, levels, levels), in the order of `CoOccurrence`."""
    flat = matrix.reshape(len(matrix), LEVELS**2)
    total, apart, margin = flat.sum(axis=1), flat @ APART, matrix.sum(axis=2)
    contrast = (apart @ GREY**2) / total
    mean = (margin @ GREY) / total
    variance = (margin @ GREY**2) / total - mean * mean
    with np.errstate(invalid="ignore"):  # 0 / 0
        correlation = np.where(contrast > 0, 1 - contrast / (2 * variance), 1.0)
    return np.column_stack(
        [
            contrast,
            (apart @ GREY) / total,
            sum(apart[:, k] / (1 + k * k) for k in range(LEVELS)) / total,
            (flat * flat).sum(axis=1) / (total * total.astype(np.float64)),
            correlation,
            entropy(flat, total),
        ]
    )


def entropy(counts: IntArray, total: IntArray) -> FloatArray:
    """Shannon's entropy of distributions (n, k) of ``total`` events (n,), in nats."""
    rows, places = np.nonzero(counts)
    events = counts[rows, places]
    terms = np.bincount(rows, _times_log(events), len(counts))  # sums in this order, not in pairs
    return (_times_log(total) - terms) / total


def _times_log(counts: IntArray) -> FloatArray:
    """c · ln c of positive integers, by libm: the last bit of numpy's logarithm depends on the processor."""
    table = np.zeros(int(counts.max(initial=0)) + 1)
    present = np.flatnonzero(np.bincount(counts))
    table[present] = [c * math.log(c) for c in present.tolist()]
    return table[counts]


def pattern_counts(group: Group, plane: tuple[int, int]) -> IntArray:
    """How often each pattern occurs (n, 10) in planes along two axes.

    The neighbours of a pixel, those around it in the plane, are bits: whether they are at least as large as it. With at
    most two changes around the ring a pattern is called uniform, and its number is that of its ones; all
    others are the last pattern. Pixels without all eight neighbours in the object are left out.
    """
    own, image = group.voxels.raw[0], group.image(group.voxels.raw[0])
    inside = np.ones(len(own), bool)
    bits: list[NDArray[np.bool_]] = []
    for steps in RING:
        direction = [0] * len(group.shape)
        direction[plane[0]], direction[plane[1]] = steps
        places, same = group.neighbours(tuple(direction))
        inside &= same
        bits.append(image[places] >= own)
    ones = sum(bit.astype(np.intp) for bit in bits)
    changes = sum((a != b).astype(np.intp) for a, b in zip(bits, [*bits[1:], bits[0]], strict=True))
    pattern = np.where(changes <= 2, ones, PATTERNS - 1)[inside]
    count = group.voxels.count
    places = group.voxels.rows[inside] * PATTERNS + pattern
    return np.bincount(places, minlength=count * PATTERNS).reshape(count, PATTERNS)


# ---------------------------------------------------------------------------- features


@feature("contrast", title="texture_contrast", shape=("c",))
def contrast(pairs: CoOccurrence) -> FloatArray:
    """Co-occurrence: mean of (i - j)², the squared difference of the levels i, j of neighbours."""
    return pairs.named("contrast")


@feature("dissimilarity", title="texture_dissimilarity", shape=("c",))
def dissimilarity(pairs: CoOccurrence) -> FloatArray:
    """Co-occurrence: mean of abs(i - j), the difference of the levels of neighbours."""
    return pairs.named("dissimilarity")


@feature("homogeneity", title="texture_homogeneity", shape=("c",))
def homogeneity(pairs: CoOccurrence) -> FloatArray:
    """Co-occurrence: mean of 1 / (1 + (i - j)²), Haralick's inverse difference moment."""
    return pairs.named("homogeneity")


@feature("angular_second_moment", title="texture_angular_second_moment", shape=("c",))
def angular_second_moment(pairs: CoOccurrence) -> FloatArray:
    """Co-occurrence: sum of p², p being the frequency of each pair of levels; the square of the energy."""
    return pairs.named("angular_second_moment")


@feature("correlation", title="texture_correlation", shape=("c",))
def correlation(pairs: CoOccurrence) -> FloatArray:
    """Co-occurrence: correlation of the levels of neighbours; 1 where they do not differ."""
    return pairs.named("correlation")


@feature("entropy", title="texture_entropy", shape=("c",))
def entropy_of_pairs(pairs: CoOccurrence) -> FloatArray:
    """Co-occurrence: entropy of the pairs of levels, -Σ p ln p, in nats."""
    return pairs.named("entropy")


@feature("patterns", title="texture_pattern", shape=(PATTERNS, "c"))
def binary_patterns(found: BinaryPatterns) -> FloatArray:
    """Fraction of the pixels with each local binary pattern, by the number of their 8 neighbours in a plane that are
    at least as bright: 0 to 8 where these are in a row (uniform patterns), and last where not. 3D: in all
    planes along two axes. 0 if no pixel has all its neighbours in the object.
    """
    return found.numbers
