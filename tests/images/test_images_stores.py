"""Folders of chunks: which array of them is read, what its axes and its pixel size are."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from objclass.core import PixelSize
from objclass.errors import ImageError
from objclass.images import dataset_name, open_image
from tests.contracts.test_readers import VOLUME, save_n5, save_ome_zarr

PLANE = np.arange(30, dtype=np.uint8).reshape(5, 6)
LEVELS = [VOLUME, VOLUME[:, :, ::2, ::2]]


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_finest_scale_unless_one_is_named(tmp_path: Path, version: str) -> None:
    path = tmp_path / "a.zarr"
    save_ome_zarr(path, version, LEVELS)
    image = open_image(str(path))
    assert (image.name, image.axes, image.axes_from) == (f"{path}/0", "tzyxc", "OME-Zarr")
    assert image.pixel_size == PixelSize(0.5, 0.5, 2, "um")
    assert image.files == (str(path),)
    coarse = open_image(f"{path}/1")
    assert (coarse.name, coarse.pixel_size) == (f"{path}/1", PixelSize(1, 1, 2, "um"))
    assert np.array_equal(coarse.read(), LEVELS[1])
    assert open_image(f"{path}/").name == f"{path}/0"
    assert open_image(str(path), axes="tzyxc").pixel_size is not None
    assert open_image(str(path), axes="tzxyc").pixel_size is None
    assert dataset_name(str(path)) == ("a", str(tmp_path))
    assert dataset_name(f"{path}/1")[0] == "a-1"


def test_ome_models_agree_that_the_files_of_these_tests_are_valid(tmp_path: Path) -> None:
    models = pytest.importorskip("ome_zarr_models")
    for version in ("0.4", "0.5"):
        path = tmp_path / f"{version}.zarr"
        axes = [{"name": a, "type": "space"} for a in "zyx"]
        scale = [{"type": "scale", "scale": [1, 1, 1]}]
        datasets = [{"path": "0", "coordinateTransformations": scale}]
        save_ome_zarr(path, version, [], axes=axes, datasets=datasets)
        names = list("zyx") if version == "0.5" else None
        zarr.open_group(str(path)).create_array("0", data=VOLUME[0, ..., 0], dimension_names=names)
        assert models.open_ome_zarr(zarr.open_group(str(path), mode="r")).ome_zarr_version == version
        assert np.array_equal(open_image(str(path)).read()[0, ..., 0], VOLUME[0, ..., 0])


def test_scale_of_all_scales_multiplies(tmp_path: Path) -> None:
    whole = [{"type": "scale", "scale": [1, 1, 3, 3, 1]}, {"type": "translation", "translation": [0] * 5}]
    save_ome_zarr(tmp_path / "a.zarr", "0.4", LEVELS, coordinateTransformations=whole)
    assert open_image(f"{tmp_path}/a.zarr/1").pixel_size == PixelSize(3, 3, 2, "um")


def test_scale_without_unit_is_no_pixel_size(tmp_path: Path) -> None:
    save_ome_zarr(tmp_path / "a.zarr", "0.4", LEVELS, axes=list("tzyxc"))
    image = open_image(f"{tmp_path}/a.zarr")
    assert (image.axes, image.pixel_size) == ("tzyxc", None)


def test_damaged_scale_is_no_pixel_size(tmp_path: Path) -> None:
    save_ome_zarr(
        tmp_path / "a.zarr", "0.4", LEVELS, coordinateTransformations=[{"type": "scale", "scale": "x"}]
    )
    assert open_image(f"{tmp_path}/a.zarr").pixel_size is None


def test_series_of_bioformats2raw(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    zarr.open_group(str(path), mode="w", zarr_format=2).attrs["bioformats2raw.layout"] = 3
    save_ome_zarr(path, "0.4", LEVELS, inside="0")
    assert open_image(str(path)).name == f"{path}/0/0"
    assert open_image(f"{path}/0").name == f"{path}/0/0"
    assert open_image(f"{path}/0/1").axes == "tzyxc"
    save_ome_zarr(path, "0.4", LEVELS, inside="1")
    with pytest.raises(ImageError, match=r"which array\? expected .*/NAME with one of 0, 1"):
        open_image(str(path))
    assert np.array_equal(open_image(f"{path}/1").read(), VOLUME)


def test_labels_beside_an_image(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    save_ome_zarr(path, "0.5", LEVELS)
    save_ome_zarr(path, "0.5", [VOLUME % 3], inside="labels/cells")
    image = open_image(f"{path}/labels/cells")
    assert image.name == f"{path}/labels/cells/0"
    assert np.array_equal(image.read(), VOLUME % 3)


@pytest.mark.parametrize("version", [2, 3])
def test_groups(tmp_path: Path, version: Any) -> None:
    path = str(tmp_path / "a.zarr")
    group = zarr.open_group(path, mode="w", zarr_format=version)
    with pytest.raises(ImageError, match="has no array of 2 to 5 dimensions"):
        open_image(path)
    group.create_array("line", data=PLANE[0])
    group.create_array("deep/one", data=PLANE)
    assert open_image(path).name == f"{path}/deep/one"
    assert open_image(f"{path}/deep").name == f"{path}/deep/one"
    group.create_array("deep/two", data=PLANE + 1)
    with pytest.raises(ImageError, match=r"which array\? expected .*one of deep/one, deep/two"):
        open_image(path)
    with pytest.raises(
        ImageError, match=r"a\.zarr: there is no array 'x', expected one of deep/one, deep/two"
    ):
        open_image(f"{path}/x")
    stack = open_image(f"{path}/deep/*")
    assert (stack.axes, stack.shape) == ("zyx", (1, 2, 5, 6, 1))
    group.attrs["plate"] = {}
    with pytest.raises(ImageError, match="is a plate: name a field"):
        open_image(path)


def test_names_of_dimensions(tmp_path: Path) -> None:
    zarr.create_array(f"{tmp_path}/a.zarr", data=VOLUME[0, ..., 0], dimension_names=["X", "t", "y"])
    assert open_image(f"{tmp_path}/a.zarr").axes == "xty"
    zarr.create_array(f"{tmp_path}/b.zarr", data=VOLUME[0, ..., 0], dimension_names=["lat", None, "y"])
    assert open_image(f"{tmp_path}/b.zarr").axes_from == "shape"
    attributes = {"_ARRAY_DIMENSIONS": ["t", "y", "x"]}
    zarr.create_array(f"{tmp_path}/c.zarr", data=VOLUME[0, ..., 0], zarr_format=2, attributes=attributes)
    assert open_image(f"{tmp_path}/c.zarr").axes == "tyx"


def test_stores_without_suffix_and_folders_with_one(tmp_path: Path) -> None:
    save_ome_zarr(tmp_path / "bare", "0.4", LEVELS)
    assert open_image(f"{tmp_path}/bare").axes == "tzyxc"
    assert open_image(f"{tmp_path}/bare/1").axes_from == "OME-Zarr"
    folder = tmp_path / "results.zarr"
    folder.mkdir()
    with pytest.raises(ImageError, match=r"results\.zarr: is no Zarr store"):
        open_image(str(folder))
    np.save(folder / "a.npy", PLANE)
    assert open_image(f"{folder}/a.npy").axes == "yx"
    assert open_image(f"{folder}/*.npy").axes == "yx"
    (tmp_path / "a.zip").write_text("no zip")
    with pytest.raises(ImageError, match=r"a\.zip: cannot be opened"):
        open_image(f"{tmp_path}/a.zip")


def test_importing_images_imports_no_store_library() -> None:
    import subprocess
    import sys

    code = (
        "import sys, objclass.images, objclass.images.formats.zarr_store, objclass.images.formats.n5, objclass.images.formats.bio\n"
        "print(sorted({'zarr', 'tensorstore', 'bioio_base', 'dask'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# --- N5


@pytest.mark.parametrize(
    "compression",
    ["raw", "gzip", {"type": "gzip", "useZlib": True}, "bzip2", "xz", "zstd",
     {"type": "blosc", "cname": "lz4", "clevel": 5, "shuffle": 1}],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["u1", "i2", "f8"])
def test_blocks_of_n5(tmp_path: Path, compression: Any, dtype: str) -> None:
    pixels = VOLUME.astype(dtype)
    save_n5(tmp_path / "a.n5" / "s0", pixels, compression)
    image = open_image(f"{tmp_path}/a.n5")
    assert image.dtype == pixels.dtype
    assert np.array_equal(image.read(), pixels)
    t, z, y, x, c = (slice(n // 3, n // 3 + 1 + n // 2) for n in VOLUME.shape)
    assert np.array_equal(image.read((t, z, y, x, c)), pixels[t, z, y, x, c])


def test_absent_padded_and_damaged_blocks_of_n5(tmp_path: Path) -> None:
    pixels = np.arange(1, 20 * 33 + 1, dtype=np.uint16).reshape(20, 33)
    save_n5(tmp_path / "a.n5", pixels, "raw")  # blocks of 16
    first, last = tmp_path / "a.n5/0/0", tmp_path / "a.n5/2/1"
    padded = np.pad(pixels[16:, 32:], ((0, 12), (0, 15)))
    last.write_bytes(struct.pack(">HHII", 0, 2, 16, 16) + padded.astype(">u2").tobytes())
    first.unlink()
    expected = pixels.copy()
    expected[:16, :16] = 0
    assert np.array_equal(open_image(f"{tmp_path}/a.n5").read()[0, 0, ..., 0], expected)
    for content in (
        b"",
        struct.pack(">HHII", 0, 2, 16, 16) + bytes(100),
        struct.pack(">HHII", 0, 2, 1, 16) + bytes(32),
        struct.pack(">HHI", 0, 1, 256) + bytes(512),
        struct.pack(">HHIII", 1, 2, 16, 16, 256) + bytes(512),
    ):
        first.write_bytes(content)
        with pytest.raises(ImageError, match=r"a\.n5.*damaged"):
            open_image(f"{tmp_path}/a.n5").read()


def test_n5_packed_in_another_way(tmp_path: Path) -> None:
    save_n5(tmp_path / "a.n5" / "s0", VOLUME)
    attributes = tmp_path / "a.n5/s0/attributes.json"
    known = json.loads(attributes.read_text())
    attributes.write_text(json.dumps(known | {"compression": {"type": "lz4", "blockSize": 65536}}))
    with pytest.raises(ImageError, match=r"a\.n5/s0: is packed with 'lz4', expected one of raw, gzip"):
        open_image(f"{tmp_path}/a.n5")
    attributes.write_text("{")
    with pytest.raises(ImageError, match=r"attributes\.json: is damaged: "):
        open_image(f"{tmp_path}/a.n5/s0")


@pytest.mark.parametrize(
    ("attributes", "axes", "size"),
    [
        ({}, "zyx", None),
        ({"axes": ["x", "y", "t"]}, "tyx", None),
        ({"axes": "YXZ"}, "zxy", None),
        (
            {"axistags": {"axes": [{"key": a, "resolution": 0.5} for a in "zxy"]}, "axes": ["x", "y", "t"],
             "axis_units": {"x": "um", "y": "um", "z": "um"}},
            "zxy", PixelSize(0.5, 0.5, 0.5, "um"),
        ),
        ({"axistags": "no json"}, "", None),
        ({"axistags": json.dumps({"axes": [{"key": a} for a in "yxt"]})}, "yxt", None),
        ({"resolution": [0.5, 0.25, 2]}, "zyx", PixelSize(0.5, 0.25, 2, "um")),
        ({"resolution": [500, 250, 2000], "units": ["nm"] * 3}, "zyx", PixelSize(500, 250, 2000, "nm")),
        (
            {"pixelResolution": {"dimensions": [0.5, 0.25, 2], "unit": "um"}, "downsamplingFactors": [2, 2, 1]},
            "zyx", PixelSize(1, 0.5, 2, "um"),
        ),
        ({"pixelResolution": [0.5, 0.25, 2]}, "zyx", PixelSize(0.5, 0.25, 2, "um")),
        ({"resolution": "fine"}, "zyx", None),
    ],
)  # fmt: skip
def test_attributes_of_n5(tmp_path: Path, attributes: dict[str, Any], axes: str, size: Any) -> None:
    pixels = VOLUME[0, ..., 0]
    save_n5(tmp_path / "a.n5" / "raw", pixels, **attributes)
    if not axes:
        with pytest.raises(ImageError, match="axistags, which is damaged.*--input_axes"):
            open_image(f"{tmp_path}/a.n5")
        return
    image = open_image(f"{tmp_path}/a.n5/raw")
    assert (image.axes, image.pixel_size) == (axes, size)
    assert np.array_equal(image.stored.read(tuple(slice(0, n) for n in pixels.shape)), pixels)


def test_datasets_of_n5(tmp_path: Path) -> None:
    path = tmp_path / "a.n5"
    path.mkdir()
    with pytest.raises(ImageError, match=r"a\.n5: has no dataset of 2 to 5 dimensions"):
        open_image(str(path))
    save_n5(path / "b" / "s0", PLANE)
    save_n5(path / "b" / "s1", PLANE[::2])
    with pytest.raises(ImageError, match=r"which dataset\? expected .*/NAME with one of b/s0, b/s1"):
        open_image(str(path))
    with pytest.raises(ImageError, match=r"a\.n5: there is no dataset 'b', expected one of b/s0, b/s1"):
        open_image(f"{path}/b")
    (path / "attributes.json").write_text(json.dumps({"n5": "2.5.0"}))
    assert np.array_equal(open_image(f"{path}/b/s0").read()[0, 0, ..., 0], PLANE)
    stack = open_image(f"{path}/*s0")
    assert stack.shape == (1, 1, 5, 6, 1)


# --- raw binary


@pytest.mark.parametrize(
    ("name", "count", "message"),
    [
        ("plain.bin", 30, "its name says no shape, expected one such as vol-100-200-300-uint8.bin"),
        ("a-5-6.raw", 30, "its name says no shape"),
        ("a-1-5-6-float7.raw", 30, "its name says no shape"),
        ("a-1-5-6-uint16.dat", 30, r"30 bytes, its name says 60 \(shape \(1, 5, 6\), uint16\)"),
        ("a-2-3-5-6.dat", 31, r"31 bytes, its name says 180 or 90"),
    ],
)
def test_names_of_raw_files(tmp_path: Path, name: str, count: int, message: str) -> None:
    (tmp_path / name).write_bytes(bytes(count))
    with pytest.raises(ImageError, match=message):
        open_image(f"{tmp_path}/{name}")
