"""OME-Zarr as others see it: zarr, tensorstore, ome-zarr-models; pyramids that do not know the blocks."""

import json
import random
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from objclass.core import PixelSize, to_canonical
from objclass.images.formats import omezarr
from objclass.images.formats.omezarr import MultiScaleWriter, SingleScaleWriter, mean_of_cells
from objclass.images.writer import OutputImage
from tests.conftest import examples

zarr = pytest.importorskip("zarr")


def image_of(shape: tuple[int, ...], dtype: str = "u1", axes: str = "zyx", **more: Any) -> OutputImage:
    return OutputImage(axes, shape, np.dtype(dtype), **more)


def pixels_of(image: OutputImage) -> Any:
    generator = np.random.default_rng(3)
    if image.dtype.kind == "f":
        return generator.random(image.shape).astype(image.dtype)
    return generator.integers(0, 100, image.shape).astype(image.dtype)


def write(path: Path, writer_class: Any, image: OutputImage, pixels: Any, cut: Any = None) -> Path:
    writer = writer_class(str(path), image, None)
    for region in cut or [tuple(slice(0, n) for n in image.shape)]:
        writer.write(region, pixels[region])
    writer.close()
    return path


def blocks(shape: tuple[int, ...], sides: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    starts = (range(0, n, side) for n, side in zip(shape, sides, strict=True))
    for corner in product(*starts):
        yield tuple(slice(a, min(a + side, n)) for a, side, n in zip(corner, sides, shape, strict=True))


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def tczyx(pixels: Any, axes: str) -> Any:
    return np.moveaxis(to_canonical(pixels, axes), 4, 1)


@pytest.mark.parametrize("axes", ["yx", "xyc", "zyxc", "tzyxc", "txyzc", "cyx"])
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i8", "f4", "f8"])
def test_zarr_reads_it(tmp_path: Path, axes: str, dtype: str) -> None:
    lengths = {"t": 2, "z": 3, "y": 11, "x": 13, "c": 2}
    image = image_of(tuple(lengths[a] for a in axes), dtype, axes)
    pixels = pixels_of(image)
    path = write(tmp_path / "a.zarr", SingleScaleWriter, image, pixels)
    group = zarr.open_group(str(path), mode="r")
    assert list(group.array_keys()) == ["s0"]
    assert group["s0"].dtype == image.dtype
    assert group["s0"].metadata.zarr_format == 2
    assert np.array_equal(group["s0"][:], tczyx(pixels, axes))


@pytest.mark.parametrize("labels", [True, False])
@pytest.mark.parametrize("dtype", ["u2", "f4"])
@pytest.mark.parametrize("shape", [(70, 91, 85), (1, 300, 421), (3, 5, 5000)])
def test_pyramid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: Any, dtype: str, *, labels: bool
) -> None:
    monkeypatch.setattr(omezarr, "CHUNK_BYTES", 20_000)
    image = image_of(shape, dtype, labels=labels)
    expected = pixels_of(image)
    path = write(tmp_path / "a.zarr", MultiScaleWriter, image, expected)
    group = zarr.open_group(str(path), mode="r")
    names = sorted(group.array_keys())
    assert len(names) > 2
    for name in names:
        assert np.array_equal(group[name][0, 0], expected)
        assert all(
            n <= 1 or c % 2 == 0 or c == n for n, c in zip(group[name].shape, group[name].chunks, strict=True)
        )
        assert (group[name].chunks == group[name].shape) == (name == names[-1])
        expected = expected[::2, ::2, ::2] if labels else mean_of_cells(expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float64])
def test_mean_of_cells(dtype: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 100, (5, 4, 7)).astype(dtype)
    expected = np.empty((3, 2, 4))
    for z, y, x in np.ndindex(expected.shape):
        cell = pixels[2 * z : 2 * z + 2, 2 * y : 2 * y + 2, 2 * x : 2 * x + 2]
        expected[z, y, x] = cell.mean(dtype=np.float64)
    if dtype != np.float64:
        expected = np.rint(expected)
    assert np.array_equal(mean_of_cells(pixels), expected.astype(dtype))
    assert mean_of_cells(pixels).dtype == dtype


@examples(3)
@given(data=st.data())
def test_same_image_makes_the_same_files_whatever_the_blocks(tmp_path_factory: Any, data: Any) -> None:
    folder = tmp_path_factory.mktemp("w")
    image = image_of((2, 30, 41, 37), "f4", data.draw(st.sampled_from(["tzyx", "txyz", "czyx"])))
    pixels = pixels_of(image)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(omezarr, "CHUNK_BYTES", 8_000)
        once = files(write(folder / "a", MultiScaleWriter, image, pixels))
        sides = tuple(data.draw(st.integers(max(n // 5, 1), n)) for n in image.shape)
        cut = list(blocks(image.shape, sides))
        random.Random(data.draw(st.integers(0, 99))).shuffle(cut)
        assert files(write(folder / "b", MultiScaleWriter, image, pixels, cut)) == once


def test_few_chunks_wait_where_blocks_come_in_scan_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(omezarr, "CHUNK_BYTES", 30_000)
    image = image_of((300, 100, 100), "u1")
    writer = MultiScaleWriter(str(tmp_path / "a.zarr"), image)
    waiting, grids, level = [], [], writer._writer
    while level is not None:
        grids.append(level._grid)
        level = level._next
    for z in range(0, 300, 5):
        writer.write((slice(z, z + 5), slice(0, 100), slice(0, 100)), np.ones((5, 100, 100), np.uint8))
        waiting.append(sum(len(grid.waiting) for grid in grids))
    writer.close()
    per_layer = [np.prod([-(-n // c) for n, c in zip(level.shape[3:], level.chunks[3:], strict=True)])
                 for level in writer._levels]  # fmt: skip
    assert max(waiting) <= sum(per_layer)
    assert waiting[-1] == 0


def test_pixels_never_written_are_zero_and_take_no_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(omezarr, "CHUNK_BYTES", 8_000)
    image = image_of((60, 60, 60), labels=True)
    region = (slice(3, 5), slice(0, 50), slice(7, 9))
    path = write(tmp_path / "a.zarr", MultiScaleWriter, image, np.full(image.shape, 7, np.uint8), [region])
    expected = np.zeros(image.shape, np.uint8)
    expected[region] = 7
    group = zarr.open_group(str(path), mode="r")
    assert np.array_equal(group["s0"][0, 0], expected)
    assert np.array_equal(group["s1"][0, 0], expected[::2, ::2, ::2])
    chunks = [name for name in files(path) if name.startswith("s0/") and not name.startswith("s0/.")]
    assert len(chunks) == 3


def metadata(path: Path) -> Any:
    return json.loads((path / ".zattrs").read_text(encoding="utf-8"))


def test_classes(tmp_path: Path) -> None:
    image = image_of(
        (20, 30),
        "u1",
        "yx",
        labels=True,
        names=("Kern & Hof", "β"),
        colors=((255, 0, 0), (0, 128, 255)),
        pixel_size=PixelSize(0.5, 0.25, 2, "um"),
        origin=(4, 6),
        drange=(0.0, 255.0),
    )
    path = write(tmp_path / "a.zarr", MultiScaleWriter, image, pixels_of(image))
    found = metadata(path)
    assert found["image-label"] == {
        "version": "0.4",
        "colors": [
            {"label-value": 1, "rgba": [255, 0, 0, 255]},
            {"label-value": 2, "rgba": [0, 128, 255, 255]},
        ],
        "properties": [{"label-value": 1, "class": "Kern & Hof"}, {"label-value": 2, "class": "β"}],
    }
    assert "omero" not in found
    (multiscale,) = found["multiscales"]
    assert multiscale["axes"][2] == {"name": "z", "type": "space", "unit": "micrometer"}
    assert [axis["name"] for axis in multiscale["axes"]] == list("tczyx")
    assert multiscale["datasets"] == [
        {
            "path": "s0",
            "coordinateTransformations": [
                {"type": "scale", "scale": [1, 1, 2, 0.25, 0.5]},
                {"type": "translation", "translation": [0, 0, 0, 1, 3]},
            ],
        }
    ]
    attributes = json.loads((path / "s0/.zattrs").read_text())
    assert [tag["key"] for tag in json.loads(attributes["axistags"])["axes"]] == list("tczyx")
    assert json.loads(attributes["axis_units"]) == dict.fromkeys("zyx", "um")
    assert (attributes["display_mode"], attributes["drange"]) == ("default", [0, 255])


def test_scales_of_a_pyramid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(omezarr, "CHUNK_BYTES", 500)
    size = PixelSize(0.5, 0.25, 2, "um")
    for labels, moved in ((True, []), (False, [0, 0, 0, 0.125, 0.25])):
        image = image_of((40, 60), "f4", "yx", pixel_size=size, labels=labels)
        path = write(tmp_path / f"{labels}.zarr", MultiScaleWriter, image, pixels_of(image))
        (multiscale,) = metadata(path)["multiscales"]
        second = multiscale["datasets"][1]["coordinateTransformations"]
        assert second[0]["scale"] == [1, 1, 2, 0.5, 1]  # one plane stays one plane
        assert [t["translation"] for t in second[1:]] == ([moved] if moved else [])
        assert multiscale["type"] == ("nearest" if labels else "mean")
        tags = json.loads(json.loads((path / "s1/.zattrs").read_text())["axistags"])["axes"]
        assert [tag["resolution"] for tag in tags] == [0, 0, 2, 0.5, 1]


def test_channels(tmp_path: Path) -> None:
    names, colors = ("a", "b"), ((255, 0, 0), (0, 128, 255))
    image = image_of((20, 30, 2), "f4", "yxc", names=names, colors=colors)
    found = metadata(write(tmp_path / "a.zarr", SingleScaleWriter, image, pixels_of(image)))
    assert [(c["label"], c["color"]) for c in found["omero"]["channels"]] == [
        ("a", "FF0000"),
        ("b", "0080FF"),
    ]
    assert found["omero"]["channels"][0]["window"] == {"min": 0, "max": 1, "start": 0, "end": 1}
    assert "image-label" not in found
    plain = image_of((20, 30, 2), "f4", "yxc")
    assert set(metadata(write(tmp_path / "b.zarr", SingleScaleWriter, plain, pixels_of(plain)))) == {
        "multiscales"
    }


@pytest.mark.parametrize("labels", [True, False])
def test_models_of_the_format_accept_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, labels: bool
) -> None:
    models = pytest.importorskip("ome_zarr_models.v04")
    monkeypatch.setattr(omezarr, "CHUNK_BYTES", 20_000)
    image = image_of(
        (2, 60, 60, 60, 1 if labels else 2),
        "u1" if labels else "f4",
        "tzyxc",
        labels=labels,
        names=("a", "b"),
        colors=((255, 0, 0), (0, 128, 255)),
        pixel_size=PixelSize(0.5, 0.25, 2, "um"),
        origin=(0, 1, 2, 3, 0),
    )
    path = write(tmp_path / "a.zarr", MultiScaleWriter, image, pixels_of(image))
    group = zarr.open_group(str(path), mode="r")
    model = models.ImageLabel if labels else models.Image
    read = model.from_zarr(group)
    multiscale = read.attributes.multiscales[0]
    assert [dataset.path for dataset in multiscale.datasets] == sorted(group.array_keys())
    assert len(multiscale.datasets) > 1
    if not labels:
        assert [c.label for c in read.attributes.omero.channels] == ["a", "b"]


def test_tensorstore_reads_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensorstore = pytest.importorskip("tensorstore")
    monkeypatch.setattr(omezarr, "CHUNK_BYTES", 20_000)
    image = image_of((50, 60, 70), "u4")
    pixels = pixels_of(image)
    path = write(tmp_path / "a.zarr", SingleScaleWriter, image, pixels)
    store = {"driver": "file", "path": f"{path}/s0"}
    read = tensorstore.open({"driver": "zarr", "kvstore": store}).result().read().result()
    assert np.array_equal(read[0, 0], pixels)


def test_refusal() -> None:
    assert SingleScaleWriter.refusal(image_of((3, 4, 5), "c8")) == (
        "holds integers and floats, not complex64: use hdf5"
    )
    assert SingleScaleWriter.refusal(image_of((3, 4, 5))) is None


def test_a_mean_of_zeros_has_no_sign() -> None:
    """A chunk of zeros has no file, so their signs are lost where a level is made from files."""
    smallest = np.full((1, 2, 2), -np.finfo("f4").smallest_subnormal, "f4")
    for pixels in (np.full((1, 3, 5), -0.0, "f4"), smallest * [[1, 0], [0, 0]]):
        assert not np.signbit(mean_of_cells(pixels.astype("f4"))).any()
