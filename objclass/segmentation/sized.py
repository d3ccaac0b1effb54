"""The components of one time step with their sizes."""

from math import prod
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import AnyArray, IntArray, Objects
from objclass.segmentation.components import Components, numbered
from objclass.segmentation.label_store import label_image
from objclass.settings import ThresholdSettings


class Sides(NamedTuple):
    """The sides of a part of an image at which other parts follow: smaller z, larger z, smaller y, larger y."""

    above: bool
    below: bool
    before: bool
    behind: bool


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

    def sizes(self, root: IntArray) -> IntArray | None:
        """For each root, the number of voxels of its component; None where there are no size limits."""
        if not self._sizes:
            return None
        return np.bincount(root, np.concatenate(self._sizes), len(root)).astype(np.int64)

    def kept(self, root: IntArray, settings: ThresholdSettings) -> NDArray[np.bool_]:
        """For each root, whether the size of its component is within the limits."""
        return within_limits(self.sizes(root), len(root), settings)

    def at_sides(self, root: IntArray, sides: Sides) -> NDArray[np.bool_]:
        """For each root, whether its component touches one of these sides of the image."""
        found = np.zeros(len(root), bool)
        depth, height, _ = self.shape
        for number, slab in enumerate(self.cut):
            faces: list[tuple[bool, Any]] = [
                (sides.above and slab.z == 0, np.s_[0]),
                (sides.below and slab.stop_z == depth, np.s_[-1]),
                (sides.before and slab.y == 0, np.s_[:, 0]),
                (sides.behind and slab.stop_y == height, np.s_[:, -1]),
            ]
            chosen = [face for is_at_side, face in faces if is_at_side]
            labels = self.labels.plain(number) if chosen else None
            for face in chosen:
                assert labels is not None
                found[root[self.components.parts_of(number, labels[face])]] = True
        return found

    def objects(self, root: IntArray, kept: NDArray[np.bool_]) -> Objects:
        """The objects: the kept components, numbered."""
        ids, count = numbered(kept, root)
        return Objects(self.labels.finish(self.components.tables(ids)), count)


def within_limits(sizes: IntArray | None, count: int, settings: ThresholdSettings) -> NDArray[np.bool_]:
    """Whether each of so many sizes is within the limits; all are without sizes."""
    if sizes is None:
        return np.ones(count, bool)
    smallest, largest = settings.limits
    return (sizes >= smallest) & (sizes <= largest)
