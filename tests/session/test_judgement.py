"""The objects behind a confusion matrix."""

from dataclasses import replace

import numpy as np
import pytest

from objclass.session import Session
from objclass.session.state import SessionSettings


def planes(seed):
    """Two time steps of 4 × 4 objects: 2 × 2 pixels each, bright ones (odd ids) and dark ones."""
    ids = np.kron(np.pad(np.arange(16).reshape(4, 4) + 1, 0), np.pad(np.ones((2, 2), int), (0, 1)))
    raw = np.where(ids % 2, 200, 50) + np.random.default_rng(seed).integers(0, 20, ids.shape)
    return np.stack([raw, raw]).astype(np.uint8), np.stack([ids, ids]).astype(np.uint8)


@pytest.fixture(scope="module")
def judged():
    settings = SessionSettings(
        ("Standard Object Features:Mean", "Standard Object Features:Maximum"), trees=10
    )
    session = Session(settings)
    for seed, name in enumerate(["second", "first"]):
        raw, ids = planes(seed)
        session.add_image(raw, label_image=ids, raw_axes="tyx", axes="tyx", name=name)
    session.add_class("bright")
    session.add_class("dark")
    session.update()
    session.label(0, [1, 3, 17, 19], 1)
    session.label(0, [2, 4, 18], 2)
    session.label(1, [5, 7, 31], 1)
    session.label(1, [6, 32], 2)
    session.label(1, [21], 2)  # a wrong one
    session.update()
    session.accept(session.judge())
    return session


@pytest.fixture
def grown(monkeypatch):
    """The trees that are grown from now on."""
    from sklearn.tree import DecisionTreeClassifier

    fit, trees = DecisionTreeClassifier.fit, []
    monkeypatch.setattr(
        DecisionTreeClassifier, "fit", lambda self, *more, **kw: trees.append(self) or fit(self, *more, **kw)
    )
    return trees


def test_each_cell_of_the_matrix_has_its_objects(judged):
    judgement = judged.state.judgement
    matrix = judgement.result.evaluation.confusion
    cells = {(k, m): judgement.objects(k, m) for k in (1, 2) for m in (1, 2)}
    assert [[sum(map(len, cells[k, m].values())) for m in (1, 2)] for k in (1, 2)] == matrix.tolist()
    numbers = {cell: {key: found.tolist() for key, found in keys.items()} for cell, keys in cells.items()}
    assert numbers[1, 1] == {0: [1, 3, 17, 19], 1: [5, 7, 31]}
    assert numbers[2, 1] == {1: [21]}
    assert numbers[2, 2] == {0: [2, 4, 18], 1: [6, 32]}


def test_images_have_the_names_that_they_have_in_the_session(judged):
    assert judged.state.classification.trained.training.images == ("second", "first")


def test_a_judgement_is_stale_after_a_change_of_labels_objects_or_features(judged):
    before = judged.state
    assert before.is_judged
    judged.label(0, [5], 1)
    assert not judged.state.is_judged
    judged.undo()
    assert judged.state.is_judged
    judged.set_features(["Standard Object Features:Mean"])
    assert not judged.state.is_judged
    judged.state = replace(before, found={}, measured={})
    assert not judged.state.is_judged
    judged.state = before


def test_other_names_and_colours_grow_no_tree(judged, grown):
    before = judged.state
    judged.rename_class(2, "black")
    judged.recolor_class(1, (1, 2, 3))
    judged.update()
    assert judged.state.is_judged
    assert not grown
    result = judged.state.judgement.result
    assert result.evaluation.names == ("bright", "black")
    assert list(result.by_class.index) == ["bright", "black"]
    assert "black" in result.summary()
    assert any("'black' (6 objects" in sentence for sentence in result.cautions)
    assert not any("dark" in sentence for sentence in (*result.cautions, result.summary()))
    assert judged.state.judgement.classification.labelling.classes == judged.classes
    again = judged.evaluate()
    assert grown
    assert again.summary() == result.summary()
    assert np.array_equal(again.predictions["p_black"], result.predictions["p_black"])
    judged.undo()
    judged.undo()
    assert judged.state.is_judged
    assert judged.state.judgement.result.summary() == before.judgement.result.summary()


def test_a_judgement_that_was_begun_under_other_names_has_the_present_ones(judged):
    before = judged.state
    finding = judged.judge()
    judged.rename_class(1, "light")
    assert judged.accept(finding)
    assert judged.state.is_judged
    assert judged.state.judgement.result.evaluation.names == ("light", "dark")
    judged.state = before


def test_a_judgement_of_other_labels_has_the_present_names(judged):
    before = judged.state
    judged.label(0, [5], 1)
    judged.rename_class(2, "black")
    judged.update()
    assert not judged.state.is_judged
    assert judged.state.judgement.result.evaluation.names == ("bright", "black")
    judged.state = before


def test_the_refusal_of_a_judgement_outlives_other_names(judged, grown):
    before = judged.state
    judged.label(1, range(1, 33), 0)
    judged.label(0, [1, 2, 3, 17], 0)
    judged.update()
    judged.accept(judged.judge())
    grown.clear()
    judged.rename_class(1, "light")
    assert judged.state.is_judged
    assert "four objects" in judged.state.judgement.refusal
    assert not grown
    judged.state = before
