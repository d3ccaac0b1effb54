"""Label images of parts as files of compressed tiles, and numbers of their objects, in a folder that all workers see.

A file gets its name when it is complete, so it does no harm to write it twice.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from tempfile import mkstemp
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.compute.slabs import Box
from objclass.core import AnyArray, IntArray
from objclass.errors import LaneError

OFFSET, SIZE, LOW, HIGH = range(4)
"""What is known of a tile: the place and the size (bytes) of its compressed ids, the lowest and the highest id."""

COLUMNS = 4


def write_labels(path: str, labels: Any, tiles: list[Box], count: int, context: Context) -> None:
    """Write a label image, tile by tile.

    Parameters
    ----------
    path
        The file.
    labels
        Label image, ids 1 … ``count``, read by box (z, y, x).
    tiles
        Its tiles.
    count
        Number of objects.
    context
        Its threads compress.
    """
    packed = context.ordered(lambda box: _packed(np.ascontiguousarray(labels[box])), tiles)
    _write_tiles(path, packed, len(tiles), count)


def _packed(tile: NDArray[np.uint32]) -> tuple[bytes, int, int]:
    """A compressed tile (empty if it has no ids), its lowest and its highest id."""
    high = int(tile.max())
    if high == 0:
        return b"", 0, 0
    low = int((tile - np.uint32(1)).min()) + 1  # background wraps to the largest number
    return _compressed(tile), low, high


def write_pixels(path: str, tiles: Sequence[NDArray[np.float32]]) -> None:
    """Write pixels, tile by tile, as `write_labels` does."""
    _write_tiles(path, ((_compressed(np.ascontiguousarray(tile)), 0, 0) for tile in tiles), len(tiles))


def _compressed(tile: AnyArray) -> bytes:
    from imagecodecs import zstd_encode

    return bytes(zstd_encode(tile.data.cast("B"), level=1))  # type: ignore[arg-type]


def _write_tiles(path: str, packed: Iterable[tuple[bytes, int, int]], tiles: int, count: int = 0) -> None:
    """Write compressed tiles, given with their lowest and highest id, and behind them the index, which ends with ``count``."""

    def write(file: IO[bytes]) -> None:
        index, place = np.zeros((tiles + 1, COLUMNS), np.int64), 0
        index[-1, 0] = count
        for row, (data, low, high) in zip(index, packed, strict=False):
            row[:] = place, len(data), low, high
            place += file.write(data)
        file.write(index.tobytes())

    written(path, write)


def read_index(path: str, tiles: int) -> IntArray:
    """The index of a label image of so many tiles, a row for each, and one that begins with the number of objects."""
    with open(path, "rb") as file:
        file.seek(-8 * (tiles + 1) * COLUMNS, os.SEEK_END)
        return np.frombuffer(file.read(), np.int64).reshape(tiles + 1, COLUMNS)


def read_tile(path: str, row: IntArray, tile: AnyArray) -> None:
    """Fill a contiguous array with a tile, given its row of the index."""
    from imagecodecs import zstd_decode

    offset, size = row[:LOW].tolist()
    if not size:
        tile[:] = 0
        return
    with open(path, "rb") as file:
        file.seek(offset)
        zstd_decode(file.read(size), out=tile.data.cast("B"))


def holding(index: IntArray, ids: IntArray) -> NDArray[np.bool_]:
    """Whether each tile of an index may have one of these ids, which are in ascending order."""
    low, high = index[:-1, LOW], index[:-1, HIGH]
    found: NDArray[np.bool_] = np.searchsorted(ids, high, side="right") > np.searchsorted(ids, low)
    return found & (high > 0)


def write_array(path: str, array: AnyArray) -> None:
    """Write an array as .npy."""
    written(path, lambda file: np.save(file, array, allow_pickle=False))


def read_array(path: str) -> AnyArray:
    """Read an array from .npy."""
    array: AnyArray = np.load(path, allow_pickle=False)
    return array


def written(path: str, write: Callable[[IO[bytes]], object]) -> None:
    """Write a file under a temporary name of its own, then give it its name.

    Raises
    ------
    LaneError
        If it cannot be written.
    """
    folder = os.path.dirname(path)
    try:
        number, temporary = mkstemp(dir=folder)
        try:
            with open(number, "wb") as file:
                write(file)
            os.replace(temporary, path)
        except BaseException:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as fault:
        message = f"files of workers in {folder}: {fault.strerror or fault}"
        raise LaneError(message) from fault
