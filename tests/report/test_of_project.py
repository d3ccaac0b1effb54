"""``--report``: the page of a training."""

import re
import shutil
import sys

import numpy as np
import pytest

from objclass.cli import main
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


def objects_of(path):
    """The part of a page that shows objects."""
    return re.search(
        r'<section aria-labelledby="s\d+">\s*<h2 id="s\d+">Objects</h2>.*?</section>',
        path.read_text(),
        re.DOTALL,
    )[0]


def test_a_project_is_evaluated_with_a_report(here, capsys):
    """With its own labels, whose images may be gone; and with labels of other images."""
    assert train() == 0
    assert main(["evaluate", "--project", "new.ilp", "--repeats", "1", "--report", "own.html"]) == 0
    assert objects_of(here / "own.html").count("<img") > 20
    raw, segmentation, labels = FILES
    (here / raw).rename("other.tif")
    capsys.readouterr()
    assert main(["evaluate", "--project", "new.ilp", "--report", "own.html"]) == 2
    assert "own.html exists already" in error(capsys)
    assert (
        main(["evaluate", "--project", "new.ilp", "--repeats", "1", "--report", "own.html", "--overwrite"])
        == 0
    )
    assert "No pictures: the images of the labelled objects were not found, or have changed." in objects_of(
        here / "own.html"
    )
    images = ["--raw_data", "other.tif", "--segmentation_image", segmentation, "--labels", labels]
    assert main(["evaluate", "--project", "new.ilp", *images, "--report", "held_out.html"]) == 0
    assert objects_of(here / "held_out.html").count("<img") > 20
    assert "compared with what the classifier predicts" in (here / "held_out.html").read_text()


def test_labels_that_are_added_to_a_project_elsewhere_are_shown(here):
    assert train() == 0
    (here / "sub").mkdir()
    raw, segmentation, labels = FILES
    images = ["--raw_data", raw, "--segmentation_image", segmentation, "--labels", labels]
    more = ["--project", "new.ilp", "--output", "sub/more.ilp", "--trees", "10", "--report", "sub/more.html"]
    assert main(["train", *more, *images]) == 0
    assert objects_of(here / "sub/more.html").count("<img") > 20


def test_a_table_is_evaluated_with_a_report(here):
    rng = np.random.default_rng(0)
    rows = "".join(f"{'ab'[k % 2]},{k % 2 + rng.normal() / 2:.4f},{rng.normal():.4f}\n" for k in range(60))
    (here / "t.csv").write_text(f"class,size,noise\n{rows}")
    assert (
        main(["evaluate", "--table", "t.csv", "--repeats", "1", "--trees", "10", "--report", "t.html"]) == 0
    )
    page = (here / "t.html").read_text()
    assert "How well do the columns of t.csv tell classes apart?" in page
    assert "60 labelled objects of 2 classes, each judged" in page
    assert ">Objects<" not in page
    assert ">Images<" not in page
    Reader(page)


def test_libraries_of_reports_are_loaded_by_reports_alone(here):
    import subprocess

    command = "import sys, objclass.cli.train, objclass.training.learn, objclass.report.of_project; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", command], capture_output=True, check=True, text=True
    ).stdout
    assert not {"matplotlib", "jinja2"} & {*loaded.split()}
    assert np.__name__ in loaded.split()
