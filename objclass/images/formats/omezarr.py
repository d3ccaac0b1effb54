"""OME-Zarr 0.4, the folder of chunk files: one array ``s0``, or a pyramid of arrays ``s0``, ``s1`` ….

The format is that of OME-NGFF 0.4 (https://ngff.openmicroscopy.org/0.4) on top of Zarr 2
(https://zarr-specs.readthedocs.io, version 2), with ilastik's attributes on each array.
"""

import os
from dataclasses import replace
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.core import AnyArray, PixelSize, from_canonical, to_canonical
from objclass.images.attributes import attributes, write_json
from objclass.images.chunked.grid import Grid, Packing, chunk_shape
from objclass.images.writer import OutputImage

AXES_ZARR = "tczyx"
"""The order of axes in every file of an image."""

AXES_OF_LABELS = "tzyx"
"""The order of axes of a label image that lies in an image."""

CHUNK_BYTES = 1_000_000

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
        lengths = dict(zip(image.axes, image.shape, strict=True))
        shape = tuple(lengths.get(axis, 1) for axis in self._axes)
        self._packing = Packing(_write_chunk, context)
        self._levels = [Level(path, 0, self._axes, shape, (1,) * len(shape), image, self._packing)]
        sides = dict(zip(self._axes, self._levels[0].chunks, strict=True))
        self.chunks = tuple(sides.get(axis, 1) for axis in image.axes)
        while not self._levels[-1].is_one_chunk and len(self._levels) != self._most_levels:
            self._levels.append(self._levels[-1].halved())
        write_json(path, ".zgroup", {"zarr_format": 2})
        write_json(path, ".zattrs", self._described())

    @classmethod
    def refusal(cls, image: OutputImage) -> str | None:
        """Why Zarr cannot hold the image and what can."""
        if image.dtype.kind not in "iuf":
            return f"holds integers and floats, not {image.dtype}: use hdf5"
        return None

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block, in the order of the image's axes."""
        given = dict(zip(self._image.axes, region, strict=True))
        place = tuple(given.get(axis, slice(0, 1)) for axis in self._axes)
        self._levels[0].write(place, from_canonical(to_canonical(block, self._image.axes), self._axes))

    def _described(self) -> dict[str, Any]:
        """The attributes of the folder."""
        return _metadata(self._image, self._levels)

    def close(self) -> None:
        """Finish the folder."""
        try:
            for level in self._levels:
                level.finish()
        finally:
            self._packing.close()
        for name in (".zattrs", *(f"{level.name}/.zarray" for level in self._levels)):
            os.stat(os.path.join(self._path, name))  # gone if somebody has removed the folder

    def abort(self) -> None:
        """Write no more."""
        self._packing.abort()


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


class Level:
    """One array of a pyramid; its last three axes are z, y, x.

    Parameters
    ----------
    folder, number
        The pyramid's folder; 0 for the image itself.
    axes
        Its axes.
    shape, factors
        Of this array; how many pixels of the image one of its pixels stands for, along each axis.
    image
        What the pyramid is made of.
    packing
        Writes complete chunks.
    """

    def __init__(
        self,
        folder: str,
        number: int,
        axes: str,
        shape: tuple[int, ...],
        factors: tuple[int, ...],
        image: OutputImage,
        packing: Packing,
    ) -> None:
        self.name, self.axes, self.shape, self.factors = f"s{number}", axes, shape, factors
        self._next: Level | None = None
        self._folder, self._number, self._image, self._packing = folder, number, image, packing
        self._array = os.path.join(folder, self.name)
        chunks = chunk_shape(axes, shape, image.dtype, CHUNK_BYTES)
        self.chunks = _even(chunks, shape)
        self._grid = Grid(shape, self.chunks, image.dtype)
        write_json(self._array, ".zarray", _array(self._grid))
        described = attributes(replace(image, pixel_size=self.pixel_size), axes)
        write_json(self._array, ".zattrs", described)

    @property
    def pixel_size(self) -> PixelSize | None:
        """Of this array, where known."""
        size = self._image.pixel_size
        if size is None:
            return None
        z, y, x = self.factors[-3:]
        return PixelSize(size.x * x, size.y * y, size.z * z, size.unit)

    @property
    def is_one_chunk(self) -> bool:
        """Whether a chunk holds all of a time step and channel."""
        return self._grid.chunks[-3:] == self._grid.shape[-3:]

    def halved(self) -> "Level":
        """The next level, of half the size; chunks are handed on to it from now on."""
        shape = (*self.shape[:-3], *(-(-n // 2) for n in self.shape[-3:]))
        grown = (f * 2 if n > 1 else f for f, n in zip(self.factors[-3:], self.shape[-3:], strict=True))
        factors = (*self.factors[:-3], *grown)
        self._next = Level(
            self._folder, self._number + 1, self.axes, shape, factors, self._image, self._packing
        )
        return self._next

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block."""
        for index, chunk in self._grid.add(region, block):
            self._flush(index, chunk)

    def finish(self) -> None:
        """Write what is left; the levels above are finished."""
        for index, chunk in self._grid.rest():
            self._flush(index, chunk)

    def _flush(self, index: tuple[int, ...], chunk: AnyArray) -> None:
        self._packing.put(os.path.join(self._array, *map(str, index)), chunk)
        if self._next is None:
            return
        place = self._grid.place(index)
        inside = chunk[tuple(slice(0, part.stop - part.start) for part in place)]
        half = tuple(slice(part.start // 2, -(-part.stop // 2)) for part in place[-3:])
        small = inside[..., ::2, ::2, ::2] if self._image.labels else mean_of_cells(inside)
        self._next.write((*place[:-3], *half), small)


def _even(chunks: tuple[int, ...], shape: tuple[int, ...]) -> tuple[int, ...]:
    """Chunks that start at even pixels, so that half of each is a block of the next level."""
    return tuple(side if side in (n, 1) else side - side % 2 for side, n in zip(chunks, shape, strict=True))


def mean_of_cells(pixels: AnyArray) -> AnyArray:
    """The mean of each cell of 2 by 2 by 2 pixels along the last three axes; cells at the end may be smaller.

    Integers are rounded, halves to even.

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
        total = np.rint(total)
    return total.astype(pixels.dtype)


def _write_chunk(path: str, chunk: AnyArray) -> None:
    import imagecodecs

    if not chunk.any():
        return
    little = chunk.astype(chunk.dtype.newbyteorder("<"), copy=False)
    packed = imagecodecs.blosc_encode(
        little.tobytes(), level=1, compressor="zstd", shuffle=1, typesize=chunk.itemsize, numthreads=1
    )
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(packed)


def _array(grid: Grid) -> dict[str, Any]:
    return {
        "zarr_format": 2,
        "shape": grid.shape,
        "chunks": grid.chunks,
        "dtype": grid.dtype.newbyteorder("<").str,
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
