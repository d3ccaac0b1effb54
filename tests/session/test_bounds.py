import numpy as np
import pytest
from scipy.ndimage import find_objects

from objclass.session import bounds
from objclass.session.bounds import bounds_of


@pytest.mark.parametrize("is_compiled", [True, False])
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 30, 40), (9, 10, 11)])
def test_bounds_hold_all_voxels_and_no_plane_more(monkeypatch, shape, is_compiled):
    monkeypatch.setattr(
        type(bounds.bounding), "choose", lambda kernel, _: kernel.compiled if is_compiled else None
    )
    labels = np.random.default_rng(0).integers(0, 5, shape).astype(np.uint32)
    labels = np.unique(labels, return_inverse=True)[1].reshape(shape).astype(np.uint32)
    labels[labels > 0] = np.unique(labels[labels > 0], return_inverse=True)[1] + 1
    found = bounds_of(labels, int(labels.max()))
    expected = [[(part.start, part.stop) for part in box] for box in find_objects(labels)]
    assert found.shape == (len(expected), 3, 2)
    assert found.tolist() == [[list(part) for part in box] for box in expected]


def test_other_orders_in_memory_and_no_objects():
    labels = np.zeros((4, 5, 6), np.uint32)
    assert bounds_of(labels, 0).shape == (0, 3, 2)
    labels[1:3, 2, 4:] = 1
    for turned in (labels, np.asfortranarray(labels)):
        assert bounds_of(turned, 1).tolist() == [[[1, 3], [2, 3], [4, 6]]]
