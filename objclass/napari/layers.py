"""The layers of the image that is shown: its objects, their classes, how uncertain these are, and the labels.

The values of all layers are looked up on demand, by the numbers of objects: after a click only a table is new, and only
what is shown is computed.
"""

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils import DirectLabelColormap
from numpy.typing import ArrayLike, NDArray

from objclass.core import FloatArray
from objclass.napari.controller import Controller
from objclass.session.images import FoundObjects

if TYPE_CHECKING:
    from napari.viewer import Viewer

OWN = "objclass"
"""Entry in the metadata of layers of this plug-in."""


def is_own(layer: Layer) -> bool:
    """Whether a layer shows results of this plug-in, and so is no image to choose."""
    return OWN in layer.metadata


class LookUp:
    """An array that is looked up on demand: ``table[numbers]``.

    Parameters
    ----------
    numbers
        The number of the object of each voxel, axes as displayed.
    table
        The value of each number; 0 is background.
    rim
        In planes, only outlines of objects have values, of this width in pixels; 0: whole objects have.
    """

    def __init__(self, numbers: NDArray[np.uint32], table: NDArray[Any], rim: int = 0) -> None:
        self.numbers, self.table, self.rim = numbers, table, rim
        self._last: tuple[Any, NDArray[Any], NDArray[np.uint32]] | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        """Lengths of the axes."""
        return self.numbers.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.numbers.ndim

    @property
    def size(self) -> int:
        """Number of voxels."""
        return self.numbers.size

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values."""
        return self.table.dtype

    def __getitem__(self, key: Any) -> NDArray[Any]:
        numbers = self.numbers[key]
        if self.rim and numbers.ndim == 2:
            numbers = self._outlines(key, numbers)
        return np.take(self.table, numbers, mode="clip")

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:  # noqa: FBT001  # numpy's protocol
        return np.asarray(self[...], dtype)

    def _outlines(self, key: Any, numbers: NDArray[np.uint32]) -> NDArray[np.uint32]:
        """Outlines of the objects of a plane; those of the last plane are kept."""
        if self._last is None or self._last[1] is not self.numbers or self._last[0] != key:
            self._last = key, self.numbers, outlines(numbers, self.rim)
        return self._last[2]


def outlines(numbers: NDArray[np.uint32], width: int) -> NDArray[np.uint32]:
    """Only the outer pixels of each object of a plane; the others are 0.

    Parameters
    ----------
    numbers
        Number of the object of each pixel (n, m).
    width
        Outer pixels do not have the same object at this distance along both axes.
    """
    is_inner = np.ones(numbers.shape, bool)
    for turned, inner in ((numbers, is_inner), (numbers.T, is_inner.T)):
        is_same = turned[width:] == turned[:-width]
        inner[width:] &= is_same
        inner[:-width] &= is_same
    return np.where(is_inner, np.uint32(0), numbers)


def displayed(found: FoundObjects) -> NDArray[np.uint32]:
    """The numbers of the objects of an image, with the axes that it is displayed with."""
    shown = ["tzyx".index(axis) for axis in found.image.axes]
    absent = tuple(k for k in range(4) if k not in shown)
    turned = found.numbers.transpose(*shown, *absent)
    return turned.reshape(turned.shape[: len(shown)])


class ObjectLayers:
    """The layers of the image that is shown. A layer that the user deletes comes back when an image is shown again.

    Parameters
    ----------
    viewer
        Where they are.
    controller
        What they follow.
    """

    def __init__(self, viewer: "Viewer", controller: Controller) -> None:
        self.viewer, self.controller = viewer, controller
        self.found: FoundObjects | None = None
        self._like: dict[int, Layer] = {}
        self._layers: dict[str, Layer] = {}
        controller.image_changed.connect(self._change_image)
        controller.objects_found.connect(self._change_objects)
        controller.classes_changed.connect(self._change_colors)
        controller.labels_changed.connect(self._change_labels)
        controller.classified.connect(self._change_classes)
        controller.selection_changed.connect(self._change_selection)
        self._change_image(controller.current_image)

    def place(self, key: int, like: Layer) -> None:
        """Show an image's objects where a layer is: scaled, moved and turned as that is.

        Parameters
        ----------
        key
            The image.
        like
            A layer with the axes of the image, without channels.
        """
        self._like[key] = like
        if key == self.controller.current_image and self._layers:
            self._change_image(key)

    @property
    def _frame(self) -> Layer:
        return self._layers["Objects"]

    @property
    def _numbers(self) -> NDArray[np.uint32]:
        return self._frame.data.numbers

    def voxel(self, position: ArrayLike) -> FloatArray:
        """Where a position in the world is in the displayed numbers, along their axes; voxels have whole numbers."""
        return np.asarray(self._frame.world_to_data(position), float)

    def world(self, voxel: ArrayLike) -> FloatArray:
        """The position in the world of a voxel."""
        return np.asarray(self._frame.data_to_world(voxel), float)

    def between(self, start: ArrayLike, end: ArrayLike) -> list[int]:
        """The numbers of the objects on the line between two positions in the world, in their order."""
        return self._along(self.voxel(start), self.voxel(end))

    def behind(self, position: ArrayLike, direction: ArrayLike) -> list[int]:
        """The numbers of the objects on a ray through a position in the world, the nearest one first."""
        start = self.voxel(position)
        step = self.voxel(np.add(position, direction)) - start
        moves = np.flatnonzero(step)
        sides = np.stack([np.full(len(moves), -0.5), np.array(self._numbers.shape)[moves] - 0.5])
        enters, leaves = np.sort((sides - start[moves]) / step[moves], axis=0)
        return (
            self._along(start + enters.max() * step, start + leaves.min() * step)
            if enters.max() < leaves.min()
            else []
        )

    def _along(self, start: FloatArray, end: FloatArray) -> list[int]:
        steps = int(np.ceil(2 * np.abs(end - start).max())) + 1
        points = np.rint(np.linspace(start, end, steps)).astype(int)
        is_inside = ((points >= 0) & (points < self._numbers.shape)).all(axis=1)
        met = self._numbers[tuple(points[is_inside].T)]
        return [number for number in dict.fromkeys(met.tolist()) if number]

    def remove(self) -> None:
        """Remove the layers from the viewer."""
        for layer in self._layers.values():
            if layer in self.viewer.layers:
                self.viewer.layers.remove(layer)
        self._layers, self.found = {}, None

    def _change_image(self, key: int) -> None:
        self.remove()
        self._change_objects(key)

    def _change_objects(self, key: int) -> None:
        found = self.controller.session.state.found.get(key)
        if key != self.controller.current_image or found is None:
            return
        self.found = found
        if not self._layers:
            self._add(found)
            self._change_colors()
        is_object = np.arange(found.count + 1) > 0
        self._set("Objects", displayed(found), is_object.astype(np.uint8))
        self._change_labels()
        self._change_classes()
        self._change_selection(*self.controller.selection)

    def _add(self, found: FoundObjects) -> None:
        numbers, table = displayed(found), np.zeros(1, np.uint8)
        common = self._common(found)
        plain = DirectLabelColormap(color_dict={None: "white", 0: "transparent"})
        self._layers = {
            "Uncertainty": Image(
                LookUp(numbers, np.zeros(1, np.float32)), name="Uncertainty", contrast_limits=(0, 1), rgb=False,
                multiscale=False, colormap="magma", blending="additive", visible=False, **common,
            ),
            "Classes": Labels(LookUp(numbers, table), name="Classes", opacity=0.5, multiscale=False, **common),
            "Objects": Labels(LookUp(numbers, table, 1), name="Objects", opacity=0.5, multiscale=False, colormap=plain, **common),
            "Labels": Labels(LookUp(numbers, table, 2), name="Labels", opacity=1, multiscale=False, **common),
            "Selection": Labels(LookUp(numbers, table, 2), name="Selection", opacity=1, multiscale=False, colormap=plain, visible=False, **common),
        }  # fmt: skip
        active = self.viewer.layers.selection.active
        for layer in self._layers.values():
            self.viewer.add_layer(layer)
            layer.editable = False
        self.viewer.layers.selection.active = active

    def _common(self, found: FoundObjects) -> dict[str, Any]:
        """What all layers of an image have in common."""
        own = {"metadata": {OWN: found.image.key}}
        like = self._like.get(found.image.key)
        if like is None or like.ndim != len(found.image.axes):
            return own
        names = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")
        return own | {name: getattr(like, name) for name in names}

    def _set(self, name: str, numbers: NDArray[np.uint32], table: NDArray[Any]) -> None:
        """Give a layer new values; what is shown is drawn anew."""
        layer = self._layers.get(name)
        if layer is not None:
            layer.data.numbers, layer.data.table = numbers, table
            layer.refresh(extent=False, thumbnail=False)

    def _change_colors(self) -> None:
        classes = self.controller.session.classes
        colors: dict[int | None, Any] = {
            k: (*(v / 255 for v in one.color), 1.0) for k, one in enumerate(classes, 1)
        }
        colors |= {None: "transparent", 0: "transparent"}
        for name in ("Classes", "Labels"):
            if name in self._layers:
                colormap = DirectLabelColormap(color_dict=colors)
                self._layers[name].colormap = colormap

    def _change_labels(self) -> None:
        if self.found is None:
            return
        given = self.controller.session.labels(self.found.image.key).classes
        table = np.zeros(self.found.count + 1, np.uint8)
        table[list(given)] = list(given.values())
        self._set("Labels", displayed(self.found), table)

    def _change_classes(self) -> None:
        if self.found is None:
            return
        predictions = self.controller.session.predictions(self.found.image.key)
        classes = np.zeros(self.found.count + 1, np.uint8)
        uncertainty = np.zeros(self.found.count + 1, np.float32)
        if predictions is not None:
            classes[1:], uncertainty[1:] = predictions.classes, predictions.uncertainty
        elif self.controller.session.state.obstacle is None:
            return  # those of the objects before are shown until the new ones are classified
        self._set("Classes", displayed(self.found), classes)
        self._set("Uncertainty", displayed(self.found), uncertainty)

    def _change_selection(self, key: int, numbers: tuple[int, ...]) -> None:
        if self.found is None:
            return
        is_here = key == self.found.image.key and len(numbers) > 0
        table = np.zeros(self.found.count + 1, np.uint8)
        if is_here:
            table[list(numbers)] = 1
        self._set("Selection", displayed(self.found), table)
        self._layers["Selection"].visible = is_here
