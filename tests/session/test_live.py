"""Live update: whatever comes when, in the end all is as if it had been done at once."""

import random
from dataclasses import replace
from queue import Empty, Queue
from threading import Event

import numpy as np
import pytest

from objclass.errors import ObjclassError
from objclass.session import Session, state
from objclass.session.classification import Classification
from objclass.session.images import MeasuredObjects
from objclass.session.judgement import Judgement
from objclass.session.live import Live
from objclass.session.state import SessionSettings, State
from objclass.settings import ProjectThreshold

from .conftest import RESOURCES, squares

PATIENCE = 60
"""Seconds to wait for what other threads do, on a machine that has much else to do."""


class Owner:
    """The thread of a window: it calls what is posted when it comes to it."""

    def __init__(self, session):
        self.session, self.posts, self.findings, self.faults = session, Queue(), [], []
        self.live = Live(
            session,
            self.posts.put,
            found=self.findings.append,
            ended=self.faults.append,
            progress=lambda name, part: None,
        )

    def step(self, patience=PATIENCE):
        """Call the next function that is posted."""
        self.posts.get(timeout=patience)()

    def until(self, is_reached):
        while not is_reached():
            self.step()

    def settle(self):
        self.until(lambda: not self.live.is_busy)

    def found(self, kind):
        return [finding for finding in self.findings if isinstance(finding, kind)]


@pytest.fixture
def live(session):
    owner = Owner(session)
    yield owner
    owner.live.close(PATIENCE)


@pytest.fixture
def gate(monkeypatch):
    """Objects are measured when the gate is opened; meanwhile it can be stopped."""
    gate = Event()
    gate.reached, gate.calls, measured = Event(), [], state.measured

    def wait(found, *others):
        gate.calls.append(found)
        gate.reached.set()
        while not gate.wait(0.005):
            others[-1].stop.check()
        return measured(found, *others)

    monkeypatch.setattr(state, "measured", wait)
    yield gate
    gate.set()


def label_six(session, numbers=range(1, 7)):
    for number in numbers:
        session.label(0, [number], 2 - number % 2)


def test_what_is_found_comes_in_order_and_is_accepted(session, live):
    session.state = replace(session.state, found={}, measured={})
    session.update()
    label_six(session)
    live.live.request()
    live.settle()
    assert [type(finding) for finding in live.findings] == [Classification, Judgement]
    assert live.faults == [None]
    assert session.state.is_judged
    live.live.request()  # there is nothing to do
    live.settle()
    assert len(live.findings) == 2


def test_labels_given_during_measuring_do_not_measure_again(session, live, gate):
    session.state = replace(session.state, measured={})
    live.live.evaluates = False
    live.live.request()
    assert gate.reached.wait(PATIENCE)
    label_six(session)
    live.live.request()
    gate.set()
    live.settle()
    assert len(live.found(MeasuredObjects)) == 1
    assert len(gate.calls) == 2  # the second one has nothing to measure
    assert session.state.is_classified


def test_another_threshold_stops_measuring(live, gate):
    maps = (squares()[0] > 0).astype(np.float32)[..., None]
    session = live.session
    session.remove_image(0)
    key = session.add_image(maps[..., 0], prediction_maps=maps)
    live.live.request()
    assert gate.reached.wait(PATIENCE)
    session.set_threshold(ProjectThreshold(threshold=0.7, min_size=1))
    live.live.request()
    live.until(lambda: len(gate.calls) == 2)  # the gate is still closed: the first call was stopped
    gate.set()
    live.settle()
    assert session.state.measured[key].found.threshold.threshold == 0.7
    assert len(live.found(MeasuredObjects)) == 1


def test_a_request_does_not_wait_for_work(session, live, monkeypatch):
    """Even for work that cannot be stopped."""
    done, reached, measured = Event(), Event(), state.measured

    def endless(*given):
        reached.set()
        assert done.wait(PATIENCE)
        return measured(*given)

    monkeypatch.setattr(state, "measured", endless)
    live.live.request()
    assert reached.wait(PATIENCE)
    session.set_forest(3, 1)
    live.live.request()
    live.live.request()
    assert live.live.is_busy
    assert not done.is_set()
    done.set()
    live.settle()
    assert live.faults == [None]


def test_an_error_is_reported_and_work_goes_on_afterwards(session, live, monkeypatch):
    label_six(session)
    with monkeypatch.context() as patch:
        patch.setattr(state, "measured", lambda *_: (_ for _ in ()).throw(MemoryError()))
        live.live.request()
        live.settle()
    assert [str(fault) for fault in live.faults] == ["squares: MemoryError"]
    assert isinstance(live.faults[0], ObjclassError)
    live.live.request()
    live.settle()
    assert live.faults[1:] == [None]
    assert session.state.is_classified


def test_a_bug_is_reported_as_well(live, monkeypatch):
    monkeypatch.setattr(state, "measured", lambda *_: 1 / 0)
    live.live.request()
    live.settle()
    assert isinstance(live.faults[0], ZeroDivisionError)


def test_too_few_labels_to_judge_are_no_error(session, live):
    label_six(session, (1, 2))
    live.live.request()
    live.settle()
    assert live.faults == [None]
    judgement = session.state.judgement
    assert judgement.result is None
    assert "2 labelled objects of 2 classes: an evaluation needs four" in judgement.refusal
    assert session.predictions(0) is not None


@pytest.mark.parametrize("is_told", [True, False])
def test_a_change_stops_the_evaluation(session, live, monkeypatch, is_told):
    """Whether the owner has been told that it has begun, or has not come to it."""
    reached = Event()

    def judge(self, stop):
        reached.set()
        while True:
            stop.check()

    label_six(session)
    with monkeypatch.context() as patch:
        patch.setattr(Session, "judge", judge)
        live.live.request()
        assert reached.wait(PATIENCE)
        while is_told and not live.posts.empty():
            live.step()
        session.label(0, [9], 1)
        live.live.request()
    live.settle()
    assert session.state.is_judged
    assert [len(one.labelling.marks) for one in live.found(Classification)] == [6, 7]


def test_another_name_does_not_stop_the_evaluation(session, live, monkeypatch):
    reached, renamed, calls, judge = Event(), Event(), [], Session.judge

    def wait(self, stop):
        calls.append(stop)
        reached.set()
        assert renamed.wait(PATIENCE)
        return judge(self, stop)

    label_six(session)
    monkeypatch.setattr(Session, "judge", wait)
    live.live.request()
    assert reached.wait(PATIENCE)
    while not live.posts.empty():
        live.step()
    session.rename_class(1, "other")
    live.live.request()
    renamed.set()
    live.settle()
    assert len(calls) == 1
    assert session.state.is_judged
    assert session.state.judgement.classification.labelling.classes[0].name == "other"


def test_the_window_is_closed_during_work(live, gate):
    live.session.state = replace(live.session.state, measured={})
    live.live.request()
    assert gate.reached.wait(PATIENCE)
    thread = live.live._thread
    live.live.close(PATIENCE)
    assert not thread.is_alive()
    while not live.posts.empty():
        live.step()
    assert live.findings == live.faults == []
    live.live.request()
    assert live.live._thread is thread


def test_colours_of_other_classes_are_never_shown(session, live):
    """A classification that comes after a class was removed is not accepted."""
    label_six(session)
    session.add_class("third")
    session.label(0, [9], 3)
    live.live.evaluates = False
    live.live.request()
    live.until(lambda: live.posts.qsize() or not live.live.is_busy)
    session.remove_class(1)
    live.live.request()
    while live.live.is_busy:
        live.step()
        predictions = session.predictions(0)
        assert predictions is None or predictions.probabilities.shape[1] == 2
    assert session.state.is_classified


# ----------------------------------------------------------------------- any order of events


class AnyOrder:
    """Changes at random, while the owner calls some of what is posted."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        session = Session(SessionSettings(trees=2, features=("Standard Object Features:Mean",)), RESOURCES)
        self.owner = Owner(session)
        self.session = session
        for change in (self.add_image, self.add_class, self.add_class):
            change()

    def add_image(self):
        if len(self.session.state.images) < 3:
            maps = np.random.default_rng(self.random.randrange(100)).random((12, 40), np.float32)
            self.session.add_image(maps, prediction_maps=maps[..., None])

    def remove_image(self):
        if self.session.state.images:
            self.session.remove_image(self.random.choice(self.session.state.images).key)

    def set_threshold(self):
        value = self.random.choice([0.5, 0.55, 0.6, 0.7, 0.9999])
        self.session.set_threshold(ProjectThreshold(threshold=value, min_size=2))

    def set_features(self):
        name = self.random.choice(["Mean", "Mean in neighborhood", "Count"])
        self.session.set_features([f"Standard Object Features:{name}"], self.random.choice([2, 5]))

    def add_class(self):
        if len(self.session.classes) < 4:
            self.session.add_class()

    def remove_class(self):
        if self.session.classes:
            self.session.remove_class(self.random.randint(1, len(self.session.classes)))

    def recolor_class(self):
        if self.session.classes:
            self.session.recolor_class(1, (self.random.randrange(256), 0, 0))

    def label(self):
        keys = list(self.session.state.found)
        if keys:
            numbers = [self.random.randint(1, 12) for _ in range(3)]
            number = self.random.randint(0, len(self.session.classes))
            self.session.label(
                self.random.choice(keys), numbers, number, continued=self.random.random() < 0.3
            )

    def check_colours(self):
        for key in self.session.state.found:
            predictions = self.session.predictions(key)
            assert predictions is None or predictions.probabilities.shape[1] == len(self.session.classes)

    def run(self, changes):
        often = [self.label] * 20 + [self.session.undo] * 4 + [self.session.redo] * 3
        seldom = [
            self.add_image,
            self.add_image,
            self.remove_image,
            self.set_threshold,
            self.set_threshold,
            self.set_features,
            self.set_features,
            self.add_class,
            self.remove_class,
            self.recolor_class,
        ]
        for _ in range(changes):
            self.random.choice(often + seldom)()
            self.owner.live.request()
            self.check_colours()
            for _ in range(self.random.choice([0, 0, 1, 2, 9])):
                try:
                    self.owner.step(self.random.choice([0.0001, 0.02]))
                except Empty:
                    break
        self.owner.settle()
        self.owner.live.close(PATIENCE)


def fresh(session):
    """A session with the same images, settings and labels, which has done everything at once."""
    one = session.state
    other = Session.of(State(one.settings, one.images, one.history, added=one.added), session.resources)
    other.update()
    if other.state.classification is not None:
        other.accept(other.judge())
    return other


def check_same(session, other):
    one, two = session.state, other.state
    assert one.obstacle == two.obstacle
    assert one.status == two.status
    for image in one.images:
        assert (one.found[image.key].numbers == two.found[image.key].numbers).all()
        mine, theirs = session.labels(image.key), other.labels(image.key)
        assert mine.classes == theirs.classes
        assert mine.lost == theirs.lost
        predictions, expected = session.predictions(image.key), other.predictions(image.key)
        assert (predictions is None) == (expected is None) == (one.obstacle is not None)
        if predictions is not None:
            assert (predictions.probabilities == expected.probabilities).all()
    assert one.is_classified == two.is_classified == (one.obstacle is None)
    assert one.is_judged == two.is_judged
    assert session.uncertain(5) == other.uncertain(5)
    if one.is_judged and one.judgement.result is not None:
        assert (one.judgement.result.evaluation.confusion == two.judgement.result.evaluation.confusion).all()


@pytest.mark.parametrize("seed", range(8))
def test_any_order_of_changes_ends_as_if_all_were_done_at_once(seed):
    events = AnyOrder(seed)
    events.run(40)
    assert not [fault for fault in events.owner.faults if fault is not None]
    check_same(events.session, fresh(events.session))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8, 60))
def test_any_order_of_many_changes(seed):
    events = AnyOrder(seed)
    events.run(100)
    check_same(events.session, fresh(events.session))
