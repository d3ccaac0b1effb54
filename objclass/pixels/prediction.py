"""Pixel predictions as lazy images: probabilities are computed for the region that is read.

A region is cut into cubes, each computed with the halo that its filters need, so that features never exist for the
whole image. What is read does not depend on the cutting.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise, product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.buffers import Buffers
from objclass.compute.context import Context
from objclass.compute.slabs import Box
from objclass.core import Image
from objclass.pixels.classifier import PixelClassifier
from objclass.pixels.features import PixelFeatures
from objclass.pixels.filters import Cube, Pixels, around

CHANNEL_BYTES = 12
"""Working memory for a pixel of a cube (with its halo) and a feature channel."""

CUBE_PIXELS = 1 << 22
"""Pixels of a cube with its halo where the memory allows more: in smaller ones of a volume most is halo."""

SMALLEST_CUBE = 1 << 18
"""Images are not cut smaller than this to give each thread some cubes."""

CUBES_OF_PLANES, CUBES_OF_VOLUMES = 4, 2
"""Cubes for each thread, so that no thread waits long for another; of volumes fewer, since more of them is halo."""


def cube_shape(shape: tuple[int, int, int], halo: tuple[int, int, int], pixels: int) -> tuple[int, int, int]:
    """Lengths z, y, x of the cubes of an image: with their halo of at most so many pixels, if that can be.

    The longest side is halved until the cube fits; no side is shorter than its halo, which would then be most of the
    work.

    Examples
    --------
    >>> cube_shape((1, 2000, 3000), (0, 15, 15), 1 << 18)
    (1, 500, 375)
    """
    sides = list(shape)

    def work() -> int:
        return int(np.prod([min(side + 2 * h, n) for side, h, n in zip(sides, halo, shape, strict=True)]))

    while work() > pixels:
        longest = max(range(3), key=lambda axis: sides[axis])
        if sides[longest] <= max(2 * halo[longest], 8):
            break
        sides[longest] = -(-sides[longest] // 2)
    return sides[0], sides[1], sides[2]


def read_cubes(image: Image, t: int, box: Box, halo: tuple[int, int, int], context: Context) -> list[Cube]:
    """A box of a time step and its halo (as far as the image goes), a cube for each channel, float32."""
    size = image.shape[1:4]
    wide = around(box, dict(enumerate(halo)), size)
    pixels = image.read((slice(t, t + 1), wide[0], wide[1], wide[2], slice(0, image.shape[4])))[0]
    origin = wide[0].start, wide[1].start, wide[2].start
    return [
        Cube(np.ascontiguousarray(pixels[..., c], np.float32), origin, size, context.limits.images)
        for c in range(pixels.shape[3])
    ]


def cubes_of(
    image: Image, halo: tuple[int, int, int], columns: int, context: Context
) -> tuple[int, int, int]:
    """Lengths z, y, x of the cubes in which an image of so many feature channels is computed."""
    limits, extents = context.limits, image.shape[1:4]
    cubes = limits.jobs * (CUBES_OF_PLANES if extents[0] == 1 else CUBES_OF_VOLUMES)
    pixels = min(CUBE_PIXELS, max(prod(extents) // cubes, SMALLEST_CUBE))
    if limits.memory is not None:
        each = CHANNEL_BYTES * columns * (limits.jobs + 1)
        pixels = min(pixels, max(limits.memory // (2 * each), 1))
    return cube_shape(extents, halo, pixels)


@dataclass(frozen=True, eq=False)
class PredictedPixels:
    """Class probabilities of an image as an array that is computed when it is read: t, z, y, x, classes; float32.

    Parameters
    ----------
    classifier, image
        What was trained, and the image that it looks at.
    context
        Memory and threads.
    """

    classifier: PixelClassifier
    image: Image
    context: Context = field(default_factory=Context)
    shape: tuple[int, ...] = field(init=False)
    dtype: np.dtype[Any] = field(init=False, default=np.dtype(np.float32))
    _buffers: Buffers = field(init=False, repr=False, default_factory=Buffers)

    def __post_init__(self) -> None:
        self.classifier.check(self.image.shape[1:4], self.image.shape[4], self.image.name)
        object.__setattr__(self, "shape", (*self.image.shape[:4], len(self.classifier.classes)))

    @cached_property
    def halo(self) -> tuple[int, int, int]:
        """Pixels along z, y, x around a box that its probabilities depend on."""
        return self.classifier.features.halo(self.image.shape[1])

    @cached_property
    def chunks(self) -> tuple[int, ...]:
        """Lengths of the cubes along t, z, y, x, classes: regions made of them are computed without waste."""
        cube = cubes_of(self.image, self.halo, self.classifier.columns, self.context)
        return (1, *cube, self.shape[4])

    def read(self, region: tuple[slice, ...]) -> NDArray[np.float32]:
        """Probabilities of a region."""
        t, z, y, x, classes = region
        found = np.empty([part.stop - part.start for part in region], np.float32)
        cubes = [(k, box) for k in range(t.start, t.stop) for box in cut((z, y, x), self.chunks[1:4])]
        for (k, box), values in zip(
            cubes, self.context.ordered(lambda at: self.predict(*at), cubes), strict=True
        ):
            inside = tuple(
                slice(b.start - p.start, b.stop - p.start) for b, p in zip(box, (z, y, x), strict=True)
            )
            found[(k - t.start, *inside)] = values[..., classes]
        return found

    def predict(self, t: int, box: Box) -> NDArray[np.float32]:
        """Probabilities of a box (z, y, x) of a time step, by one thread; axes z, y, x, classes."""
        cubes = read_cubes(self.image, t, box, self.halo, self.context)
        channels = self.classifier.features.compute(cubes, box, self._buffers)
        rows = channels.reshape(len(channels), -1).T
        z, y, x = channels.shape[1:]
        found = self.classifier.predict(rows, (z, y, x), cubes[0].work).reshape(z, y, x, -1)
        self._buffers.give(channels)
        return found


@dataclass(frozen=True, eq=False)
class ComputedFeatures:
    """Feature channels of an image as an array that is computed when it is read: t, z, y, x, channels; float32."""

    features: PixelFeatures
    image: Image
    context: Context = field(default_factory=Context)
    shape: tuple[int, ...] = field(init=False)
    dtype: np.dtype[Any] = field(init=False, default=np.dtype(np.float32))

    def __post_init__(self) -> None:
        depth, channels = self.image.shape[1], self.image.shape[4]
        object.__setattr__(self, "shape", (*self.image.shape[:4], self.features.count(depth, channels)))

    @cached_property
    def chunks(self) -> tuple[int, ...]:
        """Lengths of the cubes along t, z, y, x, channels, as of `PredictedPixels`."""
        halo = self.features.halo(self.image.shape[1])
        return (1, *cubes_of(self.image, halo, self.shape[4], self.context), self.shape[4])

    def read(self, region: tuple[slice, ...]) -> Pixels:
        """Channels of a region."""
        t, z, y, x, channels = region
        halo = self.features.halo(self.image.shape[1])
        found = [
            np.moveaxis(
                self.features.compute(read_cubes(self.image, k, (z, y, x), halo, self.context), (z, y, x)),
                0,
                -1,
            )
            for k in range(t.start, t.stop)
        ]
        return np.stack(found)[..., channels]


@dataclass(frozen=True, eq=False)
class JoinedChannels:
    """Images of one shape as one, their channels one after the other: t, z, y, x, channels; float32."""

    images: tuple[Image, ...]
    shape: tuple[int, ...] = field(init=False)
    dtype: np.dtype[Any] = field(init=False, default=np.dtype(np.float32))

    def __post_init__(self) -> None:
        channels = sum(image.shape[4] for image in self.images)
        object.__setattr__(self, "shape", (*self.images[0].shape[:4], channels))

    def read(self, region: tuple[slice, ...]) -> Pixels:
        """Pixels of a region."""
        box, channels = region[:4], region[4]
        parts = [image.read((*box, slice(0, image.shape[4]))).astype(np.float32) for image in self.images]  # type: ignore[arg-type]
        return np.concatenate(parts, axis=-1)[..., channels]


def full(extents: tuple[int, ...]) -> Box:
    """The box of a whole time step."""
    z, y, x = (slice(0, n) for n in extents[:3])
    return z, y, x


def cut(box: Box, sides: tuple[int, ...]) -> Iterator[Box]:
    """The parts of a box that lie in one piece each, where an image is cut into pieces of so many pixels."""
    parts = []
    for part, side in zip(box, sides, strict=True):
        bounds = [part.start, *range((part.start // side + 1) * side, part.stop, side), part.stop]
        parts.append([slice(a, b) for a, b in pairwise(bounds)])
    yield from product(*parts)
