"""The channels that a pixel classifier looks at: filters × scales, in ilastik's order.

For each scale the image is smoothed first (`PRESMOOTHING` sigmas wide); each filter then works on the smoothed image
with a sigma of at most 1 (`WINDOW` sigmas wide). Definitions and order of channels are those of ilastik's "Pixel
Classification".
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray
from objclass.errors import ProjectError
from objclass.pixels.filters import Cube, Pixels, correlate, radius_of, taps

PRESMOOTHING = 3.5
"""Radius of the first smoothing in sigmas."""

WINDOW = 2.0
"""Radius of the filters in sigmas."""

LARGEST_SIGMA = 1.0
"""Sigma of the filters: larger scales come from the first smoothing."""

NARROW = 0.66
"""Part of its sigma with which the difference of Gaussians is taken."""

ROOT_OF_ZERO = math.sqrt(0.75)
"""cos 30°."""

NEWTON_STEPS = 5
"""The start is off by 0.01 at most, and each step squares that."""

GRADIENT = 0.5
"""Part of its sigma at which the structure tensor takes its gradients: ilastik's two scales are swapped."""


class Derivatives:
    """Gaussian derivatives of one smoothed channel; passes that several of them begin with are made once.

    Parameters
    ----------
    cube
        The smoothed channel.
    axes
        The axes along which is filtered, in the order of the passes.
    """

    def __init__(self, cube: Cube, axes: Sequence[int]) -> None:
        self.axes = tuple(axes)
        self._made: dict[tuple[float, tuple[int, ...]], Cube] = {}
        self._cube = cube

    def __call__(self, sigma: float, *along: int) -> Cube:
        """The derivative along each of the axes given, an axis twice for the second derivative."""
        return self._passes(sigma, tuple(along.count(axis) for axis in self.axes))

    def _passes(self, sigma: float, orders: tuple[int, ...]) -> Cube:
        if not orders:
            return self._cube
        key = sigma, orders
        if key not in self._made:
            before = self._passes(sigma, orders[:-1])
            axis, order = self.axes[len(orders) - 1], orders[-1]
            self._made[key] = correlate(before, taps(sigma, order, WINDOW), order, axis)
        return self._made[key]


Filter = Callable[[Derivatives, float, tuple[slice, slice, slice]], list[Pixels]]
"""Derivatives of a channel, sigma, box (z, y, x) of the image -> its channels there."""


def gaussian_smoothing(of: Derivatives, sigma: float, box: tuple[slice, slice, slice]) -> list[Pixels]:
    """The image smoothed once more: scales up to 1 are smoothed twice."""
    return [of(sigma).cut(box)]


def laplacian_of_gaussian(of: Derivatives, sigma: float, box: tuple[slice, slice, slice]) -> list[Pixels]:
    """Sum of the second derivatives along the axes."""
    return [_sum(of(sigma, axis, axis).cut(box) for axis in of.axes)]


def gaussian_gradient_magnitude(
    of: Derivatives, sigma: float, box: tuple[slice, slice, slice]
) -> list[Pixels]:
    """Length of the gradient."""
    return [np.sqrt(_sum(np.square(of(sigma, axis).cut(box)) for axis in of.axes))]


def difference_of_gaussians(of: Derivatives, sigma: float, box: tuple[slice, slice, slice]) -> list[Pixels]:
    """The image smoothed, less the image smoothed by 0.66 times the sigma."""
    return [of(sigma).cut(box) - of(sigma * NARROW).cut(box)]


def structure_tensor_eigenvalues(
    of: Derivatives, sigma: float, box: tuple[slice, slice, slice]
) -> list[Pixels]:
    """Eigenvalues of the smoothed products of gradients, the largest first.

    As in ilastik, gradients are taken at half the sigma, and their products are smoothed by the whole.
    """
    gradient = {axis: of(sigma * GRADIENT, axis) for axis in of.axes}
    entries = []
    for i, a in enumerate(of.axes):
        for b in of.axes[i:]:
            low = tuple(max(p, q) for p, q in zip(gradient[a].origin, gradient[b].origin, strict=True))
            high = tuple(min(p, q) for p, q in zip(gradient[a].stop, gradient[b].stop, strict=True))
            z, y, x = (slice(start, stop) for start, stop in zip(low, high, strict=True))
            product = gradient[a].cut((z, y, x)) * gradient[b].cut((z, y, x))
            cube = Cube(product, (z.start, y.start, x.start), gradient[a].size)
            entries.append(Derivatives(cube, of.axes)(sigma).cut(box))
    return eigenvalues(entries)


def hessian_of_gaussian_eigenvalues(
    of: Derivatives, sigma: float, box: tuple[slice, slice, slice]
) -> list[Pixels]:
    """Eigenvalues of the second derivatives, the largest first, with their signs."""
    pairs = ((a, b) for i, a in enumerate(of.axes) for b in of.axes[i:])
    return eigenvalues([of(sigma, a, b).cut(box) for a, b in pairs])


FILTERS: dict[str, Filter] = {
    "GaussianSmoothing": gaussian_smoothing,
    "LaplacianOfGaussian": laplacian_of_gaussian,
    "GaussianGradientMagnitude": gaussian_gradient_magnitude,
    "DifferenceOfGaussians": difference_of_gaussians,
    "StructureTensorEigenvalues": structure_tensor_eigenvalues,
    "HessianOfGaussianEigenvalues": hessian_of_gaussian_eigenvalues,
}
"""ilastik's identifier of a filter -> the filter, in the order of its dialog."""

TENSORS = ("StructureTensorEigenvalues", "HessianOfGaussianEigenvalues")
"""Filters with a channel for each axis."""

DEFAULT_SCALES = (0.3, 0.7, 1.0, 1.6, 3.5, 5.0, 10.0)
"""The scales that ilastik's dialog begins with."""


def _sum(parts: Iterator[Pixels]) -> Pixels:
    """One after the other, in float32."""
    total = next(parts)
    for part in parts:
        total = total + part
    return total


def eigenvalues(entries: Sequence[Pixels]) -> list[Pixels]:
    """Eigenvalues of symmetric matrices, the largest first.

    Parameters
    ----------
    entries
        The upper triangle row by row: 3 entries of 2 × 2 matrices, or 6 of 3 × 3 matrices; float32.
    """
    if len(entries) == 3:
        xx, xy, yy = entries
        half, quarter = np.float32(0.5), np.float32(0.25)
        middle = (xx + yy) * half
        distance = np.sqrt(np.square(xx - yy) * quarter + xy * xy)
        return [middle + distance, middle - distance]
    return _of_three_by_three([entry.astype(np.float64) for entry in entries])


def _of_three_by_three(entries: Sequence[AnyArray]) -> list[Pixels]:
    """By the trigonometric formula (Smith 1961) in float64, the cosine by Newton's method.

    ilastik uses the same formula in float32 with approximations; both agree to about 1e-5 of the largest eigenvalue.
    Only operations that every processor rounds alike are used.
    """
    xx, xy, xz, yy, yz, zz = entries
    middle = (xx + yy + zz) / 3
    a, b, c = xx - middle, yy - middle, zz - middle
    off = xy * xy + xz * xz + yz * yz
    spread = np.sqrt((a * a + b * b + c * c + 2 * off) / 6)
    scale = np.where(spread > 0, spread, 1.0)
    a, b, c, d, e, f = (entry / scale for entry in (a, b, c, xy, xz, yz))
    half = (a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e)) / 2
    sign = np.where(half < 0, -1.0, 1.0)
    far = _far_root(np.minimum(np.abs(half), 1.0))  # the root that stands alone; the other two may be equal
    gap = np.sqrt(np.maximum(3 - 3 * far * far, 0.0))
    near, other = (gap - far) / 2, -(gap + far) / 2
    largest, smallest = np.where(half < 0, -other, far), np.where(half < 0, -far, other)
    return [(middle + 2 * spread * value).astype(np.float32) for value in (largest, sign * near, smallest)]


def _far_root(cosine: AnyArray) -> AnyArray:
    """The root of 4 t³ - 3 t = cos φ between cos 30° and 1, for cos φ from 0 to 1, by Newton's method."""
    root = ROOT_OF_ZERO + (1 - ROOT_OF_ZERO) * cosine
    for _ in range(NEWTON_STEPS):
        square = root * root
        root = root - ((4 * square - 3) * root - cosine) / (12 * square - 3)
    return root


@dataclass(frozen=True)
class PixelFeatures:
    """Which channels a pixel classifier looks at.

    Parameters
    ----------
    filters, scales
        ilastik's identifiers, and sigmas in pixels.
    selected
        bool, shape (filters, scales).
    in_planes
        For each scale, whether planes are filtered one by one rather than the volume.

    Raises
    ------
    ProjectError
        If a filter is unknown, a scale is not positive, or nothing is selected.
    """

    filters: tuple[str, ...]
    scales: tuple[float, ...]
    selected: NDArray[np.bool_]
    in_planes: tuple[bool, ...]

    def __post_init__(self) -> None:
        unknown = [name for name in self.filters if name not in FILTERS]
        if unknown:
            message = f"unknown pixel filters: {', '.join(unknown)}; expected {', '.join(FILTERS)}"
            raise ProjectError(message)
        if self.selected.shape != (len(self.filters), len(self.scales)) or not self.selected.any():
            message = (
                f"selection of pixel features of shape {self.selected.shape}: expected {len(self.filters)} filters "
                f"× {len(self.scales)} scales, at least one of them selected"
            )
            raise ProjectError(message)
        if not all(0 < scale < 1000 for scale in self.scales):
            message = f"scales of pixel features {self.scales}: expected numbers above 0 and below 1000"
            raise ProjectError(message)

    @cached_property
    def used(self) -> tuple[int, ...]:
        """Indices of the scales that have a selected filter."""
        return tuple(np.flatnonzero(self.selected.any(axis=0)).tolist())

    def axes(self, scale: int, depth: int) -> tuple[int, ...]:
        """Axes of the passes of the first smoothing, x first, for an image of so many planes."""
        return (2, 1) if depth == 1 or self.in_planes[scale] else (2, 1, 0)

    def filter_axes(self, scale: int, depth: int) -> tuple[int, ...]:
        """The same of the filters: an image of too few planes for them is filtered plane by plane."""
        too_thin = depth < math.ceil(WINDOW * self.sigma(scale)) + 1
        return (2, 1) if too_thin else self.axes(scale, depth)

    def sigma(self, scale: int) -> float:
        """Sigma of the filters of a scale."""
        return min(self.scales[scale], LARGEST_SIGMA)

    def first_sigma(self, scale: int) -> float:
        """Sigma of the first smoothing of a scale."""
        sigma = self.scales[scale]
        return sigma if sigma <= LARGEST_SIGMA else math.sqrt(sigma * sigma - 1)

    def count(self, depth: int, channels: int) -> int:
        """Number of channels for an image of so many planes and channels."""
        return channels * sum(width for _, _, width in self._columns(depth))

    def names(self, depth: int, channels: int) -> list[str]:
        """Names of the channels, as ilastik has them."""
        found = []
        for name, scale, width in self._columns(depth):
            where = " in 2D" if self.in_planes[scale] else ""
            title = f"{TITLES[name]} (σ={self.scales[scale]}){where}"
            found += [f"{title} [{k}]" for k in range(width * channels)] if width * channels > 1 else [title]
        return found

    def _columns(self, depth: int) -> Iterator[tuple[str, int, int]]:
        """Filter, index of the scale, and number of channels, in order."""
        for row, name in enumerate(self.filters):
            for scale in np.flatnonzero(self.selected[row]).tolist():
                yield name, scale, len(self.filter_axes(scale, depth)) if name in TENSORS else 1

    def halo(self, depth: int) -> tuple[int, int, int]:
        """Pixels along z, y, x around a box that its channels depend on."""
        reach = [0, 0, 0]
        for scale in self.used:
            first = radius_of(self.first_sigma(scale), PRESMOOTHING)
            sigma = self.sigma(scale)
            second = radius_of(sigma, WINDOW) + radius_of(sigma * GRADIENT, WINDOW)
            for axis in range(3):
                here = first * (axis in self.axes(scale, depth)) + second * (
                    axis in self.filter_axes(scale, depth)
                )
                reach[axis] = max(reach[axis], here)
        return reach[0], reach[1], reach[2]

    def compute(self, cubes: Sequence[Cube], box: tuple[slice, slice, slice]) -> list[Pixels]:
        """The channels of a box.

        Parameters
        ----------
        cubes
            The box and its `halo` (as far as the image goes) of each channel of the image.
        box
            Slices z, y, x of the image.

        Returns
        -------
        list
            An array (z, y, x) for each channel, in ilastik's order: by filter, scale, channel of the image, eigenvalue.
        """
        depth = cubes[0].size[0]
        derivatives = {
            (scale, c): Derivatives(self._smoothed(cube, scale, depth), self.filter_axes(scale, depth))
            for scale in self.used
            for c, cube in enumerate(cubes)
        }
        return [
            channel
            for name, scale, _ in self._columns(depth)
            for c in range(len(cubes))
            for channel in FILTERS[name](derivatives[scale, c], self.sigma(scale), box)
        ]

    def _smoothed(self, cube: Cube, scale: int, depth: int) -> Cube:
        for axis in self.axes(scale, depth):
            cube = correlate(cube, taps(self.first_sigma(scale), 0, PRESMOOTHING), 0, axis)
        return cube


TITLES = {
    "GaussianSmoothing": "Gaussian Smoothing",
    "LaplacianOfGaussian": "Laplacian of Gaussian",
    "GaussianGradientMagnitude": "Gaussian Gradient Magnitude",
    "DifferenceOfGaussians": "Difference of Gaussians",
    "StructureTensorEigenvalues": "Structure Tensor Eigenvalues",
    "HessianOfGaussianEigenvalues": "Hessian of Gaussian Eigenvalues",
}
"""ilastik's identifier of a filter -> its name in the dialog."""
