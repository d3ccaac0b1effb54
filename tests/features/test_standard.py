"""ilastik's standard features against plain formulas, and against ilastik's own numbers."""

import csv
import json
import math
from itertools import pairwise

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from objclass.core import Objects, to_canonical
from objclass.features.contract import feature_set
from objclass.features.engine import measure
from objclass.features.frame import Frame
from objclass.features.statistics.eigen import eigensystems
from objclass.features.statistics.powers import third_and_fourth_power
from objclass.segmentation.labelling import label
from tests.conftest import examples

STANDARD = "Standard Object Features"


def frame_of(labels, raw, margin=()):
    objects = Objects(labels.astype(np.uint32), int(labels.max(initial=0)))
    return Frame(objects, lambda where: raw[where], raw.shape[3], (1.0,) * objects.ndim, margin)


def values_of(labels, raw, *names, margin=()):
    chosen = [feature_set(STANDARD)[name] for name in names]
    found = measure(frame_of(labels, raw, margin), chosen)
    return [found[f.key].astype(float) for f in chosen]


def blobs(seed, ndim=2, channels=1, dtype=float):
    rng = np.random.default_rng(seed)
    shape = (1, 18, 20) if ndim == 2 else (5, 12, 11)
    labels = label(rng.random(shape) < 0.5).labels
    return labels, (rng.random((*shape, channels)) * 100).astype(dtype)


@examples(6)
@given(st.integers(0, 10**6), st.sampled_from([2, 3]), st.sampled_from([1, 3]), st.sampled_from(["u1", "f4"]))
def test_intensity_by_formula(seed, ndim, channels, dtype):
    labels, raw = blobs(seed, ndim, channels, dtype)
    names = "Count", "Sum", "Mean", "Minimum", "Maximum", "Variance", "Skewness", "Kurtosis"
    n, total, mean, low, high, variance, skewness, kurtosis = values_of(labels, raw, *names)
    for i in range(1, labels.max() + 1):
        x = raw[labels == i].astype(float)
        m2, m3, m4 = (((x - x.mean(axis=0)) ** k).sum(axis=0) for k in (2, 3, 4))
        close = {"rtol": 3e-7, "atol": 1e-5}  # results are float32; moments of constants are 0
        assert n[i - 1] == len(x)
        np.testing.assert_allclose(total[i - 1], x.sum(axis=0), **close)
        np.testing.assert_allclose(mean[i - 1], x.mean(axis=0), **close)
        assert np.array_equal(low[i - 1], x.min(axis=0))
        assert np.array_equal(high[i - 1], x.max(axis=0))
        np.testing.assert_allclose(variance[i - 1], x.var(axis=0), **close)
        spread = m2 > 1e-6
        m2, m3, m4 = m2[spread], m3[spread], m4[spread]
        np.testing.assert_allclose(skewness[i - 1][spread], len(x) ** 0.5 * m3 / m2**1.5, **close)
        np.testing.assert_allclose(kurtosis[i - 1][spread], len(x) * m4 / m2**2 - 3, **close)


@examples(6)
@given(st.integers(0, 10**6), st.sampled_from([2, 3]))
def test_position_and_axes_by_formula(seed, ndim):
    labels, raw = blobs(seed, ndim)
    names = "RegionCenter", "RegionRadii", "RegionAxes", "Coord<Minimum>", "Coord<Maximum>"
    center, radii, axes, low, high = values_of(labels, raw, *names)
    for i in range(1, labels.max() + 1):
        p = np.argwhere(labels == i)[:, ::-1][:, :ndim].astype(float)  # x, y(, z)
        np.testing.assert_allclose(center[i - 1], p.mean(axis=0), rtol=1e-6)
        assert np.array_equal(low[i - 1], p.min(axis=0))
        assert np.array_equal(high[i - 1], p.max(axis=0) + 1)
        covariance = np.atleast_2d(np.cov(p.T, bias=True)) if len(p) > 1 else np.zeros((ndim, ndim))
        vectors = axes[i - 1].reshape(ndim, ndim)
        np.testing.assert_allclose(vectors.T @ vectors, np.eye(ndim), atol=1e-6)
        np.testing.assert_allclose(vectors @ np.diag(radii[i - 1] ** 2) @ vectors.T, covariance, atol=2e-5)
        assert np.all(np.diff(radii[i - 1]) <= 1e-6)


def test_a_single_pixel_has_the_identity_for_axes():
    labels = np.ones((1, 1, 1))
    axes, radii = values_of(labels, np.ones((1, 1, 1, 1)), "RegionAxes", "RegionRadii")
    assert axes.tolist() == [[1, 0, 0, 1]]
    assert radii.tolist() == [[0, 0]]


@examples(8)
@given(st.integers(0, 10**6), st.integers(1, 5))
def test_eigensystems_of_random_matrices(seed, size):
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(7, size, size)).round(1)
    a = a + a.transpose(0, 2, 1)
    a[0] = 0
    values, vectors = eigensystems(a)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(a)[:, ::-1], atol=1e-12)
    np.testing.assert_allclose(vectors @ (values[:, :, None] * vectors.transpose(0, 2, 1)), a, atol=1e-12)


def test_eigensystems_that_are_not_finite_are_nan():
    a = np.array([np.eye(3), np.full((3, 3), np.nan)])
    values, _ = eigensystems(a)
    assert values[0].tolist() == [1, 1, 1]
    assert np.isnan(values[1]).all()


@examples(12)
@given(st.integers(0, 10**6), st.integers(-60, 60))
def test_powers_are_those_of_libm(seed, exponent):
    q = np.random.default_rng(seed).normal(size=2000) * 2.0**exponent
    cube, fourth = third_and_fourth_power(q)
    assert cube.tolist() == [math.pow(x, 3) for x in q]
    assert fourth.tolist() == [math.pow(x, 4) for x in q]


@pytest.mark.parametrize("q", [0.0, -0.0, np.inf, -np.inf, np.nan, 1e200, 1e-200, 2.0, -8.0])
def test_powers_of_extremes(q):
    with np.errstate(over="ignore", invalid="ignore"):
        cube, fourth = third_and_fourth_power(np.array([q]))
        assert np.array_equal(cube, [q * q * q], equal_nan=True)
        assert np.array_equal(fourth, [q * q * q * q], equal_nan=True)


def test_histogram_and_quantiles_share_the_range_of_the_frame():
    labels = np.array([[[1, 1, 1, 0, 2, 2]]])
    raw = np.array([[[0, 32, 64, 1000, 0, 64]]], float)[..., None]
    counts, quantiles = values_of(labels, raw, "Histogram", "Quantiles")
    assert counts[0].nonzero()[0].tolist() == [0, 32, 63]  # the top value falls into the last bin
    assert quantiles[:, [0, -1]].tolist() == [[0, 64], [0, 64]]


def quantiles_by_curve(values, low, high, counts):
    """Quantiles of one object from its cumulative curve, point by point, in vigra's order of rounding."""
    scale = 64 / (high - low)
    known = values[~np.isnan(values)]
    curve = [(scale * (known.min() - low), 0)]
    cumulated = len(values) - len(known)
    if cumulated:
        curve.append((0.0, cumulated))  # NaN falls below the range
    for k in np.flatnonzero(counts):
        if curve[-1][0] <= k:
            curve.append((float(k), cumulated))
        cumulated += int(counts[k])
        curve.append((float(k + 1), cumulated))
    curve[-1] = scale * (known.max() - low), cumulated
    result = [known.min()]
    for q in (0.1, 0.25, 0.5, 0.75, 0.9):
        (left, before), (right, after) = next(
            (a, b) for a, b in pairwise(curve) if a[1] < q * len(values) <= b[1]
        )
        t = (q * len(values) - before) / (after - before) * (right - left)
        result.append(1 / scale * (t + left) + low)
    return [*result, known.max()]


@examples(15)
@given(
    st.integers(0, 10**6),
    st.sampled_from(["u1", "u2", "f4"]),
    st.sampled_from([0, 0.05, 0.5]),
    st.integers(1, 3),
)
def test_quantiles_by_their_curve_to_the_last_bit(seed, dtype, missing, rows):
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(1, 7), 12 * rows).reshape(1, 6 * rows, 12)
    raw = rng.random((*labels.shape, 1)) * 250
    if dtype == "u2":
        raw *= 250
    raw = raw.astype(dtype)
    if dtype == "f4":
        raw[rng.random(raw.shape) < missing] = np.nan
        raw[:, ::rows, :2] = rng.random((1, 6, 2, 1))  # no object without any number
    low, high = float(np.nanmin(raw)), float(np.nanmax(raw))
    counts, found = values_of(labels, raw, "Histogram", "Quantiles")
    for i in range(6):
        values = raw[labels == i + 1].ravel().astype(float)
        expected = quantiles_by_curve(values, low, high, counts[i])
        assert found[i].tolist() == np.float32(expected).astype(float).tolist()


@pytest.mark.parametrize(("value", "total"), [(5, 3), (127, 3), (128, 0), (255, 0)])
def test_a_histogram_without_range_is_empty_from_128_on(value, total):
    labels = np.array([[[1, 1, 1]]])
    counts, quantiles = values_of(labels, np.full((1, 1, 3, 1), value), "Histogram", "Quantiles")
    assert counts.sum() == total
    assert quantiles[0, 0] == quantiles[0, -1] == value
    assert np.isnan(quantiles[0, 1:-1]).all() == (total == 0)


@examples(3)
@given(st.integers(0, 10**6), st.sampled_from([(4, 4), (9, 16), (7, 11)]))
def test_neighbourhoods_by_brute_force(seed, margin):
    rng = np.random.default_rng(seed)
    labels = label(rng.random((1, 24, 30)) < 0.08).labels
    raw = rng.integers(0, 255, (1, 24, 30, 1)).astype(np.uint8)
    names = "Sum in neighborhood", "Maximum in neighborhood", "Sum in object and neighborhood"
    total, high, both = values_of(labels, raw, *names, margin=margin)
    reach = max(margin)
    pitch = reach // margin[1], reach // margin[0]
    for i in range(1, labels.max() + 1):
        mask = labels[0] == i
        y, x = mask.nonzero()
        box = np.zeros(mask.shape, bool)
        box[max(y.min() - margin[1], 0) : y.max() + 2 + margin[1],
            max(x.min() - margin[0], 0) : x.max() + 2 + margin[0]] = True  # fmt: skip
        near = (ndimage.distance_transform_edt(~mask, sampling=pitch) < reach) & box
        values = raw[0, ..., 0].astype(int)
        assert total[i - 1, 0] == values[near & ~mask].sum()
        assert both[i - 1, 0] == values[near].sum()
        assert high[i - 1, 0] == values[near & ~mask].max()


def test_a_neighbourhood_without_pixels():
    labels = np.ones((1, 2, 2))
    low, high, total, mean = values_of(
        labels, np.ones((1, 2, 2, 1)), *(f"{n} in neighborhood" for n in ("Minimum", "Maximum", "Sum", "Mean")),
        margin=(3, 3),
    )  # fmt: skip
    largest = float(np.finfo(np.float32).max)
    assert (low[0, 0], high[0, 0], total[0, 0]) == (largest, -largest, 0)
    assert np.isnan(mean).all()


GOLDEN = (
    "blobs2d", "rgb2d", "blobs3d", "series2dt", "float2d", "hard2d", "hard3d", "labels2d", "labels3d", "pred2d",
    "pred3d", "pred2dt", "multichan2", "advanced2d", "advanced3d",
)  # fmt: skip


@pytest.mark.parametrize("case", GOLDEN)
def test_every_column_equals_that_of_ilastik(shared, case):
    """As float32, NaN positions included, from ilastik's own label image."""
    folder = shared / "golden" / case
    labels = read(folder / "expected/test_identities.h5", "exported_data")
    raw = read(folder / "test_raw.h5", "data")
    with h5py.File(folder / f"{case}.ilp") as file:
        stored = file[f"ObjectExtraction/Features/{STANDARD}"].values()
        margin = next(tuple(int(n) for n in f["margin"][()]) for f in stored if "margin" in f)
    with (folder / "expected/test_table.csv").open() as file:
        rows = list(csv.DictReader(file))
    compared = 0
    for t, (objects, pixels) in enumerate(zip(labels[..., 0], raw, strict=True)):
        frame = frame_of(objects, pixels, margin)
        chosen = [f for f in feature_set(STANDARD).values() if f.fits(frame.objects.ndim, raw.shape[4])]
        chosen = [f for f in chosen if f.columns(frame.objects.ndim, raw.shape[4])[0] in rows[0]]
        here = [row for row in rows if int(row["timestep"]) == t]
        for f, values in zip(chosen, measure(frame, chosen).values(), strict=True):
            names = f.columns(frame.objects.ndim, raw.shape[4])
            expected = np.array([[row[name] for name in names] for row in here], np.float32)
            assert np.array_equal(expected, values, equal_nan=True), f.name
            compared += 1
    assert compared >= 20


def read(path, name):
    with h5py.File(path) as file:
        tags = json.loads(file[name].attrs["axistags"])
        return to_canonical(file[name][()], "".join(axis["key"] for axis in tags["axes"]))


@examples(5)
@given(st.integers(0, 10**6), st.sampled_from([2, 3]), st.sampled_from(["u1", "f4"]))
def test_advanced_features_of_one_channel_by_formula(seed, ndim, dtype):
    """Weighted with the values, or not: sums, centres, axes and moments along them."""
    labels, raw = blobs(seed, ndim, 1, dtype)
    found = {
        f.name: values.astype(float)
        for f in feature_set(STANDARD).values()
        if f.advanced and f.scope == "object" and f.fits(ndim, 1)
        for values in measure(frame_of(labels, raw), [f]).values()
    }
    close = {"rtol": 2e-6, "atol": 2e-3}  # float32 results; third moments of symmetric objects are 0
    for i in range(1, labels.max() + 1):
        row = i - 1
        p = np.argwhere(labels == i)[:, ::-1][:, :ndim].astype(float)
        x = raw[labels == i][:, 0].astype(np.float32).astype(float)
        assert np.array_equal(found["Coord<ArgMinWeight>"][row], p[x.argmin()])
        assert np.array_equal(found["Coord<ArgMaxWeight>"][row], p[x.argmax()])
        for k in (2, 3, 4):
            expected = ((x - x.mean()) ** k).sum()
            np.testing.assert_allclose(
                found[f"Central<PowerSum<{k}>>"][row, 0], expected, rtol=1e-5, atol=0.5
            )
        check_moments(found, "Coord", row, p, np.ones(len(p)), close)
        if x.sum() > 1:
            np.testing.assert_allclose(found["Weighted<PowerSum<0>>"][row, 0], x.sum(), rtol=1e-6)
            center = (p * x[:, None]).sum(axis=0) / x.sum()
            np.testing.assert_allclose(found["Weighted<RegionCenter>"][row], center, **close)
            axes = found["Weighted<RegionAxes>"][row].reshape(ndim, ndim)
            np.testing.assert_allclose(axes.T @ axes, np.eye(ndim), atol=1e-5)
            check_moments(found, "Weighted<Coord", row, p, x, close)
    inside = raw[labels > 0].astype(np.float32)
    assert (found["Global<Minimum>"] == inside.min()).all()
    assert (found["Global<Maximum>"] == inside.max()).all()


def check_moments(found, prefix, row, p, w, close):
    """Eigenvalues and moments along the axes, from the plain formulas."""
    end = ">" if prefix.startswith("Weighted") else ""

    def of(name):
        return found[f"{prefix}<{name}>{end}"][row]

    np.testing.assert_allclose(of("PowerSum<1>"), (p * w[:, None]).sum(axis=0), rtol=1e-6)
    c = p - (p * w[:, None]).sum(axis=0) / w.sum()
    values, vectors = np.linalg.eigh((c * w[:, None]).T @ c)
    values, vectors = values[::-1], vectors[:, ::-1]
    np.testing.assert_allclose(of("Principal<PowerSum<2>>"), values, rtol=1e-5, atol=0.05)
    np.testing.assert_allclose(
        of("DivideByCount<Principal<PowerSum<2>>>"), values / w.sum(), rtol=1e-5, atol=1e-3
    )
    if np.diff(values).max(initial=-1) >= -1e-3 * abs(values[0]) or values.min() < 1e-3 * values.max():
        return  # axes of round and flat objects are not determined
    q = c @ vectors
    q3, q4 = ((q**k * w[:, None]).sum(axis=0) for k in (3, 4))
    scale = np.abs(q**3 * w[:, None]).sum(axis=0)
    assert np.all(np.abs(np.abs(of("Principal<PowerSum<3>>")) - np.abs(q3)) <= 1e-4 * scale + 1e-6)
    np.testing.assert_allclose(of("Principal<PowerSum<4>>"), q4, rtol=1e-4)
    skewness = np.sqrt(w.sum()) * np.abs(q3) / values**1.5
    np.testing.assert_allclose(np.abs(of("Principal<Skewness>")), skewness, rtol=1e-3, atol=2e-3)
    np.testing.assert_allclose(of("Principal<Kurtosis>"), w.sum() * q4 / values**2 - 3, rtol=1e-3, atol=2e-3)


@examples(5)
@given(st.integers(0, 10**6), st.sampled_from([2, 4]), st.sampled_from(["u1", "f4"]))
def test_features_of_several_channels_by_formula(seed, channels, dtype):
    labels, raw = blobs(seed, 2, channels, dtype)
    names = ("Covariance", "PrincipalAxes", "Principal<PowerSum<2>>", "Principal<Variance>",
             "Principal<PowerSum<4>>", "Principal<Minimum>", "Principal<Maximum>")  # fmt: skip
    found = dict(zip(names, values_of(labels, raw, *names), strict=True))
    for i in range(1, labels.max() + 1):
        row, x = i - 1, raw[labels == i].astype(np.float32).astype(float)
        covariance = np.cov(x.T, bias=True) if len(x) > 1 else np.zeros((channels, channels))
        np.testing.assert_allclose(
            found["Covariance"][row].reshape(channels, -1), covariance, rtol=1e-5, atol=1e-2
        )
        axes = found["PrincipalAxes"][row].reshape(channels, channels)
        np.testing.assert_allclose(axes.T @ axes, np.eye(channels), atol=1e-5)
        values = np.linalg.eigvalsh(covariance)[::-1]
        np.testing.assert_allclose(found["Principal<Variance>"][row], values, rtol=1e-5, atol=1e-2)
        np.testing.assert_allclose(found["Principal<PowerSum<2>>"][row], values * len(x), rtol=1e-5, atol=1)
        q = (x - x.mean(axis=0)) @ axes
        np.testing.assert_allclose(
            found["Principal<PowerSum<4>>"][row], (q**4).sum(axis=0), rtol=1e-4, atol=50
        )
        np.testing.assert_allclose(found["Principal<Minimum>"][row], q.min(axis=0), rtol=1e-4, atol=1e-2)
        np.testing.assert_allclose(found["Principal<Maximum>"][row], q.max(axis=0), rtol=1e-4, atol=1e-2)


def test_powers_are_looked_up_where_grey_values_are_few(rng):
    """The same bits, whether computed for each voxel or for each grey value."""
    labels = np.repeat([1, 2], 600).reshape(1, 30, 40)
    raw = rng.integers(3, 40, (1, 30, 40, 1)).astype(np.uint8)
    few = values_of(labels, raw, "Skewness", "Kurtosis", "Central<PowerSum<3>>")
    many = values_of(labels, raw.astype(np.float32), "Skewness", "Kurtosis", "Central<PowerSum<3>>")
    for a, b in zip(few, many, strict=True):
        assert np.array_equal(a, b)
