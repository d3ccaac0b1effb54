"""Objects as points of a plane, or as a histogram, drawn by matplotlib. Nothing here needs Qt."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.artist import Artist
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.path import Path
from numpy.typing import NDArray

MAXIMUM_MARKERS = 10_000
"""So many points are drawn as circles; more as squares of pixels, whose time hardly depends on their number."""

SIZE, RING, SQUARE = 3.5, 7.0, 2
"""Diameter of circles and rings, in points; side of squares, in pixels."""

MAXIMUM_RINGS, PALE = 200, 0.75
"""So many highlighted objects have rings; where they are more, all others are pale: by so much like the background."""

MAXIMUM_BARS = 60
"""Bars of a histogram of many objects."""

REACH = 8
"""Distance in pixels within which a click finds a point."""

LEFT, BOTTOM, EDGE = 70, 48, 12
"""Room for the numbers at the axes, in pixels of a screen of 100 dpi."""

Color = tuple[int, int, int]

UNKNOWN: Color = (140, 140, 140)
"""Colour of objects without a class."""

MARGIN = 0.03
"""Room beyond the outermost points, as a part of the axis."""

Numbers = NDArray[np.float64]
Indices = NDArray[np.intp]
Layer = tuple[Numbers, NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Points:
    """What is drawn.

    Parameters
    ----------
    x, y
        Two numbers of each object (n,); objects are left out where one is not finite.
    names
        What they are; the same name twice draws a histogram.
    classes
        The class of each object (n,), 0 for none.
    colors
        Colours of the classes 1, 2 …
    is_chosen
        Whether each object is highlighted (n,).
    """

    x: Numbers
    y: Numbers
    names: tuple[str, str]
    classes: NDArray[np.uint8]
    colors: Sequence[Color]
    is_chosen: NDArray[np.bool_]

    @property
    def is_histogram(self) -> bool:
        """Whether numbers are counted."""
        return self.names[0] == self.names[1]

    @property
    def edges(self) -> Numbers:
        """Bounds of the bars of a histogram: fewer bars for fewer objects."""
        bars = min(max(int(2 * np.sqrt(len(self.x))), 1), MAXIMUM_BARS)
        return np.linspace(*_range(self.x), bars + 1)

    @property
    def is_known(self) -> NDArray[np.bool_]:
        """Whether both numbers of each object are finite (n,)."""
        return np.isfinite(self.x) & np.isfinite(self.y)

    @property
    def are_ringed(self) -> bool:
        """Whether few objects are highlighted."""
        return int(self.is_chosen.sum()) <= MAXIMUM_RINGS

    def by_class(self) -> Iterator[Layer]:
        """Colour (red, green, blue; 0 to 1) and objects of each class, the most frequent one first, so that it hides no other."""
        is_known, counts = self.is_known, np.bincount(self.classes, minlength=len(self.colors) + 1)
        for number in np.argsort(-counts, kind="stable").tolist():
            if counts[number]:
                color = (UNKNOWN, *self.colors)[number]
                yield np.array(color) / 255, is_known & (self.classes == number)


class Scatter:
    """A diagram of `Points`.

    Parameters
    ----------
    figure
        Where it is drawn.

    Attributes
    ----------
    points
        What is drawn.
    colors
        Names of the colours of background and text.
    """

    def __init__(self, figure: Figure) -> None:
        self.figure, self.axes = figure, figure.add_subplot()
        self.points: Points | None = None
        self._artists: list[Artist] = []
        self.colors = "white", "black"
        self.fit()

    def fit(self) -> None:
        """Leave room for numbers and titles, whatever the size of the figure."""
        width, height = (side * 100 for side in self.figure.get_size_inches())
        left, right = min(LEFT / width, 0.45), 1 - min(EDGE / width, 0.45)
        bottom, top = min(BOTTOM / height, 0.45), 1 - min(EDGE / height, 0.45)
        self.figure.subplots_adjust(left, bottom, right, top)

    def paint(self, background: str, foreground: str) -> None:
        """Take the colours of the window."""
        self.colors = background, foreground
        self.figure.set_facecolor(background)
        self.axes.set_facecolor(background)
        self.axes.tick_params(colors=foreground)
        self.axes.spines[:].set_color(foreground)
        for label in (self.axes.xaxis.label, self.axes.yaxis.label):
            label.set_color(foreground)

    def show(self, points: Points) -> None:
        """Draw other points in place of those before."""
        for artist in self._artists:
            artist.remove()
        self.points = points
        x, y = points.names
        self.axes.set_xlabel(x)
        self.axes.set_ylabel("Objects" if points.is_histogram else y)
        self.axes.set_xlim(*_range(points.x))
        if points.is_histogram:
            self._artists = list(self._bars(points))
            return
        self.axes.set_ylim(*_range(points.y))
        layers = list(self._layers(points))
        are_few = len(points.x) <= MAXIMUM_MARKERS
        self._artists = self._circles(points, layers) if are_few else [self._squares(points, layers)]
        if points.are_ringed:
            self._artists += self._rings(points)

    def _layers(self, points: Points) -> Iterator[Layer]:
        """Colours and objects, one on the other: where many are highlighted, all others are pale."""
        background = np.array(to_rgb(self.colors[0]))
        for color, of in points.by_class():
            yield (color if points.are_ringed else (1 - PALE) * color + PALE * background), of
        if not points.are_ringed:
            yield from ((color, of & points.is_chosen) for color, of in points.by_class())

    def _circles(self, points: Points, layers: Sequence[Layer]) -> list[Artist]:
        found: list[Artist] = []
        for color, of in layers:
            x, y = points.x[of], points.y[of]
            found += self.axes.plot(x, y, "o", markersize=SIZE, markeredgewidth=0, color=tuple(color))
        return found

    def _rings(self, points: Points) -> Sequence[Artist]:
        chosen = points.is_chosen & points.is_known
        x, y, color = points.x[chosen], points.y[chosen], self.colors[1]
        return self.axes.plot(x, y, "o", markersize=RING, markerfacecolor="none", markeredgecolor=color)

    def _squares(self, points: Points, layers: Sequence[Layer]) -> Artist:
        """An image of the points, whose time hardly depends on their number."""
        limits = self.axes.get_xlim(), self.axes.get_ylim()
        box = self.axes.bbox
        columns, rows = (max(int(side) // SQUARE, 1) for side in (box.width, box.height))
        x = _cells(points.x, limits[0], columns)
        y = _cells(points.y, limits[1], rows)
        image = np.zeros((rows, columns, 4), np.float32)
        for color, of in layers:
            image[y[of], x[of]] = (*color, 1)
        return self.axes.imshow(
            image, extent=(*limits[0], *limits[1]), origin="lower", aspect="auto", interpolation="nearest"
        )

    def _bars(self, points: Points) -> Iterator[Artist]:
        """The numbers of objects by class, one on the other; the highlighted ones as an outline."""
        edges = points.edges
        floor = np.zeros(len(edges) - 1)
        for color, of in points.by_class():
            top = floor + np.histogram(points.x[of], edges)[0]
            yield self.axes.stairs(top, edges, baseline=floor, fill=True, color=tuple(color))
            floor = top
        self.axes.set_ylim(0, max(floor.max(), 1) * 1.05)
        counts, _ = np.histogram(points.x[points.is_chosen & points.is_known], edges)
        yield self.axes.stairs(counts, edges, color=self.colors[1])

    # --------------------------------------------------------------- selection

    def inside(self, corners: Sequence[tuple[float, float]]) -> Indices:
        """The objects inside a polygon; in a histogram: those as far to the left and right as it reaches."""
        if self.points is None:
            return np.zeros(0, np.intp)
        x, y = self.points.x, self.points.y
        lasso = np.array(corners)
        (left, low), (right, high) = lasso.min(axis=0), lasso.max(axis=0)
        near = (left <= x) & (x <= right)
        if self.points.is_histogram:
            return np.flatnonzero(near)
        places = np.flatnonzero(near & (low <= y) & (y <= high))
        is_inside = Path(lasso).contains_points(np.column_stack([x[places], y[places]]))
        return places[is_inside]

    def nearest(self, corner: tuple[float, float]) -> Indices:
        """The object next to a place, within `REACH` pixels; in a histogram those of a bar."""
        if self.points is None:
            return np.zeros(0, np.intp)
        x, y = self.points.x, self.points.y
        if self.points.is_histogram:
            edges = self.points.edges
            bar = np.searchsorted(edges, corner[0], side="right")
            return np.flatnonzero(np.digitize(x, edges) == bar)
        shown = self.axes.transData.transform(np.column_stack([x, y])) - self.axes.transData.transform(corner)
        distance = np.nan_to_num(np.hypot(*shown.T), nan=np.inf)
        best = int(distance.argmin()) if len(distance) else 0
        is_near = len(distance) > 0 and distance[best] <= REACH
        return np.array([best] if is_near else [], np.intp)


def _cells(numbers: Numbers, limits: tuple[float, float], count: int) -> Indices:
    """The cell of each number, where an axis is divided in so many; those that are not finite are in the first one."""
    low, high = limits
    return np.nan_to_num((numbers - low) * (count / (high - low)), posinf=0, neginf=0).astype(np.intp)


def _range(numbers: Numbers) -> tuple[float, float]:
    """Limits of an axis that shows all finite numbers."""
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return 0.0, 1.0
    low, high = float(finite.min()), float(finite.max())
    room = (high - low) * MARGIN or 0.5
    return low - room, high + room
