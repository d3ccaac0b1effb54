"""N5: a folder of blocks for each dataset, and attributes as ilastik writes them.

https://github.com/saalfeldlab/n5#file-system-specification. N5 counts axes from the fastest one on:
everything here is turned round, so that the last axis is the fastest. Pixels are big-endian.
"""

import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.compute.workers import Workers
from objclass.core import AnyArray, PixelSize
from objclass.errors import ImageError, OutputError, listed
from objclass.images.attributes import attributes, stored_axes, stored_drange, tagged_size, write_json
from objclass.images.chunked.cache import CachedChunks
from objclass.images.chunked.files import ChunkFiles, ChunkWriter, SharedFiles
from objclass.images.chunked.grid import Grid, chunk_shape, deflated, overlap
from objclass.images.chunked.unpack import unpacked
from objclass.images.paths import pick
from objclass.images.remote import Remote
from objclass.images.source import Source, is_image_shape, known_pixel_size, reason
from objclass.images.trust import check_chunk, check_inside, check_kind, maximum_packed
from objclass.images.urls import is_url, parse_url
from objclass.images.writer import OutputImage

_ATTRIBUTES = "attributes.json"

_VERSION = "2.0.0"

_NEEDED = ("dimensions", "blockSize", "dataType", "compression")
"""Attributes that a dataset has, and a group has not."""

_DENSE = 0
"""Mode of blocks of pixels; others hold lists or objects."""


_PACKINGS = ("raw", "gzip", "bzip2", "xz", "zstd", "blosc")
"""Types of compression that are read."""


@dataclass(frozen=True)
class N5Store:
    """A dataset; no file is open between reads."""

    folder: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    blocks: tuple[int, ...]
    packing: str
    within: str | None
    """The folder that its files must not lead out of; None: they may."""
    context: Context

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region; only the blocks that it touches are read, absent ones are 0."""
        os.stat(os.path.join(self.folder, _ATTRIBUTES))  # blocks may be absent, a dataset may not
        return self._read(region, self._packed)

    def _read(self, region: tuple[slice, ...], packed: Callable[[tuple[int, ...]], bytes | None]) -> AnyArray:
        """Pixels of the region; ``packed`` returns the content of a block, None if it is absent."""
        grid = Grid(self.shape, self.blocks, self.dtype)
        pixels = np.zeros([part.stop - part.start for part in region], self.dtype)

        def fill(index: tuple[int, ...]) -> None:
            place = grid.place(index)
            source, target = overlap(place, region)
            content = packed(index)
            if content is not None:
                pixels[target] = self._block("/".join((self.folder, _key(index))), content, place)[source]

        self.context.each(fill, grid.touched(region))
        return pixels

    def _packed(self, index: tuple[int, ...]) -> bytes | None:
        path = os.path.join(self.folder, *_key(index).split("/"))
        if not os.path.exists(path):
            return None
        _check_file(path, self.within)
        with open(path, "rb") as file:
            return file.read()

    def _block(self, path: str, content: bytes, place: tuple[slice, ...]) -> AnyArray:
        mode, ndim = struct.unpack_from(">HH", content)
        shape = struct.unpack_from(f">{ndim}I", content, 4)[::-1]
        fits = ndim == len(place) and all(
            p.stop - p.start <= n <= side for n, p, side in zip(shape, place, self.blocks, strict=True)
        )
        if mode != _DENSE or not fits:
            message = f"{path}: is no block of pixels, or one of another size: is it damaged?"
            raise ImageError(message)
        pixels = unpacked(self.packing, content[4 + 4 * ndim :], prod(shape) * self.dtype.itemsize)
        return np.frombuffer(pixels, self.dtype.newbyteorder(">"), prod(shape)).reshape(shape)


@dataclass(frozen=True)
class RemoteN5Store(N5Store):
    """A dataset on a server; no connection is part of it."""

    remote: Remote
    described: bytes
    """Its attributes, as they were when it was opened."""

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region; the blocks that it touches are fetched several at a time."""
        grid = Grid(self.shape, self.blocks, self.dtype)
        most = maximum_packed(self.blocks, self.dtype)
        begun = {index: self.remote.begin(_key(index), None, most) for index in grid.touched(region)}
        try:
            pixels = self._read(region, lambda index: begun[index].result())
        finally:
            for request in begun.values():
                request.cancel()
        if any(request.result() is None for request in begun.values()):
            self.remote.check_unchanged(_ATTRIBUTES, self.described)
        return pixels


def _key(index: tuple[int, ...]) -> str:
    """The file of a block in the folder of its dataset."""
    return "/".join(map(str, index[::-1]))


def open_n5(path: str, internal: str, context: Context) -> Source:
    """Open a dataset; without a name the only one of 2 to 5 dimensions.

    Raises
    ------
    ImageError
        If there is no such dataset, or several and none was named, or it is packed in another way, or its
        files lead elsewhere.
    """
    if is_url(path):
        return _open_remote(path, internal, context)
    within = None if context.follow_links else path
    name = internal or pick(path, _names(path, within), noun="dataset")
    folder = os.path.join(path, name)
    check_inside(folder, path, follow_links=context.follow_links)
    found = _read_json(folder, within)
    if not _is_dataset(found):
        held = listed([other for other, _ in _datasets(path, within)])
        message = f"{path}: there is no dataset '{name}', expected one of {held}"
        raise ImageError(message)
    make = partial(N5Store, folder, within=within, context=context)
    return _source(f"{path}/{name}".rstrip("/"), found, make, context)


def _source(
    name: str,
    found: Mapping[str, Any],
    make: Callable[..., N5Store],
    context: Context,
    *,
    is_far: bool = False,
) -> Source:
    """A dataset, from its attributes; ``make`` makes it of shape, dtype, blocks and packing."""
    packing = str(found["compression"]["type"])
    if packing not in _PACKINGS:
        message = f"{name}: is packed with '{packing}', expected one of {', '.join(_PACKINGS)}"
        raise ImageError(message)
    shape, blocks = _shape(found), tuple(int(n) for n in found["blockSize"][::-1])
    axes, axes_from = stored_axes(found, shape)
    dtype = np.dtype(str(found["dataType"]))
    check_chunk(name, blocks, dtype)
    stored = make(shape=shape, dtype=dtype, blocks=blocks, packing=packing)
    size = tagged_size(found, axes) or _pixel_size(found, axes)
    chunks = CachedChunks(stored, blocks, context, is_far=is_far)
    return Source(name, chunks, axes, axes_from, stored_drange(found), size)


def _open_remote(url: str, internal: str, context: Context) -> Source:
    store, inside = parse_url(url)
    name = "/".join(part for part in (inside, internal.strip("/")) if part)
    remote = Remote(store.within(name), context.stop)
    content = remote.get(_ATTRIBUTES)
    found = _parsed(content, f"{remote.url.public}/{_ATTRIBUTES}") if content is not None else {}
    if content is None or not _is_dataset(found):
        message = f"{remote.url.public}: is no dataset of N5: name one behind the URL of the container, {store.public}/NAME"
        raise ImageError(message)
    folder = remote.url.public
    make = partial(RemoteN5Store, folder, within=None, context=context, remote=remote, described=content)
    source = _source(folder, found, make, context, is_far=True)
    return replace(source, version=remote.version(_ATTRIBUTES, content))


def arrays_in(path: str) -> list[str]:
    """Names of the datasets of 2 to 5 dimensions, sorted."""
    return _names(path, path)


def _names(path: str, within: str | None) -> list[str]:
    return [name for name, found in _datasets(path, within) if is_image_shape(_shape(found))]


def _datasets(path: str, within: str | None) -> Iterator[tuple[str, dict[str, Any]]]:
    for folder, subfolders, _ in os.walk(path):
        found = _read_json(folder, within)
        if _is_dataset(found):
            subfolders.clear()  # blocks
            name = os.path.relpath(folder, path).replace(os.sep, "/")
            yield "" if name == "." else name, found
        subfolders.sort()


def _check_file(path: str, within: str | None) -> None:
    """Refuse what is no file, or leads elsewhere."""
    check_kind(path)
    if within is not None:
        check_inside(path, within, follow_links=False)


def _read_json(folder: str, within: str | None = None) -> dict[str, Any]:
    try:
        _check_file(os.path.join(folder, _ATTRIBUTES), within)
        with open(os.path.join(folder, _ATTRIBUTES), "rb") as file:
            return _parsed(file.read(), f"{folder}/{_ATTRIBUTES}")
    except FileNotFoundError:  # groups need none
        return {}


def _parsed(content: bytes, name: str) -> dict[str, Any]:
    try:
        return dict(json.loads(content.decode()))
    except (ValueError, TypeError) as error:
        message = f"{name}: is damaged: {reason(error)}"
        raise ImageError(message) from error


def _is_dataset(found: Mapping[str, Any]) -> bool:
    return set(_NEEDED) <= set(found)


def _shape(found: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(n) for n in found["dimensions"][::-1])


def _pixel_size(found: Mapping[str, Any], axes: str) -> PixelSize | None:
    """By the first of: ``resolution`` and ``units``; ``pixelResolution`` of n5-viewer."""
    try:
        return _stored_size(found.get("resolution"), found, axes) or _stored_size(
            found.get("pixelResolution"), found, axes, "downsamplingFactors"
        )
    except (ValueError, TypeError, KeyError, AttributeError):  # it is not worth failing for
        return None


def _stored_size(size: Any, found: Mapping[str, Any], axes: str, factors: str = "") -> PixelSize | None:
    """Lengths along the axes from the fastest on: of all, or of x, y and z only."""
    if size is None:
        return None
    lengths, units = size, found.get("units", found.get("unit", "um"))
    if isinstance(size, Mapping):
        lengths, units = size["dimensions"], size.get("unit", units)
    letters = axes[::-1] if len(lengths) == len(axes) else "xyz"[: len(lengths)]
    coarser = found.get(factors, [1] * len(lengths))
    sizes = {a: float(n) * float(f) for a, n, f in zip(letters, lengths, coarser, strict=True)}
    named = dict.fromkeys("xyz", units) if isinstance(units, str) else dict(zip(letters, units, strict=True))
    return known_pixel_size(sizes, named, axes)


@dataclass(frozen=True)
class N5Chunks(ChunkFiles):
    """A dataset that is being written.

    Parameters
    ----------
    packing
        Type of compression: ``raw`` or ``gzip``.
    """

    packing: str

    def path(self, index: tuple[int, ...]) -> str:
        """The file of a chunk."""
        return super().path(index[::-1])

    def packed(self, index: tuple[int, ...], chunk: AnyArray) -> bytes:
        """The content of the file of a chunk; at the end of the image chunks are cut."""
        inside = chunk[tuple(slice(0, part.stop - part.start) for part in self.grid.place(index))]
        header = struct.pack(f">HH{inside.ndim}I", _DENSE, inside.ndim, *inside.shape[::-1])
        big_endian = np.ascontiguousarray(inside, inside.dtype.newbyteorder(">"))
        return header + (_gzipped(big_endian) if self.packing == "gzip" else big_endian.tobytes())


def _gzipped(chunk: AnyArray) -> bytes:
    """Pixels as a gzip file without time and name (RFC 1952): the zlib stream in other wrapping."""
    stream = deflated(chunk)[2:-4]
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    return header + stream + struct.pack("<II", zlib.crc32(chunk.data), chunk.nbytes & 0xFFFFFFFF)


class N5Container:
    """A container that is being written, to which several writers add datasets.

    Parameters
    ----------
    path
        Of the new folder.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._new: list[str] = []

    def add(self, internal: str) -> None:
        """Take note of a dataset."""
        self._new.append(internal)

    def flush(self) -> None:
        """Chunks are files of their own: nothing waits."""

    def mark(self) -> None:
        """Keep what is there, whatever comes."""
        self._new.clear()

    def undo(self) -> None:
        """Remove the datasets since the last `mark`, and the groups that are empty without them."""
        for internal in self._new:
            shutil.rmtree(os.path.join(self.path, internal), ignore_errors=True)
            with suppress(OSError):  # others lie in it
                os.removedirs(os.path.dirname(os.path.join(self.path, internal)))
        self._new.clear()

    def close(self, previous: str | None = None) -> None:
        """Take over what else the ``previous`` container held, and finish the folder."""
        write_json(self.path, _ATTRIBUTES, {"n5": _VERSION})
        if previous is not None and os.path.isdir(previous):
            _take_over(previous, self.path)

    def abort(self) -> None:
        """Leave the folder as it is."""


class N5Writer:
    """Writes a dataset into an N5 container, with ilastik's attributes.

    Chunks of zeros only are left out, as N5 has it. The same image makes the same files, whatever the
    blocks.

    Parameters
    ----------
    path
        Of the new folder, or the container that the dataset is added to.

    Raises
    ------
    OutputError
        If the place of the dataset is inside another dataset.
    """

    container = N5Container

    _compression: dict[str, Any] = {"type": "raw"}  # noqa: RUF012  a constant

    def __init__(self, path: str | N5Container, image: OutputImage, context: Context | None = None) -> None:
        self._container = N5Container(path) if isinstance(path, str) else path
        self._is_alone = isinstance(path, str)
        internal = image.internal_path.strip("/")
        refusal = self.refusal(image)
        if refusal:
            message = f"{self._container.path}: n5 {refusal}"
            raise OutputError(message)
        why = self.clash(self._container.path, image)
        if why is not None:
            message = f"{self._container.path}/{internal}: {why}"
            raise OutputError(message)
        self.chunks = chunk_shape(image.axes, image.shape, image.dtype)
        self._files = N5Chunks(
            os.path.join(self._container.path, internal),
            image.axes,
            image.shape,
            self.chunks,
            image.dtype,
            self._compression["type"],
        )
        self._writer = ChunkWriter(self._files, image.axes, context)
        self._container.add(internal)
        write_json(self._files.folder, _ATTRIBUTES, self._attributes(image))

    @classmethod
    def refusal(cls, image: OutputImage) -> str | None:
        """Why N5 cannot hold the image and what can."""
        if image.dtype.kind not in "iuf" or image.dtype == np.float16:
            return f"holds integers, float32 and float64, not {image.dtype}: use hdf5"
        if {"", ".", ".."} & set(image.internal_path.strip("/").split("/")) or "\\" in image.internal_path:
            return f"has no place '{image.internal_path}': expected names with / between them"
        return None

    @classmethod
    def clash(cls, previous: str, image: OutputImage) -> str | None:
        """Why the dataset cannot be added to a container that is there."""
        names = image.internal_path.strip("/").split("/")
        for above in ("/".join(names[:n]) for n in range(len(names))):
            if _is_dataset(_read_json(os.path.join(previous, above))):
                return f"{above or previous} is a dataset, expected a group"
        return None

    def _attributes(self, image: OutputImage) -> dict[str, Any]:
        return {
            "dimensions": image.shape[::-1],
            "blockSize": self.chunks[::-1],
            "dataType": image.dtype.name,
            "compression": self._compression,
            "axes": image.axes[::-1],
            **attributes(image, image.axes),
        }

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block, in the order of the image's axes."""
        self._writer.write(region, block)

    def share(self, workers: Workers) -> SharedFiles:
        """What other processes write to."""
        del workers  # nothing else is left to them
        return self._files.shared()

    def close(self) -> None:
        """Finish the dataset."""
        self._writer.close()
        self._files.settle()
        os.stat(os.path.join(self._files.folder, _ATTRIBUTES))  # gone if somebody has removed the folder
        if self._is_alone:
            self._container.close()

    def abort(self) -> None:
        """Write no more."""
        self._writer.abort()
        self._files.settle()


class CompressedN5Writer(N5Writer):
    """Writes a dataset into an N5 container, compressed as ilastik does it."""

    _compression = {"type": "gzip", "useZlib": False, "level": 1}  # noqa: RUF012  a constant


def _take_over(old: str, new: str) -> None:
    """Copy what the new group lacks.

    Raises
    ------
    OutputError
        If a group that holds new datasets would take the place of a dataset.
    """
    there = _read_json(new)
    if _is_dataset(there):
        return
    if _is_dataset(_read_json(old)):  # by now: of another process
        message = f"{old}: is a dataset, expected a group"
        raise OutputError(message)
    kept = _read_json(old) | there
    if kept:
        write_json(new, _ATTRIBUTES, kept)
    for name in sorted(os.listdir(old)):
        source, target = os.path.join(old, name), os.path.join(new, name)
        if os.path.isdir(source) and os.path.isdir(target):
            _take_over(source, target)
        elif os.path.isdir(source):
            shutil.copytree(source, target, symlinks=True, copy_function=_linked)
        elif not os.path.exists(target):
            _linked(source, target)


def _linked(source: str, target: str) -> None:
    """The same file under another name, a copy where the disk knows no links."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
