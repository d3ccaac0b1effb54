"""Files of microscopes, CZI, LIF and ND2, through the readers of bioio (``pip install objclass[bio]``).

A scene is named as the array in a container is: ``file.czi/SCENE``.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from math import prod
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.core import AnyArray, PixelSize
from objclass.errors import ImageError
from objclass.images.chunked.cache import CachedChunks
from objclass.images.paths import pick
from objclass.images.source import Source, known_pixel_size

_READERS = {".czi": "bioio_czi", ".lif": "bioio_lif", ".nd2": "bioio_nd2"}
"""Suffix -> the package that reads it."""

_BY_PLANE: dict[str, Any] = {"chunk_dims": ["Y", "X", "S"]}
"""Option that makes a reader return single planes; that of ND2 does so by default."""


_PLANE_BYTES = 32
"""Bytes that a plane takes at least: the header of its segment in a CZI file."""


@dataclass(frozen=True)
class SceneStore:
    """A scene; the file is open only while it is read."""

    path: str
    scene: str
    dims: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region; only the planes that it touches are read."""
        with _opened(self.path, self.scene) as reader:
            pixels = _pixels(reader).isel(dict(zip(self.dims, region, strict=True)))
            others = {dim: 0 for dim in pixels.dims if dim not in self.dims}
            try:
                return np.asarray(pixels.isel(others).transpose(*self.dims).data.compute())
            except MemoryError as fault:  # of what the file claims: planes are no larger than was checked
                message = f"{self.path}: a plane could not be unpacked, the file may be damaged: {fault}"
                raise ImageError(message) from fault


def open_scene(path: str, internal: str, context: Context) -> Source:
    """Open a scene; the only one needs no name.

    Raises
    ------
    ImageError
        If there is no such scene, or several and none was named, or its reader is not installed.
    """
    scene = pick(path, scenes_in(path), internal, "scene")
    with _opened(path, scene) as reader:
        pixels = _pixels(reader)
        lengths = dict(zip(map(str, pixels.dims), pixels.shape, strict=True))
        dims = _dims(f"{path}/{scene}", lengths)
        axes = dims.lower().replace("s", "c")
        shape = tuple(int(lengths[dim]) for dim in dims)
        stored = SceneStore(path, scene, dims, shape, np.dtype(pixels.dtype))
        size = _pixel_size(reader, axes.replace("z", "") if lengths.get("Z", 1) == 1 else axes)
    plane = tuple(n if dim in "YXS" else 1 for dim, n in zip(dims, shape, strict=True))
    return Source(f"{path}/{scene}", CachedChunks(stored, plane, context), axes, "bioio", None, size)


def scenes_in(path: str) -> list[str]:
    """Names of the scenes, in the order of the file.

    Raises
    ------
    ImageError
        If it cannot be read, or its reader is not installed.
    """
    with _opened(path) as reader:
        return [str(scene) for scene in reader.scenes]


@contextmanager
def _opened(path: str, scene: str = "") -> Iterator[Any]:
    suffix = os.path.splitext(path)[1].lower()
    try:
        module = import_module(_READERS[suffix])
    except ImportError as error:
        message = f"{path}: {suffix} is read with bioio, which is not installed: pip install objclass[bio]"
        raise ImageError(message) from error
    if suffix == ".czi" and not scene:  # once: scenes are listed before one is read, plane by plane
        _check_czi(path)
    reader = module.Reader(path, **({} if suffix == ".nd2" else _BY_PLANE))
    if scene:
        reader.set_scene(scene)
    yield reader


def _check_czi(path: str) -> None:
    """Raise an error for a damaged file, at which bioio's library for CZI would end the process or never return.

    Zeiss's own library refuses it, or says how many planes it claims, each of which takes `_PLANE_BYTES` at least.
    """
    with suppress(ImportError):
        czi = import_module("pylibCZIrw.czi")
        with czi.open_czi(path) as file:
            lengths = {axis: stop - start for axis, (start, stop) in file.total_bounding_box.items()}
            _ = file.scenes_bounding_rectangle  # an error if there are not as many scenes as it claims
        planes = prod(n for axis, n in lengths.items() if axis not in "XY")
        if planes * _PLANE_BYTES > os.path.getsize(path):
            message = f"it claims {planes} planes, which its size cannot hold"
            raise ValueError(message)


def _pixels(reader: Any) -> Any:
    """Lazy pixels with names of their axes; tiles of a scan are put together."""
    is_scan = getattr(reader.dims, "M", 1) > 1
    return reader.mosaic_xarray_dask_data if is_scan else reader.xarray_dask_data


def _dims(name: str, lengths: dict[str, int]) -> str:
    """The axes that matter, slowest first: T, Z, Y, X and C, or S where the samples are colours."""
    colours = "S" if lengths.get("S", 1) > 1 and lengths.get("C", 1) == 1 else "C"
    dims = "".join(dim for dim in "TZYX" + colours if dim in lengths)
    other = [f"{dim}: {n}" for dim, n in lengths.items() if dim not in dims and n > 1]
    if other:
        message = f"{name}: has axes that are none of t, z, y, x, c ({', '.join(other)}): save it as OME-TIFF"
        raise ImageError(message)
    return dims


def _pixel_size(reader: Any, axes: str) -> PixelSize | None:
    try:
        stored = reader.physical_pixel_sizes
        sizes = {axis: float(getattr(stored, axis.upper()) or 0) for axis in "xyz"}
    except (ValueError, TypeError, KeyError, AttributeError):  # it is not worth failing for
        return None
    return known_pixel_size(sizes, dict.fromkeys("xyz", "um"), axes)
