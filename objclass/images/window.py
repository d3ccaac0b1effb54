"""A part of one time step of an image as an image of its own."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from objclass.compute.slabs import Box, Slab
from objclass.core import AXES, AnyArray, Image


@dataclass(frozen=True)
class Window:
    """A box (z, y, x) of one time step of an image, in the order of `AXES`.

    Parameters
    ----------
    image
        The image.
    t
        The time step.
    box
        The part of it.
    """

    image: Image
    t: int
    box: Box

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of t, z, y, x, c."""
        return (1, *(part.stop - part.start for part in self.box), self.image.shape[4])

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        return self.image.dtype

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Lengths of the pieces that are packed together, if there are such."""
        lengths = getattr(self.image.stored, "chunks", None)
        if lengths is None:
            return None
        by_axis = dict(zip(self.image.axes, lengths, strict=True))
        return tuple(by_axis.get(axis, 1) for axis in AXES)

    @property
    def is_plain(self) -> bool:
        """Whether slabs are quick to read."""
        in_order = self.image.axes == "".join(sorted(self.image.axes, key=AXES.index))
        return in_order and getattr(self.image.stored, "is_plain", False)

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region."""
        z, y, x = (shifted(part, own.start) for part, own in zip(region[1:4], self.box, strict=True))
        return self.image.read((slice(self.t, self.t + 1), z, y, x, region[4]))


def window(image: Image, t: int, box: Box) -> Image:
    """A box (z, y, x) of one time step as an image of one time step, with the name and the range of the image."""
    return replace(image, stored=Window(image, t, box), axes=AXES)


def within(box: Box, whole: Box) -> Box:
    """The box, counted from the first voxel of another one."""
    z, y, x = (
        slice(part.start - own.start, part.stop - own.start) for part, own in zip(box, whole, strict=True)
    )
    return z, y, x


def is_within(box: Box, whole: Box) -> bool:
    """Whether a box has no voxel outside of another one."""
    return all(
        own.start <= part.start and part.stop <= own.stop for part, own in zip(box, whole, strict=True)
    )


def common(a: Box, b: Box) -> Box:
    """The box that is in both; without voxels if there is none."""
    starts = [max(s.start, t.start) for s, t in zip(a, b, strict=True)]
    z, y, x = (
        slice(start, max(start, min(s.stop, t.stop))) for start, s, t in zip(starts, a, b, strict=True)
    )
    return z, y, x


def placed(box: Box, slab: Slab) -> Box:
    """The box, which counts from the first voxel of a slab, counted from that of the time step."""
    z, y, x = box
    return shifted(z, slab.z), shifted(y, slab.y), x


def shifted(part: slice, start: int) -> slice:
    """The slice, which counts from ``start``, counted from 0."""
    return slice(part.start + start, part.stop + start)
