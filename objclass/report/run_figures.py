"""Figures of a run: objects of each class by image and by time, and how certain their classes are."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from objclass.core import IntArray
from objclass.report.figures import INK, MUTED, empty_plot, inline_svg
from objclass.report.page import Color, Figure, Table, legible, shortened

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.container import Container

BARS = 40
"""Images that get a bar each; of more images the spread is shown."""

SHOWN = 16
"""Classes in a figure, at most: the most frequent ones, then all others together."""


class Series(NamedTuple):
    """What is drawn: numbers of objects, the last axis those of classes, and names and colours of these."""

    counts: IntArray
    names: tuple[str, ...]
    colors: tuple[str, ...]


def most_frequent(counts: IntArray, classes: Sequence[str], colors: Sequence[Color]) -> Series:
    """The most frequent classes, in their order, and all others together."""
    names, shown = tuple(map(_short, classes)), tuple(map(_hex, colors))
    if len(names) <= SHOWN:
        return Series(counts, names, shown)
    totals = counts.reshape(-1, len(names)).sum(axis=0)
    order = np.argsort(-totals, kind="stable")
    first = np.sort(order[: SHOWN - 1])
    others = counts[..., order[SHOWN - 1 :]].sum(axis=-1, keepdims=True)
    return Series(
        np.concatenate([counts[..., first], others], axis=-1),
        (*(names[k] for k in first), f"{len(names) - SHOWN + 1} other classes"),
        (*(shown[k] for k in first), MUTED),
    )


def _hex(color: Color) -> str:
    return "#{:02x}{:02x}{:02x}".format(*color)


def images_figure(
    images: Sequence[str], counts: IntArray, classes: Sequence[str], colors: Sequence[Color]
) -> Figure:
    """Objects of each class in each image: a bar for each image, or of many images their spread.

    Parameters
    ----------
    images
        Names of the images.
    counts
        Number of objects (images, classes).
    classes, colors
        Names and colours of the classes.
    """
    shown = most_frequent(counts, classes, colors)
    if len(images) > BARS:
        return _differences_figure(shown)
    places = np.arange(len(images))
    with empty_plot(1.3 + 0.24 * len(images)) as (drawing, (axes,)):
        left = np.zeros(len(images))
        handles: list[Artist | Container] = []
        for color, n in zip(shown.colors, shown.counts.T, strict=True):
            handles.append(axes.barh(places, n, left=left, color=color, height=0.72))
            left = left + n
        axes.set_yticks(places, [_short(name) for name in images])
        axes.set(ylim=(len(images) - 0.4, -0.6), xlabel="objects")
        axes.grid(visible=False, axis="y")
        axes.locator_params(axis="x", integer=True)
        _legend(axes, shown, handles)
        svg = inline_svg(drawing, "images")
    total = counts.sum(axis=1)
    alt = "Number of objects in each image: " + "; ".join(
        f"{shortened(name)}: {n:,}" for name, n in zip(images, total.tolist(), strict=True)
    )
    return Figure(svg, alt, "Number of objects of each class in each image; the table has the numbers.")


def _differences_figure(shown: Series) -> Figure:
    """How the number of objects of each class differs between images."""
    counts, classes, colors = shown
    quantiles = np.quantile(counts, (0, 0.25, 0.5, 0.75, 1), axis=0, method="nearest").T
    places = range(len(classes))
    with empty_plot(0.9 + 0.34 * len(classes)) as (drawing, (axes,)):
        for place, (least, low, middle, high, most), color in zip(places, quantiles, colors, strict=True):
            axes.plot((least, most), (place, place), color=MUTED, linewidth=1, zorder=1)
            axes.barh(place, high - low, left=low, height=0.5, color=color, zorder=2)
            axes.plot((middle, middle), (place - 0.32, place + 0.32), color=INK, linewidth=2, zorder=3)
        axes.set_yticks(places, classes)
        axes.set(ylim=(len(classes) - 0.4, -0.6), xlabel="objects in an image")
        axes.grid(visible=False, axis="y")
        axes.locator_params(axis="x", integer=True)
        svg = inline_svg(drawing, "spread")
    rows = tuple(
        (name, *(f"{n:,}" for n in five)) for name, five in zip(classes, quantiles.tolist(), strict=True)
    )
    table = Table("Objects in an image", ("class", "fewest", "lower quarter", "median", "upper quarter", "most"), rows)  # fmt: skip
    alt = "Number of objects in an image: " + "; ".join(
        f"{name} {least} to {most}, median {middle}" for name, least, _, middle, _, most in rows
    )
    return Figure(svg, alt, f"Number of objects in each of {len(counts):,} images: the line goes from the image with fewest to that with most, the box holds half of the images, the mark is the median.", table)  # fmt: skip


def time_figure(counts: IntArray, classes: Sequence[str], colors: Sequence[Color]) -> Figure:
    """Objects of each class by time step: ``counts`` (steps, classes)."""
    shown = most_frequent(counts, classes, colors)
    steps = np.arange(len(counts))
    with empty_plot(3.2) as (drawing, (axes,)):
        handles: list[Artist | Container] = []
        for color, n in zip(shown.colors, shown.counts.T, strict=True):
            handles += axes.plot(steps, n, color=color, linewidth=1.6)
        axes.set(xlim=(0, max(len(counts) - 1, 1)), ylim=(0, None), xlabel="time step", ylabel="objects")
        axes.locator_params(integer=True)
        _legend(axes, shown, handles)
        svg = inline_svg(drawing, "time")
    alt = "Number of objects by time step: " + "; ".join(
        f"{name} from {first} to {last}"
        for name, first, last in zip(
            shown.names, shown.counts[0].tolist(), shown.counts[-1].tolist(), strict=True
        )
    )
    return Figure(svg, alt, "Number of objects by time step, over all images with time.")


def spread_figure(
    counts: IntArray, classes: Sequence[str], colors: Sequence[Color], measure: str, upper: int
) -> Figure:
    """How a measure from 0 to ``upper`` is spread over objects: ``counts`` (bins, classes)."""
    shown = most_frequent(counts, classes, colors)
    bins = len(counts)
    edges = np.linspace(0, upper, bins + 1).tolist()
    with empty_plot(3.2) as (drawing, (axes,)):
        bottom = np.zeros(bins)
        handles: list[Artist | Container] = []
        for color, n in zip(shown.colors, shown.counts.T, strict=True):
            bars = axes.bar(edges[:-1], n, bottom=bottom, width=0.9 * upper / bins, align="edge", color=color)
            handles.append(bars)
            bottom = bottom + n
        axes.set(xlim=(0, upper), xlabel=measure, ylabel="objects")
        axes.grid(visible=False, axis="x")
        axes.locator_params(axis="y", integer=True)
        _legend(axes, shown, handles)
        svg = inline_svg(drawing, measure)
    ends = [f"{edges[k]:.2f} to {edges[k + 1]:.2f}" for k in range(bins - 1)]
    ends.append(f"{edges[-2]:.2f} or more")
    rows = tuple(
        (end, *(f"{n:,}" for n in row)) for end, row in zip(ends, shown.counts.tolist(), strict=True)
    )
    table = Table(f"Objects by {measure}", (measure, *shown.names), rows)
    below = shown.counts[: bins // 2].sum(axis=0).tolist()
    alt = f"Number of objects by {measure}: below {upper / 2:g} are " + "; ".join(
        f"{low:,} of {n:,} {name}"
        for low, n, name in zip(below, shown.counts.sum(axis=0).tolist(), shown.names, strict=True)
    )
    last = f"; the last bar holds all from {edges[-2]:g}" if upper > 1 else ""
    return Figure(svg, alt, f"Number of objects of each class by {measure}{last}.", table)


def _legend(axes: "Axes", shown: Series, handles: "Sequence[Artist | Container]") -> None:
    """Name the classes above the plot, where there are several."""
    if len(shown.names) > 1:
        numbers = [str(k) for k in range(len(handles))]
        legend = axes.legend(
            handles, numbers,
            loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, borderaxespad=0.2,
        )  # fmt: skip
        for text, name in zip(legend.get_texts(), shown.names, strict=True):
            text.set_text(name)  # matplotlib 3.8 and 3.9 leave out labels that begin with _


def _short(name: str) -> str:
    return legible(shortened(name or "objects", 30))
