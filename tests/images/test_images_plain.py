"""Pixels as they are in a file: stretches, and what is none."""

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objclass.images.formats.plain import PlainFile, PlainStore
from tests.conftest import examples


@examples(50)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=5), st.sampled_from(["<u2", ">u2", "f4"]), st.data())
def test_regions_are_read_and_written_in_their_place(tmp_path_factory, shape, dtype, data):
    path = str(tmp_path_factory.mktemp("p") / "a.bin")
    whole = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    with open(path, "wb") as file:
        file.write(b"head" + np.zeros(shape, dtype).tobytes())
    sink = PlainFile(path, 4, tuple(shape), np.dtype(dtype))
    cuts = [data.draw(st.integers(0, n)) for n in shape]
    for corner in np.ndindex(*(2,) * len(shape)):
        region = tuple(
            slice(0, cut) if low == 0 else slice(cut, n)
            for low, cut, n in zip(corner, cuts, shape, strict=True)
        )
        if all(part.start < part.stop for part in region):
            sink.write(region, np.asfortranarray(whole[region]))
    sink.close()
    for order in ("C", "F"):
        if order == "F":
            with open(path, "r+b") as file:
                file.write(b"head" + whole.tobytes("F"))
        stored = PlainStore(path, 4, tuple(shape), np.dtype(dtype), order)
        region = tuple(sorted(data.draw(st.tuples(st.integers(0, n - 1), st.integers(1, n)))) for n in shape)
        region = tuple(slice(a, max(b, a + 1)) for a, b in region)
        assert np.array_equal(stored.read(region), whole[region])


def test_a_full_disk_is_told(tmp_path, monkeypatch):
    if not (tmp_path.__class__("/dev/full")).exists():
        pytest.skip("no /dev/full")
    sink = PlainFile("/dev/full", 0, (300, 300), np.dtype("u1"))  # more than waits in a buffer
    with pytest.raises(OSError, match="No space"):
        sink.write((slice(0, 300), slice(0, 300)), np.zeros((300, 300), np.uint8))
    sink.close()


@pytest.mark.skipif(not hasattr(os, "posix_fadvise"), reason="there is no such advice")
@pytest.mark.parametrize("large", [False, True])
def test_the_system_lets_go_of_large_files(tmp_path, monkeypatch, large):
    advice = []
    monkeypatch.setattr("objclass.images.formats.plain.LARGE_BYTES", 100 if large else 1000)
    monkeypatch.setattr(os, "posix_fadvise", lambda *given: advice.append(given[-1]))
    path = tmp_path / "a"
    path.write_bytes(bytes(200))
    sink = PlainFile(str(path), 0, (2, 100), np.dtype("u1"))
    for row in range(2):
        sink.write((slice(row, row + 1), slice(0, 100)), np.full((1, 100), row + 1, np.uint8))
    sink.close()
    assert advice == [os.POSIX_FADV_DONTNEED] * (2 if large else 0)
    assert path.read_bytes() == b"\1" * 100 + b"\2" * 100
