"""Channels of pixels: definitions in float64, properties, any cutting, and ilastik's own numbers."""

import ast
import json

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from objclass.core import from_canonical, to_canonical
from objclass.errors import ProjectError
from objclass.pixels.features import FILTERS, PixelFeatures
from objclass.pixels.filters import Cube
from objclass.pixels.pointwise import eigenvalues
from tests.conftest import examples

RNG = np.random.default_rng(1)


def chosen(names=tuple(FILTERS), scales=(0.7, 1.6), in_planes=False):
    selected = np.ones((len(names), len(scales)), bool)
    return PixelFeatures(tuple(names), tuple(scales), selected, (in_planes,) * len(scales))


def whole(features, pixels):
    """Channels (z, y, x, k) of an image (z, y, x, c)."""
    cubes = [
        Cube(np.ascontiguousarray(pixels[..., c], np.float32), (0, 0, 0), pixels.shape[:3])
        for c in range(pixels.shape[3])
    ]
    return np.stack(features.compute(cubes, tuple(slice(0, n) for n in pixels.shape[:3])), axis=-1)


@pytest.mark.parametrize("shape", [(1, 30, 41, 1), (1, 30, 41, 3), (9, 14, 11, 1), (2, 14, 11, 2)])
def test_the_number_of_channels_is_known_before(shape):
    features = chosen()
    channels = whole(features, RNG.random(shape))
    assert channels.shape == (*shape[:3], features.count(shape[0], shape[3]))
    assert len(features.names(shape[0], shape[3])) == channels.shape[3]
    assert channels.dtype == np.float32


def test_a_constant_image():
    found = whole(chosen(scales=(1.0,)), np.full((9, 12, 12, 1), 100.0))
    assert found[..., 0] == pytest.approx(100, abs=1e-4)
    assert np.abs(found[..., 1:]).max() < 1e-3


def test_smoothing_is_that_of_scipy():
    pixels = RNG.random((1, 40, 50, 1)) * 255
    (smooth,) = np.moveaxis(whole(chosen(["GaussianSmoothing"], (3.5,)), pixels), -1, 0)
    first = gaussian_filter(pixels[0, ..., 0], np.sqrt(3.5**2 - 1), truncate=3.5, mode="mirror")
    expected = gaussian_filter(first, 1.0, truncate=2.0, mode="mirror")
    assert np.abs(smooth[0] - expected).max() < 1e-3


@pytest.mark.parametrize("d", [2, 3])
def test_eigenvalues_are_those_of_lapack(d):
    n = 2000
    matrices = RNG.normal(size=(n, d, d))
    matrices = (matrices + matrices.transpose(0, 2, 1)).astype(np.float32)
    matrices[:100] = np.eye(d)  # all equal
    matrices[100:200] = 0
    matrices[200:300, 0] = matrices[200:300, :, 0] = 0  # rank d - 1
    upper = [matrices[:, i, j] for i in range(d) for j in range(i, d)]
    found = np.empty((d, n), np.float32)
    eigenvalues(upper, n, found)
    found = found.T
    expected = np.linalg.eigvalsh(matrices.astype(float))[:, ::-1]
    size = np.abs(expected).max(axis=1, keepdims=True) + 1e-30
    # 2D in float32 as ilastik; 3D is rounded to float32 once
    assert (np.abs(found - expected) / size).max() < (1e-6 if d == 2 else 2e-7)
    assert (np.diff(found, axis=1) <= 0).all()


@pytest.mark.parametrize("name", FILTERS)
def test_swapping_y_and_x_swaps_the_channels(name):
    pixels = RNG.random((1, 24, 24, 1)) * 255
    features = chosen([name], (1.6,))
    there, back = whole(features, pixels), whole(features, pixels.swapaxes(1, 2)).swapaxes(1, 2)
    scale = np.abs(there).max()
    assert np.abs(there - back).max() < 1e-5 * scale


@given(st.data())
@examples(3)
def test_any_box_has_the_bytes_of_the_whole(data):
    shape = data.draw(st.sampled_from([(1, 70, 90, 2), (1, 50, 200, 1), (20, 30, 34, 1), (6, 40, 36, 1)]))
    in_planes = data.draw(st.booleans())
    features = chosen(scales=(0.3, 1.0, 2.3), in_planes=in_planes)
    pixels = (np.random.default_rng(3).random(shape) * 255).astype(np.float32)
    all_of_it = whole(features, pixels)
    box, wide = [], []
    for n, h in zip(shape[:3], features.halo(shape[0]), strict=True):
        start = data.draw(st.integers(0, n - 1))
        stop = data.draw(st.integers(start + 1, n))
        box.append(slice(start, stop))
        wide.append(slice(max(start - h, 0), min(stop + h, n)))
    cubes = [
        Cube(np.ascontiguousarray(pixels[tuple(wide)][..., c]), tuple(w.start for w in wide), shape[:3])
        for c in range(shape[3])
    ]
    assert np.array_equal(np.stack(features.compute(cubes, tuple(box)), -1), all_of_it[tuple(box)])


def test_what_cannot_be_selected_is_refused():
    with pytest.raises(ProjectError, match="unknown pixel filters: Sobel"):
        chosen(["Sobel"])
    with pytest.raises(ProjectError, match="at least one"):
        PixelFeatures(("GaussianSmoothing",), (1.0,), np.zeros((1, 1), bool), (False,))
    with pytest.raises(ProjectError, match="above 0"):
        chosen(scales=(0.0,))


# ---------------------------------------------------------------------------- ilastik

CASES = ("pixel2d", "pixel2d_rgb", "pixel2dt", "pixel3d", "pixel3d_2dmix")


@pytest.mark.parametrize("case", CASES)
def test_channels_are_those_of_ilastik(shared, case):
    """Bit for bit; three eigenvalues of float32 approximations to 1e-4 of the largest."""
    folder = shared / "golden" / case
    with h5py.File(folder / f"{case}.ilp") as file:
        group = file["FeatureSelections"]
        features = PixelFeatures(
            tuple(name.decode() for name in group["FeatureIds"]),
            tuple(group["Scales"][()].tolist()),
            group["SelectionMatrix"][()],
            tuple(group["ComputeIn2d"][()].tolist()),
        )
        names = [name.decode() for name in file["PixelClassification/ClassifierForests/feature_names"]]
    with h5py.File(folder / "test_raw.h5") as file:
        stored = file["data"].attrs.get("axistags")
        raw = file["data"][()]
    axes = (
        "".join(tag["key"] for tag in json.loads(stored)["axes"]) if stored else {2: "yx", 3: "zyx"}[raw.ndim]
    )
    pixels = to_canonical(raw, axes)
    assert features.names(pixels.shape[1], pixels.shape[4]) == names
    found = from_canonical(np.stack([whole(features, step) for step in pixels]), axes.replace("c", "") + "c")
    with h5py.File(folder / "expected/test_features.h5") as file:
        for crop in file.values():
            part = tuple(slice(*bounds) for bounds in ast.literal_eval(crop.attrs["slicing"]))
            for k, name in enumerate(names):
                ours, theirs = found[part][..., k], crop[..., k]
                if (
                    any(title in name for title in ("Structure Tensor", "Hessian"))
                    and "3d" in case
                    and "in 2D" not in name
                ):
                    largest = np.abs(crop[..., [i for i, n in enumerate(names) if n[:-3] == name[:-3]]]).max()
                    assert np.abs(ours - theirs).max() < 1e-4 * largest, name
                else:
                    assert np.array_equal(ours, theirs), name
