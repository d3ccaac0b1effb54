"""What a session measures and finds out, what it says when it cannot, and which objects it proposes."""

from time import perf_counter

import numpy as np
import pytest

import objclass
from objclass.errors import ImageError, InputError, UsageError
from objclass.evaluation.writing import as_json
from objclass.session import Session, images, state
from objclass.session.state import SessionSettings
from objclass.settings import ProjectThreshold

from .conftest import RESOURCES, squares


@pytest.fixture
def measurements(monkeypatch):
    """The names of the features of each measurement."""
    calls, measure_step = [], images.measure_step

    def counted(lane, plan, *others):
        calls.append(sorted(feature.name for feature in plan.features))
        return measure_step(lane, plan, *others)

    monkeypatch.setattr(images, "measure_step", counted)
    return calls


def of(*names):
    return [f"Standard Object Features:{name}" for name in names]


# ------------------------------------------------------------------------- features


def test_features_are_measured_once(trained, measurements):
    trained.label(0, [9], 1)
    trained.update()
    trained.set_features(of("Mean"))
    trained.update()
    assert trained.state.classification.trained.selected == (("Standard Object Features", "Mean"),)
    trained.set_features(["Standard Object Features", "2D Skeleton Features"])
    trained.update()
    trained.set_features(["Standard Object Features"])
    trained.update()
    trained.set_threshold(ProjectThreshold(threshold=0.9))  # of a label image
    trained.update()
    assert len(measurements) == 1
    assert "Mean" not in measurements[0]


def test_another_margin_measures_what_depends_on_it(session, measurements):
    one, other = "Mean in neighborhood", "Mean in object and neighborhood"
    for names, margin in (((one, other), 10), ((), 20), ((one,), 20), ((other,), 20), ((one, other), 20)):
        session.set_features(of("Mean", *names), margin)
        session.update()
    assert measurements == [[one, other], [one], [other]]
    fresh = Session(SessionSettings(tuple(of("Mean in object and neighborhood")), 20), RESOURCES)
    fresh.add_image(squares()[1], label_image=squares()[0])
    fresh.update()
    key = "Standard Object Features", "Mean in object and neighborhood"
    assert (session.state.measured[0].table.values[key] == fresh.state.measured[0].table.values[key]).all()


def test_images_with_other_features_measured_are_classified_together(trained):
    trained.set_features(of("Mean"))
    trained.add_image(squares()[1], label_image=squares()[0])
    trained.update()
    trained.label(1, [1], 1)
    trained.update()
    assert (trained.predictions(0).probabilities == trained.predictions(1).probabilities).all()


@pytest.mark.parametrize(
    ("features", "margin", "message"),
    [
        (
            ["Standart Object Features"],
            None,
            r"no feature set .* \(did you mean Standard Object Features\?\)",
        ),
        (["3D Convex Hull Features"], None, "none of the set is defined for 2D images with 1 channel"),
        (of("Men"), None, "no feature 'Men' in the set Standard Object Features"),
        ([], None, "No features: choose some."),
        (of("Mean in neighborhood"), 0, "margin 0: expected at least 1 pixel"),
    ],
)
def test_features_that_are_refused(trained, features, margin, message):
    before = trained.state
    with pytest.raises(UsageError, match=message):
        trained.set_features(features, margin)
    assert trained.state is before


def test_features_that_the_first_image_cannot_have_are_an_obstacle():
    session = Session(SessionSettings(features=("3D Convex Hull Features",)), RESOURCES)
    session.set_features(["3D Skeleton Features"])  # whether there are such features depends on the images
    session.add_image(squares()[1], label_image=squares()[0])
    assert "3D Skeleton Features" in session.state.obstacle
    session.set_features(["Standard Object Features"])
    assert session.state.obstacle == "No classes: add two at least."


def test_the_forest_has_the_trees_and_the_seed_that_are_set(trained):
    probabilities = []
    for seed in (3, 4, 3):
        trained.set_forest(7, seed)
        trained.update()
        assert trained.state.classification.trained.forest.trees == 7
        probabilities.append(trained.predictions(0).probabilities)
    assert (probabilities[0] == probabilities[2]).all()
    assert (probabilities[0] != probabilities[1]).any()
    for trees, seed in ((0, 0), (10, -1)):
        with pytest.raises(UsageError, match=f"trees={trees}, seed={seed}: expected a tree at least"):
            trained.set_forest(trees, seed)


# ------------------------------------------------------------------------- obstacles


def test_obstacles_in_the_order_of_the_work():
    session = Session(resources=RESOURCES)
    labels, raw = squares()
    says = [session.state.obstacle]
    session.add_image(raw, label_image=labels)
    says.append(session.state.obstacle)
    session.add_class("a")
    session.update()
    says.append(session.state.obstacle)
    session.label(0, [1], 1)
    says.append(session.state.obstacle)
    session.add_class("b")
    session.label(0, [2], 2)
    assert [one.split(":")[0] for one in says] == [
        "No images",
        "No classes",
        "No labels yet",
        "All labels are of the class a",
    ]
    assert session.state.obstacle is None
    session.update()
    assert session.predictions(0) is not None
    session.label(0, [2], 0)
    assert session.predictions(0) is None  # colours of labels that are gone
    session.update()
    assert session.state.classification is None


def test_a_finding_of_a_past_state_is_not_accepted(trained):
    other = Session.of(trained.state, RESOURCES)
    other.label(0, [9], 1)
    findings = list(other.work())
    trained.remove_class(2)
    assert [trained.accept(finding) for finding in findings] == [False]
    trained.undo()
    assert [trained.accept(finding) for finding in findings] == [True]
    found = trained.state.found[0]
    trained.remove_image(0)
    assert not trained.accept(found)


# ------------------------------------------------------------------------- which to label next


def test_uncertain_objects_have_no_labels_and_are_unlike_each_other(trained):
    trained.add_image(squares()[1] + np.uint8(60), label_image=squares()[0])
    trained.update()
    chosen = trained.uncertain(5)
    assert len(set(chosen)) == 5
    assert {key for key, _ in chosen} == {0, 1}
    assert not {number for key, number in chosen if key == 0} & set(range(1, 7))
    assert chosen == trained.uncertain(5)
    assert trained.uncertain(2) == chosen[:2]
    most = max(
        uncertainty
        for key in (0, 1)
        for number, uncertainty in enumerate(trained.predictions(key).uncertainty, 1)
        if number not in trained.labels(key).classes
    )
    key, number = chosen[0]
    assert trained.predictions(key).uncertainty[number - 1] == most
    trained.label(key, [number], 1)
    assert chosen[0] not in trained.uncertain(5)  # at once, before it is classified again
    assert len(trained.uncertain(1000)) == 2 * 36 - 7
    assert trained.uncertain(0) == []


def test_nothing_is_uncertain_before_objects_are_classified(session):
    assert session.uncertain(5) == []
    assert Session().uncertain(5) == []


def test_the_voxel_of_an_object_near_its_centre():
    labels = np.zeros((5, 9, 9), np.uint8)
    labels[1:4, 1:8, 1:8] = 1
    labels[:, 4, 4] = 0  # a tunnel through its centre
    session = Session(resources=RESOURCES)
    session.add_image(labels, label_image=labels)
    session.update()
    t, z, y, x = session.state.found[0].voxel(1)
    assert (t, z) == (0, 2)
    assert abs(y - 4) + abs(x - 4) == 1


# ------------------------------------------------------------------------- how good it is


def test_the_evaluation_is_that_of_the_project(trained):
    project = trained.state.classification.project
    expected, found = as_json(objclass.evaluate(project).evaluation), as_json(trained.evaluate().evaluation)
    for name in ("learning_curve", "importances"):  # nobody looks at them after each click
        assert expected.pop(name)
        assert not found.pop(name)
    assert found == expected
    assert found["cautions"]


def test_the_saved_project_is_judged_in_the_same_way(trained, tmp_path):
    trained.save(tmp_path / "saved.ilp")
    expected = objclass.evaluate(tmp_path / "saved.ilp")
    found = trained.evaluate()
    assert found.scores.equals(expected.scores)
    assert found.confusion.equals(expected.confusion)
    assert found.cautions == expected.cautions


def test_what_cannot_be_evaluated_is_refused_with_a_sentence(session):
    with pytest.raises(UsageError, match="No labels yet"):
        session.evaluate()
    session.label(0, [1], 1)
    session.label(0, [2], 2)
    with pytest.raises(UsageError, match="not classified yet"):
        session.evaluate()
    session.update()
    with pytest.raises(InputError, match="2 labelled objects of 2 classes: an evaluation needs four"):
        session.evaluate()


# ------------------------------------------------------------------------- time


def test_a_click_takes_no_time_however_many_objects_and_labels_there_are():
    labels, raw = squares(100, 100)
    session = Session(SessionSettings(features=tuple(of("Mean"))), RESOURCES)
    session.add_image(raw, label_image=labels)
    session.add_class("a")
    session.add_class("b")
    session.update()
    session.label(0, range(1, 2000, 2), 1)
    session.label(0, range(2, 2001, 2), 2)
    took = []
    for number in range(3001, 3031):
        start = perf_counter()
        session.label(0, [number], 1)
        assert session.state.status == ""
        assert len(session.labels(0).classes) == number - 1000
        took.append(perf_counter() - start)
    for _ in range(30):
        start = perf_counter()
        session.undo()
        assert session.state.status == ""
        took.append(perf_counter() - start)
    assert sorted(took)[len(took) // 2] < 0.025  # 0.002 on a machine that does nothing else


def test_other_images_are_worked_on_after_one_that_cannot_be_measured(trained, monkeypatch):
    labels, raw = squares()
    second, third = (trained.add_image(raw, label_image=labels, name=name) for name in ("second", "third"))
    found = state.objects_of

    def damaged(image, *others):
        if image.key == second:
            message = "damaged"
            raise ImageError(message)
        return found(image, *others)

    monkeypatch.setattr(state, "objects_of", damaged)
    with pytest.raises(ImageError, match=r"^second: damaged$"):
        trained.update()
    assert sorted(trained.state.measured) == [0, third]
