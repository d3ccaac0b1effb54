"""Netpbm images of numbers (PGM and PPM, as text or packed), in 8 or 16 bits as they are stored.

Pillow would stretch 12-bit images to 16 bits and cut 16-bit colours to 8. Source: the manual pages
pgm(5) and ppm(5) of Netpbm.
"""

import re
from typing import Any, ClassVar

import numpy as np

from objclass.core import AnyArray
from objclass.errors import ImageError
from objclass.images.formats.plane import MappedWriter

_GAP = rb"(?:\s|#[^\n]*\n)+"

_HEADER = re.compile(rb"P([2356])" + (_GAP + rb"(\d+)") * 3 + rb"\s")

_LONGEST_HEADER = 4096
"""Comments may stand in it."""

_SMALLEST_WIDE = 256
"""From this largest value on, a number takes two bytes."""


def is_numeric(path: str) -> bool:
    """Whether the file is a PGM or PPM (a PBM, of single bits, is not)."""
    with open(path, "rb") as file:
        return re.match(rb"P[2356]\s", file.read(3)) is not None


def header(path: str) -> tuple[tuple[int, ...], np.dtype[Any]]:
    """Shape (y, x, c) and dtype.

    Raises
    ------
    ImageError
        If the header is damaged.
    """
    with open(path, "rb") as file:
        _, shape, dtype, _ = _parse(path, file.read(_LONGEST_HEADER))
    return shape, dtype


def decode(path: str) -> AnyArray:
    """Pixels, axes y, x, c.

    Raises
    ------
    ImageError
        If the header is damaged.
    """
    with open(path, "rb") as file:
        data = file.read()
    is_text, shape, dtype, start = _parse(path, data[:_LONGEST_HEADER])
    if is_text:
        words = re.sub(rb"#[^\n]*", b"", data[start:]).split()
        return np.array([int(word) for word in words], dtype).reshape(shape)
    stored = dtype.newbyteorder(">")
    return np.frombuffer(data, stored, int(np.prod(shape)), start).reshape(shape).astype(dtype)


def _parse(path: str, head: bytes) -> tuple[bool, tuple[int, ...], np.dtype[Any], int]:
    match = _HEADER.match(head)
    if match is None:
        message = f"{path}: is not a Netpbm image, or a damaged one"
        raise ImageError(message)
    kind, width, height, largest = (int(number) for number in match.groups())
    dtype = np.dtype(np.uint16 if largest >= _SMALLEST_WIDE else np.uint8)
    return kind in (2, 3), (height, width, 3 if kind in (3, 6) else 1), dtype, match.end()


class PnmWriter(MappedWriter):
    """Writes a packed Netpbm file of 8 or 16 bits: a PGM of one channel, a PPM of three.

    The header holds the largest value of the pixels, as ilastik does (viewers show it as white). It is
    at least 1, and 256 for 16 bits, since with less a number would be read as 8 bits.
    """

    format: ClassVar[str] = "pnm"

    def _begin(self, shape: tuple[int, int, int], dtype: np.dtype[Any]) -> AnyArray:
        self._largest = 1 if dtype.itemsize == 1 else _SMALLEST_WIDE
        return self._map(self._header(shape, dtype), dtype.newbyteorder(">"), shape)

    def _header(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bytes:
        """Of a length that does not depend on the largest value."""
        rows, columns, count = shape
        kind, digits = 5 if count == 1 else 6, len(str(np.iinfo(dtype).max))
        return f"P{kind}\n{columns} {rows}\n{self._largest:{digits}d}\n".encode()

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block, in the order of the image's axes."""
        super().write(region, block)
        self._largest = max(self._largest, int(block.max()))

    def close(self) -> None:
        """Finish the file."""
        header = self._header(self._plane.shape, self._plane.dtype)
        super().close()
        with open(self._path, "r+b") as file:
            file.write(header)


class PgmWriter(PnmWriter):
    """Writes a packed PGM file of 8 or 16 bits."""

    format: ClassVar[str] = "pgm"
