"""The summary: a row for each image, time step and class, also where there are no objects."""

import json
import shutil
from math import nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from objclass.batch import task
from objclass.batch.plan import make_plan, plan_tasks
from objclass.batch.request import Request
from objclass.cli import main
from objclass.core import Lane
from objclass.errors import OutputError
from objclass.export.summary import Group, Summary, summary_columns
from objclass.images import from_array
from objclass.pipeline.inputs import Inputs
from tests.conftest import SAMPLES

CLASSES = ["elongated", "ring", "round"]


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def error(capsys):
    (line,) = capsys.readouterr().err.strip().splitlines()
    return line


def squares(count, shape=(6, 40)):
    """An image of so many squares of 3 x 3 pixels."""
    image = np.zeros(shape, np.uint8)
    for k in range(count):
        image[..., 1:4, 5 * k : 5 * k + 3] = 1
    return image


def measured(*more, images, summary="s.csv"):
    """A run without a project."""
    return main([
        *("--headless", "--quiet", "--segmentation_image", *images, "--features", "regionprops:area"),
        *("--table_only", "--table_filename", "t.csv", "--summary_filename", summary, *more),
    ])  # fmt: skip


def classified(*more, raws, segmentations):
    return main([
        *("--headless", "--quiet", "--project", f"{SAMPLES}/cells.ilp", "--table_only", "--table_filename", "t.csv"),
        *("--raw_data", *raws, "--segmentation_image", *segmentations, "--summary_filename", "s.csv", *more),
    ])  # fmt: skip


@pytest.fixture
def cells(here):
    """The sample image, an image without objects, and the sample image turned."""
    raw, segmentation = (tifffile.imread(SAMPLES / f"cells{kind}.tif") for kind in ("", "_segmentation"))
    for name, seen in (
        ("a", segmentation),
        ("none", np.zeros_like(segmentation)),
        ("b", segmentation[::-1, 50:]),
    ):
        np.save(f"{name}.npy", raw[::-1, 50:] if name == "b" else raw)
        np.save(f"{name}_seg.npy", seen)
    names = ("a", "none", "b")
    return {"raws": [f"{n}.npy" for n in names], "segmentations": [f"{n}_seg.npy" for n in names]}


def test_counts_shares_and_means_are_those_of_the_table(cells):
    assert classified(**cells) == 0
    table, summary = (pd.read_csv(name, float_precision="round_trip") for name in ("t.csv", "s.csv"))
    assert list(summary) == [
        *("image", "frame", "class", "object_count", "share", "mean_size_px", "mean_uncertainty", "novel_share"),
    ]  # fmt: skip
    assert [*zip(summary["image"], summary["class"], strict=True)] == [
        (image, name) for image in ("a", "none", "b") for name in CLASSES
    ]
    for row in summary.to_dict("records"):
        image = table[table["Image"] == row["image"]]
        objects = image[image["Predicted Class"] == row["class"]]
        assert row["object_count"] == len(objects)
        if len(objects):
            assert row["share"] == len(objects) / len(image)
            assert row["mean_size_px"] == objects["Size in pixels"].mean()
            assert row["mean_uncertainty"] == pytest.approx(
                objects["Uncertainty"].mean(), rel=1e-7
            )  # float32
            assert row["novel_share"] == (objects["Novelty"] > 1).mean()
    empty = summary[summary["image"] == "none"]
    assert (empty["object_count"] == 0).all()
    assert empty[["share", "mean_size_px", "mean_uncertainty", "novel_share"]].isna().all(axis=None)


def test_the_same_bytes_for_any_number_of_threads(cells):
    found = []
    for jobs in "12":
        assert classified("--jobs", jobs, **cells) == 0
        found.append(Path("s.csv").read_bytes())
    assert found[0] == found[1]


def test_a_row_for_each_time_step(here):
    movie = np.stack([squares(2), squares(0), squares(4)])
    np.save("movie.npy", movie)
    np.save("still.npy", squares(1)[None])
    assert measured("--input_axes", "tyx", images=["movie.npy", "still.npy"]) == 0
    assert Path("s.csv").read_text() == (
        "image,frame,object_count,mean_size_px\n"
        "movie,0,2,9.0\n"
        "movie,1,0,\n"
        "movie,2,4,9.0\n"
        "still,0,1,9.0\n"
    )  # fmt: skip


def test_sizes_in_the_unit_of_the_images(here):
    """Areas and volumes; unknown for an image without a pixel size."""
    for name, image in (("plain", squares(2)), ("flat", squares(1)), ("deep", squares(1, (4, 6, 40)))):
        metadata = {
            "axes": "ZYX"[-image.ndim :],
            "PhysicalSizeX": 0.5,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": 0.25,
            "PhysicalSizeYUnit": "µm",
            "PhysicalSizeZ": 2,
            "PhysicalSizeZUnit": "µm",
        }
        if name == "plain":
            np.save("plain.npy", image)
        else:
            tifffile.imwrite(f"{name}.ome.tif", image, metadata=metadata)
    tables = ("--table_filename", "{nickname}.csv")
    assert measured(*tables, images=["plain.npy", "flat.ome.tif", "deep.ome.tif"]) == 0
    assert Path("s.csv").read_text() == (
        "image,frame,object_count,mean_size_px,mean_size,size_unit\n"
        'plain,0,2,9.0,,""\n'
        "flat.ome,0,1,9.0,1.125,um2\n"
        "deep.ome,0,1,36.0,9.0,um3\n"
    )  # fmt: skip


def test_the_pixel_size_that_is_given(here):
    np.save("a.npy", squares(1))
    assert measured("--pixel_size", "2um", images=["a.npy"]) == 0
    assert Path("s.csv").read_text().splitlines()[1] == "a,0,1,9.0,36.0,um2"


def test_no_summary_unless_it_is_asked_for(here):
    for name in "ab":
        np.save(f"{name}.npy", squares(1))
    run = [
        "--headless",
        "--quiet",
        "--segmentation_image",
        "a.npy",
        "b.npy",
        "--features",
        "regionprops:area",
    ]
    assert main([*run, "--table_only", "--table_filename", "out/t.csv"]) == 0
    assert sorted(p.name for p in (here / "out").iterdir()) == ["objclass_run.json", "t.csv"]


def test_it_is_named_among_the_outputs(here):
    np.save("a.npy", squares(1))
    assert measured(images=["a.npy"], summary="out/s.tsv") == 0
    assert Path("out/s.tsv").read_text() == "image\tframe\tobject_count\tmean_size_px\na\t0\t1\t9.0\n"
    (lane,) = json.loads(Path("objclass_run.json").read_text())["lanes"]
    assert lane["outputs"] == ["t.csv", "out/s.tsv"]


def test_a_lane_that_fails_has_no_rows(here, monkeypatch):
    for n in range(3):
        np.save(f"seg{n}.npy", squares(n + 1))
    np.save("seg1.npy", np.full((6, 40), 0.5))
    monkeypatch.setattr("objclass.batch.plan.check_lane", lambda lane, plan: None)
    assert measured("--jobs", "1", images=[f"seg{n}.npy" for n in range(3)]) == 1
    assert [line.split(",")[0] for line in Path("s.csv").read_text().splitlines()] == ["image", "seg0"]
    before = Path("s.csv").read_bytes()
    assert measured("--jobs", "1", images=[f"seg{n}.npy" for n in range(3)]) == 1
    assert Path("s.csv").read_bytes() == before
    assert Path("s.partial.csv").read_bytes() == before


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_resumed_runs_write_the_same_bytes(here, monkeypatch, capsys, suffix):
    """Rows of the earlier run are taken over; those of the lane that failed are in their place."""
    for n in range(4):
        np.save(f"seg{n}.npy", squares(n))
    images, summary = [f"seg{n}.npy" for n in range(4)], f"out/s.{suffix}"
    assert measured("--table_filename", "out/t.csv", images=images, summary=summary) == 0
    whole = Path(summary).read_bytes()
    shutil.rmtree("out")
    run_lane = task.run_lane

    def failing(lane, *more):
        if lane.nickname == "seg1":
            message = "a fault"
            raise OSError(message)
        return run_lane(lane, *more)

    with monkeypatch.context() as patch:
        patch.setattr(task, "run_lane", failing)
        options = ("--table_filename", "out/t.csv", "--on_error", "continue")
        assert measured(*options, images=images, summary=summary) == 1
    assert Path(summary).read_bytes() != whole
    capsys.readouterr()
    options = ["--table_filename", "out/t.csv", "--resume", "--log_json", "log.json"]
    assert measured(*options, images=images, summary=summary) == 0
    assert Path(summary).read_bytes() == whole
    (end,) = [e for e in map(json.loads, Path("log.json").read_text().splitlines()) if "not_run" in e]
    assert (end["done"], end["done_before"], end["counts"]) == (1, 3, {"objects": 6})
    assert "1 of 4 lanes done, 3 done before in " in end["message"]


def lane_of(*metadata):
    image = from_array(squares(1), "yx")
    return Lane(None, image, "label_image", "a", "/data", metadata=metadata)


def test_metadata_stand_after_the_image():
    summary, groups = Summary("s.csv", has_classes=False, has_sizes=False), [Group(0, "", 1, nan, 9.0, nan)]
    columns = summary_columns(groups, summary, lane_of(("plate", "p1"), ("well", "A01")), "a", None)
    assert {name: values.tolist() for name, values in columns.items()} == {
        "image": ["a"],
        "plate": ["p1"],
        "well": ["A01"],
        "frame": [0],
        "object_count": [1],
        "mean_size_px": [9.0],
    }


def test_metadata_of_the_name_of_a_column_are_refused():
    lanes = [lane_of(("well", "A01"), ("frame", "x"))]
    request = Request(
        Inputs({}), table="t.csv", features=("regionprops:area",), table_only=True, summary="s.csv"
    )
    with pytest.raises(OutputError, match="the summary has a column 'frame' of its own"):
        plan_tasks(request, make_plan(request, lanes, None), lanes)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("s.txt", "table s.txt: expected a name that ends in .csv"),
        ("{nickname}.csv", "expected a name without placeholders: all images are in one summary"),
        ("t.csv", "both the table and the summary would be written there"),
        ("a.npy/s.csv", "a.npy"),
    ],
)
def test_names_that_are_refused(here, capsys, name, said):
    np.save("a.npy", squares(1))
    assert measured(images=["a.npy"], summary=name) == 2
    assert said in error(capsys)
    assert sorted(p.name for p in here.iterdir()) == ["a.npy"]


def test_pixels_alone_have_no_summary(here, capsys, samples):
    train = ["train", "--pixels", "--quiet", "--project", "p.ilp", "--raw_data", f"{samples}/cells_train.tif"]
    train += [
        "--labels",
        f"{samples}/cells_train_strokes.png",
        "--pixel_features",
        "gaussian:1",
        "--trees",
        "2",
    ]
    assert main(train) == 0
    run = ["--headless", "--quiet", "--project", "p.ilp", "--raw_data", f"{samples}/cells.tif"]
    assert main([*run, "--summary_filename", "s.csv"]) == 2
    assert "finds no objects for a table" in error(capsys)


def test_another_run_writes_it(here, capsys):
    from objclass.compute import lock
    from objclass.export.atomic import lock_file

    np.save("a.npy", squares(1))
    with lock.held(lock_file("s.csv")):
        assert measured(images=["a.npy"]) == 2
    assert "s.csv: another run is writing it" in error(capsys)
