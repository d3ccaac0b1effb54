"""Skeletons: known answers, brute force for each step, compiled = plain, ilastik's own numbers."""

import csv
import json
import math
import subprocess
import sys
from itertools import pairwise

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage
from scipy.sparse import csgraph, lil_array

from objclass.core import Objects, to_canonical
from objclass.features.engine import measure
from objclass.features.frame import Frame
from objclass.features.sets import skeleton
from objclass.features.sets.skeleton import FEATURES, NEEDLESS, PACE, Skeleton
from objclass.features.statistics.per_object import Crop
from objclass.segmentation.labelling import label
from tests.conftest import examples

EIGHT = np.ones((3, 3))
CASES = (
    "blobs2d", "rgb2d", "series2dt", "labels2d", "pred2d", "float2d", "hard2d", "advanced2d",
    "multichan2", "pred2dt", "po2d",
)  # fmt: skip


def measured(labels):
    """Name of each feature -> numbers."""
    objects = Objects(np.asarray(labels, np.uint32)[None], int(np.max(labels)))
    found = measure(Frame(objects, None, 0, (1.0, 1.0)), FEATURES.values())
    return {name: values for (_, name), values in found.items()}


def alone(mask):
    """The same of one object, plain numbers."""
    return {name: values[0].tolist() for name, values in measured(mask).items()}


def expected(branches, holes, diameter, euclidean, total, average, *points):
    lengths = [[float(np.float32(n))] for n in (branches, holes, diameter, euclidean, total, average)]
    return dict(zip(FEATURES, [*lengths, *([float(x), float(y)] for x, y in points)], strict=True))


def zoo(count=40, seed=3):
    """Noise of all grains: ragged, thin, holed, at the border, falling apart."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        noise = ndimage.gaussian_filter(rng.normal(size=rng.integers(3, 34, 2)), (0, 0.7, 1.5, 3)[i % 4])
        yield np.pad(noise > np.quantile(noise, rng.uniform(0.1, 0.8)), ((0, 1), (1, 0)))


# ---------------------------------------------------------------------------- known answers


def test_the_features_are_those_of_ilastik():
    names = {
        "Branch Count", "Hole Count", "Diameter", "Euclidean Diameter", "Total Length", "Average Length",
        "Skeleton Center", "Terminal 1", "Terminal 2",
    }  # fmt: skip
    assert set(FEATURES) == names
    assert not any(f.looks_at_pixels or f.fits(3, 1) for f in FEATURES.values())


def test_a_line():
    labels = np.zeros((6, 14))
    labels[2, 3:12] = 1
    assert alone(labels) == expected(2, 0, 8, 8, 8, 4, (7, 2), (11, 2), (3, 2))
    assert alone(labels.T) == expected(2, 0, 8, 8, 8, 4, (2, 7), (2, 11), (2, 3))


def test_a_diagonal():
    found = alone(np.pad(np.eye(7), 2))
    assert found["Diameter"] == found["Euclidean Diameter"] == [np.float32(6 * math.sqrt(2))]


def test_a_cross_has_four_branches():
    labels = np.zeros((13, 13))
    labels[6, 2:11] = labels[2:11, 6] = 1
    assert alone(labels) == expected(4, 0, 8, 8, 16, 4, (6, 6), (6, 10), (6, 2))


def test_a_bar_ends_in_its_corners():
    labels = np.zeros((9, 13))
    labels[2:7, 2:11] = 1
    way = 5 + 2 * math.sqrt(8)  # along the middle, and to two corners
    found = alone(labels)
    assert found["Branch Count"] == [4]
    assert found["Diameter"] == [np.float32(way - 1)]
    corners = [[x, y] for x in (2, 10) for y in (2, 6)]
    assert found["Terminal 1"] in corners
    assert found["Terminal 2"] in corners
    assert found["Skeleton Center"] == [6, 4]


def test_a_ring_has_a_hole():
    labels = np.zeros((20, 20))
    labels[4:16, 4:16] = 1
    labels[7:13, 7:13] = 0
    assert alone(labels)["Hole Count"] == [1]
    labels[4:16, 9] = 0  # two halves of one object
    assert alone(labels)["Hole Count"] == [0]


def test_a_single_pixel():
    labels = np.zeros((5, 6))
    labels[2, 4] = 1
    assert alone(labels) == expected(0, 0, 0, 0, 0, 0, (4, 2), (4, 2), (4, 2))


def test_what_has_no_skeleton_is_zero():
    """The border of the image is no boundary: nothing is thin there."""
    speck = np.zeros((5, 6))
    speck[0, 4] = 1
    half = np.zeros((8, 9))
    half[:4] = 1
    for labels in (speck, half, np.ones((5, 6))):
        assert alone(labels) == expected(0, 0, 0, 0, 0, 0, (0, 0), (0, 0), (0, 0))


def test_a_line_to_the_border_goes_on_to_it():
    labels = np.zeros((5, 13))
    labels[2, :11] = 1
    assert alone(labels) == expected(2, 0, 10, 10, 10, 5, (5, 2), (10, 2), (0, 2))


# ---------------------------------------------------------------------------- step by step


def test_boundary_vectors_are_shortest():
    for mask in zoo():
        vx, vy, squared = vectors(mask)
        y, x = np.nonzero(mask)
        ends = y + vy[mask.ravel()], x + vx[mask.ravel()]
        assert not mask[ends].any()
        distance = ndimage.distance_transform_edt(mask) ** 2
        assert np.array_equal(squared, np.rint(distance).astype(int).ravel())
        assert np.array_equal(squared, vx**2 + vy**2)


def test_of_equal_boundary_vectors_the_lowest_then_the_right_one():
    mask = np.ones((5, 5), bool)
    for y, x in ((0, 2), (2, 0), (2, 4), (4, 2)):
        mask[y, x] = False
    vx, vy, _ = vectors(mask)
    assert (vx[12], vy[12]) == (0, 2)
    mask[4, 2] = True
    vx, vy, _ = vectors(mask)
    assert (vx[12], vy[12]) == (2, 0)


def test_needless_pixels_are_simple():
    """Without them there are as many parts and as many gaps: all 256 neighbourhoods."""
    for code in range(256):
        ring = [bool(code >> k & 1) for k in range(8)]
        marked = np.array([*ring[:4], False, *ring[4:]]).reshape(3, 3)
        beside = ~marked
        beside[1, 1] = False
        direct = (0, 1, 1, 2), (1, 0, 2, 1)
        gaps = set(ndimage.label(beside)[0][direct].tolist()) - {0}
        simple = ndimage.label(marked, EIGHT)[1] == 1 and len(gaps) == 1
        corner = marked[direct].sum() == 2
        blunt_end = marked[direct].sum() == 1 and marked.sum() == 3
        assert NEEDLESS[code] == (simple and (corner or blunt_end)), code


def test_thinning_keeps_parts_and_holes():
    for mask in zoo():
        raw, thin, _ = marks(mask)
        assert np.all(raw >= thin)
        assert ndimage.label(raw, EIGHT)[1] == ndimage.label(thin, EIGHT)[1]
        assert (
            ndimage.label(np.pad(~raw, 1, constant_values=True))[1]
            == (ndimage.label(np.pad(~thin, 1, constant_values=True))[1])
        )


def test_ways_are_shortest():
    for mask in zoo():
        _, thin, net = marks(mask)
        weights = edges(net)
        assert np.array_equal(np.argwhere(thin), np.column_stack([net.s.y, net.s.x])[: net.nodes])
        lengths = csgraph.dijkstra(weights, indices=0)
        for goal in np.flatnonzero(np.isfinite(lengths))[::5].tolist():
            reached = net.s.reached[: skeleton.shortest_ways(net, 0, goal, net.s.reached)]
            assert reached[-1] == goal
            assert np.all(np.diff(lengths[reached]) > -1e-9)  # other orders of sums
            way = net.s.way[: skeleton.way_back(net.s, goal, net.s.way)]
            assert way[-1] == 0
            assert sum(weights[p, q] for p, q in pairwise(way)) == pytest.approx(lengths[goal])


def test_the_centre_line_leads_from_the_furthest_node_to_the_one_furthest_from_that():
    for mask in zoo():
        net = marks(mask)[2]
        count = skeleton.centre_line(net)
        line, along = net.s.line[:count], net.s.along[:count]
        ends = net.nodes - 1, line[-1], line[0]
        lengths = csgraph.dijkstra(edges(net), indices=ends)
        lengths[np.isinf(lengths)] = 0
        assert lengths[0, line[-1]] == pytest.approx(lengths[0].max())
        assert along[-1] == pytest.approx(lengths[1].max()) == pytest.approx(lengths[2, line[-1]])
        middle = along[skeleton.half_way(along, count)]
        assert min(abs(np.array(along) - along[-1] / 2)) == pytest.approx(abs(middle - along[-1] / 2))


def test_without_holes_none_are_found():
    for mask in zoo():
        filled = ndimage.binary_fill_holes(np.pad(mask, 1))
        assert alone(filled)["Hole Count"] == [0]


def prepared(mask):
    """Room with the object in it."""
    room = skeleton.space(mask.size)
    room.inside[: mask.size] = mask.ravel().astype(int).tolist()
    return room


def vectors(mask):
    """Boundary vectors, and their squared lengths."""
    room = prepared(mask)
    skeleton.boundary_vectors(room, *mask.shape[::-1])
    return (np.array(found[: mask.size]) for found in (room.vx, room.vy, room.squared))


def edges(net):
    weights = lil_array((net.nodes, net.nodes))
    for p in range(net.nodes):
        for k in range(8):
            if net.s.joined[8 * p + k]:
                weights[p, net.s.neighbours[8 * p + k]] = PACE[k]
    return weights.tocsr()


def marks(mask):
    """Marked pixels before and after thinning, and the graph."""
    room, shape = prepared(mask), mask.shape[::-1]
    skeleton.boundary_vectors(room, *shape)
    skeleton.raw_skeleton(room, *shape)
    raw = np.array(room.marked[: mask.size])
    skeleton.thin(room, *shape)
    thin = np.array(room.marked[: mask.size])
    net = skeleton.graph(room, *shape)
    return *(marked.reshape(mask.shape).astype(bool) for marked in (raw, thin)), net


# ---------------------------------------------------------------------------- invariants


@examples(10)
@given(arrays(bool, st.tuples(*[st.integers(1, 9)] * 2)), st.integers(1, 20), st.integers(1, 20))
def test_moving_an_object_moves_its_points(mask, dy, dx):
    mask = mask.copy()
    mask[0, 0] = True
    labels = np.zeros((40, 40))
    labels[dy : dy + mask.shape[0], dx : dx + mask.shape[1]] = mask
    before = measured(np.pad(mask, 1))
    for name, values in measured(labels).items():
        moved = before[name] + [dx - 1, dy - 1] if FEATURES[name].shape else before[name]
        assert np.array_equal(values, moved), name


def test_other_objects_are_background():
    rng = np.random.default_rng(0)
    labels = ndimage.zoom(rng.integers(0, 9, (9, 9)), 4, order=0)
    together = measured(labels)
    for k in range(1, 9):
        for name, values in alone(labels == k).items():
            assert values == together[name][k - 1].tolist(), name


# ---------------------------------------------------------------------------- compiled


def both_ways(labels):
    """Measure the objects one by one, and together and compiled."""
    frame = Frame(Objects(labels[None].astype(np.uint32), int(labels.max())), None, 0, (1.0, 1.0))
    boxes = ndimage.find_objects(labels)
    low = np.array([[max(s.start - 1, 0) for s in box[::-1]] for box in boxes])
    high = np.array(
        [[min(s.stop + 1, n) for s, n in zip(box, labels.shape, strict=True)][::-1] for box in boxes]
    )
    plain = []
    for k, (start, stop) in enumerate(zip(low.tolist(), high.tolist(), strict=True), 1):
        mask = labels[start[1] : stop[1], start[0] : stop[0]] == k
        plain.append(Skeleton.of(Crop(mask, None, (start[1], start[0]), (1.0, 1.0))))
    return plain, skeleton.measured(skeleton.skeletons.compiled, frame, low, high, 1)


def test_compiled_and_plain_are_equal():
    whole = np.ones((1, 1)), np.ones((3, 40)), np.ones((2, 2))
    for mask in [*zoo(120, seed=8), *(one.astype(int) for one in whole)]:
        if mask.any():
            assert np.array_equal(*both_ways(mask.astype(int)))


def test_many_objects_at_once():
    rng = np.random.default_rng(4)
    for labels in (
        ndimage.zoom(rng.integers(0, 60, (14, 15)), 5, order=0),
        label(rng.random((1, 60, 70)) < 0.5).labels[0],
        rng.integers(1, 4, (30, 31)),
    ):
        _, dense = np.unique(labels, return_inverse=True)
        assert np.array_equal(*both_ways(dense.reshape(labels.shape)))


def test_how_objects_are_read_together_does_not_matter(monkeypatch):
    labels = label(np.random.default_rng(5).random((1, 60, 70)) < 0.4).labels[0]
    monkeypatch.setattr(skeleton.skeletons, "choose", lambda *_: skeleton.skeletons.compiled)
    whole = measured(labels)
    monkeypatch.setattr(skeleton, "SLAB", 1000)
    assert all(np.array_equal(values, whole[name]) for name, values in measured(labels).items())


def test_few_pixels_need_no_numba():
    code = (
        "import sys, numpy as np; from objclass.features import Frame, choose, measure; from objclass.core import Objects\n"
        "from objclass.core import Objects; from objclass.features.sets.skeleton import FEATURES\n"
        "labels = np.zeros((1, 9, 9), np.uint32); labels[0, 2:6, 3:7] = 1\n"
        "measure(Frame(Objects(labels, 1), None, 0, (1, 1)), FEATURES.values())\n"
        "assert 'numba' not in sys.modules and 'llvmlite' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# ---------------------------------------------------------------------------- ilastik


@pytest.mark.parametrize("case", CASES)
def test_every_column_equals_that_of_ilastik(shared, case, monkeypatch):
    """As float32, from ilastik's own label image."""
    monkeypatch.setattr(skeleton.skeletons, "choose", lambda *_: skeleton.skeletons.compiled)
    compared = 0
    for part in ("train", "test"):
        with (shared / f"golden/{case}/expected/{part}_table.csv").open() as file:
            rows = list(csv.DictReader(file))
        for t, labels in enumerate(label_image(shared / f"golden/{case}/expected/{part}_identities.h5")):
            here = [row for row in rows if int(row["timestep"]) == t]
            chosen = [f for f in FEATURES.values() if f.columns(2, 0)[0] in rows[0]]
            frame = Frame(Objects(labels, len(here)), None, 0, (1, 1))
            for f, values in zip(chosen, measure(frame, chosen).values(), strict=True):
                theirs = np.array([[row[name] for name in f.columns(2, 0)] for row in here], np.float32)
                assert np.array_equal(theirs, values), f.name
                compared += 1
    assert compared >= 14


def test_all_nine_features_of_a_case(shared):
    """Points too, which few projects select."""
    stored = np.load(shared / "golden/float2d/expected/test_features_m30.npz")
    labels = stored["label_image"][0, :, :, 0, 0].T
    found = measured(labels)
    for name, values in found.items():
        assert np.array_equal(values, stored[f"t0/{FEATURES.name}/{name}"][1:]), name


def label_image(path):
    with h5py.File(path) as file:
        tags = json.loads(file["exported_data"].attrs["axistags"])["axes"]
        return to_canonical(file["exported_data"][()], "".join(axis["key"] for axis in tags))[..., 0]
