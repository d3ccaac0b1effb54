"""Colour, against numpy's formulas object by object."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objclass.core import Objects
from objclass.errors import UsageError
from objclass.export.columns import Layout
from objclass.export.tidy import tidy_columns
from objclass.features.contract import choose
from objclass.features.engine import measure
from objclass.features.frame import Frame
from objclass.features.sets.colour import FEATURES
from tests.conftest import examples

TOLERANCE = {"rtol": 1e-9, "atol": 1e-9}
"""Values are below 1000, and numpy sums them in pairs."""


def measured(labels, raw):
    """Name of each feature -> numbers, a row for each object; ``raw`` has its channels last."""
    labels, raw = np.asarray(labels, np.uint32), np.asarray(raw)
    planes = labels.reshape((1,) * (3 - labels.ndim) + labels.shape)
    pixels = raw.reshape(*planes.shape, raw.shape[-1])
    objects = Objects(planes, int(labels.max()))
    frame = Frame(objects, lambda box: pixels[box], raw.shape[-1], (1.0,) * labels.ndim)
    return {key[1]: values for key, values in measure(frame, FEATURES.values()).items()}


def expected(values):
    """The definitions, of the pixels (v, channels) of an object."""
    values = values.astype(np.float64)
    pairs = list(combinations(values.T, 2))
    return {
        "share": values.sum(axis=0) / values.sum(),
        "share_std": (values / values.sum(axis=1, keepdims=True)).std(axis=0),
        "correlation": [np.corrcoef(a, b)[0, 1] for a, b in pairs],
        "difference": [(a - b).mean() for a, b in pairs],
        "difference_std": [(a - b).std() for a, b in pairs],
    }


@examples(8)
@given(
    st.integers(0, 10**6),
    st.sampled_from([(9, 11), (4, 5, 6)]),
    st.integers(2, 4),
    st.sampled_from([np.uint8, np.uint16, np.float32]),
)
def test_object_by_object(seed, shape, channels, dtype):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, shape)
    raw = rng.integers(1, 250, (*shape, channels)).astype(dtype)
    found = measured(labels, raw)
    for row in range(int(labels.max())):
        for name, wanted in expected(raw[labels == row + 1]).items():
            np.testing.assert_allclose(found[name][row], wanted, **TOLERANCE, err_msg=name)


@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (2, 2, 3)])
@pytest.mark.parametrize("values", [(0, 0), (5, 15), (np.nan, 7), (np.inf, -np.inf)])
def test_flat_objects(shape, values):
    raw = np.broadcast_to(np.array(values, np.float64), (*shape, 2))
    found = {name: numbers[0].tolist() for name, numbers in measured(np.ones(shape), raw).items()}
    share = [0.25, 0.75] if values == (5, 15) else [0.5, 0.5]
    difference = [-10.0] if values == (5, 15) else [0.0]
    assert found == {
        "share": share,
        "share_std": [0, 0],
        "correlation": [0],
        "difference": difference,
        "difference_std": [0],
    }


@pytest.mark.parametrize("varying", [False, True])
def test_channels_that_do_not_vary_have_no_correlation(varying):
    """However their sums are rounded: 0.1 and 0.3 are no binary fractions."""
    raw = np.broadcast_to([0.1, 0.3], (7, 9, 2)).copy()
    if varying:
        raw[..., 1] = np.random.default_rng(0).random((7, 9))
    found = measured(np.ones((7, 9)), raw)
    assert found["correlation"].tolist() == [[0]]
    if not varying:
        assert found["share_std"].tolist() == [[0, 0]]
        assert found["difference_std"].tolist() == [[0]]


def test_pixels_that_are_not_finite_in_a_channel_are_left_out():
    rng = np.random.default_rng(0)
    labels, raw = np.ones((6, 7), int), rng.random((6, 7, 3))
    odd, without = raw.copy(), labels.copy()
    odd[2, 3, 1], odd[4, 1, 2] = np.nan, -np.inf
    without[2, 3] = without[4, 1] = 0
    left = measured(without, raw)
    for name, values in measured(labels, odd).items():
        assert np.array_equal(values, left[name]), name
        assert np.isfinite(values).all()


def test_channels_that_follow_each_other_are_correlated():
    rng = np.random.default_rng(1)
    first = rng.random((5, 5))
    raw = np.stack([first, 3 * first + 1, -first], axis=-1)
    np.testing.assert_allclose(measured(np.ones((5, 5)), raw)["correlation"][0], [1, -1, -1], rtol=1e-12)


def test_the_set():
    assert list(FEATURES) == ["share", "share_std", "correlation", "difference", "difference_std"]
    assert FEATURES["share"].columns(2, 2) == ["colour_share-0", "colour_share-1"]
    pairs = ["colour_correlation-0-1", "colour_correlation-0-2", "colour_correlation-1-2"]
    assert FEATURES["correlation"].columns(3, 3) == pairs
    with pytest.raises(UsageError, match="none of the set is defined for 2D images with 1 channel"):
        choose(["colour"], 2, 1)


def test_names_of_pairs_in_tidy_tables():
    layout = Layout(2, 3, (FEATURES["share"], FEATURES["correlation"]), None, (), ())
    columns = {column.name: column.definition for column in tidy_columns(layout)}
    assert [name for name in columns if name.startswith("colour")] == [
        *("colour_share__0", "colour_share__1", "colour_share__2"),
        *("colour_correlation__0_1", "colour_correlation__0_2", "colour_correlation__1_2"),
    ]
    assert columns["colour_correlation__0_2"].endswith("does not vary (channels 0 2)")
