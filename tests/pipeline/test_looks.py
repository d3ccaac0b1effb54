"""Images that are not what they were given as: one line, and none for sound ones."""

import io

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from objclass.cli import main
from objclass.core import ArrayStore, Image, Lane
from objclass.images import open_image
from objclass.pipeline.looks import _values, doubt, in_range_of
from objclass.settings import ProjectThreshold, ThresholdSettings


def image(values, name="seg.tif", axes="yx", drange=None):
    return Image(name, ArrayStore(values), axes, "test", drange)


@pytest.fixture
def raw(samples):
    return tifffile.imread(samples / "cells.tif")


@pytest.fixture
def mask(samples):
    return (tifffile.imread(samples / "cells_segmentation.tif") > 0).astype(np.uint8) * 255


def in_jpeg(values):
    file = io.BytesIO()
    Pillow.fromarray(values).save(file, "JPEG", quality=75)
    return np.array(Pillow.open(file))


def test_what_looks_like_something_else(raw, mask, rng):
    noisy = rng.integers(0, 200, raw.shape).astype(np.uint8)
    assert "are they swapped?" in doubt(Lane(image(mask), image(noisy), "segmentation_image", "", ""))
    for role in ("segmentation_image", "label_image"):
        for grey in (noisy, noisy.astype(np.uint16) * 50, in_jpeg(mask)):
            assert "looks like a grey image" in doubt(Lane(image(noisy), image(grey), role, "", ""))
    assert "looks like a mask: its" in doubt(Lane(image(raw), image(mask), "label_image", "", ""))


@pytest.mark.parametrize("role", ["segmentation_image", "label_image"])
def test_classes_of_pixels_counted_from_1(raw, mask, role):
    """A Simple Segmentation of ilastik; a map that is tiled by regions has as many values as pieces."""
    classes = (1 + (mask > 0)).astype(np.uint8)
    assert "looks like classes of pixels counted from 1" in doubt(
        Lane(image(raw), image(classes), role, "", "")
    )
    tiles = np.kron(np.arange(1, 10).reshape(3, 3), np.ones((100, 100), int)).astype(np.uint16)
    assert doubt(Lane(None, image(tiles), role, "", "")) is None
    assert doubt(Lane(None, image(np.ones_like(mask)), role, "", "")) is None


def test_sound_images_are_not_doubted(samples, raw, mask):
    labels = tifffile.imread(samples / "spots3d_label_image.tif")
    for role, values, axes in (
        ("segmentation_image", mask, "yx"),
        ("segmentation_image", labels, "zyx"),
        ("label_image", labels, "zyx"),
        ("label_image", (labels == labels.max()).astype(np.uint16), "zyx"),
        ("segmentation_image", np.zeros_like(mask), "yx"),
        ("prediction_maps", raw, "yx"),
    ):
        assert doubt(Lane(None, image(values, axes=axes), role, "", "")) is None


@pytest.mark.parametrize("dtype", ["u1", "u2", "i4", "u8", "i8"])
@pytest.mark.parametrize(("factor", "less"), [(1, 0), (1, 3), (10**6, 0)])
def test_values_of_any_type_are_counted(dtype, factor, less, rng):
    values = rng.integers(0, 9, (1, 20, 20)) * factor - less
    if np.iinfo(dtype).min <= values.min() and values.max() <= np.iinfo(dtype).max:
        assert _values(values.astype(dtype)) == (np.count_nonzero(np.unique(values)), 0 in values)


def test_no_image_of_the_reference_data_is_doubted(shared):
    found = [*shared.glob("golden/*/t*_segmentation_image.h5"), *shared.glob("golden/*/t*_label_image.h5"),
             *shared.glob("golden/corners/*/segmentation_image.h5")]  # fmt: skip
    assert len(found) > 25
    for path in found:
        role = "label_image" if "label" in path.name else "segmentation_image"
        assert doubt(Lane(None, open_image(str(path)), role, "", "")) is None, path


@pytest.mark.parametrize(
    ("dtype", "largest", "drange", "cut"),
    [
        ("u1", 255, (0, 255), 127.5),
        ("u1", 200, (0, 255), 127.5),
        ("u1", 100, (0, 255), 50),
        ("u1", 1, (0, 255), 0.5),
        ("u2", 60000, None, 32767.5),
        ("u2", 255, None, 127.5),
        ("u2", 90, None, 50),
        ("u2", 900, (0, 1000), 500),
        ("i4", 100, None, 50),
        ("f4", 255, None, 0.5),
    ],
)
def test_the_range_of_a_map_of_integers(dtype, largest, drange, cut):
    values = np.zeros((5, 4, 6), dtype)
    values[2, 1, 1] = largest
    given = image(values, axes="zyx", drange=drange)
    threshold, told = in_range_of(given, ThresholdSettings(threshold=0.5))
    assert threshold.threshold == cut
    assert bool(told) == (cut != 0.5)
    for as_it_is in (ThresholdSettings(threshold=25), ProjectThreshold(0.5)):
        assert in_range_of(given, as_it_is) == (as_it_is, None)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Measure the objects of a map; returns their number, and what was said."""
    monkeypatch.chdir(tmp_path)

    def measure(values, *options, role="prediction_maps"):
        np.save("map.npy", values)
        assert main(["--headless", f"--{role}", "map.npy", "--table_filename", "t.csv", "--table_only",
                     "--features", "regionprops:area", *options]) == 0  # fmt: skip
        return (tmp_path / "t.csv").read_text().count("\n") - 1, capsys.readouterr().err

    return measure


def test_thresholds_of_0_to_1_for_integers(run, rng):
    probabilities = np.zeros((40, 50))
    probabilities[5:15, 5:15] = 0.9
    probabilities[20:30, 20:30] = 0.4
    for top in (255, 100, 65535):
        count, told = run(np.rint(probabilities * top).astype(np.uint16 if top > 255 else np.uint8))
        assert count == 1
        assert f"taken as 0 to {top}: --threshold 0.5 is {top / 2:g}" in told
    count, told = run(probabilities.astype(np.float32))
    assert count == 1
    assert "taken for" not in told
    assert "warning" not in told


def test_thresholds_that_select_nothing_or_everything(run):
    pixels = np.full((30, 40), 0.6, np.float32)
    count, told = run(pixels, "--threshold", "128")
    assert count == 0
    assert "warning: map.npy: no objects (channel 0, threshold 128" in told
    count, told = run(pixels)
    assert count == 1
    assert "warning: map.npy, time step 0: the whole image is one object (channel 0, threshold 0.5" in told
    count, told = run(np.zeros((30, 40), np.uint8), role="segmentation_image")
    assert count == 0
    assert "warning: map.npy: no objects" in told


def test_a_mask_as_label_image_is_told_before_the_run(run, mask):
    count, told = run(mask, role="label_image")
    assert count == 1
    assert told.startswith("objclass: warning: label image map.npy looks like a mask")
