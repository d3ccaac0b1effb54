"""The channels that a pixel classifier looks at: filters × scales, in ilastik's order.

For each scale the image is smoothed first (`PRESMOOTHING` sigmas wide); each filter then works on the smoothed image
with a sigma of at most 1 (`WINDOW` sigmas wide). Definitions and order of channels are those of ilastik's "Pixel
Classification".
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.buffers import Buffers
from objclass.compute.slabs import Box
from objclass.errors import ProjectError
from objclass.pixels.filters import Cube, Pixels, around, correlate, radius_of, taps
from objclass.pixels.pointwise import eigenvalues, magnitude

PRESMOOTHING = 3.5
"""Radius of the first smoothing in sigmas."""

WINDOW = 2.0
"""Radius of the filters in sigmas."""

LARGEST_SIGMA = 1.0
"""Sigma of the filters: larger scales come from the first smoothing."""

NARROW = 0.66
"""Part of its sigma with which the difference of Gaussians is taken."""

GRADIENT = 0.5
"""Part of its sigma at which the structure tensor takes its gradients: ilastik's two scales are swapped."""

Orders = tuple[int, ...]
"""Order of the derivative along each axis that is filtered, in the order of the passes; 0: smoothed."""


def derivatives(
    cube: Cube, axes: Sequence[int], sigma: float, wanted: Collection[Orders], box: Box, buffers: Buffers
) -> dict[Orders, Pixels]:
    """Gaussian derivatives in a box; passes that several of them begin with are made once.

    Parameters
    ----------
    cube
        Has the box and the radius of the taps around it, as far as the image goes.
    axes
        The axes along which is filtered, in the order of the passes.
    wanted
        Orders of the derivatives along these axes.
    buffers
        Where the memory of the result is taken from.
    """
    axis, *others = axes
    part = around(box, {other: radius_of(sigma, WINDOW) for other in others}, cube.size)
    found: dict[Orders, Pixels] = {}
    for order in sorted({orders[0] for orders in wanted}):
        passed = correlate(cube, taps(sigma, order, WINDOW), order, axis, part, buffers)
        if not others:
            found[(order,)] = passed.pixels
            continue
        following = [orders[1:] for orders in wanted if orders[0] == order]
        for orders, pixels in derivatives(passed, others, sigma, following, box, buffers).items():
            found[(order, *orders)] = pixels
        buffers.give(passed.pixels)
    return found


def along(axes: int, *given: int) -> Orders:
    """Orders of a derivative along axes that are given by their numbers in the order of the passes."""
    return tuple(given.count(axis) for axis in range(axes))


def _pairs(axes: int) -> Iterator[tuple[int, int]]:
    """The upper triangle of a symmetric matrix, row by row."""
    return ((i, j) for i in range(axes) for j in range(i, axes))


def products_of_gradients(
    cube: Cube, axes: Sequence[int], sigma: float, box: Box, buffers: Buffers
) -> list[Pixels]:
    """Entries of the structure tensor: products of the components of the gradient, smoothed.

    As in ilastik, gradients are taken at half the sigma, and their products are smoothed by the whole.
    """
    d = len(axes)
    wide = around(box, dict.fromkeys(axes, radius_of(sigma, WINDOW)), cube.size)
    gradient = derivatives(cube, axes, sigma * GRADIENT, [along(d, i) for i in range(d)], wide, buffers)
    z, y, x = (part.start for part in wide)
    product = replace(cube, pixels=buffers.take(gradient[along(d, 0)].shape), origin=(z, y, x))
    entries: list[Pixels] = []
    for i, j in _pairs(d):
        np.multiply(gradient[along(d, i)], gradient[along(d, j)], out=product.pixels)
        entries += derivatives(product, axes, sigma, [along(d)], box, buffers).values()
    buffers.give(product.pixels, *gradient.values())
    return entries


@dataclass(frozen=True)
class Filter:
    """How a filter makes channels.

    Parameters
    ----------
    title, definition
        Its name in ilastik's dialog, and what its channels are.
    needs
        Number of axes -> the derivatives that it combines: the part of its sigma at which each is taken, and its orders.
        None: it combines `products_of_gradients`.
    combine
        Takes these and the number of pixels of the image, and writes the channels, an array (k, z, y, x).
    channels
        Number of axes -> number of channels.
    """

    title: str
    definition: str
    needs: Callable[[int], list[tuple[float, Orders]]] | None
    combine: Callable[[Sequence[Pixels], int, Pixels], None]
    channels: Callable[[int], int] = lambda _: 1


def _copy(parts: Sequence[Pixels], _: int, out: Pixels) -> None:
    out[0] = parts[0]


def _difference(parts: Sequence[Pixels], _: int, out: Pixels) -> None:
    np.subtract(parts[0], parts[1], out=out[0])


def _sum(parts: Sequence[Pixels], _: int, out: Pixels) -> None:
    np.add(parts[0], parts[1], out=out[0])
    for part in parts[2:]:
        out[0] += part


def _length(parts: Sequence[Pixels], work: int, out: Pixels) -> None:
    magnitude(parts, work, out[0])


FILTERS: dict[str, Filter] = {
    # scales up to 1 are smoothed twice
    "GaussianSmoothing": Filter(
        "Gaussian Smoothing",
        "The image smoothed by a Gaussian; by scales up to 1 it is smoothed twice.",
        lambda d: [(1, along(d))],
        _copy,
    ),
    "LaplacianOfGaussian": Filter(
        "Laplacian of Gaussian",
        "Sum of the second derivatives along the axes.",
        lambda d: [(1, along(d, i, i)) for i in range(d)],
        _sum,
    ),
    "GaussianGradientMagnitude": Filter(
        "Gaussian Gradient Magnitude",
        "Length of the gradient.",
        lambda d: [(1, along(d, i)) for i in range(d)],
        _length,
    ),
    "DifferenceOfGaussians": Filter(
        "Difference of Gaussians",
        "The image smoothed, less the image smoothed by 0.66 times the sigma.",
        lambda d: [(1, along(d)), (NARROW, along(d))],
        _difference,
    ),
    "StructureTensorEigenvalues": Filter(
        "Structure Tensor Eigenvalues",
        "Eigenvalues of the smoothed products of gradients, the largest first; as in ilastik, gradients are taken at half the sigma.",
        None,
        eigenvalues,
        lambda d: d,
    ),
    "HessianOfGaussianEigenvalues": Filter(
        "Hessian of Gaussian Eigenvalues",
        "Eigenvalues of the matrix of second derivatives, the largest first, with their signs.",
        lambda d: [(1, along(d, i, j)) for i, j in _pairs(d)],
        eigenvalues,
        lambda d: d,
    ),
}
"""ilastik's identifier of a filter -> the filter, in the order of its dialog."""

DEFAULT_SCALES = (0.3, 0.7, 1.0, 1.6, 3.5, 5.0, 10.0)
"""The scales that ilastik's dialog begins with."""


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
            title = f"{FILTERS[name].title} (σ={self.scales[scale]}){where}"
            found += [f"{title} [{k}]" for k in range(width * channels)] if width * channels > 1 else [title]
        return found

    def _columns(self, depth: int) -> Iterator[tuple[str, int, int]]:
        """Filter, index of the scale, and number of channels, in order."""
        for row, name in enumerate(self.filters):
            for scale in np.flatnonzero(self.selected[row]).tolist():
                yield name, scale, FILTERS[name].channels(len(self.filter_axes(scale, depth)))

    def beyond(self, shape: tuple[int, int, int]) -> list[float]:
        """Scales whose smoothing reaches across an image of these lengths z, y, x: pixels cannot be mirrored then."""
        return [
            self.scales[scale]
            for scale in self.used
            if min(shape[axis] for axis in self.axes(scale, shape[0]))
            <= radius_of(self.first_sigma(scale), PRESMOOTHING)
        ]

    def halo(self, depth: int) -> tuple[int, int, int]:
        """Pixels along z, y, x around a box that its channels depend on."""
        reaches = []
        for scale in self.used:
            reach = dict.fromkeys(self.filter_axes(scale, depth), self._filter_reach(scale))
            for axis in self.axes(scale, depth):
                reach[axis] = reach.get(axis, 0) + radius_of(self.first_sigma(scale), PRESMOOTHING)
            reaches.append([reach.get(axis, 0) for axis in range(3)])
        z, y, x = (max(reach) for reach in zip(*reaches, strict=True))
        return z, y, x

    def _filter_reach(self, scale: int) -> int:
        """Pixels around a box that the filters of a scale depend on."""
        sigma = self.sigma(scale)
        smoothed_gradients = any(
            FILTERS[name].needs is None for name, at, _ in self._columns(1) if at == scale
        )
        return radius_of(sigma, WINDOW) + smoothed_gradients * radius_of(sigma * GRADIENT, WINDOW)

    def compute(self, cubes: Sequence[Cube], box: Box, buffers: Buffers | None = None) -> Pixels:
        """The channels of a box.

        Parameters
        ----------
        cubes
            The box and its `halo` (as far as the image goes) of each channel of the image.
        box
            Slices z, y, x of the image.
        buffers
            Where memory is taken from, that of the channels too, which can be given back.

        Returns
        -------
        numpy.ndarray
            float32, shape (channels, z, y, x), in ilastik's order: by filter, scale, channel of the image, eigenvalue.
        """
        depth = cubes[0].size[0]
        buffers = buffers or Buffers()
        shape = [part.stop - part.start for part in box]
        found = buffers.take((self.count(depth, len(cubes)), *shape))
        places: dict[int, list[tuple[Filter, Pixels]]] = {scale: [] for scale in self.used}
        start = 0
        for name, scale, width in self._columns(depth):
            stop = start + width * len(cubes)
            places[scale].append((FILTERS[name], found[start:stop].reshape(len(cubes), width, *shape)))
            start = stop
        for scale, filters in places.items():
            for c, cube in enumerate(cubes):
                outs = [(filter_, out[c]) for filter_, out in filters]
                smoothed = self._smoothed(cube, scale, box, buffers)
                self._apply(smoothed, scale, box, outs, buffers)
                buffers.give(smoothed.pixels)
        return found

    def _smoothed(self, cube: Cube, scale: int, box: Box, buffers: Buffers) -> Cube:
        """A channel after the first smoothing: the box and what the filters need around it."""
        depth, sigma = cube.size[0], self.first_sigma(scale)
        reach = dict.fromkeys(self.filter_axes(scale, depth), self._filter_reach(scale))
        axes = self.axes(scale, depth)
        radius = radius_of(sigma, PRESMOOTHING)
        for number, axis in enumerate(axes):
            rest = {a: reach.get(a, 0) + radius * (a in axes[number + 1 :]) for a in range(3)}
            part = around(box, rest, cube.size)
            passed = correlate(cube, taps(sigma, 0, PRESMOOTHING), 0, axis, part, buffers)
            if number:
                buffers.give(cube.pixels)
            cube = passed
        return cube

    def _apply(
        self, cube: Cube, scale: int, box: Box, filters: Sequence[tuple[Filter, Pixels]], buffers: Buffers
    ) -> None:
        """Write the channels of a scale's filters."""
        axes, sigma = self.filter_axes(scale, cube.size[0]), self.sigma(scale)
        needs = [(filter_, out, filter_.needs(len(axes))) for filter_, out in filters if filter_.needs]
        wanted = {need for *_, given in needs for need in given}
        made: dict[tuple[float, Orders], Pixels] = {}
        for part in {part for part, _ in wanted}:
            orders = [orders for at, orders in wanted if at == part]
            for key, pixels in derivatives(cube, axes, part * sigma, orders, box, buffers).items():
                made[part, key] = pixels
        for filter_, out, given in needs:
            filter_.combine([made[need] for need in given], cube.work, out)
        buffers.give(*made.values())
        for filter_, out in filters:
            if filter_.needs is None:
                entries = products_of_gradients(cube, axes, sigma, box, buffers)
                filter_.combine(entries, cube.work, out)
                buffers.give(*entries)


def filter_rows() -> list[dict[str, Any]]:
    """Set, name, column title, unit, dimensions, channels and definition of every filter of pixels."""
    return [
        {
            "set": "pixels",
            "name": name,
            "column": filter_.title,
            "unit": "",
            "dims": [2, 3],
            "channels": "any",
            "definition": filter_.definition,
        }
        for name, filter_ in FILTERS.items()
    ]
