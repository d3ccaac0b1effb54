"""Raw binary: nothing but pixels; the name of the file says its shape and dtype, as in ilastik."""

import os
import re
from math import prod

import numpy as np

from objclass.compute.context import Context
from objclass.errors import ImageError
from objclass.images.formats.plain import PlainStore
from objclass.images.source import Source, axes_by_shape

_DTYPES = "uint8|uint16|uint32|uint64|int8|int16|int32|int64|float16|float32|float64"

_NAME = re.compile(rf"((?:-\d+){{3,}})(?:-({_DTYPES}))?$")

_LENGTHS = (5, 4, 3)
"""How many of the numbers in a name may be a shape."""


def open_raw(path: str, internal: str, context: Context) -> Source:
    """Open a file such as ``vol-100-200-300-uint8.bin``: 3 to 5 lengths and the dtype (default uint8).

    Raises
    ------
    ImageError
        If the name says no shape, or one that is not that of so many bytes.
    """
    del internal, context  # such files hold one array, as it is
    match = _NAME.search(os.path.splitext(os.path.basename(path))[0])
    if match is None:
        message = f"{path}: its name says no shape, expected one such as vol-100-200-300-uint8.bin"
        raise ImageError(message)
    dtype = np.dtype(match[2] or "uint8").newbyteorder("<")
    numbers = [int(number) for number in match[1].split("-")[1:]]
    size = os.path.getsize(path)
    # numbers ahead of the shape, such as a date, belong to the name: the size tells
    shapes = [tuple(numbers[-n:]) for n in _LENGTHS if n <= len(numbers)]
    fitting = [shape for shape in shapes if prod(shape) * dtype.itemsize == size]
    if not fitting:
        needed = " or ".join(f"{prod(shape) * dtype.itemsize}" for shape in shapes)
        message = f"{path}: {size} bytes, its name says {needed} (shape {shapes[0]}, {dtype.name})"
        raise ImageError(message)
    return Source(path, PlainStore(path, 0, fitting[0], dtype), axes_by_shape(fitting[0]), "shape")
