"""Images as layers of napari: pixels, options and type, as napari takes them; made without it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from objclass.core import AXES, AnyArray, Image, PixelSize, Stored, from_canonical
from objclass.images.channel import channel_of
from objclass.images.lazy import LazyImage
from objclass.project.model import Color, class_colors

SOURCE = "objclass_source"
"""Entry in the metadata of layers: the project or run that they come from, number and role of the image."""

Layer = tuple[Any, dict[str, Any], str]
"""Pixels (or points), options and type of a layer."""

COLORMAPS = ("cyan", "magenta", "yellow", "green", "red", "blue", "bop orange", "bop purple")
"""Colours of channels."""


@dataclass(frozen=True)
class Layers:
    """What a file is shown as.

    Parameters
    ----------
    layers
        The layers, the lowest one first.
    remarks
        Sentences for the user: what is missing.
    """

    layers: tuple[Layer, ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class Place:
    """Where the pixels of layers lie.

    Parameters
    ----------
    axes
        Axes of the layers, in the order of ``"tzyx"``.
    size
        Size of a pixel; None if unknown.
    offset
        Axis -> its first pixel in the whole image, of which the layers show a part; 0 along others.
    """

    axes: str
    size: PixelSize | None = None
    offset: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, image: Image, size: PixelSize | None = None) -> "Place":
        """The place of an image: its axes that are longer than a pixel, and y and x."""
        lengths = zip(AXES[:4], image.shape, strict=False)
        axes = "".join(axis for axis, length in lengths if length > 1 or axis in "yx")
        return cls(axes, size or image.pixel_size)

    def of_part(self, image: Image, offset: Mapping[str, int]) -> "Place":
        """The place of an image that is a part of the one here, beginning at an offset."""
        return Place(self.axes, self.size or image.pixel_size, offset)

    def options(self, name: str, about: Mapping[str, Any], **more: Any) -> dict[str, Any]:
        """The options of a layer: its name, place, and what it belongs to."""
        found = {"name": name, "axis_labels": tuple(self.axes), "metadata": {SOURCE: dict(about)}, **more}
        if self.size is not None:
            unit = self.size.unit or "pixel"
            found["scale"] = self._scale
            found["units"] = tuple("pixel" if axis == "t" else unit for axis in self.axes)
        if any(self.offset.values()):
            found["translate"] = tuple(
                self.offset.get(axis, 0) * step for axis, step in zip(self.axes, self._scale, strict=True)
            )
        return found

    @property
    def _scale(self) -> tuple[float, ...]:
        return tuple(getattr(self.size, axis, 1.0) for axis in self.axes)


@dataclass(frozen=True)
class Ordered:
    """An image with axes in another order, without some of length 1, as a `Stored`."""

    image: Image
    axes: str

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return tuple(self.image.shape[AXES.index(axis)] for axis in self.axes)

    @property
    def dtype(self) -> np.dtype[Any]:
        """As stored."""
        return self.image.dtype

    def read(self, region: tuple[slice, ...]) -> AnyArray:
        """Pixels of the region."""
        wanted = dict(zip(self.axes, region, strict=True))
        t, z, y, x, c = (wanted.get(axis, slice(0, 1)) for axis in AXES)
        return from_canonical(self.image.read((t, z, y, x, c)), self.axes)


def lazy(name: str, stored: Stored, axes: str) -> LazyImage:
    """An array that is read when it is looked at."""
    return LazyImage(Image(name, stored, axes, "napari"))


def image_layers(
    image: Image, name: str, place: Place, about: Mapping[str, Any], *, names: Sequence[str] = (), **more: Any
) -> Iterator[Layer]:
    """The layers of an image: one for each channel, or one of red, green and blue.

    Parameters
    ----------
    names
        Those of the channels.
    more
        Further options of all layers.
    """
    channels = image.shape[4]
    if channels == 3 and image.dtype == np.uint8 and not names:
        options = place.options(name, about, rgb=True, **more)
        yield lazy(name, Ordered(image, f"{place.axes}c"), f"{place.axes}c"), options, "image"
        return
    for number in range(channels):
        one = f"{name} {names[number] if number < len(names) else number}" if channels > 1 else name
        colored = {"colormap": COLORMAPS[number % len(COLORMAPS)], "blending": "additive"}
        options = place.options(one, about, **(colored if channels > 1 else {}), **more)
        yield lazy(one, Ordered(channel_of(image, number), place.axes), place.axes), options, "image"


@dataclass(frozen=True)
class Classes:
    """Names and colours of the classes 1, 2 … of a layer."""

    names: tuple[str, ...]
    colors: tuple[Color, ...] = ()

    @property
    def cycle(self) -> dict[str, str]:
        """Name of each class -> its colour, as ``#rrggbb``."""
        colors = class_colors(self.colors, len(self.names))
        return {
            name: f"#{red:02x}{green:02x}{blue:02x}"
            for name, (red, green, blue) in zip(self.names, colors, strict=True)
        }

    @property
    def options(self) -> dict[str, Any]:
        """Options of a layer of labels whose pixels are numbers of classes; without classes, there are none."""
        if not self.names:
            return {}
        colors: dict[int | None, str] = dict(enumerate(self.cycle.values(), 1))
        return {
            "colormap": {None: "transparent", 0: "transparent"} | colors,
            "features": {"index": list(range(1, len(self.names) + 1)), "class": list(self.names)},
        }


def labels_layer(image: Image, name: str, place: Place, about: Mapping[str, Any], **more: Any) -> Layer:
    """A layer of labels."""
    return lazy(name, Ordered(image, place.axes), place.axes), place.options(name, about, **more), "labels"
