"""Sun rasterfiles (``.ras``): written here, since codecs only read them.

Eight big-endian numbers, then rows of 1 or 3 bytes a pixel (blue, green, red), each row filled up to
16 bits. Source: Sun's manual page rasterfile(4), 1994.
"""

import struct
from typing import Any, ClassVar

import numpy as np

from objclass.core import AnyArray
from objclass.images.formats.plane import MappedWriter

_MAGIC = 0x59A66A95
_STANDARD = 1
"""Type of a file whose pixels are not packed; it has no colour map."""


class RasWriter(MappedWriter):
    """Writes a Sun rasterfile: one plane of bytes, grey or in three colours."""

    format: ClassVar[str] = "ras"

    def _begin(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> AnyArray:
        rows, columns, count = shape
        row = (columns * count + 1) // 2 * 2
        header = struct.pack(">8I", _MAGIC, columns, rows, 8 * count, rows * row, _STANDARD, 0, 0)
        padded = self._map(header, dtype, (rows, row))
        pixels = np.ndarray(shape, dtype, padded, strides=(row, count, 1))
        return pixels[..., ::-1]
