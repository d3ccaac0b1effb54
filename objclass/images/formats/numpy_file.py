"""NumPy's own files: ``.npy``, mapped into memory, and ``.npz``, which holds several arrays."""

import os
import struct
import zipfile
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy

from objclass.compute.context import Context
from objclass.core import AnyArray, Stored
from objclass.errors import ImageError
from objclass.images.chunked.whole import WholeImage
from objclass.images.formats.plain import PlainFile, PlainStore
from objclass.images.paths import pick
from objclass.images.source import Source, axes_by_shape
from objclass.images.trust import check_claim, check_members
from objclass.images.writer import OutputImage


def _unpacked(path: str, internal: str) -> AnyArray:
    with np.load(path, allow_pickle=False) as archive:
        array: AnyArray = archive[internal]
        return array


def open_array(path: str, internal: str, context: Context) -> Source:
    """Open a ``.npy`` file, or an array of a ``.npz`` file (its only one needs no name).

    Raises
    ------
    ImageError
        If it is no such file, or there is no array of that name.
    """
    if path.lower().endswith(".npz"):
        return _open_npz(path, internal, context)
    with open(path, "rb") as file:
        shape, order, dtype = _header(path, file)
        store = PlainStore(path, file.tell(), shape, dtype, order)
    _refuse_short(path, shape, dtype, os.path.getsize(path))
    return Source(path, store, axes_by_shape(shape), "shape")


def arrays_in(path: str) -> list[str]:
    """Names of the arrays in a ``.npz`` file.

    Raises
    ------
    ImageError
        If it is no such file.
    """
    if not zipfile.is_zipfile(path):
        message = f"{path}: is not an npz file, or a damaged one"
        raise ImageError(message)
    with zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def _open_npz(path: str, internal: str, context: Context) -> Source:
    name = pick(path, arrays_in(path), internal)
    with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as file:
        check_members(path, archive)
        shape, order, dtype = _header(f"{path}/{name}", file)
        entry, header = archive.getinfo(f"{name}.npy"), file.tell()
    check_claim(path, shape, dtype)
    if entry.compress_type == zipfile.ZIP_STORED and not dtype.hasobject:
        offset = _content_offset(path, entry) + header
        _refuse_short(path, shape, dtype, entry.file_size - header)
        store: Stored = PlainStore(path, offset, shape, dtype, order)
    else:
        store = WholeImage(path, name, shape, dtype, _unpacked, context)
    return Source(f"{path}/{name}", store, axes_by_shape(shape), "shape")


def _content_offset(path: str, entry: zipfile.ZipInfo) -> int:
    """Where the content of an entry of a zip file begins: its local header says how long that is."""
    with open(path, "rb") as file:
        file.seek(entry.header_offset)
        name, extra = struct.unpack("<26x2H", file.read(30))
    return entry.header_offset + 30 + int(name) + int(extra)


def _header(name: str, file: Any) -> tuple[tuple[int, ...], Literal["C", "F"], np.dtype[Any]]:
    try:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, is_fortran, dtype = read(file)
    except ValueError as error:
        message = f"{name}: is not an npy file, or a damaged one"
        raise ImageError(message) from error
    return tuple(shape), "F" if is_fortran else "C", dtype


def _refuse_short(path: str, shape: tuple[int, ...], dtype: np.dtype[Any], size: int) -> None:
    needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if size < needed and dtype.kind != "O":
        message = f"{path}: is truncated: {size} bytes, its pixels need {needed}"
        raise ImageError(message)


class NpyWriter:
    """Writes a ``.npy`` file; it holds pixels only, no axes."""

    is_concurrent = True

    def __init__(self, path: str, image: OutputImage, context: Context | None = None) -> None:
        del context
        self.chunks = (1,) * len(image.axes)
        mapped = npy.open_memmap(path, mode="w+", dtype=image.dtype, shape=image.shape)
        self._file = PlainFile(path, mapped.offset, image.shape, image.dtype)

    @classmethod
    def refusal(cls, image: OutputImage) -> str | None:
        """None: it holds any image."""
        del image
        return None

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block, in the order of the image's axes."""
        self._file.write(region, block)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def abort(self) -> None:
        """Let go of the file."""
        self._file.abort()
