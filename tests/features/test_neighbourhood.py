"""Neighbourhoods: the compiled formulation answers what the general one does, to the last bit."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.core import Objects
from objclass.errors import TerminatedError
from objclass.features import gather, neighbourhood
from objclass.features.engine import measure
from objclass.features.frame import Frame
from objclass.features.geometry import batches
from objclass.features.neighbourhood import FOLDED, folded, neighbourhoods
from objclass.features.sets.standard import FEATURES
from objclass.features.statistics.extent import Extent
from objclass.features.statistics.intensity import Histogram
from objclass.features.statistics.scatter import ChannelScatter
from objclass.segmentation.labelling import label
from tests.conftest import examples

SCOPES = ("context", "both")
compiled = neighbourhood.around.compiled


def scene(seed, ndim, channels=1, dtype="u1", margin=(5, 5, 5)):
    """A frame with ragged objects, and where they are."""
    rng = np.random.default_rng(seed)
    shape = (1, 24, 31) if ndim == 2 else (7, 13, 15)
    labels = label(rng.random(shape) < rng.choice([0.02, 0.1, 0.5])).labels.astype(np.uint32)
    raw = rng.normal(100, 60, (*shape, channels)).clip(0, 255).astype(dtype)
    return frame_of(labels, raw, margin[:ndim])


def frame_of(labels, raw, margin):
    objects = Objects(labels, int(labels.max(initial=0)))
    frame = Frame(objects, lambda where: raw[where], raw.shape[3], (1.0,) * objects.ndim, margin)
    z, y, x = np.nonzero(labels)
    order = np.argsort(labels[z, y, x], kind="stable")
    places = [p[order] for p in (x, y, z)[: objects.ndim]]
    edges = np.searchsorted(labels[z, y, x][order], np.arange(1, objects.count + 1))
    low, high, total = (
        np.column_stack([u.reduceat(p, edges) for p in places]) for u in (np.minimum, np.maximum, np.add)
    )
    return frame, Extent(np.bincount(labels.ravel())[1:], low, high, total)


def fields(done, channels):
    """Every number of every statistic."""
    skipped = Histogram if channels > 1 else ChannelScatter
    return {
        (kind.__name__, name): values
        for kind, state in done.items()
        if kind is not skipped
        for name, values in vars(state).items()
        if values is not None
    }


def both_ways(frame, extent, monkeypatch):
    unused = Histogram if frame.channels > 1 else ChannelScatter
    wanted = sorted(FOLDED - {unused}, key=lambda kind: len(kind.after))
    needed = dict.fromkeys(SCOPES, wanted)
    answers = []
    for function in (None, compiled):
        monkeypatch.setattr(neighbourhood.around, "choose", lambda *_, function=function: function)
        found = list(neighbourhoods(frame, extent, needed))
        assert sum(count for count, _ in found) == frame.objects.count
        answers.append({
            scope: [fields(done[scope], frame.channels) for _, done in found] for scope in SCOPES
        })  # fmt: skip
    return answers


def joined(parts, key):
    axis = 0 if key in {("Histogram", "bins"), ("Histogram", "low"), ("Histogram", "high")} else -1
    if key[0] == "ChannelScatter":
        axis = 0
    return np.concatenate([part[key] for part in parts], axis=axis)


def assert_equal(frame, extent, monkeypatch):
    plain, fast = both_ways(frame, extent, monkeypatch)
    for scope in SCOPES:
        assert plain[scope][0].keys() == {k for k in fast[scope][0] if k in plain[scope][0]}
        for key in plain[scope][0]:
            a, b = joined(plain[scope], key), joined(fast[scope], key)
            assert np.array_equal(a, b, equal_nan=True), (scope, key)


@examples(15)
@given(
    st.integers(0, 10**6),
    st.sampled_from([2, 3]),
    st.sampled_from([1, 1, 3]),
    st.sampled_from(["u1", "i2", "u4", "f4", "f8", "?"]),
    st.sampled_from([(5, 5, 5), (1, 1, 1), (9, 3, 2), (4, 11, 1), (30, 30, 1), (2, 2, 7)]),
)
def test_both_formulations_are_equal(seed, ndim, channels, dtype, margin):
    """Exact distances (squares of integers) are what scipy finds, too; sums are made in the same order."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        assert_equal(*scene(seed, ndim, channels, dtype, margin), monkeypatch)


@pytest.mark.parametrize("dtype", ["u2", "i2", "f4"])
def test_wide_ranges(dtype, monkeypatch):
    rng = np.random.default_rng(1)
    labels = label(rng.random((1, 40, 50)) < 0.05).labels.astype(np.uint32)
    limits = np.iinfo(dtype) if dtype != "f4" else np.finfo(np.float16)
    raw = rng.uniform(float(limits.min), float(limits.max), (1, 40, 50, 1)).astype(dtype)
    raw[0, :2, :2], raw[0, 2:4, 2:4] = limits.min, limits.max
    assert_equal(*frame_of(labels, raw, (12, 12)), monkeypatch)


@pytest.mark.parametrize(
    "values", [[np.nan], [np.inf], [-np.inf], [np.inf, -np.inf, np.nan], [0, np.nan, 1e38, -1e38, 1e300]]
)
def test_values_that_are_no_numbers(values, monkeypatch):
    rng = np.random.default_rng(2)
    labels = label(rng.random((1, 30, 30)) < 0.02).labels.astype(np.uint32)
    raw = rng.normal(size=(1, 30, 30, 1))
    raw[rng.random(raw.shape) < 0.02] = rng.choice(values)
    raw[0, 15:] = rng.choice(values, (15, 30, 1))
    assert_equal(*frame_of(labels, raw, (6, 6)), monkeypatch)


@pytest.mark.parametrize("value", [0, 5, 127, 128, 255])
def test_one_value(value, monkeypatch):
    labels = np.zeros((1, 9, 9), np.uint32)
    labels[0, 4, 4] = 1
    assert_equal(*frame_of(labels, np.full((1, 9, 9, 1), value, np.uint8), (3, 3)), monkeypatch)


def test_an_object_that_is_the_whole_image(monkeypatch):
    assert_equal(*frame_of(np.ones((1, 4, 5), np.uint32), np.ones((1, 4, 5, 1)), (3, 3)), monkeypatch)


def test_what_is_read_together_does_not_matter():
    frame, extent = scene(5, 3)
    whole = folded(compiled, frame, extent, [range(frame.objects.count)], "context")
    for row in range(frame.objects.count):
        one = fields(folded(compiled, frame, extent, [range(row, row + 1)], "context"), 1)
        for key, values in fields(whole, 1).items():
            part = values[row : row + 1] if key[0] == "Histogram" else values[..., row : row + 1]
            assert np.array_equal(part, one[key], equal_nan=True), key


def test_few_objects_are_no_batch_of_their_own(monkeypatch):
    frame, extent = scene(5, 3)
    monkeypatch.setattr(neighbourhood, "batches", lambda low, *_: (range(i, i + 1) for i in range(len(low))))
    whole = fields(folded(compiled, frame, extent, [range(frame.objects.count)], "both"), 1)
    monkeypatch.setattr(type(neighbourhood.around), "choose", lambda *_: compiled)
    ((count, found),) = neighbourhoods(frame, extent, {"both": tuple(FOLDED)})
    assert count == frame.objects.count > 1
    for key, values in fields(found["both"], 1).items():
        assert np.array_equal(values, whole[key], equal_nan=True), key


def test_the_threads_of_a_run_change_no_bit(monkeypatch):
    frame, extent = scene(0, 3)
    monkeypatch.setattr(neighbourhood, "SLAB", 1200)  # several batches
    found = [
        both_ways(replace(frame, context=Context(Limits(jobs=jobs))), extent, monkeypatch)[1]
        for jobs in (1, 3)
    ]
    assert len(found[1]["both"]) > len(found[0]["both"]) > 1
    for scope in SCOPES:
        for key in found[0][scope][0]:
            one, other = (joined(parts[scope], key) for parts in found)
            assert np.array_equal(one, other, equal_nan=True), (scope, key)


def test_neighbourhoods_that_are_a_lot_of_work_can_be_stopped(monkeypatch):
    """Runs of them are cut, which changes no bit, and the run ends between two parts."""
    frame, extent = scene(0, 3)
    monkeypatch.setattr(type(neighbourhood.around), "choose", lambda *_: compiled)
    needed = {"both": tuple(FOLDED)}
    (whole,) = neighbourhoods(frame, extent, needed)
    lengths, sums = [], neighbourhood._sums

    def counted(function, frame, extent, rows, scope):
        lengths.append(len(rows))
        if is_stopped:
            frame.context.stop.ask()
        return sums(function, frame, extent, rows, scope)

    is_stopped = False
    monkeypatch.setattr(neighbourhood, "_sums", counted)
    monkeypatch.setattr(neighbourhood, "WORK", 3000)
    ((_, found),) = neighbourhoods(frame, extent, needed)
    assert len(lengths) > 2
    assert sum(lengths) == frame.objects.count
    for key, values in fields(whole[1]["both"], 1).items():
        assert np.array_equal(values, fields(found["both"], 1)[key], equal_nan=True), key
    is_stopped = True
    lengths.clear()
    with pytest.raises(TerminatedError):
        list(neighbourhoods(frame, extent, needed))
    assert len(lengths) == 1


def test_the_statistics_of_a_slab_can_be_stopped(monkeypatch):
    frame, _ = scene(0, 2)
    calls, advance = [], gather._advance

    def counted(*given):
        calls.append(given)
        frame.context.stop.ask()
        return advance(*given)

    monkeypatch.setattr(gather, "_advance", counted)
    with pytest.raises(TerminatedError):
        measure(frame, [FEATURES["Count"], FEATURES["Variance"], FEATURES["Kurtosis"]])
    assert len(calls) == 1


def test_threads_answer_the_same():
    frame, extent = scene(6, 2, margin=(9, 9))
    rows = [[range(i, i + 1)] for i in range(frame.objects.count)]
    fold = partial(folded, compiled, frame, extent, scope="both")
    with ThreadPoolExecutor(4) as pool:
        threads = list(pool.map(fold, rows))
    for many, one in zip(threads, map(fold, rows), strict=True):
        for key, values in fields(many, 1).items():
            assert np.array_equal(values, fields(one, 1)[key], equal_nan=True)


def test_the_kernel_runs_plain():
    frame, extent = scene(7, 2, margin=(4, 8))
    rows = [range(frame.objects.count)]

    def flat(given):
        if isinstance(given, tuple):
            return given._make(map(flat, given))
        return given.ravel() if isinstance(given, np.ndarray) else given

    def plain(*given):
        neighbourhood.measure_around(*map(flat, given))

    with np.errstate(invalid="ignore"):
        slow = fields(folded(plain, frame, extent, rows, "context"), 1)
    for key, values in fields(folded(compiled, frame, extent, rows, "context"), 1).items():
        assert np.array_equal(values, slow[key], equal_nan=True), key


def test_features_are_the_same_either_way(monkeypatch):
    frame, _ = scene(8, 2, 3)
    around = [f for f in FEATURES.values() if f.scope != "object" and f.fits(2, 3)]
    found = []
    for function in (None, compiled):
        monkeypatch.setattr(neighbourhood.around, "choose", lambda *_, function=function: function)
        found.append(measure(frame, around))
    for key, values in found[0].items():
        assert np.array_equal(values, found[1][key], equal_nan=True), key


def test_an_empty_image_after_a_full_one(monkeypatch):
    monkeypatch.setattr(neighbourhood.around, "choose", lambda *_: compiled)
    frame = frame_of(np.ones((1, 3, 3), np.uint32), np.ones((1, 3, 3, 1)), (2, 2))[0]
    empty = Frame(Objects(np.zeros((1, 3, 3), np.uint32), 0), frame.read_raw, 1, (1.0, 1.0), (2, 2))
    mean = FEATURES["Mean in neighborhood"]
    assert measure(empty, [mean])[mean.key].shape == (0, 1)


@examples(12)
@given(st.integers(0, 10**6), st.integers(1, 2000))
def test_batches_hold_every_object_once(seed, voxels):
    rng = np.random.default_rng(seed)
    low = np.sort(rng.integers(0, 50, (20, 2)), axis=0)
    high = low + rng.integers(1, 9, (20, 2))
    parts = list(batches(low, high, voxels))
    assert [row for rows in parts for row in rows] == list(range(20))
    for rows in parts:
        assert len(rows) == 1 or np.prod(high[rows].max(axis=0) - low[rows].min(axis=0)) <= voxels
