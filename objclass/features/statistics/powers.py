"""Third and fourth powers as the C library rounds them."""

import math

import numpy as np

from objclass.compute.kernels import kernel
from objclass.core import FloatArray
from objclass.features.statistics.runs import ROOM, Floats


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


def power(base: FloatArray, exponent: FloatArray | float) -> FloatArray:
    """libm's ``pow``, one by one: the last bit of numpy's depends on what the processor can do."""
    powers: FloatArray = np.asarray(_POW(base, exponent), np.float64)
    return powers


def _pow(base: float, exponent: float) -> float:
    """``pow`` as in C, where Python raises."""
    try:
        return math.pow(base, exponent)
    except OverflowError:
        return math.inf
    except ValueError:  # a root of a negative number, or 1 / 0
        return math.inf if base == 0 else math.nan


_POW = np.frompyfunc(_pow, 2, 1)

MIDDLE = 0.48
"""Beyond this part of the last digit ``pow``, right to 0.52 of it (glibc, musl), may round either way."""

TINY = 1e-270
"""Below this, what rounding loses may be too small for floats."""

HALF_EPS = 2.0**-53

SPLIT = 134217729.0  # 2**27 + 1

CUBES, FOURTHS, DOUBTS = ROOM, 2 * ROOM, 3 * ROOM
"""Where powers, and doubts, of a batch stand in the work space of compiled code, behind the q."""


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
    scaled = a * SPLIT
    high = scaled - (scaled - a)
    return high, a - high


@kernel
def powers(voxels: int, space: Floats) -> None:
    """`third_and_fourth_power`, compiled.

    They are written behind the q, with which ``space`` begins; doubts behind them.
    """
    for i in range(voxels):
        x = space[i]
        scaled = x * SPLIT
        x_high = scaled - (scaled - x)
        x_low = x - x_high
        square = x * x
        lost = x_low * x_low - (((square - x_high * x_high) - x_low * x_high) - x_high * x_low)
        square_rest = lost if abs(lost) < np.inf else 0.0
        scaled = square * SPLIT
        high = scaled - (scaled - square)
        low = square - high

        cube = square * x
        lost = low * x_low - (((cube - high * x_high) - low * x_high) - high * x_low)
        rest = (lost if abs(lost) < np.inf else 0.0) + square_rest * x
        power = cube + rest if abs(cube) < np.inf else cube
        size = abs(power)
        digit = (size + size * HALF_EPS) - size  # of a power of two 0
        third = abs((cube - power) + rest) > MIDDLE * digit or (size < TINY and x != 0)
        space[CUBES + i] = power

        fourth = square * square
        lost = low * low - (((fourth - high * high) - low * high) - high * low)
        rest = (lost if abs(lost) < np.inf else 0.0) + 2 * square * square_rest
        power = fourth + rest if abs(fourth) < np.inf else fourth
        digit = (power + power * HALF_EPS) - power
        last = abs((fourth - power) + rest) > MIDDLE * digit or (power < TINY and x != 0)
        space[FOURTHS + i] = power
        space[DOUBTS + i] = (1.0 if third else 0.0) + (2.0 if last else 0.0)
    for i in range(voxels):
        doubt = space[DOUBTS + i]
        if doubt != 0:
            if doubt != 2:
                space[CUBES + i] = math.pow(space[i], 3.0)
            if doubt != 1:
                space[FOURTHS + i] = math.pow(space[i], 4.0)
