"""What formats of a single plane share: which axes are its rows and columns."""

from objclass.core import OutputImage


def plane_axes(image: OutputImage) -> str:
    """Axes longer than 1, without channels, in the order tzyx; filled up with x and y to two.

    Examples
    --------
    >>> import numpy as np
    >>> plane_axes(OutputImage("zyxc", (1, 20, 30, 3), np.dtype("u1")))
    'yx'
    >>> plane_axes(OutputImage("zyx", (5, 1, 30), np.dtype("u1")))
    'zx'
    >>> plane_axes(OutputImage("tzyx", (5, 2, 20, 30), np.dtype("u1")))
    'tzyx'
    """
    lengths = dict(zip(image.axes, image.shape, strict=True))
    long = [axis for axis in "tzyx" if lengths.get(axis, 1) > 1]
    missing = [axis for axis in "xy" if axis not in long][: max(2 - len(long), 0)]
    return "".join(axis for axis in "tzyx" if axis in (*long, *missing))


def channels(image: OutputImage) -> int:
    """Number of channels."""
    return dict(zip(image.axes, image.shape, strict=True)).get("c", 1)


def told(image: OutputImage) -> str:
    """Shape and axes, for messages."""
    return f"{image.shape} with axes {image.axes}"
