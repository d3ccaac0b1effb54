"""Warnings before a run about images that look like something other than they were given as."""

from dataclasses import dataclass, replace

import numpy as np

from objclass.core import AnyArray, Image, Lane
from objclass.errors import LaneError
from objclass.segmentation.labelling import integral, label
from objclass.settings import ThresholdSettings

SIDE = 512
"""Rows and columns of the part in the middle of the image that is examined."""

MANY_VALUES = 16
"""A segmentation has fewer values than this, a grey image has more."""

MANY_PIECES = 100
"""Number of objects from which on single pixels are grey values rather than noise."""

FEW_VALUES = 65535
"""Up to this value it is faster to count the pixels of each than to order them."""

FEW_PIECES = 3
"""A label image of one id in at least this many pieces is a mask."""

RANGES = (1, 100, 255, 65535, 2**32 - 1)
"""Maxima of the integer ranges in which programs write probability maps."""


@dataclass(frozen=True)
class Look:
    """The middle of an image.

    Parameters
    ----------
    values
        Number of values except 0.
    pieces
        Number of connected pieces of equal value except 0; 0 where they were not counted.
    median
        Their median size.
    has_background
        Whether any pixel is 0.
    """

    values: int
    pieces: int
    median: float
    has_background: bool

    @property
    def is_grey(self) -> bool:
        """Whether most pieces are single pixels of many values."""
        return self.values >= MANY_VALUES and self.pieces >= MANY_PIECES and self.median <= 1

    @property
    def is_of_classes(self) -> bool:
        """Whether few values, none of them 0, cover many pieces: classes of pixels, counted from 1."""
        return not self.has_background and 1 < self.values < MANY_VALUES and self.pieces > self.values


def look_at(image: Image) -> Look | None:
    """Examine the middle of the first channel; None if the pixels are not integers."""
    t, z, y, x, _ = image.shape
    rows, columns = _middle(y), _middle(x)
    pixels = image.read((slice(t // 2, t // 2 + 1), slice(z // 2, z // 2 + 1), rows, columns, slice(0, 1)))
    try:
        plane = integral(pixels[0, ..., 0], image.name)
    except LaneError:
        return None
    values, has_background = _values(plane)
    # with fewer single pixels the median size cannot be 1: no need to label
    is_counted = values == 1 or not has_background
    if not is_counted and 2 * _singles(plane[0]) < MANY_PIECES:
        return Look(values, 0, np.inf, has_background)
    found = label(plane)
    sizes = np.bincount(found.labels.ravel())[1:]
    return Look(values, found.count, float(np.median(sizes)) if found.count else np.inf, has_background)


def _values(plane: AnyArray) -> tuple[int, bool]:
    """Number of values except 0, and whether there are pixels of 0."""
    if plane.min() >= 0 and plane.max() <= FEW_VALUES:
        counts = np.bincount(plane.ravel().astype(np.intp, copy=False))
        return int(np.count_nonzero(counts[1:])), bool(counts[0])
    ordered = np.sort(plane, axis=None)  # np.unique would import numpy.ma, a fiftieth of a small run
    has_background = bool((plane == 0).any())
    return 1 + int(np.count_nonzero(ordered[1:] != ordered[:-1])) - has_background, has_background


def _singles(plane: AnyArray) -> int:
    """Pixels (y, x) other than 0 that differ from all their direct neighbours."""
    single = plane != 0
    for axis in (0, 1):
        here, found = np.moveaxis(plane, axis, 0), np.moveaxis(single, axis, 0)
        differ = here[1:] != here[:-1]
        found[1:] &= differ
        found[:-1] &= differ
    return int(np.count_nonzero(single))


def _middle(length: int) -> slice:
    start = max((length - SIDE) // 2, 0)
    return slice(start, min(start + SIDE, length))


def doubt(lane: Lane) -> str | None:
    """A message if the objects of a lane look like something other than they were given as, else None."""
    if lane.role == "prediction_maps":
        return None
    name = f"{lane.role.replace('_', ' ')} {lane.objects.name}"
    seen = look_at(lane.objects)
    if seen is None:
        return None
    if seen.is_grey:
        raw = look_at(lane.raw) if lane.raw is not None and lane.channels == 1 else None
        if raw is not None and not raw.is_grey and raw.values < seen.values:
            return f"{name} looks like a grey image, and raw data {lane.raw.name if lane.raw else ''} like a segmentation: are they swapped?"
        return (
            f"{name} looks like a grey image, a map of probabilities or a mask in JPEG ({seen.values} values in "
            f"its middle, most objects are single pixels): give a segmentation, or a map as --prediction_maps"
        )
    if seen.is_of_classes:
        return (
            f"{name} looks like classes of pixels counted from 1, as in ilastik's Simple Segmentation: no pixel in its "
            "middle is 0, so background is objects, too: set the class of the background to 0"
        )
    if lane.role == "label_image" and seen.values == 1 and seen.pieces >= FEW_PIECES:
        return (
            f"{name} looks like a mask: its {seen.pieces} pieces have the same value, so they are one object; with "
            "--segmentation_image each piece is an object"
        )
    return None


def in_range_of(image: Image, settings: ThresholdSettings) -> tuple[ThresholdSettings, str | None]:
    """Thresholds in the units of the map, and a message if they were given as parts of its range.

    Thresholds from 0 to 1 for integers that go beyond 1 are parts of the range of the map: that of the
    file, else the smallest of 0 to 100, 255, 65535 that contains the values of three planes. Thresholds of
    projects are not changed.
    """
    cores = () if settings.method == "simple" else (settings.core_threshold,)
    is_part = all(0 < threshold <= 1 for threshold in (settings.threshold, *cores))
    if settings.rescaled or image.dtype.kind not in "iu" or not is_part:
        return settings, None
    largest = _largest(image)
    is_known = (
        image.drange is not None and image.dtype != np.uint8
    )  # whose range of 255 comes from the type alone
    top = image.drange[1] if is_known and image.drange else next((n for n in RANGES if n >= largest), largest)
    if largest <= 1 or top <= 1:
        return settings, None
    message = f"{image.name} holds integers, up to {largest:g} in the planes examined, so its range is taken as 0 to {top:g}: --threshold {settings.threshold:g} is {settings.threshold * top:g}"
    return replace(
        settings, threshold=settings.threshold * top, core_threshold=settings.core_threshold * top
    ), message


def _largest(image: Image) -> float:
    """The largest value of the first plane, one in the middle and the last."""
    t, z, y, x, c = image.shape
    largest = 0.0
    for part in (0.0, 0.5, 1.0):
        at = tuple(slice(n, n + 1) for n in (round(part * (t - 1)), round(part * (z - 1))))
        plane: AnyArray = image.read((at[0], at[1], slice(0, y), slice(0, x), slice(0, c)))
        largest = max(largest, float(plane.max()))
    return largest
