"""Undoing common ways to pack bytes, never to more bytes than were announced.

A few packed bytes may stand for gigabytes; who unpacks them without a limit has lost before he counts.
"""

import bz2
import lzma
import zlib
from collections.abc import Callable
from typing import Any

Unpack = Callable[[bytes, int], bytes | bytearray]
"""Packed bytes, and the most that they may become."""


def _by_parts(make: Callable[[], Any]) -> Unpack:
    """By a decompressor of Python's, which stops where it is asked to."""

    def unpack(packed: bytes, most: int) -> bytes:
        return bytes(make().decompress(packed, most + 1))

    return unpack


def _codec(name: str) -> Unpack:
    """By a codec of imagecodecs, which fails where the room that it was given is full."""

    def unpack(packed: bytes, most: int) -> bytes | bytearray:
        import imagecodecs

        content: bytes | bytearray = getattr(imagecodecs, f"{name}_decode")(packed, out=most)
        return content

    return unpack


UNPACK: dict[str, Unpack] = {
    "raw": lambda packed, _: packed,
    "gzip": _by_parts(lambda: zlib.decompressobj(47)),  # 47: gzip or zlib, whichever it is
    "zlib": _by_parts(lambda: zlib.decompressobj(47)),
    "bzip2": _by_parts(bz2.BZ2Decompressor),
    "bz2": _by_parts(bz2.BZ2Decompressor),
    "xz": _by_parts(lzma.LZMADecompressor),
    "lzma": _by_parts(lzma.LZMADecompressor),
    "zstd": _codec("zstd"),
    "blosc": _codec("blosc"),
}
"""Names of ways to pack, as N5 and Zarr have them -> what undoes them."""


def unpacked(name: str, packed: bytes, most: int) -> bytes | bytearray:
    """The bytes that were packed.

    Raises
    ------
    ValueError
        If they are more than ``most``.
    """
    content = UNPACK[name](packed, most)
    if len(content) > most:
        message = f"a chunk unpacks to more than its {most} bytes: is it damaged?"
        raise ValueError(message)
    return content
