"""Images inside of projects, and copies of projects with other content."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from objclass.export.projects import save_project
from objclass.images import from_array
from objclass.project.model import TrainingInput
from objclass.project.open import open_project
from objclass.settings import ProjectThreshold
from objclass.training.new_project import new_project

KEYS = (("Standard Object Features", "Mean"), ("Standard Object Features", "Variance"))


def inside(name, image):
    path = f"Input Data/local_data/{name}"
    return path, TrainingInput(path, image.axes, image.stored.shape, name, path)


@pytest.fixture
def project(rng):
    raw = from_array(rng.random((30, 40)).astype(np.float32), "yx", "raw")
    maps = from_array(rng.random((30, 40, 2)).astype(np.float32), "yxc", "maps")
    (raw_name, raw_input), (maps_name, maps_input) = inside("raw", raw), inside("maps", maps)
    return replace(
        new_project("prediction_maps", ("a", "b"), KEYS),
        lanes=({"raw_data": raw_input, "prediction_maps": maps_input},),
        images={raw_name: raw, maps_name: maps},
        labels={0: {0: np.array([0.0, 1, 2])}},
    )


def content(path):
    found = {}
    with h5py.File(path, "r") as file:
        file.visititems(
            lambda name, value: found.__setitem__(
                name, value[()] if isinstance(value, h5py.Dataset) else None
            )
        )
    return found


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [("bool", "uint8"), ("int64", "uint32"), ("uint16", "uint16"), ("float32", "float32")],
)
def test_labels_are_stored_in_a_type_that_ilastik_opens(tmp_path, dtype, stored):
    labels = np.eye(5).astype(dtype)
    image = from_array(labels, "yx", "labels", channels=False)
    name, given = inside("labels", image)
    made = new_project("label_image", ("a", "b"), KEYS)
    save_project(
        str(tmp_path / "p.ilp"), replace(made, lanes=({"label_image": given},), images={name: image})
    )
    with h5py.File(tmp_path / "p.ilp") as file:
        assert file[name].dtype == stored
        assert (file[name][()] == labels).all()


def test_labels_that_no_type_of_ilastik_holds_keep_theirs(tmp_path):
    image = from_array(np.full((4, 4), -1, np.int16), "yx", "labels", channels=False)
    name, given = inside("labels", image)
    made = new_project("label_image", ("a", "b"), KEYS)
    save_project(
        str(tmp_path / "p.ilp"), replace(made, lanes=({"label_image": given},), images={name: image})
    )
    with h5py.File(tmp_path / "p.ilp") as file:
        assert (file[name][()] == -1).all()


def test_a_project_that_is_saved_elsewhere_takes_its_images_along(tmp_path, project):
    save_project(str(tmp_path / "p.ilp"), project)
    open_project(str(tmp_path / "p.ilp")).save(tmp_path / "q.ilp")
    with h5py.File(tmp_path / "p.ilp") as p, h5py.File(tmp_path / "q.ilp") as q:
        for name in project.images:
            assert (p[name][()] == q[name][()]).all()
            assert dict(p[name].attrs) == dict(q[name].attrs)


def test_a_copy_keeps_all_but_what_is_new(tmp_path, project):
    first, second, third = (str(tmp_path / name) for name in ("p.ilp", "q.ilp", "r.ilp"))
    save_project(first, project)
    with h5py.File(first, "r+") as file:
        file["ObjectExtraction/RegionFeatures/0000/kept"] = [1.0]
        file["ObjectClassification/Bookmarks/0000"] = [2.0]
        file["currentApplet"] = 3
        file.attrs["note"] = "kept"
    given = open_project(first)
    labels = {0: {0: np.array([0.0, 2, 1, 1])}}
    save_project(second, replace(given, path=second, labels=labels, classes=("a", "c")), base=first)
    before, after = content(first), content(second)
    changed = {name for name in before if name not in after or str(before[name]) != str(after[name])}
    assert changed == {"ObjectClassification/LabelInputs/0000/0", "ObjectClassification/LabelNames"}
    assert set(after) == set(before)
    again = open_project(second)
    assert again.classes == ("a", "c")
    assert (again.labels[0][0] == labels[0][0]).all()
    save_project(third, replace(again, path=third), base=second)
    assert (tmp_path / "q.ilp").read_bytes() == (tmp_path / "r.ilp").read_bytes()


def test_a_copy_with_other_features_and_thresholds_lacks_what_was_stored_of_objects(tmp_path, project):
    first, second = str(tmp_path / "p.ilp"), str(tmp_path / "q.ilp")
    save_project(first, project)
    with h5py.File(first, "r+") as file:
        file["ObjectExtraction/RegionFeatures/0000/kept"] = [1.0]
        file["ThresholdTwoLevels/CachedThresholdLabels"] = [1.0]
        file["currentApplet"] = 3
    given = open_project(first)
    fresh = new_project("prediction_maps", given.classes, KEYS[:1])
    threshold = ProjectThreshold(threshold=0.7, sigmas=(1.0, 1.0, 0.0))
    changed = replace(
        given, path=second, computed=fresh.computed, selected=KEYS[:1], table=fresh.table, threshold=threshold
    )
    save_project(second, changed, base=first)
    after, again = content(second), open_project(second)
    assert not any("RegionFeatures" in name or "Cached" in name for name in after)
    assert after["currentApplet"] == 3
    assert (again.selected, again.computed, again.table) == (KEYS[:1], fresh.computed, fresh.table)
    assert replace(again.threshold, max_size=None) == threshold
