"""What every feature of every set promises."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.core import Objects
from objclass.features.contract import feature_set
from objclass.features.engine import measure
from objclass.features.frame import Frame
from objclass.features.statistics import groups
from objclass.registry import FEATURE_SETS
from objclass.segmentation.labelling import label
from tests.conftest import examples

# Histogram and quantiles share the range of all objects of the time step; a defect centre is inherited
# from the object before; both by ilastik's definition.
OF_THE_WHOLE_FRAME = {"Histogram", "Quantiles", "Global<Minimum>", "Global<Maximum>", "DefectCenter"}


def example(ndim, channels, seed=0, dtype=np.uint8):
    """A frame of ragged objects, one of them a single pixel, some at the border, one ring."""
    rng = np.random.default_rng(seed)
    shape = (1, 22, 26) if ndim == 2 else (6, 13, 14)
    noise = rng.random(shape)
    mask = noise < 0.35
    mask[:, 1:6, 1:6] = True
    mask[:, 3, 3] = False
    mask[:, 9:12, 9:12] = False
    mask[0, 10, 10] = True
    found = label(mask)
    raw = (rng.random((*shape, channels)) * 200).astype(dtype)
    return frame_of(found.labels, raw), raw


def frame_of(labels, raw, margin=3):
    objects = Objects(labels, int(labels.max(initial=0)))
    spacing = (1.0,) * objects.ndim
    return Frame(objects, lambda where: raw[where], raw.shape[3], spacing, (margin,) * objects.ndim)


def equal(a, b):
    return np.array_equal(a, b, equal_nan=True)


cases = pytest.mark.parametrize(
    ("set_name", "ndim", "channels"),
    [
        (name, ndim, channels)
        for name in FEATURE_SETS
        for ndim in (2, 3)
        for channels in (1, 2)
        if any(f.fits(ndim, channels) for f in feature_set(name).values())
    ],
)


def fitting(set_name, ndim, channels):
    return [f for f in feature_set(set_name).values() if f.fits(ndim, channels)]


@cases
def test_names_widths_and_dtypes(set_name, ndim, channels):
    frame, _ = example(ndim, channels)
    chosen = fitting(set_name, ndim, channels)
    assert chosen
    for f, values in zip(chosen, measure(frame, chosen).values(), strict=True):
        columns = f.columns(ndim, channels)
        assert values.shape == (frame.objects.count, len(columns)), f.name
        assert values.dtype == f.dtype
        assert len(set(columns)) == len(columns)
        assert f.definition.rstrip().endswith((".", ")")), f.name
        assert f.set_name == set_name
        assert feature_set(set_name)[f.name] is f


@cases
def test_blocks_change_no_bit(set_name, ndim, channels):
    frame, _ = example(ndim, channels, dtype=np.float32)
    chosen = fitting(set_name, ndim, channels)
    whole = measure(frame, chosen)
    for limits in (Limits(block=(1, 1)), Limits(block=(2, 3), jobs=2), Limits(block=(3, 99), jobs=3)):
        cut = measure(replace(frame, context=Context(limits)), chosen)
        for key, values in whole.items():
            assert equal(values, cut[key]), key


@cases
def test_an_image_without_objects_gives_no_rows_but_all_columns(set_name, ndim, channels):
    _, raw = example(ndim, channels)
    frame = frame_of(np.zeros(raw.shape[:3], np.uint32), raw)
    for f, values in zip(
        chosen := fitting(set_name, ndim, channels), measure(frame, chosen).values(), strict=True
    ):
        assert values.shape == (0, len(f.columns(ndim, channels))), f.name
        assert values.dtype == f.dtype


@cases
def test_numbers_follow_their_object_when_ids_change(set_name, ndim, channels):
    frame, raw = example(ndim, channels)
    count = frame.objects.count
    order = np.random.default_rng(5).permutation(count)
    lut = np.concatenate([[0], order + 1]).astype(np.uint32)
    chosen = [f for f in fitting(set_name, ndim, channels) if f.name != "DefectCenter"]
    before, after = measure(frame, chosen), measure(frame_of(lut[frame.objects.labels], raw), chosen)
    for key, values in before.items():
        assert equal(values, after[key][order]), key


@cases
def test_other_objects_do_not_matter(set_name, ndim, channels):
    frame, raw = example(ndim, channels)
    chosen = [f for f in fitting(set_name, ndim, channels) if f.name not in OF_THE_WHOLE_FRAME]
    before = measure(frame, chosen)
    for keep in (1, frame.objects.count // 2, frame.objects.count):
        alone = (frame.objects.labels == keep).astype(np.uint32)
        for key, values in measure(frame_of(alone, raw), chosen).items():
            assert equal(values[0], before[key][keep - 1]), key


@examples(3)
@given(
    st.sampled_from(sorted(FEATURE_SETS)), st.sampled_from([np.nan, np.inf, 0.0, 300.0]), st.integers(1, 2)
)
def test_odd_pixels_never_fail(set_name, value, channels):
    ndim = 3 if set_name.startswith("3D") else 2
    frame, raw = example(ndim, channels, dtype=np.float32)
    raw[:, ::3] = value
    measure(frame, fitting(set_name, ndim, channels))
    raw[:] = value
    measure(frame, fitting(set_name, ndim, channels))


def test_one_pixel_image():
    raw = np.full((1, 1, 1, 1), 7, np.uint8)
    for set_name in FEATURE_SETS:
        if not set_name.startswith("3D"):
            found = measure(frame_of(np.ones((1, 1, 1), np.uint32), raw), fitting(set_name, 2, 1))
            assert all(len(values) == 1 for values in found.values())


@pytest.mark.parametrize("set_name", ["colour", "texture"])
@pytest.mark.parametrize("ndim", [2, 3])
def test_groups_change_no_bit(monkeypatch, set_name, ndim):
    """Objects that are measured many at once, in other company."""
    frame, _ = example(ndim, 2, dtype=np.float32)
    chosen = fitting(set_name, ndim, 2)
    whole = measure(frame, chosen)
    monkeypatch.setattr(groups, "OBJECTS", 2)
    cut = [measure(frame, chosen)]
    monkeypatch.setattr(groups, "BOX", 1)
    cut += [measure(replace(frame, context=Context(Limits(jobs=jobs))), chosen) for jobs in (1, 3)]
    for key, values in whole.items():
        assert all(equal(values, other[key]) for other in cut), key
