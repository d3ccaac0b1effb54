"""Decompress bytes, never to more than a maximum.

A few compressed bytes can become gigabytes, so the size is limited while they are unpacked.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

Unpack = Callable[[bytes, int], bytes | bytearray]
"""Function of compressed bytes and the maximum number of unpacked bytes."""


def _by_parts(make: Callable[[], Any]) -> Unpack:
    """By a decompressor of Python, which stops at a maximum."""

    def unpack(packed: bytes, maximum: int) -> bytes:
        return bytes(make().decompress(packed, maximum + 1))

    return unpack


def _codec(name: str) -> Unpack:
    """By a codec of imagecodecs, which fails if the output buffer is too small."""

    def unpack(packed: bytes, maximum: int) -> bytes | bytearray:
        import imagecodecs

        content: bytes | bytearray = getattr(imagecodecs, f"{name}_decode")(packed, out=maximum)
        return content

    return unpack


UNPACK: dict[str, Unpack] = {
    "raw": lambda packed, _: packed,
    "gzip": _by_parts(lambda: zlib.decompressobj(47)),  # 47: gzip or zlib, detected
    "zlib": _by_parts(lambda: zlib.decompressobj(47)),
    "bzip2": _by_parts(bz2.BZ2Decompressor),
    "bz2": _by_parts(bz2.BZ2Decompressor),
    "xz": _by_parts(lzma.LZMADecompressor),
    "lzma": _by_parts(lzma.LZMADecompressor),
    "zstd": _codec("zstd"),
    "blosc": _codec("blosc"),
}
"""Name of a compression in N5 and Zarr -> function that undoes it."""


def unpacked(name: str, packed: bytes, maximum: int) -> bytes | bytearray:
    """The unpacked bytes.

    Raises
    ------
    ValueError
        If they are more than ``maximum``.
    """
    content = UNPACK[name](packed, maximum)
    if len(content) > maximum:
        message = f"a chunk unpacks to more than its {maximum} bytes: is it damaged?"
        raise ValueError(message)
    return content
