"""The widget Object classification in a viewer."""

from tests.napari.events import click, press


def test_the_plugin_opens_by_its_manifest(viewer):
    _, widget = viewer.window.add_plugin_dock_widget("objclass", "Object classification")
    assert widget.controller.session.state.obstacle in widget.status.text()


def test_events_are_real(viewer):
    import numpy as np

    seen = []
    layer = viewer.add_labels(np.zeros((64, 64), int), scale=(2, 2))
    viewer.mouse_drag_callbacks.append(lambda _, event: seen.append(event.position))
    viewer.bind_key("N", lambda _: seen.append("n"))
    click(viewer, (20, 100))
    press(viewer, "N")
    assert np.allclose(seen[0], (20, 100), atol=1)
    assert seen[1:] == ["n"]
    assert layer.visible


def test_qt_keeps_references(display):
    """PySide6 6.12 takes one from None at each call, until Python before 3.12 crashes."""
    import sys

    from qtpy.QtCore import QCoreApplication

    before = sys.getrefcount(None)
    for _ in range(1000):
        QCoreApplication.processEvents()
    assert sys.getrefcount(None) > before - 500
