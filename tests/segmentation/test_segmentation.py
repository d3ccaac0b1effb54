"""Objects: numbering, connectivity, thresholds, against scipy and brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from objclass.core import ArrayStore, Image, Lane
from objclass.errors import ImageError, LaneError
from objclass.segmentation.find import find_objects
from objclass.segmentation.labelling import check_first_block, label, relabel
from objclass.segmentation.smoothing import kernels_for, smooth
from objclass.segmentation.threshold import filter_sizes, reaches
from objclass.settings import ProjectThreshold, ThresholdSettings
from tests.conftest import examples

volumes = hnp.arrays(
    np.uint8, st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9)), elements=st.integers(0, 3)
)


def by_scipy(values):
    """Components of each value, numbered by first voxel in C order."""
    whole = np.zeros(values.shape, int)
    for value in np.unique(values[values != 0]):
        parts, count = ndimage.label(values == value)
        whole += np.where(parts > 0, parts + whole.max(), 0)
        assert count >= 1
    ids, first = np.unique(whole, return_index=True)
    order = ids[np.argsort(first)]
    order = order[order > 0]
    lut = np.zeros(whole.max() + 1, int)
    lut[order] = np.arange(1, len(order) + 1)
    return lut[whole]


@examples(40)
@given(volumes)
def test_label_numbers_components_by_first_voxel(values):
    found = label(values)
    assert np.array_equal(found.labels, by_scipy(values))
    assert found.count == found.labels.max(initial=0)


def test_cc3d_numbers_c_contiguous_arrays_by_first_voxel():
    """What `label` relies on: it does not hold for Fortran arrays, which `label` never passes."""
    values = np.zeros((1, 3, 3), np.uint8)
    values[0, 0, 2] = values[0, 2, 0] = 1
    assert label(np.asfortranarray(values)).labels[0, 0, 2] == 1


@examples(25)
@given(volumes)
def test_relabel_keeps_parts_together_and_numbers_by_first_voxel(values):
    found = relabel(values.astype(np.uint16) * 1000)
    flat = found.labels.ravel()
    firsts = [np.flatnonzero(flat == i)[0] for i in range(1, found.count + 1)]
    assert firsts == sorted(firsts)
    assert np.array_equal(np.concatenate([[0], found.original])[found.labels], values.astype(int) * 1000)


def lane(values, role="segmentation_image", axes="yx", drange=None):
    return Lane(None, Image("seg.tif", ArrayStore(values), axes, "test", drange), role, "seg", "")


@pytest.mark.parametrize("dtype", ["bool", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8", "f2"])
@pytest.mark.parametrize("role", ["segmentation_image", "label_image"])
def test_every_integral_dtype_is_a_segmentation(dtype, role):
    values = np.zeros((4, 6))
    values[1:3, 1:3], values[2, 4] = 1, 1
    found = find_objects(lane(values.astype(dtype), role), 0, ThresholdSettings())
    assert found.count == (1 if role == "label_image" else 2)


def test_large_ids_are_told_apart():
    values = np.array([[2**40, 2**40 + 1, 0, 2**40]], np.uint64)
    assert find_objects(lane(values), 0, ThresholdSettings()).labels.tolist() == [[[1, 2, 0, 3]]]
    found = find_objects(lane(values, "label_image"), 0, ThresholdSettings())
    assert found.original.tolist() == [2**40, 2**40 + 1]


@pytest.mark.parametrize("value", [0.5, np.nan, np.inf])
def test_fractions_are_refused(value):
    image = np.array([[0, 1], [value, 0]], np.float32)
    with pytest.raises(LaneError, match="probability map"):
        find_objects(lane(image), 0, ThresholdSettings())
    with pytest.raises(ImageError, match="--prediction_maps"):
        check_first_block(lane(image).objects)


def test_negative_ids_are_refused():
    with pytest.raises(LaneError, match="id -1"):
        find_objects(lane(np.array([[0, -1]]), "label_image"), 0, ThresholdSettings())


def test_threshold_includes_the_limit():
    given = lane(np.array([[0.4, 0.5, 0.6]], np.float32), "prediction_maps")
    assert find_objects(given, 0, ThresholdSettings(threshold=0.5)).labels.tolist() == [[[0, 1, 1]]]


@pytest.mark.parametrize("method", ["simple", "hysteresis", "ipht"])
def test_thresholds_are_compared_as_float64(method):
    """float32(0.7) lies below 0.7, float32(0.8) above 0.8, float32(0.9) below 0.9."""
    pixels = np.array([[0.7, 0, 0.8, 0, 0.9, 0, 0.95, 0.95, 0.7]], np.float32)
    stated = ProjectThreshold(0.7, 0.9, method=method, min_size=1)
    found = find_objects(lane(pixels, "prediction_maps"), 0, stated).labels[0, 0].tolist()
    assert (
        found
        == {
            "simple": [0, 0, 1, 0, 2, 0, 3, 3, 0],
            "hysteresis": [0, 0, 0, 0, 0, 0, 1, 1, 0],
            "ipht": [0, 0, 0, 0, 0, 1, 1, 1, 1],  # and a rim of one voxel below the threshold
        }[method]
    )


@pytest.mark.parametrize("threshold", [0.7, -0.1, 0.0, 1e300, -1e300, 127.0, 1e-50])
def test_reaching_a_threshold_is_a_comparison_of_float64(threshold):
    near = np.float32(np.clip(threshold, -3e38, 3e38))
    values = np.array([near, np.nextafter(near, np.float32(-np.inf)), np.nextafter(near, np.float32(np.inf))])
    values = np.concatenate([values, np.array([0, 1, np.nan, np.inf, -np.inf])]).astype(np.float32)
    assert np.array_equal(reaches(values, threshold), values.astype(float) >= threshold)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("shape", [(1, 9, 11), (3, 5, 6), (1, 1, 8)])
def test_without_a_core_growing_starts_from_strict_local_maxima(rng, monkeypatch, compiled, shape):
    from objclass.segmentation import growing

    monkeypatch.setattr(growing.flooding, "choose", lambda _: growing.flooding.compiled if compiled else None)
    pixels = rng.permutation(np.prod(shape)).reshape(shape).astype(np.float32) / np.float32(np.prod(shape))
    pixels[0, 0, :2] = pixels[0, 0, :2].max()  # a plateau is no strict maximum
    stated = ProjectThreshold(0.6, 2.0, method="ipht", min_size=1)
    seeds = np.zeros(shape, np.uint32)
    for p in np.ndindex(shape):
        around = [
            (*p[:k], p[k] + step, *p[k + 1 :])
            for k in range(3)
            for step in (-1, 1)
            if 0 <= p[k] + step < shape[k]
        ]
        if all(pixels[p] > pixels[q] for q in around):
            seeds[p] = seeds.max() + 1
    cost = pixels.max() - pixels
    grown = flooded(seeds, cost, max(pixels.max() - np.float32(0.6), 0))
    found = find_objects(lane(pixels, "prediction_maps", "zyx"), 0, stated)
    assert np.array_equal(found.labels, by_scipy(grown))
    assert found.count > 0


def test_a_range_is_brought_to_0_1_for_projects_only():
    given = lane(np.array([[127, 128]], np.uint8), "prediction_maps", drange=(0, 255))
    assert find_objects(given, 0, ProjectThreshold(threshold=0.5)).labels.tolist() == [[[0, 1]]]
    assert find_objects(given, 0, ThresholdSettings(threshold=127)).labels.tolist() == [[[1, 1]]]


@examples(15)
@given(hnp.arrays(np.float32, (3, 7, 8), elements=st.floats(0, 1, width=32)), st.floats(0.5, 3))
def test_smoothing_is_the_truncated_gaussian(pixels, sigma):
    expected = pixels
    for axis in (2, 1, 0):
        expected = ndimage.gaussian_filter1d(expected, sigma, axis, mode="mirror", truncate=2.0)
    np.testing.assert_allclose(
        smooth(pixels, kernels_for(pixels.shape, (sigma,) * 3)), expected, atol=3e-7
    )  # float32 between axes


def test_a_small_sigma_turns_smoothing_off_unless_its_axis_is_single(rng):
    pixels = rng.random((1, 6, 7)).astype(np.float32)
    assert kernels_for(pixels.shape, (1, 0.05, 1)) == []
    assert not np.array_equal(smooth(pixels, kernels_for(pixels.shape, (1, 1, 0))), pixels)


@examples(25)
@given(
    hnp.arrays(np.float32, (2, 7, 9, 2), elements=st.sampled_from([0, 0.25, 0.5, 0.75, 1])),
    st.booleans(),
    st.integers(1, 4),
)
def test_hysteresis_keeps_components_with_a_core_of_the_right_size(pixels, other_core, least):
    core_channel = int(other_core)
    stated = ThresholdSettings(
        threshold=0.5, core_threshold=0.75, core_channel=core_channel, min_size=least, max_size=20,
        method="hysteresis",
    )  # fmt: skip
    final, core = pixels[..., 0], pixels[..., core_channel]
    summed = final + core if other_core else final
    cores, _ = ndimage.label(core >= 0.75)
    sizes = np.bincount(cores.ravel())
    good = (sizes >= least) & (sizes <= 20)
    good[0] = False
    expected, count = ndimage.label(summed >= 0.5)
    for i in range(1, count + 1):
        inside = expected == i
        if not good[cores[inside]].any() or not least <= inside.sum() <= 20:
            expected[inside] = 0
    found = find_objects(lane(pixels, "prediction_maps", "zyxc"), 0, stated)
    assert np.array_equal(found.labels, by_scipy(expected))


def test_size_filter_keeps_both_limits_and_all_ids():
    labels = np.array([[1, 2, 2, 3, 3, 3, 4, 4, 4, 4]], np.uint32)
    found = filter_sizes(labels, ThresholdSettings(min_size=2, max_size=3))
    assert found.tolist() == [[0, 2, 2, 3, 3, 3, 0, 0, 0, 0]]


def flooded(seeds, cost, limit):  # noqa: C901
    """Region growing with Python's own heap."""
    import heapq

    labels, queue = seeds.copy(), []

    def beside(p):
        for axis in range(3):
            for step in (-1, 1):
                q = list(p)
                q[axis] += step
                if 0 <= q[axis] < labels.shape[axis]:
                    yield tuple(q)

    for p in zip(*np.nonzero(seeds), strict=True):
        if any(labels[q] == 0 for q in beside(p)):
            heapq.heappush(queue, (cost[p], p))
    while queue:
        now, p = heapq.heappop(queue)
        if now > limit:
            break
        for q in beside(p):
            if labels[q] == 0:
                labels[q] = labels[p]
                heapq.heappush(queue, (max(cost[q], now), q))
    return labels


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("shape", [(1, 13, 17), (5, 8, 9), (1, 1, 30), (1, 1, 1)])
def test_growing_by_brute_force(rng, monkeypatch, compiled, shape):
    from objclass.segmentation import growing

    monkeypatch.setattr(growing.flooding, "choose", lambda _: growing.flooding.compiled if compiled else None)
    for _ in range(5):
        # which voxels are reached does not depend on the order of equals; whose they are does, and is
        # compared with ilastik's own images below
        cost = rng.permutation(np.prod(shape)).reshape(shape).astype(np.float32)
        seeds = (rng.random(shape) < 0.1) * rng.integers(1, 5, shape)
        seeds = seeds.astype(np.uint32)
        found = growing.grow(seeds, cost, np.float32(np.prod(shape) * 0.6))
        assert ((found == 0) == (flooded(seeds, cost, np.prod(shape) * 0.6) == 0)).all()


def test_compiled_growing_breaks_ties_alike(rng, monkeypatch):
    from objclass.segmentation import growing

    cost = rng.integers(0, 4, (4, 30, 31)).astype(np.float32)
    seeds = ((rng.random(cost.shape) < 0.02) * rng.integers(1, 99, cost.shape)).astype(np.uint32)
    plain = growing.grow(seeds, cost, np.float32(2))
    monkeypatch.setattr(growing.flooding, "choose", lambda _: growing.flooding.compiled)
    assert np.array_equal(growing.grow(seeds, cost, np.float32(2)), plain)


def test_every_thresholding_of_ilastik(shared):
    """Label images of ilastik for ten settings, ties included."""
    import json

    import h5py

    from objclass.images import open_image

    folder = shared / "golden/pred2d"
    image = open_image(str(folder / "test_prediction_maps.h5"))
    variants = sorted((folder / "threshold_variants").glob("*.json"))
    assert len(variants) == 10
    for path in variants:
        stated = json.loads(path.read_text())
        settings_ = ProjectThreshold(
            stated["LowThreshold"], stated["HighThreshold"], stated["Channel"], stated["CoreChannel"],
            min_size=stated["MinSize"], max_size=stated["MaxSize"], sigmas=tuple(stated["SmootherSigma"].values()),
            method={0: "simple", 1: "hysteresis", 3: "ipht"}[stated["CurOperator"]],
        )  # fmt: skip
        found = find_objects(Lane(None, image, "prediction_maps", "", ""), 0, settings_)
        with h5py.File(path.with_name(f"{path.stem}_identities.h5")) as file:
            theirs = file["exported_data"][()]
        assert np.array_equal(found.labels.ravel(), theirs.ravel()), path.stem


@examples(3)
@given(
    hnp.arrays(
        np.float64,
        st.sampled_from([(1, 3, 3), (1, 2, 4), (2, 2, 2)]),
        elements=st.integers(0, 12).map(lambda n: n / 8),
    ),
    st.sampled_from([0.0, 0.125, 0.25, 1.0]),
)
def test_graph_cut_is_the_cheapest_of_all_segmentations(values, beta):
    from itertools import product

    from objclass.segmentation.graphcut import minimum_cut

    def cost(inside):
        total = np.where(inside, 1 - values, values).sum()
        return total + beta * sum((np.diff(inside.astype(int), axis=axis) != 0).sum() for axis in range(3))

    every = [np.reshape(bits, values.shape) for bits in product([False, True], repeat=values.size)]
    found = minimum_cut(values, beta)
    least = min(cost(one) for one in every)
    assert cost(found) == pytest.approx(least)  # sums of eighths
    assert found.sum() == min(one.sum() for one in every if cost(one) == pytest.approx(least))


def test_graph_cut_smooths_what_a_threshold_leaves_ragged():
    pixels = np.full((7, 9), 0.2, np.float32)
    pixels[2:5, 2:7] = 0.9
    pixels[3, 4], pixels[0, 0] = 0.45, 0.55  # a hole that is nearly filled, a speck that is hardly one
    stated = ProjectThreshold(0.5, method="graph cut", min_size=0)
    found = find_objects(lane(pixels, "prediction_maps"), 0, stated)
    assert found.count == 1
    assert found.labels[0, 2:5, 2:7].all()
    assert found.labels.sum() == 15


def test_float_maps_beyond_one_are_named(caplog):
    """Values of 0 to 255 without a stored range, and a threshold that is meant for 0 to 1."""
    maps = np.zeros((10, 12, 1), np.float32)
    maps[2:4, 2:4] = 200
    lane = Lane(None, Image("maps", ArrayStore(maps), "yxc", "shape"), "prediction_maps", "", "")
    find_objects(lane, 0, ThresholdSettings(threshold=0.5))
    assert "values up to 200 and no stored range" in caplog.text
    caplog.clear()
    find_objects(lane, 0, ThresholdSettings(threshold=100))
    assert not caplog.text
