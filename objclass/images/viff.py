"""Khoros' image format VIFF (``.xv``): written here, since no codec does.

A header of 1024 bytes, then channel after channel, row after row, big-endian. Source: ``viff.h`` of
Khoral Research (1990 to 1992), as described in J. D. Murray and W. vanRyper, Encyclopedia of Graphics
File Formats, O'Reilly 1996, "VIFF".
"""

import struct
from typing import Any, ClassVar

import numpy as np

from objclass.core import AnyArray
from objclass.images.plane import MappedWriter

_HEADER = struct.Struct(">5B3x512s3I2i2f14I420x")

_TYPES = {"u1": 1, "i2": 2, "i4": 4, "f4": 5, "f8": 9}
"""Type of a number -> its number here."""

_BIG_ENDIAN = 2
_NO_PART = -1
"""Stands for the place in a larger image."""
_BY_PLACE = 1
"""Pixels lie in order; others may give coordinates."""
_MAP_OPTIONAL = 1
_RGB, _NO_COLOURS = 15, 0


class XvWriter(MappedWriter):
    """Writes a VIFF file: one plane of any number of channels."""

    format: ClassVar[str] = "xv"

    def _begin(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> AnyArray:
        rows, columns, bands = shape
        colours = _RGB if bands == len("rgb") and dtype == np.uint8 else _NO_COLOURS
        # row and column length, pixel sizes, kind of location, images, bands, type, no packing, no map
        header = _HEADER.pack(
            0xAB, 1, 1, 3, _BIG_ENDIAN, b"", columns, rows, 0, _NO_PART, _NO_PART, 1, 1, _BY_PLACE, 0, 1, bands,
            _TYPES[dtype.str[1:]], 0, 0, 0, 0, 0, 0, _MAP_OPTIONAL, 0, colours,
        )  # fmt: skip
        return self._map(header, dtype.newbyteorder(">"), (bands, rows, columns)).transpose(1, 2, 0)
