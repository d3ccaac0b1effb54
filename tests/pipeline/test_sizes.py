"""Limits of the size of objects in physical units: --min_size 20um2."""

import numpy as np
import pandas as pd
import pytest
import tifffile

from objclass.cli import main
from objclass.core import ArrayStore, Image, Lane, PixelSize
from objclass.errors import UsageError
from objclass.pipeline.sizes import in_pixels
from objclass.project.open import open_project
from objclass.settings import ThresholdSettings, parse_object_size

SIDES = (3, 4, 5)


def lane_of(ndim):
    shape = (1, 4, 4)[-2:] if ndim == 2 else (3, 4, 4)
    image = Image("a.tif", ArrayStore(np.zeros(shape, np.uint8)), "zyx"[-ndim:], "shape")
    return Lane(None, image, "prediction_maps", "a", "")


@pytest.mark.parametrize(
    ("text", "size", "smallest", "largest"),
    [
        ("20um2", PixelSize(0.5, 0.5, unit="um"), 80, 80),
        ("20um2", PixelSize(0.65, 0.65, unit="um"), 48, 47),
        ("0.3um2", PixelSize(0.1, 0.1, unit="um"), 30, 30),  # not 0.3 / 0.010000000000000002
        ("20 µm²", PixelSize(500, 500, unit="nm"), 80, 80),
        ("300000nm2", PixelSize(0.1, 0.1, unit="um"), 30, 30),
        ("500um^3", PixelSize(0.5, 0.5, 2.0, "um"), 1000, 1000),
        ("1e-3mm2", PixelSize(1, 3, unit="um"), 334, 333),
        ("7", None, 7, 7),
    ],
)
def test_sizes_are_whole_numbers_of_pixels(text, size, smallest, largest):
    limit = parse_object_size(text)
    lane = lane_of(3 if text.endswith("3") else 2)
    assert in_pixels(ThresholdSettings(min_size=limit), lane, size).limits == (smallest, np.inf)
    assert in_pixels(ThresholdSettings(max_size=limit), lane, size).limits == (1, largest)


def test_sizes_that_nothing_fulfils():
    settings = ThresholdSettings(min_size=50, max_size=parse_object_size("20um2"))
    message = "--min_size 50 is above --max_size 20um2 in a.tif: 50 and 47 pixels"
    with pytest.raises(UsageError, match=message):
        in_pixels(settings, lane_of(2), PixelSize(0.65, 0.65, unit="um"))
    with pytest.raises(TypeError, match="expected numbers of pixels"):
        _ = settings.limits


@pytest.fixture
def run(tmp_path):
    """Run maps of squares, with the pixel sizes of their files; return the sizes of the objects of each, or the code."""

    def run(*more, resolutions=((2, 2),), depth=1, labels=False):
        paths = []
        for number, resolution in enumerate(resolutions):
            pixels = np.zeros((depth, 8, 24), np.float32)
            for place, side in enumerate(SIDES):
                pixels[:, 1 : side + 1, 8 * place + 1 : 8 * place + side + 1] = 1
            paths.append(str(tmp_path / f"map{number}.tif"))
            known = {"unit": "um", "spacing": 1.0} if resolution else {}
            tifffile.imwrite(
                paths[-1], pixels if depth > 1 else pixels[0], imagej=True, resolution=resolution or (1, 1),
                metadata={"axes": "ZYX"[-2 - (depth > 1) :], **known},
            )  # fmt: skip
        code = main(["--headless", "--prediction_maps", *paths, "--table_filename", str(tmp_path / "t.csv"), "--table_only",
                     "--features", "regionprops:num_pixels", *more])  # fmt: skip
        if code:
            return code
        table = pd.read_csv(tmp_path / "t.csv")
        return [sorted(found) for _, found in table.groupby("Image")["num_pixels"]]

    return run


def test_a_run_removes_objects_by_area(run, capsys, tmp_path):
    assert run("--min_size", "4um2") == [[16, 25]]  # 16 pixels of 0.25 um2
    assert "--min_size 4um2 is 16 pixels of y=0.5,x=0.5um" in capsys.readouterr().err
    assert '"min_size": "4um2"' in (tmp_path / "objclass_run.json").read_text()
    assert run("--max_size", "4um2") == [[9, 16]]
    assert run("--min_size", "2.3um2", "--max_size", "20") == [[16]]
    assert run("--min_size", "4um2", "--pixel_size", "0.4um") == [[25]]


def test_each_lane_has_its_own_pixels(run):
    assert run("--min_size", "4um2", resolutions=((2, 2), (1, 1), (4, 1))) == [
        [16, 25],
        [9, 16, 25],
        [16, 25],
    ]


def test_volumes(run):
    assert run("--min_size", "12um3", depth=3) == [[48, 75]]


@pytest.mark.parametrize(
    ("more", "given", "message"),
    [
        (("--min_size", "20um3"), {}, "--min_size 20um3: {}/map0.tif is 2D: expected a size such as 20um2"),
        (("--max_size", "20um2"), {"depth": 3}, "--max_size 20um2: {}/map0.tif is 3D: expected a size such as 500um3"),
        (("--min_size", "20um2"), {"resolutions": ((2, 2), None)},
         "--min_size 20um2: {}/map1.tif has no pixel size in a unit of length: give --pixel_size 0.65um"),
        (("--min_size", "20um2", "--pixel_size", "2"), {}, "has no pixel size in a unit of length"),
        (("--min_size", "20parsec2"), {}, "--min_size 20parsec2: expected a unit of pm, angstrom, nm, um, mm, cm, m"),
        (("--min_size", "20um"), {}, "'20um': expected a whole number of pixels, or an area or volume such as 20um2"),
        (("--min_size", "2.5"), {}, "'2.5': expected a whole number of pixels, or an area or volume such as 20um2"),
        (("--min_size", "9um2", "--max_size", "3um2"), {}, "--min_size 9um2 is above --max_size 3um2 in {}/map0.tif"),
    ],
)  # fmt: skip
def test_refusals(run, capsys, tmp_path, more, given, message):
    assert run(*more, **given) == 2
    lines = capsys.readouterr().err.splitlines()
    assert message.format(tmp_path) in lines[-1]
    assert len(lines) == 1
    assert not (tmp_path / "t.csv").exists()


def train(folder, samples, *more, maps=("cells_train_probabilities.h5",)):
    raws = [str(samples / "cells_train.tif")] * len(maps)
    return main(["train", "--project", str(folder / "p.ilp"), "--raw_data", *raws, "--prediction_maps",
                 *(str(samples / name) for name in maps), "--labels", str(samples / "cells_train_labels.csv"),
                 *more])  # fmt: skip


def test_a_project_holds_pixels(samples, tmp_path, capsys):
    assert (
        train(tmp_path, samples, "--min_size", "4um2", "--max_size", "500um2", "--pixel_size", "0.5um") == 0
    )
    assert (
        "--min_size 4um2 is 16 pixels of y=0.5,x=0.5um: the project holds the number of pixels"
        in capsys.readouterr().err
    )
    threshold = open_project(str(tmp_path / "p.ilp")).threshold
    assert (threshold.min_size, threshold.max_size) == (16, 2000)


def test_training_needs_one_pixel_size(samples, tmp_path, capsys):
    assert train(tmp_path, samples, "--min_size", "4um2") == 2
    assert "has no pixel size in a unit of length: give --pixel_size 0.65um" in capsys.readouterr().err
    assert train(tmp_path, samples, "--pixel_size", "0.5um") == 2
    assert "--pixel_size: training uses it only for sizes such as --min_size 20um2" in capsys.readouterr().err


def test_lanes_of_training_agree(run, tmp_path, capsys):
    run(resolutions=((2, 2), (1, 1)))
    paths = [str(tmp_path / f"map{number}.tif") for number in (0, 1)]
    (tmp_path / "labels.csv").write_text("image,x,y,class\nmap0,2,2,a\nmap1,10,2,b\n")
    assert main(["train", "--project", str(tmp_path / "p.ilp"), "--raw_data", *paths, "--prediction_maps", *paths,
                 "--labels", str(tmp_path / "labels.csv"), "--min_size", "4um2"]) == 2  # fmt: skip
    line = capsys.readouterr().err.splitlines()[-1]
    assert "--min_size 4um2 is 16 pixels of y=0.5,x=0.5um in" in line
    assert "--min_size 4um2 is 4 pixels of y=1,x=1um in" in line
    assert "a project holds one number of pixels" in line
    assert not (tmp_path / "p.ilp").exists()
