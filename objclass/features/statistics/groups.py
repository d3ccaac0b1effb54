"""Numbers of many objects at once, from a box that holds them."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, FloatArray, IntArray
from objclass.features.frame import Frame
from objclass.features.geometry import batches, together
from objclass.features.statistics.extent import Extent
from objclass.features.statistics.per_object import PerObject
from objclass.features.voxels import Block, Voxels

BOX = 1 << 20
"""Voxels of the box of a group at most, unless an object alone has more."""

OBJECTS = 4096
"""Objects of a group at most."""

BYTES = 1 << 28
"""Working memory of all groups that are measured at the same time, unless an object alone takes more."""

Direction = tuple[int, ...]
"""Steps along (z,) y, x."""


def directions(ndim: int) -> list[Direction]:
    """One of each two opposite directions to the direct and diagonal neighbours: 4 in 2D, 13 in 3D.

    Examples
    --------
    >>> directions(2)
    [(0, 1), (1, -1), (1, 0), (1, 1)]
    """
    return [step for step in product((-1, 0, 1), repeat=ndim) if step > (0,) * ndim]


@dataclass(frozen=True)
class Group:
    """The voxels of some objects, and their places in a flat image of a box with a margin of background.

    Parameters
    ----------
    voxels
        The voxels, grouped by object.
    places
        Index of each voxel in the flat image (v,).
    shape
        Lengths of the box with its margin, (z,) y, x.
    """

    voxels: Voxels
    places: IntArray
    shape: tuple[int, ...]

    @property
    def strides(self) -> tuple[int, ...]:
        """Steps in the flat image along (z,) y, x."""
        return strides(self.shape)

    @cached_property
    def own(self) -> NDArray[np.uint32]:
        """Number (from 1) of the object of each voxel."""
        return (self.voxels.rows + 1).astype(np.uint32)

    @cached_property
    def objects(self) -> NDArray[np.uint32]:
        """The flat image of these numbers; 0 is background."""
        return self.image(self.own)

    def image(self, values: AnyArray) -> AnyArray:
        """A flat image of numbers of the voxels (v,), 0 elsewhere."""
        image = np.zeros(math.prod(self.shape), values.dtype)
        image[self.places] = values
        return image

    def neighbours(self, direction: Direction, distance: int = 1) -> tuple[IntArray, NDArray[np.bool_]]:
        """Place of the neighbour of each voxel, and whether it belongs to the same object.

        ``distance`` steps in this direction must not leave the margin.
        """
        places = self.places + distance * sum(map(int.__mul__, direction, self.strides))
        return places, self.objects[places] == self.own

    def channel(self, c: int) -> "Group":
        """The voxels whose value in one channel is finite, with this channel alone as float64."""
        values = self.voxels.raw[[c]].astype(np.float64)
        finite = np.isfinite(values[0])
        voxels = replace(self.voxels, raw=values)
        if finite.all():
            return replace(self, voxels=voxels)
        positions = tuple(p[finite] for p in voxels.positions)
        voxels = replace(voxels, rows=voxels.rows[finite], raw=values[:, finite], positions=positions)
        return replace(self, voxels=voxels, places=self.places[finite])


class PerGroup(PerObject):
    """Numbers of each object that are computed of many objects at once.

    Those of the same name, of all channels (or pairs of channels), are columns of ``numbers`` side by side.
    """

    names: ClassVar[tuple[str, ...]]
    margin: ClassVar[int] = 1
    """How far `of_group` looks at neighbours."""
    voxel_bytes: ClassVar[int] = 100
    channel_bytes: ClassVar[int] = 8
    """Working memory of `of_group` for a voxel of the box, and for each channel of it, as measured for full boxes."""

    @classmethod
    def of_group(cls, group: Group) -> FloatArray:
        """The numbers of the objects of a group (n, k), each of its own voxels only."""
        raise NotImplementedError

    @classmethod
    def of_all(cls, frame: Frame, extent: Extent) -> FloatArray:
        """The numbers of all objects, group by group; threads share the groups."""
        low, high = extent.low, extent.high + 1
        voxel_bytes = cls.voxel_bytes + cls.channel_bytes * frame.channels
        frame.check_boxes(low, high, voxel_bytes)
        limits = frame.context.limits
        box = min(BOX, limits.share(BYTES) // (voxel_bytes * limits.jobs))
        rows = [part for whole in batches(low, high, box) for part in _parts(whole)]

        def measure(rows: range) -> FloatArray:
            group = read_group(frame, low[rows], high[rows], rows, cls)
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # pixels may be anything
                return cls.of_group(group)

        numbers = np.zeros((len(low), cls.width(frame.objects.ndim, frame.channels)))
        for part, found in zip(rows, frame.context.ordered(measure, rows), strict=True):
            numbers[part] = found
        return numbers

    @classmethod
    def width(cls, ndim: int, channels: int) -> int:
        """All names, for each channel."""
        return len(cls.names) * channels

    def named(self, name: str) -> FloatArray:
        """The numbers of that name (n, channels or pairs)."""
        width = self.numbers.shape[1] // len(self.names)
        first = self.names.index(name) * width
        return self.numbers[:, first : first + width]


class PerChannel(PerGroup):
    """Numbers of each object that are computed in each channel alone."""

    @classmethod
    def of_channel(cls, group: Group) -> FloatArray:
        """The numbers (n, names) of the objects of a group in its only channel."""
        raise NotImplementedError

    @classmethod
    def of_group(cls, group: Group) -> FloatArray:
        """The numbers of all channels."""
        found = [cls.of_channel(group.channel(c)) for c in range(len(group.voxels.raw))]
        return np.stack(found, axis=2).reshape(group.voxels.count, -1)


def _parts(rows: range) -> Iterator[range]:
    return (rows[start : start + OBJECTS] for start in range(0, len(rows), OBJECTS))


def read_group(frame: Frame, low: IntArray, high: IntArray, rows: range, kind: type[PerGroup]) -> Group:
    """The objects ``rows`` (from 0), which lie from ``low`` to ``high`` (exclusive; n, d)."""
    _, box = together(low, high)
    labels = np.asarray(frame.objects.labels[box]) - np.uint32(rows.start)  # lower ids wrap to high ones
    labels[labels > len(rows)] = 0
    if kind.pixels and frame.read_raw is not None:
        raw = frame.read_raw(box)
    else:
        raw = np.zeros((*labels.shape, 0), np.uint8)
    return group_of(
        Block(labels, raw, (0, 0, 0), len(rows), 0, frame.objects.ndim, frame.spacing), kind.margin
    )


def group_of(block: Block, margin: int) -> Group:
    """The voxels of a block with so many voxels of background around it."""
    shape = tuple(n + 2 * margin for n in block.labels.shape[-block.ndim :])
    positions = block.voxels.positions[::-1]
    places = [(p + margin) * step for p, step in zip(positions, strides(shape), strict=True)]
    return Group(block.voxels, np.add.reduce(places), shape)


def strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Steps along each axis of a flat image of this shape.

    Examples
    --------
    >>> strides((2, 3, 4))
    (12, 4, 1)
    """
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
