"""The labeller that releases Python's lock gives the ids of cc3d."""

import cc3d
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from objclass.compute.context import Context
from objclass.compute.kernels import Kernel
from objclass.compute.limits import Limits
from objclass.core import Image, Lane
from objclass.images import from_array
from objclass.segmentation.find import find_objects
from objclass.segmentation.labeller import Runs, label_runs, labelled, labelling, labellings
from objclass.segmentation.labelling import label
from objclass.settings import ThresholdSettings
from tests.conftest import examples

scenes = st.one_of(
    *(
        hnp.arrays(
            dtype, st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 40)), elements=values
        )
        for dtype, values in (
            (np.uint8, st.sampled_from([0, 0, 1, 1, 2, 255])),
            (np.int8, st.sampled_from([0, 1, -1])),
            (np.uint32, st.sampled_from([0, 0, 1, 256, 1 << 16, (1 << 32) - 1])),
            (np.int32, st.sampled_from([0, 1, -1])),
            (bool, st.booleans()),
        )
    )
)


def expected(values):
    flat = np.ascontiguousarray(values[0] if values.shape[0] == 1 else values).view(f"u{values.itemsize}")
    labels, count = cc3d.connected_components(
        flat, connectivity=4 if flat.ndim == 2 else 6, return_N=True, out_dtype=np.uint32
    )
    return labels.reshape(values.shape), count


@examples(40)
@given(scenes, st.sampled_from([1, 3, 8, 17]))
def test_the_ids_are_those_of_cc3d(values, stretch):
    values = values.repeat(stretch, axis=2)  # runs longer than eight voxels
    labels = np.full(values.shape, 7, np.uint32)
    count = labelled(labellings[values.itemsize].compiled, values, labels)
    theirs, their_count = expected(values)
    assert count == their_count
    assert np.array_equal(labels, theirs)


def test_a_run_for_each_voxel():
    values = (np.indices((5, 40, 60)).sum(axis=0) % 2 + 1).astype(np.uint8)
    labels = np.empty(values.shape, np.uint32)
    assert labelled(labelling.compiled, values, labels) == values.size
    assert np.array_equal(labels.ravel(), np.arange(1, values.size + 1))


def test_uncompiled_it_is_the_same(rng):
    values = rng.integers(0, 3, (4, 9, 24)).astype(np.uint8)
    flat, count = values.ravel(), np.zeros(1, np.int64)
    labels = np.full(flat.size, 7, np.uint32)
    runs = Runs(*(np.empty(flat.size, np.int64) for _ in range(3)), np.empty(36, np.int64))
    label_runs(flat, flat.view(np.uint64), labels, runs, flat.size, *values.shape, count)
    theirs, their_count = expected(values)
    assert count[0] == their_count
    assert np.array_equal(labels.reshape(values.shape), theirs)


@pytest.mark.parametrize("role", ["segmentation_image", "prediction_maps"])
@pytest.mark.parametrize("limits", [Limits(), Limits(None, (2, 30), 2), Limits(10_000, (3, 30), 2)])
def test_objects_are_the_same_compiled(rng, monkeypatch, role, limits):
    values = rng.random((7, 30, 40)).astype(np.float32) if role == "prediction_maps" else None
    values = (rng.random((7, 30, 40)) < 0.4).astype(np.uint8) if values is None else values
    lane = Lane(None, from_array(values, "zyx"), role, "", "")
    found = {}
    for compiled in (False, True):
        monkeypatch.setattr(
            Kernel, "choose", lambda self, _, compiled=compiled: self.compiled if compiled else None
        )
        found[compiled] = find_objects(lane, 0, ThresholdSettings(), Context(limits))
    whole = tuple(slice(0, n) for n in values.shape)
    assert found[True].count == found[False].count > 100
    assert np.array_equal(found[True].labels[whole], found[False].labels[whole])


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("u2", [1, 256, 256, 0]),
        (">i2", [1, -256, -256, 0]),
        ("i8", [1, 1 << 31, 1 << 31, 0]),
        ("u8", [1, 1 << 32, 1 << 32, 0]),
        ("i8", [1, -(1 << 32), -(1 << 32), 0]),
    ],
)
def test_wider_values_keep_apart(monkeypatch, dtype, values, compiled):
    monkeypatch.setattr(Kernel, "choose", lambda self, _: self.compiled if compiled else None)
    found = label(np.array([[values]], dtype))
    assert found.labels.tolist() == [[[1, 2, 2, 0]]]
    assert found.count == 2


def test_threads_share_segmentations_of_any_type(monkeypatch):
    monkeypatch.setattr(cc3d, "connected_components", lambda *_, **__: pytest.fail("it holds the lock"))
    monkeypatch.setattr(Kernel, "choose", lambda self, _: self.compiled)
    for dtype in (bool, "u1", "u2", "i4", "i8", "f4"):
        lane = Lane(None, from_array(np.ones((4, 5, 6), dtype), "zyx"), "segmentation_image", "", "")
        assert find_objects(lane, 0, ThresholdSettings(), Context(Limits(None, (2, 5), 2))).count == 1


def test_values_of_several_slabs_are_told_apart(rng):
    values = rng.integers(0, 4, (6, 20, 30)).astype(np.uint16) * 300
    lane = Lane(None, from_array(values, "zyx"), "segmentation_image", "", "")
    found = find_objects(lane, 0, ThresholdSettings(), Context(Limits(None, (1, 7), 2)))
    labels, count = cc3d.connected_components(values, connectivity=6, return_N=True, out_dtype=np.uint32)
    assert found.count == count
    assert np.array_equal(found.labels, labels)


def test_read_only_arrays_are_labelled():
    values = np.ones((2, 3, 4), np.uint8)
    values.setflags(write=False)
    image = Image("a", from_array(values, "zyx").stored, "zyx", "test")
    assert find_objects(Lane(None, image, "segmentation_image", "", ""), 0, ThresholdSettings()).count == 1
