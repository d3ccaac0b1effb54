"""Training of pixels on arrays: the same as on files, saved with its images, errors that name parameters."""

import os

import h5py
import numpy as np
import pytest
import tifffile

import objclass
from objclass.cli import main
from objclass.project.ilp_inspect import inspect_project
from objclass.project.ilp_pixels import read_pixel_project

SHAPE = (40, 48)
FEATURES = ["gaussian:0.7,1.6", "gradient:1", "hessian:1.6"]


def textures(seed, shape=SHAPE):
    grain = np.where(np.arange(shape[-1]) < shape[-1] // 2, 3, 40)
    return (100 + np.random.default_rng(seed).normal(size=shape) * grain).clip(0, 255).astype(np.uint8)


def brush(shape=SHAPE):
    paint = np.zeros(shape, np.uint8)
    paint[..., 5:30, 8:11], paint[..., 10:13, 28:44] = 1, 2
    return paint


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for k, name in enumerate("ab"):
        tifffile.imwrite(f"{name}.tif", textures(k))
        tifffile.imwrite(f"{name}_brush.tif", brush())
    return tmp_path


def train(raws, labels, **options):
    return objclass.train_pixels(raws, labels, **{"features": FEATURES, "trees": 10, **options})


def test_files_give_the_project_of_the_command_line(here):
    """To the last byte, also where it is saved elsewhere."""
    os.mkdir("sub")
    assert main(["train", "--pixels", "--project", "sub/new.ilp", "--raw_data", "a.tif", "b.tif", "--labels", "a_brush.tif",
                 "b_brush.tif", "--pixel_features", *FEATURES, "--trees", "10", "--class_names", "smooth", "grain"]) == 0  # fmt: skip
    raws = ["a.tif", objclass.open_image("b.tif")]
    project = train(raws, ["a_brush.tif", brush()], class_names=["smooth", "grain"])
    assert isinstance(project, objclass.PixelProject)
    project.save("sub/again.ilp")
    assert (here / "sub/again.ilp").read_bytes() == (here / "sub/new.ilp").read_bytes()


def test_arrays_are_trained_on_and_saved_inside(here, monkeypatch):
    project = train([textures(0), textures(1)], [brush(), brush()])
    assert project.classes == ("Class 1", "Class 2")
    before = np.asarray(objclass.predict_pixels(project, textures(2)))
    assert before.shape == (*SHAPE, 2)
    of_files = train(["a.tif", "b.tif"], [brush(), brush()])
    assert np.array_equal(np.asarray(objclass.predict_pixels(of_files, textures(2))), before)

    project.save("new.ilp")
    first = (here / "new.ilp").read_bytes()
    with pytest.raises(objclass.ObjclassError, match="exists already: overwrite= replaces it"):
        project.save("new.ilp")
    project.save("new.ilp", overwrite=True)
    assert (here / "new.ilp").read_bytes() == first
    with h5py.File("new.ilp") as file:
        for k, name in enumerate(("image0", "image1")):
            assert np.array_equal(file[f"Input Data/local_data/{name}"][()], textures(k))
    assert np.array_equal(np.asarray(objclass.predict_pixels("new.ilp", textures(2))), before)
    assert [lane["raw_data"]["found"] for lane in inspect_project("new.ilp")["lanes"]] == [True, True]

    stored = read_pixel_project("new.ilp")
    os.mkdir("sub")
    stored.save("sub/copy.ilp")
    assert (here / "sub/copy.ilp").stat().st_size > 0
    with h5py.File("sub/copy.ilp", "a") as file:
        assert np.array_equal(file["Input Data/local_data/image1"][()], textures(1))
        del file["PixelClassification/ClassifierForests"]
    os.remove("new.ilp")
    again = np.asarray(
        objclass.predict_pixels("sub/copy.ilp", textures(2))
    )  # trained again on the images inside
    assert (again.argmax(-1) == before.argmax(-1)).mean() > 0.9


def test_one_image_that_is_read_by_region_and_its_axes(here):
    import zarr

    volume = textures(0, (6, *SHAPE))
    stored = zarr.array(volume, chunks=(2, 16, 16))
    options = {"features": "gaussian:0.7", "compute_in_2d": True}
    project = train(stored, brush(volume.shape), **options)
    assert all(project.stages[0].features.in_planes)
    assert project.lanes[0]["raw_data"].axes == "zyx"
    assert not any(train(volume, brush(volume.shape), features="gaussian:0.7").stages[0].features.in_planes)
    channel = train(volume, brush(volume.shape)[..., None], **{**options, "compute_in_2d": 0.7})
    assert channel.stages[0].features.in_planes[1]
    assert np.array_equal(channel.stages[0].strokes[0][0].labels, project.stages[0].strokes[0][0].labels)
    series = train(volume, brush(volume.shape), axes="tyx", features="gaussian:0.7")
    series.save("series.ilp")
    assert read_pixel_project("series.ilp").lanes[0]["raw_data"].axes == "tyx"
    with h5py.File("series.ilp") as file:
        assert np.array_equal(file["Input Data/local_data/image0"][()], volume)


def test_neither_threads_nor_memory_change_a_bit(here):
    seen = []
    for number, options in enumerate(({}, {"n_jobs": 2, "max_memory": "800MB", "progress": seen.append})):
        train(textures(0), brush(), **options).save(f"{number}.ilp")
    assert (here / "0.ilp").read_bytes() == (here / "1.ilp").read_bytes()
    assert seen[-1] == 1


BAD = {
    "more raws": (([textures(0)] * 2, [brush()]), {}, "2 raws and 1 labels: expected a painted image for each raw image"),
    "none": (([], []), {}, "0 raws and 0 labels"),
    "another shape": ((textures(0), brush()[:20]), {}, r"labels of raws\[0\] of shape \(20, 48\) .* \(smaller ones are put in their place by np.pad"),
    "other values": ((textures(0), brush().astype(np.uint16) * 200), {}, r"painted value 400: .* up to 255 \(other values are mapped to classes by np.where\)"),
    "one class": ((textures(0), np.minimum(brush(), 1)), {}, "only class 1 is painted"),
    "beyond the names": ((textures(0), brush()), {"class_names": ["x"]}, "labels of class 2, but class_names= has 1: name all classes, or none"),
    "two kinds": (([textures(0), textures(0, (4, *SHAPE))], [brush(), brush((4, *SHAPE))]), {}, "one forest learns from images of one kind"),
    "unknown filter": ((textures(0), brush()), {"features": "sobel"}, "^features= sobel: unknown filter"),
    "too large": ((textures(0), brush()), {"features": ["gaussian:20"]}, "scales 20 are too large for images of 40 × 48"),
    "planes": ((textures(0), brush()), {"compute_in_2d": [7]}, r"^compute_in_2d=7: expected scales of features="),
    "no trees": ((textures(0), brush()), {"trees": 0}, "^trees=0, seed=0: expected a tree at least"),
    "not finite": ((np.full(SHAPE, np.nan, np.float32), brush()), {}, r"raws\[0\]: labelled pixels lie next to values that are not finite"),
}  # fmt: skip


def test_what_is_mistaken_for_something_else():
    raw = textures(0)
    with pytest.raises(objclass.ObjclassError, match="labels are the raw images"):
        train(raw, raw)
    with pytest.raises(objclass.ObjclassError, match="predict_pixels computes its probabilities"):
        objclass.predict(train(raw, brush()), raw)


@pytest.mark.parametrize("case", BAD)
def test_errors_name_parameters(case):
    given, options, message = BAD[case]
    with pytest.raises(objclass.ObjclassError, match=message) as caught:
        train(*given, **options)
    assert "--" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_autocontext_is_not_written(here):
    import dataclasses

    project = train(textures(0), brush())
    twice = dataclasses.replace(
        project, path="x.ilp", workflow="Autocontext (2-stage)", stages=project.stages * 2
    )
    with pytest.raises(objclass.ObjclassError, match="expected Pixel Classification"):
        twice.save("auto.ilp")
    assert not os.path.exists("auto.ilp")
