"""Projects of sessions: saved, run without a window, opened again."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

import objclass
from objclass import cli
from objclass.compute.context import Context
from objclass.errors import ImageError, MissingImagesError, OutputError, ProjectError, UsageError
from objclass.project.model import COLORS
from objclass.session import Session
from objclass.session import session as rooms
from objclass.session.judgement import REPEATS, judged
from objclass.session.state import SessionSettings
from objclass.settings import ProjectThreshold, ResourceSettings

FEATURES = tuple(f"Standard Object Features:{name}" for name in ("Count", "Mean", "Variance"))


def squares(shape=(60, 80), seed=0):
    """Raw data, and a label image of squares of 6 pixels, dark and bright ones by turns."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(shape, np.uint8)
    raw = rng.integers(0, 60, shape).astype(np.uint8)
    y, x = np.mgrid[2 : shape[-2] - 6 : 10, 2 : shape[-1] - 6 : 10].reshape(2, -1)
    for k, corner in enumerate(zip(y.tolist(), x.tolist(), strict=True), 1):
        box = (..., slice(corner[0], corner[0] + 6), slice(corner[1], corner[1] + 6))
        labels[box] = k
        raw[box] += np.uint8(100 * (k % 2))
    return raw, labels


def labelled(*images, settings=None, colors=(None, (1, 2, 3)), **roles):
    """A session with two classes and labels of the first image."""
    session = Session(settings or SessionSettings(FEATURES, trees=10), ResourceSettings(jobs=1))
    for raw, objects in images:
        session.add_image(raw, **{roles.get("role", "label_image"): objects}, **roles.get("axes", {}))
    session.add_class("dark", colors[0])
    session.add_class("bright", colors[1])
    session.update()
    key = session.state.images[0].key
    count = session.state.found[key].count
    session.label(key, [n for n in (1, 3, 5, 7, 9) if n <= count], 2)
    session.label(key, [n for n in (2, 4, 6, 8) if n <= count], 1)
    session.update()
    return session


def written(tmp_path):
    raw, labels = squares()
    for name, array in (("raw", raw), ("labels", labels)):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["data"] = array
    return str(tmp_path / "raw.h5/data"), str(tmp_path / "labels.h5/data")


def equal(session, other):
    """Whether two sessions have equal labels and predictions."""
    assert session.classes == other.classes
    for one, same in zip(session.state.images, other.state.images, strict=True):
        assert session.labels(one.key).classes == other.labels(same.key).classes
        a, b = session.predictions(one.key), other.predictions(same.key)
        assert (a.probabilities == b.probabilities).all()
    return True


def test_a_saved_project_is_opened_again(tmp_path):
    session = labelled(written(tmp_path))
    assert session.is_modified
    session.save(tmp_path / "p.ilp")
    assert not session.is_modified
    assert session.path == str(tmp_path / "p.ilp")
    again = Session.open(tmp_path / "p.ilp")
    assert again.state.settings.features == FEATURES
    assert not again.is_modified
    again.update()
    assert not again.is_modified
    assert again.state.is_as_opened
    assert equal(session, again)
    first = (tmp_path / "p.ilp").read_bytes()
    session.save()
    assert (tmp_path / "p.ilp").read_bytes() == first


def test_arrays_are_stored_inside_of_the_project(tmp_path):
    session = labelled(squares(), squares(seed=1))
    assert [image.name for image in session.state.images] == ["image", "image_2"]
    session.save(tmp_path / "p.ilp")
    raw, labels = squares(seed=1)
    with h5py.File(tmp_path / "p.ilp") as file:
        assert (file["Input Data/local_data/image_2_raw_data"][()] == raw).all()
        assert (file["Input Data/local_data/image_2_label_image"][()] == labels).all()
    again = Session.open(tmp_path / "p.ilp")
    again.update()
    assert equal(session, again)
    again.save(tmp_path / "q.ilp")
    (tmp_path / "p.ilp").unlink()
    third = Session.open(tmp_path / "q.ilp")
    third.update()
    assert equal(session, third)


def test_the_stored_forest_classifies_until_labels_change(tmp_path):
    labelled(written(tmp_path)).save(tmp_path / "p.ilp")
    session = Session.open(tmp_path / "p.ilp")
    stored = objclass.open_project(tmp_path / "p.ilp")
    session.update()
    assert session.state.classification.trained.forest == session.state.opened.project.forest
    session.rename_class(1, "another name")
    session.update()
    assert session.state.is_as_opened
    session.label(0, [12], 1)
    session.update()
    assert not session.state.is_as_opened
    assert len(session.state.classification.trained.training) == len(stored.training) + 1
    session.undo()
    session.update()
    assert session.state.is_as_opened
    assert session.is_modified  # the name


def test_a_project_whose_images_are_used_is_not_replaced(tmp_path):
    labelled(squares()).save(tmp_path / "p.ilp")
    stored = f"{tmp_path}/p.ilp/Input Data/local_data"
    session = labelled((f"{stored}/image_raw_data", f"{stored}/image_label_image"))
    with pytest.raises(OutputError, match="would overwrite an input"):
        session.save(tmp_path / "p.ilp", overwrite=True)
    again = Session.open(tmp_path / "p.ilp")
    again.save()
    again.save(tmp_path / "p.ilp", overwrite=True)


def test_images_of_one_name_are_told_apart(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    session = labelled(written(tmp_path), written(tmp_path / "a"), written(tmp_path / "b"))
    names = ["raw-data", "raw-data_2", "raw-data_3"]
    assert [image.name for image in session.state.images] == names
    session.save(tmp_path / "p.ilp")
    assert [image.name for image in Session.open(tmp_path / "p.ilp").state.images] == names


def test_images_on_servers_are_requested_where_that_is_allowed(tmp_path):
    labelled(written(tmp_path)).save(tmp_path / "p.ilp")
    with h5py.File(tmp_path / "p.ilp", "r+") as file:
        info = file["Input Data/infos/lane0000/Raw Data"]
        del info["filePath"]
        info["filePath"] = b"http://127.0.0.1:1/a.zarr"
    with pytest.raises(ProjectError, match="is on a server, of which nothing is requested"):
        Session.open(tmp_path / "p.ilp")
    with pytest.raises(ProjectError, match="cannot be fetched"):
        Session.open(tmp_path / "p.ilp", allow_servers=True)


def test_other_thresholds_keep_the_labels_of_a_project(tmp_path):
    raw, labels = squares()
    maps = np.where(labels, 0.9, 0.1).astype(np.float32)[..., None]
    session = labelled((raw, maps), role="prediction_maps")
    session.save(tmp_path / "p.ilp")
    given = session.labels(0).classes
    again = Session.open(tmp_path / "p.ilp")
    again.set_threshold(ProjectThreshold(threshold=0.6, min_size=3))
    again.update()
    assert again.labels(0).classes == given
    again.undo()
    again.save()
    third = Session.open(tmp_path / "p.ilp")
    third.update()
    assert third.state.settings.threshold.threshold == 0.6
    assert third.labels(0).classes == given


def test_images_that_are_missing_are_named(tmp_path):
    session = labelled(written(tmp_path), squares(seed=1))
    session.label(1, [1, 2, 3], 1)
    session.update()
    session.save(tmp_path / "p.ilp")
    (tmp_path / "raw.h5").unlink()
    with pytest.raises(
        ProjectError, match=r"1 of 2 images cannot be opened: no such file: .*raw.h5.*their 9 labels"
    ) as fault:
        Session.open(tmp_path / "p.ilp")
    assert "allow_misses=True" in str(fault.value)
    assert fault.value.has_others
    again = Session.open(tmp_path / "p.ilp", allow_misses=True)
    again.update()
    assert again.labels(0).classes == {1: 1, 2: 1, 3: 1}
    assert (again.predictions(0).probabilities == session.predictions(1).probabilities).all()


def test_a_project_is_not_opened_without_all_of_its_images(tmp_path):
    labelled(written(tmp_path)).save(tmp_path / "p.ilp")
    (tmp_path / "raw.h5").unlink()
    for allow_misses in (False, True):
        with pytest.raises(MissingImagesError, match="1 of 1 images cannot be opened") as fault:
            Session.open(tmp_path / "p.ilp", allow_misses=allow_misses)
        assert "allow_misses" not in str(fault.value)
        assert not fault.value.has_others


def test_labels_of_objects_that_are_not_there_are_lost_not_forgotten(tmp_path):
    session = labelled(written(tmp_path))
    session.save(tmp_path / "p.ilp")
    with h5py.File(tmp_path / "p.ilp", "r+") as file:
        del file["ObjectClassification/LabelInputs/0000/0"]
        file["ObjectClassification/LabelInputs/0000/0"] = np.eye(1, 500, 400).ravel()
    again = Session.open(tmp_path / "p.ilp")
    again.update()
    assert again.lost == 1


def test_unfinished_work_can_be_saved(tmp_path):
    session = Session(SessionSettings(FEATURES), ResourceSettings(jobs=1))
    with pytest.raises(UsageError, match="No images"):
        session.save(tmp_path / "p.ilp")
    raw, labels = squares()
    session.add_image(raw, label_image=labels)
    session.add_class("only")
    session.update()
    session.label(0, [1, 2], 1)
    with pytest.raises(UsageError, match="no file yet"):
        session.save()
    with pytest.raises(UsageError, match=r"ends in \.ilp"):
        session.save(tmp_path / "p.txt")
    session.save(tmp_path / "p.ilp")
    with pytest.raises(OutputError, match="overwrite=True replaces it|exists already"):
        session.save(tmp_path / "p.ilp")
    again = Session.open(tmp_path / "p.ilp")
    again.update()
    assert again.labels(0).classes == {1: 1, 2: 1}
    assert again.state.obstacle.startswith("All labels are of the class only")


def test_images_are_found_in_another_folder(tmp_path):
    for name in ("data", "moved", "projects"):
        (tmp_path / name).mkdir()
    session = labelled(written(tmp_path / "data"))
    session.save(tmp_path / "projects" / "p.ilp")
    assert str(tmp_path) not in (tmp_path / "projects" / "p.ilp").read_bytes().decode("latin-1")
    for name in ("raw.h5", "labels.h5"):
        (tmp_path / "data" / name).rename(tmp_path / "moved" / name)
    with pytest.raises(ProjectError, match="no such file"):
        Session.open(tmp_path / "projects" / "p.ilp")
    again = Session.open(tmp_path / "projects" / "p.ilp", folder=tmp_path / "moved")
    assert again.is_modified
    again.save()
    third = Session.open(tmp_path / "projects" / "p.ilp")
    third.update()
    assert equal(session, third)


def test_an_image_of_another_shape_is_not_that_of_the_labels(tmp_path):
    labelled(written(tmp_path)).save(tmp_path / "p.ilp")
    with h5py.File(tmp_path / "raw.h5", "w") as file:
        file["data"] = np.zeros((60, 81), np.uint8)
    with pytest.raises(ProjectError, match=r"\(60, 81\)|differ along x"):
        Session.open(tmp_path / "p.ilp")


def test_a_project_of_pixels_says_what_to_do(tmp_path):
    labelled(written(tmp_path)).save(tmp_path / "p.ilp")
    with h5py.File(tmp_path / "p.ilp", "r+") as file:
        del file["workflowName"]
        file["workflowName"] = b"Pixel Classification"
    with pytest.raises(ProjectError, match="add its Probabilities as prediction maps"):
        Session.open(tmp_path / "p.ilp")


def test_a_project_without_images_classifies_images_that_are_added(tmp_path):
    raw, labels = squares()
    table = objclass.measure(labels, raw, features=FEATURES)
    classes = np.where(table["label"] % 2, "bright", "dark")
    classifier = objclass.learn(table, classes, trees=10)
    classifier.save(tmp_path / "p.ilp")
    session = Session.open(tmp_path / "p.ilp")
    assert session.state.obstacle.startswith("No images")
    with pytest.raises(ImageError, match="expected"):
        session.add_image(raw, labels)
    with pytest.raises(ProjectError, match="4 feature columns|channels"):
        session.add_image(np.stack([raw] * 2, axis=-1), label_image=labels)
    key = session.add_image(raw, label_image=labels)
    session.update()
    assert session.state.obstacle is None
    assert (session.predictions(key).probabilities == classifier.predict_proba(table)).all()
    session.save()
    again = Session.open(tmp_path / "p.ilp")
    again.update()
    assert equal(session, again)
    session.label(key, [1], 1)
    assert "All labels are of the class" in session.state.obstacle


def test_images_are_added_to_a_project(tmp_path):
    labelled(written(tmp_path)).save(tmp_path / "p.ilp")
    session = Session.open(tmp_path / "p.ilp")
    raw, labels = squares(seed=3)
    assert session.add_image(raw, label_image=labels, name="raw-data") == 1
    assert [image.name for image in session.state.images] == ["raw-data", "raw-data_2"]
    session.update()
    assert session.state.is_as_opened
    session.label(1, [1, 2], 2)
    session.update()
    session.save()
    again = Session.open(tmp_path / "p.ilp")
    again.update()
    assert equal(session, again)
    assert again.labels(1).classes == {1: 2, 2: 2}
    again.remove_image(0)
    again.update()
    again.save()
    third = Session.open(tmp_path / "p.ilp")
    third.update()
    assert [image.name for image in third.state.images] == ["raw-data_2"]
    assert third.labels(0).classes == {1: 2, 2: 2}


def test_the_file_is_that_of_a_training_with_the_same_labels(tmp_path):
    raw, labels = written(tmp_path)
    session = labelled((raw, labels), colors=COLORS)
    session.accept(judged(session.state.classification, Context()))
    session.save(tmp_path / "session.ilp")
    names = [one.name for one in session.classes]
    lines = [f"{number},{names[given - 1]}\n" for number, given in session.labels(0).classes.items()]
    (tmp_path / "labels.csv").write_text(f"original_oid,class\n{''.join(lines)}")
    inputs = ["--raw_data", raw, "--label_image", labels, "--labels", str(tmp_path / "labels.csv")]
    learned = ["--class_names", *names, "--features", *FEATURES, "--trees", "10", "--repeats", str(REPEATS)]
    assert cli.main(["train", "--project", str(tmp_path / "train.ilp"), *inputs, *learned]) == 0
    assert (tmp_path / "session.ilp").read_bytes() == (tmp_path / "train.ilp").read_bytes()


def test_what_is_changed_while_the_project_is_saved_is_not_saved(tmp_path):
    labelled(written(tmp_path)).save(tmp_path / "p.ilp")
    session = Session.open(tmp_path / "p.ilp")

    def progress(*_):
        if session.state.found:
            return
        session.update()
        session.label(0, [12], 1)

    session.save(tmp_path / "q.ilp", progress=progress)
    assert session.path == str(tmp_path / "q.ilp")
    assert session.is_modified
    session.undo()
    assert not session.is_modified


def test_labels_that_are_found_while_the_project_is_saved_are_no_change(tmp_path, monkeypatch):
    raw, labels = squares()
    maps = np.stack([labels > 0, labels == 0], axis=-1).astype(np.float32)
    first = labelled((raw, maps), role="prediction_maps", axes={"axes": "yxc"})
    first.save(tmp_path / "p.ilp")
    session = Session.open(tmp_path / "p.ilp")
    session.set_threshold(replace(session.state.settings.threshold, threshold=0.6))
    save_state = rooms.save_state

    def saved(*given):
        for finding in session.work():
            session.accept(finding)
        save_state(*given)

    monkeypatch.setattr(rooms, "save_state", saved)
    session.save()
    assert session.labels(0).classes == first.labels(0).classes
    assert not session.is_modified


@pytest.fixture
def of_pixels(tmp_path):
    """A project of ilastik's kind that classifies pixels and objects of three images: squares, some of which are labelled."""
    raws, paint = [squares(seed=k)[0] for k in range(3)], np.zeros((60, 80), np.uint8)
    paint[3:7, 3:7], paint[3:7, 13:17], paint[9, :] = 1, 1, 2
    pixels = objclass.train_pixels(
        raws,
        [paint, np.roll(paint, 10, 0), np.roll(paint, 20, 0)],
        axes="yx",
        class_names=["square", "ground"],
        features=["gaussian:1"],
        trees=5,
    )
    pixels.save(tmp_path / "pixels.ilp")
    session = Session(SessionSettings(FEATURES, trees=10), ResourceSettings(jobs=1))
    for raw in raws:
        maps = objclass.predict_pixels(tmp_path / "pixels.ilp", raw, axes="yx")
        session.add_image(raw, prediction_maps=np.asarray(maps), axes="yxc")
    session.add_class("dark")
    session.add_class("bright")
    session.update()
    for image in session.state.images:
        session.label(image.key, [1, 3], 2)
        session.label(image.key, [2 + 2 * image.key, 4 + 2 * image.key], 1)
    session.update()
    path = tmp_path / "both.ilp"
    session.save(path)
    with h5py.File(path, "r+") as file, h5py.File(tmp_path / "pixels.ilp") as other:
        for name in ("FeatureSelections", "PixelClassification"):
            other.copy(name, file)
        for k in range(3):
            file[f"PixelClassification/Bookmarks/{k:04d}"] = k
            del file["Input Data/infos"][f"lane{k:04d}"]["Prediction Maps"]
            file[f"ThresholdTwoLevels/CachedThresholdLabels/threshold{k:03d}"] = k
        for name in [one for one in file["Input Data/local_data"] if "prediction" in one]:
            del file["Input Data/local_data"][name]
        del file["workflowName"], file["Input Data/Role Names"]
        file["workflowName"] = b"Object Classification (from pixel classification)"
        file["Input Data/Role Names"] = [b"Raw Data", b"Atlas"]
    return path


def test_images_are_removed_from_a_project_of_pixels_and_objects(of_pixels):
    session = Session.open(of_pixels, ResourceSettings(jobs=1))
    session.update()
    assert session.lost == 0
    session.remove_image(1)
    raw = squares(seed=5)[0]
    added = session.add_image(raw, raw_axes="yx", name="added")
    session.update()
    session.label(added, [5], 1)
    session.update()
    with h5py.File(of_pixels) as file:
        strokes = [file[f"PixelClassification/LabelSets/labels{k:03d}/block0000"][()] for k in range(3)]
        names = [file["Input Data/infos"][f"lane{k:04d}/Raw Data/inner_path"][()] for k in range(3)]
        forest = file["PixelClassification/ClassifierForests/Forest0000/Tree_0/topology"][()]
    session.save()
    with h5py.File(of_pixels) as file:
        assert list(file["Input Data/infos"]) == ["lane0000", "lane0001", "lane0002"]
        sets = file["PixelClassification/LabelSets"]
        assert list(sets) == ["labels000", "labels001", "labels002"]
        for new, old in enumerate((0, 2)):
            assert np.array_equal(sets[f"labels{new:03d}/block0000"], strokes[old])
        assert not len(sets["labels002"])
        assert names[1] not in [
            f"Input Data/local_data/{name}".encode() for name in file["Input Data/local_data"]
        ]
        assert len(file["Input Data/local_data"]) == 3
        marks = file["PixelClassification/Bookmarks"]
        assert [(name, marks[name][()]) for name in marks] == [("0000", 0), ("0001", 2)]
        assert "CachedThresholdLabels" not in file["ThresholdTwoLevels"]
        assert np.array_equal(
            file["PixelClassification/ClassifierForests/Forest0000/Tree_0/topology"], forest
        )
    again = Session.open(of_pixels, ResourceSettings(jobs=1))
    again.update()
    assert again.state.is_as_opened
    assert [len(again.labels(image.key).classes) for image in again.state.images] == [4, 4, 1]
    assert equal(session, again)


def test_images_that_cannot_be_opened_are_left_out_of_a_project_of_pixels_and_objects(of_pixels):
    with h5py.File(of_pixels, "r+") as file:
        name = file["Input Data/infos/lane0000/Raw Data/inner_path"][()].decode()
        del file[name]
    session = Session.open(of_pixels, ResourceSettings(jobs=1), allow_misses=True)
    session.update()
    session.save()
    with h5py.File(of_pixels) as file:
        assert list(file["PixelClassification/LabelSets"]) == ["labels000", "labels001"]
    again = Session.open(of_pixels, ResourceSettings(jobs=1))
    again.update()
    assert equal(session, again)
    of_pixels.unlink()
    with pytest.raises(ProjectError, match="not there any more"):
        again.save()


def test_without_an_unlabelled_image_the_labels_of_the_others_keep_their_forest(tmp_path):
    first, second = squares(), squares(seed=1)
    session = Session(SessionSettings(FEATURES, trees=10), ResourceSettings(jobs=1))
    for raw, labels in (second, first):
        session.add_image(raw, label_image=labels)
    session.add_class("dark")
    session.add_class("bright")
    session.update()
    session.label(1, [1, 3], 2)
    session.label(1, [2, 4], 1)
    session.update()
    session.save(tmp_path / "p.ilp")
    session = Session.open(tmp_path / "p.ilp")
    session.remove_image(0)
    session.save()
    again = objclass.open_project(tmp_path / "p.ilp")
    assert len(again.training) == 4
    assert len(again.lanes) == len(again.facts["inputs"]) == 1
