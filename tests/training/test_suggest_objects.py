"""What to label next: uncertain objects, unlike each other, in a table that is taken back."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from objclass.cli import main
from objclass.compute.context import Context
from objclass.project.open import open_project
from objclass.training.suggest_objects import suggestions_of
from tests.conftest import without_own

INPUTS = ("--raw_data", "cells_train.tif", "--segmentation_image", "cells_train_segmentation.tif")
FEATURES = ("--features", "Standard Object Features:Count", "Standard Object Features:RegionRadii",
            "Standard Object Features:Kurtosis")  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch, samples):
    monkeypatch.chdir(tmp_path)
    for name in ("cells_train.tif", "cells_train_segmentation.tif", "cells_train_labels.csv"):
        shutil.copy(samples / name, tmp_path / name)
    rows = Path("cells_train_labels.csv").read_text().splitlines()
    Path("few.csv").write_text("\n".join([rows[0], *rows[1:19]]))
    return tmp_path


def train(*more, labels="few.csv", project="new.ilp"):
    return main(
        ["train", "--project", project, *INPUTS, "--labels", labels, "--trees", "20", "--repeats", "0", *more]
    )


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_objects_are_uncertain_have_no_label_and_are_unlike_each_other(here):
    assert train(*FEATURES, "--suggest", "6") == 0
    found = rows_of("new_suggestions.csv")
    assert len(found) == 6
    assert all(row["class"] == "" for row in found)
    arguments = ["--headless", "--quiet", "--project", "new.ilp", *INPUTS, "--table_filename", "t.csv"]
    assert (
        main(
            [
                *arguments,
                "--export_source",
                "Object Identities",
                "--output_filename_format",
                "ids.tif",
                "--output_format",
                "tif",
            ]
        )
        == 0
    )
    ids, table = tifffile.imread("ids.tif"), rows_of("t.csv")
    labels = [int(ids[int(row["y"]), int(row["x"])]) for row in found]
    assert len(set(labels)) == 6
    assert 0 not in labels
    assert not set(labels) & set(open_project("new.ilp").training.label.tolist())
    for label, row in zip(labels, found, strict=True):
        known = table[label - 1]
        assert row["predicted_class"] == known["Predicted Class"]
        assert float(row["uncertainty"]) == float(known["Uncertainty"])
        assert float(row["novelty"]) == float(known["Novelty"])
    labelled = set(open_project("new.ilp").training.label.tolist())
    others = [float(row["Uncertainty"]) for k, row in enumerate(table, 1) if k not in labelled]
    assert float(found[0]["uncertainty"]) == max(others)
    assert np.mean([float(row["uncertainty"]) for row in found]) > np.mean(others)


def test_the_same_objects_for_any_number_of_threads(here):
    for jobs in ("1", "2"):
        options = ("--jobs", jobs, "--suggest", "5", "--suggestions", f"next{jobs}.csv", "--overwrite")
        assert train(*FEATURES, *options) == 0
    assert Path("next1.csv").read_bytes() == Path("next2.csv").read_bytes()


def test_a_table_that_is_partly_filled_in_is_taken_back(here):
    assert train(*FEATURES, "--suggest", "6") == 0
    found = rows_of("new_suggestions.csv")
    for row in found[:4]:
        row["class"] = "ring"
    with open("filled.csv", "w", newline="") as file:
        table = csv.DictWriter(file, list(found[0]))
        table.writeheader()
        table.writerows(found)
    assert train("--output", "more.ilp", "--suggest", "50", labels="filled.csv") == 0
    before, after = open_project("new.ilp").training, open_project("more.ilp").training
    assert len(after) == len(before) + 4
    taken = {(row["x"], row["y"]) for row in found[:4]}
    assert not taken & {(row["x"], row["y"]) for row in rows_of("more_suggestions.csv")}


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (
            ["--suggest", "unsure.tif"],
            "--suggest unsure.tif: expected the number of objects to label next, 1 to 1000",
        ),
        (["--suggest", "0"], "--suggest 0: expected the number"),
        (["--suggestions", "a.csv"], "--suggestions: is the table of --suggest N"),
        (
            ["--suggest", "3", "--suggestions", "a.xlsx"],
            "--suggestions a.xlsx: expected a name that ends in .csv",
        ),
        (["--suggest", "3", "--suggestions", "few.csv"], "--suggestions few.csv would overwrite an input"),
        (["--suggest", "3", "--suggestions", "old.csv"], "--suggestions old.csv exists already"),
    ],
)
def test_what_cannot_be_written_is_refused_first(here, capsys, options, why):
    Path("old.csv").write_text("filled in by hand")
    assert train(*FEATURES, *options) == 2
    error = capsys.readouterr().err
    assert why in error
    assert error.count("\n") == 1
    assert not Path("new.ilp").exists()
    assert Path("old.csv").read_text() == "filled in by hand"


def test_pixels_have_images_of_their_uncertainty(here, capsys):
    pixels = [
        "train",
        "--pixels",
        "--project",
        "p.ilp",
        "--raw_data",
        "cells_train.tif",
        "--labels",
        "few.tif",
    ]
    assert main([*pixels, "--suggestions", "a.csv"]) == 2
    assert "--suggestions: is for training of objects" in capsys.readouterr().err


def test_an_evaluation_suggests_objects_of_the_images_of_the_project(here, capsys):
    assert train(*FEATURES, "--suggest", "6", "--suggestions", "trained.csv") == 0
    evaluate = ["evaluate", "--project", "new.ilp", "--quiet", "--repeats", "1"]
    assert main([*evaluate, "--suggest", "6"]) == 0
    assert Path("new_suggestions.csv").read_bytes() == Path("trained.csv").read_bytes()
    assert main([*evaluate, "--suggest", "6"]) == 2
    assert "--suggestions new_suggestions.csv exists already" in capsys.readouterr().err
    Path("cells_train.tif").rename("moved.tif")
    assert main([*evaluate, "--suggest", "6", "--overwrite"]) == 2
    assert "cells_train.tif" in capsys.readouterr().err
    assert main(["evaluate", "--table", "few.csv", "--suggest", "6"]) == 2
    assert "--suggest: is for the images of a --project" in capsys.readouterr().err


def test_objects_of_a_project_of_ilastik_are_compared_as_those_of_ours(here, caplog):
    assert train(*FEATURES, "--suggest", "6", "--suggestions", "trained.csv") == 0
    without_own("new.ilp")
    arguments = ["evaluate", "--project", "new.ilp", "--quiet", "--repeats", "1", "--trees", "5"]
    assert main([*arguments, "--suggest", "6"]) == 0
    assert Path("new_suggestions.csv").read_bytes() == Path("trained.csv").read_bytes()
    project, context = open_project("new.ilp"), Context()
    assert project.novelty is None
    found, _ = suggestions_of(project, 6, context)
    assert "whether they are like each other or not" in caplog.text
    uncertainty = [float(one.uncertainty) for one in found]
    assert uncertainty == sorted(uncertainty, reverse=True)
    assert all(one.row.base is None for one in found)
