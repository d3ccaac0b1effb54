"""Paint result images: the value of each object in all its pixels."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from objclass.compute.kernels import Kernel, kernel
from objclass.compute.slabs import Box
from objclass.core import AXES, AnyArray, Predictions

PIECE = 1 << 15
"""Number of voxels that are painted together, in all channels."""

Paint = Callable[[NDArray[np.uint32]], AnyArray]
"""Labels of a box (z, y, x) -> a result image of it (z, y, x, c)."""


def painter(source: str, predictions: Predictions | None, axes: str = AXES, voxels: int = 0) -> Paint:
    """The function that paints boxes of a result image of one time step; background is 0. It pickles.

    Parameters
    ----------
    source
        Name of the result image.
    predictions
        The predictions of all objects of the time step; may be None for identities.
    axes
        The order of the axes in memory, such as that of the file: then `from_canonical` has
        nothing to copy.
    voxels
        Number of voxels of the whole run, to choose the formulation.
    """
    if source == "Object Identities":
        return with_channel
    if predictions is None:
        message = f"{source} without predictions"
        raise ValueError(message)
    values = predictions.classes[:, None] if source == "Object Predictions" else predictions.probabilities
    lut = np.ascontiguousarray(np.pad(values, ((1, 0), (0, 0))).T)
    return partial(paint, lut=lut, axes=axes, voxels=voxels)


def with_channel(labels: AnyArray) -> AnyArray:
    """A box (z, y, x) as an image of one channel."""
    return labels[..., None]


def unchanged(pixels: AnyArray) -> AnyArray:
    """A box of an image (z, y, x, c) as it is."""
    return pixels


def paint(
    labels: NDArray[np.unsignedinteger[Any]], lut: AnyArray, axes: str = AXES, voxels: int = 0
) -> AnyArray:
    """Look up the values of labels, axes z, y, x, c.

    Parameters
    ----------
    labels
        A box of a label image, axes z, y, x.
    lut
        Value of each label in each channel, uint8 or float32, shape (channels, labels).
    axes
        The order of the axes in memory.
    voxels
        Number of voxels of the whole run, if these are not the only ones.

    Raises
    ------
    IndexError
        If there is a label that the table lacks.
    """
    order = [axis for axis in AXES[1:] if axis not in axes] + [axis for axis in axes if axis != "t"]
    lengths = dict(zip(AXES[1:], (*labels.shape, len(lut)), strict=True))
    stored = np.empty([lengths[axis] for axis in order], lut.dtype)
    image = stored.transpose([order.index(axis) for axis in AXES[1:]])
    compiled = kernels[lut.dtype.name].choose(max(voxels, labels.size) * len(lut))
    if compiled:
        _check_labels(labels, lut)
        steps = [stride // image.itemsize for stride in image.strides]
        given = np.ascontiguousarray(labels, np.uint32).ravel()
        compiled(stored.ravel(), given, lut.ravel(), Layout(*labels.shape, *lut.shape, *steps))
        return image
    for box in _pieces(labels.shape):
        index = labels[box].astype(np.intp)  # once: every take would do it anew
        for c, values in enumerate(lut):
            image[(*box, c)] = values.take(index)  # one channel at a time: whole rows are slower
    return image


def _check_labels(labels: AnyArray, lut: AnyArray) -> None:
    """Check that all labels are in the table, since kernels do not."""
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


class Layout(NamedTuple):
    """Lengths z, y, x, channels and labels of the table, and distances between neighbours in the image."""

    depth: int
    height: int
    width: int
    channels: int
    entries: int
    step_z: int
    step_y: int
    step_x: int
    step_c: int


@kernel
def paint_rows(image: AnyArray, labels: AnyArray, lut: AnyArray, layout: Layout) -> None:
    """Paint row by row, in each row channel by channel."""
    depth, height, width, channels, entries, step_z, step_y, step_x, step_c = layout
    for z in range(depth):
        for y in range(height):
            row = (z * height + y) * width
            for c in range(channels):
                place = z * step_z + y * step_y + c * step_c
                for x in range(width):
                    image[place + x * step_x] = lut[c * entries + labels[row + x]]


def paint_classes(
    image: NDArray[np.uint8], labels: NDArray[np.uint32], lut: NDArray[np.uint8], layout: Layout
) -> None:
    """Paint uint8."""
    paint_rows(image, labels, lut, layout)


def paint_probabilities(
    image: NDArray[np.float32], labels: NDArray[np.uint32], lut: NDArray[np.float32], layout: Layout
) -> None:
    """Paint float32."""
    paint_rows(image, labels, lut, layout)


def _lengths(_: Any, __: Any, ___: Any, layout: Layout) -> dict[str, int]:
    depth, height, width, channels, entries, *_ = layout
    size = depth * height * width
    return {"image": size * channels, "labels": size, "lut": channels * entries}


classes = Kernel(paint_classes, repays_loading=80_000_000, repays_compiling=200_000_000, lengths=_lengths)

probabilities = Kernel(
    paint_probabilities, repays_loading=80_000_000, repays_compiling=200_000_000, lengths=_lengths
)

kernels = {"uint8": classes, "float32": probabilities}
"""Kernel by type of the values; work is counted in voxels × channels."""
