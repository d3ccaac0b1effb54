"""Rings by distance to the border: brute force and known answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objclass.core import Objects
from objclass.features.engine import measure
from objclass.features.frame import Frame
from objclass.features.sets.radial import FEATURES, RINGS
from tests.conftest import examples

TOLERANCE = {"rtol": 1e-10, "atol": 1e-10}
"""Values are positive and of one order; numpy sums them in pairs."""


def measured(labels, raw):
    """Name of each feature -> numbers (objects, rings, channels)."""
    labels, raw = np.asarray(labels, np.uint32), np.asarray(raw)
    planes = labels.reshape((1,) * (3 - labels.ndim) + labels.shape)
    pixels = raw.reshape(*planes.shape, -1)
    objects = Objects(planes, int(labels.max()))
    frame = Frame(objects, lambda box: pixels[box], pixels.shape[3], (1.0,) * labels.ndim)
    found = measure(frame, FEATURES.values())
    return {key[1]: values.reshape(len(values), RINGS, -1) for key, values in found.items()}


def expected(mask, raw):
    """The definitions, pixel by pixel: squares of distances to all pixels outside."""
    around = np.argwhere(~np.pad(mask, 1)) - 1
    places = np.argwhere(mask)
    distance = np.sqrt(((places[:, None] - around) ** 2).sum(axis=2).min(axis=1))
    width = (np.ptp(distance) or 1) / RINGS
    values, whole = raw[mask].astype(np.float64), raw[mask].mean(dtype=np.float64)
    for k in range(RINGS):
        low = distance.min() + k * width
        here = values[(distance >= low) & ((distance < low + width) | (k == RINGS - 1))]
        yield (here.mean() / whole, here.std() / here.mean()) if len(here) else (1, 0)


@examples(10)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(14, 15), (5, 7, 8), (1, 9), (2, 2, 2)]),
    st.sampled_from([np.uint8, np.uint16, np.float32]),
)
def test_object_by_object(seed, shape, dtype):
    rng = np.random.default_rng(seed)
    labels = 1 + (rng.random(shape) < rng.random()) * (rng.random(shape) < 0.5)
    labels[rng.random(shape) < 0.05] = 0
    labels.flat[0] = 1
    raw = rng.integers(1, 250, (*shape, 2)).astype(dtype)
    found = measured(labels, raw)
    for row in range(int(labels.max())):
        if (labels == row + 1).any():
            for c in range(2):
                wanted = np.array(list(expected(labels == row + 1, raw[..., c]))).T
                np.testing.assert_allclose(found["mean"][row, :, c], wanted[0], **TOLERANCE)
                np.testing.assert_allclose(found["variation"][row, :, c], wanted[1], **TOLERANCE)


def disc(size, radius):
    y, x = np.ogrid[:size, :size]
    return (y - size // 2) ** 2 + (x - size // 2) ** 2 <= radius * radius


def test_a_bright_middle_and_a_bright_rim():
    cell = disc(61, 29)
    middle = measured(cell, np.where(disc(61, 6), 100, 10))["mean"][0, :, 0]
    rim = measured(cell, np.where(disc(61, 24), 10, 100))["mean"][0, :, 0]
    assert middle[0] < 1
    assert middle[3] > 2
    assert middle[0] == middle[1]
    assert rim[0] > 1.5
    assert rim[3] < 1
    assert rim[2] == rim[3]


@pytest.mark.parametrize("shape", [(1, 1), (7, 6), (1, 9), (5, 5, 5)])
@pytest.mark.parametrize("value", [0, 7.5, -3, np.nan, np.inf])
def test_flat_objects(shape, value):
    found = measured(np.ones(shape), np.full(shape, value))
    assert (found["mean"] == 1).all()
    assert (found["variation"] == 0).all()


def test_pixels_that_are_not_finite_are_left_out():
    raw = np.random.default_rng(0).random((9, 9))
    odd = raw.copy()
    odd[0, 0], odd[4, 4] = np.nan, -np.inf
    plain, found = measured(np.ones((9, 9)), raw), measured(np.ones((9, 9)), odd)
    for name, values in found.items():
        assert np.isfinite(values).all()
        assert (values != plain[name]).any(), name
    ring = np.minimum(*np.minimum(np.indices((9, 9)), 8 - np.indices((9, 9)))) == 0  # distance 1: the border
    ring[0, 0] = False
    wanted = raw[ring].std() / raw[ring].mean()
    assert found["variation"][0, 0, 0] == pytest.approx(wanted)


def test_gain_and_side_do_not_matter():
    rng = np.random.default_rng(1)
    mask, raw = disc(21, 9), rng.random((21, 21)) + 1
    plain = measured(mask, raw)
    for other in (measured(mask, 8 * raw), measured(mask.T, raw.T), measured(mask[::-1], raw[::-1])):
        for name, values in plain.items():
            np.testing.assert_allclose(other[name], values, rtol=1e-12)


def test_the_set():
    assert all(f.looks_at_pixels and f.fits(2, 1) and f.fits(3, 3) for f in FEATURES.values())
    assert FEATURES["mean"].columns(2, 1) == [f"radial_mean-{k}" for k in range(RINGS)]
    assert FEATURES["variation"].columns(3, 2)[-1] == "radial_variation-3-1"
