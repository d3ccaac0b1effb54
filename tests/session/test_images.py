"""Images of a session: what can be added, and what is refused."""

import h5py
import numpy as np
import pytest
import tifffile

from objclass.errors import LaneError, ObjclassError
from objclass.session import Session
from objclass.settings import ProjectThreshold, ResourceSettings

from .conftest import RESOURCES, squares


@pytest.fixture
def empty():
    session = Session(resources=RESOURCES)
    session.add_class("a")
    session.add_class("b")
    return session


def train(session, key=0, numbers=(1, 2, 3, 4)):
    session.update()
    for number in numbers:
        session.label(key, [number], 2 - number % 2)
    session.update()
    return session.predictions(key)


def test_labels_of_all_images_train_and_all_objects_are_classified(empty):
    for first in (1, 10):
        labels, raw = squares(first=first)
        empty.add_image(raw, label_image=labels, name=str(first))
    empty.update()
    empty.label(0, [1], 1)
    empty.label(1, [1], 2)
    empty.label(1, [2], 1)
    empty.update()
    assert empty.state.label_counts == [2, 1]
    assert [len(empty.predictions(key).classes) for key in (0, 1)] == [36, 36]
    table = empty.state.classification.project.training
    assert table.image.tolist() == [0, 1, 1]


def test_a_segmentation(empty):
    labels, raw = squares()
    empty.add_image(raw, labels > 0)
    assert train(empty).classes.tolist()[6:] == [1, 2] * 15
    assert empty.state.found[0].originals == (None,)


def test_original_ids_of_a_label_image(empty):
    labels, raw = squares()
    empty.add_image(raw, label_image=labels * 10)
    empty.update()
    found = empty.state.found[0]
    assert found.count == 36
    assert found.originals[0].tolist() == list(range(10, 370, 10))
    assert empty.state.measured[0].table.given["original_oid"].tolist() == list(range(10, 370, 10))


def test_objects_are_numbered_through_time(empty):
    labels, raw = squares(2, 2)
    empty.add_image(np.stack([raw, raw, raw]), label_image=np.stack([labels, labels * 0, labels]), axes="tyx")
    empty.update()
    found = empty.state.found[0]
    assert found.numbers.shape == (3, 1, 16, 16)
    assert found.starts.tolist() == [0, 4, 4, 8]
    assert (found.numbers[2, 0] == np.where(labels, labels + 4, 0)).all()
    assert [found.place(number) for number in (1, 4, 5, 8)] == [(0, 1), (0, 4), (2, 1), (2, 4)]
    assert [found.voxel(number)[0] for number in (1, 5)] == [0, 2]
    for number in range(1, 9):
        assert (found.numbers[found.box(number)] == number).any()
        assert found.numbers[found.voxel(number)] == number
    train(empty)
    assert empty.state.measured[0].table.timestep.tolist() == [0] * 4 + [2] * 4
    assert empty.predictions(0).classes.tolist()[4:] == [1, 2] * 2
    assert empty.state.classification.project.labels[0][0].tolist() == [0, 1, 2, 1, 2]


def test_3d(empty):
    labels, raw = squares(2, 3)
    labels, raw = np.stack([labels * 0, labels, labels]), np.stack([raw, raw, raw])
    empty.add_image(raw, label_image=labels)
    assert train(empty).classes.tolist() == [1, 2] * 3
    found = empty.state.found[0]
    assert found.voxel(1)[1] in (1, 2)
    assert empty.state.margin == (30, 30, 30)


def test_rgb_and_channels_first(empty):
    labels, raw = squares()
    empty.add_image(np.stack([raw, raw // 2, raw // 3], axis=-1), label_image=labels)
    assert empty.state.images[0].lane.channels == 3
    empty.add_image(np.stack([raw, raw // 2, raw // 3]), label_image=labels, raw_axes="cyx")
    train(empty)
    assert (empty.predictions(0).probabilities == empty.predictions(1).probabilities).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_thresholds_are_parts_of_the_range_of_a_map(empty, dtype):
    labels, raw = squares()
    scale = 1.0 if dtype == np.float32 else 255
    probability = np.where(labels > 0, np.where(labels % 2, 0.9, 0.6), 0.0) * scale
    maps = np.stack([1 * scale - probability, probability], axis=-1).astype(dtype)
    empty.add_image(raw, prediction_maps=maps)
    for threshold, expected in ((0.5, 36), (0.7, 18), (0.95, 0)):
        empty.set_threshold(ProjectThreshold(channel=1, threshold=threshold, min_size=1))
        empty.update()
        assert empty.state.found[0].count == expected
    assert empty.state.obstacle == "No objects: change the thresholds, or choose another image."


def test_a_channel_that_a_map_has_not(empty):
    labels, raw = squares()
    empty.add_image(raw, prediction_maps=(labels > 0)[..., None].astype(np.float32), name="cells")
    empty.set_threshold(ProjectThreshold(channel=3))
    with pytest.raises(ObjclassError, match="cells.* 1 channels .* channel 3 is selected"):
        empty.update()


def test_files(empty, tmp_path):
    labels, raw = squares()
    tifffile.imwrite(tmp_path / "raw.tif", raw)
    with h5py.File(tmp_path / "labels.h5", "w") as file:
        file["data"] = labels
    empty.add_image(tmp_path / "raw.tif", label_image=f"{tmp_path}/labels.h5/data")
    assert train(empty).classes.tolist()[6:] == [1, 2] * 15
    paths = {role: one.path for role, one in empty.state.classification.project.lanes[0].items()}
    assert paths == {"raw_data": f"{tmp_path}/raw.tif", "label_image": f"{tmp_path}/labels.h5/data"}


def test_an_image_without_objects_among_others(empty):
    labels, raw = squares()
    empty.add_image(raw, label_image=labels * 0, name="dark")
    empty.update()
    assert empty.state.obstacle == "No objects in dark: choose another image."
    empty.add_image(raw, label_image=labels)
    train(empty, key=1)
    assert len(empty.predictions(0).classes) == 0
    assert len(empty.predictions(1).classes) == 36


def test_keys_are_never_used_again(trained):
    labels, raw = squares()
    trained.label(0, [9], 1)
    trained.undo()
    trained.remove_image(0)
    assert trained.state.label_counts == [0, 0]
    assert trained.state.classification is None
    key = trained.add_image(raw, label_image=labels)
    assert key == 1
    trained.update()
    for _ in range(3):  # of the labels, no step is left
        trained.undo()
        assert trained.state.labelling.marks == ()
    for _ in range(10):
        trained.redo()
        assert trained.state.labelling.marks == ()
    assert len(trained.classes) == 2


def test_changes_of_other_images_can_be_undone_after_one_was_removed(empty):
    labels, raw = squares()
    for _ in range(2):
        empty.add_image(raw, label_image=labels)
    empty.update()
    for key in (0, 1, 0, 1):
        empty.label(key, [1], 1 + (1 in empty.labels(key).classes))
    empty.remove_image(0)
    assert dict(empty.labels(1).classes) == {1: 2}
    empty.undo()
    assert dict(empty.labels(1).classes) == {1: 1}
    empty.undo()
    assert not empty.labels(1).classes
    empty.redo()
    assert dict(empty.labels(1).classes) == {1: 1}


# --------------------------------------------------------------------------- refusals


def test_raw_data_of_another_shape(empty):
    labels, raw = squares()
    with pytest.raises(ObjclassError, match=r"raw .*\(48, 40\).* and label.*\(48, 48\).* differ along x"):
        empty.add_image(raw[:, :40], label_image=labels)
    assert not empty.state.images


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "no objects: expected one image .* segmentation=, prediction_maps= or label_image="),
        ({"segmentation": 1, "label_image": 1}, "segmentation= and label_image=: expected one image"),
    ],
)
def test_one_image_defines_the_objects(empty, arguments, message):
    labels, raw = squares()
    with pytest.raises(ObjclassError, match=message):
        empty.add_image(raw, **dict.fromkeys(arguments, labels))


def test_all_images_are_alike(trained):
    labels, raw = squares()
    stack = np.stack([labels, labels])
    for given, message in (
        ((stack, {"label_image": stack}), "label image in 3D with 1 channels"),
        ((raw, {"segmentation": labels}), "segmentation image in 2D"),
        ((np.stack([raw, raw], -1), {"label_image": labels}), "label image in 2D with 2 channels"),
    ):
        with pytest.raises(
            ObjclassError, match=f"{message}.*expected the like of the other images: label image in 2D with 1"
        ):
            trained.add_image(given[0], **given[1])
    assert len(trained.state.images) == 1


def test_labels_that_are_none_name_the_image(empty):
    labels, raw = squares()
    empty.add_image(raw, label_image=labels, name="good")
    empty.add_image(raw, label_image=np.where(labels, 0.5, 0), name="half labels")
    with pytest.raises(ObjclassError, match="half labels"):
        empty.update()
    assert list(empty.state.found) == [0]
    empty.remove_image(1)
    empty.update()
    assert 0 in empty.state.measured


def test_an_error_of_the_disk_names_the_image(empty, monkeypatch):
    labels, raw = squares()
    empty.add_image(raw, label_image=labels, name="cells")
    monkeypatch.setattr(
        "objclass.session.state.objects_of", lambda *_: (_ for _ in ()).throw(OSError("gone"))
    )
    with pytest.raises(LaneError, match="cells: gone"):
        empty.update()


def test_an_image_that_does_not_fit_into_memory():
    session = Session(resources=ResourceSettings(jobs=1, max_memory=400_000_000))
    big = np.broadcast_to(np.uint8(1), (8000, 8000))
    session.add_image(big, label_image=big, name="big")
    with pytest.raises(LaneError, match=r"big.*\(8000, 8000\).*takes 0.26 GB of memory, 0.025 GB are left"):
        session.update()
