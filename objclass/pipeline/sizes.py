"""Limits of the size of objects that are given as areas or volumes, in pixels."""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import ceil, floor, prod
from typing import TypeVar

from objclass.core import MICROMETRES, UNITS, Lane, PixelSize, decimal
from objclass.errors import UsageError
from objclass.settings import PhysicalSize, ThresholdSettings

Settings = TypeVar("Settings", bound=ThresholdSettings)

ROUNDED = {"min_size": ceil, "max_size": floor}
"""How limits become whole numbers of pixels: such that the objects within them are those of the sizes given."""


def in_pixels(settings: Settings, lane: Lane, size: PixelSize | None) -> Settings:
    """The settings for a lane of this pixel size.

    Raises
    ------
    UsageError
        If the unit or the pixel size is unknown, or an area is given for a volume.
    """
    given = settings.physical_sizes
    if not given:
        return settings
    found = {name: ROUNDED[name](_exact(name, limit, lane, size)) for name, limit in given.items()}
    smallest = found.get("min_size", settings.min_size)
    largest = found.get("max_size", settings.max_size)
    if isinstance(smallest, int) and isinstance(largest, int) and smallest > largest:
        message = (
            f"--min_size {settings.min_size} is above --max_size {settings.max_size} in {lane.objects.name}: {smallest} and "
            f"{largest} pixels"
        )
        raise UsageError(message)
    return replace(settings, min_size=smallest, max_size=largest)


def described_sizes(settings: ThresholdSettings, lane: Lane, size: PixelSize | None) -> Sequence[str]:
    """A line for each limit that says how many pixels it is in a lane."""
    found = in_pixels(settings, lane, size)
    pixels = "" if size is None else f" of {size.described(lane.objects.ndim)}"
    return [
        f"--{name} {limit} is {getattr(found, name)} pixels{pixels}"
        for name, limit in settings.physical_sizes.items()
    ]


def _exact(name: str, limit: PhysicalSize, lane: Lane, size: PixelSize | None) -> Fraction:
    """The number of pixels, a fraction: decimal numbers are taken as they are written."""
    ndim, unit = lane.objects.ndim, UNITS.get(limit.unit, limit.unit)
    if unit not in MICROMETRES:
        message = f"--{name} {limit}: expected a unit of {', '.join(MICROMETRES)}, such as {EXAMPLES[ndim]}"
        raise UsageError(message)
    if limit.dims != ndim:
        message = (
            f"--{name} {limit}: {lane.objects.name} is {ndim}D: expected a size such as {EXAMPLES[ndim]}"
        )
        raise UsageError(message)
    known = size.in_micrometres if size is not None else None
    if known is None:
        message = f"--{name} {limit}: {lane.objects.name} has no pixel size in a unit of length: give --pixel_size 0.65um"
        raise UsageError(message)
    voxel = prod(map(decimal, known.spacing(ndim)), start=Fraction(1))
    return decimal(limit.value) * decimal(MICROMETRES[unit]) ** ndim / voxel


EXAMPLES = {2: "20um2", 3: "500um3"}
