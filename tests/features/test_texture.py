"""Texture, against scikit-image's co-occurrence matrices and plain loops."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from skimage.feature import graycomatrix, graycoprops

from objclass.core import Objects
from objclass.features.contract import choose
from objclass.features.engine import measure
from objclass.features.frame import Frame
from objclass.features.sets.texture import FEATURES, FLAT, LEVELS, PATTERNS, RING
from tests.conftest import examples

PROPERTIES = {
    "contrast": "contrast",
    "dissimilarity": "dissimilarity",
    "homogeneity": "homogeneity",
    "angular_second_moment": "ASM",
    "correlation": "correlation",
    "entropy": "entropy",
}
"""Name here -> in scikit-image."""

ANGLES = (0, np.pi / 4, np.pi / 2, 3 * np.pi / 4)

TOLERANCE = {"rtol": 1e-9, "atol": 1e-12}
"""Numbers are of the order of 1, and scikit-image sums in another order."""


def measured(labels, raw):
    """Name of each feature -> numbers, a row for each object."""
    labels, raw = np.asarray(labels, np.uint32), np.asarray(raw)
    ndim = labels.ndim
    planes = labels.reshape((1,) * (3 - ndim) + labels.shape)
    pixels = raw.reshape(*planes.shape, -1)
    frame = Frame(Objects(planes, int(labels.max())), lambda box: pixels[box], pixels.shape[3], (1.0,) * ndim)
    return {key[1]: values for key, values in measure(frame, FEATURES.values()).items()}


def levels_of(values):
    """The definition: 16 levels within three standard deviations around the mean."""
    values = values.astype(np.float64)
    deviation = values.std() or 1
    return np.clip(np.floor((values - values.mean()) / (6 * deviation / 16)) + 8, 0, 15).astype(int)


def blob(seed, shape=(17, 19)):
    """A ragged object and smooth values, with no value near the end of a level."""
    rng = np.random.default_rng(seed)
    mask = rng.random(shape) < rng.uniform(0.3, 0.95)
    mask.flat[0] = True
    raw = np.cumsum(rng.standard_normal(shape), axis=-1) * 100
    return mask, raw


@pytest.mark.parametrize("dtype", [np.float32, np.uint16])
@pytest.mark.parametrize("seed", range(8))
def test_planes_are_as_in_scikit_image(seed, dtype):
    mask, raw = blob(seed)
    raw = (raw - raw.min()).astype(dtype)
    levels = np.full(mask.shape, LEVELS)
    levels[mask] = levels_of(raw[mask])
    counts = graycomatrix(levels, [1], ANGLES, LEVELS + 1, symmetric=True)[:LEVELS, :LEVELS]
    found = measured(mask, raw)
    for name, other in PROPERTIES.items():
        np.testing.assert_allclose(
            found[name][0, 0], graycoprops(counts, other).mean(), **TOLERANCE, err_msg=name
        )


def matrices(levels, mask):
    """Symmetric co-occurrence matrices, pair by pair, of the directions that have pairs."""
    for direction in product((-1, 0, 1), repeat=mask.ndim):
        counts = np.zeros((LEVELS, LEVELS, 1, 1))
        for here in np.argwhere(mask):
            there = here + direction
            if any(direction) and (there >= 0).all() and (there < mask.shape).all() and mask[tuple(there)]:
                counts[levels[tuple(here)], levels[tuple(there)]] += 1
                counts[levels[tuple(there)], levels[tuple(here)]] += 1
        if counts.any():
            yield counts


@examples(6)
@given(st.integers(0, 10**6), st.sampled_from([(5, 6), (1, 7), (6, 1), (3, 4, 5), (1, 5, 4), (2, 2, 2)]))
def test_pair_by_pair(seed, shape):
    mask, raw = blob(seed, shape)
    levels = np.zeros(shape, int)
    levels[mask] = levels_of(raw[mask])
    if mask.ndim == 3 and len(mask) == 1:  # a single plane is an image in 2D
        mask, raw, levels = (np.pad(a, [(0, 1), (0, 0), (0, 0)]) for a in (mask, raw, levels))
    every = list(matrices(levels, mask))
    found = measured(mask, raw)
    for flat, (name, other) in zip(FLAT, PROPERTIES.items(), strict=True):
        wanted = np.mean([graycoprops(m, other) for m in every]) if every else flat
        np.testing.assert_allclose(found[name][0, 0], wanted, **TOLERANCE, err_msg=name)


def pattern_of(window):
    """The pattern of 3 × 3 pixels."""
    bits = [bool(window[1 + y, 1 + x] >= window[1, 1]) for y, x in RING]
    changes = sum(a != b for a, b in zip(bits, bits[1:] + bits[:1], strict=True))
    return sum(bits) if changes <= 2 else 9


def histogram(mask, raw):
    """Fractions of patterns in all planes, pixel by pixel."""
    counts = np.zeros(PATTERNS)
    planes = [(mask, raw)]
    if mask.ndim == 3:
        planes = [
            (np.take(mask, k, axis), np.take(raw, k, axis))
            for axis in range(3)
            for k in range(mask.shape[axis])
        ]
    for inside, values in planes:
        for y, x in np.argwhere(inside):
            window = slice(y - 1, y + 2), slice(x - 1, x + 2)
            if min(y, x) > 0 and inside[window].shape == (3, 3) and inside[window].all():
                counts[pattern_of(values[window])] += 1
    return counts / max(counts.sum(), 1)


@examples(6)
@given(st.integers(0, 10**6), st.sampled_from([(9, 8), (2, 7), (4, 5, 6)]), st.integers(2, 60))
def test_patterns_pixel_by_pixel(seed, shape, values):
    rng = np.random.default_rng(seed)
    mask, raw = rng.random(shape) < 0.93, rng.integers(0, values, shape).astype(np.uint16)
    mask.flat[0] = True
    np.testing.assert_allclose(measured(mask, raw)["patterns"][0], histogram(mask, raw), rtol=1e-14)


def test_patterns_do_not_change_when_brightness_does():
    mask, raw = np.ones((20, 20), bool), np.random.default_rng(0).integers(0, 250, (20, 20))
    plain = measured(mask, raw)["patterns"]
    assert np.array_equal(plain, measured(mask, raw.astype(np.float64) ** 3)["patterns"])
    assert np.array_equal(plain, measured(mask, np.rot90(raw))["patterns"])
    assert np.count_nonzero(plain) == PATTERNS


def test_co_occurrence_does_not_change_with_gain_offset_and_side():
    mask, raw = blob(3)
    raw = np.round(raw)
    plain = measured(mask, raw)
    for other in (measured(mask, raw * 4 + 1024), measured(mask[::-1], raw[::-1]), measured(mask.T, raw.T)):
        for name in PROPERTIES:
            np.testing.assert_allclose(other[name], plain[name], rtol=1e-12)


@pytest.mark.parametrize("shape", [(1, 1), (5, 5), (2, 3, 4), (2, 1, 1)])
@pytest.mark.parametrize("value", [0, 7.5, -1e308, np.nan, np.inf])
def test_flat_objects(shape, value):
    found = measured(np.ones(shape), np.full(shape, value))
    for flat, name in zip(FLAT, PROPERTIES, strict=True):
        assert found[name].tolist() == [[flat]], name
    patterns = found["patterns"][0]
    has_neighbours = np.isfinite(value) and sorted(shape)[-2] >= 3
    assert patterns.tolist() == [0] * 8 + [float(has_neighbours), 0]  # all neighbours are as bright


def test_pixels_that_are_not_finite_are_left_out():
    mask, raw = np.ones((9, 9), bool), np.random.default_rng(0).random((9, 9)) * 1e308 * [[1, -1, 1] * 3]
    odd, without = raw.copy(), mask.copy()
    odd[3, 4:6], without[3, 4:6] = (np.nan, -np.inf), False
    for name, values in measured(mask, odd).items():
        assert np.array_equal(values, measured(without, raw)[name]), name
        assert np.isfinite(values).all()


def test_channels_are_measured_one_by_one():
    mask, raw = blob(1)
    other = raw[::-1].copy()
    other[0, 0] = np.nan
    both = measured(mask, np.stack([raw, other], axis=-1))
    for name, values in both.items():
        pairs = values.reshape(len(values), -1, 2)
        assert np.array_equal(pairs[..., 0], measured(mask, raw)[name]), name
        assert np.array_equal(pairs[..., 1], measured(mask, other)[name]), name


def test_the_set():
    assert list(FEATURES) == [*PROPERTIES, "patterns"]
    assert not choose(["hull"], 2, 0)[0].looks_at_pixels
    assert all(
        f.looks_at_pixels and f.fits(2, 3) and f.fits(3, 1) and not f.fits(2, 0) for f in FEATURES.values()
    )
    assert FEATURES["contrast"].columns(2, 1) == ["texture_contrast"]
    assert FEATURES["contrast"].columns(2, 2) == ["texture_contrast-0", "texture_contrast-1"]
    assert FEATURES["patterns"].columns(3, 1)[-1] == "texture_pattern-9"
