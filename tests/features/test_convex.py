"""The true convex hull, against scikit-image's convex image, scipy's components and known answers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.morphology import convex_hull_image

from objclass.core import Objects
from objclass.features.contract import choose
from objclass.features.engine import measure
from objclass.features.frame import Frame
from objclass.features.sets.convex_hull import FEATURES
from objclass.features.sets.regionprops import convex_image
from tests.conftest import examples

NAMES = [
    "area", "solidity", "center", "center_offset", "defect_count", "defect_share", "defect_area_mean",
    "defect_area_std", "defect_area_max", "defect_offset",
]  # fmt: skip

TOLERANCE = {"rtol": 1e-12, "atol": 1e-12}
"""Means of coordinates below 100 are known to 1e-14, and no number is a small difference of them."""


def drawing(*lines):
    return np.array([[character == "1" for character in line] for line in lines])


def measured(labels, spacing=None):
    """Name of each feature -> numbers, a row for each object."""
    labels = np.asarray(labels, np.uint32)
    ndim = labels.ndim
    if ndim == 3 and len(labels) == 1:
        labels = np.pad(labels, [(0, 1), (0, 0), (0, 0)])  # a single plane is an image in 2D
    planes = labels.reshape((1,) * (3 - ndim) + labels.shape)
    frame = Frame(Objects(planes, int(labels.max())), None, 0, spacing or (1.0,) * ndim)
    return {key[1]: values for key, values in measure(frame, FEATURES.values()).items()}


def of_one(mask):
    """Name of each feature -> numbers of the only object."""
    return {name: np.squeeze(values[0]) for name, values in measured(mask).items()}


def true_convex_image(mask):
    """scikit-image's, and where that is empty, the hull of the midpoints of all sides."""
    places = np.argwhere(mask)
    if mask.ndim == 2 or np.linalg.matrix_rank(places - places[0]) == 3:
        return convex_hull_image(mask)
    sides = np.concatenate([np.eye(3), -np.eye(3)]) / 2
    planes = ConvexHull((places[:, None] + sides).reshape(-1, 3)).equations
    grid = np.indices(mask.shape).reshape(3, -1)
    return (planes[:, :3] @ grid + planes[:, 3:] < 1e-10).all(axis=0).reshape(mask.shape)


def expected(mask):
    """The definitions, word by word."""
    convex = true_convex_image(mask)
    parts, count = ndimage.label(convex & ~mask)
    areas = [np.count_nonzero(parts == k) for k in range(1, count + 1)]
    own, whole = np.argwhere(mask).mean(axis=0), np.argwhere(convex).mean(axis=0)
    away = [np.linalg.norm(np.argwhere(parts == k).mean(axis=0) - own) for k in range(1, count + 1)]
    return {
        "area": convex.sum(),
        "solidity": mask.sum() / convex.sum(),
        "center": whole,
        "center_offset": np.linalg.norm(whole - own),
        "defect_count": count,
        "defect_share": sum(areas) / convex.sum(),
        "defect_area_mean": np.mean(areas) if count else 0,
        "defect_area_std": np.std(areas) if count else 0,
        "defect_area_max": max(areas, default=0),
        "defect_offset": np.average(away, weights=areas) if count else 0,
    }


def assert_right(labels):
    """Every number of every object."""
    found = measured(labels)
    for row in range(int(labels.max(initial=0))):
        for name, wanted in expected(labels == row + 1).items():
            np.testing.assert_allclose(np.squeeze(found[name][row]), wanted, **TOLERANCE, err_msg=name)


def masks(*longest):
    shapes = st.tuples(*(st.integers(1, n) for n in longest))
    return shapes.flatmap(lambda shape: hnp.arrays(bool, shape)).filter(np.any)


# ---------------------------------------------------------------------------- brute force


@examples(25)
@given(masks(9, 9))
def test_planes(mask):
    assert_right(mask.astype(int))


@examples(15)
@given(masks(5, 5, 6))
def test_volumes(mask):
    assert_right(mask.astype(int))


@examples(10)
@given(st.integers(2, 3), st.integers(0, 2**32), st.integers(2, 6))
def test_several_objects(ndim, seed, side):
    labels = np.random.default_rng(seed).integers(0, 4, (side,) * ndim)
    labels.flat[:3] = 1, 2, 3  # each of them, at the border
    assert_right(labels)


@examples(10)
@given(masks(7, 7), st.integers(0, 2))
def test_a_plane_in_a_volume_has_the_hull_of_the_plane(mask, axis):
    flat, volume = of_one(mask), of_one(np.expand_dims(mask, axis))
    np.testing.assert_allclose(volume["center"], np.insert(flat.pop("center"), axis, 0), **TOLERANCE)
    for name, wanted in flat.items():
        np.testing.assert_allclose(volume[name], wanted, **TOLERANCE, err_msg=name)


@examples(10)
@given(masks(6, 6) | masks(4, 4, 4))
def test_the_convex_image_holds_the_object_and_is_convex(mask):
    image = convex_image(mask)
    assert image.dtype == bool
    assert image.shape == mask.shape
    assert not (mask & ~image).any()
    assert np.array_equal(convex_image(mask[::-1])[::-1], image)
    assert np.array_equal(convex_image(mask.T).T, image)


@pytest.mark.parametrize("slope", [(1, 0, 0), (0, 1, 0), (0, 0, 1), (1, -1, 0), (1, 1, -2), (2, -3, 1)])
def test_large_flat_objects(slope):
    z, y, x = np.mgrid[:12, :15, :18]
    level = slope[0] * z + slope[1] * y + slope[2] * x == slope[0] * 5 + slope[1] * 4 + slope[2] * 7
    assert_right((level & ((y != 4) | (x < 8))).astype(int))


def test_larger_objects():
    y, x = np.mgrid[:90, :100]
    angle = np.arctan2(y - 45, x - 50)
    assert_right((np.hypot(y - 45, x - 50) < 30 + 12 * np.sin(5 * angle)).astype(int))
    z, y, x = np.mgrid[:20, :22, :24]
    far = np.hypot(np.hypot(z - 10, y - 11), x - 12)
    assert_right(((far < 9) & (np.abs(z - y) > 2)).astype(int))


# ---------------------------------------------------------------------------- known answers


def test_a_square_has_no_defects():
    mask = np.zeros((6, 7), bool)
    mask[2:5, 3:6] = True
    found = of_one(mask)
    assert found.pop("center").tolist() == [3, 4]  # row, column
    assert found == {name: 0 for name in NAMES if name != "center"} | {"area": 9, "solidity": 1}


def test_an_angle_has_one_defect():
    found = of_one(drawing("1..", "1..", "111"))
    np.testing.assert_allclose(found.pop("center"), [8 / 6, 4 / 6], rtol=1e-15)
    assert found == pytest.approx({
        "area": 6,
        "solidity": 5 / 6,
        "center_offset": np.hypot(8 / 6 - 1.4, 4 / 6 - 0.6),
        "defect_count": 1,
        "defect_share": 1 / 6,
        "defect_area_mean": 1,
        "defect_area_std": 0,
        "defect_area_max": 1,
        "defect_offset": np.hypot(0.4, 0.4),
    })  # fmt: skip


def test_the_hole_of_a_ring_is_a_defect():
    found = of_one(drawing("1111", "1..1", "1111"))
    assert (found["area"], found["defect_count"], found["defect_area_max"]) == (12, 1, 2)
    assert found["center"].tolist() == [1, 1.5]
    assert found["center_offset"] == found["defect_offset"] == 0


def test_a_plus_has_four_defects_if_its_arms_are_long():
    assert of_one(drawing(".1.", "111", ".1."))["area"] == 5
    mask = np.zeros((5, 5), bool)
    mask[2] = mask[:, 2] = True
    found = of_one(mask)
    assert (found["area"], found["defect_count"], found["defect_area_mean"]) == (13, 4, 1)
    assert found["defect_area_std"] == found["center_offset"] == 0
    assert found["defect_offset"] == pytest.approx(np.sqrt(2))


def test_defects_of_different_sizes():
    found = of_one(drawing("1.1..1", "111111"))
    assert (found["area"], found["solidity"], found["defect_share"]) == (12, 0.75, 0.25)
    assert (found["defect_count"], found["defect_area_mean"], found["defect_area_std"]) == (2, 1.5, 0.5)
    assert found["defect_area_max"] == 2


def test_defects_that_touch_over_a_corner_are_two():
    assert of_one(drawing("1111", "1.11", "11.1", "1111"))["defect_count"] == 2


def test_the_cavity_of_a_cube_is_a_defect():
    mask = np.ones((3, 3, 3), bool)
    mask[1, 1, 1] = False
    found = of_one(mask)
    assert (found["area"], found["defect_count"], found["defect_area_max"]) == (27, 1, 1)
    assert found["center"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("place", [(2, 3), (0, 0), (3, 5), (1, 0, 2), (0, 0, 0), (3, 4, 5)])
def test_one_pixel(place):
    mask = np.zeros((4, 5, 6)[: len(place)] if len(place) == 3 else (4, 6), bool)
    mask[place] = True
    found = of_one(mask)
    assert found["center"].tolist() == list(place)
    assert (found["area"], found["solidity"], found["defect_count"]) == (1, 1, 0)


@pytest.mark.parametrize("ndim", [2, 3])
def test_lines_are_convex(ndim):
    for axis in range(ndim):
        mask = np.zeros((5,) * ndim, bool)
        mask[tuple(slice(None) if a == axis else 2 for a in range(ndim))] = True
        assert (of_one(mask)["area"], of_one(mask)["defect_count"]) == (5, 0)
    diagonal = np.zeros((5,) * ndim, bool)
    diagonal[(np.arange(5),) * ndim] = True
    assert (of_one(diagonal)["area"], of_one(diagonal)["solidity"]) == (5, 1)


def test_pieces_far_apart_have_one_hull():
    found = of_one(drawing("1..1"))
    assert (found["area"], found["defect_count"], found["defect_area_max"]) == (4, 1, 2)


# ---------------------------------------------------------------------------- the set


@pytest.mark.parametrize("ndim", [2, 3])
def test_spacing_and_place_do_not_matter(ndim):
    mask = np.random.default_rng(1).random((5, 6, 7)[:ndim]) < 0.4
    far = np.zeros((30, 40, 50)[:ndim], bool)
    far[tuple(slice(20, 20 + n) for n in mask.shape)] = mask
    here, scaled = measured(mask), measured(mask, (3.0, 0.5, 0.7)[:ndim])
    there = measured(far)
    assert here["defect_count"] > 1
    for name, values in here.items():
        assert np.array_equal(values, scaled[name]), name
        if name == "center":
            np.testing.assert_allclose(there[name], values + 20, rtol=1e-15)
        else:
            assert np.array_equal(values, there[name]), name


def test_the_set():
    assert list(FEATURES) == NAMES
    for f in FEATURES.values():
        assert f.fits(2, 0)
        assert f.fits(3, 0)
        assert f.title == f"hull_{f.name}"  # `regionprops` has columns area and solidity
    assert FEATURES["center"].columns(3, 0) == ["hull_center-0", "hull_center-1", "hull_center-2"]
    assert [f.name for f in choose(["hull"], 2, 0, training=True)] == [n for n in NAMES if n != "center"]
