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
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32]

LANES = 8
"""float32 numbers of a vector register: the first vector along x begins at a multiple of it."""

STRIDE = 32
"""Along x, the last pixels that are summed by fused multiply-add end at a multiple of it."""


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
    """

    pixels: Pixels
    origin: tuple[int, int, int]
    size: tuple[int, int, int]

    @property
    def stop(self) -> tuple[int, int, int]:
        """Coordinates z, y, x after the last pixel."""
        z, y, x = (start + n for start, n in zip(self.origin, self.pixels.shape, strict=True))
        return z, y, x

    def cut(self, box: tuple[slice, slice, slice]) -> Pixels:
        """The pixels of a box (z, y, x) of the image, which lies in the cube."""
        inside = (slice(b.start - o, b.stop - o) for b, o in zip(box, self.origin, strict=True))
        return self.pixels[tuple(inside)]


def correlate(cube: Cube, weights: Pixels, order: int, axis: int) -> Cube:
    """Correlate along an axis.

    Where the cube ends at the border of the image, pixels are mirrored there; elsewhere the result is smaller by the
    radius of the taps.

    Parameters
    ----------
    weights
        From `taps`.
    order
        Of the derivative: taps of odd order are antisymmetric.
    axis
        0, 1 or 2: z, y or x.
    """
    radius = len(weights) // 2
    at_start, at_end = cube.origin[axis] == 0, cube.stop[axis] == cube.size[axis]
    padding = [(0, 0)] * 3
    padding[axis] = radius * at_start, radius * at_end
    padded = np.pad(cube.pixels, padding, mode="reflect")
    length = padded.shape[axis] - 2 * radius
    origin = tuple(n + (radius * (not at_start) if a == axis else 0) for a, n in enumerate(cube.origin))
    z, y, x = origin
    result = replace(cube, pixels=_sum(padded, weights, order, axis, length), origin=(z, y, x))
    if axis == 2:
        _sum_without_fusing(result, padded, weights, order)
    return result


def _sum(padded: Pixels, weights: Pixels, order: int, axis: int, length: int) -> Pixels:
    """Weighted sums by fused multiply-add."""
    total: Pixels | None = None
    for pair, weight in _pairs(padded, weights, order, axis, length):
        total = pair * weight if total is None else fused(pair, weight, total)
    assert total is not None
    return total


def _pairs(
    padded: Pixels, weights: Pixels, order: int, axis: int, length: int
) -> Iterator[tuple[Pixels, np.float32]]:
    """The centre, then sums or differences of two pixels from the nearest to the outermost, with their taps."""
    radius = len(weights) // 2

    def shifted(offset: int) -> Pixels:
        part = [slice(None)] * 3
        part[axis] = slice(radius + offset, radius + offset + length)
        return padded[tuple(part)]

    yield shifted(0), weights[radius]
    for k in range(1, radius + 1):
        ahead, behind = shifted(k), shifted(-k)
        yield (ahead - behind if order % 2 else ahead + behind), weights[radius + k]


def fused_part(radius: int, length: int) -> slice:
    """Where an image of so many columns is summed by fused multiply-add along x.

    ilastik's filters work on whole vectors there; the columns before and after it are summed one by one.
    """
    start, stop = -(-radius // LANES) * LANES, (length - radius) // STRIDE * STRIDE
    return slice(start, stop) if stop - start >= STRIDE else slice(0, 0)


def _sum_without_fusing(result: Cube, padded: Pixels, weights: Pixels, order: int) -> None:
    """Sum the columns outside of `fused_part` anew, product and sum rounded apart."""
    radius = len(weights) // 2
    inside = fused_part(radius, result.size[2])
    first, stop = result.origin[2], result.stop[2]
    before, after = min(max(inside.start, first), stop), max(min(inside.stop, stop), first)
    for start, end in ((first, before), (after, stop)):
        if start >= end:
            continue
        columns = padded[:, :, start - first : end - first + 2 * radius]
        total: Pixels | None = None
        for pair, weight in _pairs(columns, weights, order, 2, end - start):
            total = pair * weight if total is None else total + pair * weight
        result.pixels[:, :, start - first : end - first] = total


def fused(a: Pixels, b: np.float32, c: Pixels) -> Pixels:
    """a · b + c, rounded once.

    The product of two float32 is exact in float64. The sum is rounded to odd there, so that rounding it to float32
    is the only rounding that counts (Boldo and Melquiond 2008).
    """
    product = a.astype(np.float64) * np.float64(b)
    addend = c.astype(np.float64)
    total = product + addend
    part = total - product
    rest = (product - (total - part)) + (addend - part)
    bits = total.view(np.int64)
    inexact = (rest != 0) & (bits & 1 == 0) & np.isfinite(total)
    # one step towards the exact sum: away from zero where the rest has the sign of the sum
    bits[inexact] += np.where((rest[inexact] > 0) == (total[inexact] > 0), 1, -1)
    return total.astype(np.float32)
