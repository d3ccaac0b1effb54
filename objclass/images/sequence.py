"""Sequences: the slices of an image along its first axis longer than 1, each in a file of its own."""

from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np

from objclass import registry
from objclass.compute.context import Context
from objclass.core import AnyArray
from objclass.errors import UsageError
from objclass.images.formats.plain import reserve_part
from objclass.images.formats.plane import described, nearest
from objclass.images.writer import OutputImage


def writer_of(name: str) -> Any:
    """The writer of an output format, which may be a sequence.

    Raises
    ------
    UsageError
        If there is no such format.
    """
    found = registry.output_format(name)
    if found is None:
        known = ", ".join(entry.name for entry in registry.output_formats(plugins=True))
        message = f"output format '{name}': expected one of {known}"
        raise UsageError(message)
    return Sequence(found.part, found.part_axes) if found.part else registry.resolve(found.writer)


def slices(image: OutputImage) -> tuple[str, int]:
    """The axis that counts the files, the first longer than 1 in the order of the output, and its length.

    Examples
    --------
    >>> slices(OutputImage("tzyxc", (1, 5, 20, 30, 1), np.dtype("u1")))
    ('z', 5)
    """
    pairs = zip(image.axes, image.shape, strict=True)
    return next(((axis, n) for axis, n in pairs if n > 1), (image.axes[0], image.shape[0]))


def slice_path(folder: str, number: int) -> str:
    """Temporary path of a slice; numbers count from 0."""
    return f"{folder}/{number}"


@dataclass(frozen=True)
class Sequence:
    """A format of several files; it makes writers as their classes do.

    Parameters
    ----------
    format
        Of each file.
    dimensions
        Of each file, channels not counted.
    """

    format: str
    dimensions: int = 2

    @property
    def _writer(self) -> Any:
        return writer_of(self.format)

    def refusal(self, image: OutputImage) -> str | None:
        """The reason why a sequence cannot hold the image, and a format that can; None if it can."""
        long = [axis for axis, n in zip(image.axes, image.shape, strict=True) if n > 1]
        wanted = self.dimensions + 1
        if len(long) != wanted and not (len(long) == wanted + 1 and "c" in long[1:]):
            return (
                f"holds {wanted} axes longer than 1 (and channels, not first), not {described(image)}: "
                f"use {nearest(image)}"
            )
        refusal: str | None = self._writer.refusal(self.part(image))
        if refusal is None:
            return None
        reason, _, instead = refusal.rpartition(": use ")
        found = registry.output_format(instead)
        is_plane = found is not None and found.capacity is not None
        return f"each file {reason}: use {instead}{' sequence' * is_plane}"

    def part(self, image: OutputImage) -> OutputImage:
        """The image in each file."""
        at = image.axes.index(slices(image)[0])
        axes, shape = image.axes, image.shape
        return replace(image, axes=axes[:at] + axes[at + 1 :], shape=shape[:at] + shape[at + 1 :])

    def __call__(self, path: str, image: OutputImage, context: Context | None = None) -> "SequenceWriter":
        """A writer into the folder ``path``, which it makes."""
        del context
        return SequenceWriter(path, image, self.part(image), self._writer)


class SequenceWriter:
    """Writes each slice as soon as all its pixels are there, one file at a time.

    Blocks of several slices, or of parts of them, may be written in any order; parts are kept on the disk. Each
    pixel must be written exactly once: an incomplete slice gets no file.

    Parameters
    ----------
    path
        The folder of the slices.
    image
        All of them.
    part
        One of them.
    make
        Writer of one of them.
    """

    def __init__(self, path: str, image: OutputImage, part: OutputImage, make: Any) -> None:
        self._path, self._part, self._make = path, part, make
        axis, self._count = slices(image)
        self._at = image.axes.index(axis)
        self.chunks = tuple(1 if at == self._at else n for at, n in enumerate(image.shape))
        self._missing: dict[int, int] = {}
        self._waiting: AnyArray | None = None
        Path(path).mkdir()

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block, in the order of the whole image's axes."""
        at = self._at
        inside = region[:at] + region[at + 1 :]
        for number, part in enumerate(np.moveaxis(block, at, 0), region[at].start):
            if part.shape == self._part.shape:
                self._save(number, part)
            else:
                self._add(number, inside, part)

    def _add(self, number: int, region: tuple[slice, ...], part: AnyArray) -> None:
        if self._waiting is None:
            self._waiting = self._scratch()
        if number not in self._missing:
            reserve_part(self._file.fileno(), number * self._waiting[0].nbytes, self._waiting[0].nbytes)
        self._waiting[number][region] = part
        missing = self._missing.pop(number, prod(self._part.shape)) - part.size
        if missing:
            self._missing[number] = missing
        else:
            self._save(number, self._waiting[number])

    def _scratch(self) -> AnyArray:
        """An array of all slices in a file without a name, of which what is not written takes no space."""
        shape = (self._count, *self._part.shape)
        self._file = TemporaryFile(dir=self._path)  # noqa: SIM115 (closed by abort)
        return np.memmap(self._file, self._part.dtype, "w+", shape=shape)

    def _save(self, number: int, pixels: AnyArray) -> None:
        writer = self._make(slice_path(self._path, number), self._part)
        writer.write(tuple(slice(0, n) for n in pixels.shape), pixels)
        writer.close()

    def close(self) -> None:
        """Discard incomplete slices."""
        self.abort()

    def abort(self) -> None:
        """Discard incomplete slices at once."""
        self._missing.clear()
        if self._waiting is not None:
            self._waiting = None
            self._file.close()
