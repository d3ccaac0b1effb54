"""The panel Images: which layers and files are classified."""

from typing import TYPE_CHECKING, Any

from napari.layers import Image, Labels
from qtpy.QtCore import QSignalBlocker, Qt, QTimer, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFormLayout,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QWidget,
)

from objclass import LazyImage
from objclass.errors import ObjclassError
from objclass.napari.controller import Controller
from objclass.napari.home import Home, is_own
from objclass.napari.layer_list import LayerList, fit_rows
from objclass.napari.section import SPACING, column, row
from objclass.session.sources import Source, image_of, joined, likely_axes

if TYPE_CHECKING:
    from napari.layers import Layer
    from napari.viewer import Viewer

AXES_WIDTH = 74
"""Pixels of a box of axes."""

ROLES = {
    "label_image": ("Label image", "each value is an object"),
    "segmentation_image": ("Segmentation", "connected pixels of one value are an object"),
    "prediction_maps": ("Prediction maps", "objects are found by thresholds"),
}
"""Role of an image that defines objects -> its name and meaning."""


class ImagesPanel(QWidget):
    """Choose layers or files as images of the session, and the one that is shown.

    Attributes
    ----------
    adding
        An image is about to be added: the layers that show it (None if its objects are in no layer, or it was refused).
    clicked
        The image that is shown was clicked on in the list.
    """

    adding = Signal(object)
    clicked = Signal()

    def __init__(self, viewer: "Viewer", controller: Controller) -> None:
        super().__init__()
        self.viewer, self.controller = viewer, controller
        self._files: dict[object, Source] = {}
        self._roles: dict[object, str] = {}
        self.raw = LayerList("Raw data; several layers are channels, in this order")
        self.objects = LayerList(
            "Labels, a segmentation, or prediction maps, whose channels may be several layers",
            is_channel=lambda one: one.role == "prediction_maps",
        )
        self.role = QComboBox()
        for place, (role, (name, meaning)) in enumerate(ROLES.items()):
            self.role.addItem(name, role)
            self.role.setItemData(place, meaning, Qt.ItemDataRole.ToolTipRole)
        self.role.setToolTip("\n".join(f"{name}: {meaning}" for name, meaning in ROLES.values()))
        self.raw_axes, self.axes = QComboBox(), QComboBox()
        self.files = QPushButton(
            "Add files…", toolTip="Choose among files, too; they need not be opened in napari"
        )
        self.add = QPushButton("Use these images")
        self.images = QListWidget(toolTip="The images of the session; click to see one")
        self.images.setTextElideMode(Qt.TextElideMode.ElideLeft)  # paths differ at their ends
        self.images.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.remove = QPushButton("Remove image", toolTip="Remove the image that is shown, with its labels")
        self._lay_out()
        self._connect()
        self._list_layers()
        self._list_images()

    def _lay_out(self) -> None:
        for combo in (self.role, self.raw_axes, self.axes):
            combo.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
            combo.setMinimumContentsLength(4)
        for combo in (self.raw_axes, self.axes):
            combo.setFixedWidth(AXES_WIDTH)
            combo.setToolTip("Axes: time t, z, y, x, channel c")
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setSpacing(SPACING)
        form.addRow("Raw data", row(self.raw, self.raw_axes))
        form.addRow("Objects", row(self.objects, self.axes))
        form.addRow("are a", self.role)
        chosen = QWidget()
        chosen.setLayout(form)
        column(chosen, row(self.files, self.add), self.images, self.remove, into=self)

    def _connect(self) -> None:
        layers = self.viewer.layers.events
        # layers have their names after they are inserted
        self._later = QTimer(self, singleShot=True, interval=0)
        self._later.timeout.connect(self._list_layers)
        self._layer_events = [layers.inserted, layers.removed, layers.reordered]
        for event in self._layer_events:
            event.connect(self._list_layers_later)
        self.raw.changed.connect(self._offer_axes)
        self.objects.changed.connect(self._offer_role)
        self.role.activated.connect(lambda _: self._keep_role())
        self.role.currentIndexChanged.connect(lambda _: self._offer_axes())
        self.axes.activated.connect(lambda _: self._match_raw_axes())
        self.files.clicked.connect(self._ask_for_files)
        self.add.clicked.connect(self._add)
        self.remove.clicked.connect(
            lambda: self.controller.change(self._session.remove_image, self.controller.current_image)
        )
        self.images.currentRowChanged.connect(self._show_image)
        self.images.itemClicked.connect(lambda _: self.clicked.emit())
        self.controller.images_changed.connect(self._list_images)
        self.controller.image_changed.connect(lambda _: self._list_images())

    def leave_viewer(self) -> None:
        """Follow the layers no more."""
        for event in [*self._layer_events, *(layer.events.name for layer in self.viewer.layers)]:
            event.disconnect(self._list_layers_later)

    @property
    def _session(self) -> Any:
        return self.controller.session

    # ------------------------------------------------------------------ layers

    def _list_layers_later(self, _event: object = None) -> None:
        self._later.start()

    def _list_layers(self) -> None:
        """Offer all layers that can be images."""
        found: dict[object, Source] = {}
        for layer in self.viewer.layers:
            layer.events.name.connect(self._list_layers_later)  # connected once, however often
            if isinstance(layer, Image | Labels) and not is_own(layer):
                found[id(layer)] = source_of(layer)
        found |= self._files
        first = self.raw.count() == 0
        self.raw.fill({key: one for key, one in found.items() if not one.is_labels})
        self.objects.fill(found)
        if first:
            self._choose_first(found)

    def _choose_first(self, found: dict[object, Source]) -> None:
        """Check the first image and the first labels."""
        for is_labels, shown in ((False, self.raw), (True, self.objects)):
            key = next((key for key, one in found.items() if one.is_labels is is_labels), None)
            shown.check(key)

    def _ask_for_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Images to choose from")
        self.add_files(paths)

    def add_files(self, paths: list[str]) -> None:
        """Offer files, too."""
        self.controller.change(self._open_files, paths)
        self._list_layers()

    def _open_files(self, paths: list[str]) -> None:
        """Open files; of those that cannot be opened, the error of the first is raised in the end."""
        faults = []
        for path in paths:
            try:
                self._files[path] = Source.of_file(path)
            except ObjclassError as fault:
                faults.append(fault)
        if faults:
            raise faults[0]

    # -------------------------------------------------------------- what it is

    def _keep_role(self) -> None:
        """Remember which role the user has chosen for the chosen objects."""
        self._roles |= dict.fromkeys(self.objects.checked_keys(), self.role.currentData())

    def _offer_role(self) -> None:
        """Choose the role of the chosen objects: as the user did, as of the other images, or the likeliest one."""
        if self.objects.checked:
            chosen = self._roles.get(self.objects.checked_keys()[0])
            others = [image.lane.role for image in self._session.state.images]
            role = chosen or next(iter(others), "") or self.objects.checked[0].role
            with QSignalBlocker(self.role):
                self.role.setCurrentIndex(self.role.findData(role))
        self._offer_axes()

    def _offer_axes(self) -> None:
        """Offer the axes that the chosen images can have, the likeliest first."""
        role = self.role.currentData()
        self.raw_axes.clear()
        self.axes.clear()
        try:
            raw, objects = joined(self.raw.checked), joined(self.objects.checked)
        except ObjclassError:  # said when they are used
            return
        self.raw_axes.addItems(raw.axes())
        self.axes.addItems(objects.axes(channels=role == "prediction_maps"))
        self._choose_axes(*likely_axes(raw, objects, role))

    def _match_raw_axes(self) -> None:
        """Choose axes of the raw data that fit those of the objects."""
        raw, objects = joined(self.raw.checked), joined(self.objects.checked)
        self._choose_axes(*likely_axes(raw, objects, self.role.currentData(), self.axes.currentText()))

    def _choose_axes(self, raw: str, objects: str) -> None:
        self.raw_axes.setCurrentText(raw)
        self.axes.setCurrentText(objects)

    # ------------------------------------------------------------------ images

    def _add(self) -> None:
        """Add the chosen images to the session, when it is known whether they are those of files."""
        chosen = {}
        for name, shown in (("Raw data", self.raw), ("Objects", self.objects)):
            try:
                chosen[name] = joined(shown.checked)
            except ObjclassError as fault:
                self.controller.status_changed.emit(f"{name}: {fault}.", True)
                return
        raw, objects = chosen.values()
        raw_axes, axes, role = self.raw_axes.currentText(), self.axes.currentText(), self.role.currentData()
        home = self._home()
        self.controller.task.begin(
            "Comparing layers with their files",
            lambda stop, progress: (
                image_of(raw, raw_axes, stop, progress),
                image_of(objects, axes, stop, progress),
            ),
            lambda images: self._use(images, role, raw.name, home),
        )

    def _home(self) -> Home | None:
        """The layers among the chosen images; None if the objects are in no layer."""
        raw, objects = (
            tuple(layer for layer in self.viewer.layers if id(layer) in chosen.checked_keys())
            for chosen in (self.raw, self.objects)
        )
        raw_axes, axes = (
            combo.currentText() if len(layers) == 1 else combo.currentText().replace("c", "")
            for combo, layers in ((self.raw_axes, raw), (self.axes, objects))
        )
        return Home(raw, objects, raw_axes, axes) if objects else None

    def _use(self, images: tuple[LazyImage, LazyImage], role: str, name: str, home: Home | None) -> None:
        raw, objects = images
        given = {role.removesuffix("_image") if role == "segmentation_image" else role: objects}
        self.adding.emit(home)
        key = self.controller.change(self._session.add_image, raw, name=name, **given)
        if key is None:
            self.adding.emit(None)
        else:
            self.controller.show_image(key)

    def _list_images(self) -> None:
        images = self._session.state.images
        with QSignalBlocker(self.images):
            self.images.clear()
            for image in images:
                QListWidgetItem(image.name, self.images).setToolTip(image.name)
            keys = [image.key for image in images]
            if self.controller.current_image in keys:
                self.images.setCurrentRow(keys.index(self.controller.current_image))
        self.images.setVisible(bool(images))
        fit_rows(self.images)
        self.remove.setVisible(bool(images))
        self.add.setText("Add image" if images else "Use these images")

    def _show_image(self, place: int) -> None:
        if place >= 0:
            self.controller.show_image(self._session.state.images[place].key)


def source_of(layer: "Layer") -> Source:
    """A layer as a source of images."""
    pixels = layer.data[0] if layer.multiscale else layer.data
    return Source(
        layer.name,
        pixels,
        (layer.source.path,) if layer.source.path else (),
        tuple(layer.axis_labels),
        is_rgb=bool(getattr(layer, "rgb", False)),
        is_labels=isinstance(layer, Labels),
    ).traced()
