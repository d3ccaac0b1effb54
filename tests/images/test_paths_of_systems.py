"""The rules of paths on Windows and macOS, tried on any system: each function takes them as a parameter."""

import ntpath
import os
import posixpath
from functools import partial

import pytest

from objclass.cli import main
from objclass.errors import ImageError
from objclass.export import atomic, checks
from objclass.images.paths import (
    container_cuts,
    expand,
    internal_name,
    name_fault,
    relative,
    same_file_key,
    split_stack,
)


@pytest.mark.parametrize(
    ("spec", "rules", "pieces"),
    [
        (r"C:\a.tif", ntpath, [r"C:\a.tif"]),
        (r"C:\a_*.tif;D:\b.h5\data", ntpath, [r"C:\a_*.tif", r"D:\b.h5\data"]),
        (r"\\server\share\a.tif;b.tif;", ntpath, [r"\\server\share\a.tif", "b.tif"]),
        ("C:/a.tif;1.tif", ntpath, ["C:/a.tif", "1.tif"]),
        ("a.tif:b.tif", posixpath, ["a.tif", "b.tif"]),
        ("a.tif;b.tif", posixpath, ["a.tif;b.tif"]),
        ("host:8000/a:b.tif", posixpath, ["host:8000/a", "b.tif"]),
        (":", posixpath, [":"]),
    ],
)
def test_stacks(spec, rules, pieces):
    assert split_stack(spec, rules) == pieces


@pytest.mark.parametrize(
    ("path", "rules", "cuts"),
    [
        (r"C:\runs.h5\f.h5\data", ntpath, [r"C:\runs.h5", r"C:\runs.h5\f.h5"]),
        ("C:/f.H5/data", ntpath, ["C:/f.H5"]),
        (r"\\server\share.zarr\f.tif", ntpath, [r"\\server\share.zarr"]),
        (r"f.h5\data", posixpath, []),
        ("f.h5/data", posixpath, ["f.h5"]),
    ],
)
def test_cuts_between_file_and_array(path, rules, cuts):
    assert [path[:cut] for cut in container_cuts(path, rules)] == cuts


def test_names_of_arrays_have_slashes_on_all_systems():
    assert internal_name(r"\volume\data", ntpath) == "volume/data"
    assert internal_name("/volume/data/", ntpath) == "volume/data"
    assert internal_name(r"/a\b", posixpath) == r"a\b"


@pytest.mark.parametrize(
    ("path", "folder", "rules", "seen"),
    [
        (r"C:\data\raw.tif", r"C:\projects", ntpath, "../data/raw.tif"),
        (r"c:\data\raw.tif", r"C:\Data", ntpath, "raw.tif"),
        (r"D:\raw.tif", r"C:\projects", ntpath, "D:/raw.tif"),
        (r"\\server\share\raw.tif", r"C:\projects", ntpath, "//server/share/raw.tif"),
        (r"\\server\share\data\raw.h5\volume", r"\\server\share", ntpath, "data/raw.h5/volume"),
        ("/data/raw.tif", "/projects", posixpath, "../data/raw.tif"),
        (r"/data/a\b.tif", "/data", posixpath, r"a\b.tif"),
    ],
)
def test_paths_in_projects(path, folder, rules, seen):
    assert relative(path, folder, rules) == seen


@pytest.mark.parametrize(
    ("path", "words"),
    [
        (r"C:\out\aux.h5", "device"),
        (r"C:\out\CON", "device"),
        (r"nul.tar.gz\x.csv", "device"),
        (r"out\com1.tif", "device"),
        (r"C:\out\a:b.h5", "':'"),
        ("out/what?.csv", "'?'"),
        (r"out\a|b.tif", "'|'"),
        ("out\\tab\t.tif", "'\\t'"),
        (r"out.\a.tif", "ends in '.'"),
        (r"out\a.tif ", "ends in ' '"),
    ],
)
def test_names_that_windows_cannot_have(path, words):
    assert words in name_fault(path, ntpath)
    assert name_fault(path, posixpath) is None


@pytest.mark.parametrize(
    "path",
    [
        r"C:\out\cells_Object Predictions.h5",
        r"C:relative.tif",
        r"\\server\share\a.tif",
        r"\\?\C:\very\long\a.tif",
        r"..\.\a.tif",
        "out/auxiliary.h5",
        "console.csv",
        "com10.tif",
        "µ é.tif",
    ],
)
def test_names_that_windows_can_have(path):
    assert name_fault(path, ntpath) is None


def test_names_that_are_one_file_where_case_does_not_count():
    one = partial(same_file_key, ignores_case=True)
    assert one("/out/Zelle.h5") == one("/OUT/ZELLE.H5")
    assert one("/out/\u00e9.h5") == one("/out/e\u0301.h5") == one("/out/E\u0301.h5")
    assert one("/out/a.h5") != one("/out/b.h5")
    assert same_file_key("/out/A.h5", ignores_case=False) != same_file_key("/out/a.h5", ignores_case=False)


def test_outputs_that_differ_in_case_alone_are_refused(samples, monkeypatch, capsys):
    """Two images of names that differ in case, as a disk of Windows or macOS has them in two folders."""
    monkeypatch.chdir(samples)
    for name in ("a/Cells", "b/cells"):
        os.makedirs(os.path.dirname(name))
        os.link("cells.tif", f"{name}.tif")
    run = ["--headless", "--quiet", "--raw_data", "a/Cells.tif", "b/cells.tif",
           "--segmentation_image", "cells_segmentation.tif", "cells_segmentation.tif",
           "--features", "Standard Object Features:Count", "--export_source", "Object Identities",
           "--output_filename_format", "out/{nickname}.h5", "--table_filename", "t.csv"]  # fmt: skip
    monkeypatch.setattr(checks, "same_file_key", partial(same_file_key, ignores_case=True))
    assert main(run) == 2
    assert "both Object Identities of" in capsys.readouterr().err
    assert not os.path.exists("out")
    monkeypatch.setattr(checks, "same_file_key", partial(same_file_key, ignores_case=False))
    assert main(run) == 0
    assert sorted(os.listdir("out"))[:2] == ["Cells.h5", "cells.h5"]


def test_an_output_that_no_file_can_be_is_refused(samples, monkeypatch, capsys):
    monkeypatch.chdir(samples)
    monkeypatch.setattr(atomic, "name_fault", partial(name_fault, rules=ntpath))
    run = [
        "--headless",
        "--quiet",
        "--segmentation_image",
        "cells_segmentation.tif",
        "--table_filename",
        "aux.csv",
    ]
    assert main(run) == 2
    assert "'aux.csv' is the name of a device on Windows: give another name" in capsys.readouterr().err


@pytest.mark.skipif(os.sep != "/", reason="they are read on Windows")
@pytest.mark.parametrize("spec", [r"C:\data\a.tif", "c:/data/a.tif", r"\\server\share\a.tif"])
def test_a_path_of_windows_elsewhere(spec):
    with pytest.raises(ImageError, match="is a path of Windows, expected one of this machine"):
        expand(spec)


def test_a_drive_is_no_address():
    with pytest.raises(ImageError, match="only OME-Zarr, Zarr and N5 are read from servers"):
        expand("s3://bucket/a.tif")
    with pytest.raises(ImageError, match=r"path of Windows|no such file"):
        expand("C://data/a.tif")
