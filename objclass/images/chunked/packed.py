"""Packed chunks of HDF5 datasets, unpacked by the threads of the run instead of by HDF5 itself.

HDF5 unpacks one chunk after the other, and blocks other threads. Here the compressed bytes are read as they
are; the common filters (``deflate``, ``lzf``, ``shuffle``) are undone here, by faster decoders.
"""

from collections.abc import Callable, Hashable, Iterator
from math import prod
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.core import AnyArray
from objclass.images.chunked.grid import Grid, overlap

SMALLEST = 1 << 13
"""Smaller chunks are unpacked by HDF5: starting tasks in threads would take longer than unpacking."""

_DEFLATE, _SHUFFLE, _LZF = 1, 2, 32000
"""HDF5's numbers of filters."""

Unpack = Callable[[bytes], AnyArray]


def unpacker(dataset: Any) -> Unpack | None:
    """The function that undoes the filters of a dataset; None if HDF5 itself should do it.

    That is the case without filters, with uncommon filters, and for tiny chunks.
    """
    properties = dataset.id.get_create_plist()
    filters = [properties.get_filter(n)[0] for n in range(properties.get_nfilters())]
    known = {
        (_DEFLATE,): _inflated,
        (_LZF,): _unlzf,
        (_SHUFFLE, _DEFLATE): _inflated,
        (_SHUFFLE, _LZF): _unlzf,
    }
    unpack = known.get(tuple(filters))
    chunks, dtype = dataset.chunks, dataset.dtype
    if unpack is None or prod(chunks) * dtype.itemsize < SMALLEST:
        return None
    shuffled = _SHUFFLE in filters and dtype.itemsize > 1

    def unpacked(packed: bytes) -> AnyArray:
        pixels = np.frombuffer(unpack(packed, prod(chunks) * dtype.itemsize), np.uint8)
        if shuffled:  # all first bytes, then all second ones …
            pixels = np.ascontiguousarray(pixels.reshape(dtype.itemsize, -1).T)
        return pixels.view(dtype).reshape(chunks)

    return unpacked


def _inflated(packed: bytes, size: int) -> bytes | bytearray:
    import imagecodecs

    return imagecodecs.deflate_decode(packed, raw=False, out=size)


def _unlzf(packed: bytes, size: int) -> bytes | bytearray:
    import imagecodecs

    return imagecodecs.lzf_decode(packed, out=size)


def read_packed(
    dataset: Any, region: tuple[slice, ...], unpack: Unpack, key: Hashable, context: Context
) -> AnyArray:
    """Pixels of a region of a chunked dataset.

    Parameters
    ----------
    dataset
        Open, chunked.
    unpack
        Its `unpacker`.
    key
        Key of the present state of this dataset in the cache. Chunks that the region covers only in part are
        cached: a slab is thinner than the chunks, and the next slab needs the same ones.
    context
        Context of the run, with threads and cache.
    """
    grid = Grid(dataset.shape, dataset.chunks, dataset.dtype)
    pixels = np.empty(tuple(part.stop - part.start for part in region), dataset.dtype)

    def load(place: tuple[slice, ...]) -> AnyArray:
        packed = _packed(dataset, place)
        if packed is not None:
            return unpack(packed)
        chunk: AnyArray = dataset[place]  # never written, or some filters were left out for it: HDF5 knows
        return chunk

    def fill(part: tuple[tuple[int, ...], bool]) -> None:
        index, is_kept = part
        place = grid.place(index)
        chunk = context.chunks.get((key, index), lambda: load(place)) if is_kept else load(place)
        source, target = overlap(place, region)
        pixels[target] = chunk[source]

    context.each(fill, _kept(grid, region, context.chunks.maximum // 2))
    return pixels


def _kept(grid: Grid, region: tuple[slice, ...], maximum: int) -> Iterator[tuple[tuple[int, ...], bool]]:
    """The chunks that a region touches, and whether they are kept: some bytes of those that it cuts.

    The rest of the cache is for the other images of the lane.
    """
    size, left = prod(grid.chunks) * grid.dtype.itemsize, maximum
    for index in grid.touched(region):
        is_kept = left > 0 and not _within(grid.place(index), region)
        left -= size if is_kept else 0
        yield index, is_kept


def _within(place: tuple[slice, ...], region: tuple[slice, ...]) -> bool:
    pairs = zip(place, region, strict=True)
    return all(outer.start <= inner.start and inner.stop <= outer.stop for inner, outer in pairs)


def _packed(dataset: Any, place: tuple[slice, ...]) -> bytes | None:
    """The bytes of a chunk as they are in the file, if all filters were applied."""
    start = tuple(part.start for part in place)
    if dataset.id.get_chunk_info_by_coord(start).byte_offset is None:
        return None
    mask, packed = dataset.id.read_direct_chunk(start)
    return packed if mask == 0 else None
