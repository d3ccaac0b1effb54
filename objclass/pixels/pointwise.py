"""What filters make of the derivatives at each pixel: lengths of gradients, eigenvalues of symmetric matrices.

Each is formulated in numpy and in plain loops that may run compiled; both make the same operations in the same order,
and only operations that every processor rounds alike.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from objclass.compute.kernels import Kernel, kernel
from objclass.core import AnyArray
from objclass.pixels.filters import Pixels

ROOT_OF_ZERO = math.sqrt(0.75)
"""cos 30°."""

NEWTON_STEPS = 5
"""The start is off by 0.01 at most, and each step squares that."""

BATCH = 256
"""Pixels whose entries and eigenvalues lie together while they are computed, so that compiled loops need not fear
that arrays overlap.
"""


def magnitude(parts: Sequence[Pixels], work: int, out: Pixels) -> None:
    """Lengths of vectors.

    Parameters
    ----------
    parts
        Their 2 or 3 components, arrays of one shape, float32.
    work
        Pixels of the image: compiled code is loaded where it repays.
    out
        Where the lengths are put; float32, of the same shape.
    """
    compiled = magnitudes.choose(work)
    if compiled is None:
        total = np.square(parts[0])
        for part in parts[1:]:
            total += np.square(part)
        np.sqrt(total, out=out)
    else:
        first, second, *third = (part.ravel() for part in parts)
        compiled(first, second, third[0] if third else second, len(parts), out.size, out.reshape(-1))


def eigenvalues(entries: Sequence[Pixels], work: int, out: Pixels) -> None:
    """Eigenvalues of symmetric matrices, the largest first.

    Parameters
    ----------
    entries
        The upper triangle row by row: 3 entries of 2 × 2 matrices, or 6 of 3 × 3 matrices; arrays of one shape, float32.
    work
        Pixels of the image: compiled code is loaded where it repays.
    out
        Where they are put: float32, their number first, then the shape of the entries.
    """
    formula, kernel_ = (
        (_of_two, eigenvalues_of_two) if len(entries) == 3 else (_of_three, eigenvalues_of_three)
    )
    compiled = kernel_.choose(work)
    if compiled is None:
        formula(entries, out)
    else:
        space = np.empty((len(entries) + len(out)) * BATCH, np.float32)
        compiled(*(entry.ravel() for entry in entries), out[0].size, space, out.reshape(-1))


def _of_two(entries: Sequence[Pixels], out: Pixels) -> None:
    """As in ilastik, in float32."""
    xx, xy, yy = entries
    half, quarter = np.float32(0.5), np.float32(0.25)
    middle = (xx + yy) * half
    distance = np.sqrt(np.square(xx - yy) * quarter + xy * xy)
    np.add(middle, distance, out=out[0])
    np.subtract(middle, distance, out=out[1])


def _of_three(entries: Sequence[Pixels], out: Pixels) -> None:
    """By the trigonometric formula (Smith 1961) in float64, the cosine by Newton's method.

    ilastik uses the same formula in float32 with approximations; both agree to about 1e-5 of the largest eigenvalue.
    """
    xx, xy, xz, yy, yz, zz = (entry.astype(np.float64) for entry in entries)
    middle = (xx + yy + zz) / 3
    a, b, c = xx - middle, yy - middle, zz - middle
    off = xy * xy + xz * xz + yz * yz
    spread = np.sqrt((a * a + b * b + c * c + 2 * off) / 6)
    scale = np.where(spread > 0, spread, 1.0)
    a, b, c, d, e, f = (entry / scale for entry in (a, b, c, xy, xz, yz))
    half = (a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e)) / 2
    far = _far_root(np.minimum(np.abs(half), 1.0))  # the root that stands alone; the other two may be equal
    gap = np.sqrt(np.maximum(3 - 3 * far * far, 0.0))
    near, other = (gap - far) / 2, -(gap + far) / 2
    turned = half < 0
    out[0] = middle + 2 * spread * np.where(turned, -other, far)
    out[1] = middle + 2 * spread * np.where(turned, -near, near)
    out[2] = middle + 2 * spread * np.where(turned, -far, other)


def _far_root(cosine: AnyArray) -> AnyArray:
    """The root of 4 t³ - 3 t = cos φ between cos 30° and 1, for cos φ from 0 to 1, by Newton's method."""
    root = ROOT_OF_ZERO + (1 - ROOT_OF_ZERO) * cosine
    for _ in range(NEWTON_STEPS):
        square = root * root
        root = root - ((4 * square - 3) * root - cosine) / (12 * square - 3)
    return root


# ---------------------------------------------------------------------------- compiled


def find_magnitudes(
    first: NDArray[np.float32],
    second: NDArray[np.float32],
    third: NDArray[np.float32],
    count: int,
    n: int,
    found: NDArray[np.float32],
) -> None:
    """`magnitude`: of ``count`` components, 2 or 3."""
    if count == 3:
        for i in range(n):
            found[i] = np.sqrt(first[i] * first[i] + second[i] * second[i] + third[i] * third[i])
    else:
        for i in range(n):
            found[i] = np.sqrt(first[i] * first[i] + second[i] * second[i])


def find_eigenvalues_of_two(
    xx: NDArray[np.float32],
    xy: NDArray[np.float32],
    yy: NDArray[np.float32],
    n: int,
    space: NDArray[np.float32],
    found: NDArray[np.float32],
) -> None:
    """`_of_two`; one eigenvalue of all pixels after the other."""
    half, quarter = np.float32(0.5), np.float32(0.25)
    for start in range(0, n, BATCH):
        size = min(BATCH, n - start)
        take(xx, start, size, space, 0)
        take(xy, start, size, space, 1)
        take(yy, start, size, space, 2)
        for i in range(size):
            x, y, z = space[i], space[BATCH + i], space[2 * BATCH + i]
            middle = (x + z) * half
            distance = np.sqrt((x - z) * (x - z) * quarter + y * y)
            space[3 * BATCH + i] = middle + distance
            space[4 * BATCH + i] = middle - distance
        for k in range(2):
            put(space, 3 + k, size, found, k * n + start)


def find_eigenvalues_of_three(
    xx: NDArray[np.float32],
    xy: NDArray[np.float32],
    xz: NDArray[np.float32],
    yy: NDArray[np.float32],
    yz: NDArray[np.float32],
    zz: NDArray[np.float32],
    n: int,
    space: NDArray[np.float32],
    found: NDArray[np.float32],
) -> None:
    """`_of_three`; one eigenvalue of all pixels after the other."""
    for start in range(0, n, BATCH):
        size = min(BATCH, n - start)
        take(xx, start, size, space, 0)
        take(xy, start, size, space, 1)
        take(xz, start, size, space, 2)
        take(yy, start, size, space, 3)
        take(yz, start, size, space, 4)
        take(zz, start, size, space, 5)
        solve(size, space)
        for k in range(3):
            put(space, 6 + k, size, found, k * n + start)


@kernel
def solve(n: int, space: NDArray[np.float32]) -> None:
    """Eigenvalues of a batch: behind its entries."""
    for i in range(n):
        a, b, c = np.float64(space[i]), np.float64(space[3 * BATCH + i]), np.float64(space[5 * BATCH + i])
        d, e, f = (
            np.float64(space[BATCH + i]),
            np.float64(space[2 * BATCH + i]),
            np.float64(space[4 * BATCH + i]),
        )
        middle = (a + b + c) / 3.0
        a, b, c = a - middle, b - middle, c - middle
        off = d * d + e * e + f * f
        spread = math.sqrt((a * a + b * b + c * c + 2.0 * off) / 6.0)
        scale = spread if spread > 0 else 1.0
        a, b, c, d, e, f = a / scale, b / scale, c / scale, d / scale, e / scale, f / scale
        half = (a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e)) / 2.0
        cosine = min(abs(half), 1.0)
        far = ROOT_OF_ZERO + (1.0 - ROOT_OF_ZERO) * cosine
        for _ in range(NEWTON_STEPS):
            square = far * far
            far = far - ((4.0 * square - 3.0) * far - cosine) / (12.0 * square - 3.0)
        rest = 3.0 - 3.0 * far * far
        gap = math.sqrt(max(rest, 0.0))
        near, other = (gap - far) / 2.0, -(gap + far) / 2.0
        turned = half < 0
        space[6 * BATCH + i] = middle + 2.0 * spread * (-other if turned else far)
        space[7 * BATCH + i] = middle + 2.0 * spread * (-near if turned else near)
        space[8 * BATCH + i] = middle + 2.0 * spread * (-far if turned else other)


@kernel
def take(entry: NDArray[np.float32], start: int, n: int, space: NDArray[np.float32], number: int) -> None:
    """Copy a batch of an entry to its place in the work space."""
    for i in range(n):
        space[number * BATCH + i] = entry[start + i]


@kernel
def put(space: NDArray[np.float32], number: int, n: int, found: NDArray[np.float32], to: int) -> None:
    """Copy a batch of eigenvalues from its place in the work space."""
    for i in range(n):
        found[to + i] = space[number * BATCH + i]


magnitudes = Kernel(
    find_magnitudes,
    repays_loading=1_000_000,
    repays_compiling=20_000_000,
    lengths=lambda *given: dict.fromkeys(("first", "second", "third", "found"), given[4]),
)
eigenvalues_of_two = Kernel(
    find_eigenvalues_of_two,
    repays_loading=1_000_000,
    repays_compiling=20_000_000,
    lengths=lambda *given: {
        **dict.fromkeys(("xx", "xy", "yy"), given[3]),
        "space": 5 * BATCH,
        "found": 2 * given[3],
    },
)
eigenvalues_of_three = Kernel(
    find_eigenvalues_of_three,
    repays_loading=200_000,
    repays_compiling=1_000_000,
    lengths=lambda *given: {
        **dict.fromkeys(("xx", "xy", "xz", "yy", "yz", "zz"), given[6]),
        "space": 9 * BATCH,
        "found": 3 * given[6],
    },
)
"""Work is counted in pixels of the image."""
