"""`objclass runs` and `objclass rerun`."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from objclass.cli import main


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for n in range(2):
        squares = np.zeros((6, 40), np.uint8)
        squares[1:4, 5 * n : 5 * n + 3] = 1
        np.save(f"seg{n}.npy", squares)
    return tmp_path


def run(*more):
    return main([
        *("--headless", "--quiet", "--segmentation_image", "seg0.npy", "seg1.npy", "--features", "regionprops:area"),
        *("--table_filename", "out/t.csv", "--output_format", "numpy", "--output_filename_format", "out/{nickname}"),
        *more,
    ])  # fmt: skip


def test_runs_of_a_folder(here, capsys):
    assert run() == 0
    assert run("--features", "regionprops:perimeter") == 0
    assert main(["runs", "out"]) == 0
    told = capsys.readouterr().out
    assert told.count("2 of 2 lanes done, 2 objects") == 2
    assert "regionprops:perimeter" in told
    assert main(["runs", "out", "--json"]) == 0
    runs = json.loads(capsys.readouterr().out)
    assert [(entry["done"], entry["failed"], entry["not_run"]) for entry in runs] == [(2, 0, 0)] * 2
    assert main(["runs", "--compare", runs[0]["file"], runs[1]["file"]]) == 1
    assert "features: " in capsys.readouterr().out


def test_equal_runs_do_not_differ(here, capsys):
    assert run("--digest", "content") == 0
    Path("out/objclass_run.json").rename("first.json")
    assert run("--digest", "content") == 0
    assert main(["runs", "--compare", "first.json", "out/objclass_run.json"]) == 0
    assert "no difference" in capsys.readouterr().out


def test_other_inputs_are_named(here, capsys):
    assert run() == 0
    Path("out/objclass_run.json").rename("first.json")
    np.save("seg1.npy", np.ones((6, 40), np.uint8))
    assert run() == 0
    assert main(["runs", "--compare", "first.json", "out/objclass_run.json"]) == 1
    told = capsys.readouterr().out
    assert "seg1: its inputs are other files, or were changed" in told
    assert "seg0" not in told


@pytest.mark.parametrize(
    "given", [["runs"], ["runs", "nowhere"], ["rerun"], ["rerun", "nowhere.json"], ["rerun", "seg0.npy"]]
)
def test_bad_input(here, capsys, given):
    assert main(given) == 2
    assert capsys.readouterr().err.startswith("objclass: error: ")


def test_rerun(here, capsys, tmp_path):
    assert run("--digest", "content") == 0
    before = {path.name: path.read_bytes() for path in Path("out").glob("[!o]*")}
    for path in Path("out").glob("*.npy"):
        path.unlink()
    away = tmp_path / "away"
    away.mkdir()
    os.chdir(away)
    file = tmp_path / "out/objclass_run.json"
    assert main(["rerun", str(file)]) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("[!o]*")} == before
    np.save(tmp_path / "seg1.npy", np.ones((6, 40), np.uint8))
    earlier = min((tmp_path / "out").glob("objclass_run_*.json"))
    assert main(["rerun", str(earlier)]) == 1
    told = capsys.readouterr().err
    assert "changed since that run: seg1.npy" in told
    assert "other bytes" in told
