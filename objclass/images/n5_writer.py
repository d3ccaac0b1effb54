"""N5, the folder of chunk files, as ilastik writes it.

The format is that of https://github.com/saalfeldlab/n5: axes and chunks are told fastest first, pixels are
big-endian.
"""

import json
import os
import shutil
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from objclass.core import AnyArray, OutputImage
from objclass.errors import OutputError
from objclass.images.attributes import attributes
from objclass.images.chunk_grid import ChunkThreads, Grid, chunk_shape, deflated

_VERSION = "2.0.0"


def _gzipped(chunk: AnyArray) -> bytes:
    """Pixels as a gzip file without time and name (RFC 1952): the zlib stream in other wrapping."""
    stream = deflated(chunk)[2:-4]
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    return header + stream + struct.pack("<II", zlib.crc32(chunk.data), chunk.nbytes & 0xFFFFFFFF)


class N5Writer:
    """Writes a dataset into an N5 container, with ilastik's attributes.

    Chunks of zeros only are left out, as N5 has it. Several writers may share a container; what else the
    ``previous`` one held is kept. The same image makes the same files, whatever the blocks.

    Raises
    ------
    OutputError
        If the place of the dataset is inside another dataset.
    """

    _compression: dict[str, Any] = {"type": "raw"}  # noqa: RUF012  a constant
    _pack: Callable[[AnyArray], bytes] = staticmethod(lambda chunk: chunk.tobytes())

    def __init__(self, path: str, image: OutputImage, previous: str | None = None) -> None:
        self._path = path
        self._previous = previous if previous and os.path.isdir(previous) else None
        self._internal = image.internal_path.strip("/")
        refusal = self.refusal(image)
        if refusal:
            raise OutputError(refusal)
        for container in (path, self._previous):
            if container is not None:
                _refuse_inside_dataset(container, self._internal)
        self.chunks = chunk_shape(image.axes, image.shape, image.dtype)
        self._grid = Grid(image.shape, self.chunks, image.dtype)
        self._threads = ChunkThreads(self._write_chunk)
        _write_json(os.path.join(path, self._internal), self._attributes(image))

    @classmethod
    def refusal(cls, image: OutputImage) -> str | None:
        """Why N5 cannot hold the image and what can."""
        if image.dtype.kind not in "iuf" or image.dtype == np.float16:
            return f"n5 holds integers, float32 and float64, not {image.dtype}: use hdf5"
        if {"", ".", ".."} & set(image.internal_path.strip("/").split("/")) or "\\" in image.internal_path:
            return (
                f"'{image.internal_path}' is no place in an n5 container: expected names with / between them"
            )
        return None

    def _attributes(self, image: OutputImage) -> dict[str, Any]:
        described = attributes(image, image.axes)
        return {
            "dimensions": image.shape[::-1],
            "blockSize": self._grid.chunks[::-1],
            "dataType": image.dtype.name,
            "compression": self._compression,
            "axes": list(image.axes[::-1]),
            **{k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in described.items()},
        }

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block, in the order of the image's axes."""
        for index, chunk in self._grid.add(region, block):
            self._threads.put(index, chunk)

    def _write_chunk(self, index: tuple[int, ...], chunk: AnyArray) -> None:
        if not chunk.any():
            return
        # at the end of the image chunks are cut
        inside = chunk[tuple(slice(0, part.stop - part.start) for part in self._grid.place(index))]
        header = struct.pack(f">HH{inside.ndim}I", 0, inside.ndim, *inside.shape[::-1])
        big_endian = np.ascontiguousarray(inside, inside.dtype.newbyteorder(">"))
        path = os.path.join(self._path, self._internal, *map(str, index[::-1]))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(header + self._pack(big_endian))

    def close(self) -> None:
        """Finish the dataset and take over what else the previous container held."""
        try:
            for index, chunk in self._grid.rest():
                self._threads.put(index, chunk)
        finally:
            self._threads.close()
        _write_json(self._path, {"n5": _VERSION})
        if self._previous is not None:
            _take_over(self._previous, self._path)


class CompressedN5Writer(N5Writer):
    """Writes a dataset into an N5 container, compressed as ilastik does it."""

    _compression = {"type": "gzip", "useZlib": False, "level": 1}  # noqa: RUF012  a constant
    _pack = staticmethod(_gzipped)


def _read_json(folder: str) -> dict[str, Any]:
    try:
        with open(os.path.join(folder, "attributes.json"), encoding="utf-8") as file:
            return dict(json.load(file))
    except (OSError, ValueError, TypeError):
        return {}


def _write_json(folder: str, content: dict[str, Any]) -> None:
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "attributes.json"), "w", encoding="utf-8", newline="\n") as file:
        json.dump(content, file, indent=2, ensure_ascii=False)


def _is_dataset(folder: str) -> bool:
    return "dimensions" in _read_json(folder)


def _refuse_inside_dataset(container: str, internal: str) -> None:
    names = internal.split("/")
    for above in ("/".join(names[:n]) for n in range(len(names))):
        if _is_dataset(os.path.join(container, above)):
            message = f"{container}/{internal}: {above or container} is a dataset, expected a group"
            raise OutputError(message)


def _take_over(old: str, new: str) -> None:
    """Copy what the new group lacks."""
    if _is_dataset(new):
        return
    kept = _read_json(old) | _read_json(new)
    if kept:
        _write_json(new, kept)
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
