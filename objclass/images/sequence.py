"""Sequences: the slices of an image along its first axis longer than 1, each in a file of its own."""

from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from objclass import registry
from objclass.core import AnyArray, OutputImage
from objclass.images.plane import HOLDS, nearest, told


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
    """Where a slice lies before it gets its name; they count from 0."""
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
        return registry.resolve(registry.WRITERS[self.format])

    def refusal(self, image: OutputImage) -> str | None:
        """Why a sequence cannot hold the image and what can, None if it can."""
        long = [axis for axis, n in zip(image.axes, image.shape, strict=True) if n > 1]
        wanted = self.dimensions + 1
        if len(long) != wanted and not (len(long) == wanted + 1 and "c" in long[1:]):
            return (
                f"{self.format} sequence holds {wanted} axes longer than 1 (and channels, not first), not "
                f"{told(image)}: use {nearest(image)}"
            )
        said: str | None = self._writer.refusal(self.part(image))
        if said is None:
            return None
        reason, _, instead = said.rpartition(": use ")
        return f"{reason} a file: use {instead}{' sequence' if instead in HOLDS else ''}"

    def part(self, image: OutputImage) -> OutputImage:
        """The image in each file."""
        at = image.axes.index(slices(image)[0])
        axes, shape = image.axes, image.shape
        return replace(image, axes=axes[:at] + axes[at + 1 :], shape=shape[:at] + shape[at + 1 :])

    def __call__(self, path: str, image: OutputImage, previous: str | None = None) -> "SequenceWriter":
        """A writer into the folder ``path``, which it makes."""
        del previous  # the files hold one slice each: nothing of older ones is kept
        at = image.axes.index(slices(image)[0])
        return SequenceWriter(path, self.part(image), at, self._writer)


class SequenceWriter:
    """Writes each slice as soon as all its pixels are there, one file at a time.

    Only slices of which a part is there are held. Each pixel is to be written once.

    Parameters
    ----------
    path
        The folder of the slices.
    image
        A slice.
    at
        Position of the axis that the slices lack.
    make
        Writer of a slice.
    """

    def __init__(self, path: str, image: OutputImage, at: int, make: Any) -> None:
        self._path, self._image, self._at, self._make = path, image, at, make
        self._waiting: dict[int, tuple[AnyArray, int]] = {}
        Path(path).mkdir()

    def write(self, region: tuple[slice, ...], block: AnyArray) -> None:
        """Write a block, in the order of the whole image's axes."""
        at = self._at
        inside = region[:at] + region[at + 1 :]
        for number, part in enumerate(np.moveaxis(block, at, 0), region[at].start):
            self._add(number, inside, part)

    def _add(self, number: int, region: tuple[slice, ...], part: AnyArray) -> None:
        if part.shape == self._image.shape:
            self._save(number, part)
            return
        shape, dtype = self._image.shape, self._image.dtype
        if number not in self._waiting:
            self._waiting[number] = np.zeros(shape, dtype), prod(shape)
        pixels, missing = self._waiting.pop(number)
        pixels[region] = part
        if missing > part.size:
            self._waiting[number] = pixels, missing - part.size
        else:
            self._save(number, pixels)

    def _save(self, number: int, pixels: AnyArray) -> None:
        writer = self._make(slice_path(self._path, number), self._image)
        writer.write(tuple(slice(0, n) for n in pixels.shape), pixels)
        writer.close()

    def close(self) -> None:
        """Write what is left."""
        for number in sorted(self._waiting):
            self._save(number, self._waiting[number][0])
        self._waiting.clear()


BMP, GIF, HDR, JPEG, JPG, PBM, PGM, PNG, PNM, PPM, RAS, TIF, TIFF, XV = map(
    Sequence,
    ("bmp", "gif", "hdr", "jpeg", "jpg", "pbm", "pgm", "png", "pnm", "ppm", "ras", "tif", "tiff", "xv"),
)

MULTIPAGE_TIFF = Sequence("multipage tiff", 3)
