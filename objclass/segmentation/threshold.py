"""From a prediction map to objects: smooth, threshold, label, filter by size (ilastik's "Threshold and Size Filter")."""

import logging
from collections.abc import Iterator
from math import isfinite
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.compute.slabs import Box, Slab
from objclass.core import AnyArray, FloatArray, Image, IntArray, Objects
from objclass.errors import ImageError, LaneError
from objclass.images.blockwise import slab_reader
from objclass.images.window import shifted, window
from objclass.segmentation.graphcut import minimum_cut
from objclass.segmentation.growing import grow, local_minima
from objclass.segmentation.labelling import label
from objclass.segmentation.sized import SizedComponents
from objclass.segmentation.smoothing import halo, kernels_for, smooth
from objclass.settings import ThresholdSettings

log = logging.getLogger("objclass")

GRAPH_CUT_BETA = 0.2
"""ilastik's default; projects do not store another."""

WHOLE = {"ipht": 40, "graph cut": 250}
"""Methods that need a whole time step in memory -> bytes for each of its voxels."""


class Map:
    """A prediction map of one time step, or of a part of it, read by box: one channel, float32, smoothed."""

    def __init__(
        self, image: Image, t: int, settings: ThresholdSettings, context: Context, part: Slab | None = None
    ) -> None:
        used = {settings.channel}
        if settings.method != "simple":
            used.add(settings.core_channel)
        if max(used) >= image.shape[4]:
            message = f"{image.name}: channel {max(used)} of a map of {image.shape[4]} channels (from 0)"
            raise ImageError(message)
        self.image, self.settings, self._timings = image, settings, context.timings
        whole = image.shape[1:4]
        self._part = (part or Slab(0, whole[0], 0, whole[1])).within(whole)
        z, y, x = (own.stop - own.start for own in self._part)
        self.shape = z, y, x
        self._kernels = kernels_for(whole, settings.sigma_xyz)
        self._wide, self._inside = halo(self._part, whole, self._kernels)
        depth, height, width = (wide.stop - wide.start for wide in self._wide)
        self._lengths = depth, height, width
        if part is not None:
            image, t = window(image, t, self._wide), 0
        self._read = {c: slab_reader(image, t, slice(c, c + 1), context) for c in used}

    def read(self, box: Box, channel: int) -> tuple[NDArray[np.float32], float]:
        """The box (z, y, x), rescaled to 0 … 1 if the settings say so; and the largest value that was read."""
        kernels, start = self._kernels, [own.start for own in self._inside]
        z, y, x = map(shifted, box, start)
        wide, inside = halo((z, y, x), self._lengths, kernels)
        stored = self._read[channel](wide)[..., 0]
        with self._timings.on("threshold"):
            pixels = stored.astype(np.float32)
            top = float(pixels.max())
            low, high = self.image.drange or (0, 1)
            if self.settings.rescaled and (low, high) != (0, 1) and low != high:
                pixels = (pixels - np.float32(low)) / np.float32(high - low)
            return smooth(pixels, kernels)[inside], top

    def cut(self, box: Box) -> Iterator[tuple[NDArray[np.bool_], float]]:
        """Masks of objects and, for hysteresis, of cores; each with the largest value read."""
        settings = self.settings
        final, top = self.read(box, settings.channel)
        if settings.method == "simple":
            yield reaches(final, settings.threshold), top
            return
        cores = final
        if settings.core_channel != settings.channel:
            cores, top_of_cores = self.read(box, settings.core_channel)
            final, top = final + cores, max(top, top_of_cores)
        yield reaches(final, settings.threshold), top
        yield reaches(cores, settings.core_threshold), top


def warn_of_range(image: Image, settings: ThresholdSettings, top: float) -> None:
    """Warn about values of a prediction map, up to ``top``, that do not fit the thresholds."""
    if settings.rescaled and image.drange is None and top > 1:
        log.warning(
            "%s has values up to %g and no stored range; the project's thresholds are for "
            "0 to 1", image.name, top,
        )  # fmt: skip
    elif image.drange is None and settings.threshold <= 1 < top:
        log.warning(
            "%s has values up to %g and no stored range: they are compared with the threshold %g as they are "
            "(is it meant for 0 to 1?)", image.name, top, settings.threshold,
        )  # fmt: skip


def reaches(values: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """Where float32 values are at least a float64 threshold, compared in float64 as ilastik does.

    Examples
    --------
    >>> float(np.float32(0.7)) < 0.7, reaches(np.array([0.7, 0.8], np.float32), 0.7)
    (True, array([False,  True]))
    """
    with np.errstate(over="ignore"):
        smallest = np.float32(threshold)  # the smallest float32 that reaches it: no need of a float64 image
    if float(smallest) < threshold:
        smallest = np.nextafter(smallest, np.float32(np.inf))
    reached: NDArray[np.bool_] = values >= smallest
    return reached


def thresholded(image: Image, t: int, settings: ThresholdSettings, context: Context) -> Objects:
    """ilastik's "Threshold and Size Filter": smooth, threshold, label, remove components of other sizes.

    With hysteresis, components are kept that contain a voxel of a core (whose size is within the limits too).
    """
    source = Map(image, t, settings, context)
    found = components_of(source, context)
    warn_of_range(image, settings, found.top)
    root = found.objects.components.roots()
    kept = found.objects.kept(root, settings)
    if found.cores is not None:
        cores = found.cores.components.roots()
        is_core = found.cores.kept(cores, settings)[cores]
        with_core, core = found.overlaps
        holds_core = np.zeros(len(root), bool)
        holds_core[root[with_core[is_core[core]]]] = True
        kept &= holds_core
    return found.objects.objects(root, kept)


class Levels(NamedTuple):
    """Components of a prediction map, not yet filtered.

    Parameters
    ----------
    objects
        Components above the threshold.
    cores
        Those above the threshold of cores; None without hysteresis.
    overlaps
        Pairs (2, n) of parts of components of both (from 0) that have a voxel in common.
    top
        The largest value that was read.
    """

    objects: SizedComponents
    cores: SizedComponents | None
    overlaps: IntArray
    top: float


def components_of(source: Map, context: Context) -> Levels:
    """Label a prediction map, slab by slab."""
    settings = source.settings
    levels = [SizedComponents(source.shape, context) for _ in range(1 if settings.method == "simple" else 2)]
    smallest, largest = settings.limits
    is_sized = smallest > 1 or isfinite(largest)

    def cut(number: int) -> tuple[list[Objects], list[IntArray | None], float]:
        parts, sizes, top = [], [], -np.inf
        for found, (mask, seen) in zip(
            levels, source.cut(levels[0].cut[number].within(source.shape)), strict=True
        ):
            with context.timings.on("label"):
                part = label(mask, found.work, found.labels.room(number))
            found.labels.write(number, part.labels)
            parts.append(part)
            sizes.append(_sizes(part) if is_sized else None)
            top = max(top, seen)
        return parts, sizes, top

    tops, touching = [], []
    for parts, sizes, top in context.ordered(cut, range(len(levels[0].cut))):
        if len(parts) == 2:
            starts = [found.components.count for found in levels]
            touching.append(_overlaps(parts[0].labels, parts[1].labels, starts[0], starts[1]))
        for found, part, size in zip(levels, parts, sizes, strict=True):
            found.add(part, sizes=size)
        tops.append(top)
    overlaps = np.concatenate([np.zeros((2, 0), np.int64), *touching], axis=1)
    return Levels(levels[0], levels[1] if len(levels) > 1 else None, overlaps, max(tops))


def _sizes(part: Objects) -> IntArray:
    """Number of voxels of each component of a slab."""
    return np.bincount(part.labels.ravel(), minlength=part.count + 1)[1:]


def _overlaps(low: AnyArray, high: AnyArray, start: int, start_high: int) -> IntArray:
    """Pairs (2, n) of components (from 0) of two label images of a slab that have a voxel in common."""
    both = (low > 0) & (high > 0)
    pairs = np.unique(low[both].astype(np.uint64) << np.uint64(32) | high[both])
    first, second = pairs >> np.uint64(32), pairs & np.uint64(0xFFFFFFFF)
    return np.stack([first.astype(np.int64) - 1 + start, second.astype(np.int64) - 1 + start_high])


def of_whole_frame(image: Image, t: int, settings: ThresholdSettings, context: Context) -> Objects:
    """The methods that grow or cut over the whole time step, and cannot work in blocks.

    Raises
    ------
    LaneError
        If the time step does not fit into the memory limit.
    """
    source = Map(image, t, settings, context)
    needed = int(np.prod(source.shape)) * WHOLE[settings.method]
    memory = context.limits.memory
    if memory is not None and needed > memory:
        message = (
            f"{image.name}: {settings.method} needs a whole time step in memory, about {needed / 1e9:.1f} GB: "
            "raise --max_memory, or use hysteresis"
        )
        raise LaneError(message)
    whole = tuple(slice(0, n) for n in source.shape)
    final, top = source.read((whole[0], whole[1], whole[2]), settings.channel)
    warn_of_range(image, settings, top)
    if settings.method == "graph cut":
        found = minimum_cut(_centred(final, settings.threshold), GRAPH_CUT_BETA)
        return label(filter_sizes(label(found).labels, settings))
    core_map = final
    if settings.core_channel != settings.channel:
        core_map, _ = source.read((whole[0], whole[1], whole[2]), settings.core_channel)
        final = final + core_map
    cores = filter_sizes(label(reaches(core_map, settings.core_threshold)).labels, settings)
    return label(filter_sizes(_grown(final, cores, settings, context.limits.images), settings))


def _centred(values: FloatArray, low: float) -> FloatArray:
    """Rescale values so that the threshold becomes 0.5, by ilastik's two slopes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        below, above = values * (0.5 / low), 0.5 + (values - low) / (1 - low)
    return np.nan_to_num(np.where(values < low, below, above), nan=0.5)


def _grown(
    summed: FloatArray, cores: NDArray[np.uint32], settings: ThresholdSettings, images: int
) -> NDArray[np.uint32]:
    """Identity-preserving hysteresis: each core grows down to the low threshold, and stays one object.

    Where there is no core, the strict local maxima are the seeds, as in vigra.
    """
    top = summed.max()
    cost = top - summed
    seeds = cores if cores.any() else local_minima(cost)
    return grow(seeds, cost, np.maximum(top - np.float32(settings.threshold), np.float32(0)), images)


def filter_sizes(labels: NDArray[np.uint32], settings: ThresholdSettings) -> NDArray[np.uint32]:
    """Set components below ``min_size`` or above ``max_size`` voxels to 0; the others keep their id."""
    smallest, largest = settings.limits
    if smallest <= 1 and largest >= labels.size:
        return labels
    sizes = np.bincount(labels.ravel())
    kept = (sizes >= smallest) & (sizes <= largest)
    if kept.all():
        return labels
    return np.where(kept[labels], labels, np.uint32(0))
