"""What objclass stores in a project: it comes back as it was, and nothing of a damaged or outdated one is used."""

import json
import shutil
from dataclasses import replace

import h5py
import numpy as np
import pytest

from objclass.novelty import model_of
from objclass.project.ilp_inspect import inspect_project
from objclass.project.ilp_own import labels_as_rows
from objclass.project.ilp_write import write_project
from objclass.project.open import open_project
from objclass.project.training_table import TrainingTable
from tests.conftest import SAMPLES

FACTS = {"version": "0.1.0", "seed": 3, "evaluation": {"accuracy": 0.75, "unknown": float("nan")}}


def with_table(project):
    """The project with a training table of made-up rows."""
    lane, timestep, label, classes = labels_as_rows(project.labels).astype(int).T
    columns = tuple(f"column {k}" for k in range(project.forest.columns))
    rows = np.random.default_rng(0).normal(size=(len(label), len(columns))).astype(np.float32)
    center = np.full((len(label), 3), np.nan)
    table = TrainingTable(
        rows, classes, lane, timestep, label, center, project.classes, ("größe \udcff",), columns,
        ("a set",) * len(columns), tuple(map(str, label)),
    )  # fmt: skip
    model = model_of(rows, classes, np.arange(len(label)) % 3, project.forest.splits)
    return replace(project, training=table, facts=FACTS, novelty=model)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    path = str(tmp_path_factory.mktemp("made") / "own.ilp")
    project = with_table(open_project(str(SAMPLES / "cells.ilp")))
    write_project(path, project)
    return path, project


@pytest.fixture
def stored(made, tmp_path):
    """A copy, to be changed."""
    path, project = made
    return shutil.copy(path, tmp_path), project


def test_it_comes_back_as_it_was(stored, tmp_path):
    path, project = stored
    again = open_project(path)
    for name, value in vars(project.training).items():
        found = getattr(again.training, name)
        same = (
            np.array_equal(found, value, equal_nan=True) if isinstance(value, np.ndarray) else found == value
        )
        assert same, name
    for name in ("columns", "factor", "references", "threshold"):
        assert np.array_equal(getattr(again.novelty, name), getattr(project.novelty, name)), name
    assert again.facts == FACTS | {"evaluation": {"accuracy": 0.75, "unknown": None}}
    write_project(str(tmp_path / "twice.ilp"), again)
    write_project(str(tmp_path / "thrice.ilp"), again)
    assert (tmp_path / "twice.ilp").read_bytes() == (tmp_path / "thrice.ilp").read_bytes()


def test_the_forest_gives_the_stored_probabilities(stored):
    path, project = stored
    with h5py.File(path) as file:
        kept = file["objclass/training/probabilities"][()]
    assert np.array_equal(open_project(path).forest.predict(project.training.rows).probabilities, kept)


def other_label(file):
    file["ObjectClassification/LabelInputs/0000/0"][
        np.flatnonzero(file["ObjectClassification/LabelInputs/0000/0"])[0]
    ] = 0


def one_more(file):
    labels = file["ObjectClassification/LabelInputs/0000/0"]
    given = labels[()]
    given[np.flatnonzero(given[1:] == 0)[0] + 1] = 1
    labels[...] = given


def other_name(file):
    file["ObjectClassification/LabelNames"][0] = b"new"


def other_features(file):
    group = file["ObjectClassification/SelectedFeatures/Standard Object Features"]
    del group[min(group)]


@pytest.mark.parametrize(
    ("change", "what"),
    [(other_label, "labels"), (one_more, "labels"), (other_name, "classes"), (other_features, "features")],
)
def test_a_table_is_not_used_after_ilastik_changed_the_project(stored, change, what, caplog):
    path, _ = stored
    with h5py.File(path, "a") as file:
        change(file)
    project = open_project(path)
    assert project.training is None
    assert project.facts == {}
    assert f"its {what} were changed since objclass trained it: its training table is not used" in caplog.text


def replaced(name, value):
    def change(group):
        del group[name]
        group[name] = value

    return change


def text(value):
    return np.array(json.dumps(value).encode())


DAMAGES = {
    "no facts": lambda group: group.pop("facts"),
    "facts that are a list": replaced("facts", text([1])),
    "facts that are no JSON": replaced("facts", np.array(b"{")),
    "facts of depth": replaced("facts", np.array(b"[" * 100_000)),
    "facts that are a number": replaced("facts", 1),
    "another layout": replaced("layout", 2),
    "rows of one dimension": replaced("training/rows", np.zeros(3, np.float32)),
    "rows of texts": replaced("training/rows", np.full((2, 2), b"a")),
    "rows that claim too much": lambda group: (
        replaced("training/rows", 0)(group)
        or group["training"].pop("rows") is None
        or group["training"].create_dataset("rows", (1 << 20, 1 << 20), np.float32, chunks=(64, 64))
    ),
    "NaN": lambda group: group["training/rows"].write_direct(
        np.full(group["training/rows"].shape, np.nan, np.float32)
    ),
    "a class too many": lambda group: group["training/classes"].__setitem__(0, 100),
    "an image too many": lambda group: group["training/image"].__setitem__(0, 7),
    "a negative id": lambda group: group["training/label"].__setitem__(0, -7),
    "few classes": replaced("training/classes", np.ones(1, int)),
    "classes of floats": lambda group: replaced("training/classes", group["training/rows"][:, 0])(group),
    "a centre in the plane": lambda group: replaced("training/center", group["training/center"][:, :2])(
        group
    ),
    "columns without names": replaced("training/columns", text([1, 2])),
    "few sets": replaced("training/sets", text(["one"])),
    "names that are a text": replaced("training/names", text("abc")),
    "features that are no pairs": replaced("training/features", text([["a"], "bc"])),
    "few probabilities": replaced("training/probabilities", np.zeros((1, 3), np.float32)),
    "a table that is a number": replaced("training", 1),
    "extents of one axis": replaced("training/extents", text([[1]])),
    "an extent that is none": replaced("training/extents", text([[1, 0, 1]])),
    "a group name that is a list": replaced("training/group_name", text([])),
    "novelty that is a number": replaced("novelty", 1),
    "images of none": replaced("novelty/images", 0),
    "a threshold of 0": replaced("novelty/threshold", 0.0),
    "a threshold that is none": replaced("novelty/threshold", np.nan),
    "no columns": replaced("novelty/columns", np.zeros(0, int)),
    "a column twice": replaced("novelty/columns", np.zeros(3, int)),
    "few factors": replaced("novelty/factor", np.ones(1)),
    "no references": lambda group: replaced("novelty/references", group["novelty/references"][:0])(group),
    "too many references": lambda group: replaced(
        "novelty/references", np.tile(group["novelty/references"][()], (100, 1))
    )(group),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_of_a_damaged_group_nothing_is_used(stored, damage, caplog):
    path, _ = stored
    with h5py.File(path, "a") as file:
        DAMAGES[damage](file["objclass"])
    project = open_project(path)
    assert project.training is None
    assert project.novelty is None
    assert project.facts == {}
    assert len(caplog.records) == 1
    assert caplog.records[0].message.startswith(f"{path}: ")
    assert "\n" not in caplog.records[0].message
    assert inspect_project(path)["training"]["fault"] in caplog.records[0].message


def test_a_group_that_is_none(samples, tmp_path, caplog):
    path = tmp_path / "p.ilp"
    shutil.copy(samples / "cells.ilp", path)
    with h5py.File(path, "a") as file:
        file.pop("objclass", None)
        file["objclass"] = 1
    assert open_project(str(path)).training is None
    assert len(caplog.records) == 1


def test_objects_of_another_forest_are_not_used(stored, caplog):
    path, _ = stored
    with h5py.File(path, "a") as file:
        columns = file["objclass/novelty/columns"]
        columns[0] = 10_000
    assert open_project(path).novelty is None
    assert f"{path}: objclass is damaged: its objects have other columns than its forest" in caplog.text


def without_forest(file):
    del file["ObjectClassification/ClassifierForests"]


def test_novelty_is_checked_where_the_forest_is_missing(stored, caplog):
    path, _ = stored
    with h5py.File(path, "a") as file:
        without_forest(file)
    assert open_project(path).novelty is not None
    with h5py.File(path, "a") as file:
        file["objclass/novelty/columns"][0] = 10_000
    assert open_project(path).novelty is None
    assert "its objects have other columns than its forest" in caplog.text


def test_novelty_alone_is_not_used_without_a_forest(stored, caplog):
    path, _ = stored
    with h5py.File(path, "a") as file:
        without_forest(file)
        del file["objclass/training"]
    assert open_project(path).novelty is None
    assert "its classifier is missing" in caplog.text


def test_a_table_without_objects_is_not_used(stored, caplog):
    path, project = stored
    empty = replace(project, training=project.training.take(np.zeros(0, int)), labels={})
    write_project(path, empty)
    assert open_project(path).training is None
    assert "rows is damaged: expected an object at least" in caplog.text


@pytest.mark.parametrize("limit", ["MAXIMUM_BYTES", "MAXIMUM_TEXT_BYTES"])
def test_a_table_that_would_not_be_read_is_not_written(stored, tmp_path, monkeypatch, caplog, limit):
    _, project = stored
    monkeypatch.setattr(f"objclass.project.ilp_own.{limit}", 500)
    path = str(tmp_path / "large.ilp")
    write_project(path, project)
    assert [record.message.count("is written without it") for record in caplog.records] == [1]
    monkeypatch.undo()
    again = open_project(path)
    assert again.training is None
    assert again.novelty is not None
    assert again.facts["seed"] == 3


def test_facts_that_would_not_be_read_are_not_written(stored, tmp_path, monkeypatch, caplog):
    _, project = stored
    monkeypatch.setattr("objclass.project.ilp_own.MAXIMUM_TEXT_BYTES", 1 << 12)
    path = str(tmp_path / "long.ilp")
    write_project(path, replace(project, training=None, facts=FACTS | {"inputs": ["a"] * 2000}))
    assert "the fact 'inputs' takes 0 MB: it is left out" in caplog.text
    assert set(open_project(path).facts) == set(FACTS)
