"""Training: labels of every kind, the same bytes, a project that predicts what it was taught."""

import csv
import hashlib
import json
import shutil
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile

from objclass.cli import main
from objclass.cli.inspect import _training_lines
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.errors import OutputError
from objclass.images import from_array
from objclass.project.open import open_project
from objclass.training.provenance import digest


@pytest.fixture
def here(tmp_path, monkeypatch, samples):
    monkeypatch.chdir(tmp_path)
    for name in ("cells_train.tif", "cells_train_segmentation.tif", "cells_train_labels.csv",
                 "cells_train_probabilities.h5", "spots3d_train.tif", "spots3d_train_label_image.tif",
                 "spots3d_train_painted.tif"):  # fmt: skip
        shutil.copy(samples / name, tmp_path / name)
    return tmp_path


def train(labels, *more, project="new.ilp", inputs=None):
    inputs = inputs or [
        "--raw_data",
        "cells_train.tif",
        "--segmentation_image",
        "cells_train_segmentation.tif",
    ]
    labels = [labels] if isinstance(labels, str) else labels
    quick = [] if {"--repeats", "--evaluation"} & {*more} else ["--repeats", "0"]
    return main(
        [
            *("train", "--project", project, *inputs, "--labels", *labels, "--trees", "20", "--overwrite"),
            *(*quick, *more),
        ]
    )


SMALL = ("--features", "Standard Object Features:Count", "Standard Object Features:RegionRadii",
         "Standard Object Features:Kurtosis")  # fmt: skip


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def forest_bytes(path):
    with h5py.File(path) as file:
        parts = []
        file["ObjectClassification/ClassifierForests"].visititems(
            lambda name, o: (
                parts.append((name, np.asarray(o[()]).tobytes())) if isinstance(o, h5py.Dataset) else None
            )
        )
    return parts


def test_ids_places_and_paint_teach_the_same(here):
    assert train("cells_train_labels.csv", *SMALL) == 0
    places = rows_of("cells_train_labels.csv")
    found = _ids("cells_train.tif", "cells_train_segmentation.tif")
    with open("ids.csv", "w") as file:
        file.write("class\tlabelimage_oid\ttimestep\n")  # other order of columns, tabs
        file.writelines(
            f"{row['class']}\t{found[int(row['y']), int(row['x'])]}\t0\n" for row in reversed(places)
        )
    assert train("ids.csv", *SMALL, project="ids.ilp") == 0
    names = ["elongated", "ring", "round"]
    paint = np.zeros((320, 320), np.uint8)
    for row in places:
        y, x = int(row["y"]), int(row["x"])
        paint[y - 1 : y + 1, x] = names.index(row["class"]) + 1
    tifffile.imwrite("paint.tif", paint)
    assert train("paint.tif", *SMALL, "--class_names", *names, project="paint.ilp") == 0
    assert forest_bytes("new.ilp") == forest_bytes("ids.ilp") == forest_bytes("paint.ilp")
    assert open_project("new.ilp").classes == open_project("paint.ilp").classes == tuple(names)


def _ids(raw, segmentation):
    run = ["--headless", "--quiet", "--raw_data", raw, "--segmentation_image", segmentation, "--output_format",
           "numpy", "--output_filename_format", "ids", "--table_filename", "x.csv",
           "--features", "regionprops:area"]  # fmt: skip
    assert main(run) == 0
    return np.load("ids.npy")[..., 0]


def test_the_same_input_gives_the_same_bytes(here):
    assert train("cells_train_labels.csv", *SMALL) == 0
    assert train("cells_train_labels.csv", *SMALL, project="again.ilp") == 0
    assert (here / "new.ilp").read_bytes() == (here / "again.ilp").read_bytes()
    assert train("cells_train_labels.csv", *SMALL, "--seed", "5", project="other.ilp") == 0
    assert forest_bytes("new.ilp") != forest_bytes("other.ilp")


def test_time_comes_from_source_date_epoch(here, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1234567890")
    assert train("cells_train_labels.csv", *SMALL) == 0
    with h5py.File("new.ilp") as file:
        assert file["time"][()] == b"1234567890"


def test_the_project_holds_what_it_was_trained_on(here, capsys):
    given = (*SMALL, "--seed", "7", "--repeats", "1")
    assert train("cells_train_labels.csv", *given, "--jobs", "1") == 0
    assert train("cells_train_labels.csv", *given, "--jobs", "2", project="again.ilp") == 0
    assert Path("new.ilp").read_bytes() == Path("again.ilp").read_bytes()
    project = open_project("new.ilp")
    facts, table = project.facts, project.training
    assert (facts["seed"], facts["trees"], facts["class_weight"]) == (7, 20, None)
    raw = hashlib.sha256(tifffile.imread("cells_train.tif").tobytes()).hexdigest()
    assert facts["inputs"][0]["raw_data"] == raw
    assert (len(table), table.images, table.names) == (36, ("cells_train",), ("elongated", "ring", "round"))
    capsys.readouterr()
    assert main(["inspect", "new.ilp"]) == 0
    shown = capsys.readouterr().out
    assert "trees 20, seed 7, out of bag accuracy " in shown
    assert "36 objects, predictions as stored" in shown
    assert "to 36 training objects in " in shown
    assert "cross-validated: " in shown
    assert facts["evaluation"]["method"] == "cross-validation"
    assert "cells_train: elongated 12, ring 12, round 12" in shown
    assert f"raw_data sha256 {raw}" in shown


def test_the_training_images_get_the_stored_probabilities(here):
    assert train("cells_train_labels.csv", *SMALL) == 0
    inputs = ["--raw_data", "cells_train.tif", "--segmentation_image", "cells_train_segmentation.tif"]
    assert main(["--headless", "--quiet", "--project", "new.ilp", *inputs, "--table_filename", "t.csv"]) == 0
    table, rows = open_project("new.ilp").training, rows_of("t.csv")
    columns = [f"Probability of {name}" for name in table.names]
    run = np.array([[rows[label - 1][name] for name in columns] for label in table.label], np.float32)
    with h5py.File("new.ilp") as file:
        stored = file["objclass/training/probabilities"][()]
    assert np.array_equal(run, stored)


def test_digests_are_those_of_the_pixels(rng):
    pixels = rng.integers(0, 1000, (3, 5, 40, 30)).astype(">u2")
    image = from_array(pixels, "tzyx", "raw", channels=True)
    contexts = [Context(), Context(Limits(None, (2, 40), 2)), Context(Limits(None, (1, 7), 1))]
    expected = hashlib.sha256(pixels[[0, 2]].astype("<u2").tobytes()).hexdigest()
    assert {digest(image, [0, 2], context) for context in contexts} == {expected}


def test_features_that_ilastik_lacks_are_said(here, capsys):
    assert train("cells_train_labels.csv", "--features", "hull") == 0
    line = "new.ilp: ilastik will not open this project, since it has no features hull (objclass runs it)"
    assert line in capsys.readouterr().err
    assert train("cells_train_labels.csv", *SMALL) == 0
    assert "will not open" not in capsys.readouterr().err


def test_each_class_counts_the_same(here, capsys):
    assert train("cells_train_labels.csv", *SMALL, "--class_weight", "balanced") == 0
    balanced = forest_bytes("new.ilp")
    assert train("cells_train_labels.csv", *SMALL, project="plain.ilp") == 0
    assert balanced != forest_bytes("plain.ilp")
    assert train("cells_train_labels.csv", *SMALL, "--class_weight", "heavy") == 2
    assert "--class_weight" in capsys.readouterr().err


def test_what_ilastik_needs_is_there(here):
    """The minimal set of a project that ilastik opens, and what it would fail on silently."""
    (here / "sub").mkdir()
    assert train("cells_train_labels.csv", project="sub/new.ilp") == 0
    with h5py.File("sub/new.ilp") as file:
        assert file["workflowName"][()] == b"Object Classification (from binary image)"
        for name, group in file.items():
            if isinstance(group, h5py.Group) and name != "objclass":  # ilastik does not look at ours
                assert "StorageVersion" in group
        raw = file["Input Data/infos/lane0000/Raw Data"]
        assert raw["filePath"][()] == b"../cells_train.tif"
        assert {"nickname", "allowLabels", "shape", "axistags", "__class__"} <= set(raw)
        assert isinstance(file["Input Data/infos/lane0000/Atlas"], h5py.Group)
        labels = file["ObjectClassification/LabelInputs/0000/0"][()]
        assert sorted(np.unique(labels, return_counts=True)[1][1:]) == [12, 12, 12]
        forest = file["ObjectClassification/ClassifierForests/Forest0000"]
        assert forest["_options/tree_count_"].shape == (1,)
        assert forest["_options/predict_weighted_"][0] == 0
        assert sorted(t for t in forest if t.startswith("Tree")) == [f"Tree_{k:02}" for k in range(20)]
        kind = file["ObjectClassification/ClassifierForests/pickled_type"][()]
        assert kind.endswith(b"ParallelVigraRfLazyflowClassifier\np0\n.")
        margins = file["ObjectExtraction/Features/Standard Object Features/Mean in neighborhood/margin"]
        assert margins[()].tolist() == [30, 30]


def test_prediction_maps_and_several_lanes(here):
    inputs = ["--raw_data", "cells_train.tif", "b/cells_train.tif",
              "--prediction_maps", "cells_train_probabilities.h5", "cells_train_probabilities.h5"]  # fmt: skip
    (here / "b").mkdir()
    shutil.copy("cells_train.tif", "b/cells_train.tif")
    rows = (here / "cells_train_labels.csv").read_text().splitlines()
    lines = [f" Image ,{rows[0].upper()}"]  # as people type
    lines += [f"b/cells_train,{row}" for row in rows[1:]]
    (here / "l.csv").write_text("\n".join(lines))
    threshold = ["--threshold", "0.45", "--min_size", "30", "--smooth", "0.7"]
    names = f"{here.name}/cells_train"
    (here / "l.csv").write_text((here / "l.csv").read_text() + f"\n{names},{rows[1]}")
    assert train("l.csv", *SMALL, *threshold, inputs=inputs) == 0
    project = open_project("new.ilp")
    assert project.role == "prediction_maps"
    assert (project.threshold.threshold, project.threshold.min_size) == (0.45, 30)
    assert project.threshold.sigma_xyz == (0.7, 0.7, 0.7)
    assert {lane: int((labels[0] > 0).sum()) for lane, labels in project.labels.items()} == {0: 36, 1: 1}
    assert [lane["raw_data"].path for lane in project.lanes] == ["b/cells_train.tif", "cells_train.tif"]
    run = ["--headless", "--quiet", "--project", "new.ilp", *inputs[:2], *inputs[3:5], "--table_filename", "t.csv",
           "--table_only"]  # fmt: skip
    assert main(run) == 0
    with open("t.csv") as file:
        assert len(file.readlines()) == 61


def test_label_images_are_labelled_by_their_own_ids(here):
    inputs = ["--raw_data", "spots3d_train.tif", "--label_image", "spots3d_train_label_image.tif"]
    lines = ["original_oid,class", *(f"{i},{'ball' if i % 2 else 'rod'}" for i in range(1, 25))]
    (here / "l.csv").write_text("\n".join(lines))
    assert train("l.csv", *SMALL, inputs=inputs) == 0
    painted = ["--class_names", "ball", "rod"]
    assert train("spots3d_train_painted.tif", *SMALL, *painted, inputs=inputs, project="p.ilp") == 0
    assert forest_bytes("new.ilp") == forest_bytes("p.ilp")


def test_a_quote_that_is_not_closed_is_one_line(here, capsys):
    text = Path("cells_train_labels.csv").read_text()
    header, rest = text.split("\n", 1)
    (here / "l.csv").write_text(f'{header}\n"{rest}')
    assert train("l.csv", *SMALL) == 2
    assert "l.csv: unexpected end of data: expected CSV (is a quote not closed?)" in capsys.readouterr().err
    assert not Path("new.ilp").exists()


def test_several_tables_teach_together(here):
    rows = (here / "cells_train_labels.csv").read_text().splitlines()
    (here / "a.csv").write_text("\n".join(rows[:19]))
    (here / "b.csv").write_text("\n".join([rows[0], "", *rows[19:]]))
    assert train("cells_train_labels.csv", *SMALL) == 0
    assert train(["a.csv", "b.csv"], *SMALL, project="two.ilp") == 0
    assert forest_bytes("new.ilp") == forest_bytes("two.ilp")


@pytest.mark.parametrize(("axes", "missing"), [("zyx", "z"), ("tyx", "timestep")])
def test_what_an_image_has_several_of_must_be_said(here, capsys, axes, missing):
    inputs = [
        "--raw_data",
        "spots3d_train.tif",
        "--label_image",
        "spots3d_train_label_image.tif",
        "--input_axes",
        axes,
    ]
    (here / "l.csv").write_text("x,y,class\n10,10,a\n")
    assert train("l.csv", *SMALL, inputs=inputs) == 2
    told = capsys.readouterr().err
    assert (missing in told and "expected a number" in told) or "column timestep" in told


def test_paint_has_the_axes_of_what_it_is_painted_over(here):
    np.save("labels.npy", tifffile.imread("spots3d_train_label_image.tif"))
    np.save("paint.npy", tifffile.imread("spots3d_train_painted.tif"))
    inputs = ["--raw_data", "spots3d_train.tif", "--label_image", "labels.npy", "--input_axes", "tyx"]
    assert train("paint.npy", *SMALL, inputs=inputs) == 0
    assert len(open_project("new.ilp").labels[0]) == 20  # time steps


def test_what_is_left_out_is_told(here, capsys):
    with open("cells_train_labels.csv", "a") as file:
        file.write("0,0,round\n")
    assert train("cells_train_labels.csv", *SMALL) == 0
    told = capsys.readouterr().err
    assert "line 38: there is no object at this point" in told
    assert "elongated 12, ring 12, round 12" in told
    assert "out-of-bag accuracy" in told


def test_paint_of_two_classes(here, capsys):
    ids = _ids("cells_train.tif", "cells_train_segmentation.tif")
    paint = np.zeros(ids.shape, np.uint8)
    paint[ids == 1], paint[ids == 2], paint[ids == 3] = 1, 2, 1
    y, x = np.argwhere(ids == 1)[0]
    paint[y, x] = 2  # one pixel of many
    tifffile.imwrite("paint.tif", paint)
    assert train("paint.tif", *SMALL) == 0
    assert (
        "objects 1 are painted with several classes: the class with most of their painted pixels"
        in capsys.readouterr().err
    )
    assert open_project("new.ilp").labels[0][0].tolist() == [0, 1, 2, 1]
    rows = np.argwhere(ids == 3)
    half = rows[: len(rows) // 2 * 2 : 2]
    paint[ids == 3] = 0
    paint[tuple(half.T)] = 1
    paint[tuple(rows[1 : len(rows) // 2 * 2 : 2].T)] = 2
    tifffile.imwrite("paint.tif", paint)
    assert train("paint.tif", *SMALL, project="tie.ilp") == 2
    assert (
        "objects 3 of cells_train, time step 0, are painted with two classes in equal parts"
        in capsys.readouterr().err
    )
    assert not (here / "tie.ilp").exists()


def test_a_forest_on_regionprops(here):
    assert train("cells_train_labels.csv", "--features", "regionprops") == 0
    project = open_project("new.ilp")
    names = {name for _, name in project.selected}
    assert {"eccentricity", "intensity_std"} <= names
    assert not {"centroid", "bbox"} & names  # where an object is says nothing of its class
    run = ["--headless", "--quiet", "--project", "new.ilp", "--raw_data", "cells_train.tif", "--table_only",
           "--segmentation_image", "cells_train_segmentation.tif", "--table_filename", "t.csv"]  # fmt: skip
    assert main(run) == 0
    rows = rows_of("t.csv")
    ids = _ids("cells_train.tif", "cells_train_segmentation.tif")
    wrong = 0
    for label in rows_of("cells_train_labels.csv"):
        row = rows[ids[int(label["y"]), int(label["x"])] - 1]
        wrong += row["Predicted Class"] != label["class"]
    assert wrong == 0  # the forest has seen them


def test_the_table_of_a_run_filled_in_by_hand(here):
    """Columns ``User Label`` and ``labelimage_oid``; rows that were not filled in are passed over."""
    ids = _ids("cells_train.tif", "cells_train_segmentation.tif")
    classes = {ids[int(r["y"]), int(r["x"])]: r["class"] for r in rows_of("cells_train_labels.csv")}
    assert train("cells_train_labels.csv", *SMALL) == 0
    run = ["--headless", "--quiet", "--project", "new.ilp", "--raw_data", "cells_train.tif", "--table_only",
           "--segmentation_image", "cells_train_segmentation.tif", "--table_filename", "t.csv"]  # fmt: skip
    assert main(run) == 0
    rows = rows_of("t.csv")
    with open("t.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(
            r | {"User Label": classes.get(int(r["labelimage_oid"]), r["User Label"])} for r in rows
        )
    assert train("t.csv", *SMALL, project="again.ilp") == 0
    assert forest_bytes("new.ilp") == forest_bytes("again.ilp")


@pytest.mark.parametrize("heading", ["t", "T ", "timestep"])
def test_time_steps_may_be_called_t(here, heading):
    inputs = [
        "--raw_data",
        "spots3d_train.tif",
        "--label_image",
        "spots3d_train_label_image.tif",
        "--input_axes",
        "tyx",
    ]
    image = tifffile.imread("spots3d_train_label_image.tif")
    t = int(np.argmax((image > 0).sum(axis=(1, 2))))
    some = np.unique(image[t])[1:3]
    (here / "l.csv").write_text(f"original_oid,{heading},class\n{some[0]},{t},a\n{some[1]},{t},b\n")
    assert train("l.csv", *SMALL, inputs=inputs) == 0
    assert open_project("new.ilp").labels[0][t].max() == 2


def test_points_on_background(here, capsys):
    rows = rows_of("cells_train_labels.csv")
    with open("swapped.csv", "w") as file:
        file.write("x,y,class\n")
        file.writelines(f"{row['y']},{row['x']},{row['class']}\n" for row in rows)
    assert train("swapped.csv", *SMALL) == 2
    told = capsys.readouterr().err
    assert "of 36 points and areas of the labels lie on background (are x and y swapped" in told
    assert not (here / "new.ilp").exists()
    assert train("swapped.csv", *SMALL, "--allow_misses") == 0


def test_a_table_of_more_images_than_are_given(here, capsys):
    rows = (here / "cells_train_labels.csv").read_text().splitlines()
    lines = [f"image,{rows[0]}", *(f"cells_train,{row}" for row in rows[1:31])]
    lines += [*(f"other.tif,{row}" for row in rows[31:]), f"third,{rows[1]}"]
    (here / "l.csv").write_text("\n".join(lines))
    assert train("l.csv", *SMALL) == 2
    told = capsys.readouterr().err
    assert "l.csv name images that are not given: other.tif, third (given: cells_train)" in told
    assert "give them too, or --allow_misses to leave their 7 labels out" in told
    assert not (here / "new.ilp").exists()
    assert train("l.csv", *SMALL, "--allow_misses") == 0
    assert "left out: l.csv: 6 labels of other.tif, which is not given" in capsys.readouterr().err
    assert np.count_nonzero(open_project("new.ilp").labels[0][0]) == 30


def test_a_name_of_several_images(here, capsys):
    (here / "b").mkdir()
    for name in ("cells_train.tif", "cells_train_segmentation.tif"):
        shutil.copy(name, here / "b" / name)
    inputs = ["--raw_data", "cells_train.tif", "b/cells_train.tif",
              "--segmentation_image", "cells_train_segmentation.tif", "b/cells_train_segmentation.tif"]  # fmt: skip
    for name, why in (("cells_train", "image 'cells_train' is the name of several"), ("", "no image")):
        (here / "l.csv").write_text(f"image,labelimage_oid,class\n{name},1,a\n")
        assert train("l.csv", *SMALL, "--allow_misses", inputs=inputs) == 2
        assert (
            f"line 2: {why}: expected one of b/cells_train, {here.name}/cells_train"
            in capsys.readouterr().err
        )


def test_strokes_on_background(here, samples, capsys):
    strokes = str(samples / "cells_train_strokes.png")
    assert train(strokes, *SMALL) == 2
    told = capsys.readouterr().err
    assert (
        "324 of 403 painted pixels of the labels lie on background (strokes that train pixels need --pixels)"
        in told
    )
    assert "--allow_misses" in told
    assert not (here / "new.ilp").exists()


def test_paint_that_lies_partly_on_background(here, capsys):
    ids = _ids("cells_train.tif", "cells_train_segmentation.tif")
    paint = np.where(ids > 0, ids % 2 + 1, 0).astype(np.uint8)
    painted, stray = np.count_nonzero(paint), np.argwhere(ids == 0)
    for misses, code in ((painted // 2, 0), (painted // 2 + 1, 2)):  # a third of all
        paint[tuple(stray[:misses].T)] = 1
        tifffile.imwrite("paint.tif", paint)
        assert train("paint.tif", *SMALL) == code
        assert f"paint.tif: {misses} painted pixels on background" in capsys.readouterr().err
    assert train("paint.tif", *SMALL, "--allow_misses") == 0


def test_points_outside_that_are_inside_when_swapped(here, capsys):
    for name in ("cells_train.tif", "cells_train_segmentation.tif"):
        tifffile.imwrite(name, tifffile.imread(name)[:200])
    (here / "l.csv").write_text("x,y,class\n5,250,a\n")
    assert train("l.csv", *SMALL) == 2
    assert "x=5, y=250, z=0 is outside the image (are x and y swapped?)" in capsys.readouterr().err


def test_a_project_is_not_replaced_without_a_word(here, capsys):
    command = ["train", "--project", "new.ilp", "--raw_data", "cells_train.tif", "--segmentation_image",
               "cells_train_segmentation.tif", "--labels", "cells_train_labels.csv", "--trees", "5", *SMALL]  # fmt: skip
    assert main(command) == 0
    before = (here / "new.ilp").read_bytes()
    assert main([*command, "--seed", "3"]) == 2
    assert "new.ilp exists already: --overwrite" in capsys.readouterr().err
    assert (here / "new.ilp").read_bytes() == before
    assert main([*command, "--seed", "3", "--overwrite"]) == 0
    assert (here / "new.ilp").read_bytes() != before


def halves(here):
    """The table of labels in two, ``a.csv`` and ``b.csv``."""
    rows = (here / "cells_train_labels.csv").read_text().splitlines()
    for name, part in (("a.csv", rows[1::2]), ("b.csv", rows[2::2])):
        (here / name).write_text("\n".join([rows[0], *part]))


def test_labels_are_added_to_those_of_a_project(here):
    """On the same image: as if all had been given at once."""
    halves(here)
    assert train("a.csv", *SMALL) == 0
    assert train("b.csv", "--output", "both.ilp") == 0
    assert train("cells_train_labels.csv", *SMALL, project="once.ilp") == 0
    both, once = open_project("both.ilp"), open_project("once.ilp")
    assert both.lanes == once.lanes
    assert both.selected == once.selected
    assert both.labels[0][0].tolist() == once.labels[0][0].tolist()
    assert both.classes == once.classes
    order = np.argsort(both.training.label)
    assert np.array_equal(both.training.take(order).rows, once.training.rows)
    assert both.facts["inputs"] == once.facts["inputs"]
    with h5py.File("both.ilp") as file:  # what was not touched is there
        assert "ExportSettings" in file["ObjectClassification"]
    assert train("b.csv", "--output", "again.ilp") == 0
    assert (here / "again.ilp").read_bytes() == (here / "both.ilp").read_bytes()


def test_tracks_stay_when_labels_are_added(here):
    halves(here)
    rows = (here / "a.csv").read_text().splitlines()
    tracks = [f"{row},{k // 3}" for k, row in enumerate(rows[1:])]
    (here / "tracks.csv").write_text("\n".join([f"{rows[0]},track", *tracks]))
    assert train("tracks.csv", *SMALL) == 0
    before = open_project("new.ilp").training
    again = rows[1].rpartition(",")[0]  # another class, no track
    (here / "b.csv").write_text((here / "b.csv").read_text() + f"\n{again},ring")
    assert train("b.csv", "--output", "both.ilp") == 0
    after = open_project("both.ilp").training
    found = dict(zip(after.label.tolist(), after.group, strict=True))
    assert len(found) == 36
    assert [found[label] for label in before.label.tolist()] == list(before.group)
    assert sum(map(bool, after.group)) == 18


def test_added_images_become_lanes_and_new_classes_come_last(here, capsys):
    (here / "sub").mkdir()
    shutil.copy("cells_train.tif", "other.tif")
    halves(here)
    assert train("a.csv", *SMALL) == 0
    (here / "b.csv").write_text((here / "b.csv").read_text().replace("round", "a new one"))
    inputs = ["--raw_data", "other.tif", "--segmentation_image", "cells_train_segmentation.tif"]
    assert train("b.csv", "--output", "sub/both.ilp", inputs=inputs) == 0
    project = open_project("sub/both.ilp")
    assert [lane["raw_data"].path for lane in project.lanes] == ["../cells_train.tif", "../other.tif"]
    assert project.training.images == ("cells_train", "other")
    assert np.bincount(project.training.image).tolist() == [18, 18]
    assert len(project.facts["inputs"]) == 2
    assert project.classes == ("elongated", "ring", "round", "a new one")
    assert len(project.colors) == 4
    counts = {
        lane: np.bincount(steps[0].astype(int), minlength=5)[1:].tolist()
        for lane, steps in project.labels.items()
    }
    assert sum(counts[0]) == sum(counts[1]) == 18
    assert counts[0][3] == counts[1][2] == 0
    assert project.forest is not None
    assert project.forest.classes == 4
    shutil.move("cells_train.tif", "gone.tif")
    assert train("b.csv", "--output", "more.ilp", project="sub/both.ilp", inputs=inputs) == 2
    assert "cells_train.tif" in capsys.readouterr().err


def test_a_new_label_replaces_an_old_one(here, capsys):
    assert train("cells_train_labels.csv", *SMALL) == 0
    first = rows_of("cells_train_labels.csv")[0]
    other = next(name for name in ("ring", "round") if name != first["class"])
    (here / "l.csv").write_text(f"x,y,class\n{first['x']},{first['y']},{other}\n")
    capsys.readouterr()
    assert train("l.csv", "--output", "new.ilp") == 0  # over itself, as --overwrite allows
    told = capsys.readouterr().err
    assert "1 objects had another class in new.ilp: the new class is used" in told
    assert "trained on 36 objects" in told


def test_features_that_the_project_stores_are_enough(here):
    """Images may be gone: ilastik stores features of what it has shown."""
    halves(here)
    assert train("a.csv", *SMALL) == 0
    shutil.copy("cells_train.tif", "other.tif")
    inputs = ["--raw_data", "other.tif", "--segmentation_image", "cells_train_segmentation.tif"]
    assert train("b.csv", "--output", "measured.ilp", inputs=inputs) == 0
    project = open_project("new.ilp")
    count = len(project.labels[0][0])
    with h5py.File("new.ilp", "a") as file:
        for plugin, name in project.selected:
            width = 2 if name == "RegionRadii" else 1
            group = "ObjectExtraction/RegionFeatures/0000/[[0], [1]]"
            file[f"{group}/{plugin}/{name}"] = np.zeros((count, width), np.float32)
    shutil.move("cells_train.tif", "gone.tif")
    assert train("b.csv", "--output", "stored.ilp", inputs=inputs) == 0
    assert forest_bytes("stored.ilp") != forest_bytes("measured.ilp")


def test_ilastik_can_show_the_largest_size(here):
    inputs = ["--raw_data", "cells_train.tif", "--prediction_maps", "cells_train_probabilities.h5"]
    assert train("cells_train_labels.csv", *SMALL, inputs=inputs) == 0
    with h5py.File("new.ilp", "a") as file:
        assert file["ThresholdTwoLevels/MaxSize"][()] == 2**31 - 1
        file["ThresholdTwoLevels/MaxSize"][()] = 2**62  # as this program wrote once
    assert train("cells_train_labels.csv", "--output", "n.ilp", inputs=inputs) == 0
    with h5py.File("n.ilp") as file:
        assert file["ThresholdTwoLevels/MaxSize"][()] == 2**31 - 1


@pytest.mark.parametrize("dtype", ["bool", "int32", "uint64", "float64", "uint8", "float32"])
def test_types_that_ilastik_cannot_open_are_told(here, capsys, dtype):
    np.save("s.npy", tifffile.imread("cells_train_segmentation.tif").astype(dtype))
    inputs = ["--raw_data", "cells_train.tif", "--segmentation_image", "s.npy"]
    assert train("cells_train_labels.csv", *SMALL, inputs=inputs) == 0
    told = "will not open this lane" in capsys.readouterr().err
    assert told == (dtype not in ("uint8", "float32"))


def test_a_link_to_another_file_is_never_written_through(here, capsys):
    assert train("cells_train_labels.csv", *SMALL) == 0
    shutil.copy("new.ilp", "other.ilp")
    before = (here / "other.ilp").read_bytes()
    with h5py.File("new.ilp", "a") as file:
        del file["ObjectClassification/LabelInputs"]
        file["ObjectClassification/LabelInputs"] = h5py.ExternalLink(
            "other.ilp", "/ObjectClassification/LabelInputs"
        )
    assert train("cells_train_labels.csv", "--output", "n.ilp") == 2
    assert "link" in capsys.readouterr().err
    assert (here / "other.ilp").read_bytes() == before


@pytest.mark.parametrize(
    "name", ["2D Convex Hull Features", "2D Skeleton Features", "hull", "Standard Object Features"]
)
def test_where_an_object_is_says_nothing_of_its_class(here, name):
    assert train("cells_train_labels.csv", "--features", name) == 0
    names = [n for _, n in open_project("new.ilp").selected]
    assert names
    assert not [
        n
        for n in names
        if ("enter" in n.partition("_offset")[0] and "_offset" not in n) or "Terminal" in n or "Coord" in n
    ]


@pytest.mark.parametrize("name", ["=1+1", "-positive", "+", "@x"])
def test_classes_that_a_spreadsheet_would_run_are_refused(here, capsys, name):
    table = Path("cells_train_labels.csv").read_text()
    Path("l.csv").write_text(table.replace("round", name))
    assert train("l.csv") == 2
    error = capsys.readouterr().err.strip()
    assert f"class '{name}' begins with '{name[0]}', which a spreadsheet would run as a formula" in error
    assert "labels l.csv line " in error
    assert "\n" not in error
    if not name.startswith("-"):  # which would be an option
        assert train("cells_train_labels.csv", "--class_names", "elongated", "ring", "round", name) == 2
        assert f"--class_names: class '{name}' begins with" in capsys.readouterr().err
    assert not Path("new.ilp").exists()


def test_a_class_that_a_project_has_already_may_begin_so(here, monkeypatch):
    table = Path("cells_train_labels.csv").read_text().replace("round", "-")
    Path("l.csv").write_text(table)
    with monkeypatch.context() as patch:  # as ilastik would
        patch.setattr("objclass.training.labels.classes.FORMULA_STARTS", ())
        assert train("l.csv", *SMALL) == 0
    assert train("l.csv", "--output", "more.ilp") == 0
    assert open_project("more.ilp").classes == ("-", "elongated", "ring")


def test_objects_unlike_those_of_the_training_are_novel(here):
    """Tables of our projects say so; those of a brighter image are."""
    assert train("cells_train_labels.csv", *SMALL, "Standard Object Features:Mean") == 0
    tifffile.imwrite("bright.tif", np.clip(tifffile.imread("cells_train.tif") * 2.0, 0, 255).astype(np.uint8))
    novel = {}
    for name in ("cells_train", "bright"):
        inputs = ["--raw_data", f"{name}.tif", "--segmentation_image", "cells_train_segmentation.tif"]
        outputs = ["--table_filename", f"{name}.csv", "--summary_filename", f"{name}_summary.csv"]
        assert main(["--headless", "--quiet", "--project", "new.ilp", *inputs, *outputs]) == 0
        rows = rows_of(f"{name}.csv")
        header = list(rows[0])
        assert header[header.index("Uncertainty") + 1] == "Novelty"
        novel[name] = np.mean([float(row["Novelty"]) > 1 for row in rows])
        shares = [
            (int(row["object_count"]), float(row["novel_share"])) for row in rows_of(f"{name}_summary.csv")
        ]
        assert sum(n * share for n, share in shares if n) == pytest.approx(novel[name] * len(rows))
    assert novel["cells_train"] < 0.2
    assert novel["bright"] > 0.9
    labels = open_project("new.ilp").training.label
    rows = rows_of("cells_train.csv")
    assert {float(rows[label - 1]["Novelty"]) for label in labels} == {0.0}


def test_projects_of_ilastik_have_no_column_of_novelty(here, ilastik_samples):
    inputs = ["--raw_data", "cells_train.tif", "--segmentation_image", "cells_train_segmentation.tif"]
    project = ["--project", f"{ilastik_samples}/cells.ilp"]
    assert main(["--headless", "--quiet", *project, *inputs, "--table_filename", "t.csv"]) == 0
    assert "Novelty" not in rows_of("t.csv")[0]


def test_a_training_is_judged_by_cross_validation(here, capsys):
    assert train("cells_train_labels.csv", *SMALL, "--evaluation", "scores.json") == 0
    said = capsys.readouterr().err
    assert "balanced accuracy" in said
    assert "cross-validation of 36 objects of 10 regions: 5 folds" in said
    found = json.loads(Path("scores.json").read_text())
    assert found["objects"] == 36
    assert found["learning_curve"]
    assert len(pd.read_csv("scores.csv")) == 36
    stored = open_project("new.ilp").facts["evaluation"]
    assert stored == found
    assert main(["inspect", "new.ilp"]) == 0
    shown = capsys.readouterr().out
    assert f"balanced accuracy {found['scores']['balanced_accuracy']['value']:.2f}" in shown
    assert "novelty 1 is a distance of" in shown


def test_a_training_need_not_be_judged(here, capsys):
    assert train("cells_train_labels.csv", *SMALL, "--repeats", "0") == 0
    assert "balanced accuracy" not in capsys.readouterr().err
    assert "evaluation" not in open_project("new.ilp").facts
    for option, value in (
        ("report", "r.html"),
        ("evaluation", "e.json"),
        ("folds", "3"),
        ("group_by", "image"),
    ):
        given = (*SMALL, "--repeats", "0", f"--{option}", value)
        assert train("cells_train_labels.csv", *given, project="other.ilp") == 2
        assert f"--{option}: is for a cross-validation" in capsys.readouterr().err
    assert not Path("other.ilp").exists()


def test_files_of_an_evaluation_are_checked_before_any_work(here, capsys):
    Path("e.csv").write_text("mine")
    inputs = ["--raw_data", "cells_train.tif", "--segmentation_image", "cells_train_segmentation.tif"]
    given = ["--labels", "cells_train_labels.csv", "--evaluation", "e.json"]
    assert main(["train", "--project", "new.ilp", *inputs, *given]) == 2
    assert "e.csv exists already" in capsys.readouterr().err
    assert not Path("new.ilp").exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            ["--suggest", "3", "--suggestions", "x.csv", "--evaluation", "x.json"],
            "x.csv: both --suggestions and the table of --evaluation would be written there",
        ),
        (
            ["--suggest", "3", "--evaluation", "new_suggestions.json"],
            "new_suggestions.csv: both --suggestions and the table of --evaluation",
        ),
        (
            ["--evaluation", "cells_train_labels.json", "--overwrite"],
            "cells_train_labels.csv would overwrite an input",
        ),
    ],
)
def test_outputs_are_different_files(here, capsys, given, says):
    before = sorted(path.name for path in here.iterdir())
    assert train("cells_train_labels.csv", *given) == 2
    assert says in capsys.readouterr().err
    assert sorted(path.name for path in here.iterdir()) == before


def test_scores_are_written_and_said_before_pictures_are_drawn(here, capsys, monkeypatch):
    def fail(*_):
        message = "no pictures today"
        raise OutputError(message)

    monkeypatch.setattr("objclass.report.of_project.save_page", fail)
    given = ("--report", "r.html", "--evaluation", "e.json")
    assert train("cells_train_labels.csv", *SMALL, *given) == 2
    said = capsys.readouterr().err
    assert said.index("balanced accuracy") < said.index("no pictures today")
    assert Path("e.json").exists()
    assert main(["evaluate", "--project", "new.ilp", "--repeats", "1", "--overwrite", *given]) == 2
    assert "balanced accuracy" in capsys.readouterr().out


@pytest.mark.parametrize("evaluation", [None, [], {"scores": 1}, {"scores": {"a": {"value": "x"}, "b": 2}}])
def test_stored_scores_may_be_anything(evaluation):
    training = {"facts": {"evaluation": evaluation}}
    assert list(_training_lines(training, 3)) == ["by objclass ?: "]


def test_too_few_labels_to_judge_are_said(here, capsys):
    Path("two.csv").write_text("labelimage_oid,class\n1,a\n2,b\n")
    assert train("two.csv", *SMALL, "--repeats", "1") == 0
    assert "too few labels to hold some out" in capsys.readouterr().err
