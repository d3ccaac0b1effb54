"""Examples of a lane: the best of each class, whatever the time steps, cut out of the images as they are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from objclass.compute.context import Context
from objclass.core import ArrayStore, FeatureTable, Image, Lane, Objects, Predictions
from objclass.export.examples import Choice, highest, in_8_bits, measured, scattered
from objclass.export.report import TYPICAL, UNCERTAIN
from objclass.pipeline.lane import Step

SIDE, GAP = 4, 8


def lane_of(count, steps=1, channels=1, dtype=np.uint16):
    """Squares in a row; the raw data of an object are its label."""
    labels = np.zeros((steps, 1, 8, GAP * count + 4), np.uint32)
    for k in range(count):
        labels[..., 2 : 2 + SIDE, GAP * k + 2 : GAP * k + 2 + SIDE] = k + 1
    raw = np.repeat(labels[..., None], channels, axis=-1).astype(dtype)
    raw[1:] += 100
    return Lane(
        Image("r", ArrayStore(raw), "tzyxc", "test"), Image("l", ArrayStore(labels), "tzyx", "test"), "label_image", "a", ""
    )  # fmt: skip


def step_of(lane, t, probabilities):
    labels = lane.objects.read(lane.objects.frame(t))[0, ..., 0]
    count = int(labels.max())
    low = np.stack([GAP * np.arange(count) + 2, np.full(count, 2)], axis=1).astype(float)
    values = {
        ("Default features", "Coord<Minimum>"): low,
        ("Default features", "Coord<Maximum>"): low + SIDE,
        ("Default features", "RegionCenter"): low + (SIDE - 1) / 2,
        ("Default features", "Count"): np.full((count, 1), SIDE * SIDE),
    }
    table = FeatureTable(np.full(count, t), np.arange(1, count + 1), values)
    return Step(t, Objects(labels, count), table, None if probabilities is None else Predictions(probabilities))  # fmt: skip


def chosen(lane, probabilities, groups, count):
    choice = Choice(lane, groups, count)
    for t, of_step in enumerate(probabilities):
        step = step_of(lane, t, of_step)
        choice.add(step, measured(step), Context())
    return choice.examples()


def test_the_most_probable_and_the_least_certain_of_each_class():
    probabilities = np.array([[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.3, 0.7], [1, 0]], np.float32)
    found = chosen(lane_of(5), [probabilities], 2, 2)
    assert [(e.kind, e.group, e.label) for e in found] == [
        (TYPICAL, 0, 5), (TYPICAL, 0, 1), (UNCERTAIN, 0, 2), (UNCERTAIN, 0, 3), (TYPICAL, 1, 4), (UNCERTAIN, 1, 4),
    ]  # fmt: skip
    assert found[0].values == {"probability": 1.0, "uncertainty": 0.0}
    assert found[1].center == (3.5, 3.5)


def test_the_best_of_all_time_steps_with_the_pixels_of_theirs():
    first = np.array([[0.9, 0.1], [0.7, 0.3]], np.float32)
    second = np.array([[0.8, 0.2], [1, 0]], np.float32)
    found = [e for e in chosen(lane_of(2, steps=2), [first, second], 2, 2) if e.kind == TYPICAL]
    assert [(e.frame, e.label) for e in found] == [(1, 2), (0, 1)]
    assert all(e.crop.mask.sum() == SIDE * SIDE for e in found)
    assert [int(e.crop.raw[e.crop.mask].min()) for e in found] == [255, 2]  # one contrast: 0 to 102


def test_a_sample_where_nothing_is_classified():
    found = chosen(lane_of(50), [None], 1, 5)
    assert {e.kind for e in found} == {TYPICAL}
    labels = [e.label for e in found]
    assert len(set(labels)) == 5
    assert max(labels) > 20  # not the first ones


def test_no_objects_no_examples():
    assert chosen(lane_of(3), [np.zeros((0, 2), np.float32)][:0], 2, 2) == ()


@given(
    arrays(np.float32, st.integers(0, 60), elements=st.sampled_from([0, 0.25, 0.5, 1])),
    st.integers(1, 8),
    st.randoms(use_true_random=False),
)
def test_highest_is_the_head_of_all_sorted(scores, count, random):
    order = np.array(random.sample(range(1000), len(scores)), int)
    expected = sorted(range(len(scores)), key=lambda k: (-scores[k], order[k]))[:count]
    assert highest(scores, order, count).tolist() == expected


def test_orders_that_look_random():
    order = scattered("a", 0, 10_000)
    assert abs(np.corrcoef(order, np.arange(10_000))[0, 1]) < 0.05
    assert len(np.unique(order)) > 9_990
    assert not np.array_equal(order, scattered("a", 1, 10_000))
    assert not np.array_equal(order, scattered("b", 0, 10_000))
    assert scattered("a", 0, 3).tolist() == order[:3].tolist() == [2277390025, 1738993818, 354312646]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_contrast(dtype):
    crop = np.array([[[0, 5, 9], [100, 5, 18]]], dtype)
    raw = Image("r", ArrayStore(np.zeros((1, 2, 3), dtype)), "yxc", "test")
    shown = in_8_bits({(0, 1): crop}, raw)[0, 1]
    if dtype == np.uint8:  # colours
        assert np.array_equal(shown, crop)
    else:
        assert shown[0, :, 0].tolist() == [0, 255]
        assert shown[0, :, 1].tolist() == [0, 0]
    holes = np.full((1, 50, 1), np.nan, np.float32)  # they are dark, but do not change what others look like
    holes[0, 48:, 0] = 1000, 1001
    shown = in_8_bits({(0, 1): holes}, Image("r", ArrayStore(holes), "yxc", "test"))[0, 1]
    assert shown[0, 47:, 0].tolist() == [0, 0, 255]
    broken = np.array([[[np.nan, np.inf, 1]]], np.float32)
    assert in_8_bits({(0, 1): broken}, Image("r", ArrayStore(broken), "yxc", "test"))[0, 1].shape == (1, 1, 3)
