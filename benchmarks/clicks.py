"""The napari plug-in: what a click takes until all objects have new colours, and how long the window is held meanwhile.

``python benchmarks/clicks.py`` prints the table of ``docs/speed.md``, in a window on the display; ``xvfb-run -s "-screen 0
1600x1200x24" python benchmarks/clicks.py`` without a screen. Each size has a process of its own.

The time of a click is from the press of the mouse to the frame with the new classes. The window is held for as long as
a timer of two milliseconds comes late. While a frame is drawn, which takes a graphics card hardly any time, but a
processor that stands in for one a tenth of a second, only the seconds of the processor are counted, which Python and
napari spend in the thread of the window.
"""

import argparse
import os
import statistics
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter, thread_time

import images
import numpy as np

SIZES = {"2048², 1,000": "J", "2048², 10,000": "K", "128³, 1,000": "L", "128³, 10,000": "M"}
"""Row of the table -> name of the images."""

PHASES = ("loading", "objects", "clicks", "evaluation", "thresholds")

TICK = 2
"""Milliseconds between two ticks of the timer."""


@dataclass
class Watch:
    """When the thread of the window was free, and when it drew: seconds of the wall, and of its processor."""

    viewer: object
    ticks: list = field(default_factory=list)
    """Time, and seconds of the processor so far, of each tick."""
    frames: list = field(default_factory=list)
    """Start of drawing, and the same after the frame was shown."""

    def __post_init__(self):
        from qtpy.QtCore import QEventLoop, Qt, QTimer

        self.canvas = self.viewer.window._qt_viewer.canvas
        self.drawing = None
        self.canvas._scene_canvas.events.draw.connect(self.begin, position="first")
        self.canvas.native.frameSwapped.connect(self.end)
        self.timer = QTimer(interval=TICK, timerType=Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(self.tick)
        self.loop, self.condition = QEventLoop(), lambda: False
        self.timer.start()

    def tick(self):
        """The thread of the window is free."""
        self.ticks.append((perf_counter(), thread_time()))
        if self.condition():
            self.loop.quit()

    def begin(self, _event):
        """Drawing begins."""
        self.drawing = self.drawing or (perf_counter(), thread_time())

    def end(self):
        """The frame is shown."""
        if self.drawing is not None:
            self.frames.append((*self.drawing, perf_counter(), thread_time()))
            self.drawing = None

    def held(self, start, end):
        """The longest time between two ticks: of the wall, and where frames count by their seconds of the processor."""
        longest = counted = 0
        for (before, _), (after, _) in zip(self.ticks, self.ticks[1:], strict=False):
            if after <= start or before >= end:
                continue
            inside = [one for one in self.frames if before <= one[0] and one[2] <= after]
            spared = sum((b - a) - (d - c) for a, c, b, d in inside)
            longest, counted = max(longest, after - before), max(counted, after - before - spared)
        return longest, counted

    def frame_after(self, time):
        """When the first frame that was begun after a time was shown; None: not yet."""
        return next((end for start, _, end, _ in self.frames if start >= time), None)


@dataclass
class Window:
    """A viewer with the widget, its session, and what has happened: name -> times of signals."""

    viewer: object
    controller: object
    watch: Watch
    times: dict = field(default_factory=dict)

    def __post_init__(self):
        for name in ("objects_found", "measured", "classified", "judged"):
            self.times[name] = []
            getattr(self.controller, name).connect(lambda *_, name=name: self.times[name].append(perf_counter()))

    def wait(self, condition, seconds=120):
        """Have Qt work until a condition holds."""
        end = perf_counter() + seconds
        self.watch.condition = lambda: condition() or perf_counter() > end
        self.watch.loop.exec()
        if not condition():
            raise TimeoutError

    def rest(self, seconds=0.5):
        """Wait until nothing is left to be done, and a moment longer."""
        self.wait(lambda: not self.controller.live.is_busy)
        end = perf_counter() + seconds
        self.wait(lambda: perf_counter() > end)

    def pixel(self, position):
        """The pixel of the canvas that shows a position along the displayed axes."""
        from qtpy.QtCore import QPoint

        view = self.viewer.window._qt_viewer.canvas.view
        x, y, *_, w = (view.transform * view.scene.transform).map(np.asarray(position, float)[::-1])
        return QPoint(round(x / w), round(y / w))

    def click(self, position):
        """Press and release the mouse; return the time of the press."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        native, pixel = self.viewer.window._qt_viewer.canvas.native, self.pixel(position)
        start = perf_counter()
        QTest.mouseClick(native, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, pixel)
        return start


def pair(name):
    """Raw data and segmentation as arrays."""
    shape = images.SIZES[name][0]
    raw, mask = (
        np.concatenate(part, axis=1 if shape[0] == 1 else 0) for part in zip(*images.layers(name), strict=True)
    )
    return (raw[0], mask[0]) if shape[0] == 1 else (raw, mask)


def opened(name):
    """A window with the images, all objects measured; and the seconds until then."""
    import napari

    viewer = napari.Viewer(show_welcome_screen=False)
    viewer.window._qt_window.resize(1280, 960)
    raw, mask = pair(name)
    viewer.add_image(raw)
    widget = viewer.window.add_plugin_dock_widget("objclass", "Object classification")[1]
    window = Window(viewer, widget.controller, Watch(viewer))
    window.rest(2)
    return window, raw, mask


def measure(name, clicks):
    """Print a row."""
    window, raw, mask = opened(name)
    session, change = window.controller.session, window.controller.change
    start = perf_counter()
    phases = {"loading": (0, start)}
    key = change(session.add_image, raw, mask, raw_axes="zyx"[-raw.ndim :], axes="zyx"[-raw.ndim :])
    for _ in range(2 - len(session.classes)):
        change(session.add_class)
    window.rest()
    phases["objects"] = start, perf_counter()
    found = session.state.found[key]
    plane = window.viewer.dims.current_step[0] if raw.ndim == 3 else 0
    shown = np.unique(found.numbers[0, plane])[1:]
    rng, taken = np.random.default_rng(0), []
    start = perf_counter()
    for k, number in enumerate(rng.choice(shown, clicks + 2, replace=False).tolist()):
        *_, y, x = found.boxes[number - 1]
        rows, columns = np.nonzero(found.numbers[0, plane] == number)
        middle = int(np.hypot(rows - rows.mean(), columns - columns.mean()).argmin())
        before, many = perf_counter(), len(window.times["classified"])
        window.controller.set_current(1 + k % 2)
        pressed = window.click((rows[middle], columns[middle]))
        if k:
            window.wait(lambda: len(window.times["classified"]) > many)
            window.wait(lambda: window.watch.frame_after(window.times["classified"][-1]))
            if k > 1:
                taken.append((pressed, window.times["classified"][-1], window.watch.frame_after(window.times["classified"][-1])))
            else:
                window.rest()
                start = perf_counter()
        if k % 3 == 0: window.rest()
    phases["clicks"] = start, perf_counter()
    window.rest()
    for phase, (a, b) in phases.items():
        print(name, phase, [f"{1000 * x:.0f}" for x in window.watch.held(a, b)])
    print("classified", [round(1e3*(b-a)) for a,b,c in taken])
    print("frame", [round(1e3*(c-a)) for a,b,c in taken])
    inside=[f for f in window.watch.frames if f[0]>phases["clicks"][0]]
    print("frames wall", [round(1e3*(f[2]-f[0])) for f in inside][:20], "cpu", [round(1e3*(f[3]-f[1])) for f in inside][:20])
    window.viewer.close()


if __name__ == "__main__":
    for one in sys.argv[1:]:
        measure(one, 20)
