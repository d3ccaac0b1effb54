"""How a big image is cut: into slabs of whole planes or rows, in scan order.

A slab is a stretch along z (or along y where there is one plane), so that the voxels of the slabs,
one slab after the other, come in the order of the whole image (C order of z, y, x).
"""

from collections.abc import Iterator
from dataclasses import dataclass

VOXELS = 1 << 22
"""Voxels of a slab where nothing else is said: below 0.5 GB of working memory."""


@dataclass(frozen=True)
class Slab:
    """Part of a time step: ``start`` to ``stop`` along ``axis`` (0: z, 1: y)."""

    axis: int
    start: int
    stop: int

    @property
    def origin(self) -> tuple[int, int, int]:
        """Coordinates (z, y, x) of the first voxel."""
        return (self.start, 0, 0) if self.axis == 0 else (0, self.start, 0)

    def within(self, shape: tuple[int, int, int]) -> tuple[slice, slice, slice]:
        """Its slices (z, y, x)."""
        whole = [slice(0, n) for n in shape]
        whole[self.axis] = slice(self.start, self.stop)
        return whole[0], whole[1], whole[2]


def slabs(shape: tuple[int, int, int], voxels: int = VOXELS) -> Iterator[Slab]:
    """Cut (z, y, x) into slabs of at most ``voxels`` voxels, each at least one row or plane.

    Examples
    --------
    >>> [slab.origin for slab in slabs((1, 5, 10), voxels=20)]
    [(0, 0, 0), (0, 2, 0), (0, 4, 0)]
    """
    z, y, x = shape
    axis, length, layer = (0, z, y * x) if z > 1 else (1, y, x)
    step = max(voxels // max(layer, 1), 1)
    for start in range(0, length, step):
        yield Slab(axis, start, min(start + step, length))
