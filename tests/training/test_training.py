"""Training: labels of every kind, the same bytes, a project that predicts what it was taught."""

import csv
import shutil

import h5py
import numpy as np
import pytest
import tifffile

from objclass.cli import main
from objclass.project.open import open_project


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
    return main(["train", "--project", project, *inputs, "--labels", *labels, "--trees", "20", *more])


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


def test_what_ilastik_needs_is_there(here):
    """The minimal set of a project that ilastik opens, and what it would fail on silently."""
    (here / "sub").mkdir()
    assert train("cells_train_labels.csv", project="sub/new.ilp") == 0
    with h5py.File("sub/new.ilp") as file:
        assert file["workflowName"][()] == b"Object Classification (from binary image)"
        for group in file.values():
            if isinstance(group, h5py.Group):
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
    assert {lane: int((labels[0] > 0).sum()) for lane, labels in project.labels.items()} == {0: 1, 1: 36}
    assert [lane["raw_data"].path for lane in project.lanes] == ["cells_train.tif", "b/cells_train.tif"]
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
    assert f"{missing} ''" in capsys.readouterr().err


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
    assert "line 38: no object at that place" in told
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
    assert "object 1: the class of most of its paint counts" in capsys.readouterr().err
    assert open_project("new.ilp").labels[0][0].tolist() == [0, 1, 2, 1]
    rows = np.argwhere(ids == 3)
    half = rows[: len(rows) // 2 * 2 : 2]
    paint[ids == 3] = 0
    paint[tuple(half.T)] = 1
    paint[tuple(rows[1 : len(rows) // 2 * 2 : 2].T)] = 2
    tifffile.imwrite("paint.tif", paint)
    assert train("paint.tif", *SMALL, project="tie.ilp") == 2
    assert "objects 3 of cells_train" in capsys.readouterr().err
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
