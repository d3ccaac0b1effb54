"""Bounding boxes and their defects: known answers, brute force, ilastik's own numbers."""

import csv
import json

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage, stats

from objclass.core import Objects, to_canonical
from objclass.features.engine import measure
from objclass.features.frame import Frame
from objclass.features.sets import ilastik_hull as hull
from objclass.features.sets.ilastik_hull import LEFT_OVER, PLANE, VOLUME, Defects
from objclass.features.statistics.per_object import Crop
from objclass.segmentation.labelling import label
from tests.conftest import examples

SETS = {2: PLANE, 3: VOLUME}
CASES_2D = (
    "blobs2d", "rgb2d", "series2dt", "labels2d", "pred2d", "float2d", "hard2d", "advanced2d",
    "multichan2", "pred2dt", "po2d",
)  # fmt: skip
CASES_3D = ("blobs3d", "hard3d", "pred3d", "labels3d", "advanced3d")


def measured(labels):
    """Name of each feature -> numbers."""
    labels = np.asarray(labels, np.uint32)
    ndim = labels.ndim
    objects = Objects(labels.reshape((1,) * (3 - ndim) + labels.shape), int(labels.max()))
    frame = Frame(objects, None, 0, (1.0,) * ndim)
    return {f.name: values for f, values in zip(
        SETS[ndim].values(), measure(frame, SETS[ndim].values()).values(), strict=True
    )}  # fmt: skip


def test_the_features_are_those_of_ilastik():
    names = [
        "InputVolume", "HullVolume", "Convexity", "InputCenter", "HullCenter", "DefectCount",
        "DefectVolumeMean", "DefectVolumeVariance", "DefectVolumeSkewness", "DefectVolumeKurtosis",
        "DefectDisplacementMean", "DefectCenter",
    ]  # fmt: skip
    assert list(PLANE) == list(VOLUME) == names
    assert not any(f.looks_at_pixels for f in [*PLANE.values(), *VOLUME.values()])


def test_an_angle():
    labels = np.zeros((6, 7))
    labels[2:4, 3] = labels[3, 4] = 1  # x 3, 3, 4; y 2, 3, 3
    found = {name: values[0].tolist() for name, values in measured(labels).items()}
    away = np.float32(np.hypot(4 - 10 / 3, 2 - 8 / 3))
    assert found == {
        "InputVolume": [3],
        "HullVolume": [4],
        "Convexity": [0.75],
        "InputCenter": [np.float32(10 / 3), np.float32(8 / 3)],
        "HullCenter": [3.5, 2.5],
        "DefectCount": [1],
        "DefectVolumeMean": [1],
        "DefectVolumeVariance": [0],
        "DefectVolumeSkewness": [0],
        "DefectVolumeKurtosis": [0],
        "DefectDisplacementMean": [away],
        "DefectCenter": [4, 2],
    }


@pytest.mark.parametrize("ndim", [2, 3])
def test_defects_of_one_size_have_no_skewness(ndim):
    cross = np.zeros((3,) * ndim)
    for axis in range(ndim):
        cross[tuple(slice(None) if a == axis else 1 for a in range(ndim))] = 1
    if ndim == 3:
        cross[1] = cross[:, 1] = cross[:, :, 1] = 1  # three planes leave eight corners
    found = measured(cross)
    assert found["DefectCount"].item() == 2**ndim
    assert found["DefectVolumeMean"].item() == 1
    assert found["DefectVolumeVariance"].item() == 0
    assert np.isnan([found["DefectVolumeSkewness"], found["DefectVolumeKurtosis"]]).all()
    assert found["DefectDisplacementMean"].item() == np.float32(ndim**0.5)


def test_defects_touching_at_a_corner_are_two():
    assert measured([[1, 0, 1], [0, 1, 1], [1, 1, 1]])["DefectCount"].item() == 2


def test_the_defect_centre_of_full_boxes_is_that_of_the_object_before():
    labels = np.zeros((12, 12))
    labels[0:2, 0:2] = 1  # full, and nothing before
    labels[4:7, 4:7] = 2
    labels[4, 4] = 0
    labels[9, 1:5] = 3  # full
    labels[11, 8] = 4  # full
    found = measured(labels)["DefectCenter"].tolist()
    assert found == [list(LEFT_OVER), [4, 4], [1, 9], [8, 11]]
    assert np.isnan(measured(np.ones((2, 2, 2)))["DefectCenter"]).all()


def brute_force(mask):
    """Moments from scipy, components one by one."""
    where = ndimage.find_objects(mask.astype(int))[0]
    box = mask[where]
    labels, count = ndimage.label(~box)
    sizes = np.array([(labels == k).sum() for k in range(1, count + 1)])
    middle = np.argwhere(box).mean(axis=0)
    away = [np.linalg.norm(np.argwhere(labels == k).mean(axis=0) - middle) for k in range(1, count + 1)]
    uneven = len(set(sizes.tolist())) > 1  # else scipy warns, and says 0 or NaN
    return [
        count,
        sizes.mean() if count else 0,
        sizes.var(ddof=1) if count > 1 else 0,
        (stats.skew(sizes, bias=False) if uneven else np.nan) if count > 2 else 0,
        (stats.kurtosis(sizes, bias=False) if uneven else np.nan) if count > 3 else 0,
        np.average(away, weights=sizes) if count else 0,
    ]


@pytest.mark.parametrize("shape", [(9, 11), (5, 6, 7)])
def test_brute_force(shape):
    rng = np.random.default_rng(2)
    for density in np.linspace(0.2, 0.95, 40):
        mask = rng.random(shape) < density
        crop = Crop(
            mask[ndimage.find_objects(mask.astype(int))[0]], None, (0,) * len(shape), (1,) * len(shape)
        )
        # other orders of sums; kurtosis takes 3 off
        assert np.allclose(Defects.of(crop)[:6], brute_force(mask), rtol=1e-11, atol=1e-11, equal_nan=True)


@examples(15)
@given(st.integers(0, 10**6), st.sampled_from([(1, 40, 50), (9, 12, 14)]), st.floats(0.01, 0.99))
def test_compiled_and_one_by_one_are_equal(seed, shape, density):
    rng = np.random.default_rng(seed)
    labels = rng.integers(1, 6, shape) if seed % 2 else label(rng.random(shape) < density).labels
    objects = Objects(labels.astype(np.uint32), int(labels.max()))
    frame = Frame(objects, None, 0, (1.0,) * objects.ndim)
    boxes = ndimage.find_objects(labels)
    low = np.array([[s.start for s in reversed(box)] for box in boxes])[:, : objects.ndim]
    high = np.array([[s.stop for s in reversed(box)] for box in boxes])[:, : objects.ndim]
    for row, box in enumerate(boxes):
        mask = labels[box] == row + 1
        one = Defects.of(Crop(mask[0] if objects.ndim == 2 else mask, None, (0,) * objects.ndim, ()))
        many = hull.measured(hull.defects.compiled, frame, low[row:], high[row:], row + 1)[0]
        assert np.array_equal(one, many, equal_nan=True)


def test_boxes_that_are_too_large_are_left_to_cc3d(monkeypatch):
    labels = label(np.random.default_rng(0).random((1, 20, 20)) < 0.4).labels
    monkeypatch.setattr(hull.defects, "choose", lambda *_: hull.defects.compiled)
    fast = measured(labels[0])
    monkeypatch.setattr(hull, "SLAB", 3)
    slow = measured(labels[0])
    assert all(np.array_equal(fast[name], slow[name], equal_nan=True) for name in fast)


@examples(10)
@given(arrays(bool, st.tuples(*[st.integers(1, 6)] * 2)), st.integers(0, 9), st.integers(0, 9))
def test_moving_an_object_moves_its_centres(mask, dy, dx):
    mask = mask.copy()
    mask[0, 0] = mask[-1, -1] = True
    before = measured(mask)
    labels = np.zeros((16, 16))
    labels[dy : dy + mask.shape[0], dx : dx + mask.shape[1]] = mask
    for name, values in measured(labels).items():
        if name.endswith("Center"):
            # rounded to float32 after the move, whose spacing is 2e-6 at 16
            assert np.allclose(values, before[name] + np.float32([dx, dy]), rtol=0, atol=2e-6)
        else:
            assert np.array_equal(values, before[name], equal_nan=True), name


@pytest.mark.parametrize("case", CASES_2D + CASES_3D)
def test_every_column_equals_that_of_ilastik(shared, case):
    """As float32, NaN positions included, from ilastik's own label image."""
    compared = 0
    for part in ("train", "test"):
        with (shared / f"golden/{case}/expected/{part}_table.csv").open() as file:
            rows = list(csv.DictReader(file))
        for t, labels in enumerate(label_image(shared / f"golden/{case}/expected/{part}_identities.h5")):
            here = [row for row in rows if int(row["timestep"]) == t]
            features = SETS[2 if case in CASES_2D else 3].values()
            frame = Frame(Objects(labels, len(here)), None, 0, (1,) * (2 if case in CASES_2D else 3))
            for f, values in zip(features, measure(frame, features).values(), strict=True):
                names = f.columns(frame.objects.ndim, 0)
                expected = np.array([[row[name] for name in names] for row in here], np.float32)
                assert np.array_equal(expected, values, equal_nan=True), f.name
                compared += 1
    assert compared >= 24


def label_image(path):
    with h5py.File(path) as file:
        tags = json.loads(file["exported_data"].attrs["axistags"])["axes"]
        return to_canonical(file["exported_data"][()], "".join(axis["key"] for axis in tags))[..., 0]


def test_the_first_defect_centre_of_a_time_step(shared):
    """The two time steps that are known to begin with full boxes."""
    folder = shared / "golden/real/ObjectClassification5t2d1c_wSeg_trained/expected"
    with (folder / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    for t, labels in enumerate(label_image(folder / "identities.h5")):
        here = [row for row in rows if int(row["timestep"]) == t]
        expected = [[float(row[f"Defect Center_{k}"]) for k in range(2)] for row in here]
        assert np.array_equal(measured(labels[0])["DefectCenter"], np.array(expected, np.float32))
