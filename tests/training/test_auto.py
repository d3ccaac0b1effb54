"""``--features auto``: learning from the features that help, and an honest account of it."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import objclass
from objclass.cli import main
from objclass.cli.inspect import _training_lines
from objclass.compute.context import Context
from objclass.evaluation.cross_validation import Choice, evaluate
from objclass.evaluation.settings import EvaluationSettings
from objclass.project.open import open_project
from tests.evaluation.made import table_of

CAUTION = "features were chosen with the help of the same labels"


def train(samples, *more, project="auto.ilp"):
    raw, mask = samples / "cells_train.tif", samples / "cells_train_segmentation.tif"
    given = ["--raw_data", str(raw), "--segmentation_image", str(mask)]
    given += ["--labels", str(samples / "cells_train_labels.csv"), "--trees", "5", "--features", "auto"]
    return main(["train", "--project", project, *given, *more])


def test_a_project_measures_the_features_that_were_chosen(tmp_path, monkeypatch, samples, capsys):
    monkeypatch.chdir(tmp_path)
    assert train(samples, "--jobs", "1") == 0
    said = capsys.readouterr().err
    assert "features are kept: cross-validated balanced accuracy" in said
    project = open_project("auto.ilp")
    assert 0 < len(project.selected) < 97  # of so many in two dimensions
    assert project.training.rows.shape[1] == project.forest.columns
    assert project.facts["features"] == "auto"
    raw, mask = samples / "cells.tif", samples / "cells_segmentation.tif"
    run = ["--headless", "--project", "auto.ilp", "--table_only", "--table_filename", "t.csv", str(raw)]
    assert main([*run, "--segmentation_image", str(mask)]) == 0
    assert len(pd.read_csv("t.csv")) == 60
    capsys.readouterr()
    assert main(["evaluate", "--project", "auto.ilp", "--repeats", "1"]) == 0
    assert CAUTION in capsys.readouterr().out
    choice = project.facts["feature_choice"]
    kept, dropped = (sum(one[part] for one in choice["sets"].values()) for part in ("kept", "dropped"))
    assert kept == len(project.selected)
    assert len(choice["dropped"]) == dropped
    assert main(["inspect", "auto.ilp"]) == 0
    assert f"{kept} of {kept + dropped} features were chosen: balanced accuracy " in capsys.readouterr().out


def test_labels_that_are_added_do_not_hide_how_features_were_chosen(tmp_path, monkeypatch, samples, capsys):
    monkeypatch.chdir(tmp_path)
    assert train(samples, "--repeats", "0") == 0
    raw, mask = samples / "cells_train.tif", samples / "cells_train_segmentation.tif"
    given = ["--raw_data", str(raw), "--segmentation_image", str(mask), "--trees", "5"]
    given += ["--labels", str(samples / "cells_train_labels.csv")]
    capsys.readouterr()
    assert main(["train", "--project", "auto.ilp", "--output", "more.ilp", *given, "--repeats", "1"]) == 0
    first, more = open_project("auto.ilp").facts, open_project("more.ilp").facts
    assert more["features"] == "auto"
    assert more["feature_choice"] == first["feature_choice"]
    assert CAUTION in more["evaluation"]["cautions"][0]
    assert main(["evaluate", "--project", "more.ilp", "--repeats", "1"]) == 0
    assert CAUTION in capsys.readouterr().out


def test_folds_of_images_are_chosen_for_where_a_part_has_one_image(tmp_path, monkeypatch, samples, capsys):
    monkeypatch.chdir(tmp_path)
    lines = (samples / "cells_train_labels.csv").read_text().splitlines()
    given = []
    for role, name in (
        ("raw_data", "cells_train.tif"),
        ("segmentation_image", "cells_train_segmentation.tif"),
    ):
        given += [f"--{role}"]
        for copy in ("a", "b"):
            shutil.copy(samples / name, f"{copy}_{name}")
            given.append(f"{copy}_{name}")
    rows = [f"{'ab'[k % 2]}_cells_train,{line}" for k, line in enumerate(lines[1:])]
    Path("l.csv").write_text("\n".join([f"image,{lines[0]}", *rows]))
    grouped = ["--labels", "l.csv", "--trees", "5", "--features", "auto", "--group_by", "image"]
    assert main(["train", "--project", "p.ilp", *given, *grouped]) == 0
    assert open_project("p.ilp").facts["evaluation"]["grouped_by"] == "image"


@pytest.mark.parametrize(
    ("grouping", "says"),
    [("image", "only one image is given"), ("slide", "expected image, region, time, track")],
)
def test_a_grouping_that_cannot_be_is_refused_before_any_work(
    tmp_path, monkeypatch, samples, capsys, grouping, says
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("objclass.training.lessons.read_labels", None)
    assert train(samples, "--group_by", grouping) == 2
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    "choice", [None, [], {"sets": {"a": 1}}, {"sets": {"a": {"kept": "x"}}, "dropped": 1}]
)
def test_a_stored_choice_may_be_anything(choice):
    facts = {"version": "1", "feature_choice": choice}
    assert list(_training_lines({"facts": facts}, 6)) == ["by objclass 1: "]


def test_the_same_bytes_for_any_number_of_threads(tmp_path, monkeypatch, samples):
    monkeypatch.chdir(tmp_path)
    written = []
    for jobs in ("1", "2"):
        assert train(samples, "--jobs", jobs, "--overwrite") == 0
        written.append(Path("auto.ilp").read_bytes())
    assert written[0] == written[1]


def test_scores_do_not_profit_from_the_choice():
    """Labels are drawn at random, so that half of them can be told; the choice finds columns that seem to help."""
    random = np.random.default_rng(1)
    classes = random.integers(1, 3, 60)
    rows = random.normal(size=(60, 1000)).astype(np.float32)
    names = tuple(f"x{k}" for k in range(1000))
    table = table_of(rows, classes, np.arange(60) // 5, columns=names, sets=("noise",) * 1000)
    settings = EvaluationSettings(trees=50)

    def choose(some):
        gap = some.rows[some.classes == 1].mean(axis=0) - some.rows[some.classes == 2].mean(axis=0)
        return np.argsort(-abs(gap))[:10].tolist()

    kept = choose(table)
    naive = evaluate(table.with_columns(kept), settings, Context())
    honest = evaluate(table, settings, Context(), Choice(kept, choose))
    assert naive.balanced_accuracy.value > 0.65
    assert honest.balanced_accuracy.low < 0.5 < honest.balanced_accuracy.high


@pytest.fixture
def measured(samples):
    raw = np.asarray(objclass.open_image(samples / "cells.tif"))
    mask = np.asarray(objclass.open_image(samples / "cells_segmentation.tif"))
    result = objclass.predict(samples / "cells.ilp", raw, segmentation=mask, images=["labels"])
    table = objclass.measure(result.labels, raw, features=["Standard Object Features", "hull"])
    return table, result.table["Predicted Class"], raw, result.labels


def test_the_classifier_chooses_too(measured, tmp_path):
    table, classes, raw, labels = measured
    found = objclass.Classifier(trees=10, features="auto").fit(table, classes)
    assert 0 < found.n_features_in_ < objclass.Classifier(trees=2).fit(table, classes).n_features_in_
    found.save(tmp_path / "c.ilp")
    assert open_project(str(tmp_path / "c.ilp")).facts["features"] == "auto"
    again = objclass.predict(tmp_path / "c.ilp", raw, label_image=labels, images=())
    assert again.table["Predicted Class"].tolist() == found.predict(table).tolist()
    judged = objclass.evaluate(
        table, classes, classifier=objclass.Classifier(trees=5, features="auto"), repeats=1
    )
    assert 0.3 < judged.scores.loc["balanced_accuracy", "value"] <= 1


def test_columns_of_others_are_chosen_one_by_one():
    random = np.random.default_rng(0)
    classes = np.repeat(["a", "b"], 40)
    rows = random.normal(size=(80, 30)) + (classes == "b")[:, None] * np.eye(30)[3] * 5
    frame = pd.DataFrame(rows, columns=[f"c{k}" for k in range(30)])
    found = objclass.Classifier(trees=20, features="auto").fit(frame, classes)
    assert "c3" in found.feature_names_in_
    assert found.n_features_in_ < 30
    assert (found.predict(frame) == classes).mean() > 0.95
