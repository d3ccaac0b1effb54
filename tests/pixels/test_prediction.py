"""Probabilities as a lazy image: any region, cutting and number of threads gives the same bytes; ilastik's answers."""

import json

import h5py
import numpy as np
import pytest

from objclass import images
from objclass.compute.context import Context
from objclass.compute.kernels import Kernel
from objclass.compute.limits import Limits
from objclass.core import AXES, Image, from_canonical
from objclass.errors import ProjectError
from objclass.forest import fit
from objclass.pixels.chain import InAxes, PixelChain, kept
from objclass.pixels.classifier import PixelClassifier, segmentation, uncertainty
from objclass.pixels.features import FILTERS, PixelFeatures
from objclass.pixels.prediction import ComputedFeatures, PredictedPixels, cube_shape
from objclass.project.ilp_pixels import read_pixel_project

RNG = np.random.default_rng(5)


def classifier(depth, channels, known=(1, 2, 3), rng=RNG):
    """Trained on noise: its probabilities are as ragged as can be."""
    features = PixelFeatures(
        tuple(FILTERS), (0.7, 1.6), np.array([[True, True], [True, False], [False, True], [True, False], [False, True], [True, False]]),
        (False, False),
    )  # fmt: skip
    rows = rng.normal(size=(90, features.count(depth, channels))).astype(np.float32) * 40
    classes = np.arange(90) % len(known) + 1
    forests = tuple(fit(rows, classes, len(known), trees, 0)[0] for trees in (3, 4))
    return PixelClassifier(features, ("a", "b", "c"), forests, known)


def image(shape):
    return images.from_array((RNG.random(shape) * 255).astype(np.uint8), "tzyxc")


@pytest.mark.parametrize("shape", [(2, 1, 60, 75, 2), (1, 18, 30, 28, 1)])
def test_any_region_in_any_cutting(shape):
    pixels = image(shape)
    trained = classifier(shape[1], shape[4])
    whole = PixelChain((trained,), "").probabilities(pixels).read()
    assert whole.shape == (*shape[:4], 3)
    assert whole.sum(axis=-1) == pytest.approx(1, abs=1e-6)
    for memory, jobs in ((20_000_000, 1), (4_000_000, 3), (1, 2)):
        cut = PredictedPixels(trained, pixels, Context(Limits(memory, None, jobs)))
        assert np.array_equal(cut.read(tuple(slice(0, n) for n in cut.shape)), whole)
    region = (slice(0, 1), slice(0, shape[1]), slice(7, 29), slice(5, 6), slice(1, 3))
    assert np.array_equal(cut.read(region), whole[region])


def test_cubes_are_as_small_as_the_memory_wants():
    small = PredictedPixels(classifier(1, 1), image((1, 1, 400, 500, 1)), Context(Limits(30_000_000)))
    large = PredictedPixels(classifier(1, 1), image((1, 1, 400, 500, 1)), Context(Limits(3_000_000_000)))
    assert np.prod(small.chunks) < np.prod(large.chunks) == 400 * 500 * 3
    assert cube_shape((64, 64, 64), (9, 9, 9), 1) >= (9, 9, 9)


def test_a_class_that_is_unknown_to_the_forests():
    found = PixelChain((classifier(1, 1, known=(1, 3)),), "").probabilities(image((1, 1, 20, 20, 1))).read()
    assert (found[..., 1] == 0).all()
    assert found[..., 2].max() > 0


def test_channels_are_computed_by_region():
    pixels = image((1, 1, 50, 40, 2))
    stored = ComputedFeatures(classifier(1, 2).features, pixels)
    region = (slice(0, 1), slice(0, 1), slice(20, 30), slice(0, 40), slice(3, 5))
    assert np.array_equal(stored.read(region), stored.read(tuple(slice(0, n) for n in stored.shape))[region])


def test_an_image_of_other_channels_is_refused():
    with pytest.raises(ProjectError, match="2 channels in 2D give .* feature channels, .* trained on"):
        PixelChain((classifier(1, 1),), "").probabilities(image((1, 1, 20, 20, 2)))


@pytest.mark.parametrize("case", ["pixel2d", "pixel2d_rgb", "pixel2dt", "pixel3d", "pixel3d_2dmix"])
def test_answers_of_ilastik(shared, case):
    """Of planes every bit; of volumes 99.9 % of the probabilities: three eigenvalues are approximated there."""
    folder = shared / "golden" / case
    project = read_pixel_project(str(folder / f"{case}.ilp"))
    raw = images.open_image(f"{folder}/test_raw.h5/data", axes=project.lanes[0]["raw_data"].axes)
    chain = PixelChain(project.classifiers(), project.path)
    context = Context(Limits(jobs=2))
    found = kept(chain.probabilities(raw, context), context).read()
    expected = {}
    for name in ("probabilities", "simple_segmentation", "uncertainty"):
        with h5py.File(folder / f"expected/test_{name}.h5") as file:
            stored = file["exported_data"]
            axes = "".join(tag["key"] for tag in json.loads(stored.attrs["axistags"])["axes"])
            expected[name] = stored[()]
    ours = from_canonical(found, axes)
    differ = np.abs(ours - expected["probabilities"]) > 1e-6
    argmax = from_canonical(segmentation(found)[..., None], axes)
    if "2d" in case and "mix" not in case:
        assert np.array_equal(ours, expected["probabilities"])
        assert np.array_equal(argmax, expected["simple_segmentation"])
        assert np.array_equal(from_canonical(uncertainty(found)[..., None], axes), expected["uncertainty"])
    assert differ.mean() < 1e-3
    assert (argmax == expected["simple_segmentation"]).mean() >= 0.99999


def test_compiled_code_is_chosen_by_all_pixels_and_trees_of_the_run(monkeypatch):
    """Not by those of a cube, an image or one of several forests: else small images would never gain."""
    asked = {}
    monkeypatch.setattr(
        Kernel, "choose", lambda kernel, work: asked.setdefault(kernel.name, set()).add(work) or None
    )
    context = Context(Limits(images=100, block=(1, 32)))
    PredictedPixels(classifier(1, 1), image((1, 1, 40, 50, 1)), context).read(
        tuple(slice(0, n) for n in (1, 1, 40, 50, 3))
    )
    assert asked["correlate_lines"] == {40 * 50 * 100}
    assert asked["descend"] == {40 * 50 * 100 * 7}


@pytest.mark.parametrize("memory", [None, 500_000])
def test_a_time_step_is_computed_once(memory, monkeypatch):
    """Whatever is read of it, in memory or from scratch."""
    computed = []
    original = PredictedPixels.predict
    monkeypatch.setattr(
        PredictedPixels,
        "predict",
        lambda self, t, box: computed.append((t, str(box))) or original(self, t, box),
    )
    pixels, context = image((2, 1, 60, 50, 1)), Context(Limits(memory, None, 2))
    lazy = PixelChain((classifier(1, 1),), "").probabilities(pixels, context)
    image_of_run = kept(lazy, context)
    whole = slice(0, 1), slice(0, 60), slice(0, 50), slice(0, 3)
    steps = [image_of_run.read((slice(t, t + 1), *whole)) for t in (0, 0, 1)]
    part = image_of_run.read((slice(1, 2), slice(0, 1), slice(11, 47), slice(3, 50), slice(1, 2)))
    assert len(computed) == len(set(computed))
    assert np.array_equal(part[0], steps[2][0][:, 11:47, 3:50, 1:2])
    assert np.array_equal(steps[0], steps[1])
    assert np.array_equal(np.concatenate(steps[1:]), lazy.read())


def test_tiles_of_an_image_that_is_gone_are_not_those_of_the_next():
    """Python gives its address, and so its id, to the next one."""
    context = Context(Limits(500_000))
    corner = (slice(0, 1), slice(0, 1), slice(0, 9), slice(0, 9), slice(0, 3))
    for value in range(20):
        assert (kept(Image("", InAxes(Constant(value), AXES), AXES, ""), context).read(corner) == value).all()


class Constant:
    """An array of one value, in pieces, too large for the memory."""

    shape, chunks, dtype = (1, 1, 200, 200, 3), (1, 1, 50, 50, 3), np.dtype(np.float32)

    def __init__(self, value):
        self.value = value

    def read(self, region):
        return np.full([part.stop - part.start for part in region], self.value, np.float32)


def test_masked_pixels_have_no_probability():
    pixels = image((1, 1, 30, 30, 1))
    mask = images.from_array(np.indices((30, 30)).sum(axis=0) % 2, "yx")
    found = PixelChain((classifier(1, 1),), "").probabilities(pixels, mask=mask).read()[0, 0]
    inside = mask.read()[0, 0, ..., 0] != 0
    assert (found[~inside] == 0).all()
    assert found[inside].sum(axis=-1) == pytest.approx(1, abs=1e-6)


def test_the_door_for_python(shared):
    """Lazy probabilities, and a project of pixels and objects from raw data alone."""
    import objclass

    folder = shared / "golden/po2d"
    with h5py.File(folder / "test_raw.h5") as file:
        raw = file["data"][()]
    lazy = objclass.predict_pixels(folder / "po2d.ilp", raw)
    assert (lazy.shape, lazy.axes) == ((*raw.shape, 2), "yxc")
    assert np.array_equal(lazy[30:50, 100:110], np.asarray(lazy)[30:50, 100:110])
    result = objclass.predict(folder / "po2d.ilp", raw, images=["labels", "classes"])
    with h5py.File(folder / "expected/test_identities.h5") as file:
        assert np.array_equal(result.labels, file["exported_data"][..., 0])
    with h5py.File(folder / "expected/test_predictions.h5") as file:
        assert np.array_equal(result.classes, file["exported_data"][..., 0])
    with pytest.raises(objclass.ObjclassError, match="mask of shape"):
        objclass.predict_pixels(folder / "po2d.ilp", raw, mask=raw[:5])
    with pytest.raises(objclass.ObjclassError, match="classifies no pixels"):
        objclass.predict_pixels(shared / "golden/blobs2d/blobs2d.ilp", raw)


def test_an_image_smaller_than_a_filter_is_refused():
    with pytest.raises(
        ProjectError, match="1 × 4 × 20 pixels along z, y, x are fewer than the filters of sigma 1.6 reach"
    ):
        PixelChain((classifier(1, 1),), "").probabilities(image((1, 1, 4, 20, 1)))
