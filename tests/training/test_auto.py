"""``--features auto``: learning from the features that help, and an honest account of it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import objclass
from objclass.cli import main
from objclass.compute.context import Context
from objclass.evaluation.cross_validation import Choice, evaluate
from objclass.evaluation.settings import EvaluationSettings
from objclass.project.open import open_project
from tests.evaluation.made import table_of


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
    assert "features were chosen with the help of the same labels" in capsys.readouterr().out


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
