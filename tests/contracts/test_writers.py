"""What every writer promises: what goes in comes back, whatever the blocks, with the same bytes each
time; what it cannot hold is refused, with a format that can; a run that fails leaves nothing behind."""

import os
import random
import shutil
import struct
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from objclass.compute.context import Context
from objclass.core import AXES, Lane, PixelSize, to_canonical
from objclass.errors import OutputError
from objclass.export.files import LaneFiles, OwnLaneFiles, RunFiles
from objclass.export.images import Export
from objclass.export.naming import Output, Task
from objclass.export.sinks import ImageSink
from objclass.images import from_array, open_image, sequence
from objclass.images.chunked.files import UNFINISHED, SharedFiles
from objclass.images.chunked.grid import chunk_shape
from objclass.images.formats import n5, omezarr
from objclass.images.sequence import writer_of
from objclass.images.writer import OutputImage
from objclass.registry import image_format, image_formats, output_format, output_formats
from tests.conftest import examples
from tests.workers import PickledWorkers

NAMES = [entry.name for entry in output_formats() if entry.suffix]
"""Those that write here, not to a server."""

LOSSY = ("hdr", "jpeg", "jpg")

DTYPES = ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"]

ORDERS = ["yx", "xy", "yxc", "cyx", "zyx", "xyz", "xyzc", "zcyx", "tyxc", "tzyxc", "txyzc", "ctzyx"]

LENGTHS = {"t": 2, "z": 3, "y": 11, "x": 13}


@cache
def images() -> list[OutputImage]:
    """Any order of axes, of any length, with any number of channels; some of them of any dtype."""
    found = []
    short = ["", "t", "tz", "x", "tzyx"]
    for axes, ones, channels in product(ORDERS, short, (1, 3, 5)):
        lengths = LENGTHS | dict.fromkeys(ones, 1) | {"c": channels}
        shape = tuple(lengths[axis] for axis in axes)
        is_plain = axes in ("yx", "yxc", "cyx", "xyzc", "ctzyx") and ones in ("", "t")
        found += [OutputImage(axes, shape, np.dtype(d)) for d in (DTYPES if is_plain else ("u1", "f4"))]
    unique = {(image.axes, image.shape, image.dtype): image for image in found}
    return list(unique.values())


def promised(name: str) -> list[OutputImage]:
    return [image for image in images() if writer_of(name).refusal(image) is None]


def some_of(held: list[OutputImage]) -> list[OutputImage]:
    """Images of every dtype, and of every order of axes with every number of channels."""
    by_dtype = {image.dtype: image for image in held}
    by_axes = {(image.axes, image.shape[image.axes.find("c")]): image for image in held}
    return list({id(image): image for image in (*by_dtype.values(), *by_axes.values())}.values())


def pixels_of(image: OutputImage) -> Any:
    generator = np.random.default_rng(3)
    if image.dtype.kind == "f":
        return generator.random(image.shape).astype(image.dtype)
    limits = np.iinfo(image.dtype)
    return generator.integers(limits.min, limits.max, image.shape, image.dtype, endpoint=True)


def whole(image: OutputImage) -> tuple[slice, ...]:
    return tuple(slice(0, n) for n in image.shape)


def blocks(shape: tuple[int, ...], sides: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    starts = (range(0, n, side) for n, side in zip(shape, sides, strict=True))
    for corner in product(*starts):
        yield tuple(slice(a, min(a + side, n)) for a, side, n in zip(corner, sides, shape, strict=True))


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def write(path: Path, name: str, image: OutputImage, pixels: Any, cut: Any = None) -> dict[str, bytes]:
    """Write; answers the bytes of all files."""
    remove(path)
    writer = writer_of(name)(str(path), image)
    for region in cut or [whole(image)]:
        writer.write(region, pixels[region])
    writer.close()
    return content(path)


def content(path: Path) -> dict[str, bytes]:
    files = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.is_file())
    return {str(p.relative_to(path)): p.read_bytes() for p in files}


# --- reading back


def read(name: str, path: Path, image: OutputImage) -> Any:
    """All pixels, axes tzyxc: with our own reader, or another one."""
    if name.endswith(" sequence"):
        maker = writer_of(name)
        part, (axis, count) = maker.part(image), sequence.slices(image)
        parts = [read(maker.format, Path(sequence.slice_path(str(path), n)), part) for n in range(count)]
        return np.concatenate(parts, axis=AXES.index(axis))
    found = DECODERS.get(name, opened)(path, image)
    lengths = dict(zip(image.axes, image.shape, strict=True))
    return found.reshape([lengths.get(axis, 1) for axis in AXES])


def opened(path: Path, image: OutputImage) -> Any:
    suffixed = path
    if not path.suffix:  # a slice, that has its name later
        suffixed = path.with_suffix(".tif" if path.read_bytes()[:2] == b"II" else ".png")
        shutil.copy(path, suffixed)
    return open_image(f"{suffixed}/s0" if path.suffix == ".zarr" else str(suffixed)).read()


def decoded_array(path: Path, image: OutputImage) -> Any:
    return to_canonical(np.load(path), image.axes)


def decoded_tiff(path: Path, image: OutputImage) -> Any:
    return tifffile.imread(path)


def decoded_pages(path: Path, image: OutputImage) -> Any:
    with tifffile.TiffFile(path) as file:
        assert len(file.series) == 1
        found = file.asarray()
    lengths = dict(zip(image.axes, image.shape, strict=True))
    return np.moveaxis(found.reshape([lengths.get(axis, 1) for axis in "tzcyx"]), 2, 4)


def decoded_by_pillow(path: Path, image: OutputImage) -> Any:
    with Pillow.open(path, formats=["PNG", "JPEG", "BMP", "GIF", "PPM", "SUN"]) as found:
        assert found.mode in ("L", "RGB")  # no palette that readers would turn into colours
        return np.asarray(found)


def decoded_viff(path: Path, image: OutputImage) -> Any:
    data = path.read_bytes()
    assert data[:5] == bytes([0xAB, 1, 1, 3, 2])
    columns, rows = struct.unpack(">2I", data[520:528])
    location, _, count, bands, kind, packed, mapped = struct.unpack(">7I", data[548:576])
    assert (location, count, packed, mapped) == (1, 1, 0, 0)
    dtype = {1: "u1", 2: ">i2", 4: ">i4", 5: ">f4", 9: ">f8"}[kind]
    assert np.dtype(dtype) == image.dtype.newbyteorder(">")
    assert len(data) == 1024 + rows * columns * bands * image.dtype.itemsize
    return np.frombuffer(data, dtype, offset=1024).reshape(bands, rows, columns).transpose(1, 2, 0)


DECODERS = {
    "numpy": decoded_array,
    **dict.fromkeys(("multipage tiff", "compressed multipage tiff"), decoded_pages),
    **dict.fromkeys(("tif", "tiff", "compressed tiff"), decoded_tiff),
    **dict.fromkeys(("bmp", "gif", "jpeg", "jpg", "ras"), decoded_by_pillow),
    "hdr": lambda path, _: imagecodecs.rgbe_decode(path.read_bytes()),
    "xv": decoded_viff,
}
"""Readers other than ours."""


# --- the promises


def test_every_format_is_known_once_by_its_name_and_its_suffix() -> None:
    names = [entry.name for entry in output_formats()]
    suffixes = [suffix for entry in image_formats() for suffix in entry.suffixes]
    assert len(set(names)) == len(names)
    assert len(set(suffixes)) == len(suffixes)
    for entry in image_formats():
        assert all(output.suffix in ("", *entry.suffixes) for output in entry.outputs)


def test_lossy_formats_are_those_whose_values_do_not_come_back() -> None:
    assert {entry.name.removesuffix(" sequence") for entry in output_formats() if entry.lossy} == set(LOSSY)


@pytest.mark.parametrize("chosen", [some_of, pytest.param(list, marks=pytest.mark.slow)], ids=["some", "all"])
@pytest.mark.parametrize("name", NAMES)
def test_what_goes_in_comes_back(tmp_path: Path, name: str, chosen: Any) -> None:
    held = promised(name)
    assert held
    for image in chosen(held):
        pixels = pixels_of(image)
        path = tmp_path / f"a{output_format(name).suffix}"
        write(path, name, image, pixels)
        expected, found = to_canonical(pixels, image.axes), read(name, path, image)
        if name.startswith(("jpeg", "jpg")):
            assert np.abs(found.astype(int) - expected).max() <= 6, image
        elif name.startswith("hdr"):
            nearly = np.abs(found - expected) <= expected.max(axis=4, keepdims=True) / 128
            assert nearly.all(), image
        else:
            assert found.dtype.newbyteorder("=") == image.dtype, image
            assert np.array_equal(found, expected), image


READ = [
    name
    for name in NAMES
    if image_format(output_format(name).suffix).reader
    and name not in LOSSY
    and not name.endswith(" sequence")
]


@pytest.mark.parametrize("name", READ)
def test_our_reader_agrees(tmp_path: Path, name: str) -> None:
    """Of the formats that are read as well: as a user would open them."""
    for image in promised(name)[:6]:
        pixels = pixels_of(image)
        path = tmp_path / f"a{output_format(name).suffix}"
        write(path, name, image, pixels)
        spec = f"{path}/s0" if path.suffix == ".zarr" else str(path)
        found = open_image(spec, axes=image.axes if name == "numpy" else None)
        assert found.dtype == image.dtype
        assert np.array_equal(found.read().squeeze(), to_canonical(pixels, image.axes).squeeze())


@pytest.mark.parametrize("name", NAMES)
@examples(3)
@given(data=st.data())
def test_same_image_makes_the_same_bytes_whatever_the_blocks(
    tmp_path_factory: Any, name: str, data: Any
) -> None:
    folder = tmp_path_factory.mktemp("w")
    image = data.draw(st.sampled_from([image for image in promised(name) if np.prod(image.shape) > 5]))
    image = OutputImage(
        image.axes, image.shape, image.dtype, "data", (0.0, 255.0), PixelSize(0.5, 0.5, 2, "um")
    )
    pixels = pixels_of(image)
    sides = tuple(data.draw(st.integers(-(-n // 3), n)) for n in image.shape)
    cut = list(blocks(image.shape, sides))
    random.Random(data.draw(st.integers(0, 99))).shuffle(cut)
    suffix = output_format(name).suffix
    once = write(folder / f"a{suffix}", name, image, pixels)
    assert write(folder / f"b{suffix}", name, image, pixels, cut) == once


CONCURRENT = [name for name in NAMES if getattr(writer_of(name), "is_concurrent", False)]


@pytest.mark.parametrize("name", CONCURRENT)
def test_threads_may_write_at_once_where_that_is_promised(tmp_path: Path, name: str) -> None:
    image = max(promised(name), key=lambda image: int(np.prod(image.shape)))
    pixels = pixels_of(image)
    once = write(tmp_path / "a", name, image, pixels)
    cut = list(blocks(image.shape, (2,) * len(image.shape)))
    writer = writer_of(name)(str(tmp_path / "b"), image)
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda region: writer.write(region, pixels[region]), cut))
    writer.close()
    assert list(content(tmp_path / "b").values()) == list(once.values())


SHARED = [name for name in NAMES if hasattr(writer_of(name), "share")]


def test_folders_of_chunks_are_shared() -> None:
    assert SHARED == ["single-scale OME-Zarr", "multi-scale OME-Zarr", "n5", "compressed n5"]


def write_chunks(shared: tuple[SharedFiles, OutputImage, Any], region: tuple[slice, ...]) -> None:
    files, image, pixels = shared
    writer = files.open(image.axes, Context())
    writer.write(region, pixels[region])
    writer.close()


@pytest.mark.parametrize(
    "name", [*SHARED[:1], *(pytest.param(name, marks=pytest.mark.slow) for name in SHARED[1:])]
)
@examples(3)
@given(data=st.data())
def test_processes_that_share_a_folder_write_the_same_bytes(
    tmp_path_factory: Any, name: str, data: Any
) -> None:
    """In any order, some parts twice; a killed one leaves nothing behind."""
    folder, workers = tmp_path_factory.mktemp("w"), PickledWorkers(data.draw(st.integers(0, 99)))
    drawn = data.draw(st.sampled_from([image for image in promised(name) if np.prod(image.shape) > 5]))
    image = replace(drawn, drange=(0.0, 255.0), labels=data.draw(st.booleans()))
    pixels = pixels_of(image)
    if data.draw(st.booleans()):
        pixels[tuple(slice(0, -(-n // 2)) for n in image.shape)] = 0  # chunks without a file
    with pytest.MonkeyPatch.context() as patch:
        small = data.draw(st.integers(64, 600))
        patch.setattr(omezarr, "CHUNK_BYTES", small)
        patch.setattr(n5, "chunk_shape", partial(chunk_shape, maximum=small))
        patch.setattr(omezarr, "CHUNKS_OF_TASK", data.draw(st.integers(1, 4)))
        once = write(folder / "a", name, image, pixels)
        writer = writer_of(name)(str(folder / "b"), image)
        files = writer.share(workers)
        for unfinished in list((folder / "b").rglob(UNFINISHED)):
            (unfinished / "left").write_bytes(b"by a process that was killed")
        least = dict(zip(files.axes, files.sides, strict=True))
        sides = (least.get(axis, 1) * data.draw(st.integers(1, 3)) for axis in image.axes)
        assert list(workers.ordered(write_chunks, (files, image, pixels), blocks(image.shape, tuple(sides))))
        writer.close()
    assert content(folder / "b") == once


@pytest.mark.parametrize("name", SHARED)
def test_who_cannot_see_the_folder_says_so(tmp_path: Path, name: str) -> None:
    image = max(promised(name), key=lambda image: int(np.prod(image.shape)))
    writer = writer_of(name)(str(tmp_path / "a"), image)
    shared = writer.share(PickledWorkers()), image, pixels_of(image)
    (tmp_path / "a").rename(tmp_path / "b")
    with pytest.raises(OutputError, match=r"/a\b.*: is not there on .*: outputs must be on a disk that all"):
        write_chunks(shared, whole(image))
    (tmp_path / "b").rename(tmp_path / "a")
    writer.abort()
    assert not list(tmp_path.rglob(UNFINISHED))


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_held_is_refused_with_a_format_that_holds_it(name: str) -> None:
    for image in images():
        said = writer_of(name).refusal(image)
        if said is None:
            continue
        assert "\n" not in said
        _, _, instead = said.rpartition(": use ")
        assert writer_of(instead).refusal(image) is None, (image, said)


def handles() -> int:
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("no way to count handles")
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize("name", NAMES)
def test_no_handle_stays_open(tmp_path: Path, name: str) -> None:
    image = max(promised(name), key=lambda image: int(np.prod(image.shape)))
    before = handles()
    write(tmp_path / f"a{output_format(name).suffix}", name, image, pixels_of(image))
    assert handles() == before


def lane_files(output: Output) -> tuple[RunFiles, OwnLaneFiles]:
    pixels = from_array(np.zeros((2, 2), np.uint8))
    run = RunFiles([Task(Lane(None, pixels, "label_image", "a", ""), "a", (output,), None)])
    return run, run.lane(0)


def begun(output: Output, files: LaneFiles) -> Any:
    sink = ImageSink(output)
    sink.begin(files, Context())
    return sink


@pytest.mark.parametrize("name", NAMES)
def test_a_failure_leaves_nothing(tmp_path: Path, name: str) -> None:
    image = max(promised(name), key=lambda image: int(np.prod(image.shape)))
    pixels = pixels_of(image)
    suffix = output_format(name).suffix
    slices: tuple[str, ...] = ()
    if name.endswith(" sequence"):
        slices = tuple(f"{tmp_path}/new_{n}{suffix}" for n in range(sequence.slices(image)[1]))
    export = Export("Object Predictions", image, tuple(slice(0, 1) for _ in AXES), None, None)  # type: ignore[arg-type]
    output = Output(export, f"{tmp_path}/new{suffix}", output_format(name), slices)
    for moment in ("at once", "in the middle", "at the end", "finished"):
        half = tuple(slice(0, -(-n // 2)) for n in image.shape)
        region = half if moment == "in the middle" else whole(image)
        run, files = lane_files(output)
        sink = begun(output, files)
        if moment != "at once":
            sink._writer.write(region, pixels[region])
        if moment == "finished":
            sink.finish()
        sink.abort()
        files.abort()
        run.close()
        assert list(tmp_path.iterdir()) == [], moment
    run, files = lane_files(output)
    sink = begun(output, files)
    sink._writer.write(whole(image), pixels)
    sink.finish()
    files.commit(lambda: None)
    run.close()
    assert sorted(str(p) for p in tmp_path.iterdir()) == sorted(output.files)
