"""Disks that fail, processes that are killed: what has its final name is whole, and nobody is told otherwise."""

import gzip
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import polars as pl
import psutil
import pytest

from objclass import registry
from objclass.images import open_image
from tests.conftest import ROOT

LANES = 3

SUFFIXES = {
    "hdf5": "h5", "compressed hdf5": "h5", "numpy": "npy", "multipage tiff": "tiff", "tif": "tif", "png": "png",
    "pgm": "pgm", "xv": "xv", "multi-scale OME-Zarr": "zarr", "compressed n5": "n5", "png sequence": "png",
}  # fmt: skip

EXITS = (0, 1, 2, 3)


@pytest.fixture(scope="session")
def shim(tmp_path_factory):
    """The library that lets calls fail."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("no C compiler here, or no LD_PRELOAD")
    made = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
    return made


@pytest.fixture
def here(tmp_path):
    """A folder with lanes: the n-th has n + 1 squares, in some planes."""
    for n in range(LANES):
        squares = np.zeros((4, 30, 40), np.uint8)
        for k in range(n + 1):
            squares[1:3, 5:20, 8 * k : 8 * k + 6] = 1
        np.save(tmp_path / f"seg{n}.npy", squares)
    return tmp_path


def options(name="numpy", table="t.csv", *more, lanes=range(LANES)):
    sequence = "_{slice_index}" if name.endswith("sequence") else ""
    return [
        *("--headless", "--segmentation_image", *(f"seg{n}.npy" for n in lanes), "--jobs", "1"),
        *("--output_format", name, "--output_filename_format", f"out/{{nickname}}{sequence}"),
        *("--table_filename", f"out/{table}", "--features", "regionprops:area"),
        *(("--export_dtype", "uint8") if name in ("png", "pgm", "png sequence", "xv") else ()),
        *(("--cutout_subregion", "[(0,0,0,1,0),(1,40,30,2,1)]") if name in ("tif", "png", "pgm", "xv") else ()),
        *more,
    ]  # fmt: skip


def environment(**more):
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def start(folder, arguments, **more):
    return subprocess.Popen(
        [sys.executable, "-m", "objclass", *arguments], cwd=folder, env=environment(**more),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def run(folder, arguments, **more):
    process = start(folder, arguments, **more)
    _, told = process.communicate(timeout=120)
    return process.returncode, told


def images_in(folder):
    """Lanes whose images are there; each is read, and has as many objects as it should."""
    found = set()
    for path in sorted(folder.iterdir()) if folder.exists() else []:
        if path.name.startswith((".", "t.", "objclass_run")):
            continue
        number = int(path.name[3])
        spec = f"{path}/s0" if path.suffix == ".zarr" else str(path)
        assert open_image(spec).read().max() in (number + 1, 0), path
        found.add(f"seg{number}")
    return found


def lanes_in(table):
    """Lanes whose rows are there, each whole."""
    if not table.exists():
        return set()
    if table.suffix == ".h5":
        with h5py.File(table) as file:
            names = [row["Image"].decode() for row in file["table"][()]]
    elif table.suffix == ".parquet":
        names = pl.read_parquet(table)["Image"].to_list()
    else:
        text = (gzip.decompress(table.read_bytes()) if table.suffix == ".gz" else table.read_bytes()).decode()
        assert text.endswith("\n")
        names = [line.split(",")[3] for line in text.splitlines()[1:]]
    for name in set(names):
        assert names.count(name) == int(name[3]) + 1
    return set(names)


def check(folder, code, told, table="t.csv"):
    """Nothing damaged has a final name, images and rows belong together, and the exit code is true."""
    out = folder / "out"
    assert code in EXITS, told
    assert "Traceback" not in told
    rows = lanes_in(out / table)
    whole = {f"seg{n}" for n in range(LANES)}
    # the disk takes nothing any more: no table at all, and it is said
    if "files that lanes share could not be written" in told or "its finished lanes are lost" in told:
        assert code != 0
        assert rows == set()
    else:
        assert images_in(out) == rows, told
    assert code != 0 or rows == whole, told
    assert not list(out.glob(".objclass*")) if out.exists() else True


def once(shim, here, name, call, number, table="t.csv"):
    code, told = run(
        here, options(name, table),
        LD_PRELOAD=str(shim), FAULT_CALL=call, FAULT_NUMBER=str(number), FAULT_PATH="/out/",
    )  # fmt: skip
    if call == "close":  # even folders cannot be removed then: a run after a minute does it
        for left in (here / "out").glob(".objclass*"):
            shutil.rmtree(left)
    check(here, code, told, table)
    shutil.rmtree(here / "out", ignore_errors=True)
    return code


@pytest.mark.parametrize(
    ("name", "call", "number", "table"),
    [
        ("compressed hdf5", "write", 40, "t.h5"),
        ("multi-scale OME-Zarr", "write", 9, "t.csv"),
        ("numpy", "fsync", 4, "t.csv"),
        ("png sequence", "rename", 2, "t.csv"),
    ],
)
def test_a_call_that_fails(shim, here, name, call, number, table):
    assert once(shim, here, name, call, number, table) != 0


@pytest.mark.slow
@pytest.mark.parametrize("table", ["t.csv", "t.h5", "t.parquet"])
@pytest.mark.parametrize("call", ["write", "pwrite", "fsync", "close", "rename"])
@pytest.mark.parametrize("name", SUFFIXES)
def test_every_call_that_fails(shim, here, name, call, table):
    for number in (1, 2, 3, 5, 8, 13, 21, 34, 55, 89):
        if once(shim, here, name, call, number, table) == 0:
            break  # there are no more calls than that


def objects_once(shim, here, suffix, call, number):
    """Objects of a lane are there with its rows, or neither is."""
    for n in range(LANES):
        np.save(here / f"seg{n}.npy", np.load(here / f"seg{n}.npy")[1])
    flat = [f"seg{n}.npy" for n in range(LANES)]
    code, told = run(
        here,
        ["--headless", "--raw_data", *flat, "--segmentation_image", *flat, "--features", "regionprops:area", "--jobs", "1",
         "--table_only", "--table_filename", "out/t.csv", "--export_objects", f"out/{{nickname}}{suffix}"],
        LD_PRELOAD=str(shim), FAULT_CALL=call, FAULT_NUMBER=str(number), FAULT_PATH="/out/",
    )  # fmt: skip
    assert "Traceback" not in told
    found = {path.name.partition(".")[0] for path in (here / "out").glob(f"seg*{suffix}")}
    assert found == lanes_in(here / "out/t.csv") or "files that lanes share could not be written" in told, (
        told
    )
    assert code != 0 or len(found) == LANES, told
    return code


@pytest.mark.parametrize(
    ("suffix", "number"), [(".zip", 3), pytest.param(".h5ad", 12, marks=pytest.mark.slow)]
)
def test_objects_for_other_programs_that_cannot_be_written(shim, here, suffix, number):
    assert objects_once(shim, here, suffix, "write", number) != 0


@pytest.mark.slow
@pytest.mark.parametrize("call", ["write", "fsync", "rename"])
@pytest.mark.parametrize("suffix", [s for entry in registry.OBJECT_FORMATS for s in entry.suffixes])
@pytest.mark.parametrize("number", [1, 3, 8, 21])
def test_every_call_that_fails_while_objects_are_written(shim, here, suffix, call, number):
    objects_once(shim, here, suffix, call, number)


def test_a_large_file_that_may_not_be_written(here):
    """As a disk that is full, within HDF5."""
    limited = "import resource, sys, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    limited += "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))\n"
    limited += "from objclass.cli import main\nsys.exit(main(sys.argv[1:]))"
    process = subprocess.run(
        [sys.executable, "-c", limited, *options("hdf5", "t.h5")], cwd=here, env=environment(),
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert process.returncode == 3
    assert "File too large" in process.stderr
    check(here, process.returncode, process.stderr, "t.h5")


@pytest.mark.parametrize(
    ("suffix", "name"), [("h5", "compressed hdf5"), pytest.param("n5", "n5", marks=pytest.mark.slow)]
)
def test_several_processes_write_into_one_container(here, suffix, name):
    """Array jobs, each with a dataset of its own: none is lost."""
    (here / "out").mkdir()
    running = [
        start(here, [
            "--headless", "--segmentation_image", f"seg{n}.npy", "--output_format", name,
            "--output_filename_format", "out/all", "--output_internal_path", f"lane{n}",
            "--table_filename", f"out/{n}.csv",
        ])
        for n in range(LANES)
    ]  # fmt: skip
    said = [process.communicate(timeout=120)[1] for process in running]
    assert [process.returncode for process in running] == [0] * LANES, said
    for n in range(LANES):
        assert open_image(f"{here}/out/all.{suffix}/lane{n}").read().max() == n + 1
    assert not list((here / "out").glob(".objclass*"))
    runs = [json.loads(path.read_text()) for path in (here / "out").glob("objclass_run*.json")]
    assert len(runs) == LANES  # a record of each


def seconds_of_children():
    """Of the processor, by processes that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_within_a_second(here, sent):
    """Of the processor, since others may be using it, too; the whole run takes many."""
    big = np.zeros((40, 600, 600), np.uint8)
    big[:, ::7, ::5] = 1
    np.save(here / "seg0.npy", big)
    process = start(here, [*options("compressed hdf5", "t.csv", lanes=[0]), "--features", "regionprops"])
    end = time.monotonic() + 60
    while not list((here / "out").glob(".objclass*")) and time.monotonic() < end:
        time.sleep(0.01)
    assert process.poll() is None
    process.send_signal(sent)
    used = psutil.Process(process.pid).cpu_times()
    before = seconds_of_children()
    _, told = process.communicate(timeout=600)
    assert seconds_of_children() - before - (used.user + used.system) < 3
    assert process.returncode == 128 + sent, told
    assert not images_in(here / "out")
    assert not list((here / "out").glob(".objclass*")) if (here / "out").exists() else True


def killed(here, moment):
    process = start(here, options("compressed hdf5"))
    time.sleep(moment)
    process.kill()
    process.communicate()


def test_what_a_killed_run_leaves_is_removed_by_the_next(here):
    for moment in (0.9, 1.2, 1.5):
        killed(here, moment)
        images_in(here / "out")
        lanes_in(here / "out/t.csv")
    left = list((here / "out").glob(".objclass*.part")) if (here / "out").exists() else []
    code, told = run(here, options("compressed hdf5"))
    check(here, code, told)
    assert code == 0
    if left:  # by the last one; it has removed what was left by those before
        assert "removed unfinished outputs of interrupted runs" in told


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGTERM])
def test_processes_ended_at_any_moment(here, ending):
    rng = random.Random(0)
    for number in range(100 if ending == signal.SIGKILL else 40):
        process = start(here, options(rng.choice(list(SUFFIXES)), rng.choice(["t.csv", "t.h5"])))
        time.sleep(rng.uniform(0.3, 2.5))
        process.send_signal(ending)
        _, told = process.communicate(timeout=60)
        assert process.returncode in (0, 1, 3, -ending, 128 + ending), (number, told)
        if process.returncode != -ending:  # before the handler was there
            assert not list((here / "out").glob(".objclass*")) if (here / "out").exists() else True
        images_in(here / "out")
        lanes_in(here / "out/t.csv"), lanes_in(here / "out/t.h5")
        shutil.rmtree(here / "out", ignore_errors=True)


@pytest.mark.slow
def test_a_folder_that_is_removed_while_it_is_written_to(here):
    rng = random.Random(0)
    for name in ("multi-scale OME-Zarr", "compressed n5", "compressed hdf5"):
        for _ in range(5):
            process = start(here, options(name))
            end = time.monotonic() + 60
            while not (here / "out").exists() and process.poll() is None and time.monotonic() < end:
                time.sleep(0.001)
            time.sleep(rng.uniform(0, 0.05))
            shutil.rmtree(here / "out", ignore_errors=True)
            _, told = process.communicate(timeout=60)
            assert process.returncode in EXITS, told
            if process.returncode == 0:
                assert images_in(here / "out") == {f"seg{n}" for n in range(LANES)}, told
            shutil.rmtree(here / "out", ignore_errors=True)


@pytest.fixture
def disk(here):
    """Mounts a disk of so many kilobytes where outputs go."""
    out = here / "out"
    out.mkdir()

    def mount(*options):
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", out]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("no disks can be mounted here")

    yield mount
    while out.is_mount():
        subprocess.run(["umount", "-l", out], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("table", ["t.csv", "t.h5", "t.parquet", "t.csv.gz"])
@pytest.mark.parametrize("name", SUFFIXES)
def test_a_disk_that_is_full(here, disk, name, table):
    codes = []
    for kilobytes in (4, 8, 12, 16, 24, 32, 48, 64, 1000):
        disk(f"size={kilobytes}k")
        code, told = run(here, options(name, table))
        check(here, code, told, table)
        codes.append(code)
        subprocess.run(["umount", here / "out"], check=True)
    assert codes[0] != 0
    assert codes[-1] == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", ["multi-scale OME-Zarr", "compressed n5", "compressed hdf5", "tif"])
def test_a_disk_that_can_only_be_read_any_more(here, disk, name):
    rng = random.Random(0)
    for _ in range(4):
        disk("size=1m")
        process = start(here, options(name))
        end = time.monotonic() + 60
        while not list((here / "out").iterdir()) and process.poll() is None and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(rng.uniform(0, 0.05))
        subprocess.run(["mount", "-o", "remount,ro", here / "out"], capture_output=True, check=False)
        _, told = process.communicate(timeout=60)
        assert process.returncode in EXITS, told
        assert "Traceback" not in told
        assert images_in(here / "out") <= {f"seg{n}" for n in range(LANES)}
        lanes_in(here / "out/t.csv")
        subprocess.run(["umount", here / "out"], check=True)
