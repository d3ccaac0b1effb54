"""The layers of the image that is shown: its objects, their classes, how uncertain these are, and the labels.

Their values are looked up by the numbers of objects: after a click only a table is new, and only what is shown is computed.
"""

from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image, Labels, Layer
from napari.utils import DirectLabelColormap
from numpy.typing import ArrayLike, NDArray

from objclass.napari.controller import Controller
from objclass.napari.lookup import LookUp
from objclass.napari.shown import ShownObjects
from objclass.session.images import SessionImage
from objclass.session.layers import Place, image_layers

if TYPE_CHECKING:
    from napari.viewer import Viewer

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
        Its raw data: they are visible as long as the image is shown.
    objects
        What defines its objects, at least one: hidden, as the layers of this plug-in show them, which lie where it does.
    axes
        Axes of each of ``objects``, such as ``"zyx"`` or ``"cyx"``.
    """

    raw: tuple[Layer, ...]
    objects: tuple[Layer, ...]
    axes: str

    @property
    def place(self) -> dict[str, Any]:
        """Options of layers that lie there, without channels."""
        kept = [k for k, axis in enumerate(self.axes) if axis != "c"]
        options = {
            name: [getattr(self.objects[0], name)[k] for k in kept]
            for name in ("scale", "translate", "units", "axis_labels")
        }
        if "c" not in self.axes:
            options |= {name: getattr(self.objects[0], name) for name in ("rotate", "shear", "affine")}
        return options


def load_colors() -> None:
    """Have napari compile what the colours of a first layer of labels need, which takes seconds.

    Another thread may do it. A layer may not be made there: its units are loaded at first use, by one thread at a time.
    """
    DirectLabelColormap(color_dict={None: "white", 0: "transparent"}).map(np.zeros(1, np.uint8))


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
        Thread(target=load_colors).start()
        self.shown: ShownObjects | None = None
        self._image: SessionImage | None = None
        self._axes = ""
        self._homes: dict[SessionImage, Home] = {}
        self._layers: dict[str, Layer] = {}
        self._frame: Layer | None = None
        self._raw: list[Layer] = []
        viewer.layers.events.removed.connect(self._forget)
        controller.images_changed.connect(self._follow)
        controller.image_changed.connect(self._follow)
        controller.objects_found.connect(self._change_objects)
        controller.classes_changed.connect(self._change_colors)
        controller.labels_changed.connect(self._change_labels)
        controller.classified.connect(self._change_classes)
        controller.selection_changed.connect(self._change_selection)
        self._follow()

    def place(self, key: int, home: Home) -> None:
        """Show an image where layers of the user show it."""
        image = next(one for one in self.controller.session.state.images if one.key == key)
        self._homes[image] = home
        if image is self._image:
            self._show_image(image)

    def at(self, position: ArrayLike, direction: ArrayLike | None) -> int:
        """The number of the object that is seen at a position in the world; 0: there is none.

        Parameters
        ----------
        direction
            In which the camera of the 3D view looks.
        """
        if self.shown is None:
            return 0
        if self.viewer.dims.ndisplay == 2 or direction is None:
            return next(iter(self.shown.between(position, position)), 0)
        return next(iter(self.shown.behind(position, direction)), 0)

    def close(self) -> None:
        """Leave the layers as they are."""
        self.viewer.layers.events.removed.disconnect(self._forget)

    def _remove(self) -> None:
        """Remove the layers from the viewer."""
        for layer in [*self._layers.values(), *self._raw]:
            self.viewer.layers.remove(layer)
        self._layers, self._raw, self._frame, self.shown = {}, [], None, None

    def _forget(self, event: Any) -> None:
        """Do not change a layer any more that was removed: what draws it is gone."""
        removed = event.value
        self._layers = {name: layer for name, layer in self._layers.items() if layer is not removed}
        self._raw = [layer for layer in self._raw if layer is not removed]
        self.shown = self.shown if self._layers else None

    def _follow(self, _key: int = -1) -> None:
        """Show the image of the controller, if it is another one."""
        wanted, images = self.controller.current_image, self.controller.session.state.images
        image = next((one for one in images if one.key == wanted), None)
        if image is not self._image:
            self._show_image(image)
        self._homes = {image: home for image, home in self._homes.items() if image in images}

    def _show_image(self, image: SessionImage | None) -> None:
        self._remove()
        self._image = image
        if image is None:
            return
        for other, place in self._homes.items():
            for layer in {*place.objects, *place.raw} & set(self.viewer.layers):
                layer.visible = other is image and layer in place.raw
        home = self._homes.get(image)
        if (home is None or not home.raw) and image.lane.raw is not None:
            self._add_raw(image)
        self._change_objects(image.key)

    def _add_raw(self, image: SessionImage) -> None:
        """Show the raw data of an image that is in no layer of the user."""
        place, raw = Place.of(image.lane.objects, image.lane.pixel_size), image.lane.raw
        assert raw is not None
        for pixels, options, _ in image_layers(raw, image.lane.nickname, place, {}):
            self._raw.append(Image(pixels, **options | {"metadata": {OWN: image.key}}))
            self.viewer.add_layer(self._raw[-1])

    def _change_objects(self, key: int) -> None:
        found = self.controller.session.state.found.get(key)
        if found is None or found.image is not self._image:
            return
        if self._frame is None:
            self._frame = self._add(found.image)
            self._change_colors()
        if not self._layers:  # the user has deleted them
            return
        self.shown = ShownObjects(found, self._axes, self._frame)
        is_object = np.arange(found.count + 1) > 0
        self._set("Objects", is_object.astype(np.uint8))
        self._change_labels()
        self._change_classes()
        self._change_selection(*self.controller.selection)

    def _add(self, image: SessionImage) -> Layer:
        """Add the layers of an image; return the one of its objects."""
        common = self._common(image)
        lengths = dict(zip("tzyx", image.shape, strict=True))
        numbers = np.broadcast_to(np.uint32(0), [lengths[axis] for axis in self._axes])
        table = np.zeros(1, np.uint8)
        white = DirectLabelColormap(color_dict={None: "white", 0: "transparent"})

        def labels(name: str, rim: int, opacity: float, **more: Any) -> Labels:
            return Labels(
                LookUp(numbers, table, rim), name=name, opacity=opacity, multiscale=False, **more, **common
            )

        self._layers = {
            "Uncertainty": Image(
                LookUp(numbers, np.zeros(1, np.float32)), name="Uncertainty", contrast_limits=(0, 1), rgb=False,
                multiscale=False, colormap="magma", blending="additive", opacity=0.6, visible=False, **common,
            ),
            "Classes": labels("Classes", 0, 0.5),
            "Objects": labels("Objects", 1, 0.5, colormap=white),
            "Labels": labels("Labels", 2, 1.0),
            "Selection": labels("Selection", 2, 1.0, colormap=white, visible=False),
        }  # fmt: skip
        active = self.viewer.layers.selection.active
        for layer in self._layers.values():
            self.viewer.add_layer(layer)
            layer.editable = False
        self.viewer.layers.selection.active = active
        return self._layers["Objects"]

    def _common(self, image: SessionImage) -> dict[str, Any]:
        """What all layers of an image have in common; its axes are displayed from now on."""
        home = self._homes.get(image)
        if home is not None:
            self._axes, options = home.axes.replace("c", ""), home.place
        else:
            place = Place.of(image.lane.objects, image.lane.pixel_size)
            self._axes, options = place.axes, place.options("", {})
            del options["name"]
        return options | {"metadata": {OWN: image.key}}

    def _set(self, name: str, table: NDArray[Any]) -> None:
        """Give the present objects new values in a layer; what is shown is drawn anew."""
        layer = self._layers.get(name)
        if layer is not None and self.shown is not None:
            layer.data.numbers, layer.data.table = self.shown.numbers, table
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
        if self.shown is None:
            return
        given = self.controller.session.labels(self.shown.found.image.key).classes
        table = np.zeros(self.shown.found.count + 1, np.uint8)
        table[list(given)] = list(given.values())
        self._set("Labels", table)

    def _change_classes(self) -> None:
        if self.shown is None:
            return
        predictions = self.controller.session.predictions(self.shown.found.image.key)
        classes = np.zeros(self.shown.found.count + 1, np.uint8)
        uncertainty = np.zeros(self.shown.found.count + 1, np.float32)
        if predictions is not None:
            classes[1:], uncertainty[1:] = predictions.classes, predictions.uncertainty
        elif self.controller.session.state.obstacle is None:
            return  # those of the objects before are shown until the new ones are classified
        if "Objects" in self._layers:  # in the 3D view they would hide their classes
            unknown = (classes == 0).astype(np.uint8)
            unknown[0] = 0
            self._layers["Objects"].data.solid = unknown
        self._set("Classes", classes)
        self._set("Uncertainty", uncertainty)

    def _change_selection(self, key: int, numbers: tuple[int, ...]) -> None:
        if self.shown is None:
            return
        is_here = key == self.shown.found.image.key and len(numbers) > 0
        table = np.zeros(self.shown.found.count + 1, np.uint8)
        if is_here:
            table[list(numbers)] = 1
        self._set("Selection", table)
        layer = self._layers.get("Selection")
        if layer is not None and layer.visible != is_here:  # napari would draw all layers anew
            layer.visible = is_here
