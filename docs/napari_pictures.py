"""Make the pictures of the napari plug-in: ``python docs/napari_pictures.py [NAME …]``, in a display without a screen.

It opens the window and works in it with mouse and keys as a user does; ``images/napari-NAME.png`` are written.
"""

import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).parent
ROOT = HERE.parent
SAMPLES = ROOT / "sample_data"
sys.path.insert(0, str(ROOT))

from tests.napari.conftest import started_display  # noqa: E402
from tests.napari.events import click, opened, press, process, wait_until  # noqa: E402

SIZE = 1280, 860
"""Pixels of the window."""

MAXIMUM_BYTES = 200_000

CELLS = {kind: range(1 + place, 19, 3) for place, kind in enumerate(("round", "elongated", "ring"))}
SPOTS = {kind: range(1 + place, 9, 2) for place, kind in enumerate(("ball", "rod"))}
"""Class -> numbers of the objects that are clicked, in the order in which they were drawn."""


@contextmanager
def widget_of(viewer: Any) -> Iterator[Any]:
    """The widget in a viewer."""
    dock, widget = viewer.window.add_plugin_dock_widget("objclass", "Object classification")
    try:
        yield widget
    finally:
        viewer.window.remove_dock_widget(dock)
        viewer.layers.clear()


def settle(widget: Any) -> None:
    """Wait until all is computed and drawn."""
    controller = widget.controller
    wait_until(lambda: not controller.live.is_busy and not controller.task.is_busy, 120)
    for _ in range(5):
        process()


def press_button(button: Any) -> None:
    """Click on a button."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    process()


def use_sample(viewer: Any, widget: Any, key: str) -> None:
    """Open a sample, and press the button that uses the layers."""
    viewer.open_sample("objclass", key)
    wait_until(lambda: widget.images.objects.checked)
    press_button(widget.images.add)
    wait_until(lambda: widget.controller.session.state.images, 60)
    settle(widget)


def add_classes(widget: Any, *names: str) -> None:
    """Add classes by the button, and name them."""
    while len(widget.controller.session.classes) < len(names):
        press_button(widget.classes.add)
    for place, name in enumerate(names):
        widget.classes.classes.topLevelItem(place).setText(1, name)
    settle(widget)


def label(viewer: Any, widget: Any, truth: Any, chosen: Mapping[str, Iterable[int]]) -> None:
    """Press the key of each class, and click on objects of it, in the plane in which they have their middle."""
    viewer.reset_view()
    process()
    for key, numbers in enumerate(chosen.values(), 1):
        press(viewer, str(key))
        for number in numbers:
            voxels = np.argwhere(truth == number)
            middle = voxels[np.argmin(((voxels - voxels.mean(axis=0)) ** 2).sum(axis=1))]
            for axis, place in enumerate(middle[:-2]):
                viewer.dims.set_point(axis, place)
            click(viewer, middle)
    settle(widget)


@contextmanager
def labelled(viewer: Any, key: str = "cells") -> Iterator[Any]:
    """The widget with a sample, of which some objects of each class are labelled."""
    from objclass.session.samples import field, stack

    chosen, truth = (CELLS, field(60, 7)[1]) if key == "cells" else (SPOTS, stack(24, 4)[1])
    with widget_of(viewer) as widget:
        use_sample(viewer, widget, key)
        add_classes(widget, *chosen)
        label(viewer, widget, truth, chosen)
        yield widget


def start(viewer: Any) -> None:
    """The widget with the sample image, before any label."""
    with widget_of(viewer) as widget:
        use_sample(viewer, widget, "cells")
        add_classes(widget, *CELLS)
        save(viewer, "start")


def classes(viewer: Any) -> None:
    """Some clicks: all cells are classified."""
    with labelled(viewer):
        save(viewer, "classes")


def uncertain(viewer: Any) -> None:
    """How sure the classifier is, and the object to look at next."""
    with labelled(viewer) as widget:
        viewer.layers["Classes"].visible = False
        viewer.layers["Uncertainty"].visible = True
        viewer.layers["Uncertainty"].opacity = 0.6
        press(viewer, "N")
        settle(widget)
        save(viewer, "uncertain")


def thresholds(viewer: Any) -> None:
    """Objects of a probability map."""
    with widget_of(viewer) as widget:
        viewer.open_sample("objclass", "cells")
        viewer.layers.remove("cells segmentation")
        wait_until(lambda: widget.images.raw.count() == 2)
        widget.images.objects.check(id(viewer.layers["cells probability"]))
        press_button(widget.images.add)
        wait_until(lambda: widget.controller.session.state.images, 60)
        widget.thresholds.threshold.box.setValue(0.35)
        settle(widget)
        save(viewer, "thresholds")


def table(viewer: Any) -> None:
    """The table, most uncertain first; a row that was clicked is shown."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    with labelled(viewer) as widget:
        press_button(widget.docks.table)
        dock = shown_dock("TableDock")
        press_button(dock.uncertain)
        settle(widget)
        row = dock.view.visualRect(dock.model.index(1, 4))
        QTest.mouseClick(dock.view.viewport(), Qt.MouseButton.LeftButton, pos=row.center())
        settle(widget)
        save(viewer, "table")


def plot(viewer: Any) -> None:
    """Two features, and a lasso around some objects."""
    with labelled(viewer) as widget:
        press_button(widget.docks.plot)
        dock = shown_dock("PlotDock")
        for choice, name in ((dock.x, "Size in pixels"), (dock.y, "Kurtosis of Intensity")):
            choice.setCurrentIndex(choice.findText(name))
        settle(widget)
        lasso(dock.canvas, [(0.09, 0.58), (0.98, 0.58), (0.98, 0.79), (0.09, 0.79), (0.09, 0.58)])
        settle(widget)
        save(viewer, "plot")


def lasso(canvas: Any, corners: list[tuple[float, float]]) -> None:
    """Draw around points; corners are parts of width and height."""
    from qtpy.QtCore import QEvent, QPointF, Qt
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    left, size = Qt.MouseButton.LeftButton, np.array([canvas.width(), canvas.height()])
    edges = pairwise(corners)
    path = [size * point for start, end in edges for point in np.linspace(start, end, 30)]
    kinds = [
        QEvent.Type.MouseButtonPress,
        *[QEvent.Type.MouseMove] * (len(path) - 2),
        QEvent.Type.MouseButtonRelease,
    ]
    for kind, (x, y) in zip(kinds, path, strict=True):
        button = Qt.MouseButton.NoButton if kind == QEvent.Type.MouseMove else left
        where = QPointF(x, y)
        event = QMouseEvent(
            kind, where, canvas.mapToGlobal(where), button, left, Qt.KeyboardModifier.NoModifier
        )
        QApplication.sendEvent(canvas, event)
        process()


def shown_dock(kind: str) -> Any:
    """The content of the dock that a button has opened."""
    from qtpy.QtWidgets import QApplication

    def open_ones() -> list[Any]:
        return [one for one in QApplication.allWidgets() if type(one).__name__ == kind and one.isVisible()]

    return wait_until(open_ones)[0]


def accuracy(viewer: Any) -> None:
    """How good the classifier is."""
    with labelled(viewer) as widget:
        for title, section in widget.sections.items():
            section.heading.setChecked(title in ("Classes", "Accuracy"))
        save(viewer, "accuracy")


def series(viewer: Any) -> None:
    """A time series."""
    with widget_of(viewer) as widget:
        use_sample(viewer, widget, "moving_cells")
        add_classes(widget, *CELLS)
        viewer.dims.set_point(0, 2)
        truth = np.where(np.arange(6)[:, None, None] == 2, viewer.layers["moving cells objects"].data, 0)
        label(viewer, widget, truth, CELLS)
        viewer.dims.set_point(0, 4)
        settle(widget)
        save(viewer, "time")


def volume(viewer: Any) -> None:
    """Balls and rods in the 3D view."""
    with labelled(viewer, "spots"):
        viewer.dims.ndisplay = 3
        viewer.reset_view()
        viewer.camera.angles = (5, -25, 60)
        process()
        save(viewer, "3d")
        viewer.dims.ndisplay = 2


def results(viewer: Any) -> None:
    """A folder of results that was dropped on the window."""
    from objclass.cli import main

    with tempfile.TemporaryDirectory() as folder:
        main(["--headless", "--quiet", "--project", f"{SAMPLES}/cells.ilp", "--raw_data", f"{SAMPLES}/cells.tif",
              "--segmentation_image", f"{SAMPLES}/cells_segmentation.tif", "--table_filename", f"{folder}/cells.csv",
              "--export_object_prediction_img", "--export_object_identities_img",
              "--output_filename_format", f"{folder}/{{nickname}}_{{result_type}}"])  # fmt: skip
        viewer.open(folder, plugin="objclass")
        viewer.layers.selection.active = viewer.layers["cells Object Identities"]
        viewer.reset_view()
        save(viewer, "results")
        viewer.layers.clear()


PICTURES: dict[str, Callable[[Any], None]] = {
    one.__name__: one
    for one in (start, classes, uncertain, thresholds, table, plot, accuracy, volume, series, results)
}


def save(viewer: Any, name: str) -> None:
    """Write a picture of the window, in 256 colours."""
    from io import BytesIO

    from PIL import Image

    for _ in range(10):
        process()
    pixels = viewer.screenshot(canvas_only=False, flash=False)
    file = BytesIO()
    Image.fromarray(pixels[..., :3]).quantize(256, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        file, "PNG", optimize=True
    )
    path = HERE / "images" / f"napari-{name}.png"
    assert len(file.getvalue()) <= MAXIMUM_BYTES, f"{path}: {len(file.getvalue())} bytes"
    path.write_bytes(file.getvalue())
    print(path, len(file.getvalue()))


def make(names: list[str]) -> None:
    """Some pictures, or all."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["NAPARI_CONFIG"] = f"{home}/settings.yaml"
        os.environ |= {f"XDG_{name}_HOME": home for name in ("CONFIG", "CACHE", "DATA", "STATE")}
        if not os.environ.get("OBJCLASS_TEST_DISPLAY"):
            os.environ |= {
                "DISPLAY": started_display(),
                "QT_QPA_PLATFORM": "xcb",
                "LIBGL_ALWAYS_SOFTWARE": "1",
            }
        with opened() as viewer:
            viewer.window.resize(*SIZE)
            for name in names or PICTURES:
                PICTURES[name](viewer)


if __name__ == "__main__":
    make(sys.argv[1:])
