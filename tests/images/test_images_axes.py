"""What the axes of a file are, its pixel size and its range of values."""

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile

from objclass.core import PixelSize
from objclass.errors import ImageError
from objclass.images import from_array, open_image
from objclass.images.attributes import axistags
from objclass.images.source import known_pixel_size


def save_h5(path: Path, shape: tuple[int, ...], **attrs: Any) -> str:
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("data", data=np.zeros(shape, np.uint8))
        for name, value in attrs.items():
            dataset.attrs[name] = value
    return str(path)


SHAPES = [
    ((5, 6), "yx"),
    ((5, 6, 4), "yxc"),
    ((5, 6, 5), "zyx"),
    ((5, 6, 7, 2), "zyxc"),
    ((2, 5, 6, 7, 2), "tzyxc"),
]


@pytest.mark.parametrize(("shape", "axes"), SHAPES)
def test_axes_by_shape(tmp_path: Path, shape: tuple[int, ...], axes: str) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape))
    np.savez(tmp_path / "a.npz", a=np.zeros(shape))
    for path in (tmp_path / "a.npy", tmp_path / "a.npz", save_h5(tmp_path / "a.h5", shape)):
        image = open_image(str(path))
        assert (image.axes, image.axes_from) == (axes, "shape")
    assert from_array(np.zeros(shape)).axes == axes


@pytest.mark.parametrize(
    ("attrs", "axes", "axes_from"),
    [
        ({"axistags": axistags("xczy")}, "xczy", "axistags"),
        ({"axistags": axistags("tzyx").encode()}, "tzyx", "axistags"),
        ({"axistags": np.bytes_(axistags("tzyx"))}, "tzyx", "axistags"),
        ({"axistags": axistags("tzyx"), "axes": "xyzc"}, "tzyx", "axistags"),
        ({"axistags": '{"axes": [{"key": "?"}]}', "axes": "XYZC"}, "czyx", "attribute axes"),
        ({"axes": ["x", "y", "z", "c"]}, "czyx", "attribute axes"),
        ({"axes": np.array([b"x", b"y", b"z", b"t"])}, "tzyx", "attribute axes"),
        ({}, "zyxc", "shape"),
    ],
)
def test_axes_of_hdf5(tmp_path: Path, attrs: dict[str, Any], axes: str, axes_from: str) -> None:
    image = open_image(save_h5(tmp_path / "a.h5", (2, 3, 4, 5), **attrs))
    assert (image.axes, image.axes_from) == (axes, axes_from)


@pytest.mark.parametrize("tags", ["no json", '{"axes": 3}', "[]", '{"axes": [{}]}'])
def test_damaged_axistags_are_refused_unless_axes_are_given(tmp_path: Path, tags: str) -> None:
    path = save_h5(tmp_path / "a.h5", (3, 4), axistags=tags)
    with pytest.raises(ImageError, match="axistags, which is damaged.*--input_axes"):
        open_image(path)
    assert open_image(path, axes="xy").axes == "xy"


def test_axistags_text() -> None:
    assert axistags("yc", PixelSize(x=2, y=0.5)) == (
        '{\n  "axes": [\n    {\n      "key": "y",\n      "typeFlags": 2,\n'
        '      "resolution": 0.5,\n      "description": ""\n    },\n    {\n'
        '      "key": "c",\n      "typeFlags": 1,\n      "resolution": 0,\n'
        '      "description": ""\n    }\n  ]\n}'
    )
    assert [tag["typeFlags"] for tag in json.loads(axistags("tzyxc"))["axes"]] == [8, 2, 2, 2, 1]


@pytest.mark.parametrize(
    ("shape", "options", "axes"),
    [
        ((5, 6), {}, "yx"),
        ((5, 6, 3), {"photometric": "rgb"}, "yxc"),
        ((5, 6, 4), {"photometric": "rgb"}, "yxc"),
        ((3, 5, 6), {"photometric": "rgb", "planarconfig": "separate"}, "cyx"),
        ((7, 5, 6), {"metadata": None}, "tyx"),  # plain pages: tifffile's I
        ((7, 5, 6), {"metadata": {"axes": "QYX"}}, "zyx"),  # named by nobody: by shape
        ((2, 3, 4, 5, 6), {"metadata": {"axes": "TZCYX"}}, "tzcyx"),
        ((2, 3, 4, 5, 6), {"metadata": {"axes": "TZCYX"}, "imagej": True}, "tzcyx"),
        ((2, 3, 4, 5, 6), {"metadata": {"axes": "TCZYX"}, "ome": True}, "tczyx"),
        ((2, 5, 6, 3), {"metadata": {"axes": "ZYXS"}, "photometric": "rgb"}, "zyxc"),
    ],
)
def test_axes_of_tiff(tmp_path: Path, shape: Any, options: dict[str, Any], axes: str) -> None:
    pixels = np.arange(np.prod(shape), dtype=np.uint16).reshape(shape)
    tifffile.imwrite(tmp_path / "a.tif", pixels, **({"photometric": "minisblack"} | options))
    image = open_image(str(tmp_path / "a.tif"))
    assert image.axes == axes
    assert np.array_equal(image.stored.read(tuple(slice(0, n) for n in shape)), pixels)


@pytest.mark.parametrize(("shape", "channels"), [((5, 6), 1), ((5, 6, 3), 3), ((5, 6, 4), 4)])
def test_raster_images_have_channels_last(tmp_path: Path, shape: Any, channels: int) -> None:
    (tmp_path / "a.png").write_bytes(imagecodecs.png_encode(np.zeros(shape, np.uint8)))
    image = open_image(str(tmp_path / "a.png"))
    assert (image.axes, image.shape) == ("yxc", (1, 1, 5, 6, channels))


def test_given_axes_replace_those_of_the_file(tmp_path: Path) -> None:
    path = save_h5(tmp_path / "a.h5", (2, 3, 4), axistags=axistags("zyx", PixelSize(1, 2, 3)))
    image = open_image(path, axes="CXY", axes_from="training")
    assert (image.axes, image.axes_from, image.shape) == ("cxy", "training", (1, 1, 4, 3, 2))
    assert image.pixel_size is None
    assert open_image(path, axes="zyx").pixel_size == PixelSize(1, 2, 3)
    with pytest.raises(ImageError, match=r"axes 'yx' \(training\) do not fit shape \(2, 3, 4\)"):
        open_image(path, axes="yx", axes_from="training")
    with pytest.raises(ImageError, match=r"axes 'yxq' \(--input_axes\): expected letters"):
        open_image(path, axes="yxq")


def test_pixel_size_of_hdf5(tmp_path: Path) -> None:
    size = PixelSize(0.5, 0.25, 2, "um")
    units = json.dumps(dict.fromkeys("xyz", "µm"))
    tagged = {"axistags": axistags("zyx", size), "axis_units": units}
    assert open_image(save_h5(tmp_path / "a.h5", (9, 9, 9), **tagged)).pixel_size == size
    flat = {"axistags": axistags("yx", size)}
    assert open_image(save_h5(tmp_path / "b.h5", (9, 9), **flat)).pixel_size == PixelSize(0.5, 0.25)
    elements = {"axistags": axistags("zyx"), "element_size_um": (2, 0.25, 0.5)}
    assert open_image(save_h5(tmp_path / "c.h5", (9, 9, 9), **elements)).pixel_size == size
    plain = {"axistags": axistags("zyx"), "axis_units": "no json"}
    assert open_image(save_h5(tmp_path / "d.h5", (9, 9, 9), **plain)).pixel_size is None


@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
def test_pixel_size_of_imagej(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "a.tif"
    meta = {"axes": "ZYX", "spacing": 3.0, "unit": unit}
    pixels = np.zeros((3, 4, 5), np.uint8)
    tifffile.imwrite(path, pixels, imagej=True, resolution=(4, 2), metadata=meta)
    assert open_image(str(path)).pixel_size == PixelSize(0.25, 0.5, 3, "um")


@pytest.mark.parametrize("unit", ["pixel", ""])
def test_pixel_size_without_unit_is_unknown(tmp_path: Path, unit: str) -> None:
    path = tmp_path / "a.tif"
    pixels = np.zeros((4, 5), np.uint8)
    tifffile.imwrite(path, pixels, imagej=True, resolution=(4, 2), metadata={"unit": unit})
    assert open_image(str(path)).pixel_size is None
    tifffile.imwrite(path, pixels, resolution=(72, 72), resolutionunit="INCH")
    assert open_image(str(path)).pixel_size is None


def test_pixel_size_of_ome(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    meta: dict[str, Any] = {"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
    tifffile.imwrite(path, np.zeros((3, 4, 5), np.uint8), metadata=meta)
    assert open_image(str(path)).pixel_size is None  # how far apart are the planes?
    meta |= {"PhysicalSizeZ": 2000, "PhysicalSizeZUnit": "nm"}
    tifffile.imwrite(path, np.zeros((3, 4, 5), np.uint8), metadata=meta)
    assert open_image(str(path)).pixel_size == PixelSize(0.5, 0.25, 2, "um")


def test_units_that_differ() -> None:
    sizes = {"x": 1.0, "y": 2.0}
    assert known_pixel_size(sizes, {"x": "mm", "y": "um"}, "yx") == PixelSize(1000, 2, 1, "um")
    assert known_pixel_size(sizes, {"x": "mm", "y": "furlong"}, "yx") is None
    assert known_pixel_size(sizes, {"x": "inch", "y": "inch"}, "yx") == PixelSize(1, 2, 1, "inch")
    assert known_pixel_size({"x": 0.0, "y": 1.0}, {}, "yx") is None
    assert known_pixel_size({"x": float("nan"), "y": 1.0}, {}, "yx") is None


def test_drange(tmp_path: Path) -> None:
    assert open_image(save_h5(tmp_path / "a.h5", (3, 4))).drange == (0, 255)
    assert open_image(save_h5(tmp_path / "b.h5", (3, 4), drange=(0, 100))).drange == (0, 100)
    assert open_image(save_h5(tmp_path / "c.h5", (3, 4), drange="none")).drange == (0, 255)
    assert from_array(np.zeros((3, 4), np.uint8)).drange == (0, 255)
    assert from_array(np.zeros((3, 4), np.uint16)).drange is None
    assert from_array(np.zeros((3, 4), bool)).drange == (0, 1)


def test_truth_values_and_foreign_byte_orders_become_plain_numbers(tmp_path: Path) -> None:
    truth = np.array([[True, False], [False, True]])
    image = from_array(truth)
    assert image.dtype == image.read().dtype == np.uint8
    assert image.read().ravel().tolist() == [1, 0, 0, 1]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["data"] = truth
        file["big"] = np.array([[1, 2]], ">i2")
    assert open_image(f"{tmp_path}/a.h5/data").read().ravel().tolist() == [1, 0, 0, 1]
    big = open_image(f"{tmp_path}/a.h5/big")
    assert big.dtype == big.read().dtype == np.dtype("=i2")
    assert big.dtype.isnative
    assert big.read().dtype.isnative


class Lazy:
    """Something with shape, dtype and slicing that remembers what was asked of it."""

    def __init__(self, array: Any) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.asked: list[Any] = []

    def __getitem__(self, region: Any) -> Any:
        self.asked.append(region)
        return self.array[region]


def test_anything_with_slicing_is_an_array() -> None:
    lazy = Lazy(np.arange(60).reshape(3, 4, 5))
    image = from_array(lazy, "ZYX")
    assert (image.axes, image.axes_from, lazy.asked) == ("zyx", "axes=", [])
    region = (slice(0, 1), slice(1, 2), slice(0, 4), slice(2, 3), slice(0, 1))
    assert image.read(region).ravel().tolist() == lazy.array[1, :, 2].tolist()
    assert lazy.asked == [(slice(1, 2), slice(0, 4), slice(2, 3))]
    assert from_array([[1, 2], [3, 4]]).shape == (1, 1, 2, 2, 1)


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros(3), "seg: shape (3,) is 1-dimensional"),
        (np.float64(3), "seg: shape () is 0-dimensional"),
        (np.zeros((2, 2), complex), "seg: pixels are complex128"),
        (np.zeros((2, 2), np.longdouble), "seg: pixels are"),
        (np.array([["a"]]), "seg: pixels are <U1"),
        ([[1], [2, 3]], "seg: cannot be taken for an array"),
        (None, "seg: pixels are object"),
    ],
)
def test_arrays_that_are_no_images(array: Any, message: str) -> None:
    with pytest.raises(ImageError) as refusal:
        from_array(array, name="seg")
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_array_that_fails_or_lies() -> None:
    class Failing(Lazy):
        def __getitem__(self, region: Any) -> Any:
            message = "the server\nis gone"
            raise KeyError(message)

    class Short(Lazy):
        def __getitem__(self, region: Any) -> Any:
            return self.array[:1]

    with pytest.raises(ImageError, match="array: cannot be read.*the server"):
        from_array(Failing(np.zeros((4, 4)))).read()
    with pytest.raises(ImageError, match=r"array: read shape \(1, 4\) instead of \(4, 4\)"):
        from_array(Short(np.zeros((4, 4)))).read()


@pytest.mark.parametrize("axes", ["".join(p) for n in range(4) for p in permutations("xy" + "tzc"[:n])])
def test_any_order_of_axes(tmp_path: Path, axes: str) -> None:
    lengths = {"t": 2, "z": 3, "y": 4, "x": 5, "c": 6}
    pixels = np.arange(np.prod([lengths[a] for a in axes])).reshape([lengths[a] for a in axes])
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("a", data=pixels).attrs["axistags"] = axistags(axes)
    image = open_image(f"{tmp_path}/a.h5")
    assert image.shape == tuple(lengths[a] if a in axes else 1 for a in "tzyxc")
    index = {axis: n - 1 for axis, n in lengths.items()}
    index["x"] = 1
    there = image.read()[tuple(index[a] if a in axes else 0 for a in "tzyxc")]
    assert there == pixels[tuple(index[a] for a in axes)]
    assert open_image(f"{tmp_path}/a.h5", axes=axes[::-1]).axes == axes[::-1]
