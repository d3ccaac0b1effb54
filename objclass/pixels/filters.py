"""Separable Gaussian filters in float32, to the last bit as ilastik computes them.

A filter is a chain of one-dimensional correlations, along x, then y, then z; between them pixels are float32. At the
border of the image pixels are mirrored, without repeating the outermost one. The rules of rounding below were found
by comparison with features that ilastik 1.4.2 exported (x86-64 with AVX2): all two-dimensional features and all
smoothed, Laplacian and gradient channels in three dimensions agree in every bit.

- Taps are float32. The derivative of the Gaussian density is rounded to float32 before it is normalised in float64.
- Two pixels at the same distance are added (or subtracted) in float32; their weighted sum goes from the centre to
  the outermost pair by fused multiply-add: one rounding for each pair.
- Along x, pixels near the border are summed with a rounded product and a rounded sum (see `fused_part`).
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from objclass.compute.buffers import Buffers
from objclass.compute.fma import fused
from objclass.compute.kernels import Kernel, kernel
from objclass.compute.slabs import Box

Pixels = NDArray[np.float32]

LANES = 8
"""float32 numbers of a vector register: the first vector along x begins at a multiple of it."""

STRIDE = 32
"""Along x, the last pixels that are summed by fused multiply-add end at a multiple of it."""

PIECE, LINES = 512, 8
"""Pixels of a line that are summed at once, and lines of a plane that go through all planes together: the pixels of
all taps stay in the nearest caches.
"""


@cache
def taps(sigma: float, order: int, window: float) -> Pixels:
    """Taps of a correlation with the derivative of a Gaussian.

    Parameters
    ----------
    sigma
        In pixels.
    order
        Of the derivative, 0 to 2.
    window
        Radius in sigmas.

    Returns
    -------
    numpy.ndarray
        float32, of length 2 · radius + 1, for -radius … radius. They sum to 1 (order 0), have unit slope (order 1),
        or sum to 0 and have a second moment of 2 (order 2). A single tap, of sigmas below 0.25, is 1 for any order,
        as in ilastik.
    """
    radius = radius_of(sigma, window)
    if radius == 0:
        return np.ones(1, np.float32)
    places = range(-radius, radius + 1)
    scale = 1 / (math.sqrt(2 * math.pi) * sigma)
    density = [math.exp(-x * x / (2 * sigma * sigma)) * scale for x in places]
    polynomial = (lambda _: 1.0, float, lambda x: x * x / sigma**2 - 1)[order]
    rounded = [float(np.float32(polynomial(x) * g)) for x, g in zip(places, density, strict=True)]
    if order == 2:
        mean = sum(rounded) / len(rounded)
        rounded = [tap - mean for tap in rounded]
    moment = sum(tap * x**order for tap, x in zip(rounded, places, strict=True)) / math.factorial(order)
    found = np.array([tap / moment for tap in rounded]).astype(np.float32)
    found.flags.writeable = False
    return found


def radius_of(sigma: float, window: float) -> int:
    """Radius of the taps in pixels."""
    return math.floor(window * sigma + 0.5)


@dataclass(frozen=True)
class Cube:
    """A part of an image with the pixels around it that filters need.

    Parameters
    ----------
    pixels
        float32, axes z, y, x.
    origin
        Coordinates z, y, x of the first pixel in the image.
    size
        Lengths z, y, x of the whole image.
    images
        Number of images like this one in the run, to choose the formulation.
    """

    pixels: Pixels
    origin: tuple[int, int, int]
    size: tuple[int, int, int]
    images: int = 1

    @property
    def work(self) -> int:
        """Number of pixels of all images."""
        return math.prod(self.size) * self.images


def around(box: Box, reach: Mapping[int, int], size: tuple[int, int, int]) -> Box:
    """A box (z, y, x) with so many pixels around it along each axis given, as far as the image goes."""
    z, y, x = (
        slice(max(part.start - reach.get(axis, 0), 0), min(part.stop + reach.get(axis, 0), size[axis]))
        for axis, part in enumerate(box)
    )
    return z, y, x


def correlate(
    cube: Cube, weights: Pixels, order: int, axis: int, box: Box, buffers: Buffers | None = None
) -> Cube:
    """Correlate along an axis, at the border of the image with mirrored pixels.

    Parameters
    ----------
    cube
        Has the box, and along the axis the radius of the taps around it, as far as the image goes.
    weights
        From `taps`.
    order
        Of the derivative: taps of odd order are antisymmetric.
    axis
        0, 1 or 2: z, y or x.
    box
        Slices z, y, x of the image: the pixels of the result.
    buffers
        Where the memory of the result is taken from.
    """
    compiled = passes.choose(cube.work)
    found = (buffers or Buffers()).take(tuple(part.stop - part.start for part in box))
    if compiled is None:
        with np.errstate(over="ignore", invalid="ignore"):  # pixels may be infinite
            found[:] = _correlate(cube, weights, order, axis, box)
    else:
        _call(compiled, cube, weights, order, axis, box, found)
    z, y, x = (part.start for part in box)
    return replace(cube, pixels=found, origin=(z, y, x))


def _sources(cube: Cube, radius: int, axis: int, part: slice) -> NDArray[np.int64]:
    """Which plane, row or column of the cube each place of a part of the image and around it is taken from."""
    length = cube.size[axis]
    period = max(2 * (length - 1), 1)
    places = np.arange(part.start - radius, part.stop + radius) % period
    return np.minimum(places, period - places) - cube.origin[axis]


def fused_part(radius: int, length: int) -> slice:
    """Where an image of so many columns is summed by fused multiply-add along x.

    ilastik's filters work on whole vectors there; the columns before and after it are summed one by one.
    """
    start, stop = -(-radius // LANES) * LANES, (length - radius) // STRIDE * STRIDE
    return slice(start, stop) if stop - start >= STRIDE else slice(0, 0)


def _fused_columns(box: Box, radius: int, width: int) -> slice:
    """The columns of a box, from its first, that lie in `fused_part` of an image of that width."""
    inside, x = fused_part(radius, width), box[2]
    before = min(max(inside.start, x.start), x.stop)
    return slice(before - x.start, max(min(inside.stop, x.stop), before) - x.start)


# ---------------------------------------------------------------------------- by numpy


def _correlate(cube: Cube, weights: Pixels, order: int, axis: int, box: Box) -> Pixels:
    radius = len(weights) // 2
    across = [slice(p.start - o, p.stop - o) for p, o in zip(box, cube.origin, strict=True)]
    across[axis] = slice(None)
    padded = cube.pixels[tuple(across)].take(_sources(cube, radius, axis, box[axis]), axis)
    if axis != 2:
        return _sum(padded, weights, order, axis, fuse=True)
    total = _sum(padded, weights, order, axis, fuse=False)
    inside = _fused_columns(box, radius, cube.size[2])
    if inside.start < inside.stop:
        columns = padded[:, :, inside.start : inside.stop + 2 * radius]
        total[:, :, inside] = _sum(columns, weights, order, axis, fuse=True)
    return total


def _sum(padded: Pixels, weights: Pixels, order: int, axis: int, *, fuse: bool) -> Pixels:
    """Weighted sums by fused multiply-add, or with product and sum rounded apart."""
    (pixels, weight), *pairs = _pairs(padded, weights, order, axis)
    total: Pixels = pixels * weight
    for pixels, weight in pairs:
        total = fused(pixels, weight, total) if fuse else total + pixels * weight
    return total


def _pairs(padded: Pixels, weights: Pixels, order: int, axis: int) -> Iterator[tuple[Pixels, np.float32]]:
    """The centre, then sums or differences of two pixels from the nearest to the outermost, with their taps."""
    radius = len(weights) // 2
    length = padded.shape[axis] - 2 * radius

    def shifted(offset: int) -> Pixels:
        part = [slice(None)] * 3
        part[axis] = slice(radius + offset, radius + offset + length)
        return padded[tuple(part)]

    yield shifted(0), weights[radius]
    for k in range(1, radius + 1):
        ahead, behind = shifted(k), shifted(-k)
        yield (ahead - behind if order % 2 else ahead + behind), weights[radius + k]


# ---------------------------------------------------------------------------- compiled


class Geometry(NamedTuple):
    """Which pixels `correlate_lines` takes and makes.

    Parameters
    ----------
    planes, rows, columns
        Of the result.
    first
        Index of the pixel of the cube where the result begins; along the axis, of the first of the cube.
    plane, row
        How far apart planes, and rows, of the cube are.
    axis
        Of the correlation.
    fused_start, fused_stop
        Columns of the result that are summed by fused multiply-add, where the axis is that of x.
    """

    planes: int
    rows: int
    columns: int
    first: int
    plane: int
    row: int
    axis: int
    fused_start: int
    fused_stop: int


class Taps(NamedTuple):
    """Half of the taps, from the centre on; ``sign`` is -1 if they are antisymmetric.

    ``steps`` is how far the pixels of a line are from its first.
    """

    weights: NDArray[np.float32]
    radius: int
    sign: float
    steps: NDArray[np.int64]


def _call(compiled: Any, cube: Cube, weights: Pixels, order: int, axis: int, box: Box, found: Pixels) -> None:
    """`_correlate`, compiled; the result is put into ``found``."""
    radius = len(weights) // 2
    pixels = np.ascontiguousarray(cube.pixels)
    steps = [stride // pixels.itemsize for stride in pixels.strides]
    corner = (part.start - start for part, start in zip(box, cube.origin, strict=True))
    first = sum(n * step for a, (n, step) in enumerate(zip(corner, steps, strict=True)) if a != axis)
    source = _sources(cube, radius, axis, box[axis]) * steps[axis]
    planes, rows, columns = found.shape
    inside = _fused_columns(box, radius, cube.size[2])
    geometry = Geometry(planes, rows, columns, first, steps[0], steps[1], axis, inside.start, inside.stop)
    taps = Taps(weights[radius:].copy(), radius, -1.0 if order % 2 else 1.0, np.arange(len(weights)))
    line = np.empty(columns + 2 * radius, np.float32)
    compiled(pixels.reshape(-1), source, line, found.reshape(-1), taps, geometry)


def correlate_lines(
    pixels: NDArray[np.float32],
    source: NDArray[np.int64],
    line: NDArray[np.float32],
    sums: NDArray[np.float32],
    taps: Taps,
    geometry: Geometry,
) -> None:
    """Correlate along an axis; arrays are flat.

    Along the axis, pixels are found by ``source``: for each place of the result, and the radius of the taps before and
    after it, how far its pixel is from the first. Other pixels of a line are independent, so all loops run along x.
    """
    if geometry.axis == 2:
        correlate_rows(pixels, source, line, sums, taps, geometry)
        return
    planes, rows, columns, first, plane, row, axis, _, _ = geometry
    # all places along the axis after each other, a few lines at a time: most of their pixels are the same
    others, length, few = (planes, rows, 1) if axis == 1 else (rows, planes, LINES)
    for start in range(0, others, few):
        for x in range(0, columns, PIECE):
            for at in range(length):
                for other in range(start, min(start + few, others)):
                    z, y = (other, at) if axis == 1 else (at, other)
                    begin = first + x + (z * plane if axis == 1 else y * row)
                    n, to = min(PIECE, columns - x), (z * rows + y) * columns + x
                    sum_lines(pixels, begin, source, at, n, taps, sums, to, True)


@kernel
def correlate_rows(
    pixels: NDArray[np.float32],
    source: NDArray[np.int64],
    line: NDArray[np.float32],
    sums: NDArray[np.float32],
    taps: Taps,
    geometry: Geometry,
) -> None:
    """Correlate along x."""
    planes, rows, columns, first, plane, row, _, start, stop = geometry
    for z in range(planes):
        for y in range(rows):
            begin, to = first + z * plane + y * row, (z * rows + y) * columns
            sum_rounded(pixels, begin, source, 0, start, taps, line, sums, to)
            for x in range(start, stop, PIECE):
                sum_lines(pixels, begin, source, x, min(PIECE, stop - x), taps, sums, to + x, True)
            sum_rounded(pixels, begin, source, stop, columns - stop, taps, line, sums, to + stop)


@kernel
def sum_lines(
    pixels: NDArray[np.float32],
    begin: int,
    source: NDArray[np.int64],
    at: int,
    n: int,
    taps: Taps,
    sums: NDArray[np.float32],
    to: int,
    fuse: bool,  # noqa: FBT001 (kernels know no names)
) -> None:
    """Weighted sums of ``n`` pixels in a line, of the place ``at`` along the axis."""
    weights, radius, minus, _ = taps
    sign = np.float32(minus)
    centre, weight = begin + source[at + radius], weights[0]
    for i in range(n):
        sums[to + i] = pixels[centre + i] * weight
    k = 1
    while k + 3 <= radius:  # four pairs at once: sums are loaded and stored less often
        p, q = begin + source[at + radius + k], begin + source[at + radius - k]
        p1, q1 = begin + source[at + radius + k + 1], begin + source[at + radius - k - 1]
        p2, q2 = begin + source[at + radius + k + 2], begin + source[at + radius - k - 2]
        p3, q3 = begin + source[at + radius + k + 3], begin + source[at + radius - k - 3]
        w, w1, w2, w3 = weights[k], weights[k + 1], weights[k + 2], weights[k + 3]
        for i in range(n):
            total = plus(sums[to + i], pixels[p + i] + sign * pixels[q + i], w, fuse)
            total = plus(total, pixels[p1 + i] + sign * pixels[q1 + i], w1, fuse)
            total = plus(total, pixels[p2 + i] + sign * pixels[q2 + i], w2, fuse)
            sums[to + i] = plus(total, pixels[p3 + i] + sign * pixels[q3 + i], w3, fuse)
        k += 4
    while k <= radius:
        p, q, w = begin + source[at + radius + k], begin + source[at + radius - k], weights[k]
        for i in range(n):
            sums[to + i] = plus(sums[to + i], pixels[p + i] + sign * pixels[q + i], w, fuse)
        k += 1


@kernel
def plus(total: Any, pair: Any, weight: Any, fuse: bool) -> Any:  # noqa: FBT001
    """Add a weighted pair."""
    return fused(pair, weight, total) if fuse else total + pair * weight


@kernel
def sum_rounded(
    pixels: NDArray[np.float32],
    begin: int,
    source: NDArray[np.int64],
    at: int,
    n: int,
    taps: Taps,
    line: NDArray[np.float32],
    sums: NDArray[np.float32],
    to: int,
) -> None:
    """Weighted sums of ``n`` columns from ``at`` on, which may be mirrored, product and sum rounded apart."""
    if n > 0:
        for j in range(n + 2 * taps.radius):
            line[j] = pixels[begin + source[at + j]]
        sum_lines(line, 0, taps.steps, 0, n, taps, sums, to, False)


def _lengths(_: Any, source: Any, __: Any, ___: Any, taps: Taps, geometry: Geometry) -> dict[str, int]:
    planes, rows, columns, first, plane, row, axis, *_ = geometry
    across = [(planes - 1) * plane, (rows - 1) * row, columns - 1]
    across[axis] = int(source.max())
    return {
        "pixels": first + sum(across) + 1,
        "source": (planes, rows, columns)[axis] + 2 * taps.radius,
        "line": columns + 2 * taps.radius,
        "sums": planes * rows * columns,
        "weights": taps.radius + 1,
        "steps": 2 * taps.radius + 1,
    }


passes = Kernel(correlate_lines, repays_loading=50_000, repays_compiling=250_000, lengths=_lengths)
"""Work is counted in pixels of the images, each of which goes through some 30 passes; compiling takes twice as long as
what it saves then, but later runs gain, too.
"""
