"""Filters against an independent formulation in float64, and in any cutting."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import correlate1d

from objclass.compute.fma import fused
from objclass.pixels.filters import Cube, correlate, fused_part, radius_of, taps
from tests.conftest import examples

RNG = np.random.default_rng(0)


def whole(shape):
    return tuple(slice(0, n) for n in shape)


@pytest.mark.parametrize("sigma", [0.3, 0.7, 1.0, math.sqrt(1.6**2 - 1), 3.35, 10.0])
@pytest.mark.parametrize("order", [0, 1, 2])
def test_moments_of_the_taps(sigma, order):
    weights = taps(sigma, order, 3.5).astype(float)
    x = np.arange(len(weights)) - len(weights) // 2
    moments = [float((weights * x**k).sum()) for k in range(3)]
    # of float32 taps, whose sum is off by some 1e-7 for each
    assert moments[order] == pytest.approx(math.factorial(order), abs=2e-6)
    assert moments[:order] == pytest.approx([0] * order, abs=2e-6)
    assert np.array_equal(weights, weights[::-1] * (-1) ** order)


def test_the_radius_is_rounded_half_up():
    assert [radius_of(s, 2.0) for s in (0.3, 0.7, 1.0, 1.25)] == [1, 1, 2, 3]


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("order", [0, 1, 2])
@pytest.mark.parametrize("shape", [(7, 9, 12), (5, 6, 130), (40, 3, 3)])
def test_against_scipy_in_float64(axis, order, shape):
    if shape[axis] < 4:
        pytest.skip("shorter than the taps")
    pixels = RNG.random(shape).astype(np.float32) * 255
    weights = taps(1.0, order, 2.0)
    found = correlate(Cube(pixels, (0, 0, 0), shape), weights, order, axis, whole(shape))
    expected = correlate1d(pixels.astype(float), weights.astype(float), axis=axis, mode="mirror")
    assert (found.origin, found.pixels.shape) == ((0, 0, 0), shape)
    # five products of values up to 255, each rounded to 2**-24 of its size
    assert np.abs(found.pixels - expected).max() < 5 * 255 * 2.0**-23


@given(st.data())
@examples(15)
def test_a_part_has_the_bytes_of_the_whole(data):
    length = data.draw(st.integers(6, 150))
    axis = data.draw(st.integers(0, 2))
    order = data.draw(st.integers(0, 2))
    sigma = data.draw(st.sampled_from([0.7, 1.0, 2.3]))
    weights = taps(sigma, order, 2.0)
    radius = len(weights) // 2
    shape = tuple(length if a == axis else 4 for a in range(3))
    pixels = np.random.default_rng(length).normal(size=shape).astype(np.float32)
    expected = correlate(Cube(pixels, (0, 0, 0), shape), weights, order, axis, whole(shape)).pixels
    start = data.draw(st.integers(0, length - 1))
    stop = data.draw(st.integers(start + 1, length))
    low, high = max(start - radius, 0), min(stop + radius, length)
    box = tuple(slice(low, high) if a == axis else slice(0, 4) for a in range(3))
    wanted = tuple(slice(start, stop) if a == axis else slice(0, 4) for a in range(3))
    cube = Cube(np.ascontiguousarray(pixels[box]), tuple(b.start for b in box), shape)
    assert np.array_equal(correlate(cube, weights, order, axis, wanted).pixels, expected[wanted])


def test_multiply_add_is_rounded_once():
    a, b, c = (RNG.normal(size=3000).astype(np.float32) for _ in range(3))
    c[::3] = -a[::3] * b[0]  # what the product loses is all that is left
    c[1::3] *= np.float32(2.0**-26)  # near the middle of two float32
    found = fused(a, b[0], c)
    exact = [
        Fraction(float(x)) * Fraction(float(b[0])) + Fraction(float(y)) for x, y in zip(a, c, strict=True)
    ]
    for value, truth in zip(found, exact, strict=True):
        error = abs(Fraction(float(value)) - truth)
        for other in (np.nextafter(value, np.float32(np.inf)), np.nextafter(value, np.float32(-np.inf))):
            assert error <= abs(Fraction(float(other)) - truth)


@pytest.mark.parametrize(
    ("radius", "length", "part"),
    [(1, 320, (8, 288)), (12, 320, (16, 288)), (35, 320, (40, 256)), (12, 72, (0, 0)), (2, 20, (0, 0))],
)
def test_where_columns_are_fused(radius, length, part):
    """As seen in features that ilastik exported of images of these widths."""
    found = fused_part(radius, length)
    assert (found.start, found.stop) == part
