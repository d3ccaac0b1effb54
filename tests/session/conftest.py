"""Sessions on small images whose objects are known."""

import numpy as np
import pytest

from objclass.session import Session
from objclass.session.state import SessionSettings
from objclass.settings import ResourceSettings

RESOURCES = ResourceSettings(jobs=1)


def squares(rows=6, columns=6, first=1):
    """A label image of squares, and raw data in which every other one is brighter, and none like another."""
    numbers = np.arange(first, rows * columns + first).reshape(rows, columns)
    labels = np.zeros((8 * rows, 8 * columns), np.uint32)
    raw = np.zeros(labels.shape, np.uint8)
    for (row, column), number in np.ndenumerate(numbers):
        inside = slice(8 * row + 1, 8 * row + 7), slice(8 * column + 1, 8 * column + 6)
        labels[inside] = number
        raw[inside] = (30, 150)[number % 2] + number
    return labels, raw


@pytest.fixture
def session():
    """36 objects, those of odd numbers are bright; two classes, no labels."""
    labels, raw = squares()
    session = Session(SessionSettings(trees=10), RESOURCES)
    session.add_image(raw, label_image=labels, name="squares")
    session.add_class("bright")
    session.add_class("dark")
    session.update()
    return session


@pytest.fixture
def trained(session):
    """With three labels of each class."""
    for number in range(1, 7):
        session.label(0, [number], 2 - number % 2)
    session.update()
    return session
