"""The facts of `test_golden`, proven without the folder of reference data: ilastik's own numbers for small images.

The files in ``golden_small`` hold pixels and answers as numbers; ``origin`` in each says where the answers come from.
All images are synthetic. Equal means to the last bit: the answers are float32, as ilastik stores them.
"""

import csv
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from objclass.cli import main
from objclass.forest import decode

HERE = Path(__file__).parent / "golden_small"


def stored(name):
    return json.loads((HERE / f"{name}.json").read_text())


def numbers(rows, dtype):
    """Rows of numbers, or planes of rows, as an array."""
    if isinstance(rows, str):
        return np.array(rows.split(), dtype)
    return np.stack([numbers(row, dtype) for row in rows])


def painted(rows, letters):
    """Rows of letters, or planes of rows, as an array of their places among ``letters``."""
    if isinstance(rows, str):
        return np.array([letters.index(letter) for letter in rows], np.uint8)
    return np.stack([painted(row, letters) for row in rows])


WINDOWS = stored("thresholds")["windows"]
VARIANTS = [(number, name) for number, window in enumerate(WINDOWS) for name in window["variants"]]


@pytest.mark.parametrize(("number", "name"), VARIANTS)
def test_thresholds_and_labels(tmp_path, monkeypatch, number, name):
    """Simple, hysteresis and identity-preserving: the same objects with the same ids."""
    monkeypatch.chdir(tmp_path)
    window = WINDOWS[number]
    inside = numbers(window["map"], np.float32)
    np.save("map.npy", np.stack([inside, 1 - inside], axis=-1))
    variant = window["variants"][name]
    code = main(["--headless", "--quiet", "--prediction_maps", "map.npy", "--input_axes", "yxc", *variant["options"],
                 "--export_source", "Object Identities", "--output_filename_format", "ids.h5",
                 "--features", "Standard Object Features:Count", "--table_filename", "t.csv"])  # fmt: skip
    assert code == 0
    with h5py.File("ids.h5") as file:
        found = file["exported_data"][()].squeeze()
    assert np.array_equal(found, painted(variant["labels"], ".123456789"))


OBJECTS = stored("objects")["objects"]


@pytest.mark.parametrize("given", OBJECTS, ids=lambda o: f"{o['case']}-{o['object']}")
def test_features_of_objects(tmp_path, monkeypatch, given):
    """Standard features, neighbourhoods, ilastik's hull and skeleton: every column."""
    monkeypatch.chdir(tmp_path)
    cut = painted(given["objects"], ".#o")
    box = tuple(slice(start, start + n) for start, n in zip(given["corner"], cut.shape, strict=True))
    raw = np.zeros((*given["shape"], given["channels"]), given["dtype"])
    raw[box] = numbers(given["raw"], given["dtype"]).reshape(*cut.shape, given["channels"])
    labels = np.zeros(given["shape"], np.uint8)
    labels[box] = cut
    ends = labels.reshape(-1, labels.shape[-1])[
        -1, -2:
    ]  # a third object, far away: extremes of the whole image
    assert not ends.any()
    ends[:] = 3
    raw.reshape(-1, *raw.shape[-2:])[-1, -2:] = np.array(given["range"], given["dtype"])[:, None]
    np.save("raw.npy", raw)
    np.save("labels.npy", labels)
    ndim = cut.ndim
    sets = [f"{ndim}D Convex Hull Features", *(["2D Skeleton Features"] if ndim == 2 else [])]
    axes = "zyx"[-ndim:]
    code = main(["--headless", "--quiet", "--raw_data", "raw.npy", "--label_image", "labels.npy",
                 "--input_axes", f"{axes}c,{axes}", "--features", "Standard Object Features", *sets,
                 "--margin", "5", "--table_filename", "t.csv"])  # fmt: skip
    assert code == 0
    with open("t.csv", newline="") as file:
        row = next(row for row in csv.DictReader(file) if row["original_oid"] == "1")
    expected = {
        name: np.float32("nan" if value is None else value) for name, value in given["features"].items()
    }
    found = {name: np.float32(row[name] or "nan") for name in expected}
    differ = {
        name: (found[name], expected[name]) for name in expected if str(found[name]) != str(expected[name])
    }
    assert not differ
    assert len(expected) > 90


def test_probabilities_of_the_forest():
    given = stored("forest")
    trees = [
        (numbers(tree["topology"], np.int32), numbers(tree["parameters"], float)) for tree in given["trees"]
    ]
    forest = decode(trees, given["columns"], given["classes"])
    rows = np.zeros((len(given["objects"]), given["columns"]), np.float32)
    for row, thing in zip(rows, given["objects"], strict=True):
        row[[int(column) for column in thing["features"]]] = list(thing["features"].values())
    expected = np.array([thing["probabilities"] for thing in given["objects"]], np.float32)
    assert 0.2 < expected[:, 0].min() < expected[:, 0].max() < 0.8  # none is certain
    assert np.array_equal(forest.predict(rows).probabilities, expected)
