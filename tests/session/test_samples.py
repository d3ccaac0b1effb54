"""Synthetic images: those of the repository, and a time series whose cells stay apart."""

import numpy as np
import tifffile

from objclass.session.samples import field, series, stack
from tests.conftest import SAMPLES


def test_they_are_the_sample_data():
    assert np.array_equal(field(60, 7)[0], tifffile.imread(SAMPLES / "cells.tif"))
    assert np.array_equal(stack(24, 4)[0], tifffile.imread(SAMPLES / "spots3d.tif"))


def test_cells_of_the_series_move_and_stay_whole():
    raw, labels = series()
    again, _ = series()
    assert np.array_equal(raw, again)
    sizes = np.stack([np.bincount(step.ravel())[1:] for step in labels])
    assert sizes.shape == (6, 25)
    assert (sizes.max(axis=0) < 1.2 * sizes.min(axis=0)).all()  # none is cut off by its neighbour
    assert not np.array_equal(labels[0], labels[-1])
