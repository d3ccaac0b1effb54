"""Checks of untrusted files: sizes in headers, and links, before they are used."""

import os
import stat
import zipfile
from io import BytesIO
from math import prod
from typing import Any

import numpy as np

from objclass.errors import ImageError

MAXIMUM_PIXELS = 1 << 46
"""Of an image (70 teravoxels): what claims more is damaged."""

MAXIMUM_PLANES = 1 << 20
"""Of a TIFF file or a set of them."""

MAXIMUM_PACKED = 8 * 1032
"""Maximum number of pixels of a compressed byte: deflate packs 1,032 bytes into one, a PNG file 8 pixels into a byte."""

MAXIMUM_CHUNK_BYTES = 1 << 31
"""Of pixels that are packed together: no library packs more."""

MAXIMUM_DOCUMENT_BYTES = 1 << 26
"""Of a file on a server that describes an image."""

_KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}

_LFS = b"version https://git-lfs.github.com/spec/"


def check_kind(path: str) -> None:
    """Refuse what is neither a file nor a folder: opening a pipe would wait for ever.

    Raises
    ------
    ImageError
        With what it is.
    """
    kind = _KINDS.get(stat.S_IFMT(os.stat(path).st_mode))
    if kind:
        message = f"{path}: is {kind}, expected a file"
        raise ImageError(message)


def unpacked_size(archive: bytes) -> int:
    """Bytes of the files in a ZIP archive, such as a workbook, as it says: to be checked before it is unpacked.

    Raises
    ------
    zipfile.BadZipFile
        If it is none.
    """
    with zipfile.ZipFile(BytesIO(archive)) as found:
        return sum(member.file_size for member in found.infolist())


def is_lfs_pointer(path: str) -> bool:
    """Whether a file is what Git leaves in place of a large one that was not fetched (Git LFS)."""
    with open(path, "rb") as file:
        return file.read(len(_LFS)) == _LFS


def check_inside(path: str, folder: str, *, follow_links: bool) -> None:
    """Refuse a path that leads out of a folder, by a link or by its name.

    Raises
    ------
    ImageError
        With where it leads.
    """
    if follow_links:
        return
    real, root = os.path.realpath(path), os.path.realpath(folder)
    if real != root and not real.startswith(root.rstrip(os.sep) + os.sep):
        message = f"{path}: leads out of {folder}, to {real}: --follow_links reads it all the same"
        raise ImageError(message)


def check_claim(path: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse a packed image of one file whose shape is more than its bytes can stand for.

    Raises
    ------
    ImageError
        With the shape and the size of the file.
    """
    size = os.path.getsize(path)
    if prod(shape) > size * MAXIMUM_PACKED:
        message = (
            f"{path}: claims a shape of {shape} {dtype}, far more than {size} bytes can hold: is it damaged?"
        )
        raise ImageError(message)


def check_members(path: str, archive: zipfile.ZipFile) -> None:
    """Refuse a zip file with members that are packed otherwise than plainly: bzip2 and LZMA have no bound.

    Raises
    ------
    ImageError
        With the first such member.
    """
    for member in archive.infolist():
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            message = f"{path}: {member.filename} is packed by method {member.compress_type}, expected deflate or none"
            raise ImageError(message)


def check_chunk(name: str, chunk: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    """Refuse chunks that are larger than any library packs.

    Raises
    ------
    ImageError
        With their shape.
    """
    if min(chunk, default=1) < 1 or prod(chunk) * dtype.itemsize > MAXIMUM_CHUNK_BYTES:
        message = f"{name}: claims chunks of {chunk} {dtype}, expected at most 2 GB each: is it damaged?"
        raise ImageError(message)


def maximum_packed(chunk: tuple[int, ...], dtype: np.dtype[Any]) -> int:
    """Maximum bytes of a packed chunk: some codecs add to it what they could not make smaller."""
    return 2 * prod(chunk) * dtype.itemsize + (1 << 20)


def check_readable(path: str) -> None:
    """Refuse what is no file or folder, and what stands in for a file that is elsewhere.

    Raises
    ------
    ImageError
        With what it is, and what to do.
    """
    check_kind(path)
    if os.path.isfile(path) and is_lfs_pointer(path):
        message = f"{path}: is a Git LFS pointer, not the file itself: fetch it first (git lfs pull)"
        raise ImageError(message)
