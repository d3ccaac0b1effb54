"""Arrays in folders of chunk files, which several processes may write at once."""

import os
import shutil
from dataclasses import dataclass, field, replace
from platform import node
from time import sleep
from typing import Any, Protocol, Self
from uuid import uuid4

import numpy as np

from objclass.compute.context import Context
from objclass.core import AnyArray, from_canonical, to_canonical
from objclass.errors import OutputError
from objclass.images.chunked.grid import Grid, Packing
from objclass.images.writer import BlockWriter

UNFINISHED = ".unfinished"
"""Folder of chunks that are being written by one of several processes."""

_ATTEMPTS, _PAUSE = 100, 0.1
"""How often, and after how many seconds, a folder is removed again that others are still writing to."""


class SharedFiles(Protocol):
    """The files of an image that several processes write: plain data that pickles."""

    @property
    def axes(self) -> str:
        """The order of axes in the files."""

    @property
    def sides(self) -> tuple[int, ...]:
        """Lengths of the pieces of which the part that a process writes is made: no two processes share a file then."""

    def open(self, axes: str, context: Context) -> BlockWriter:
        """A writer of a part of the image; blocks have these axes."""


@dataclass(frozen=True)
class ChunkFiles:
    """An array in a folder of chunk files: plain data, with which any process writes chunks of it.

    Chunks of zeros only have no file.

    Parameters
    ----------
    folder
        Of the array.
    axes, shape, chunks, dtype
        Of the array; lengths of its chunks.
    is_shared
        Whether several processes write, the same chunk even: each under a name of its own, until it is complete.
    """

    folder: str
    axes: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dtype: np.dtype[Any]
    is_shared: bool = field(default=False, kw_only=True)

    @property
    def grid(self) -> Grid:
        """A new grid of its chunks."""
        return Grid(self.shape, self.chunks, self.dtype)

    @property
    def sides(self) -> tuple[int, ...]:
        """As `SharedFiles` has them."""
        return self.chunks

    def open(self, axes: str, context: Context) -> "ChunkWriter":
        """As `SharedFiles` has it."""
        return ChunkWriter(self, axes, context)

    def path(self, index: tuple[int, ...]) -> str:
        """The file of a chunk."""
        return os.path.join(self.folder, *map(str, index))

    def packed(self, index: tuple[int, ...], chunk: AnyArray) -> bytes:
        """The content of the file of a chunk; chunks at the end of the array have their full shape too."""
        raise NotImplementedError

    def write(self, index: tuple[int, ...], chunk: AnyArray) -> None:
        """Write a chunk."""
        if not chunk.any():
            return
        path, packed = self.path(index), self.packed(index, chunk)
        # before any folder: one that another process has removed must not be made again
        temporary = self._temporary(packed) if self.is_shared else None
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if temporary is not None:
            os.replace(temporary, path)
        else:
            with open(path, "wb") as file:
                file.write(packed)

    def _temporary(self, packed: bytes) -> str:
        temporary = os.path.join(self.folder, UNFINISHED, uuid4().hex)
        try:
            with open(temporary, "xb") as file:
                file.write(packed)
        except FileNotFoundError:
            message = (
                f"{self.folder}: is not there on {node()}: outputs must be on a disk that all workers share "
                "(or was the folder removed?)"
            )
            raise OutputError(message) from None
        return temporary

    def shared(self) -> Self:
        """The same array, for several processes, until `settle`."""
        os.makedirs(os.path.join(self.folder, UNFINISHED), exist_ok=True)
        return replace(self, is_shared=True)

    def settle(self) -> None:
        """Remove what processes have left that were killed; others can write no more.

        Raises
        ------
        OSError
            If it cannot be removed.
        """
        left = os.path.join(self.folder, UNFINISHED)
        for _ in range(_ATTEMPTS):
            shutil.rmtree(left, ignore_errors=True)
            if not os.path.lexists(left):
                return
            sleep(_PAUSE)
        shutil.rmtree(left)


class ChunkWriter:
    """Collects blocks into chunks, each of which is written when it is complete.

    Parameters
    ----------
    files
        Where the chunks go.
    axes
        The order of axes of the blocks; those that it lacks are 1 long.
    context
        Its threads pack.
    """

    def __init__(self, files: ChunkFiles, axes: str, context: Context | None) -> None:
        self._axes, self._stored_axes = axes, files.axes
        sides = dict(zip(files.axes, files.chunks, strict=True))
        self.chunks = tuple(sides.get(axis, 1) for axis in axes)
        self._grid = files.grid
        self._packing = Packing(files.write, context)

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block."""
        for index, chunk in self._grid.add(*in_axes(self._stored_axes, region, block, self._axes)):
            self._put(index, chunk)

    def _put(self, index: tuple[int, ...], chunk: AnyArray) -> None:
        self._packing.put(index, chunk)

    def close(self) -> None:
        """Write what is left: incomplete chunks, zero where no pixels were given."""
        try:
            for index, chunk in self._grid.rest():
                self._put(index, chunk)
        finally:
            self._packing.close()

    def abort(self) -> None:
        """Write no more."""
        self._packing.abort()


def in_axes(
    stored: str, region: tuple[slice, ...], block: AnyArray, axes: str
) -> tuple[tuple[slice, ...], AnyArray]:
    """A block of an image with ``axes``, and its region, in the order of the axes that are ``stored``."""
    if axes == stored:
        return region, block
    given = dict(zip(axes, region, strict=True))
    place = tuple(given.get(axis, slice(0, 1)) for axis in stored)
    return place, from_canonical(to_canonical(block, axes), stored)
