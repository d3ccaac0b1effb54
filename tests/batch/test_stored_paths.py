"""Paths that a project has stored: used where they do no harm, else one line says why not."""

import h5py
import numpy as np
import pytest

from objclass.cli import main
from objclass.project.ilp_write import _table_pickle
from objclass.project.model import TableSettings


@pytest.fixture
def here(samples, monkeypatch):
    monkeypatch.chdir(samples)
    return samples


def store(images=None, table=None, kind="csv"):
    with h5py.File("cells.ilp", "a") as file:
        if images:
            group = file.require_group("Object Information Export")
            if "OutputFilenameFormat" in group:
                del group["OutputFilenameFormat"]
            group["OutputFilenameFormat"] = images.encode()
        group = file["ObjectClassification"]
        if "ExportSettings" in group:
            del group["ExportSettings"]
        if table:
            group["ExportSettings"] = np.void(_table_pickle(TableSettings(kind, table, ("Count",))))


def run(*more):
    return main([
        "--headless", "--quiet", "--project", "cells.ilp", "--raw_data", "cells.tif",
        "--segmentation_image", "cells_segmentation.tif", *more,
    ])  # fmt: skip


def test_paths_outside_are_not_used(here, tmp_path, capsys):
    away = tmp_path / "away"
    away.mkdir()
    store(images=f"{away}/image", table=f"{away}/table", kind="csv")
    assert run() == 0
    assert list(away.iterdir()) == []
    image, table = [line for line in capsys.readouterr().err.splitlines() if "away" in line]
    assert "is outside of the folders of the project and of the data" in image
    assert "give --output_filename_format" in image
    assert "give --table_filename" in table
    assert (here / "cells_Object Predictions.h5").exists()


@pytest.mark.parametrize("kind", ["csv", "/../../../away/x.csv"])
def test_paths_out_by_dots_or_links_are_not_used(here, tmp_path, kind):
    away = here.parent / "away"
    away.mkdir()
    (here / "link").symlink_to(away)
    store(table="{dataset_dir}/link/t" if kind == "csv" else "{dataset_dir}/t", kind=kind)
    assert run() == 0
    assert list(away.iterdir()) == []


def test_what_is_there_is_not_replaced(here, capsys):
    (here / "mine.csv").write_text("mine")
    (here / "mine.h5").write_text("mine")
    store(images="{dataset_dir}/mine", table="{dataset_dir}/mine.csv")
    assert run() == 0
    assert (here / "mine.csv").read_text() == (here / "mine.h5").read_text() == "mine"
    assert capsys.readouterr().err.count("exists already") == 2
    assert run("--output_filename_format", "mine", "--table_filename", "mine.csv") == 0
    assert (here / "mine.csv").read_text() != "mine"


def test_paths_below_are_used(here, capsys):
    store(images="{dataset_dir}/results/{nickname}", table="{dataset_dir}/results/{nickname}.csv")
    assert run() == 0
    assert (here / "results/cells.h5").exists()
    assert (here / "results/cells.csv").exists()
    assert capsys.readouterr().err == ""


def test_only_a_table_that_may_not_be_written(here, capsys):
    store(table="/away/t.csv")
    assert run("--table_only") == 2
    assert "give --table_filename" in capsys.readouterr().err


def test_unknown_placeholders_stay_as_in_ilastik(here):
    store(images="{other}", table="{dataset_dir}/{another}")
    assert run() == 0
    assert (here / "{other}.h5").exists()
    assert (here / "{another}.csv").exists()
