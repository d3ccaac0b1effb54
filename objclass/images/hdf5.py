"""HDF5, as ilastik reads and writes it: a dataset with its axes in the attribute ``axistags``."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from math import prod
from tempfile import TemporaryFile
from typing import Any
from weakref import finalize

import h5py
import numpy as np

from objclass.core import AXES, AnyArray, OutputImage, PixelSize
from objclass.errors import ImageError, OutputError
from objclass.images.paths import listed
from objclass.images.source import (
    Source,
    axes_by_shape,
    is_image_shape,
    known_pixel_size,
    reason,
)

CHUNK_BYTES = 512_000
"""Aim for the size of a chunk, as ilastik has it."""

KEPT_BYTES = 1 << 27
"""Most that is kept of unpacked chunks, for each of raw data and objects."""

_TYPE_FLAGS = {"c": 1, "x": 2, "y": 2, "z": 2, "t": 8}
"""vigra's kinds of axes: channel, space, time."""


@dataclass(frozen=True)
class Hdf5Store:
    """A dataset; the file is open only while it is read.

    ``chunks`` is the shape of its chunks if they are packed.
    """

    path: str
    internal: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...] | None

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region; only the chunks that it touches are read."""
        whole_chunks = self._widened(region)
        if whole_chunks == region:
            return _read(self.path, self.internal, region)
        stamp = os.stat(self.path).st_mtime_ns
        bounds = tuple((part.start, part.stop) for part in whole_chunks)
        starts = [start for start, _ in bounds]
        inside = tuple(slice(r.start - a, r.stop - a) for r, a in zip(region, starts, strict=True))
        return _unpacked(self.path, self.internal, bounds, stamp)[inside].copy()

    def _widened(self, region: tuple[slice, ...]) -> tuple[slice, ...]:
        """The region rounded to packed chunks, if these are few enough to be kept."""
        if self.chunks is None:
            return region
        wide = tuple(
            slice(part.start // side * side, min(-(-part.stop // side) * side, n))
            for part, side, n in zip(region, self.chunks, self.shape, strict=True)
        )
        needed = prod(part.stop - part.start for part in wide) * self.dtype.itemsize
        return wide if needed <= KEPT_BYTES else region


def _read(path: str, internal: str, region: tuple[slice, ...]) -> AnyArray:
    with _opened(path) as file:
        pixels: AnyArray = file[internal][region]
        return pixels


# a slab is thinner than the chunks: the next one must not unpack the same chunks again
@lru_cache(maxsize=2)
def _unpacked(path: str, internal: str, bounds: tuple[tuple[int, int], ...], _stamp: int) -> AnyArray:
    return _read(path, internal, tuple(slice(start, stop) for start, stop in bounds))


def open_dataset(path: str, internal: str = "") -> Source:
    """Open a dataset; without a name the only one of 2 to 5 dimensions.

    Raises
    ------
    ImageError
        If it is no HDF5 file, or has no such dataset, or several and none was named.
    """
    with _opened(path) as file:
        dataset = _find(file, path, internal)
        name = dataset.name.strip("/")
        shape = tuple(dataset.shape or ())
        axes, axes_from = _axes(dataset, shape)
        packed = dataset.chunks if dataset.compression else None
        store = Hdf5Store(path, name, shape, dataset.dtype, packed)
        size = _pixel_size(dataset, axes)
        return Source(f"{path}/{name}", store, axes, axes_from, _drange(dataset), size)


def arrays_in(path: str) -> list[str]:
    """Names of the datasets of 2 to 5 dimensions, sorted.

    Raises
    ------
    ImageError
        If it is no HDF5 file.
    """
    with _opened(path) as file:
        return [d.name.strip("/") for d in _datasets(file) if is_image_shape(d.shape or ())]


@contextmanager
def _opened(path: str) -> Iterator[Any]:
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        is_hdf5 = h5py.is_hdf5(path)
        what = f"is damaged: {reason(error)}" if is_hdf5 else "is not an HDF5 file"
        message = f"{path}: {what}"
        raise ImageError(message) from error
    with file:
        yield file


def _datasets(file: Any) -> list[Any]:
    found: list[Any] = []
    file.visititems(lambda _, item: found.append(item) if isinstance(item, h5py.Dataset) else None)
    return sorted(found, key=lambda dataset: str(dataset.name))


def _find(file: Any, path: str, internal: str) -> Any:
    datasets = _datasets(file) if not internal else []
    images = [dataset for dataset in datasets if is_image_shape(dataset.shape or ())]
    if len(images) == 1:
        return images[0]
    if internal and isinstance(file.get(internal), h5py.Dataset):
        return file[internal]
    held = listed([_told(dataset) for dataset in images or _datasets(file)])
    if internal:
        message = f"{path}: there is no dataset '{internal}', expected one of {held}"
    elif images:
        message = f"{path}: which dataset? expected {path}/NAME with one of {held}"
    else:
        message = f"{path}: has no dataset of 2 to 5 dimensions; it holds {held}"
    raise ImageError(message)


def _told(dataset: Any) -> str:
    return f"{dataset.name.strip('/')} {dataset.shape} {dataset.dtype}"


def _axes(dataset: Any, shape: tuple[int, ...]) -> tuple[str, str]:
    if "axistags" in dataset.attrs:
        try:
            axes = "".join(str(tag["key"]) for tag in _tags(dataset))
        except (ValueError, TypeError, KeyError):
            return "", "attribute axistags, which is damaged"
        if "?" not in axes:
            return axes.lower(), "axistags"
    if "axes" in dataset.attrs:
        letters = [_text(letter) for letter in np.atleast_1d(dataset.attrs["axes"])]
        return "".join(letters)[::-1].lower(), "attribute axes"
    return axes_by_shape(shape), "shape"


def _tags(dataset: Any) -> list[dict[str, Any]]:
    return list(json.loads(_text(dataset.attrs["axistags"]))["axes"])


def _text(value: Any) -> str:
    plain = value.item() if isinstance(value, np.ndarray | np.generic) else value
    return plain.decode() if isinstance(plain, bytes) else str(plain)


def _drange(dataset: Any) -> tuple[float, float] | None:
    stored = np.ravel(dataset.attrs.get("drange", ()))
    if stored.shape != (2,) or stored.dtype.kind not in "iuf":
        return None
    low, high = (float(bound) for bound in stored)
    return low, high


def _pixel_size(dataset: Any, axes: str) -> PixelSize | None:
    try:
        sizes = {tag["key"]: float(tag.get("resolution", 0)) for tag in _tags(dataset)}
        units = json.loads(_text(dataset.attrs.get("axis_units", "{}")))
        size = known_pixel_size(sizes, units, axes)
    except (ValueError, TypeError, KeyError, AttributeError):  # it is not worth failing for
        size = None
    elements = np.ravel(dataset.attrs.get("element_size_um", ()))
    if size is None and elements.shape == (3,):
        micrometres = dict(zip("zyx", elements, strict=True))
        size = known_pixel_size(micrometres, dict.fromkeys("xyz", "um"), axes)
    return size


def axistags(axes: str, size: PixelSize | None = None) -> str:
    """Axes as vigra's JSON text, newlines and all.

    Parameters
    ----------
    axes
        Letters of ``"tzyxc"``.
    size
        Of the pixels; resolution 0 stands for unknown.
    """
    tags = [
        {
            "key": axis,
            "typeFlags": _TYPE_FLAGS[axis],
            "resolution": getattr(size, axis) if size is not None and axis in "xyz" else 0,
            "description": "",
        }
        for axis in axes
    ]
    return json.dumps({"axes": tags}, indent=2)


def chunk_shape(axes: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """Shape of the chunks: of about `CHUNK_BYTES`, one time step and channel, else near a cube.

    Examples
    --------
    >>> chunk_shape("tzyxc", (1, 200, 512, 512, 1), np.dtype(np.float32))
    (1, 50, 51, 50, 1)
    """
    remaining = CHUNK_BYTES // dtype.itemsize
    longest = [1 if axis in "tc" else n for axis, n in zip(axes, shape, strict=True)]
    chunk = [1] * len(axes)
    # short axes first: what they do not use up is left to the long ones
    order = sorted(range(len(axes)), key=longest.__getitem__)
    for done, axis in enumerate(order):
        side = int(remaining ** (1 / (len(order) - done)) + 0.5)
        chunk[axis] = max(min(side, longest[axis]), 1)
        remaining //= chunk[axis]
    return tuple(chunk)


class Hdf5Writer:
    """Writes a dataset with ilastik's attributes.

    Chunks are written whole, in scan order, whatever the blocks were, so that the same image makes
    the same bytes; blocks that come in scan order keep few of them waiting. Each pixel is to be
    written once. Several writers may share a file; what else the ``previous`` file held is kept.

    Raises
    ------
    OutputError
        If the place of the dataset is inside another dataset.
    """

    _compression: tuple[str, int] | None = None

    def __init__(self, path: str, image: OutputImage, previous: str | None = None) -> None:
        self._previous = previous if previous and h5py.is_hdf5(previous) else None
        self._internal = image.internal_path.strip("/")
        if self._previous is not None:
            with h5py.File(self._previous, "r") as file:
                _refuse_inside_dataset(file, self._internal)
        # a file that is there was begun by another output of this run
        is_shared = os.path.exists(path)
        self._file = h5py.File(path, "a" if is_shared else "w")
        _refuse_inside_dataset(self._file, self._internal)
        self._drop_scratch: Callable[[], Any] = lambda: None
        self._dataset = self._sink = self._create(self._file, image)
        if is_shared:  # chunks of several outputs by turns would lie as the blocks came
            self._sink = self._create(self._open_scratch(path), image)
        self._waiting: dict[tuple[int, ...], tuple[AnyArray, int]] = {}
        self._order = self._scan(image)
        self._turn = next(self._order, None)

    @classmethod
    def refusal(cls, image: OutputImage) -> str | None:
        """None: it holds any image."""
        del image
        return None

    def _open_scratch(self, path: str) -> Any:
        scratch = ExitStack()
        self._drop_scratch = finalize(self, scratch.close)  # goes even if the run fails
        file = TemporaryFile(dir=os.path.dirname(path) or ".")  # noqa: SIM115  closed with the stack
        scratch.enter_context(file)
        return scratch.enter_context(h5py.File(file, "w"))

    def _create(self, file: Any, image: OutputImage) -> Any:
        if self._internal in file:
            del file[self._internal]
        method, level = self._compression or (None, None)
        dataset = file.create_dataset(
            self._internal,
            image.shape,
            image.dtype,
            chunks=chunk_shape(image.axes, image.shape, image.dtype),
            compression=method,
            compression_opts=level,
            track_times=False,
        )
        _describe(dataset, image)
        return dataset

    def _scan(self, image: OutputImage) -> Iterator[tuple[int, ...]]:
        grid = [range(-(-n // c)) for n, c in zip(image.shape, self._dataset.chunks, strict=True)]
        slowest_first = sorted(range(len(grid)), key=lambda axis: AXES.index(image.axes[axis]))
        place = {axis: position for position, axis in enumerate(slowest_first)}
        for index in product(*(grid[axis] for axis in slowest_first)):
            yield tuple(index[place[axis]] for axis in range(len(grid)))

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block, in the order of the image's axes."""
        chunks = self._dataset.chunks
        touched = (
            range(part.start // side, -(-part.stop // side))
            for part, side in zip(region, chunks, strict=True)
        )
        for index in product(*touched):
            self._fill(index, region, block)
        while self._turn in self._waiting and self._waiting[self._turn][1] == 0:
            self._flush(self._turn)

    def _place(self, index: tuple[int, ...]) -> tuple[slice, ...]:
        sides = zip(index, self._dataset.chunks, self._dataset.shape, strict=True)
        return tuple(slice(i * side, min(i * side + side, n)) for i, side, n in sides)

    def _fill(self, index: tuple[int, ...], region: tuple[slice, ...], block: AnyArray) -> None:
        place = self._place(index)
        if index not in self._waiting:
            shape = tuple(part.stop - part.start for part in place)
            self._waiting[index] = (np.zeros(shape, self._dataset.dtype), prod(shape))
        chunk, missing = self._waiting[index]
        pairs = list(zip(place, region, strict=True))
        bounds = [(max(a.start, b.start), min(a.stop, b.stop)) for a, b in pairs]
        inside = tuple(slice(s - p.start, e - p.start) for (s, e), p in zip(bounds, place, strict=True))
        given = tuple(slice(s - r.start, e - r.start) for (s, e), r in zip(bounds, region, strict=True))
        chunk[inside] = block[given]
        self._waiting[index] = (chunk, missing - prod(end - start for start, end in bounds))

    def _flush(self, index: tuple[int, ...]) -> None:
        chunk, _ = self._waiting.pop(index)
        self._sink[self._place(index)] = chunk
        self._turn = next(self._order, None)

    def close(self) -> None:
        """Write what is left, take over what else the previous file held, and finish the file."""
        for index in sorted(self._waiting):
            self._sink[self._place(index)] = self._waiting[index][0]
        self._waiting.clear()
        if self._sink != self._dataset:
            _move_chunks(self._sink, self._dataset)
        if self._previous is not None:
            with h5py.File(self._previous, "r") as previous:
                _take_over(previous, self._file)
        self._file.close()
        self._drop_scratch()


class CompressedHdf5Writer(Hdf5Writer):
    """Writes a dataset with ilastik's attributes, compressed as ilastik does it."""

    _compression = ("gzip", 1)


def _refuse_inside_dataset(file: Any, internal: str) -> None:
    names = internal.split("/")
    for above in ("/".join(names[:n]) for n in range(1, len(names))):
        if isinstance(file.get(above), h5py.Dataset):
            message = f"{file.filename}/{internal}: {above} is a dataset, expected a group"
            raise OutputError(message)


def _move_chunks(scratch: Any, dataset: Any) -> None:
    """Copy chunks as they are, packed."""
    scratch.file.flush()
    for number in range(scratch.id.get_num_chunks()):
        offset = scratch.id.get_chunk_info(number).chunk_offset
        mask, packed = scratch.id.read_direct_chunk(offset)
        dataset.id.write_direct_chunk(offset, packed, mask)


def _describe(dataset: Any, image: OutputImage) -> None:
    size = image.pixel_size
    dataset.attrs["axistags"] = axistags(image.axes, size)
    if size is not None and size.unit:
        dataset.attrs["axis_units"] = json.dumps({a: size.unit for a in image.axes if a in "xyz"})
    dataset.attrs["display_mode"] = "default"
    if image.drange is not None:
        dataset.attrs["drange"] = _in_dtype(image.drange, image.dtype)
    for dimension, axis in zip(dataset.dims, image.axes, strict=True):
        dimension.label = axis


def _in_dtype(drange: tuple[float, float], dtype: np.dtype[Any]) -> AnyArray:
    bounds = np.array(drange, np.float64)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.array([max(min(int(b), limits.max), limits.min) for b in bounds], dtype)
    return bounds.astype(dtype)


def _take_over(old: Any, new: Any) -> None:
    """Copy what the new group lacks."""
    for name in old.attrs:
        if name not in new.attrs:
            new.attrs[name] = old.attrs[name]
    for name in old:
        link = old.get(name, getlink=True)
        if name in new:
            if isinstance(old.get(name), h5py.Group) and isinstance(new.get(name), h5py.Group):
                _take_over(old[name], new[name])
        elif isinstance(link, h5py.SoftLink | h5py.ExternalLink):
            new[name] = link
        else:
            old.copy(name, new, name)
