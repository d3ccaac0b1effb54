"""Dark and bright parts: scikit-image's threshold, known shapes, values that are hard to bin."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.filters import threshold_otsu

from objclass.core import Objects
from objclass.features.engine import measure
from objclass.features.frame import Frame
from objclass.features.sets.parts import FEATURES, divided
from tests.conftest import examples


def measured(labels, raw):
    """Name of each feature -> numbers (objects, channels)."""
    labels, raw = np.asarray(labels, np.uint32), np.asarray(raw)
    planes = (1,) * (3 - labels.ndim)
    raw = raw.reshape(planes + labels.shape + raw.shape[labels.ndim :] + (1,) * (raw.ndim == labels.ndim))
    objects = Objects(labels.reshape(planes + labels.shape), int(labels.max()))
    frame = Frame(objects, lambda where: raw[where], raw.shape[3], (1.0,) * labels.ndim)
    found = measure(frame, FEATURES.values())
    return {name: found["parts", name] for name in FEATURES}


def cell(lobes):
    """A bright square cell of 24 × 24 pixels with dark lobes of 4 × 4."""
    labels = np.zeros((30, 30))
    labels[3:27, 3:27] = 1
    raw = np.full((30, 30), 200, np.uint8)
    for y, x in lobes:
        raw[y : y + 4, x : x + 4] = 50
    return labels, raw


def test_a_cell_with_two_lobes():
    found = {name: values.item() for name, values in measured(*cell([(6, 6), (6, 14)])).items()}
    assert found == {
        "share": 32 / 576,
        "contrast": 150,
        "separation": 1,
        "edge": 32 / 24,
        "dark_mean": 50,
        "dark_count": 2,
        "dark_largest": 0.5,
        "dark_solidity": 32 / 48,  # the gap between the lobes is in their hull
        "bright_mean": 200,
        "bright_count": 1,
        "bright_largest": 1,
        "bright_solidity": 544 / 576,
    }


def test_specks_are_no_lobes():
    labels, raw = cell([(6, 6)])
    raw[20, 20] = 50
    assert measured(labels, raw)["dark_count"].item() == 1


def test_channels_and_volumes_have_parts_of_their_own():
    labels, dark = cell([(6, 6), (14, 14), (20, 6)])
    found = measured(labels, np.stack([dark, 255 - dark], axis=2))
    assert found["dark_count"].tolist() == [[3, 1]]
    assert found["bright_count"].tolist() == [[1, 3]]
    volume = measured(np.stack([labels] * 4), np.stack([dark] * 4))
    assert volume["dark_count"].item() == 3
    assert volume["share"].item() == 48 / 576
    # each lobe has 16 sides in each plane; the side of a cube of this size is the third root of it
    assert volume["edge"].item() == pytest.approx(3 * 16 * 4 / (4 * 576) ** (2 / 3))


def test_one_value_is_a_single_part():
    found = measured(*cell([]))
    assert found["share"].item() == found["dark_count"].item() == found["dark_solidity"].item() == 1
    assert [found[name].item() for name in ("contrast", "separation", "bright_mean", "bright_count")] == [
        0
    ] * 4


def test_pixels_without_a_value_belong_to_no_part():
    labels, raw = cell([(6, 6), (6, 14)])
    raw = raw.astype(float)
    expected = measured(labels, raw)
    raw[22:26, 4:26] = np.nan
    found = measured(labels, raw)
    assert found["share"].item() == 32 / (576 - 88)
    assert found["dark_count"].item() == expected["dark_count"].item() == 2
    raw[:] = np.inf
    assert all(values.item() == 0 for values in measured(labels, raw).values())


@examples(10)
@given(st.integers(0, 10**6), st.sampled_from([(6, 7), (3, 4, 5), (1, 8)]))
def test_the_edge_pair_by_pair(seed, shape):
    rng = np.random.default_rng(seed)
    mask, raw = rng.random(shape) < 0.8, rng.integers(0, 2, shape)
    mask.flat[:2], raw.flat[:2] = True, (0, 1)
    pairs = 0
    for here in np.argwhere(mask):
        for step in np.eye(len(shape), dtype=int):
            there = tuple(here + step)
            if (there < np.array(shape)).all() and mask[there]:
                pairs += raw[tuple(here)] != raw[there]
    side = mask.sum() ** (1 / mask.ndim)
    assert measured(mask, raw)["edge"].item() == pytest.approx(pairs / side ** (mask.ndim - 1))


@examples(12)
@given(arrays(np.uint8, st.integers(2, 60), elements=st.integers(0, 255)))
def test_the_threshold_is_that_of_scikit_image(values):
    values[:2] = 0, 255  # then bins are values
    bright, separation = divided(values.astype(float))
    threshold = threshold_otsu(values)
    assert 0 <= separation <= 1 + 1e-12

    def between(where):
        """Variance between the parts; several thresholds may be as good, but for rounding."""
        return where.mean() * (1 - where.mean()) * (values[where].mean() - values[~where].mean()) ** 2

    assert between(bright > 0) == pytest.approx(between(values > threshold), rel=1e-9)
    assert separation == pytest.approx(between(bright > 0) / values.var(), rel=1e-9)


@pytest.mark.parametrize("scale", [5e-324, 1e-300, 1.7e308])
def test_extreme_values(scale):
    found = divided(np.array([0, 0, 1, 1]) * scale)[0].tolist()
    assert found == ([0, 0, 0, 0] if scale == 5e-324 else [0, 0, 1, 1])
