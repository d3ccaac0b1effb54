"""The values of objects in their voxels, as windows show them."""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.kernels import Kernel, kernel
from objclass.core import AnyArray
from objclass.export.paint import kernels, paint

LOADED = 100_000_000
"""Work for which compiled code is loaded where it is kept, and not compiled: no window waits for that."""


def painted(numbers: NDArray[np.uint32], table: AnyArray) -> AnyArray:
    """Look up the values of objects: ``table[numbers]``, in a third of the time.

    Parameters
    ----------
    numbers
        The number of the object of each voxel, any axes.
    table
        The value of each number, uint8 or float32; numbers beyond its end are background, with its first value.
    """
    if numbers.ndim < 2:
        return table[np.where(numbers < len(table), numbers, 0)]
    planes = numbers.reshape(-1, *numbers.shape[-2:])
    try:
        image = paint(planes, table[None], voxels=LOADED)
    except IndexError:
        return painted(np.where(numbers < len(table), numbers, np.uint32(0)), table)
    return image.reshape(numbers.shape)


def painted_rims(numbers: NDArray[np.uint32], table: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """As `painted`, but only in the outer pixels of each object of a plane; the others are 0.

    Parameters
    ----------
    numbers
        The number of the object of each pixel (y, x).
    table
        The value of each number from 0 on; numbers beyond its end have none.
    width
        Outer pixels do not have the same object at this distance along both axes, on both sides.
    """
    image = np.zeros(numbers.shape, np.uint8)
    compiled = rims.choose(LOADED)
    if compiled:
        plane = np.ascontiguousarray(numbers, np.uint32)
        compiled(image.ravel(), plane.ravel(), table, *numbers.shape, len(table), width)
        return image
    is_outer = ~_is_inner(numbers, width) & (numbers > 0) & (numbers < len(table))
    image[is_outer] = table[numbers[is_outer]]
    return image


def _is_inner(numbers: NDArray[np.uint32], width: int) -> NDArray[np.bool_]:
    found = np.zeros(numbers.shape, bool)
    inside = (slice(width, -width),) * 2
    found[inside] = True
    for turned, inner in ((numbers, found), (numbers.T, found.T)):
        is_same = turned[width:] == turned[:-width]
        inner[width:] &= is_same
        inner[:-width] &= is_same
    return found


@kernel
def is_inner(numbers: AnyArray, place: int, step: int, width: int) -> bool:
    """Whether the pixels at a distance along an axis, on both sides, are of the same object."""
    number, reach = numbers[place], step * width
    return bool(number == numbers[place - reach] and number == numbers[place + reach])


def paint_rims(
    image: NDArray[np.uint8],
    numbers: NDArray[np.uint32],
    table: NDArray[np.uint8],
    height: int,
    length: int,
    entries: int,
    width: int,
) -> None:
    """Paint the outer pixels of a plane of ``height`` rows and ``length`` columns."""
    for y in range(height):
        for x in range(length):
            place = y * length + x
            is_inside = width <= y < height - width and width <= x < length - width
            if numbers[place] == 0 or numbers[place] >= entries:
                continue
            if not (
                is_inside and is_inner(numbers, place, 1, width) and is_inner(numbers, place, length, width)
            ):
                image[place] = table[numbers[place]]


def _lengths(_: Any, __: Any, ___: Any, height: int, length: int, entries: int, ____: int) -> dict[str, int]:
    return {"image": height * length, "numbers": height * length, "table": entries}


rims = Kernel(paint_rims, repays_loading=20_000_000, repays_compiling=1_000_000_000, lengths=_lengths)


def load() -> None:
    """Load the compiled code for it, or compile it, which takes seconds once for an installation."""
    for each in (*kernels.values(), rims):
        each.choose(sys.maxsize)
