"""After pixel prediction: real data, through the command line, against numbers of other tools."""

import csv

import h5py
import numpy as np
import tifffile

from objclass.cli import main


def run(folder, *arguments):
    assert main(["--headless", "--quiet", *map(str, arguments), "--table_filename", f"{folder}/t.csv",
                 "--output_filename_format", f"{folder}/{{nickname}}", "--output_format", "numpy"]) == 0  # fmt: skip
    with (folder / "t.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_imagej_macro_of_the_neubias_course(shared, tmp_path):
    """Two images into one table: areas and label images of the course's ImageJ macro."""
    images = [shared / f"data/neubias/batch_process/xy_8bit__mitocheck_incenp_t{t}.tif" for t in (1, 70)]
    rows = run(tmp_path, "--prediction_maps", *images, "--threshold", 25)
    areas = [[int(float(r["area"])) for r in rows if r["Image"] == image.stem] for image in images]
    assert areas[0] == [691, 621, 934, 815, 742, 713, 759]
    assert areas[1] == [3196, 2585, 65, 1497, 2615, 1779, 1958]
    for image in images:
        theirs = tifffile.imread(str(image).replace(".tif", "_labels.tif"))
        assert np.array_equal(np.load(tmp_path / f"{image.stem}.npy")[..., 0], theirs)


def test_exported_probabilities_in_three_formats_give_the_same_objects(shared, tmp_path):
    """ilastik's multi-page TIFF (LZW), and the same as float and as uint8 HDF5."""
    folder = shared / "data/ilastik-apoptotic-2d"
    tiff = folder / "2d_cells_apoptotic_1channel-data_Probabilities.tif"
    raw = folder / "2d_cells_apoptotic_1channel.h5/data"
    probabilities = tifffile.imread(tiff)
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file["float"] = probabilities
        file["byte"] = np.rint(probabilities * 255).astype(np.uint8)
    found = []
    for path, threshold in ((tiff, 0.5), (tmp_path / "p.h5/float", 0.5), (tmp_path / "p.h5/byte", 127.5)):
        measured = ["--features", "regionprops:area", "regionprops:intensity_mean"]
        # a shape of three axes says y, x, c only with four channels at most: two here
        rows = run(tmp_path, "--raw_data", raw, "--prediction_maps", path, "--threshold", threshold,
                   "--min_size", 50, *measured)  # fmt: skip
        found.append([float(r["area"]) for r in rows])
    assert len(found[0]) > 50
    assert found[0] == found[1]
    assert len(found[2]) == len(found[0])  # rounding moves a pixel here and there
    assert np.abs(np.sum(found[2]) / np.sum(found[0]) - 1) < 0.01


def test_objects_of_a_real_3d_series(shared, tmp_path):
    """The label image that ilastik made of its own exported probabilities (uint8)."""
    folder, name = shared / "data/ilastik-drosophila-oc", "drosophila_00-03"
    maps = f"{folder}/{name}-exported_data_pixel_classification_reference.h5/exported_data"
    rows = run(tmp_path, "--raw_data", f"{folder}/{name}.h5/exported_data", "--prediction_maps", maps,
               "--input_axes", "txyz,txyzc", "--threshold", 127.5, "--smooth", 1, "--min_size", 10,
               "--features", "Default features", "Standard Object Features:RegionRadii")  # fmt: skip
    with (folder / f"{name}-exported_data_table.csv").open(newline="") as file:
        theirs = list(csv.DictReader(file))
    assert len(rows) == len(theirs) == 342
    same = {"Size in pixels": "Size in pixels", "Bounding Box Minimum_2": "Bounding Box Minimum_2",
            "labelimage_oid": "labelimage_oid", "timestep": "timestep"}  # fmt: skip
    for ours, name in same.items():
        assert [float(r[ours]) for r in rows] == [float(r[name]) for r in theirs]
    radii = [name for name in theirs[0] if "Radii" in name]
    for k, name in enumerate(sorted(radii)):
        np.testing.assert_allclose([float(r[f"Radii of the object_{k}"]) for r in rows],
                                   [float(r[name]) for r in theirs], rtol=1e-6)  # fmt: skip


def test_pictures_and_features_of_ilastiks_own_table(shared, tmp_path):
    """A 3D table that ilastik's developers keep: 22 objects, features and pictures (margin 3)."""
    folder = shared / "data/ilastik-oc-projects/gui_reference_3d"
    inputs = folder.parent
    with h5py.File(inputs / "3d_Probabilities.h5") as file:
        (name,) = file
    from objclass.compute.context import Context
    from objclass.core import Lane
    from objclass.features.contract import choose
    from objclass.images import open_image
    from objclass.pipeline.crops import object_images
    from objclass.pipeline.lane import run_lane
    from objclass.pipeline.plan import Plan
    from objclass.settings import ProjectThreshold

    raw = open_image(str(inputs / "3d.h5"))
    maps = open_image(f"{inputs}/3d_Probabilities.h5/{name}")
    threshold = ProjectThreshold(0.7, sigmas=(2.0, 2.1, 1.9), min_size=10)
    features = choose(
        ["Default features", "Standard Object Features", "3D Convex Hull Features"], 3, raw.shape[4]
    )
    plan = Plan(tuple(features), tuple(features), threshold, (3, 3, 3))
    lane = Lane(raw, maps, "prediction_maps", "3d", "")
    (step,) = run_lane(lane, plan)
    with h5py.File(folder / "table-test_data.h5") as file:
        table = file["table"][()]
        assert step.objects.count == len(table) == 22
        compared = 0
        for feature in features:
            names = feature.columns(3, raw.shape[4])
            if names[0] in table.dtype.names:
                theirs = np.column_stack([table[n] for n in names]).astype(np.float32)
                ours = step.table.values[feature.key].astype(np.float32)
                # made on another machine, whose hypot rounds a zero of 1e-15 otherwise
                tolerance = 1e-16 if feature.name == "RegionAxes" else 0
                np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance, err_msg=feature.name)
                compared += 1
        assert compared >= 25
        for row, crop in enumerate(object_images(lane, step, 3, Context())):
            picture = file[f"images/{row}"]
            assert np.array_equal(crop.mask.squeeze().T, picture["labeling"][()]), row
            assert np.array_equal(crop.raw.squeeze().T, picture["raw"][()])
