"""What the first click needs is loaded before it comes."""

import sys
from importlib import import_module

import numpy as np

from objclass.descent import descents
from objclass.errors import Stop
from objclass.session import painting
from objclass.session.bounds import bounding
from objclass.session.session import Session
from objclass.session.state import SessionSettings

MODULES = ("pandas", "scipy.stats", "sklearn.tree")
"""The libraries that take longest to load, one after the other, so that loading can be stopped between them."""

SIDE = 64
"""Pixels along the image of the first session, which has an object in each square of 16."""

TREES = 4
"""Trees of its forests: a few load the same code as many."""


def warm_up(stop: Stop) -> None:
    """Load libraries and compiled code by working on a small session; do nothing if they are loaded.

    Raises
    ------
    TerminatedError
        If asked to end.
    """
    if MODULES[-1] in sys.modules:
        return
    painting.load()  # first, as the layers that a window opens with need it
    for name in MODULES:
        stop.check()
        import_module(name)
    for kernel in (bounding, descents):
        kernel.choose(sys.maxsize)
    session = small_session()
    for finding in session.work(stop=stop):
        session.accept(finding)
    session.evaluate(stop)


def small_session() -> Session:
    """A session with objects of two classes, all labelled."""
    session = Session(SessionSettings(trees=TREES))
    y, x = np.indices((SIDE, SIDE)) % 16
    objects = ((y < 8) & (x < 8)).astype(np.uint8)
    rows = np.arange(SIDE, dtype=np.uint8)[:, None] * np.ones(SIDE, np.uint8)
    key = session.add_image(rows, objects, raw_axes="yx", axes="yx")
    for finding in session.work():
        session.accept(finding)
    numbers = range(1, session.state.found[key].count + 1)
    for start in (0, 1):
        session.label(key, numbers[start::2], session.add_class())
    return session
