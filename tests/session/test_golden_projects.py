"""ilastik's own projects in sessions: its classes and probabilities, until labels change; then those of our run."""

import shutil

import h5py
import numpy as np
import pytest

from objclass.core import from_canonical
from objclass.errors import UsageError
from objclass.session import Session
from objclass.settings import ResourceSettings
from tests.session.test_export import check
from tests.session.test_projects import equal
from tests.test_golden import REAL, SYNTHETIC

CASES = ["po2d", *(pytest.param(case, marks=pytest.mark.slow) for case in SYNTHETIC)]
"""The fast one finds its objects by classifying pixels."""


def compare(session, expected, prefix, image=None):
    """Whether the classes and probabilities of an image, by default the first, are ilastik's."""
    image = image or session.state.images[0]
    found, predictions = session.state.found[image.key], session.predictions(image.key)
    numbers = from_canonical(found.numbers[..., None], image.axes)
    none = np.zeros((1, len(session.classes)), np.float32)
    ours = {
        "predictions": np.append(0, predictions.classes)[numbers],
        "probabilities": np.concatenate([none, predictions.probabilities])[numbers],
    }
    for name, values in ours.items():
        with h5py.File(expected / f"{prefix}{name}.h5") as file:
            assert (np.squeeze(file["exported_data"][()]) == np.squeeze(values)).all(), name


@pytest.mark.parametrize("case", CASES)
def test_a_project_of_ilastik(shared, tmp_path, case):
    folder = shutil.copytree(shared / "golden" / case, tmp_path / case)
    session = Session.open(folder / f"{case}.ilp", ResourceSettings(jobs=1))
    session.update()
    assert not session.is_modified
    assert session.lost == 0
    compare(session, folder / "expected", "train_")
    check(session, tmp_path / "unchanged")
    changed = next(number for number, given in session.labels(0).classes.items() if given == 1)
    session.label(0, [changed], 2)
    session.update()
    session.save()
    check(session, tmp_path / "changed")
    again = Session.open(session.path, ResourceSettings(jobs=1))
    again.update()
    assert again.state.is_as_opened
    assert equal(session, again)


@pytest.mark.slow
def test_an_image_is_added_to_a_project_that_classifies_pixels(shared, tmp_path):
    folder = shutil.copytree(shared / "golden" / "po2d", tmp_path / "po2d")
    session = Session.open(folder / "po2d.ilp", ResourceSettings(jobs=1))
    with h5py.File(folder / "test_raw.h5") as file:
        raw = file["data"][()]
    with pytest.raises(UsageError, match="give raw data alone"):
        session.add_image(raw, raw > 0)
    key = session.add_image(raw, raw_axes="yx", name="test")
    session.update()
    compare(session, folder / "expected", "test_", session.state.images[1])
    session.label(key, [1, 2], 1)
    session.label(key, [3, 4], 2)
    session.update()
    session.save()
    check(session, tmp_path / "results")
    again = Session.open(session.path, ResourceSettings(jobs=1))
    again.update()
    assert equal(session, again)
    again.remove_image(0)
    again.update()
    again.save()
    third = Session.open(session.path, ResourceSettings(jobs=1))
    third.update()
    assert equal(again, third)
    with h5py.File(session.path) as file:
        assert list(file["PixelClassification/LabelSets"]) == ["labels000"]


@pytest.mark.slow
@pytest.mark.parametrize("case", ["pred2dt", "blobs3d", "multichan2"])
def test_a_project_without_its_forest_is_trained_as_a_run_trains_it(shared, tmp_path, case):
    folder = shutil.copytree(shared / "golden" / case, tmp_path / case)
    with h5py.File(folder / f"{case}.ilp", "r+") as file:
        del file["ObjectClassification/ClassifierForests"]
    session = Session.open(folder / f"{case}.ilp", ResourceSettings(jobs=1))
    session.update()
    check(session, tmp_path / "results")


@pytest.mark.slow
@pytest.mark.parametrize("case", REAL)
def test_a_project_of_the_developers_of_ilastik(shared, tmp_path, case):
    folder = shared / "golden" / "real" / case
    path = shutil.copy(folder / f"{case}.ilp", tmp_path)
    session = Session.open(path, ResourceSettings(jobs=1), folder=shared / "golden" / "real" / "inputdata")
    session.update()
    compare(session, folder / "expected", "")
    session.save()
    check(session, tmp_path / "unchanged")
