"""What a user chooses in a viewer becomes images of a session, with axes that fit and files where they are the same."""

import os
import shlex
from dataclasses import replace

import h5py
import numpy as np
import pytest
import tifffile

import objclass
from objclass.errors import Stop, TerminatedError, UsageError
from objclass.images import open_image
from objclass.session import Session
from objclass.session.export import Outputs
from objclass.session.layers import Place, image_layers
from objclass.session.project_layers import project_layers
from objclass.session.sources import Channels, Source, image_of, joined, likely_axes
from tests.conftest import SAMPLES


def source(*shape, dtype="uint8", **fields):
    return Source("layer", np.zeros(shape, dtype), **fields)


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        (source(20, 30), "yx"),
        (source(9, 20, 30), "zyx"),
        (source(20, 30, 3), "yxc"),
        (source(2, 20, 30), "cyx"),
        (source(20, 30, 3, is_rgb=True), "yxc"),
        (source(9, 20, 30, 3, is_rgb=True), "zyxc"),
        (source(5, 9, 20, 30), "tzyx"),
        (source(5, 20, 30, dimensions=("time", "y", "x")), "tyx"),
        (source(5, 20, 30, dimensions=("-3", "-2", "-1")), "zyx"),
    ],
)
def test_likeliest_axes(one, expected):
    assert one.axes()[0] == expected


def test_labels_have_no_channels():
    assert source(2, 20, 30).axes(channels=False) == ("zyx", "tyx")


@pytest.mark.parametrize(
    ("raw", "objects", "role", "expected"),
    [
        (source(3, 20, 30), source(20, 30), "label_image", ("cyx", "yx")),
        (source(3, 20, 30), source(3, 20, 30), "label_image", ("zyx", "zyx")),
        (source(20, 30), source(20, 30, 7), "prediction_maps", ("yx", "yxc")),
        (source(20, 30), source(7, 20, 30), "prediction_maps", ("yx", "cyx")),
        (source(5, 20, 30, dimensions=("t", "y", "x")), source(5, 20, 30), "label_image", ("tyx", "tyx")),
        (source(20, 30), source(20, 31), "label_image", ("yx", "yx")),
    ],
)
def test_axes_of_two_images_fit_each_other(raw, objects, role, expected):
    assert likely_axes(raw, objects, role) == expected


def test_chosen_axes_of_objects_decide_those_of_raw_data():
    assert likely_axes(source(9, 20, 30), source(9, 20, 30), "label_image", "tyx") == ("tyx", "tyx")


def test_axes_of_a_file_are_known(tmp_path):
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((5, 20, 30), "uint8"), imagej=True, metadata={"axes": "TYX"}
    )
    assert source(5, 20, 30, paths=(str(tmp_path / "a.tif"),)).axes()[0] == "tyx"
    assert source(6, 20, 30, paths=(str(tmp_path / "a.tif"),)).axes()[0] == "zyx"


def test_roles():
    labels, mask = np.arange(600).reshape(20, 30), np.eye(20, 30, dtype=int) * 255
    assert Source("a", labels, is_labels=True).role == "label_image"
    assert Source("a", mask, is_labels=True).role == "segmentation_image"
    assert Source("a", mask).role == "segmentation_image"
    assert source(20, 30, dtype="float32").role == "prediction_maps"
    assert source(2, 20, 30).role == "prediction_maps"


def test_an_equal_file_is_named(tmp_path):
    path, pixels = str(tmp_path / "a.tif"), np.arange(600, dtype="uint16").reshape(20, 30)
    tifffile.imwrite(path, pixels)
    image = image_of(Source("a", pixels, (path,)), "yx", Stop()).image
    assert image.files == (path,)
    painted = pixels.copy()
    painted[19, 29] += 1
    image = image_of(Source("a", painted, (path,), is_labels=True), "yx", Stop()).image
    assert not image.files
    assert image.axes_from == "your choice"
    painted[:] = 0  # what is painted afterwards is not for the session
    assert image.read().max() == 600


def test_channels_of_one_file_that_a_viewer_has_separated(tmp_path):
    path, pixels = str(tmp_path / "a.tif"), np.arange(1200, dtype="uint8").reshape(2, 20, 30)
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": "CYX"})
    both = joined([Source("a", pixels[k], (path,)) for k in (0, 1)])
    assert both.axes()[0] == "yxc"
    image = image_of(both, "yxc", Stop()).image
    assert (image.files, image.axes) == ((path,), "cyx")
    turned = joined([Source("a", pixels[k], (path,)) for k in (1, 0)])
    assert not image_of(turned, "yxc", Stop()).image.files


def test_channels_are_read_on_demand():
    arrays = np.arange(6).reshape(2, 3), np.ones((2, 3))
    both = Channels(arrays)
    assert both.shape == (2, 3, 2)
    assert both[0:1, 1:3, 0:2].tolist() == [[[1, 1], [2, 1]]]


@pytest.mark.parametrize("others", [[], [source(20, 31)], [source(20, 30, 3, is_rgb=True)]])
def test_layers_that_cannot_be_channels(others):
    with pytest.raises(UsageError, match=r"check one|\w \([^(]+\) and .+ of one shape"):
        joined([source(20, 30), *others] if others else [])


def test_a_comparison_can_be_stopped(tmp_path):
    path, pixels = str(tmp_path / "a.tif"), np.zeros((20, 30), "uint8")
    tifffile.imwrite(path, pixels)
    stop = Stop()
    stop.ask()
    with pytest.raises(TerminatedError):
        image_of(Source("a", pixels, (path,)), "yx", stop)


def test_a_file_is_a_source(tmp_path):
    path = str(tmp_path / "a.tif")
    tifffile.imwrite(path, np.zeros((20, 30, 3), "uint8"))
    image = image_of(Source.of_file(path), "yxc", Stop()).image
    assert (image.files, image.shape) == ((path,), (1, 1, 20, 30, 3))


def layers_of(path):
    """The layers of a project as a viewer offers them for images: name -> source."""
    return {
        options["name"]: Source(
            options["name"],
            data,
            (path,),
            options["axis_labels"],
            options.get("rgb", False),
            kind == "labels",
        ).traced()
        for data, options, kind in project_layers(path).layers
    }


@pytest.mark.parametrize(
    ("name", "role", "file"),
    [
        ("cells", "segmentation_image", "cells_train_segmentation.tif"),
        ("spots3d", "label_image", "spots3d_train_label_image.tif"),
    ],
)
def test_layers_of_a_project_are_its_files(name, role, file, tmp_path):
    layers = layers_of(str(SAMPLES / f"{name}.ilp"))
    raw, objects = layers[f"{name}_train"], layers[f"{name}_train objects"]
    assert objects.role == role
    axes = likely_axes(raw, objects, objects.role)
    session = Session()
    pair = [image_of(one, given, Stop()) for one, given in zip((raw, objects), axes, strict=True)]
    session.add_image(pair[0], **{role.removesuffix("_image") if role != "label_image" else role: pair[1]})
    session.add_class("a")
    session.save(tmp_path / "p.ilp")
    (lane,) = objclass.open_project(tmp_path / "p.ilp").lanes
    expected = {f"{name}_train.tif", file}
    assert {os.path.basename(one.path) for one in lane.values()} == expected
    assert not any(one.inside for one in lane.values())
    command = shlex.split(session.command(Outputs(table="t.csv")))
    assert {str(SAMPLES / one) for one in expected} <= set(command)


def test_labels_of_a_project_are_not_its_objects():
    layers = layers_of(str(SAMPLES / "cells.ilp"))
    assert not image_of(layers["cells_train labels"], "yx", Stop()).image.files


def test_arrays_inside_of_a_project_are_copied(tmp_path):
    raw, ids = np.arange(600, dtype="uint8").reshape(20, 30), np.eye(20, 30, dtype="uint8")
    session = Session()
    session.add_image(raw, label_image=ids, name="a")
    session.add_class("a")
    session.save(tmp_path / "p.ilp")
    found, objects, _ = layers_of(str(tmp_path / "p.ilp")).values()
    assert objects.role == "label_image"
    for layer, pixels in ((found, raw), (objects, ids)):
        image = image_of(layer, "yx", Stop())
        assert not image.image.files
        assert np.array_equal(image, pixels)


def test_channels_of_a_lazy_file(tmp_path):
    path = str(tmp_path / "a.h5/data")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = np.arange(2400, dtype="uint16").reshape(4, 20, 30)
    image = replace(open_image(path), axes="cyx")  # the file would say zyx
    layers = [
        Source(options["name"], data, dimensions=("y", "x")).traced()
        for data, options, _ in image_layers(image, "a", Place.of(image), {})
    ]
    whole = image_of(joined(layers), "yxc", Stop()).image
    assert (whole.files, whole.axes) == (image.files, "cyx")
    assert not image_of(layers[1], "yx", Stop()).image.files
