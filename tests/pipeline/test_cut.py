"""A lane cut among workers has exactly the results of one process."""

import logging
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest

from objclass import registry
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.core import PIXEL_ROLE, Lane
from objclass.errors import LaneError
from objclass.features.contract import feature_set
from objclass.images import from_array, open_image
from objclass.images.window import common, within
from objclass.pipeline.cut import Parts, cut_lane, parts_of, prepared
from objclass.pipeline.cut.run import Work
from objclass.pipeline.cut.tasks import Stage
from objclass.pipeline.inputs import computed, open_lanes
from objclass.pipeline.lane import Clock, run_lane
from objclass.pipeline.pairing import Inputs
from objclass.pipeline.plan import Plan, plan_for
from objclass.pixels.chain import PixelChain
from objclass.project.open import open_project
from objclass.settings import ThresholdSettings
from tests.conftest import SAMPLES
from tests.pixels.test_prediction import classifier
from tests.test_invariant import PATTERNS, objects_of, pixels_of
from tests.workers import PickledWorkers

ROLES = ("segmentation_image", "label_image", "prediction_maps")


def plan_of(lane, sets=(), **threshold):
    """All features of these sets (of all sets) that are defined for a lane."""
    features = [
        feature
        for name in sets or registry.FEATURE_SETS
        for feature in feature_set(name).values()
        if feature.fits(lane.objects.ndim, lane.channels)
    ]
    return Plan(tuple(features), tuple(features), ThresholdSettings(**threshold), margin=(3, 2, 1))


def whole_of(labels):
    return np.asarray(labels[tuple(slice(0, n) for n in labels.shape)])


def box_of(z, y=(0, 4), x=(0, 5)):
    return slice(*z), slice(*y), slice(*x)


def test_the_box_in_common():
    assert common(box_of((0, 4)), box_of((2, 9), (1, 3))) == box_of((2, 4), (1, 3))
    voxels = np.ones((4, 4, 5))
    for a, b in [((0, 4), (6, 10)), ((6, 10), (0, 4)), ((0, 4), (4, 8))]:
        both = common(box_of(a), box_of(b))
        assert voxels[within(both, box_of(a))].shape == voxels[within(both, box_of(b))].shape == (0, 4, 5)


def assert_equal(found, expected):
    """The same steps, bit by bit."""
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        assert (a.t, a.objects.count) == (b.t, b.objects.count)
        np.testing.assert_array_equal(whole_of(a.objects.labels), whole_of(b.objects.labels))
        same(a.objects.original, b.objects.original)
        same(a.table.label, b.table.label)
        same(a.table.timestep, b.table.timestep)
        assert list(a.table.values) == list(b.table.values)
        assert list(a.table.given) == list(b.table.given)
        for key, column in b.table.values.items():
            same(a.table.values[key], column, key)
        for name, column in b.table.given.items():
            same(a.table.given[name], column, name)
        assert (a.predictions is None) == (b.predictions is None)
        if a.predictions is not None:
            same(a.predictions.probabilities, b.predictions.probabilities)
            same(a.predictions.novelty, b.predictions.novelty)


def same(a, b, name=""):
    if b is None:
        assert a is None
        return
    assert (a.dtype, a.shape) == (b.dtype, b.shape), name
    np.testing.assert_array_equal(a, b, str(name))
    if a.dtype.kind == "f":
        np.testing.assert_array_equal(np.signbit(a), np.signbit(b), str(name))


def compare(lane, plan, folder, parts=None, workers=None):
    expected = list(run_lane(lane, plan))
    found = list(cut_lane(lane, plan, Context(), workers or PickledWorkers(), str(folder), parts=parts))
    assert_equal(found, expected)
    return expected


def lane_of(rng, role, pattern, shape, *, channels=1, dtype="uint8", atlas=False):
    """A lane of these objects; shape t, z, y, x."""
    objects = from_array(objects_of(rng, role, pattern, (*shape, 1)), "tzyxc")
    raw = from_array(pixels_of(rng, dtype, (*shape, channels)), "tzyxc")
    of_atlas = from_array(pixels_of(rng, "uint16", (*shape, 2)), "tzyxc") if atlas else None
    return Lane(raw, objects, role, "lane", "", of_atlas)


@pytest.mark.parametrize(("shape", "block"), [((1, 1, 20, 17), (1, 7)), ((1, 5, 8, 9), (2, 8))])
def test_all_features(shape, block, tmp_path, rng):
    lane = lane_of(rng, "segmentation_image", "blobs", shape, atlas=True)
    compare(lane, plan_of(lane), tmp_path, Parts(shape[1:], block))


CHEAP = ("Default features", "Standard Object Features", "2D Convex Hull Features", "3D Convex Hull Features")

THRESHOLDS = {
    "threshold": [0.3, 0.5, 0.7],
    "core_threshold": [0.6, 0.8],
    "core_channel": [0, 1],
    "smooth": [0.0, 0.7, 1.5],
    "min_size": [0, 3, 10],
    "max_size": [None, 20, 60],
    "method": ["simple", "hysteresis"],
}

LIMITS = (Limits(), Limits(jobs=2), Limits(None, (2, 5)), Limits(20_000, (3, 11), 2))


def trial(seed, folder):
    """A random lane in random parts, done by workers that have trouble."""
    rng = np.random.default_rng(seed)
    depth = rng.choice([1, rng.integers(2, 12)])
    longest = 15 if depth > 1 else 40
    shape = (int(rng.integers(1, 3)), int(depth), *rng.integers(3, longest, 2).tolist())
    role, pattern = ROLES[rng.integers(3)], list(PATTERNS)[rng.integers(len(PATTERNS))]
    kinds = {
        "channels": int(rng.choice([1, 1, 2])),
        "dtype": str(rng.choice(["u1", "u2", "f4", "i4"])),
        "atlas": rng.random() < 0.3,
    }
    lane = lane_of(rng, role, pattern, shape, **kinds)
    threshold = {name: of[rng.integers(len(of))] for name, of in THRESHOLDS.items()}
    plan = plan_of(lane, CHEAP, **(threshold if role == "prediction_maps" else {}))
    block = (int(rng.integers(1, depth + 1)), shape[2])
    if depth == 1 or rng.random() < 0.4:
        block = (1, int(rng.integers(1, shape[2] + 1)))
    parts = Parts(shape[1:], block, int(rng.choice([20, 64, 1 << 18])))
    workers = PickledWorkers(seed, 2, LIMITS[rng.integers(len(LIMITS))])
    compare(lane, plan, folder, parts if rng.random() < 0.9 else None, workers)


@pytest.fixture
def no_check(monkeypatch):
    """Objects that must be in memory whole are let through, however little there is."""
    monkeypatch.setattr("objclass.features.frame.Frame.check_boxes", lambda *_, **__: None)


@pytest.mark.usefixtures("no_check")
@pytest.mark.parametrize("seed", range(4))
def test_random_lanes(seed, tmp_path):
    trial(seed, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("no_check")
@pytest.mark.parametrize("seed", range(4, 400))
def test_many_random_lanes(seed, tmp_path):
    trial(seed, tmp_path)


@pytest.mark.parametrize("number", range(1, 8))
def test_a_comb_that_joins_in_the_last_plane(number, tmp_path):
    """Its teeth go through all parts, and only the last one shows that they are one object."""
    mask = np.zeros((1, 14, 3, 9, 1), np.uint8)
    mask[:, :, :, ::2] = 1
    mask[:, -1, 0] = 1
    image = from_array(mask, "tzyxc")
    lane = Lane(None, image, "segmentation_image", "lane", "")
    (step,) = compare(lane, plan_of(lane), tmp_path, Parts((14, 3, 9), (14 // number, 3)))
    assert step.objects.count == 1


@pytest.mark.parametrize("steps", [1, 5])
def test_what_is_small_is_cut_by_time_steps(steps, tmp_path, rng):
    lane = lane_of(rng, "label_image", "blobs", (steps, 1, 12, 12))
    workers = PickledWorkers(count=2)
    compare(lane, plan_of(lane, CHEAP), tmp_path, None, workers)
    assert steps <= workers.tasks <= 2 * steps


@pytest.mark.parametrize("name", ["cells", "spots3d"])
def test_predictions(name, tmp_path):
    """Projects with forests, for which the first objects of a part may need the last of another one."""
    folder = f"{SAMPLES}/{name}"
    objects = {"cells": "segmentation", "spots3d": "label_image"}[name]
    raw, image = open_image(f"{folder}.tif"), open_image(f"{folder}_{objects}.tif")
    lane = Lane(raw, image, objects if name == "spots3d" else "segmentation_image", name, "")
    shape = lane.objects.shape[1:4]
    block = (-(-shape[0] // 4), shape[1]) if shape[0] > 1 else (1, 60)
    compare(lane, plan_for(open_project(f"{folder}.ilp"), [lane]), tmp_path, Parts(shape, block))


def test_what_is_taken_over_from_an_object_of_another_part(tmp_path):
    """Objects that fill their boxes have the centre of defects of the object before; forests see it."""
    image = np.zeros((1, 1, 40, 9, 1), np.uint8)
    image[0, 0, 1:3, 1:4, 0], image[0, 0, 1, 3] = 1, 0
    image[0, 0, 4::2, 1:4] = 1
    lane = Lane(from_array(image, "tzyxc"), from_array(image, "tzyxc"), "segmentation_image", "lane", "")
    (step,) = compare(lane, plan_of(lane, CHEAP), tmp_path, Parts((1, 40, 9), (1, 7)))
    assert step.objects.count == 19


# ---------------------------------------------------------------------------- computed pixels


NOISE = 77
"""Seed of classifiers by which all lanes below have several objects."""


def lane_of_pixels(rng, shape, role="prediction_maps", stages=1, *, masked=False):
    """A lane whose probabilities are computed; shape t, z, y, x, c."""
    raw = from_array(pixels_of(rng, "uint8", shape), "tzyxc")
    mask = from_array((rng.random(shape[:4]) < 0.9).astype(np.uint8), "tzyx") if masked else None
    noise = np.random.default_rng(NOISE)
    trained = [classifier(shape[1], shape[4] + 3 * number, rng=noise) for number in range(stages)]
    chain = PixelChain(tuple(trained), "")
    lane = Lane(raw, computed(chain, raw, None, mask, None, Context()), role, "lane", "", None, mask)
    return lane, replace(plan_of(lane, CHEAP, threshold=0.4, smooth=0.7), pixels=chain)


@pytest.mark.parametrize(
    ("shape", "block", "stages", "masked"),
    [
        ((1, 1, 60, 45, 1), (1, 20), 1, True),
        ((2, 8, 20, 28, 2), (3, 20), 1, False),
        ((1, 8, 20, 28, 1), (3, 20), 2, False),
        ((4, 1, 30, 28, 1), None, 1, False),
        ((1, 1, 30, 28, 1), None, 2, True),
    ],
)
def test_probabilities_are_computed_once(shape, block, stages, masked, tmp_path, rng, monkeypatch):
    monkeypatch.setattr("objclass.pixels.prediction.SMALLEST_CUBE", 1 << 12)
    monkeypatch.setattr("objclass.pipeline.cut.pixels.TILE_VOXELS", 1 << 10)
    lane, plan = lane_of_pixels(rng, shape, stages=stages, masked=masked)
    workers, parts = PickledWorkers(count=2), block and Parts(shape[1:4], block)
    expected = list(run_lane(lane, plan))
    ready = prepared(lane, plan, workers, str(tmp_path))
    found = list(cut_lane(ready, plan, Context(), workers, str(tmp_path), parts=parts))
    assert_equal(found, expected)
    assert sum(step.objects.count for step in found) > 3
    np.testing.assert_array_equal(ready.objects.read(), lane.objects.read())
    there = pickle.loads(pickle.dumps(ready.objects))
    region = (slice(0, 1), slice(0, shape[1]), slice(7, 19), slice(5, 6), slice(1, 3))
    np.testing.assert_array_equal(there.read(region), lane.objects.read(region))


@pytest.mark.parametrize("steps", [1, 5])
def test_pixels_alone(steps, tmp_path, rng):
    lane, plan = lane_of_pixels(rng, (steps, 1, 40, 45, 1), PIXEL_ROLE)
    workers = PickledWorkers(count=2)
    ready = prepared(lane, plan, workers, str(tmp_path))
    for step in cut_lane(ready, plan, Context(), workers, str(tmp_path)):
        assert step.objects.count == len(step.table) == 0
        assert step.objects.labels.shape == (1, 40, 45)
        frame = lane.objects.frame(step.t)
        np.testing.assert_array_equal(ready.objects.read(frame), lane.objects.read(frame))


# ---------------------------------------------------------------------------- ilastik's projects

GOLDEN = ("pred3d", "labels3d", "advanced2d", "hard3d", "series2dt", "multichan2", "po2d")


@pytest.mark.parametrize(
    "case", [*GOLDEN[:3], *(pytest.param(case, marks=pytest.mark.slow) for case in GOLDEN[3:])]
)
def test_projects_of_ilastik(case, shared, tmp_path):
    """What one process makes of them is ilastik's own answer, by other tests."""
    folder = shared / "golden" / case
    project = open_project(str(folder / f"{case}.ilp"))
    chain = project.pixels if project.classifies_pixels else None
    paths = {"raw_data": [str(folder / "test_raw.h5")]}
    if chain is None:
        paths[project.role] = [str(folder / f"test_{project.role}.h5")]
    (lane,) = open_lanes(Inputs(paths), project, Context(), chain)
    _, depth, height, _ = lane.objects.shape[:4]
    block = (-(-depth // 3), height) if depth > 1 else (1, -(-height // 3))
    compare(lane, plan_for(project, [lane]), tmp_path, Parts(lane.objects.shape[1:4], block))


# ---------------------------------------------------------------------------- faults and messages


def test_messages_of_tasks_are_logged_once(tmp_path, caplog):
    """As many times as without workers; a task that was done twice says nothing twice."""
    caplog.set_level(logging.INFO, logger="objclass")
    maps = np.zeros((1, 6, 5, 5, 1), np.float32)
    maps[:, 2:4] = 7
    lane = Lane(None, from_array(maps, "tzyxc"), "prediction_maps", "lane", "")
    plan = plan_of(lane, threshold=0.5)
    list(run_lane(lane, plan))
    expected = caplog.messages.copy()
    caplog.clear()
    compared = cut_lane(
        lane, plan, Context(), PickledWorkers(), str(tmp_path), parts=Parts((6, 5, 5), (1, 5))
    )
    list(compared)
    assert caplog.messages == expected != []


def noisy(stage, context, number):
    logging.getLogger("objclass").warning("that of %d", number % 2)
    return number


def test_other_messages_of_tasks(tmp_path, caplog):
    lane = Lane(None, from_array(np.zeros((5, 5), np.uint8)), "segmentation_image", "lane", "")
    stage = Stage(
        lane, plan_of(lane), ThresholdSettings(), str(tmp_path), Parts((1, 5, 5), (1, 5)), Context()
    )
    work = Work(stage, Context(), PickledWorkers(), Clock())
    assert work.all(noisy, [(k,) for k in range(4)]) == [0, 1, 2, 3]
    assert caplog.messages == ["that of 0", "that of 1"]


@pytest.mark.parametrize(
    ("role", "value"), [("label_image", -3), ("segmentation_image", 0.5)], ids=["negative", "fraction"]
)
def test_faults_are_those_of_one_process(role, value, tmp_path):
    image = np.zeros((1, 6, 5, 5, 1), np.float64 if value > 0 else np.int32)
    image[0, 4, 2, 2] = value
    lane = Lane(None, from_array(image, "tzyxc"), role, "lane", "")
    plan = plan_of(lane)
    with pytest.raises(LaneError) as expected:
        list(run_lane(lane, plan))
    with pytest.raises(LaneError, match=re.escape(str(expected.value))):
        list(cut_lane(lane, plan, Context(), PickledWorkers(), str(tmp_path), parts=Parts((6, 5, 5), (2, 5))))


def test_a_folder_that_cannot_be_written_to(tmp_path):
    lane = Lane(None, from_array(np.ones((5, 5), np.uint8)), "segmentation_image", "lane", "")
    with pytest.raises(LaneError, match="files of workers in .*absent"):
        list(cut_lane(lane, plan_of(lane), Context(), PickledWorkers(), f"{tmp_path}/absent"))


def test_too_many_objects_are_refused(tmp_path, rng):
    lane = lane_of(rng, "segmentation_image", "noise", (1, 4, 9, 9))
    context, plan = Context(Limits(memory=1000)), plan_of(lane)
    with pytest.raises(LaneError, match="their features need about"):
        list(cut_lane(lane, plan, context, PickledWorkers(), str(tmp_path), parts=Parts((4, 9, 9), (2, 9))))


def test_labels_are_read_by_box_in_another_process(tmp_path, rng):
    lane = lane_of(rng, "segmentation_image", "noise", (1, 8, 9, 9))
    (expected,) = run_lane(lane, plan_of(lane, CHEAP))
    parts = Parts((8, 9, 9), (3, 9), tile_voxels=30)
    (step,) = cut_lane(lane, plan_of(lane, CHEAP), Context(), PickledWorkers(), str(tmp_path), parts=parts)
    labels = pickle.loads(pickle.dumps(step.objects.labels))
    for _ in range(20):
        box = tuple(slice(*sorted(rng.choice(n + 1, 2, replace=False).tolist())) for n in labels.shape)
        np.testing.assert_array_equal(labels[box], whole_of(expected.objects.labels)[box])


# ---------------------------------------------------------------------------- how it is cut


@pytest.mark.parametrize(
    ("shape", "memory", "count", "expected"),
    [
        ((1, 512, 512, 512), None, 4, (64, 512)),
        ((1, 512, 512, 512), 600_000_000, 1, (86, 512)),
        ((1, 1, 30_000, 30_000), None, 4, (1, 3752)),
        ((100, 64, 256, 256), None, 4, None),
        ((3, 64, 256, 256), None, 4, (16, 256)),
        ((1, 20_000, 20_000, 20_000), 8_000_000_000, 128, (64, 20_000)),
        ((1, 4, 20_000, 20_000), 8_000_000_000, 16, (1, 2509)),
        ((1, 1, 900, 900), None, 4, None),
    ],
)
def test_how_lanes_are_cut(shape, memory, count, expected):
    image = from_array(np.broadcast_to(np.uint8(1), shape), "tzyx")
    lane = Lane(None, image, "segmentation_image", "lane", "")
    parts = parts_of(lane, ThresholdSettings(), Limits(memory), count)
    assert (parts and parts.block) == expected
    if parts:
        planes, rows = parts.tile
        assert parts.block[0] % planes == 0
        assert rows == shape[2] or planes == 1


def test_methods_that_need_it_whole_are_not_cut():
    image = from_array(np.broadcast_to(np.float32(1), (1, 512, 512, 512)), "tzyx")
    lane = Lane(None, image, "prediction_maps", "lane", "")
    assert parts_of(lane, ThresholdSettings(method="graph cut"), Limits(), 8) is None
