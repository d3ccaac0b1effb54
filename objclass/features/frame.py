"""One time step to measure."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from objclass.compute.context import Context
from objclass.compute.slabs import Box
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
        Its objects.
    read_raw
        Reads raw pixels; None without raw data.
    channels
        Of the raw data.
    spacing
        Extents of a voxel, (y, x) or (z, y, x).
    margin
        Neighbourhood in pixels along x, y(, z).
    context
        Of the run: memory, blocks and threads.
    """

    objects: Objects
    read_raw: ReadRaw | None
    channels: int
    spacing: tuple[float, ...]
    margin: tuple[int, ...] = ()
    context: Context = field(default_factory=Context)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Lengths of z, y, x."""
        z, y, x = self.objects.labels.shape
        return z, y, x

    def fitting_box(self, low: IntArray, high: IntArray, row: int, voxel_bytes: int) -> Box:
        """The region from ``low`` to ``high`` (exclusive; x, y(, z)) that is wanted for an object.

        Raises
        ------
        LaneError
            If it is more than the limits allow to be worked on at once.
        """
        self.check_boxes(low[None], high[None], voxel_bytes, row)
        return box_of(low, high)

    def check_boxes(self, low: IntArray, high: IntArray, voxel_bytes: int, first: int = 0) -> None:
        """Look whether each region (n, d) can be worked on; ``first`` is the row of the first one's object.

        Raises
        ------
        LaneError
            If the limits do not allow ``voxel_bytes`` for each of its voxels.
        """
        needed = np.prod(high - low, axis=1) * voxel_bytes
        most = self.context.limits.memory
        if most is None or not (needed > most).any():
            return
        row = int(np.argmax(needed > most))
        ends = zip("xyz", low[row], high[row], strict=False)
        message = (
            f"object {first + row + 1} is needed whole, {', '.join(f'{a} {b} to {e}' for a, b, e in ends)}: "
            f"about {needed[row] / 1e9:.2g} GB, {most / 1e9:.2g} GB are left for it: raise --max_memory, or "
            "leave out features of shape and neighbourhood"
        )
        raise LaneError(message)
