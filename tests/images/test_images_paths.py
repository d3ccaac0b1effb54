"""What an argument may hold, what it is called, and what is said when it holds nothing."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from objclass.errors import ImageError
from objclass.images import dataset_name, open_image
from objclass.images.paths import expand, split_internal

PLANE = np.arange(12, dtype=np.uint8).reshape(3, 4)


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def save(*names: str) -> None:
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        with open(name, "wb") as file:
            np.save(file, PLANE)


def save_h5(name: str, **arrays: np.ndarray) -> None:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(name, "w") as file:
        for key, array in arrays.items():
            file[key.replace("__", "/")] = array


def names(spec: str) -> list[str]:
    return [str(part) for part in expand(spec)]


def test_glob_is_sorted_as_strings_and_needs_no_wildcard() -> None:
    save("a10.npy", "a9.npy", "b.npy")
    assert names("a*.npy") == ["a10.npy", "a9.npy"]
    assert names(f"b.npy{os.pathsep}a?.npy") == ["a9.npy", "b.npy"]
    assert names("b.npy") == ["b.npy"]


def test_parts_are_a_union() -> None:
    save("a.npy", "b.npy")
    assert names(os.pathsep.join(["b.npy", "*.npy", "a.npy"])) == ["a.npy", "b.npy"]


@pytest.mark.skipif(os.pathsep != ":", reason="a colon separates only there")
def test_colon_before_a_number_separates_nothing() -> None:
    save("a.npy:1.npy", "a.npy", "1.npy")
    assert names("a.npy:1.npy") == ["a.npy:1.npy"]
    Path("a.npy:1.npy").unlink()
    with pytest.raises(ImageError, match=r"no such file: a\.npy:1\.npy"):
        expand("a.npy:1.npy")


def test_existing_name_is_meant_literally() -> None:
    save("a[1].npy", "a1.npy", "b*.npy", "bc.npy")
    assert names("a[1].npy") == ["a[1].npy"]
    assert names("b*.npy") == ["b*.npy"]
    assert names("a[0-9].npy") == ["a1.npy"]


def test_home_is_expanded_in_each_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    save("a.npy", "b.npy")
    assert names(os.pathsep.join(["~/a.npy", "~/b.npy"])) == [
        str(tmp_path / "a.npy"),
        str(tmp_path / "b.npy"),
    ]


@pytest.mark.parametrize(
    ("path", "cut"),
    [
        ("f.h5/volume/data", ("f.h5", "volume/data")),
        ("f.h5", ("f.h5", "")),
        ("f.h5/", ("f.h5", "")),
        ("f.h5//data/", ("f.h5", "data")),
        ("p.ilp/Input Data/x", ("p.ilp", "Input Data/x")),
        ("f.hdf5/x", ("f.hdf5", "x")),
        ("f.npz/x", ("f.npz", "x")),
        ("f.h5.tif", ("f.h5.tif", "")),
        ("f.tif/x", ("f.tif/x", "")),
        ("a.h5/b.h5/x", ("a.h5/b.h5", "x")),
    ],
)
def test_internal_path_is_cut_at_the_last_suffix(path: str, cut: tuple[str, str]) -> None:
    assert split_internal(path) == cut


def test_what_exists_decides_where_to_cut() -> None:
    save("runs.h5/a.npy")
    save_h5("f.h5", group=PLANE)
    save_h5("F.H5", data=PLANE)
    assert split_internal("runs.h5/a.npy") == ("runs.h5/a.npy", "")
    assert split_internal("runs.h5/*.npy") == ("runs.h5/*.npy", "")
    assert split_internal("f.h5/g.h5/x") == ("f.h5", "g.h5/x")
    assert split_internal("F.H5/data") == ("F.H5", "data")
    assert open_image("F.H5/data").shape == (1, 1, 3, 4, 1)


def test_internal_glob_crosses_slashes_and_sees_images_only() -> None:
    save_h5("f.h5", vol_1=PLANE, vol_0=PLANE, vol_line=PLANE[0], grp__vol_2=PLANE)
    assert names("f.h5/vol_*") == ["f.h5/vol_0", "f.h5/vol_1"]
    assert names("f.h5/*vol_?") == ["f.h5/grp/vol_2", "f.h5/vol_0", "f.h5/vol_1"]


def test_internal_name_that_exists_is_meant_literally() -> None:
    save_h5("f.h5", **{"a[1]": PLANE, "a1": PLANE})
    assert names("f.h5/a[1]") == ["f.h5/a[1]"]
    assert names("f.h5/a[0-9]") == ["f.h5/a1"]


@pytest.mark.parametrize(
    ("spec", "nickname"),
    [
        ("img.tif", "img"),
        ("a.b.tif", "a.b"),
        ("f.h5", "f"),
        ("f.h5/volume/data", "f-volume-data"),
        ("f.h5//volume/data", "f-volume-data"),
        ("a.b.h5/data", "a.b-data"),
        (os.pathsep.join(["stack_1/0.png", "stack_1/1.png"]), "stack_1"),
        (os.pathsep.join(["a/c_0.png", "a/c_1.png", "a/c_2.png"]), "c_"),
        (os.pathsep.join(["a/c_0.png", "a/d_0.png"]), "a"),
        (os.pathsep.join(["f.h5/vol_0", "f.h5/vol_1"]), "f-vol_"),
        (os.pathsep.join(["f.h5/x", "f.h5/y"]), "f"),
        (os.pathsep.join(["/a/x.png", "/b/y.png"]), "stack_at-x"),
        ("cells_*.png", "cells_"),
    ],
)
def test_nickname_of_files_that_need_not_exist(spec: str, nickname: str) -> None:
    assert dataset_name(spec)[0] == nickname


def test_nickname_of_what_matches(tmp_path: Path) -> None:
    save("in/my_stack_00.npy", "in/my_stack_01.npy", "one/x_7.npy")
    save_h5("in/f.h5", vol_0=PLANE, vol_1=PLANE)
    assert dataset_name("in/my_*.npy") == ("my_stack_0", str(tmp_path / "in"))
    assert dataset_name("one/*.npy") == ("x_7", str(tmp_path / "one"))
    assert dataset_name("in/f.h5/vol_*") == ("f-vol_", str(tmp_path / "in"))


ERRORS = [
    ("none.png", "no such file: none.png"),
    ("none.h5/x", "no such file: none.h5"),
    ("", "the path of an image is empty"),
    ("none_*.png", "no file matches: none_*.png"),
    (f"plane.npy{os.pathsep}none.npy", "no such file: none.npy"),
    ("https://a.b/c.png", "https://a.b/c.png: only OME-Zarr, Zarr and N5 are read from servers"),
    (".", ".: is a directory, expected a file"),
    ("folder.tif", "folder.tif: is a directory, expected a file"),
    ("plane.xyz", "plane.xyz: cannot read files with suffix '.xyz', expected one of .bin .bmp .czi"),
    ("bare", "bare: cannot read files with suffix ''"),
    ("text.h5", "text.h5: is not an HDF5 file"),
    ("text.tif", "text.tif: is not a TIFF file"),
    ("text.npy", "text.npy: is not an npy file"),
    ("text.npz", "text.npz: is not an npz file"),
    ("text.png", "text.png: is not an image"),
    ("short.npy", "short.npy: is truncated: 130 bytes, its pixels need 12000"),
    ("many.h5", "many.h5: which dataset? expected many.h5/NAME with one of a (3, 4) uint8; b/c"),
    ("many.h5/x", "many.h5: there is no dataset 'x', expected one of a (3, 4) uint8; b/c"),
    ("many.h5/b", "many.h5: there is no dataset 'b', expected one of"),
    ("many.h5/x_*", "no array matches: many.h5/x_*; expected one of a, b/c"),
    ("line.h5", "line.h5: has no dataset of 2 to 5 dimensions; it holds line (4,) uint8"),
    ("line.h5/line", "line.h5/line: shape (4,) is 1-dimensional, expected 2 to 5 dimensions"),
    ("empty.h5", "empty.h5: has no dataset of 2 to 5 dimensions; it holds nothing"),
    ("odd.h5/text", "odd.h5/text: pixels are object, expected integers or floats"),
    ("odd.h5/complex", "odd.h5/complex: pixels are complex64, expected integers or floats"),
    ("odd.h5/six", "odd.h5/six: shape (1, 1, 1, 1, 1, 1) is 6-dimensional"),
    ("odd.h5/scalar", "odd.h5/scalar: shape () is 0-dimensional"),
    ("odd.h5/none", "odd.h5/none: shape (0, 4) has no pixels"),
    ("two.npz", "two.npz: which array? expected two.npz/NAME with one of a, b"),
    ("two.npz/c", "two.npz: there is no array 'c', expected two.npz/NAME with one of a, b"),
    ("object.npy", "object.npy: pixels are object, expected integers or floats"),
    (f"plane.npy{os.pathsep}two.npz/a", "matches files of several kinds, expected one: .npy, .npz"),
]


@pytest.fixture
def _files() -> None:
    save("plane.npy", "plane.xyz", "bare")
    Path("folder.tif").mkdir()
    for suffix in ("h5", "tif", "npy", "npz", "png"):
        Path(f"text.{suffix}").write_text("This is no image at all, it is text.")
    with open("short.npy", "wb") as file:
        np.save(file, np.zeros((30, 400), np.uint8))
    os.truncate("short.npy", 130)
    save_h5("many.h5", a=PLANE, b__c=PLANE)
    save_h5("line.h5", line=PLANE[0])
    save_h5("empty.h5")
    save_h5(
        "odd.h5",
        complex=PLANE.astype(np.complex64),
        six=np.zeros((1,) * 6),
        scalar=np.float64(1),
        none=np.zeros((0, 4)),
        text=np.array([["a", "b"]], dtype=object),
    )
    np.savez("two.npz", a=PLANE, b=PLANE)
    np.save("object.npy", np.array([[{}]], dtype=object), allow_pickle=True)


@pytest.mark.usefixtures("_files")
@pytest.mark.parametrize(("spec", "message"), ERRORS)
def test_refusals(spec: str, message: str) -> None:
    with pytest.raises(ImageError) as refusal:
        open_image(spec)
    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_only_dataset_needs_no_name() -> None:
    save_h5("f.h5", grp__only=PLANE, line=PLANE[0])
    image = open_image("f.h5")
    assert (image.name, image.files) == ("f.h5", ("f.h5",))
    assert np.array_equal(image.read()[0, 0, :, :, 0], PLANE)


def test_only_array_needs_no_name() -> None:
    np.savez("f.npz", only=PLANE)
    assert np.array_equal(open_image("f.npz").read()[0, 0, :, :, 0], PLANE)
