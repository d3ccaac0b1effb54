"""Attributes of datasets, independent of the container: ilastik's axistags and others."""

import json
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from objclass.core import MICROMETRES, AnyArray, PixelSize
from objclass.images.source import axes_by_shape, known_pixel_size
from objclass.images.writer import OutputImage

_TYPE_FLAGS = {"c": 1, "x": 2, "y": 2, "z": 2, "t": 8}
"""vigra's kinds of axes: channel, space, time."""


def axistags(axes: str, size: PixelSize | None = None) -> str:
    """Axes as vigra's JSON text, newlines and all.

    Parameters
    ----------
    axes
        Letters of ``"tzyxc"``.
    size
        Pixel size; a resolution of 0 means unknown.
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
    """Attributes of a dataset with the given order of axes; unknown ones are left out.

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


def write_json(folder: str, name: str, content: Mapping[str, Any]) -> None:
    """Write attributes into a file of a folder, which is made."""
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8", newline="\n") as file:
        json.dump(content, file, indent=2, ensure_ascii=False, default=np.ndarray.tolist)


def stored_axes(found: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[str, str]:
    """Axes of a dataset, and their origin: ``axistags``, else ``axes`` (the fastest one first), else its shape."""
    if "axistags" in found:
        try:
            axes = "".join(str(tag["key"]) for tag in _tags(found))
        except (ValueError, TypeError, KeyError):
            return "", "attribute axistags, which is damaged"
        if axes and "?" not in axes:
            return axes.lower(), "axistags"
    if "axes" in found:
        letters = [_text(letter) for letter in np.atleast_1d(found["axes"])]
        return "".join(letters)[::-1].lower(), "attribute axes"
    return axes_by_shape(shape), "shape"


def stored_drange(found: Mapping[str, Any]) -> tuple[float, float] | None:
    """Smallest and largest possible value, from ``drange``; None if unknown."""
    stored = np.ravel(found.get("drange", ()))
    if stored.shape != (2,) or stored.dtype.kind not in "iuf":
        return None
    low, high = (float(bound) for bound in stored)
    return low, high


def tagged_size(found: Mapping[str, Any], axes: str) -> PixelSize | None:
    """The pixel size, from ``axistags`` with ``axis_units``; None if unknown."""
    try:
        sizes = {tag["key"]: float(tag.get("resolution", 0)) for tag in _tags(found)}
        return known_pixel_size(sizes, _parsed(found.get("axis_units", {})), axes)
    except (ValueError, TypeError, KeyError, AttributeError):  # a pixel size is not worth an error
        return None


def _tags(found: Mapping[str, Any]) -> list[dict[str, Any]]:
    return list(_parsed(found["axistags"])["axes"])


def _parsed(value: Any) -> Any:
    return value if isinstance(value, Mapping) else json.loads(_text(value))


def _text(value: Any) -> str:
    plain = value.item() if isinstance(value, np.ndarray | np.generic) else value
    return plain.decode() if isinstance(plain, bytes) else str(plain)
