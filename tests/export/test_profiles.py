"""Profiles of columns: the names, the order of axes, units, and the file that describes the columns."""

import csv
import re

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile
from skimage.measure import regionprops_table

import objclass
from objclass import registry
from objclass.cli import main
from objclass.core import PixelSize
from objclass.export.columns import Layout
from objclass.export.profiles import Profile
from objclass.features.contract import feature_set

PROFILES = [name for name in registry.TABLE_PROFILES if name != "ilastik"]

NUMBERS = ["area", "bbox", "centroid", "centroid_weighted", "inertia_tensor", "intensity_mean", "moments_central",
           "axis_major_length", "euler_number", "num_pixels"]  # fmt: skip


def labels_of(ndim):
    """Two L-shaped objects, other in extent along every axis, numbered by their first pixel."""
    labels = np.zeros((9, 17, 31)[-ndim:], np.uint8)
    where = (slice(2, 5), slice(3, 8), slice(4, 23))[-ndim:]
    labels[where] = 1
    labels[(*where[:-1], slice(9, 23))] = 0
    labels[(*where[:-2], slice(3, 4), slice(4, 23))] = 1
    labels[(*[slice(5, 7)] * (ndim - 2), slice(10, 16), slice(25, 29))] = 2
    return labels


@pytest.fixture
def run(tmp_path, rng):
    """Run a label image; return the table, or the exit code if it is not 0."""

    def run(labels, *more, channels=1, axes="", profile="tidy", suffix=".csv"):
        raw = rng.integers(1, 200, (*labels.shape, channels)).astype(np.uint8)
        run.raw = raw[..., 0] if channels == 1 else raw
        np.save(tmp_path / "raw.npy", raw)
        np.save(tmp_path / "labels.npy", labels)
        axes = axes or "zyx"[-labels.ndim :]
        code = main(["--headless", "--quiet", "--label_image", str(tmp_path / "labels.npy"), "--raw_data",
                     str(tmp_path / "raw.npy"), "--input_axes", f"{axes}c,{axes}", "--table_only", "--table_filename",
                     str(tmp_path / f"t{suffix}"), "--table_columns", profile, *more])  # fmt: skip
        return code or pd.read_csv(tmp_path / "t.csv")

    return run


def described(folder, name="t_columns.csv"):
    with (folder / name).open(newline="", encoding="utf-8") as file:
        return {row["name"]: row for row in csv.DictReader(file)}


def every_layout():
    for ndim in (2, 3):
        for channels in (0, 1, 2):
            features = tuple(
                feature
                for name in registry.FEATURE_SETS
                for feature in feature_set(name).values()
                if feature.fits(ndim, channels)
            )
            for size in (None, PixelSize(0.5, 0.5, 0.5, "um"), PixelSize(0.5, 0.5, 2, "um")):
                classes = ("a, b", "Ä B", "a b", "细胞", "=1+1")
                yield Layout(
                    ndim, channels, features, classes, ("Well", "label"), ("original_oid",), size=size
                )


def profile_of(name) -> Profile:
    return registry.resolve(registry.TABLE_PROFILES[name])


# ---------------------------------------------------------------------------- names


def test_names_are_those_that_databases_take():
    for layout in every_layout():
        _check_names(layout)


def _check_names(layout):
    names = [column.name for column in profile_of("tidy").columns(layout)]
    assert all(re.fullmatch(r"[a-z][a-z0-9_]{0,62}", name) for name in names)
    assert len(set(names)) == len(names)
    assert {"p_a_b", "p_a_b_2", "p_a_b_3", "p_4", "p_1_1", "well", "metadata_label", "label"} <= {*names}
    assert all(column.definition for column in profile_of("tidy").columns(layout))
    for name in PROFILES:
        other = [column.name for column in profile_of(name).columns(layout)]
        assert len({name.casefold() for name in other}) == len(other) == len(names) + (name == "cellprofiler")


def test_names_of_features_follow_from_their_definitions():
    layout = next(
        layout for layout in every_layout() if (layout.ndim, layout.channels) == (3, 1) and layout.size
    )
    names = [column.name for column in profile_of("tidy").columns(layout)]
    start = ["image", "well", "metadata_label", "frame", "label", "class", "class_id", "p_a_b"]
    assert names[: len(start)] == start
    place = names.index("centroid_x_px")
    assert names[place - 5 : place] == ["p_1_1", "confidence", "uncertainty", "user_label", "original_oid"]
    assert names[place : place + 20] == [
        *(f"centroid_{a}_px" for a in "xyz"), *(f"bbox_{a}min_px" for a in "xyz"), *(f"bbox_{a}max_px" for a in "xyz"),
        "volume_vox", *(f"centroid_{a}_um" for a in "xyz"), *(f"bbox_{a}min_um" for a in "xyz"),
        *(f"bbox_{a}max_um" for a in "xyz"), "volume_um3",
    ]  # fmt: skip
    assert {
        "intensity_mean__0", "intensity_mean_in_neighborhood__0", "intensity_histogram_63", "region_radii_0_px",
        "region_radii_0_um", "convex_hull_defect_volume_mean_vox", "convex_hull_defect_volume_mean_um3", "hull_center_z_um",
        "hull_area_vox", "coord_divide_by_count_principal_power_sum_2_2_px2", "axis_major_length_um",
        "centroid_weighted_y_px__0", "inertia_tensor_z_x_px2", "moments_0_0_3", "area_convex_um3", "region_axes_x_2",
    } <= {*names}  # fmt: skip
    assert not {"count_vox", "area_vox", "region_center_x_px", "coord_minimum_x_px"} & {*names}


def test_columns_that_are_told_apart_only_by_a_number():
    """A long name ends in a digest, so that two of the same beginning differ."""
    from objclass.export.tidy import distinct

    long = "x" * 80
    names = distinct([long, f"{long}y", long])
    assert len({*names}) == 3
    assert max(map(len, names)) == 63


# ---------------------------------------------------------------------------- axes


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("channels", [1, 2])
def test_skimage_is_what_regionprops_table_returns(run, ndim, channels):
    labels = labels_of(ndim)
    found = run(labels, channels=channels, profile="skimage")
    expected = pd.DataFrame(regionprops_table(labels, run.raw, properties=["label", *NUMBERS]))
    assert found.columns[0] == "label"
    shown = [name for name in found.columns if name in expected.columns]
    assert set(shown) == set(expected.columns)
    places = [name for name in shown if name.startswith(("bbox", "centroid-"))]
    assert places == sorted(places, key=lambda name: (name[:4] != "cent", name))
    for name in expected.columns:
        assert np.allclose(found[name], expected[name], rtol=1e-9, atol=1e-9), name


@pytest.mark.parametrize("ndim", [2, 3])
def test_every_profile_has_the_axes_right(run, ndim, tmp_path):
    labels = labels_of(ndim)
    expected = pd.DataFrame(regionprops_table(labels, properties=["area", "bbox", "centroid"]))
    at = {axis: i for i, axis in enumerate("zyx"[-ndim:])}
    for profile, center, low, high, size in (
        ("tidy", "centroid_{}_px", "bbox_{}min_px", "bbox_{}max_px", "area_px" if ndim == 2 else "volume_vox"),
        ("mobie", "anchor_{}", "bb_min_{}", "bb_max_{}", "n_pixels"),
        ("cellprofiler", "Location_Center_{}", "AreaShape_BoundingBoxMinimum_{}", "AreaShape_BoundingBoxMaximum_{}",
         "AreaShape_Area" if ndim == 2 else "AreaShape_Volume"),
    ):  # fmt: skip
        found = run(labels, profile=profile)
        assert list(found[size]) == list(expected["area"])
        for axis, i in at.items():
            shown = axis.upper() if profile == "cellprofiler" else axis
            assert np.allclose(found[center.format(shown)], expected[f"centroid-{i}"])
            assert list(found[low.format(shown)]) == list(expected[f"bbox-{i}"])
            assert list(found[high.format(shown)]) == list(expected[f"bbox-{i + ndim}"])
        assert list(described(tmp_path)) == list(found.columns)


def test_ids_come_first_where_programs_look_for_them(run):
    labels = labels_of(2)
    assert run(labels, profile="mobie").columns[0] == "label_id"
    assert list(run(labels, profile="cellprofiler").columns[:2]) == ["ImageNumber", "ObjectNumber"]
    assert list(run(labels, profile="tidy").columns[:3]) == ["image", "frame", "label"]


def test_cellprofiler_has_its_names_for_features(run):
    found = run(labels_of(2), profile="cellprofiler", channels=2)
    table = pd.DataFrame(
        regionprops_table(labels_of(2), run.raw, properties=["moments_hu", "eccentricity", "intensity_std"])
    )
    assert np.allclose(found["AreaShape_HuMoment_3"], table["moments_hu-3"])
    assert np.allclose(found["AreaShape_Eccentricity"], table["eccentricity"])
    assert np.allclose(found["Intensity_StdIntensity_1"], table["intensity_std-1"])


def test_time_steps_and_images_are_numbered(run, tmp_path):
    labels = np.stack([labels_of(2), np.zeros_like(labels_of(2)), labels_of(2)])
    found = run(labels, axes="tyx")
    assert list(found["frame"]) == [0, 0, 2, 2]
    assert list(found["label"]) == [1, 2, 1, 2]
    found = _two_lanes(tmp_path, labels)
    assert list(found["ImageNumber"]) == [1, 1, 3, 3, 4, 4, 6, 6]
    assert list(found["Metadata_T"]) == [0, 0, 2, 2] * 2
    assert list(found["ObjectNumber"]) == [1, 2] * 4


def _two_lanes(folder, labels):
    paths = [str(folder / name) for name in ("a.npy", "b.npy")]
    for path in paths:
        np.save(path, labels)
    assert main(["--headless", "--quiet", "--label_image", *paths, "--input_axes", "tyx", "--table_only",
                 "--table_filename", str(folder / "two.csv"), "--table_columns", "cellprofiler", "--features",
                 "regionprops:area"]) == 0  # fmt: skip
    assert list(described(folder, "two_columns.csv"))[:2] == ["ImageNumber", "ObjectNumber"]
    return pd.read_csv(folder / "two.csv")


@pytest.mark.parametrize("profile", PROFILES)
def test_no_objects_have_their_columns(run, profile, tmp_path):
    some = list(run(labels_of(3), profile=profile).columns)
    found = run(np.zeros_like(labels_of(3)), profile=profile)
    assert len(found) == 0
    assert list(found.columns) == list(described(tmp_path)) == some


# ---------------------------------------------------------------------------- with a project


def classified(samples, folder, name, *more):
    inputs = {
        "cells": "--segmentation_image=cells_segmentation.tif",
        "spots3d": "--label_image=spots3d_label_image.tif",
    }
    option, _, file = inputs[name].partition("=")
    assert main(["--headless", "--quiet", "--project", str(samples / f"{name}.ilp"), "--raw_data",
                 str(samples / f"{name}.tif"), option, str(samples / file), "--table_only", "--table_filename",
                 str(folder / "t.csv"), *more]) == 0  # fmt: skip
    return pd.read_csv(folder / "t.csv", keep_default_na=False)


@pytest.mark.parametrize("name", ["cells", "spots3d"])
def test_a_project_gives_the_same_numbers_under_other_names(samples, tmp_path, name):
    own = classified(samples, tmp_path, name)
    assert not (tmp_path / "t_columns.csv").exists()
    found = classified(
        samples, tmp_path, name, "--table_columns", "tidy", "--pixel_size", "z=2,y=0.5,x=0.5um"
    )
    same = {"image": "Image", "frame": "timestep", "label": "labelimage_oid", "class": "Predicted Class",
            "uncertainty": "Uncertainty", "bbox_xmax_px": "Bounding Box Maximum_0"}  # fmt: skip
    same |= {c: c.replace("p_", "Probability of ", 1) for c in found.columns if c.startswith("p_")}
    assert len([c for c in same if c.startswith("p_")]) > 1
    for tidy, ilastik in same.items():
        assert list(found[tidy]) == list(own[ilastik]), tidy
    center = own["Center of the object_1"].to_numpy()  # float32 where the project has selected it
    assert np.allclose(found["centroid_y_px"], center, rtol=1e-6)
    probabilities = found[[c for c in found.columns if c.startswith("p_")]]
    assert (found["confidence"] == probabilities.max(axis=1)).all()
    assert (found["class_id"] == probabilities.to_numpy().argmax(axis=1) + 1).all()
    assert {*found["user_label"]} == {""}
    mobie = classified(
        samples, tmp_path, name, "--table_columns", "mobie", "--pixel_size", "z=2,y=0.5,x=0.5um"
    )
    assert list(mobie["anchor_y"]) == list(found["centroid_y_um"])
    assert np.allclose(mobie["anchor_y"], center * 0.5, rtol=1e-6)
    if name == "spots3d":
        assert list(mobie["bb_max_z"]) == list(own["Bounding Box Maximum_2"] * 2)


def test_metadata_have_columns_in_every_profile(samples, tmp_path):
    """Also those that are called as another column."""
    raw, segmentation = samples / "cells.tif", samples / "cells_segmentation.tif"
    (tmp_path / "lanes.csv").write_text(
        f"raw_data,segmentation_image,label,Well\n{raw},{segmentation},x1,=A01\n"
    )
    for profile, first, second in (
        ("tidy", "metadata_label", "well"), ("skimage", "metadata_label", "well"), ("mobie", "metadata_label", "well"),
        ("cellprofiler", "Metadata_Label", "Metadata_Well"),
    ):  # fmt: skip
        assert main(["--headless", "--quiet", "--project", str(samples / "cells.ilp"), "--manifest",
                     str(tmp_path / "lanes.csv"), "--table_only", "--table_filename", str(tmp_path / "t.csv"),
                     "--table_columns", profile]) == 0  # fmt: skip
        found = pd.read_csv(tmp_path / "t.csv")
        assert {*found[first]} == {"x1"}
        assert {*found[second]} == {"=A01"}
        assert list(described(tmp_path)) == list(found.columns)


def test_class_names_of_any_kind(samples, tmp_path):
    names = ["a, b", "Ä b", "细胞"]
    with h5py.File(samples / "cells.ilp", "r+") as file:
        del file["ObjectClassification/LabelNames"]
        file["ObjectClassification/LabelNames"] = np.array([name.encode() for name in names])
    found = classified(samples, tmp_path, "cells", "--table_columns", "tidy")
    assert [c for c in found.columns if c.startswith("p_")] == ["p_a_b", "p_a_b_2", "p_3"]
    assert list(found["class"]) == [names[k - 1] for k in found["class_id"]]
    assert described(tmp_path)["p_a_b_2"]["definition"] == "Probability of the class number 2: Ä b"


# ---------------------------------------------------------------------------- units


@pytest.mark.parametrize("ndim", [2, 3])
def test_sizes_and_lengths_in_micrometres(run, ndim):
    """Cubic voxels: every length and size is the one in pixels, scaled."""
    found = run(
        labels_of(ndim),
        "--pixel_size",
        "500nm",
        "--features",
        "regionprops",
        "hull",
        "Standard Object Features",
    )
    spacing = (0.5,) * ndim
    expected = objclass.measure(labels_of(ndim), run.raw, features=["regionprops"], spacing=spacing)
    assert np.allclose(found["area_um2" if ndim == 2 else "volume_um3"], expected["area"])
    for name in ("axis_major_length", "axis_minor_length", "equivalent_diameter_area", "feret_diameter_max"):
        assert np.allclose(found[f"{name}_um"], expected[name]), name
    assert np.allclose(found["centroid_y_um"], expected[f"centroid-{ndim - 2}"])
    assert np.allclose(found["region_radii_0_um"], found["region_radii_0_px"] * 0.5)
    assert np.allclose(found["hull_center_offset_um"], found["hull_center_offset_px"] * 0.5)
    assert np.allclose(found["centroid_weighted_x_um__0"], expected[f"centroid_weighted-{ndim - 1}"])
    if ndim == 2:
        assert np.allclose(found["perimeter_um"], expected["perimeter"])


@pytest.mark.parametrize("ndim", [2, 3])
def test_voxels_that_are_no_cubes(run, ndim):
    """Lengths along principal axes are those of the physical object; what does not follow exactly is left out."""
    spacing = (2.0, 0.5, 0.3)[-ndim:]
    size = ",".join(f"{axis}={n}" for axis, n in zip("zyx"[-ndim:], spacing, strict=True)) + "um"
    found = run(
        labels_of(ndim), "--pixel_size", size, "--features", "regionprops", "Standard Object Features"
    )
    expected = objclass.measure(labels_of(ndim), run.raw, features=["regionprops"], spacing=spacing)
    assert np.allclose(found["area_um2" if ndim == 2 else "volume_um3"], expected["area"])
    unit = f"um{ndim}"
    for tidy, name in (
        ("axis_major_length_um", "axis_major_length"), ("axis_minor_length_um", "axis_minor_length"),
        ("equivalent_diameter_area_um", "equivalent_diameter_area"), (f"area_convex_{unit}", "area_convex"),
        ("centroid_y_um", f"centroid-{ndim - 2}"), ("centroid_x_um", f"centroid-{ndim - 1}"),
        ("centroid_weighted_y_um__0", f"centroid_weighted-{ndim - 2}"),
    ):  # fmt: skip
        assert np.allclose(found[tidy], expected[name], rtol=1e-12), tidy
    points = [np.argwhere(labels_of(ndim) == label) * spacing for label in (1, 2)]
    for number, radii in enumerate(np.sort(np.linalg.eigvalsh(np.cov(p.T, bias=True)))[::-1] for p in points):
        for k, radius in enumerate(np.sqrt(np.maximum(radii, 0))):
            assert found[f"region_radii_{k}_um"][number] == pytest.approx(radius, abs=1e-9)
    assert "feret_diameter_max_px" in found.columns
    assert not {"feret_diameter_max_um", "perimeter_um"} & {*found.columns}


def test_radii_do_not_need_other_features(run):
    found = run(
        labels_of(2), "--pixel_size", "y=2,x=1um", "--features", "Standard Object Features:RegionRadii"
    )
    assert not any("inertia" in name for name in found.columns)
    points = np.argwhere(labels_of(2) == 1) * (2, 1)
    assert found["region_radii_0_um"][0] == pytest.approx(
        np.sqrt(np.linalg.eigvalsh(np.cov(points.T, bias=True))[-1])
    )


def test_the_size_of_a_file_counts_if_it_is_asked_for(tmp_path, capsys):
    image = str(tmp_path / "a.tif")
    tifffile.imwrite(
        image, labels_of(2), imagej=True, resolution=(4, 2), metadata={"unit": "um", "axes": "YX"}
    )
    plain = str(tmp_path / "plain.tif")
    tifffile.imwrite(plain, labels_of(2))

    def run(*more):
        return main(["--headless", "--label_image", *more, "--table_only", "--table_filename", str(tmp_path / "t.csv"),
                     "--features", "regionprops:area"])  # fmt: skip

    assert run(image, "--table_columns", "tidy") == 0
    assert "a.tif has a pixel size: --pixel_size file adds columns in um" in capsys.readouterr().err
    assert "area_um2" not in pd.read_csv(tmp_path / "t.csv").columns
    assert run(image, "--table_columns", "tidy", "--pixel_size", "file") == 0
    found = pd.read_csv(tmp_path / "t.csv")
    assert list(found["area_um2"]) == list(found["area_px"] * 0.125)
    (tmp_path / "t.csv").unlink()
    assert run(plain, "--table_columns", "tidy", "--pixel_size", "file") == 2
    assert "plain.tif: --pixel_size=file: none of its images has a pixel size" in capsys.readouterr().err
    assert run(plain, "--table_columns", "tidy", "--pixel_size", "2") == 2
    assert "columns in um need one of the units" in capsys.readouterr().err
    assert not (tmp_path / "t.csv").exists()


def test_lanes_of_which_only_some_have_square_pixels(tmp_path, capsys):
    for name, resolution in (("a", (4, 4)), ("b", (4, 2))):
        tifffile.imwrite(tmp_path / f"{name}.tif", labels_of(2), imagej=True, resolution=resolution,
                         metadata={"unit": "um", "axes": "YX"})  # fmt: skip
    assert main(["--headless", "--label_image", str(tmp_path / "a.tif"), str(tmp_path / "b.tif"), "--table_only",
                 "--table_filename", str(tmp_path / "t.csv"), "--table_columns", "tidy", "--pixel_size", "file"]) == 2  # fmt: skip
    assert re.search(
        r"b.tif \(2D, 0 channels, pixels of y=0.5,x=0.25um\) would have other columns",
        capsys.readouterr().err,
    )


# ---------------------------------------------------------------------------- the description


def test_what_the_description_says(run, tmp_path):
    run(labels_of(2), "--pixel_size", "0.5um")
    rows = described(tmp_path)
    assert rows["area_px"] == {"name": "area_px", "unit": "px", "definition": "Size: number of pixels", "dimensions": "2D",
                               "source": "Default features: Count"}  # fmt: skip
    assert rows["area_um2"]["unit"] == "um2"
    assert rows["axis_major_length_um"]["source"] == "regionprops: axis_major_length"
    assert rows["orientation_rad"]["unit"] == "rad"
    assert rows["intensity_mean__0"]["definition"] == "Mean value, for each channel (channel 0)"


def test_a_table_that_is_resumed_is_described(tmp_path, capsys):
    """That of an incomplete table is named after it; no lane is run again for a description."""
    labels = np.stack([labels_of(2)] * 2)
    for number in range(3):
        np.save(tmp_path / f"{number}.npy", labels)
    paths = [str(tmp_path / f"{number}.npy") for number in range(3)]

    def run(*more):
        code = main(["--headless", "--label_image", *paths, "--input_axes", "tyx", "--table_only", "--table_filename", str(tmp_path / "t.csv"),
                     "--table_columns", "cellprofiler", "--features", "regionprops:area", "--jobs", "1", *more])  # fmt: skip
        return code, capsys.readouterr().err

    (tmp_path / "t.csv").write_text("older")
    np.save(paths[1], labels * [[[1]], [[0.5]]])  # fractions that are found when it is read
    assert run("--on_error", "continue")[0] == 1
    assert list(described(tmp_path, "t.partial_columns.csv")) == list(
        pd.read_csv(tmp_path / "t.partial.csv").columns
    )
    assert not (tmp_path / "t_columns.csv").exists()
    np.save(paths[1], labels)
    code, lines = run("--resume")
    assert code == 0
    assert "2 of 3 lanes are complete already" in lines
    found = pd.read_csv(tmp_path / "t.csv")
    assert list(found["ImageNumber"]) == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6]
    assert list(described(tmp_path)) == list(found.columns)
    (tmp_path / "t_columns.csv").unlink()
    assert "3 of 3 lanes are complete already" in run("--resume")[1]
    assert list(described(tmp_path)) == list(found.columns)


def test_each_table_has_its_own_and_names_that_meet_are_refused(tmp_path, capsys):
    for name in ("a", "b", "a_columns"):
        np.save(tmp_path / f"{name}.npy", labels_of(2))

    def run(*names):
        return main(["--headless", "--quiet", "--label_image", *(str(tmp_path / f"{name}.npy") for name in names),
                     "--table_only", "--table_filename", str(tmp_path / "out/{nickname}.csv"), "--table_columns", "tidy",
                     "--features", "regionprops:area"])  # fmt: skip

    assert run("a", "b") == 0
    assert {p.name for p in (tmp_path / "out").glob("*.csv")} == {
        "a.csv",
        "a_columns.csv",
        "b.csv",
        "b_columns.csv",
    }
    assert run("a", "a_columns") == 2
    assert (
        "both the table and the description of the columns would be written there" in capsys.readouterr().err
    )
