"""Packed chunks are unpacked past HDF5, and give what HDF5 gives; what is packed here, HDF5 unpacks."""

import os
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.core import PixelSize
from objclass.errors import ImageError
from objclass.images import open_image
from objclass.images.chunked import packed
from objclass.images.formats.hdf5 import CompressedHdf5Writer, Hdf5Writer
from objclass.images.writer import OutputImage
from tests.conftest import examples

SHAPE = (30, 41, 37)

FILTERS: dict[str, dict[str, Any]] = {
    "gzip": {"compression": "gzip", "compression_opts": 1},
    "shuffled gzip": {"compression": "gzip", "shuffle": True},
    "lzf": {"compression": "lzf"},
    "shuffled lzf": {"compression": "lzf", "shuffle": True},
    "checksum": {"compression": "gzip", "fletcher32": True},
    "shuffle only": {"shuffle": True},
    "none": {},
}


def stored(path: Path, pixels: Any, chunks: Any = (16, 24, 32), **options: Any) -> str:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=pixels, chunks=chunks, **options)
    return str(path)


def smooth(dtype: str, shape: tuple[int, ...] = SHAPE) -> Any:
    return (np.indices(shape).sum(axis=0) // 5).astype(dtype)


@pytest.mark.parametrize("filters", FILTERS)
@pytest.mark.parametrize("dtype", ["u1", ">u2", "<f8"])
@examples(5)
@given(data=st.data())
def test_regions_are_those_of_h5py(tmp_path_factory: Any, filters: str, dtype: str, data: Any) -> None:
    pixels = smooth(dtype)
    pixels[::3] = np.random.default_rng(0).integers(0, 200, pixels[::3].shape)
    path = stored(tmp_path_factory.mktemp("h") / "a.h5", pixels, **FILTERS[filters])
    image = open_image(path)
    for _ in range(3):
        bounds = [sorted(data.draw(st.tuples(st.integers(0, n - 1), st.integers(1, n)))) for n in SHAPE]
        z, y, x = (slice(a, max(b, a + 1)) for a, b in bounds)
        read = image.read((slice(0, 1), z, y, x, slice(0, 1)))
        assert np.array_equal(read[0, ..., 0], pixels[z, y, x])
    assert np.array_equal(image.read()[0, ..., 0], pixels)


def test_known_filters_are_undone_here(tmp_path: Path) -> None:
    ours = {}
    for name, options in FILTERS.items():
        with h5py.File(stored(tmp_path / "a.h5", smooth("u1"), **options)) as file:
            ours[name] = packed.unpacker(file["data"]) is not None
    assert [name for name, is_ours in ours.items() if is_ours] == [
        "gzip",
        "shuffled gzip",
        "lzf",
        "shuffled lzf",
    ]
    tiny = stored(tmp_path / "b.h5", smooth("u1"), chunks=(4, 4, 4), compression="gzip")
    with h5py.File(tiny) as file:
        assert packed.unpacker(file["data"]) is None


def test_chunks_never_written_have_the_fill_value(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset(
            "data", (64, 64), "u2", chunks=(32, 64), compression="gzip", fillvalue=9
        )
        dataset[:32] = 5
        assert dataset.id.get_num_chunks() == 1
    rows = open_image(f"{tmp_path}/a.h5").read()[0, 0, :, :, 0]
    assert (rows[:32] == 5).all()
    assert (rows[32:] == 9).all()


def test_chunks_of_which_a_filter_was_left_out_are_left_to_hdf5(tmp_path: Path) -> None:
    whole = smooth("u2", (128, 64))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("data", (128, 64), "u2", chunks=(64, 64), compression="gzip")
        dataset.id.write_direct_chunk((0, 0), whole[:64].tobytes(), filter_mask=1)
        dataset.id.write_direct_chunk((64, 0), zlib.compress(whole[64:].tobytes()))
    assert np.array_equal(open_image(f"{tmp_path}/a.h5").read()[0, 0, ..., 0], whole)


@pytest.mark.parametrize("chunk", [b"no deflate stream", zlib.compress(b"too short")])
def test_damaged_chunk(tmp_path: Path, chunk: bytes) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        dataset = file.create_dataset("data", (128, 64), "u2", chunks=(64, 64), compression="gzip")
        dataset.id.write_direct_chunk((64, 0), chunk)
    image = open_image(f"{tmp_path}/a.h5")
    with pytest.raises(ImageError, match="cannot be read, the file may be damaged: .+"):
        image.read()


def test_a_file_that_changed_is_read_again(tmp_path: Path) -> None:
    region = (slice(0, 1), slice(1, 2), slice(0, 41), slice(0, 37), slice(0, 1))
    for value in (3, 4):
        path = stored(tmp_path / "a.h5", np.full(SHAPE, value, "u1"), compression="gzip")
        os.utime(path, ns=(value, value))
        assert (open_image(path).read(region) == value).all()


def unpacked_bytes(monkeypatch: pytest.MonkeyPatch, path: str, depth: int, context: Context) -> list[int]:
    """Chunks fetched by each of the slabs of a given depth."""
    fetched: list[Any] = []
    original = packed._packed
    monkeypatch.setattr(packed, "_packed", lambda d, p: fetched.append(p) or original(d, p))
    image, counts = open_image(path, context=context), []
    for z in range(0, SHAPE[0], depth):
        before = len(fetched)
        stop = min(z + depth, SHAPE[0])
        image.read((slice(0, 1), slice(z, stop), slice(0, 41), slice(0, 37), slice(0, 1)))
        counts.append(len(fetched) - before)
    return counts


def test_what_is_kept_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stored(tmp_path / "a.h5", smooth("u1"), compression="gzip")  # 2 layers of 4 chunks of 12288 bytes
    context = Context(Limits(memory=6 << 20))
    assert unpacked_bytes(monkeypatch, path, 8, context) == [4, 0, 4, 0]
    assert context.chunks.bytes == 8 * 12288
    little = Context(Limits(memory=6 * 40000))
    assert unpacked_bytes(monkeypatch, path, 8, little) == [4, 2, 4, 2]  # as many as may be
    assert little.chunks.bytes <= 40000
    little = Context(Limits(memory=6 * 40000))
    assert unpacked_bytes(monkeypatch, path, 16, little) == [4, 4]
    assert little.chunks.bytes == 0  # whole chunks need not be kept


def test_no_file_stays_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    open_image(stored(tmp_path / "a.h5", smooth("u1"), compression="gzip")).read()
    writer = CompressedHdf5Writer(f"{tmp_path}/b.h5", OutputImage("yx", (5, 5), np.dtype("u1")))
    writer.write((slice(0, 5), slice(0, 5)), np.zeros((5, 5), np.uint8))
    writer.close()
    after = len(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else 0
    assert after == before


def test_a_fault_in_packing_is_raised_and_the_file_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Any) -> bytes:
        message = "no memory"
        raise MemoryError(message)

    monkeypatch.setattr(CompressedHdf5Writer, "_pack", staticmethod(fail))
    writer = CompressedHdf5Writer(f"{tmp_path}/b.h5", OutputImage("yx", (5, 5), np.dtype("u1")))
    writer._grid.waiting[0, 0] = (np.zeros((5, 5), np.uint8), 1)
    with pytest.raises(MemoryError, match="no memory"):
        writer.close()
    assert not writer._container.h5


@pytest.mark.parametrize("writer_class", [Hdf5Writer, CompressedHdf5Writer])
def test_a_block_may_change_after_it_was_written(tmp_path: Path, writer_class: Any) -> None:
    image = OutputImage("zyx", (90, 90, 90), np.dtype("u1"))
    writer = writer_class(f"{tmp_path}/b.h5", image)
    block = np.empty((10, 90, 90), np.uint8)
    for z in range(0, 90, 10):
        block[...] = z
        writer.write((slice(z, z + 10), slice(0, 90), slice(0, 90)), block)
    writer.close()
    with h5py.File(tmp_path / "b.h5") as file:
        assert file["exported_data"][:, 3, 3].tolist() == [z // 10 * 10 for z in range(90)]


def test_element_size(tmp_path: Path) -> None:
    size = PixelSize(500, 250, 2000, "nm")
    writer = Hdf5Writer(f"{tmp_path}/a.h5", OutputImage("yx", (5, 5), np.dtype("u1"), pixel_size=size))
    writer.close()
    with h5py.File(tmp_path / "a.h5") as file:
        assert file["exported_data"].attrs["element_size_um"].tolist() == [2.0, 0.25, 0.5]
