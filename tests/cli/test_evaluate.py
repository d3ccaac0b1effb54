"""``objclass evaluate``: a project by its own labels, or by other images, and tables of any program."""

import csv
import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

import objclass
from objclass.cli import main
from objclass.compute.context import Context
from objclass.core import Lane
from objclass.images import from_array
from objclass.training.provenance import is_trained_on
from tests.conftest import without_own

QUICK = ("--trees", "10", "--repeats", "1")

TRAINED = ("--raw_data", "cells_train.tif", "--segmentation_image", "cells_train_segmentation.tif",
           "--labels", "cells_train_labels.csv")  # fmt: skip


@pytest.fixture
def here(tmp_path, monkeypatch, samples):
    monkeypatch.chdir(tmp_path)
    for name in os.listdir(samples):
        if name.startswith("cells"):
            shutil.copy(samples / name, tmp_path / name)
    return tmp_path


def table(n=60, seed=0):
    random = np.random.default_rng(seed)
    classes = random.choice(["round", "long"], n)
    return pd.DataFrame(
        {
            "image": random.choice(list("abcdef"), n),
            "class": classes,
            "area": random.normal(size=n) + 3 * (classes == "long"),
            "noise": random.normal(size=n),
        }
    )


def out(capsys):
    return capsys.readouterr().out


def refusal(capsys, *arguments):
    assert main(["evaluate", *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_a_project_is_judged_by_its_own_labels(here, capsys):
    assert main(["evaluate", "--project", "cells.ilp", *QUICK, "--evaluation", "judged.json"]) == 0
    text = out(capsys)
    assert text.startswith("balanced accuracy 0.")
    assert "36 objects of 10 regions: 5 folds" in text
    assert "caution: All labels come from one image (cells_train)" in text
    scores = json.loads((here / "judged.json").read_text())
    assert (scores["objects"], scores["grouped_by"], scores["folds"]) == (36, "region", 5)
    with open("judged.csv", newline="") as file:
        assert len(list(csv.reader(file))) == 37


def test_files_are_the_same_for_any_number_of_threads(here):
    for jobs in "13":
        names = ["--evaluation", f"judged{jobs}.json"]
        assert main(["evaluate", "--project", "cells.ilp", *QUICK, "--jobs", jobs, *names]) == 0
    for suffix in (".json", ".csv"):
        assert (here / f"judged1{suffix}").read_bytes() == (here / f"judged3{suffix}").read_bytes()


def test_a_project_of_ilastik_is_judged_by_the_features_that_it_stores_or_by_its_images(here, capsys):
    """Without the group of ours there is no training table: labels and images are used."""
    main(["evaluate", "--project", "cells.ilp", *QUICK])
    expected = out(capsys)
    without_own("cells.ilp")
    assert main(["evaluate", "--project", "cells.ilp", *QUICK, "--seed", "0"]) == 0
    found = out(capsys)
    assert found.splitlines()[0] == expected.splitlines()[0]
    assert "36 objects of 10 regions" in found


def test_other_images_judge_the_forest_of_the_project(here, capsys):
    with open("few.csv", "w") as file:
        file.write("labelimage_oid,class\n1,round\n2,round\n3,elongated\n5,ring\n6,ring\n7,elongated\n")
    shutil.copy("cells.tif", "new.tif")
    inputs = (
        "--raw_data",
        "new.tif",
        "--segmentation_image",
        "cells_segmentation.tif",
        "--labels",
        "few.csv",
    )
    assert main(["evaluate", "--project", "cells.ilp", *inputs, "--evaluation", "judged.json"]) == 0
    text = out(capsys)
    assert "judged by 6 labelled objects" in text
    assert "was trained on" not in text.split("caution", 1)[1]
    predicted = pd.read_csv("judged.csv")
    assert list(predicted["labelimage_oid"]) == [1, 2, 3, 5, 6, 7]
    run = ["--headless", "--quiet", "--project", "cells.ilp", *inputs[:4], "--table_filename", "run.csv"]
    assert main(run) == 0
    expected = pd.read_csv("run.csv").set_index("labelimage_oid").loc[predicted["labelimage_oid"]]
    assert list(predicted["predicted"]) == list(expected["Predicted Class"])
    for name in ("round", "ring", "elongated"):
        assert np.array_equal(predicted[f"p_{name}"], expected[f"Probability of {name}"])


def test_images_that_the_project_was_trained_on_are_said(here, capsys):
    without_own("cells.ilp")  # by their paths
    assert main(["evaluate", "--project", "cells.ilp", *TRAINED]) == 0
    assert "caution: The classifier was trained on cells_train" in out(capsys)
    train = ["train", "--project", "new.ilp", *TRAINED, "--trees", "5", "--repeats", "0"]
    assert main([*train, "--features", "Standard Object Features:Count"]) == 0
    shutil.move("cells_train.tif", "other.tif")
    capsys.readouterr()
    assert main(["evaluate", "--project", "new.ilp", "--raw_data", "other.tif", *TRAINED[2:]]) == 0
    assert "caution: The classifier was trained on other" in out(capsys)


@pytest.mark.parametrize(
    "inputs", [None, {}, [1, {"timesteps": [], "raw_data": "a"}, {"timesteps": [9], "raw_data": 1}]]
)
def test_digests_of_images_may_be_anything(inputs, rng):
    image = from_array(rng.random((1, 1, 4, 5, 1)))
    assert not is_trained_on(Lane(image, image, "label_image", "a", ""), inputs, Context())


def test_labels_of_a_class_that_the_project_does_not_know(here, capsys, monkeypatch):
    with open("few.csv", "w") as file:
        file.write("labelimage_oid,class\n1,square\n2,round\n")
    monkeypatch.setattr("objclass.training.lessons.measure_step", None)  # before any work
    line = refusal(capsys, "--project", "cells.ilp", *TRAINED[:4], "--labels", "few.csv")
    assert "labels of the classes square: cells.ilp knows" in line


def test_a_table_of_another_program(here, capsys):
    table().to_csv("t.csv", index=False)
    assert main(["evaluate", "--table", "t.csv", *QUICK]) == 0
    text = out(capsys)
    assert "60 objects of 6 images" in text
    assert "area 0." in text


def test_a_table_by_a_column_of_groups(here, capsys):
    frame = table().rename(columns={"image": "patient", "class": "kind"})
    frame.to_csv("t.csv", index=False)
    given = ("--table", "t.csv", "--class_column", "kind", "--group_column", "patient")
    assert main(["evaluate", *given, *QUICK, "--evaluation", "judged.json"]) == 0
    assert json.loads((here / "judged.json").read_text())["grouped_by"] == "patient"
    assert "60 objects of 6 groups (patient)" in out(capsys)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "evaluate needs --project P.ilp or --table T.csv, one of them"),
        (("--project", "cells.ilp", "--table", "t.csv"), "one of them"),
        (("--project", "cells.ilp", *TRAINED[:4]), "--raw_data: expected --labels of these images, too"),
        (("--project", "cells.ilp", *TRAINED, "--folds", "3"), "--folds: is for a cross-validation"),
        (("--project", "cells.ilp", "--class_column", "class"), "--class_column: is for a --table"),
        (("--table", "t.csv", "--labels", "l.csv"), "--labels: is for the images of a --project"),
        (("--project", "none.ilp"), "none.ilp"),
        (
            ("--project", "cells.ilp", "--group_by", "slide"),
            "--group_by 'slide': expected image, region, time, track",
        ),
        (("--project", "cells.ilp", "--group_by", "image"), "the labelled objects have only one image"),
        (("--project", "cells.ilp", "--folds", "1"), "--folds 1: expected at least 2"),
        (("--project", "cells.ilp", "--evaluation", "cells.ilp"), "expected a name that ends in .json"),
    ],
)
def test_refusals(here, capsys, arguments, says):
    before = sorted(os.listdir())
    assert says in refusal(capsys, *arguments)
    assert sorted(os.listdir()) == before


def test_from_python_a_table_has_its_rows_and_index(tmp_path):
    frame = table()
    frame.index = frame.index[::-1]
    given = frame["class"].where(np.arange(len(frame)) % 10 > 0)
    found = objclass.evaluate(frame, given, "image", classifier=objclass.Classifier(trees=10), repeats=1)
    assert list(found.predictions.index) == list(frame.index[given.notna()])
    assert list(found.predictions["class"]) == list(given.dropna())
    assert found.evaluation.grouped_by == "image"
    assert list(found.confusion.index) == ["long", "round"]
    assert found.confusion.to_numpy().sum() == len(found.predictions) == 54
    assert found.scores.loc["accuracy", "value"] == pytest.approx(found.predictions["correct"].mean())
    assert {"recall", "recall_low", "recall_high"} <= set(found.by_class)
    assert found.importances.index[0] == "area"
    assert found.learning_curve.index.is_monotonic_increasing
    assert found.calibration["objects"].sum() == 54
    assert found.by_image["objects"].sum() == 54
    assert repr(found).startswith("<EvaluationResult: balanced accuracy")
    assert found.summary().splitlines()[0].startswith("balanced accuracy")


def test_from_python_the_order_of_rows_does_not_matter_where_objects_have_ids():
    frame = table().assign(label=np.arange(60))
    mixed = frame.sample(frac=1, random_state=1)
    settings = {"classifier": objclass.Classifier(trees=10), "repeats": 1}
    one = objclass.evaluate(frame, frame["class"], frame["image"], **settings)
    other = objclass.evaluate(mixed, mixed["class"], mixed["image"], n_jobs=2, **settings)
    pd.testing.assert_frame_equal(one.predictions, other.predictions.loc[frame.index])
    pd.testing.assert_frame_equal(one.scores, other.scores)


def test_from_python_measured_tables_are_grouped_by_region(samples):
    labels = ndimage.label(tifffile.imread(samples / "cells_train_segmentation.tif"))[0]
    measured = objclass.measure(labels, tifffile.imread(samples / "cells_train.tif"))
    classes = np.where(measured["area"] > measured["area"].median(), "large", "small")
    found = objclass.evaluate(measured, classes, classifier=objclass.Classifier(trees=10), repeats=1)
    assert found.evaluation.grouped_by == "region"
    assert found.scores.loc["balanced_accuracy", "value"] > 0.8


def test_from_python_a_project(samples):
    found = objclass.evaluate(f"{samples}/cells.ilp", repeats=1)
    assert len(found.predictions) == 36
    with pytest.raises(objclass.ObjclassError, match="a project is judged by its own labels"):
        objclass.evaluate(f"{samples}/cells.ilp", ["a"])


@pytest.mark.parametrize(
    ("groups", "says"),
    [("slide", "groups='slide': the table has no such column"), ([1, 2], "2 groups for 60 rows")],
)
def test_from_python_groups_that_do_not_fit(groups, says):
    frame = table()
    with pytest.raises(objclass.ObjclassError, match=says):
        objclass.evaluate(frame, frame["class"], groups)


def test_a_project_of_ilastik_that_stores_features_and_centres_is_grouped_by_region(shared, capsys):
    name = "ObjectClassification2d_wSeg_trained"
    project = shared / f"golden/real/{name}/{name}.ilp"
    assert main(["evaluate", "--project", str(project), *QUICK]) == 0
    assert "63 objects of 10 regions" in out(capsys)


def noise():
    """A table in which nothing but the numbers of classes and images says anything of the classes."""
    rng = np.random.default_rng(0)
    classes = np.tile([1, 2, 3], 20)
    return pd.DataFrame(
        {
            "ImageNumber": np.repeat(np.arange(6), 10),
            "Location_Center_X": rng.random(60),
            "class": classes,
            "class_again": classes * 10,
            "area": rng.random(60),
            "width": rng.random(60),
        }
    )


def test_from_python_classes_are_not_learnt_from_themselves(caplog):
    frame = noise()
    quick = objclass.Classifier(trees=10)
    found = objclass.evaluate(frame, frame["class"], classifier=quick, repeats=1)
    assert set(found.importances.index) == {"area", "width"}
    assert found.scores.loc["balanced_accuracy", "value"] < 0.6
    learnt = objclass.learn(frame, frame["class"].map({1: "a", 2: "a", 3: "b"}), trees=10)
    assert learnt.feature_names_in_.tolist() == ["class_again", "area", "width"]
    assert (
        "not learnt from: ImageNumber (ids and places in the experiment); Location_Center_X (positions)"
        in caplog.text
    )
    assert "class_again (the class again)" in caplog.text


def test_from_python_the_column_of_groups_is_not_learnt_from():
    frame = noise().assign(bottle=np.repeat(np.arange(6.0), 10) / 2)
    quick = objclass.Classifier(trees=10)
    for groups in ("bottle", frame["bottle"]):
        found = objclass.evaluate(frame, frame["class"], groups, classifier=quick, repeats=1)
        assert set(found.importances.index) == {"area", "width"}
        assert found.evaluation.grouped_by == "bottle"


def test_from_python_columns_that_are_given_are_learnt_from_unless_they_are_the_classes():
    frame = noise()
    learnt = objclass.learn(frame, frame["class"], features=["Location_Center_X", "class_again"], trees=10)
    assert learnt.feature_names_in_.tolist() == ["Location_Center_X", "class_again"]
    with pytest.raises(objclass.ObjclassError, match="features='class': it holds the classes"):
        objclass.learn(frame, frame["class"], features=["area", "class"], trees=10)
    with pytest.raises(objclass.ObjclassError, match="expected features other than ids"):
        objclass.learn(frame[["ImageNumber", "class"]], frame["class"], trees=10)


def test_from_python_groups_of_other_rows_are_refused():
    frame = table()
    with pytest.raises(objclass.ObjclassError, match="groups= has another index than the table"):
        objclass.evaluate(frame, frame["class"], frame["image"].sample(frac=1, random_state=0))


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"folds": 1}, "folds=1: expected at least 2"),
        ({"repeats": 0}, "repeats=0: expected at least 1"),
        ({"repeats": 1.5}, "repeats=1.5: expected a whole number"),
        ({"seed": -1}, "seed=-1: expected at least 0"),
    ],
)
def test_from_python_numbers_out_of_their_range(settings, says):
    frame = table()
    with pytest.raises(objclass.ObjclassError, match=says):
        objclass.evaluate(frame, frame["class"], **settings)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (
            ("--suggest", "3", "--evaluation", "cells_suggestions.json"),
            "cells_suggestions.csv: both --suggestions and the table of --evaluation would be written there",
        ),
        (("--suggest", "3", "--suggestions", "t.csv", "--evaluation", "t.json"), "t.csv: both --suggestions"),
    ],
)
def test_outputs_are_different_files(here, capsys, given, says):
    before = sorted(os.listdir())
    assert says in refusal(capsys, "--project", "cells.ilp", *given)
    assert sorted(os.listdir()) == before
