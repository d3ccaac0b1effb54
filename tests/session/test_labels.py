"""Labels of objects, and how they survive other thresholds, on arrays that say which objects there are."""

import numpy as np
import pytest

from objclass.session import Session
from objclass.settings import ProjectThreshold, ResourceSettings

RESOURCES = ResourceSettings(jobs=1)

STEPS = np.repeat(np.uint8([0, 204, 102, 204, 0, 204, 0, 204, 128, 128, 0, 0]), 2)
"""At 0.5: objects of 2, 2, 2, 6 columns; at 0.7: the last has 2 columns left; at 0.3: the first two merge."""


def at(threshold, min_size=1):
    return ProjectThreshold(threshold=threshold, min_size=min_size)


@pytest.fixture
def session():
    """A prediction map with known objects, and two classes."""
    maps = np.broadcast_to(STEPS, (4, len(STEPS))).copy()
    session = Session(resources=RESOURCES)
    session.add_image(maps, prediction_maps=maps[..., None], axes="yxc", raw_axes="yx")
    session.add_class("a")
    session.add_class("b")
    change(session, at(0.5))
    assert session.state.found[0].count == 4
    return session


def change(session, threshold):
    session.set_threshold(threshold)
    session.update()


def classes(session):
    return dict(session.labels(0).classes)


def test_labels_stay_with_objects_that_keep_more_than_half(session):
    session.label(0, [3], 1)
    session.label(0, [4], 2)
    change(session, at(0.7))  # object 4 keeps 2 of its 6 columns
    assert session.state.found[0].count == 4
    assert classes(session) == {3: 1}
    assert session.lost == 1
    assert session.state.status.startswith(
        "All labels are of the class a: label objects of another class, too. 1 label is lost"
    )
    change(session, at(0.5))
    assert classes(session) == {3: 1, 4: 2}
    assert session.lost == 0
