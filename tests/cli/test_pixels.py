"""Pixel classification from the command line: ilastik's answers, chains, refusals."""

import json
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from scipy import ndimage

from objclass.cli import main
from objclass.core import to_canonical

SHOWN = {
    "Object Identities": "identities",
    "Object Predictions": "predictions",
    "Object Probabilities": "probabilities",
    "Pixel Probabilities": "pixel_probabilities",
    "Simple Segmentation": "simple_segmentation",
    "Uncertainty": "uncertainty",
    "Probabilities": "probabilities",
}


def stored(path):
    with h5py.File(path) as file:
        dataset = file["exported_data"]
        attributes = dict(dataset.attrs)
        attributes["axistags"] = json.loads(attributes["axistags"])
        return dataset[()], attributes


def assert_equals(path, expected):
    ours, ours_about = stored(path)
    theirs, theirs_about = stored(expected)
    assert (ours.shape, ours.dtype) == (theirs.shape, theirs.dtype)
    assert ours_about["axistags"] == theirs_about["axistags"]
    assert np.array_equal(ours_about["drange"], theirs_about["drange"])
    if ours.dtype.kind == "f":
        # forests are summed in any order there: the last bit. The combined workflow filters in blocks of its own,
        # where other columns are fused: a pixel in ten thousand takes another branch
        assert (np.abs(ours - theirs) > 6e-8).mean() < 1e-4
    else:
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    "case", ["pixel2d", *(pytest.param(case, marks=pytest.mark.slow) for case in ("pixel2d_rgb", "pixel2dt"))]
)
def test_all_results_of_a_pixel_project(shared, case, tmp_path):
    folder = shared / "golden" / case
    names = ["Probabilities", "Simple Segmentation", "Uncertainty", "features"]
    sources = [word for name in names for word in ("--export_source", name)]
    code = main([
        "--headless", "--project", str(folder / f"{case}.ilp"), f"{folder}/test_raw.h5/data", *sources,
        "--output_filename_format", str(tmp_path / "{result_type}"), "--block_shape", "50", "--jobs", "2",
    ])  # fmt: skip
    assert code == 0
    for name in names[:3]:
        assert_equals(tmp_path / f"{name}.h5", folder / f"expected/test_{SHOWN[name]}.h5")
    with (
        h5py.File(tmp_path / "Features.h5") as file,
        h5py.File(folder / "expected/test_features.h5") as theirs,
    ):
        assert file["exported_data"].shape[-1] == theirs["crop0"].shape[-1]
        ours = file["exported_data"].attrs.get("drange", ())
        assert np.array_equal(ours, theirs["crop0"].attrs.get("drange", ()))


def test_a_combined_project(shared, tmp_path):
    """The whole chain: label image, classes, table and pixels."""
    folder = shared / "golden/po2d"
    code = main([
        "--headless", "--project", str(folder / "po2d.ilp"), "--raw_data", f"{folder}/test_raw.h5/data",
        "--export_object_prediction_img", "--export_object_probability_img", "--export_object_identities_img",
        "--export_pixel_probability_img", "--export_source", "Simple Segmentation",
        "--output_filename_format", str(tmp_path / "{result_type}"), "--table_filename", str(tmp_path / "t.csv"),
    ])  # fmt: skip
    assert code == 0
    for name in (
        "Object Identities",
        "Object Predictions",
        "Object Probabilities",
        "Pixel Probabilities",
        "Simple Segmentation",
    ):
        assert_equals(tmp_path / f"{name}.h5", folder / f"expected/test_{SHOWN[name]}.h5")
    ours, theirs = pd.read_csv(tmp_path / "t.csv"), pd.read_csv(folder / "expected/test_table.csv")
    assert (ours["Predicted Class"] == theirs["Predicted Class"]).all()
    for column in theirs.select_dtypes("number"):
        assert np.array_equal(ours[column], theirs[column], equal_nan=True), column


def test_a_combined_project_of_several_time_steps(shared, tmp_path):
    folder = shared / "golden/real/pc-oc-133_trained"
    given = json.loads((folder / "inputs.json").read_text())
    code = main([
        "--headless", "--project", str(folder / "pc-oc-133_trained.ilp"), "--raw_data",
        str(folder.parent / given["raw_data"]), "--export_pixel_probability_img", "--export_object_prediction_img",
        "--output_filename_format", str(tmp_path / "{result_type}"), "--output_format", "hdf5",
    ])  # fmt: skip
    assert code == 0
    for name in ("Object Predictions", "Pixel Probabilities"):
        expected = folder / f"expected/{SHOWN[name]}.h5"
        if expected.exists():
            assert (
                np.abs(stored(tmp_path / f"{name}.h5")[0] - stored(expected)[0].astype(float)).max() <= 6e-8
            )


def test_autocontext(shared, tmp_path):
    """One time step of two stages; ilastik's result was exported as whole numbers of 0 to 255, cut off."""
    folder = shared / "data/ilastik-drosophila-oc"
    with h5py.File(folder / "drosophila_00-03.h5") as file:
        raw = file["exported_data"][:1, 40:90, 30:80]
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["data"] = raw
    code = main([
        "--headless", "--project", str(folder / "autocontext.ilp"), f"{tmp_path}/raw.h5/data", "--jobs", "2",
        "--output_filename_format", str(tmp_path / "{result_type}"), "--output_format", "hdf5",
        "--export_dtype", "float32", "--output_axis_order", "tzyxc",
    ])  # fmt: skip
    assert code == 0
    with h5py.File(folder / "drosophila_00-03-exported_data_autocontext_reference.h5") as file:
        theirs = to_canonical(file["exported_data"][:1, 40:90, 30:80], "txyzc")
    ours = stored(tmp_path / "Probabilities.h5")[0]
    inside = (
        slice(None),
        slice(None),
        slice(20, 30),
        slice(20, 30),
    )  # the part is cut out: its border is mirrored
    assert (ours.argmax(-1) == theirs.argmax(-1))[inside].mean() > 0.99


@pytest.fixture
def pair(shared, tmp_path, monkeypatch):
    """A pixel project and an object project from prediction maps."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(shared / "golden/po2d/test_raw.h5", "raw.h5")
    return (
        shared / "golden/po2d/po2d.ilp",
        shared / "golden/pred2d/pred2d.ilp",
        shared / "golden/pixel2d/pixel2d.ilp",
    )


@pytest.mark.slow
def test_a_chain_is_as_two_runs(pair):
    """Probabilities from one project, objects from another: with and without a file between."""
    _, objects, pixels = pair
    common = [
        "--export_object_identities_img",
        "--export_object_probability_img",
        "--output_axis_order",
        "yxc",
    ]
    assert main([
        "--headless", "--pixel_project", str(pixels), "--project", str(objects), "--raw_data", "raw.h5/data",
        *common, "--export_pixel_probability_img", "--output_filename_format", "one/{result_type}", "--table_filename", "one/t.csv",
    ]) == 0  # fmt: skip
    assert (
        main(["--headless", "--project", str(pixels), "raw.h5/data", "--output_filename_format", "two/maps"])
        == 0
    )
    assert main([
        "--headless", "--project", str(objects), "--raw_data", "raw.h5/data", "--prediction_maps", "two/maps.h5/exported_data",
        *common, "--output_filename_format", "two/{result_type}", "--table_filename", "two/t.csv",
    ]) == 0  # fmt: skip
    assert pd.read_csv("one/t.csv").equals(pd.read_csv("two/t.csv"))
    for name in ("Object Identities", "Object Probabilities"):
        assert np.array_equal(stored(f"one/{name}.h5")[0], stored(f"two/{name}.h5")[0])
    assert np.array_equal(stored("one/Pixel Probabilities.h5")[0], stored("two/maps.h5")[0])


def test_from_raw_data_to_a_table(pair, shared):
    """No object project: thresholds find the objects, as many and as large as scipy's of ilastik's probabilities."""
    _, _, pixels = pair
    folder = shared / "golden/pixel2d"
    thresholds = ["--threshold", "0.9", "--channel", "2", "--min_size", "20"]
    raw = f"{folder}/test_raw.h5/data"
    images = ["--raw_data", raw, "--pixel_project", str(pixels)]
    assert main(["--headless", *images, *thresholds, "--table_filename", "t.csv", "--table_only"]) == 0
    probabilities = stored(folder / "expected/test_probabilities.h5")[0]
    found, _ = ndimage.label(probabilities[..., 2].astype(float) >= 0.9)
    sizes = np.bincount(found.ravel())[1:]
    assert sorted(pd.read_csv("t.csv")["area"]) == sorted(sizes[sizes >= 20])
    assert (sizes >= 20).sum() > 1


REFUSED = {
    "a table of pixels": (["--table_filename", "t.csv"], "finds no objects for a table"),
    "results of objects": (["--export_source", "Object Predictions"], "expected Probabilities, Simple Segmentation"),
    "maps": (["--prediction_maps", "raw.h5/data"], "looks at raw data alone: leave it out"),
    "two masks": (["--prediction_mask", "raw.h5/data", "raw.h5/data"], "2 for --prediction_mask and 1 for --raw_data"),
    "channels": (["--raw_data", "rgb.npy", "--ignore_training_axistags"], "3 channels in 2D give"),
    "a chain to itself": (["--pixel_project", "{pixels}"], "expected an object classification"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(pair, name, capsys):
    _, _, pixels = pair
    np.save("rgb.npy", np.zeros((40, 50, 3), np.uint8))
    more, message = REFUSED[name]
    images = [] if "--raw_data" in more else ["--raw_data", "raw.h5/data"]
    arguments = [word.format(pixels=pixels) for word in more]
    code = main(
        [
            "--headless",
            "--project",
            str(pixels),
            *images,
            *arguments,
            "--output_filename_format",
            "out/{result_type}",
        ]
    )
    assert code == 2
    assert message in capsys.readouterr().err


def test_an_object_project_of_another_workflow(pair, shared, capsys):
    _, _, pixels = pair
    objects = shared / "golden/blobs2d/blobs2d.ilp"
    code = main(
        ["--headless", "--pixel_project", str(pixels), "--project", str(objects), "--raw_data", "raw.h5/data"]
    )
    assert code == 2
    assert "expected from prediction image" in capsys.readouterr().err


def test_the_flag_of_pixels_is_ignored_with_a_line(shared, tmp_path, capsys):
    folder = shared / "golden/blobs2d"
    code = main([
        "--headless", "--project", str(folder / "blobs2d.ilp"), "--raw_data", f"{folder}/test_raw.h5/data",
        "--segmentation_image", f"{folder}/test_segmentation_image.h5/exported_data", "--export_pixel_probability_img",
        "--output_filename_format", str(tmp_path / "{result_type}"),
    ])  # fmt: skip
    assert "--export_pixel_probability_img is ignored" in capsys.readouterr().err
    assert code == 0


def test_labels_are_not_added_to_a_combined_project(pair, capsys):
    combined, _, _ = pair
    arguments = [
        "--project",
        str(combined),
        "--output",
        "new.ilp",
        "--raw_data",
        "raw.h5/data",
        "--labels",
        "l.csv",
    ]
    assert main(["train", *arguments]) == 2
    assert "classifies pixels and objects" in capsys.readouterr().err
