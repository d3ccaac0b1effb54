"""Strangers' files: nothing is read but what was named, and no claim is believed before it is looked at."""

import json
import os
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile

from objclass.compute.context import Context
from objclass.errors import ImageError
from objclass.images import open_image
from tests.contracts.test_readers import ome_set, save_n5

PLANE = np.arange(20 * 30, dtype=np.uint16).reshape(20, 30)


def refused(spec: Path | str, *words: str) -> None:
    began = time.monotonic()
    with pytest.raises(ImageError) as refusal:
        open_image(str(spec)).read()
    assert time.monotonic() - began < 2
    assert "\n" not in str(refusal.value)
    for word in words:
        assert word in str(refusal.value)


# ---------------------------------------------------------------------- what leads elsewhere


@pytest.fixture(name="leading")
def _leading(tmp_path: Path) -> Path:
    """An HDF5 file whose members lead to ``other.h5``, to bytes of a text, to a pipe."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text("secret" * 200)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = PLANE
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["own"] = PLANE
        file["soft"] = h5py.SoftLink("/own")
        file["link"] = h5py.ExternalLink("other.h5", "/data")
        file["pipe"] = h5py.ExternalLink("pipe", "/data")
        file["soft to link"] = h5py.SoftLink("/link")
        file["circle"] = h5py.SoftLink("/circle")
        file.create_dataset("text", (20, 30), np.uint16, external=[(str(tmp_path / "text"), 0, 1200)])
        for name, source in (
            ("virtual", ("other.h5", "data")),
            ("within", (".", "own")),
            ("about", (".", "link")),
        ):
            layout = h5py.VirtualLayout((20, 30), np.uint16)
            layout[:] = h5py.VirtualSource(*source, shape=(20, 30))
            file.create_virtual_dataset(name, layout)
    return tmp_path / "a.h5"


@pytest.mark.parametrize("name", ["link", "pipe", "soft to link", "text", "virtual", "about"])
def test_hdf5_leads_nowhere(leading: Path, name: str) -> None:
    refused(f"{leading}/{name}", "is in another file", "--follow_links")


@pytest.mark.parametrize("name", ["link", "soft to link", "virtual", "about"])
def test_hdf5_leads_where_it_is_allowed(leading: Path, name: str) -> None:
    image = open_image(f"{leading}/{name}", context=Context(follow_links=True))
    assert np.array_equal(image.read()[0, 0, :, :, 0], PLANE)


def test_pipes_are_never_waited_for(leading: Path) -> None:
    with pytest.raises(ImageError, match="is a pipe, expected a file"):
        open_image(f"{leading}/pipe", context=Context(follow_links=True))
    for suffix in ("h5", "tif", "png", "npy", "zip", "npz"):
        os.mkfifo(leading.with_name(f"b.{suffix}"))
        refused(leading.with_name(f"b.{suffix}"), "is a pipe, expected a file")


@pytest.mark.parametrize("name", ["own", "soft", "within"])
def test_hdf5_within_a_file(leading: Path, name: str) -> None:
    assert np.array_equal(open_image(f"{leading}/{name}").read()[0, 0, :, :, 0], PLANE)


def test_circles_of_links(leading: Path) -> None:
    refused(f"{leading}/circle", "circle")


def zarr_store(path: Path) -> tuple[Path, Path]:
    import zarr

    zarr.create_array(str(path), data=PLANE, chunks=(10, 10), zarr_format=2)
    return path, path / "0.0"


def n5_store(path: Path) -> tuple[Path, Path]:
    save_n5(path / "a", PLANE)
    return path, path / "a" / "0" / "0"


@pytest.mark.parametrize(("suffix", "make"), [("zarr", zarr_store), ("n5", n5_store)])
def test_chunks_that_are_links(
    tmp_path: Path, suffix: str, make: Callable[[Path], tuple[Path, Path]]
) -> None:
    store, chunk = make(tmp_path / f"a.{suffix}")
    image = open_image(str(store))
    chunk.rename(chunk.with_name("9.9"))
    chunk.symlink_to(chunk.with_name("9.9"))
    assert np.array_equal(image.read()[0, 0, :, :, 0], PLANE)
    outside = tmp_path / "outside"
    chunk.with_name("9.9").rename(outside)
    chunk.unlink()
    chunk.symlink_to(outside)
    refused(store, "leads out of", "outside", "--follow_links")
    assert np.array_equal(
        open_image(str(store), context=Context(follow_links=True)).read()[0, 0, :, :, 0], PLANE
    )
    chunk.unlink()
    os.mkfifo(chunk)
    refused(store, "is a pipe, expected a file")


def test_a_zarr_store_that_holds_itself(tmp_path: Path) -> None:
    import zarr

    group = zarr.open_group(str(tmp_path / "a.zarr"), zarr_format=2)
    group.create_array("data", data=PLANE)
    for name in "pq":
        (tmp_path / "a.zarr" / name).symlink_to(tmp_path / "a.zarr")
    refused(tmp_path / "a.zarr", "is a link within its store")


def test_zarr_objects_are_not_unpickled(tmp_path: Path) -> None:
    store, _ = zarr_store(tmp_path / "a.zarr")
    header = json.loads((store / ".zarray").read_text())
    for part in ({"filters": [{"id": "pickle"}]}, {"compressor": {"id": "pickle"}}):
        (store / ".zarray").write_text(json.dumps(header | part))
        refused(store, "a.zarr")


def test_companions_of_ome_tiff(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    planes = np.stack([PLANE, PLANE[::-1]])
    ome_set(folder, planes[None], [("b", 0), ("a", 0)], [{}])
    path = folder / "a.ome.tif"
    assert np.array_equal(open_image(str(path)).read()[0, ..., 0], planes)
    (folder / "b.ome.tif").rename(tmp_path / "b.ome.tif")
    (folder / "b.ome.tif").symlink_to(tmp_path / "b.ome.tif")
    refused(path, "b.ome.tif: leads out of", "--follow_links")
    assert np.array_equal(open_image(str(path), context=Context(follow_links=True)).read()[0, ..., 0], planes)
    (folder / "b.ome.tif").unlink()
    os.mkfifo(folder / "b.ome.tif")
    refused(path, "is a pipe, expected a file")
    for name in ("../b.ome.tif", "/dev/zero"):
        data = f'<TiffData FirstZ="1" PlaneCount="1"><UUID FileName="{name}">urn:uuid:b</UUID></TiffData>'
        text = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:a">'
            '<Image ID="I:0"><Pixels ID="P:0" DimensionOrder="XYZCT" Type="uint16" SizeX="30" SizeY="20" SizeZ="2" '
            f'SizeC="1" SizeT="1"><TiffData PlaneCount="1"/>{data}</Pixels></Image></OME>'
        )
        tifffile.imwrite(tmp_path / "set" / "c.ome.tif", PLANE, description=text, metadata=None)
        refused(tmp_path / "set" / "c.ome.tif", f"{name}: leads out of")


def test_pointers_of_git_lfs(tmp_path: Path) -> None:
    for name in ("a.tif", "a.png", "a.h5", "a.npy", "a.npz", "a.zip"):
        (tmp_path / name).write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
        refused(tmp_path / name, f"{name}: is a Git LFS pointer", "git lfs pull")


# ---------------------------------------------------------------------- claims


def test_planes_that_ome_claims(tmp_path: Path) -> None:
    for size, count in (("SizeZ", 2 * 10**9), ("SizeX", 10**15)):
        sizes = {"SizeX": 30, "SizeY": 20, "SizeZ": 1, "SizeC": 1, "SizeT": 1} | {size: count}
        told = " ".join(f'{name}="{n}"' for name, n in sizes.items())
        text = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="I:0">'
            f'<Pixels ID="P:0" DimensionOrder="XYZCT" Type="uint16" {told}><TiffData/></Pixels></Image></OME>'
        )
        tifffile.imwrite(tmp_path / "a.ome.tif", PLANE, description=text, metadata=None)
        refused(tmp_path / "a.ome.tif", "planes, expected at most 1048576")


def directories(path: Path) -> list[int]:
    with tifffile.TiffFile(path) as file:
        return [page.offset for page in file.pages]


def test_directories_in_a_circle(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for _ in range(150):  # tifffile looks at the hundredth
            writer.write(PLANE[:2, :2], contiguous=False, metadata=None)
    offsets, data = directories(path), bytearray(path.read_bytes())
    (tags,) = struct.unpack_from("<H", data, offsets[-1])
    struct.pack_into("<I", data, offsets[-1] + 2 + 12 * tags, offsets[120])
    path.write_bytes(data)
    refused(path, "go round in a circle")


def test_directories_that_overlap(tmp_path: Path) -> None:
    """Each one begins two bytes after the last: of nothing but pointers to the next."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PLANE, metadata=None)
    data = bytearray(path.read_bytes())
    first = directories(path)[0]
    (tags,) = struct.unpack_from("<H", data, first)
    start = len(data)
    struct.pack_into("<I", data, first + 2 + 12 * tags, start)
    # 170 tags, the pointer behind them: it is in the middle of those of the others
    many, step = 170, 8
    size = 2 + 12 * many + 4
    block = bytearray(size + 200 * step)
    for k in range(200):
        struct.pack_into("<H", block, step * k, many)
        struct.pack_into("<I", block, step * k + size - 4, start + step * (k + 1))
    path.write_bytes(bytes(data) + bytes(block))
    refused(path, "overlap")


def bmp(side: int) -> bytes:
    return struct.pack("<2sIHHIIiiHHIIiiII", b"BM", 54, 0, 0, 54, 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)


def gif(side: int) -> bytes:
    return b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6) + b"," + struct.pack(
        "<HHHHB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\x00;"  # fmt: skip


def png(side: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    body = b"IDAT" + zlib.compress(bytes(1000))
    parts = (
        struct.pack(">I", len(p) - 4) + p + struct.pack(">I", zlib.crc32(p)) for p in (header, body, b"IEND")
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg(side: int) -> bytes:
    data = bytearray(imagecodecs.jpeg8_encode(np.zeros((16, 16), np.uint8)))
    place = data.index(b"\xff\xc0") + 5
    struct.pack_into(">HH", data, place, side, side)
    return bytes(data)


CLAIMS: dict[str, Callable[[], bytes]] = {
    "a.bmp": lambda: bmp(60_000),
    "a.gif": lambda: gif(60_000),
    "a.png": lambda: png(60_000),
    "a.jpg": lambda: jpeg(60_000),
    "a.pgm": lambda: b"P5 60000 60000 255\n" + bytes(100),
    "a.ras": lambda: struct.pack(">8I", 0x59A66A95, 60_000, 60_000, 8, 0, 2, 0, 0) + bytes(100),
    "a.hdr": lambda: b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 60000 +X 60000\n" + bytes(100),
}


@pytest.mark.parametrize("name", CLAIMS)
def test_shapes_that_files_cannot_hold(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(CLAIMS[name]())
    with pytest.raises(ImageError, match=r"claims a shape of \(60000, 60000, \d\).* is it damaged"):
        open_image(str(tmp_path / name))


def test_an_image_larger_than_pillow_allows(tmp_path: Path) -> None:
    from PIL import Image as Pillow

    before = Pillow.MAX_IMAGE_PIXELS
    side = 14_000  # twice its limit is an error there
    Pillow.new("1", (2 * side, side)).save(tmp_path / "a.bmp")
    image = open_image(str(tmp_path / "a.bmp"))
    assert image.shape == (1, 1, side, 2 * side, 1)
    assert before == Pillow.MAX_IMAGE_PIXELS


def test_zip_members_without_a_bound(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("a.npy", bytes(1000))
    refused(tmp_path / "a.npz", "packed by method 12")


@pytest.mark.parametrize("packing", ["gzip", "bzip2", "xz", "zstd", "blosc"])
def test_n5_chunks_that_unpack_to_more(tmp_path: Path, packing: str) -> None:
    folder = tmp_path / "a.n5" / "a"
    (folder / "0").mkdir(parents=True)
    (folder / "attributes.json").write_text(json.dumps(
        {"dimensions": [30, 20], "blockSize": [30, 20], "dataType": "uint16", "compression": {"type": packing}}
    ))  # fmt: skip
    (folder / "0" / "0").write_bytes(struct.pack(">HHII", 0, 2, 30, 20) + packed(packing))
    refused(tmp_path / "a.n5", "a.n5")


def packed(packing: str) -> bytes:
    names = {"bzip2": "bz2", "xz": "lzma", "gzip": "gzip"}
    size = 1 << 20 if packing == "xz" else 1 << 24  # it is slow
    encode: Any = getattr(imagecodecs, f"{names.get(packing, packing)}_encode")
    return bytes(encode(bytes(size)))


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("packing", ["gzip", "zstd", "blosc"])
def test_zarr_chunks_that_unpack_to_more(tmp_path: Path, packing: str, version: int) -> None:
    import numcodecs
    import zarr
    from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

    codecs = {
        2: {"gzip": numcodecs.GZip(), "zstd": numcodecs.Zstd(), "blosc": numcodecs.Blosc()},
        3: {"gzip": GzipCodec(), "zstd": ZstdCodec(), "blosc": BloscCodec()},
    }
    path = tmp_path / "a.zarr"
    zarr.create_array(
        str(path), data=PLANE, chunks=(20, 30), compressors=codecs[version][packing], zarr_format=version
    )
    assert np.array_equal(open_image(str(path)).read()[0, 0, :, :, 0], PLANE)
    (path / ("0.0" if version == 2 else "c/0/0")).write_bytes(packed(packing))
    refused(path, "a.zarr")


def test_n5_blocks_larger_than_their_size(tmp_path: Path) -> None:
    store, block = n5_store(tmp_path / "a.n5")
    data = bytearray(block.read_bytes())
    struct.pack_into(">II", data, 4, 1 << 20, 1 << 20)
    block.write_bytes(data)
    refused(store, "one of another size")


def test_chunks_of_terabytes(tmp_path: Path) -> None:
    store, _ = zarr_store(tmp_path / "a.zarr")
    header = json.loads((store / ".zarray").read_text())
    (store / ".zarray").write_text(
        json.dumps(header | {"chunks": [1 << 20, 1 << 20], "shape": [1 << 20, 1 << 20]})
    )
    refused(store, "claims chunks of", "at most 2 GB")


def test_messages_are_one_line_whatever_names_files_hold(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["a\nb"] = PLANE
    refused(f"{tmp_path}/a.h5/c", "expected one of a b (20, 30) uint16")


def test_tiles_of_terabytes(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, PLANE, tile=(16, 16), compression="lzw", metadata=None)
    with tifffile.TiffFile(path) as file:
        place = file.pages.first.tags["TileLength"].valueoffset
    data = bytearray(path.read_bytes())
    struct.pack_into("<H", data, place - 6, 4)  # a number of 32 bits
    struct.pack_into("<I", data, place, 1 << 30)
    path.write_bytes(data)
    refused(path, "claims chunks of (1, 1073741824, 16, 1)")
