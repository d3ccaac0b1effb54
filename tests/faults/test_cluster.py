"""Clusters that lose workers or their scheduler, runs that are interrupted: the outputs are equal, or can be completed."""

import http.client
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import numpy as np
import psutil
import pytest

pytest.importorskip("distributed")

from objclass.batch.cluster import dask_workers
from objclass.compute.context import Context
from objclass.errors import LaneError
from objclass.settings import EngineSettings, ResourceSettings
from tests.clusters import a_cluster, environment
from tests.conftest import ROOT

pytestmark = pytest.mark.slow

LANES = 60
LOCAL = ("--engine", "dask", "--jobs", "2")
VOLUME = "volume.npy"
FEATURES = ("regionprops:area", "regionprops:intensity_mean", "Standard Object Features")


@pytest.fixture(scope="module")
def here(tmp_path_factory):
    """A folder with many lanes and one volume, and their outputs by threads."""
    folder = tmp_path_factory.mktemp("cluster")
    rng = np.random.default_rng(0)
    for n in range(LANES):
        np.save(folder / f"seg{n:02}.npy", blobs(rng, (1, 150, 160 + n))[0])
        np.save(folder / f"raw{n:02}.npy", rng.integers(0, 256, (150, 160 + n), np.uint8))
    volume = blobs(rng, (120, 120, 120))
    np.save(folder / VOLUME, volume)
    np.save(folder / f"raw_{VOLUME}", (volume * rng.integers(50, 256, volume.shape)).astype(np.uint8))
    for options in (lanes, volumes):
        done = run(folder, options("threads"))
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(autouse=True)
def _anew(here):
    """Nothing is there of the test before."""
    shutil.rmtree(here / "out", ignore_errors=True)


def blobs(rng, shape):
    """Rough objects, some of them large."""
    coarse = rng.random([-(-n // 6) for n in shape])
    for axis in range(3):
        coarse = coarse.repeat(6, axis=axis)
    return (coarse[tuple(slice(0, n) for n in shape)] > 0.6).astype(np.uint8)


def lanes(out, *more):
    """The options of a run of all lanes."""
    return [
        *("--raw_data", *(f"raw{n:02}.npy" for n in range(LANES))),
        *("--segmentation_image", *(f"seg{n:02}.npy" for n in range(LANES))),
        *("--output_filename_format", f"{out}/{{nickname}}", "--summary_filename", f"{out}/s.csv"),
        *("--features", *FEATURES, "--table_filename", f"{out}/t.csv", *more),
    ]


def volumes(out, *more):
    """The options of a run of the volume."""
    return [
        *(
            "--raw_data",
            f"raw_{VOLUME}",
            "--segmentation_image",
            VOLUME,
            "--output_format",
            "multi-scale OME-Zarr",
        ),
        *("--output_filename_format", f"{out}/volume", "--table_filename", f"{out}/volume.csv"),
        *("--features", *FEATURES, *more),
    ]


def start(folder, options, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "objclass", "--headless", *options],
        cwd=folder, env=environment(), stderr=subprocess.PIPE, text=True, **more,
    )  # fmt: skip


def run(folder, options):
    return subprocess.run(
        [sys.executable, "-m", "objclass", "--headless", *options],
        cwd=folder, env=environment(), capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip


def outputs(folder):
    """Path -> bytes of all files of a run but its account; no unfinished file is left."""
    assert not list(folder.rglob(".objclass*"))
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(("objclass_run", ".t.csv.rows", ".s.csv.rows"))
    }


def check(here, out, options):
    """The outputs are those of threads."""
    expected = outputs(here / "threads")
    names = "volume" if options is volumes else ("seg", "raw", "t.csv", "s.csv")
    assert outputs(here / out) == {name: data for name, data in expected.items() if name.startswith(names)}


def begun(here, out, process):
    """Wait for the run to begin, its processes being ready."""
    while not list((here / out).glob("*.jsonl")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


@pytest.mark.parametrize("options", [lanes, volumes])
@pytest.mark.parametrize("jobs", [1, 2, 4])
def test_any_number_of_processes(here, options, jobs):
    done = run(here, options("out", "--engine", "dask", "--jobs", str(jobs)))
    assert done.returncode == 0, done.stderr
    check(here, "out", options)


@pytest.mark.parametrize("options", [lanes, volumes])
def test_a_cluster_of_the_user(here, tmp_path, options):
    with a_cluster(tmp_path, workers=2) as (file, _, _):
        done = run(here, options("out", "--engine", "dask", "--scheduler_file", file))
    assert done.returncode == 0, done.stderr
    check(here, "out", options)


@pytest.mark.parametrize("options", [lanes, volumes])
@pytest.mark.parametrize("seed", range(10))
def test_workers_that_are_killed(here, options, seed):
    """At random moments, again and again for a while; Dask starts others."""
    rng = random.Random(seed)
    process = start(here, options("out", *LOCAL))
    begun(here, "out", process)
    killed, until = 0, time.monotonic() + 6
    while process.poll() is None and time.monotonic() < until:
        time.sleep(rng.uniform(0.05, 1.0) if killed else 0.05)
        for child in psutil.Process(process.pid).children() if process.poll() is None else ():
            if is_worker(child) and (not killed or rng.random() < 0.5):
                child.kill()
                killed += 1
    _, told = process.communicate(timeout=200)
    assert killed
    if process.returncode:  # a task has ended too many processes
        assert "has ended its worker process" in told
        resumed = run(here, options("out", "--resume"))
        assert resumed.returncode == 0, resumed.stderr
    check(here, "out", options)


def is_worker(process):
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False


@pytest.mark.parametrize("options", [lanes, volumes])
@pytest.mark.parametrize("wait", [0.0, 0.7, 1.5])
def test_a_scheduler_that_is_killed(here, tmp_path, options, wait):
    with a_cluster(tmp_path) as (file, scheduler, _):
        process = start(here, options("out", "--engine", "dask", "--scheduler_file", file))
        begun(here, "out", process)
        time.sleep(wait)
        scheduler.kill()
        at = time.monotonic()
        _, told = process.communicate(timeout=100)
    assert time.monotonic() - at < 40
    done = statuses(here / "out")
    assert process.returncode == (0 if "not run" not in done else 1 if "done" in done else 3)
    assert process.returncode == 0 or "the scheduler is gone: " in told
    assert run(here, options("out", "--resume")).returncode == 0
    check(here, "out", options)


def statuses(folder):
    return [lane["status"] for lane in json.loads((folder / "objclass_run.json").read_text())["lanes"]]


@pytest.mark.parametrize("options", [lanes, volumes])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("wait", [0.0, 1.0])
def test_a_run_that_is_interrupted(here, options, number, code, wait):
    process = start(here, options("out", *LOCAL))
    begun(here, "out", process)
    time.sleep(wait)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(number)
    at = time.monotonic()
    _, told = process.communicate(timeout=60)
    assert process.returncode == code, told
    assert time.monotonic() - at < 10
    assert len([line for line in told.splitlines() if line.startswith("objclass: error")]) == 1
    assert "Traceback" not in told
    _, left = psutil.wait_procs(workers, timeout=3)
    assert not left
    # a run that is ended before its journal is on the disk has not begun: it leaves nothing
    assert not list((here / "out").iterdir()) or "not run" in statuses(here / "out")
    assert run(here, options("out", "--resume", *LOCAL)).returncode == 0
    check(here, "out", options)


@pytest.mark.skipif(os.name == "nt", reason="there are no such groups of processes")
@pytest.mark.parametrize("wait", [0.0, 0.1, 0.2, 0.3])
def test_ctrl_c_reaches_all_processes(here, wait):
    """As a terminal sends it: all end, with a line of one of them."""
    process = start(here, volumes("out", *LOCAL), start_new_session=True)
    begun(here, "out", process)
    time.sleep(wait)
    others = psutil.Process(process.pid).children(recursive=True)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert not psutil.wait_procs(others, timeout=3)[1]


@pytest.mark.skipif(os.name == "nt", reason="signals cannot be blocked there")
def test_processes_that_replace_others_leave_ctrl_c_to_the_run_as_well():
    context = Context.of(ResourceSettings(jobs=1))
    with dask_workers(EngineSettings(engine="dask"), ResourceSettings(), context) as (workers, _):
        ((first, is_blocked),) = workers.ordered(interrupts, None, [1])
        assert is_blocked
        os.kill(first, signal.SIGKILL)
        ((second, is_blocked),) = workers.ordered(interrupts, None, [1])
    assert second != first
    assert is_blocked


def interrupts(_, item):
    """The number of this process, and whether it leaves them to others."""
    return os.getpid(), signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_an_interruption_while_processes_are_started(here):
    process = start(here, lanes("out", *LOCAL))
    time.sleep(2)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in told
    assert "semaphore" not in told


def test_a_process_that_is_killed_takes_its_workers_with_it(here, tmp_path, monkeypatch):
    """Their folder is removed by the next run."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    process = start(here, lanes("out", *LOCAL))
    begun(here, "out", process)
    workers = psutil.Process(process.pid).children(recursive=True)
    process.kill()
    process.communicate()
    _, left = psutil.wait_procs(workers, timeout=20)
    assert not left
    assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    assert run(here, lanes("out", "--resume", *LOCAL)).returncode == 0
    check(here, "out", lanes)
    assert not list(tmp_path.iterdir())


def test_processes_are_reached_from_this_machine_only(tmp_path, monkeypatch):
    """All that listens is on the loopback, and nothing has pages; their files are in one folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = listening()
    with dask_workers(
        EngineSettings(engine="dask"), ResourceSettings(), Context.of(ResourceSettings(jobs=2))
    ) as (workers, _):
        assert list(workers.ordered(double, 2, [1, 2])) == [2, 4]
        found = listening() - before
        assert len(found) >= 8  # two each: scheduler, nannies, workers
        assert {host for host, _ in found} == {"127.0.0.1"}
        for host, port in found:
            for page in (
                "json/identity.json",
                "info/main/workers.html",
                "metrics",
                "health",
                "statics/css/base.css",
            ):
                assert not is_page(f"http://{host}:{port}/{page}")
        assert [path.suffix for path in tmp_path.iterdir()] == [".part"]
    assert not list(tmp_path.iterdir())


def listening():
    """Addresses where this process and those that it has started take connections."""
    this = psutil.Process()
    return {
        tuple(connection.laddr)
        for process in (this, *this.children(recursive=True))
        for connection in process.net_connections()
        if connection.status == psutil.CONN_LISTEN
    }


def is_page(url):
    try:
        with urllib.request.urlopen(url, timeout=5) as page:
            return page.status == 200
    except (OSError, http.client.HTTPException):
        return False


def test_a_task_that_ends_its_process_again_and_again():
    context = Context.of(ResourceSettings(jobs=1))
    with dask_workers(EngineSettings(engine="dask"), ResourceSettings(), context) as (workers, _):
        with pytest.raises(LaneError, match="has ended its worker process 12 times"):
            list(workers.ordered(die, None, [1]))
        assert list(workers.ordered(double, 2, [1, 2])) == [2, 4]


def die(_, item):
    os._exit(item)


def double(common, item):
    return common * item


def refused(here, folder):
    """The line that a run says of workers that take objclass from a folder."""
    with a_cluster(folder, path=folder) as (file, _, _):
        done = run(here, lanes("out", "--engine", "dask", "--scheduler_file", file))
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert not (here / "out").exists()
    return done.stderr


def test_workers_of_another_version_are_refused(here, tmp_path):
    """A worker and its scheduler that have another objclass."""
    shutil.copytree(ROOT / "objclass", tmp_path / "objclass", ignore=shutil.ignore_patterns("__pycache__"))
    version = tmp_path / "objclass/version.py"
    version.write_text(version.read_text().replace("0.", "7.", 1))
    assert "objclass 7." in refused(here, tmp_path)


def test_workers_without_objclass_are_refused(here, tmp_path):
    """They have one that knows nothing of clusters."""
    Path(tmp_path / "objclass").mkdir()
    Path(tmp_path / "objclass/__init__.py").touch()
    assert "cannot load objclass" in refused(here, tmp_path)
