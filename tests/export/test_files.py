"""What is left where: partial tables, leftovers of killed runs, modes, locks, rollback."""

import errno
import json
import os
import stat
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest

from objclass.batch import task
from objclass.batch.digests import file_entry
from objclass.cli import main
from objclass.compute import lock
from objclass.compute.hdf5_file import Hdf5File
from objclass.errors import OutputError
from objclass.export import atomic
from objclass.export.atomic import Pending, clear_leftovers, lock_file
from objclass.images.formats.hdf5 import Hdf5Container

LANES = 3


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for n in range(LANES):
        squares = np.zeros((6, 40), np.uint8)
        for k in range(n + 1):
            squares[1:4, 5 * k : 5 * k + 3] = 1
        np.save(f"seg{n}.npy", squares)
    return tmp_path


def run(*more, table="out/t.csv", lanes=range(LANES)):
    return main([
        *("--headless", "--quiet", "--segmentation_image", *(f"seg{n}.npy" for n in lanes)),
        *("--features", "regionprops:area", "--jobs", "1", "--table_filename", table, "--output_format", "numpy"),
        *("--output_filename_format", "out/{nickname}", *more),
    ])  # fmt: skip


def fail_at(monkeypatch, number):
    """The n-th lane fails while its pixels are read."""
    run_lane = task.run_lane

    def failing(lane, *more):
        if lane.nickname == f"seg{number}":
            message = "a fault"
            raise OSError(message)
        return run_lane(lane, *more)

    monkeypatch.setattr(task, "run_lane", failing)


def records(folder):
    return [json.loads(path.read_text()) for path in sorted(folder.glob("objclass_run*.json"))]


# --- partial tables


@pytest.mark.parametrize("suffix", ["csv", "tsv", "h5"])
def test_a_part_of_a_table_does_not_replace_a_complete_one(here, monkeypatch, capsys, suffix):
    table = f"out/t.{suffix}"
    assert run(table=table) == 0
    complete = Path(table).read_bytes()
    with monkeypatch.context() as patch:
        fail_at(patch, 2)
        assert run(table=table) == 1
        assert run(table=table) == 1
    assert Path(table).read_bytes() == complete
    assert (
        f"out/t.partial.{suffix} is incomplete: 2 of 3 lanes: {table} is of an earlier run and stays"
        in capsys.readouterr().err
    )
    first, second = (Path(f"out/t.partial{n}.{suffix}") for n in ("", "2"))
    assert run(table=f"out/two.{suffix}", lanes=range(2)) == 0
    assert first.read_bytes() == second.read_bytes() == Path(f"out/two.{suffix}").read_bytes()


def test_the_run_file_says_what_is_partial_and_what_was_not_run(here, monkeypatch):
    fail_at(monkeypatch, 1)
    assert run() == 1
    (record,) = records(here / "out")
    assert [lane["status"] for lane in record["lanes"]] == ["done", "failed", "not run"]
    assert record["partial"] == [{"output": "out/t.csv", "written": "out/t.csv", "lanes": 1, "of": 3}]


def test_every_run_keeps_its_record(here):
    for _ in range(3):
        assert run() == 0
    found = records(here / "out")
    assert len({record["run"] for record in found}) == 3
    (here / "out/objclass_run.json").write_text("{}")  # of an earlier version
    assert run() == 0
    assert len(list((here / "out").glob("objclass_run_*.json"))) == 3


def test_a_record_is_of_the_files_as_the_run_found_them(here):
    """Also where two runs of one process read a file that was changed between them."""
    for value in (1, 2):
        np.save("seg0.npy", np.full((9, 9), value, np.uint8))
        assert run(lanes=[0]) == 0
    digests = [record["lanes"][0]["inputs"][0]["files"][0]["sha256"] for record in records(here / "out")]
    assert len(set(digests)) == 2


def test_what_was_removed_while_the_run_went_on_is_not_called_done(here, monkeypatch, capsys):
    run_lane, begun = task.run_lane, []

    def removing(*given, **more):
        begun.append(1)
        if len(begun) == 3:
            Path("out/seg0.npy").unlink()
        return run_lane(*given, **more)

    monkeypatch.setattr(task, "run_lane", removing)
    assert run() == 1
    assert f"removed by somebody since it was written: {here / 'out/seg0.npy'}" in capsys.readouterr().err
    (record,) = records(here / "out")
    assert "out/seg0.npy" in record["error"]


def test_digests_read_no_more_than_the_head(here):
    path = here / "large.bin"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole: read whole, it would take minutes
    entry = file_entry(str(path))
    assert (entry["size"], len(entry["sha256_head"])) == (1 << 40, 64)
    (here / "plate.zarr/A/1/0").mkdir(parents=True)
    (here / "plate.zarr/.zattrs").write_text("{}")
    (here / "plate.zarr/A/1/0/chunk").symlink_to(path)
    assert len(file_entry(str(here / "plate.zarr"))["sha256_head"]) == 64


# --- containers


CONTAINER = ("--output_filename_format", "out/all", "--output_internal_path", "{nickname}")


@pytest.mark.parametrize(("name", "suffix"), [("compressed hdf5", "h5"), ("n5", "n5")])
def test_a_lane_that_fails_leaves_a_container_as_if_it_had_not_begun(here, monkeypatch, name, suffix):
    with monkeypatch.context() as patch:
        fail_at(patch, 2)
        assert run("--output_format", name, *CONTAINER) == 1
    assert (
        run("--output_format", name, *CONTAINER, "--output_filename_format", "out/two", lanes=range(2)) == 0
    )
    all_, two = (here / f"out/{stem}.{suffix}" for stem in ("all", "two"))
    if suffix == "h5":
        assert all_.read_bytes() == two.read_bytes()
    else:
        assert [p.relative_to(all_) for p in sorted(all_.rglob("*"))] == [
            p.relative_to(two) for p in sorted(two.rglob("*"))
        ]


def test_a_container_is_not_copied_for_each_lane(here, monkeypatch):
    opened, closed = [], []
    begin, close = Hdf5Container.__init__, Hdf5Container.close
    monkeypatch.setattr(
        Hdf5Container, "__init__", lambda self, path: (opened.append(path), begin(self, path))[1]
    )
    monkeypatch.setattr(
        Hdf5Container, "close", lambda self, old=None: (closed.append(old), close(self, old))[1]
    )
    for _ in range(2):
        assert run("--output_format", "hdf5", *CONTAINER) == 0
    assert len(opened) == 2
    assert closed == [None, str(here / "out/all.h5")]


def test_an_interrupted_run_does_not_copy_what_it_adds_to(here, monkeypatch):
    assert run("--output_format", "hdf5", *CONTAINER, lanes=[0]) == 0
    before = (here / "out/all.h5").read_bytes()
    closed = []
    close = Hdf5Container.close
    monkeypatch.setattr(
        Hdf5Container, "close", lambda self, old=None: (closed.append(old), close(self, old))[1]
    )
    fail_at(monkeypatch, 2)
    assert run("--output_format", "hdf5", *CONTAINER, lanes=[1, 2]) == 1
    assert closed == [None]
    assert (here / "out/all.h5").read_bytes() == before
    with h5py.File("out/all.partial.h5") as file:
        assert list(file) == ["seg1"]


def test_a_place_within_a_dataset_is_refused_before_the_run(here, capsys):
    (here / "out").mkdir()
    with h5py.File("out/all.h5", "w") as file:
        file["a"] = np.zeros(3)
    inside = ("--output_filename_format", "out/all", "--output_internal_path", "a/{nickname}")
    assert run("--output_format", "hdf5", *inside) == 2
    assert "a is a dataset, expected a group" in capsys.readouterr().err
    assert os.listdir("out") == ["all.h5"]


def test_hdf5_goes_back_to_what_was_whole(tmp_path):
    file = Hdf5File(str(tmp_path / "a.h5"))
    file.h5["kept"] = np.arange(1000)
    file.flush()
    file.mark()
    before = (tmp_path / "a.h5").read_bytes()
    file.h5["group/dropped"] = np.arange(5000)
    file.h5["kept"][3] = 77
    file.close()
    assert (tmp_path / "a.h5").read_bytes() != before
    file.undo()
    assert (tmp_path / "a.h5").read_bytes() == before
    file.h5["more"] = 1
    file.close()
    with h5py.File(tmp_path / "a.h5") as found:
        assert (sorted(found), found["kept"][3]) == (["kept", "more"], 3)


# --- locks


def test_a_table_that_another_run_writes_is_refused(here, capsys):
    (here / "out").mkdir()
    with lock.held(lock_file("out/t.csv")):
        assert run() == 2
    assert "out/t.csv: another run is writing it" in capsys.readouterr().err
    assert os.listdir("out") == []
    assert run() == 0


def test_a_file_system_without_locks_is_written_to(here, monkeypatch):
    """As Lustre without its option ``flock``: no endless loop, and nothing of others is taken for a leftover."""

    def refuse(*_):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    pending = Pending()
    part = Path(pending.add("out/other.csv"))
    part.write_text("of a run that goes on")
    assert run() == 0
    assert part.read_text() == "of a run that goes on"
    pending.discard()
    assert sorted(os.listdir("out")) == ["objclass_run.json", "seg0.npy", "seg1.npy", "seg2.npy", "t.csv"]


def test_a_lock_that_a_dead_process_left_is_no_hindrance(here):
    (here / "out").mkdir()
    Path(lock_file("out/t.csv")).touch()
    assert run() == 0
    assert not list((here / "out").glob(".objclass*"))


# --- leftovers

LEAVE = """
import os, sys
from pathlib import Path
from objclass.export.atomic import Pending
pending = Pending()
Path(pending.add(sys.argv[1])).mkdir()
if len(sys.argv) > 2:  # killed between the two renames
    rename = os.rename
    def killed(source, target):
        rename(source, target)
        os._exit(9)
    os.rename = killed
    pending.commit()
os._exit(9)
"""


def leave(path, *more):
    environment = os.environ | {"PYTHONPATH": str(Path(atomic.__file__).parents[2])}
    subprocess.run([sys.executable, "-c", LEAVE, path, *more], env=environment, check=False)
    (left,) = Path(path).parent.glob(".objclass-*.part")
    return left


def test_leftovers_are_removed_and_named(here, capsys):
    left = leave(str(here / "a.n5"))
    clear_leftovers(here)
    assert not left.exists()


def test_a_folder_that_had_stepped_aside_comes_back(here):
    (here / "a.n5").mkdir()
    (here / "a.n5/data").write_text("mine")
    leave(str(here / "a.n5"), "killed")
    assert not (here / "a.n5").exists()
    clear_leftovers(here)
    assert (here / "a.n5/data").read_text() == "mine"
    assert not list(here.glob(".objclass*"))


def test_parts_that_are_being_written_stay(here):
    pending = Pending()
    part = Path(pending.add(str(here / "a.txt")))
    part.write_text("half")
    other = Pending()  # as another run, even of the same process number
    Path(other.add(str(here / "b.txt"))).write_text("half")
    assert part.exists()
    pending.discard()
    other.discard()
    assert not list(here.glob(".objclass*"))


def test_parts_of_other_hosts_stay_for_a_day(here):
    left = leave(str(here / "a.n5"))
    elsewhere = left.rename(left.with_name(".objclass-elsewhere-1-abcdefgh.part"))
    clear_leftovers(here)
    assert elsewhere.exists()
    os.utime(elsewhere, (time.time() - 2 * atomic.FORGOTTEN,) * 2)
    clear_leftovers(here)
    assert not elsewhere.exists()


def test_links_of_that_name_are_not_followed(here, tmp_path_factory):
    away = tmp_path_factory.mktemp("away")
    (away / "lock").touch()
    (here / ".objclass-localhost-1-abcdefgh.part").symlink_to(away)
    clear_leftovers(here)
    assert (away / "lock").exists()


# --- replacing


def test_mode_and_group_stay(here):
    path = here / "a.txt"
    path.write_text("old")
    path.chmod(0o640)
    pending = Pending()
    Path(pending.add(str(path))).write_text("new")
    pending.commit()
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("new", 0o640)


def test_if_one_cannot_get_its_name_all_are_as_before(here, monkeypatch):
    (here / "a.txt").write_text("old")
    pending = Pending()
    for name in ("a.txt", "b.txt", "c.txt"):
        Path(pending.add(str(here / name))).write_text("new")
    replace = os.replace

    def failing(source, target):
        if str(target).endswith("c.txt"):
            message = "no"
            raise OSError(message)
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(OSError, match="no"):
        pending.commit()
    pending.discard()
    assert (here / "a.txt").read_text() == "old"
    assert not (here / "b.txt").exists()
    assert not list(here.glob(".objclass*"))


def test_a_folder_that_is_gone_is_a_failure(here):
    pending = Pending()
    part = Path(pending.add(str(here / "out/a.txt")))
    import shutil

    shutil.rmtree(here / "out")
    part.parent.mkdir(parents=True)
    part.write_text("new")
    with pytest.raises(OutputError, match="the folder was removed while outputs were written there"):
        pending.commit()
    pending.discard()
