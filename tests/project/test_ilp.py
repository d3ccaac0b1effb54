"""The project file: what is read of every age of it, and that what is written is read back."""

import logging
import os
import pickle
import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest

from objclass.core import FeatureTable
from objclass.errors import ProjectError
from objclass.project.ilp_write import _table_pickle, write_project
from objclass.project.model import Project, TableSettings, TrainingInput
from objclass.project.open import open_project
from objclass.settings import ProjectThreshold

STANDARD = "Standard Object Features"


def test_round_trip(samples, tmp_path):
    project = open_project(str(samples / "cells.ilp"))
    write_project(str(tmp_path / "p.ilp"), project)
    again = open_project(str(tmp_path / "p.ilp"))
    for name in (
        "workflow",
        "role",
        "classes",
        "computed",
        "selected",
        "margin",
        "colors",
        "export",
        "table",
        "lanes",
    ):
        assert getattr(again, name) == getattr(project, name), name
    assert np.array_equal(again.forest.leaf, project.forest.leaf)
    assert np.array_equal(again.labels[0][0], project.labels[0][0])


@pytest.fixture
def edit(samples, tmp_path):
    """Change a copy of a project, open it."""

    def change_and_open(change, name="cells.ilp"):
        path = tmp_path / "edited.ilp"
        shutil.copy(samples / name, path)
        with h5py.File(path, "a") as file:
            change(file)
        return open_project(str(path))

    return change_and_open


def test_old_layouts(edit):
    """Scalar margins, blanks in vigra's names, one more group, backslashes, axisorder, no Role Names."""

    def change(file):
        features = file["ObjectExtraction/Features"]
        features.move(f"{STANDARD}/Coord<Minimum>", f"{STANDARD}/Coord<Minimum >")
        for leaf in features[STANDARD].values():
            if "margin" in leaf:
                del leaf["margin"]
                leaf["margin"] = 7
        file["ObjectExtraction"].move("Features", "old")
        file["ObjectExtraction"].create_group("Features")
        file["ObjectExtraction"].move("old", "Features/0")
        info = file["Input Data/infos/lane0000/Raw Data"]
        for name in ("axistags", "filePath", "shape"):
            del info[name]
        info["axisorder"], info["filePath"] = b"yx", b"..\\data\\cells.h5/raw"
        file["ObjectClassification"].create_dataset("extra", data=1)

    project = edit(change)
    assert (STANDARD, "Coord<Minimum>") in project.computed
    assert project.margin == (7, 7, 7)
    assert project.lanes[0]["raw_data"] == TrainingInput("../data/cells.h5/raw", "yx", (), "cells_train")


def test_very_old_lanes(edit):
    def change(file):
        data = file["Input Data"]
        del data["Role Names"], data["infos/lane0000/Atlas"], data["infos/lane0000/Segmentation Image"]
        for name in list(data["infos/lane0000/Raw Data"]):
            data.move(f"infos/lane0000/Raw Data/{name}", f"infos/lane0000/{name}")
        del data["infos/lane0000/Raw Data"]

    assert edit(change).lanes[0]["raw_data"].path == "cells_train.tif"


def test_strings_of_every_kind(edit):
    def change(file):
        del file["workflowName"], file["ObjectClassification/LabelNames"]
        file["workflowName"] = np.bytes_("ObjectClassificationWorkflowBinary")
        file["ObjectClassification/LabelNames"] = np.array(["größer", "ring", "c,d"], h5py.string_dtype())
        del file["ilastikVersion"]
        file["ilastikVersion"] = 0.6

    project = edit(change)
    assert project.classes == ("größer", "ring", "c,d")
    assert project.role == "segmentation_image"
    assert project.version == "0.6"


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        ({}, ProjectThreshold(0.5, 0.8, 0, 0, 0, 10, 1000000, "simple", (1, 1, 1))),
        ({"SingleThreshold": 0.3, "CurOperator": 0, "LowThreshold": 0.2}, {"threshold": 0.3}),
        ({"SingleThreshold": 0.3, "CurOperator": 1, "LowThreshold": 0.2}, {"threshold": 0.2}),
        ({"CurOperator": 1, "Channel": 2}, {"method": "hysteresis", "core_channel": 2}),
        ({"CurOperator": 1, "Channel": 2, "CoreChannel": 1}, {"core_channel": 1}),
    ],
)
def test_thresholds_of_every_age(edit, stored, expected):
    def change(file):
        del file["workflowName"]
        file["workflowName"] = b"Object Classification (from prediction image)"
        group = file.create_group("ThresholdTwoLevels")
        for name, value in stored.items():
            group[name] = value

    found = edit(change).threshold
    if isinstance(expected, dict):
        assert {name: getattr(found, name) for name in expected} == expected
    else:
        assert (found.threshold, found.core_threshold, found.min_size, found.max_size) == (
            0.5,
            0.8,
            10,
            1000000,
        )
        assert found.sigma_xyz == (1, 1, 1)


@pytest.mark.parametrize(("operator", "name"), [(7, "number 7"), (-1, "number -1")])
def test_methods_that_we_do_not_have_are_refused_by_name(edit, operator, name):
    def change(file):
        del file["workflowName"]
        file["workflowName"] = b"Object Classification (from prediction image)"
        file["ThresholdTwoLevels/CurOperator"] = operator

    with pytest.raises(ProjectError, match=name):
        edit(change)


def test_display_names_in_the_settings_of_the_table(edit):
    """ilastik stores names or display texts."""

    def change(file):
        del file["ObjectClassification/ExportSettings"]
        names = TableSettings("csv", "t.csv", ("Kurtosis of Intensity", "Count"))
        file["ObjectClassification/ExportSettings"] = np.void(_table_pickle(names))

    project = edit(change)
    assert project.table.features == ("Kurtosis of Intensity", "Count")
    shown = Project(**{**vars(project), "selected": ()}).shown()
    assert shown == [(STANDARD, "Count"), (STANDARD, "Kurtosis")]


def test_settings_that_would_have_to_be_run_are_ignored_with_one_line(edit, monkeypatch):
    told = []
    monkeypatch.setattr(
        "objclass.project.ilp_read.log.warning", lambda text, *values: told.append(text % values)
    )

    def change(file):
        del file["ObjectClassification/ExportSettings"]
        file["ObjectClassification/ExportSettings"] = np.void(pickle.dumps((np.float64(1), []), 0))

    assert edit(change).table is None
    assert told == [
        "the stored settings of the table are ignored: pickle with other than plain values (GLOBAL)"
    ]


def test_empty_lists(edit):
    def change(file):
        file["ObjectClassification/LabelColors"].attrs["isEmpty"] = True

    assert edit(change).colors == ()


def test_stored_export_settings(edit):
    def change(file):
        group = file["Object Information Export"]
        group["ExportDtype"] = b"float32"
        group["OutputAxisOrder"] = b"tzyxc"
        group["RegionStart"], group["RegionStop"] = [0, 5, -1], [-1, 9, -1]
        group["InputMin"], group["InputMax"], group["ExportMin"], group["ExportMax"] = 0.0, 1.0, 0, 255

    export = edit(change).export
    assert export.export_dtype == "float32"
    assert export.output_axis_order == "tzyxc"
    assert export.cutout_subregion == ((0, 5, None), (None, 9, None))
    assert (export.pipeline_result_drange, export.export_drange) == ((0, 1), (0, 255))


def test_a_forest_of_fewer_classes_gives_zeros_for_the_others(edit):
    def change(file):
        del file["ObjectClassification/LabelNames"]
        file["ObjectClassification/LabelNames"] = np.array([b"a", b"b", b"c", b"d"])

    project = edit(change)
    rows = np.zeros((2, project.forest.columns), np.float32)
    table = FeatureTable(np.zeros(2, int), np.arange(2), {("x", "y"): rows})
    one = Project(**{**vars(project), "selected": (("x", "y"),)})
    assert one.classify(table).probabilities.shape == (2, 4)
    assert not one.classify(table).probabilities[:, 3].any()


@pytest.mark.parametrize(
    ("version", "inclusive"),
    [("1.2.2rc4", True), ("1.3.3", True), ("1.3.3post2", True), ("1.3.3post3", False), ("1.4.0b7", False),
     ("1.4.2a2.dev17+g7d0b5a7c6", False), ("", False), ("0.6", True)],
)  # fmt: skip
def test_the_maximum_is_the_one_that_the_forest_has_learned(samples, version, inclusive):
    project = open_project(str(samples / "cells.ilp"))
    key = (STANDARD, "Coord<Maximum>")
    one = Project(**{**vars(project), "selected": (key,), "version": version})
    table = FeatureTable(np.zeros(1, int), np.ones(1, int), {key: np.array([[5.0, 9.0]], np.float32)})
    assert one.matrix(table).tolist() == ([[4, 8]] if inclusive else [[5, 9]])
    assert table.values[key].tolist() == [[5, 9]]
    assert not Project(**{**vars(one), "selected": ()}).inclusive_maximum


def test_what_is_not_finite_is_0_for_the_forest(samples):
    project = open_project(str(samples / "cells.ilp"))
    one = Project(**{**vars(project), "selected": (("x", "y"),)})
    table = FeatureTable(
        np.zeros(1, int), np.ones(1, int), {("x", "y"): np.array([[np.nan, np.inf, -np.inf, 3]])}
    )
    assert one.matrix(table).tolist() == [[0, 0, 0, 3]]


def test_projects_lead_nowhere(tmp_path, samples):
    """Links to other files, values that lie in them, and pointers of Git LFS are refused by name."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "text").write_text("secret" * 9)
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["names"] = np.array([b"a", b"b"])
    names = "ObjectClassification/LabelNames"

    def link(file, target):
        file[names] = h5py.ExternalLink(str(tmp_path / target), "/names")

    def external(file):
        file.create_dataset(names, 2, "S5", external=[(str(tmp_path / "text"), 0, 10)])

    def virtual(file):
        layout = h5py.VirtualLayout(2, "S1")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "names", 2)
        file.create_virtual_dataset(names, layout)

    damages = (lambda f: link(f, "other.h5"), lambda f: link(f, "pipe"), external, virtual)
    for number, damage in enumerate(damages):
        path = Path(shutil.copy(samples / "cells.ilp", tmp_path / f"{number}.ilp"))
        with h5py.File(path, "a") as file:
            del file[names]
            damage(file)
        with pytest.raises(ProjectError, match=r"LabelNames.*a project is one file") as refusal:
            open_project(str(path))
        assert "\n" not in str(refusal.value)
    pointer = tmp_path / "lfs.ilp"
    pointer.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(ProjectError, match=r"lfs\.ilp: is a Git LFS pointer.*git lfs pull"):
        open_project(str(pointer))
    with pytest.raises(ProjectError, match="expected an ilastik project"):
        open_project(str(tmp_path / "pipe"))


NO_TABLES = [b"(NNtp0\n.", b"(NNtp1\n.", b"(NNt.", b"N.", *(pickle.dumps((None, None), p) for p in range(6))]


@pytest.mark.parametrize("stored", NO_TABLES)
def test_no_settings_of_a_table_are_none_in_every_pickle(edit, stored, caplog):
    def change(file):
        group = file["ObjectClassification"]
        del group["ExportSettings"]
        group["ExportSettings"] = np.void(stored)

    assert edit(change).table is None
    assert not caplog.records


@pytest.mark.parametrize("stored", [(None, ["a"]), ({"file type": "csv"}, []), 5, ([1], [2])])
def test_odd_settings_of_a_table_are_told_without_words_of_python(edit, stored, caplog, monkeypatch):
    def change(file):
        group = file["ObjectClassification"]
        del group["ExportSettings"]
        group["ExportSettings"] = np.void(pickle.dumps(stored, protocol=2))

    caplog.set_level("WARNING", "objclass")
    monkeypatch.setattr(logging.getLogger("objclass"), "propagate", True)
    assert edit(change).table is None
    assert {record.getMessage() for record in caplog.records} == {
        "the stored settings of the table are ignored: they have no type and path of a file"
    }


def test_several_forests_of_old_versions_are_one(edit, samples):
    whole = open_project(str(samples / "cells.ilp")).forest

    def change(file):
        group = file["ObjectClassification/ClassifierForests"]
        group.copy("Forest0000", "Forest0001")
        for name, first, last in (("Forest0000", 0, 60), ("Forest0001", 60, 100)):
            forest = group[name]
            for tree in sorted(t for t in forest if t.startswith("Tree")):
                if not first <= int(tree[5:]) < last:
                    del forest[tree]
            forest["_options/tree_count_"][...] = last - first

    found = edit(change).forest
    assert found.trees == whole.trees == 100
    rows = np.random.default_rng(0).random((50, whole.columns), np.float32) * 100
    assert np.array_equal(found.predict(rows).probabilities, whole.predict(rows).probabilities)


def test_a_message_is_short_however_much_there_is(edit):
    def change(file):
        for k in range(200):
            file.create_group(f"ObjectClassification/SelectedFeatures/Some Plugin/Feature {k:03d}")

    with pytest.raises(ProjectError) as fault:
        edit(change).features()
    assert len(str(fault.value)) < 400
    assert "and 195 more" in str(fault.value)


def test_what_an_old_project_lacks_is_said_with_its_version(edit):
    def change(file):
        del file["ilastikVersion"], file["ObjectExtraction/Features"]
        file["ilastikVersion"] = b"1.1.9"

    with pytest.raises(ProjectError, match=r"no /ObjectExtraction/Features|no /*ObjectExtraction.*1\.1\.9"):
        edit(change)
