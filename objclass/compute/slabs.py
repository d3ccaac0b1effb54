"""Cut large images into slabs.

A slab is a stretch of the image in scan order (C order of z, y, x): whole planes, or whole rows of one
plane where planes are too large. The voxels of the slabs, one slab after the other, come in the order of
the whole image, so results that are folded in that order do not depend on the slabs.
"""

from collections.abc import Iterator
from dataclasses import dataclass

VOXELS = 1 << 22
"""Default number of voxels of a slab."""

VOXEL_BYTES = 32
"""Bytes of working memory for a voxel of a slab."""

Box = tuple[slice, slice, slice]
"""A part of a time step: slices with integer bounds along z, y, x."""


@dataclass(frozen=True)
class Slab:
    """Planes ``z`` to ``stop_z`` of a time step, and in these the rows ``y`` to ``stop_y``."""

    z: int
    stop_z: int
    y: int
    stop_y: int

    @property
    def origin(self) -> tuple[int, int, int]:
        """Coordinates (z, y, x) of the first voxel."""
        return self.z, self.y, 0

    def within(self, shape: tuple[int, int, int]) -> Box:
        """The slab as slices (z, y, x)."""
        return slice(self.z, self.stop_z), slice(self.y, self.stop_y), slice(0, shape[2])


def slabs(
    shape: tuple[int, int, int],
    voxels: int = VOXELS,
    block: tuple[int, int] | None = None,
    unit: tuple[int, int] = (1, 1),
) -> Iterator[Slab]:
    """Cut (z, y, x) into slabs of at most ``voxels`` voxels, or of ``block`` planes and rows.

    A slab has at least one row, and several planes only if they are whole. With ``unit``, its planes and
    rows are multiples of that.

    Examples
    --------
    >>> [slab.origin for slab in slabs((1, 5, 10), voxels=20)]
    [(0, 0, 0), (0, 2, 0), (0, 4, 0)]
    >>> [slab.origin for slab in slabs((4, 2, 3), block=(3, 2))]
    [(0, 0, 0), (3, 0, 0)]
    """
    z, y, x = shape
    unit = (1, 1) if block else unit
    planes_of_unit = min(unit[0], z)
    planes, rows = block or (voxels // (y * x), max(voxels // (x * planes_of_unit), 1))
    if planes < planes_of_unit or rows < y:
        planes, rows = planes_of_unit, max(rows // unit[1] * unit[1], min(unit[1], rows))
    else:
        planes, rows = planes // planes_of_unit * planes_of_unit, y
    for start_z in range(0, z, planes):
        for start_y in range(0, y, rows):
            yield Slab(start_z, min(start_z + planes, z), start_y, min(start_y + rows, y))
