"""Values painted over label images."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.kernels import Kernels
from objclass.compute.slabs import Box
from objclass.core import AXES, AnyArray, Predictions

PIECE = 1 << 15
"""Voxels that are painted together, in all channels."""

Paint = Callable[[NDArray[np.uint32]], AnyArray]
"""Labels of a box (z, y, x) -> a result image of it (z, y, x, c)."""


def painter(source: str, predictions: Predictions | None, axes: str = AXES) -> Paint:
    """What paints the boxes of a result image of one time step; background is 0.

    Parameters
    ----------
    source
        Name of the result image.
    predictions
        Of all objects of the time step; may be None for identities.
    axes
        The order in which pixels are to lie in memory, such as that of the file: `from_canonical` then
        has nothing to move.
    """
    if source == "Object Identities":
        return lambda labels: labels[..., None]
    if predictions is None:
        message = f"{source} without predictions"
        raise ValueError(message)
    values = predictions.classes[:, None] if source == "Object Predictions" else predictions.probabilities
    lut = np.ascontiguousarray(np.pad(values, ((1, 0), (0, 0))).T)
    return lambda labels: paint(labels, lut, axes)


def paint(labels: NDArray[np.unsignedinteger[Any]], lut: AnyArray, axes: str = AXES) -> AnyArray:
    """Look up the values of labels, axes z, y, x, c.

    Parameters
    ----------
    labels
        A box of a label image, axes z, y, x.
    lut
        Value of each label in each channel, uint8 or float32, shape (channels, labels).
    axes
        The order in which pixels are to lie in memory.

    Raises
    ------
    IndexError
        If there is a label that the table lacks.
    """
    order = [axis for axis in AXES[1:] if axis not in axes] + [axis for axis in axes if axis != "t"]
    lengths = dict(zip(AXES[1:], (*labels.shape, len(lut)), strict=True))
    stored = np.empty([lengths[axis] for axis in order], lut.dtype)
    image = stored.transpose([order.index(axis) for axis in AXES[1:]])
    compiled = kernels[lut.dtype.name].choose(image.size)
    if compiled:
        _check_labels(labels, lut)
        steps = [stride // image.itemsize for stride in image.strides]
        given = np.ascontiguousarray(labels, np.uint32).ravel()
        compiled(stored.ravel(), given, lut.ravel(), *labels.shape, *lut.shape, *steps)
        return image
    for box in _pieces(labels.shape):
        index = labels[box].astype(np.intp)  # once: every take would do it anew
        for c, values in enumerate(lut):
            image[(*box, c)] = values.take(index)  # one channel at a time: rows are a trap
    return image


def _check_labels(labels: AnyArray, lut: AnyArray) -> None:
    """Kernels do not look."""
    greatest = labels.max(initial=0)
    if greatest >= lut.shape[1]:
        message = f"label {greatest} of {lut.shape[1] - 1} objects"
        raise IndexError(message)


def _pieces(shape: tuple[int, ...]) -> Iterator[Box]:
    """Boxes of some `PIECE` voxels, or a row: what is painted together stays in the processor's cache."""
    z, y, x = shape
    planes, rows = max(PIECE // max(y * x, 1), 1), max(PIECE // max(x, 1), 1)
    for first in range(0, z, planes):
        for row in range(0, y, rows):
            yield slice(first, first + planes), slice(row, row + rows), slice(0, x)


kernels = {
    name: Kernels(
        globals(),
        repays_loading=80_000_000,
        repays_compiling=200_000_000,
        signature=(f"{name}*", "uint32*", f"{name}*", *["int64"] * 9),
    )
    for name in ("uint8", "float32")
}
"""By type of the values; work is counted in voxels × channels."""


@kernels["uint8"]
@kernels["float32"]
def paint_rows(
    image: AnyArray,
    labels: AnyArray,
    lut: AnyArray,
    *given: int,
) -> None:
    """Paint row by row, in each row channel by channel.

    ``given`` are the lengths z, y, x, the channels and labels of the table, and the distances between
    neighbours along z, y, x, c in the image.
    """
    depth, height, width, channels, count, step_z, step_y, step_x, step_c = given
    for z in range(depth):
        for y in range(height):
            row = (z * height + y) * width
            for c in range(channels):
                place = z * step_z + y * step_y + c * step_c
                for x in range(width):
                    image[place + x * step_x] = lut[c * count + labels[row + x]]


@kernels["uint8"]
def paint_classes(image: AnyArray, labels: AnyArray, lut: AnyArray, *given: int) -> None:
    """Paint uint8."""
    paint_rows(image, labels, lut, *given)


@kernels["float32"]
def paint_probabilities(image: AnyArray, labels: AnyArray, lut: AnyArray, *given: int) -> None:
    """Paint float32."""
    paint_rows(image, labels, lut, *given)
