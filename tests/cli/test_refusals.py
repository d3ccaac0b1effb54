"""Bad input: one clear line on stderr, the exit code, and nothing written."""

import csv
import shutil

import h5py
import numpy as np
import pytest
import tifffile

from objclass.cli import main
from tests.conftest import without_own


@pytest.fixture
def here(tmp_path, monkeypatch, samples):
    """A folder with inputs, good and bad; answers it."""
    monkeypatch.chdir(tmp_path)
    for name in ("cells.tif", "cells_segmentation.tif", "cells_probabilities.h5", "cells.ilp", "spots3d.ilp",
                 "spots3d.tif", "spots3d_label_image.tif", "cells_train_labels.csv"):  # fmt: skip
        shutil.copy(samples / name, tmp_path / name)
    raw = tifffile.imread("cells.tif")
    np.save("short.npy", raw[:-3])
    np.save("half.npy", raw / 255)
    np.save("rgb.npy", np.stack([raw] * 3, axis=-1))
    np.save("line.npy", raw[0])
    with h5py.File("two.h5", "w") as file:
        file["a"], file["b"], file["text"] = raw, raw, "words"
    (tmp_path / "fake.h5").write_bytes(b"not an HDF5 file at all")
    tifffile.imwrite("ids.tif", tifffile.imread("cells_segmentation.tif").astype(np.uint16) * 300)
    (tmp_path / "notes.txt").write_text("words")
    for name in ("book.xlsx", "book.csv"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 and so on")
    (tmp_path / "cp1252.csv").write_bytes("labelimage_oid,class\n1,für\n".encode("cp1252"))
    (tmp_path / "a_file").write_text("")
    return tmp_path


def refused(capsys, before, arguments, *told, code=2):
    assert main(arguments) == code
    err = capsys.readouterr().err.strip().splitlines()
    assert len(err) == 1, err
    assert err[0].startswith("objclass: error: ")
    for part in told:
        assert part in err[0]
    assert {p.name for p in before.iterdir()} == NAMES[before]


NAMES = {}


def run(**options):
    given = {"project": "cells.ilp", "raw_data": "cells.tif", "segmentation_image": "cells_segmentation.tif"}
    given |= options
    result = ["--headless", "--quiet"]
    for name, value in given.items():
        if value is True:
            result.append(f"--{name}")
        elif value is not None:
            result += [f"--{name}", *([value] if isinstance(value, str) else value)]
    return result


CASES = {
    "missing image": (run(raw_data="none.tif"), "none.tif"),
    "glob without match": (run(raw_data="none_*.tif"), "none_*.tif"),
    "missing project": (run(project="none.ilp"), "none.ilp", "no such file"),
    "project is a folder": (run(project="."), "is a folder"),
    "wrong internal path": (run(raw_data="two.h5/c"), "two.h5", "a", "b"),
    "ambiguous internal path": (run(raw_data="two.h5"), "two.h5", "a", "b"),
    "text dataset": (run(raw_data="two.h5/text"), "two.h5"),
    "not HDF5": (run(raw_data="fake.h5"), "fake.h5"),
    "no image": (run(raw_data="notes.txt"), "notes.txt"),
    "1-D": (run(raw_data="line.npy"), "line.npy"),
    "different shape": (
        run(raw_data="short.npy"), "short.npy", "cells_segmentation.tif", "differ along y", "--input_axes",
    ),
    "fractions": (run(segmentation_image="half.npy"), "half.npy", "--prediction_maps"),
    "too many channels": (run(raw_data="rgb.npy"), "rgb.npy", "axes"),
    "segmentation with channels": (
        run(segmentation_image="rgb.npy", ignore_training_axistags=True), "rgb.npy", "3 channels",
        "--channel", "--input_axes", "--prediction_maps",
    ),
    "segmentation with channels, axes of the training lane": (
        run(segmentation_image="rgb.npy"), "rgb.npy", "3 channels", "--channel",
    ),
    "no such channel of a segmentation": (
        run(segmentation_image="rgb.npy", channel="3"), "--channel 3: rgb.npy has 3 channels",
    ),
    "role of another workflow": (
        run(prediction_maps="cells_probabilities.h5", segmentation_image=None), "--prediction_maps",
        "--segmentation_image",
    ),
    "two atlases": (run(atlas=["cells.tif"] * 2), "2 for --atlas"),
    "atlas of another shape": (run(atlas="short.npy"), "atlas short.npy", "differ along y"),
    "too few of a role": (run(raw_data=["cells.tif", "cells.tif"]), "2 for --raw_data and 1"),
    "unknown option": (run(colour="red"), "colour"),
    "unknown source": (run(export_source="Nuclei"), "Nuclei", "Object Probabilities"),
    "unknown format": (run(output_format="docx"), "docx", "png"),
    "volume as png": (
        run(project="spots3d.ilp", raw_data="spots3d.tif", label_image="spots3d_label_image.tif",
            segmentation_image=None, output_format="png"),
        "png", "multipage tiff",
    ),
    "float to png": (run(export_object_probability_img=True, output_format="png"), "png", "float32"),
    "output is a folder": (run(output_filename_format="folder", output_format="numpy"), "folder.npy is a folder"),
    "output in a file": (run(output_filename_format="a_file/x"), "a_file is not a folder"),
    "table in a file": (run(table_filename="a_file/t.csv"), "a_file is not a folder"),
    "table of no format": (run(table_filename="t.docx"), "t.docx", ".csv"),
    "two outputs, one file": (
        run(output_filename_format="x", export_object_prediction_img=True, export_object_probability_img=True),
        "x.h5", "{result_type}",
    ),
    "two lanes, one file": (
        run(raw_data=["cells.tif"] * 2, segmentation_image=["cells_segmentation.tif", "again.tif"]), "cells_Object",
    ),
    "output over input": (
        run(output_filename_format="cells", output_format="tif"), "cells.tif", "overwrite an input",
    ),
    "table over project": (run(table_filename="cells.csv", project="cells.ilp",
                               output_filename_format="cells_segmentation", output_format="tif"),
                           "overwrite an input"),
    "axes that do not fit": (run(input_axes="zyx"), "zyx", "--input_axes"),
    "axes that are none": (run(input_axes="ab"), "--input_axes ab"),
    "more axes than roles": (run(input_axes="yx,yx,yx,yx"), "more entries than roles"),
    "subregion": (run(cutout_subregion="[(0,0)]"), "--cutout_subregion"),
    "subregion of other length": (run(cutout_subregion="[(0,0,0,0), (1,1,1,1)]"), "subregion of 4 axes"),
    "subregion outside": (run(cutout_subregion="[(0,400,0,0,0), (1,500,9,1,1)]"), "along x"),
    "axis order": (run(output_axis_order="xq"), "--output_axis_order"),
    "axis order that drops": (run(output_axis_order="tx"), "leaves out y"),
    "range without range": (run(export_drange="(0,255)"), "--pipeline_result_drange"),
    "range of three": (run(pipeline_result_drange="(0,1,2)"), "two numbers"),
    "thresholds beside a project": (run(threshold="0.3"), "--threshold"),
    "features beside a project": (run(features="regionprops"), "--features"),
    "table_only to nowhere": (
        run(project="no_table.ilp", table_only=True), "--table_filename",
    ),
    "pixel size": (run(pixel_size="big"), "--pixel_size big"),
    "pixel size 0": (run(pixel_size="0um"), "--pixel_size 0um"),
    "placeholder": (run(output_filename_format="{nickname"), "{nickname"),
    "format of a placeholder": (run(output_filename_format="{nickname:03d}"), "nickname"),
    "no object image": (run(project=None, segmentation_image=None), "--segmentation_image"),
    "two object images": (run(project=None, label_image="cells.tif"), "--label_image"),
    "classes without project": (
        run(project=None, export_object_prediction_img=True), "without --project",
    ),
    "unknown feature set": (run(project=None, features="granularity"), "no feature set 'granularity'"),
    "unknown feature": (run(project=None, features="regionprops:colour"), "no feature 'colour'"),
    "feature that does not fit": (
        run(project=None, features="3D Convex Hull Features:Convexity"), "not defined for 2D",
    ),
    "raw data needed": (
        run(project=None, raw_data=None, features="regionprops:intensity_mean"), "intensity_mean",
    ),
    "channel": (
        run(project=None, segmentation_image=None, prediction_maps="cells_probabilities.h5", channel="2"),
        "channel 2",
    ),
    "threshold that is none": (run(project=None, threshold="high"), "--threshold"),
    "NaN": (run(project=None, threshold="nan"), "--threshold nan"),
    "endless smoothing": (run(project=None, smooth="1e9"), "--smooth"),
    "margin beside a project": (run(margin="7"), "--margin"),
    "pixel size twice": (run(pixel_size="x=1,x=2um"), "--pixel_size"),
    "pixel size without commas": (run(pixel_size="z=1y=2um"), "--pixel_size"),
    "name that is too long": (run(output_filename_format="x" * 300), "too long"),
    "sizes that exclude each other": (run(project=None, segmentation_image=None, min_size="9", max_size="3",
                                          prediction_maps="cells_probabilities.h5"), "--max_size 3"),
    "threshold of a segmentation": (run(project=None, threshold="0.3"), "only prediction maps"),
    "empty name": (run(output_filename_format=""), "empty"),
    "unit": (run(pixel_size="0.5foo"), "units"),
    "one table for each lane": (
        run(raw_data=["cells.tif"] * 2, segmentation_image=["cells_segmentation.tif", "again.tif"], table_only=True,
            table_filename="{nickname}_t.csv"),
        "2 images",
    ),
    "the same images twice": (
        run(raw_data=["cells.tif"] * 2, segmentation_image=["cells_segmentation.tif"] * 2),
        "the same images twice: lane 2 and lane 1 (cells.tif)",
    ),
    "images without a partner": (
        run(raw_data=["cell1.tif", "cell10.tif", "cell2.tif"], segmentation_image=["cell10_s.tif", "cell1_s.tif"]),
        "3 for --raw_data and 2 for --segmentation_image", "no partner: cell2.tif",
    ),
    "pictures in a CSV": (run(table_images=True, table_filename="t.csv"), "--table_images", ".h5"),
    "negative size": (run(project=None, min_size="-1"), "--min_size -1"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_refused(here, capsys, name):
    arguments, *told = CASES[name]
    (here / "folder.npy").mkdir()
    shutil.copy("cells.ilp", "no_table.ilp")
    shutil.copy("cells_segmentation.tif", "again.tif")
    with h5py.File("no_table.ilp", "a") as file:
        del file["ObjectClassification/ExportSettings"]
    NAMES[here] = {p.name for p in here.iterdir()}
    refused(capsys, here, arguments, *told)


def damaged(here, change):
    shutil.copy("cells.ilp", "bad.ilp")
    without_own("bad.ilp")  # it would be a second line that what it holds does not fit what was changed
    with h5py.File("bad.ilp", "a") as file:
        change(file)
    NAMES[here] = {p.name for p in here.iterdir()}
    return run(project="bad.ilp")


def replace(path, value):
    def change(file):
        del file[path]
        file[path] = value

    return change


def replace_or_add(path, value):
    def change(file):
        file[path] = value

    return change


def gigantic(file):
    """A small file that would fill the memory."""
    for t in range(1, 40):
        file.create_dataset(f"ObjectClassification/LabelInputs/0000/{t}", (10**7,), float, chunks=True)


def prediction_maps_with(SmootherSigma):  # noqa: N803
    def change(file):
        del file["workflowName"]
        file["workflowName"] = b"Object Classification (from prediction image)"
        for axis in "xyz":
            file[f"ThresholdTwoLevels/SmootherSigma/{axis}"] = SmootherSigma

    return change


TREE = "ObjectClassification/ClassifierForests/Forest0000/Tree_07/topology"
PROJECTS = {
    "other workflow": (replace("workflowName", b"Carving"), "Carving", "expected Object Classification"),
    "no pixel features": (replace("workflowName", b"Pixel Classification"), "has no /PixelClassification"),
    "pixel and object": (
        replace("workflowName", b"Object Classification (from pixel classification)"), "has no thresholds",
    ),
    "no workflow": (lambda f: f.__delitem__("workflowName"), "workflow"),
    "no forest": (lambda f: f.__delitem__("ObjectClassification/ClassifierForests"), "no trained classifier",
                  "cells_train.tif"),
    "no classes": (lambda f: f["ObjectClassification/LabelNames"].attrs.modify("isEmpty", True), "no classes"),
    "no features": (lambda f: f.__delitem__("ObjectExtraction"), "ObjectExtraction"),
    "unknown feature": (
        lambda f: f.create_group("ObjectClassification/SelectedFeatures/Spherical Texture/Texture"),
        "Spherical Texture: Texture",
    ),
    "one feature more": (
        lambda f: f.create_group("ObjectClassification/SelectedFeatures/2D Skeleton Features/Diameter"),
        "feature columns",
    ),
    "pickle of scikit-learn": (
        replace("ObjectClassification/ClassifierForests/pickled_type", b"clazyflow\nSklearnLazyflowClassifier\n"),
        "scikit-learn",
    ),
    "circle": (replace(TREE, np.array([83, 3, 0, 0, 2, 2, 1], np.int32)), "damaged"),
    "index outside": (replace(TREE, np.array([83, 3, 0, 0, 200, 7, 1], np.int32)), "damaged"),
    "text for a tree": (replace(TREE, b"words"), "damaged"),
    "too many trees": (
        replace("ObjectClassification/ClassifierForests/Forest0000/_options/tree_count_", np.array([1e9])),
        "1000000000 trees",
    ),
    "stored dtype": (replace_or_add("Object Information Export/ExportDtype", b"object"), "object"),
    "256 classes": (replace("ObjectClassification/LabelNames", np.array([b"c"] * 256)), "256 classes"),
    "gigantic labels": (gigantic, "claim"),
    "smoothing": (prediction_maps_with(SmootherSigma=1e9), "sigmas"),
    "axistags": (replace("Input Data/infos/lane0000/Raw Data/axistags", b"{"), "damaged"),
    "stored format": (replace("Object Information Export/OutputFormat", b"docx"), "docx"),
}  # fmt: skip


@pytest.mark.parametrize("name", PROJECTS)
def test_damaged_project(here, capsys, name):
    change, *told = PROJECTS[name]
    refused(
        capsys, here, damaged(here, change), "bad.ilp" if not name.startswith("stored") else told[0], *told
    )


@pytest.mark.parametrize("size", [0, 100, 5000, -1000])
def test_truncated_project(here, capsys, size):
    data = (here / "cells.ilp").read_bytes()
    (here / "bad.ilp").write_bytes(data[:size])
    NAMES[here] = {p.name for p in here.iterdir()}
    refused(capsys, here, run(project="bad.ilp"), "bad.ilp")


def truncated_h5(path, pixels):
    with h5py.File(path, "w") as file:
        file.create_dataset("data", data=pixels, chunks=(32, 32), compression="gzip")
        chunk = file["data"].id.get_chunk_info(40)
    with open(path, "r+b") as file:
        file.seek(chunk.byte_offset)
        file.write(b"\0" * chunk.size)


def test_a_fault_in_the_pixels_fails_the_lane_and_leaves_nothing(here, capsys):
    truncated_h5("bad.h5", tifffile.imread("cells.tif"))
    NAMES[here] = {p.name for p in here.iterdir()} | {"objclass_run.json"}
    refused(capsys, here, run(raw_data="bad.h5", table_filename="t.csv"), "bad.h5", code=3)


def test_lanes_before_a_fault_keep_their_outputs(here, capsys):
    truncated_h5("bad.h5", tifffile.imread("cells.tif"))
    arguments = run(
        raw_data=["cells.tif", "bad.h5"], segmentation_image=["cells_segmentation.tif"] * 2,
        table_filename="t.csv", output_filename_format="out_{nickname}",
    )  # fmt: skip
    NAMES[here] = {p.name for p in here.iterdir()} | {
        "objclass_run.json",
        "t.csv",
        ".t.csv.rows",
        "out_cells.h5",
    }
    assert main(arguments) == 1
    failed, partial, *_ = capsys.readouterr().err.strip().splitlines()
    assert failed.startswith("objclass: error: lane 2/2 bad failed: bad.h5/data: ")
    assert partial == "objclass: warning: t.csv is incomplete: 1 of 2 lanes"
    assert {p.name for p in here.iterdir()} == NAMES[here]
    assert (here / "t.csv").read_text().count("\n") == 61


def test_a_write_fault_leaves_no_row(here, capsys, monkeypatch):
    """The disk is full when the second lane is finished."""
    from objclass.export.files import OwnLaneFiles

    commits = []
    commit = OwnLaneFiles.commit

    def full(self, kept):
        commits.append(self)
        if len(commits) == 2:
            raise OSError(28, "No space left on device")
        commit(self, kept)

    monkeypatch.setattr(OwnLaneFiles, "commit", full)
    arguments = run(
        raw_data=["cells.tif"] * 3, segmentation_image=["cells_segmentation.tif"] * 3,
        table_filename="t.csv",
    )  # fmt: skip
    for number in range(3):
        shutil.copy("cells.tif", f"lane{number}.tif")
    place = arguments.index("--raw_data")
    arguments[place + 1 : place + 4] = [f"lane{number}.tif" for number in range(3)]
    assert main(arguments) == 1
    assert "No space left" in capsys.readouterr().err
    with (here / "t.csv").open(newline="") as file:
        assert {row["Image"] for row in csv.DictReader(file)} == {"lane0"}
    assert not list(here.glob(".objclass*"))
    assert not (here / "lane1_Object Predictions.h5").exists()


def test_a_bug_fails_the_lane_like_any_fault(here, capsys, monkeypatch):
    from objclass.export import sinks

    monkeypatch.setattr(sinks, "collect", lambda _: 1 / 0)
    NAMES[here] = {p.name for p in here.iterdir()} | {"objclass_run.json"}
    refused(capsys, here, run(output_filename_format="x"), "unexpected ZeroDivisionError", code=3)


def test_finished_lanes_stay_when_a_run_is_interrupted(here, capsys, monkeypatch):
    from objclass.batch import engine

    def interrupted(task, *more):
        if task.name == "lane1":
            raise KeyboardInterrupt
        return run_task(task, *more)

    run_task = engine.run_task
    monkeypatch.setattr(engine, "run_task", interrupted)
    for number in range(2):
        shutil.copy("cells.tif", f"lane{number}.tif")
    arguments = run(raw_data=["lane0.tif", "lane1.tif"], segmentation_image=["cells_segmentation.tif"] * 2)
    assert main([*arguments, "--table_filename", "t.csv"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert (here / "t.csv").read_text().count("\n") == 61
    assert (here / "lane0_Object Predictions.h5").exists()
    assert not list(here.glob(".objclass*"))


def test_a_table_of_too_many_columns_for_hdf5(here, capsys):
    np.save("wide.npy", np.zeros((10, 10, 60), np.uint8))
    np.save("one.npy", np.eye(10, dtype=np.uint8))
    NAMES[here] = {p.name for p in here.iterdir()}
    arguments = [
        "--headless",
        "--raw_data",
        "wide.npy",
        "--segmentation_image",
        "one.npy",
        "--input_axes",
        "yxc,yx",
    ]
    features = ["--features", "Standard Object Features:Covariance"]
    refused(capsys, here, [*arguments, *features, "--table_filename", "t.h5"], "columns", ".csv")


TRAINING = {
    "no labels": ({"labels": None}, "--labels"),
    "missing labels": ({"labels": "none.csv"}, "none.csv"),
    "columns": ({"labels": "a,b\n1,2\n"}, "class"),
    "no such object": ({"labels": "labelimage_oid,class\n1,a\n99,b\n"}, "line 3", "no object 99"),
    "two classes": (
        {"labels": "labelimage_oid,class\n1,a\n1,b\n"},
        "both a (l.csv line 2) and b (l.csv line 3)",
    ),
    "one class": ({"labels": "labelimage_oid,class\n1,a\n2,a\n"}, "two classes"),
    "no number": ({"labels": "labelimage_oid,class\none,a\n"}, "line 2", "'one'"),
    "outside": ({"labels": "x,y,class\n999,1,a\n"}, "outside"),
    "time step": ({"labels": "labelimage_oid,class,timestep\n1,a,4\n"}, "timestep 4"),
    "class names": ({"labels": "labelimage_oid,class\n1,a\n2,b\n", "class_names": ["a", "c"]}, "class b"),
    "no class": ({"labels": "labelimage_oid,class\n1,\n"}, "no class"),
    "painted other shape": ({"labels": "spots3d.tif"}, "do not fit"),
    "painted with one class": ({"labels": "cells_segmentation.tif"}, "two classes"),
    "painted with ids": ({"labels": "ids.tif"}, "is it a label image of objects?"),
    "painted in colour": ({"labels": "rgb.npy"}, "one channel"),
    "painted for two lanes": ({"labels": ["cells_segmentation.tif"] * 2}, "2 label images for 1 lanes"),
    "ids with fractions": ({"labels": "labelimage_oid,class\n1.5,a\n"}, "'1.5'"),
    "id against place": ({"labels": "labelimage_oid,x,y,class\n1,0,0,a\n"}, "the id is that of object 1"),
    "id of 0": ({"labels": "labelimage_oid,class\n0,a\n"}, "line 2", "labelimage_oid '0'", "from 1"),
    "unquoted comma": ({"labels": "labelimage_oid,class\n1,a, b\n"}, "line 2", "3 fields", "in quotes"),
    "class twice": ({"labels": "labelimage_oid,class,Class\n1,a,b\n"}, "several columns are the class"),
    "time twice": ({"labels": "labelimage_oid,class,t,timestep\n1,a,0,0\n"}, "timestep (t and timestep)"),
    "t": ({"labels": "labelimage_oid,class,t\n1,a,4\n"}, "timestep 4"),
    "nothing filled in": ({"labels": "labelimage_oid,User Label\n1,0\n2,0\n"}, "no class is filled in"),
    "class with a tab": ({"labels": 'labelimage_oid,class\n1,"a\tb"\n'}, "contains a tab"),
    "class name with a tab": ({"class_names": ["a\tb", "c"]}, "--class_names", "contains a tab"),
    "a spreadsheet": ({"labels": "book.xlsx"}, "cannot be read as a workbook"),
    "a spreadsheet by another name": (
        {"labels": "book.csv"},
        "spreadsheet",
        "save it as .xlsx, or as CSV in UTF-8",
    ),
    "text of Windows": ({"labels": "cp1252.csv"}, "line 2", "byte 0xfc", "save it as CSV in UTF-8"),
    "set of another dimension": (
        {"features": ["3D Convex Hull Features"]},
        "3D Convex Hull Features",
        "2D images",
    ),
    "core without hysteresis": (
        {"segmentation_image": None, "prediction_maps": "cells_probabilities.h5", "core_threshold": "0.9"},
        "--core_threshold",
        "hysteresis",
    ),
    "core below threshold": (
        {
            "segmentation_image": None,
            "prediction_maps": "cells_probabilities.h5",
            "method": "hysteresis",
            "core_threshold": "0.3",
        },
        "--core_threshold 0.3 is below --threshold 0.5",
    ),
    "largest size": (
        {"segmentation_image": None, "prediction_maps": "cells_probabilities.h5", "max_size": "2147483648"},
        "--max_size 2147483648",
        "2147483647",
    ),
    "a project that is there": (
        {"project": "cells.ilp"},
        "cells.ilp exists already",
        "--overwrite",
        "--output",
    ),
    "another project that is there": (
        {"output": "cells.ilp", "project": "cells.ilp"},
        "cells.ilp exists already",
    ),
    "features to add": (
        {"project": "cells.ilp", "output": "n.ilp", "features": ["hull"]},
        "--features: is stored in cells.ilp",
    ),
    "margin to add": (
        {"project": "cells.ilp", "output": "n.ilp", "margin": "5"},
        "--margin: is stored in cells.ilp",
    ),
    "class names to add": (
        {"project": "cells.ilp", "output": "n.ilp", "class_names": ["x"]},
        "has the classes",
        "follow these",
    ),
    "another image": ({"labels": "image,labelimage_oid,class\nA,1,a\n"}, "not given: A", "--allow_misses"),
    "class of two lines": ({"labels": 'labelimage_oid,class\n1,"a\nb"\n'}, "line 3", "contains a line break"),
    "all on background": ({"labels": "x,y,class\n0,0,a\n"}, "there is no object at this point"),
    "ids of a label image": (
        {
            "segmentation_image": None,
            "raw_data": "spots3d.tif",
            "label_image": "spots3d_label_image.tif",
            "labels": "labelimage_oid,class\n1,a\n2,b\n",
        },
        "original_oid",
    ),
    "threshold of a segmentation": ({"threshold": "0.3"}, "only prediction maps"),
    "segmentation with channels": ({"segmentation_image": "rgb.npy"}, "rgb.npy", "an image of its own"),
    "channel of a segmentation": ({"segmentation_image": "rgb.npy", "channel": "1"}, "only prediction maps"),
    "blank place": ({"labels": "x,y,class\n,,a\n"}, "line 2", "x"),
    "same class names": ({"class_names": ["ring", "ring"]}, "different names"),
    "project over input": ({"project": "cells.ilp", "labels": "cells.ilp"}, "overwrite an input"),
    "project of another suffix": ({"project": "cells.tif"}, "ends in .ilp"),
    "project in a file": ({"project": "a_file/x.ilp"}, "a_file is not a folder"),
}


@pytest.mark.parametrize("name", TRAINING)
def test_training_refused(here, capsys, name):
    change, *told = TRAINING[name]
    change = dict(change)
    if isinstance(change.get("labels"), str) and "\n" in change["labels"]:
        (here / "l.csv").write_text(change["labels"])
        change["labels"] = "l.csv"
    change = {k: v for k, v in change.items() if v != []}
    given = {"project": "new.ilp", "labels": "cells_train_labels.csv"} | change
    NAMES[here] = {p.name for p in here.iterdir()}
    arguments = run(**given)
    refused(capsys, here, ["train", "--quiet", *arguments[2:]], *told)


def test_debug_shows_where(here, capsys):
    assert main([*run(project="none.ilp"), "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err
