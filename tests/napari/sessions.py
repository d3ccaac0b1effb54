"""A small session for tests of widgets."""

from contextlib import contextmanager
from functools import cache

import numpy as np

from objclass.session import Session
from objclass.session.state import SessionSettings
from objclass.settings import ResourceSettings
from tests.napari.events import process, wait_until

FEATURES = ("Standard Object Features:Mean", "Standard Object Features:Count")


def grid(rows=8, columns=8, seed=0):
    """Raw data and label image of squares: brighter to the right, larger to the bottom."""
    ids, raw = np.zeros((10 * rows, 10 * columns), np.uint16), np.zeros((10 * rows, 10 * columns), np.uint8)
    noise = np.random.default_rng(seed).integers(0, 10, (rows, columns))
    for y, x in np.ndindex(rows, columns):
        box = np.s_[10 * y : 10 * y + 3 + 5 * y // rows, 10 * x : 10 * x + 6]
        ids[box] = columns * y + x + 1
        raw[box] = 20 + 200 * x // columns + noise[y, x]
    return raw, ids


def labelled_session(images=1):
    """Images of 64 objects each, some of which are labelled dark or bright; all are classified."""
    return Session.of(labelled_state(images), ResourceSettings())


@cache
def labelled_state(images):
    """The state of such a session."""
    session = Session(SessionSettings(FEATURES, trees=10))
    session.add_class("dark")
    session.add_class("bright")
    for number in range(images):
        raw, ids = grid(seed=number)
        session.add_image(raw, label_image=ids, name=f"image {images - number}")
    session.update()
    for image in session.state.images:
        session.label(image.key, [1, 2, 9, 33], 1)
        session.label(image.key, [7, 8, 16, 64], 2)
    session.update()
    return session.state


def wait_for_work(controller):
    """Have the work in the background done."""
    wait_until(lambda: not controller.live.is_busy, 60)


@contextmanager
def shown_dock(make, size):
    """A dock in a window of its own, with a session whose objects are classified; ``make`` takes the controller."""
    from qtpy.QtWidgets import QApplication

    from objclass.napari.controller import Controller

    _ = QApplication.instance() or QApplication([])
    controller = Controller(labelled_session())
    controller.live.evaluates = False
    dock = make(controller)
    dock.resize(*size)
    dock.show()
    wait_for_work(controller)
    yield dock
    controller.close()
    dock.close()
    dock.deleteLater()
    process()
