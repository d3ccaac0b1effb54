"""Scatter matrices of coordinates and values, their axes, and projections on these."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

import numpy as np

from objclass.compute.kernels import kernel
from objclass.core import AnyArray, FloatArray
from objclass.features.statistics.eigen import eigensystems
from objclass.features.statistics.kinds import Derived, Done, Folded
from objclass.features.statistics.powers import third_and_fourth_power
from objclass.features.statistics.runs import (
    COLUMNS,
    FACTORS,
    LENGTH,
    OBJECT,
    ROOM,
    SCATTER,
    SUMS,
    Floats,
    Fold,
    Ints,
    X,
    Y,
    Z,
    average,
)
from objclass.features.voxels import Block, Voxels


@dataclass(frozen=True)
class Scatter(Folded):
    """vigra's running scatter matrix of vectors: weight (n,), sums (n, d), matrix (n, d, d).

    For each voxel, w its weight and v its vector: weight += w; total += w·v; and, once weight > w,
    delta = total / weight - v; f = weight·w / (weight - w); matrix[i, j] += (f·delta[i])·delta[j]
    for i >= j, mirrored.
    """

    weight: FloatArray
    total: FloatArray
    matrix: FloatArray

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self:
        """No voxels yet."""
        n, d = voxels.count, len(cls.vectors(voxels))
        return cls(np.zeros(n), np.zeros((n, d)), np.zeros((n, d, d)))

    @classmethod
    def vectors(cls, voxels: Voxels) -> Sequence[AnyArray]:
        """The components of the vectors, each of length v."""
        raise NotImplementedError

    @classmethod
    def exact(cls, voxels: Voxels) -> bool:
        """Whether running sums are exact in any order."""
        return True

    @classmethod
    def weights(cls, voxels: Voxels) -> AnyArray | None:
        """The weights, None if all are 1."""
        return None

    def fold(self, voxels: Voxels, done: Done) -> Self:
        """Add a block."""
        vectors, w, exact = self.vectors(voxels), self.weights(voxels), self.exact(voxels)
        if w is None:
            weight = self.weight[voxels.rows] + voxels.ordinal
            above, numerator, denominator = weight > 1, weight, weight - 1
        else:
            weight = voxels.running(w, self.weight, exact=exact)
            above, numerator, denominator = weight > w, weight * w, weight - w
        factor = np.divide(numerator, denominator, out=np.zeros_like(weight), where=above)
        total, matrix, deltas = self.total.copy(), self.matrix.copy(), []
        for i, v in enumerate(vectors):
            running = voxels.running(v if w is None else w * v, total[:, i], exact=exact)
            deltas.append(np.where(above, running / weight - v, 0))
            total[:, i] = voxels.last(running, total[:, i])
            left = factor * deltas[i]
            for j in range(i + 1):
                matrix[:, i, j] = voxels.sums(left * deltas[j], matrix[:, i, j])
                matrix[:, j, i] = matrix[:, i, j]
        return replace(self, weight=voxels.last(weight, self.weight), total=total, matrix=matrix)

    @property
    def center(self) -> FloatArray:
        """Weighted mean vectors (n, d)."""
        return self.total / self.weight[:, None]


class CoordinateScatter(Scatter):
    """Of the coordinates x, y(, z), absolute in the image."""

    pixels: ClassVar[bool] = False

    def compiled(self, block: Block, done: Done) -> Fold | None:
        """`fold_scatter`."""
        arrays = {"seen": self.weight, "centers": self.total, "matrix": self.matrix}
        return Fold(SCATTER, arrays)

    @classmethod
    def vectors(cls, voxels: Voxels) -> Sequence[AnyArray]:
        """Coordinates."""
        return voxels.positions


@kernel
def sum_places(
    runs: Ints, begin: int, end: int, axis: int, ndim: int, centers: Floats, space: Floats
) -> None:
    """Sums of the coordinates of an axis up to and including each voxel."""
    i = 0
    for r in range(begin, end):
        here = COLUMNS * r
        length, at = runs[here + LENGTH], ndim * runs[here + OBJECT] + axis
        place, before, step = float(runs[here + X + axis]), centers[at], 1.0 if axis == 0 else 0.0
        for j in range((length + 7) & -8):
            space[SUMS + axis * ROOM + i + j] = before + (j + 1.0) * place + step * (0.5 * j * (j + 1.0))
        centers[at] = before + length * place + step * (0.5 * length * (length - 1.0))
        i += length


@kernel
def scatter_in_plane(runs: Ints, begin: int, end: int, matrix: Floats, space: Floats) -> None:
    """In 2D: ``matrix`` (n, 2, 2)."""
    i = 0
    for r in range(begin, end):
        here = COLUMNS * r
        at, length = 4 * runs[here + OBJECT], runs[here + LENGTH]
        x, y = float(runs[here + X]), float(runs[here + Y])
        xx, yx, yy = matrix[at], matrix[at + 2], matrix[at + 3]
        for j in range(i, i + length):
            f, dx, dy = space[FACTORS + j], space[SUMS + j] - x, space[SUMS + ROOM + j] - y
            x += 1
            xx += f * dx * dx
            yx += f * dy * dx
            yy += f * dy * dy
        matrix[at], matrix[at + 1], matrix[at + 2], matrix[at + 3] = xx, yx, yx, yy
        i += length


@kernel
def scatter_in_volume(runs: Ints, begin: int, end: int, matrix: Floats, space: Floats) -> None:
    """In 3D: ``matrix`` (n, 3, 3)."""
    i = 0
    for r in range(begin, end):
        here = COLUMNS * r
        at, length = 9 * runs[here + OBJECT], runs[here + LENGTH]
        x, y, z = float(runs[here + X]), float(runs[here + Y]), float(runs[here + Z])
        xx, yx, yy = matrix[at], matrix[at + 3], matrix[at + 4]
        zx, zy, zz = matrix[at + 6], matrix[at + 7], matrix[at + 8]
        for j in range(i, i + length):
            f, dx = space[FACTORS + j], space[SUMS + j] - x
            dy, dz = space[SUMS + ROOM + j] - y, space[SUMS + 2 * ROOM + j] - z
            x += 1
            xx += f * dx * dx
            yx += f * dy * dx
            yy += f * dy * dy
            zx += f * dz * dx
            zy += f * dz * dy
            zz += f * dz * dz
        matrix[at], matrix[at + 4], matrix[at + 8] = xx, yy, zz
        matrix[at + 1], matrix[at + 2], matrix[at + 3] = yx, zx, yx
        matrix[at + 5], matrix[at + 6], matrix[at + 7] = zy, zx, zy
        i += length


@kernel
def fold_scatter(
    runs: Ints, begin: int, end: int, size: int, ndim: int, centers: Floats, matrix: Floats, space: Floats
) -> None:
    """`CoordinateScatter`: arrays (n, d) and (n, d, d)."""
    for axis in range(ndim):
        sum_places(runs, begin, end, axis, ndim, centers, space)
        average(size, SUMS + axis * ROOM, space)
    if ndim == 2:
        scatter_in_plane(runs, begin, end, matrix, space)
    else:
        scatter_in_volume(runs, begin, end, matrix, space)


class WeightedScatter(Scatter):
    """Of the coordinates, weighted with the value of the only channel."""

    @classmethod
    def vectors(cls, voxels: Voxels) -> Sequence[AnyArray]:
        """Coordinates."""
        return voxels.positions

    @classmethod
    def exact(cls, voxels: Voxels) -> bool:
        """For integers of up to 16 bits."""
        return voxels.integral

    @classmethod
    def weights(cls, voxels: Voxels) -> AnyArray:
        """Values."""
        return voxels.values[0]


class ChannelScatter(Scatter):
    """Of the values of the channels."""

    @classmethod
    def vectors(cls, voxels: Voxels) -> Sequence[AnyArray]:
        """Values, a component for each channel."""
        return list(voxels.values)

    @classmethod
    def exact(cls, voxels: Voxels) -> bool:
        """For integers of up to 16 bits."""
        return voxels.integral


@dataclass(frozen=True)
class Axes(Derived):
    """Eigenvalues (n, d), descending, and eigenvectors (n, d, d), ``vectors[:, i, k]`` component i
    of the k-th, of a scatter matrix."""

    values: FloatArray
    vectors: FloatArray

    @classmethod
    def of(cls, done: Done) -> Self:
        """Decompose the scatter matrices."""
        return cls(*eigensystems(done[cls.after[0]].matrix))


class CoordinateAxes(Axes):
    """Of `CoordinateScatter`."""

    pixels: ClassVar[bool] = False
    after: ClassVar = (CoordinateScatter,)


class WeightedAxes(Axes):
    """Of `WeightedScatter`."""

    after: ClassVar = (WeightedScatter,)


class ChannelAxes(Axes):
    """Of `ChannelScatter`."""

    after: ClassVar = (ChannelScatter,)


@dataclass(frozen=True)
class Projected(Folded):
    """Centred vectors projected on their axes: sums of third and fourth powers, extremes; (n, d).

    q[k] = E[0, k]·c[0], then += E[1, k]·c[1] …; c = v - center.
    """

    scatter: ClassVar[type[Scatter]]

    q3: FloatArray
    q4: FloatArray
    low: FloatArray
    high: FloatArray

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self:
        """No voxels yet."""
        shape = done[cls.scatter].total.shape
        return cls(np.zeros(shape), np.zeros(shape), np.full(shape, np.inf), np.full(shape, -np.inf))

    def fold(self, voxels: Voxels, done: Done) -> Self:
        """Add a block."""
        axes, center = done[self.after[0]].vectors, done[self.scatter].center
        w = self.scatter.weights(voxels)
        centred = [v - center[voxels.rows, i] for i, v in enumerate(self.scatter.vectors(voxels))]
        new = replace(self, q3=self.q3.copy(), q4=self.q4.copy(), low=self.low.copy(), high=self.high.copy())
        for k in range(self.q3.shape[1]):
            q = axes[voxels.rows, 0, k] * centred[0]
            for i in range(1, len(centred)):
                q += axes[voxels.rows, i, k] * centred[i]
            cubes, fourth = third_and_fourth_power(q)
            new.q3[:, k] = voxels.sums(cubes if w is None else w * cubes, self.q3[:, k])
            new.q4[:, k] = voxels.sums(fourth if w is None else w * fourth, self.q4[:, k])
            new.low[:, k] = np.fmin(new.low[:, k], voxels.reduce(np.fmin, q, np.inf))
            new.high[:, k] = np.fmax(new.high[:, k], voxels.reduce(np.fmax, q, -np.inf))
        return new


class CoordinateProjected(Projected):
    """Of the coordinates."""

    pixels: ClassVar[bool] = False
    after: ClassVar = (CoordinateAxes,)
    scatter: ClassVar = CoordinateScatter


class WeightedProjected(Projected):
    """Of the coordinates, weighted."""

    after: ClassVar = (WeightedAxes,)
    scatter: ClassVar = WeightedScatter


class ChannelProjected(Projected):
    """Of the values of the channels."""

    after: ClassVar = (ChannelAxes,)
    scatter: ClassVar = ChannelScatter
