from queue import Queue
from threading import Event, Thread

import pytest

from objclass.errors import TerminatedError
from objclass.session.courtesy import CourteousStop

PATIENCE = 60
"""Seconds to wait for what other threads do, on a machine that has much else to do."""


def test_the_work_waits_until_its_owner_has_time(monkeypatch):
    monkeypatch.setattr("objclass.session.courtesy.PATIENCE", PATIENCE)
    posts, passed = Queue(), Event()
    stop = CourteousStop(posts.put)
    worker = Thread(target=lambda: (stop.check(), passed.set()), daemon=True)
    worker.start()
    come_back = posts.get(timeout=PATIENCE)
    assert not passed.wait(0.01)
    come_back()
    assert passed.wait(PATIENCE)


def test_the_work_does_not_wait_again_for_an_owner_that_has_not_come_back(monkeypatch):
    monkeypatch.setattr("objclass.session.courtesy.PATIENCE", 0.001)
    posts = Queue()
    stop = CourteousStop(posts.put)
    for _ in range(3):
        stop.check()
    assert posts.qsize() == 1
    posts.get()()
    stop.check()
    assert posts.qsize() == 1


def test_who_is_asked_to_stop_while_it_waits_stops():
    stop = CourteousStop(lambda come_back: (stop.ask(), come_back()))
    with pytest.raises(TerminatedError):
        stop.check()
