"""From a prediction map, a segmentation or a label image to numbered objects.

Objects are numbered 1 … n in each time step by their first voxel in C order of (z, y, x). In
segmentations and thresholded maps they are connected components by direct neighbours (4 in a plane, 6
in a volume) of *equal* value; the ids of a label image stay together, connected or not.

All is done slab by slab: a slab is read (with the surroundings that smoothing needs) and labelled; what
touches over the seams is joined; then sizes are looked at, and what is left is numbered. Only the methods
that grow or cut over the whole image need it whole.
"""

import logging
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.blocks import ALL, Box, Limits, ordered
from objclass.components import Components, label_image, numbered
from objclass.core import AnyArray, FloatArray, Image, IntArray, Lane, Objects
from objclass.errors import ImageError, LaneError
from objclass.graphcut import minimum_cut
from objclass.growing import grow
from objclass.reading import Spent, slab_reader
from objclass.settings import ThresholdSettings
from objclass.smoothing import halo, kernels_for, smooth

log = logging.getLogger("objclass")

GRAPH_CUT_BETA = 0.2
"""ilastik's default; projects do not store another."""

WHOLE = {"ipht": 40, "graph cut": 250}
"""Methods that need a whole time step at once -> bytes that they take for a voxel of it."""


def find_objects(
    lane: Lane, t: int, settings: ThresholdSettings, limits: Limits = ALL, spent: Spent | None = None
) -> Objects:
    """The objects of one time step of a lane; without limits all of it is held.

    Raises
    ------
    LaneError
        For values that cannot be labels: fractions, negative ids of a label image.
    """
    spent = Spent() if spent is None else spent
    if lane.role == "label_image":
        return _renumbered(lane.objects, t, limits, spent)
    if lane.role == "segmentation_image":
        return _segmented(lane.objects, t, limits, spent)
    if settings.method in WHOLE:
        return _of_whole_frame(lane.objects, t, settings, limits, spent)
    return _thresholded(lane.objects, t, settings, limits, spent)


class Found:
    """The components of one time step, which come slab by slab, and their sizes where these matter."""

    def __init__(self, shape: tuple[int, int, int], limits: Limits) -> None:
        self.cut = limits.slabs(shape)
        self.shape = shape
        self.labels = label_image(shape, self.cut, limits)
        self.components = Components(self.labels, self.cut)
        self._sizes: list[IntArray] = []

    def add(self, part: Objects, values: Any = 1, sizes: IntArray | None = None) -> None:
        """The next slab, whose labels are written already."""
        self.components.add(part.labels, part.count, values)
        if sizes is not None:
            self._sizes.append(sizes)

    def kept(self, root: IntArray, settings: ThresholdSettings) -> NDArray[np.bool_]:
        """For each part that is a root, whether its component is within the limits of size."""
        if not self._sizes:
            return np.ones(len(root), bool)
        sizes = np.bincount(root, np.concatenate(self._sizes), len(root))
        largest = settings.max_size if settings.max_size is not None else np.inf
        return (sizes >= settings.min_size) & (sizes <= largest)

    def objects(self, root: IntArray, kept: NDArray[np.bool_]) -> Objects:
        """The components that are kept, numbered."""
        ids, count = numbered(kept, root)
        return Objects(self.labels.finish(self.components.tables(ids)), count)


def _segmented(image: Image, t: int, limits: Limits, spent: Spent) -> Objects:
    """Components of a segmentation."""
    found = Found(image.shape[1:4], limits)
    read = slab_reader(image, t, slice(0, 1), limits)

    def cut(number: int) -> tuple[Objects, Any]:
        values = integral(read(found.cut[number].within(found.shape))[..., 0], image.name)
        with spent.on("label"):
            part = label(values)
        found.labels.write(number, part.labels)
        top = values.max()
        is_single = np.count_nonzero(values == top) == np.count_nonzero(values)
        return part, top if is_single else values

    for part, values in ordered(cut, range(len(found.cut)), limits.jobs):
        found.add(part, values)
    root = found.components.roots()
    return found.objects(root, np.ones(len(root), bool))


def integral(values: AnyArray, name: str) -> AnyArray:
    """The same values with an integer dtype.

    Raises
    ------
    LaneError
        If there are fractions or values that are not finite.
    """
    if values.dtype.kind in "iu":
        return values
    if values.dtype.kind == "b":
        return values.view(np.uint8)
    if values.dtype.itemsize < 4:
        values = values.astype(np.float32)
    whole = np.isfinite(values) & (values == np.rint(values)) & (np.abs(values) < 2**53)
    if not whole.all():
        message = (
            f"{name}: {values[~whole][0]:g} among its values: expected a segmentation or label image "
            "of whole numbers (is it a probability map? then use --prediction_maps)"
        )
        raise LaneError(message)
    return values.astype(np.int64)


def check_first_block(image: Image) -> None:
    """Look at one plane of a float segmentation, to refuse a probability map before the run."""
    if image.dtype.kind == "f":
        _, _, y, x, _ = image.shape
        one = slice(0, 1)
        try:
            integral(image.read((one, one, slice(0, y), slice(0, x), one)), image.name)
        except LaneError as fault:
            raise ImageError(str(fault)) from None


def label(values: AnyArray) -> Objects:
    """Connected components of equal non-zero value, by direct neighbours; ``values`` is (z, y, x)."""
    import cc3d

    flat = np.ascontiguousarray(values[0] if values.shape[0] == 1 else values)
    if flat.dtype.itemsize == 8:  # cc3d tells 32 bits apart; ranks are as good as values
        kinds, ranks = np.unique(flat, return_inverse=True)
        flat = ((ranks + 1) * (kinds != 0)[ranks]).astype(np.uint32).reshape(flat.shape)
    found: Any = cc3d.connected_components(
        flat, connectivity=4 if flat.ndim == 2 else 6, return_N=True, out_dtype=np.uint32
    )
    labels, count = found
    return Objects(labels.reshape(values.shape), int(count))


def _renumbered(image: Image, t: int, limits: Limits, spent: Spent) -> Objects:
    """The ids of a label image, numbered by first occurrence; `Objects.original` says which was which."""
    shape = image.shape[1:4]
    cut = limits.slabs(shape)
    labels = label_image(shape, cut, limits)
    read = slab_reader(image, t, slice(0, 1), limits)

    def look(number: int) -> AnyArray:
        values = integral(read(cut[number].within(shape))[..., 0], image.name)
        with spent.on("label"):
            part = relabel(values, image.name)
        labels.write(number, part.labels)
        assert part.original is not None
        return part.original

    known: AnyArray = np.zeros(0, np.int64)  # sorted
    numbers = np.zeros(0, np.uint32)
    found: list[AnyArray] = []
    tables: list[NDArray[np.uint32]] = []
    for ids in ordered(look, range(len(cut)), limits.jobs):
        new = ids[~np.isin(ids, known)]
        first = len(known) + 1
        known = np.concatenate([known.astype(new.dtype, copy=False), new])
        numbers = np.concatenate([numbers, np.arange(first, first + len(new), dtype=np.uint32)])
        order = np.argsort(known)
        known, numbers = known[order], numbers[order]
        found.append(new)
        tables.append(np.concatenate([np.zeros(1, np.uint32), numbers[np.searchsorted(known, ids)]]))
    return Objects(labels.finish(tables), len(known), np.concatenate(found))


def relabel(values: AnyArray, name: str = "label image") -> Objects:
    """Number the ids of a label image (z, y, x) by first occurrence, keeping which was which."""
    if values.dtype.kind == "i" and values.min() < 0:
        message = f"{name}: id {values.min()} in a label image: expected 0 for background, else positive"
        raise LaneError(message)
    flat = values.ravel()
    starts = np.concatenate([[0], np.flatnonzero(flat[1:] != flat[:-1]) + 1])
    # of runs, not of voxels: there are far fewer
    ids, first, inverse = np.unique(flat[starts], return_index=True, return_inverse=True)
    order = np.argsort(first)
    order = order[ids[order] != 0]
    numbers = np.zeros(len(ids), np.uint32)
    numbers[order] = np.arange(1, len(order) + 1)
    lengths = np.diff(starts, append=len(flat))
    labels = np.repeat(numbers[inverse], lengths).reshape(values.shape)
    return Objects(labels, len(order), ids[order])


class Map:
    """A prediction map of one time step, read by box: one channel, float32, smoothed."""

    def __init__(
        self, image: Image, t: int, settings: ThresholdSettings, limits: Limits, spent: Spent
    ) -> None:
        used = {settings.channel}
        if settings.method != "simple":
            used.add(settings.core_channel)
        if max(used) >= image.shape[4]:
            message = f"{image.name}: channel {max(used)} of a map of {image.shape[4]} channels (from 0)"
            raise ImageError(message)
        self.image, self.settings, self._spent = image, settings, spent
        self.shape = image.shape[1:4]
        self._read = {c: slab_reader(image, t, slice(c, c + 1), limits) for c in used}

    def read(self, box: Box, channel: int) -> tuple[NDArray[np.float32], float]:
        """The box (z, y, x), in the range 0 … 1 if asked for; and the largest value that was read."""
        kernels = kernels_for(self.shape, self.settings.sigma_xyz)
        wide, inside = halo(box, self.shape, kernels)
        stored = self._read[channel](wide)[..., 0]
        with self._spent.on("threshold"):
            pixels = stored.astype(np.float32)
            top = float(pixels.max())
            low, high = self.image.drange or (0, 1)
            if self.settings.rescaled and (low, high) != (0, 1) and low != high:
                pixels = (pixels - np.float32(low)) / np.float32(high - low)
            return smooth(pixels, kernels)[inside], top

    def warn_of_range(self, top: float) -> None:
        """Tell of values that do not fit the thresholds of a project."""
        if self.settings.rescaled and self.image.drange is None and top > 1:
            log.warning(
                "%s holds values up to %g and does not say its range; the project's thresholds are for "
                "0 to 1", self.image.name, top,
            )  # fmt: skip

    def cut(self, box: Box) -> Iterator[tuple[NDArray[np.bool_], float]]:
        """Where objects may be, and for hysteresis where cores are; each with the largest value read."""
        settings = self.settings
        final, top = self.read(box, settings.channel)
        if settings.method == "simple":
            yield final >= np.float32(settings.threshold), top
            return
        cores = final
        if settings.core_channel != settings.channel:
            cores, top_of_cores = self.read(box, settings.core_channel)
            final, top = final + cores, max(top, top_of_cores)
        yield final >= np.float32(settings.threshold), top
        yield cores >= np.float32(settings.core_threshold), top


def _thresholded(image: Image, t: int, settings: ThresholdSettings, limits: Limits, spent: Spent) -> Objects:
    """ilastik's "Threshold and Size Filter": smoothed, cut, labelled, components of other sizes dropped.

    By hysteresis, components are kept that hold a voxel of a core (of the right size itself).
    """
    source = Map(image, t, settings, limits, spent)
    levels = [Found(source.shape, limits) for _ in range(1 if settings.method == "simple" else 2)]
    is_sized = settings.min_size > 1 or settings.max_size is not None

    def cut(number: int) -> tuple[list[Objects], list[IntArray | None], float]:
        parts, sizes, top = [], [], -np.inf
        for found, (mask, seen) in zip(
            levels, source.cut(levels[0].cut[number].within(source.shape)), strict=True
        ):
            with spent.on("label"):
                part = label(mask)
            found.labels.write(number, part.labels)
            parts.append(part)
            sizes.append(_sizes(part) if is_sized else None)
            top = max(top, seen)
        return parts, sizes, top

    tops, touching = [], []
    for parts, sizes, top in ordered(cut, range(len(levels[0].cut)), limits.jobs):
        if len(parts) == 2:
            starts = [found.components.count for found in levels]
            touching.append(_overlaps(parts[0].labels, parts[1].labels, starts[0], starts[1]))
        for found, part, size in zip(levels, parts, sizes, strict=True):
            found.add(part, sizes=size)
        tops.append(top)
    source.warn_of_range(max(tops))
    root = levels[0].components.roots()
    kept = levels[0].kept(root, settings)
    if touching:
        cores = levels[1].components.roots()
        is_core = levels[1].kept(cores, settings)[cores]
        with_core, core = np.concatenate(touching, axis=1)
        holds_core = np.zeros(len(root), bool)
        holds_core[root[with_core[is_core[core]]]] = True
        kept &= holds_core
    return levels[0].objects(root, kept)


def _sizes(part: Objects) -> IntArray:
    """Number of voxels of each component of a slab."""
    return np.bincount(part.labels.ravel(), minlength=part.count + 1)[1:]


def _overlaps(low: AnyArray, high: AnyArray, start: int, start_high: int) -> IntArray:
    """Pairs (2, n) of components (from 0) of two label images of a slab that have a voxel in common."""
    both = (low > 0) & (high > 0)
    pairs = np.unique(low[both].astype(np.uint64) << np.uint64(32) | high[both])
    first, second = pairs >> np.uint64(32), pairs & np.uint64(0xFFFFFFFF)
    return np.stack([first.astype(np.int64) - 1 + start, second.astype(np.int64) - 1 + start_high])


def _of_whole_frame(
    image: Image, t: int, settings: ThresholdSettings, limits: Limits, spent: Spent
) -> Objects:
    """The methods that grow or cut over the whole time step: beyond what blocks can do.

    Raises
    ------
    LaneError
        If the limits do not allow it.
    """
    source = Map(image, t, settings, limits, spent)
    needed = int(np.prod(source.shape)) * WHOLE[settings.method]
    if limits.memory is not None and needed > limits.memory:
        message = (
            f"{image.name}: {settings.method} needs a whole time step in memory, about {needed / 1e9:.1f} GB: "
            "raise --max_memory, or use hysteresis"
        )
        raise LaneError(message)
    whole = tuple(slice(0, n) for n in source.shape)
    final, top = source.read((whole[0], whole[1], whole[2]), settings.channel)
    source.warn_of_range(top)
    if settings.method == "graph cut":
        found = minimum_cut(_centred(final, settings.threshold), GRAPH_CUT_BETA)
        return label(filter_sizes(label(found).labels, settings))
    core_map = final
    if settings.core_channel != settings.channel:
        core_map, _ = source.read((whole[0], whole[1], whole[2]), settings.core_channel)
        final = final + core_map
    cores = filter_sizes(label(core_map >= np.float32(settings.core_threshold)).labels, settings)
    return label(filter_sizes(_grown(final, cores, settings), settings))


def _centred(values: FloatArray, low: float) -> FloatArray:
    """Bring the threshold to 0.5, by ilastik's two slopes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        below, above = values * (0.5 / low), 0.5 + (values - low) / (1 - low)
    return np.nan_to_num(np.where(values < low, below, above), nan=0.5)


def _grown(summed: FloatArray, cores: NDArray[np.uint32], settings: ThresholdSettings) -> NDArray[np.uint32]:
    """Identity-preserving hysteresis: each core grows down to the low threshold, and stays one object."""
    top = summed.max()
    return grow(cores, top - summed, top - np.float32(settings.threshold))


def filter_sizes(labels: NDArray[np.uint32], settings: ThresholdSettings) -> NDArray[np.uint32]:
    """Set components below ``min_size`` or above ``max_size`` voxels to 0; the others keep their id."""
    largest = settings.max_size if settings.max_size is not None else labels.size
    if settings.min_size <= 1 and largest >= labels.size:
        return labels
    sizes = np.bincount(labels.ravel())
    kept = (sizes >= settings.min_size) & (sizes <= largest)
    if kept.all():
        return labels
    return np.where(kept[labels], labels, np.uint32(0))
