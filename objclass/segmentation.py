"""From a prediction map, a segmentation or a label image to numbered objects.

Objects are numbered 1 … n in each time step by their first voxel in C order of (z, y, x). In
segmentations and thresholded maps they are connected components by direct neighbours (4 in a plane, 6
in a volume) of *equal* value; the ids of a label image stay together, connected or not.
"""

import logging
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, FloatArray, Image, Lane, Objects
from objclass.errors import ImageError, LaneError
from objclass.graphcut import minimum_cut
from objclass.growing import grow
from objclass.settings import ThresholdSettings

log = logging.getLogger("objclass")

SMOOTHS_FROM = 0.1
"""ilastik does not smooth at all if one of the sigmas is smaller."""

GRAPH_CUT_BETA = 0.2
"""ilastik's default; projects do not store another."""

WINDOW = 2.0
"""Radius of the smoothing kernel in sigmas, as in ilastik."""


def find_objects(lane: Lane, t: int, settings: ThresholdSettings) -> Objects:
    """The objects of one time step of a lane.

    Raises
    ------
    LaneError
        For values that cannot be labels: fractions, negative ids of a label image.
    """
    if lane.role == "prediction_maps":
        return label(threshold(lane.objects, t, settings))
    z, y, x = lane.objects.shape[1:4]
    region = slice(t, t + 1), slice(0, z), slice(0, y), slice(0, x), slice(0, 1)
    values = integral(lane.objects.read(region)[0, ..., 0], lane.objects.name)
    return relabel(values, lane.objects.name) if lane.role == "label_image" else label(values)


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


def threshold(image: Image, t: int, settings: ThresholdSettings) -> NDArray[np.uint32]:
    """Label image (z, y, x) of one time step of a prediction map; ids have gaps.

    The map is smoothed, cut, labelled, and components outside the limits of size are dropped
    (ilastik's "Threshold and Size Filter").
    """
    final = _smooth_channel(image, t, settings.channel, settings)
    if settings.method == "simple":
        labels = label(final >= np.float32(settings.threshold)).labels
    elif settings.method == "graph cut":
        labels = label(minimum_cut(_centred(final, settings.threshold), GRAPH_CUT_BETA)).labels
    else:
        summed, cores = _cores(final, image, t, settings)
        labels = (_with_core if settings.method == "hysteresis" else _grown)(summed, cores, settings)
    return filter_sizes(labels, settings)


def _centred(values: FloatArray, low: float) -> FloatArray:
    """Bring the threshold to 0.5, by ilastik's two slopes."""
    with np.errstate(divide="ignore", invalid="ignore"):
        below, above = values * (0.5 / low), 0.5 + (values - low) / (1 - low)
    return np.nan_to_num(np.where(values < low, below, above), nan=0.5)


def _cores(
    final: FloatArray, image: Image, t: int, settings: ThresholdSettings
) -> tuple[FloatArray, NDArray[np.uint32]]:
    """The map that is cut (the sum of both channels if they differ), and label image of the cores."""
    if settings.core_channel == settings.channel:
        core_map = summed = final
    else:
        core_map = _smooth_channel(image, t, settings.core_channel, settings)
        summed = final + core_map
    found = label(core_map >= np.float32(settings.core_threshold)).labels
    return summed, filter_sizes(found, settings)


def _with_core(
    summed: FloatArray, cores: NDArray[np.uint32], settings: ThresholdSettings
) -> NDArray[np.uint32]:
    """Hysteresis: components above the low threshold that hold a voxel of a core."""
    objects = label(summed >= np.float32(settings.threshold))
    kept = np.zeros(objects.count + 1, bool)
    kept[objects.labels[cores > 0]] = True
    kept[0] = False
    return np.where(kept[objects.labels], objects.labels, np.uint32(0))


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


def _smooth_channel(image: Image, t: int, channel: int, settings: ThresholdSettings) -> NDArray[np.float32]:
    """One channel of one time step, float32 (z, y, x), in the range 0 … 1 if asked for, smoothed."""
    z, y, x, channels = image.shape[1:]
    if channel >= channels:
        message = f"{image.name}: channel {channel} of a map of {channels} channels (from 0)"
        raise ImageError(message)
    region = (
        slice(t, t + 1), slice(0, z), slice(0, y), slice(0, x), slice(channel, channel + 1)
    )  # fmt: skip
    pixels = image.read(region)[0, ..., 0].astype(np.float32)
    if settings.rescaled and image.drange is None and pixels.max() > 1:
        log.warning(
            "%s holds values up to %g and does not say its range; the project's thresholds are for 0 to 1",
            image.name,
            pixels.max(),
        )
    low, high = image.drange or (0, 1)
    if settings.rescaled and (low, high) != (0, 1) and low != high:
        pixels = (pixels - np.float32(low)) / np.float32(high - low)
    return smooth(pixels, settings.sigma_xyz)


def smooth(pixels: NDArray[np.float32], sigmas: tuple[float, float, float]) -> NDArray[np.float32]:
    """Gaussian smoothing of (z, y, x) along x, then y, then z, rounded to float32 after each.

    Axes of length 1 are left out; nothing is done if a sigma of the others is below 0.1. Taps
    exp(-x² / 2σ²) up to 2σ, normalised; at borders the image is mirrored without repeating the edge.
    """
    steps = [(2 - i, s) for i, s in enumerate(sigmas) if pixels.shape[2 - i] > 1]
    if not steps or min(s for _, s in steps) < SMOOTHS_FROM:
        return pixels
    from scipy.ndimage import correlate1d  # costs, and few runs smooth

    for axis, sigma in steps:
        radius = max(math.floor(WINDOW * sigma + 0.5), 1)
        taps = np.exp(-(np.arange(-radius, radius + 1) ** 2) / (2 * sigma * sigma))
        pixels = correlate1d(pixels, taps / taps.sum(), axis, output=np.float32, mode="mirror")
    return pixels
