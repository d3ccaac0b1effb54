"""scikit-image's region properties: its names, its numbers, without it.

Whatever ``skimage.measure.regionprops_table`` 0.26 returns in up to 64 numbers (for each channel),
under its names and in its conventions:

- axes in the order of arrays, (row, column) or (plane, row, column);
- lengths and areas in units of the pixel size (``spacing``); bounding boxes in pixels;
- moments up to the third power of each coordinate, from the lower corner of the bounding box;
- NaN where scikit-image raises an error: perimeters of pixels that are not square, Hu moments of
  pixels that are not of size 1, the Feret diameter of flat objects in 3D.

Pixel values are taken as they are stored, in float64. A NaN or infinity outside of an object, within
its bounding box, leaves the object's weighted moments alone; in scikit-image they become NaN.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from itertools import product
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, FloatArray, IntArray
from objclass.features.contract import FeatureSet
from objclass.features.statistics.eigen import eigensystems
from objclass.features.statistics.extent import Extent
from objclass.features.statistics.kinds import Derived, Done, Folded, Merged, Statistic
from objclass.features.statistics.per_object import Crop, PerObject
from objclass.features.statistics.powers import power
from objclass.features.voxels import Voxels

FEATURES = FeatureSet("regionprops", dtype=np.float64, hyphen=True, prefix="")
feature = FEATURES.feature

AXIS_FACTORS = {2: 16, 3: 20}
"""Square of the length of an axis of an ellipse (ellipsoid), in units of the variance along it."""

POWERS = 4
"""Moments are taken for the powers 0, 1, 2 and 3 of each coordinate."""

Mask = NDArray[np.bool_]

QUADS = np.arange(16)
"""Patterns of 2 × 2 pixels, see `Crop.quads`; every pixel, side and corner is looked at from one of them."""

EULER = (QUADS > 0) * 1 - (QUADS & 3 > 0) - (QUADS & 5 > 0) + (QUADS & 1)
"""What a pattern adds to the Euler number: a corner less two sides plus a pixel."""

ENTRIES = np.array(
    [
        (QUADS & 5 == 4) * 1 + (QUADS & 3 == 2),
        (QUADS & 9 == 8) * 1 + (QUADS & 6 == 4),
    ]
)
"""How often a pattern is entered along the axes, and along the diagonals."""

_ATAN2 = np.frompyfunc(math.atan2, 2, 1)
"""libm's: see `power`."""

STEPS = np.zeros((3, 49), np.int64)
"""Neighbours on the border (2 for each over a side, 10 over a corner) by the line that they make."""
STEPS[0, [4, 6, 14, 16, 24, 26]] = STEPS[1, [20, 32]] = STEPS[2, [12, 22]] = 1


# ---------------------------------------------------------------------------- statistics


@dataclass(frozen=True)
class Spacing(Merged):
    """Extents of a voxel (d,), in the order of array axes."""

    pixels: ClassVar[bool] = False

    lengths: FloatArray

    @classmethod
    def scan(cls, voxels: Voxels, done: Done) -> Self:
        """The same in every block."""
        return cls(np.array(voxels.spacing or (1.0,) * len(voxels.positions)))

    def __add__(self, other: Self) -> Self:
        """The same."""
        return self

    @property
    def volume(self) -> float:
        """Area (volume) of a voxel."""
        return float(np.prod(self.lengths))

    @property
    def isotropic(self) -> float:
        """Length of the side of a voxel, NaN if its sides differ."""
        return float(self.lengths[0]) if (self.lengths == self.lengths[0]).all() else np.nan

    @property
    def powers(self) -> FloatArray:
        """s_z^i · s_y^j · s_x^k, shape (4, 4) or (4, 4, 4)."""
        return _outer(power(self.lengths[:, None], np.arange(POWERS)))


@dataclass(frozen=True)
class Values(Folded):
    """Sums, smallest and largest values as stored, shape (channels, n); NaN wins."""

    total: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self:
        """No voxels yet."""
        shape = len(voxels.raw), voxels.count
        return cls(np.zeros(shape), np.full(shape, np.inf), np.full(shape, -np.inf))

    def fold(self, voxels: Voxels, done: Done) -> Self:
        """Add a block."""
        new = replace(self, total=self.total.copy(), low=self.low.copy(), high=self.high.copy())
        with np.errstate(invalid="ignore"):
            for c, x in enumerate(voxels.raw.astype(np.float64)):
                new.total[c] = voxels.sums(x, self.total[c])
                new.low[c] = np.minimum(self.low[c], voxels.reduce(np.minimum, x, np.inf))
                new.high[c] = np.maximum(self.high[c], voxels.reduce(np.maximum, x, -np.inf))
        return new


@dataclass(frozen=True)
class SquaredDeviations(Folded):
    """Sums of squared deviations from the final mean, shape (channels, n)."""

    after: ClassVar = (Extent, Values)

    total: FloatArray

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self:
        """No voxels yet."""
        return cls(np.zeros((len(voxels.raw), voxels.count)))

    def fold(self, voxels: Voxels, done: Done) -> Self:
        """Add a block."""
        total = self.total.copy()
        with np.errstate(invalid="ignore", over="ignore"):
            mean = done[Values].total / done[Extent].count
            for c, x in enumerate(voxels.raw.astype(np.float64)):
                total[c] = voxels.sums((x - mean[c][voxels.rows]) ** 2, total[c])
        return replace(self, total=total)


@dataclass(frozen=True)
class PowerSums(Folded):
    """Sums of w · z^i · y^j · x^k for each power below 4, shape (4, 4[, 4], weights, n).

    Coordinates are counted in pixels from `center`. First the lines of an object are summed along
    x, then these sums along y and z: there are 4 sums over pixels instead of 16 or 64. A block
    holds whole lines, so that the order of the additions does not depend on the blocks.
    """

    pixels: ClassVar[bool] = False
    after: ClassVar[tuple[type[Statistic], ...]] = (Extent,)

    sums: FloatArray

    @classmethod
    def weights(cls, voxels: Voxels) -> FloatArray:
        """Weights, one row for each kind, of shape (weights, v)."""
        return np.ones((1, len(voxels.rows)))

    @classmethod
    def center(cls, done: Done) -> FloatArray:
        """Origin of the coordinates, from the corner of the bounding box; (weights or 1, n, d)."""
        return np.zeros((1, *done[Extent].low.shape))

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self:
        """No voxels yet."""
        powers = (POWERS,) * len(voxels.positions)
        return cls(np.zeros((*powers, len(cls.weights(voxels)), voxels.count)))

    def fold(self, voxels: Voxels, done: Done) -> Self:
        """Add a block."""
        first, line = voxels.lines
        low = done[Extent].low[:, ::-1]
        local = voxels.local(done[Extent].low)[::-1]
        lines = Voxels(voxels.count, voxels.rows[first], np.zeros((0, len(first))))
        weights, sums = self.weights(voxels), self.sums.copy()
        center = np.broadcast_to(self.center(done), (len(weights), *low.shape))
        with np.errstate(invalid="ignore", over="ignore"):
            for c, weight in enumerate(weights):
                middle = center[c, :, -1]
                if middle.any():
                    along = _line_sums(weight, local[-1] - voxels.of_each(middle), first, line)
                else:
                    integral = voxels.integral or not self.pixels
                    along = _line_sums(weight, local[-1].astype(float), first, line, integral=integral)
                across = [_powers(p[first] - center[c, lines.rows, a]) for a, p in enumerate(local[:-1])]
                for index in np.ndindex(sums.shape[:-3]):
                    factor = reduce(np.multiply, [p[i] for p, i in zip(across, index, strict=True)])
                    for k, total in enumerate(along):
                        place = (*index, k, c)
                        sums[place] = lines.sums(factor * total, sums[place])
        return replace(self, sums=sums)

    @property
    def moments(self) -> FloatArray:
        """Shape (n, 4, 4[, 4], weights)."""
        return np.moveaxis(self.sums, -1, 0)

    @property
    def mean(self) -> FloatArray:
        """Mean coordinates (weights, n, d)."""
        d = self.sums.ndim - 2
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            return np.stack([self.sums[unit] / self.sums[(0,) * d] for unit in _units(d)], axis=-1)


class BoxSums(PowerSums):
    """From the corner of the bounding box: integers, exact below 2**53."""


class CentralSums(PowerSums):
    """From the centroid."""

    @classmethod
    def center(cls, done: Done) -> FloatArray:
        """The centroid."""
        return _local_center(done[Extent])[None]


class WeightedBoxSums(PowerSums):
    """From the corner of the bounding box, weighted with the values of each channel."""

    pixels: ClassVar[bool] = True

    @classmethod
    def weights(cls, voxels: Voxels) -> FloatArray:
        """Values."""
        return voxels.raw.astype(np.float64)


class WeightedCentralSums(WeightedBoxSums):
    """From the weighted centroid, weighted with the values of each channel."""

    after: ClassVar = (Extent, WeightedBoxSums)

    @classmethod
    def center(cls, done: Done) -> FloatArray:
        """The weighted centroid of each channel."""
        mean: FloatArray = done[WeightedBoxSums].mean
        return mean


@dataclass(frozen=True)
class Inertia(Derived):
    """Inertia tensor (n, d, d) and its eigenvalues (n, d), descending and not below 0."""

    pixels: ClassVar[bool] = False
    after: ClassVar = (CentralSums, Spacing)

    tensor: FloatArray
    eigenvalues: FloatArray

    @classmethod
    def of(cls, done: Done) -> Self:
        """Trace of the covariance of the coordinates on the diagonal, less the covariance."""
        moments = done[CentralSums].moments[..., 0] * done[Spacing].powers
        d = moments.ndim - 1
        units = np.array(_units(d))
        covariance = np.empty((len(moments), d, d))
        for i, j in np.ndindex(d, d):
            covariance[:, i, j] = moments[(slice(None), *(units[i] + units[j]))]
        covariance /= moments[(slice(None), *[0] * d)][:, None, None]
        trace = np.trace(covariance, axis1=1, axis2=2)
        tensor = trace[:, None, None] * np.eye(d) - covariance
        values, _ = eigensystems(tensor)
        return cls(tensor, np.maximum(values, 0))


class ConvexImage(PerObject):
    """Pixels of the convex image, and its largest Feret diameter in units of the pixel size."""

    pixels: ClassVar[bool] = False
    voxel_bytes: ClassVar[int] = 4

    @classmethod
    def of(cls, crop: Crop) -> Sequence[float]:
        """Count the pixels, measure the diameter."""
        lines = _convex_plane(crop.mask) if crop.mask.ndim == 2 else _convex_volume(crop.mask)
        if lines is None:
            return 0, np.nan
        return lines.count, _feret_diameter(lines.corners(), np.array(crop.spacing))

    @classmethod
    def width(cls, ndim: int, channels: int) -> int:
        """Two."""
        return 2


class _OneNumber(PerObject):
    """A single number that needs no pixel values."""

    pixels: ClassVar[bool] = False

    @classmethod
    def width(cls, ndim: int, channels: int) -> int:
        """One."""
        return 1


class Filled(_OneNumber):
    """Pixels of the object and its holes."""

    voxel_bytes: ClassVar[int] = 4

    @classmethod
    def of(cls, crop: Crop) -> Sequence[float]:
        """Count all but what can be reached from outside, also over corners."""
        mask = crop.mask
        begins = np.count_nonzero(mask[..., 0]) + np.count_nonzero(mask[..., 1:] > mask[..., :-1])
        if begins == np.count_nonzero(mask.any(axis=-1)):  # a hole has the object on either side of it
            return [int(np.count_nonzero(mask))]
        from scipy.ndimage import label

        background = ~_padded(crop.mask, 1)
        parts, _ = label(background, structure=np.ones((3,) * background.ndim))
        return [parts.size - np.count_nonzero(parts == 1)]  # 1 is the part of the first corner


class Topology(_OneNumber):
    """Euler number."""

    @classmethod
    def of(cls, crop: Crop) -> Sequence[float]:
        """Vertices less edges plus faces (less cells) of the union of the closed pixels."""
        if crop.mask.ndim == 2:
            return [int(crop.quads @ EULER)]
        mask = _padded(crop.mask, 1)
        number = 0
        for between in product((False, True), repeat=mask.ndim):
            sign = -1 if between.count(False) % 2 else 1
            number += sign * int(np.count_nonzero(_cells(mask, between)))
        return [number]


class Perimeter(_OneNumber):
    """Length of the line through the centres of the border pixels, in pixels; 2D."""

    @classmethod
    def of(cls, crop: Crop) -> Sequence[float]:
        """Measure it."""
        return [_perimeter(crop.mask)]


class CroftonPerimeter(_OneNumber):
    """Perimeter from the number of times that lines enter the object, in pixels; 2D."""

    @classmethod
    def of(cls, crop: Crop) -> Sequence[float]:
        """Measure it."""
        return [_crofton_perimeter(crop.quads)]


class Median(PerObject):
    """Median of the values of each channel."""

    @classmethod
    def of(cls, crop: Crop) -> Sequence[float]:
        """Compute it; NaN wins."""
        if crop.raw is None:
            message = "intensity_median needs raw data"
            raise ValueError(message)
        values = crop.raw[crop.mask].astype(np.float64)
        half, odd = divmod(len(values), 2)
        values.partition([half - 1 + odd, half, len(values) - 1], axis=0)
        median = (values[half - 1 + odd] + values[half]) / 2 if not odd else values[half]
        medians: list[float] = np.where(np.isnan(values[-1]), np.nan, median).tolist()
        return medians

    @classmethod
    def width(cls, ndim: int, channels: int) -> int:
        """One for each channel."""
        return channels


# ---------------------------------------------------------------------------- size and position


@feature("num_pixels", unit="pixels")
def num_pixels(extent: Extent) -> AnyArray:
    """Number of pixels (voxels) of the object."""
    return extent.count


@feature("area", unit="pixels")
def area(extent: Extent, spacing: Spacing) -> FloatArray:
    """Number of pixels times the area of a pixel (3D: the volume of a voxel)."""
    return extent.count * spacing.volume


@feature("area_bbox", unit="pixels")
def area_bbox(extent: Extent, spacing: Spacing) -> FloatArray:
    """Area (volume) of the bounding box."""
    return _box(extent) * spacing.volume


@feature("area_convex", unit="pixels")
def area_convex(convex: ConvexImage, spacing: Spacing) -> FloatArray:
    """Area (volume) of the pixels whose centres lie in the convex hull of the object.

    The hull is that of the midpoints of the pixels' sides. In 3D it is empty for flat objects,
    those whose voxel centres lie in a plane.
    """
    return convex.numbers[:, 0] * spacing.volume


@feature("area_filled", unit="pixels")
def area_filled(filled: Filled, spacing: Spacing) -> FloatArray:
    """Area (volume) of the object with its holes, which do not reach outside even over corners."""
    return filled.numbers * spacing.volume


@feature("bbox", shape=("2d",), unit="px", location=True)
def bbox(extent: Extent) -> AnyArray:
    """Bounding box in pixels: first coordinate along each axis, then last coordinate plus one."""
    return np.column_stack([extent.low[:, ::-1], extent.high[:, ::-1] + 1])


@feature("extent")
def extent_in_box(extent: Extent) -> FloatArray:
    """Part of the bounding box that is covered by the object."""
    return extent.count / _box(extent)


@feature("solidity")
def solidity(extent: Extent, convex: ConvexImage) -> FloatArray:
    """Number of pixels divided by that of the convex image (infinite if that is empty)."""
    return extent.count / convex.numbers[:, 0]


@feature("equivalent_diameter_area", unit="px")
def equivalent_diameter_area(extent: Extent, spacing: Spacing) -> FloatArray:
    """Diameter of the circle (ball) of the same area (volume)."""
    d = extent.low.shape[1]
    diameter: FloatArray = power(2 * d * area(extent, spacing) / np.pi, 1 / d)
    return diameter


@feature("centroid", shape=("axis",), unit="px", location=True)
def centroid(extent: Extent, spacing: Spacing) -> FloatArray:
    """Mean coordinates."""
    return extent.center[:, ::-1] * spacing.lengths


@feature("centroid_local", shape=("axis",), unit="px")
def centroid_local(extent: Extent, spacing: Spacing) -> FloatArray:
    """Mean coordinates, counted from the corner of the bounding box."""
    return _local_center(extent) * spacing.lengths


@feature("centroid_weighted", shape=("axis", "c"), unit="px", location=True)
def centroid_weighted(sums: WeightedBoxSums, extent: Extent, spacing: Spacing) -> FloatArray:
    """Mean coordinates weighted with the values, for each channel."""
    mean = (sums.mean + extent.low[:, ::-1]) * spacing.lengths
    return mean.transpose(1, 2, 0)


@feature("centroid_weighted_local", shape=("axis", "c"), unit="px")
def centroid_weighted_local(sums: WeightedBoxSums, spacing: Spacing) -> FloatArray:
    """Mean coordinates weighted with the values, counted from the corner of the bounding box."""
    return (sums.mean * spacing.lengths).transpose(1, 2, 0)


# ---------------------------------------------------------------------------- shape


@feature("inertia_tensor", shape=("axis", "axis"), unit="px2")
def inertia_tensor(inertia: Inertia) -> FloatArray:
    """Inertia tensor for rotations about the centroid, divided by the area, row by row."""
    return inertia.tensor


@feature("inertia_tensor_eigvals", shape=("d",), unit="px2")
def inertia_tensor_eigvals(inertia: Inertia) -> FloatArray:
    """Eigenvalues of the inertia tensor, descending."""
    return inertia.eigenvalues


@feature("axis_major_length", unit="px")
def axis_major_length(inertia: Inertia) -> FloatArray:
    """Longest axis of the ellipse (ellipsoid) that has the object's second central moments."""
    return axis_lengths(inertia.eigenvalues)[:, 0]


@feature("axis_minor_length", unit="px")
def axis_minor_length(inertia: Inertia) -> FloatArray:
    """Shortest axis of the ellipse (ellipsoid) that has the object's second central moments."""
    return axis_lengths(inertia.eigenvalues)[:, -1]


@feature("eccentricity", dims=(2,))
def eccentricity(inertia: Inertia) -> FloatArray:
    """Eccentricity of the ellipse that has the object's second moments: 0 circle, 1 line."""
    first, second = inertia.eigenvalues.T
    return np.where(first == 0, 0, np.sqrt(1 - second / first))


@feature("orientation", unit="rad", dims=(2,))
def orientation(inertia: Inertia) -> FloatArray:
    """Angle from the rows' axis (down) to the major axis, counter-clockwise, in (-π/2, π/2].

    It is -π/4 where all axes are alike.
    """
    a, b, c = inertia.tensor[:, 0, 0], inertia.tensor[:, 0, 1], inertia.tensor[:, 1, 1]
    angle = np.asarray(_ATAN2(-2 * b, c - a), np.float64) / 2
    # -π/2 and π/2 are the same axis: rounding of b alone must not choose between them
    angle = np.where(angle < 1e-9 - np.pi / 2, np.pi / 2, angle)
    return np.where((a == c) & (b == 0), -np.pi / 4, angle)


@feature("euler_number")
def euler_number(topology: Topology) -> FloatArray:
    """Parts less holes; in 3D parts plus holes less tunnels.

    Pixels that share a corner are of one part.
    """
    return topology.numbers


@feature("feret_diameter_max", unit="px")
def feret_diameter_max(convex: ConvexImage) -> FloatArray:
    """Longest distance between midpoints of pixel sides on the border of the convex image.

    NaN for flat objects in 3D.
    """
    return convex.numbers[:, 1]


@feature("perimeter", unit="px", dims=(2,))
def perimeter(border: Perimeter, spacing: Spacing) -> FloatArray:
    """Length of the line through the centres of the border pixels; NaN unless pixels are square."""
    return border.numbers * spacing.isotropic


@feature("perimeter_crofton", unit="px", dims=(2,))
def perimeter_crofton(border: CroftonPerimeter, spacing: Spacing) -> FloatArray:
    """Perimeter by Crofton's formula in four directions; NaN unless pixels are square."""
    return border.numbers * spacing.isotropic


# ---------------------------------------------------------------------------- moments


@feature("moments", shape=("4^d",))
def moments(sums: BoxSums, spacing: Spacing) -> FloatArray:
    """Sums of row^i · column^j over the pixels, counted from the corner of the bounding box."""
    return sums.moments[..., 0] * spacing.powers


@feature("moments_central", shape=("4^d",))
def moments_central(sums: CentralSums, spacing: Spacing) -> FloatArray:
    """Sums of row^i · column^j over the pixels, counted from the centroid."""
    return sums.moments[..., 0] * spacing.powers


@feature("moments_normalized", shape=("4^d",))
def moments_normalized(sums: CentralSums, spacing: Spacing) -> FloatArray:
    """Central moments divided by count^((i + j) / d + 1); NaN for i + j < 2.

    They do not change with the size. Lengths are in units of the smallest extent of a pixel.
    """
    return _normalized(sums, spacing)[..., 0]


@feature("moments_hu", shape=(7,), dims=(2,))
def moments_hu(sums: CentralSums, spacing: Spacing) -> FloatArray:
    """Hu's seven invariants, which position, size and rotation do not change (if spacing is 1)."""
    return _hu(_normalized(sums, spacing), spacing)[..., 0]


@feature("moments_weighted", shape=("4^d", "c"))
def moments_weighted(sums: WeightedBoxSums, spacing: Spacing) -> FloatArray:
    """Sums of value · row^i · column^j, counted from the corner of the bounding box."""
    return sums.moments * spacing.powers[..., None]


@feature("moments_weighted_central", shape=("4^d", "c"))
def moments_weighted_central(sums: WeightedCentralSums, spacing: Spacing) -> FloatArray:
    """Sums of value · row^i · column^j, counted from the weighted centroid."""
    return sums.moments * spacing.powers[..., None]


@feature("moments_weighted_normalized", shape=("4^d", "c"))
def moments_weighted_normalized(sums: WeightedCentralSums, spacing: Spacing) -> FloatArray:
    """Weighted central moments divided by (sum of values)^((i + j) / d + 1); NaN for i + j < 2."""
    return _normalized(sums, spacing)


@feature("moments_weighted_hu", shape=(7, "c"), dims=(2,))
def moments_weighted_hu(sums: WeightedCentralSums, spacing: Spacing) -> FloatArray:
    """Hu's seven invariants of the values, for each channel (if spacing is 1)."""
    return _hu(_normalized(sums, spacing), spacing)


# ---------------------------------------------------------------------------- intensities


@feature("intensity_max", shape=("c",), unit="intensity")
def intensity_max(values: Values) -> FloatArray:
    """Largest value, for each channel."""
    return values.high.T


@feature("intensity_mean", shape=("c",), unit="intensity")
def intensity_mean(values: Values, extent: Extent) -> FloatArray:
    """Mean value, for each channel."""
    return (values.total / extent.count).T


@feature("intensity_median", shape=("c",), unit="intensity")
def intensity_median(median: Median) -> FloatArray:
    """Median of the values, for each channel."""
    return median.numbers


@feature("intensity_min", shape=("c",), unit="intensity")
def intensity_min(values: Values) -> FloatArray:
    """Least value, for each channel."""
    return values.low.T


@feature("intensity_std", shape=("c",), unit="intensity")
def intensity_std(deviations: SquaredDeviations, extent: Extent) -> FloatArray:
    """Standard deviation of the values (of the population), for each channel."""
    return np.sqrt(deviations.total / extent.count).T


# ---------------------------------------------------------------------------- formulas


def _local_center(extent: Extent) -> FloatArray:
    """Centroids (n, d) from the corner of the bounding box; integers until the division."""
    size = extent.count[:, None]
    center: FloatArray = (extent.total - size * extent.low) / size
    return center[:, ::-1]


def axis_lengths(moments: FloatArray) -> FloatArray:
    """Axes (n, d), descending, of the ellipse with these moments of inertia: 4 (3D: √20) times the deviations."""
    lengths: FloatArray = np.sqrt(AXIS_FACTORS[moments.shape[1]] * principal_variances(moments))
    return lengths


def principal_variances(moments: FloatArray) -> FloatArray:
    """Variances (n, d) of the coordinates along the principal axes, descending, from moments of inertia, descending."""
    if moments.shape[1] == 2:
        return moments
    # a moment is the sum of the variances along the two other axes
    variances = (moments.sum(axis=1, keepdims=True) / 2 - moments)[:, ::-1]
    positive: FloatArray = np.maximum(variances, 0)
    return positive


def stretched_moments(tensor: FloatArray, lengths: FloatArray) -> FloatArray:
    """Moments of inertia (n, d), descending, of the same objects with other extents of a voxel.

    Parameters
    ----------
    tensor
        Inertia tensors (n, d, d) in pixels.
    lengths
        Extents of a voxel (d,), in the order of array axes.
    """
    d = len(lengths)
    unit = np.eye(d)
    trace = np.trace(tensor, axis1=1, axis2=2)[:, None, None]
    covariance = (trace / (d - 1) * unit - tensor) * np.multiply.outer(lengths, lengths)
    moments, _ = eigensystems(np.trace(covariance, axis1=1, axis2=2)[:, None, None] * unit - covariance)
    positive: FloatArray = np.maximum(moments, 0)
    return positive


def _box(extent: Extent) -> IntArray:
    """Pixels of the bounding boxes."""
    pixels: IntArray = np.prod(extent.high + 1 - extent.low, axis=1)
    return pixels


def _outer(factors: FloatArray) -> FloatArray:
    """Products of one number of each row."""
    products: FloatArray = reduce(np.multiply.outer, factors)
    return products


def _units(d: int) -> list[tuple[int, ...]]:
    """Powers of the first coordinate alone, of the second alone …: (1, 0), (0, 1) in 2D."""
    return [tuple(int(i == axis) for i in range(d)) for axis in range(d)]


def _powers(x: FloatArray) -> list[FloatArray]:
    """x^0 (1 for NaN, too), x^1, x^2, x^3."""
    return [np.ones_like(x), x, x * x, x * x * x]


def _line_sums(
    weight: FloatArray, x: FloatArray, first: IntArray, line: IntArray, *, integral: bool = False
) -> list[FloatArray]:
    """Sums of weight · x^k of each line for k = 0 … 3, in the order of its voxels."""
    exact = False  # then any order is right
    if integral and len(x):
        exact = float(np.abs(weight).max()) * (float(np.abs(x).max()) + 1) ** POWERS < 2**53
    sums, term = [], weight
    for _ in range(POWERS):
        if exact:
            sums.append(np.add.reduceat(term, first))
        else:
            sums.append(np.bincount(line, term, len(first)))
        term = term * x
    return sums


def _normalized(sums: PowerSums, spacing: Spacing) -> FloatArray:
    """Normalized moments (n, 4, 4[, 4], weights)."""
    lengths = spacing.lengths / spacing.lengths.min()
    d = len(lengths)
    mass = sums.moments[(slice(None), *[slice(0, 1)] * d)]
    order = np.indices((POWERS,) * d).sum(axis=0)
    scaled = sums.moments * _outer(power(lengths[:, None], np.arange(POWERS)))[..., None]
    normalized: FloatArray = scaled / power(mass, (order / d + 1)[..., None])
    normalized[:, order < 2] = np.nan
    return normalized


def _hu(normalized: FloatArray, spacing: Spacing) -> FloatArray:
    """Invariants (n, 7, weights): M. K. Hu, Visual pattern recognition by moment invariants."""
    n20, n11, n02 = normalized[:, 2, 0], normalized[:, 1, 1], normalized[:, 0, 2]
    n30, n21 = normalized[:, 3, 0], normalized[:, 2, 1]
    n12, n03 = normalized[:, 1, 2], normalized[:, 0, 3]
    p, q = n30 + n12, n21 + n03
    u, v = n30 - 3 * n12, 3 * n21 - n03
    invariants = [
        n20 + n02,
        (n20 - n02) ** 2 + 4 * n11**2,
        u**2 + v**2,
        p**2 + q**2,
        u * p * (p**2 - 3 * q**2) + v * q * (3 * p**2 - q**2),
        (n20 - n02) * (p**2 - q**2) + 4 * n11 * p * q,
        v * p * (p**2 - 3 * q**2) - u * q * (3 * p**2 - q**2),
    ]
    defined = (spacing.lengths == 1).all()
    return np.where(defined, np.stack(invariants, axis=1), np.nan)


# ---------------------------------------------------------------------------- one object


def _padded(mask: Mask, width: int) -> Mask:
    """With background around it (`np.pad` takes ten times as long for small arrays)."""
    padded = np.zeros([n + 2 * width for n in mask.shape], bool)
    padded[(slice(width, -width),) * mask.ndim] = mask
    return padded


def _cells(mask: Mask, between: Sequence[bool]) -> Mask:
    """Cells of the grid that touch the object; along the axes ``between``, between two pixels."""
    for axis, yes in enumerate(between):
        if yes:
            ahead = mask.swapaxes(0, axis)
            mask = (ahead[1:] | ahead[:-1]).swapaxes(0, axis)
    return mask


def _perimeter(mask: Mask) -> float:
    """K. Benkrid, D. Crookes, Design and FPGA implementation of a perimeter estimator.

    Border pixels have a neighbour outside, over a side. Each counts for the half of its line to its
    neighbours on the border, as their number over sides (2 each) and corners (10 each) tells.
    """
    m = _padded(mask, 2).view(np.uint8)
    inside = m[:-2, 1:-1] & m[2:, 1:-1] & m[1:-1, :-2] & m[1:-1, 2:]
    border = m[1:-1, 1:-1] & ~inside
    above_and_below = border[:-2] + border[2:]
    sides = above_and_below[:, 1:-1] + border[1:-1, :-2] + border[1:-1, 2:]
    corners = above_and_below[:, :-2] + above_and_below[:, 2:]
    codes = (2 * sides + 10 * corners) * border[1:-1, 1:-1]  # 0, which makes no line, elsewhere
    straight, diagonal, mixed = (STEPS @ np.bincount(codes.ravel(), minlength=STEPS.shape[1])).tolist()
    return float(straight + np.sqrt(2) * diagonal + (1 + np.sqrt(2)) / 2 * mixed)


def _crofton_perimeter(quads: IntArray) -> float:
    """π · the mean over four directions of (times that lines enter the object · their distance)."""
    axial, slanted = (ENTRIES @ quads).tolist()
    return float(np.pi / 4 * (axial + slanted / np.sqrt(2)))


def _ends(mask: Mask) -> tuple[IntArray, IntArray]:
    """First and last pixel along the last axis; there must be one in each line."""
    return mask.argmax(axis=-1), mask.shape[-1] - 1 - mask[..., ::-1].argmax(axis=-1)


@dataclass(frozen=True)
class _Lines:
    """A convex image line by line: where the lines are (k, d - 1), their first and last pixel (k,)."""

    places: IntArray
    first: IntArray
    last: IntArray

    @property
    def count(self) -> int:
        """Number of pixels."""
        return int((self.last - self.first + 1).sum())

    def corners(self) -> FloatArray:
        """Corners of the hull of the pixel centres (m, d)."""
        if self.places.shape[1] == 1:
            t = self.places[:, 0].tolist()
            low = _lower_hull(t, self.first.tolist())
            high = [(t, -v) for t, v in _lower_hull(t, (-self.last).tolist())]
            return np.array(low + high, np.float64)
        from scipy.spatial import ConvexHull

        ends = np.concatenate([np.column_stack([self.places, x]) for x in (self.first, self.last)])
        corners: FloatArray = ends[ConvexHull(ends).vertices].astype(np.float64)
        return corners

    def image(self, shape: Sequence[int]) -> Mask:
        """Draw the lines."""
        x, image = np.arange(shape[-1]), np.zeros(shape, bool)
        image[tuple(self.places.T)] = (self.first[:, None] <= x) & (x <= self.last[:, None])
        return image


def convex_image(mask: Mask) -> Mask:
    """The pixels whose centres lie in the convex hull, in 3D also in that of flat objects.

    The hull is that of the midpoints of the pixels' sides, so it holds the object.
    """
    lines = _convex_plane(mask) if mask.ndim == 2 else _convex_volume(mask, flat=True)
    assert lines is not None
    return lines.image(mask.shape)


def _convex_plane(mask: Mask) -> _Lines:
    """The convex image; exact.

    Coordinates are doubled, and t is twice the row plus one, so that all are integers: the pixel in
    row r and column c has the side midpoints (2r, 2c), (2r + 2, 2c) and (2r + 1, 2c ± 1).
    """
    rows = np.flatnonzero(mask.any(axis=1))
    first, last = _ends(mask[rows])
    between = np.arange(rows[0], rows[-1] + 1)
    low = _lower_bound(rows, first, 2 * between + 1)
    high = -_lower_bound(rows, -last, 2 * between + 1)
    hit = np.flatnonzero(low <= high)
    return _Lines(between[hit, None], low[hit], high[hit])


def _lower_bound(rows: IntArray, first: IntArray, wanted: IntArray) -> IntArray:
    """Least column in the hull, rounded up, for each ``wanted`` t; ``first`` of the pixels."""
    far = np.iinfo(np.int64).max
    lowest = np.full(2 * rows[-1] + 3, far)
    lowest[2 * rows] = 2 * first
    lowest[2 * rows + 2] = np.minimum(lowest[2 * rows + 2], 2 * first)
    lowest[2 * rows + 1] = 2 * first - 1
    t = np.flatnonzero(lowest < far)
    corners = np.array(_lower_hull(t.tolist(), lowest[t].tolist()))
    right = np.searchsorted(corners[:, 0], wanted)
    (t0, v0), (t1, v1) = corners[right - 1].T, corners[right].T
    rounded: IntArray = -((v0 * (t1 - t0) + (v1 - v0) * (wanted - t0)) // (-2 * (t1 - t0)))
    return rounded


def _lower_hull(ts: Sequence[int], values: Sequence[int]) -> list[tuple[int, int]]:
    """Corners of the lower hull of points with ascending t (Andrew's monotone chain)."""
    hull: list[tuple[int, int]] = []
    for t, value in zip(ts, values, strict=True):
        while len(hull) > 1:
            (t0, v0), (t1, v1) = hull[-2:]
            if (t1 - t0) * (value - v0) > (v1 - v0) * (t - t0):
                break
            hull.pop()
        hull.append((t, value))
    return hull


def _convex_volume(mask: Mask, *, flat: bool = False) -> _Lines | None:
    """The convex image; None if all voxel centres are in one plane, unless ``flat``."""
    from scipy.spatial import ConvexHull, QhullError

    z, y = np.nonzero(mask.any(axis=2))
    first, last = _ends(mask[z, y])
    centers = np.concatenate([np.column_stack([z, y, first]), np.column_stack([z, y, last])])
    try:
        corners = centers[ConvexHull(centers).vertices]
    except QhullError:  # all in one plane
        if not flat:
            return None
        corners = np.unique(centers, axis=0)
    midpoints = corners[:, None] + np.concatenate([np.eye(3), -np.eye(3)]) / 2
    hull = ConvexHull(midpoints.reshape(-1, 3))
    return _within(np.unique(hull.equations, axis=0), mask.shape)


def _within(planes: FloatArray, shape: tuple[int, ...]) -> _Lines:
    """The grid points within half-spaces.

    Parameters
    ----------
    planes
        Rows (a, b, c, e): a·z + b·y + c·x + e <= 0.
    shape
        Of the grid.
    """
    slopes = planes[:, 2]
    up, down, flat = slopes > 0, slopes < 0, slopes == 0
    lines = []
    for z in range(shape[0]):
        # points on a face count: 1e-10 is above rounding, and below what any other point is off
        rest = 1e-10 - planes[:, [3]] - planes[:, [0]] * z - planes[:, [1]] * np.arange(shape[1])
        last = np.floor((rest[up] / slopes[up, None]).min(axis=0))
        first = np.ceil((rest[down] / slopes[down, None]).max(axis=0))
        y = np.flatnonzero((first <= last) & (rest[flat] >= 0).all(axis=0))
        lines.append(np.column_stack([np.full(len(y), z), y, first[y], last[y]]).astype(np.intp))
    found = np.concatenate(lines)
    return _Lines(found[:, :2], found[:, 2], found[:, 3])


def _feret_diameter(corners: FloatArray, spacing: FloatArray) -> float:
    """Longest distance between side midpoints of pixels with these centres (k, d); NaN without any.

    Of two pixels with the differences δ of their coordinates, midpoints of sides are at most
    √(Σ δ_e² + 2·δ_a·s_a + s_a²) apart: opposite sides along one axis a, whose spacing is s_a.
    """
    longest = np.nan
    for start in range(0, len(corners), 256):  # some 256 · k differences at a time
        apart = np.abs(corners[start : start + 256, None] - corners) * spacing
        squares = (apart**2).sum(axis=-1) + (spacing * (2 * apart + spacing)).max(axis=-1)
        longest = np.fmax(longest, np.sqrt(squares.max()))
    return float(longest)
