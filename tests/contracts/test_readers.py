"""What every reader of images promises: the pixels, their dtype and axes, by region, and no file left open."""

import json
import os
import pickle
import shutil
import struct
import sys
import types
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from objclass.core import Image, to_canonical
from objclass.errors import ImageError
from objclass.images import open_image
from objclass.images.attributes import axistags
from objclass.registry import image_formats

VOLUME = np.random.default_rng(7).integers(0, 60000, (2, 3, 41, 37, 2)).astype(np.uint16)
"""Axes t, z, y, x, c."""

TZYX = np.ascontiguousarray(VOLUME[..., 0])
ZYX = TZYX[0]
GREY = (ZYX[0] % 251).astype(np.uint8)
COLOUR = np.random.default_rng(8).integers(0, 255, (41, 37, 3)).astype(np.uint8)

Made = tuple[str, Any, str]
"""What to open, the pixels, their axes."""


def hdf5(path: Path) -> Made:
    with h5py.File(path, "w") as file:
        data = file.create_dataset("a/data", data=VOLUME, chunks=(1, 2, 16, 16, 1), compression="gzip")
        data.attrs["axistags"] = axistags("tzyxc")
        data.attrs["other"] = 3
    return f"{path}/a/data", VOLUME, "tzyxc"


def tiff(pixels: Any, axes: str, **options: Any) -> Callable[[Path], Made]:
    def make(path: Path) -> Made:
        given = {"photometric": "minisblack", "metadata": {"axes": axes.upper()}} | options
        tifffile.imwrite(path, pixels, **given)
        return str(path), pixels, axes.replace("s", "c")

    return make


def ome_set(folder: Path, pixels: Any, places: Any, options: Any) -> None:
    """A set of OME-TIFF files that all describe it.

    Parameters
    ----------
    pixels
        uint16, axes t, z, y, x.
    places
        File and directory of each plane.
    options
        How the first file is written, the second, and so on, over and over.
    """
    nt, nz, ny, nx = pixels.shape
    held: dict[str, dict[int, Any]] = {}
    data = ""
    for n, (name, number) in enumerate(places):
        held.setdefault(name, {})[number] = pixels[n // nz, n % nz]
        data += (
            f'<TiffData FirstT="{n // nz}" FirstZ="{n % nz}" IFD="{number}" PlaneCount="1">'
            f'<UUID FileName="{name}.ome.tif">urn:uuid:{name}</UUID></TiffData>'
        )
    sizes = f'SizeX="{nx}" SizeY="{ny}" SizeZ="{nz}" SizeC="1" SizeT="{nt}"'
    for k, (name, planes) in enumerate(sorted(held.items())):
        text = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{name}"><Image ID="Image:0"><Pixels ID="P:0" DimensionOrder="XYZCT" Type="uint16" '
            f"{sizes}>{data}</Pixels></Image></OME>"
        )
        given = dict(options[k % len(options)])
        with tifffile.TiffWriter(folder / f"{name}.ome.tif", byteorder=given.pop("byteorder", "<")) as writer:
            for number in range(len(planes)):
                description = None if number else text
                writer.write(
                    planes[number], description=description, metadata=None, contiguous=False, **given
                )


SHUFFLED = [("b", 2), ("a", 1), ("b", 0), ("c", 0), ("a", 0), ("b", 1)]


def tiff_set(*options: dict[str, Any], places: Any = SHUFFLED) -> Callable[[Path], Made]:
    def make(path: Path) -> Made:
        ome_set(path.parent, TZYX, places, options)
        return str(path.with_name("a.ome.tif")), TZYX, "tzyx"

    return make


def zarr(version: int, **options: Any) -> Callable[[Path], Made]:
    def make(path: Path) -> Made:
        import zarr
        from zarr.storage import LocalStore, ZipStore

        if path.suffix == ".zip":
            with ZipStore(path, mode="w") as store:
                zarr.create_array(store, data=VOLUME, zarr_format=version, **options)
        else:
            zarr.create_array(LocalStore(path), data=VOLUME, zarr_format=version, **options)
        return str(path), VOLUME, "tzyxc"

    return make


def ome_zarr(version: str) -> Callable[[Path], Made]:
    def make(path: Path) -> Made:
        save_ome_zarr(path, version, [VOLUME, VOLUME[:, :, ::2, ::2]])
        return str(path), VOLUME, "tzyxc"

    return make


def save_ome_zarr(path: Path, version: str, levels: list[Any], inside: str = "", **more: Any) -> None:
    """A multiscale image with axes tzyxc; ``more`` goes into its metadata."""
    import zarr

    image = {
        "version": version,
        "name": "a",
        "axes": [
            {"name": "t", "type": "time", "unit": "second"},
            *({"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"),
            {"name": "channel", "type": "channel"},
        ],
        "datasets": [
            {"path": str(k), "coordinateTransformations": [{"type": "scale", "scale": [1, 2, 0.5 * 2**k, 0.5 * 2**k, 1]}]}
            for k in range(len(levels))
        ],
    } | more  # fmt: skip
    group = zarr.open_group(str(path / inside), mode="a", zarr_format=3 if version == "0.5" else 2)
    group.attrs.update(
        {"ome": {"version": version, "multiscales": [image]}}
        if version == "0.5"
        else {"multiscales": [image]}
    )
    for k, pixels in enumerate(levels):
        group.create_array(str(k), data=pixels, chunks=(1, 2, 16, 16, 1))


def n5(path: Path) -> Made:
    save_n5(path / "volumes" / "raw", VOLUME)
    (path / "attributes.json").write_text('{"n5": "2.5.0"}')
    return f"{path}/volumes/raw", VOLUME, "tzyxc"


def save_n5(folder: Path, pixels: Any, compression: Any = "gzip", **attributes: Any) -> None:
    """A dataset, whose axes count from the last one, as tensorstore writes it."""
    tensorstore = pytest.importorskip("tensorstore")
    blocks = [min(n, 16) for n in pixels.shape[::-1]]
    metadata = {
        "dimensions": list(pixels.shape[::-1]), "blockSize": blocks, "dataType": pixels.dtype.name,
        "compression": {"type": compression} if isinstance(compression, str) else compression,
    }  # fmt: skip
    spec = {"driver": "n5", "kvstore": {"driver": "file", "path": str(folder)}, "metadata": metadata}
    tensorstore.open(spec, create=True).result().write(pixels.T).result()
    known = json.loads((folder / "attributes.json").read_text())
    (folder / "attributes.json").write_text(json.dumps(known | attributes))


def raw(pixels: Any, stem: str, axes: str) -> Callable[[Path], Made]:
    def make(path: Path) -> Made:
        path = path.with_stem(stem)
        path.write_bytes(pixels.astype(pixels.dtype.newbyteorder("<")).tobytes())
        return str(path), pixels, axes

    return make


def czi(path: Path) -> Made:
    pytest.importorskip("bioio_czi", reason="objclass[bio] is not installed")
    writer = pytest.importorskip("pylibCZIrw.czi")
    with writer.create_czi(str(path)) as file:
        for t, z, c in np.ndindex(2, 3, 2):
            file.write(data=VOLUME[t, z, :, :, c, None].copy(), plane={"T": t, "Z": z, "C": c})
        file.write_metadata(scale_x=0.5e-6, scale_y=0.25e-6, scale_z=2e-6)
    return str(path), VOLUME, "tzyxc"


def npy(path: Path) -> Made:
    np.save(path, VOLUME)
    return str(path), VOLUME, "tzyxc"


def npz(save: Any) -> Callable[[Path], Made]:
    def make(path: Path) -> Made:
        save(path, other=ZYX, data=VOLUME)
        return f"{path}/data", VOLUME, "tzyxc"

    return make


def encoded(encode: Callable[..., bytes], pixels: Any, **options: Any) -> Callable[[Path], Made]:
    def make(path: Path) -> Made:
        path.write_bytes(encode(pixels, **options))
        return str(path), pixels.reshape(*pixels.shape[:2], -1), "yxc"

    return make


def pillow(kind: str, pixels: Any) -> Callable[[Path], Made]:
    def make(path: Path) -> Made:
        Pillow.fromarray(pixels).save(path, kind)
        with Pillow.open(path) as image:  # what JPEG made of it
            kept = np.asarray(image)
        return str(path), kept.reshape(*kept.shape[:2], -1), "yxc"

    return make


def film(path: Path) -> Made:
    frames = [Pillow.fromarray((plane % 251).astype(np.uint8)) for plane in ZYX]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    grey = np.stack([np.asarray(frame) for frame in frames])[..., None]
    return str(path), np.repeat(grey, 3, axis=-1), "zyxc"  # their palettes are colours


def bits(path: Path) -> Made:
    Pillow.fromarray(GREY > 100).save(path, "PPM")
    return str(path), ((GREY > 100) * 255).astype(np.uint8)[..., None], "yxc"


def sun(path: Path) -> Made:
    """https://www.fileformat.info/format/sunraster/egff.htm: rows of an even number of bytes, blue first."""
    head = struct.pack(">8I", 0x59A66A95, 37, 41, 24, 41 * 112, 1, 0, 0)
    rows = np.pad(COLOUR[..., ::-1].reshape(41, 111), ((0, 0), (0, 1)))
    path.write_bytes(head + rows.tobytes())
    return str(path), COLOUR, "yxc"


def khoros(path: Path) -> Made:
    """The struct of http://www.fileformat.info/format/viff/egff.htm."""
    fields = (37, 41, 0, 0, 0, 1.0, 1.0, 1, 0, 1, 2, 2, 0, 0)
    head = bytes([0xAB, 1, 1, 3, 2, 0, 0, 0]) + bytes(512) + struct.pack(">3I2i2f7I", *fields)
    planes = np.stack([ZYX[0], ZYX[1]]).astype(">i2")
    path.write_bytes(head.ljust(1024, b"\0") + planes.tobytes())
    return str(path), np.moveaxis(planes, 0, -1).astype(np.int16), "yxc"


def exr(path: Path) -> Made:
    openexr = pytest.importorskip("OpenEXR", reason="objclass[exr] is not installed")
    pixels = (COLOUR / 7).astype(np.float16)
    header = {"compression": openexr.PIZ_COMPRESSION, "type": openexr.scanlineimage}
    with openexr.File(header, {"RGB": pixels}) as file:
        file.write(str(path))
    return str(path), pixels, "yxc"


def png_stack(path: Path) -> Made:
    for z, plane in enumerate(ZYX):
        path.with_stem(f"p{z}").write_bytes(imagecodecs.png_encode(plane))
    return f"{path.parent}/p*.png", ZYX[..., None], "zyxc"


HALF = (ZYX / 7).astype(np.float16)
RADIANCE = (COLOUR // 2 + 128).astype(np.float32) / 256
INTERLEAVED = {"extrasamples": ["unspecified"], "planarconfig": "contig"}

CASES: dict[str, tuple[str, Callable[[Path], Made]]] = {
    "HDF5": (".h5", hdf5),
    "HDF5, long suffix": (".hdf5", hdf5),
    "HDF5 in a project": (".ilp", hdf5),
    "TIFF, uncompressed": (".tif", tiff(TZYX, "tzyx")),
    "TIFF, LZW strips, big-endian": (
        ".tiff", tiff(TZYX, "tzyx", compression="lzw", predictor=True, rowsperstrip=7, byteorder=">")
    ),
    "TIFF, tiles": (".tif", tiff(TZYX, "tzyx", compression="zlib", tile=(16, 16))),
    "TIFF, float16": (".tif", tiff(HALF, "zyx", compression="zlib")),
    "TIFF, int16 zstd": (".tif", tiff(TZYX.view(np.int16), "tzyx", compression="zstd")),
    "TIFF, planar": (
        ".tif",
        tiff(np.moveaxis(COLOUR, -1, 0), "syx", photometric="rgb", planarconfig="separate",
             compression="lzw", rowsperstrip=8),
    ),
    "TIFF, interleaved tiles": (
        ".tif", tiff(VOLUME[0], "zyxs", compression="zlib", tile=(16, 16), **INTERLEAVED)
    ),
    "TIFF, ImageJ": (".tif", tiff(np.moveaxis(VOLUME, -1, 2), "tzcyx", imagej=True)),
    "TIFF, OME": (".tif", tiff(np.moveaxis(VOLUME, -1, 1), "tczyx", ome=True, compression="zlib")),
    "TIFF, big": (".tif", tiff(TZYX, "tzyx", bigtiff=True)),
    "TIFF, OME set": (".ome.tif", tiff_set({})),
    "TIFF, OME set, packed": (".ome.tif", tiff_set({"compression": "zlib", "rowsperstrip": 7})),
    "TIFF, OME set, packed in several ways": (
        ".ome.tif", tiff_set({"compression": "zlib"}, {"compression": "lzw", "tile": (16, 16)}, {"byteorder": ">"})
    ),
    "TIFF, OME set, the first planes elsewhere": (
        ".ome.tif", tiff_set({}, {"compression": "zstd"}, places=[("b", k) for k in range(4)] + [("a", 0), ("a", 1)])
    ),
    "NumPy": (".npy", npy),
    "NumPy, packed": (".npz", npz(np.savez_compressed)),
    "NumPy, several": (".npz", npz(np.savez)),
    "Zarr 2": (".zarr", zarr(2, chunks=(1, 2, 16, 16, 1))),
    "Zarr 2, Fortran order": (".zarr", zarr(2, chunks=(1, 2, 16, 16, 2), order="F")),
    "Zarr 3": (".zarr", zarr(3, chunks=(1, 2, 16, 16, 1))),
    "Zarr 3, sharded": (".zarr", zarr(3, chunks=(1, 1, 8, 8, 1), shards=(1, 3, 16, 16, 2))),
    "Zarr 3, zipped": (".zarr.zip", zarr(3, chunks=(1, 2, 16, 16, 1))),
    "OME-Zarr 0.4": (".ome.zarr", ome_zarr("0.4")),
    "OME-Zarr 0.5": (".ome.zarr", ome_zarr("0.5")),
    "N5": (".n5", n5),
    "raw, of 5 axes": (".bin", raw(VOLUME, "vol-2-3-41-37-2-uint16", "tzyxc")),
    "raw, of bytes": (".dat", raw(COLOUR, "run-2024-41-37-3", "yxc")),
    "raw, of floats": (".raw", raw(ZYX.astype(np.float32), "vol-3-41-37-float32", "zyx")),
    "CZI": (".czi", czi),
    "PNG, 16 bits": (".png", encoded(imagecodecs.png_encode, ZYX[0])),
    "JPEG": (".jpg", pillow("JPEG", COLOUR)),
    "JPEG, long suffix": (".jpeg", pillow("JPEG", GREY)),
    "BMP": (".bmp", pillow("BMP", COLOUR)),
    "GIF": (".gif", film),
    "PBM": (".pbm", bits),
    "PGM": (".pgm", pillow("PPM", GREY)),
    "PNM": (".pnm", pillow("PPM", COLOUR)),
    "PPM": (".ppm", pillow("PPM", COLOUR)),
    "Sun raster": (".ras", sun),
    "Khoros": (".xv", khoros),
    "Radiance": (".hdr", encoded(imagecodecs.rgbe_encode, RADIANCE, header=True)),
    "OpenEXR": (".exr", exr),
    "stack": (".png", png_stack),
}  # fmt: skip

UNWRITTEN = {".lif", ".nd2"}
"""Nothing that can be installed writes these: a stand-in for their readers is below."""


@pytest.fixture(scope="module", params=CASES, name="case")
def _case(request: Any, tmp_path_factory: Any) -> tuple[Image, Made]:
    suffix, make = CASES[request.param]
    made = make(tmp_path_factory.mktemp("files") / f"a{suffix}")
    return open_image(made[0]), made


def test_every_reader_is_tried() -> None:
    assert {Path(f"a{suffix}").suffix for suffix, _ in CASES.values()} | UNWRITTEN == {
        suffix for entry in image_formats() if entry.reader for suffix in entry.suffixes
    }


def test_whole_image(case: tuple[Image, Made]) -> None:
    image, (_, pixels, axes) = case
    assert sorted(image.axes) == sorted(axes)
    read = image.read()
    assert read.dtype == image.dtype == pixels.dtype.newbyteorder("=")
    assert read.dtype.isnative
    assert read.shape == image.shape
    assert np.array_equal(read, to_canonical(pixels, axes))


def test_regions_are_parts_of_the_whole(case: tuple[Image, Made], rng: np.random.Generator) -> None:
    image, (_, pixels, axes) = case
    whole = to_canonical(pixels, axes)
    for _ in range(25):
        bounds = [sorted(rng.integers(0, n, 2)) for n in whole.shape]
        region: Any = tuple(slice(int(a), int(b) + 1) for a, b in bounds)
        assert np.array_equal(image.read(region), whole[region])


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="open files are counted in /proc")
def test_no_file_is_left_open(case: tuple[Image, Made]) -> None:
    _, (spec, pixels, axes) = case
    open_image(spec).read()  # libraries keep a few for themselves
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        image = open_image(spec)
        read = image.read()
        read[...] = 0  # nor does what is kept behind it change
        assert np.array_equal(image.read(), to_canonical(pixels, axes))
    assert len(os.listdir("/proc/self/fd")) == before


def test_images_travel_to_other_processes(case: tuple[Image, Made]) -> None:
    image, (_, pixels, axes) = case
    assert np.array_equal(pickle.loads(pickle.dumps(image)).read(), to_canonical(pixels, axes))


def test_given_axes_win(case: tuple[Image, Made], rng: np.random.Generator) -> None:
    _, (spec, pixels, _) = case
    image = open_image(spec)
    others = "xy" + "".join(rng.permutation(list("tzc")))
    chosen = "".join(rng.permutation(list(others[: len(image.stored.shape)])))
    forced = open_image(spec, axes=chosen)
    assert (forced.axes, forced.axes_from) == (chosen, "--input_axes")
    stored = image.stored.read(tuple(slice(0, n) for n in image.stored.shape))
    assert np.array_equal(forced.read(), to_canonical(stored, chosen))
    assert stored.size == pixels.size


def largest_files(spec: str) -> list[Path]:
    """Of what makes up an image, the file to be cut, and what says its shape."""
    path = Path(spec)
    while not path.exists():
        path = path.parent
    if path.is_file():
        return [path]
    files = [file for file in path.rglob("*") if file.is_file() and path / "1" not in file.parents]
    found = sorted(files, key=lambda file: (file.stat().st_size, str(file)))
    headers = [
        f for f in found if f.name in {"zarr.json", ".zarray", "attributes.json"} and f.stat().st_size > 99
    ]
    return [found[-1], headers[-1]]


@pytest.mark.parametrize("name", [name for name in CASES if name != "stack"])
def test_truncated_copies_are_refused_in_one_line(tmp_path: Path, name: str) -> None:
    suffix, make = CASES[name]
    spec, _, _ = make(tmp_path / f"a{suffix}")
    for file, keep in product(largest_files(spec), (0.0, 0.02, 0.3, 0.6, 0.97)):
        data = file.read_bytes()
        file.write_bytes(data[: int(len(data) * keep)])
        with pytest.raises(ImageError) as refusal:
            open_image(spec).read()
        assert "\n" not in str(refusal.value), keep
        assert Path(spec.split(suffix)[0]).name in str(refusal.value), keep
        file.write_bytes(data)


@pytest.mark.parametrize("name", CASES)
def test_file_that_is_gone(tmp_path: Path, name: str) -> None:
    suffix, make = CASES[name]
    folder = tmp_path / "folder"
    folder.mkdir()
    image = open_image(make(folder / f"a{suffix}")[0])
    shutil.rmtree(folder)
    with pytest.raises(ImageError) as refusal:
        image.read()
    assert "\n" not in str(refusal.value)


# --- no more is read than is asked for

LARGE = np.random.default_rng(1).integers(0, 255, (8, 512, 512)).astype(np.uint8)
"""Axes z, y, x; nothing of it can be packed."""


def save_large(path: Path, name: str) -> str:
    import zarr

    if name == "HDF5":
        with h5py.File(path.with_suffix(".h5"), "w") as file:
            file.create_dataset("a", data=LARGE, chunks=(1, 64, 64), compression="gzip")
        return f"{path}.h5"
    if name.startswith("TIFF"):
        tile = (64, 64) if name == "TIFF tiles" else None
        packing = None if name == "TIFF strips" else "zlib"
        tifffile.imwrite(f"{path}.tif", LARGE, tile=tile, rowsperstrip=None if tile else 16,
                         compression=packing, metadata={"axes": "ZYX"})  # fmt: skip
        return f"{path}.tif"
    if name.startswith("Zarr"):
        shards = (1, 256, 256) if name == "Zarr shards" else None
        zarr.create_array(f"{path}.zarr", data=LARGE, chunks=(1, 64, 64), shards=shards)
        return f"{path}.zarr"
    if name == "N5":
        save_n5(path.with_suffix(".n5") / "a", LARGE)
        return f"{path}.n5"
    for z, plane in enumerate(LARGE):
        tifffile.imwrite(f"{path}{z}.tif", plane, rowsperstrip=16, compression="zlib")
    return f"{path}?.tif"


def bytes_read() -> int:
    """By this process, of files, so far."""
    return int(Path("/proc/self/io").read_text().split()[1])


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="bytes are counted in /proc")
@pytest.mark.parametrize(
    "name", ["HDF5", "TIFF tiles", "TIFF strips", "TIFF packed strips", "Zarr", "Zarr shards", "N5", "stack"]
)
def test_bytes_that_a_region_takes(tmp_path: Path, name: str) -> None:
    spec = save_large(tmp_path / "large", name)
    region = (slice(0, 1), slice(3, 4), slice(65, 120), slice(130, 190), slice(0, 1))
    open_image(spec).read(region)  # libraries are loaded
    before = bytes_read()
    image = open_image(spec)
    pixels = image.read(region)
    taken = bytes_read() - before
    assert np.array_equal(pixels[0, 0, ..., 0], LARGE[3, 65:120, 130:190])
    assert taken < LARGE.nbytes / 12, f"{taken} of {LARGE.nbytes} bytes for {pixels.nbytes}"


def test_a_czi_that_claims_more_planes_than_it_can_hold(tmp_path: Path) -> None:
    """Its library would list them all, for as long as it takes and with all memory."""
    writer = pytest.importorskip("pylibCZIrw.czi")
    pytest.importorskip("bioio_czi", reason="objclass[bio] is not installed")
    with writer.create_czi(f"{tmp_path}/a.czi") as file:
        for t in (0, 10**9):
            file.write(data=ZYX[0, ..., None].copy(), plane={"T": t, "Z": 0, "C": 0})
    with pytest.raises(ImageError, match="claims 1000000001 planes"):
        open_image(f"{tmp_path}/a.czi")


@pytest.mark.skipif(not os.path.exists("/proc/self/io"), reason="bytes are counted in /proc")
def test_planes_that_a_region_of_a_czi_takes(tmp_path: Path) -> None:
    writer = pytest.importorskip("pylibCZIrw.czi")
    pytest.importorskip("bioio_czi", reason="objclass[bio] is not installed")
    with writer.create_czi(f"{tmp_path}/a.czi") as file:
        for z, plane in enumerate(LARGE):
            file.write(data=plane[..., None].copy(), plane={"T": 0, "Z": z, "C": 0})
    image = open_image(f"{tmp_path}/a.czi")
    planes: list[int] = []
    original = image.stored.stored.stored.__class__.read  # type: ignore[attr-defined]

    def counting(self: Any, region: Any) -> Any:
        planes.extend(range(region[1].start, region[1].stop))
        return original(self, region)

    image.stored.stored.stored.__class__.read = counting  # type: ignore[attr-defined]
    try:
        for y in (0, 100, 400):
            part = image.read((slice(0, 1), slice(3, 5), slice(y, y + 50), slice(0, 512), slice(0, 1)))
            assert np.array_equal(part[0, ..., 0], LARGE[3:5, y : y + 50])
    finally:
        image.stored.stored.stored.__class__.read = original  # type: ignore[attr-defined]
    assert planes == [3, 4]


@pytest.mark.parametrize("kind", ["bin", "npy", "tif", "npz"])
def test_what_is_not_packed_is_mapped(tmp_path: Path, kind: str) -> None:
    """A file of 32 GB, most of it a hole, is read in no time."""
    shape, path = (32, 32768, 32768), tmp_path / f"a-32-32768-32768-uint8.{kind}"
    if kind == "bin":
        path.touch()
    elif kind == "npy":
        np.lib.format.open_memmap(path, "w+", np.uint8, shape).flush()
    elif kind == "tif":
        pixels = tifffile.memmap(path, shape=shape, dtype=np.uint8, bigtiff=True, metadata={"axes": "ZYX"})
        pixels[-1, -1, -1] = 7
        del pixels
    else:
        np.savez(path, a=np.arange(24, dtype=np.uint8).reshape(4, 6))
        assert open_image(f"{path}/a").read().ravel().tolist() == list(range(24))
        assert type(open_image(f"{path}/a").stored.stored).__name__ == "PlainStore"  # type: ignore[attr-defined]
        return
    if kind == "bin":
        os.truncate(path, int(np.prod(shape)))
    if kind != "tif":
        with open(path, "r+b") as file:
            file.seek(-1, os.SEEK_END)
            file.write(b"\x07")
    last = tuple(slice(n - 1, n) for n in (1, *shape, 1))
    assert open_image(str(path)).read(last).ravel().tolist() == [7]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "suffix", ["tif", *(pytest.param(suffix, marks=pytest.mark.slow) for suffix in ("npy", "png", "zarr"))]
)
def test_thousands_of_slices_take_few_handles(tmp_path: Path, suffix: str) -> None:
    resource = pytest.importorskip("resource")
    count = 300 if suffix in ("tif", "zarr") else 3000
    plane = np.zeros((2, 3), np.uint8)
    for k in range(count):
        plane[0, 0] = k % 256
        path = tmp_path / f"p{k:04}.{suffix}"
        if suffix == "npy":
            np.save(path, plane)
        elif suffix == "zarr":
            import zarr

            zarr.create_array(str(path), data=plane)
        elif suffix == "tif":
            tifffile.imwrite(path, plane)
        else:
            path.write_bytes(imagecodecs.png_encode(plane))
    open_image(f"{tmp_path}/p0000.{suffix}").read()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, limits[1]))
    try:
        pixels = open_image(f"{tmp_path}/p*.{suffix}").read()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    assert np.array_equal(pixels[0, :, 0, 0, 0], np.arange(count) % 256)


# --- bioio: what its readers promise, and nothing else


class Scene:
    """What a reader of bioio shows of a file of two scenes."""

    scenes = ("first", "second")

    def __init__(self, path: str, **options: Any) -> None:
        self.path, self.number = path, 0
        self.physical_pixel_sizes = types.SimpleNamespace(X=0.5, Y=0.5, Z=None)

    def set_scene(self, scene: str) -> None:
        self.number = self.scenes.index(scene)

    @property
    def dims(self) -> Any:
        return types.SimpleNamespace(M=2 if self.number else 1)

    @property
    def xarray_dask_data(self) -> Any:
        xarray = pytest.importorskip("xarray")
        array = pytest.importorskip("dask.array")
        return xarray.DataArray(array.from_array(COLOUR[None, None]), dims=tuple("TCYXS"))

    @property
    def mosaic_xarray_dask_data(self) -> Any:
        xarray = pytest.importorskip("xarray")
        array = pytest.importorskip("dask.array")
        return xarray.DataArray(array.from_array(ZYX[None]), dims=tuple("CZYX"))


@pytest.mark.parametrize(("suffix", "module"), [("nd2", "bioio_nd2"), ("lif", "bioio_lif")])
def test_scenes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, types.SimpleNamespace(Reader=Scene))  # type: ignore[arg-type]
    path = tmp_path / f"a.{suffix}"
    path.touch()
    with pytest.raises(ImageError, match="which scene.*/NAME with one of first, second"):
        open_image(str(path))
    with pytest.raises(ImageError, match="there is no scene 'third', expected .*first, second"):
        open_image(f"{path}/third")
    colours = open_image(f"{path}/first")
    assert (colours.axes, colours.shape) == ("tyxc", (1, 1, 41, 37, 3))
    assert np.array_equal(colours.read()[0, 0], COLOUR)
    assert colours.pixel_size is not None
    assert (colours.pixel_size.x, colours.pixel_size.unit) == (0.5, "um")
    tiles = open_image(f"{path}/second")
    assert (tiles.axes, tiles.pixel_size) == ("zyxc", None)  # how far apart are the planes?
    assert np.array_equal(tiles.read()[0, ..., 0], ZYX)


@pytest.mark.parametrize(
    ("name", "module", "extra"),
    [("a.czi", "bioio_czi", "bio"), ("a.exr", "OpenEXR", "exr")],
)
def test_what_is_not_installed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, module: str, extra: str
) -> None:
    (tmp_path / name).write_bytes(b"\x76\x2f\x31\x01")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImageError, match=rf"{name}: .*not installed: pip install objclass\[{extra}\]"):
        open_image(str(tmp_path / name))
