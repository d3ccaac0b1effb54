"""ilastik's "2D" and "3D Convex Hull Features": despite their names, features of the bounding box.

vigra's convex hull starts from identical points, so that none of its facets ever has a normal, and
every pixel of the bounding box counts as inside. Projects are trained on those numbers, so they are
what is returned here: the "hull" is the bounding box, and a "defect" is a component of its
part outside of the object (direct neighbours: 4 in a plane, 6 in a volume).

Defects are numbered by their first pixel in scan order and summed in that order, in float64. The
moments of their sizes are unbiased: 0 for too few defects, NaN where all defects are of one size.
There are two formulations, and their numbers are equal: cc3d and numpy one by one, and a kernel.

``DefectCenter`` follows vigra where the box is full, too: it is taken over from the object with the
previous id in the same time step, relative to the box. So it is the one feature here that may depend
on another object.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from objclass.compute.kernels import Kernel, kernel
from objclass.core import AnyArray, FloatArray, IntArray
from objclass.features.contract import Feature, FeatureSet
from objclass.features.geometry import batches, columns_xyz, together
from objclass.features.statistics.extent import Extent
from objclass.features.statistics.per_object import Crop, PerObject

if TYPE_CHECKING:
    from objclass.features.frame import Frame

PLANE = FeatureSet("2D Convex Hull Features", prefix="convex_hull")
VOLUME = FeatureSet("3D Convex Hull Features", prefix="convex_hull")

NUMBERS = 6
"""Number of values for the defects of an object, without their centre."""

LEFT_OVER = (0.5, 1.5)
"""Centre of the defects in ilastik for the first objects that fill their boxes: as in both known time steps,
both of 2D images. For volumes it is unknown."""

SLAB = 1 << 22
"""Number of pixels that are read at once if objects are dense; larger boxes are labelled by cc3d."""

CROP_BYTES = 44
"""Working memory for a pixel of a bounding box: its label, two lists of int32, four of int64."""

Compute = Callable[..., AnyArray]
Ints = NDArray[np.integer[Any]] | list[int]


def feature(name: str, **fields: Any) -> Callable[[Compute], Compute]:
    """Register a function as a feature in the plane and in the volume."""

    def register(function: Compute) -> Compute:
        PLANE.feature(name, dims=(2,), **fields)(function)
        return VOLUME.feature(name, dims=(3,), **fields)(function)

    return register


# ---------------------------------------------------------------------------- statistics


@dataclass(frozen=True)
class Defects(PerObject):
    """The part of the bounding box outside of the object.

    The columns of ``numbers``: number of defects; mean, variance, skewness, kurtosis of their sizes;
    mean displacement; centre x, y(, z) from the lower corner of the box, NaN where the box is full.
    """

    pixels: ClassVar[bool] = False
    voxel_bytes: ClassVar[int] = 24

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
        return [len(sizes), *moments(sizes.tolist(), len(sizes)), displacement, *(p.mean() for p in points)]

    @classmethod
    def of_all(cls, frame: "Frame", extent: Extent) -> FloatArray | None:
        """Measure all objects, compiled, unless they are too few or one of them is too large."""
        low, high = extent.low, extent.high + 1
        volumes = np.prod(high - low, axis=1)
        work = len(volumes) * frame.context.limits.images
        function = defects.choose(work) if volumes.max(initial=0) <= SLAB else None
        if function is None:
            return None
        frame.check_boxes(low, high, voxel_bytes=CROP_BYTES)
        numbers = np.zeros((frame.objects.count, NUMBERS + frame.objects.ndim))
        for rows in batches(low, high, SLAB):
            numbers[rows] = measured(function, frame, low[rows], high[rows], rows.start + 1)
        return numbers

    @classmethod
    def width(cls, ndim: int, channels: int) -> int:
        """Six numbers and the coordinates of the centre."""
        return NUMBERS + ndim


def measured(function: Any, frame: "Frame", low: IntArray, high: IntArray, first: int) -> FloatArray:
    """The numbers of ``first`` and the objects that follow, compiled; ``low`` and ``high`` (n, d)."""
    corner, box = together(low, high)
    labels = np.ascontiguousarray(frame.objects.labels[box])
    bounds = np.column_stack([columns_xyz(low, 0) - corner, columns_xyz(high, 1) - corner])
    room = int(np.prod(high - low, axis=1).max())
    numbers = np.empty((len(low), NUMBERS + 3))
    function(
        *(labels, labels.shape[1], labels.shape[2], bounds, len(low), first),
        *(np.empty(room, np.int32), np.empty(room, np.int32), np.empty(4 * room, np.int64), numbers),
    )
    return numbers[:, : NUMBERS + low.shape[1]]


def components(free: NDArray[np.bool_]) -> NDArray[Any]:
    """Label the direct-connected components 1, 2, 3 … by their first pixel in scan order."""
    import cc3d

    labels: NDArray[Any] = cc3d.connected_components(free, connectivity=4 if free.ndim == 2 else 6)
    return labels


def _sum(values: FloatArray) -> Any:
    """Sum along the first axis, one by one (``np.sum`` adds in pairs)."""
    return np.cumsum(values, axis=0)[-1]


@kernel
def moments(sizes: Ints, k: int) -> tuple[float, float, float, float]:
    """Mean, and unbiased variance, skewness and excess kurtosis of the sizes of k defects."""
    total = 0
    for i in range(k):
        total += sizes[i]
    mean = total / k
    total, m2, m3, m4 = 0, 0.0, 0.0, 0.0
    for i in range(k):
        total += sizes[i]
        if i > 0:  # vigra's running sum of squared deviations
            deviation = total / (i + 1) - sizes[i]
            m2 += (i + 1) / i * (deviation * deviation)
        m3 += math.pow(sizes[i] - mean, 3.0)
        m4 += math.pow(sizes[i] - mean, 4.0)
    variance = m2 / (k - 1) if k > 1 else 0.0
    skewness = kurtosis = 0.0
    if k > 2:
        skewness = math.sqrt(k) * m3 / math.pow(m2, 1.5) if m2 else math.nan
        skewness *= math.sqrt(k * (k - 1)) / (k - 2)
    if k > 3:
        kurtosis = k * m4 / (m2 * m2) - 3 if m2 else math.nan
        kurtosis = (k - 1) / ((k - 2) * (k - 3)) * ((k + 1) * kurtosis + 6)
    return mean, variance, skewness, kurtosis


@kernel
def flood(start: int, number: int, width: int, height: int, depth: int, which: Ints, stack: Ints) -> int:
    """Give a number to what is free (0 in ``which``) and connected to a pixel; returns how much that is."""
    plane, size = width * height, 0
    which[start], stack[0], waiting = number, start, 1
    while waiting > 0:
        waiting -= 1
        p = stack[waiting]
        x, y, z = p % width, p // width % height, p // plane
        size += 1
        for k in range(6):
            if k == 0 and x > 0:
                q = p - 1
            elif k == 1 and x < width - 1:
                q = p + 1
            elif k == 2 and y > 0:
                q = p - width
            elif k == 3 and y < height - 1:
                q = p + width
            elif k == 4 and z > 0:
                q = p - plane
            elif k == 5 and z < depth - 1:
                q = p + plane
            else:
                continue
            if which[q] == 0:
                which[q], stack[waiting] = number, q
                waiting += 1
    return size


@kernel
def defects_of(
    width: int, height: int, depth: int, which: Ints, stack: Ints, sums: Ints, numbers: FloatArray, at: int
) -> None:
    """Measure the defects of one object: ``which`` is -1 in it, 0 outside of it in its box.

    ``sums`` is work space for the sizes of the defects and sums of their coordinates x, y, z.
    """
    room = width * height * depth
    count = own = own_x = own_y = own_z = 0
    for p in range(room):
        x, y, z = p % width, p // width % height, p // (width * height)
        if which[p] < 0:
            own, own_x, own_y, own_z = own + 1, own_x + x, own_y + y, own_z + z
            continue
        if which[p] == 0:
            sums[room + count] = sums[2 * room + count] = sums[3 * room + count] = 0
            count += 1
            sums[count - 1] = flood(p, count, width, height, depth, which, stack)
        sums[room + which[p] - 1] += x
        sums[2 * room + which[p] - 1] += y
        sums[3 * room + which[p] - 1] += z
    if count == 0:
        for k in range(NUMBERS):
            numbers[at + k] = 0.0
        for k in range(3):
            numbers[at + NUMBERS + k] = math.nan
        return
    displacement, free, all_x, all_y, all_z = 0.0, 0, 0, 0, 0
    for i in range(count):
        size = sums[i]
        dx = sums[room + i] / size - own_x / own
        dy = sums[2 * room + i] / size - own_y / own
        dz = sums[3 * room + i] / size - own_z / own
        displacement += size * math.sqrt(dx * dx + dy * dy + dz * dz)
        free, all_x, all_y = free + size, all_x + sums[room + i], all_y + sums[2 * room + i]
        all_z += sums[3 * room + i]
    numbers[at] = float(count)
    mean, variance, skewness, kurtosis = moments(sums, count)
    numbers[at + 1], numbers[at + 2], numbers[at + 3], numbers[at + 4] = mean, variance, skewness, kurtosis
    numbers[at + 5] = displacement / free
    numbers[at + 6], numbers[at + 7], numbers[at + 8] = all_x / free, all_y / free, all_z / free


def measure_defects(
    labels: NDArray[np.uint32],
    ny: int,
    nx: int,
    bounds: NDArray[np.int64],
    n: int,
    first: int,
    which: NDArray[np.int32],
    stack: NDArray[np.int32],
    sums: NDArray[np.int64],
    numbers: NDArray[np.float64],
) -> None:
    """Measure n objects, ``first`` and those that follow.

    ``bounds`` are x, y, z of the first voxel and behind the last one of each object.
    """
    for i in range(n):
        left, top, front = bounds[6 * i], bounds[6 * i + 1], bounds[6 * i + 2]
        width, height, depth = bounds[6 * i + 3] - left, bounds[6 * i + 4] - top, bounds[6 * i + 5] - front
        p = 0
        for z in range(depth):
            for y in range(height):
                start = ((front + z) * ny + top + y) * nx + left
                for x in range(width):
                    which[p] = -1 if labels[start + x] == first + i else 0
                    p += 1
        defects_of(width, height, depth, which, stack, sums, numbers, (NUMBERS + 3) * i)


def _lengths(_: Any, ny: int, nx: int, bounds: IntArray, n: int, *__: Any) -> dict[str, int]:
    ends = bounds.reshape(n, 6)
    room = int(np.prod(ends[:, 3:] - ends[:, :3], axis=1).max(initial=0))
    return {
        "labels": int(ends[:, 5].max(initial=0)) * ny * nx,
        "bounds": 6 * n,
        "which": room,
        "stack": room,
        "sums": 4 * room,
        "numbers": (NUMBERS + 3) * n,
    }


defects = Kernel(
    measure_defects,
    repays_loading=300,
    repays_compiling=1500,  # a tenth of the time of compiling, from which later runs gain, too
    lengths=_lengths,
)
"""Work is counted in objects."""


# ---------------------------------------------------------------------------- features


@feature("InputVolume", title="Object Area", unit="pixels")
def input_volume(extent: Extent) -> IntArray:
    """Number of pixels (voxels) of the object."""
    return extent.count


@feature("HullVolume", title="Convex Hull Area", unit="pixels")
def hull_volume(extent: Extent) -> IntArray:
    """Number of pixels of the bounding box."""
    return np.prod(extent.high - extent.low + 1, axis=1)


@feature("Convexity")
def convexity(extent: Extent) -> FloatArray:
    """Fraction of the bounding box that belongs to the object."""
    return input_volume(extent) / hull_volume(extent)


@feature("InputCenter", title="Object Center", shape=("axis",), unit="px", location=True)
def input_center(extent: Extent) -> FloatArray:
    """Mean coordinates of the object."""
    return extent.center


@feature("HullCenter", title="Convex Hull Center", shape=("axis",), unit="px", location=True)
def hull_center(extent: Extent) -> FloatArray:
    """Centre of the bounding box."""
    return (extent.low + extent.high) / 2


@feature("DefectCount", title="Number of Defects")
def defect_count(defects: Defects) -> FloatArray:
    """Number of defects: components of the part of the bounding box outside of the object."""
    return defects.numbers[:, 0]


@feature("DefectVolumeMean", title="Mean Defect Area", unit="pixels")
def defect_volume_mean(defects: Defects) -> FloatArray:
    """Mean size of the defects, 0 without any."""
    return defects.numbers[:, 1]


@feature("DefectVolumeVariance", title="Variance of Defect Area", unit="pixels2")
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
    """Mean distance of the centres of the defects to the centre of the object, weighted by size; 0 without any."""
    return defects.numbers[:, 5]


@feature("DefectCenter", title="Defect Center", shape=("axis",), unit="px", location=True)
def defect_center(defects: Defects, extent: Extent) -> FloatArray:
    """Mean coordinates of the part of the bounding box outside of the object.

    If the object fills the box, those of the object with the previous id, relative to the lower corner of
    the bounding box; for the first objects of a time step ``LEFT_OVER``.
    """
    count, center = defects.numbers[:, 0], defects.numbers[:, 6:]
    d = center.shape[1]
    center = np.concatenate([[LEFT_OVER if d == 2 else (np.nan,) * d], center])
    # row i + 1 is object i
    last = np.maximum.accumulate(np.where(count > 0, np.arange(1, len(count) + 1), 0))
    return extent.low + center[last]


def left_overs(defects: Defects, extent: Extent) -> FloatArray:
    """What `defect_center` needs of others, where a time step is measured in parts (n, 1 + 2d).

    The number of defects, their centre relative to the lower corner, and the lower corner x, y(, z).
    """
    return np.column_stack([defects.numbers[:, 0], defects.numbers[:, 6:], extent.low])


LEFT_OVERS = Feature(PLANE.name, "left overs", left_overs, (Defects, Extent), "left overs", dtype=np.float64)
"""No column of a table; see `left_overs`."""
