"""From Python: the same numbers as the command line, in the conventions of scikit-image and scikit-learn."""

import importlib
import inspect
import logging
import re

import h5py
import numpy as np
import pandas as pd
import pytest
import tifffile

import objclass
from objclass.cli import main
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.errors import ImageError, InputError, ObjclassError, OutputError, UsageError
from tests.conftest import ROOT


class CountingArray:
    """An array that counts the pixels that are read, and refuses to become one of numpy's."""

    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.most = 0

    def __getitem__(self, region):
        found = self.array[region]
        self.most = max(self.most, found.size)
        return found

    def __array__(self, *_args, **_kwargs):
        message = "read whole"
        raise AssertionError(message)


@pytest.fixture
def cells(samples):
    """Raw data and segmentation of the sample."""
    return tifffile.imread(samples / "cells.tif"), tifffile.imread(samples / "cells_segmentation.tif")


@pytest.fixture
def two():
    """A label image of two objects whose ids are in no order, and raw data."""
    labels = np.zeros((30, 40), np.int32)
    labels[2:9, 3:12], labels[15:25, 20:33] = 12, 5
    return labels, np.random.default_rng(0).random((30, 40))


# predict


def test_predict_on_arrays_and_paths_equals_the_command_line(samples, cells, tmp_path):
    project = objclass.open_project(samples / "cells.ilp")
    raw, segmentation = samples / "cells.tif", samples / "cells_segmentation.tif"
    from_paths = objclass.predict(project, raw, segmentation=str(segmentation), name="cells")
    found = objclass.predict(project, cells[0], segmentation=cells[1], name="cells")
    pd.testing.assert_frame_equal(from_paths.table, found.table)
    assert found.labels.shape == found.classes.shape == (320, 320)
    assert found.probabilities.shape == (320, 320, 3)
    assert found.class_names == project.classes
    assert "60 objects" in repr(found) or len(repr(found)) < 200
    by_path = objclass.predict(samples / "cells.ilp", raw, segmentation=segmentation, name="cells")
    pd.testing.assert_frame_equal(by_path.table, found.table)
    assert len(repr(project)) < 5000
    table = pd.read_csv(samples / "cells_expected.csv").rename(columns={"labelimage_oid": "label"})
    table = table.drop(columns=["object_id", "timestep", "User Label"])
    assert list(table) == list(found.table)
    pd.testing.assert_frame_equal(
        found.table, table, check_dtype=False, rtol=1e-6,  # float32 read as float64
    )  # fmt: skip
    assert main(["--headless", "--quiet", "--project", project.path, "--raw_data", str(raw),
                 "--segmentation_image", str(segmentation), "--output_filename_format",
                 str(tmp_path / "c")]) == 0  # fmt: skip
    with h5py.File(tmp_path / "c.h5") as file:
        assert np.array_equal(file["exported_data"][..., 0], found.classes)


def test_predict_takes_anything_with_shape_and_slicing(samples, cells):
    with h5py.File(samples / "cells_probabilities.h5") as file:
        mask = (file["exported_data"][..., 0] > 0.5).astype(np.uint8)
    project = samples / "cells.ilp"
    found = objclass.predict(project, cells[0][None], mask[None], raw_axes="tyx", axes="tyx")
    assert found.labels.shape == (1, 320, 320)
    assert list(found.table)[:2] == ["timestep", "label"]


def test_predict_paints_what_is_asked_for(samples, cells, monkeypatch):
    from objclass.export import arrays

    painted = []
    real = arrays.painter
    monkeypatch.setattr(
        arrays, "painter", lambda source, found: painted.append(source) or real(source, found)
    )
    found = objclass.predict(samples / "cells.ilp", *cells, images=["classes"])
    assert (painted, found.labels, found.probabilities) == (["Object Predictions"], None, None)
    assert found.classes.max() == 3
    assert objclass.predict(samples / "cells.ilp", *cells, images=()).classes is None
    with pytest.raises(UsageError, match=r"images=\['class'\]: expected any of labels, classes, prob"):
        objclass.predict(samples / "cells.ilp", *cells, images=["class"])


def test_labels_are_the_ids_that_were_given(samples):
    """Of a label image whose ids are neither in order nor without gaps; the image has them as well."""
    raw = tifffile.imread(samples / "spots3d.tif")
    labels = tifffile.imread(samples / "spots3d_label_image.tif")
    new = np.random.default_rng(0).permutation(np.arange(1, labels.max() + 1)) * 1000
    renamed = np.concatenate([[0], new]).astype(np.uint32)[labels]
    before = objclass.predict(samples / "spots3d.ilp", raw, label_image=labels)
    after = objclass.predict(samples / "spots3d.ilp", raw, label_image=renamed)
    assert after.table["label"].is_monotonic_increasing
    assert np.array_equal(after.labels, renamed)
    assert after.labels.dtype == renamed.dtype
    assert after.table["label"].tolist() == np.unique(renamed)[1:].tolist()
    assert "original_oid" not in after.table
    back = after.table.assign(
        label=after.table["label"].map(dict(zip(new, range(1, len(new) + 1), strict=True)))
    )
    back = back.sort_values("label", ignore_index=True)
    pd.testing.assert_frame_equal(back, before.table)
    assert np.array_equal(before.classes, after.classes)


def test_predict_wants_the_input_of_the_workflow(samples):
    project = objclass.open_project(str(samples / "cells.ilp"))
    with pytest.raises(UsageError, match=r"expected segmentation= \(and raw=\), got label_image="):
        objclass.predict(project, np.zeros((4, 4)), label_image=np.zeros((4, 4), int))
    with pytest.raises(ImageError, match="differ along x"):
        objclass.predict(project, np.zeros((4, 4)), segmentation=np.zeros((4, 5), int))


def test_training_axes_hold_as_on_the_command_line(samples, cells, tmp_path):
    with h5py.File(samples / "cells.ilp", "a") as file:
        for role in ("Raw Data", "Segmentation Image"):
            info = file[f"Input Data/infos/lane0000/{role}"]
            tags = info["axistags"][()].decode()
            del info["axistags"]
            info["axistags"] = tags.replace('"y"', '"?"').replace('"x"', '"y"').replace('"?"', '"x"')
    project = objclass.open_project(str(samples / "cells.ilp"))
    assert project.training_axes("raw_data") == "xy"
    for part, pixels in zip(("", "_segmentation"), cells, strict=True):
        np.save(tmp_path / f"cells{part}.npy", pixels)
    raw, seg = str(tmp_path / "cells.npy"), str(tmp_path / "cells_segmentation.npy")
    assert main(["--headless", "--quiet", "--project", project.path, "--raw_data", raw, "--segmentation_image", seg,
                 "--table_only", "--table_filename", str(tmp_path / "t.csv")]) == 0  # fmt: skip
    expected = pd.read_csv(tmp_path / "t.csv")["Center of the object_0"]
    for inputs in ((raw, seg), (np.load(raw), np.load(seg))):
        found = objclass.predict(project, inputs[0], segmentation=inputs[1]).table["Center of the object_0"]
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    for more in ({"axes": "yx", "raw_axes": "yx"}, {"ignore_training_axes": True}):
        own = objclass.predict(project, raw, segmentation=seg, **more).table
        assert own["Center of the object_0"].tolist() != expected.tolist()


def test_limits_threads_and_progress_change_nothing(samples, cells):
    project = objclass.open_project(samples / "cells.ilp")
    parts = []
    plain = objclass.predict(project, *cells)
    limited = objclass.predict(project, *cells, n_jobs=-1, max_memory="400MB", progress=parts.append)
    pd.testing.assert_frame_equal(plain.table, limited.table)
    assert np.array_equal(plain.labels, limited.labels)
    assert parts[-1] == 1
    for wrong, said in (({"n_jobs": 0}, "n_jobs=0"), ({"max_memory": "1 kB"}, "max_memory='1 kB'")):
        with pytest.raises(UsageError, match=said):
            objclass.predict(project, *cells, **wrong)


# measure


def test_measure_equals_scikit_image(two):
    from skimage.measure import regionprops_table

    names = ["area", "centroid", "intensity_mean", "perimeter"]
    for spacing in (1, 0.5, (2.0, 0.25)):
        if spacing == (2.0, 0.25):
            names.remove("perimeter")  # scikit-image has it for square pixels
        found = objclass.measure(*two, features=names, spacing=spacing)
        in_each = (spacing, spacing) if np.ndim(spacing) == 0 else spacing
        expected = pd.DataFrame(regionprops_table(*two, ["label", *names], spacing=in_each))
        pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-9)


def test_measure_has_a_small_default(two):
    found = objclass.measure(*two)
    assert list(found) == [
        "label", "area", "bbox-0", "bbox-1", "bbox-2", "bbox-3", "centroid-0", "centroid-1",
        "intensity_max", "intensity_mean", "intensity_min",
    ]  # fmt: skip
    assert found["label"].tolist() == [5, 12]
    assert list(objclass.measure(two[0])) == list(found)[:8]
    assert list(objclass.measure(two[0], features="area")) == ["label", "area"]
    nothing = objclass.measure(np.zeros((3, 4), np.uint8))
    assert (len(nothing), list(nothing)) == (0, list(found)[:8])


def test_time_is_a_column_where_there_is_time(two):
    labels, raw = two
    movie = np.stack([labels, np.where(labels == 5, 7, labels)])
    found = objclass.measure(movie, np.stack([raw, raw]), axes="tyx", features=["area", "intensity_mean"])
    assert found[["timestep", "label"]].to_numpy().tolist() == [[0, 5], [0, 12], [1, 7], [1, 12]]
    assert found["intensity_mean"][0] == found["intensity_mean"][2]


def test_a_segmentation_of_several_channels_is_refused(tmp_path):
    np.save(tmp_path / "s.npy", np.zeros((20, 30, 3), np.uint8))
    with pytest.raises(
        InputError, match=r"has 3 channels .* a run selects it with a slice, image\[\.\.\., 0\]"
    ):
        objclass.measure(objclass.open_image(tmp_path / "s.npy", axes="yxc"), features=["area"])


def test_a_label_image_has_no_channels(tmp_path):
    """Three planes of a volume are no colours; raw data have the axes of the labels, then channels."""
    labels = np.zeros((20, 30, 3), np.uint8)
    labels[5:9, 4:8, 1:] = 1
    np.save(tmp_path / "labels.npy", labels)
    for given in (labels, tmp_path / "labels.npy"):
        found = objclass.measure(given, labels.astype(float), features=["area", "bbox", "intensity_mean"])
        assert found.loc[0, "bbox-5"] == 3
        assert found["area"].tolist() == [32]
    colours = np.ones((20, 30, 3, 2)) * [3, 4]
    assert objclass.measure(labels, colours).loc[0, ["intensity_mean-0", "intensity_mean-1"]].tolist() == [
        3,
        4,
    ]
    assert objclass.open_image(np.zeros((20, 30, 3))).axes == "yxc"


def test_ids_of_any_size(two):
    labels = np.where(two[0] == 12, 2**40, two[0].astype(np.int64))
    assert objclass.measure(labels)["label"].tolist() == [5, 2**40]
    huge = np.where(two[0] == 12, 2**64 - 1, two[0].astype(np.uint64))
    assert objclass.measure(huge)["label"].tolist() == [5, 2**64 - 1]


# arrays of all kinds


def test_lazy_arrays_are_read_by_region(monkeypatch):
    limits = Limits(20_000_000, None, 2)
    monkeypatch.setattr("objclass.api.Context.of", lambda *_, **__: Context(limits))
    labels = np.zeros((64, 256, 256), np.uint8)
    labels[3:60, 40:80, 30:90] = 4
    counted, raw = CountingArray(labels), CountingArray(labels.astype(np.uint16))
    found = objclass.measure(counted, raw)
    assert found["area"].tolist() == [57 * 40 * 60]
    assert 0 < max(counted.most, raw.most) < labels.size // 10


@pytest.mark.parametrize("kind", ["dask", "zarr", "h5py", "xarray", "xarray of dask", "open_image"])
def test_arrays_of_other_libraries(kind, two, tmp_path):
    labels, raw = two
    expected = objclass.measure(labels, raw)
    tifffile.imwrite(tmp_path / "labels.tif", labels)
    tifffile.imwrite(tmp_path / "raw.tif", raw)
    with h5py.File(tmp_path / "a.h5", "w") as file:

        def given(name, array):
            if kind == "h5py":
                return file.create_dataset(name, data=array, chunks=(7, 11), compression="gzip")
            if kind == "zarr":
                return pytest.importorskip("zarr").array(array, chunks=(7, 11))
            if kind == "open_image":
                return objclass.open_image(tmp_path / f"{name}.tif")
            lazy = (
                pytest.importorskip("dask.array").from_array(array, chunks=(7, 11))
                if "dask" in kind
                else array
            )
            return pytest.importorskip("xarray").DataArray(lazy) if "xarray" in kind else lazy

        found = objclass.measure(given("labels", labels), given("raw", raw), n_jobs=2)
    pd.testing.assert_frame_equal(found, expected)


def test_dims_of_xarray(two):
    xarray = pytest.importorskip("xarray")
    labels, raw = two
    turned = xarray.DataArray(np.stack([raw.T, 2 * raw.T]), dims=("channel", "x", "y"))
    named = xarray.DataArray(labels, dims=("Y", "X"))
    found = objclass.measure(named, turned, features=["intensity_mean"])
    expected = objclass.measure(labels, np.stack([raw, 2 * raw], -1), features=["intensity_mean"])
    pd.testing.assert_frame_equal(found, expected)
    movie = xarray.DataArray(labels[None], dims=("time", "y", "x"))
    assert list(objclass.measure(movie, features="area")) == ["timestep", "label", "area"]
    odd = xarray.DataArray(labels, dims=("lat", "x"))
    with pytest.raises(ImageError, match=r"dimensions lat, x: .* not lat \(axes= or intensity_axes= says"):
        objclass.measure(odd)
    assert objclass.measure(odd, axes="yx")["label"].tolist() == [5, 12]


def test_coordinates_of_xarray_are_the_pixel_size(two):
    xarray = pytest.importorskip("xarray")

    def image(units, y=0.5, x=0.25):
        coords = {
            name: (name, np.arange(n) * step, {"units": units} if units else {})
            for name, n, step in (("y", 30, y), ("x", 40, x))
        }
        return xarray.DataArray(two[0], dims=("y", "x"), coords=coords)

    assert objclass.open_image(image("micrometer")).pixel_size == objclass.PixelSize(0.25, 0.5, unit="um")
    assert objclass.measure(image("um"), features="area", spacing="file")["area"].tolist() == [
        130 * 0.125, 63 * 0.125,
    ]  # fmt: skip
    assert objclass.measure(image("um"), features="area")["area"].tolist() == [130, 63]
    bent = image("um").assign_coords(y=("y", np.arange(30.0) ** 2, {"units": "um"}))
    for without in (image(""), bent):
        assert objclass.open_image(without).pixel_size is None
        with pytest.raises(ImageError, match=r"labels: spacing=file: none of its images has a pixel size"):
            objclass.measure(without, spacing="file")


def test_axistags_of_an_open_dataset(samples):
    with h5py.File(samples / "cells_probabilities.h5") as file:
        image = objclass.open_image(file["exported_data"])
    assert (image.axes, image.image.axes_from) == ("yxc", "axistags")


def test_what_is_no_image_is_refused(two):
    masked = np.ma.masked_array(two[0], two[0] == 5)
    with h5py.File("closed", "w", driver="core", backing_store=False) as file:
        closed = file.create_dataset("a", data=two[0])
    for given, said in (
        (masked, "a masked array"),
        (closed, "labels: cannot be taken for an array"),
        ("nothing.tif", "no such file: nothing.tif"),
        (np.zeros(3), "1-dimensional"),
        (two[0] / 2.5, r"then use skimage.measure.label\(maps > 0.5\)"),
        (object(), "labels"),
    ):
        with pytest.raises(ObjclassError, match=said):
            objclass.measure(given)


# images


def test_a_lazy_image_is_an_array(samples, cells):
    image = objclass.open_image(samples / "cells.tif")
    raw = cells[0]
    assert (image.shape, image.ndim, image.dtype, image.axes, len(image)) == (
        (320, 320),
        2,
        raw.dtype,
        "yx",
        320,
    )
    assert "yx (320, 320) uint8" in repr(image)
    assert np.array_equal(np.asarray(image), raw)
    assert np.array_equal(image.read(), raw)
    for region in np.s_[10:20, 5], np.s_[-3], np.s_[..., 7], np.s_[::-2, 300:1000:3], np.s_[5:5], np.s_[...]:
        assert np.array_equal(image[region], raw[region]), region
    assert np.asarray(image, np.float32).dtype == np.float32
    with pytest.raises(IndexError):
        _ = image[320]
    with pytest.raises(IndexError, match="3 indices"):
        _ = image[0, 0, 0]
    with pytest.raises(ValueError, match="without a copy"):
        image.__array__(copy=False)  # as numpy 2 asks


def test_a_lazy_image_with_a_size(samples):
    volume = samples / "spots3d.tif"
    for given, size in (
        (0.5, (0.5, 0.5, 0.5)),
        ((2, 0.5, 0.25), (0.25, 0.5, 2)),
        (objclass.PixelSize(3), (3, 1, 1)),
    ):
        found = objclass.open_image(volume, axes="zyx", pixel_size=given).pixel_size
        assert (found.x, found.y, found.z) == size
    with pytest.raises(
        UsageError, match=r"pixel_size=\(1, 2\): expected a number, or 3 of them, for z, y, x"
    ):
        objclass.open_image(volume, axes="zyx", pixel_size=(1, 2))
    with pytest.raises(ImageError, match=r"axes 'yx' \(axes=\) do not fit .* \(give them with axes=\)"):
        objclass.open_image(volume, axes="yx")


# learn


def test_a_classifier_and_its_project_classify_the_same(samples, cells, tmp_path):
    found = objclass.predict(samples / "cells.ilp", *cells)
    table = objclass.measure(found.labels, cells[0], features=["Standard Object Features", "regionprops"])
    classes = found.table["Predicted Class"].where(found.table["label"] % 3 > 0, None)
    classifier = objclass.learn(table, classes, trees=np.int64(20), seed=np.uint32(1))
    assert classifier.classes_.tolist() == ["elongated", "ring", "round"]
    assert 0.5 < classifier.accuracy_ <= 1
    assert not [
        name for name in classifier.feature_names_in_ if re.match("centroid-|bbox|Center|label", name)
    ]
    proba = classifier.predict_proba(table)
    assert proba.shape == (len(table), 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1, atol=1e-6)
    again = objclass.learn(table, dict(zip(table["label"], classes, strict=True)), trees=20, seed=1)
    assert np.array_equal(proba, again.predict_proba(table))

    classifier.save(tmp_path / "P.ilp")
    result = objclass.predict(tmp_path / "P.ilp", cells[0], label_image=found.labels)
    assert result.table["Predicted Class"].tolist() == classifier.predict(table).tolist()
    columns = [f"Probability of {name}" for name in classifier.classes_]
    assert np.array_equal(result.table[columns], proba)
    labelled = classes.notna()
    assert (result.table["Novelty"][labelled] == 0).all()
    saved = objclass.open_project(tmp_path / "P.ilp")
    assert saved.facts["seed"] == 1
    assert saved.training.label.tolist() == table["label"][labelled].tolist()
    found_again = saved.forest.predict(saved.training.rows).probabilities
    assert np.array_equal(found_again, proba[labelled])
    classifier.save(tmp_path / "S.ilp", role="segmentation_image")
    mask = objclass.predict(tmp_path / "S.ilp", *cells)
    assert np.array_equal(mask.table[columns], proba)
    with pytest.raises(OutputError, match=r"P.ilp exists already: overwrite= replaces it"):
        classifier.save(tmp_path / "P.ilp")
    classifier.save(tmp_path / "P.ilp", overwrite=True)


def test_weights_of_classes():
    table = pd.DataFrame({"area": np.arange(40.0) % 7, "width": np.arange(40.0) % 5})
    classes = ["rare" if k % 8 == 0 else "usual" for k in range(40)]
    plain, balanced = (objclass.learn(table, classes, class_weight=weight) for weight in (None, "balanced"))
    assert not np.array_equal(plain.predict_proba(table), balanced.predict_proba(table))
    with pytest.raises(UsageError, match="class_weight='heavy': expected None or 'balanced'"):
        objclass.learn(table, classes, class_weight="heavy")


def test_a_classifier_is_one_of_scikit_learn(two):
    from sklearn.base import clone
    from sklearn.model_selection import cross_val_score
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    table = pd.DataFrame({"label": range(1, 41), "size": np.r_[rng.normal(0, 1, 20), rng.normal(9, 1, 20)]})
    classes = np.repeat([3, 8], 20)
    classifier = objclass.Classifier(trees=10)
    assert cross_val_score(clone(classifier), table, classes, cv=4).min() == 1
    piped = make_pipeline(StandardScaler(), classifier)
    assert cross_val_score(piped, table[["size"]], pd.Series(classes, index=range(100, 140)), cv=4).min() == 1
    classifier.fit(table, classes)
    assert classifier.feature_names_in_.tolist() == ["size"]
    assert classifier.predict(table).tolist() == classes.tolist()
    with pytest.raises(InputError, match="no project can measure"):
        classifier.save("never.ilp")
    measured = objclass.measure(two[0], features="area", spacing=0.5)
    with pytest.raises(InputError, match=r"measured with spacing \(0.5, 0.5\)"):
        objclass.learn(measured, ["a", "b"]).save("never.ilp")


def test_features_to_learn_from_are_chosen(two):
    table = objclass.measure(*two, features=["area", "perimeter", "centroid"]).assign(mine=[1, 2])
    assert objclass.learn(table, ["a", "b"]).feature_names_in_.tolist() == ["area", "perimeter"]
    chosen = objclass.learn(table, ["a", "b"], features=["mine", "area"])
    assert chosen.feature_names_in_.tolist() == ["mine", "area"]
    assert objclass.learn(table, ["a", "b"], features="mine").feature_names_in_.tolist() == ["mine"]
    without = table.drop(columns="perimeter")
    assert objclass.learn(without, ["a", "b"]).project().selected == (("regionprops", "area"),)
    with pytest.raises(UsageError, match="no column perimeter"):
        objclass.learn(table, ["a", "b"]).predict(without)


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        (["a"], "1 classes for 2 rows"),
        (["a", "a"], "labels of 1 classes"),
        (["a", None], "labels of 1 classes"),
        ({5: "a", 99: "b"}, "classes of label 99: the table has no such object"),
        (pd.Series(["a", "b"], index=[1, 2]), "another index than the table"),
        (["a", 1], "both numbers and texts"),
    ],
)
def test_classes_that_do_not_fit(two, classes, said):
    with pytest.raises(InputError, match=said):
        objclass.learn(objclass.measure(*two), classes)


@pytest.mark.parametrize("name", ["cells", "spots3d"])
def test_a_saved_project_is_the_same(samples, tmp_path, name):
    from dataclasses import fields

    project = objclass.open_project(samples / f"{name}.ilp")
    (tmp_path / "deeper").mkdir()
    project.save(tmp_path / "deeper/copy.ilp")
    copy = objclass.open_project(tmp_path / "deeper/copy.ilp")
    parts = {"forest", "training", "novelty"}
    same = {f.name for f in fields(project)} - {"path", "labels", "lanes"} - parts
    assert {n: getattr(copy, n) for n in same} == {n: getattr(project, n) for n in same}
    for part in parts:
        before, after = getattr(project, part), getattr(copy, part)
        for field in fields(before):
            assert np.array_equal(getattr(after, field.name), getattr(before, field.name)), field.name
    for (_, before), (_, after) in zip(
        sorted(project.labels.items()), sorted(copy.labels.items()), strict=True
    ):
        assert all(np.array_equal(before[t], after[t]) for t in before)
    for before, after in zip(project.lanes, copy.lanes, strict=True):
        for role in before:
            path = (tmp_path / "deeper" / after[role].path).resolve()
            assert path == (samples / before[role].path).resolve()
    with pytest.raises(UsageError, match="expected a name that ends in .ilp"):
        project.save(tmp_path / "copy.h5")


def test_settings_of_a_saved_project(samples, tmp_path):
    """What a run would ask it for: version, export."""
    from dataclasses import replace

    from objclass.settings import ExportSettings

    export = ExportSettings(
        "hdf5", "a_{nickname}", "b", ((0, None), (1, None)), "uint8", "yx", (0.0, 1.0), (0.0, 9.0)
    )
    project = replace(objclass.open_project(samples / "cells.ilp"), version="1.3.2", export=export)
    project.save(tmp_path / "copy.ilp")
    copy = objclass.open_project(tmp_path / "copy.ilp")
    assert (copy.version, copy.export) == ("1.3.2", export)


# names


def test_messages_name_parameters(samples, two, caplog):
    labels, raw = two
    for call, said in (
        (lambda: objclass.measure(labels, raw[:5]), r"\(wrong axes= or intensity_axes=\?\)"),
        (lambda: objclass.measure(labels, features="intensity_mean"), "give intensity="),
        (
            lambda: objclass.measure(labels, raw, features="Standard Object Features", margin=-4),
            r"margin above 0 along each axis, x, y\(, z\): margin=-4",
        ),
        (lambda: objclass.measure(labels, features="aera"), r"did you mean regionprops:area\?"),
        (lambda: objclass.measure(labels, features="regionprops:aera"), r"did you mean regionprops:area\?"),
        (
            lambda: objclass.measure(labels, spacing=(1, 2, 3)),
            r"spacing=\(1, 2, 3\): expected a number, or 2",
        ),
        (lambda: objclass.predict(samples / "cells.ilp", raw), "expected segmentation="),
    ):
        with pytest.raises(ObjclassError, match=said) as fault:
            call()
        assert "--" not in str(fault.value)
    with h5py.File(samples / "cells.ilp", "a") as file:
        info = file["Input Data/infos/lane0000/Raw Data"]
        tags = info["axistags"][()].decode()
        del info["axistags"]
        info["axistags"] = tags.replace('"y"', '"?"').replace('"x"', '"y"').replace('"?"', '"x"')
    raw = objclass.open_image(samples / "cells.tif", axes="yx")
    with caplog.at_level(logging.WARNING, "objclass"):
        objclass.predict(samples / "cells.ilp", raw, segmentation=samples / "cells_segmentation.tif")
    assert "ignore_training_axes= uses those of the file" in caplog.text
    assert "--" not in caplog.text


def test_every_option_that_a_message_may_name_is_a_parameter():
    """What the doors call the options that have another name there is a parameter of one of them."""
    source = inspect.getsource(importlib.import_module("objclass.api"))
    parameters = set()
    for name in objclass.__all__:
        public = getattr(objclass, name)
        if inspect.isfunction(public):
            parameters |= set(inspect.signature(public).parameters)
    shown = re.findall(r'^    \w+="([^"]*=)",$|@door\(\w+="([^"]*=)"', source, re.MULTILINE)
    named = set(re.findall(r"(\w+)=", " ".join("".join(pair) for pair in shown)))
    assert {"axes", "raw", "intensity", "spacing"} <= named <= parameters


def test_list_features():
    found = objclass.list_features()
    assert {"set", "name", "column", "unit", "dims", "channels", "definition"} == set(found)
    area = found[(found["set"] == "regionprops") & (found["name"] == "area")].iloc[0]
    assert area["dims"] == (2, 3)
    assert area["definition"].endswith(".")


def test_public_names_are_there_and_documented():
    page = (ROOT / "docs/python.md").read_text(encoding="utf-8")
    for name in objclass.__all__:
        public = getattr(objclass, name)
        assert public.__doc__, name
        assert name in dir(objclass)
        assert re.search(rf"auto\w+:: objclass\.{name}$", page, re.MULTILINE), name
        if not inspect.isclass(public):
            documented = re.findall(r"^    (\w[\w, ]*)$", public.__doc__, re.MULTILINE)
            listed = {part for line in documented for part in line.split(", ")}
            assert set(inspect.signature(public).parameters) <= listed, name
    with pytest.raises(AttributeError):
        _ = objclass.nothing
    importlib.reload(objclass)
