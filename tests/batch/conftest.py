"""What tests of batches share."""

import pytest

from objclass.batch import task


@pytest.fixture
def broken(monkeypatch):
    """The lanes that fail."""
    run_lane, names = task.run_lane, set()

    def failing(lane, *more):
        if lane.nickname in names:
            message = "<b>a fault</b>"
            raise OSError(message)
        return run_lane(lane, *more)

    monkeypatch.setattr(task, "run_lane", failing)
    return names
