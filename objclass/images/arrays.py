"""Axes and pixel size of arrays, in memory or lazy."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from objclass.core import ArrayStore, PixelSize
from objclass.errors import ImageError
from objclass.images.attributes import stored_axes, tagged_size
from objclass.images.source import Source, axes_by_shape, known_pixel_size, reason

DIMENSIONS = {
    **dict.fromkeys(("t", "time", "timestep", "frame"), "t"),
    **dict.fromkeys(("z", "plane", "slice", "depth"), "z"),
    **dict.fromkeys(("y", "row", "height"), "y"),
    **dict.fromkeys(("x", "col", "column", "width"), "x"),
    **dict.fromkeys(("c", "ch", "channel", "channels", "band"), "c"),
}
"""Names of dimensions, in lower case -> axis."""

_REGULAR = 1e-3
"""Tolerance of coordinates, as a fraction of a pixel: they are often rounded."""


def array_source(array: Any, axes: str | None, name: str, *, channels: bool) -> Source:
    """An array as the source of an image.

    Axes are those that it has: dimensions of xarray (names: `DIMENSIONS`) and of Zarr, ilastik's
    ``axistags`` in HDF5; else they are known by its shape. The pixel size comes from regular coordinates with
    ``units`` (xarray), or from ``axistags``.

    Parameters
    ----------
    array
        Any object with shape, dtype and slicing, or that numpy converts to an array.
    axes
        Axes; overrides those of the array.
    name
        Name of the array, for messages.
    channels
        Whether an axis can be taken for channels by its shape alone.

    Raises
    ------
    ImageError
        If it is not an image, or its dimensions have other names.
    """
    if isinstance(array, np.ma.MaskedArray):
        message = f"{name}: a masked array, expected values everywhere: fill it first, as in array.filled(0)"
        raise ImageError(message)
    try:
        stored = ArrayStore(array if hasattr(array, "shape") else np.asarray(array))
    except Exception as error:  # a closed file of h5py, a tensor of another library: each has its own
        message = f"{name}: cannot be taken for an array: {reason(error)}"
        raise ImageError(message) from error
    letters, axes_from = (axes.lower(), "axes=") if axes else _own_axes(array, name)
    if not letters:
        letters, axes_from = axes_by_shape(stored.shape, channels=channels), "shape"
    return Source(name, stored, letters, axes_from, pixel_size=_pixel_size(array, letters))


def _own_axes(array: Any, name: str) -> tuple[str, str]:
    """Axes that the array has, and where they come from; empty if it has none."""
    if hasattr(array, "dims") and hasattr(array, "coords"):
        return _named(array.dims, name), "dims"
    metadata = getattr(array, "metadata", None)
    names = getattr(metadata, "dimension_names", None) or _attributes(array).get("_ARRAY_DIMENSIONS")
    if names and all(names):
        return _named(names, name), "dimension names"
    axes, axes_from = stored_axes(_attributes(array), ())
    return ("", "") if axes_from == "shape" else (axes, axes_from)


def _named(dimensions: Any, name: str) -> str:
    """Axes of named dimensions; empty if the names mean nothing (xarray's dim_0, dim_1 …)."""
    names = [str(dimension) for dimension in dimensions]
    if all(given == f"dim_{k}" for k, given in enumerate(names)):
        return ""
    unknown = [given for given in names if given.lower() not in DIMENSIONS]
    if unknown:
        message = (
            f"{name}: dimensions {', '.join(names)}: expected t, z, y, x, c or time, channel …, not "
            f"{', '.join(unknown)} (--input_axes says what they are)"
        )
        raise ImageError(message)
    return "".join(DIMENSIONS[given.lower()] for given in names)


def _attributes(array: Any) -> Mapping[str, Any]:
    found = getattr(array, "attrs", None)
    return found if isinstance(found, Mapping) else {}


def _pixel_size(array: Any, axes: str) -> PixelSize | None:
    """From the coordinates of x, y, z, where they are regular and have units; else from ``axistags``."""
    if not hasattr(array, "coords"):
        return tagged_size(_attributes(array), axes)
    sizes, units = {}, {}
    for dimension in array.dims:
        axis = DIMENSIONS.get(str(dimension).lower(), "")
        if axis in ("x", "y", "z") and dimension in array.coords:
            coordinate = array.coords[dimension]
            units[axis] = str(coordinate.attrs.get("units", ""))
            sizes[axis] = _step(np.asarray(coordinate)) if units[axis] else 0.0
    return known_pixel_size(sizes, units, axes)


def _step(places: np.ndarray[Any, Any]) -> float:
    """Distance of neighbours, 0 if they are not all as far apart."""
    if len(places) < 2 or places.dtype.kind not in "iuf":
        return 0.0
    steps = np.diff(places.astype(np.float64))
    is_regular = np.allclose(steps, steps[0], rtol=_REGULAR, atol=0)
    return abs(float(steps.mean())) if is_regular else 0.0
