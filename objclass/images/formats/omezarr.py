"""OME-Zarr 0.4, the folder of chunk files: one array ``s0``, or a pyramid of arrays ``s0``, ``s1`` ….

The format is that of OME-NGFF 0.4 (https://ngff.openmicroscopy.org/0.4) on top of Zarr 2
(https://zarr-specs.readthedocs.io, version 2), with ilastik's attributes on each array.
"""

import os
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from math import prod
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.compute.workers import Workers
from objclass.core import AnyArray, PixelSize
from objclass.images.attributes import attributes, write_json
from objclass.images.chunked.files import ChunkFiles, ChunkWriter, SharedFiles
from objclass.images.chunked.grid import chunk_shape, overlap
from objclass.images.chunked.unpack import unpacked
from objclass.images.writer import OutputImage

AXES_ZARR = "tczyx"
"""The order of axes in every file of an image."""

AXES_OF_LABELS = "tzyx"
"""The order of axes of a label image that lies in an image."""

CHUNK_BYTES = 1_000_000

LEVELS_OF_PART = 2
"""Levels that are written together with the pixels where processes share these; the others, a small part, are made later."""

CHUNKS_OF_TASK = 8
"""Chunks of a level that one task of a worker makes: of eight times as many pixels of the level below."""

_COMPRESSOR = {"id": "blosc", "cname": "zstd", "clevel": 1, "shuffle": 1, "blocksize": 0}

_TYPES = {"t": "time", "c": "channel", "z": "space", "y": "space", "x": "space"}

_UNITS = {"nm": "nanometer", "um": "micrometer", "mm": "millimeter", "cm": "centimeter", "m": "meter"}
"""Names that OME-NGFF knows of units."""


class SingleScaleWriter:
    """Writes an OME-Zarr folder of one array, or of a pyramid that grows with the blocks.

    Each chunk that is complete is packed, written and, at half the size, handed on to the next level;
    so nothing is read again, and few chunks wait where blocks come in scan order. Chunks of zeros only
    are left out, as Zarr has it. The same image makes the same files, whatever the blocks.
    """

    _most_levels: int | None = 1
    _axes = AXES_ZARR

    def __init__(self, path: str, image: OutputImage, context: Context | None = None) -> None:
        self._path, self._image = path, image
        self._workers: Workers | None = None
        lengths = dict(zip(image.axes, image.shape, strict=True))
        shape = tuple(lengths.get(axis, 1) for axis in self._axes)
        self._levels = [Level.first(path, self._axes, shape, image)]
        while not self._levels[-1].is_one_chunk and len(self._levels) != self._most_levels:
            self._levels.append(self._levels[-1].halved())
        self._writer = LevelWriter(self._levels, image.axes, context)
        write_json(path, ".zgroup", {"zarr_format": 2})
        write_json(path, ".zattrs", self._described())
        for level in self._levels:
            write_json(level.folder, ".zarray", _array(level))
            described = replace(image, pixel_size=level.scaled(image.pixel_size))
            write_json(level.folder, ".zattrs", attributes(described, self._axes))

    @classmethod
    def refusal(cls, image: OutputImage) -> str | None:
        """Why Zarr cannot hold the image and what can."""
        if image.dtype.kind not in "iuf":
            return f"holds integers and floats, not {image.dtype}: use hdf5"
        return None

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block, in the order of the image's axes."""
        self._writer.write(region, block)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Lengths of the chunks of the image."""
        return self._writer.chunks

    def share(self, workers: Workers) -> SharedFiles:
        """What other processes write to; levels above are made by ``workers`` when the folder is closed."""
        self._workers = workers
        return SharedLevels(tuple(level.shared() for level in self._levels[:LEVELS_OF_PART]))

    def _described(self) -> dict[str, Any]:
        """The attributes of the folder."""
        return _metadata(self._image, self._levels)

    def close(self) -> None:
        """Finish the folder."""
        if self._workers is None:
            self._writer.close()
        else:
            build(self._levels[LEVELS_OF_PART - 1 :], self._workers)
        for level in self._levels:
            level.settle()
        for name in (".zattrs", *(f"{level.name}/.zarray" for level in self._levels)):
            os.stat(os.path.join(self._path, name))  # gone if somebody has removed the folder

    def abort(self) -> None:
        """Write no more."""
        self._writer.abort()
        if self._workers is not None:
            for level in self._levels:
                level.settle()


class MultiScaleWriter(SingleScaleWriter):
    """Writes an OME-Zarr folder of a pyramid: halved along x, y, z until a chunk holds the image."""

    _most_levels = None


class InnerLabelWriter(MultiScaleWriter):
    """Writes the label image of an image, into the folder ``labels/<name>`` of that image: without channels."""

    _axes = AXES_OF_LABELS

    def _described(self) -> dict[str, Any]:
        """The attributes of the folder, with the place of the image."""
        found = super()._described()
        return found | {"image-label": found["image-label"] | {"source": {"image": "../../"}}}


@dataclass(frozen=True)
class Level(ChunkFiles):
    """One array of a pyramid; its last three axes are z, y, x.

    Parameters
    ----------
    factors
        How many pixels of the image one of its pixels stands for, along each axis.
    nearest
        Whether the next level has one pixel of each cell; else it has their mean.
    """

    factors: tuple[int, ...]
    nearest: bool

    @classmethod
    def first(cls, pyramid: str, axes: str, shape: tuple[int, ...], image: OutputImage) -> "Level":
        """The image itself, in the folder of a pyramid."""
        chunks = _even(chunk_shape(axes, shape, image.dtype, CHUNK_BYTES), shape)
        factors = (1,) * len(shape)
        return cls(os.path.join(pyramid, "s0"), axes, shape, chunks, image.dtype, factors, image.labels)

    def halved(self) -> "Level":
        """The next level, of half the size, with chunks as long."""
        shape = (*self.shape[:-3], *(-(-n // 2) for n in self.shape[-3:]))
        grown = (f * 2 if n > 1 else f for f, n in zip(self.factors[-3:], self.shape[-3:], strict=True))
        return replace(
            self,
            folder=os.path.join(os.path.dirname(self.folder), f"s{int(self.name[1:]) + 1}"),
            shape=shape,
            chunks=tuple(map(min, self.chunks, shape)),
            factors=(*self.factors[:-3], *grown),
        )

    @property
    def name(self) -> str:
        """In the folder of the pyramid."""
        return os.path.basename(self.folder)

    @property
    def is_one_chunk(self) -> bool:
        """Whether a chunk holds all of a time step and channel."""
        return self.chunks[-3:] == self.shape[-3:]

    def scaled(self, size: PixelSize | None) -> PixelSize | None:
        """The pixel size of this array, from that of the image, where known."""
        if size is None:
            return None
        z, y, x = self.factors[-3:]
        return PixelSize(size.x * x, size.y * y, size.z * z, size.unit)

    def thinned(self, pixels: AnyArray) -> AnyArray:
        """Some of its pixels, from an even one on along z, y, x, as the next level has them."""
        return pixels[..., ::2, ::2, ::2] if self.nearest else mean_of_cells(pixels)

    def packed(self, index: tuple[int, ...], chunk: AnyArray) -> bytes:
        """The content of the file of a chunk."""
        import imagecodecs

        del index  # all have their full shape
        little = chunk.astype(chunk.dtype.newbyteorder("<"), copy=False)
        return bytes(
            imagecodecs.blosc_encode(
                little.tobytes(), level=1, compressor="zstd", shuffle=1, typesize=chunk.itemsize, numthreads=1
            )
        )

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of a region, from the files."""
        grid, dtype = self.grid, self.dtype.newbyteorder("<")
        pixels = np.zeros([part.stop - part.start for part in region], self.dtype)
        for index in grid.touched(region):
            with suppress(FileNotFoundError), open(self.path(index), "rb") as file:
                content = unpacked("blosc", file.read(), prod(self.chunks) * dtype.itemsize)
                inside, place = overlap(grid.place(index), region)
                pixels[place] = np.frombuffer(content, dtype).reshape(self.chunks)[inside]
        return pixels


class LevelWriter(ChunkWriter):
    """Writes the first of some levels; its complete chunks go on to the others, at half the size."""

    def __init__(self, levels: Sequence[Level], axes: str, context: Context | None) -> None:
        super().__init__(levels[0], axes, context)
        self._level, *above = levels
        self._next = LevelWriter(above, self._level.axes, context) if above else None

    def _put(self, index: tuple[int, ...], chunk: AnyArray) -> None:
        super()._put(index, chunk)
        if self._next is not None:
            place = self._grid.place(index)
            half = tuple(slice(part.start // 2, -(-part.stop // 2)) for part in place[-3:])
            inside = chunk[tuple(slice(0, part.stop - part.start) for part in place)]
            self._next.write((*place[:-3], *half), self._level.thinned(inside))

    def close(self) -> None:
        """Write what is left of all levels."""
        super().close()
        if self._next is not None:
            self._next.close()

    def abort(self) -> None:
        """Write no more."""
        super().abort()
        if self._next is not None:
            self._next.abort()


@dataclass(frozen=True)
class SharedLevels:
    """The levels that processes write which share the pixels: the image itself, and those made of it in parts."""

    levels: tuple[Level, ...]

    @property
    def axes(self) -> str:
        """The order of axes in the files."""
        return self.levels[0].axes

    @property
    def sides(self) -> tuple[int, ...]:
        """Lengths of the pieces of which a part is made: those that chunks of the last of these levels stand for."""
        last = self.levels[-1]
        return tuple(side * factor for side, factor in zip(last.chunks, last.factors, strict=True))

    def open(self, axes: str, context: Context) -> LevelWriter:
        """A writer of a part of the image; blocks have these axes."""
        return LevelWriter(self.levels, axes, context)


def build(levels: Sequence[Level], workers: Workers) -> None:
    """Make all of some levels but the first, each from the files of the one below, by workers."""
    for below, level in pairwise(levels):
        deque(workers.ordered(thin, (below, level.shared()), _tasks(level)), maxlen=0)


def _tasks(level: Level) -> Iterator[list[tuple[int, ...]]]:
    """The indices of all chunks of a level, some for each task."""
    indices = level.grid.touched(tuple(slice(0, n) for n in level.shape))
    while task := list(islice(indices, CHUNKS_OF_TASK)):
        yield task


def thin(levels: tuple[Level, Level], indices: Sequence[tuple[int, ...]]) -> None:
    """Write some chunks of a level, from the level below, which comes first."""
    below, level = levels
    for index in indices:
        place = level.grid.place(index)
        cells = zip(place[-3:], below.shape[-3:], strict=True)
        wide = (*place[:-3], *(slice(2 * part.start, min(2 * part.stop, n)) for part, n in cells))
        chunk = np.zeros(level.chunks, level.dtype)
        chunk[tuple(slice(0, part.stop - part.start) for part in place)] = below.thinned(below.read(wide))
        level.write(index, chunk)


def _even(chunks: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Chunks that start at even pixels, so that half of each is a block of the next level."""
    return tuple(side if side in (n, 1) else side - side % 2 for side, n in zip(chunks, shape, strict=True))


def mean_of_cells(pixels: AnyArray) -> AnyArray:
    """The mean of each cell of 2 by 2 by 2 pixels along the last three axes; cells at the end may be smaller.

    Integers are rounded, halves to even. A mean of zero is +0.0, whatever the signs of zeros that it is made of: it must
    not depend on whether a chunk of zeros is read again, which has no file.

    Examples
    --------
    >>> mean_of_cells(np.array([[[0, 4, 7], [2, 2, 8]]]))
    array([[[2, 8]]])
    """
    total = pixels.astype(np.float64)
    for axis in (-1, -2, -3):
        odd = total.shape[axis] % 2
        edge = np.take(total, [-1] * odd, axis)  # counted twice, it leaves the mean of the others alone
        total = np.concatenate([total, edge], axis)
        total = (np.moveaxis(total, axis, 0)[::2] + np.moveaxis(total, axis, 0)[1::2]) / 2
        total = np.moveaxis(total, 0, axis)
    if pixels.dtype.kind in "iu":
        return np.rint(total).astype(pixels.dtype)
    return total.astype(pixels.dtype) + pixels.dtype.type(0)


def _array(level: Level) -> dict[str, Any]:
    return {
        "zarr_format": 2,
        "shape": level.shape,
        "chunks": level.chunks,
        "dtype": level.dtype.newbyteorder("<").str,
        "compressor": _COMPRESSOR,
        "fill_value": 0,
        "order": "C",
        "filters": None,
        "dimension_separator": "/",
    }


def _metadata(image: OutputImage, levels: list[Level]) -> dict[str, Any]:
    size = image.pixel_size
    unit = _UNITS.get(size.unit) if size is not None else None
    axes = [{"name": axis, "type": _TYPES[axis]} for axis in levels[0].axes]
    if unit is not None:
        axes = [axis | {"unit": unit} if axis["type"] == "space" else axis for axis in axes]
    multiscale = {
        "version": "0.4",
        "name": image.internal_path.strip("/"),
        "axes": axes,
        "datasets": [_dataset(image, level) for level in levels],
    }
    if len(levels) > 1:
        multiscale["type"] = "nearest" if image.labels else "mean"
    found: dict[str, Any] = {"multiscales": [multiscale]}
    if not image.labels:
        return found | _channels(image, levels[0].shape[1])
    return found | _image_label(image) if image.dtype.kind in "iu" else found


def _dataset(image: OutputImage, level: Level) -> dict[str, Any]:
    """Scale and origin of a level; means lie in the middle of the pixels that they are made of."""
    size, origin = image.pixel_size, dict(zip(image.axes, image.origin, strict=False))
    scale, translation = [], []
    for axis, factor in zip(level.axes, level.factors, strict=True):
        pixel = float(getattr(size, axis)) if size is not None and axis in "xyz" else 1.0
        middle = 0.0 if image.labels else (factor - 1) / 2
        scale.append(factor * pixel)
        translation.append((origin.get(axis, 0) + middle) * pixel)
    found: list[dict[str, Any]] = [{"type": "scale", "scale": scale}]
    if any(translation):
        found.append({"type": "translation", "translation": translation})
    return {"path": level.name, "coordinateTransformations": found}


def _channels(image: OutputImage, count: int) -> dict[str, Any]:
    """The ``omero`` part, where the channels have names."""
    if len(image.names) != count:
        return {}
    bounds = np.iinfo(image.dtype) if image.dtype.kind in "iu" else None
    low, high = image.drange or ((bounds.min, bounds.max) if bounds is not None else (0.0, 1.0))
    window = {"min": low, "max": high, "start": low, "end": high}
    colors = [*image.colors, *[(255, 255, 255)] * count]
    channels = [
        {"label": name, "color": "{:02X}{:02X}{:02X}".format(*color), "window": window, "active": True}
        for name, color in zip(image.names, colors, strict=False)
    ]
    return {"omero": {"channels": channels}}


def _image_label(image: OutputImage) -> dict[str, Any]:
    """The ``image-label`` part: names and colors of the classes."""
    found: dict[str, Any] = {"version": "0.4"}
    if image.colors:
        found["colors"] = [
            {"label-value": value, "rgba": [*color, 255]} for value, color in enumerate(image.colors, start=1)
        ]
    if image.names:
        found["properties"] = [
            {"label-value": value, "class": name} for value, name in enumerate(image.names, start=1)
        ]
    return {"image-label": found}
