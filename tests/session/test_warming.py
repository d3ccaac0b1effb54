from dataclasses import replace

import numpy as np

from objclass.session import Session, live, warming
from objclass.session.courtesy import CourteousStop
from objclass.session.live import Live
from objclass.session.table import object_table


def test_the_small_session_learns_and_is_judged():
    session = warming.small_session()
    session.update()
    classification = session.state.classification
    assert classification.labelling.classes == session.classes
    assert len(classification.predictions[0].probabilities) == 16
    assert session.evaluate().evaluation.names == ("Class 1", "Class 2")


def test_a_session_without_labels_is_warmed_up(monkeypatch):
    calls, posted = [], []
    monkeypatch.setattr(live, "warm_up", calls.append)
    worker = Live(Session(), posted.append, found=calls.append, ended=calls.append, progress=calls.append)
    worker.request()
    worker.close()
    assert [type(call) for call in calls] == [CourteousStop]


def test_novelty_is_of_the_project_that_is_saved_and_no_click_waits_for_it():
    session = warming.small_session()
    for finding in session.work():
        session.accept(finding)
    classification = session.state.classification
    assert classification.trained.novelty is None
    assert classification.predictions[0].novelty is None
    assert np.isnan(object_table(session.state, 0).cells("Novelty")).all()
    session.update()
    scores = classification.project.classify(classification.measured[0].table).novelty
    assert np.array_equal(object_table(session.state, 0).cells("Novelty"), scores)
    assert replace(classification.project, novelty=None) == classification.trained
