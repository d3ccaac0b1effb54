"""N5: a folder of blocks for each dataset, read through tensorstore (``pip install objclass[n5]``).

https://github.com/saalfeldlab/n5#file-system-specification. An N5 dataset counts its axes from the
fastest one on: everything here is turned round, so that the last axis is the fastest.
"""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from objclass.core import AnyArray, PixelSize
from objclass.errors import ImageError
from objclass.images.chunks import Chunked
from objclass.images.paths import listed
from objclass.images.source import Source, axes_by_shape, is_image_shape, known_pixel_size


_ATTRIBUTES = "attributes.json"

_NEEDED = ("dimensions", "blockSize", "dataType", "compression")
"""Attributes that a dataset has, and a group has not."""


@dataclass(frozen=True)
class N5Store:
    """A dataset; no file is open between reads."""

    path: str
    internal: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region; only the blocks that it touches are read."""
        folder = os.path.abspath(os.path.join(self.path, self.internal))
        dataset = _dataset(_tensorstore(self.path), folder)
        pixels: AnyArray = dataset.T[region].read().result()
        return pixels


def _dataset(tensorstore: Any, folder: str) -> Any:
    """The dataset by what is needed for its blocks: of axes and units tensorstore has ideas of its own."""
    known = _attributes(folder)
    context = tensorstore.Context()
    memory = tensorstore.KvStore.open({"driver": "memory"}, context=context).result()
    memory[_ATTRIBUTES] = json.dumps({key: known[key] for key in _NEEDED}).encode()
    layers = [
        {"base": {"driver": "file", "path": f"{folder}/"}},
        {"exact": _ATTRIBUTES, "base": {"driver": "memory", "path": _ATTRIBUTES}},
    ]
    spec = {"driver": "n5", "kvstore": {"driver": "kvstack", "layers": layers}}
    return tensorstore.open(spec, context=context, read=True, open=True).result()


def open_n5(path: str, internal: str = "") -> Source:
    """Open a dataset; without a name the only one of 2 to 5 dimensions.

    Raises
    ------
    ImageError
        If there is no such dataset, or several and none was named, or tensorstore is not installed.
    """
    _tensorstore(path)
    name = internal or _only(path)
    attributes = _attributes(os.path.join(path, name))
    if not _is_dataset(attributes):
        held = listed([found for found, _ in _datasets(path)])
        message = f"{path}: there is no dataset '{name}', expected one of {held}"
        raise ImageError(message)
    shape = _shape(attributes)
    dtype = np.dtype(str(attributes["dataType"]))
    axes, axes_from = _axes(attributes, shape)
    stored = Chunked(N5Store(path, name, shape, dtype), tuple(attributes["blockSize"][::-1]))
    return Source(f"{path}/{name}".rstrip("/"), stored, axes, axes_from, None, _pixel_size(attributes, axes))


def arrays_in(path: str) -> list[str]:
    """Names of the datasets of 2 to 5 dimensions, sorted."""
    return [name for name, attributes in _datasets(path) if is_image_shape(_shape(attributes))]


def _tensorstore(path: str) -> Any:
    try:
        import tensorstore
    except ImportError as error:
        message = f"{path}: N5 is read with tensorstore, which is not installed: pip install objclass[n5]"
        raise ImageError(message) from error
    return tensorstore


def _only(path: str) -> str:
    images = arrays_in(path)
    if len(images) == 1:
        return images[0]
    if images:
        message = f"{path}: which dataset? expected {path}/NAME with one of {listed(images)}"
    else:
        message = f"{path}: has no dataset of 2 to 5 dimensions"
    raise ImageError(message)


def _datasets(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for folder, subfolders, _ in os.walk(path):
        attributes = _attributes(folder)
        if _is_dataset(attributes):
            subfolders.clear()  # blocks
            name = os.path.relpath(folder, path).replace(os.sep, "/")
            yield "" if name == "." else name, attributes
        subfolders.sort()


def _attributes(folder: str) -> dict[str, Any]:
    try:
        with open(os.path.join(folder, _ATTRIBUTES), encoding="utf-8") as file:
            return dict(json.load(file))
    except FileNotFoundError:  # groups need none
        return {}


def _is_dataset(attributes: Mapping[str, Any]) -> bool:
    return set(_NEEDED) <= set(attributes)


def _shape(attributes: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(int(n) for n in attributes["dimensions"][::-1])


def _axes(attributes: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[str, str]:
    try:
        tags = attributes.get("axistags", {})
        tags = json.loads(tags) if isinstance(tags, str) else tags
        axes = "".join(str(tag["key"]) for tag in tags.get("axes", ()))
    except (ValueError, TypeError, KeyError, AttributeError):
        return "", "attribute axistags, which is damaged"
    if axes and "?" not in axes:
        return axes.lower(), "axistags"
    if "axes" in attributes:
        return "".join(map(str, attributes["axes"]))[::-1].lower(), "attribute axes"
    return axes_by_shape(shape), "shape"


def _pixel_size(attributes: Mapping[str, Any], axes: str) -> PixelSize | None:
    """By the first of: axistags; ``resolution`` and ``units``; ``pixelResolution`` of n5-viewer."""
    try:
        return (
            _tagged_size(attributes, axes)
            or _stated_size(attributes.get("resolution"), attributes, axes)
            or _stated_size(attributes.get("pixelResolution"), attributes, axes, "downsamplingFactors")
        )
    except (ValueError, TypeError, KeyError, AttributeError):  # it is not worth failing for
        return None


def _tagged_size(attributes: Mapping[str, Any], axes: str) -> PixelSize | None:
    tags = attributes.get("axistags", {})
    tags = json.loads(tags) if isinstance(tags, str) else tags
    units = attributes.get("axis_units", {})
    units = json.loads(units) if isinstance(units, str) else units
    return known_pixel_size(
        {tag["key"]: tag.get("resolution", 0) for tag in tags.get("axes", ())}, units, axes
    )


def _stated_size(
    stated: Any, attributes: Mapping[str, Any], axes: str, factors: str = ""
) -> PixelSize | None:
    """Lengths along the axes from the fastest on: of all, or of x, y and z only."""
    if stated is None:
        return None
    lengths, units = stated, attributes.get("units", attributes.get("unit", "um"))
    if isinstance(stated, Mapping):
        lengths, units = stated["dimensions"], stated.get("unit", units)
    letters = axes[::-1] if len(lengths) == len(axes) else "xyz"[: len(lengths)]
    coarser = attributes.get(factors, [1] * len(lengths))
    sizes = {a: float(n) * float(f) for a, n, f in zip(letters, lengths, coarser, strict=True)}
    named = dict.fromkeys("xyz", units) if isinstance(units, str) else dict(zip(letters, units, strict=True))
    return known_pixel_size(sizes, named, axes)
