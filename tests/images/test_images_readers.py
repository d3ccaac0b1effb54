"""Regions equal parts of the whole, and no more is read than they need."""

import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from objclass.core import Image
from objclass.errors import ImageError
from objclass.images import open_image
from objclass.images.chunked import packed as packed_module
from objclass.images.formats import raster as raster_module
from objclass.images.formats import tiff as tiff_module
from objclass.images.formats.sun import RasWriter
from objclass.images.writer import OutputImage

VOLUME = np.random.default_rng(7).integers(0, 60000, (3, 4, 41, 37, 2)).astype(np.uint16)
"""Axes t, z, y, x, c."""

PLANE = VOLUME[0, 0, :, :, 0]


def tiff(path: Path, pixels: Any, **options: Any) -> str:
    tifffile.imwrite(path, pixels, **({"photometric": "minisblack"} | options))
    return str(path)


def hdf5(path: Path, pixels: Any, **options: Any) -> str:
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=pixels, **options)
    return str(path)


def npz(path: Path, pixels: Any) -> str:
    np.savez_compressed(path, data=pixels)
    return str(path)


def npy(path: Path, pixels: Any) -> str:
    np.save(path, pixels)
    return str(path)


def png(path: Path, pixels: Any) -> str:
    path.write_bytes(imagecodecs.png_encode(np.ascontiguousarray(pixels)))
    return str(path)


PAGES = VOLUME.transpose(0, 1, 4, 2, 3)
TZCYX = {"metadata": {"axes": "TZCYX"}}

FILES: dict[str, Callable[[Path], tuple[str, Any]]] = {
    "h5": lambda d: (hdf5(d / "a.h5", VOLUME, chunks=(1, 2, 8, 8, 1), compression="gzip"), VOLUME),
    "h5 contiguous": lambda d: (hdf5(d / "a.h5", VOLUME), VOLUME),
    "h5 scalar-like": lambda d: (hdf5(d / "a.h5", VOLUME[:1, :1]), VOLUME[:1, :1]),
    "npy": lambda d: (npy(d / "a.npy", VOLUME), VOLUME),
    "npy Fortran": lambda d: (npy(d / "a.npy", np.asfortranarray(VOLUME)), VOLUME),
    "npy big-endian": lambda d: (npy(d / "a.npy", VOLUME.astype(">u2")), VOLUME),
    "npz": lambda d: (npz(d / "a.npz", VOLUME), VOLUME),
    "tif contiguous": lambda d: (tiff(d / "a.tif", PAGES, **TZCYX), VOLUME),
    "tif big-endian": lambda d: (tiff(d / "a.tif", PAGES, byteorder=">", **TZCYX), VOLUME),
    "tif BigTIFF": lambda d: (tiff(d / "a.tif", PAGES, bigtiff=True, **TZCYX), VOLUME),
    "tif strips": lambda d: (tiff(d / "a.tif", PAGES, rowsperstrip=8, **TZCYX), VOLUME),
    "tif lzw strips": lambda d: (
        tiff(d / "a.tif", PAGES, rowsperstrip=8, compression="lzw", predictor=True, **TZCYX),
        VOLUME,
    ),
    "tif deflate, one strip": lambda d: (
        tiff(d / "a.tif", PAGES, rowsperstrip=41, compression="zlib", **TZCYX),
        VOLUME,
    ),
    "tif zstd": lambda d: (tiff(d / "a.tif", PAGES, compression="zstd", **TZCYX), VOLUME),
    "tif tiles": lambda d: (tiff(d / "a.tif", PAGES, tile=(16, 16), **TZCYX), VOLUME),
    "tif big-endian deflate tiles": lambda d: (
        tiff(d / "a.tif", PAGES, tile=(16, 16), compression="zlib", byteorder=">", **TZCYX),
        VOLUME,
    ),
    "tif ome": lambda d: (
        tiff(d / "a.ome.tif", PAGES, compression="zlib", metadata={"axes": "TZCYX"}),
        VOLUME,
    ),
    "tif planar": lambda d: (
        tiff(
            d / "a.tif",
            np.moveaxis(VOLUME[0], -1, 1),
            planarconfig="separate",
            compression="zlib",
            rowsperstrip=7,
            extrasamples=["unspecified"],
            metadata={"axes": "ZSYX"},
        ),
        VOLUME[:1],
    ),
    "tif contiguous samples": lambda d: (
        tiff(
            d / "a.tif",
            VOLUME[0],
            planarconfig="contig",
            compression="zlib",
            tile=(16, 16),
            extrasamples=["unspecified"],
            metadata={"axes": "ZYXS"},
        ),
        VOLUME[:1],
    ),
    "tif pages apart": lambda d: (_pages_apart(d / "a.tif"), VOLUME[:, :1, :, :, :1]),
    "tif with predictor only": lambda d: (_predicted(d / "a.tif"), PLANE[None, None, :, :, None]),
    "png": lambda d: (png(d / "a.png", PLANE), PLANE[None, None, :, :, None]),
    "stack of png": lambda d: (_png_stack(d), VOLUME[:1, :, :, :, :1]),
}


def _pages_apart(path: Path) -> str:
    with tifffile.TiffWriter(path) as writer:
        for frame in VOLUME[:, 0, :, :, 0]:
            writer.write(frame, contiguous=False, metadata=None, photometric="minisblack")
    return str(path)


def _predicted(path: Path) -> str:
    tifffile.imwrite(path, np.diff(PLANE, axis=1, prepend=0).astype(np.uint16), metadata=None)
    with tifffile.TiffFile(path) as file:
        page = file.pages[0]
        free = page.tags["Software"].offset
    # the entry of the tag Software becomes that of the tag Predictor: short, one value, 2
    with open(path, "r+b") as raw:
        raw.seek(free)
        raw.write(bytes([61, 1, 3, 0, 1, 0, 0, 0, 2, 0, 0, 0]))
    return str(path)


def _png_stack(folder: Path) -> str:
    for z, plane in enumerate(VOLUME[0, :, :, :, 0]):
        png(folder / f"p{z}.png", plane)
    return f"{folder}/p*.png"


@pytest.fixture(scope="module", params=FILES, name="case")
def _case(request: Any, tmp_path_factory: Any) -> tuple[Image, Any]:
    spec, whole = FILES[request.param](tmp_path_factory.mktemp("files"))
    return open_image(spec), whole


def test_whole_image(case: tuple[Image, Any]) -> None:
    image, whole = case
    pixels = image.read()
    assert pixels.shape == image.shape == whole.shape
    assert pixels.dtype == image.dtype == np.uint16
    assert pixels.dtype.isnative
    assert np.array_equal(pixels, whole)


@given(data=st.data())
def test_region_is_part_of_the_whole(case: tuple[Image, Any], data: Any) -> None:
    image, whole = case
    bounds = [sorted(data.draw(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))))
              for n in whole.shape]  # fmt: skip
    region = tuple(slice(a, b + 1) for a, b in bounds)
    assert np.array_equal(image.read(region), whole[region])  # type: ignore[arg-type]


def test_reading_leaves_no_file_open_and_gives_memory_of_its_own(case: tuple[Image, Any]) -> None:
    image, whole = case
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    pixels = image.read()
    if before:
        assert len(os.listdir("/proc/self/fd")) == before
    pixels[...] = 0  # as little as the file itself may a cache behind it change
    assert np.array_equal(image.read(), whole)


def slab(image: Image, **slices: slice) -> Any:
    whole = dict(zip("tzyxc", (slice(0, n) for n in image.shape), strict=True))
    return tuple((whole | slices).values())


def count_decoded(monkeypatch: pytest.MonkeyPatch, path: str) -> tuple[Image, list[int]]:
    """An image whose decoded segments are counted."""
    decoded: list[int] = []
    original = tiff_module.SegmentedStore._decode

    def counting(self: Any, numbers: Any) -> Any:
        wanted = list(numbers)
        decoded.extend(wanted)
        return original(self, wanted)

    monkeypatch.setattr(tiff_module.SegmentedStore, "_decode", counting)
    return open_image(path), decoded


def test_only_touched_tiles_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiff(tmp_path / "a.tif", PLANE, tile=(16, 16), compression="zlib")
    image, decoded = count_decoded(monkeypatch, path)
    image.read(slab(image, y=slice(16, 32), x=slice(20, 36)))
    assert decoded == [4, 5]  # of a grid of 3 by 3


def test_only_touched_strips_and_pages_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiff(tmp_path / "a.tif", PAGES, rowsperstrip=8, compression="zlib", **TZCYX)
    image, decoded = count_decoded(monkeypatch, path)
    image.read(slab(image, t=slice(1, 2), z=slice(1, 3), c=slice(0, 1), y=slice(8, 17)))
    assert decoded == [1, 2, 1, 2]


def test_only_touched_pages_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = open_image(_pages_apart(tmp_path / "a.tif"))
    read: list[Any] = []
    original = np.fromfile
    monkeypatch.setattr(np, "fromfile", lambda *a, **k: read.append(a) or original(*a, **k))
    image.read(image.frame(1))
    assert len(read) == 1


def test_only_touched_pixels_of_hdf5_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = open_image(hdf5(tmp_path / "a.h5", VOLUME))
    asked: list[Any] = []
    original = h5py.Dataset.__getitem__
    monkeypatch.setattr(h5py.Dataset, "__getitem__", lambda self, r: asked.append(r) or original(self, r))
    image.read(slab(image, t=slice(1, 2), y=slice(3, 5)))
    assert asked == [(slice(1, 2), slice(0, 4), slice(3, 5), slice(0, 37), slice(0, 2))]


def test_pages_that_do_not_match_the_axes_are_left_to_tifffile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff_module, "_axes_ahead", lambda _: None)
    image = open_image(tiff(tmp_path / "a.tif", PAGES, **TZCYX))
    region = slab(image, t=slice(1, 2), x=slice(3, 9))
    assert np.array_equal(image.read(region), VOLUME[region])


def test_packed_chunks_are_unpacked_once_for_many_slabs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = hdf5(tmp_path / "a.h5", VOLUME, chunks=(1, 4, 41, 37, 1), compression="gzip")
    image = open_image(path)
    unpacked: list[Any] = []
    original = packed_module._packed
    monkeypatch.setattr(packed_module, "_packed", lambda d, p: unpacked.append(p) or original(d, p))
    for z in range(4):
        region = slab(image, t=slice(1, 2), z=slice(z, z + 1), c=slice(0, 1))
        assert np.array_equal(image.read(region), VOLUME[region])
    assert unpacked == [(slice(1, 2), slice(0, 4), slice(0, 41), slice(0, 37), slice(0, 1))]


def test_packed_image_is_decoded_once_for_many_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = open_image(png(tmp_path / "a.png", PLANE))
    decoded: list[str] = []
    original = raster_module._decode_png
    monkeypatch.setattr(raster_module, "_decode_png", lambda path: decoded.append(path) or original(path))
    for y in range(0, 40, 10):
        image.read(slab(image, y=slice(y, y + 10)))
    assert len(decoded) == 1


def test_stores_travel_to_other_processes(case: tuple[Image, Any]) -> None:
    image, whole = case
    assert np.array_equal(pickle.loads(pickle.dumps(image)).read(), whole)


def test_opening_images_imports_no_reader() -> None:
    code = (
        "import sys, objclass.images\n"
        "print(sorted({'h5py', 'tifffile', 'PIL', 'imagecodecs'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- raster images


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 2), (5, 7, 3), (5, 7, 4), (1, 7), (5, 1)])
def test_png_depths_and_channels(tmp_path: Path, dtype: Any, shape: tuple[int, ...]) -> None:
    pixels = np.arange(np.prod(shape), dtype=dtype).reshape(shape) * dtype(7)
    image = open_image(png(tmp_path / "a.png", pixels))
    assert image.dtype == dtype
    assert np.array_equal(image.read().squeeze(), pixels.squeeze())


@pytest.mark.parametrize("suffix", ["png", "bmp", "gif", "pbm"])
def test_black_and_white_is_0_and_255(tmp_path: Path, suffix: str) -> None:
    truth = np.array([[True, False, True], [False, False, True]])
    Pillow.fromarray(truth).save(tmp_path / f"a.{suffix}")
    image = open_image(str(tmp_path / f"a.{suffix}"))
    assert image.dtype == np.uint8
    assert np.array_equal(image.read()[0, 0, :, :, 0], truth * 255)


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp"])
@pytest.mark.parametrize("transparent", [False, True])
def test_palettes_become_colours(tmp_path: Path, suffix: str, *, transparent: bool) -> None:
    image = Pillow.fromarray(np.array([[0, 1], [2, 1]], np.uint8), mode="P")
    image.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    options = {"transparency": bytes([0, 255, 128])} if transparent and suffix == "png" else {}
    image.save(tmp_path / f"a.{suffix}", **options)
    read = open_image(str(tmp_path / f"a.{suffix}")).read()[0, 0]
    expected = [[[10, 20, 30], [40, 50, 60]], [[70, 80, 90], [40, 50, 60]]]
    assert read.tolist() == expected


@pytest.mark.parametrize(("mode", "channels"), [("L", 1), ("RGB", 3), ("CMYK", 3)])
@pytest.mark.parametrize("suffix", ["jpg", "jpeg", "JPG"])
def test_jpeg(tmp_path: Path, mode: str, channels: int, suffix: str) -> None:
    Pillow.new(mode, (16, 8), 130).save(tmp_path / f"a.{suffix}", "JPEG")
    image = open_image(str(tmp_path / f"a.{suffix}"))
    assert image.shape == (1, 1, 8, 16, channels)
    assert image.read().shape == image.shape


def test_frames_of_a_gif_are_planes(tmp_path: Path) -> None:
    frames = [Pillow.fromarray(np.full((4, 5), 50 * k, np.uint8)) for k in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    image = open_image(str(tmp_path / "a.gif"))
    assert (image.axes, image.shape[1:4]) == ("zyxc", (3, 4, 5))
    assert image.read(slab(image, z=slice(1, 3)))[0, :, 0, 0, 0].tolist() == [50, 100]


@pytest.mark.parametrize(
    ("text", "pixels"),
    [
        (b"P2\n# by hand\n3 2\n255\n1 2 3\n4 5 6\n", [[1, 2, 3], [4, 5, 6]]),
        (b"P5 3 2 255\n" + bytes([1, 2, 3, 4, 5, 6]), [[1, 2, 3], [4, 5, 6]]),
        (b"P5\n3 2\n4095\n" + bytes([0, 1, 1, 0, 0, 2] * 2), [[1, 256, 2], [1, 256, 2]]),
        (b"P3 1 2 300\n1 2 300 4 5 6", [[[1, 2, 300]], [[4, 5, 6]]]),
        (b"P6 1 2 65535\n" + bytes([1, 0] * 6), [[[256, 256, 256]], [[256, 256, 256]]]),
    ],
)
def test_netpbm_numbers_are_kept(tmp_path: Path, text: bytes, pixels: Any) -> None:
    (tmp_path / "a.pnm").write_bytes(text)
    image = open_image(str(tmp_path / "a.pnm"))
    assert image.dtype == (np.uint16 if np.max(pixels) > 255 or b"4095" in text else np.uint8)
    assert np.array_equal(image.read()[0, 0].squeeze(), np.squeeze(pixels))


@pytest.mark.parametrize("columns", [1, 2, 3])
def test_small_sun_rasters_are_no_brushes(tmp_path: Path, columns: int) -> None:
    """Pillow has a format whose only mark is a 1 or 2 where Sun has the number of columns."""
    pixels = np.arange(4 * columns, dtype=np.uint8).reshape(4, columns)
    writer = RasWriter(str(tmp_path / "a.ras"), OutputImage("yx", pixels.shape, pixels.dtype))
    writer.write((slice(0, 4), slice(0, columns)), pixels)
    writer.close()
    assert np.array_equal(open_image(f"{tmp_path}/a.ras").read()[0, 0, ..., 0], pixels)


# --- what is damaged, odd or hostile


def test_postscript_under_another_name_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    with pytest.raises(ImageError, match=r"a\.jpg: is not an image, or a damaged one"):
        open_image(f"{tmp_path}/a.jpg")


def damaged(path: Path, keep: float) -> str:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return str(path)


def save_pillow(suffix: str) -> Callable[[Path], str]:
    def save(path: Path) -> str:
        Pillow.fromarray((PLANE % 251).astype(np.uint8)).save(path, suffix)
        return str(path)

    return save


def packed(**options: Any) -> Callable[[Path], str]:
    return lambda path: tiff(path, PAGES, **options, **TZCYX)


TRUNCATED: dict[str, tuple[str, Callable[[Path], str]]] = {
    "h5": ("a.h5", lambda path: hdf5(path, VOLUME)),
    "npy": ("a.npy", lambda path: npy(path, VOLUME)),
    "npz": ("a.npz", lambda path: npz(path, VOLUME)),
    "png": ("a.png", lambda path: png(path, PLANE)),
    "jpg": ("a.jpg", save_pillow("JPEG")),
    "bmp": ("a.bmp", save_pillow("BMP")),
    "gif": ("a.gif", save_pillow("GIF")),
    "pgm": ("a.pgm", save_pillow("PPM")),
    "tif": ("a.tif", packed()),
    "tif lzw": ("a.tif", packed(compression="lzw")),
    "tif zlib tiles": ("a.tif", packed(compression="zlib", tile=(16, 16))),
    "tif pages apart": ("a.tif", _pages_apart),
    "tif imagej": ("a.tif", lambda path: tiff(path, PAGES, imagej=True, **TZCYX)),
}


@pytest.mark.parametrize(("kind", "keep"), list(product(TRUNCATED, (0, 0.001, 0.3, 0.6, 0.97))))
def test_truncated_files_are_errors(tmp_path: Path, kind: str, keep: float) -> None:
    name, save = TRUNCATED[kind]
    save(tmp_path / name)
    with pytest.raises(ImageError) as refusal:
        open_image(damaged(tmp_path / name, keep)).read()
    assert name in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("kind", TRUNCATED)
def test_bytes_changed_at_random_never_end_in_another_exception(tmp_path: Path, kind: str) -> None:
    name, save = TRUNCATED[kind]
    save(tmp_path / name)
    data = np.frombuffer((tmp_path / name).read_bytes(), np.uint8)
    generator = np.random.default_rng(3)
    for _ in range(20):
        changed = data.copy()
        reach = generator.choice([64, 400, len(data)])
        changed[generator.integers(0, min(reach, len(data)), 4)] = generator.integers(0, 256, 4)
        (tmp_path / name).write_bytes(changed.tobytes())
        try:
            image = open_image(str(tmp_path / name))
            if np.prod(image.shape) < 10 * VOLUME.size:
                image.read()
        except ImageError as error:
            assert "\n" not in str(error)  # noqa: PT017  sound files are fine too


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(tmp_path / "sprung"),)

    trap = np.empty((2, 2), object)
    trap[:] = [[Trap(), Trap()], [Trap(), Trap()]]
    np.save(tmp_path / "a.npy", trap, allow_pickle=True)
    np.savez(tmp_path / "a.npz", trap=trap)
    (tmp_path / "b.npy").write_bytes(pickle.dumps(Trap()))
    for name in ("a.npy", "a.npz", "b.npy"):
        with pytest.raises(ImageError):
            open_image(str(tmp_path / name)).read()
    assert not (tmp_path / "sprung").exists()


def test_several_images_in_a_tiff_are_refused(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(np.zeros((4, 5), np.uint8))
        writer.write(np.zeros((3, 6), np.uint8))
    with pytest.raises(ImageError, match=r"holds 2 images, expected one: .*\(4, 5\) uint8; .*\(3,"):
        open_image(str(tmp_path / "a.tif"))


def test_ome_set_of_files_is_one_image_if_it_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    names = [f"z{z}.ome.tif" for z in range(2)]
    data = "".join(
        f'<TiffData FirstZ="{z}" IFD="0" PlaneCount="1">'
        f'<UUID FileName="{name}">urn:uuid:{z}</UUID></TiffData>'
        for z, name in enumerate(names)
    )
    pixels = '<Pixels ID="P:0" DimensionOrder="XYZCT" Type="uint16" SizeX="37" SizeY="41" SizeZ="2" SizeC="1" SizeT="1">'
    space = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    for z, name in enumerate(names):
        text = f'<?xml version="1.0"?><OME xmlns="{space}" UUID="urn:uuid:{z}"><Image ID="Image:0">{pixels}{data}</Pixels></Image></OME>'
        tifffile.imwrite(folder / name, VOLUME[0, z, :, :, 0], description=text, metadata=None)
    image = open_image(str(folder / names[0]))
    assert image.axes == "zyx"
    assert np.array_equal(image.read()[0, :, :, :, 0], VOLUME[0, :2, :, :, 0])
    (folder / names[1]).unlink()
    with pytest.raises(ImageError, match=r"page 1 is missing: is it in another file"):
        open_image(str(folder / names[0]))


def test_sparse_tiff_reads_as_zeros(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tiles = iter([imagecodecs.zlib_encode(np.full((16, 16), 7, np.uint8).tobytes()), b""])
    options: dict[str, Any] = {"shape": (16, 32), "dtype": np.uint8, "tile": (16, 16)}
    tifffile.imwrite(path, tiles, compression="zlib", **options)
    pixels = open_image(str(path)).read()[0, 0, :, :, 0]
    assert (pixels[:, :16] == 7).all()
    assert not pixels[:, 16:].any()


def test_tifffile_says_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tiff(tmp_path / "a.tif", PAGES, imagej=True, **TZCYX)
    with pytest.raises(ImageError):
        open_image(damaged(Path(path), 0.6))
    assert capfd.readouterr() == ("", "")


def test_file_that_disappears(tmp_path: Path) -> None:
    for name, save in TRUNCATED.values():
        image = open_image(save(tmp_path / name))
        (tmp_path / name).unlink()
        with pytest.raises(ImageError, match="cannot be read|is not an HDF5 file"):
            image.read()


def test_npz_with_what_is_no_array(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("readme.txt", "hello")
    with pytest.raises(ImageError):
        open_image(str(tmp_path / "a.npz"))
    buffer = io.BytesIO()
    np.save(buffer, PLANE)
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("a/b.npy", buffer.getvalue())
    assert np.array_equal(open_image(f"{tmp_path}/b.npz/a/b").read()[0, 0, :, :, 0], PLANE)
