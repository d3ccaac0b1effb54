"""Pictures of objects: which ones, cut out where, drawn how."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from objclass.compute.context import Context
from objclass.pipeline.crops import Crop, plane_crops, window_of
from objclass.report import pictures
from objclass.report.gallery import DISAGREEING, NOVEL, TYPICAL, UNCERTAIN, Candidates, chosen
from objclass.report.pictures import read_crops
from objclass.report.thumbnails import SIDE, contrast_of, thumbnail
from objclass.settings import ThresholdSettings
from tests.report.made import evaluation, squares


def pixels(png):
    return np.array(Image.open(io.BytesIO(png)).convert("RGB"))


def square(dtype=np.uint16, channels=1, high=1000):
    """A bright square in a dark crop of 24 pixels a side."""
    mask = np.zeros((24, 24), bool)
    mask[8:16, 8:16] = True
    raw = np.where(mask[..., None], high, 0).repeat(channels, 2).astype(dtype)
    return Crop(raw, mask)


# --- which ones


def candidates(given=None, novelty=None):
    probabilities = np.array(
        [[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.9, 0.1], [0.51, 0.49]], np.float32
    )
    image = np.array([0, 0, 0, 1, 1, 1])
    return Candidates(probabilities.argmax(axis=1) + 1, probabilities, image, given, novelty)


def test_objects_are_typical_uncertain_or_disagree_with_their_label():
    found = chosen(candidates(given=np.array([1, 1, 1, 1, 2, 0])), 1, 2)
    assert list(found) == [TYPICAL, UNCERTAIN, DISAGREEING]
    assert found[TYPICAL].tolist() == [0, 1]
    assert found[UNCERTAIN].tolist() == [5, 2]  # without a label it is shown as what it is predicted as
    assert found[DISAGREEING].tolist() == [3]
    assert chosen(candidates(given=np.array([1, 1, 1, 1, 2, 0])), 2, 2)[DISAGREEING].tolist() == [4]


def test_equally_good_objects_come_from_different_images():
    assert chosen(candidates(), 1, 2)[TYPICAL].tolist() == [0, 4]


def test_novel_objects_are_above_the_threshold_and_shown_once():
    found = chosen(candidates(novelty=np.array([9.0, 1, 1, 1, 1.5, 0.5])), 1, 3)
    assert found[NOVEL].tolist() == [0, 4]
    assert sorted(np.concatenate([*found.values()]).tolist()) == [0, 1, 2, 4, 5]
    assert NOVEL not in chosen(candidates(novelty=np.ones(6)), 1, 3)


def test_a_class_without_objects_has_no_pictures():
    assert chosen(candidates(given=np.full(6, 1)), 2, 3) == {}


# --- cut out where


def test_crops_show_the_object_and_what_is_around_it():
    lane = squares(9)
    found = evaluation(9, images=("a",))
    crops = read_crops(found.objects, [0, 4, 8], {0: lane}, ThresholdSettings(), Context())
    assert crops.window == 16
    assert list(crops.by_row) == [0, 4, 8]
    assert crops.original == {0: 1, 4: 5, 8: 9}
    for crop in crops.by_row.values():
        assert crop.mask.shape == crop.raw.shape[:2] == (16, 16)
        assert crop.mask.sum() == 36
    assert np.array_equal(crops.by_row[0].raw, lane.raw.read()[0, 0, :16, :16])  # moved into the image
    assert np.array_equal(crops.by_row[4].raw, lane.raw.read()[0, 0, 10:26, 10:26])


def test_only_what_is_around_the_objects_is_read(monkeypatch):
    """A crop does not read the whole of an image that is not held."""
    lane, read = squares(400), []

    def reader(image, t, context):
        return lambda box: read.append(box) or image.read((slice(t, t + 1), *box, slice(0, 1)))[0]

    monkeypatch.setattr("objclass.pipeline.crops.box_reader", reader)
    read_crops(evaluation(400, images=("a",)).objects, [17], {0: lane}, ThresholdSettings(), Context())
    assert [tuple(part.stop - part.start for part in box) for box in read] == [(1, 16, 16)]


def test_of_a_volume_the_plane_with_most_voxels_is_shown():
    lane = squares(4, planes=5)
    stored = lane.objects.stored.array
    stored[:2][stored[:2] == 2] = 0
    stored[3, 3, 15] = 0
    stored[2, 3:5, 15] = 0
    found = evaluation(4, images=("a",))
    # its first voxel comes last, and so does its id
    crop = read_crops(found.objects, [3], {0: lane}, ThresholdSettings(), Context()).by_row[3]
    assert crop.mask.sum() == 36
    assert np.array_equal(crop.raw, lane.raw.read()[0, 4, :16, 8:24])


def test_large_objects_are_thinned_out_and_ids_of_another_image_are_left_out():
    lane = squares(1)
    lane.objects.stored.array[:] = 1
    step = pictures._step(lane, 0, ThresholdSettings(), Context())
    assert window_of(step) == 17
    (crop,) = plane_crops(lane, step, [1], 17, 6, Context())
    assert crop.mask.shape == (6, 6)
    found = evaluation(4, images=("a",))
    assert list(read_crops(found.objects, [0, 3], {0: lane}, ThresholdSettings(), Context()).by_row) == [0]


def test_time_steps_that_an_image_has_no_more_are_left_out():
    found = evaluation(4, images=("a",)).objects
    found = replace(found, timestep=np.array([0, 1, 0, 7]))
    assert list(read_crops(found, range(4), {0: squares(4)}, ThresholdSettings(), Context()).by_row) == [0, 2]


# --- drawn how


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float32, np.float64])
def test_the_outline_runs_around_the_object_in_its_color(dtype):
    crop = square(dtype, high=100)
    seen = pixels(thumbnail(crop, contrast_of([crop]), (230, 25, 75)))
    assert seen.shape == (SIDE, SIDE, 3)
    outline = (seen == (230, 25, 75)).all(axis=2)
    assert outline[30:32, 32:64].all()
    assert not outline[32:64, 32:64].any()
    assert (seen[40:56, 40:56] == 255).all()
    assert (seen[:20] == 0).all()


def test_contrast_is_the_same_in_all_pictures():
    crops = [square(high=1000), square(high=500)]
    contrast = contrast_of(crops)
    bright, dim = (int(pixels(thumbnail(crop, contrast, (255, 0, 0)))[48, 48, 0]) for crop in crops)
    assert bright == 255
    assert dim == 128
    assert "percentiles 0.5 to 99.5" in contrast.described


def test_colors_are_shown_as_they_are_and_channels_are_mixed():
    red = square(np.uint8, 3, high=200)
    red.raw[..., 1:] = 0
    assert pixels(thumbnail(red, contrast_of([red], is_color=True), (0, 0, 255)))[48, 48].tolist() == [
        200,
        0,
        0,
    ]
    two = square(np.uint16, 2)
    two.raw[..., 1] = np.arange(24)
    assert pixels(thumbnail(two, contrast_of([two]), (0, 0, 255)))[48, 48, 1] == 255
    many = square(np.float32, 3)
    assert pixels(thumbnail(many, contrast_of([many]), (0, 0, 255)))[48, 48].tolist() == [255] * 3
    assert "the first three at most" in contrast_of([many]).described


@pytest.mark.parametrize(("dtype", "channels", "kept", "is_color"), [
    (np.uint8, 3, 3, True), (np.uint8, 4, 3, True), (np.uint8, 5, 3, False), (np.uint16, 3, 3, False), (np.uint8, 1, 1, False),
])  # fmt: skip
def test_crops_have_three_channels_at_most(dtype, channels, kept, is_color):
    found = evaluation(4, images=("a",))
    lane = squares(4, dtype=dtype, channels=channels)
    crops = read_crops(found.objects, [1], {0: lane}, ThresholdSettings(), Context())
    assert crops.by_row[1].raw.shape == (16, 16, kept)
    assert crops.is_color is is_color


def test_pixels_that_are_no_numbers_are_black():
    crop = square(np.float32)
    crop.raw[10:14, 10:14] = np.nan
    crop.raw[0, 0] = np.inf
    assert (pixels(thumbnail(crop, contrast_of([crop]), (255, 0, 0)))[44:52, 44:52] == 0).all()
    flat = square(np.float64, high=0)
    flat.raw[0, 0] = 1e300
    assert (pixels(thumbnail(flat, contrast_of([flat]), (255, 0, 0)))[44:52, 44:52] == 0).all()
    nothing = Crop(np.full((8, 8, 1), np.nan, np.float32), np.ones((8, 8), bool))
    assert thumbnail(nothing, contrast_of([nothing]), (255, 0, 0))
