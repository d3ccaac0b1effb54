"""ilastik's own projects, run as a user would: ids, classes, probabilities and every column."""

import csv
import json

import h5py
import numpy as np
import pytest

from objclass.cli import main

SYNTHETIC = {
    "blobs2d": "segmentation_image",
    "rgb2d": "segmentation_image",
    "blobs3d": "segmentation_image",
    "series2dt": "segmentation_image",
    "labels2d": "label_image",
    "pred2d": "prediction_maps",
    "float2d": "segmentation_image",
    "hard2d": "segmentation_image",
    "hard3d": "segmentation_image",
    "pred3d": "prediction_maps",
    "pred2dt": "prediction_maps",
    "labels3d": "label_image",
    "multichan2": "segmentation_image",
    "advanced2d": "segmentation_image",
    "advanced3d": "segmentation_image",
}
REAL = (
    "ObjectClassification2d3c_wLabels", "ObjectClassification2d3c_wPred",
    "ObjectClassification2d3c_wSeg_trained", "ObjectClassification2d_wSeg_trained",
    "ObjectClassification5t2d1c_wPred", "ObjectClassification5t2d1c_wSeg_trained",
    "ObjectClassification5t2d2c_wPred", "ObjectClassification5t2d2c_wSeg_trained",
    "ObjectClassification5t3d2c_wSeg_trained",
)  # fmt: skip

IMAGES = {
    "identities": "Object Identities",
    "predictions": "Object Predictions",
    "probabilities": "Object Probabilities",
}


def run(project, inputs, folder):
    """One run that writes everything; answers the folder."""
    arguments = ["--headless", "--quiet", "--project", str(project)]
    for role, path in inputs.items():
        arguments += [f"--{role}", str(path)]
    for source in IMAGES.values():
        arguments += ["--export_source", source]
    arguments += ["--output_filename_format", f"{folder}/{{result_type}}", "--output_format", "hdf5"]
    assert main([*arguments, "--table_filename", f"{folder}/table.csv"]) == 0
    return folder


def compare_images(expected, prefix, folder):
    for part, source in IMAGES.items():
        with h5py.File(expected / f"{prefix}{part}.h5") as a, h5py.File(folder / f"{source}.h5") as b:
            ours, theirs = b["exported_data"], a["exported_data"]
            assert np.array_equal(ours[()], theirs[()]), part
            assert ours.dtype == theirs.dtype, part
            assert axes(ours) == axes(theirs), part


def axes(dataset):
    return [axis["key"] for axis in json.loads(dataset.attrs["axistags"])["axes"]]


def read_table(path):
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


def compare_tables(theirs, ours):
    """Every column of theirs, joined by time step and id; not finite is empty in ours."""
    theirs, ours = read_table(theirs), read_table(ours)
    for key in ("timestep", "labelimage_oid", "object_id"):
        assert theirs[key] == ours[key]
    assert theirs["Predicted Class"] == ours["Predicted Class"]
    for name, column in theirs.items():
        if name in ("User Label", "Predicted Class"):
            continue
        a = np.array(column, np.float32)
        b = np.array([value or "nan" for value in ours[name]], np.float32)
        a[~np.isfinite(a)] = np.nan
        assert np.array_equal(a, b, equal_nan=True), name


@pytest.mark.parametrize("part", ["test", "train"])
@pytest.mark.parametrize("case", SYNTHETIC)
def test_synthetic_case(shared, tmp_path, case, part):
    folder, role = shared / "golden" / case, SYNTHETIC[case]
    inputs = {"raw_data": folder / f"{part}_raw.h5", role: folder / f"{part}_{role}.h5"}
    run(folder / f"{case}.ilp", inputs, tmp_path)
    compare_images(folder / "expected", f"{part}_", tmp_path)
    compare_tables(folder / "expected" / f"{part}_table.csv", tmp_path / "table.csv")


def test_uint8_prediction_map(shared, tmp_path):
    folder = shared / "golden/pred3d"
    inputs = {
        "raw_data": folder / "test_raw.h5",
        "prediction_maps": folder / "test_prediction_maps_uint8.h5",
    }
    run(folder / "pred3d.ilp", inputs, tmp_path)
    compare_images(folder / "expected", "test_u8_", tmp_path)


@pytest.mark.parametrize("case", REAL)
def test_real_case(shared, tmp_path, case):
    real = shared / "golden/real"
    given = json.loads((real / case / "inputs.json").read_text())
    run(real / case / f"{case}.ilp", {role: real / path for role, path in given.items()}, tmp_path)
    compare_images(real / case / "expected", "", tmp_path)
    compare_tables(real / case / "expected/table.csv", tmp_path / "table.csv")
