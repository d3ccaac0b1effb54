"""Where arrays lie that memory does not hold: never silently in memory after all."""

import os
import sys
import tempfile
from functools import partial

import numpy as np
import pytest

from objclass.compute import scratch
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.compute.scratch import Scratch, choose_folder


@pytest.fixture
def kind(tmp_path):
    """A RAM disk and a disk; returns a function that says which of them a folder is in."""
    for name in ("ram", "disk"):
        (tmp_path / name).mkdir()
    return lambda path: "tmpfs" if "ram" in str(path) else "ext4"


def test_the_usual_folder_on_a_disk(tmp_path, kind):
    usual = str(tmp_path / "disk")
    assert choose_folder(None, usual, kind) == (usual, "")
    assert choose_folder(usual, usual, kind) == (usual, "")


def test_another_folder_where_the_usual_one_is_in_memory(tmp_path, kind):
    others = (str(tmp_path / "none"), str(tmp_path / "ram"), str(tmp_path / "disk"))
    folder, line = choose_folder(None, "/ram", kind, others)
    assert folder == str(tmp_path / "disk")
    assert (
        line
        == f"scratch data are written to {folder}, since /ram is a RAM disk; set TMPDIR for another folder"
    )


def test_no_disk_at_all(tmp_path, kind):
    folder, line = choose_folder(None, "/ram", kind, (str(tmp_path / "ram"), "/none"))
    assert folder == "/ram"
    assert line == "scratch data use memory: /ram is a RAM disk; set TMPDIR to a folder on a disk"


def test_a_ram_disk_that_was_asked_for(tmp_path, kind):
    ram = str(tmp_path / "ram")
    assert choose_folder(ram, ram, kind) == (ram, f"scratch data use memory: TMPDIR={ram} is a RAM disk")


def test_a_folder_that_was_asked_for_and_cannot_be_had(tmp_path, kind):
    usual = str(tmp_path / "disk")
    folder, line = choose_folder("/nowhere", usual, kind)
    assert folder == usual
    assert line == f"scratch data are written to {usual}, since TMPDIR=/nowhere is not a writable folder"


def test_the_line_is_logged_once_a_run_and_only_when_data_leave_memory(tmp_path, monkeypatch):
    lines = []
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(scratch, "choose_folder", partial(choose_folder, kind=lambda _: "tmpfs"))
    monkeypatch.setattr(scratch.log, "warning", lines.append)
    pixels = np.random.default_rng(0).integers(0, 256, (10, 100), np.uint8)
    context, next_run = Context(), Context()
    small = Scratch(10_000, context.scratch)
    large, other = Scratch(100, context.scratch), Scratch(100, context.within(Limits()).scratch)
    small.put("a", pixels)
    assert not lines
    for key in "ab":
        large.put(key, pixels)
        other.put(key, pixels)
    line = f"scratch data use memory: TMPDIR={tmp_path} is a RAM disk"
    assert lines == [line]
    assert next_run.scratch.path == str(tmp_path)
    assert lines == [line, line]
    for store in (large, other):
        assert np.array_equal(store.get("b", pixels.shape, pixels.dtype), pixels)


@pytest.mark.skipif(sys.platform != "linux", reason="/dev/shm is Linux's")
def test_a_real_ram_disk():
    if not os.access("/dev/shm", os.W_OK):
        pytest.skip("no /dev/shm here")
    assert choose_folder(None, "/dev/shm", others=())[1].startswith("scratch data use memory")
