"""Options: which were given, where they may stand, what stands in for them."""

import os
import subprocess
import sys

import h5py
import numpy as np
import pytest

from objclass.cli import main
from objclass.cli.environment import resources
from objclass.errors import UsageError
from objclass.settings import ResourceSettings


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cells(samples, *options, project=True):
    inputs = [
        "--raw_data",
        f"{samples}/cells.tif",
        "--segmentation_image",
        f"{samples}/cells_segmentation.tif",
    ]
    own = ["--project", f"{samples}/cells.ilp"] if project else []
    return ["--headless", "--quiet", *own, *inputs, *options]


def error(capsys):
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def objclass(*arguments, **options):
    """Run it in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "objclass", *arguments], capture_output=True, check=False, **options
    )


# --- what was given


@pytest.mark.parametrize(
    ("option", "why"),
    [
        (["--threshold", "0.5"], "thresholds are stored in"),  # the default, but it was given
        (["--threshold", "0.51"], "thresholds are stored in"),
        (["--min_size", "1"], "thresholds are stored in"),
        (["--margin", "30"], "--margin: is stored in"),
        (["--features", "regionprops"], "--features: is stored in"),
    ],
)
def test_an_option_that_the_project_decides_is_refused_whatever_its_value(here, samples, capsys, option, why):
    inputs = ["--raw_data", f"{samples}/cells.tif", "--prediction_maps", f"{samples}/cells_probabilities.h5"]
    project = ["--headless", "--quiet", "--project", f"{samples}/cells.ilp"]
    assert main([*project, *inputs, *option]) == 2
    assert why in error(capsys)


def test_a_threshold_of_a_segmentation_is_refused_whatever_its_value(here, samples, capsys):
    assert main(cells(samples, "--threshold", "0.5", project=False)) == 2
    assert "only prediction maps are thresholded" in error(capsys)


def test_a_subregion_that_stops_at_0_is_refused(here, samples, capsys):
    assert main(cells(samples, "--cutout_subregion", "[(0,0,0),(0,9,1)]")) == 2
    assert "subregion 0 to 0 along y" in error(capsys)


# --- where options may stand


def test_roles_that_are_repeated_are_collected_in_order(here, samples):
    for name in "ab":
        np.save(f"{name}.npy", np.pad(np.ones((4, 4 + ord(name) - ord("a")), np.uint8), 3))
    options = ["--label_image", "a.npy", "--features", "regionprops:area", "--label_image", "b.npy"]
    assert main(["--headless", "--quiet", *options, "--table_filename", "t.csv"]) == 0
    lines = (here / "t.csv").read_text().splitlines()
    assert [line.split(",")[3] for line in lines[1:]] == ["a", "b"]


def test_raw_data_without_a_name_stand_before_the_roles(here, samples, capsys):
    raw, mask = f"{samples}/cells.tif", f"{samples}/cells_segmentation.tif"
    own = [
        "--headless",
        "--quiet",
        "--project",
        f"{samples}/cells.ilp",
        "--output_filename_format",
        "{nickname}",
    ]
    assert main([*own, raw, "--segmentation_image", mask]) == 0
    assert (here / "cells.h5").exists()
    assert main([*own, f"--segmentation_image={mask}", raw]) == 2
    assert "name all of them" in error(capsys)


def test_the_version_is_printed_without_a_window(capsys):
    assert main(["--headless", "--version"]) == 0
    assert capsys.readouterr().out.startswith("objclass ")


def test_inputs_that_are_forgotten_are_refused(samples, capsys):
    assert main(["--headless", "--project", f"{samples}/cells.ilp"]) == 2
    assert "give --raw_data and --segmentation_image" in error(capsys)


def test_help_of_the_run_comes_in_groups(capsys):
    assert main(["--headless", "--help"]) == 0
    text = capsys.readouterr().out
    titles = [
        line[:-1]
        for line in text.splitlines()
        if line.endswith(":") and line == line.strip() and line != "options:"
    ]
    assert titles == [
        "images", "project", "images out", "table", "objects for other programs", "thresholds", "batch", "engine", "resources",
        "messages", "accepted for ilastik"
    ]  # fmt: skip
    words = " ".join(text.split())
    assert "are a lane" in words
    assert "the nickname of a lane is" in words


def test_a_wrong_workflow_is_named_before_anything_else(here, samples, capsys):
    with h5py.File("pixel.ilp", "w") as file:
        file["workflowName"] = b"Carving"
    wrong = [
        "--export_source",
        "Probabilities",
        "--margin",
        "30",
        "--optoin",
        "--tree_count",
        "7",
        "none.tif",
    ]
    assert main(["--headless", "--project", "pixel.ilp", *wrong]) == 2
    assert "'Carving'" in error(capsys)


def test_an_option_that_is_none_is_named_with_what_it_may_be(here, samples, capsys):
    assert main(cells(samples, "--table_filenam", "t.csv", "--max_memroy", "1GB")) == 2
    assert "unrecognized argument --max_memroy: is it --max_memory" in error(capsys)


# --- what stands in for them


def test_home_is_understood_in_every_path(here, samples, monkeypatch):
    home = here / "home"
    home.mkdir()
    for name in ("cells.ilp", "cells.tif", "cells_segmentation.tif"):
        (home / name).write_bytes((samples / name).read_bytes())
    monkeypatch.setenv("HOME", str(home))
    options = [
        "--project=~/cells.ilp",
        "--raw_data=~/cells.tif",
        "--segmentation_image=~/cells_segmentation.tif",
    ]
    options += ["--table_filename=~/t.csv", "--output_filename_format=~/out.h5", "--logfile=~/log.txt"]
    assert main(["--headless", "--quiet", *options]) == 0
    assert {"t.csv", "out.h5", "log.txt"} <= {path.name for path in home.iterdir()}
    assert list(here.iterdir()) == [home]


def test_ilastiks_variables_set_threads_and_memory(monkeypatch):
    monkeypatch.setenv("LAZYFLOW_THREADS", "3")
    monkeypatch.setenv("LAZYFLOW_TOTAL_RAM_MB", "4000")
    assert resources(ResourceSettings()) == ResourceSettings(jobs=3, max_memory=4_000_000_000)
    given = ResourceSettings(jobs=1, max_memory=500_000_000)
    assert resources(given) == given
    monkeypatch.setenv("LAZYFLOW_THREADS", "0")  # ilastik: no threads but the one that there is
    monkeypatch.setenv("LAZYFLOW_TOTAL_RAM_MB", "0")
    assert resources(ResourceSettings()) == ResourceSettings(jobs=1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("LAZYFLOW_THREADS", "many"), ("LAZYFLOW_THREADS", "-1"), ("LAZYFLOW_TOTAL_RAM_MB", "8")],
)
def test_variables_that_are_off_are_refused(monkeypatch, name, value):
    monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=name):
        resources(ResourceSettings())


# --- odd surroundings: none of these is a bug in objclass


def test_a_reader_that_has_seen_enough(here):
    command = f"{sys.executable} -m objclass features | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.splitlines()[-1] == "141"


def test_closed_streams(here, samples):
    """Else the next file that is opened would be taken for stderr."""
    command = " ".join(cells(samples, "--output_filename_format", "out", "--table_filename", "t.csv"))
    done = subprocess.run(["bash", "-c", f"{sys.executable} -m objclass {command} <&- >&- 2>&-"], check=False)
    assert done.returncode == 0
    assert (here / "t.csv").read_bytes() == (samples / "cells_expected.csv").read_bytes()


def test_names_that_are_not_utf8(here, samples):
    name = b"caf\xe9.tif"
    with open(name, "wb") as file:
        file.write((samples / "cells.tif").read_bytes())
    arguments = cells(samples, "--table_filename", "t.csv", "--logfile", "log.txt")
    arguments[arguments.index(f"{samples}/cells.tif")] = os.fsdecode(name)
    assert main([argument for argument in arguments if argument != "--quiet"]) == 0
    assert "caf\ufffd" in (here / "t.csv").read_text(encoding="utf-8")
    assert b"caf\xe9_Object Predictions.h5" in os.listdir(b".")


@pytest.mark.parametrize("place", ["/proc/t.csv", "/dev/null/t.csv", "/sys/t.csv"])
def test_places_of_the_system(here, samples, capsys, place):
    assert main(cells(samples, "--output_filename_format", "out", "--table_filename", place)) in (2, 3)
    assert place.rsplit("/", 1)[0] in error(capsys)
    assert not (here / "out.h5").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="ulimit -v")
def test_too_little_memory(here, samples):
    command = " ".join(cells(samples, "--output_filename_format", "out"))
    script = f"ulimit -v 700000; exec {sys.executable} -m objclass {command}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("objclass: error: this process may use 716 MB of addresses (ulimit -v)")
    assert not (here / "out.h5").exists()


def test_a_file_of_somebody_else(here, samples, capsys, monkeypatch):
    import tifffile

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tifffile, "TiffFile", denied)
    assert main(cells(samples)) == 2
    assert ".tif: permission denied" in error(capsys)


def test_a_glob_that_is_one_lane_where_several_were_meant(here, samples, capsys):
    raw = [
        "--raw_data",
        f"{samples}/cell*_train.tif",
        "--segmentation_image",
        *[f"{samples}/cells_segmentation.tif"] * 2,
    ]
    assert main(["--headless", "--quiet", "--project", f"{samples}/cells.ilp", *raw]) == 2
    assert "without quotes, a lane for each file" in error(capsys)
