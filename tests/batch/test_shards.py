"""Shards of a run, and what is joined of them: the same bytes as those of one run."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from objclass import registry
from objclass.batch import task
from objclass.cli import main
from objclass.shard import Shard, parse_shard, shard_of_array
from tests.conftest import SAMPLES

LANES = 5
SUFFIXES = [entry.suffix for entry in registry.table_formats()]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Time series of label images: no object, several, types that differ from image to image."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for n in range(LANES):
        labels = np.zeros((2, 8, 40), [np.uint8, np.uint16, np.uint32][n % 3])
        for k in range(n):
            labels[k % 2, 1:5, 7 * k : 7 * k + 5] = 3 * k + 1
        np.save(f"well{n}.npy", labels)
        np.save(f"raw{n}.npy", (100 * (labels > 0) + rng.integers(0, 90, labels.shape)).astype(np.uint16))
        np.save(f"atlas{n}.npy", rng.random(labels.shape).astype([np.float32, np.float64][n % 2]))
    return tmp_path


def arguments(*more, table="out/t.csv", lanes=range(LANES), jobs=1):
    images = {"label_image": "well", "raw_data": "raw", "atlas": "atlas"}
    given = [
        text for role, name in images.items() for text in (f"--{role}", *(f"{name}{n}.npy" for n in lanes))
    ]
    return [
        *("--headless", "--quiet", *given, "--input_axes", "tyx", "--jobs", str(jobs)),
        *("--features", "regionprops:area", "regionprops:intensity_mean", "--metadata_regex", "(?P<number>[0-9])"),
        *("--table_filename", table, "--output_format", "numpy", "--output_filename_format", "out/{nickname}", *more),
    ]  # fmt: skip


def run(*more, **settings):
    return main(arguments(*more, **settings))


def shards(count, *more, **settings):
    return [run("--shard", f"{number}/{count}", *more, **settings) for number in range(1, count + 1)]


def outputs(folder="out"):
    return {
        p.name: p.read_bytes()
        for p in sorted(Path(folder).iterdir())
        if not p.name.startswith("objclass_run")
    }


def merged(*parts, into="joined", **options):
    """What is joined, with the images of the run."""
    given = [text for name, path in options.items() for text in (f"--{name}", f"{into}/{path}")]
    assert main(["merge", "--quiet", *map(str, parts), *given]) == 0
    return outputs(into)


def images(found):
    return {name: data for name, data in found.items() if name.endswith(".npy")}


def error(capsys):
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


@pytest.fixture
def parts(here):
    """Three shards of a run, which have ended."""
    assert shards(3) == [0, 0, 0]
    return [f"out/t.shard-{number}-of-3.csv" for number in (1, 2, 3)]


# the same bytes


@pytest.mark.parametrize("count", [1, 2, 7])
def test_any_number_of_shards(here, count):
    assert run("--summary_filename", "out/s.tsv", table="out/t.csv") == 0
    whole = outputs()
    shutil.rmtree("out")
    assert shards(count, "--summary_filename", "out/s.tsv") == [0] * count
    assert images(outputs()) == images(whole)
    found = merged("out/*.shard-*", table_filename="t.csv", summary_filename="s.tsv")
    assert found == {name: data for name, data in whole.items() if not name.endswith(".npy")}


@pytest.mark.parametrize(
    "suffix",
    [
        s if s in (".csv", ".parquet", ".xlsx", ".h5") else pytest.param(s, marks=pytest.mark.slow)
        for s in SUFFIXES
    ],
)
def test_every_format(here, suffix):
    """With more shards than lanes, lanes without objects, and types that differ from lane to lane."""
    pytest.importorskip(
        {"xlsx": "xlsxwriter", "zst": "backports.zstd"}.get(suffix.rpartition(".")[2], "numpy")
    )
    options = ["--table_columns", "tidy", "--pixel_size", "0.5um", "--csv_dialect", "excel-eu"]
    options = options if registry.table_format(f"t{suffix}").dialects else options[:4]
    given = {"table": f"out/t{suffix}", "lanes": [0, 3]}
    assert run("--table_only", *options, **given) == 0
    whole = outputs()
    shutil.rmtree("out")
    assert shards(3, "--table_only", *options, **given) == [0] * 3
    assert set(whole) == {f"t{suffix}", "t_columns.csv"}
    assert merged(f"out/t.shard-*{suffix}", table_filename=f"t{suffix}") == whole


def test_pictures_of_objects(here):
    assert run("--table_only", "--table_images", table="out/t.h5") == 0
    whole = outputs()
    shutil.rmtree("out")
    assert shards(3, "--table_only", "--table_images", table="out/t.h5") == [0, 0, 0]
    assert merged("out/t.shard-*", table_filename="t.h5") == whole
    with h5py.File("joined/t.h5") as file:
        assert len(file["images"]) == len(file["table"]) == sum(range(LANES))


def test_a_project_its_report_and_numbered_images(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = ["a", "b"]
    for kind, end in (("cells", ""), ("cells_segmentation", "_seg")):
        image = tifffile.imread(SAMPLES / f"{kind}.tif")
        for name, part in zip(names, (image[:130], image[-130:]), strict=True):
            np.save(f"{name}{end}.npy", part)

    def classify(*more):
        return main([
            *("--headless", "--quiet", "--project", f"{SAMPLES}/cells.ilp", "--table_only", "--table_columns", "cellprofiler"),
            *("--raw_data", *(f"{n}.npy" for n in names), "--segmentation_image", *(f"{n}_seg.npy" for n in names)),
            *("--table_filename", "out/t.csv", "--summary_filename", "out/s.csv", "--report", "out/r.html", *more),
        ])  # fmt: skip

    assert classify() == 0
    whole = outputs()
    shutil.rmtree("out")
    assert [classify("--shard", f"{number}/3") for number in (1, 2, 3)] == [0] * 3
    assert {name for name in outputs() if name.startswith("r")} == {
        f"r.shard-{n}-of-3.html.jsonl" for n in (1, 2, 3)
    }
    options = {"table_filename": "t.csv", "summary_filename": "s.csv", "report": "r.html"}
    assert merged("out/*.shard-*", **options) == whole
    data = Path("out/r.shard-2-of-3.html.jsonl")
    found = data.read_bytes()
    for file in Path("out").glob("objclass_run*"):
        file.unlink()
    for damaged in (
        found[:-100],
        found.split(b"\n")[0],
        b"",
        b"{}\n",
        found + found.splitlines()[1],
        found + b"{}\n",
    ):
        data.write_bytes(damaged)
        capsys.readouterr()
        assert main(["merge", *map(str, Path("out").glob("r.shard*"))]) == 2
        assert "r.shard" in (told := error(capsys)) or "was one changed, or cut off?" in told
    assert not Path("out/r.html").exists()


def test_a_table_for_each_lane_has_no_parts(here):
    assert run(table="out/{nickname}.csv") == 0
    whole = outputs()
    shutil.rmtree("out")
    assert shards(7, table="out/{nickname}.csv") == [0] * 7
    assert outputs() == whole
    assert main(["merge", "--quiet", "out/objclass_run.shard-*.json"]) == 0
    record = json.loads(Path("out/objclass_run.json").read_text())
    assert [lane["number"] for lane in record["lanes"]] == list(range(LANES))


def test_one_lane(here):
    assert run(lanes=[3]) == 0
    whole = outputs()
    shutil.rmtree("out")
    assert shards(2, lanes=[3]) == [0, 0]
    assert merged("out/t.shard-*", table_filename="t.csv")["t.csv"] == whole["t.csv"]


def test_shards_at_the_same_time(here):
    assert run() == 0
    whole = outputs()
    shutil.rmtree("out")
    given = [arguments("--shard", f"{number}/2") for number in (1, 2)]
    jobs = [subprocess.Popen([sys.executable, "-m", "objclass", *of_shard]) for of_shard in given]
    assert [job.wait() for job in jobs] == [0, 0]
    assert not [name for name in outputs() if name.startswith(".")]
    assert images(outputs()) == images(whole)
    assert merged("out/t.shard-*", table_filename="t.csv")["t.csv"] == whole["t.csv"]


@given(st.integers(0, 200), st.integers(1, 300))
def test_each_lane_is_in_one_shard(lanes, count):
    found = [list(Shard(number, count).lanes(lanes)) for number in range(1, count + 1)]
    assert [lane for of_shard in found for lane in of_shard] == list(range(lanes))
    assert max(map(len, found)) - min(map(len, found)) <= 1


# the run file


def test_the_run_file_is_that_of_one_run(parts, capsys):
    assert run() == 0  # it is set aside, as that of any earlier run
    (whole,) = [Path("out/objclass_run.json").read_text()]
    Path("whole.json").write_text(whole)
    assert main(["merge", *parts, "--overwrite"]) == 0
    record = json.loads(Path("out/objclass_run.json").read_text())
    assert [(lane["number"], lane["status"]) for lane in record["lanes"]] == [
        (n, "done") for n in range(LANES)
    ]
    assert [shard["number"] for shard in record["shards"]] == [1, 2, 3]
    assert record["seconds"] == pytest.approx(sum(shard["seconds"] for shard in record["shards"]))
    assert "shard" not in record
    capsys.readouterr()
    assert main(["runs", "--compare", "whole.json", "out/objclass_run.json"]) == 0
    assert main(["rerun", "out/objclass_run.json"]) == 0
    assert len(list(Path("out").glob("objclass_run_*.json"))) == 2


@pytest.mark.parametrize("digest", [(), ("--digest", "content", "--verify")])
def test_the_whole_run_finds_all_lanes_complete(here, monkeypatch, digest):
    assert shards(2, *digest[:2]) == [0, 0]
    assert main(["merge", "--quiet", *map(str, Path("out").glob("t.shard-*"))]) == 0
    before = outputs()
    monkeypatch.setattr(task, "run_lane", None)
    assert run("--resume", *digest) == 0
    assert run("--resume", "--shard", "2/2", *digest) == 0
    assert outputs() == before


def test_jobs_in_folders_of_their_own(here, monkeypatch):
    """The run file of the whole names inputs and images where they are, and has the table that was joined."""
    for number in (1, 2):
        folder = here / f"job{number}"
        folder.mkdir()
        for path in here.glob("*.npy"):
            shutil.copy(path, folder)
        monkeypatch.chdir(folder)
        assert run("--shard", f"{number}/2") == 0
    monkeypatch.chdir(here)
    assert main(["merge", "--quiet", "job*/out/t.shard-*.csv", "--table_filename", "t.csv"]) == 0
    lanes = json.loads(Path("objclass_run.json").read_text())["lanes"]
    for number, lane in enumerate(lanes):
        paths = [entry["path"] for image in lane["inputs"] for entry in image["files"]] + lane["outputs"]
        assert all((here / "job1" / path).exists() for path in paths), paths
        assert f"{here}/t.csv" in lane["outputs"]
        assert [f"{here}/t.csv" in [entry["path"] for entry in lane["files"]]] == [number == LANES - 1]


def test_tables_of_folders(here):
    """Tables of one name in several folders are joined folder by folder."""
    for n in range(LANES):
        Path(f"{n // 3}").mkdir(exist_ok=True)
        shutil.copy(f"well{n}.npy", f"{n // 3}/well{n}.npy")
    images = [f"{n // 3}/well{n}.npy" for n in range(LANES)]
    given = [
        "--headless",
        "--quiet",
        "--label_image",
        *images,
        "--features",
        "regionprops:area",
        "--input_axes",
        "tyx",
    ]
    given += ["--table_only", "--table_filename", "{dataset_dir}/t.csv"]
    assert main(given) == 0
    whole = [Path(f"{folder}/t.csv").read_bytes() for folder in (0, 1)]
    for number in (1, 2, 3):
        assert main([*given, "--shard", f"{number}/3"]) == 0
    for folder in (0, 1):
        assert main(["merge", "--quiet", f"{folder}/t.shard-*.csv", "--overwrite"]) == 0
        assert Path(f"{folder}/t.csv").read_bytes() == whole[folder]


def test_a_shard_is_repeated_by_its_run_file(here, monkeypatch):
    monkeypatch.setenv("SLURM_ARRAY_TASK_ID", "1")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MIN", "0")
    monkeypatch.setenv("SLURM_ARRAY_TASK_MAX", "1")
    assert run("--shard", "auto") == 0
    monkeypatch.undo()
    os.chdir(here)
    before = outputs()
    assert "t.shard-2-of-2.csv" in before
    Path("out/t.shard-2-of-2.csv").unlink()
    assert main(["rerun", "--debug", "out/objclass_run.shard-2-of-2.json"]) == 0
    assert outputs() == before


def test_the_dry_run_of_a_shard(here, capsys):
    assert run("--shard", "2/2", "--dry_run") == 0
    told = capsys.readouterr().out
    assert [line for line in told.splitlines() if line[0].isdigit()][:3] == ["3. raw2", "4. raw3", "5. raw4"]
    assert "out/t.shard-2-of-2.csv" in told
    assert run("--shard", "1/7", "--dry_run") == 0
    assert "no lanes" in capsys.readouterr().out
    assert not Path("out").exists()


# what is incomplete


def test_an_incomplete_part_is_named_so(here, broken, capsys):
    assert run() == 0
    whole = outputs()
    shutil.rmtree("out")
    broken.add("raw3")
    assert shards(2, "--on_error", "continue") == [0, 1]
    assert "t.shard-2-of-2.partial.csv" in outputs()
    assert "t.shard-2-of-2.csv" not in outputs()
    capsys.readouterr()
    assert main(["merge", *map(str, Path("out").glob("t.shard-*"))]) == 2
    assert "run shard 2/2 again with --resume" in error(capsys)
    broken.clear()
    assert run("--shard", "2/2", "--resume") == 0
    assert "t.shard-2-of-2.partial.csv" not in outputs()
    assert merged("out/t.shard-*", table_filename="t.csv")["t.csv"] == whole["t.csv"]


def test_a_part_of_before_is_not_taken_for_one_of_now(parts, broken, capsys):
    """Neither that of a run that has failed, nor one that a killed process was to replace."""
    broken.add("raw3")
    assert run("--shard", "3/3") == 3
    assert Path(parts[2]).exists()
    capsys.readouterr()
    assert main(["merge", *parts]) == 2
    assert "0 of 2 lanes of shard 3/3 are done: run it again with --resume" in error(capsys)


def test_a_shard_that_is_written_now(parts, capsys):
    code = "import sys, time; from objclass.batch import task; task.run_lane = lambda *_: time.sleep(60); from objclass.cli import main; main(sys.argv[1:])"
    job = subprocess.Popen([sys.executable, "-c", code, *arguments("--shard", "2/3")])
    try:
        while not list(Path("out").glob("*.jsonl")):
            time.sleep(0.02)
        time.sleep(0.1)
        assert main(["merge", *parts]) == 2
        assert "another run writes the same files" in error(capsys)
    finally:
        job.kill()
        job.wait()
    assert main(["merge", *parts]) == 2  # the part is of an earlier run
    assert "0 of 2 lanes of shard 2/3" in capsys.readouterr().err


# what is refused


def test_missing_parts(parts, capsys):
    for there, missing in ((parts[:2], "part 3 of 3 is"), (parts[1:2], "parts 1, 3 of 3 are")):
        assert main(["merge", *there, "--table_filename", "t.csv"]) == 2
        assert f"t.csv: {missing} missing" in error(capsys)
    assert not Path("t.csv").exists()


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda: shutil.copytree("out", "copy"), "part 1 of 3 is given 2 times"),
        (lambda: run("--shard", "2/4"), "one of 4: expected parts of one run"),
        (lambda: run("--shard", "2/3", "--margin", "7"), "other options"),
        (lambda: run("--shard", "2/3", "--features", "regionprops:perimeter"), "other columns|other options"),
        (lambda: run("--shard", "2/3", lanes=range(4)), "other lanes"),
        (
            lambda: os.truncate("out/t.shard-2-of-3.csv", 300),
            "is not as .*objclass_run.shard-2-of-3.json says",
        ),
        (lambda: Path("out/t.csv").touch(), "t.csv exists already: --overwrite"),
        (lambda: Path("out/t.shard-2-of-3.partial.csv").touch(), "is incomplete"),
        (lambda: Path("out/t.shard-4-of-3.csv").touch(), "expected a part of a run"),
    ],
)
def test_parts_that_do_not_belong_together(parts, capsys, change, why):
    change()
    capsys.readouterr()
    before = outputs()
    found = sorted(map(str, Path().glob("*/t.shard-*.csv")))
    assert main(["merge", *found]) == 2
    assert re.search(why, error(capsys))
    assert outputs() == before


def test_a_host_that_did_not_see_the_lock(parts):
    """It has made a run file of the journal of a process that was at work."""
    record = json.loads(Path("out/objclass_run.shard-2-of-3.json").read_text())
    early = {**record, "lanes": record["lanes"][:1], "error": "the process was killed"}
    Path("out/objclass_run_20260101T000000_01234567.json").write_text(json.dumps(early))
    merged(*parts, table_filename="t.csv")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_damaged_parts_without_run_files(here, capsys, suffix):
    pytest.importorskip(
        {"xlsx": "xlsxwriter", "zst": "backports.zstd"}.get(suffix.rpartition(".")[2], "numpy")
    )
    assert shards(2, "--table_only", table=f"out/t{suffix}", lanes=[3, 4]) == [0, 0]
    for file in Path("out").glob("objclass_run*"):
        file.unlink()
    part = Path(f"out/t.shard-1-of-2{suffix}")
    found = part.read_bytes()
    capsys.readouterr()
    for damaged in (b"", found[: len(found) // 2], found[:-3], b"\xff\0\xfe\n"):
        part.write_bytes(damaged)
        assert main(["merge", *map(str, Path("out").glob("t.shard*"))]) == 2
        assert str(part) in error(capsys)
        assert not Path(f"out/t{suffix}").exists()


@pytest.mark.parametrize(
    "text", ["{}", "[]", '{"lanes": []}', '{"lanes": [], "shard": {"number": 0, "of": 0}}', "\0"]
)
def test_run_files_that_are_none(parts, capsys, text):
    """They are refused where they are given; next to parts they are no matter."""
    Path("objclass_run.shard-1-of-1.json").write_text(text)
    capsys.readouterr()
    assert main(["merge", "objclass_run.shard-1-of-1.json"]) == 2
    assert "expected " in error(capsys)
    shutil.copy("objclass_run.shard-1-of-1.json", "out")
    merged(*parts, table_filename="t.csv")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([], "expected the parts of a run"),
        (["{description}"], "give the parts of that"),
        (["out/objclass_run.shard-1-of-3.json"], "objclass_run.json: parts 2, 3 of 3 are missing"),
        (["well0.npy"], "well0.npy: expected a part of a run"),
        (["nothing.shard-1-of-2.csv"], "there is no such file"),
        (["{parts}", "--table_filename", "out/t.shard-1-of-3.csv"], "is the name of a part"),
        (["{parts}", "--table_filename", "t.parquet"], "its parts are tables in .csv"),
        (["{parts}", "--summary_filename", "s.csv"], "expected parts of a summary"),
        (["{parts}", "--report", "r.html"], "expected parts of a report"),
        (["{parts}", "--table_filename", "well0.npy"], "expected a name that ends in"),
        (["{parts}", "--table_filename", "well0.npy/t.csv"], "is not a folder"),
    ],
)
def test_what_cannot_be_merged(parts, capsys, given, why):
    Path("t.shard-1-of-3_columns.csv").touch()
    named = {"{parts}": parts, "{description}": ["t.shard-1-of-3_columns.csv"]}
    given = [text for entry in given for text in named.get(entry, [entry])]
    capsys.readouterr()
    assert main(["merge", *given]) == 2
    assert why in error(capsys)


def test_parts_are_enough(parts, tmp_path, capsys):
    """Run files are not needed, and none is written without them."""
    assert run() == 0
    whole = outputs()["t.csv"]
    for number, part in enumerate(parts):  # as a workflow would have them, each in a folder
        Path(f"jobs/{number}").mkdir(parents=True)
        shutil.copy(part, f"jobs/{number}")
    capsys.readouterr()
    assert main(["merge", "jobs/*/t.shard-*.csv", "--table_filename", "joined.csv"]) == 0
    assert Path("joined.csv").read_bytes() == whole
    assert "joined.csv" in capsys.readouterr().err
    assert not Path("objclass_run.json").exists()


@pytest.mark.parametrize(
    "text", ["0/4", "5/4", "1", "1/0", "-1/4", "a/b", "1/4/5", "", "auto", "1.0/4", "1/99999999999"]
)
def test_shards_that_are_none(here, capsys, text):
    assert run("--shard", text) == 2
    assert "--shard" in error(capsys)
    assert not Path("out").exists()


def test_the_name_of_a_part_for_the_whole(here, capsys):
    assert run("--shard", "1/2", table="out/t.shard-1-of-2.csv") == 2
    assert "is the name of a part" in error(capsys)
    assert not Path("out").exists()


def test_images_of_shards_in_one_file(here, capsys):
    options = [
        "--output_format",
        "hdf5",
        "--output_filename_format",
        "out/all",
        "--output_internal_path",
        "{nickname}",
    ]
    assert run("--shard", "1/2", *options) == 2
    assert "images of several shards would be written there" in error(capsys)
    assert not Path("out").exists()


SLURM = {
    "SLURM_ARRAY_TASK_ID": "3",
    "SLURM_ARRAY_TASK_MIN": "1",
    "SLURM_ARRAY_TASK_MAX": "4",
    "SLURM_ARRAY_TASK_COUNT": "4",
}


@pytest.mark.parametrize(
    ("variables", "shard"),
    [
        (SLURM, "3/4"),
        (SLURM | {"SLURM_ARRAY_TASK_STEP": "1"}, "3/4"),
        (SLURM | {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_MAX": "3"}, "1/4"),
        ({"SGE_TASK_ID": "2", "SGE_TASK_FIRST": "1", "SGE_TASK_LAST": "5", "SGE_TASK_STEPSIZE": "1"}, "2/5"),
        ({"LSB_JOBINDEX": "2", "LSB_JOBINDEX_END": "2"}, "2/2"),
        ({"SLURM_ARRAY_TASK_ID": "1", "SLURM_ARRAY_TASK_MIN": "1", "SLURM_ARRAY_TASK_MAX": "1", "SGE_TASK_ID": "undefined"}, "1/1"),
    ],
)  # fmt: skip
def test_array_jobs(variables, shard):
    assert str(shard_of_array(variables)) == shard


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"PBS_ARRAY_INDEX": "1"},
        {"SGE_TASK_ID": "undefined"},
        {"LSB_JOBINDEX": "0", "LSB_JOBINDEX_END": "0"},
        {"SLURM_ARRAY_TASK_ID": "3"},
        SLURM | {"SLURM_ARRAY_TASK_COUNT": "2"},  # --array=1,4: some of them again
        SLURM | {"SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_COUNT": "2"},
        SLURM | {"SLURM_ARRAY_TASK_MIN": "0", "SLURM_ARRAY_TASK_STEP": "2"},
        SLURM | {"SLURM_ARRAY_TASK_ID": "5"},
    ],
)
def test_what_is_no_whole_array(variables):
    from argparse import ArgumentTypeError

    with pytest.raises(ArgumentTypeError, match="auto: "):
        shard_of_array(variables)


def test_a_shard_as_text():
    assert parse_shard("2/4") == Shard(2, 4)


# journeys


@pytest.mark.slow
def test_shards_that_are_killed(here):
    """At random moments; each is resumed until it ends."""
    assert run("--summary_filename", "out/s.csv", table="out/t.parquet") == 0
    whole = outputs()
    shutil.rmtree("out")
    rng = random.Random(0)
    kills = 0
    for number in (1, 2, 3):
        given = arguments(
            "--shard", f"{number}/3", "--summary_filename", "out/s.csv", "--resume", table="out/t.parquet"
        )
        for attempt in range(20):
            job = subprocess.Popen([sys.executable, "-m", "objclass", *given])
            try:
                code = job.wait(rng.uniform(0.1, 1.5) if attempt < 10 else None)
            except subprocess.TimeoutExpired:
                job.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM]))
                job.wait()
                kills += 1
            else:
                assert code == 0
                break
    assert kills > 3
    assert images(outputs()) == images(whole)
    found = merged("out/*.shard-*", table_filename="t.parquet", summary_filename="s.csv")
    assert found == {name: data for name, data in whole.items() if not name.endswith(".npy")}
