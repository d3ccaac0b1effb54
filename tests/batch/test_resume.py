"""Batches that go on where an earlier run ended: nothing is lost, nothing is done twice."""

import errno
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from hashlib import sha256
from pathlib import Path
from pkgutil import resolve_name

import h5py
import numpy as np
import pytest

from objclass.batch import task
from objclass.cli import main
from objclass.export.spool import spool_path

LANES = 6


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for n in range(LANES):
        squares = np.zeros((6, 60), np.uint8)
        for k in range(n + 1):
            squares[1:4, 5 * k : 5 * k + 3] = 1
        np.save(f"seg{n}.npy", squares)
    return tmp_path


def arguments(*more, table="out/t.csv", lanes=range(LANES), jobs=1):
    return [
        *("--headless", "--segmentation_image", *(f"seg{n}.npy" for n in lanes)),
        *("--features", "regionprops:area", "--jobs", str(jobs), "--table_filename", table),
        *("--output_format", "numpy", "--output_filename_format", "out/{nickname}", *more),
    ]  # fmt: skip


def run(*more, **settings):
    return main(arguments(*more, **settings))


@pytest.fixture
def measured(monkeypatch):
    """The lanes whose pixels are read, in order; those in `broken` fail."""
    run_lane, names, broken = task.run_lane, [], set()

    def counting(lane, *more):
        names.append(lane.nickname)
        if lane.nickname in broken:
            message = "a fault"
            raise OSError(message)
        return run_lane(lane, *more)

    monkeypatch.setattr(task, "run_lane", counting)
    return names, broken


def outputs(folder="out"):
    return {
        p.name: p.read_bytes()
        for p in sorted(Path(folder).iterdir())
        if not p.name.startswith("objclass_run")
    }


def expected(**settings):
    """What an undisturbed run gives."""
    assert run(**settings) == 0
    found = outputs()
    for path in Path("out").iterdir():
        path.unlink()
    return found


def records(folder="out"):
    return [json.loads(path.read_text()) for path in sorted(Path(folder).glob("objclass_run*.json"))]


@pytest.mark.parametrize("jobs", [1, 3])
@pytest.mark.parametrize("table", ["out/t.csv", "out/t.h5", "out/{nickname}.csv"])
def test_a_batch_goes_on_after_a_lane_that_fails(here, measured, capsys, jobs, table):
    names, broken = measured
    whole = expected(table=table)
    broken |= {"seg1", "seg4"}
    assert run("--on_error", "continue", table=table, jobs=jobs) == 1
    told = capsys.readouterr().err
    assert "failed: 2 of 6 lanes: seg1, seg4" in told
    (record,) = records()
    assert [lane["status"] for lane in record["lanes"]] == [
        "done", "failed", "done", "done", "failed", "done",
    ]  # fmt: skip
    broken.clear()
    names.clear()
    assert run("--resume", table=table, jobs=jobs) == 0
    assert sorted(names) == ["seg1", "seg4"]
    assert outputs() == whole
    assert [lane["status"] for lane in json.loads(Path("out/objclass_run.json").read_text())["lanes"]] == [
        "done"
    ] * LANES


def test_nothing_is_left_to_do(here, measured, capsys):
    names, _ = measured
    assert run() == 0
    before = outputs()
    names.clear()
    assert run("--resume") == 0
    assert not names
    assert "6 of 6 lanes are complete already" in capsys.readouterr().err
    assert outputs() == before


def test_every_lane_fails(here, measured):
    _, broken = measured
    broken |= {f"seg{n}" for n in range(LANES)}
    assert run("--on_error", "continue") == 3
    assert not outputs()


@pytest.mark.parametrize(
    "change",
    [
        lambda: np.save("seg2.npy", np.ones((6, 60), np.uint8)),
        lambda: os.utime("seg2.npy", (1, 1)),
        lambda: Path("out/seg2.npy").unlink(),
        lambda: Path("out/seg2.npy").write_bytes(b"somebody's"),
    ],
)
def test_what_was_changed_is_done_again(here, measured, change):
    names, _ = measured
    assert run(table="out/{nickname}.csv") == 0
    whole = outputs()
    change()
    names.clear()
    assert run("--resume", table="out/{nickname}.csv") == 0
    assert names == ["seg2"]
    assert outputs().keys() == whole.keys()


@pytest.mark.parametrize("more", [("--features", "regionprops:perimeter"), ("--export_dtype", "uint8")])
def test_other_options_are_another_run(here, measured, more):
    names, _ = measured
    assert run() == 0
    names.clear()
    assert run("--resume", *more) == 0
    assert len(names) == LANES


def test_limits_are_no_other_options(here, measured):
    names, _ = measured
    assert run() == 0
    names.clear()
    assert run("--resume", "--block_shape", "2", "--max_memory", "1GB", jobs=2) == 0
    assert not names


def test_a_table_that_was_changed_is_made_again(here, measured):
    names, _ = measured
    whole = expected()
    assert run() == 0
    Path("out/t.csv").write_text("by hand")
    names.clear()
    assert run("--resume") == 0
    assert len(names) == LANES  # its rows are nowhere else
    assert outputs() == whole


def test_other_lanes_are_another_table(here, measured):
    names, _ = measured
    assert run(lanes=range(4)) == 0
    names.clear()
    whole = outputs()
    assert run("--resume") == 0
    assert len(names) == LANES
    assert outputs().keys() - whole.keys() == {"seg4.npy", "seg5.npy"}


def test_by_content(here, measured, capsys):
    names, _ = measured
    assert run("--digest", "content", table="out/{nickname}.csv") == 0
    os.utime("seg2.npy", (1, 1))
    same_size = Path("out/seg3.npy").read_bytes()[:-1] + b"\x07"
    status = os.stat("out/seg3.npy")
    Path("out/seg3.npy").write_bytes(same_size)
    os.utime("out/seg3.npy", ns=(status.st_atime_ns, status.st_mtime_ns))
    names.clear()
    assert run("--resume", "--verify", "--digest", "content", table="out/{nickname}.csv") == 0
    assert names == ["seg3"]


def test_verify_needs_resume(here, capsys):
    assert run("--verify") == 2
    assert "--resume" in capsys.readouterr().err


@pytest.mark.parametrize("digest", ["none", "header", "content"])
def test_digests(here, digest):
    assert run("--digest", digest) == 0
    (record,) = records()
    entry = record["lanes"][0]["inputs"][0]["files"][0]
    assert ("sha256" in entry) == (digest != "none")
    assert ("sha256" in record["lanes"][0]["files"][0]) == (digest == "content")


def test_lanes_in_one_container(here, measured):
    """Datasets of a file that was not completed are not called done."""
    names, broken = measured
    options = (
        "--output_format",
        "hdf5",
        "--output_filename_format",
        "out/all.h5",
        "--output_internal_path",
        "{nickname}",
    )
    broken |= {"seg3"}
    assert run(*options) == 1
    broken.clear()
    names.clear()
    assert run("--resume", *options) == 0
    with h5py.File("out/all.h5") as file:
        assert sorted(file) == [f"seg{n}" for n in range(LANES)]
    names.clear()
    assert run("--resume", *options) == 0
    assert not names


STAGES = {
    "reading": "objclass.batch.task.run_lane",
    "opening": "objclass.export.sinks.ImageSink.begin",
    "painting": "objclass.export.sinks.ImageSink.step",
    "collecting": "objclass.export.sinks.TableSink.step",
    "columns": "objclass.export.sinks.TableSink.finish",
    "rows": "objclass.export.spool.Spool.add",
    "flushing": "objclass.export.spool.Spool.flush",
    "closing": "objclass.export.sinks.ImageSink.finish",
    "committing": "objclass.export.sinks.ImageSink.commit",
    "syncing": "objclass.export.atomic.Pending.sync",
    "renaming": "objclass.export.atomic.Pending._rename",
    "making the table": "objclass.export.spool.SpooledTable.close",
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("on_error", ["stop", "continue"])
def test_a_fault_at_any_stage(here, monkeypatch, stage, on_error):
    """The third call fails; what is left is whole, and a second run completes it."""
    whole = expected()
    name = STAGES[stage]
    module, _, attribute = name.rpartition(".")
    calls = []
    with monkeypatch.context() as patch:
        real = resolve_name(name)

        def failing(*given, **more):
            calls.append(1)
            if len(calls) == (1 if stage == "making the table" else 3):
                message = "a fault"
                raise OSError(message)
            return real(*given, **more)

        patch.setattr(f"{module}.{attribute}", failing)
        assert run("--on_error", on_error) == 1
    found = outputs()
    for left, content in found.items():
        assert content == whole.get(left, content) or left in (".t.csv.rows", "t.csv"), left
    if "t.csv" in found:
        assert whole["t.csv"].startswith(found["t.csv"]) or on_error == "continue"
    assert run("--resume") == 0
    assert {left: content for left, content in outputs().items() if "partial" not in left} == whole


def test_warnings_of_a_lane_are_recorded(here):
    np.save("seg2.npy", np.zeros((6, 60), np.uint8))
    assert run() == 0
    (record,) = records()
    warnings = {lane["image"]: lane["warnings"] for lane in record["lanes"]}
    assert any("no objects" in text for text in warnings.pop("seg2"))
    assert set(map(tuple, warnings.values())) == {()}


SLOW_LANES = """
import sys, time
from objclass.batch import task
from objclass.cli import main
run_lane = task.run_lane
def counting(lane, *more):
    with open("measured.txt", "a") as file:
        file.write(lane.nickname + chr(10))
    return run_lane(lane, *more)
task.run_lane = counting
sys.exit(main(sys.argv[1:]))
"""


def begin(*more, **settings):
    command = [sys.executable, "-c", SLOW_LANES, *arguments(*more, **settings)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def killed_and_resumed(seed, moments, jobs):
    """Kill a run at random moments, resume it until it ends; what it leaves."""
    rng = random.Random(seed)
    resume = ()
    for _ in range(moments):
        child = begin(*resume, jobs=jobs)
        time.sleep(rng.uniform(0.25, 0.9))
        child.send_signal(signal.SIGKILL)
        child.communicate()
        resume = ("--resume",)
    last = begin(*resume, jobs=jobs)
    told = last.communicate()[1]
    assert last.returncode == 0, told
    return outputs()


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_kill_and_resume(here):
    whole = expected()
    assert killed_and_resumed(1, 2, 2) == whole
    assert not list(Path("out").glob("*.jsonl"))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_kill_and_resume_two_hundred_times(here):
    whole = expected()
    for seed in range(100):
        for path in Path("out").iterdir():
            path.unlink()
        assert killed_and_resumed(seed, 2, 1 + seed % 3) == whole, seed
        assert not [name for name in os.listdir("out") if name.startswith(".")], seed
        assert not list(Path("out").glob("*.jsonl")), seed


def test_two_runs_that_write_the_same_files(here):
    """The second is refused while the first one works; a killed one's lock is taken over."""
    if sys.platform == "win32":
        pytest.skip("fifos")
    hold = "import sys, time\nfrom objclass.batch import task\nfrom objclass.cli import main\n"
    hold += "run_lane = task.run_lane\n"
    hold += "def waiting(*a):\n    print('begun', flush=True)\n    time.sleep(60)\n    return run_lane(*a)\n"
    hold += "task.run_lane = waiting\nsys.exit(main(sys.argv[1:]))\n"
    images_only = ("--table_filename", "out/other.csv")
    child = subprocess.Popen([sys.executable, "-c", hold, *arguments()], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout.readline() == "begun\n"
        assert run(*images_only) == 2
        assert not list(Path("out").glob("*.npy"))
    finally:
        child.kill()
        child.communicate()
    assert run(*images_only) == 0
    assert [record["lanes"] == [] for record in records()].count(True) == 1  # of the one that was killed


def orphan(host, process):
    """The journal of a run that was killed before its first lane."""
    assert run() == 0
    journal = Path("out/objclass_run_20260101T000000_00000001.jsonl")
    claims = _claims_of_a_run()
    journal.write_text(
        json.dumps({"claims": claims, "host": host, "process": process, "started": "then"}) + "\n"
    )
    return journal


def _claims_of_a_run():
    return sorted(
        sha256(os.fsencode(os.path.realpath(path))).hexdigest()[:16]
        for path in ("out/t.csv", *(f"out/seg{n}.npy" for n in range(LANES)))
    )


@pytest.mark.parametrize(
    ("has_locks", "host", "is_alive", "code", "stays"),
    [
        (True, "here", True, 0, False),  # its number is another process now
        (True, "elsewhere", False, 0, True),  # its lock may not be seen from here
        (False, "here", True, 2, True),
        (False, "here", False, 0, False),
        (False, "elsewhere", False, 2, True),
    ],
)
def test_journals_that_are_there(here, monkeypatch, has_locks, host, is_alive, code, stays):
    monkeypatch.setattr("platform.node", lambda: "here")
    monkeypatch.setattr("psutil.pid_exists", lambda _: is_alive)
    journal = orphan(host, 4711)
    if not has_locks:

        def no_locks(_):
            raise OSError(errno.ENOLCK, "no locks available")

        monkeypatch.setattr("objclass.compute.lock.try_lock", no_locks)
    assert run() == code
    assert journal.exists() == stays


def test_the_rows_of_an_earlier_run_are_not_taken_without_asking(here, measured):
    names, broken = measured
    whole = expected()
    broken |= {"seg2"}
    assert run() == 1
    assert Path(spool_path("out/t.csv")).exists()
    broken.clear()
    names.clear()
    assert run() == 0
    assert len(names) == LANES
    found = outputs()
    partial = {name: found.pop(name) for name in list(found) if "partial" in name}
    assert found == whole
    assert not partial


def test_a_damaged_spool_is_not_believed(here, measured, capsys):
    _, broken = measured
    whole = expected()
    broken |= {"seg4"}
    assert run() == 1
    path = Path(spool_path("out/t.csv"))
    content = bytearray(path.read_bytes())
    content[30:60] = b"X" * 30  # in the rows of the first lane
    path.write_bytes(content)
    broken.clear()
    assert run("--resume") == 1
    assert "damaged: run again without --resume" in capsys.readouterr().err
    assert run() == 0
    assert {name: found for name, found in outputs().items() if "partial" not in name} == whole


def test_a_lane_that_is_given_up(here, measured):
    """Without the bad lane all others are complete: the table is made of the rows that are there."""
    names, broken = measured
    others = [0, 1, 2, 4, 5]
    whole = expected(lanes=others)
    broken |= {"seg3"}
    assert run("--on_error", "continue") == 1
    names.clear()
    assert run("--resume", lanes=others) == 0
    assert not names
    assert outputs() == whole


def test_a_table_that_cannot_be_made_of_its_rows(here, measured, monkeypatch, capsys):
    _, broken = measured
    broken |= {"seg3"}
    assert run("--on_error", "continue") == 1

    def fail(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("objclass.export.spool.SpooledTable.close", fail)
    assert run("--resume", lanes=[0, 1, 2, 4, 5]) == 1
    assert "a table could not be written" in capsys.readouterr().err


def folders(*more, kind="single-scale OME-Zarr", jobs=1):
    """A run of two lanes that writes folders."""
    return main(
        [
            *("--headless", "--quiet", "--segmentation_image", "seg0.npy", "seg1.npy", "--jobs", str(jobs)),
            *("--features", "regionprops:area", "--table_filename", "out/{nickname}.csv"),
            *("--output_format", kind, "--output_filename_format", "out/{nickname}", *more),
        ]
    )


@pytest.fixture
def two(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for n in range(2):
        np.save(f"seg{n}.npy", np.pad(np.ones((4, 4 + n), np.uint8), 3))
    return tmp_path


def test_folders_of_complete_lanes_stay(two, capsys):
    """An OME-Zarr that is there is refused, unless an earlier run has completed its lane."""
    assert folders() == 0
    assert folders() == 2
    assert "exists already" in capsys.readouterr().err
    shutil.rmtree("out/seg1.zarr")
    assert folders("--resume") == 0
    assert (two / "out/seg1.zarr").is_dir()
    np.save("seg0.npy", np.pad(np.ones((4, 9), np.uint8), 3))
    assert folders("--resume") == 2
    assert "seg0.zarr exists already" in capsys.readouterr().err


@pytest.mark.parametrize("options", [(), ("--verify", "--digest", "content")])
@pytest.mark.parametrize("damage", [lambda path: path.write_bytes(b"xx"), Path.unlink], ids=["other", "none"])
def test_a_damaged_folder_is_not_complete(two, capsys, damage, options):
    """Its files count, not only the time of the folder at the top, which such damage does not change."""
    assert folders(*options[1:]) == 0
    assert folders("--resume", *options) == 0
    chunk = max((p for p in Path("out/seg1.zarr").rglob("*") if p.is_file()), key=lambda p: len(p.parts))
    damage(chunk)
    assert folders("--resume", *options) == 2
    assert "seg1.zarr exists already" in capsys.readouterr().err
    shutil.rmtree("out/seg1.zarr")
    assert folders("--resume", *options) == 0
    assert chunk.stat().st_size > 2


def test_a_run_file_that_does_not_say_what_is_in_folders(two, capsys):
    assert folders() == 0
    record = json.loads(Path("out/objclass_run.json").read_text())
    for lane in record["lanes"]:
        for entry in lane["files"]:
            if entry["path"].endswith(".zarr"):
                del entry["files"], entry["size"]
    Path("out/objclass_run.json").write_text(json.dumps(record))
    assert folders("--resume") == 2
    assert "exists already" in capsys.readouterr().err


def test_a_damaged_n5_folder_is_written_again(two):
    assert folders(kind="n5") == 0
    chunk = next(p for p in Path("out/seg1.n5").rglob("0") if p.is_file())
    whole = chunk.read_bytes()
    chunk.unlink()
    code = folders("--resume", kind="n5")
    assert (code, chunk.read_bytes()) == (0, whole)
