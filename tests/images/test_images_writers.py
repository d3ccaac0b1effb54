"""What writers promise: what goes in comes back, whatever the blocks; the same bytes each time."""

import errno
import json
import os
import random
import shutil
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from math import prod
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
import tifffile

from objclass.core import PixelSize, to_canonical
from objclass.errors import OutputError
from objclass.images import open_image
from objclass.images.attributes import axistags
from objclass.images.chunked.grid import chunk_shape
from objclass.images.formats.hdf5 import Hdf5Container, Hdf5Writer
from objclass.images.formats.plain import PlainFile
from objclass.images.sequence import slices, writer_of
from objclass.images.writer import OutputImage
from objclass.registry import output_format
from tests.conftest import ROOT

LENGTHS = {"t": 2, "z": 3, "y": 11, "x": 13, "c": 2}

DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"]


def image_of(axes: str, dtype: str = "u1", **more: Any) -> OutputImage:
    lengths = LENGTHS | more.pop("lengths", {})
    return OutputImage(axes, tuple(lengths[axis] for axis in axes), np.dtype(dtype), **more)


def pixels_of(image: OutputImage) -> Any:
    generator = np.random.default_rng(3)
    if image.dtype.kind == "f":
        return generator.normal(size=image.shape).astype(image.dtype)
    limits = np.iinfo(image.dtype)
    return generator.integers(limits.min, limits.max, image.shape, image.dtype, endpoint=True)


def blocks(shape: tuple[int, ...], sides: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    starts = (range(0, n, side) for n, side in zip(shape, sides, strict=True))
    for corner in product(*starts):
        yield tuple(slice(a, min(a + side, n)) for a, side, n in zip(corner, sides, shape, strict=True))


def write(path: Path, name: str, image: OutputImage, pixels: Any, cut: Any = None) -> bytes:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)
    writer = writer_of(name)(str(path), image)
    for region in cut or [tuple(slice(0, n) for n in image.shape)]:
        writer.write(region, pixels[region])
    writer.close()
    if path.is_dir():
        files = sorted(file for file in path.rglob("*") if file.is_file())
        return b"".join(str(file.relative_to(path)).encode() + file.read_bytes() for file in files)
    return path.read_bytes()


def refusal(name: str, image: OutputImage) -> str | None:
    return writer_of(name).refusal(image)  # type: ignore[no-any-return]


UNSIGNED, BYTE, ANY = ["u1", "u2"], ["u1"], [1, 2, 3, 5]

PROMISED = {
    "hdf5": (DTYPES, ANY),
    "compressed hdf5": (DTYPES, ANY),
    "numpy": (DTYPES, ANY),
    **dict.fromkeys(
        ("multipage tiff", "compressed multipage tiff"), ([d for d in DTYPES if d not in ("u8", "i8")], ANY)
    ),
    **dict.fromkeys(("single-scale OME-Zarr", "multi-scale OME-Zarr", "n5", "compressed n5"), (DTYPES, ANY)),
    "dvid": ([], []),
    "bmp": (BYTE, [1, 3]),
    "gif": (BYTE, [1]),
    "hdr": (["f4"], [3]),
    "jpeg": (BYTE, [1, 3]),
    "jpg": (BYTE, [1, 3]),
    "pbm": (UNSIGNED, [1]),
    "pgm": (UNSIGNED, [1]),
    "png": (UNSIGNED, [1, 3]),
    "pnm": (UNSIGNED, [1, 3]),
    "ppm": (UNSIGNED, [1, 3]),
    "ras": (BYTE, [1, 3]),
    "tif": (DTYPES, ANY),
    "tiff": (DTYPES, ANY),
    "compressed tiff": (DTYPES, ANY),
    "xv": (["u1", "i2", "i4", "f4", "f8"], ANY),
}


@pytest.mark.parametrize("name", PROMISED)
def test_each_format_promises_dtypes_and_channels(name: str) -> None:
    held = {
        (dtype, count)
        for dtype, count in product(DTYPES, ANY)
        if refusal(name, image_of("yxc", dtype, lengths={"c": count})) is None
    }
    assert held == set(product(*PROMISED[name]))


def test_the_table_of_the_documentation_says_the_same() -> None:
    """`docs/formats.md`, the part on outputs."""
    page = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8").partition("\n## Output\n")[2]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line[:2] == "| "
    ]
    told = {name: row for row in rows for name in row[0].replace("`", "").split(", ")}
    for name, (dtypes, counts) in PROMISED.items():
        pixels = "any" if dtypes == DTYPES else ", ".join(f"`{np.dtype(d)}`" for d in dtypes) or "none"
        channels = "any" if counts == ANY else " or ".join(map(str, counts)) or "none"
        assert told[name][2:4] == [pixels, channels], name


@pytest.mark.parametrize("name", ["png", "tif", "multipage tiff"])
@pytest.mark.parametrize("long", ["", "x", "y", "z", "t", "zx", "ty", "tz", "zy"])
def test_any_plane_of_a_volume(tmp_path: Path, name: str, long: str) -> None:
    lengths = dict.fromkeys("tzyxc", 1) | {axis: LENGTHS[axis] for axis in long}
    image = image_of("xyztc", lengths=lengths)
    pixels = pixels_of(image)
    path = tmp_path / f"a{output_format(name).suffix}"
    write(path, name, image, pixels)
    read = open_image(str(path)).read()
    assert np.array_equal(read.squeeze(), to_canonical(pixels, "xyztc").squeeze())


@pytest.mark.parametrize(
    ("name", "dtype", "top", "stated"),
    [("pgm", "u1", 3, b"  3"), ("pgm", "u1", 0, b"  1"), ("ppm", "u1", 200, b"200"),
     ("pgm", "u2", 3, b"  256"), ("pbm", "u2", 300, b"  300")],
)  # fmt: skip
def test_netpbm_states_its_largest_pixel_as_ilastik_does(
    tmp_path: Path, name: str, dtype: str, top: int, stated: bytes
) -> None:
    """By files that vigra, ilastik's writer, made; but 0, and 16 bits below 256, would be no Netpbm files."""
    image = image_of("yxc", dtype, lengths={"c": 3 if name == "ppm" else 1})
    pixels = np.zeros(image.shape, dtype)
    pixels[1, 2] = top
    write(path := tmp_path / f"a.{name}", name, image, pixels)
    assert path.read_bytes().split(b"\n")[2] == stated
    assert np.array_equal(open_image(str(path)).read()[0, 0], pixels)


@pytest.mark.parametrize("name", ["png", "tif"])
def test_rows_are_y_and_columns_x(tmp_path: Path, name: str) -> None:
    image = image_of("cxyz", lengths={"z": 1, "c": 3})
    pixels = pixels_of(image)
    path = tmp_path / f"a{output_format(name).suffix}"
    write(path, name, image, pixels)
    assert np.array_equal(open_image(str(path)).read()[0, 0], pixels[..., 0].transpose(2, 1, 0))


@pytest.mark.parametrize(
    ("name", "axes", "dtype", "message"),
    [
        ("png", "zyx", "u1", "holds one plane, not (3, 11, 13) with axes zyx: use multipage tiff"),
        ("png", "zyx", "u8", "holds one plane, not (3, 11, 13) with axes zyx: use hdf5"),
        ("png", "yxc", "u1", "holds 1 or 3 channels, not (11, 13, 2) with axes yxc: use tiff"),
        ("png", "yx", "f4", "holds uint8 and uint16, not float32: use tiff"),
        ("png", "yx", "u4", "holds uint8 and uint16, not uint32: use tiff"),
        ("jpg", "yx", "f4", "holds uint8, not float32: use tiff"),
        ("jpeg", "yx", "u2", "holds uint8, not uint16: use png"),
        ("gif", "yxc", "u1", "holds 1 channel, not (11, 13, 2) with axes yxc: use tiff"),
        ("hdr", "yx", "f4", "holds 3 channels, not (11, 13) with axes yx: use tiff"),
        ("xv", "yx", "u4", "holds uint8, int16, int32, float32 and float64, not uint32: use tiff"),
        ("tif", "tyxc", "u1", "holds one plane, not (2, 11, 13, 2) with axes tyxc: use multi"),
        ("tif", "yx", "f2", "holds uint8, uint16, uint32, uint64, int8, int16, int32, int64, f"),
        (
            "png sequence",
            "yx",
            "u1",
            "holds 3 axes longer than 1 (and channels, not first), not ",
        ),
        ("png sequence", "tzyx", "u1", "holds 3 axes longer than 1 (and channels, not first), "),
        ("png sequence", "czyx", "u1", "holds 3 axes longer than 1 (and channels, not first), "),
        (
            "png sequence",
            "zyxc",
            "u1",
            "each file holds 1 or 3 channels, not (11, 13, 2) with axes yxc: use tiff seq",
        ),
        ("png sequence", "zyx", "f4", "each file holds uint8 and uint16, not float32: use tiff sequence"),
        ("multipage tiff sequence", "zyx", "u1", "holds 4 axes longer than 1 (and"),
        (
            "multipage tiff sequence",
            "tzyx",
            "u8",
            "each file holds 8 to 32 bits and float64, not uint64: use hdf5",
        ),
        ("multipage tiff", "yx", "u8", "holds 8 to 32 bits and float64, not uint64"),
        ("multipage tiff", "yx", "f2", "holds 8 to 32 bits and float64, not float1"),
    ],
)
def test_refusals(name: str, axes: str, dtype: str, message: str) -> None:
    said = refusal(name, image_of(axes, dtype))
    assert said is not None
    assert said.startswith(message)
    assert "\n" not in said


@pytest.mark.parametrize(
    ("name", "shape"),
    [("gif", (65536, 2)), ("jpeg", (2, 65501)), ("bmp", (1 << 16, 1 << 16)), ("ras", (1 << 17, 1 << 15))],
)
def test_too_large_for_the_format(name: str, shape: tuple[int, int]) -> None:
    said = refusal(name, OutputImage("yx", shape, np.dtype("u1")))
    assert said is not None
    assert said.startswith("holds up to ")
    assert said.endswith(": use png")
    assert refusal(name, OutputImage("yx", (30000, 30000), np.dtype("u1"))) is None


def test_same_chunks_in_the_same_order(tmp_path: Path) -> None:
    image = image_of("xyzc", "f4", lengths={"x": 90, "y": 80, "z": 70, "c": 2})
    pixels = pixels_of(image)
    assert np.prod([-(-n // c) for n, c in zip(image.shape, chunk_shape("xyzc", image.shape,
                   image.dtype), strict=True)]) > 10  # fmt: skip
    once = write(tmp_path / "a", "compressed hdf5", image, pixels)
    for sides in ((90, 80, 9, 2), (7, 80, 70, 1), (33, 33, 33, 2)):
        cut = list(blocks(image.shape, sides))
        assert write(tmp_path / "b", "compressed hdf5", image, pixels, cut) == once
        random.Random(1).shuffle(cut)
        assert write(tmp_path / "b", "compressed hdf5", image, pixels, cut) == once


def test_few_chunks_wait_where_blocks_come_in_scan_order(tmp_path: Path) -> None:
    image = image_of("xyz", "f8", lengths={"x": 100, "y": 100, "z": 200})
    writer = Hdf5Writer(str(tmp_path / "a.h5"), image)
    x, y, z = chunk_shape("xyz", image.shape, image.dtype)
    layer = -(-100 // x) * x * -(-100 // y) * y * z * 8
    waiting = []
    for z in range(0, 200, 10):
        region = (slice(0, 100), slice(0, 100), slice(z, z + 10))
        writer.write(region, np.ones((100, 100, 10)))
        waiting.append(sum(chunk.nbytes for chunk, _ in writer._grid.waiting.values()))
        assert len(writer._packed) <= writer._packing.maximum + layer // prod(writer._grid.chunks) // 8
    writer.close()
    assert max(waiting) <= layer
    assert waiting[-1] == 0


def test_pixels_never_written_are_zero(tmp_path: Path) -> None:
    image = image_of("zyx")
    region = (slice(1, 2), slice(0, 11), slice(3, 7))
    for name in ("hdf5", "compressed hdf5", "numpy", "multipage tiff"):
        path = tmp_path / f"a{output_format(name).suffix}"
        write(path, name, image, np.full(image.shape, 7, np.uint8), [region])
        read = open_image(str(path), axes="zyx").read()[0, ..., 0]
        expected = np.zeros(image.shape)
        expected[region] = 7
        assert np.array_equal(read, expected)
        path.unlink()


@pytest.mark.parametrize("name", ["hdf5", "compressed hdf5"])
def test_outputs_that_share_a_file_make_the_same_bytes(tmp_path: Path, name: str) -> None:
    images = [
        image_of("xyz", dtype, lengths={"x": 90, "y": 80, "z": 70}, internal_path=dtype)
        for dtype in ("f4", "u2")
    ]
    pixels = [pixels_of(image) for image in images]

    def both(cut: list[tuple[slice, ...]]) -> bytes:
        (tmp_path / "a.h5").unlink(missing_ok=True)
        container = Hdf5Container(str(tmp_path / "a.h5"))
        writers = [writer_of(name)(container, image) for image in images]
        for region in cut:
            for writer, whole in zip(writers, pixels, strict=True):
                writer.write(region, whole[region])
        for writer in writers:
            writer.close()
        container.close()
        return (tmp_path / "a.h5").read_bytes()

    once = both(list(blocks((90, 80, 70), (90, 80, 70))))
    assert both(list(blocks((90, 80, 70), (90, 80, 9)))) == once
    assert both(list(blocks((90, 80, 70), (31, 80, 70)))) == once
    for image, whole in zip(images, pixels, strict=True):
        read = open_image(f"{tmp_path}/a.h5/{image.internal_path}")
        assert np.array_equal(read.read(), to_canonical(whole, "xyz"))
    assert len(list(tmp_path.iterdir())) == 1


# --- HDF5


@pytest.mark.parametrize(
    ("axes", "shape", "dtype", "chunks"),
    [
        ("zyxc", (50, 60, 55, 1), "u1", (50, 60, 55, 1)),
        ("yxc", (1024, 1024, 1), "u1", (716, 715, 1)),
        ("tzyxc", (1, 200, 512, 512, 1), "f4", (1, 50, 51, 50, 1)),
        ("txyzc", (4, 150, 125, 30, 2), "u1", (1, 136, 125, 30, 1)),  # ilastik's own file
        ("yx", (3, 1_000_000), "u1", (3, 170666)),
        ("tyx", (100, 5, 5), "u1", (1, 5, 5)),
    ],
)
def test_chunk_shape(axes: str, shape: Any, dtype: str, chunks: Any) -> None:
    assert chunk_shape(axes, shape, np.dtype(dtype)) == chunks


def test_attributes_are_those_of_ilastik(tmp_path: Path) -> None:
    size = PixelSize(0.5, 0.25, 2, "um")
    image = image_of("zyxc", "u4", drange=(0.0, 255.0), pixel_size=size)
    write(tmp_path / "a.h5", "compressed hdf5", image, pixels_of(image))
    with h5py.File(tmp_path / "a.h5") as file:
        assert list(file) == ["exported_data"]
        dataset = file["exported_data"]
        assert dataset.attrs["axistags"] == axistags("zyxc", size)
        assert dataset.attrs["display_mode"] == "default"
        assert dataset.attrs["drange"].dtype == np.uint32
        assert dataset.attrs["drange"].tolist() == [0, 255]
        assert json.loads(dataset.attrs["axis_units"]) == dict.fromkeys("zyx", "um")
        assert [dimension.label for dimension in dataset.dims] == list("zyxc")
        assert (dataset.compression, dataset.compression_opts) == ("gzip", 1)
    assert open_image(f"{tmp_path}/a.h5").pixel_size == size


def test_what_is_unknown_is_left_out(tmp_path: Path) -> None:
    image = image_of("yx", "i1", drange=(0.0, 255.0))
    write(tmp_path / "a.h5", "hdf5", image, pixels_of(image))
    plain = OutputImage("yx", image.shape, image.dtype, pixel_size=PixelSize(2, 2))
    write(tmp_path / "b.h5", "hdf5", plain, pixels_of(image))
    with h5py.File(tmp_path / "a.h5") as a, h5py.File(tmp_path / "b.h5") as b:
        assert a["exported_data"].attrs["drange"].tolist() == [0, 127]  # what int8 can hold
        assert a["exported_data"].compression is None
        assert set(b["exported_data"].attrs) - {"DIMENSION_LABELS"} == {"axistags", "display_mode"}
    assert open_image(f"{tmp_path}/b.h5").pixel_size == PixelSize(2, 2)


@pytest.mark.parametrize("internal", ["data", "/data", "volume/data", "/a/b/c/"])
def test_groups_are_made(tmp_path: Path, internal: str) -> None:
    image = image_of("yx", internal_path=internal)
    write(tmp_path / "a.h5", "hdf5", image, pixels_of(image))
    assert open_image(f"{tmp_path}/a.h5/{internal.strip('/')}").shape == (1, 1, 11, 13, 1)


def outputs(folder: Path, *internal: str, previous: Path | None = None, value: int = 7) -> Path:
    """One file written by several writers at a time."""
    image = {name: image_of("yx", internal_path=name) for name in internal}
    path = folder / "new.h5"
    path.unlink(missing_ok=True)
    container = Hdf5Container(str(path))
    writers = [Hdf5Writer(container, image[name]) for name in internal]
    for writer in writers:
        writer.write((slice(0, 11), slice(0, 13)), np.full((11, 13), value, np.uint8))
    for writer in writers:
        writer.close()
    container.close(str(previous) if previous and previous.exists() else None)
    return path


def test_outputs_share_a_file_and_keep_what_else_it_held(tmp_path: Path) -> None:
    old = tmp_path / "old.h5"
    with h5py.File(old, "w") as file:
        file.attrs["who"] = "me"
        file["grp/kept"] = np.arange(5)
        file["grp/kept"].attrs["unit"] = "um"
        file["grp/replaced"] = np.random.default_rng(0).random((200, 200))
        file["replaced"] = np.zeros((300, 300))
        file["link"] = h5py.SoftLink("/grp/kept")
        file["away"] = h5py.ExternalLink("elsewhere.h5", "/x")
        file["text"] = "hello"
    new = outputs(tmp_path, "grp/replaced", "replaced", "fresh", previous=old)
    with h5py.File(new) as file:
        assert file.attrs["who"] == "me"
        assert file["grp/kept"][:].tolist() == list(range(5))
        assert file["grp/kept"].attrs["unit"] == "um"
        assert file["link"][:].tolist() == list(range(5))
        assert isinstance(file.get("away", getlink=True), h5py.ExternalLink)
        assert file["text"][()] == b"hello"
        for name in ("grp/replaced", "replaced", "fresh"):
            assert (file[name][:] == 7).all()
            assert file[name].shape == (11, 13)
    assert new.stat().st_size < old.stat().st_size  # nothing of the old pixels is left


def test_written_again_over_itself_makes_the_same_bytes(tmp_path: Path) -> None:
    first = outputs(tmp_path, "a/b", "c").read_bytes()
    (tmp_path / "old.h5").write_bytes(first)
    assert outputs(tmp_path, "a/b", "c", previous=tmp_path / "old.h5").read_bytes() == first


def test_previous_file_that_is_none_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "old.h5").write_text("no HDF5")
    first = outputs(tmp_path, "a").read_bytes()
    assert outputs(tmp_path, "a", previous=tmp_path / "old.h5").read_bytes() == first
    assert outputs(tmp_path, "a", previous=tmp_path / "absent.h5").read_bytes() == first


def test_dataset_cannot_hold_another(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file["a/b"] = np.zeros(3)
    image = image_of("yx", internal_path="a/b/c/d")
    assert Hdf5Writer.clash(str(tmp_path / "old.h5"), image) == "a/b is a dataset, expected a group"
    with pytest.raises(OutputError, match="a/b: is a dataset, expected a group"):  # it came in the meantime
        outputs(tmp_path, "a/b/c/d", previous=tmp_path / "old.h5")


def test_group_in_the_place_of_the_dataset_is_replaced(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file["a/b"] = np.zeros(3)
    with h5py.File(outputs(tmp_path, "a", previous=tmp_path / "old.h5")) as file:
        assert file["a"].shape == (11, 13)


# --- TIFF and PNG


def test_pages_come_in_one_order(tmp_path: Path) -> None:
    image = image_of("xyczt", "u2", pixel_size=PixelSize(0.5, 0.25, 2, "um"))
    pixels = pixels_of(image)
    write(tmp_path / "a.tiff", "multipage tiff", image, pixels)
    with tifffile.TiffFile(tmp_path / "a.tiff") as file:
        assert (file.series[0].axes, file.byteorder, len(file.pages)) == ("TZCYX", "<", 12)
        assert np.array_equal(file.asarray(), pixels.transpose(4, 3, 2, 1, 0))
        page = file.pages[0]
        assert (page.software, page.compression) == ("objclass", 1)
        assert not {"DateTime", "HostComputer"} & {tag.name for tag in page.tags}
        assert 'PhysicalSizeY="0.25" PhysicalSizeYUnit="µm"' in file.ome_metadata
    assert open_image(f"{tmp_path}/a.tiff").pixel_size == PixelSize(0.5, 0.25, 2, "um")


def test_ome_of_unknown_unit(tmp_path: Path) -> None:
    image = image_of("yx", pixel_size=PixelSize(0.5, 0.25))
    write(tmp_path / "a.tiff", "multipage tiff", image, pixels_of(image))
    with tifffile.TiffFile(tmp_path / "a.tiff") as file:
        assert 'PhysicalSizeXUnit="pixel"' in file.ome_metadata
    assert open_image(f"{tmp_path}/a.tiff").pixel_size is None


def test_ome_of_channels(tmp_path: Path) -> None:
    names, colors = ("Kern & <Hof>", "β"), ((255, 0, 0), (0, 255, 1))
    image = image_of("zyxc", "f4", names=names, colors=colors)
    pixels = pixels_of(image)
    write(tmp_path / "a.tiff", "multipage tiff", image, pixels)
    with tifffile.TiffFile(tmp_path / "a.tiff") as file:
        channels = [
            e.attrib for e in ElementTree.fromstring(file.ome_metadata).iter() if e.tag.endswith("}Channel")
        ]
    assert [channel["Name"] for channel in channels] == list(names)
    assert [int(c["Color"]) % 2**32 for c in channels] == [0xFF0000FF, 0x00FF01FF]  # red, green, blue, alpha
    assert np.array_equal(open_image(f"{tmp_path}/a.tiff").read(), to_canonical(pixels, "zyxc"))


def test_ome_of_a_class_image_has_no_channel_names(tmp_path: Path) -> None:
    image = image_of("yx", labels=True, names=("a", "b"))
    write(tmp_path / "a.tiff", "multipage tiff", image, pixels_of(image))
    with tifffile.TiffFile(tmp_path / "a.tiff") as file:
        assert 'Name="a"' not in file.ome_metadata


@pytest.mark.filterwarnings("ignore")  # of its own
def test_ome_as_another_reader_sees_it(tmp_path: Path) -> None:
    bioio_ome_tiff = pytest.importorskip("bioio_ome_tiff")
    names = ("a", "b")
    image = image_of("xyzc", "f4", names=names, pixel_size=PixelSize(0.5, 0.25, 2, "um"))
    pixels = pixels_of(image)
    write(tmp_path / "a.tiff", "multipage tiff", image, pixels)
    reader = bioio_ome_tiff.Reader(f"{tmp_path}/a.tiff")
    assert (reader.dims.order, tuple(reader.channel_names)) == ("TCZYX", names)
    assert tuple(reader.physical_pixel_sizes) == (2, 0.25, 0.5)
    assert np.array_equal(reader.data[0], pixels.transpose(3, 2, 1, 0))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("dtype", ["u1", "f4"])
def test_channels_of_a_tiff(tmp_path: Path, count: int, dtype: str) -> None:
    image = image_of("cyx", dtype, lengths={"c": count})
    pixels = pixels_of(image)
    write(tmp_path / "a.tif", "tif", image, pixels)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        assert file.pages[0].planarconfig == 1
        assert file.pages[0].photometric == (2 if count == 3 and dtype == "u1" else 1)
        assert file.pages[0].software == "objclass"
    assert np.array_equal(open_image(f"{tmp_path}/a.tif").read()[0, 0], pixels.transpose(1, 2, 0))


def test_planes_state_no_z(tmp_path: Path) -> None:
    image = image_of("yx", pixel_size=PixelSize(0.5, 0.25, 1, "um"))
    write(tmp_path / "a.tiff", "multipage tiff", image, pixels_of(image))
    with tifffile.TiffFile(tmp_path / "a.tiff") as file:
        assert "PhysicalSizeX" in file.ome_metadata
        assert "PhysicalSizeZ" not in file.ome_metadata
    assert open_image(f"{tmp_path}/a.tiff").pixel_size == image.pixel_size


@pytest.mark.parametrize("name", ["compressed hdf5", "n5"])
def test_range_of_values_comes_back(tmp_path: Path, name: str) -> None:
    image = image_of("zyx", "u2", drange=(0, 4095))
    path = tmp_path / f"a{output_format(name).suffix}"
    write(path, name, image, pixels_of(image))
    assert open_image(str(path)).drange == (0, 4095)


def test_streamed_formats_do_not_hold_the_image(tmp_path: Path) -> None:
    for name in ("multipage tiff", "numpy"):
        writer = writer_of(name)(str(tmp_path / "a"), image_of("yx"))
        assert isinstance(writer._file, PlainFile)
        writer.close()
    writer = writer_of("tif")(str(tmp_path / "a"), image_of("yx"))
    assert isinstance(writer._map, np.memmap)
    writer.close()
    for name in ("pgm", "pnm", "ras", "xv"):
        writer = writer_of(name)(str(tmp_path / "a"), image_of("yx"))
        assert isinstance(writer._file, np.memmap)
        writer.close()


@pytest.mark.skipif(os.name == "nt", reason="the hole would be written out")
def test_big_files_are_bigtiff(tmp_path: Path) -> None:
    # a hole: nothing of it is on the disk
    image = OutputImage("zyx", (5, 1 << 15, 1 << 15), np.dtype("u1"))
    path = tmp_path / "a.tiff"
    writer = writer_of("multipage tiff")(str(path), image)
    corner = (slice(4, 5), slice(32767, 32768), slice(32764, 32768))
    writer.write(corner, np.array([[[1, 2, 3, 4]]], np.uint8))
    writer.close()
    assert os.path.getsize(path) > 1 << 32
    read = open_image(str(path))
    region = (slice(0, 1), *corner, slice(0, 1))
    assert read.read(region).ravel().tolist() == [1, 2, 3, 4]
    with tifffile.TiffFile(path) as file:
        assert file.is_bigtiff


# --- other formats of one plane


@pytest.mark.parametrize("name", ["bmp", "gif", "pbm", "pgm", "png", "pnm", "ppm"])
def test_few_classes_keep_their_numbers(tmp_path: Path, name: str) -> None:
    """Palettes of the values that occur would renumber them."""
    image = image_of("yx")
    pixels = np.zeros(image.shape, np.uint8)
    pixels[2:5], pixels[7:] = 3, 7
    write(tmp_path / f"a.{name}", name, image, pixels)
    read = open_image(f"{tmp_path}/a.{name}")
    assert read.shape == (1, 1, 11, 13, 1)
    assert np.array_equal(read.read().squeeze(), pixels)


def test_netpbm_headers(tmp_path: Path) -> None:
    """The largest value is that of the pixels, as ilastik writes it, not that of the type."""
    color, gray = image_of("yxc", "u2", lengths={"c": 3}), image_of("yx")
    for name, kind, image in (("ppm", b"P6", color), ("pbm", b"P5", gray)):
        pixels = pixels_of(image)
        head = b"%s\n13 11\n%d\n" % (kind, pixels.max())
        assert write(tmp_path / "a", name, image, pixels).startswith(head)


def test_rows_of_a_sun_raster_are_even(tmp_path: Path) -> None:
    image = image_of("yx")
    data = write(tmp_path / "a.ras", "ras", image, pixels_of(image))
    assert len(data) == 32 + 11 * 14
    assert data[:4] == bytes([0x59, 0xA6, 0x6A, 0x95])


def test_what_hdr_cannot_say_is_zero(tmp_path: Path) -> None:
    import imagecodecs

    image = image_of("yxc", "f4", lengths={"y": 1, "x": 2, "c": 3})
    pixels = np.array([[[-1, np.nan, 0.5], [0, 0, 0]]], np.float32)
    data = write(tmp_path / "a.hdr", "hdr", image, pixels)
    assert imagecodecs.rgbe_decode(data).tolist() == [[[0, 0, 0.5], [0, 0, 0]]]


# --- sequences


def sequence(folder: Path, name: str, image: OutputImage) -> Any:
    return writer_of(name)(str(folder / "s"), image)


@pytest.mark.parametrize(
    ("axes", "lengths", "found"),
    [
        ("zyx", {}, ("z", 3)),
        ("xyz", {}, ("x", 13)),
        ("tzyxc", {"t": 1}, ("z", 3)),
        ("cyx", {"c": 5}, ("c", 5)),
        ("yxc", {"c": 3}, ("y", 11)),
    ],
)
def test_slices_go_along_the_first_long_axis(axes: str, lengths: Any, found: Any, tmp_path: Path) -> None:
    image = image_of(axes, lengths=lengths)
    assert slices(image) == found
    pixels = pixels_of(image)
    writer = sequence(tmp_path, "tif sequence", image)
    writer.write(tuple(slice(0, n) for n in image.shape), pixels)
    writer.close()
    at = axes.index(found[0])
    assert len(list((tmp_path / "s").iterdir())) == found[1]
    for n in range(found[1]):
        part = tifffile.imread(tmp_path / f"s/{n}")
        expected = pixels.take(n, axis=at)
        rest = axes.replace(found[0], "")
        assert np.array_equal(part.squeeze(), to_canonical(expected, rest).squeeze())


def test_a_slice_is_written_as_soon_as_it_is_whole(tmp_path: Path) -> None:
    image = image_of("zyx", lengths={"z": 200})
    writer = sequence(tmp_path, "png sequence", image)
    for z in range(0, 200, 4):
        for y in (0, 6):
            region = (slice(z, z + 4), slice(y, min(y + 6, 11)), slice(0, 13))
            writer.write(region, np.ones([part.stop - part.start for part in region], np.uint8))
            assert len(writer._missing) == (4 if y == 0 else 0)
        assert len(list((tmp_path / "s").iterdir())) == z + 4
    assert isinstance(writer._waiting, np.memmap)  # no slice waits in memory
    writer.close()


def test_few_handles_are_open_whatever_the_number_of_slices(tmp_path: Path) -> None:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no way to count handles")
    image = image_of("zyx", lengths={"z": 600})
    for name in ("tif sequence", "pgm sequence"):
        folder = tmp_path / name
        folder.mkdir()
        writer = sequence(folder, name, image)
        before, most = len(os.listdir("/proc/self/fd")), 0
        for y in range(11):  # all slices are begun before the first is whole
            writer.write((slice(0, 600), slice(y, y + 1), slice(0, 13)), np.ones((600, 1, 13), np.uint8))
            most = max(most, len(os.listdir("/proc/self/fd")))
        writer.close()
        assert most <= before + 2
        assert len(list((folder / "s").iterdir())) == 600


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no way to take space on this system")
@pytest.mark.parametrize("name", ["compressed multipage tiff", "tiff sequence"])
def test_pixels_that_wait_on_a_full_disk_are_an_error(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without space that is taken first, the system kills a process that writes to mapped pixels."""

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    image = image_of("zyx")
    half = (slice(0, 3), slice(0, 5), slice(0, 13))

    def write() -> None:
        with ExitStack() as stack:
            writer = writer_of(name)(str(tmp_path / "out"), image)
            stack.callback(writer.abort)
            writer.write(half, np.ones((3, 5, 13), np.uint8))

    with pytest.raises(OSError, match="No space left"):
        write()
