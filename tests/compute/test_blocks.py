"""How an image is cut: every voxel once, in scan order; and what is joined over the seams."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.compute.slabs import slabs
from objclass.compute.tiles import Tiles
from objclass.core import ArrayStore, Image, Lane
from objclass.segmentation.components import roots
from objclass.segmentation.find import find_objects
from objclass.segmentation.label_store import PackedLabels
from objclass.settings import ProjectThreshold, ThresholdSettings
from tests.conftest import examples

shapes = st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9))
blocks = st.none() | st.tuples(st.integers(1, 6), st.integers(1, 10))


@given(shapes, st.integers(1, 200), blocks)
def test_slabs_are_the_image_in_scan_order(shape, voxels, block):
    whole = np.arange(np.prod(shape)).reshape(shape)
    cut = list(slabs(shape, voxels, block))
    parts = [whole[slab.within(shape)] for slab in cut]
    assert np.array_equal(np.concatenate([part.ravel() for part in parts]), whole.ravel())
    for slab, part in zip(cut, parts, strict=True):
        assert part.ravel()[0] == whole[slab.origin]
        if block is None:
            assert part.size <= max(voxels, shape[2])
        else:
            assert part.shape[0] <= block[0]
            assert part.shape[1] <= block[1] or part.shape[1] == shape[1]


@given(shapes, st.integers(1, 200), st.tuples(st.integers(1, 4), st.integers(1, 4)))
def test_slabs_of_pieces_are_the_image(shape, voxels, unit):
    times = np.zeros(shape, int)
    for slab in slabs(shape, voxels, unit=unit):
        times[slab.within(shape)] += 1
        assert slab.z % unit[0] == 0
        assert slab.y % unit[1] == 0 or slab.stop_y - slab.y < unit[1]
    assert (times == 1).all()


@given(st.integers(1, 40), st.lists(st.tuples(st.integers(0, 39), st.integers(0, 39)), max_size=60))
def test_roots_are_the_least_members(count, pairs):
    pairs = [(a % count, b % count) for a, b in pairs]
    sets = {i: {i} for i in range(count)}
    for a, b in pairs:
        joined = sets[a] | sets[b]
        sets |= dict.fromkeys(joined, joined)
    found = roots(count, np.array(pairs, int).reshape(-1, 2).T)
    assert found.tolist() == [min(sets[i]) for i in range(count)]


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_ordered_answers_in_order_and_raises_in_order(jobs):
    def halve(n):
        if n == 7:
            message = "seven"
            raise ValueError(message)
        return n / 2

    context = Context(Limits(jobs=jobs))
    assert list(context.ordered(halve, range(7))) == [n / 2 for n in range(7)]
    found = []
    with pytest.raises(ValueError, match="seven"):
        found.extend(context.ordered(halve, range(20)))
    results = context.ordered(halve, range(20))
    assert [next(results) for _ in range(7)] == [n / 2 for n in range(7)]
    with pytest.raises(ValueError, match="seven"):
        next(results)


@given(shapes, st.tuples(st.integers(1, 3), st.integers(1, 4)), st.integers(1, 500), st.data())
def test_tiles_are_the_image(shape, step, keep, data):
    whole = np.arange(np.prod(shape)).reshape(shape)
    tiles = Tiles(shape, step, lambda box: whole[box].copy(), keep)
    for _ in range(5):
        ends = [sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n)))) for n in shape]
        box = tuple(slice(a, max(b, a + 1) if a < n else b) for (a, b), n in zip(ends, shape, strict=True))
        if all(part.stop > part.start for part in box):
            assert np.array_equal(tiles[box], whole[box])


def tiny(block, jobs):
    """Limits that let nothing be held."""
    return Context(Limits(memory=1000, block=block, jobs=jobs))


def same(a, b):
    whole = tuple(slice(0, n) for n in a.labels.shape)
    return (
        a.count == b.count
        and np.array_equal(a.labels[whole], b.labels[whole])
        and (a.original is None) == (b.original is None)
        and (a.original is None or np.array_equal(a.original, b.original))
    )


values = hnp.arrays(
    st.sampled_from([np.uint8, np.int64, np.float32]),
    st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9)),
    elements=st.integers(0, 3),
)


@examples(40)
@given(values, blocks.filter(bool), st.sampled_from(["segmentation_image", "label_image"]), st.integers(1, 3))
def test_objects_do_not_depend_on_blocks(pixels, block, role, jobs):
    lane = Lane(None, Image("seg", ArrayStore(pixels), "zyx", "test"), role, "seg", "")
    whole = find_objects(lane, 0, ThresholdSettings())
    assert same(whole, find_objects(lane, 0, ThresholdSettings(), Context(Limits(block=block, jobs=jobs))))
    assert same(whole, find_objects(lane, 0, ThresholdSettings(), tiny(block, jobs)))


maps = hnp.arrays(
    np.float32,
    st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9), st.just(2)),
    elements=st.integers(0, 8).map(lambda n: n / 8),
)


@examples(40)
@given(
    maps,
    blocks.filter(bool),
    st.sampled_from([0.0, 0.7, 1.6, 4.0]),
    st.sampled_from(["simple", "hysteresis", "ipht"]),
    st.integers(0, 1),
    st.integers(0, 4),
    st.none() | st.integers(4, 9),
)
def test_thresholds_do_not_depend_on_blocks(pixels, block, sigma, method, core_channel, least, most):
    stated = ProjectThreshold(
        0.5, 0.7, core_channel=core_channel, sigmas=(sigma,) * 3, method=method, min_size=least, max_size=most
    )
    image = Image("map", ArrayStore(pixels), "zyxc", "test", drange=(0, 2))
    lane = Lane(None, image, "prediction_maps", "map", "")
    cut = Context(Limits(block=block, jobs=2))
    whole = find_objects(lane, 0, stated)
    assert same(whole, find_objects(lane, 0, stated, cut))
    if method != "ipht":
        assert same(whole, find_objects(lane, 0, stated, tiny(block, 1)))


def test_a_small_sigma_counts_in_blocks_of_one_plane(rng):
    """Smoothing is off if one sigma is small: of the image's axes, not of the block's."""
    pixels = rng.random((4, 6, 7)).astype(np.float32)
    lane = Lane(None, Image("map", ArrayStore(pixels), "zyx", "test"), "prediction_maps", "map", "")
    stated = ProjectThreshold(0.5, sigmas=(1.0, 1.0, 0.05))
    assert same(find_objects(lane, 0, stated), find_objects(lane, 0, stated, tiny((1, 9), 1)))


def test_a_spiral_through_all_slabs_is_one_object():
    mask = np.zeros((9, 9, 9), np.uint8)
    mask[::2, :, 4] = 1
    for k, z in enumerate(range(1, 9, 2)):
        mask[z, 8 if k % 2 else 0, 4] = 1
    lane = Lane(None, Image("seg", ArrayStore(mask), "zyx", "test"), "segmentation_image", "seg", "")
    assert find_objects(lane, 0, ThresholdSettings(), tiny((1, 2), 2)).count == 1


def test_scratch_is_removed(tmp_path, monkeypatch, rng):
    import tempfile

    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = set(os.listdir("/proc/self/fd"))
    cut = list(slabs((4, 30, 30), block=(1, 7)))
    labels = PackedLabels((4, 30, 30), cut, Context(Limits(memory=10)))
    given = rng.integers(0, 2**32, (4, 30, 30), np.uint32)
    for number, slab in enumerate(cut):
        labels.write(number, given[slab.within((4, 30, 30))])
        assert np.array_equal(labels.plain(number), given[slab.within((4, 30, 30))])
    del labels
    assert not list(tmp_path.iterdir())
    assert set(os.listdir("/proc/self/fd")) == before
