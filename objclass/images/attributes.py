"""What ilastik writes beside the pixels of a dataset, whatever the container: axistags and their kin."""

import json
from typing import Any

import numpy as np

from objclass.core import AnyArray, OutputImage, PixelSize
from objclass.images.source import MICROMETRES

_TYPE_FLAGS = {"c": 1, "x": 2, "y": 2, "z": 2, "t": 8}
"""vigra's kinds of axes: channel, space, time."""


def axistags(axes: str, size: PixelSize | None = None) -> str:
    """Axes as vigra's JSON text, newlines and all.

    Parameters
    ----------
    axes
        Letters of ``"tzyxc"``.
    size
        Of the pixels; resolution 0 stands for unknown.
    """
    tags = [
        {
            "key": axis,
            "typeFlags": _TYPE_FLAGS[axis],
            "resolution": getattr(size, axis) if size is not None and axis in "xyz" else 0,
            "description": "",
        }
        for axis in axes
    ]
    return json.dumps({"axes": tags}, indent=2)


def attributes(image: OutputImage, axes: str) -> dict[str, Any]:
    """Attributes of a dataset with the given order of axes; what is unknown is left out.

    ``axistags`` and ``axis_units`` are JSON texts, ``drange`` an array of the image's dtype.
    """
    size = image.pixel_size
    found: dict[str, Any] = {"axistags": axistags(axes, size)}
    if size is not None and size.unit:
        found["axis_units"] = json.dumps({axis: size.unit for axis in axes if axis in "xyz"})
    found["display_mode"] = "default"
    if image.drange is not None:
        found["drange"] = _in_dtype(image.drange, image.dtype)
    return found


def element_size(size: PixelSize | None) -> tuple[float, float, float] | None:
    """Extent of a pixel along z, y, x in micrometres, where known."""
    factor = MICROMETRES.get(size.unit) if size is not None else None
    if size is None or factor is None:
        return None
    return size.z * factor, size.y * factor, size.x * factor


def _in_dtype(drange: tuple[float, float], dtype: np.dtype[Any]) -> AnyArray:
    bounds = np.array(drange, np.float64)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return np.array([max(min(int(b), limits.max), limits.min) for b in bounds], dtype)
    return bounds.astype(dtype)
