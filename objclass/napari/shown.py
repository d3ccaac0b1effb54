"""The objects that are shown: what lies at a position in the world, and where an object lies."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from napari.layers import Layer
from numpy.typing import ArrayLike, NDArray

from objclass.core import FloatArray
from objclass.session.images import FoundObjects


@dataclass(frozen=True, eq=False)
class ShownObjects:
    """The objects of an image as layers show them.

    Parameters
    ----------
    found
        The objects.
    axes
        The axes that they are shown with, of ``"tzyx"``.
    layer
        One that shows them.
    """

    found: FoundObjects
    axes: str
    layer: Layer

    @cached_property
    def numbers(self) -> NDArray[np.uint32]:
        """The number of the object of each voxel, with the axes that are shown."""
        order = ["tzyx".index(axis) for axis in self.axes]
        absent = [k for k in range(4) if k not in order]
        turned = self.found.numbers.transpose(*order, *absent)
        return turned.reshape(turned.shape[: len(order)])

    def between(self, start: ArrayLike, end: ArrayLike) -> list[int]:
        """The numbers of the objects on the line between two positions in the world, in their order."""
        return self._along(self._voxel(start), self._voxel(end))

    def behind(self, position: ArrayLike, direction: ArrayLike) -> list[int]:
        """The numbers of the objects on a ray through a position in the world, the nearest one first."""
        start = self._voxel(position)
        step = self._voxel(np.add(position, direction)) - start
        moves = np.flatnonzero(step)
        sides = np.stack([np.full(len(moves), -0.5), np.array(self.numbers.shape)[moves] - 0.5])
        times = np.sort((sides - start[moves]) / step[moves], axis=0)
        enter, leave = times[0].max(), times[1].min()
        return self._along(start + enter * step, start + leave * step) if enter < leave else []

    def center(self, number: int, ndisplay: int) -> FloatArray:
        """The position in the world of an object: its center along the last axes, and along the others the largest part.

        Parameters
        ----------
        number
            The object.
        ndisplay
            Number of axes that the viewer displays.
        """
        box, mask = self._cut(number)
        hidden = tuple(range(len(box)))[:-ndisplay]
        place = np.array([(part.start + part.stop - 1) / 2 for part in box])
        for axis in hidden:
            others = tuple(k for k in range(mask.ndim) if k != axis)
            place[axis] = box[axis].start + mask.sum(axis=others).argmax()
        return self._world(place)

    def extent(self, number: int, ndisplay: int) -> float:
        """The length in the world of an object, along the longest of the last axes."""
        box, _ = self._cut(number)
        ends = [self._world([getattr(part, side) for part in box]) for side in ("start", "stop")]
        return float(np.abs(ends[1] - ends[0])[-ndisplay:].max())

    def _cut(self, number: int) -> tuple[tuple[slice, ...], NDArray[np.bool_]]:
        """Where an object lies, and its voxels there."""
        whole = self.found.box(number)
        box = tuple(whole["tzyx".index(axis)] for axis in self.axes)
        return box, self.numbers[box] == number

    def _voxel(self, position: ArrayLike) -> FloatArray:
        return np.asarray(self.layer.world_to_data(position), float)

    def _world(self, voxel: ArrayLike) -> FloatArray:
        return np.asarray(self.layer.data_to_world(voxel), float)

    def _along(self, start: FloatArray, end: FloatArray) -> list[int]:
        """The numbers of the objects on a line between two places among the voxels."""
        steps = int(np.ceil(2 * np.abs(end - start).max())) + 1
        points = np.rint(np.linspace(start, end, steps)).astype(int)
        is_inside = ((points >= 0) & (points < self.numbers.shape)).all(axis=1)
        met = self.numbers[tuple(points[is_inside].T)]
        return [number for number in dict.fromkeys(met.tolist()) if number]
