"""Saved projects of all kinds of images give without a window what the session shows."""

import h5py
import numpy as np
import pytest

from objclass.session import Session
from objclass.session.state import SessionSettings
from objclass.settings import ProjectThreshold
from tests.session.test_export import check
from tests.session.test_projects import equal, labelled, squares

AROUND = tuple(f"Standard Object Features:{name}" for name in ("Count", "Mean", "Mean in neighborhood"))

SHAPES = {
    "2d": ((60, 80), "yx"),
    "3d": ((4, 40, 60), "zyx"),
    "time": ((3, 40, 60), "tyx"),
    "both": ((2, 3, 40, 60), "tzyx"),
}


def images(shape, role, channels, seed):
    """Raw data and the image that defines the objects."""
    raw, labels = squares(shape, seed)
    if channels > 1:
        raw = np.stack([raw, raw[..., ::-1].astype(np.uint8)], axis=-1)
    if role == "segmentation_image":
        return raw, (labels > 0).astype(np.uint8)
    if role == "prediction_maps":
        maps = np.where(labels, 0.9, 0.1).astype(np.float32)
        return raw, np.stack([maps, 1 - maps], axis=-1)
    return raw, labels.astype(np.int64)


def stored(folder, name, array):
    with h5py.File(folder / f"{name}.h5", "w") as file:
        file["data"] = array
    return str(folder / f"{name}.h5/data")


@pytest.mark.slow
@pytest.mark.parametrize("place", ["files", "arrays"])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("role", ["segmentation_image", "label_image", "prediction_maps"])
@pytest.mark.parametrize("kind", SHAPES)
def test_what_is_shown_is_what_is_run(tmp_path, kind, role, channels, place):
    shape, axes = SHAPES[kind]
    given = [images(shape, role, channels, seed) for seed in (0, 1)]
    if place == "files":
        given = [
            (stored(tmp_path, f"raw{k}", raw), stored(tmp_path, f"objects{k}", objects))
            for k, (raw, objects) in enumerate(given)
        ]
    letters = {
        "raw_axes": f"{axes}c" if channels > 1 else axes,
        "axes": f"{axes}c" if role == "prediction_maps" else axes,
    }
    threshold = ProjectThreshold(threshold=0.4, sigmas=(0.5, 0.5, 0.0), min_size=2)
    settings = SessionSettings(AROUND, margin=3, trees=10, threshold=threshold)
    session = labelled(
        *given, settings=settings, role=role.replace("segmentation_image", "segmentation"), axes=letters
    )
    path = tmp_path / "p.ilp"
    session.save(path)
    check(session, tmp_path / "results")
    before = path.read_bytes()
    session.save()
    assert path.read_bytes() == before
    again = Session.open(path)
    again.update()
    assert again.state.is_as_opened
    assert equal(session, again)
    again.label(1, [1], 2)
    again.update()
    again.save()
    check(again, tmp_path / "changed")
