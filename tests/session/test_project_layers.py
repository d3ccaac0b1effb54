"""The layers of a project: its images, read when they are looked at, their objects, and its labels in colours."""

import csv
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest

import objclass
from objclass.core import PixelSize
from objclass.errors import ProjectError
from objclass.images import from_array
from objclass.session import project_layers as rooms
from objclass.session.layers import Place, image_layers
from objclass.session.project_layers import project_layers
from tests.conftest import SAMPLES


def by_name(found):
    return {options["name"]: (data, options, kind) for data, options, kind in found.layers}


def test_object_classification():
    found = project_layers(str(SAMPLES / "cells.ilp"))
    assert not found.remarks
    layers = by_name(found)
    assert [kind for _, _, kind in layers.values()] == ["image", "labels", "labels"]
    raw, options, _ = layers["cells_train"]
    assert raw.shape == (320, 320)
    assert options["axis_labels"] == ("y", "x")
    assert options["metadata"]["objclass_source"]["project"] == str(SAMPLES / "cells.ilp")
    objects, labels = (np.asarray(layers[f"cells_train {kind}"][0]) for kind in ("objects", "labels"))
    names = objclass.open_project(SAMPLES / "cells.ilp").classes
    assert objects.max() == 60
    with (SAMPLES / "cells_train_labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [names[labels[int(row["y"]), int(row["x"])] - 1] for row in rows] == [row["class"] for row in rows]
    assert len(np.unique(objects[labels > 0])) == len(rows)
    colors = layers["cells_train labels"][1]
    assert colors["features"] == {"index": [1, 2, 3], "class": list(names)}
    assert colors["colormap"][1] == "#e6194b"


def test_parts_are_parts_of_the_whole():
    for data, _, _ in project_layers(str(SAMPLES / "spots3d.ilp")).layers:
        assert not isinstance(data, np.ndarray)
        assert np.array_equal(data[3:9:2, 40], np.asarray(data)[3:9:2, 40])
        assert data[0, 0, 0].shape == ()


def test_strokes_of_pixel_classification(tmp_path):
    raw, paint = np.zeros((2, 40, 48), np.uint8), np.zeros((2, 40, 48), np.uint8)
    raw[:, :, 24:] = 200
    paint[1, 5:30, 8:11], paint[1, 10:13, 28:44] = 1, 2
    project = objclass.train_pixels(
        [raw], [paint], axes="tyx", class_names=["dark", "bright"], features=["gaussian:1"], trees=2
    )
    project.save(tmp_path / "p.ilp")
    (image, options, _), (strokes, colors, kind) = project_layers(str(tmp_path / "p.ilp")).layers
    assert np.array_equal(image, raw)
    assert options["axis_labels"] == ("t", "y", "x")
    assert np.array_equal(strokes, paint)
    assert np.array_equal(strokes[1, 20:, 9], paint[1, 20:, 9])
    assert (kind, colors["features"]["class"]) == ("labels", ["dark", "bright"])


def test_strokes_of_both_stages_of_autocontext(tmp_path):
    """Each stage has strokes and classes of its own; those of the second one are shown under its number."""
    raw, paint = np.zeros((40, 48), np.uint8), np.zeros((2, 40, 48), np.uint8)
    raw[:, 24:] = 200
    paint[0, 5:30, 8:11], paint[0, 10:13, 28:44] = 1, 2
    paint[1, 2:4, 3:40], paint[1, 30:35, 30:33] = 2, 1
    paths = [str(tmp_path / f"{name}.ilp") for name in ("first", "second")]
    for path, own, names in zip(paths, paint, (["dark", "bright"], ["left", "right"]), strict=True):
        project = objclass.train_pixels(
            [raw], [own], axes="yx", class_names=names, features=["gaussian:1"], trees=2
        )
        project.save(path)
    with h5py.File(paths[0], "r+") as file, h5py.File(paths[1]) as second:
        for name in ("FeatureSelections", "PixelClassification"):
            second.copy(name, file, f"{name}01")
        del file["workflowName"]
        file["workflowName"] = b"Autocontext (2-stage)"
    image, *strokes = project_layers(paths[0]).layers
    assert np.array_equal(image[0], raw)
    assert [options["name"].split()[-2:] for _, options, _ in strokes] == [["strokes", "1"], ["strokes", "2"]]
    for (data, options, kind), own, names in zip(
        strokes, paint, (["dark", "bright"], ["left", "right"]), strict=True
    ):
        assert kind == "labels"
        assert np.array_equal(data, own)
        assert options["features"]["class"] == names


def test_several_images(tmp_path, monkeypatch):
    for name in ("cells_train.tif", "cells_train_segmentation.tif"):
        shutil.copy(SAMPLES / name, tmp_path)
    project = objclass.open_project(SAMPLES / "cells.ilp")
    lost = {role: replace(given, path="lost.tif") for role, given in project.lanes[0].items()}
    replace(project, lanes=(*project.lanes, *project.lanes, lost)).save(tmp_path / "p.ilp")
    found = project_layers(str(tmp_path / "p.ilp"))
    assert [options["visible"] for _, options, _ in found.layers] == [True] * 3 + [False] * 3
    assert "image 3: no such file" in found.remarks[0]
    monkeypatch.setattr(rooms, "MAXIMUM_LANES", 1)
    found = project_layers(str(tmp_path / "p.ilp"))
    assert len(found.layers) == 3
    assert found.remarks == ("p.ilp: the first 1 of its 3 images are shown",)


def test_a_project_away_from_its_images(tmp_path):
    shutil.copy(SAMPLES / "cells.ilp", tmp_path)
    with pytest.raises(ProjectError, match=r"cells.ilp, image 1: no such file: .*cells_train"):
        project_layers(str(tmp_path / "cells.ilp"))


@pytest.mark.parametrize(
    ("dtype", "channels", "expected"),
    [
        ("uint8", 1, ["a"]),
        ("uint8", 3, ["a"]),
        ("uint16", 3, ["a 0", "a 1", "a 2"]),
        ("uint8", 2, ["a 0", "a 1"]),
    ],
)
def test_channels(dtype, channels, expected):
    pixels = np.random.default_rng(0).integers(0, 255, (channels, 4, 20, 30)).astype(dtype)
    image = from_array(pixels, "czyx")
    layers = list(image_layers(image, "a", Place.of(image), {}))
    assert [options["name"] for _, options, _ in layers] == expected
    if layers[0][1].get("rgb"):
        assert np.array_equal(layers[0][0], np.moveaxis(pixels, 0, -1))
    else:
        assert all(np.array_equal(data, plane) for (data, _, _), plane in zip(layers, pixels, strict=True))


def test_pixel_size():
    image = from_array(np.zeros((3, 4, 5, 6)), "tzyx")
    options = Place.of(image, PixelSize(0.5, 0.5, 2, "um")).options("a", {})
    assert options["scale"] == (1, 2, 0.5, 0.5)
    assert options["units"] == ("pixel", "um", "um", "um")
    assert "scale" not in Place.of(image).options("a", {})
