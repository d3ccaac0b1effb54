"""One time step to measure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from objclass.compute.context import Context
from objclass.compute.slabs import Box, Slab
from objclass.core import AnyArray, IntArray, Objects
from objclass.errors import LaneError
from objclass.features.geometry import box_of

ReadRaw = Callable[[tuple[slice, slice, slice]], AnyArray]
"""Region (z, y, x) of a time step -> raw pixels, axes z, y, x, c."""


@dataclass(frozen=True)
class Frame:
    """One time step to measure.

    Parameters
    ----------
    objects
        The objects of the time step.
    read_raw
        Reads raw pixels; None without raw data.
    channels
        Number of channels of the raw data.
    spacing
        Extents of a voxel, (y, x) or (z, y, x).
    margin
        Neighbourhood in pixels along x, y(, z).
    context
        The context of the run: memory, blocks and threads.
    slabs
        Where the objects are, in scan order, if that is known; None: anywhere.
    first, value_range
        Where the objects are some of a time step: how many come before them, and the smallest and the largest value
        of all; None: that of these objects.
    """

    objects: Objects
    read_raw: ReadRaw | None
    channels: int
    spacing: tuple[float, ...]
    margin: tuple[int, ...] = ()
    context: Context = field(default_factory=Context)
    slabs: Sequence[Slab] | None = None
    first: int = 0
    value_range: tuple[float, float] | None = None

    @property
    def shape(self) -> tuple[int, int, int]:
        """Lengths of z, y, x."""
        z, y, x = self.objects.labels.shape
        return z, y, x

    def fitting_box(self, low: IntArray, high: IntArray, row: int, voxel_bytes: int) -> Box:
        """The region from ``low`` to ``high`` (exclusive; x, y(, z)) that is needed for an object.

        Raises
        ------
        LaneError
            If it does not fit into the memory limit.
        """
        self.check_boxes(low[None], high[None], voxel_bytes, row)
        return box_of(low, high)

    def check_boxes(self, low: IntArray, high: IntArray, voxel_bytes: int, first: int = 0) -> None:
        """Check that each region (n, d) fits into memory; ``first`` is the row of the object of the first one.

        Raises
        ------
        LaneError
            If the limits do not allow ``voxel_bytes`` for each of its voxels.
        """
        needed = np.prod(high - low, axis=1) * voxel_bytes
        available = self.context.limits.memory
        if available is None or not (needed > available).any():
            return
        row = int(np.argmax(needed > available))
        ends = zip("xyz", low[row], high[row], strict=False)
        message = (
            f"object {self.first + first + row + 1} must be in memory as a whole, {', '.join(f'{a} {b} to {e}' for a, b, e in ends)}: "
            f"about {needed[row] / 1e9:.2g} GB, {available / 1e9:.2g} GB are left: raise --max_memory, or "
            "leave out features of shape and neighbourhood"
        )
        raise LaneError(message)
