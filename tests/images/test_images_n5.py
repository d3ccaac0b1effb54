"""N5 as tensorstore sees it."""

import json
import random
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from objclass.core import PixelSize
from objclass.errors import OutputError
from objclass.images.attributes import axistags
from objclass.images.formats import n5
from objclass.images.formats.dvid import DvidWriter
from objclass.images.formats.n5 import CompressedN5Writer, N5Writer
from objclass.images.writer import OutputImage

WRITERS = [N5Writer, CompressedN5Writer]


def image_of(shape: Any = (30, 41, 37), dtype: str = "u2", axes: str = "zyx", **more: Any) -> OutputImage:
    return OutputImage(axes, shape, np.dtype(dtype), **more)


def pixels_of(image: OutputImage) -> Any:
    return (np.indices(image.shape).sum(axis=0) % 91 / 3).astype(image.dtype)


def write(path: Path, writer_class: Any, image: OutputImage, pixels: Any, **more: Any) -> Path:
    side = more.pop("side", 100)
    starts = [range(0, n, side) for n in image.shape]
    regions = [tuple(slice(a, a + side) for a in corner) for corner in product(*starts)]
    regions = [
        tuple(slice(s.start, min(s.stop, n)) for s, n in zip(r, image.shape, strict=True)) for r in regions
    ]
    random.Random(more.pop("seed", 0)).shuffle(regions)
    container = writer_class.container(str(path))
    writer = writer_class(container, image)
    for region in regions:
        writer.write(region, pixels[region])
    writer.close()
    container.close(more.pop("previous", None))
    return path


def read(path: Path, internal: str = "exported_data") -> Any:
    tensorstore = pytest.importorskip("tensorstore")
    attributes = path / internal / "attributes.json"
    written = attributes.read_text()
    # ilastik, and so we, write a text; tensorstore insists on a list
    attributes.write_text(json.dumps(json.loads(written) | {"axes": list(json.loads(written)["axes"])}))
    store = {"driver": "file", "path": f"{path}/{internal}"}
    found = tensorstore.open({"driver": "n5", "kvstore": store}).result().read().result().T
    attributes.write_text(written)
    return found


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.mark.parametrize("writer_class", WRITERS)
@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f4", "f8"])
def test_tensorstore_reads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer_class: Any, dtype: str
) -> None:
    monkeypatch.setattr(n5, "chunk_shape", lambda *_: (16, 20, 37))
    image = image_of(dtype=dtype)
    pixels = pixels_of(image)
    path = write(tmp_path / "a.n5", writer_class, image, pixels)
    found = read(path)
    assert found.dtype == image.dtype
    assert np.array_equal(found, pixels)


@pytest.mark.parametrize("writer_class", WRITERS)
def test_same_image_makes_the_same_files_whatever_the_blocks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer_class: Any
) -> None:
    monkeypatch.setattr(n5, "chunk_shape", lambda *_: (16, 20, 37))
    image = image_of()
    once = files(write(tmp_path / "a", writer_class, image, pixels_of(image)))
    for seed, side in enumerate((5, 16, 31)):
        path = write(tmp_path / f"b{seed}", writer_class, image, pixels_of(image), side=side, seed=seed)
        assert files(path) == once
    assert {"attributes.json", "exported_data/attributes.json", "exported_data/0/2/1"} <= set(once)


def test_attributes(tmp_path: Path) -> None:
    size = PixelSize(0.5, 0.25, 2, "um")
    image = image_of((30, 41, 37, 1), "u4", "zyxc", drange=(0.0, 255.0), pixel_size=size)
    path = write(tmp_path / "a.n5", CompressedN5Writer, image, pixels_of(image))
    assert json.loads((path / "attributes.json").read_text()) == {"n5": "2.0.0"}
    assert json.loads((path / "exported_data/attributes.json").read_text()) == {
        "dimensions": [1, 37, 41, 30],
        "blockSize": [1, 37, 41, 30],
        "dataType": "uint32",
        "compression": {"type": "gzip", "useZlib": False, "level": 1},
        "axes": "cxyz",
        "axistags": axistags("zyxc", size),
        "axis_units": json.dumps(dict.fromkeys("zyx", "um")),
        "display_mode": "default",
        "drange": [0, 255],
    }


def test_chunks_of_zeros_are_left_out(tmp_path: Path) -> None:
    image = image_of()
    path = write(tmp_path / "a.n5", N5Writer, image, np.zeros(image.shape, "u2"))
    assert set(files(path)) == {"attributes.json", "exported_data/attributes.json"}
    assert not read(path).any()


def test_datasets_share_a_container_and_keep_what_else_it_held(tmp_path: Path) -> None:
    old, new = tmp_path / "old.n5", tmp_path / "new.n5"
    image = {name: image_of(internal_path=name) for name in ("grp/kept", "grp/replaced", "/fresh")}
    for name in ("grp/kept", "grp/replaced"):
        write(old, N5Writer, image[name], np.full((30, 41, 37), 5, "u2"))
    (old / "attributes.json").write_text('{"n5": "1.0.0", "who": "me"}')
    (old / "grp/attributes.json").write_text('{"unit": "um"}')
    for name in ("grp/replaced", "/fresh"):
        write(new, N5Writer, image[name], np.full((30, 41, 37), 7, "u2"), previous=str(old))
    assert json.loads((new / "attributes.json").read_text()) == {"n5": "2.0.0", "who": "me"}
    assert json.loads((new / "grp/attributes.json").read_text()) == {"unit": "um"}
    assert (read(new, "grp/kept") == 5).all()
    assert (read(new, "grp/replaced") == 7).all()
    assert (read(new, "fresh") == 7).all()
    again = tmp_path / "again.n5"
    for name in ("grp/replaced", "/fresh"):
        write(again, N5Writer, image[name], np.full((30, 41, 37), 7, "u2"), previous=str(new))
    assert files(again) == files(new)


def test_kept_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> None:
        raise OSError

    monkeypatch.setattr(n5.os, "link", fail)
    test_datasets_share_a_container_and_keep_what_else_it_held(tmp_path)


def test_dataset_cannot_hold_another(tmp_path: Path) -> None:
    write(tmp_path / "old.n5", N5Writer, image_of(internal_path="a/b"), pixels_of(image_of()))
    image = image_of(internal_path="a/b/c")
    old = str(tmp_path / "old.n5")
    assert N5Writer.clash(old, image) == "a/b is a dataset, expected a group"
    with pytest.raises(OutputError, match="a/b: is a dataset, expected a group"):  # it came in the meantime
        write(tmp_path / "new.n5", N5Writer, image, pixels_of(image), previous=old)
    with pytest.raises(OutputError, match="a/b/c: a/b is a dataset, expected a group"):
        N5Writer(old, image)


@pytest.mark.parametrize("internal", ["../a", "a/../../b", "a//b", ".", "/", "a\\b"])
def test_places_outside_the_container(tmp_path: Path, internal: str) -> None:
    image = image_of(internal_path=internal)
    said = N5Writer.refusal(image)
    assert said == f"has no place '{internal}': expected names with / between them"
    with pytest.raises(OutputError, match="n5 has no place"):
        N5Writer(str(tmp_path / "a.n5"), image)
    assert not list(tmp_path.iterdir())


def test_refusals() -> None:
    assert (
        N5Writer.refusal(image_of(dtype="f2")) == "holds integers, float32 and float64, not float16: use hdf5"
    )
    said = DvidWriter.refusal(image_of())
    assert (
        said == "sending images to a DVID server is not supported: write hdf5 or n5 and load that into DVID"
    )
