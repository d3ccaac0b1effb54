"""Khoros images (VIFF 1, suffix ``.xv``): no codec that can be installed reads them.

A header of 1,024 bytes, then the bands one after the other, as http://www.fileformat.info/format/viff/egff.htm
has it. What is packed or has a colour map is refused.
"""

import os
import struct
from math import prod
from typing import Any

import numpy as np

from objclass.core import AnyArray
from objclass.errors import ImageError

MAGIC = b"\xab\x01"

_HEADER_BYTES = 1024

_DTYPES = {1: "u1", 2: "i2", 4: "i4", 5: "f4", 9: "f8"}
"""Code of the data storage type -> dtype."""

_BYTE_ORDERS = {2: ">", 8: "<"}
"""Code of the machine -> byte order."""

_RAW, _NO_MAP, _IMPLICIT = 0, 1, 1
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
