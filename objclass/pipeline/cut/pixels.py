"""Probabilities of pixels that workers compute once, in cubes, into a folder that all of them see."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.compute.limits import CACHED_CHUNK_BYTES
from objclass.compute.lru import ByteLRU
from objclass.compute.slabs import Box
from objclass.compute.tiles import TILE_VOXELS
from objclass.compute.workers import Workers
from objclass.core import Image, Lane
from objclass.images.window import common, within
from objclass.pipeline.cut.files import read_index, read_tile, write_pixels
from objclass.pipeline.inputs import mask_of
from objclass.pipeline.plan import Plan
from objclass.pixels.chain import InAxes, Masked, joined_to
from objclass.pixels.classifier import PixelClassifier
from objclass.pixels.prediction import PredictedPixels, cubes_of, cut, full

CUBES_OF_TASK = 8
"""Cubes that a task computes at most."""


@dataclass(frozen=True, eq=False)
class FilePixels:
    """Probabilities in files, a file for each cube, cut into tiles along z: t, z, y, x, classes; float32.

    It pickles; files are opened when they are read.

    Parameters
    ----------
    folder, name
        Where the files are, and how their names begin.
    shape
        Lengths of t, z, y, x, classes.
    cube
        Lengths z, y, x of a cube.
    keep
        Maximum bytes of cached tiles.
    """

    folder: str
    name: str
    shape: tuple[int, ...]
    cube: tuple[int, int, int]
    keep: int
    dtype: np.dtype[Any] = field(init=False, default=np.dtype(np.float32))
    _tiles: ByteLRU = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_tiles", ByteLRU(self.keep))

    def __reduce__(self) -> tuple[Any, ...]:
        return FilePixels, (self.folder, self.name, self.shape, self.cube, self.keep)

    @property
    def planes(self) -> int:
        """Planes of a tile."""
        return max(min(TILE_VOXELS // prod(self.cube[1:]), self.cube[0]), 1)

    @property
    def chunks(self) -> tuple[int, ...]:
        """Lengths of a tile along t, z, y, x, classes."""
        return (1, self.planes, *self.cube[1:], self.shape[4])

    @property
    def cubes(self) -> list[Box]:
        """The cubes of a time step."""
        return list(cut(full(self.shape[1:]), self.cube))

    def path(self, t: int, cube: Box) -> str:
        """The file of a cube."""
        corner = "-".join(str(side.start) for side in cube)
        return os.path.join(self.folder, f"{self.name}-{t}-{corner}.pixels")

    def write(self, t: int, cube: Box, pixels: NDArray[np.float32]) -> None:
        """Write the probabilities of a cube."""
        tiles = [pixels[z : z + self.planes] for z in range(0, len(pixels), self.planes)]
        write_pixels(self.path(t, cube), tiles)

    def read(self, region: tuple[slice, ...]) -> NDArray[np.float32]:
        """Probabilities of a region."""
        steps, z, y, x, classes = region
        box = z, y, x
        found = np.empty([part.stop - part.start for part in region], np.float32)
        for k, t in enumerate(range(steps.start, steps.stop)):
            for cube in self._holding(box):
                for tile in self._tiles_of(cube, z):
                    both = common(tile, box)
                    pixels = self._tiles.get(
                        (t, *(part.start for part in tile)), partial(self._load, t, cube, tile)
                    )
                    found[(k, *within(both, box))] = pixels[(*within(both, tile), classes)]
        return found

    def _holding(self, box: Box) -> Iterator[Box]:
        """The cubes that hold parts of a box."""
        for piece in cut(box, self.cube):
            starts = [part.start // side * side for part, side in zip(piece, self.cube, strict=True)]
            z, y, x = (
                slice(start, min(start + side, n))
                for start, side, n in zip(starts, self.cube, self.shape[1:4], strict=True)
            )
            yield z, y, x

    def _tiles_of(self, cube: Box, z: slice) -> Iterator[Box]:
        """The tiles of a cube that hold some of the planes ``z``."""
        begin = max(z.start - cube[0].start, 0) // self.planes * self.planes + cube[0].start
        for start in range(begin, min(z.stop, cube[0].stop), self.planes):
            yield slice(start, min(start + self.planes, cube[0].stop)), cube[1], cube[2]

    def _load(self, t: int, cube: Box, tile: Box) -> NDArray[np.float32]:
        path, depth = self.path(t, cube), cube[0].stop - cube[0].start
        row = read_index(path, -(-depth // self.planes))[(tile[0].start - cube[0].start) // self.planes]
        pixels = np.empty([*(part.stop - part.start for part in tile), self.shape[4]], np.float32)
        read_tile(path, row, pixels)
        return pixels


@dataclass(frozen=True, eq=False)
class PixelStage:
    """One pixel classifier of a lane, and where its probabilities go.

    Parameters
    ----------
    classifier
        What was trained.
    image
        What it looks at: raw data, joined to the probabilities of the stage before if there is one.
    mask
        Where it is 0, probabilities are 0.
    result
        Where they go.
    """

    classifier: PixelClassifier
    image: Image
    mask: Image | None
    result: FilePixels

    def compute(self, t: int, cubes: Sequence[Box], context: Context) -> None:
        """Compute cubes of a time step; threads share them."""
        predicted = PredictedPixels(self.classifier, self.image, context)
        stored: Any = predicted if self.mask is None else Masked(predicted, self.mask)
        classes = slice(0, self.result.shape[4])

        def compute(cube: Box) -> None:
            self.result.write(t, cube, stored.read((slice(t, t + 1), *cube, classes))[0])

        for _ in context.ordered(compute, cubes):
            pass


def files_of(lane: Lane) -> FilePixels | None:
    """The files of the probabilities of a lane that was `prepared`; None if it was not."""
    stored = getattr(lane.objects.stored, "stored", None)
    return stored if isinstance(stored, FilePixels) else None


def prepared(lane: Lane, plan: Plan, workers: Workers, folder: str) -> Lane:
    """The lane whose probabilities, if they are computed from raw data, are read from a folder.

    `objclass.pipeline.cut.cut_lane` writes them there, time step by time step, before it yields the step.

    Parameters
    ----------
    lane, plan
        The lane.
    workers
        Who computes.
    folder
        On a disk that all workers see.
    """
    if not lane.is_computed or files_of(lane) is not None:
        return lane
    *_, last = stages_of(lane, plan, workers, folder)
    return replace(lane, objects=replace(lane.objects, stored=InAxes(last.result, lane.objects.axes)))


def stages_of(lane: Lane, plan: Plan, workers: Workers, folder: str) -> list[PixelStage]:
    """The pixel classifiers of a lane, one after the other."""
    assert plan.pixels is not None
    assert lane.raw is not None
    image, found = lane.raw, list[PixelStage]()
    limits = workers.limits
    memory = limits.memory * workers.count if limits.memory is not None else None
    of_all = Context(replace(limits, memory=memory, jobs=limits.jobs * workers.count))
    for number, classifier in enumerate(plan.pixels.classifiers):
        halo = classifier.features.halo(image.shape[1])
        cube = cubes_of(image, halo, classifier.columns, of_all)
        shape = (*image.shape[:4], len(classifier.classes))
        is_last = number == len(plan.pixels.classifiers) - 1
        known = files_of(lane) if is_last else None  # for a number of workers that may be another one by now
        result = known or FilePixels(folder, str(number), shape, cube, limits.share(CACHED_CHUNK_BYTES))
        mask = mask_of(lane.atlas, lane.mask, plan.trained) if is_last else None
        found.append(PixelStage(classifier, image, mask, result))
        image = joined_to(lane.raw, result)
    return found


def batches(stage: PixelStage, count: int) -> list[list[Box]]:
    """The cubes of a time step as tasks for so many workers."""
    cubes = stage.result.cubes
    each = min(max(len(cubes) // count, 1), CUBES_OF_TASK)
    return [cubes[start : start + each] for start in range(0, len(cubes), each)]
