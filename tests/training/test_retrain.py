"""Projects that were saved without a forest."""

import csv
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from objclass.cli import main
from objclass.compute.context import Context
from objclass.forest import encode
from objclass.project.open import open_project
from objclass.training.complete import completed
from tests.conftest import without_own


@pytest.fixture
def samples(samples):
    """A copy of the sample data, with a project such as ilastik's."""
    without_own(samples / "cells.ilp")
    return samples


def without_forest(path):
    with h5py.File(path, "a") as file:
        del file["ObjectClassification/ClassifierForests"]


def run(samples, folder, *more):
    assert main(["--headless", "--quiet", "--project", str(samples / "cells.ilp"), "--raw_data",
                 str(samples / "cells.tif"), "--segmentation_image", str(samples / "cells_segmentation.tif"),
                 "--table_only", "--table_filename", f"{folder}/t.csv", *more]) == 0  # fmt: skip
    with (folder / "t.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_from_the_training_images(samples, tmp_path, capsys):
    """Trained by `objclass train`, retrained from the same images: the same forest."""
    before = run(samples, tmp_path)
    without_forest(samples / "cells.ilp")
    capsys.readouterr()
    assert run(samples, tmp_path) == before
    told = capsys.readouterr().err.strip().splitlines()
    assert len(told) == 1
    assert "trained again on 36 labelled objects, from the images" in told[0]
    assert "random" in told[0]


def test_without_images_it_is_refused_not_guessed(samples, tmp_path, capsys):
    without_forest(samples / "cells.ilp")
    (samples / "cells_train.tif").unlink()
    assert main(["--headless", "--project", str(samples / "cells.ilp"), "--raw_data", str(samples / "cells.tif"),
                 "--segmentation_image", str(samples / "cells_segmentation.tif")]) == 2  # fmt: skip
    assert "cells_train.tif" in capsys.readouterr().err


def test_from_an_image_that_is_another_one(samples, capsys):
    without_forest(samples / "cells.ilp")
    import tifffile

    tifffile.imwrite(samples / "cells_train_segmentation.tif", np.zeros((320, 320), np.uint8))
    assert main(["--headless", "--project", str(samples / "cells.ilp"), "--raw_data", str(samples / "cells.tif"),
                 "--segmentation_image", str(samples / "cells_segmentation.tif")]) == 2  # fmt: skip
    assert "not the one that the project was trained on" in capsys.readouterr().err


def test_no_labels(samples, capsys):
    without_forest(samples / "cells.ilp")
    with h5py.File(samples / "cells.ilp", "a") as file:
        file["ObjectClassification/LabelInputs/0000/0"][...] = 0
    assert main(["--headless", "--project", str(samples / "cells.ilp"), "--raw_data", str(samples / "cells.tif"),
                 "--segmentation_image", str(samples / "cells_segmentation.tif")]) == 2  # fmt: skip
    assert "no labels to train one" in capsys.readouterr().err


def test_asked_for(samples, tmp_path, capsys):
    before = run(samples, tmp_path)
    assert run(samples, tmp_path, "--retrain") == before
    assert "trained again" in capsys.readouterr().err


@pytest.mark.parametrize("case", ["hard2d", "hard3d", "series2dt"])
def test_from_stored_features(shared, tmp_path, capsys, case):
    """ilastik's own project: classes agree with its own forest for almost all objects."""
    folder = shared / "golden" / case
    shutil.copy(folder / f"{case}.ilp", tmp_path / "p.ilp")  # its images are not beside it
    without_forest(tmp_path / "p.ilp")
    assert main(["--headless", "--quiet", "--project", str(tmp_path / "p.ilp"), "--raw_data",
                 str(folder / "test_raw.h5"), "--segmentation_image", str(folder / "test_segmentation_image.h5"),
                 "--table_only", "--table_filename", str(tmp_path / "t.csv")]) == 0  # fmt: skip
    assert "the features that it stores" in capsys.readouterr().err
    with (
        (tmp_path / "t.csv").open(newline="") as a,
        (folder / "expected/test_table.csv").open(newline="") as b,
    ):
        ours, theirs = list(csv.DictReader(a)), list(csv.DictReader(b))
    same = [x["Predicted Class"] == y["Predicted Class"] for x, y in zip(ours, theirs, strict=True)]
    assert np.mean(same) > 0.9
    assert open_project(str(tmp_path / "p.ilp")).forest is None  # nothing is written to it


def test_labels_of_one_class_make_a_filter(samples, tmp_path):
    """ilastik trains it, too: every object is of that class."""
    without_forest(samples / "cells.ilp")
    with h5py.File(samples / "cells.ilp", "a") as file:
        labels = file["ObjectClassification/LabelInputs/0000/0"]
        labels[...] = np.where(labels[()] > 0, 2, 0)
    name = open_project(str(samples / "cells.ilp")).classes[1]
    rows = run(samples, tmp_path)
    assert {row["Predicted Class"] for row in rows} == {name}
    assert {row[f"Probability of {name}"] for row in rows} == {"1.0"}


def test_a_project_of_ours_needs_no_images(samples, tmp_path, capsys):
    """It holds the measured objects and how its forest was grown: the same forest."""
    path = tmp_path / "own.ilp"
    inputs = [f"{samples}/cells_train.tif", f"{samples}/cells_train_segmentation.tif"]
    assert main(["train", "--quiet", "--project", str(path), "--raw_data", inputs[0], "--segmentation_image", inputs[1],
                 "--labels", f"{samples}/cells_train_labels.csv", "--trees", "7", "--seed", "3", "--class_weight",
                 "balanced", "--features", "Standard Object Features:Count", "Standard Object Features:Kurtosis"]) == 0  # fmt: skip
    before = open_project(str(path)).forest
    without_forest(path)
    for image in inputs:
        Path(image).unlink()
    capsys.readouterr()
    after = completed(open_project(str(path)), Context()).forest
    for tree, other in zip(encode(after), encode(before), strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(tree, other, strict=True))
    assert main(["inspect", str(path)]) == 0
    assert "runnable    yes: its classifier is missing: it will be trained again" in capsys.readouterr().out
