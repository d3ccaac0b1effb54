"""What a result image says of itself, from the project and the command line to the file."""

import json

import pytest
import tifffile

from objclass.cli import main

CLASSES = ["elongated", "ring", "round"]


@pytest.fixture
def run(tmp_path, monkeypatch, samples):
    """Runs the sample project with more options, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*more):
        arguments = [
            "--headless", "--quiet", "--project", str(samples / "cells.ilp"),
            "--raw_data", str(samples / "cells.tif"),
            "--segmentation_image", str(samples / "cells_segmentation.tif"),
            "--output_filename_format", "out", *more,
        ]  # fmt: skip
        assert main(arguments) == 0
        return tmp_path

    return run


def test_channels_of_probabilities_are_named(run):
    folder = run("--output_format", "multipage tiff", "--export_source", "Object Probabilities")
    with tifffile.TiffFile(folder / "out.tiff") as file:
        assert all(f'Name="{name}"' in file.ome_metadata for name in CLASSES)


def test_channels_of_a_part_are_named(run):
    part = ["--cutout_subregion", "[(0,0,0,0,1),(1,50,50,1,3)]"]
    folder = run("--output_format", "multipage tiff", "--export_source", "Object Probabilities", *part)
    with tifffile.TiffFile(folder / "out.tiff") as file:
        assert [f'Name="{name}"' in file.ome_metadata for name in CLASSES] == [False, True, True]


def test_classes_and_origin_of_a_part(run):
    part = ["--cutout_subregion", "[(0,30,20,0,0),(1,90,50,1,1)]"]  # t, x, y, z, c
    folder = run("--output_format", "multi-scale OME-Zarr", *part)
    found = json.loads((folder / "out.zarr/.zattrs").read_text())
    properties = found["image-label"]["properties"]
    assert properties == [{"label-value": n, "class": name} for n, name in enumerate(CLASSES, start=1)]
    assert len(found["image-label"]["colors"]) == 3
    transformations = found["multiscales"][0]["datasets"][0]["coordinateTransformations"]
    scale = transformations[0]["scale"]
    assert transformations[1]["translation"] == [0, 0, 0, 20 * scale[3], 30 * scale[4]]


def test_identities_have_no_classes(run):
    folder = run("--output_format", "single-scale OME-Zarr", "--export_source", "Object Identities")
    found = json.loads((folder / "out.zarr/.zattrs").read_text())
    assert found["image-label"] == {"version": "0.4"}


def test_n5_container(run):
    folder = run("--output_format", "compressed n5", "--output_internal_path", "volume/classes")
    found = json.loads((folder / "out.n5/volume/classes/attributes.json").read_text())
    assert (found["dataType"], found["axes"]) == ("uint8", "cxy")


def test_dvid_is_refused_by_name(run, capsys, samples):
    with pytest.raises(AssertionError):
        run("--output_format", "dvid")
    said = capsys.readouterr().err
    assert "as dvid: sending images to a DVID server is not supported: write hdf5 or n5 and load that" in said
    assert "Traceback" not in said
