"""The objects behind a confusion matrix."""

from dataclasses import replace

import numpy as np
import pytest

from objclass.session import Session
from objclass.session.judgement import Judgement
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
    session.accept(Judgement(session.state.classification, session.evaluate()))
    return session


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
