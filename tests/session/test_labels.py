"""Labels of objects, and how they survive other thresholds, on prediction maps that say which objects there are."""

import numpy as np
import pytest

from objclass.errors import UsageError
from objclass.session import Session
from objclass.settings import ProjectThreshold

from .conftest import RESOURCES

VALUES = np.repeat(np.uint8([0, 204, 102, 204, 0, 204, 0, 204, 128, 128, 0, 0]), 2)
"""Above 0.5 of their range there are objects of 2, 2, 2 and 6 columns; above 0.7 the last one keeps 2 columns, above 0.3 the
first two are one."""


@pytest.fixture
def session():
    maps = np.broadcast_to(VALUES, (4, len(VALUES))).copy()
    session = Session(resources=RESOURCES)
    session.add_image(maps, prediction_maps=maps[..., None], axes="yxc", raw_axes="yx")
    session.add_class("a")
    session.add_class("b")
    threshold(session, 0.5)
    return session


def threshold(session, value):
    session.set_threshold(ProjectThreshold(threshold=value, min_size=1))
    session.update()


def classes(session):
    return dict(session.labels(0).classes)


def widths(session):
    found = session.state.found[0]
    return np.diff(found.bounds[:, 3]).ravel().tolist()


def test_the_objects_are_those_that_the_values_say(session):
    assert widths(session) == [2, 2, 2, 6]
    threshold(session, 0.7)
    assert widths(session) == [2, 2, 2, 2]
    threshold(session, 0.3)
    assert widths(session) == [6, 2, 6]


def test_labels_stay_with_objects_that_keep_more_than_half(session):
    session.label(0, [3], 1)
    session.label(0, [4], 2)
    threshold(session, 0.7)
    assert classes(session) == {3: 1}
    assert session.lost == 1
    assert "1 label is lost at these thresholds" in session.state.status
    threshold(session, 0.5)
    assert classes(session) == {3: 1, 4: 2}
    assert session.lost == 0
    assert not session.state.status


def test_half_is_not_more_than_half():
    """An object of four columns of which two are left."""
    maps = np.broadcast_to(np.uint8([0, 204, 204, 128, 128, 0, 255, 0]), (2, 8)).copy()
    session = Session(resources=RESOURCES)
    session.add_image(maps, prediction_maps=maps[..., None], axes="yxc", raw_axes="yx")
    session.add_class()
    threshold(session, 0.4)
    session.label(0, [1, 2], 1)
    threshold(session, 0.6)
    assert classes(session) == {2: 1}


def test_labels_of_other_classes_are_lost_where_objects_merge(session):
    session.label(0, [1], 1)
    session.label(0, [2, 3], 2)
    threshold(session, 0.3)
    assert classes(session) == {2: 2}
    assert session.lost == 2
    threshold(session, 0.5)
    assert classes(session) == {1: 1, 2: 2, 3: 2}


def test_labels_of_the_same_class_are_one_where_objects_merge(session):
    session.label(0, [1, 2], 1)
    threshold(session, 0.3)
    assert classes(session) == {1: 1}
    assert session.state.label_counts == [1, 0]
    assert session.lost == 0
    session.label(0, [1], 1)  # it has this label: nothing changes
    threshold(session, 0.5)
    assert classes(session) == {1: 1, 2: 1}


def test_a_merged_object_can_be_labelled_anew(session):
    session.label(0, [1], 1)
    session.label(0, [2], 2)
    threshold(session, 0.3)
    session.label(0, [1], 2)
    assert classes(session) == {1: 2}
    assert session.lost == 0
    session.undo()
    assert session.lost == 2
    session.label(0, [1], 0)
    assert session.lost == 0
    threshold(session, 0.5)
    assert classes(session) == {}


def test_undo_and_redo_across_thresholds(session):
    session.label(0, [1], 1)
    session.label(0, [4], 2)
    threshold(session, 0.7)
    session.label(0, [4], 1)
    assert classes(session) == {1: 1, 4: 1}
    session.undo()
    assert classes(session) == {1: 1}
    session.undo()
    assert session.lost == 0
    threshold(session, 0.5)
    session.redo()
    assert classes(session) == {1: 1, 4: 2}
    session.redo()  # what was labelled as a part of object 4 is no object now: a third of one
    assert classes(session) == {1: 1}
    assert session.lost == 2


def test_labels_count_while_their_objects_are_not_found_yet(session):
    session.label(0, [1], 1)
    session.label(0, [3], 2)
    session.set_threshold(ProjectThreshold(threshold=0.6, min_size=1))
    assert session.state.label_counts == [1, 1]
    assert session.state.obstacle is None
    with pytest.raises(UsageError, match="not found yet"):
        session.label(0, [1], 1)


def test_a_label_is_given_replaced_and_taken_away(session):
    session.label(0, [1, 1, 2, 0, 99], 1)
    assert classes(session) == {1: 1, 2: 1}
    session.label(0, [2], 2)
    assert classes(session) == {1: 1, 2: 2}
    session.label(0, [2, 3], 0)
    assert classes(session) == {1: 1}
    for expected in ({1: 1, 2: 2}, {1: 1, 2: 1}, {}):
        session.undo()
        assert classes(session) == expected
    session.undo()  # classes
    assert [one.name for one in session.classes] == ["a"]
    for _ in range(10):
        session.redo()
    assert classes(session) == {1: 1}


def test_a_drag_is_one_step(session):
    session.label(0, [1], 1)
    session.label(0, [2], 2)
    session.label(0, [3], 2, continued=True)
    session.label(0, [4], 2, continued=True)
    session.undo()
    assert classes(session) == {1: 1}
    session.redo()
    assert classes(session) == {1: 1, 2: 2, 3: 2, 4: 2}


def test_what_changes_nothing_is_no_step(session):
    session.label(0, [1], 1)
    before = session.state
    session.label(0, [1], 1)
    session.label(0, [2], 0)
    session.label(0, [], 1)
    session.redo()
    assert session.state is before


def test_a_change_after_undo_forgets_what_was_undone(session):
    session.label(0, [1], 1)
    session.undo()
    session.label(0, [2], 2)
    session.redo()
    assert classes(session) == {2: 2}


def test_a_label_of_a_class_that_is_not_there(session):
    with pytest.raises(UsageError, match="class 3: expected one of the classes 1 to 2"):
        session.label(0, [1], 3)
    with pytest.raises(UsageError, match="image 7"):
        session.label(7, [1], 1)
