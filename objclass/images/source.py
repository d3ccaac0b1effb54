"""The result of a reader: the pixels of a file, and their description.

A reader is a function ``open_x(path, internal, context) -> Source`` (`objclass.registry.IMAGE_FORMATS`);
``internal`` names an array inside the file, ``""`` if none is given. It reads headers only. Caches and threads
are those of ``context``, the `objclass.compute.context.Context` of the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from math import isfinite, prod
from typing import Any

import numpy as np

from objclass.core import MICROMETRES, AnyArray, PixelSize, Stored
from objclass.errors import ImageError
from objclass.images.trust import MAXIMUM_PIXELS

_LARGEST_CHANNELS = 4
"""A last axis no longer than this is taken for channels, as ilastik does."""

_UNITS = {
    **dict.fromkeys(
        ("µm", "μm", "micron", "microns", "micrometer", "micrometers", "micrometre", "\\u00b5m"),
        "um",
    ),
    **dict.fromkeys(("nanometer", "nanometers", "nanometre"), "nm"),
    **dict.fromkeys(("millimeter", "millimeters", "millimetre"), "mm"),
    **dict.fromkeys(("centimeter", "centimeters", "centimetre"), "cm"),
    **dict.fromkeys(("meter", "meters", "metre"), "m"),
    **dict.fromkeys(("å", "ångström"), "angstrom"),
    "picometer": "pm",
    **dict.fromkeys(("pixel", "pixels", "voxel", "reference frame"), ""),
}


@dataclass(frozen=True)
class Source:
    """An image in a file, with the axes that the file describes.

    Parameters
    ----------
    name
        Name of the file, and of the array in it, for messages.
    stored
        The array that holds the pixels.
    axes
        Letters of the stored axes; not checked here, since the user may override them.
    axes_from
        Their origin in the file.
    drange
        Smallest and largest possible value; None if unknown.
    pixel_size
        Size of a pixel; None if unknown.
    picked
        Name of the array that the reader has chosen if none was given, such as the scale ``0`` of a multiscale
        image; it becomes part of the name of the image.
    version
        What tells one version of an image on a server from another; empty for files.

    Raises
    ------
    ImageError
        If the array does not have 2 to 5 dimensions, or holds other values than real numbers.
    """

    name: str
    stored: Stored
    axes: str
    axes_from: str
    drange: tuple[float, float] | None = None
    pixel_size: PixelSize | None = None
    picked: str = ""
    version: Mapping[str, str] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        shape, dtype = self.stored.shape, self.stored.dtype
        if dtype.kind not in "buif" or dtype.itemsize > np.dtype(np.float64).itemsize:
            message = f"{self.name}: pixels are {dtype}, expected integers or floats of 8 to 64 bits"
            raise ImageError(message)
        if prod(shape) > MAXIMUM_PIXELS:
            message = f"{self.name}: claims a shape of {shape}, more than any image has: is it damaged?"
            raise ImageError(message)
        if not is_image_shape(shape):
            message = f"{self.name}: shape {shape} is {len(shape)}-dimensional, expected 2 to 5 dimensions"
            raise ImageError(message)


@dataclass(frozen=True)
class ValidatedArray:
    """A `Stored` that is checked: it returns the requested shape in native byte order, or raises `ImageError`.

    bool becomes 0 and 1 of uint8.
    """

    name: str
    stored: Stored
    shape: tuple[int, ...] = field(init=False)
    dtype: np.dtype[Any] = field(init=False)

    def __post_init__(self) -> None:
        stored = self.stored.dtype
        dtype = np.dtype(np.uint8) if stored.kind == "b" else stored.newbyteorder("=")
        object.__setattr__(self, "dtype", dtype)
        object.__setattr__(self, "shape", self.stored.shape)

    @property
    def chunks(self) -> tuple[int, ...] | None:
        """Lengths of the pieces that are packed together, if there are such."""
        return getattr(self.stored, "chunks", None)

    @property
    def is_plain(self) -> bool:
        """Whether slabs are quick to read."""
        return getattr(self.stored, "is_plain", False)

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region."""
        try:
            pixels = np.asarray(self.stored.read(region))
        except (ImageError, MemoryError):
            raise
        except Exception as error:  # a damaged file can cause any exception of its decoder
            message = f"{self.name}: cannot be read, the file may be damaged: {reason(error)}"
            raise ImageError(message) from error
        expected = tuple(part.stop - part.start for part in region)
        if pixels.shape != expected:
            message = f"{self.name}: read shape {pixels.shape} instead of {expected}: is it damaged?"
            raise ImageError(message)
        return pixels.astype(self.dtype, copy=False)


def checked(source: Source) -> Source:
    """The image, with checked reading, and with the range of values that follows from uint8."""
    stored = source.stored
    by_dtype = {"b1": (0.0, 1.0), "u1": (0.0, 255.0)}.get(stored.dtype.str[1:])
    return replace(source, stored=ValidatedArray(source.name, stored), drange=source.drange or by_dtype)


def is_image_shape(shape: tuple[int, ...]) -> bool:
    """Whether an array of this shape can be an image: 2 to 5 dimensions."""
    return 2 <= len(shape) <= 5


def axes_by_shape(shape: tuple[int, ...], *, channels: bool = True) -> str:
    """Axes by shape, as ilastik assumes them; ``""`` if it is not an image.

    Parameters
    ----------
    shape
        Of the image.
    channels
        Whether it may have channels; label images have none.

    Examples
    --------
    >>> axes_by_shape((20, 30)), axes_by_shape((20, 30, 3)), axes_by_shape((20, 30, 40))
    ('yx', 'yxc', 'zyx')
    >>> axes_by_shape((20, 30, 3), channels=False)
    'zyx'
    """
    if not channels:
        return {2: "yx", 3: "zyx", 4: "tzyx", 5: "tzyxc"}.get(len(shape), "")
    if len(shape) == 3:
        return "yxc" if shape[-1] <= _LARGEST_CHANNELS else "zyx"
    return {2: "yx", 4: "zyxc", 5: "tzyxc"}.get(len(shape), "")


def known_pixel_size(sizes: Mapping[str, float], units: Mapping[str, str], axes: str) -> PixelSize | None:
    """The pixel size, if each spatial axis of the image has one and the units agree.

    Parameters
    ----------
    sizes
        Extent along x, y, z; 0 or absent where unknown.
    units
        Their units, in any common spelling.
    axes
        Axes of the image; the size along z is needed only if it is among them.

    Examples
    --------
    >>> known_pixel_size({"x": 0.5, "y": 0.5}, {"x": "micron", "y": "µm"}, "yx")
    PixelSize(x=0.5, y=0.5, z=1.0, unit='um')
    >>> known_pixel_size({"x": 0.5, "y": 0.5}, {}, "zyx")  # z is unknown
    """
    present = [axis for axis in "xyz" if axis in axes]
    known: dict[str, Any] = {axis: float(sizes.get(axis, 0)) for axis in present}
    if not known or not all(isfinite(size) and size > 0 for size in known.values()):
        return None
    names = {axis: _plain_unit(units.get(axis, "")) for axis in present}
    if len(set(names.values())) == 1:
        return PixelSize(**known, unit=names["x"])
    if not set(names.values()) <= set(MICROMETRES):
        return None
    scaled: dict[str, Any] = {a: known[a] * MICROMETRES[names[a]] for a in present}
    return PixelSize(**scaled, unit="um")


def _plain_unit(unit: str) -> str:
    stripped = unit.strip()
    return _UNITS.get(stripped.lower(), stripped)


def reason(error: BaseException) -> str:
    """The message of an exception, on one line."""
    message = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(message.split()) or type(error).__name__
