"""The benchmark of clicks runs."""

import numpy as np
import pytest

from tests.conftest import ROOT, script


@pytest.mark.slow
@pytest.mark.parametrize(("table", "cells"), [("clicks", 8), ("thresholds", 5)])
def test_a_row_is_printed(display, monkeypatch, capsys, table, cells):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    clicks = script(ROOT / "benchmarks/clicks.py")
    monkeypatch.setitem(clicks.images.SIZES, "J", ((1, 200, 200), 30, np.uint8))
    monkeypatch.setattr(
        "sys.argv", ["clicks.py", "--inside", "--tables", table, "--only", "J", "--times", "2"]
    )
    clicks.main()
    (row,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("| "))
    assert row.startswith("| 2048², 1,000 | 30 |")
    assert row.count("|") == cells + 1
