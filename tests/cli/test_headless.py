"""The run, as a user starts it: outputs, names, options. Results are compared with one-liners."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import h5py
import imagecodecs
import numpy as np
import pytest
import tifffile

from objclass.cli import main
from tests.conftest import script


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def sample(samples, name="cells"):
    return [
        "--headless", "--quiet", "--project", str(samples / "cells.ilp"),
        "--raw_data", str(samples / f"{name}.tif"),
        "--segmentation_image", str(samples / f"{name}_segmentation.tif"),
        "--output_filename_format", "{nickname}_{result_type}",
    ]  # fmt: skip


def rows_of(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if str(path).endswith("tsv") else ","))


def stored(path, name="exported_data"):
    with h5py.File(path) as file:
        return file[name][()]


def test_three_outputs_agree(here, samples):
    arguments = [*sample(samples), "--table_filename", "deep/er/t.csv"]
    flags = ["prediction", "probability", "identities"]
    assert main([*arguments, *(f"--export_object_{flag}_img" for flag in flags)]) == 0
    ids, classes = stored("cells_Object Identities.h5"), stored("cells_Object Predictions.h5")
    probabilities = stored("cells_Object Probabilities.h5")
    rows = rows_of("deep/er/t.csv")
    assert ids.shape == classes.shape == (320, 320, 1)
    assert probabilities.shape == (320, 320, 3)
    assert len(rows) == ids.max() == 60
    names = ["elongated", "ring", "round"]
    for row in rows:
        inside = ids[..., 0] == int(row["labelimage_oid"])
        p = [np.float32(row[f"Probability of {name}"]) for name in names]
        assert inside.sum() == float(row["Size in pixels"])
        assert (classes[inside] == names.index(row["Predicted Class"]) + 1).all()
        assert (probabilities[inside] == p).all()
        assert names[int(np.argmax(p))] == row["Predicted Class"]
        assert sum(p) == pytest.approx(1, abs=1e-6)
        top = sorted(p)
        assert float(row["Uncertainty"]) == pytest.approx(1 - (top[-1] - top[-2]), abs=1e-6)
    assert not probabilities[ids[..., 0] == 0].any()


def test_the_expected_table_of_the_sample_data(here, samples):
    assert main([*sample(samples), "--table_only", "--table_filename", "t.csv"]) == 0
    assert sorted(p.name for p in here.iterdir()) == ["objclass_run.json", "t.csv"]
    assert (here / "t.csv").read_bytes() == (samples / "cells_expected.csv").read_bytes()


def test_the_sample_cells_are_classified_well(here, samples):
    """The kinds of the sample cells go in turn: what is classified wrongly is a small part."""
    make = script(samples / "make.py")
    _, truth, kinds = make.field(60, 7)
    assert main([*sample(samples), "--table_only", "--table_filename", "t.csv"]) == 0
    hits = [
        row["Predicted Class"] == kinds[truth[round(y), round(x)] - 1]
        for row in rows_of("t.csv")
        for x, y in [(float(row["Center of the object_0"]), float(row["Center of the object_1"]))]
    ]
    assert np.mean(hits) > 0.8


def test_default_names_are_those_of_ilastik(here, samples):
    for name in ("cells.tif", "cells_segmentation.tif", "cells.ilp"):
        (here / name).write_bytes((samples / name).read_bytes())
    assert main(["--headless", "--project=cells.ilp", "--raw-data=cells.tif",
                 "--segmentation-image=cells_segmentation.tif"]) == 0  # fmt: skip
    assert (here / "cells_Object Predictions.h5").is_file()
    assert (here / "cells.csv").is_file()  # the table that the project has set up


def test_positionals_are_raw_data_only_if_no_role_is_named(here, samples, capsys):
    arguments = sample(samples)
    raw = arguments.pop(arguments.index("--raw_data") + 1)
    arguments.remove("--raw_data")
    assert main([*arguments, "--table_only", raw]) == 2
    assert "name all of them" in capsys.readouterr().err
    assert main(["--headless", "--project", str(samples / "cells.ilp"), raw]) == 2
    assert "1 for --raw_data and 0 for --segmentation_image" in capsys.readouterr().err


def test_several_lanes_make_one_table_or_one_each(here, samples):
    two = [str(samples / "cells.tif"), str(samples / "cells_train.tif")]
    segmentations = [str(samples / "cells_segmentation.tif"), str(samples / "cells_train_segmentation.tif")]
    run = ["--headless", "--quiet", "--project", str(samples / "cells.ilp"), "--table_only",
           "--raw_data", *two, "--segmentation_image", *segmentations]  # fmt: skip
    assert main([*run, "--table_filename", "all.csv"]) == 0
    assert main([*run, "--table_filename", "{nickname}.csv"]) == 0
    everything = rows_of("all.csv")
    assert [row["Image"] for row in everything] == ["cells"] * 60 + ["cells_train"] * 60
    assert everything == rows_of("cells.csv") + rows_of("cells_train.csv")


def test_one_image_under_two_names_is_told_apart(here, samples):
    for folder in ("a/x", "b/x"):
        (here / folder).mkdir(parents=True)
        (here / folder / "i.tif").write_bytes((samples / "cells.tif").read_bytes())
    segmentation = str(samples / "cells_segmentation.tif")
    assert main(["--headless", "--project", str(samples / "cells.ilp"), "--raw_data", "a/x/i.tif", "b/x/i.tif",
                 "--segmentation_image", segmentation, segmentation, "--table_only",
                 "--table_filename", "t.csv"]) == 0  # fmt: skip
    assert {row["Image"] for row in rows_of("t.csv")} == {"a/x/i", "b/x/i"}


@pytest.mark.parametrize("suffix", ["csv", "tsv", "h5"])
def test_table_formats_hold_the_same(here, samples, suffix):
    assert main([*sample(samples), "--table_only", "--table_filename", f"t.{suffix}"]) == 0
    expected = rows_of(samples / "cells_expected.csv")
    if suffix != "h5":
        assert rows_of(f"t.{suffix}") == expected
        return
    table = stored("t.h5", "table")
    assert list(table.dtype.names) == list(expected[0])
    for name in table.dtype.names:
        if table.dtype[name].kind == "S":
            assert [v.decode() for v in table[name]] == [row[name] for row in expected]
        else:
            ours = np.array([row[name] or "nan" for row in expected], table.dtype[name])
            assert np.array_equal(table[name], ours, equal_nan=True)


def test_output_formats_hold_the_same(here, samples):
    readers = {
        "compressed hdf5": lambda p: stored(f"{p}.h5"),
        "tiff": lambda p: tifffile.imread(f"{p}.tiff")[..., None],
        "tif": lambda p: tifffile.imread(f"{p}.tif")[..., None],
        "multipage tiff": lambda p: tifffile.imread(f"{p}.tiff")[..., None],
        "png": lambda p: imagecodecs.imread(f"{p}.png")[..., None],
        "numpy": lambda p: np.load(f"{p}.npy"),
    }
    assert main([*sample(samples), "--output_format", "hdf5", "--output_filename_format", "reference"]) == 0
    for name, read in readers.items():
        assert main([*sample(samples), "--output_format", name, "--output_filename_format", name]) == 0
        assert np.array_equal(read(name), stored("reference.h5")), name


def test_probabilities_as_tiff_have_the_classes_as_channels(here, samples):
    arguments = [*sample(samples), "--export_object_probability_img"]
    assert main([*arguments, "--output_format", "hdf5"]) == 0
    assert main([*arguments, "--output_format", "tiff"]) == 0
    assert main([*arguments, "--output_format", "multipage tiff", "--output_filename_format", "m"]) == 0
    expected = stored("cells_Object Probabilities.h5")
    assert np.array_equal(tifffile.imread("cells_Object Probabilities.tiff"), expected)
    assert np.array_equal(tifffile.imread("m.tiff"), np.moveaxis(expected, -1, 0))


def test_export_options(here, samples):
    run = sample(samples)
    assert main([*run, "--output_filename_format", "whole"]) == 0
    whole = stored("whole.h5")
    part = ["--cutout_subregion", "[(0,20,10,0,0), (1,100,None,1,1)]"]  # t, x, y, z, c
    assert main([*run, *part, "--output_filename_format", "{nickname}_{x_start:03}_{x_stop}_{roi}"]) == 0
    name = "cells_020_100_[(0, 20, 10, 0, 0), (1, 100, 320, 1, 1)].h5"
    assert np.array_equal(stored(name), whole[10:, 20:100])
    short = ["--cutout_subregion", "[(10,20,0), (50,60,1)]"]  # the axes of the output
    assert main([*run, *short, "--output_filename_format", "p"]) == 0
    assert np.array_equal(stored("p.h5"), whole[10:50, 20:60])
    assert main([*run, "--export_dtype", "float32", "--output_axis_order", "tcxy"]) == 0
    found = stored("cells_Object Predictions.h5")
    assert found.dtype == np.float32
    assert np.array_equal(found[0, 0], whole[..., 0].T)
    ranges = [
        "--pipeline_result_drange",
        "(0.0, 1.0)",
        "--export_drange",
        "(0, 255)",
        "--export_dtype",
        "uint8",
    ]
    both = ["--export_object_probability_img", "--output_filename_format", "{result_type}"]
    assert main([*run, *both]) == 0
    assert main([*run, *both, *ranges, "--output_internal_path", "deep/{nickname}"]) == 0
    original = stored("Object Probabilities.h5")
    scaled = stored("Object Probabilities.h5", "deep/cells")
    assert np.array_equal(scaled, np.rint(original * np.float32(255)).astype(np.uint8))


def test_one_plane_of_a_volume_as_a_picture(here, samples):
    """First the part, then the order of axes: what is left is flat."""
    run = ["--headless", "--quiet", "--project", str(samples / "spots3d.ilp"), "--raw_data", str(samples / "spots3d.tif"),
           "--label_image", str(samples / "spots3d_label_image.tif"), "--table_filename", "t.csv"]  # fmt: skip
    assert main([*run, "--output_filename_format", "whole", "--output_format", "numpy"]) == 0
    part = ["--cutout_subregion", "[(0,0,0,9,0), (1,None,None,10,1)]", "--output_axis_order", "yx"]
    assert main([*run, *part, "--output_filename_format", "plane", "--output_format", "png"]) == 0
    assert np.array_equal(imagecodecs.imread("plane.png"), np.load("whole.npy")[9, ..., 0])


def test_thousands_of_lanes_hold_no_files_open(here, samples):
    """Under a limit of open files that a table for each lane would break."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    np.save("seg.npy", np.eye(5, dtype=np.uint8))
    names = []
    for number in range(120):
        np.save(f"r{number}.npy", np.ones((5, 5), np.uint8))
        names.append(f"r{number}.npy")
    run = ["--headless", "--quiet", "--raw_data", *names, "--segmentation_image", *["seg.npy"] * 120, "--table_only",
           "--features", "regionprops:area", "--table_filename", "{nickname}.csv"]  # fmt: skip
    resource.setrlimit(resource.RLIMIT_NOFILE, (80, hard))
    try:
        assert main(run) == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(list(here.glob("*.csv"))) == 120


def test_features_that_the_forest_does_without_are_left_out(here, samples):
    """A project computed skeletons in 2D, but the forest looks at sizes alone: volumes work."""
    with h5py.File(samples / "cells.ilp", "a") as file:
        selected = file["ObjectClassification/SelectedFeatures/Standard Object Features"]
        for name in list(selected):
            if name != "Count":
                del selected[name]
        file.create_group("ObjectExtraction/Features/2D Skeleton Features/Diameter")
        forest = file["ObjectClassification/ClassifierForests/Forest0000"]
        forest["_ext_param/column_count_"][...] = 1
        for name in forest:
            if name.startswith("Tree"):
                del forest[name]["topology"], forest[name]["parameters"]
                forest[name]["topology"] = np.array([1, 3, 0x40000000, 0], np.int32)
                forest[name]["parameters"] = np.array([1.0, 0, 1, 0])
    run = ["--headless", "--quiet", "--project", str(samples / "cells.ilp"), "--ignore_training_axistags",
           "--raw_data", str(samples / "spots3d.tif"), "--table_only", "--table_filename", "t.csv",
           "--segmentation_image", str(samples / "spots3d_label_image.tif")]  # fmt: skip
    assert main(run) == 2  # a margin of two axes for a volume
    with h5py.File(samples / "cells.ilp", "a") as file:
        for leaf in file["ObjectExtraction/Features/Standard Object Features"].values():
            if "margin" in leaf:
                del leaf["margin"]
                leaf["margin"] = [3, 3, 3]
    assert main(run) == 0
    header = rows_of("t.csv")[0]
    assert "Diameter" not in header
    assert "Bounding Box Minimum_2" in header


def test_values_that_do_not_fit_wrap_with_a_warning(here, capsys):
    np.save("l.npy", np.arange(1, 301, dtype=np.uint16).reshape(15, 20))
    assert main(["--headless", "--label_image", "l.npy", "--features", "regionprops:area", "--output_format", "numpy",
                 "--export_dtype", "uint8", "--output_filename_format", "o"]) == 0  # fmt: skip
    assert "45 values do not fit into uint8" in capsys.readouterr().err
    assert np.array_equal(np.load("o.npy").ravel(), np.arange(1, 301).astype(np.uint8))


def test_a_map_without_range_is_told(here, samples, capsys):
    """16 bits and nothing said: ilastik does not rescale it either, and finds nothing or all."""
    with h5py.File(samples / "cells.ilp", "a") as file:
        del file["workflowName"]
        file["workflowName"] = b"Object Classification (from prediction image)"
        file["ThresholdTwoLevels/LowThreshold"] = 0.5
        lane = file["Input Data/infos/lane0000"]
        lane.move("Segmentation Image", "Prediction Maps")
    np.save("m.npy", tifffile.imread(samples / "cells_segmentation.tif").astype(np.uint16) * 65535)
    assert main(["--headless", "--project", str(samples / "cells.ilp"), "--raw_data", str(samples / "cells.tif"),
                 "--prediction_maps", "m.npy", "--output_filename_format", "o"]) == 0  # fmt: skip
    assert "values up to 65535 and no stored range" in capsys.readouterr().err


def test_files_are_named_when_they_are_there(here, samples, capsys):
    run = [a for a in sample(samples) if a != "--quiet"]
    assert main([*run, "--table_filename", "t.csv"]) == 0
    told = capsys.readouterr().err
    assert "cells_Object Predictions.h5, t.csv" in told


def test_the_atlas_says_where_objects_are(here, samples):
    """The value at the rounded centre, for each channel."""
    y, x = np.mgrid[:320, :320]
    np.save("atlas.npy", np.stack([x // 40 + 8 * (y // 40), x], axis=-1).astype(np.uint16))
    np.save("one.npy", (x // 40).astype(np.uint8))
    run = [*sample(samples), "--table_only", "--table_filename", "t.csv"]
    assert main([*run, "--atlas", "atlas.npy"]) == 0
    for row in rows_of("t.csv"):
        cx, cy = (round(float(row[f"Center of the object_{k}"])) for k in (0, 1))
        assert int(row["AtlasMapping_0"]) == cx // 40 + 8 * (cy // 40)
        assert int(row["AtlasMapping_1"]) == cx
    measured = ["--headless", "--segmentation_image", str(samples / "cells_segmentation.tif"), "--atlas", "one.npy",
                "--features", "regionprops:centroid", "--table_only", "--table_filename", "m.csv"]  # fmt: skip
    assert main(measured) == 0
    rows = rows_of("m.csv")
    assert list(rows[0])[3:] == ["Image", "AtlasMapping", "centroid-0", "centroid-1"]
    assert all(int(row["AtlasMapping"]) == round(float(row["centroid-1"])) // 40 for row in rows)


def test_pictures_of_the_objects_in_the_table(here, samples):
    run = [
        *sample(samples),
        "--export_source",
        "object identities",
        "--table_images",
        "--table_filename",
        "t.h5",
    ]
    assert main(run) == 0
    ids, raw = stored("cells_Object Identities.h5")[..., 0], tifffile.imread(samples / "cells.tif")
    with h5py.File("t.h5") as file:
        table = file["table"][()]
        assert len(file["images"]) == 60
        for row, picture in ((i, file[f"images/{i}"]) for i in (0, 17, 59)):
            x0, y0, x1, y1 = (
                int(table[f"Bounding Box {m}_{k}"][row]) for m in ("Minimum", "Maximum") for k in (0, 1)
            )
            assert np.array_equal(picture["raw"][()], raw[y0:y1, x0:x1].T)
            assert np.array_equal(picture["labeling"][()], (ids[y0:y1, x0:x1] == row + 1).T)
            assert [a["key"] for a in json.loads(picture["raw"].attrs["axistags"])["axes"]] == ["x", "y"]
            assert (picture["raw"].attrs["type"], picture["labeling"].attrs["type"]) == ("image", "labeling")


def test_source_names_in_any_case_and_blockwise(here, samples):
    asked = ["--export_source", "OBJECT identities", "--export_source", "Blockwise Object Predictions"]
    assert main([*sample(samples), *asked]) == 0
    assert (here / "cells_Object Identities.h5").is_file()
    assert (here / "cells_Object Predictions.h5").is_file()


def test_output_folders_are_made_and_outputs_replaced(here, samples):
    run = [
        *sample(samples),
        "--output_filename_format",
        "results/{nickname}_results.tiff",
        "--output_format",
        "tiff",
    ]
    assert main(run) == 0
    first = (here / "results/cells_results.tiff").read_bytes()
    (here / "results/cells_results.tiff").write_bytes(b"old")
    assert main(run) == 0
    assert (here / "results/cells_results.tiff").read_bytes() == first


def test_the_same_run_gives_the_same_bytes(here, samples):
    flags = ["--export_object_prediction_img", "--export_object_probability_img", "--table_filename"]
    for folder in ("a", "b"):
        where = ["--output_filename_format", f"{folder}/{{result_type}}"]
        assert main([*sample(samples), *flags, f"{folder}/t.h5", *where]) == 0
    for path in (here / "a").iterdir():
        if path.name != "objclass_run.json":
            assert path.read_bytes() == (here / "b" / path.name).read_bytes()


def test_run_file(here, samples):
    assert main([*sample(samples), "--table_filename", "t.csv"]) == 0
    told = json.loads((here / "objclass_run.json").read_text())
    assert told["lanes"][0]["status"] == "done"
    assert told["lanes"][0]["counts"]["objects"] == 60
    assert sum(told["lanes"][0]["counts"][name] for name in told["classes"]) == 60
    assert len(told["project"]["sha256_head"]) == 64
    assert {"segment", "features", "classify", "paint", "write"} <= set(told["lanes"][0]["seconds"])
    assert set(told["lanes"][0]["thread_seconds"]) == {"read", "label"}
    assert all(0 < taken < told["seconds"] for taken in told["lanes"][0]["thread_seconds"].values())
    assert told["peak_memory"] > 10_000_000


def test_the_example_of_the_headless_page(here, samples):
    """Verbatim, program name aside: three outputs (ilastik itself refuses it today)."""
    from objclass.images import open_image

    raw = tifffile.imread(samples / "spots3d.tif")
    labels = tifffile.imread(samples / "spots3d_label_image.tif")
    (here / "my_grayscale_stack_1").mkdir()
    for z, plane in enumerate(raw):
        (here / f"my_grayscale_stack_1/{z:02}.png").write_bytes(imagecodecs.png_encode(plane))
    with h5py.File("my_unclassified_objects_1.h5", "w") as file:
        file["binary_segmentation_volume"] = (labels > 0).astype(np.uint8)
    trained = ["train", "--project", "MyProject.ilp", "--raw_data", "my_grayscale_stack_1/*.png",
               "--segmentation_image", "my_unclassified_objects_1.h5/binary_segmentation_volume",
               "--labels", "labels.csv", "--features", "Standard Object Features:Count",
               "Standard Object Features:RegionRadii"]  # fmt: skip
    places = [np.argwhere(labels == i)[0] for i in range(1, 9)]
    lines = [f"{x},{y},{z},{'ball' if i % 2 else 'rod'}" for i, (z, y, x) in enumerate(places, 1)]
    (here / "labels.csv").write_text("\n".join(["x,y,z,class", *lines]))
    assert main(trained) == 0
    command = (
        "--headless --project=MyProject.ilp --table_filename=results/my_objects.csv "
        "--export_object_prediction_img --export_object_probability_img "
        "--raw_data my_grayscale_stack_1/*.png "
        "--segmentation_image my_unclassified_objects_1.h5/binary_segmentation_volume"
    )
    assert main(command.split()) == 0
    assert len(rows_of("results/my_objects.csv")) == 24
    classes = open_image("my_grayscale_stack_1/my_grayscale_stack_1_Object Predictions.h5")
    assert classes.shape == (1, 20, 96, 96, 1)
    probabilities = open_image("my_grayscale_stack_1/my_grayscale_stack_1_Object Probabilities.h5")
    assert probabilities.shape == (1, 20, 96, 96, 2)


def test_prediction_maps_and_label_images(here, samples):
    run = ["--headless", "--quiet", "--table_only", "--raw_data"]
    maps = [
        "--prediction_maps",
        str(samples / "cells_probabilities.h5"),
        "--threshold",
        "0.5",
        "--min_size",
        "20",
    ]
    assert main([*run, str(samples / "cells.tif"), *maps, "--table_filename", "m.csv"]) == 0
    assert len(rows_of("m.csv")) == 60
    labels = [
        "--label_image",
        str(samples / "spots3d_label_image.tif"),
        "--project",
        str(samples / "spots3d.ilp"),
    ]
    assert main([*run, str(samples / "spots3d.tif"), *labels, "--table_filename", "l.csv"]) == 0
    rows = rows_of("l.csv")
    assert sorted(int(row["original_oid"]) for row in rows) == list(range(1, 25))
    kinds = ["rod" if int(row["original_oid"]) % 2 == 0 else "ball" for row in rows]
    assert [row["Predicted Class"] for row in rows] == kinds


def test_measuring_without_a_project(here, samples):
    run = ["--headless", "--segmentation_image", str(samples / "cells_segmentation.tif"),
           "--output_filename_format", "{nickname}_{result_type}"]  # fmt: skip
    assert main([*run, "--table_filename", "shape.csv"]) == 0
    assert "intensity_mean" not in rows_of("shape.csv")[0]
    assert stored("cells_segmentation_Object Identities.h5").max() == 60
    assert main([*run, "--raw_data", str(samples / "cells.tif"), "--table_filename", "all.csv",
                 "--features", "regionprops:area", "regionprops:intensity_mean",
                 "Standard Object Features:Mean in neighborhood", "--margin", "4"]) == 0  # fmt: skip
    assert list(rows_of("all.csv")[0]) == [
        "object_id", "timestep", "labelimage_oid", "Image", "area", "intensity_mean",
        "Mean Intensity in neighborhood",
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["empty", "one pixel", "full", "constant", "nan"])
def test_odd_images_work(here, samples, kind):
    raw = np.random.default_rng(0).random((40, 50)).astype(np.float32)
    segmentation = np.zeros((40, 50), np.uint8)
    if kind != "empty":
        segmentation[20, 30] = 1
    if kind in ("full", "constant", "nan"):
        segmentation[:] = 1
    if kind == "constant":
        raw[:] = 130
    if kind == "nan":
        raw[::2] = np.nan
    np.save("raw.npy", raw)
    np.save("seg.npy", segmentation)
    run = ["--headless", "--project", str(samples / "cells.ilp"), "--raw_data", "raw.npy",
           "--segmentation_image", "seg.npy", "--table_filename", "t.csv"]  # fmt: skip
    assert main([*run, "--output_filename_format", "{result_type}"]) == 0
    with open("t.csv") as file:
        header = file.readline()
    with (samples / "cells_expected.csv").open() as file:
        assert header == file.readline()
    assert len(rows_of("t.csv")) == (0 if kind == "empty" else 1)
    assert stored("Object Predictions.h5").any() == (kind != "empty")


def test_a_time_series_numbers_each_step(here, samples):
    frames = np.stack([tifffile.imread(samples / f"cells{part}.tif") for part in ("", "_train")])
    masks = np.stack([tifffile.imread(samples / f"cells{part}_segmentation.tif") for part in ("", "_train")])
    with h5py.File("movie.h5", "w") as file:
        file["raw"], file["seg"] = frames, masks
    run = ["--headless", "--quiet", "--project", str(samples / "cells.ilp"), "--raw_data", "movie.h5/raw",
           "--segmentation_image", "movie.h5/seg", "--input_axes", "tyx", "--table_only",
           "--table_filename", "t.csv"]  # fmt: skip
    assert main(run) == 0
    rows = rows_of("t.csv")
    assert [int(row["object_id"]) for row in rows] == list(range(120))
    assert [int(row["labelimage_oid"]) for row in rows] == [*range(1, 61), *range(1, 61)]
    first = rows_of(samples / "cells_expected.csv")
    assert [row["Predicted Class"] for row in rows[:60]] == [row["Predicted Class"] for row in first]


@pytest.mark.parametrize(
    "argument", [["--help"], ["--headless", "--help"], ["--version"], ["train", "--help"]]
)
def test_help_needs_no_numpy(argument):
    """Start-up: what is not needed is not imported."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "objclass", *argument],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in ("numpy", "h5py", "polars", "pandas", "scipy"):
        assert f" {name}\n" not in done.stderr


def test_predicting_imports_no_heavy_library(here, samples):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "objclass", *sample(samples), "--table_filename", "t.csv"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in (
        "sklearn", "pandas", "skimage", "numba", "matplotlib", "polars", "objclass.training", "objclass.session",
        "napari", "qtpy",
    ):  # fmt: skip
        assert f" {name}\n" not in done.stderr


def test_a_small_run_imports_what_it_needs_and_no_more(here, samples):
    """A start takes half of its time to import; what large tables and kernels need is not for small runs."""
    features = ["Standard Object Features:Mean", "Standard Object Features:Kurtosis"]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "objclass", *sample(samples)[:1], "--raw_data",
         str(samples / "cells.tif"), "--segmentation_image", str(samples / "cells_segmentation.tif"),
         "--features", *features, "--table_filename", "t.csv", "--export_object_identities"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert {"numpy", "tifffile"} <= imported
    unneeded = {
        "polars",
        "pandas",
        "llvmlite",
        "numba",
        "scipy",
        "sklearn",
        "zarr",
        "PIL",
        "tqdm",
        "typing_extensions",
    }
    assert not imported & unneeded
    for name in (
        "importlib.metadata",
        "numpy.ma",
        "objclass.training",
        "objclass.pipeline.cut",
        "objclass.batch.worker",
    ):
        assert f" {name}\n" not in done.stderr


def test_ilastiks_own_options_are_accepted_with_one_line(here, samples, capsys):
    run = [a for a in sample(samples) if a != "--quiet"]
    assert main([*run, "--readonly", "--preconvert_stacks", "--nobatch", "--export_object_pred"]) == 0
    told = capsys.readouterr().err
    assert told.count("objclass: warning") == 2
    assert main(["--headless", "--project", str(samples / "cells.ilp")]) == 2


@pytest.mark.parametrize(("axes", "place"), [("yxc", -1), ("cyx", 0)])
@pytest.mark.parametrize("project", [True, False])
def test_a_channel_of_a_segmentation(here, samples, axes, place, project):
    """As if it were an image of its own; the first one is what ilastik takes."""
    seen = tifffile.imread(samples / "cells_segmentation.tif")
    (here / "one").mkdir()
    (here / "all").mkdir()
    tifffile.imwrite("one/s.tif", seen)
    with h5py.File("all/s.h5", "w") as file:
        file["s"] = np.stack([np.zeros_like(seen), seen, seen.T], axis=place)
    with_project = ["--project", str(samples / "cells.ilp")] if project else []
    for segmentation, options in (
        ("one/s.tif", []),
        ("all/s.h5", ["--channel", "1", "--input_axes", f"yx,{axes}"]),
    ):
        folder = Path(segmentation).parent
        assert main([
            "--headless", "--quiet", *with_project, "--raw_data", str(samples / "cells.tif"),
            "--segmentation_image", segmentation, "--table_filename", f"{folder}/t.csv",
            "--output_format", "numpy", "--output_filename_format", f"{folder}/out", *options,
        ]) == 0  # fmt: skip
    assert Path("one/t.csv").read_bytes() == Path("all/t.csv").read_bytes()
    assert np.array_equal(np.load("one/out.npy"), np.load("all/out.npy"))


def test_a_channel_of_a_label_image_in_the_axes_of_the_file(here, samples):
    ids = tifffile.imread(samples / "spots3d_label_image.tif")
    tifffile.imwrite("ids.ome.tif", np.stack([np.zeros_like(ids), ids], axis=1), metadata={"axes": "ZCYX"})
    for name, options in (("spots3d_label_image.tif", []), ("ids.ome.tif", ["--channel", "1"])):
        path = samples / name if (samples / name).exists() else name
        assert main([
            "--headless", "--quiet", "--project", str(samples / "spots3d.ilp"), "--table_only",
            "--raw_data", str(samples / "spots3d.tif"), "--label_image", str(path),
            "--table_filename", f"{name}.csv", *options,
        ]) == 0  # fmt: skip
    assert Path("ids.ome.tif.csv").read_bytes() == Path("spots3d_label_image.tif.csv").read_bytes()


def test_columns_of_a_volume_with_channels(here):
    """Widths alone do not tell dimensions from channels: six numbers are 3 × 2 here, not 2 × 3."""
    rng = np.random.default_rng(0)
    np.save("raw.npy", rng.random((4, 9, 9, 2)))
    labels = np.zeros((4, 9, 9), np.uint8)
    labels[1:3, 2:6, 2:7] = 1
    np.save("labels.npy", labels)
    assert main(["--headless", "--raw_data", "raw.npy", "--label_image", "labels.npy", "--table_filename", "t.csv",
                 "--features", "regionprops:centroid_weighted"]) == 0  # fmt: skip
    names = [f"centroid_weighted-{d}-{c}" for d in range(3) for c in range(2)]
    assert list(rows_of("t.csv")[0])[-6:] == names


def test_a_table_of_several_kinds_of_images_is_refused(here, capsys):
    for name, shape in (("a", (9, 9)), ("b", (5, 9, 9))):
        np.save(f"{name}.npy", np.ones(shape, np.uint8))
    run = ["--headless", "--label_image", "a.npy", "b.npy", "--features", "regionprops:centroid"]
    assert main([*run, "--table_filename", "t.csv"]) == 2
    assert "other columns" in capsys.readouterr().err
    assert main([*run, "--table_filename", "{nickname}.csv"]) == 0


def test_axes_of_the_training_lane_win_with_a_warning(here, samples, capsys):
    raw, mask = (tifffile.imread(samples / f"cells{part}.tif") for part in ("", "_segmentation"))
    tifffile.imwrite("raw.tif", raw.T.copy(), metadata={"axes": "YX"})
    tags = {"axes": [{"key": "x", "typeFlags": 2}, {"key": "y", "typeFlags": 2}]}
    with h5py.File("in.h5", "w") as file:
        for name, pixels in (("raw", raw.T), ("seg", mask.T)):
            file[name] = pixels
            file[name].attrs["axistags"] = json.dumps(tags)
    run = ["--headless", "--project", str(samples / "cells.ilp"), "--raw_data", "in.h5/raw", "--segmentation_image",
           "in.h5/seg", "--table_only", "--table_filename", "t.csv"]  # fmt: skip
    assert main([*run, "--ignore_training_axistags"]) == 0
    assert "warning" not in capsys.readouterr().err
    expected = rows_of(samples / "cells_expected.csv")
    assert [r["Predicted Class"] for r in rows_of("t.csv")] == [r["Predicted Class"] for r in expected]
    assert main(run) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(told) == 2
    assert "has axes xy" in told[0]
    assert "--ignore_training_axistags" in told[0]
    centres = [float(r["Center of the object_1"]) for r in rows_of("t.csv")]
    assert centres != [float(r["Center of the object_1"]) for r in expected]


def test_a_terminated_run_leaves_nothing(here, samples):
    """SIGTERM in the only lane: exit code 143, no half of a file."""
    import signal
    import time

    np.lib.format.open_memmap("raw.npy", "w+", np.uint8, (3000, 320, 320))  # zeros that take no disk
    np.save("seg.npy", np.ones((3000, 320, 320), np.uint8))
    run = [sys.executable, "-m", "objclass", "--headless", "--project", str(samples / "cells.ilp"), "--raw_data", "raw.npy",
           "--segmentation_image", "seg.npy", "--input_axes", "tyx", "--table_filename", "t.csv",
           "--output_filename_format", "out"]  # fmt: skip
    process = subprocess.Popen(run, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 30
    while not list(here.glob(".objclass*part*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 143
    assert "terminated" in told
    assert sorted(p.name for p in here.iterdir()) == ["objclass_run.json", "raw.npy", "seg.npy"]


def test_a_run_without_hdf5_does_not_load_it(here):
    np.save("l.npy", np.arange(25, dtype=np.uint8).reshape(5, 5))
    run = ["--headless", "--label_image", "l.npy", "--features", "regionprops:area", "--table_only"]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "objclass", *run, "--table_filename", "t.csv"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in ("h5py", "scipy", "tifffile", "cc3d"):
        assert f" {name}\n" not in done.stderr
