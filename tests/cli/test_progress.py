"""Progress: bars on a terminal, lines in the log elsewhere."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from objclass.cli import main, progress
from objclass.cli.progress import Bars, Lines, duration
from objclass.compute.meter import Meter, counted, metered


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    squares = np.zeros((30, 6, 40), np.uint8)
    squares[:, 1:4, :3] = 1
    for n in range(3):
        np.save(f"seg{n}.npy", squares)
    return tmp_path


RUN = ["--headless", "--segmentation_image", "seg0.npy", "seg1.npy", "seg2.npy", "--input_axes", "tyx", "--features",
       "regionprops:area", "--table_only", "--table_filename", "t.csv", "--jobs", "1"]  # fmt: skip


def on_a_terminal(*options):
    """What a run writes to a terminal of 100 columns."""
    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    main_end, other_end = pty.openpty()
    termios.tcsetwinsize(other_end, (40, 100))
    process = subprocess.Popen(
        [sys.executable, "-m", "objclass", *RUN, *options],
        stderr=other_end,
        stdin=other_end,
        stdout=subprocess.PIPE,
    )
    os.close(other_end)
    told = b""
    while True:
        try:
            part = os.read(main_end, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        told += part
    assert process.communicate()[0] == b""
    os.close(main_end)
    assert process.returncode == 0
    return told.decode()


def screen(told):
    """The lines that are left on a terminal, of what was written to it (carriage returns, up, erase)."""
    lines, row, column = [""], 0, 0
    for sign in re.findall(r"\x1b\[[0-9;]*[A-Za-z]|[\s\S]", told):
        if sign == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif sign == "\r":
            column = 0
        elif sign == "\x1b[A":
            row = max(row - 1, 0)
        elif sign == "\x1b[K":
            lines[row] = lines[row][:column]
        else:
            assert not sign.startswith("\x1b"), sign
            lines[row] = f"{lines[row][:column]:{column}}{sign}{lines[row][column + 1 :]}"
            column += 1
    return [line.rstrip() for line in lines]


def test_bars_on_a_terminal_leave_whole_lines(here):
    told = on_a_terminal()
    assert re.search(r"\d+%\|.{30}\| \[\d\d:\d\d<[\d:?]+\] \d/3 lanes seg\d", told)
    left = [line for line in screen(told) if line]
    assert [re.sub(r"[\d.]+ (s|MB)\b", r"N \1", line) for line in left] == [
        *(f"lane {n + 1}/3 seg{n}: 30 objects in N s" for n in range(3)),
        "3 of 3 lanes done in N s, peak memory N MB",
        "90 objects",
        "outputs: table t.csv, run file objclass_run.json",
    ]


def test_quiet_on_a_terminal(here):
    assert on_a_terminal("--quiet") == ""


def test_no_bars_where_there_is_no_terminal(here, capsys):
    assert main(RUN) == 0
    told = capsys.readouterr().err
    assert "\r" not in told
    assert "\x1b" not in told
    assert "%" not in told


class Clock:
    """A clock that is set by hand."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(progress, "monotonic", lambda: self.now)


@pytest.fixture
def told(caplog):
    caplog.set_level("INFO", "objclass")
    return caplog


def test_lines_from_time_to_time(monkeypatch, told):
    clock = Clock(monkeypatch)
    lines = Lines(1)
    for second in range(1, 101):
        clock.now = second
        lines("volume", second / 100)
    assert told.messages == [
        "volume: 30 % done, about 70 s left",
        "volume: 60 % done, about 40 s left",
        "volume: 90 % done, about 10 s left",
    ]


def test_a_slow_run_says_no_more_than_a_line_for_each_percent(monkeypatch, told):
    clock = Clock(monkeypatch)
    lines = Lines(1)
    for minute in range(1, 1001):
        clock.now = 60 * minute
        lines("volume", minute / 1000)
    assert len(told.messages) == 99
    assert told.messages[0] == "volume: 1 % done, about 16.5 h left"


def test_lines_of_a_batch(monkeypatch, told):
    clock = Clock(monkeypatch)
    lines = Lines(3)  # as far as it is known
    lines("an image to train on", 1.0)
    lines.expect(40)
    for number in range(40):
        for share in (0.5, 1.0):
            clock.now += 10
            lines(f"lane{number}", share)
    assert told.messages[:2] == [
        "1 of 40 lanes: 3 % done, about 13 min left",
        "3 of 40 lanes: 7 % done, about 12 min left",
    ]


def test_a_lane_that_fails_has_ended(here, monkeypatch, capsys):
    monkeypatch.setattr("objclass.batch.plan.check_lane", lambda lane, plan: None)
    np.save("seg1.npy", np.full((30, 6, 40), 0.5))
    seen = []
    monkeypatch.setattr(Lines, "__call__", lambda self, lane, share: seen.append((lane, share)))
    assert main(RUN) == 1
    assert seen[-1] == ("seg1", 1.0)


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_lane_in_blocks_moves_on_within_a_time_step(here, monkeypatch, rng, jobs, pytestconfig):
    if pytestconfig.getoption("--tiny_blocks"):
        pytest.skip("blocks are chosen here")
    image = (ndimage.gaussian_filter(rng.random((12, 40, 40)), 1) > 0.5).astype(np.uint8)
    np.save("raw.npy", rng.integers(0, 255, image.shape, np.uint8))
    np.save("volume.npy", image)
    seen = []
    monkeypatch.setattr(Lines, "__call__", lambda self, lane, share: seen.append(share))
    run = ["--headless", "--raw_data", "raw.npy", "--segmentation_image", "volume.npy", "--input_axes", "zyx"]
    run += [
        "--features",
        "Standard Object Features",
        "--output_filename_format",
        "o",
        "--table_filename",
        "t.csv",
    ]
    assert main([*run, "--block_shape", "z=2,y=20", "--jobs", jobs]) == 0
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert sum(share < 0.3 for share in seen) > 5  # objects
    assert sum(0.3 < share < 0.7 for share in seen) > 5  # features
    seen.clear()
    assert main([*run, "--jobs", jobs]) == 0
    assert seen == [1]


def test_loops_move_a_meter_on():
    seen = []
    meter = Meter(4, seen.append)
    with metered(meter):
        meter.begin(1)
        for _ in counted("ab", 2):
            assert [*counted("xyz", 3)] == ["x", "y", "z"]  # within a loop
        with meter.reserved(0.5):
            assert [*counted("ab", 2)] == ["a", "b"]
        assert [*counted("a", 1)] == ["a"]  # nothing to see
        assert [*counted("ab", 2)] == ["a", "b"]
        meter.arrive(1)
    assert [4 * share for share in seen] == [0.25, 0.5, 0.5625, 0.625, 0.71875, 0.8125, 1]
    assert [*counted("ab", 2)] == ["a", "b"]
    assert len(seen) == 7


def test_the_bar_of_a_large_lane(here, monkeypatch, capsys):
    """In a batch, of the only lane under way."""
    shown = []

    class Bar:
        def __init__(self, **options):
            self.n, self.desc = 0.0, options.get("desc", "")
            shown.append(self)

        def set_description_str(self, text, refresh):
            self.desc = text

        def update(self, step):
            self.n += step

        def close(self):
            self.n = None

    import tqdm

    monkeypatch.setattr(tqdm, "tqdm", Bar)
    bars = Bars(4)
    bars("a", 0.5)
    (run, lane) = shown
    assert (run.desc, run.n) == ("0/4 lanes a", 0.125)
    assert (lane.desc, lane.n) == ("a", 0.5)
    bars("a", 1.0)
    assert (run.desc, run.n, lane.n) == ("1/4 lanes a", 0.25, None)
    bars("b", 0.5)
    bars("c", 0.5)  # beside b
    assert len(shown) == 3
    assert shown[-1].n is None
    bars("b", 1.0)
    assert (run.desc, run.n) == ("2/4 lanes b", 2.5 / 4)
    assert shown[-1].desc == "c"
    bars.expect(8)  # that was training
    bars("d", 1.0)
    assert (run.desc, run.n) == ("1/8 lanes d", 1 / 8)


def test_times_to_wait():
    assert [duration(s) for s in (0.2, 99, 101, 5999, 6001)] == ["0 s", "99 s", "2 min", "100 min", "1.7 h"]


def test_training_on_a_terminal_has_the_same_options(here, samples):
    train = ["train", "--quiet", "--project", "p.ilp", "--raw_data", f"{samples}/cells_train.tif", "--segmentation_image",
             f"{samples}/cells_train_segmentation.tif", "--labels", f"{samples}/cells_train_labels.csv", "--features",
             "Standard Object Features:Count", "--trees", "2", "--log_json", "log.json"]  # fmt: skip
    assert main(train) == 0
    assert "out-of-bag accuracy" in Path("log.json").read_text()
