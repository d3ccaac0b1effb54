"""Benchmarks run: the one of accuracy, on made images."""

import numpy as np
import pandas as pd
import pytest

from tests.conftest import ROOT, script


@pytest.fixture
def accuracy(monkeypatch):
    benchmark = script(ROOT / "benchmarks/accuracy.py")
    monkeypatch.setattr(benchmark, "TREES", 9)
    monkeypatch.setattr(benchmark, "FOLDS", 2)
    return benchmark


def pictures(benchmark, count=2):
    """Images of two small and two large squares each."""
    random = np.random.default_rng(0)
    for number in range(count):
        labels = np.zeros((16, 60), np.uint8)
        for k in range(4):
            side = 5 if k % 2 else 11
            labels[2 : 2 + side, 2 + 14 * k : 2 + 14 * k + side] = k + 1
        known = pd.DataFrame({"label": [1, 2, 3, 4], "class": ["large", "small"] * 2, "group": number})
        yield benchmark.Picture(
            random.integers(0, 255, (16, 60, 2)).astype(np.uint8), "yxc", labels, "yx", known
        )


def test_accuracy(accuracy, capsys):
    tried = {way: accuracy.TRIED[way] for way in ("auto", "extremely randomised")}
    accuracy.report("squares", "image", [*pictures(accuracy)], accuracy.WAYS | tried, 1)
    lines = capsys.readouterr().out.splitlines()
    assert "**squares**: 8 objects (large 4, small 4), 2 groups (image)" in lines
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")]
    assert [row[0] for row in rows[2:]] == [*accuracy.WAYS, *tried]
    assert {line.count("|") for line in lines if line.startswith("| ")} == {8}
    assert all(float(row[1].split()[0]) >= 0.75 for row in rows[2 : 2 + len(accuracy.WAYS)])  # of a few trees


@pytest.mark.slow
def test_scaling(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    scaling = script(ROOT / "benchmarks/scaling.py")
    monkeypatch.setattr(scaling, "THICKNESSES", (16, 8))
    monkeypatch.setitem(scaling.images.SIZES, "G", ((34, 64, 64), 60, np.uint8))
    features = "Standard Object Features:Mean"
    monkeypatch.setattr(
        "sys.argv", ["scaling.py", str(tmp_path), "G", "--features", features, "--rounds", "1"]
    )
    scaling.main()
    rows = [line.split("|")[1:-1] for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0].strip() for row in rows] == [
        *("engine", "threads, 1", "threads, 2", "dask, 1 worker", "dask, 2 workers"),
        *("parts", "of 16 planes", "of 8 planes", "workers", "16", "128"),
    ]
