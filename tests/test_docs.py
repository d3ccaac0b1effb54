"""What the documentation says is what the program does."""

import doctest
import re
import shlex
import shutil
import subprocess
import tomllib

import numpy as np
import pandas as pd
import pytest
import tifffile
from scipy import ndimage

from objclass import registry
from objclass.cli import main
from objclass.version import __version__
from tests.conftest import ROOT, script


@pytest.fixture
def make():
    return script(ROOT / "docs/make.py")


def test_the_reference_is_up_to_date(make):
    """`python docs/make.py` makes it."""
    assert (ROOT / "docs/reference.md").read_text(encoding="utf-8") == make.reference()


def test_the_picture_is_up_to_date(make):
    import imagecodecs

    shown = imagecodecs.png_decode((ROOT / "docs/images/cells.png").read_bytes())
    assert np.array_equal(shown, imagecodecs.png_decode(make.picture()))


def commands(page):
    """Lines of objclass in the blocks of a page."""
    for block in re.findall(r"```sh\n(.*?)```", page, re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            for part in line.split(" && "):
                if part.startswith("objclass "):
                    yield shlex.split(part)[1:]


def copy_samples(folder):
    shutil.copytree(ROOT / "sample_data", folder / "sample_data")


def test_the_first_command_of_the_readme(tmp_path, monkeypatch):
    copy_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    first = next(commands((ROOT / "README.md").read_text(encoding="utf-8")))
    assert main(first) == 0
    made = {path.name for path in (tmp_path / "results").iterdir()}
    assert made == {
        "cells_Object Predictions.tiff",
        "cells_Object Probabilities.tiff",
        "cells.csv",
        "objclass_run.json",
    }
    assert (tmp_path / "results/cells.csv").read_bytes() == (
        ROOT / "sample_data/cells_expected.csv"
    ).read_bytes()


def test_all_commands_of_the_tutorial(tmp_path, monkeypatch):
    copy_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    found = list(commands((ROOT / "docs/tutorial.md").read_text(encoding="utf-8")))
    assert len(found) >= 5
    for command in found:
        assert main(command) == 0, command


def test_all_commands_of_the_page_on_other_programs(tmp_path, monkeypatch):
    copy_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/how-to/other-programs.md").read_text(encoding="utf-8")
    for command in commands(page):
        assert main(command) == 0, command
    (table,) = (block for block in page.split("\n\n") if block.startswith("| suffix"))
    suffixes = [s for entry in registry.OBJECT_FORMATS for s in entry.suffixes]
    assert re.findall(r"`(\.[a-z5.]+)`", table) == suffixes
    for entry in registry.OBJECT_FORMATS:
        needed = f'pip install "objclass[{entry.extra}]"'
        assert (needed in table) is bool(entry.extra)
        assert list((tmp_path / "results").glob(f"*{entry.suffixes[0]}")), entry.name


def test_the_page_on_batches(tmp_path, monkeypatch):
    """All four ways to the same two lanes result in the same rows."""
    page = (ROOT / "docs/how-to/batches.md").read_text(encoding="utf-8")
    copy_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "batch/in").mkdir(parents=True)
    for source, copy in re.findall(r"cp (\S+) (\S+)", page):
        shutil.copy(source, copy)
    (tmp_path / "batch/lanes.csv").write_text(
        re.search(r"```text\n(raw_data.*?)```", page, re.DOTALL)[1], "utf-8"
    )
    found = list(commands(page))
    assert len(found) == 4
    for command in found:
        assert main(command) == 0, command
    tables = {
        path.stem: pd.read_csv(path) for path in (tmp_path / "batch").glob("*.csv") if path.stem != "lanes"
    }
    assert {tuple(table["area"]) for table in tables.values()} == {tuple(tables["lists"]["area"])}
    assert tables["wells"].groupby(["plate", "well"]).ngroups == 2
    assert tables["manifest"].groupby(["Image", "well", "treatment"], dropna=False).ngroups == 2


def test_the_page_on_batches_that_are_left_alone(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs/how-to/overnight.md").read_text(encoding="utf-8")
    copy_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "night/in").mkdir(parents=True)
    for source, copy in re.findall(r"cp (\S+) (\S+)", page):
        shutil.copy(source, copy)
    dry, whole, again, runs, rerun = commands(page)
    assert main(dry) == 0
    assert "--mem=" in capsys.readouterr().out
    assert not (tmp_path / "night/out").exists()
    assert main(whole) == 0
    assert main(again) == 0
    assert "2 of 2 lanes are complete already" in capsys.readouterr().err
    assert main(runs) == 0
    assert "2 of 2 lanes done" in capsys.readouterr().out
    assert main(rerun) == 0
    assert "have the same bytes as those of that run" in capsys.readouterr().err


def test_the_page_on_many_machines(tmp_path, monkeypatch):
    copy_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/how-to/clusters.md").read_text(encoding="utf-8")
    one, other, merge = (
        command for command in commands(page) if command[0] == "merge" or "--shard" in command
    )
    for command in (one, other, merge, [*one[:-2], "--table_filename", "whole.csv"]):
        assert main(command) == 0, command
    assert (tmp_path / "shards/t.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()


@pytest.mark.slow
def test_the_page_on_clusters(tmp_path, monkeypatch):
    pytest.importorskip("distributed")
    copy_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs/how-to/clusters.md").read_text(encoding="utf-8")
    command = next(command for command in commands(page) if "dask" in command)
    assert main(command) == 0
    by_threads = [text.replace("dask/", "threads/") for text in command[: command.index("--engine")]]
    assert main(by_threads) == 0
    for name in ("t.csv", "cells.h5", "cells_train.h5"):
        assert (tmp_path / "dask" / name).read_bytes() == (tmp_path / "threads" / name).read_bytes()


def test_the_command_of_the_page_on_tables(tmp_path, monkeypatch):
    copy_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    (command,) = commands((ROOT / "docs/how-to/tables.md").read_text(encoding="utf-8"))
    assert main(command) == 0
    header = (tmp_path / "tables/cells.csv").read_text(encoding="utf-8").splitlines()[0].split(",")
    described = (tmp_path / "tables/cells_columns.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in described[1:]] == header


@pytest.mark.slow  # tests/report has quick ones of both commands
def test_the_page_on_reports(tmp_path, monkeypatch):
    copy_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    for command in commands((ROOT / "docs/how-to/reports.md").read_text(encoding="utf-8")):
        assert main(command) == 0, command
    assert "classified by cells.ilp" in (tmp_path / "reports/cells.html").read_text(encoding="utf-8")


def test_the_page_on_counts(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs/how-to/counts.md").read_text(encoding="utf-8")
    copy_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    (command,) = commands(page)
    assert main(command) == 0
    shown = re.search(r"```text\n(image,.*?)…", page, re.DOTALL)[1]
    assert (tmp_path / "counts/summary.csv").read_text(encoding="utf-8").startswith(shown)
    capsys.readouterr()
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], {})
    assert "elongated     20           20" in capsys.readouterr().out
    if shutil.which("jq"):
        failed, done = (line for line in page.splitlines() if line.startswith("jq "))
        assert not subprocess.run(failed, shell=True, check=True, capture_output=True).stdout
        told = subprocess.run(done, shell=True, check=True, capture_output=True, text=True).stdout
        assert sorted(line.split("\t")[1] for line in told.splitlines()) == ["cells", "cells_train"]


@pytest.mark.slow  # tests/cli/test_evaluate.py has quick ones of all three commands
def test_the_page_on_evaluation(tmp_path, monkeypatch, capsys):
    page = (ROOT / "docs/how-to/evaluate.md").read_text(encoding="utf-8")
    copy_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    own, others, table = commands(page)
    assert main(own) == 0
    shown = re.search(r"```text\n(balanced accuracy.*?)```", page, re.DOTALL)[1].splitlines()
    forms = [
        re.sub(r" +|>?\d+(\.\d+)?", "·", line) for line in shown if line != "…"
    ]  # forests depend on scikit-learn
    printed = [re.sub(r" +|>?\d+(\.\d+)?", "·", line) for line in capsys.readouterr().out.splitlines()]
    assert set(forms) <= set(printed)
    labels = re.search(r"```text\n(labelimage_oid.*?)```", page, re.DOTALL)[1]
    (tmp_path / "judged/labels.csv").write_text(labels, encoding="utf-8")
    assert main(others) == 0
    assert "judged by 6 labelled objects" in capsys.readouterr().out
    rows = [f"{k % 4},{'ab'[k % 3 > 0]},{(k % 3) + k / 100}" for k in range(40)]
    (tmp_path / "judged/measurements.csv").write_text(
        "\n".join(["slide,class,area", *rows]), encoding="utf-8"
    )
    assert main(table) == 0
    assert "40 objects of 4 groups (slide)" in capsys.readouterr().out


def test_from_three_brush_strokes_to_a_table(tmp_path, monkeypatch):
    copy_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    train, run, classify, *_ = commands((ROOT / "docs/pixels.md").read_text(encoding="utf-8"))
    assert main(train) == 0
    assert main(run) == 0
    truth = ndimage.label(tifffile.imread("sample_data/cells_segmentation.tif"))[1]
    rows = (tmp_path / "pixels/cells.csv").read_text().splitlines()
    assert len(rows) - 1 == truth - 1  # as the page says
    assert main(classify) == 0
    classes = (tmp_path / "pixels/classes.csv").read_text()
    assert len(classes.splitlines()) == len(rows)
    assert classes.count(",round,") > classes.count(",ring,") > 0


def test_the_page_for_python(tmp_path, monkeypatch):
    """Its examples print what it shows."""
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```pycon\n(.*?)```", page, re.DOTALL)
    assert len(blocks) > 10
    copy_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    example = doctest.DocTestParser().get_doctest("\n".join(blocks), {}, "python.md", None, 0)
    printed = []
    doctest.DocTestRunner(optionflags=flags).run(example, out=printed.append)
    assert not printed, "".join(printed)


def test_the_python_of_the_readme(tmp_path, monkeypatch):
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    copy_samples(tmp_path)
    monkeypatch.chdir(tmp_path)
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "mine.ilp").exists()


def test_links_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


@pytest.mark.slow
def test_the_sample_data_are_what_the_script_makes(tmp_path, monkeypatch):
    """All to the last byte but TIFF files: how these state their axes depends on the version of tifffile."""
    samples = ROOT / "sample_data"
    make = script(samples / "make.py")
    monkeypatch.setattr(make, "HERE", tmp_path)
    make.make()
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {path.name for path in samples.iterdir() if path.is_file()} - {"make.py"}
    for name in made:
        if name.endswith(".tif"):
            assert np.array_equal(tifffile.imread(tmp_path / name), tifffile.imread(samples / name)), name
        else:
            assert (tmp_path / name).read_bytes() == (samples / name).read_bytes(), name


def pyproject():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_rooms_stand_in_the_order_of_the_contract():
    """What the page says of packages and their order is what import-linter checks."""
    layers = pyproject()["tool"]["importlinter"]["contracts"][0]["layers"]
    expected = [sorted(layer.split(" | ")) for layer in layers]
    page = (ROOT / "docs/why.md").read_text(encoding="utf-8")
    table = page.split("| package |")[1].split("\n\n")[0]
    rows = [re.match(r"\| (`[^|]+`) \|", line) for line in table.splitlines()]
    assert [sorted(re.findall(r"`(\w+)`", row[1])) for row in rows if row] == expected


def test_what_the_pages_for_contributors_name_exists():
    for page in ("CONTRIBUTING.md", "docs/why.md", "NOTICE", "SECURITY.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        for name in re.findall(
            r"\b(?:objclass|tests|docs|benchmarks|sample_data|\.github|\.ci)/[\w./]+\w", text
        ):
            assert (ROOT / name).exists() or name == "docs/_build", f"{page}: {name}"
        for name in re.findall(r"objclass(?:\.[a-z_]+)+[a-z]", text):
            path = ROOT / name.replace(".", "/")
            is_group = f'"{name}"' in (ROOT / "objclass/registry.py").read_text(encoding="utf-8")
            assert is_group or path.is_dir() or path.with_suffix(".py").exists(), f"{page}: {name}"


def test_every_dependency_has_a_lower_bound_that_the_workflow_can_pin():
    project = pyproject()["project"]
    pinned = script(ROOT / "tests/oldest.py").oldest(project)
    extras = [entry for name in ("exr", "xlsx", "zstd") for entry in project["optional-dependencies"][name]]
    assert [line.split("==")[0] for line in pinned] == [
        entry.split(">=")[0] for entry in (*project["dependencies"], *extras)
    ]
    assert f"version: {__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
