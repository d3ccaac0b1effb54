"""Classes of a session."""

import pytest

from objclass.errors import UsageError
from objclass.session import Session, state
from objclass.session.labelling import MAXIMUM_UNDO, History, LabelClass, Labelling


def names(session):
    return [one.name for one in session.classes]


def test_classes_get_names_and_colours_of_their_own():
    session = Session()
    assert [session.add_class(), session.add_class("Class 3"), session.add_class()] == [1, 2, 3]
    assert names(session) == ["Class 1", "Class 3", "Class 4"]
    assert len({one.color for one in session.classes}) == 3


def test_up_to_255_classes():
    session = Session()
    for _ in range(255):
        session.add_class()
    assert len(set(names(session))) == 255
    with pytest.raises(UsageError, match="255 classes: a project holds no more"):
        session.add_class()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("  ", "the name of a class is empty"),
        ("a", "there is a class a already"),
        (" a ", "there is a class a already"),
        ("a\tb", "contains a tab"),
    ],
)
def test_names_are_checked(name, message):
    session = Session()
    session.add_class("a")
    session.add_class("b")
    before = session.state
    with pytest.raises(UsageError, match=message):
        session.rename_class(2, name)
    with pytest.raises(UsageError, match=message):
        session.add_class(name)
    assert session.state is before


def test_rename_and_recolor(trained):
    trained.rename_class(2, "dim")
    trained.rename_class(2, "dim")  # its own name is free
    trained.recolor_class(1, (1, 2, 3))
    assert trained.classes[0] == LabelClass("bright", (1, 2, 3))
    assert names(trained) == ["bright", "dim"]
    assert trained.predictions(0) is not None  # until it is classified again
    trained.update()
    project = trained.state.classification.project
    assert project.classes == ("bright", "dim")
    assert project.colors[0] == (1, 2, 3)


@pytest.mark.parametrize("number", [0, 3, -1])
def test_classes_that_are_not_there(trained, number):
    for change in (
        lambda: trained.rename_class(number, "c"),
        lambda: trained.recolor_class(number, (0, 0, 0)),
        lambda: trained.remove_class(number),
    ):
        with pytest.raises(UsageError, match=f"class {number}: expected one of the classes 1 to 2"):
            change()


def test_a_removed_class_takes_its_labels_along(trained):
    trained.add_class("odd")
    trained.label(0, [9], 3)
    trained.remove_class(1)
    assert names(trained) == ["dark", "odd"]
    assert dict(trained.labels(0).classes) == {2: 1, 4: 1, 6: 1, 9: 2}
    assert trained.predictions(0) is None  # they were of other classes
    trained.update()
    assert trained.predictions(0).probabilities.shape == (36, 2)
    trained.undo()
    assert names(trained) == ["bright", "dark", "odd"]
    assert dict(trained.labels(0).classes) == {1: 1, 2: 2, 3: 1, 4: 2, 5: 1, 6: 2, 9: 3}
    trained.update()
    assert trained.predictions(0).probabilities.shape == (36, 3)


def test_a_class_without_labels_has_no_probability(trained):
    trained.add_class("none")
    trained.update()
    assert (trained.predictions(0).probabilities[:, 2] == 0).all()


def test_the_number_of_changes_that_are_kept_is_limited():
    history = History()
    for number in range(MAXIMUM_UNDO + 10):
        history = history.changed(Labelling((LabelClass(str(number), (0, 0, 0)),)))
    assert len(history.past) == MAXIMUM_UNDO
    assert history.undone().now.classes[0].name == str(MAXIMUM_UNDO + 8)


def test_other_names_and_colours_train_no_forest(trained, monkeypatch):
    trained.accept(trained.judge())
    before = trained.state
    monkeypatch.setattr(state, "classified", lambda *_: pytest.fail("trained again"))
    trained.recolor_class(1, (1, 2, 3))
    trained.update()
    assert trained.state.is_judged
    assert trained.state.classification.trained.colors[0] == (1, 2, 3)
    trained.rename_class(2, "black")
    trained.update()
    assert trained.state.is_classified
    assert trained.state.classification.trained.classes == ("bright", "black")
    assert trained.state.classification.trained.training.names == ("bright", "black")
    assert trained.predictions(0) is before.predictions(0)
    assert trained.state.is_judged
    trained.undo()
    assert trained.state.is_classified
    assert trained.state.classification.project.classes == ("bright", "dark")
