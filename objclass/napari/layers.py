"""The layers of the image that is shown: its objects, their classes, how uncertain these are, and the labels.

Their values are looked up by the numbers of objects: after a click only a table is new, and only what is shown is computed.
"""

from collections.abc import Sequence
from threading import Thread
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.components import LayerList
from napari.layers import Image, Labels, Layer
from napari.utils import DirectLabelColormap
from numpy.typing import ArrayLike, NDArray

from objclass.napari.controller import Controller
from objclass.napari.home import OWN, Home, lay, pattern
from objclass.napari.lookup import LookUp
from objclass.napari.shown import ShownObjects
from objclass.session.images import SessionImage
from objclass.session.layers import Place, image_layers

if TYPE_CHECKING:
    from napari.viewer import Viewer


def load_colors() -> None:
    """Have napari compile what the colours of a first layer of labels need, which takes seconds.

    Another thread may do it. A layer may not be made there: its units are loaded at first use, by one thread at a time.
    """
    DirectLabelColormap(color_dict={None: "white", 0: "transparent"}).map(np.zeros(1, np.uint8))


NAMES = ("Uncertainty", "Classes", "Objects", "Labels", "Selection")
"""Names of the layers, the lowest one first."""

OF_CLASSES = ("Uncertainty", "Classes")
"""Those that show predictions."""


def blank_layers(axes: str, about: dict[str, int]) -> dict[str, Layer]:
    """The layers of an image without objects, by their names.

    Parameters
    ----------
    about
        Their metadata.
    """
    numbers, table = np.zeros((1,) * len(axes), np.uint32), np.zeros(1, np.uint8)
    white = DirectLabelColormap(color_dict={None: "white", 0: "transparent"})

    def labels(name: str, rim: int, opacity: float, **more: Any) -> Labels:
        return Labels(
            LookUp(numbers, table, rim), name=name, opacity=opacity, multiscale=False, metadata=about, **more
        )

    uncertainty = Image(
        LookUp(numbers, np.zeros(1, np.float32)), name="Uncertainty", contrast_limits=(0, 1), rgb=False,
        multiscale=False, colormap="magma", blending="additive", opacity=0.6, visible=False, metadata=about,
    )  # fmt: skip
    layers = (
        uncertainty,
        labels("Classes", 0, 0.5),
        labels("Objects", 1, 0.5, colormap=white),
        labels("Labels", 2, 1.0),
        labels("Selection", 2, 1.0, colormap=white, visible=False),
    )
    return dict(zip(NAMES, layers, strict=True))


def set_pixels(layers: LayerList, layer: Layer, numbers: NDArray[np.uint32], *tables: NDArray[Any]) -> None:
    """Give objects new values in a layer; what is shown is drawn anew if it changes.

    Parameters
    ----------
    layers
        The layers of the viewer.
    tables
        ``table`` of a `LookUp`, and its ``solid``.
    """
    pixels = layer.data
    is_same_shape = pixels.shape == numbers.shape
    is_other = pixels.change(numbers, *tables)
    if not is_same_shape:
        layer.data = pixels
        layer.editable = False
        if not layer.visible:
            layer.scale = layer.scale  # napari keeps the extent of a hidden layer until then
    elif is_other:
        with layers.events.blocker_all():  # else the list of layers paints all its rows for each of them
            layer.refresh(extent=False, thumbnail=False, highlight=False)


def fit_contrast(layer: Image) -> None:
    """Have the contrast of a layer that shows other pixels as napari has it at first; that of bytes is kept."""
    if not layer.rgb and layer.data.dtype != np.uint8:
        layer.reset_contrast_limits_range("slice")
        layer.reset_contrast_limits("slice")


def by_place(axes: Sequence[str]) -> dict[int, str]:
    """Names of axes by their places, from -1 for the last one."""
    return dict(enumerate(axes, -len(axes)))


class ObjectLayers:
    """The layers of the image that is shown; another image with as many axes is shown in the same ones.

    Layers that the user deletes come back when another image is shown.

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
        self._expected: Home | None = None
        self._layers: dict[str, Layer] = {}
        self._raw: list[Image] = []
        self._is_whole = True
        viewer.layers.events.removed.connect(self._forget)
        controller.images_changed.connect(self._follow)
        controller.image_changed.connect(self._follow)
        controller.objects_found.connect(self._change_objects)
        controller.classes_changed.connect(self._change_colors)
        controller.labels_changed.connect(self._change_labels)
        controller.classified.connect(self._change_classes)
        controller.selection_changed.connect(self._change_selection)
        self._follow()

    def expect(self, home: Home | None) -> None:
        """Show the next image that is added where layers of the user show it, if any do."""
        self._expected = home

    def complete(self) -> None:
        """Make the layers again that were deleted."""
        if not self._is_whole:
            self._show_image(self._image)

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

    # ------------------------------------------------------------------ layers

    def _remove(self) -> None:
        """Remove the layers from the viewer."""
        for layer in [*self._layers.values(), *self._raw]:
            self.viewer.layers.remove(layer)

    def _forget(self, event: Any) -> None:
        """Do not change a layer any more that was removed: what draws it is gone."""
        removed = event.value
        self._is_whole &= removed not in [*self._layers.values(), *self._raw]
        self._layers = {name: layer for name, layer in self._layers.items() if layer is not removed}
        self._raw = [layer for layer in self._raw if layer is not removed]
        self.shown = self.shown if self._layers else None

    def _follow(self, _key: int = -1) -> None:
        """Show the image of the controller, if it is another one."""
        wanted, images = self.controller.current_image, self.controller.session.state.images
        if self._expected is not None and images:
            self._homes[images[-1]], self._expected = self._expected, None
        image = next((one for one in images if one.key == wanted), None)
        if image is not self._image:
            self._show_image(image)
        self._homes = {image: home for image, home in self._homes.items() if image in images}

    def _show_image(self, image: SessionImage | None) -> None:
        before, active, was_empty = self._extent, self.viewer.layers.selection.active, not self.viewer.layers
        names, last = by_place(self.viewer.dims.axis_labels), self._axes
        is_other = self._image is not None and image is not self._image
        self._image, self.shown = image, None
        if image is None:
            self._remove()
            return
        home = self._homes.get(image)
        axes, frame = pattern(image, home)
        if len(axes) != len(self._axes):
            self._remove()
        self._axes = axes
        self._show_home(home)
        self._show_raw(image, frame, is_shown=home is None or not home.visible)
        self._show_objects(image, frame)
        own = [*self._raw, *self._layers.values()]
        self.viewer.layers.selection.active = active if active in self.viewer.layers else own[0]
        if was_empty or (is_other and not np.array_equal(before, self._extent)):
            self.viewer.reset_view(reset_camera_angle=False)
        self._name_axes(names, last)
        self._show_sliders()
        self._is_whole = True

    def _name_axes(self, before: dict[int, str], last: str) -> None:
        """Name the axes of the image, but for those that the user has named.

        Parameters
        ----------
        before
            The names of axes before layers were changed, from -1 for the last one: napari replaces them by those of layers.
        last
            Axes of the image before.
        """
        dims, own = self.viewer.dims, by_place(last)
        given = {
            k: name for k, name in before.items() if name not in (own.get(k), str(k), str(k + len(before)))
        }
        names = by_place(dims.axis_labels) | by_place(self._axes) | given
        dims.axis_labels = [names[k] for k in range(-dims.ndim, 0)]

    def _show_sliders(self) -> None:
        """Move the viewer to a place of the image."""
        dims, layer = self.viewer.dims, self._layers["Objects"]
        first = dims.ndim - layer.ndim
        place = np.rint(layer.world_to_data(dims.point[first:]))
        inside = np.clip(place, 0, np.array(layer.data.shape) - 1)
        if not np.array_equal(place, inside):
            nearest = layer.data_to_world(inside)
            for axis in dims.not_displayed:
                if axis >= first:
                    dims.set_point(axis, nearest[axis - first])

    @property
    def _extent(self) -> NDArray[Any]:
        """The corners of the image in the world; empty if it is not shown."""
        layer = self._layers.get("Objects")
        return np.empty(0) if layer is None else np.asarray(layer.extent.world)

    def _show_home(self, home: Home | None) -> None:
        """Of all layers of the user that are used, show the raw data of an image."""
        used = {layer for one in self._homes.values() for layer in (*one.raw, *one.objects)}
        for layer in used & set(self.viewer.layers):
            layer.visible = home is not None and layer in home.visible

    def _show_raw(self, image: SessionImage, frame: Layer, *, is_shown: bool) -> None:
        """Show the raw data of an image, if no layer of the user does."""
        raw, place, about = image.lane.raw, Place(self._axes), {OWN: image.key}
        wanted = (
            [] if raw is None or not is_shown else list(image_layers(raw, image.lane.nickname, place, {}))
        )
        if [layer.rgb for layer in self._raw] != ["rgb" in options for _, options, _ in wanted]:
            for layer in list(self._raw):
                self.viewer.layers.remove(layer)
            self._raw = [Image(pixels, **options | {"metadata": about}) for pixels, options, _ in wanted]
            for layer in self._raw:
                self._insert(layer, list(self._layers.values()))
        for layer, (pixels, options, _) in zip(self._raw, wanted, strict=True):
            if layer.data is not pixels:
                layer.data = pixels
                fit_contrast(layer)
            layer.name, layer.metadata = options["name"], about
            lay(layer, frame)

    def _show_objects(self, image: SessionImage, frame: Layer) -> None:
        """Show what is known of the objects of an image."""
        about = {OWN: image.key}
        if self._layers.keys() != {*NAMES}:
            self._add(about, frame)
        for layer in self._layers.values():
            layer.metadata = about
            lay(layer, frame)
        session = self.controller.session
        if image.key not in session.state.found:
            self._blank(image, NAMES)
        elif session.predictions(image.key) is None:
            self._blank(image, OF_CLASSES)
        self._change_objects(image.key)

    def _insert(self, layer: Layer, others: list[Layer]) -> None:
        """Add a layer below others, or at the top."""
        places = [self.viewer.layers.index(other) for other in others]
        self.viewer.layers.insert(min(places, default=len(self.viewer.layers)), layer)

    def _add(self, about: dict[str, int], frame: Layer) -> None:
        """Add the layers that are missing."""
        for place, (name, layer) in enumerate(blank_layers(self._axes, about).items()):
            if name not in self._layers:
                lay(layer, frame)
                self._insert(layer, [self._layers[other] for other in NAMES[place:] if other in self._layers])
                self._layers[name] = layer
                layer.editable = False
        self._change_colors()

    # ------------------------------------------------------------------ values

    def _blank(self, image: SessionImage, names: tuple[str, ...]) -> None:
        """Show nothing in layers, as long as it is not known for this image."""
        lengths = dict(zip("tzyx", image.shape, strict=True))
        numbers = np.broadcast_to(np.uint32(0), [lengths[axis] for axis in self._axes])
        for name in names:
            set_pixels(self.viewer.layers, self._layers[name], numbers, np.zeros(1, self._layers[name].dtype))

    def _change_objects(self, key: int) -> None:
        found = self.controller.session.state.found.get(key)
        if (
            found is None or found.image is not self._image or not self._layers
        ):  # the user may have deleted them
            return
        self.shown = ShownObjects(found, self._axes, next(iter(self._layers.values())))
        self._change_labels()
        self._change_classes()
        self._change_selection(*self.controller.selection)

    def _set(self, name: str, *tables: NDArray[Any]) -> None:
        """Give the present objects new values in a layer."""
        layer = self._layers.get(name)
        if layer is not None and self.shown is not None:
            set_pixels(self.viewer.layers, layer, self.shown.numbers, *tables)

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
        is_coming = predictions is None and self.controller.session.state.obstacle is None
        is_object = np.arange(len(classes)) > 0
        # in the 3D view outlines are whole objects, which would hide the classes
        is_unknown = is_object & (classes == 0) & (not is_coming)
        self._set("Objects", is_object.astype(np.uint8), is_unknown.astype(np.uint8))
        if not is_coming:  # else those of the objects before are shown until the new ones are classified
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
