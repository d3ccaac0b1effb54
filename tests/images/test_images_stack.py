"""Several files or datasets as one image."""

from collections.abc import Callable
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

from objclass.core import Image, PixelSize
from objclass.errors import ImageError
from objclass.images import open_image
from objclass.images.formats import raster as raster_module

GREY = np.random.default_rng(5).integers(0, 255, (4, 6, 5)).astype(np.uint8)
COLOUR = np.random.default_rng(5).integers(0, 255, (4, 6, 5, 3)).astype(np.uint8)


def save_tiff(path: Path, plane: Any, **options: Any) -> None:
    kind = "rgb" if plane.shape[-1] == len("rgb") else "minisblack"
    tifffile.imwrite(path, plane, **({"photometric": kind} | options))


def save_png(path: Path, plane: Any) -> None:
    path.write_bytes(imagecodecs.png_encode(plane))


def stack(folder: Path, planes: Any, suffix: str, along: str) -> Image:
    """Planes as files, or as datasets of one file."""
    folder.mkdir(exist_ok=True)
    if suffix == "h5":
        with h5py.File(folder / "s.h5", "w") as file:
            for k, plane in enumerate(planes):
                file[f"p{k}"] = plane
        return open_image(f"{folder}/s.h5/p*", stack_along=along)
    save: Callable[[Path, Any], Any] = save_tiff if suffix == "tif" else save_png
    for k, plane in enumerate(planes):
        save(folder / f"p{k}.{suffix}", plane)
    return open_image(f"{folder}/p*.{suffix}", stack_along=along)


@pytest.mark.parametrize("suffix", ["tif", "h5"])
@pytest.mark.parametrize("along", ["z", "t", "c"])
def test_axis_that_is_new_comes_first(tmp_path: Path, suffix: str, along: str) -> None:
    image = stack(tmp_path, GREY, suffix, along)
    assert image.axes == along + "yx"
    assert np.array_equal(image.read(), np.moveaxis(GREY, 0, -1)[None, None]
                          if along == "c" else GREY.reshape(image.shape))  # fmt: skip


@pytest.mark.parametrize("suffix", ["tif", "h5", "png"])
@pytest.mark.parametrize("along", ["z", "t"])
def test_planes_of_several_channels(tmp_path: Path, suffix: str, along: str) -> None:
    image = stack(tmp_path, COLOUR, suffix, along)
    assert image.axes == along + "yxc"
    assert np.array_equal(image.read(), COLOUR.reshape(image.shape))


@pytest.mark.parametrize("suffix", ["tif", "h5", "png"])
def test_channels_that_are_there_add_up(tmp_path: Path, suffix: str) -> None:
    image = stack(tmp_path, COLOUR, suffix, "c")
    assert (image.axes, image.shape) == ("yxc", (1, 1, 6, 5, 12))
    assert np.array_equal(image.read()[0, 0], np.concatenate(list(COLOUR), axis=-1))


@pytest.mark.parametrize("axis", ["z", "y", "x"])
def test_lengths_along_the_axis_may_differ(tmp_path: Path, axis: str) -> None:
    index = "zyx".index(axis)
    parts = [GREY, GREY.take(range(3), axis=index), GREY]
    for k, part in enumerate(parts):
        save_tiff(tmp_path / f"p{k}.tif", part, metadata={"axes": "ZYX"})
    image = open_image(f"{tmp_path}/p*.tif", stack_along=axis)
    whole = np.concatenate(parts, axis=index)
    assert image.axes == "zyx"
    assert np.array_equal(image.read()[0, ..., 0], whole)


@given(data=st.data())
def test_region_is_part_of_the_whole(tmp_path_factory: Any, data: Any) -> None:
    along = data.draw(st.sampled_from("ztc"))
    suffix = data.draw(st.sampled_from(["h5", "png"]))
    image = stack(tmp_path_factory.mktemp("s"), COLOUR, suffix, along)
    whole = image.read()
    bounds = [sorted(data.draw(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1))))
              for n in whole.shape]  # fmt: skip
    region = tuple(slice(a, b + 1) for a, b in bounds)
    assert np.array_equal(image.read(region), whole[region])  # type: ignore[arg-type]


def test_only_touched_files_are_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    header, decode = raster_module._png_header, raster_module._decode_png
    monkeypatch.setattr(raster_module, "_png_header", lambda p: opened.append(p) or header(p))
    image = stack(tmp_path, GREY, "png", "z")
    assert [Path(path).name for path in opened] == [f"p{k}.png" for k in range(len(GREY))]
    opened.clear()
    decoded: list[str] = []
    monkeypatch.setattr(raster_module, "_decode_png", lambda p: decoded.append(p) or decode(p))
    image.read((slice(0, 1), slice(2, 3), slice(0, 6), slice(1, 2), slice(0, 1)))
    assert [Path(path).name for path in decoded] == ["p2.png"]
    assert {Path(path).name for path in opened} == {"p2.png"}


def test_one_match_is_no_stack(tmp_path: Path) -> None:
    save_tiff(tmp_path / "p0.tif", GREY[0])
    assert open_image(f"{tmp_path}/p*.tif").axes == "yx"


def test_axes_given_are_those_of_the_stack(tmp_path: Path) -> None:
    image = stack(tmp_path, GREY, "tif", "z")
    assert image.axes == "zyx"
    assert open_image(image.name, axes="tyx").shape == (4, 1, 6, 5, 1)
    assert image.files == tuple(f"{tmp_path}/p{k}.tif" for k in range(4))
    with pytest.raises(ImageError, match="do not fit shape"):
        open_image(image.name, axes="yx")


def test_datasets_of_several_files(tmp_path: Path) -> None:
    for k, plane in enumerate(GREY):
        with h5py.File(tmp_path / f"p{k}.h5", "w") as file:
            file["only"] = plane
    for spec in (f"{tmp_path}/p*.h5/only", f"{tmp_path}/p*.h5", f"{tmp_path}/p*.h5/o*"):
        assert np.array_equal(open_image(spec).read()[0, ..., 0], GREY)


def test_pixel_size_has_no_z_that_nobody_stated(tmp_path: Path) -> None:
    for k, plane in enumerate(GREY):
        meta = {"unit": "um"}
        save_tiff(tmp_path / f"p{k}.tif", plane, imagej=True, resolution=(2, 2), metadata=meta)
    assert open_image(f"{tmp_path}/p0.tif").pixel_size == PixelSize(0.5, 0.5, 1, "um")
    assert open_image(f"{tmp_path}/p*.tif").pixel_size is None
    assert open_image(f"{tmp_path}/p*.tif", stack_along="t").pixel_size is not None


@pytest.mark.parametrize("odd", [GREY[0, :5], GREY[0].astype(np.uint16), COLOUR[0]])
@pytest.mark.parametrize("suffix", ["tif", "h5", "png"])
def test_odd_one_is_named_before_pixels_are_read(tmp_path: Path, odd: Any, suffix: str) -> None:
    with pytest.raises(ImageError, match=r"p2.* cannot be stacked with .*p0") as refusal:
        stack(tmp_path, [GREY[0], GREY[1], odd], suffix, "z")
    assert "\n" not in str(refusal.value)


def test_odd_one_where_lengths_add_up(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"p1\.png: \(5, 5, 3\) uint8 cannot be stacked with"):
        stack(tmp_path, [COLOUR[0], COLOUR[1, :5]], "png", "c")


def test_slice_that_became_another(tmp_path: Path) -> None:
    image = stack(tmp_path, GREY, "tif", "z")
    save_tiff(tmp_path / "p2.tif", GREY[0, :5])
    first = (slice(0, 1), slice(0, 2), slice(0, 5), slice(0, 5), slice(0, 1))
    assert image.read(first).shape == (1, 2, 5, 5, 1)
    with pytest.raises(ImageError, match=r"p2.* cannot be stacked with .*p0"):
        image.read()


def test_slice_that_is_gone_or_damaged(tmp_path: Path) -> None:
    image = stack(tmp_path, GREY, "png", "z")
    (tmp_path / "p1.png").write_bytes((tmp_path / "p1.png").read_bytes()[:50])
    with pytest.raises(ImageError, match=r"p1\.png: cannot be read, the file may be damaged"):
        image.read()
    (tmp_path / "p1.png").unlink()
    with pytest.raises(ImageError, match=r"no such file: .*p1\.png"):
        image.read()


@pytest.mark.parametrize("along", ["q", "", "zt"])
def test_axis_that_is_none(tmp_path: Path, along: str) -> None:
    with pytest.raises(ImageError, match=f"stack along '{along}': expected one of t, z, y, x, c"):
        stack(tmp_path, GREY, "png", along)


def test_frames_of_films_are_time_where_films_are_stacked_along_z(tmp_path: Path) -> None:
    for k in range(2):
        frames = [Pillow.fromarray(plane + k) for plane in GREY]
        frames[0].save(tmp_path / f"p{k}.gif", save_all=True, append_images=frames[1:])
    assert open_image(f"{tmp_path}/p*.gif").axes == "ztyxc"
    assert open_image(f"{tmp_path}/p*.gif", stack_along="t").axes == "tzyxc"


@pytest.mark.parametrize("along", ["t", "z", "c"])
def test_files_of_several_pages(tmp_path: Path, along: str) -> None:
    for k in range(2):
        save_tiff(tmp_path / f"p{k}.tif", GREY + k, metadata={"axes": "ZYX"})
    image = open_image(f"{tmp_path}/p*.tif", stack_along=along)
    parts = [GREY, GREY + 1]
    whole = np.concatenate(parts) if along == "z" else np.stack(parts)
    assert image.axes == ("zyx" if along == "z" else f"{along}zyx")
    assert np.array_equal(image.stored.read(tuple(slice(0, n) for n in whole.shape)), whole)


def test_arrays_of_one_npz_are_a_stack(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", p0=GREY[0], p1=GREY[1], q=GREY[2])
    assert np.array_equal(open_image(f"{tmp_path}/a.npz/p*").read()[0, ..., 0], GREY[:2])


def test_order_of_names_that_is_not_that_of_numbers_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for k in (1, 2, 10):
        save_png(tmp_path / f"img{k}.png", GREY[0])
        save_png(tmp_path / f"pad{k:02}.png", GREY[0])
    open_image(f"{tmp_path}/pad*.png")
    assert not caplog.messages
    open_image(f"{tmp_path}/img*.png")
    (message,) = caplog.messages
    assert "img10.png comes before img2.png" in message
    assert "img02" in message
    assert "\n" not in message
