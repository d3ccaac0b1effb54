"""Packages of others: the one of docs/plugins.md is installed, and used from the command line."""

import json
import re
import subprocess
import sys

import numpy as np
import pytest

from objclass import registry
from objclass.cli import main
from objclass.errors import PluginError, UsageError
from objclass.features.contract import FeatureSet, choose
from objclass.features.statistics.extent import Extent
from tests.conftest import ROOT, SAMPLES

PAGE = (ROOT / "docs/plugins.md").read_text(encoding="utf-8")


def install(folder, code, entries, name="cell_extras"):
    """What an installer leaves: the module, and what the package says of itself."""
    (folder / f"{name}.py").write_text(code)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entries)


@pytest.fixture
def site(tmp_path, monkeypatch):
    """A folder that Python imports from."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    registry._plugins.cache_clear()
    yield folder
    registry._plugins.cache_clear()
    sys.modules.pop("cell_extras", None)


@pytest.fixture
def extras(site):
    """The package of the page; its annotations are postponed, as many people write them."""
    code = "from __future__ import annotations\n" + "\n".join(
        re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    )
    (toml,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    entries = re.sub(r'\[project\.entry-points\."(.*?)"\]', r"[\1]", toml)
    entries = re.sub(r'"(.*?)".*', r"\1", entries)
    install(site, code, entries)
    return site


def test_a_feature_set_an_image_format_and_a_table_of_a_package(extras, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    labels = np.zeros((20, 30), int)
    labels[2:6, 3:8], labels[10:14, 10:14] = 1, 2
    np.savetxt("cells.grid", labels, fmt="%d")
    options = ["--label_image", "cells.grid", "--features", "spread", "--table_filename", "cells.jsonl"]
    out = ["--output_format", "grid", "--output_filename_format", "ids"]
    assert main(["--headless", "--quiet", *options, *out]) == 0
    rows = [json.loads(line) for line in (tmp_path / "cells.jsonl").read_text().splitlines()]
    assert [row["sqrt_count"] for row in rows] == [np.sqrt(20), 4]
    assert np.array_equal(np.loadtxt("ids.grid"), labels)
    np.savetxt("more.grid", labels, fmt="%d")
    both = ["--label_image", "cells.grid", "more.grid", *options[2:]]
    assert main(["--headless", "--quiet", *both, "--output_filename_format", "{nickname}_ids"]) == 0
    assert len((tmp_path / "cells.jsonl").read_text().splitlines()) == 4
    assert main(["--headless", "--quiet", *both, "--table_only", "--shard", "1/2"]) == 2
    assert "parts of tables in .jsonl cannot be joined" in capsys.readouterr().err
    assert main(["features"]) == 0
    assert "spread:sqrt_count [px] (2D/3D): Square root of the number" in capsys.readouterr().out
    assert main(["--headless", "--quiet", *options, "--output_format", "gird"]) == 2
    assert "grid" in capsys.readouterr().err


def test_objects_for_the_program_of_a_package(extras, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = np.zeros((20, 30), int)
    labels[2:6, 3:8], labels[10:14, 10:14] = 1, 2
    np.savetxt("cells.grid", labels, fmt="%d")
    options = ["--label_image", "cells.grid", "--features", "spread", "--table_only"]
    assert (
        main(
            ["--headless", "--quiet", *options, "--table_filename", "t.csv", "--export_objects", "a.centers"]
        )
        == 0
    )
    assert (tmp_path / "a.centers").read_text() == "1 [5.0, 3.5]\n2 [11.5, 11.5]"


def test_a_project_learns_from_a_set_of_a_package(extras, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    train = f"{SAMPLES}/cells_train"
    inputs = ["--raw_data", f"{train}.tif", "--segmentation_image", f"{train}_segmentation.tif"]
    learned = [
        "--labels",
        f"{train}_labels.csv",
        "--features",
        "spread",
        "--trees",
        "3",
        "--project",
        "p.ilp",
    ]
    assert main(["train", "--quiet", *inputs, *learned]) == 0
    assert (
        main(
            [
                "--headless",
                "--quiet",
                "--project",
                "p.ilp",
                *inputs,
                "--table_filename",
                "t.csv",
                "--table_only",
            ]
        )
        == 0
    )
    assert "sqrt_count" in (tmp_path / "t.csv").read_text().splitlines()[0].split(",")


def test_in_a_process_of_its_own(extras, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "objclass", "features"], capture_output=True, text=True, check=True,
        env={"PYTHONPATH": f"{extras}:{ROOT}"},
    )  # fmt: skip
    assert "spread:sqrt_count" in done.stdout


def run_with(table, capsys):
    inputs = [
        "--raw_data",
        f"{SAMPLES}/cells.tif",
        "--segmentation_image",
        f"{SAMPLES}/cells_segmentation.tif",
    ]
    code = main(
        ["--headless", "--quiet", *inputs, "--table_filename", table, "--output_filename_format", "out"]
    )
    return code, capsys.readouterr().err.strip()


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("import no_such_package", "cannot be loaded: ModuleNotFoundError"),
        ("LINES = 7", "expected an objclass.registry.TableFormat, not int"),
    ],
)
def test_a_package_that_is_broken_is_named(site, tmp_path, monkeypatch, capsys, code, why):
    monkeypatch.chdir(tmp_path)
    install(site, code, "[objclass.tables]\nlines = cell_extras:LINES\n")
    exit_code, error = run_with("t.jsonl", capsys)
    assert exit_code == 2
    assert "plug-in 'lines'" in error
    assert why in error
    assert "\n" not in error
    assert run_with("t.csv", capsys)[0] == 0  # nobody asked for it


def test_two_packages_of_one_name_are_refused(site, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        install(site, "LINES = 7", f"[objclass.tables]\nlines = {name}:LINES\n", name)
    exit_code, error = run_with("t.jsonl", capsys)
    assert exit_code == 2
    assert "two plug-ins of objclass.tables are called 'lines', one:LINES and two:LINES" in error


def test_two_features_of_one_title_are_refused(monkeypatch):
    one, two = FeatureSet("one"), FeatureSet("two")

    @one.feature("a", title="Size")
    @two.feature("b", title="Size")
    def size(extent: Extent):
        return extent.count

    with pytest.raises(PluginError, match="feature set 'one': 'a' and 'c' are both called 'Size'"):
        one.feature("c", title="Size")(lambda: None)

    @two.feature("d", title="Depth")
    def depth(extent: Extent):
        return extent.count

    @one.feature("e", title="Depth")
    def other_depth(extent: Extent):
        return extent.count

    sets = {"one": one, "two": two}
    monkeypatch.setattr(registry, "FEATURE_SETS", sets)
    assert len(choose(["one:a", "two:b"], 2, 1)) == 2  # the same
    with pytest.raises(UsageError, match="'two:d' and 'one:e' would both be the column 'Depth'"):
        choose(["two:d", "one:e"], 2, 1)
