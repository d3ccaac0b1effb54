"""Lanes from a manifest: what its columns mean, and what is refused with its line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from objclass.cli import main
from objclass.images import open_image

HEADER = "raw_data,label_image"


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A working folder, and images in another one: the n-th has n objects of 4 pixels."""
    (tmp_path / "in").mkdir()
    (tmp_path / "work").mkdir()
    for n in (1, 2, 3):
        labels = np.zeros((8, 20), np.uint8)
        for k in range(n):
            labels[2:4, 4 * k + 1 : 4 * k + 3] = k + 1
        tifffile.imwrite(tmp_path / f"in/labels {n}.tif", labels)
        tifffile.imwrite(tmp_path / f"in/raw{n}.tif", labels * 7)
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def manifest(here, *lines, name="lanes.csv", encoding="utf-8"):
    path = here / "in" / name
    path.write_bytes("\n".join(lines).encode(encoding))
    return str(path)


def run(path, *more):
    return main([
        "--headless", "--quiet", "--manifest", path, "--features", "regionprops:area", "--table_filename", "t.csv",
        "--table_only", *more,
    ])  # fmt: skip


def refusal(capsys, path, *more):
    assert run(path, *more) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1, err
    assert err.startswith("objclass: error: ")
    return err


@pytest.mark.parametrize(
    ("separator", "encoding", "name"),
    [(",", "utf-8", "a.csv"), (";", "utf-8-sig", "b.csv"), ("\t", "utf-8", "c.tsv")],
)
def test_a_manifest_of_two_lanes(here, separator, encoding, name):
    lines = [
        "well,raw_data,nickname,label_image,treatment",
        'B02,raw2.tif,second,labels 2.tif,"5 µM"',
        "A01,raw1.tif,,labels 1.tif,",
    ]
    path = manifest(here, *(line.replace(",", separator) for line in lines), name=name, encoding=encoding)
    assert run(path) == 0
    table = pd.read_csv("t.csv", keep_default_na=False)
    assert list(table)[: list(table).index("original_oid")][-3:] == ["Image", "well", "treatment"]
    assert table[["Image", "well", "treatment"]].to_numpy().tolist() == [
        ["second", "B02", "5 µM"],
        ["second", "B02", "5 µM"],
        ["raw1", "A01", ""],
    ]


def test_lines_may_end_as_on_windows_and_be_empty(here):
    path = manifest(here, "label_image,x\r", "labels 1.tif,1\r", "\r", ",\r", "labels 2.tif,2\r", "")
    assert run(path) == 0
    assert pd.read_csv("t.csv")["x"].tolist() == [1, 2, 2]


def test_only_line_feeds_end_a_line(here):
    assert run(manifest(here, "label_image,x", "labels 1.tif,a\u2028b")) == 0
    assert pd.read_csv("t.csv")["x"].tolist() == ["a\u2028b"]


def test_settings_of_each_lane(here):
    path = manifest(
        here,
        "label_image,pixel_size,input_axes,cutout_subregion,nickname",
        'labels 2.tif,"z=1,y=2,x=0.5um",yx,"[(None,2,None,None,None), (None,6,None,None,None)]",part',
        "labels 3.tif,,,,whole",
        "labels 1.tif,3um,xy,,turned",
    )
    options = ["--pixel_size", "2um", "--output_filename_format", "{nickname}"]
    arguments = ["--headless", "--quiet", "--manifest", path, "--table_filename", "t.csv", *options]
    assert main([*arguments, "--features", "regionprops:area"]) == 0
    table = pd.read_csv("t.csv")
    assert table.groupby("Image")["area"].first().to_dict() == {"part": 4, "turned": 36, "whole": 16}
    sizes = {name: open_image(f"{name}.h5") for name in ("part", "whole", "turned")}
    assert [sizes[name].shape[2:4] for name in sizes] == [(8, 4), (8, 20), (20, 8)]
    assert [sizes[name].pixel_size.y for name in sizes] == [2, 2, 3]


def test_a_part_of_an_image_in_each_lane(here):
    rows = (f'labels 2.tif,{n},"[(0,{n},0,0,0), (1,{n + 5},8,1,1)]"' for n in (0, 5))
    path = manifest(here, "label_image,nickname,cutout_subregion", *rows)
    assert (
        main(["--headless", "--quiet", "--manifest", path, "--output_filename_format", "{nickname}_{x_stop}"])
        == 0
    )
    assert open_image("0_5.h5").shape == open_image("5_10.h5").shape == (1, 1, 8, 5, 1)


def test_arrays_stacks_and_absolute_paths(here):
    np.savez(here / "in/two.npz", a=np.eye(6, dtype=np.uint8), b=np.eye(7, dtype=np.uint8))
    path = manifest(
        here,
        "label_image,input_axes",
        "two.npz/a,yx",
        f"{here}/in/labels 1.tif,yx",
        "labels ?.tif,zyx",
        "labels 1.tif:labels 3.tif,zyx",
    )
    assert run(path) == 0
    account = json.loads((here / "work/objclass_run.json").read_text())
    assert [lane["inputs"][0]["shape"] for lane in account["lanes"]] == [
        [6, 6], [8, 20], [3, 8, 20], [2, 8, 20],
    ]  # fmt: skip


def test_folders_with_magic_letters(here):
    (here / "[1] in").mkdir()
    for n in (1, 2):
        (here / f"[1] in/l{n}.tif").write_bytes((here / f"in/labels {n}.tif").read_bytes())
    path = here / "[1] in/lanes.csv"
    path.write_text("label_image,input_axes\nl1.tif,yx\nl*.tif,zyx\n")
    assert run(str(path)) == 0
    assert pd.read_csv("t.csv")["Image"].nunique() == 2


@pytest.mark.parametrize(
    ("lines", "parts"),
    [
        (["rawdata,label_image", "a,b"], ["line 1", "'rawdata': did you mean raw_data?"]),
        (["Label Image", "a"], ["'Label Image': did you mean label_image?"]),
        (["raw_data,nick_name", "a,b"], ["did you mean nickname?"]),
        (["well,plate", "a,b"], ["no column of images", "well, plate"]),
        (["label_image,label_image", "a,b"], ["'label_image' is there twice"]),
        (["label_image,,x", "a,b,c"], ["column 2 has no name"]),
        ([HEADER, "a,b", "a", "a,b,c"], ["line 3: 1 cells, expected 2", "line 4: 3 cells"]),
        ([HEADER, "a,", ",b"], ["line 2: no label_image", "line 3: no raw_data"]),
        ([HEADER, "raw1.tif,labels 1.tif"] * 1 + ["raw2.tif,labels 1.tif", "raw1.tif,labels 1.tif"],
         ["lanes.csv line 4", "lanes.csv line 2", "the same images twice"]),
        (["label_image,nickname", "a,n", "b,n"], ["2 lanes have the nickname 'n'"]),
        (["label_image,nickname", "a,../n"], ["line 2: nickname '../n'"]),
        (["label_image,nickname", "a,.."], ["line 2: nickname '..'"]),
        (["label_image,pixel_size", "a,big"], ["line 2: pixel_size big: expected 0.65um"]),
        (["label_image,pixel_size", "a,0um"], ["line 2: pixel_size 0um: expected"]),
        (["label_image,input_axes", "a,yxq"], ["line 2: input_axes yxq"]),
        (["label_image,input_axes", 'a,"yx,yx,yx,yx"'], ["line 2: input_axes yx,yx,yx,yx: more entries than"]),
        (["", "rawdata", "a"], ["line 2: column 'rawdata'"]),
        (["label_image,cutout_subregion", "a,left"], ["line 2: cutout_subregion 'left': expected"]),
        (["label_image,area", "labels 1.tif,b"], ["metadata column 'area'", "another name"]),
        (["label_image"], ["has no lanes"]),
        (["label_image,x", 'a,"b', 'c"'], ["line 3: x: has control characters"]),
        (["label_image,nickname", "a,b\\c"], ["line 2: nickname 'b\\c'"]),
        ([""], ["no column of images"]),
        (["label_image,x", 'a,"b'], ["line 2", "unexpected end of data"]),
        (["atlas,well", "a,b"], ["expected one of --segmentation_image"]),
        (["segmentation_image,label_image", "a,b"], ["--segmentation_image and --label_image"]),
        (["label_image", "nowhere.tif"], ["no such file", "nowhere.tif"]),
    ],
)  # fmt: skip
def test_refused(here, capsys, lines, parts):
    err = refusal(capsys, manifest(here, *lines))
    for part in parts:
        assert part in err
    assert not list((here / "work").iterdir())


def test_what_is_no_text_is_refused(here, capsys):
    assert "is not UTF-8 text" in refusal(
        capsys, manifest(here, "label_image", "caf\xe9", encoding="latin-1")
    )
    assert "No such file" in refusal(capsys, "none.csv")
    assert "Is a directory" in refusal(capsys, str(here))


def test_an_output_does_not_replace_it(here, capsys):
    path = manifest(here, "label_image", "labels 1.tif")
    before = Path(path).read_text()
    assert "would overwrite an input" in refusal(capsys, path, "--table_filename", path)
    assert Path(path).read_text() == before


def test_a_nickname_may_end_in_dots(here):
    assert run(manifest(here, "label_image,nickname", "labels 1.tif,day 1..")) == 0
    assert pd.read_csv("t.csv")["Image"].tolist() == ["day 1.."]


def test_it_replaces_the_options_of_images(here, capsys):
    path = manifest(here, HEADER, "raw1.tif,labels 1.tif")
    for option in (["--raw_data", "x.tif"], ["x.tif"], ["--atlas", "x.tif"], ["--pair"]):
        err = refusal(capsys, path, *option)
        assert "the images are those of --manifest" in err


def test_a_role_that_a_project_needs_is_named_with_a_line(here, capsys, samples):
    path = manifest(here, "segmentation_image", "labels 1.tif")
    assert main(["--headless", "--manifest", path, "--project", str(samples / "cells.ilp")]) == 2
    err = capsys.readouterr().err
    assert "lanes.csv line 2: no raw_data" in err


def test_pixels_are_classified_in_each_lane(here, samples):
    """Raw data are the only images that are needed; the mask of a lane is its own."""
    masks = np.ones((2, 320, 320), np.uint8)
    masks[1, :, 160:] = 0
    for name, mask in zip("ab", masks, strict=True):
        np.save(samples / f"{name}.npy", mask)
    path = samples / "lanes.csv"
    path.write_text("raw_data,prediction_mask,part\ncells.tif,a.npy,all\ncells.tif,b.npy,left\n")
    train = [
        "train",
        "--pixels",
        "--quiet",
        "--project",
        "p.ilp",
        "--raw_data",
        str(samples / "cells_train.tif"),
    ]
    train += ["--labels", str(samples / "cells_train_strokes.png"), "--class_names", "background", "cell"]
    assert main(train) == 0
    threshold = ["--pixel_project", "p.ilp", "--threshold", "0.5", "--channel", "1", "--min_size", "30"]
    assert run(str(path), *threshold) == 0
    counts = pd.read_csv("t.csv").groupby("part").size()
    assert 0 < counts["left"] < counts["all"]


@pytest.mark.parametrize(
    ("column", "before", "after"),
    [("well", "A01", "B02"), ("pixel_size", "2um", "3um"), ("nickname", "a", "b")],
)
def test_a_lane_whose_line_has_changed_is_run_again(here, column, before, after):
    found = []
    for cell, more in ((before, []), (after, ["--resume"]), (after, [])):
        path = manifest(here, f"label_image,{column}", f"labels 1.tif,{cell}", "labels 2.tif,")
        assert run(path, *more, "--pixel_size", "1um") == 0
        found.append(Path("t.csv").read_bytes())
    assert found[0] != found[1]
    assert found[1] == found[2]
