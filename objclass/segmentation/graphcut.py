"""Graph cut: the segmentation of minimum cost, which depends on each voxel and on pairs of neighbours.

A voxel of value p costs 1 - p inside and p outside, and each pair of direct neighbours on different
sides costs beta more. The minimum of the sum is the minimum cut of a graph (Greig, Porteous and Seheult 1989),
here by `scipy.sparse.csgraph.maximum_flow`, whose capacities are integers: costs are rounded to
2**-20. Of several segmentations of the same cost it is the one with the fewest voxels inside.
"""

import numpy as np
from numpy.typing import NDArray

from objclass.core import FloatArray

UNIT = 1 << 20
"""Capacity that represents a cost of 1."""


def minimum_cut(values: FloatArray, beta: float) -> NDArray[np.bool_]:
    """True inside (z, y, x); a voxel without neighbours would be inside where ``values`` are above 0.5.

    The whole graph is in memory, about 200 bytes a voxel.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    count = values.size
    source, sink = count, count + 1
    # the gain of a voxel inside (or, below 0, outside); a capacity has 31 bits
    gain = np.rint(np.clip(2 * values.ravel().astype(float) - 1, -1000, 1000) * UNIT).astype(np.int64)
    inside, outside = np.flatnonzero(gain > 0), np.flatnonzero(gain < 0)
    pairs = _neighbours(values.shape)
    tails = np.concatenate([pairs[0], pairs[1], np.full(len(inside), source), outside])
    heads = np.concatenate([pairs[1], pairs[0], inside, np.full(len(outside), sink)])
    nodes = (
        tails.astype(np.int32),
        heads.astype(np.int32),
    )  # the only type that older versions of scipy accept
    shared = np.full(2 * len(pairs[0]), round(beta * UNIT))
    capacities = np.concatenate([shared, gain[inside], -gain[outside]]).astype(np.int32)
    graph = csr_array((capacities, nodes), shape=(count + 2, count + 2))
    left = graph - maximum_flow(graph, source, sink).flow
    left.data = (left.data > 0).astype(np.int8)
    left.eliminate_zeros()
    reached = np.zeros(count + 2, bool)
    reached[breadth_first_order(left, source, return_predecessors=False)] = True
    return reached[:count].reshape(values.shape)


def _neighbours(shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Flat indices of all pairs of direct neighbours, shape (2, pairs)."""
    index = np.arange(int(np.prod(shape))).reshape(shape)
    pairs = [
        np.stack([np.delete(index, -1, axis).ravel(), np.delete(index, 0, axis).ravel()])
        for axis in range(len(shape))
    ]
    return np.concatenate(pairs, axis=1)
