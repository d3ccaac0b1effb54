"""One rule for pixel sizes: pixels, unless the user asks for another unit; with a project, pixels always."""

import json

import numpy as np
import pandas as pd
import pytest
import tifffile

from objclass.cli import main
from objclass.images import open_image

LABELS = np.zeros((20, 30), np.uint16)
LABELS[3:7, 4:9] = 3


@pytest.fixture
def measured(tmp_path):
    """Area of the object, the exit code, and what the run file says of the lane."""
    tifffile.imwrite(
        tmp_path / "a.tif", LABELS, imagej=True, resolution=(4, 2), metadata={"unit": "um", "axes": "YX"}
    )
    tifffile.imwrite(tmp_path / "plain.tif", LABELS)

    def run(*more, image="a.tif"):
        code = main(["--headless", "--quiet", "--label_image", str(tmp_path / image), "--table_filename",
                     str(tmp_path / "t.csv"), "--output_format", "hdf5", "--output_filename_format",
                     str(tmp_path / "out"), *more])  # fmt: skip
        if code:
            return None, code, None
        lane = json.loads((tmp_path / "objclass_run.json").read_text())["lanes"][0]
        return pd.read_csv(tmp_path / "t.csv")["area"][0], code, lane

    return run


def test_without_a_project(measured, tmp_path):
    file = {"x": 0.25, "y": 0.5, "z": 1.0, "unit": "um"}
    for size, area, unit, carried in (
        ((), 20, "px", file),
        (("--pixel_size", "file"), 2.5, "um", file),
        (("--pixel_size", "2nm"), 80, "nm", {"x": 2, "y": 2, "z": 2, "unit": "nm"}),
    ):
        found, code, lane = measured(*size)
        assert (found, code) == (area, 0)
        assert (lane["unit"], lane["pixel_size"]) == (unit, carried)
        assert open_image(str(tmp_path / "out.h5")).pixel_size.unit == carried["unit"]
    assert measured(image="plain.tif")[2]["pixel_size"] is None


def test_a_file_that_says_nothing_is_refused(measured, capsys, tmp_path):
    assert measured("--pixel_size", "file", image="plain.tif")[1] == 2
    assert "plain.tif: --pixel_size=file: none of its images has a pixel size" in capsys.readouterr().err
    assert not (tmp_path / "t.csv").exists()
    assert measured("--pixel_size", "big")[1] == 2
    err = capsys.readouterr().err
    assert "--pixel_size big: expected 0.65um or z=2.0,y=0.65,x=0.65um (units: um" in err
    assert "; or file" in err


def test_lanes_of_several_units_are_refused(measured, capsys, tmp_path):
    tifffile.imwrite(
        tmp_path / "b.tif", LABELS, imagej=True, resolution=(1, 1), metadata={"unit": "inch", "axes": "YX"}
    )
    both = (str(tmp_path / "b.tif"), "--table_only")
    assert main(["--headless", "--label_image", str(tmp_path / "a.tif"), *both, "--pixel_size", "file",
                 "--table_filename", str(tmp_path / "t.csv")]) == 2  # fmt: skip
    assert "expected one unit for all lanes" in capsys.readouterr().err


def test_with_a_project_only_images_carry_it(samples, tmp_path, capsys):
    tables = []
    for more in ((), ("--pixel_size", "0.5um")):
        assert main(["--headless", "--project", str(samples / "cells.ilp"), "--raw_data",
                     str(samples / "cells.tif"), "--segmentation_image", str(samples / "cells_segmentation.tif"),
                     "--output_filename_format", str(tmp_path / "c"), "--table_filename", str(tmp_path / "c.csv"),
                     *more]) == 0  # fmt: skip
        tables.append((tmp_path / "c.csv").read_bytes())
    assert tables[0] == tables[1]
    assert open_image(str(tmp_path / "c.h5")).pixel_size.unit == "um"
    assert (
        "--pixel_size is only stored in the images: a project measures in pixels" in capsys.readouterr().err
    )
    lane = json.loads((tmp_path / "objclass_run.json").read_text())["lanes"][0]
    assert (lane["unit"], lane["pixel_size"]["unit"]) == ("px", "um")


@pytest.mark.parametrize("size", ["y=0.5um", "y=0.5,x=0.5um"])
def test_an_axis_without_a_size_is_not_guessed(tmp_path, capsys, size):
    """x and y always, z of volumes."""
    tifffile.imwrite(
        tmp_path / "v.tif", np.stack([LABELS] * 3), photometric="minisblack", metadata={"axes": "ZYX"}
    )
    command = ["--headless", "--label_image", str(tmp_path / "v.tif"), "--pixel_size", size]
    assert main(command) == 2
    assert "z=2.0,y=0.65,x=0.65um" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["v.tif"]
