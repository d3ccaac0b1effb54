"""From Python: the same numbers as the command line."""

import importlib

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile

import objclass
from objclass.cli import main
from objclass.errors import ImageError, UsageError


def test_predict_on_arrays_and_paths_equals_the_command_line(samples, tmp_path):
    project = objclass.open_project(str(samples / "cells.ilp"))
    raw, segmentation = samples / "cells.tif", samples / "cells_segmentation.tif"
    from_paths = objclass.predict(project, raw, segmentation=str(segmentation), name="cells")
    arrays = tifffile.imread(raw), tifffile.imread(segmentation)
    found = objclass.predict(project, arrays[0], segmentation=arrays[1], name="cells")
    pd.testing.assert_frame_equal(from_paths.table, found.table)
    assert found.labels.shape == found.classes.shape == (320, 320)
    by_path = objclass.predict(samples / "cells.ilp", raw, segmentation=segmentation, name="cells")
    pd.testing.assert_frame_equal(by_path.table, found.table)
    assert len(repr(project)) < 5000
    assert found.probabilities.shape == (320, 320, 3)
    table = pd.read_csv(samples / "cells_expected.csv")
    table = table.rename(columns={"labelimage_oid": "label"}).set_index(["timestep", "label"])
    assert list(table) == list(found.table)
    pd.testing.assert_frame_equal(
        found.table.astype({"User Label": str}), table.astype({"User Label": str}),
        check_dtype=False, rtol=1e-6,  # float32 read as float64
    )  # fmt: skip
    assert main(["--headless", "--quiet", "--project", project.path, "--raw_data", str(raw),
                 "--segmentation_image", str(segmentation), "--output_filename_format",
                 str(tmp_path / "c")]) == 0  # fmt: skip
    with h5py.File(tmp_path / "c.h5") as file:
        assert np.array_equal(file["exported_data"][..., 0], found.classes)


def test_predict_takes_anything_with_shape_and_slicing(samples):
    project = objclass.open_project(str(samples / "cells.ilp"))
    with h5py.File(samples / "cells_probabilities.h5") as file:
        mask = (file["exported_data"][..., 0] > 0.5).astype(np.uint8)
    raw = tifffile.imread(samples / "cells.tif")
    found = objclass.predict(project, raw[None], segmentation=mask[None, :, :], raw_axes="tyx", axes="tyx")
    assert found.labels.shape == (1, 320, 320)


def test_predict_wants_the_input_of_the_workflow(samples):
    project = objclass.open_project(str(samples / "cells.ilp"))
    with pytest.raises(UsageError, match="expected segmentation_image"):
        objclass.predict(project, np.zeros((4, 4)), label_image=np.zeros((4, 4), int))
    with pytest.raises(ImageError, match="differ along x"):
        objclass.predict(project, np.zeros((4, 4)), segmentation=np.zeros((4, 5), int))


def test_training_axes_hold_as_on_the_command_line(samples, tmp_path):
    with h5py.File(samples / "cells.ilp", "a") as file:
        for role in ("Raw Data", "Segmentation Image"):
            info = file[f"Input Data/infos/lane0000/{role}"]
            tags = info["axistags"][()].decode()
            del info["axistags"]
            info["axistags"] = tags.replace('"y"', '"?"').replace('"x"', '"y"').replace('"?"', '"x"')
    project = objclass.open_project(str(samples / "cells.ilp"))
    assert project.training_axes("raw_data") == "xy"
    for part in ("", "_segmentation"):
        np.save(tmp_path / f"cells{part}.npy", tifffile.imread(samples / f"cells{part}.tif"))
    raw, seg = str(tmp_path / "cells.npy"), str(tmp_path / "cells_segmentation.npy")
    assert main(["--headless", "--quiet", "--project", project.path, "--raw_data", raw, "--segmentation_image", seg,
                 "--table_only", "--table_filename", str(tmp_path / "t.csv")]) == 0  # fmt: skip
    expected = pd.read_csv(tmp_path / "t.csv")["Center of the object_0"]
    for inputs in ((raw, seg), (np.load(raw), np.load(seg))):
        found = objclass.predict(project, inputs[0], segmentation=inputs[1]).table["Center of the object_0"]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    stated = objclass.predict(project, raw, segmentation=seg, axes="yx", raw_axes="yx").table
    assert stated["Center of the object_0"].tolist() != expected.tolist()


def test_measure_equals_scikit_image(rng):
    from skimage.measure import regionprops_table

    labels = np.zeros((30, 40), np.int32)
    labels[2:9, 3:12], labels[15:25, 20:33] = 12, 5
    raw = rng.random((30, 40))
    names = ["area", "centroid", "intensity_mean", "perimeter"]
    found = objclass.measure(raw, labels, [f"regionprops:{name}" for name in names])
    expected = pd.DataFrame(regionprops_table(labels, raw, ["label", *names])).set_index("label")
    found = found.droplevel("timestep").sort_index()
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-9, check_index_type=False)


def test_measure_without_raw_data_and_of_nothing():
    found = objclass.measure(None, np.zeros((3, 4), np.uint8))
    assert len(found) == 0
    assert "area" in found.columns
    assert list(objclass.measure(None, np.ones((2, 2), int), "regionprops:area")) == ["area"]


def test_public_names_are_there_and_documented():
    for name in objclass.__all__:
        assert getattr(objclass, name).__doc__
        assert name in dir(objclass)
    with pytest.raises(AttributeError):
        _ = objclass.nothing
    importlib.reload(objclass)
