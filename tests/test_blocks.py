"""How an image is cut: every voxel once, in scan order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from objclass.blocks import slabs

shapes = st.tuples(st.integers(1, 5), st.integers(1, 9), st.integers(1, 9))


@given(shapes, st.integers(1, 200))
def test_slabs_are_the_image_in_scan_order(shape, voxels):
    whole = np.arange(np.prod(shape)).reshape(shape)
    cut = list(slabs(shape, voxels))
    parts = [whole[slab.within(shape)] for slab in cut]
    assert np.array_equal(np.concatenate([part.ravel() for part in parts]), whole.ravel())
    for slab, part in zip(cut, parts, strict=True):
        assert part.ravel()[0] == whole[slab.origin]
        assert part.size <= max(voxels, whole.size // max(shape[0] if shape[0] > 1 else shape[1], 1))
