"""Compiled statistics against those in numpy: the same bits, whatever the slabs, parts and threads."""

import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objclass.compute.context import Context
from objclass.compute.kernels import Kernel
from objclass.compute.limits import Limits
from objclass.core import Objects
from objclass.features import blocks as blocks_room
from objclass.features.contract import feature_set
from objclass.features.engine import measure
from objclass.features.frame import Frame
from objclass.features.gather import gather
from objclass.features.statistics import folding, intensity
from objclass.features.statistics.extent import Extent
from objclass.features.statistics.intensity import Central, Histogram, Intensity, Spread
from objclass.features.statistics.kinds import closure
from objclass.features.statistics.scatter import CoordinateAxes, CoordinateScatter
from objclass.features.voxels import Block
from objclass.segmentation.labelling import label
from tests.conftest import examples

STATISTICS = (Extent, Intensity, Spread, Central, CoordinateScatter, CoordinateAxes)
DTYPES = ("?", "u1", "u2", "i2", "i4", "f4", "f8", ">u2", "u8")
ODD = (np.nan, np.inf, -np.inf, -0.0, 1e38, -1e38, 1e-40)


@st.composite
def scenes(draw):
    """Labels (z, y, x) of objects in pieces, and pixels (z, y, x, c)."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    shape = draw(st.sampled_from([(1, 1, 1), (1, 9, 13), (1, 30, 40), (4, 6, 7), (3, 20, 33)]))
    count = draw(st.integers(1, 9))
    coarse = rng.integers(-count, count + 1, shape).clip(0)
    stretch = draw(st.sampled_from([1, 5, 50]))
    labels = np.repeat(coarse, stretch, axis=2)[..., : shape[2]].astype(np.uint32)
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    values = rng.normal(0, 10 ** rng.uniform(-2, 4), (*shape, draw(st.integers(1, 3))))
    if dtype.kind in "biu":
        high = 2 if dtype.kind == "b" else min(np.iinfo(dtype).max, draw(st.sampled_from([9, 300, 70000])))
        values = np.abs(values).astype(np.int64) % high * (-1 if dtype.kind == "i" else 1)
    elif draw(st.booleans()):
        values[rng.random(values.shape) < 0.05] = draw(st.sampled_from(ODD))
    return labels, values.astype(dtype)


def blocks(labels, raw, lines):
    """Slabs of so many lines, or of planes."""
    count, ndim = int(labels.max(initial=0)), 3 if len(labels) > 1 else 2

    axis = 0 if ndim == 3 else 1

    def read(start):
        cut = [slice(None)] * 3
        cut[axis] = slice(start, start + lines)
        origin = (start, 0, 0) if axis == 0 else (0, start, 0)
        return Block(labels[tuple(cut)], raw[tuple(cut)], origin, count, labels.size, ndim)

    return [read(start) for start in range(0, labels.shape[axis], lines)]


def assert_equal(found, expected):
    """Bit for bit, but for the payload of NaN."""
    assert found.keys() == expected.keys()
    for s, state in expected.items():
        for field in fields(state):
            a, b = getattr(found[s], field.name), getattr(state, field.name)
            if b is None:
                assert a is None
                continue
            assert a.dtype == b.dtype
            assert a.shape == b.shape
            assert np.array_equal(a, b, equal_nan=a.dtype.kind == "f"), (s.__name__, field.name)
            assert np.array_equal(np.signbit(a) & (a == 0), np.signbit(b) & (b == 0)), (s, field.name)


@examples(40)
@given(scenes(), st.integers(1, 7), st.integers(1, 3), st.sampled_from([1, 64, 1 << 17]))
def test_compiled_statistics_are_those_of_numpy(scene, lines, threads, part):
    labels, raw = scene
    wanted = closure([*STATISTICS, *([Histogram] if raw.shape[3] == 1 else [])])
    expected = gather(wanted, blocks(labels, raw, max(labels.shape)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kernel, "choose", lambda self, *_: self.compiled)
        patch.setattr(folding, "PART", part)
        found = gather(wanted, blocks(labels, raw, lines), Context(Limits(jobs=threads)))
    assert_equal(found, expected)


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("shape", [(1, 40, 5000), (2, 3, 5000)])
def test_lines_longer_than_a_batch(dtype, shape, rng, monkeypatch):
    labels = np.repeat(rng.integers(0, 4, (*shape[:2], 2)), shape[2] // 2, axis=2).astype(np.uint32)
    greys = 1500 if dtype == "u2" else 200  # more than one batch of them, too
    raw = rng.integers(0, greys, (*shape, 1)).astype(dtype)
    wanted = closure([*STATISTICS, Histogram])
    expected = gather(wanted, blocks(labels, raw, max(shape)))
    monkeypatch.setattr(Kernel, "choose", lambda self, *_: self.compiled)
    assert_equal(gather(wanted, blocks(labels, raw, 1)), expected)


@pytest.mark.parametrize("channels", [0, 1, 2])
@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(
    "wanted",
    [[Extent], [Intensity], [Spread], [CoordinateScatter], [Spread, CoordinateScatter], [Extent, Central]],
)
def test_each_statistic_alone(wanted, depth, channels, rng, monkeypatch):
    labels = np.repeat(rng.integers(0, 9, (depth, 10, 8)), 5, axis=2).astype(np.uint32)
    raw = rng.integers(0, 300, (*labels.shape, channels)).astype(np.uint16)
    wanted = closure(wanted)
    expected = gather(wanted, blocks(labels, raw, 10))
    monkeypatch.setattr(Kernel, "choose", lambda self, *_: self.compiled)
    assert_equal(gather(wanted, blocks(labels, raw, 1)), expected)


@pytest.mark.parametrize("room", [0, 20, 45])
def test_powers_of_some_objects_and_channels_are_looked_up(room, rng, monkeypatch):
    labels = np.repeat(rng.integers(0, 9, (1, 20, 8)), 9, axis=2).astype(np.uint32)
    raw = np.stack([rng.integers(0, greys, labels.shape) for greys in (7, 200)], axis=3).astype(np.uint8)
    expected = gather(closure([Central]), blocks(labels, raw, 20))
    monkeypatch.setattr(intensity, "TABLE", room)
    monkeypatch.setattr(Kernel, "choose", lambda self, *_: self.compiled)
    assert_equal(gather(closure([Central]), blocks(labels, raw, 5), Context(Limits(jobs=2))), expected)


def test_pixels_that_cannot_be_written(rng, monkeypatch):
    labels = np.repeat(rng.integers(0, 9, (1, 10, 8)), 5, axis=2).astype(np.uint32)
    raw = rng.random((*labels.shape, 1)).astype(np.float32)
    wanted = closure([*STATISTICS, Histogram])
    expected = gather(wanted, blocks(labels, raw, 10))
    labels.flags.writeable = raw.flags.writeable = False
    monkeypatch.setattr(Kernel, "choose", lambda self, *_: self.compiled)
    assert_equal(gather(wanted, blocks(labels, raw, 10)), expected)


@pytest.mark.parametrize(("ndim", "channels"), [(2, 1), (2, 3), (3, 1), (3, 2)])
@pytest.mark.parametrize("name", ["Standard Object Features", "regionprops"])
def test_features_are_the_same_compiled(name, ndim, channels, rng, monkeypatch):
    shape = (1, 30, 40) if ndim == 2 else (5, 12, 20)
    objects = label(rng.random(shape) < 0.55)
    raw = rng.integers(0, 200, (*shape, channels)).astype(np.uint16)
    frame = Frame(objects, lambda where: raw[where], channels, (1.0,) * ndim)
    features = [f for f in feature_set(name).values() if f.scope == "object" and f.fits(ndim, channels)]
    expected = measure(frame, features)
    monkeypatch.setattr(Kernel, "choose", lambda self, *_: self.compiled)
    for limits in (Limits(block=(1, 1)), Limits(block=(2, 9), jobs=2), Limits()):
        for key, numbers in measure(replace(frame, context=Context(limits)), features).items():
            assert np.array_equal(numbers, expected[key], equal_nan=True), key


@pytest.mark.parametrize(("size", "loaded"), [(32, "False False"), (4096, "True False")])
def test_numba_is_not_loaded(size, loaded):
    """Nor LLVM, for small frames: it takes longer to load than they take."""
    program = (
        "import sys, numpy as np\n"
        "from objclass.core import Objects\n"
        "from objclass.features import Frame, choose, measure; from objclass.features.statistics import folding\n"
        f"labels = np.arange(4, dtype=np.uint32).repeat({size} // 4)[None, None].repeat({size}, axis=1)\n"
        "raw = np.ones((*labels.shape, 1), np.uint8)\n"
        "frame = Frame(Objects(labels, 3), lambda where: raw[where], 1, (1.0, 1.0))\n"
        "features = choose(['Standard Object Features'], 2, 1)\n"
        "measure(frame, [f for f in features if f.scope == 'object'])\n"
        "print('llvmlite' in sys.modules, 'numba' in sys.modules)"
    )
    folding.kernel.compiled.bind()  # compiled if it never was
    run = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert run.stdout == f"{loaded}\n"


@pytest.mark.parametrize("compiled", [True, False])
def test_slabs_may_be_some_lines_of_a_plane_in_a_volume(compiled, rng, monkeypatch):
    labels = np.repeat(rng.integers(0, 9, (4, 10, 8)), 5, axis=2).astype(np.uint32)
    raw = rng.random((*labels.shape, 1)).astype(np.float32)
    wanted = closure([*STATISTICS, Histogram])
    expected = gather(wanted, blocks(labels, raw, 4))

    def lines():
        for z in range(4):
            for y in range(0, 10, 3):
                cut = slice(z, z + 1), slice(y, y + 3)
                yield Block(labels[cut], raw[cut], (z, y, 0), int(labels.max()), labels.size, 3)

    monkeypatch.setattr(Kernel, "choose", lambda self, *_: self.compiled if compiled else None)
    assert_equal(gather(wanted, list(lines()), Context(Limits(jobs=2))), expected)


@examples(6)
@given(st.integers(0, 10**6), st.integers(2, 7), st.sampled_from([1, 64, 1 << 17]), st.booleans())
def test_threads_that_go_through_their_own_objects(seed, jobs, part, deep):
    """Objects of several pieces reach from one stretch into later ones."""
    rng = np.random.default_rng(seed)
    shape = (int(rng.integers(5, 40)), 6, 9) if deep else (1, int(rng.integers(20, 90)), 11)
    axis = 0 if deep else 1
    places = np.arange(shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)])
    ids = 1 + places // int(rng.integers(1, 4)) - rng.integers(0, 1 + int(rng.integers(0, 6)), shape)
    labels, count = numbered_by_first_voxel(np.where(rng.random(shape) < 0.7, ids, 0))
    raw = rng.integers(0, 3000, (*shape, 1)).astype(np.uint16)
    wanted = feature_set("Standard Object Features").values()
    inside = [f for f in wanted if f.scope == "object"]

    def frame(limits):
        return Frame(Objects(labels, count), lambda box: raw[box], 1, (1.0,) * 3, context=Context(limits))

    block = (2, shape[1]) if deep else (1, 5)
    expected = measure(frame(Limits(block=block)), inside)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kernel, "choose", lambda self, *_: self.compiled)
        patch.setattr(folding, "PART", part)
        patch.setattr(blocks_room, "UNEVEN", float(rng.choice([1.0, 1.25, 99.0])))
        found = measure(frame(Limits(block=block, jobs=jobs)), inside)
    for key, numbers in expected.items():
        assert np.array_equal(found[key], numbers, equal_nan=True), key


def numbered_by_first_voxel(labels):
    """Ids 1 … n by first voxel, and n; 0 and below is background."""
    ids, first = np.unique(np.where(labels > 0, labels, 0), return_index=True)
    order = np.zeros(labels.max(initial=0) + 1, np.uint32)
    here = ids > 0
    order[ids[here][np.argsort(first[here])]] = np.arange(1, here.sum() + 1)
    return order[np.where(labels > 0, labels, 0)], int(here.sum())


def test_a_thread_reads_the_slabs_of_its_objects_alone():
    labels = np.repeat(np.arange(1, 41, dtype=np.uint32), 50).reshape(1, 40, 50)
    labels[0, 19, :10] = 19  # the last of the first thread reaches into the slab of the second
    labels[0, 20, :10] = 20
    frame = Frame(Objects(labels, 40), None, 0, (1.0,) * 2, context=Context(Limits(block=(1, 5), jobs=2)))
    first, second = blocks_room.FrameBlocks(frame, pixels=False).stretches
    assert [slab.y for slab, _ in first] == [0, 5, 10, 15, 20]
    assert [slab.y for slab, _ in second] == [20, 25, 30, 35]
    assert [(visit.first, visit.last) for _, visit in (first[0], second[0])] == [(0, 20), (20, 40)]


def test_objects_as_long_as_the_image_are_shared_slab_by_slab():
    labels = np.broadcast_to(np.arange(1, 9, dtype=np.uint32), (1, 40, 8))
    frame = Frame(Objects(labels, 8), None, 0, (1.0,) * 2, context=Context(Limits(block=(1, 10), jobs=2)))
    assert not blocks_room.FrameBlocks(frame, pixels=False).stretches


def test_passes_may_be_of_either_formulation(rng, monkeypatch):
    """States are the same on either side."""
    labels = np.repeat(rng.integers(0, 9, (6, 10, 8)), 5, axis=2).astype(np.uint32)
    raw = rng.random((*labels.shape, 1)).astype(np.float32)
    wanted = closure([*STATISTICS, Histogram])
    expected = gather(wanted, blocks(labels, raw, 6))
    for first in (0, 1):
        compiled = iter([first == 0, first == 1])
        monkeypatch.setattr(Kernel, "choose", lambda k, _, way=compiled: k.compiled if next(way) else None)
        assert_equal(gather(wanted, blocks(labels, raw, 1)), expected)


def test_slabs_count_for_the_run_that_they_are_part_of(monkeypatch):
    """Which formulation is taken depends on the run alone, not on what the process did before."""
    labels, asked = np.ones((4, 5, 6), np.uint32), []
    monkeypatch.setattr(Kernel, "choose", lambda _, work: asked.append(work))
    frame = Frame(Objects(labels, 1), None, 0, (1.0,) * 3, context=Context(Limits(block=(1, 5), images=10)))
    for _ in range(2):
        measure(frame, feature_set("2D Convex Hull Features").values())
    assert asked[:2] == asked[2:]
    assert sorted(asked[:2]) == [10, 1200]  # objects, voxels


def test_arrays_that_are_too_short_are_refused(rng):
    labels = rng.integers(0, 9, (1, 10, 40)).astype(np.uint32)
    (block,) = blocks(labels, rng.random((*labels.shape, 1)), 10)
    state = Extent.start(block.nothing, {})
    fold = replace(state, high=state.high[:-1]).compiled(block, {})
    with pytest.raises(ValueError, match="fold_part: last has 14 elements: expected 16"):
        folding.fold(folding.kernel.compiled, [fold], block, Context())
