"""The region properties against scikit-image, whose definitions they follow.

Tolerances: 1e-9 of the number, and a floor for what is 0 but for rounding. A sum of terms of both
signs is known to 1e-12 of the sum of their magnitudes (n · 2**-53 < 1e-13 for objects as small as
these), so that is its floor; what is made of several such sums has the floor that follows.
"""

import re
import subprocess
import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from skimage.measure import regionprops, regionprops_table

from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.core import AnyArray, FloatArray, Objects
from objclass.features.contract import Feature
from objclass.features.engine import measure
from objclass.features.frame import Frame
from objclass.features.sets.regionprops import FEATURES
from tests.conftest import examples

regions: Any = regionprops  # not typed there
regions_table: Any = regionprops_table

NOT_TABLES = {
    "coords",
    "coords_scaled",
    "image",
    "image_convex",
    "image_filled",
    "image_intensity",
    "label",
    "slice",
}
RTOL, ROUNDING = 1e-9, 1e-12

SPACINGS: dict[int, list[tuple[float, ...]]] = {
    2: [(1.0, 1.0), (2.0, 2.0), (2.5, 0.3)],
    3: [(1.0, 1.0, 1.0), (3.0, 0.5, 0.7)],
}


# ---------------------------------------------------------------------------- both sides


def frame_of(labels: AnyArray, raw: AnyArray | None, spacing: Sequence[float]) -> Frame:
    """Make the frame of a label image of 2 or 3 axes; channels may be the last axis of ``raw``."""
    planes = labels.astype(np.uint32).reshape((1, 1, *labels.shape)[-3:])
    if raw is None:
        return Frame(Objects(planes, int(labels.max(initial=0))), None, 0, tuple(spacing))
    pixels = raw.reshape((*planes.shape, -1))
    objects = Objects(planes, int(labels.max(initial=0)))
    return Frame(objects, lambda where: pixels[where], pixels.shape[-1], tuple(spacing))


def fitting(frame: Frame) -> list[Feature]:
    """What of the set fits the frame."""
    return [f for f in FEATURES.values() if f.fits(frame.objects.ndim, frame.channels)]


def theirs(
    name: str, labels: AnyArray, raw: AnyArray | None, spacing: Sequence[float]
) -> dict[str, AnyArray] | None:
    """scikit-image's columns; None where it refuses."""
    floats = None if raw is None else raw.astype(np.float64)  # it sums float32 in float32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of empty hulls and of means without weight
        if name == "feret_diameter_max":  # it refuses objects one by one
            return {name: np.array([_feret(r) for r in regions(labels, spacing=spacing)])}
        try:
            table: dict[str, AnyArray] = regions_table(
                labels, floats, properties=(name,), spacing=tuple(spacing)
            )
        except NotImplementedError:
            return None
        return table


def _feret(region: Any) -> float:
    try:
        return float(region.feret_diameter_max)
    except ValueError:  # the hull of flat objects in 3D has no surface
        return np.nan


def magnitudes(
    labels: AnyArray, raw: AnyArray | None, spacing: Sequence[float], *, central: bool
) -> FloatArray:
    """Sums of |weight| · |row|^i · |column|^j … without cancellation, (n, 4, 4[, 4], channels)."""
    answer = []
    for label in range(1, int(labels.max(initial=0)) + 1):
        mask = labels == label
        places = np.argwhere(mask) * np.array(spacing)
        places -= places.min(axis=0)
        values = np.ones((len(places), 1))
        if raw is not None:
            values = raw[mask].astype(np.float64).reshape(len(places), -1)
        per_channel = []
        for weight in values.T:
            local = places
            if central:
                mass = weight.sum()
                local = places - (weight @ places / mass if mass else np.nan)
            total: AnyArray = np.zeros(())
            for point, w in zip(np.abs(local), np.abs(weight), strict=True):
                product = np.array(w)
                for x in point:
                    product = np.multiply.outer(product, x ** np.arange(4))
                total = total + product
            per_channel.append(total)
        answer.append(np.stack(per_channel, axis=-1))
    return np.array(answer)


@np.errstate(divide="ignore", invalid="ignore", over="ignore")
def floor_of(name: str, labels: AnyArray, raw: AnyArray | None, spacing: Sequence[float]) -> AnyArray | float:
    """Differences that rounding explains where the number itself is (nearly) 0."""
    weighted = raw if "weighted" in name else None
    if name.startswith("moments"):
        central = name not in ("moments", "moments_weighted")
        sums = magnitudes(labels, weighted, spacing, central=central)
        if name.endswith(("normalized", "hu")):
            d = labels.ndim
            mass = sums[(slice(None), *[slice(0, 1)] * d)]
            order = np.indices((4,) * d).sum(axis=0)[..., None]
            sums = sums / min(spacing) ** order / mass ** (order / d + 1)
        if name.endswith("hu"):
            order = np.indices((4, 4)).sum(axis=0)
            second = sums[:, order == 2].max(axis=1)
            third = sums[:, order == 3].max(axis=1)
            a, b = second, third
            # 100: terms in the longest of the invariants
            sums = 100 * np.stack([a, a**2, b**2, b**2, b**4, a * b**2, b**4], axis=1)
        return ROUNDING * sums.reshape(len(sums), -1)
    if name in ("intensity_mean", "intensity_std"):
        assert raw is not None
        channels = raw.reshape((*labels.shape, -1))
        largest = [abs(channels[labels == k].astype(float)).max(axis=0) for k in objects_in(labels)]
        squared = 2 if name == "intensity_std" else 1
        return ROUNDING * np.array(largest, dtype=np.float64) ** squared
    # lengths of an object of this size, and squares of them
    extent = np.array([np.ptp(np.argwhere(labels == k), axis=0) for k in objects_in(labels)])
    size: FloatArray = (extent * np.array(spacing)).max(axis=1, initial=0)[:, None]
    if name.startswith(("inertia", "axis")):
        return size * size * ROUNDING
    if name == "eccentricity":
        return ROUNDING
    return size * ROUNDING


def objects_in(labels: AnyArray) -> range:
    return range(1, int(labels.max()) + 1)


SQUARED = ("axis_major_length", "axis_minor_length", "intensity_std", "eccentricity")
"""Roots of differences: compared as squares, since a root blows up the rounding of 0."""


def assert_equals(
    labels: AnyArray,
    raw: AnyArray | None,
    spacing: Sequence[float],
    names: Sequence[str] | None = None,
) -> None:
    """Every property of every object, and the names of the columns."""
    frame = frame_of(labels, raw, spacing)
    if not frame.objects.count:
        return  # test_no_objects_still_have_columns
    features = [f for f in fitting(frame) if names is None or f.name in names]
    measured = measure(frame, features)
    for f in features:
        ours, expected = measured[f.key], theirs(f.name, labels, raw, spacing)
        assert ours.dtype == np.float64
        assert ours.shape == (frame.objects.count, len(f.columns(labels.ndim, frame.channels)))
        if expected is None:  # for no object
            assert np.isnan(ours).all(), f.name
            continue
        assert f.columns(labels.ndim, frame.channels) == list(expected)
        wanted = np.column_stack(list(expected.values())).astype(np.float64)
        if f.name == "orientation":
            assert_same_axes(ours, wanted, measured[FEATURES["inertia_tensor"].key])
            continue
        if f.name in SQUARED:
            ours, wanted = ours**2, wanted**2
        floor = floor_of(f.name, labels, raw, spacing)
        with np.errstate(invalid="ignore"):  # inf - inf
            right = np.abs(ours - wanted) <= RTOL * np.abs(wanted) + floor
        right |= (ours == wanted) | (np.isnan(ours) & np.isnan(wanted))
        assert right.all(), (f.name, ours[~right], wanted[~right])


def assert_same_axes(ours: AnyArray, wanted: AnyArray, tensor: AnyArray) -> None:
    """-π/2 and π/2 are one axis, and an object that is (nearly) alike all around has none."""
    a, b, _, c = tensor.T
    elongation = np.divide(np.hypot(a - c, 2 * b), a + c, out=np.zeros_like(a), where=a + c > 0)
    apart = np.abs(np.sin(ours - wanted))[:, 0]
    assert (apart * elongation <= RTOL).all()


def drawing(*rows: str) -> AnyArray:
    """Labels from a drawing."""
    return np.array([[int(c) if c.isdigit() else 0 for c in row] for row in rows])


def ramp(labels: AnyArray, dtype: type = float) -> AnyArray:
    """Pixel values, all different."""
    return ((np.arange(labels.size) * 37 % 101).reshape(labels.shape) / 3).astype(dtype)


# ---------------------------------------------------------------------------- the whole set


def test_has_every_property_that_is_a_few_numbers() -> None:
    documented = set(re.findall(r"\*\*(\w+)\*\*", regionprops.__doc__ or ""))
    assert set(FEATURES) == documented - NOT_TABLES


def test_every_property_is_defined_in_a_sentence() -> None:
    for f in FEATURES.values():
        assert f.definition.split("\n")[0].endswith((".", ";")), f.name
        assert f.title == f.name


def consecutive(labels: AnyArray) -> AnyArray:
    """Numbered from 1 without gaps."""
    return np.searchsorted(np.unique(np.append(labels, 0)), labels)


@st.composite
def scenes(draw: st.DrawFn, ndim: int) -> tuple[AnyArray, AnyArray, tuple[float, ...]]:
    """A label image (objects may be in pieces), pixel values and a spacing."""
    most = 9 if ndim == 2 else 5
    size = draw(st.tuples(*[st.integers(1 if ndim == 2 else 2, most)] * ndim))
    few = draw(st.integers(1, 3))
    labels = draw(hnp.arrays(np.uint8, size, elements=st.integers(0, few)))
    dtype = draw(st.sampled_from(["bool", "uint8", "uint16", "float32", "float64"]))
    channels = (2,) if draw(st.booleans()) else ()
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    values = (rng.random(size + channels) * rng.choice([1, 200])).astype(dtype)
    return consecutive(labels), values, draw(st.sampled_from(SPACINGS[ndim]))


@examples(15)
@given(scenes(ndim=2))
def test_equals_scikit_image_in_2d(
    scene: tuple[AnyArray, AnyArray, tuple[float, ...]],
) -> None:
    assert_equals(*scene)


@examples(15)
@given(scenes(ndim=3))
def test_equals_scikit_image_in_3d(
    scene: tuple[AnyArray, AnyArray, tuple[float, ...]],
) -> None:
    assert_equals(*scene)


@examples(12)
@given(st.one_of(scenes(ndim=2), scenes(ndim=3)), st.integers(1, 40))
def test_blocks_give_the_same_bits(scene: tuple[AnyArray, AnyArray, tuple[float, ...]], voxels: int) -> None:
    frame = frame_of(*scene)
    features = fitting(frame)
    limits = Limits(block=(voxels % 3 + 1, voxels), jobs=voxels % 2 + 1)
    whole, cut = measure(frame, features), measure(replace(frame, context=Context(limits)), features)
    for f in features:
        np.testing.assert_array_equal(whole[f.key], cut[f.key], err_msg=f.name)


# ---------------------------------------------------------------------------- by hand


DRAWINGS = {
    "pixel": drawing("1"),
    "pixel in a corner": drawing("...", "...", "..1"),
    "row": drawing("11111"),
    "column": drawing(".1", ".1", ".1"),
    "diagonal": drawing("1...", ".1..", "..1.", "...1"),
    "square": drawing("...", ".11", ".11"),
    "disc": drawing(".111.", "11111", "11111", "11111", ".111."),
    "corner": drawing("1..", "1..", "111"),
    "ring": drawing("1111", "1..1", "1111"),
    "hole that opens over a corner": drawing(".111", "1..1", "1.11", "111."),
    "two holes": drawing("11111", "1.1.1", "11111"),
    "object in a hole": drawing("11111", "1...1", "1.2.1", "1...1", "11111"),
    "pieces far apart": drawing("1......", ".......", "......1"),
    "pieces in three lines": drawing("1.....", "......", "...1..", "......", ".....1"),
    "all": drawing("1111", "1111", "1111"),
}


@pytest.mark.parametrize("name", list(DRAWINGS))
@pytest.mark.parametrize("spacing", SPACINGS[2])
def test_drawings(name: str, spacing: tuple[float, ...]) -> None:
    labels = DRAWINGS[name]
    assert_equals(labels, ramp(labels), spacing)


def test_numbers_that_one_can_check_by_hand() -> None:
    labels = DRAWINGS["ring"]
    frame = frame_of(labels, None, (1.0, 1.0))
    found = {key[1]: numbers[0] for key, numbers in measure(frame, fitting(frame)).items()}
    assert found["area"] == 10
    assert found["area_filled"] == found["area_convex"] == found["area_bbox"] == 12
    assert found["euler_number"] == 0
    assert found["bbox"].tolist() == [0, 0, 3, 4]
    assert found["centroid"].tolist() == [1, 1.5]
    assert found["feret_diameter_max"] == np.hypot(4, 2)
    assert found["perimeter"] == 10


def solids() -> dict[str, AnyArray]:
    """Objects in 3D that are special in some way."""
    z, y, x = np.mgrid[:7, :8, :9]
    ball = (z - 3) ** 2 + (y - 3) ** 2 + (x - 4) ** 2 <= 10
    hollow = ball & ((z - 3) ** 2 + (y - 3) ** 2 + (x - 4) ** 2 > 1)
    tunnel = ball & ((y != 3) | (x != 4))
    plane, line, dot = z == 2, (z == 2) & (y == 3), (z == 2) & (y == 3) & (x == 8)
    return {
        "ball": ball,
        "hollow": hollow,
        "tunnel": tunnel,
        "plane": plane,
        "slanted plane": (x + y == 2 * z) & (z > 0),
        "line": line,
        "dot": dot,
        "all": z >= 0,
    }


@pytest.mark.parametrize("name", list(solids()))
@pytest.mark.parametrize("spacing", SPACINGS[3])
def test_solids(name: str, spacing: tuple[float, ...]) -> None:
    labels = solids()[name].astype(int)
    assert_equals(labels, ramp(labels), spacing)


def test_flat_objects_in_3d_have_no_hull() -> None:
    names = ("area_convex", "solidity", "feret_diameter_max")
    frame = frame_of(solids()["slanted plane"].astype(int), None, (1.0, 1.0, 1.0))
    found = measure(frame, [FEATURES[name] for name in names])
    np.testing.assert_array_equal(np.hstack(list(found.values())), [[0, np.inf, np.nan]])


def test_a_larger_object_has_the_hull_of_scikit_image() -> None:
    y, x = np.mgrid[:150, :170]
    wavy = np.hypot(y - 75, x - 85) < 50 + 20 * np.sin(5 * np.arctan2(y - 75, x - 85))
    assert_equals(wavy.astype(int), None, (1.0, 1.0), ("area_convex", "feret_diameter_max"))
    z, y, x = np.mgrid[:30, :30, :30]
    egg = (z - 15) ** 2 / 2 + (y - 14) ** 2 + (x - y / 2 - 8) ** 2 * 1.3 < 90
    assert_equals(egg.astype(int), None, (1.0, 2.0, 0.5), ("area_convex", "feret_diameter_max"))


# ---------------------------------------------------------------------------- pixel values


SCENE = drawing("1111..2", "1..1.22", "1111..2", ".......", "33.4444")

VALUES = {
    "zero": np.zeros(SCENE.shape),
    "zero in one object": np.where(SCENE == 2, 0.0, ramp(SCENE)),
    "constant": np.full(SCENE.shape, 0.1),
    "large": ramp(SCENE) * 1e30,
    "nearly constant": 1e6 + ramp(SCENE) * 1e-3,
    "NaN in one object": np.where((SCENE == 2) & (ramp(SCENE) > 10), np.nan, ramp(SCENE)),
    "infinite in one object": np.where((SCENE == 4) & (ramp(SCENE) > 10), np.inf, ramp(SCENE)),
    "some negative": np.where(ramp(SCENE) < 3, -ramp(SCENE), ramp(SCENE)),
    "all negative": -1 - ramp(SCENE),
}


@pytest.mark.parametrize("name", list(VALUES))
def test_values(name: str) -> None:
    assert_equals(SCENE, VALUES[name], (1.0, 1.0))


@pytest.mark.parametrize(
    "dtype", [bool, np.uint8, np.int16, np.uint16, np.uint32, np.float16, np.float32, np.float64]
)
def test_dtypes(dtype: type) -> None:
    assert_equals(SCENE, ramp(SCENE, dtype), (1.0, 1.0))


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_channels(channels: int) -> None:
    values = np.stack([ramp(SCENE) ** (k + 1) for k in range(channels)], axis=-1)
    assert_equals(SCENE, values if channels > 1 else values[..., 0], (2.0, 0.5))


def test_values_are_not_rounded_to_float32() -> None:
    values = np.full(SCENE.shape, 16777217.0)  # 2**24 + 1
    found = measure(frame_of(SCENE, values, (1.0, 1.0)), [FEATURES["intensity_median"]])
    assert (found["regionprops", "intensity_median"] == 16777217).all()


def test_nan_beside_an_object_does_not_spoil_its_moments() -> None:
    values = np.where((SCENE == 0), np.nan, ramp(SCENE))
    names = ("moments_weighted", "moments_weighted_central", "centroid_weighted", "intensity_mean")
    features = [FEATURES[name] for name in names]
    found = measure(frame_of(SCENE, values, (1.0, 1.0)), features)
    clean = measure(frame_of(SCENE, ramp(SCENE), (1.0, 1.0)), features)
    for key, numbers in found.items():
        np.testing.assert_array_equal(numbers, clean[key])


# ---------------------------------------------------------------------------- the contract


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("channels", [0, 1, 3])
def test_no_objects_still_have_columns(ndim: int, channels: int) -> None:
    labels = np.zeros((4,) * ndim, int)
    raw = np.zeros((*labels.shape, channels)) if channels else None
    frame = frame_of(labels, raw, (1.0,) * ndim)
    features = fitting(frame)
    found = measure(frame, features)
    for f in features:
        columns = f.columns(ndim, channels)
        assert found[f.key].shape == (0, len(columns))
        single = raw[..., 0] if raw is not None and channels == 1 else raw
        expected = theirs(f.name, labels, single, (1.0,) * ndim)
        if expected is not None and not (ndim == 3 and f.name == "feret_diameter_max"):
            # without objects scikit-image makes one up, with a single channel
            assert channels > 1 or columns == list(expected)


def test_without_raw_data_the_shape_remains() -> None:
    frame = frame_of(SCENE, None, (1.0, 1.0))
    assert {f.name for f in fitting(frame)} == {
        name for name in FEATURES if not name.startswith("intensity") and "weighted" not in name
    }
    assert_equals(SCENE, None, (1.0, 1.0))


def test_an_object_is_the_same_wherever_it_lies_and_whatever_is_beside_it() -> None:
    alone = drawing("111", "1.1", "1..")
    moved = np.zeros((40, 50), int)
    moved[30:33, 41:44] = alone
    moved[32, 43] = moved[31, 42] = 2
    values = np.zeros(moved.shape)
    values[30:33, 41:44] = ramp(alone)
    here, there = frame_of(alone, ramp(alone), (1.0, 1.0)), frame_of(moved, values, (1.0, 1.0))
    features = fitting(here)
    first, second = measure(here, features), measure(there, features)
    for f in features:
        shift = np.zeros(first[f.key].shape[1])
        if f.name in ("centroid", "centroid_weighted", "bbox"):
            shift[:] = [30, 41] * (len(shift) // 2)
        np.testing.assert_allclose(second[f.key][0], first[f.key][0] + shift, rtol=1e-14)


def test_orientation_of_a_mirrored_object_does_not_hang_on_rounding() -> None:
    # a mirror symmetry along the rows, whose mean is no binary fraction
    labels = drawing("11111.", "111111", "11111.")
    frame = frame_of(labels, None, (1.0, 1.0))
    assert measure(frame, [FEATURES["orientation"]])["regionprops", "orientation"] == np.pi / 2


def test_measuring_does_not_import_scikit_image() -> None:
    program = (
        "import sys, numpy as np\n"
        "from objclass.core import Objects\n"
        "from objclass.features import Frame, measure\n"
        "from objclass.features.sets.regionprops import FEATURES\n"
        "frame = Frame(Objects(np.ones((3, 3, 3), np.uint32), 1), None, 0, (1.0, 1.0, 1.0))\n"
        "measure(frame, [f for f in FEATURES.values() if f.fits(3, 0)])\n"
        "assert 'skimage' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
