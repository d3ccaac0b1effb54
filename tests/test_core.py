"""The nouns: axes in any order, and what refuses to exist."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objclass.core import (
    AXES,
    ArrayStore,
    FeatureTable,
    Image,
    PixelSize,
    Predictions,
    concatenate,
    from_canonical,
    to_canonical,
)
from objclass.errors import ImageError

orders = st.permutations("tzyxc").flatmap(
    lambda axes: st.integers(2, 5).map(lambda n: "".join(axes)[:n]).filter(lambda a: {"x", "y"} <= set(a))
)


@given(orders, st.integers(0, 10**6))
def test_axes_there_and_back(axes, seed):
    pixels = np.random.default_rng(seed).integers(0, 9, [2 + AXES.index(a) for a in axes])
    canonical = to_canonical(pixels, axes)
    assert canonical.ndim == 5
    assert canonical.flags.c_contiguous
    assert np.array_equal(from_canonical(canonical, axes), pixels)


@given(orders, st.integers(0, 10**6))
def test_a_region_is_that_part_of_the_whole(axes, seed):
    rng = np.random.default_rng(seed)
    image = Image("i", ArrayStore(rng.integers(0, 9, [2 + AXES.index(a) for a in axes])), axes, "test")
    starts = [rng.integers(0, n) for n in image.shape]
    region = tuple(slice(a, rng.integers(a, n) + 1) for a, n in zip(starts, image.shape, strict=True))
    assert np.array_equal(image.read(region), image.read()[region])


@pytest.mark.parametrize(
    ("axes", "shape"),
    [("zx", (2, 3)), ("yxx", (1, 2, 3)), ("yxq", (1, 2, 3)), ("yx", (1, 2, 3)), ("yx", (0, 3))],
)
def test_an_image_of_wrong_axes_does_not_exist(axes, shape):
    with pytest.raises(ImageError, match="cells.tif"):
        Image("cells.tif", ArrayStore(np.zeros(shape)), axes, "test")


@pytest.mark.parametrize("size", [0, -1, np.nan, np.inf])
def test_a_pixel_has_an_extent(size):
    with pytest.raises(ImageError, match="positive"):
        PixelSize(x=size)


def test_rows_and_columns_agree():
    with pytest.raises(ValueError, match="expected"):
        FeatureTable(np.zeros(2, int), np.arange(2), {"a": np.zeros((3, 1))})
    one = FeatureTable(np.zeros(2, int), np.arange(2), {"a": np.eye(2)}, {"original_oid": np.array([7, 9])})
    both = concatenate([one, one.rows(np.array([1]))])
    assert len(both) == 3
    assert both.given["original_oid"].tolist() == [7, 9, 9]
    assert both.values["a"].tolist() == [[1, 0], [0, 1], [0, 1]]


def test_the_first_of_equals_is_the_class_and_a_tie_is_uncertain():
    found = Predictions(np.array([[0.5, 0.5, 0], [0.2, 0.1, 0.7]], np.float32))
    assert found.classes.tolist() == [1, 3]
    np.testing.assert_allclose(found.uncertainty, [1, 0.5], atol=1e-6)


def test_every_order_of_axes_gives_the_same_objects(samples):
    """Of a small time series of volumes with channels, by every fourth of the 120 orders."""
    import objclass

    rng = np.random.default_rng(0)
    raw, labels = rng.random((2, 3, 7, 8, 2)), rng.integers(0, 4, (2, 3, 7, 8, 1))
    expected = objclass.measure(labels, raw, features=["regionprops"], intensity_axes="tzyxc", axes="tzyxc")
    for order in list(permutations("tzyxc"))[1::4]:
        axes = "".join(order)
        place = ["tzyxc".index(a) for a in axes]
        turned = objclass.measure(
            labels.transpose(place),
            raw.transpose(place),
            features=["regionprops"],
            intensity_axes=axes,
            axes=axes,
        )
        assert turned.equals(expected), axes
