"""Where an image lies: in layers of the user, or by itself."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from napari.layers import Image, Layer

from objclass.session.images import SessionImage
from objclass.session.layers import Place

OWN = "objclass_image"
"""Entry in the metadata of layers that show a session: key of the image."""


def is_own(layer: Layer) -> bool:
    """Whether a layer shows a session, and so is no image to choose."""
    return OWN in layer.metadata


@dataclass(frozen=True)
class Home:
    """Layers of the user that show an image.

    Parameters
    ----------
    raw
        Its raw data: they are visible as long as the image is shown, if they lie as its objects do.
    objects
        What defines its objects, at least one: hidden, as the layers of this plug-in show them, which lie where it does.
    raw_axes, axes
        Axes of each of ``raw`` and of ``objects``, such as ``"zyx"`` or ``"cyx"``.
    """

    raw: tuple[Layer, ...]
    objects: tuple[Layer, ...]
    raw_axes: str
    axes: str

    @property
    def visible(self) -> tuple[Layer, ...]:
        """The raw data, unless their last axes are others than those of objects: napari would lay y over x, say."""
        is_rgb = any(getattr(layer, "rgb", False) for layer in self.raw)
        axes = self.raw_axes.removesuffix("c") if is_rgb else self.raw_axes
        return self.raw if axes.endswith(self.axes.replace("c", "")) else ()

    @property
    def place(self) -> dict[str, Any]:
        """Options of layers that lie there, without channels."""
        kept = [k for k, axis in enumerate(self.axes) if axis != "c"]
        options = {
            name: [getattr(self.objects[0], name)[k] for k in kept]
            for name in ("scale", "translate", "units", "axis_labels")
        }
        if "c" not in self.axes:
            options |= {name: getattr(self.objects[0], name) for name in ("rotate", "shear")}
            options["affine"] = self.objects[0].affine.affine_matrix
        return options


def pattern(image: SessionImage, home: Home | None) -> tuple[str, Layer]:
    """The axes with which an image is shown, of ``"tzyx"``, and a layer that lies where all layers of it do."""
    if home is not None:
        axes, options = home.axes.replace("c", ""), home.place
    else:
        place = Place.of(image.lane.objects, image.lane.pixel_size)
        axes, options = place.axes, place.options("", {})
    return axes, Image(np.zeros((1,) * len(axes), np.uint8), **options)


def lay(layer: Layer, other: Layer) -> None:
    """Have a layer lie where another one does; napari draws it anew for each value that is set."""
    for name in ("scale", "translate", "rotate", "shear"):
        if not np.array_equal(getattr(layer, name), getattr(other, name)):
            setattr(layer, name, getattr(other, name))
    if not np.array_equal(layer.affine.affine_matrix, other.affine.affine_matrix):
        layer.affine = other.affine.affine_matrix
    layer.units, layer.axis_labels = other.units, other.axis_labels
