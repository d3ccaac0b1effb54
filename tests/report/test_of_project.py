"""``--report``: the page of a training."""

import shutil
import sys

import numpy as np
import pytest

from objclass.cli import main
from objclass.compute.context import Context
from objclass.project.open import open_project
from tests.report.test_page import Reader

FILES = ("cells_train.tif", "cells_train_segmentation.tif", "cells_train_labels.csv")
FEW = ("Count", "RegionRadii", "Kurtosis")


@pytest.fixture
def here(tmp_path, monkeypatch, samples):
    monkeypatch.chdir(tmp_path)
    for name in FILES:
        shutil.copy(samples / name, tmp_path / name)
    return tmp_path


def train(*more):
    raw, segmentation, labels = FILES
    features = [f"Standard Object Features:{name}" for name in FEW]
    images = ["--raw_data", raw, "--segmentation_image", segmentation, "--labels", labels]
    return main(["train", "--project", "new.ilp", *images, "--features", *features, "--trees", "10", *more])


def error(capsys):
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_a_training_is_reported_the_same_way_each_time(here):
    assert train("--report", "a.html") == 0
    assert train("--report", "b.html", "--overwrite", "--jobs", "1") == 0
    page = (here / "a.html").read_text()
    assert page == (here / "b.html").read_text()
    read = Reader(page)
    assert len(read.all("img")) > 20
    for text in ("How good is new.ilp?", "elongated", "Standard Object Features: Kurtosis", "random forest of 10 trees",
                 "raw data cells_train.tif", "axes yx, 320 × 320, sha256 ", "12"):  # fmt: skip
        assert text in page
    assert str(here) not in page


def test_a_report_that_cannot_be_written_is_refused_before_the_work(here, capsys, monkeypatch):
    monkeypatch.setattr("objclass.training.learn.read_lessons", lambda *_: pytest.fail("work has begun"))
    (here / "a.html").write_text("mine")
    assert train("--report", "a.html") == 2
    assert "a.html exists already: --overwrite replaces it" in error(capsys)
    assert train("--report", "a.pdf") == 2
    assert "expected a name that ends in .html" in error(capsys)
    monkeypatch.setattr("objclass.export.report.find_spec", lambda name: None)
    assert train("--report", "b.html") == 2
    assert 'not installed: pip install "objclass[report]"' in error(capsys)
    pixels = ["train", "--pixels", "--project", "p.ilp", "--raw_data", FILES[0], "--labels", FILES[1]]
    assert main([*pixels, "--report", "b.html"]) == 2
    assert "--report: is for training of objects" in error(capsys)
    assert sorted(p.name for p in here.iterdir()) == sorted([*FILES, "a.html"])


def test_images_that_are_gone_leave_a_page_without_pictures(here):
    from objclass.evaluation.cross_validation import evaluate
    from objclass.evaluation.settings import EvaluationSettings
    from objclass.report.of_project import report_of

    assert train() == 0
    (here / "cells_train.tif").unlink()
    project = open_project("new.ilp")
    found = evaluate(project.training, EvaluationSettings(trees=10), Context())
    page = report_of(found, project, Context())
    (objects,) = (section for section in page.sections if section.title == "Objects")
    assert objects.parts[0].text == "No pictures: the images of the labelled objects were not found."


def test_libraries_of_reports_are_loaded_by_reports_alone(here):
    import subprocess

    command = "import sys, objclass.cli.train, objclass.training.learn, objclass.report.of_project; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, check=True, text=True
    ).stdout
    assert not {"matplotlib", "jinja2"} & {*loaded.split()}
    assert np.__name__ in loaded.split()
