"""Numbers of each object from a crop of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, FloatArray
from objclass.features.statistics.extent import Extent
from objclass.features.statistics.kinds import Statistic


@dataclass(frozen=True)
class Crop:
    """One object whole.

    ``mask`` is True on the object, axes y, x or z, y, x; ``raw`` has these axes and the channel, or
    is None without raw data. ``origin`` are the coordinates of its first voxel in the same order;
    ``spacing`` the extents of a voxel.
    """

    mask: NDArray[np.bool_]
    raw: AnyArray | None
    origin: tuple[int, ...]
    spacing: tuple[float, ...]
    total: int = 0
    """Voxels of the crops of all objects of the time step."""

    @cached_property
    def quads(self) -> NDArray[np.intp]:
        """How often each pattern of 2 × 2 pixels occurs (16,), in 2D, counting those beyond the border.

        The numbers of patterns are sums of 1 (top left), 2 (top right), 4 and 8 (bottom).
        """
        height, width = self.mask.shape
        pixels = np.zeros((height + 2, width + 2), np.uint8)
        pixels[1:-1, 1:-1] = self.mask
        pairs = pixels[:, :-1] + 2 * pixels[:, 1:]
        return np.bincount((pairs[:-1] + 4 * pairs[1:]).ravel(), minlength=16)


@dataclass(frozen=True)
class PerObject(Statistic):
    """Numbers of each object from a crop of it: ``numbers`` has shape (objects, k)."""

    numbers: FloatArray
    reach: ClassVar[int] = 0
    voxel_bytes: ClassVar[int] = 16
    """Working memory of `of` for a voxel of the crop (and each channel, where it looks at ``pixels``), as measured
    for balls and sponges."""

    @classmethod
    def of(cls, crop: Crop) -> Sequence[float]:
        """The numbers of one object."""
        raise NotImplementedError

    @classmethod
    def of_all(cls, frame: Any, extent: "Extent") -> FloatArray | None:
        """The numbers of all objects of a `Frame`, where that is faster than one by one; else None."""
        return None

    @classmethod
    def width(cls, ndim: int, channels: int) -> int:
        """How many numbers `of` returns."""
        raise NotImplementedError
