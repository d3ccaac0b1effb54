"""Khoros' image format VIFF (``.xv``), read and written here, since no codec does.

A header of 1,024 bytes, then channel after channel, row after row. What is packed or has a colour map is not
read. Source: ``viff.h`` of Khoral Research (1990 to 1992), as described in J. D. Murray and W. vanRyper,
Encyclopedia of Graphics File Formats, O'Reilly 1996, "VIFF" (http://www.fileformat.info/format/viff/egff.htm).
"""

import os
import struct
from math import prod
from typing import Any, ClassVar

import numpy as np

from objclass.core import AnyArray
from objclass.errors import ImageError
from objclass.images.formats.plane import MappedWriter

MAGIC = b"\xab\x01"

_HEADER_BYTES = 1024

_DTYPES = {1: "u1", 2: "i2", 4: "i4", 5: "f4", 9: "f8"}
"""Code of the data storage type -> dtype."""

_CODES = {name: code for code, name in _DTYPES.items()}

_BYTE_ORDERS = {2: ">", 8: "<"}
"""Code of the machine -> byte order."""

_RAW, _NO_MAP, _IMPLICIT = 0, 0, 1
"""Codes of: data that are not packed, no colour map, pixels on a grid."""


def header(path: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape (y, x, c) and dtype.

    Raises
    ------
    ImageError
        If it is truncated, packed, or has a colour map.
    """
    (bands, rows, columns), stored = _parse(path)
    return (rows, columns, bands), stored.newbyteorder("=")


def decode(path: str) -> AnyArray:
    """Pixels, axes y, x, c.

    Raises
    ------
    ImageError
        If it is truncated, packed, or has a colour map.
    """
    shape, stored = _parse(path)
    pixels = np.fromfile(path, stored, prod(shape), offset=_HEADER_BYTES).reshape(shape)
    return np.moveaxis(pixels, 0, -1).astype(stored.newbyteorder("="))


def _parse(path: str) -> tuple[tuple[int, int, int], np.dtype[Any]]:
    with open(path, "rb") as file:
        head = file.read(_HEADER_BYTES)
    order = _BYTE_ORDERS.get(head[4] if len(head) == _HEADER_BYTES else 0)
    if order is None:
        message = f"{path}: is a damaged Khoros image, or of a machine that is not known"
        raise ImageError(message)
    columns, rows = struct.unpack_from(f"{order}2I", head, 520)
    location, _, images, bands, storage, packing, maps = struct.unpack_from(f"{order}7I", head, 548)
    if storage not in _DTYPES or (location, packing, maps) != (_IMPLICIT, _RAW, _NO_MAP) or images != 1:
        message = f"{path}: is a Khoros image that is packed, mapped, of bits or complex: save it as TIFF"
        raise ImageError(message)
    dtype = np.dtype(order + _DTYPES[storage])
    needed, size = _HEADER_BYTES + bands * rows * columns * dtype.itemsize, os.path.getsize(path)
    if size < needed:
        message = f"{path}: is truncated: {size} bytes, its pixels go on to {needed}"
        raise ImageError(message)
    return (bands, rows, columns), dtype


_HEADER = struct.Struct(">5B3x512s3I2i2f14I420x")

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
            _CODES[dtype.str[1:]], 0, 0, 0, 0, 0, 0, _MAP_OPTIONAL, 0, colours,
        )  # fmt: skip
        return self._map(header, dtype.newbyteorder(">"), (bands, rows, columns)).transpose(1, 2, 0)
