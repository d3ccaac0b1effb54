"""Damage that HDF5 itself would walk round in for ever."""

import resource
import struct

import h5py
import numpy as np
import pytest

from objclass.errors import ProjectError
from objclass.project import heaps
from objclass.project.heaps import check_heaps
from objclass.project.ilp_values import stored_flag
from objclass.project.open import open_project


def with_texts(path):
    with h5py.File(path, "w") as file:
        for number in range(5):
            file[f"text{number}"] = f"text {number}"  # of variable length: in the global heap
    return path.read_bytes()


def test_good_files_pass(samples, tmp_path):
    data = with_texts(tmp_path / "p.ilp")
    assert b"GCOL" in data
    check_heaps(str(tmp_path / "p.ilp"))
    check_heaps(str(samples / "cells.ilp"))


@pytest.mark.parametrize("first", [(0, 0), (0, 5000), (1, 2**64 - 8), (1, 4096)])
def test_sizes_that_would_not_let_go_are_refused(tmp_path, first):
    path = tmp_path / "p.ilp"
    data = bytearray(with_texts(path))
    at = data.index(b"GCOL")
    data[at + 16 : at + 16 + 16] = struct.pack("<HHIQ", first[0], 1, 0, first[1])
    path.write_bytes(data)
    with pytest.raises(ProjectError, match="texts are damaged"):
        open_project(str(path))


@pytest.mark.parametrize(
    "tail", [b"", b"GCOL", b"GCOL\1\0\0\0" + struct.pack("<Q", 9), b"GCOL" + bytes(5000)]
)
def test_the_letters_alone_are_no_heap(tmp_path, tail):
    path = tmp_path / "p.ilp"
    path.write_bytes(b"x" * 100 + tail)
    check_heaps(str(path))
    path.write_bytes(tail)
    check_heaps(str(path))


def test_a_text_that_claims_gigabytes_is_refused(tmp_path):
    path = tmp_path / "p.ilp"
    with h5py.File(path, "w") as file:
        file["workflowName"] = "text"
        start = file["workflowName"].id.get_offset()
    with path.open("r+b") as file:
        file.seek(start)
        file.write(struct.pack("<I", 2**32 - 1))
    with pytest.raises(ProjectError, match="claims texts of 4294967295 bytes"):
        open_project(str(path))


@pytest.fixture
def large(monkeypatch):
    """As if every file were too large to be looked through."""
    monkeypatch.setattr(heaps, "SCANNED_BYTES", 0)


@pytest.mark.parametrize("first", [(0, 0), (0, 5000), (1, 2**64 - 8), (1, 4096)])
def test_heaps_of_a_large_file_are_looked_at_where_texts_are_read(tmp_path, large, first):
    path = tmp_path / "p.ilp"
    with h5py.File(path, "w") as file:
        file["workflowName"] = "text"
    data = bytearray(path.read_bytes())
    at = data.index(b"GCOL")
    data[at + 16 : at + 16 + 16] = struct.pack("<HHIQ", first[0], 1, 0, first[1])
    path.write_bytes(data)
    with pytest.raises(ProjectError, match="texts are damaged"):
        open_project(str(path))


def test_a_large_project_is_not_read_whole(samples, tmp_path):
    """A stored image of which nothing is needed makes no difference."""
    path = tmp_path / "p.ilp"
    path.write_bytes((samples / "cells.ilp").read_bytes())
    with h5py.File(path, "a") as file:
        file["ObjectExtraction/RegionFeatures/big"] = np.zeros(heaps.SCANNED_BYTES // 4, np.float32)
    before = resource.getrusage(resource.RUSAGE_SELF)
    open_project(str(path))
    after = resource.getrusage(resource.RUSAGE_SELF)
    pages = after.ru_minflt + after.ru_majflt - before.ru_minflt - before.ru_majflt
    assert pages * 4096 < heaps.SCANNED_BYTES // 2


def test_texts_in_an_attribute_are_not_read(tmp_path, large):
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file["names"] = [1, 2]
        file["names"].attrs["isEmpty"] = "yes"
        assert not stored_flag(file["names"], "isEmpty")
        file["names"].attrs["isEmpty"] = np.bool_(True)
        assert stored_flag(file["names"], "isEmpty")
