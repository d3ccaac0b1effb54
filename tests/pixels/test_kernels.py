"""Compiled filters equal those of numpy with ``==``, whatever the shape, the cutting and the pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from objclass.compute import kernels, processor
from objclass.compute.fma import fused
from objclass.compute.kernels import Kernel
from objclass.pixels import filters, pointwise
from objclass.pixels.features import FILTERS, PixelFeatures
from objclass.pixels.filters import Cube, around, correlate, taps
from tests.conftest import examples

KERNELS = (filters.passes, pointwise.magnitudes, pointwise.eigenvalues_of_two, pointwise.eigenvalues_of_three)


@pytest.fixture(scope="module")
def both():
    """Calls a function without compiled code and with it; returns both results."""

    def call(function):
        with pytest.MonkeyPatch.context() as patch:
            for kernel in KERNELS:
                patch.setattr(kernel, "choose", lambda _: None)
            plain = function()
            for kernel in KERNELS:
                patch.setattr(kernel, "choose", lambda _, compiled=kernel.compiled: compiled)
            return plain, function()

    return call


def same(a, b):
    """Equal in every bit, but for the kind of NaN."""
    return np.array_equal(a, b, equal_nan=True) and np.array_equal(
        np.signbit(a[a == 0]), np.signbit(b[b == 0])
    )


@given(st.data())
@examples(30)
def test_a_pass(both, data):
    axis, order = data.draw(st.integers(0, 2)), data.draw(st.integers(0, 2))
    radius = data.draw(st.sampled_from([0, 1, 2, 3, 4, 5, 9, 12]))
    size = [data.draw(st.integers(1, 5)) for _ in range(3)]
    size[axis] = data.draw(st.integers(1, 140))
    box = []
    for n in size:
        start = data.draw(st.integers(0, n - 1))
        box.append(slice(start, data.draw(st.integers(start + 1, n))))
    # more than is needed, along the other axes too
    wide = around(box, {a: 2 * radius + 40 if a == axis else 1 for a in range(3)}, size)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    pixels = rng.normal(size=size).astype(np.float32)
    if data.draw(st.booleans()):
        odd = np.float32([np.nan, np.inf, -np.inf, 0.0, -0.0, 3e38, 1e-42])
        pixels.flat[rng.integers(pixels.size, size=3)] = odd[rng.integers(len(odd), size=3)]
    cube = Cube(np.ascontiguousarray(pixels[tuple(wide)]), tuple(part.start for part in wide), tuple(size))
    weights = taps(radius / 3, order, 3.0)
    assert len(weights) == 2 * radius + 1
    plain, compiled = both(lambda: correlate(cube, weights, order, axis, tuple(box)).pixels)
    assert same(plain, compiled)


@pytest.mark.parametrize("shape", [(1, 40, 90), (1, 1, 20), (2, 20, 70), (9, 12, 66)])
@pytest.mark.parametrize("odd", [False, True])
def test_all_channels(both, shape, odd):
    rng = np.random.default_rng(sum(shape))
    pixels = (rng.random(shape) * 255).astype(np.float32)
    pixels[0, :, :9] = 0  # nothing but zeros: equal eigenvalues
    if odd:
        pixels[-1, -1, 15:18] = np.nan, np.inf, -np.inf
    features = PixelFeatures(
        tuple(FILTERS), (0.7, 1.6, 5.0), np.ones((6, 3), bool), (False, False, True)
    )  # fmt: skip
    box = tuple(slice(n // 4, n) for n in shape)
    with np.errstate(all="ignore"):
        plain, compiled = both(lambda: features.compute([Cube(pixels, (0, 0, 0), shape)], box))
    assert same(plain, compiled)


@pytest.mark.parametrize("d", [2, 3])
def test_eigenvalues_of_odd_matrices(both, d):
    rng = np.random.default_rng(d)
    entries = rng.choice(np.float32([0, 1, -1, 1e-30, 1e30, -3e38, np.inf, np.nan]), (d * (d + 1) // 2, 3000))
    entries[:, :700] = rng.normal(size=(len(entries), 700))

    def found():
        out = np.empty((d, entries.shape[1]), np.float32)
        with np.errstate(all="ignore"):
            pointwise.eigenvalues(list(entries), 1, out)
        return out

    plain, compiled = both(found)
    assert same(plain, compiled)


def test_plain_kernels_are_the_same_function(both):
    """Without a compiler the loops give the same, too: one small image."""
    rng = np.random.default_rng(3)
    pixels = rng.normal(size=(3, 5, 44)).astype(np.float32)
    features = PixelFeatures(tuple(FILTERS), (0.7,), np.ones((6, 1), bool), (False,))

    def found():
        return features.compute(
            [Cube(pixels, (0, 0, 0), pixels.shape)], tuple(slice(0, n) for n in pixels.shape)
        )

    plain, _ = both(found)
    with pytest.MonkeyPatch.context() as patch:
        for kernel in KERNELS:
            patch.setattr(kernel, "choose", lambda _, entry=kernel.entry: entry)
        assert same(plain, found())


def test_a_processor_without_the_instruction(monkeypatch, tmp_path):
    """The C library's function is called in its place."""
    here = processor.present()
    if not here.triple.startswith("x86_64"):
        pytest.skip("all other processors have it")
    monkeypatch.setattr(processor, "present", lambda: here._replace(name="x86-64", features=""))
    monkeypatch.setenv(kernels.CACHE_FOLDER, str(tmp_path))
    plainest = Kernel(add_up, repays_loading=0, repays_compiling=0)
    a, b, c = np.random.default_rng(0).normal(size=(3, 3000)).astype(np.float32)
    c[::3] = -a[::3] * b[::3]  # what the product loses is all that is left
    found = np.empty_like(a)
    plainest.compiled(a, b, c, len(a), found)
    assert np.array_equal(found, fused(a, b, c))


def add_up(
    a: NDArray[np.float32], b: NDArray[np.float32], c: NDArray[np.float32], n: int, found: NDArray[np.float32]
) -> None:
    for i in range(n):
        found[i] = fused(a[i], b[i], c[i])
