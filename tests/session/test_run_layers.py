"""The layers of the results of a run: images in the colours of the classes, and tables as features of objects."""

import shutil

import numpy as np
import pytest
import tifffile

from objclass.cli import main
from objclass.errors import InputError
from objclass.session import run_layers as rooms
from objclass.session.run_layers import is_run, result_layer, run_layers
from tests.conftest import SAMPLES


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """The folder of a run of two lanes, of which only the second has all images."""
    folder = tmp_path_factory.mktemp("results")
    lanes = ("cells", "cells_train")
    for more in (
        [],
        [
            "--export_object_identities_img",
            "--export_object_probability_img",
            "--export_object_prediction_img",
        ],
    ):
        assert main(["--headless", "--quiet", "--project", f"{SAMPLES}/cells.ilp",
                     "--raw_data", *(f"{SAMPLES}/{lane}.tif" for lane in lanes),
                     "--segmentation_image", *(f"{SAMPLES}/{lane}_segmentation.tif" for lane in lanes),
                     "--pixel_size", "0.5um", "--export_colors",
                     "--output_filename_format", f"{folder}/{'all' if more else 'few'}/{{nickname}}_{{result_type}}",
                     "--table_filename", f"{folder}/{'all/{nickname}' if more else 'few/table'}.csv", *more]) == 0  # fmt: skip
    return folder


def by_name(found):
    return {options["name"]: (data, options, kind) for data, options, kind in found.layers}


def test_images_of_a_run(results):
    found = run_layers(str(results / "all"))
    layers = by_name(found)
    assert not found.remarks
    objects, options, _ = layers["cells Object Identities"]
    classes, colors, _ = layers["cells Object Predictions"]
    features = options["features"]
    assert features["index"].tolist() == list(range(1, 61))
    names = np.array(colors["features"]["class"])
    predicted = [names[np.asarray(classes)[np.asarray(objects) == k][0] - 1] for k in features["index"]]
    assert predicted == features["Predicted Class"].tolist()
    assert colors["colormap"][2] == "#3cb44b"
    assert options["scale"] == (0.5, 0.5)
    assert {options["units"] for _, options, _ in layers.values()} == {("um", "um")}
    assert np.array_equal(layers["cells"][0], tifffile.imread(SAMPLES / "cells.tif"))
    chance = sum(np.asarray(layers[f"cells Object Probabilities {name}"][0]) for name in names)
    assert np.allclose(chance[np.asarray(objects) > 0], 1)
    shown = {name for name, (_, options, _) in layers.items() if options.get("visible", True)}
    assert shown == {"cells", "cells Object Predictions"}
    assert len(layers) == 12


def test_objects_of_a_table_are_points(results):
    layers = by_name(run_layers(str(results / "few" / "objclass_run.json")))
    points, options, kind = layers["cells_train table"]
    classes = np.asarray(layers["cells_train Object Predictions"][0])
    assert (kind, options["face_color"], points.shape) == ("points", "Predicted Class", (60, 2))
    assert set(options["features"]["Image"]) == {"cells_train"}
    names = list(options["face_color_cycle"])
    at = [names[classes[tuple(point.round().astype(int))] - 1] for point in points]
    assert at == options["features"]["Predicted Class"].tolist()


def test_first_lanes(results, monkeypatch):
    monkeypatch.setattr(rooms, "MAXIMUM_LANES", 1)
    found = run_layers(str(results / "few"))
    assert found.remarks == ("few: the first 1 of its 2 images are shown",)
    assert all(
        options["name"].startswith("cells ") or options["name"] == "cells" for _, options, _ in found.layers
    )


def test_a_folder_that_was_moved(results, tmp_path):
    moved = shutil.copytree(results / "few", tmp_path / "moved")
    text = (moved / "objclass_run.json").read_text()
    (moved / "objclass_run.json").write_text(
        text.replace(f"{results}/few/", "/lost/").replace(str(SAMPLES), "/lost")
    )
    found = run_layers(str(moved))
    assert {"cells Object Predictions", "cells table"} <= by_name(found).keys()
    assert "cells: no such file: /lost/cells.tif" in found.remarks
    (moved / "cells_Object Predictions.h5").unlink()
    (moved / "table.csv").write_text("")
    assert any("table.csv" in remark for remark in run_layers(str(moved)).remarks)


def test_ids_of_a_time_series_are_numbered_through(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = np.zeros((2, 20, 30), np.uint8)
    labels[0, 2:5, 2:5], labels[0, 8:12, 8:12], labels[1, 2:5, 12:15], labels[1, 9:16, 3:9] = 7, 3, 3, 9
    tifffile.imwrite("labels.tif", labels, metadata={"axes": "TYX"})
    assert main(["--headless", "--quiet", "--raw_data", "labels.tif", "--label_image", "labels.tif", "--table_filename", "t.csv",
                 "--export_object_identities_img", "--output_filename_format", "{nickname}_{result_type}"]) == 0  # fmt: skip
    data, options, _ = by_name(run_layers("."))["labels Object Identities"]
    objects, features = np.asarray(data), options["features"]
    assert options["axis_labels"] == ("t", "y", "x")
    assert sorted(np.unique(objects)) == [0, 1, 2, 3, 4]
    for index, t, label in zip(
        features["index"], features["timestep"], features["original_oid"], strict=True
    ):
        assert np.array_equal(objects == index, (labels == label) & (np.arange(2) == t)[:, None, None])
    assert np.array_equal(data[1, 10], objects[1, 10])


def test_results_of_a_part_lie_in_the_raw_data(tmp_path):
    labels = tifffile.imread(SAMPLES / "spots3d_label_image.tif")
    assert main(["--headless", "--quiet", "--project", f"{SAMPLES}/spots3d.ilp", "--raw_data", f"{SAMPLES}/spots3d.tif",
                 "--label_image", f"{SAMPLES}/spots3d_label_image.tif", "--cutout_subregion", "[(0,10,20,4,0),(1,90,80,5,1)]",
                 "--pixel_size", "z=2,y=0.5,x=0.5um", "--export_object_identities_img", "--export_object_prediction_img",
                 "--output_filename_format", f"{tmp_path}/{{nickname}}_{{result_type}}", "--table_filename", f"{tmp_path}/t.csv"]) == 0  # fmt: skip
    found = run_layers(str(tmp_path))
    layers = by_name(found)
    assert not found.remarks
    assert "translate" not in layers["spots3d"][1]
    for name in ("spots3d Object Predictions", "spots3d Object Identities"):
        data, options, _ = layers[name]
        assert options["scale"] == layers["spots3d"][1]["scale"]
        assert options["translate"] == (4 * 2, 20 * 0.5, 10 * 0.5)
        assert np.array_equal(np.asarray(data) > 0, labels[4:5, 20:80, 10:90] > 0)
    (tmp_path / "spots3d_Object Identities.h5").unlink()
    points, options, _ = by_name(run_layers(str(tmp_path)))["spots3d table"]
    assert "translate" not in options
    assert labels[tuple(points.round().astype(int).T)].all()


def test_where_results_of_an_earlier_version_begin_is_not_known(tmp_path):
    assert main(["--headless", "--quiet", "--project", f"{SAMPLES}/cells.ilp", "--raw_data", f"{SAMPLES}/cells.tif",
                 "--segmentation_image", f"{SAMPLES}/cells_segmentation.tif", "--cutout_subregion", "[(0,10,20,0,0),(1,90,80,1,1)]",
                 "--output_filename_format", f"{tmp_path}/{{nickname}}_{{result_type}}", "--table_filename", f"{tmp_path}/t.h5"]) == 0  # fmt: skip
    path = tmp_path / "objclass_run.json"
    path.write_text(path.read_text().replace('"offset"', '"other"'))
    found = run_layers(str(tmp_path))
    assert ["part of the raw data" in remark for remark in found.remarks] == [True]
    assert not any("translate" in options for _, options, _ in found.layers)


def test_one_result_image(results):
    ((data, options, kind),) = result_layer(str(results / "few" / "cells_Object Predictions.h5")).layers
    assert (kind, data.shape, options["colormap"][1]) == ("labels", (320, 320), "#e6194b")


def test_what_is_no_run(tmp_path):
    assert not is_run(str(tmp_path))
    assert not is_run(str(tmp_path / "objclass_run.json"))
    path = tmp_path / "objclass_run.json"
    for text in (
        "{}",
        '{"lanes": [{"status": "done", "image": "a"}]}',
        '{"lanes": [7]}',
        '{"lanes": [{"status": "done", "image": "a", "number": 0, "inputs": []}], "classes": []}',
        '{"lanes": [], "classes": []}',
    ):
        path.write_text(text)
        assert is_run(str(tmp_path))
        with pytest.raises(InputError, match="objclass_run.json"):
            run_layers(str(tmp_path))
