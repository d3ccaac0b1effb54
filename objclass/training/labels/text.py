"""The bytes and the text of a file of labels."""

import gzip
import io
import zlib
from pathlib import Path
from textwrap import shorten

from objclass.errors import ImageError, InputError
from objclass.images.trust import check_kind

MAXIMUM_BYTES = 1 << 29
"""Of a file of labels when it is unpacked: ten million lines."""


def read_bytes(path: str, maximum: int = MAXIMUM_BYTES) -> bytes:
    """The content of a file of at most so many bytes, unpacked where it is packed by gzip.

    Raises
    ------
    InputError
        If it cannot be read, or is too large.
    """
    try:
        check_kind(path)
        with Path(path).open("rb") as file:
            data = file.read(maximum + 1)
    except (OSError, ImageError) as fault:
        why = fault.strerror if isinstance(fault, OSError) else str(fault).removeprefix(f"{path}: ")
        message = f"labels {path}: {why}"
        raise InputError(message) from None
    if path.lower().endswith(".gz"):
        data = _unpacked(path, data, maximum)
    if len(data) > maximum:
        message = f"labels {path}: more than {maximum >> 20} MB: give the labels in several files"
        raise InputError(message)
    return data


def _unpacked(path: str, data: bytes, maximum: int) -> bytes:
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            return file.read(maximum + 1)
    except (OSError, EOFError, zlib.error) as fault:
        message = f"labels {path} cannot be unpacked (truncated, or not gzip?): {reason(fault)}"
        raise InputError(message) from None


def decoded(path: str, data: bytes, remedy: str) -> str:
    """The text of a file in UTF-8, without a byte-order mark.

    Raises
    ------
    InputError
        If it is in another encoding; the message names the line, and the remedy.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as fault:
        line = data.count(b"\n", 0, fault.start) + 1
        message = f"labels {path} line {line}: not UTF-8 text (byte 0x{data[fault.start]:02x}): {remedy}"
        raise InputError(message) from None


def reason(fault: Exception) -> str:
    """The message of a library's error about a damaged file, on one line."""
    return shorten(str(fault), 120, placeholder=" …") or type(fault).__name__
