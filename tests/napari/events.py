"""Real mouse and key events in a viewer, as a user makes them."""

import time
from contextlib import contextmanager

import numpy as np


@contextmanager
def opened():
    """A viewer in a window."""
    import napari

    viewer = napari.Viewer(show_welcome_screen=False)
    try:
        viewer.window.resize(1400, 900)
        wait_until(lambda: viewer.window._qt_window.isVisible() and canvas(viewer).width() > 100)
        yield viewer
    finally:
        if hasattr(viewer.window, "_qt_window"):  # the test has not closed it
            viewer.close()
        process()


def process():
    """Have Qt handle what waits, and delete what is to be deleted."""
    from qtpy.QtCore import QCoreApplication, QEvent

    QCoreApplication.processEvents()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def wait_until(condition, seconds=60.0):
    """Have Qt work until a condition holds; return its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < end, f"not within {seconds} s"
        process()
        time.sleep(0.002)
    return value


def canvas(viewer):
    """The widget that is drawn on."""
    return viewer.window._qt_viewer.canvas.native


def pixel(viewer, position):
    """The pixel of the canvas that shows a position in the world (along displayed axes, or along all)."""
    from qtpy.QtCore import QPoint

    process()
    viewer.window._qt_viewer.canvas.on_draw(None)  # the camera is up to date
    view = viewer.window._qt_viewer.canvas.view
    shown = np.asarray(position, float)[-viewer.dims.ndisplay :]
    x, y, *_, w = (view.transform * view.scene.transform).map(shown[::-1])
    point = QPoint(round(x / w), round(y / w))
    assert canvas(viewer).rect().contains(point), f"{position} is out of sight"
    return point


def move(viewer, position, *, buttons=None, modifiers=None):
    """Move the mouse to a position in the world."""
    from qtpy.QtCore import QEvent, QPointF, Qt
    from qtpy.QtGui import QMouseEvent
    from qtpy.QtWidgets import QApplication

    widget, point = canvas(viewer), pixel(viewer, position)
    event = QMouseEvent(
        QEvent.Type.MouseMove, QPointF(point), QPointF(widget.mapToGlobal(point)),
        Qt.MouseButton.NoButton, buttons or Qt.MouseButton.NoButton, modifiers or Qt.KeyboardModifier.NoModifier,
    )  # fmt: skip
    QApplication.sendEvent(widget, event)
    process()


def _button(name):
    from qtpy.QtCore import Qt

    return {"left": Qt.MouseButton.LeftButton, "right": Qt.MouseButton.RightButton}[name]


def _modifiers(names):
    from qtpy.QtCore import Qt

    held = Qt.KeyboardModifier.NoModifier
    for name in filter(None, names.split("+")):
        held |= getattr(Qt.KeyboardModifier, f"{name.capitalize()}Modifier")
    return held


def drag(viewer, positions, button="left", modifiers=""):
    """Press the button at the first position, move over the others, release it at the last one.

    ``modifiers``: such as ``"shift"`` or ``"control+shift"``.
    """
    from qtpy.QtTest import QTest

    name, held = _button(button), _modifiers(modifiers)
    move(viewer, positions[0], modifiers=held)
    QTest.mousePress(canvas(viewer), name, held, pixel(viewer, positions[0]))
    for position in positions[1:]:
        move(viewer, position, buttons=name, modifiers=held)
    QTest.mouseRelease(canvas(viewer), name, held, pixel(viewer, positions[-1]))
    process()


def click(viewer, position, button="left", modifiers=""):
    """Click at a position in the world, such as ``(y, x)``."""
    drag(viewer, [position], button, modifiers)


def press(viewer, key, modifiers="", widget=None):
    """Press a key, such as ``"N"`` or ``"1"``, with the focus on the canvas, or on a widget."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    target = widget or canvas(viewer)
    if not target.isActiveWindow():
        target.activateWindow()
        wait_until(target.isActiveWindow)
    target.setFocus()
    wait_until(target.hasFocus)
    QTest.keyClick(target, getattr(Qt.Key, f"Key_{key}"), _modifiers(modifiers))
    process()


def push(button):
    """Click on a button that can be clicked."""
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest

    assert button.isEnabled()
    assert button.isVisible()
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)
    process()
