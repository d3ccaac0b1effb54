"""The components of one time step with their sizes."""

from math import prod

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import AnyArray, IntArray, Objects
from objclass.segmentation.components import Components, numbered
from objclass.segmentation.label_store import label_image
from objclass.settings import ThresholdSettings


class SizedComponents:
    """The components of one time step, added slab by slab, and their sizes where there are size limits."""

    def __init__(self, shape: tuple[int, int, int], context: Context) -> None:
        self.cut = context.limits.slabs(shape)
        self.shape = shape
        self.work = prod(shape) * context.limits.images
        """Number of voxels that the run labels."""
        self.labels = label_image(shape, self.cut, context)
        self.components = Components(self.labels, self.cut)
        self._sizes: list[IntArray] = []

    def add(self, part: Objects, values: AnyArray | None = None, sizes: IntArray | None = None) -> None:
        """Add the next slab, whose labels are already written."""
        self.components.add(part.labels, part.count, values)
        if sizes is not None:
            self._sizes.append(sizes)

    def kept(self, root: IntArray, settings: ThresholdSettings) -> NDArray[np.bool_]:
        """For each root, whether the size of its component is within the limits."""
        if not self._sizes:
            return np.ones(len(root), bool)
        sizes = np.bincount(root, np.concatenate(self._sizes), len(root))
        smallest, largest = settings.limits
        return (sizes >= smallest) & (sizes <= largest)

    def objects(self, root: IntArray, kept: NDArray[np.bool_]) -> Objects:
        """The objects: the kept components, numbered."""
        ids, count = numbered(kept, root)
        return Objects(self.labels.finish(self.components.tables(ids)), count)
