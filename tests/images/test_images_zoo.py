"""Real files, one oddity each: what becomes of each, as docs/formats.md has it, and as others read it."""

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow

from objclass.core import to_canonical
from objclass.errors import ImageError
from objclass.images import open_image
from tests.conftest import ROOT

DOCS = (ROOT / "docs" / "formats.md").read_text(encoding="utf-8")

READ = {
    "bigtiff_be_rgb8.tif": ("yxc", (64, 64, 3), "uint8"),
    "bigtiff_le_rgb8.tif": ("yxc", (64, 64, 3), "uint8"),
    "bulk-water_frame0.npy": ("yx", (424, 640), "uint8"),
    "camera_v2_bioformats2raw.ome.zarr": ("tczyx", (1, 1, 1, 480, 640), "uint8"),
    "float16_zyx.tiff": ("zyx", (10, 15, 18), "float16"),
    "float32_predictor3.tif": ("yx", (200, 200), "float32"),
    "hdf5_3d2c_no_axistags.h5": ("zyxc", (50, 60, 55, 2), "uint8"),
    "ilastik_2d_with_pixel_sizes.tif": ("yx", (16, 16), "uint8"),
    "int16_zstd.tif": ("yx", (64, 64), "int16"),
    "lzw_oldstyle_compat.tiff": ("yxc", (384, 512, 3), "uint8"),
    "multipage_rgb.tif": ("zyxc", (2, 3, 10, 10), "float64"),
    "nucleus.n5": ("zyx", (7, 128, 128), "uint8"),
    "nucleus_two_arrays.npz/raw": ("zyx", (7, 128, 128), "uint8"),
    "nucleus_v2_plain_Forder.zarr": ("zyx", (7, 128, 128), "uint8"),
    "nucleus_v3_ome0.5.ome.zarr": ("zyx", (7, 128, 128), "uint8"),
    "ome_s1_t1_c1_z1.ome.tiff": ("yx", (325, 475), "uint16"),
    "packed12bit.tiff": ("yx", (64, 64), "uint16"),
    "palette_8bit.tiff": ("yx", (151, 157), "uint8"),
    "planar_rgb_u8.tif": ("cyx", (3, 499, 374), "uint8"),
    "rgba.png": ("yxc", (400, 640, 4), "uint8"),
    "smallVideoBdv.h5/t00000/s00/0/cells": ("zyx", (1, 408, 408), "int16"),
    "tiled_jpeg.tiff": ("yxc", (384, 512, 3), "uint8"),
    "uint16_bigendian.tif": ("yx", (200, 200), "uint16"),
}
"""Name -> axes, stored shape, dtype."""

REFUSED = {
    "corrupt_colormap.tiff": "is truncated: 1036 bytes",
    "corrupt_lzw_stuck.tiff": "is truncated: 7048 bytes",
    "empty.tif": "is not a TIFF file, or a damaged one",
    "hdf5_1d_no_axistags.h5": "has no dataset of 2 to 5 dimensions; it holds data (10,) float64",
    "nucleus_two_arrays.npz": "which array?",
    "smallVideoBdv.h5": "which dataset?",
    "truncated_50pct.h5": "is damaged: ",
    "truncated_60pct.tif": "is truncated: 57495 bytes",
}
"""Name -> what is said."""

NO_IMAGES = {"LICENSE.image-tiff", "README.md", "smallVideoBdv.xml"}


@pytest.fixture(name="zoo")
def _zoo(shared: Path) -> Path:
    folder = shared / "data" / "format-zoo"
    if not folder.is_dir():
        pytest.skip("OBJCLASS_SHARED has no format-zoo")
    return folder


def independent(path: Path) -> Any:
    """The pixels as another reader has them; None if there is none."""
    if path.suffix.startswith(".tif"):
        return tifffile.imread(path)
    if path.suffix == ".png":
        with Pillow.open(path) as image:
            return np.asarray(image)
    if path.suffix == ".npy":
        return np.load(path)
    if path.name.endswith(".n5"):
        tensorstore = pytest.importorskip("tensorstore")
        spec = {"driver": "n5", "kvstore": {"driver": "file", "path": f"{path}/raw"}}
        return tensorstore.open(spec, open=True).result().read().result().T
    if path.suffix == ".zarr":
        import zarr

        found = zarr.open(str(path), mode="r")
        inside = {"camera_v2_bioformats2raw.ome.zarr": "0/0", "nucleus_v3_ome0.5.ome.zarr": "0"}.get(
            path.name
        )
        return np.asarray(found[inside][:] if inside else found[:])
    if path.suffix == ".npz":
        return np.load(path)["raw"]
    return None


@pytest.mark.parametrize("name", READ)
def test_what_is_read(zoo: Path, name: str) -> None:
    axes, shape, dtype = READ[name]
    image = open_image(str(zoo / name))
    assert (image.axes, image.stored.shape, str(image.dtype)) == (axes, shape, dtype)
    pixels = image.read()
    assert pixels.dtype == image.dtype
    file, _, inside = name.partition(".h5/")
    if file != name:
        with h5py.File(zoo / f"{file}.h5") as opened:
            expected = opened[inside][:] if inside else opened["data"][:]
    else:
        expected = independent(zoo / name.removesuffix("/raw"))
    if expected is not None:
        assert np.array_equal(pixels, to_canonical(expected, axes))
    assert f"`{name}`" in DOCS


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(zoo: Path, name: str) -> None:
    with pytest.raises(ImageError) as refusal:
        open_image(str(zoo / name)).read()
    assert f"{name}: {REFUSED[name]}" in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert f"`{name}`" in DOCS


def test_no_file_is_left_out(zoo: Path) -> None:
    tried = {re.split(r"(?<=\.h5)/|(?<=\.npz)/", name)[0] for name in (*READ, *REFUSED)}
    assert {path.name for path in zoo.iterdir()} == tried | NO_IMAGES


def test_converted_files_are_the_corner_of_their_original(zoo: Path) -> None:
    original = tifffile.imread(zoo.parent / "neubias" / "images" / "xyz_8bit__nucleus.tif")[:, :128, :128]
    for name in ("nucleus.n5", "nucleus_v2_plain_Forder.zarr", "nucleus_v3_ome0.5.ome.zarr"):
        assert np.array_equal(open_image(str(zoo / name)).read()[0, ..., 0], original)


OTHERS = {
    "neubias/images/xyzc_16bit__spots.tif": ("zcyx", (17, 2, 88, 89)),
    "neubias/images/xyt_8bit_polyp.tif": ("tyx", (3, 313, 313)),
    "neubias/images/xyz__multiple_images.czi/xyz__multiple_images-1": ("tzyxc", (1, 2, 251, 251, 1)),
    "neubias/em_series/*.tif": ("zyx", (21, 256, 256)),
    "ilastik-apoptotic-2d/2d_cells_apoptotic_1channel-data_Probabilities.tif": ("yxc", (1024, 1344, 2)),
    "mitosis-timelapse/raw_TYX.tif": ("tyx", (30, 190, 211)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_real_files(shared: Path, name: str) -> None:
    if ".czi" in name:
        pytest.importorskip("bioio_czi", reason="objclass[bio] is not installed")
    image = open_image(str(shared / "data" / name))
    assert (image.axes, image.stored.shape) == OTHERS[name]
    assert image.read().std() > 0


def test_film_as_files_of_single_frames(shared: Path) -> None:
    data = shared / "data"
    film = open_image(str(data / "neubias" / "movie" / "*.tif"), stack_along="t")
    assert np.array_equal(film.read(), open_image(str(data / "mitosis-timelapse" / "raw_TYX.tif")).read())
