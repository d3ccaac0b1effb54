"""Third and fourth powers as the C library rounds them."""

import math

import numpy as np

from objclass.core import FloatArray
from objclass.features.statistics import folding


def third_and_fourth_power(q: FloatArray) -> tuple[FloatArray, FloatArray]:
    """q³ and q⁴ as libm's ``pow`` gives them (neither ``q*q*q`` nor a vectorised power does).

    For point-symmetric objects the true sum is 0, and the rounding of these powers is all that is left:
    ilastik's forests split on it. Dekker's products give the correctly rounded power and how close the
    exact one is to the middle of two floats; only there ``pow`` may round to the other side, so only
    there it is called.
    """
    q_parts = _split(q)
    square, square_rest = _product(q, q, q_parts, q_parts)
    parts = _split(square)
    cube, cube_rest = _product(square, q, parts, q_parts)
    fourth, fourth_rest = _product(square, square, parts, parts)
    cube_rest += square_rest * q
    fourth_rest += 2 * square * square_rest
    return _as_pow(q, 3.0, cube, cube_rest), _as_pow(q, 4.0, fourth, fourth_rest)


_POW = np.frompyfunc(math.pow, 2, 1)

MIDDLE = folding.MIDDLE
"""Beyond this part of the last digit ``pow``, right to 0.52 of it (glibc, musl), may round either way."""

TINY = folding.TINY
"""Below this, what rounding loses may be too small for floats."""

HALF_EPS = folding.HALF_EPS


def _as_pow(q: FloatArray, exponent: float, high: FloatArray, rest: FloatArray) -> FloatArray:
    """The sum of ``high`` and ``rest`` rounded as ``pow(q, exponent)`` rounds it."""
    power = np.where(np.isfinite(high), high + rest, high)
    error = np.abs((high - power) + rest)
    size = np.abs(power)
    # digit: the distance of floats here; 0 for powers of two, below which they are twice as dense
    digit = (size + size * HALF_EPS) - size
    doubtful = error > MIDDLE * digit
    doubtful |= size < TINY
    where = np.flatnonzero(doubtful)
    where = where[np.isfinite(power[where]) & (q[where] != 0)]
    power[where] = _POW(q[where], exponent)
    return power


def _product(
    a: FloatArray,
    b: FloatArray,
    a_parts: tuple[FloatArray, FloatArray],
    b_parts: tuple[FloatArray, FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """The product rounded, and what the rounding lost (Dekker 1971)."""
    (a_high, a_low), (b_high, b_low) = a_parts, b_parts
    product = a * b
    rest = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    # beyond 1e300 splitting overflows: the rest is then far below what the sum can show
    rest[~np.isfinite(rest)] = 0
    return product, rest


def _split(a: FloatArray) -> tuple[FloatArray, FloatArray]:
    """High and low half of the digits (Veltkamp)."""
    scaled = a * 134217729.0  # 2**27 + 1
    high = scaled - (scaled - a)
    return high, a - high
