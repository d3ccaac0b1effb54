"""Lanes side by side: how they share what there is, the order of what they give, what is left when one ends early."""

import _thread
import json
import signal
import threading
from dataclasses import replace

import h5py
import numpy as np
import pytest

from objclass.batch import engine, journal, schedule, task
from objclass.batch.engine import share_out
from objclass.batch.plan import make_plan, plan_tasks
from objclass.batch.request import Request
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.compute.slabs import VOXEL_BYTES
from objclass.errors import LaneError, TerminatedError
from objclass.pipeline.inputs import open_lanes
from objclass.pipeline.pairing import Inputs
from objclass.settings import ExportSettings

LANES = 6


@pytest.fixture(autouse=True)
def _ctrl_c_raises():
    """Also where tests are run in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with lanes: the n-th has n squares."""
    monkeypatch.chdir(tmp_path)
    for n in range(LANES):
        squares = np.zeros((6, 40), np.uint8)
        for k in range(n + 1):
            squares[1:4, 5 * k : 5 * k + 3] = 1
        np.save(f"seg{n}.npy", squares)
    (tmp_path / "out").mkdir()
    return tmp_path


def request(lanes=range(LANES), table="out/t.csv", name="out/{nickname}"):
    return Request(
        Inputs({"segmentation_image": [f"seg{n}.npy" for n in lanes]}),
        export=ExportSettings(output_format="numpy", output_filename_format=name),
        table=table,
        features=("regionprops:area",),
    )


def limited(monkeypatch, limits):
    monkeypatch.setattr("objclass.compute.context.limits_for", lambda _: limits)


def planned(lanes=range(LANES), **options):
    asked = request(lanes, **options)
    opened = open_lanes(asked.inputs, None)
    return plan_tasks(asked, make_plan(asked, opened, None), opened)


def left_in(folder):
    """What a run has left there, but for its account, and the rows for a run that resumes it."""
    return sorted(
        p.name for p in folder.iterdir() if not p.name.startswith("objclass_run") and p.name != ".t.csv.rows"
    )


def statuses(folder):
    account = json.loads((folder / journal.RUN_FILE).read_text())
    return [(lane["image"], lane["status"]) for lane in account["lanes"]]


# ---------------------------------------------------------------------------- sharing


def test_small_lanes_share_threads_and_memory(here):
    shared = share_out(planned(), Limits(600_000_000, (3, 4), 4))
    assert shared == (4, Limits(150_000_000, (3, 4), 1))


def test_no_more_at_once_than_there_are(here):
    assert share_out(planned([0, 1]), Limits(None, None, 8)) == (2, Limits(None, None, 1))


@pytest.mark.parametrize(("lanes", "limits"), [([0], Limits(None, None, 8)), ([0, 1], Limits(None, None, 1))])
def test_one_lane_or_thread_is_left_as_it_is(here, lanes, limits):
    assert share_out(planned(lanes), limits) == (1, limits)


def test_lanes_that_do_not_fit_together_go_one_after_the_other(here):
    room = 6 * 40 * VOXEL_BYTES * 6  # what one of two lanes is given must hold it, in a sixth
    tasks = planned([0, 1])
    assert share_out(tasks, Limits(2 * room, None, 2))[0] == 2
    less = Limits(2 * room - 12, None, 2)
    assert share_out(tasks, less) == (1, less)


def test_lanes_that_go_to_one_file_go_one_after_the_other(here):
    asked = replace(
        request(),
        export=ExportSettings(
            output_format="hdf5", output_filename_format="out/all", output_internal_path="{nickname}"
        ),
    )
    lanes = open_lanes(asked.inputs, None)
    tasks, limits = plan_tasks(asked, make_plan(asked, lanes, None), lanes), Limits(None, None, 4)
    assert share_out(tasks, limits) == (1, limits)


def test_one_file_for_all_lanes(here, monkeypatch):
    asked = replace(
        request(),
        export=ExportSettings(
            output_format="hdf5", output_filename_format="out/all", output_internal_path="{nickname}"
        ),
    )
    found = []
    for jobs in (1, 4):
        limited(monkeypatch, Limits(None, None, jobs))
        assert schedule.run(asked) == 0
        found.append((here / "out/all.h5").read_bytes())
        with h5py.File("out/all.h5") as file:
            assert [int(file[f"seg{n}"][()].max()) for n in range(LANES)] == [*range(1, LANES + 1)]
        (here / "out/all.h5").unlink()
    assert found[0] == found[1]


# ---------------------------------------------------------------------------- order


def in_turns(monkeypatch, turn):
    """Lanes end in the order ``turn``, whatever they were begun in; answers the order in which they did."""
    run_task, done, begun = task.run_task, [], threading.Condition()

    def run_one(lane, plan, files, context):
        finished = run_task(lane, plan, files, context)
        number = int(lane.name[3:])
        with begun:
            assert begun.wait_for(lambda: turn.index(number) == len(done), timeout=20)
            done.append(number)
            begun.notify_all()
        return finished

    monkeypatch.setattr(engine, "run_task", run_one)
    return done


def test_rows_and_messages_keep_the_order_of_the_lanes(here, monkeypatch, caplog):
    limited(monkeypatch, Limits())
    assert schedule.run(request()) == 0
    first = {
        p.name: p.read_bytes() for p in (here / "out").iterdir() if not p.name.startswith("objclass_run")
    }
    limited(monkeypatch, Limits(None, None, LANES))
    turn = [5, 3, 1, 0, 2, 4]
    done = in_turns(monkeypatch, turn)
    caplog.set_level("INFO", "objclass")
    caplog.clear()
    assert schedule.run(request()) == 0
    assert done == turn
    assert {
        p.name: p.read_bytes() for p in (here / "out").iterdir() if not p.name.startswith("objclass_run")
    } == first
    assert [name for name, _ in statuses(here / "out")] == [f"seg{n}" for n in range(LANES)]
    told = [r.message for r in caplog.records if r.message.startswith("lane ")]
    assert [line.split(":")[0] for line in told] == [f"lane {n + 1}/{LANES} seg{n}" for n in range(LANES)]


# ---------------------------------------------------------------------------- ending early


@pytest.mark.parametrize("jobs", [1, 2, LANES])
@pytest.mark.parametrize("bad", [0, 2, LANES - 1])
def test_a_lane_that_fails_ends_the_run_behind_it(here, monkeypatch, caplog, jobs, bad):
    """Lanes behind it may be done by then: nothing of them is kept."""
    limited(monkeypatch, Limits(None, None, jobs))
    half = np.full((6, 40), 0.5, np.float32)
    half[0] = 1  # the first look sees whole numbers where images have planes; here it is told below
    monkeypatch.setattr("objclass.batch.plan.check_lane", lambda lane, plan: None)
    np.save(f"seg{bad}.npy", half)
    if jobs == LANES:
        in_turns(monkeypatch, [n for n in reversed(range(LANES)) if n != bad] + [bad])
    code = schedule.run(request())
    assert code == (3 if bad == 0 else 1)
    kept = [f"seg{n}.npy" for n in range(bad)]
    assert left_in(here / "out") == [*kept, "t.csv"] if bad else not left_in(here / "out")
    if bad:
        rows = (here / "out/t.csv").read_text().splitlines()
        assert len(rows) == 1 + sum(range(1, bad + 1))
    assert statuses(here / "out") == [
        *((f"seg{n}", "done") for n in range(bad)),
        (f"seg{bad}", "failed"),
        *((f"seg{n}", "not run") for n in range(bad + 1, LANES)),
    ]
    left = [r.message for r in caplog.records if r.message.startswith("not run")]
    assert left == (
        [f"not run: {', '.join(f'seg{n}' for n in range(bad + 1, LANES))} (all are named in the run file)"]
        if bad < LANES - 1
        else []
    )


def test_a_table_of_its_own_for_each_lane(here, monkeypatch):
    limited(monkeypatch, Limits(None, None, 3))
    np.save("seg3.npy", np.full((6, 40), 0.5))
    monkeypatch.setattr("objclass.batch.plan.check_lane", lambda lane, plan: None)
    assert schedule.run(request(table="out/{nickname}.csv")) == 1
    assert left_in(here / "out") == [f"seg{n}.{kind}" for n in range(3) for kind in ("csv", "npy")]


@pytest.mark.parametrize("jobs", [1, 3])
def test_a_bug_in_a_lane_is_told_in_one_line(here, monkeypatch, caplog, jobs):
    limited(monkeypatch, Limits(None, None, jobs))

    def broken(lane, plan, context, clock):
        return 1 / 0

    monkeypatch.setattr(task, "run_lane", broken)
    assert schedule.run(request()) == LaneError.exit_code
    (told,) = [r.message for r in caplog.records if r.levelname == "ERROR"]
    assert "unexpected ZeroDivisionError: division by zero" in told
    assert not left_in(here / "out")


@pytest.mark.parametrize("jobs", [1, 2, 4])
@pytest.mark.parametrize("at", [0, 2])
def test_an_interruption_leaves_what_was_whole(here, monkeypatch, jobs, at):
    """Ctrl-C while a lane is being waited for, others being under way or done."""
    limited(monkeypatch, Limits(None, None, jobs))
    never = threading.Event()

    def interrupt(name, _):
        if name == f"seg{at}":
            never.wait(0.2)  # for the main thread to wait for this one
            _thread.interrupt_main()
            never.wait(0.2)

    with pytest.raises(KeyboardInterrupt):
        schedule.run(request(), interrupt)
    found = left_in(here / "out")
    assert not [name for name in found if name.startswith(".")]
    kept = [name for name in found if name.endswith(".npy")]
    assert kept == [f"seg{n}.npy" for n in range(len(kept))]
    rows = (here / "out/t.csv").read_text().splitlines() if kept else []
    assert len(rows) == (1 + sum(range(1, len(kept) + 1)) if kept else 0)
    assert [name for name, status in statuses(here / "out") if status == "done"] == [
        f"seg{n}" for n in range(len(kept))
    ]


def test_an_interruption_before_the_first_lane_is_in_the_run_file(here):
    def interrupt(_):
        raise TerminatedError(15)

    with pytest.raises(TerminatedError):
        schedule.run(request(), expect=interrupt)
    assert statuses(here / "out") == [(f"seg{n}", "not run") for n in range(LANES)]
    assert not left_in(here / "out")


# ---------------------------------------------------------------------------- ordered


def test_results_that_nobody_takes_are_dropped():
    dropped, gate = [], threading.Event()

    def slow(n):
        gate.wait(0.05)
        return n

    results = Context(Limits(jobs=3)).ordered(slow, range(20), dropped.append)
    assert next(results) == 0
    results.close()
    begun = len(dropped)
    assert dropped == list(range(1, 1 + begun))
    assert begun <= 4


def test_what_was_waited_for_when_a_signal_came_is_dropped():
    dropped = []

    def slow(n):
        if n == 0:
            threading.Event().wait(0.1)
            _thread.interrupt_main()
            threading.Event().wait(0.3)
        return n

    with pytest.raises(KeyboardInterrupt):
        list(Context(Limits(jobs=2)).ordered(slow, range(8), dropped.append, helps=False))
    assert 0 in dropped
