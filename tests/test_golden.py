"""ilastik's own projects, run as a user would: ids, classes, probabilities and every column."""

import csv
import json

import h5py
import numpy as np
import pytest

from objclass.cli import main
from tests.conftest import COMPARED

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


@pytest.fixture
def report(record_property):
    """Takes case, objects, columns, what differs most and voxels: printed when all tests are done."""
    return lambda *line: record_property(COMPARED, line)


CORNERS = (
    "threshold_simple_float64", "threshold_hysteresis_float64", "threshold_ipht_float64", "ipht_core_threshold",
    "ipht_no_core", "quantiles_uint16", "quantiles_float32", "quantiles_nan", "table_empty_first_frame",
)  # fmt: skip


def run(project, inputs, folder, *options):
    """One run that writes everything; returns the folder."""
    arguments = ["--headless", "--quiet", "--project", str(project)]
    for role, path in inputs.items():
        arguments += [f"--{role}", str(path)]
    for source in IMAGES.values():
        arguments += ["--export_source", source]
    arguments += ["--output_filename_format", f"{folder}/{{result_type}}", "--output_format", "hdf5"]
    assert main([*arguments, "--table_filename", f"{folder}/table.csv", *options]) == 0
    return folder


def compare(report, case, expected, prefix, folder):
    """Measure first, then insist: the table of a failing case is the one that is wanted."""
    voxels = compare_images(expected, prefix, folder, insist=False)
    table = expected / f"{prefix}table.csv"
    objects = columns = 0
    worst = ("-", 0.0)
    if table.exists():
        objects, columns, worst = compare_tables(table, folder / "table.csv", insist=False)
    report(case, objects, columns, *worst, voxels)
    compare_images(expected, prefix, folder)
    if table.exists():
        compare_tables(table, folder / "table.csv")


def compare_images(expected, prefix, folder, *, insist=True):
    """How many voxels differ, of all three images."""
    differ = 0
    for part, source in IMAGES.items():
        with h5py.File(expected / f"{prefix}{part}.h5") as a, h5py.File(folder / f"{source}.h5") as b:
            ours, theirs = b["exported_data"], a["exported_data"]
            differ += int((ours[()] != theirs[()]).sum())
            assert not insist or np.array_equal(ours[()], theirs[()]), part
            assert stated_range(ours) == stated_range(theirs), part
            assert ours.dtype == theirs.dtype, part
            assert axes(ours) == axes(theirs), part
    return differ


def axes(dataset):
    return [axis["key"] for axis in json.loads(dataset.attrs["axistags"])["axes"]]


def read_table(path):
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [row[name] for row in rows] for name in rows[0]}


def compare_tables(theirs, ours, *, insist=True):
    """Every column of theirs, joined by time step and id; not finite is empty in ours.

    Answers numbers of rows and columns, and the column that differs most, with its largest difference.
    """
    theirs, ours = read_table(theirs), read_table(ours)
    for key in ("timestep", "labelimage_oid", "object_id"):
        assert theirs[key] == ours[key]
    assert not insist or theirs["Predicted Class"] == ours["Predicted Class"]
    worst = ("-", 0.0)
    for name, column in theirs.items():
        if name in ("User Label", "Predicted Class"):
            continue
        a = np.array(column, np.float32)
        b = np.array([value or "nan" for value in ours[name]], np.float32)
        a[~np.isfinite(a)] = np.nan
        assert not insist or np.array_equal(a, b, equal_nan=True), name
        gap = float(np.nanmax(np.abs(a.astype(float) - b), initial=0.0)) if (~np.isnan(a)).any() else 0.0
        if gap > worst[1] or not np.array_equal(np.isnan(a), np.isnan(b)):
            worst = (name, gap)
    return len(theirs["timestep"]), len(theirs), worst


@pytest.mark.parametrize("part", ["test", pytest.param("train", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", SYNTHETIC)
def test_synthetic_case(shared, tmp_path, report, case, part):
    folder, role = shared / "golden" / case, SYNTHETIC[case]
    inputs = {"raw_data": folder / f"{part}_raw.h5", role: folder / f"{part}_{role}.h5"}
    run(folder / f"{case}.ilp", inputs, tmp_path)
    compare(report, f"{case} {part}", folder / "expected", f"{part}_", tmp_path)


def test_uint8_prediction_map(shared, tmp_path, report):
    folder = shared / "golden/pred3d"
    inputs = {
        "raw_data": folder / "test_raw.h5",
        "prediction_maps": folder / "test_prediction_maps_uint8.h5",
    }
    run(folder / "pred3d.ilp", inputs, tmp_path)
    compare(report, "pred3d uint8", folder / "expected", "test_u8_", tmp_path)


@pytest.mark.parametrize("case", REAL)
def test_real_case(shared, tmp_path, report, case):
    real = shared / "golden/real"
    given = json.loads((real / case / "inputs.json").read_text())
    run(real / case / f"{case}.ilp", {role: real / path for role, path in given.items()}, tmp_path)
    compare(report, case, real / case / "expected", "", tmp_path)


@pytest.mark.parametrize("block", [None, pytest.param("2", marks=pytest.mark.slow)])
@pytest.mark.parametrize("case", CORNERS)
def test_corner(shared, tmp_path, report, case, block):
    folder = shared / "golden/corners" / case
    objects = next(
        path for path in (folder / "prediction_maps.h5", folder / "segmentation_image.h5") if path.exists()
    )
    inputs = {"raw_data": folder / "raw.h5", objects.stem: objects}
    run(folder / "project.ilp", inputs, tmp_path, *(["--block_shape", block] if block else []))
    rows, columns, worst = compare_tables(folder / "ilastik_table.csv", tmp_path / "table.csv", insist=False)
    with (
        h5py.File(folder / "ilastik_probabilities.h5") as a,
        h5py.File(tmp_path / "Object Probabilities.h5") as b,
    ):
        theirs, ours = a["exported_data"], b["exported_data"]
        if block is None:
            report(f"corner {case}", rows, columns, *worst, int((theirs[()] != ours[()]).sum()))
        assert np.array_equal(theirs[()], ours[()])
        assert stated_range(theirs) == stated_range(ours)
    compare_tables(folder / "ilastik_table.csv", tmp_path / "table.csv")


def stated_range(dataset):
    """``drange`` as ilastik wrote it: two numbers of the type of the pixels, or none."""
    return [float(bound) for bound in dataset.attrs.get("drange", ())]
