"""Messages of a run: on stderr, in log files as text and as JSON; runs of one process do not mix."""

import json
import logging
import re
import threading
from pathlib import Path

import numpy as np
import pytest

from objclass.batch import schedule
from objclass.cli import main, messages
from tests.conftest import SAMPLES

log = logging.getLogger("objclass")


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for n in range(4):
        squares = np.zeros((6, 40), np.uint8)
        for k in range(n):
            squares[1:4, 5 * k : 5 * k + 3] = 1
        np.save(f"seg{n}.npy", squares)
    return tmp_path


def run(*more, lanes=range(4), out="out"):
    return main([
        *("--headless", "--segmentation_image", *(f"seg{n}.npy" for n in lanes), "--features", "regionprops:area"),
        *("--output_format", "numpy", "--output_filename_format", f"{out}/{{nickname}}"),
        *("--table_filename", f"{out}/t.csv", *more),
    ])  # fmt: skip


def objects(path="log.json"):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def test_the_end_of_a_run_in_a_few_lines(here, capsys):
    assert run("--summary_filename", "out/s.csv") == 0
    lines = capsys.readouterr().err.splitlines()[-3:]
    assert re.fullmatch(r"4 of 4 lanes done in \d+\.\d s, peak memory \d+ MB", lines[0])
    assert lines[1:] == [
        "6 objects (1 lane has none)",
        f"outputs: images in {here}/out, table out/t.csv, summary out/s.csv, run file out/objclass_run.json",
    ]


def test_classes_and_their_shares(here, capsys):
    images = [f"{SAMPLES}/cells.tif", "--segmentation_image", f"{SAMPLES}/cells_segmentation.tif"]
    options = ["--table_only", "--table_filename", "t.csv"]
    assert main(["--headless", "--project", f"{SAMPLES}/cells.ilp", "--raw_data", *images, *options]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[-3].startswith("done in ")
    assert lines[-2] == "60 objects: elongated 20 (33.3%), ring 24 (40.0%), round 16 (26.7%)"
    assert lines[-1] == "outputs: table t.csv, run file objclass_run.json"


def test_lanes_that_failed_or_were_not_run(here, capsys, monkeypatch):
    monkeypatch.setattr("objclass.batch.plan.check_lane", lambda lane, plan: None)
    np.save("seg1.npy", np.full((6, 40), 0.5))
    assert run("--jobs", "1", "--log_json", "log.json") == 1
    told = capsys.readouterr().err
    assert "objclass: error: lane 2/4 seg1 failed: seg1.npy: value 0.5: expected" in told
    assert "1 of 4 lanes done, 1 failed, 2 not run in " in told
    assert f"outputs: images in {here}/out, table out/t.csv, run file" in told
    (failed,) = [entry for entry in objects() if entry.get("status") == "failed"]
    assert (failed["level"], failed["lane"], failed["number"], failed["lanes"]) == ("error", "seg1", 2, 4)


def test_nothing_is_told_of_a_run_without_a_lane_that_is_done(here, capsys, monkeypatch):
    monkeypatch.setattr("objclass.batch.plan.check_lane", lambda lane, plan: None)
    np.save("seg0.npy", np.full((6, 40), 0.5))
    assert run(lanes=[0]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[1].startswith("0 of 1 lanes done, 1 failed in ")


def test_quiet_is_quiet(here, capsys):
    assert run("--quiet", lanes=[1, 2]) == 0
    assert capsys.readouterr() == ("", "")
    assert run("--quiet", lanes=[0]) == 0
    assert capsys.readouterr().err == "objclass: warning: seg0.npy: no objects\n"


def test_json(here):
    assert run("--quiet", "--log_json", "logs/log.json", "--jobs", "2") == 0
    found = objects("logs/log.json")
    for entry in found:
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"])
        assert entry["level"] in ("info", "warning")
        assert entry["message"]
    (warning,) = [entry for entry in found if entry["level"] == "warning"]
    assert (warning["lane"], warning["message"]) == ("seg0", "seg0.npy: no objects")
    lanes = [entry for entry in found if entry.get("status") == "done"]
    assert [(e["lane"], e["number"], e["lanes"], e["counts"]) for e in lanes] == [
        (f"seg{n}", n + 1, 4, {"objects": n}) for n in range(4)
    ]
    for entry in lanes:
        assert entry["seconds"] == pytest.approx(sum(entry["stages"].values()), abs=0.01)
        assert entry["outputs"] == [f"{here}/out/{entry['lane']}.npy", "out/t.csv"]
    (total,) = [entry for entry in found if "not_run" in entry]
    assert (total["done"], total["failed"], total["not_run"], total["counts"]) == (4, 0, 0, {"objects": 6})
    assert total["peak_memory"] > 10**6
    assert "lane" not in total


def test_json_has_the_traceback_with_debug(here, capsys, monkeypatch):
    def broken(*_):
        return 1 / 0

    monkeypatch.setattr("objclass.batch.task.run_lane", broken)
    assert run("--debug", "--log_json", "log.json", lanes=[1]) == 3
    capsys.readouterr()
    (entry,) = [entry for entry in objects() if "traceback" in entry]
    assert entry["level"] == "debug"
    assert "ZeroDivisionError" in entry["traceback"]


def test_names_that_would_break_lines(here):
    log.handlers.clear()
    with messages.RunLog() as run_log:
        run_log.set_up(quiet=True, logfile="log.txt", log_json="log.json")
        log.info("a\nb \x1b[31m \udce9")
    assert [entry["message"] for entry in objects()] == ["a\nb \x1b[31m \udce9"]
    (line,) = Path("log.txt").read_text().splitlines()
    assert line.endswith("INFO a\\u000ab \\u001b[31m \\udce9")


def test_log_files_are_continued(here):
    for _ in range(2):
        assert run("--quiet", "--logfile", "log.txt", "--log_json", "log.json", lanes=[1]) == 0
    assert len([entry for entry in objects() if "not_run" in entry]) == 2
    assert Path("log.txt").read_text().count(" INFO lane 1/1 seg1: 1 object in ") == 2


@pytest.mark.parametrize("option", ["--logfile", "--log_json"])
def test_log_files_that_cannot_be_opened(here, capsys, option):
    assert run(option, "seg1.npy/log") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"objclass: error: {option} seg1.npy/log: ")
    assert not (here / "out").exists()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full")
def test_a_full_disk_does_not_end_the_run(here, capsys):
    assert run("--quiet", "--logfile", "/dev/full", "--log_json", "log.json", lanes=[1, 2]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("objclass: warning: /dev/full: no more messages are added: [Errno 28]")
    assert [entry["lane"] for entry in objects() if entry.get("status")] == ["seg1", "seg2"]


def test_two_logs_in_one_file(here, capsys):
    assert run("--logfile", "log", "--log_json", "./log") == 2
    assert "--log_json ./log: is the --logfile, too: give another name" in capsys.readouterr().err


def test_long_batches_show_a_lane_at_each_tenth(here, capsys):
    lanes = [1] * 60
    names = ("--output_filename_format", "out/{nickname}{x_stop}")
    for number in range(len(lanes)):
        (here / f"seg{100 + number}.npy").write_bytes((here / "seg1.npy").read_bytes())
    long = range(100, 160)
    assert run("--table_only", "--logfile", "log.txt", *names, lanes=long) == 0
    told = capsys.readouterr().err
    assert re.findall(r"^lane (\d+)/60", told, re.MULTILINE) == ["1", *(str(n) for n in range(6, 61, 6))]
    assert "60 lanes: about every 6th is shown here (all of them with --logfile or --log_json)" in told
    assert told.count("out/t.csv") == 1
    assert len(re.findall(r"lane \d+/60", Path("log.txt").read_text())) == 60
    assert run("--table_only", "--debug", lanes=long) == 0
    assert len(re.findall(r"^lane \d+/60", capsys.readouterr().err, re.MULTILINE)) == 60


def test_many_warnings_of_a_kind(here, capsys):
    empty = range(100, 115)
    for number in empty:
        (here / f"seg{number}.npy").write_bytes((here / "seg0.npy").read_bytes())
    assert run("--quiet", "--table_only", lanes=empty[:10]) == 0
    assert capsys.readouterr().err.count("\n") == 10
    assert run("--quiet", "--table_only", "--logfile", "log.txt", "--jobs", "1", lanes=[*empty, 1]) == 0
    told = capsys.readouterr().err.splitlines()
    assert told[:-1] == [f"objclass: warning: seg{n}.npy: no objects" for n in empty[:10]]
    assert told[-1] == (
        "objclass: warning: more warnings of this kind are not shown here: --logfile and --log_json have all of them"
    )
    assert Path("log.txt").read_text().count("no objects") == 15
    assert run("--table_only", lanes=[*empty, 1]) == 0
    assert "1 object (15 lanes have none)" in capsys.readouterr().err.splitlines()
    assert run("--table_only", "--debug", lanes=[*empty, 1]) == 0
    assert capsys.readouterr().err.count("no objects") == 15


def test_runs_in_threads_of_one_process_do_not_mix(here, capsys, monkeypatch):
    """Both are under way at the same time, each with threads of its own."""
    both, make_plan = threading.Barrier(2, timeout=30), schedule.make_plan

    def together(*given):
        both.wait()
        return make_plan(*given)

    monkeypatch.setattr(schedule, "make_plan", together)
    monkeypatch.setattr(messages, "Console", lambda **_: logging.NullHandler())
    codes = {}

    def one(name, lanes, *more):
        codes[name] = run("--jobs", "2", "--log_json", f"{name}.json", *more, lanes=lanes, out=name)

    threads = [
        threading.Thread(target=one, args=("a", [0, 1])),
        threading.Thread(target=one, args=("b", [2, 3], "--debug")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert codes == {"a": 0, "b": 0}
    found = {name: objects(f"{name}.json") for name in "ab"}
    assert {entry["lane"] for entry in found["a"] if "lane" in entry} == {"seg0", "seg1"}
    assert {entry["lane"] for entry in found["b"] if "lane" in entry} == {"seg2", "seg3"}
    assert sum("not_run" in entry for entry in found["a"]) == 1
    assert {entry["level"] for entry in found["a"]} == {"info", "warning"}
    assert "debug" in {entry["level"] for entry in found["b"]}


def test_the_log_is_left_as_it_was(here):
    before = log.handlers[:], log.level, log.propagate
    assert run("--quiet", "--debug", "--logfile", "log.txt", lanes=[1]) == 0
    assert (log.handlers, log.level, log.propagate) == before
