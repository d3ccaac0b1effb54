"""The folder rule: files of several patterns are paired by what the stars stand for."""

import os
from glob import glob
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from objclass.cli import main
from objclass.errors import UsageError
from objclass.pipeline.metadata import find_metadata
from objclass.pipeline.patterns import match_files


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names):
    for name in names:
        os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
        open(name, "w").close()


def matched(raw, seg):
    return [tuple(lane.paths.values()) for lane in match_files({"raw_data": raw, "label_image": seg})]


def refusal(raw, seg):
    with pytest.raises(UsageError) as fault:
        match_files({"raw_data": raw, "label_image": seg})
    return str(fault.value)


def test_lanes_are_in_the_order_of_the_numbers(here):
    touch(*(f"in/img{n}_{kind}.tif" for n in (10, 9, 2, 1) for kind in ("raw", "seg")))
    assert matched("in/*_raw.tif", "in/*_seg.tif") == [
        (f"in/img{n}_raw.tif", f"in/img{n}_seg.tif") for n in (1, 2, 9, 10)
    ]


def test_several_stars_spaces_brackets_and_other_folders(here):
    touch("a b/[1] x/im 1.tif", "a b/[1] x/im 2.tif", "a b/y/im 1.tif")
    touch("seg/[1] x-1.png", "seg/[1] x-2.png", "seg/y-1.png")
    assert matched("a b/*/im *.tif", "seg/*-*.png") == [
        ("a b/[1] x/im 1.tif", "seg/[1] x-1.png"),
        ("a b/[1] x/im 2.tif", "seg/[1] x-2.png"),
        ("a b/y/im 1.tif", "seg/y-1.png"),
    ]


def test_paths_need_not_be_tidy(here):
    touch("in/1_raw.tif", "in/1_seg.tif")
    assert matched(".//in//*_raw.tif", f"{here}/./in/*_seg.tif") == [
        ("./in/1_raw.tif", f"{here}/./in/1_seg.tif")
    ]


def test_arrays_in_files(here):
    touch("1.h5", "2.h5")
    assert matched("*.h5/raw", "*.h5/seg/labels") == [(f"{n}.h5/raw", f"{n}.h5/seg/labels") for n in (1, 2)]


def test_files_without_a_partner_are_all_named(here):
    touch("1_raw.tif", "2_raw.tif", "3_raw.tif", "2_seg.tif", "4_seg.tif")
    message = refusal("*_raw.tif", "*_seg.tif")
    assert message.startswith(
        "--pair: 1 lanes are complete, but 1_raw.tif has no --label_image, 3_raw.tif has no"
    )
    assert "4_seg.tif has no --raw_data" in message


def test_a_long_list_is_shortened(here):
    touch(*(f"{n}_raw.tif" for n in range(100)), "1_seg.tif")
    message = refusal("*_raw.tif", "*_seg.tif")
    assert message.endswith(" and 94 more")
    assert len(message) < 500


def test_a_file_of_two_roles_is_named(here):
    touch("1.tif", "1_seg.tif", "1_seg_seg.tif")
    assert "1_seg.tif fits --raw_data and --label_image" in refusal("*.tif", "*_seg.tif")


def test_stars_that_may_be_read_in_several_ways(here):
    touch("a_b_c.tif", "a_b-c.png", "a-b_c.png")
    assert "may be read in several ways in a_b_c.tif" in refusal("*_*.tif", "*-*.png")
    touch("x_y_z_raw.tif", "x_y_z_seg.tif")  # here they all lead to the same partner
    assert matched("*_*_raw.tif", "*_*_seg.tif") == [("x_y_z_raw.tif", "x_y_z_seg.tif")]


@pytest.mark.parametrize(
    ("raw", "seg", "part"),
    [
        ("1_raw.tif", "*_seg.tif", "0 in --raw_data 1_raw.tif, 1 in --label_image"),
        ("*/*_raw.tif", "*_seg.tif", "as many in each pattern"),
        ("*_row.tif", "*_seg.tif", "--raw_data *_row.tif: no file matches"),
    ],
)
def test_patterns_that_cannot_be_paired(here, raw, seg, part):
    touch("1_raw.tif", "1_seg.tif")
    assert part in refusal(raw, seg)


# --- from the command line


@pytest.fixture
def pairs(here):
    for n in (2, 1, 10):
        labels = np.zeros((8, 44), np.uint8)
        for k in range(n):
            labels[2:4, 4 * k + 1 : 4 * k + 3] = k + 1
        os.makedirs(f"data/day {n}", exist_ok=True)
        tifffile.imwrite(f"data/day {n}/P1_A{n:02d}_raw.tif", labels * 7)
        tifffile.imwrite(f"data/day {n}/P1_A{n:02d}_seg.tif", labels)


def run(*options):
    return main([
        "--headless", "--features", "regionprops:area", "--table_filename", "t.csv", "--table_only", "--pair",
        "--raw_data", "data/*/*_raw.tif", "--label_image", "data/*/*_seg.tif", *options,
    ])  # fmt: skip


def test_a_folder_from_the_command_line(pairs, capsys):
    assert run("--metadata_regex", r"day (?P<day>\d+)/(?P<plate>.+)_(?P<well>[A-H]\d\d)_raw") == 0
    assert (
        "--pair: 3 lanes, the stars stand for day 1/P1_A01, day 2/P1_A02, day 10/P1_A10"
        in capsys.readouterr().err
    )
    table = pd.read_csv("t.csv", dtype={"day": str})
    assert list(table["day"].drop_duplicates()) == ["1", "2", "10"]
    assert list(table["well"].drop_duplicates()) == ["A01", "A02", "A10"]
    assert set(table["plate"].str.rpartition("/")[2]) == {"P1"}


def test_the_order_of_the_file_system_does_not_count(pairs, monkeypatch):
    found = []
    for order, jobs in ((sorted, "1"), (lambda names: sorted(names)[::-1], "2")):
        monkeypatch.setattr("objclass.pipeline.patterns.glob", lambda name, order=order: order(glob(name)))
        assert run("--quiet", "--jobs", jobs) == 0
        found.append(Path("t.csv").read_bytes())
    assert found[0] == found[1]


def test_a_lane_without_a_partner_stops_the_run(pairs, capsys, here):
    os.remove("data/day 2/P1_A02_seg.tif")
    assert run("--quiet") == 2
    err = capsys.readouterr().err
    assert "--pair: 2 lanes are complete, but data/day 2/P1_A02_raw.tif has no --label_image" in err
    assert os.listdir(here) == ["data"]


def test_an_unquoted_pattern_is_refused(pairs, capsys):
    arguments = [
        "--headless",
        "--pair",
        "--label_image",
        "data/day 1/P1_A01_seg.tif",
        "data/day 2/P1_A02_seg.tif",
    ]
    assert main(arguments) == 2
    assert "with --pair, expected one pattern, in quotes" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("expression", "part"),
    [
        (r"(?P<well>[A-H]\d\d", "missing )"),
        (r"A\d\d", "has no named group"),
        (r"(?P<well>A0\d)", "does not fit P1_A10_raw"),
        (r"(?P<well>A\d\d)(?P<area>.*)", "metadata column 'area'"),
        ("(?P<a>x)" * 200, "expected 1000 at most"),
    ],
)
def test_expressions_that_are_refused(pairs, capsys, here, expression, part):
    assert run("--quiet", "--metadata_regex", expression) == 2
    err = capsys.readouterr().err
    assert part in err
    assert err.count("\n") == 1
    assert os.listdir(here) == ["data"]


def test_names_that_are_not_utf8(here):
    with open(b"caf\xe9_1.npy", "wb") as file:
        np.save(file, np.eye(4, dtype=np.uint8))
    options = [
        "--pair",
        "--label_image",
        "*.npy",
        "--metadata_regex",
        "(?P<name>.+)_",
        "--table_filename",
        "t.csv",
    ]
    assert main(["--headless", "--quiet", *options, "--table_only", "--features", "regionprops:area"]) == 0
    assert "caf\ufffd" in pd.read_csv("t.csv")["name"].tolist()


def test_an_expression_that_would_take_years_is_refused(monkeypatch):
    monkeypatch.setattr("objclass.pipeline.metadata.SECONDS", 0.1)
    with pytest.raises(UsageError, match=r"takes longer than 0.1 s for a name"):
        find_metadata(r"(?P<well>(\w|\w\w|\w\w\w)+)\W$", ["ab" * 100])


def test_groups_that_take_no_part_are_empty_and_clashes_are_refused(pairs, capsys, here):
    assert run("--quiet", "--metadata_regex", r"A(?P<well>\d\d)(?P<site>_s\d)?") == 0
    assert pd.read_csv("t.csv", keep_default_na=False)["site"].unique().tolist() == [""]
    (here / "lanes.csv").write_text("label_image,well\ndata/day 1/P1_A01_seg.tif,A01\n")
    assert main(["--headless", "--manifest", "lanes.csv", "--metadata_regex", r"(?P<well>A\d\d)"]) == 2
    assert "have metadata 'well' already" in capsys.readouterr().err
