"""The napari plug-in: what a click takes until all objects have new colours, and how long it holds the window.

``python benchmarks/clicks.py`` (with the extra ``napari``) prints the tables of ``docs/speed.md``, in windows on the display;
``xvfb-run -a -s "-screen 0 1600x1200x24" python benchmarks/clicks.py`` needs no screen. Each row has a process of its own.

The time of a click is from the press of the mouse to the frame that shows the new classes. The window is held for as long
as a timer of two milliseconds comes late. Where a processor stands in for the graphics card, frames take far longer
than they would: the second figure counts, while a frame is drawn, only the seconds of the processor that the thread of
the window has spent on it.
"""

import argparse
import statistics
import subprocess
import sys
from dataclasses import dataclass, field, replace
from functools import partial
from time import perf_counter, thread_time

import images
import numpy as np

ROWS = {
    "2048², 1,000": "J",
    "2048², 10,000": "K",
    "128³, 1,000": "L",
    "128³, 10,000": "M",
}
"""Name of a row -> name of its images."""

TIMES = 20
"""Clicks, and thresholds."""

TICK = 2
"""Milliseconds between two ticks of the timer."""

PATIENCE = 120
"""Seconds after which a benchmark gives up."""


@dataclass
class Watch:
    """When the thread of the window was free, and what it drew.

    Times are pairs: seconds of the wall, and seconds of the processor that the thread has spent.
    """

    canvas: object
    ticks: list = field(default_factory=list)
    frames: list = field(default_factory=list)
    """Start of drawing, and when the frame was shown."""
    composed: list = field(default_factory=list)
    """The same of windows that were drawn anew, with or without a frame."""

    def __post_init__(self):
        from qtpy.QtCore import QEventLoop, Qt, QTimer

        self.began = self.composes = None
        self.condition, self.loop = lambda: False, QEventLoop()
        self.timer = QTimer(interval=TICK, timerType=Qt.TimerType.PreciseTimer)
        self.timer.timeout.connect(self._tick)
        self.timer.start()
        self.canvas._scene_canvas.events.draw.connect(self._begin, position="first")  # noqa: SLF001
        self.canvas.native.aboutToCompose.connect(self._compose)
        self.canvas.native.frameSwapped.connect(self._end)

    def _tick(self):
        self.ticks.append(now())
        if self.condition():
            self.loop.quit()

    def _begin(self, _event):
        self.began = self.began or now()

    def _compose(self):
        self.composes = self.composes or now()

    def _end(self):
        end = now()
        if self.began is not None:
            self.frames.append((self.began, end))
        self.composed.append((self.began or self.composes or end, end))
        self.began = self.composes = None

    def wait(self, condition):
        """Have Qt work until a condition holds."""
        end = perf_counter() + PATIENCE
        self.condition = lambda: condition() or perf_counter() > end
        self.loop.exec()
        if not condition():
            raise TimeoutError

    def frame_after(self, time):
        """When the first frame was shown that was begun after a time; None: not yet."""
        return next((end[0] for start, end in self.frames if start[0] >= time), None)

    def held(self, start, end):
        """The longest time between two ticks in an interval: as it was, and with frames at seconds of the processor."""
        found = [(0.0, 0.0)]
        for (before, _), (after, _) in zip(self.ticks, self.ticks[1:], strict=False):
            if start < after and before < end:
                frames = [one for one in self.composed if before <= one[0][0] and one[1][0] <= after]
                spared = sum((b[0] - a[0]) - (b[1] - a[1]) for a, b in frames)
                whole = min(after, end) - max(before, start)
                found.append((whole, max(whole - spared, 0.0)))
        return tuple(map(max, zip(*found, strict=True)))


def now():
    """Seconds of the wall, and of the processor for this thread."""
    return perf_counter(), thread_time()


class Window:
    """A viewer with the widget, and the images of a row."""

    def __init__(self, name):
        import napari

        shape = images.SIZES[name][0]
        parts = zip(*images.layers(name), strict=True)
        pair = [np.concatenate(part, axis=int(shape[0] == 1)) for part in parts]
        self.raw, self.mask = (image[0] if shape[0] == 1 else image for image in pair)
        self.axes = "zyx"[-self.raw.ndim :]
        self.viewer = napari.Viewer(show_welcome_screen=False)
        window = self.viewer.window
        window._qt_window.resize(1280, 960)  # noqa: SLF001
        self.viewer.add_image(self.raw)
        self.canvas = window._qt_viewer.canvas  # noqa: SLF001
        self.watch = Watch(self.canvas)
        self.controller = window.add_plugin_dock_widget("objclass", "Object classification")[1].controller
        self.session, self.change = self.controller.session, self.controller.change
        self.signals = {signal: [] for signal in ("objects_found", "classified", "judged")}
        for signal, times in self.signals.items():
            getattr(self.controller, signal).connect(partial(self._note, times))
        self.watch.wait(lambda: self.controller.live._thread is None)  # noqa: SLF001  # libraries are loaded before a user has chosen images

    @staticmethod
    def _note(times, *_):
        times.append(perf_counter())

    def rest(self):
        """Wait until nothing is left to be done, and half a second longer; return the time."""
        self.watch.wait(lambda: not self.controller.live.is_busy)
        end = perf_counter() + 0.5
        self.watch.wait(lambda: perf_counter() > end)
        return perf_counter()

    def shown(self, signal, action):
        """Do something; return the seconds until a signal, and until the frame that was drawn after it was shown."""
        times, start = self.signals[signal], perf_counter()
        known = len(times)
        action()
        self.watch.wait(lambda: len(times) > known and self.watch.frame_after(times[-1]) is not None)
        return times[-1] - start, self.watch.frame_after(times[-1]) - start

    def add(self, **objects):
        """Add the image with what defines its objects; return its key when they are measured."""
        key = self.change(self.session.add_image, self.raw, raw_axes=self.axes, **objects)
        for _ in range(2 - len(self.session.classes)):
            self.change(self.session.add_class)
        self.rest()
        return key

    def places(self, key, count):
        """Pixels of the canvas on objects of the plane that is shown, and the numbers of these."""
        found = self.session.state.found[key]
        t, z = 0, self.viewer.dims.current_step[0] if len(self.axes) == 3 else 0
        numbers = np.unique(found.numbers[t, z])[1:]
        for number in np.random.default_rng(0).choice(numbers, count, replace=False).tolist():
            *_, rows, columns = found.box(number)
            inside = np.argwhere(found.numbers[t, z, rows, columns] == number)
            middle = inside[np.abs(inside - inside.mean(axis=0)).sum(axis=1).argmin()]
            yield self._pixel((middle[0] + rows.start, middle[1] + columns.start))

    def _pixel(self, position):
        from qtpy.QtCore import QPoint

        view = self.canvas.view
        x, y, *_, w = (view.transform * view.scene.transform).map(np.asarray(position, float)[::-1])
        return QPoint(round(x / w), round(y / w))

    def click(self, pixel):
        """Press and release the mouse."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        button, keys = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
        QTest.mouseClick(self.canvas.native, button, keys, pixel)


def clicks(name, count):
    """A row of the first table, in this process."""
    window = Window(name)
    begin = perf_counter()
    key = window.add(segmentation=window.mask, axes=window.axes)
    objects = window.session.state.found[key].count
    opened = perf_counter()
    taken, first = [], None
    for k, pixel in enumerate(window.places(key, count + 2)):
        window.controller.set_current(1 + k % 2)
        if k == 0:  # one class cannot be told from another yet
            window.click(pixel)
            window.rest()
            start = perf_counter()
            continue
        taken.append(window.shown("classified", partial(window.click, pixel)))
        if k % 2:  # every other click comes while the last classification is being judged
            window.rest()
        if k == 1:
            first, start = taken.pop(), perf_counter()
    end = window.rest()
    held = [window.watch.held(*times) for times in ((begin, opened), (opened, start), (start, end))]
    frames = [b[0] - a[0] for a, b in window.watch.frames if a[0] >= start]
    classified, painted = zip(*taken, strict=True)
    cells = [
        name_of(name), f"{objects:,}", seconds(first[1]), f"{seconds(statistics.median(painted))}, {seconds(max(painted))}",
        seconds(statistics.median(classified)), f"{1000 * statistics.median(frames):.0f} ms",
        held_for(held[2]), held_for(held[0]),
    ]  # fmt: skip
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    window.viewer.close()


def thresholds(name, count):
    """A row of the second table, in this process: objects of a prediction map whose threshold is moved."""
    from scipy.ndimage import gaussian_filter

    window = Window(name)
    maps = gaussian_filter(window.mask.astype(np.float32), 1)[..., None]
    key = window.add(prediction_maps=maps, axes=f"{window.axes}c")
    start, taken = perf_counter(), []
    for k in range(count):
        settings = replace(window.session.state.settings.threshold, threshold=0.4 + 0.01 * (k % 20))
        taken.append(
            window.shown("objects_found", partial(window.change, window.session.set_threshold, settings))
        )
    held = window.watch.held(start, window.rest())
    found, painted = zip(*taken, strict=True)
    cells = [
        name_of(name), f"{window.session.state.found[key].count:,}", f"{seconds(statistics.median(painted))}, {seconds(max(painted))}",
        seconds(statistics.median(found)), held_for(held),
    ]  # fmt: skip
    sys.stdout.write(f"| {' | '.join(cells)} |\n")
    window.viewer.close()


def name_of(images_name):
    """The row of images."""
    return next(row for row, name in ROWS.items() if name == images_name)


def seconds(number):
    """Two digits after the point."""
    return f"{number:.2f} s"


def held_for(times):
    """The longest time, with the seconds of the processor of frames; in brackets as it was."""
    whole, counted = times
    return f"{1000 * counted:.0f} ms ({1000 * whole:.0f} ms)"


TABLES = {
    "clicks": (
        clicks,
        ("images", "objects", "first colours", "click to new colours: median, longest", "of these until classified", "a frame",
         "the window is held", "while the layers are added"),
    ),
    "thresholds": (
        thresholds,
        ("images", "objects", "threshold to new outlines: median, longest", "of these until found", "the window is held"),
    ),
}  # fmt: skip
"""Name of a table -> function that prints a row, and titles."""


def main():
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", nargs="+", choices=TABLES, default=list(TABLES))
    parser.add_argument(
        "--only", nargs="+", choices=ROWS.values(), default=list(ROWS.values()), help="images"
    )
    parser.add_argument("--times", type=int, default=TIMES, help="clicks, and thresholds")
    parser.add_argument("--inside", action="store_true", help="a single row, in this process, without titles")
    given = parser.parse_args()
    for table in given.tables:
        row, titles = TABLES[table]
        if given.inside:
            row(given.only[0], given.times)
            continue
        sys.stdout.write(f"\n| {' | '.join(titles)} |\n{'|---' * len(titles)}|\n")
        sys.stdout.flush()
        for name in given.only:
            again = ["--inside", "--tables", table, "--only", name, "--times", str(given.times)]
            subprocess.run([sys.executable, "-W", "ignore", __file__, *again], check=True)


if __name__ == "__main__":
    main()
