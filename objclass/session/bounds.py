"""Where the objects of a label image lie."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import find_objects

from objclass.compute.kernels import Kernel
from objclass.core import IntArray


def bounds_of(labels: NDArray[np.uint32], count: int) -> IntArray:
    """Start and end of each object along z, y and x, shape (count, 3, 2).

    Compiled, it makes no small objects of Python, which scipy does: its garbage collector looks at each of them again
    and again, and holds the window meanwhile.

    Parameters
    ----------
    labels
        A label image, axes z, y, x, where each label from 1 to ``count`` occurs.
    """
    compiled = bounding.choose(labels.size)
    if not compiled:
        found = [[(part.start, part.stop) for part in box] for box in find_objects(labels.view(np.int32))]
        return np.array(found, np.int64).reshape(count, 3, 2)
    bounds = np.zeros((count, 3, 2), np.int64)
    bounds[:, :, 0] = np.iinfo(np.int64).max
    compiled(bounds.ravel(), np.ascontiguousarray(labels).ravel(), count, *labels.shape)
    return bounds


def find_bounds(
    bounds: NDArray[np.int64], labels: NDArray[np.uint32], count: int, depth: int, height: int, width: int
) -> None:
    """Widen the bounds of each object so that all of its voxels lie in them."""
    for z in range(depth):
        for y in range(height):
            for x in range(width):
                label = int(labels[(z * height + y) * width + x])
                if label == 0 or label > count:
                    continue
                place = (label - 1) * 6
                for k, v in enumerate((z, y, x)):
                    bounds[place + 2 * k] = min(bounds[place + 2 * k], v)
                    bounds[place + 2 * k + 1] = max(bounds[place + 2 * k + 1], v + 1)


def _lengths(_: Any, __: Any, count: int, depth: int, height: int, width: int) -> dict[str, int]:
    return {"bounds": count * 6, "labels": depth * height * width}


bounding = Kernel(find_bounds, repays_loading=1_000_000, repays_compiling=100_000_000, lengths=_lengths)
