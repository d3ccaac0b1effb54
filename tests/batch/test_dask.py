"""Lanes run by the workers of a cluster of Dask: the bytes and messages of a run by threads."""

import asyncio
import json
import logging
import pickle
import re
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import tifffile

pytest.importorskip("distributed")

from objclass.batch import cluster, dask_workers, distributed, processes, worker
from objclass.batch.dask_workers import DaskWorkers
from objclass.batch.worker import Common, Run, packed
from objclass.cli import main
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.errors import EngineError, LaneError, OutputError, Stop, TerminatedError, UsageError
from objclass.export.attempt import AttemptFiles
from objclass.pipeline.cut import parts
from tests.clusters import a_cluster
from tests.conftest import SAMPLES

LANES = 3


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory):
    with a_cluster(tmp_path_factory.mktemp("cluster")) as (file, _, _):
        yield file


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with lanes, which differ."""
    raw, segmentation = (tifffile.imread(SAMPLES / name) for name in ("cells.tif", "cells_segmentation.tif"))
    monkeypatch.chdir(tmp_path)
    for n in range(LANES):
        for name, image in (("raw", raw), ("seg", segmentation)):
            tifffile.imwrite(f"{name}{n}.tif", np.roll(image, 30 * n, axis=0)[: 200 - 10 * n])
    return tmp_path


def run(out, *more, lanes=range(LANES), name="{nickname}_{result_type}"):
    """Run the lanes; OUT in options is the folder of the outputs."""
    given = (
        *("--headless", "--quiet", "--project", f"{SAMPLES}/cells.ilp"),
        *("--raw_data", *(f"raw{n}.tif" for n in lanes)),
        *("--segmentation_image", *(f"seg{n}.tif" for n in lanes)),
        *("--output_filename_format", f"OUT/{name}", "--table_filename", "OUT/t.csv", *more),
    )
    return main([text.replace("OUT", out) for text in given])


def outputs(folder):
    """Path -> bytes of all files of a run but its account; no unfinished file is left."""
    assert not list(Path(folder).rglob(".objclass*"))
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(Path(folder).rglob("*"))
        if path.is_file() and not path.name.startswith(("objclass_run", ".t.csv.rows"))
    }


def by(scheduler):
    """The options of the engine."""
    return ("--engine", "dask", "--scheduler_file", scheduler)


def same(scheduler, *options, runs=run, **more):
    """A run by threads and one by workers leave the same bytes."""
    assert runs("threads", *options, **more) == 0
    assert runs("dask", *options, *by(scheduler), **more) == 0
    expected = outputs("threads")
    assert expected
    assert outputs("dask") == expected
    return expected


def lines(capsys):
    return capsys.readouterr().err.splitlines()


# ---------------------------------------------------------------------------- the same bytes


@pytest.mark.parametrize("more", [(), pytest.param(("--report", "OUT/r.html"), marks=pytest.mark.slow)])
def test_every_kind_of_output(here, scheduler, more):
    found = same(
        scheduler,
        *("--export_object_prediction_img", "--export_object_identities_img", "--export_colors"),
        *("--summary_filename", "OUT/s.csv", "--export_objects", "OUT/{nickname}.geojson", *more),
    )
    assert "raw2_Object Identities.h5" in found


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(("--output_format", "multi-scale OME-Zarr"), marks=pytest.mark.slow),
        pytest.param(("--output_format", "n5"), marks=pytest.mark.slow),
        pytest.param(("--output_format", "multipage tiff"), marks=pytest.mark.slow),
        pytest.param(("--output_format", "numpy", "--table_columns", "tidy"), marks=pytest.mark.slow),
    ],
)
def test_formats(here, scheduler, options):
    same(scheduler, *options)


def volume(out, *more, name="z"):
    """Run a volume."""
    given = (
        *(
            "--headless",
            "--quiet",
            "--project",
            f"{SAMPLES}/spots3d.ilp",
            "--raw_data",
            f"{SAMPLES}/spots3d.tif",
        ),
        *("--label_image", f"{SAMPLES}/spots3d_label_image.tif"),
        *("--output_filename_format", f"{out}/{name}", "--table_filename", f"{out}/t.parquet"),
    )
    return main([*given, *more])


@pytest.mark.slow
def test_a_sequence_of_a_volume(here, scheduler):
    same(scheduler, "--output_format", "png sequence", runs=volume, name="z/{slice_index}")


@pytest.mark.parametrize(
    "name", [pytest.param("compressed hdf5", marks=pytest.mark.slow), "multi-scale OME-Zarr"]
)
def test_a_volume_that_is_cut_among_workers(here, scheduler, monkeypatch, name):
    monkeypatch.setattr(distributed, "SMALLEST", 0)
    monkeypatch.setattr(parts, "SMALLEST", 20_000)
    tasks = []
    ordered = DaskWorkers.ordered
    monkeypatch.setattr(
        DaskWorkers,
        "ordered",
        lambda self, function, *more: tasks.append(function) or ordered(self, function, *more),
    )
    same(scheduler, "--output_format", name, runs=volume)
    assert tasks


@pytest.mark.slow
def test_pictures_of_objects_in_the_table(here, scheduler):
    same(scheduler, "--table_filename", "OUT/t.h5", "--table_images")


@pytest.mark.slow
def test_a_container_of_all_lanes_is_written_here(here, scheduler):
    found = same(scheduler, "--output_internal_path", "{nickname}", name="all")
    assert {*found} == {"all.h5", "t.csv"}


def test_what_a_container_held_before_is_kept(here, scheduler):
    for out in ("threads", "dask"):
        Path(out).mkdir()
        with h5py.File(f"{out}/raw0.h5", "w") as file:
            file["other"] = np.arange(5)
    same(scheduler, name="{nickname}")
    with h5py.File("dask/raw0.h5") as file:
        assert {*file} == {"other", "exported_data"}


@pytest.mark.slow
def test_pixels_that_are_computed(here, scheduler, shared):
    case = shared / "golden/po2d"

    def pixels(out, *more):
        given = (
            "--headless",
            "--quiet",
            "--project",
            f"{case}/po2d.ilp",
            "--raw_data",
            f"{case}/test_raw.h5/data",
        )
        return main(
            [*given, "--output_filename_format", f"{out}/i", "--table_filename", f"{out}/t.csv", *more]
        )

    same(scheduler, runs=pixels)


# ---------------------------------------------------------------------------- what is said


def with_fractions():
    tifffile.imwrite("seg1.tif", np.full((190, 320), 0.5, np.float32))


def with_damaged_data():
    """The error of the library does not pickle."""
    tifffile.imwrite("raw1.tif", tifffile.imread("raw1.tif"), compression="zlib")
    with open("raw1.tif", "r+b") as file:
        file.seek(-3000, 2)
        file.write(b"\xff" * 2000)


@pytest.mark.parametrize("damaged", [with_fractions, with_damaged_data])
def test_a_lane_that_fails_is_named_and_the_others_are_run(here, scheduler, capsys, monkeypatch, damaged):
    """Its pixels show what is wrong; the first look does not see them."""
    monkeypatch.setattr("objclass.batch.plan.check_lane", lambda lane, plan: None)
    damaged()
    told = []
    for out, options in (("threads", ()), ("dask", by(scheduler))):
        assert run(out, "--on_error", "continue", *options) == 1
        told.append([line.replace("dask/", "threads/") for line in lines(capsys)])
    assert told[0] == told[1]
    assert any("lane 2/3 raw1 failed: " in line for line in told[0])
    assert outputs("dask") == outputs("threads")
    statuses = [lane["status"] for lane in json.loads(Path("dask/objclass_run.json").read_text())["lanes"]]
    assert statuses == ["done", "failed", "done"]


def test_warnings_of_a_lane_arrive_once_and_in_its_record(here, scheduler, capsys):
    tifffile.imwrite("seg1.tif", np.zeros((190, 320), np.uint8))
    assert run("dask", *by(scheduler)) == 0
    (told,) = lines(capsys)
    assert told.startswith("objclass: warning: seg1.tif: no objects")
    account = json.loads(Path("dask/objclass_run.json").read_text())
    assert [len(lane["warnings"]) for lane in account["lanes"]] == [0, 1, 0]
    assert account["engine"] == "dask"
    assert account["jobs"] == 2
    assert all(lane["seconds"]["features"] > 0 for lane in account["lanes"])


@pytest.mark.slow
def test_a_run_by_threads_is_resumed_by_workers(here, scheduler, capsys):
    assert run("threads") == 0
    expected = outputs("threads")
    assert run("dask") == 0
    Path("dask/raw1_Object Predictions.h5").unlink()
    assert run("dask", "--resume", *by(scheduler)) == 0
    assert outputs("dask") == expected


def refused(capsys, *options):
    assert run("out", "--engine", "dask", *options) == 2
    (told,) = lines(capsys)
    assert not Path("out").exists()
    return told


def test_a_scheduler_needs_the_engine(here, capsys):
    for option in ("--scheduler", "--scheduler_file"):
        assert run("out", option, "a") == 2
        assert f"{option}: is the scheduler of a cluster: give --engine dask, too" in lines(capsys)[0]
    assert "expected one of them" in refused(capsys, "--scheduler", "a", "--scheduler_file", "b")


def test_without_dask_the_extra_is_named(here, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    assert 'pip install "objclass[dask]"' in refused(capsys)


def test_schedulers_that_are_not_there(here, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "REACHED", 0.3)
    monkeypatch.setattr(cluster, "PATIENCE", 0.1)
    assert "no scheduler responds at tcp://127.0.0.1:9 " in refused(
        capsys, "--scheduler", "tcp://127.0.0.1:9"
    )
    for wrong in ("nonsense", "nonsense://a:1", "http://127.0.0.1:8786", "tcp://127.0.0.1"):
        assert f"{wrong} is no address of a scheduler" in refused(capsys, "--scheduler", wrong)
    assert "none.json: No such file" in refused(capsys, "--scheduler_file", "none.json")
    Path("empty.json").write_text("{}")
    assert "empty.json: is no scheduler file" in refused(capsys, "--scheduler_file", "empty.json")


@pytest.mark.slow
def test_a_scheduler_without_workers(here, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    with a_cluster(here, workers=0) as (file, _, _):
        monkeypatch.setattr(cluster, "_address", lambda path: address_in(file))
        assert "has no workers after 0 s" in refused(capsys, "--scheduler_file", file)


def address_in(file):
    while not Path(file).exists():
        pass
    return json.loads(Path(file).read_text())["address"]


def test_workers_of_another_version(here, scheduler, capsys, monkeypatch):
    others = *worker.versions()[:-1], "polars 0.1"
    monkeypatch.setattr(cluster, "versions", lambda: others)
    told = refused(capsys, "--scheduler_file", scheduler)
    assert re.search(
        r"dask: polars [\d.]+ at the scheduler, polars 0.1 here: expected the same versions$", told
    )


def test_workers_that_do_not_respond(here, scheduler, capsys, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 0.5)
    monkeypatch.setattr(cluster, "_facts_of_workers", _asleep)
    told = refused(capsys, "--scheduler", address_in(scheduler))
    assert "or one of its workers does not respond for 0 s: restart it" in told


def _asleep(client, _, callback_timeout):
    return client.sync(client.run, asyncio.sleep, 3, callback_timeout=callback_timeout)


# ---------------------------------------------------------------------------- parts


def test_contexts_stay_where_they_are():
    """Whatever the data hold of them: the process that gets the data has its own."""
    here = Context(Limits(None, None, 3))
    common = Common(packed({"images": [here, here], "n": 1}), Run("a", Limits(7_000_000), follow_links=True))
    first, second = common.value["images"]
    assert first is second
    assert first.limits == Limits(7_000_000)
    assert first.follow_links
    assert common.unpacked(packed(here)) is first
    assert common.value is common.value


def test_processes_have_their_share_of_the_memory():
    assert processes.shared_out(Limits(4_700_000_000, None, 4)) == (4, Limits(700_000_000))
    assert processes.shared_out(Limits(900_000_000, (3, 4), 4)) == (2, Limits(100_000_000, (3, 4)))
    assert processes.shared_out(Limits(100_000_000, None, 4)) == (1, Limits(100_000_000))
    assert processes.shared_out(Limits(None, None, 4)) == (4, Limits())


def test_processes_that_are_never_ready(monkeypatch):
    monkeypatch.setattr(processes, "STARTED", 0.1)
    monkeypatch.setattr(processes.Processes, "restart", lambda self: None)
    found = object.__new__(processes.Processes)
    found.cluster = SimpleNamespace(workers={})
    client, stop = SimpleNamespace(nthreads=dict), Stop()
    with pytest.raises(UsageError, match="no worker process was ready after 0 s"):
        found.start(client, stop)
    stop.ask()
    with pytest.raises(TerminatedError):
        found.start(client, stop)


def test_what_cannot_leave_the_process_is_said():
    with pytest.raises(LaneError, match="cannot be sent to a worker"):
        packed(threading.Lock())


def test_messages_keep_their_level_and_place():
    a_run = Run("b", Limits())
    outcome = worker.perform(Common(packed(None), a_run), packed((_warn, "%")), a_run)
    (record,) = outcome.records
    assert (record.levelname, record.getMessage(), record.filename) == ("WARNING", "100 %", "test_dask.py")
    assert outcome.result == "%"


def _warn(_, item):
    logging.getLogger("objclass").debug("no")
    logging.getLogger("objclass").warning("%d %s", 100, item)
    return item


def test_a_task_of_another_version_is_refused():
    a_run = Run("c", Limits(), versions=("objclass 0.0.1", *worker.versions()[1:]))
    outcome = worker.perform(Common(packed(None), a_run), packed((_warn, 1)), a_run)
    assert re.search(r"has objclass [\d.]+, expected objclass 0.0.1$", str(outcome.fault))
    assert isinstance(outcome.fault, EngineError)


def test_a_worker_that_does_not_see_the_disk_says_so(tmp_path):
    a_run = Run("d", Limits(), folder=str(tmp_path / "none"))
    with pytest.raises(
        EngineError, match="none: No such file or directory on the worker .*: expected a disk"
    ):
        worker.perform(Common(packed(None), a_run), packed((_warn, 1)), a_run)
    with pytest.raises(OutputError, match="no such folder on the worker"):
        AttemptFiles({"out": str(tmp_path / "none")})


def test_workers_that_do_not_see_the_working_folder_are_refused():
    facts = cluster.Facts(cluster.versions(), 1, is_without=True)
    with pytest.raises(UsageError, match="is not there for tcp://a: expected a disk that all workers see"):
        cluster._check({"tcp://a": facts})


def test_two_runs_take_turns_in_a_worker(tmp_path, monkeypatch):
    """Each in its own folder; tasks of one run work at the same time."""
    monkeypatch.chdir(tmp_path)
    found = []

    def work(name):
        with worker._folder.entered(str(tmp_path / name), Stop()):
            found.append((name, Path.cwd().name))
            inside.wait(0.05)
            found.append((name, Path.cwd().name))

    inside = threading.Event()
    names = [*"abab"]
    for name in "ab":
        (tmp_path / name).mkdir()
    threads = [threading.Thread(target=work, args=(name,)) for name in names]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert all(name == folder for name, folder in found)
    assert Path.cwd() == tmp_path


def test_a_task_that_waits_for_another_folder_can_be_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(worker, "WAIT", 0.01)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").mkdir()
    stop = Stop()
    stop.ask()
    with worker._folder.entered(str(tmp_path / "a"), Stop()), ThreadPoolExecutor() as pool:
        waiting = pool.submit(worker._folder.entered(str(tmp_path), stop).__enter__)
        assert isinstance(waiting.exception(timeout=10), TerminatedError)


def test_a_worker_is_as_before_after_its_tasks(tmp_path, monkeypatch):
    """The folder of the run may have been removed, the log is that of others."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    log = logging.getLogger("objclass")
    before = log.level, list(log.handlers)
    a_run = Run("e", Limits(), folder=str(tmp_path / "run"), level=logging.DEBUG)
    outcome = worker.perform(Common(packed(None), a_run), packed((_removed, str(tmp_path / "run"))), a_run)
    assert outcome.fault is None
    assert Path.cwd() == tmp_path
    assert (log.level, log.handlers) == before


def _removed(_, folder):
    Path(folder).rmdir()


def test_workers_that_are_restarted_at_once_are_no_news(monkeypatch, caplog):
    """The run says it only if they stay away, once."""
    at = [0.0]
    monkeypatch.setattr(dask_workers, "monotonic", lambda: at[0])
    workers = object.__new__(DaskWorkers)
    workers._restart, workers._expected, workers._alone, workers._has_warned = None, 1, None, False
    monkeypatch.setattr(workers, "_counted", lambda: 0)
    for at[0] in (0.0, 2.0, dask_workers.RESTARTED - 1):
        workers._watch()
    assert not caplog.records
    for at[0] in (dask_workers.RESTARTED + 1, dask_workers.RESTARTED + 3):
        workers._watch()
    assert len(caplog.records) == 1
    at[0] = dask_workers.WITHOUT_WORKERS + 1
    with pytest.raises(EngineError, match="there were no others for 300 s"):
        workers._watch()


class CompiledError(Exception):
    """Does not pickle, as some errors of compiled libraries."""

    def __reduce__(self):
        raise TypeError


def test_errors_cross_without_what_caused_them():
    from tblib.pickling_support import install

    fault = LaneError("damaged")
    fault.__cause__ = CompiledError("inflate")
    install(fault)  # Dask does so; from now on causes are pickled, too
    crossed = pickle.loads(pickle.dumps(worker.portable(fault)))
    assert (type(crossed), str(crossed)) == (LaneError, "damaged")
    crossed = pickle.loads(pickle.dumps(worker.portable(CompiledError("inflate"))))
    assert str(crossed).startswith("unexpected CompiledError: inflate")
