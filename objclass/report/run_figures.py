"""Figures of a run: objects of each class by image and by time, and how certain their classes are."""

from collections.abc import Sequence

import numpy as np

from objclass.core import AnyArray, IntArray
from objclass.report.figures import INK, MUTED, empty_plot, inline_svg
from objclass.report.page import Color, Figure, Table, legible, shortened

BARS = 40
"""Images that get a bar each; of more images the spread is shown."""

LEGEND = 12
"""Classes that are named in a figure, at most."""


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
    if len(images) > BARS:
        return _spread_figure(counts, classes, colors)
    places = np.arange(len(images))
    with empty_plot(1.3 + 0.24 * len(images)) as (drawing, (axes,)):
        left = np.zeros(len(images))
        for name, color, n in zip(classes, colors, counts.T, strict=True):
            axes.barh(places, n, left=left, color=_hex(color), height=0.72, label=_short(name))
            left = left + n
        axes.set_yticks(places, [_short(name) for name in images])
        axes.set(ylim=(len(images) - 0.4, -0.6), xlabel="objects")
        axes.grid(visible=False, axis="y")
        _legend(axes, classes)
        svg = inline_svg(drawing, "images")
    total = counts.sum(axis=1)
    alt = "Number of objects in each image: " + "; ".join(
        f"{name}: {n:,}" for name, n in zip(images, total.tolist(), strict=True)
    )
    return Figure(svg, alt, "Number of objects of each class in each image; the table has the numbers.")


def _spread_figure(counts: IntArray, classes: Sequence[str], colors: Sequence[Color]) -> Figure:
    """How the number of objects of each class differs between images."""
    quantiles = np.quantile(counts, (0, 0.25, 0.5, 0.75, 1), axis=0, method="nearest").T
    places = range(len(classes))
    with empty_plot(0.9 + 0.34 * len(classes)) as (drawing, (axes,)):
        for place, (least, low, middle, high, most), color in zip(places, quantiles, colors, strict=True):
            axes.plot((least, most), (place, place), color=MUTED, linewidth=1, zorder=1)
            axes.barh(place, high - low, left=low, height=0.5, color=_hex(color), zorder=2)
            axes.plot((middle, middle), (place - 0.32, place + 0.32), color=INK, linewidth=2, zorder=3)
        axes.set_yticks(places, [_short(name) for name in classes])
        axes.set(ylim=(len(classes) - 0.4, -0.6), xlabel="objects in an image")
        axes.grid(visible=False, axis="y")
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
    steps = np.arange(len(counts))
    with empty_plot(3.2) as (drawing, (axes,)):
        for name, color, n in zip(classes, colors, counts.T, strict=True):
            axes.plot(steps, n, color=_hex(color), linewidth=1.6, label=_short(name))
        axes.set(xlim=(0, max(len(counts) - 1, 1)), ylim=(0, None), xlabel="time step", ylabel="objects")
        _legend(axes, classes)
        svg = inline_svg(drawing, "time")
    alt = "Number of objects by time step: " + "; ".join(
        f"{name or 'objects'} from {first} to {last}"
        for name, first, last in zip(classes, counts[0].tolist(), counts[-1].tolist(), strict=True)
    )
    return Figure(svg, alt, "Number of objects by time step, over all images with time.")


def certainty_figure(
    counts: IntArray, classes: Sequence[str], colors: Sequence[Color], measure: str, name: str
) -> Figure:
    """How a measure from 0 to 1 is spread over objects: ``counts`` (classes, bins)."""
    bins = counts.shape[1]
    edges = np.arange(bins) / bins
    with empty_plot(3.2) as (drawing, (axes,)):
        bottom = np.zeros(bins)
        for title, color, n in zip(classes, colors, counts, strict=True):
            axes.bar(edges, n, bottom=bottom, width=0.9 / bins, align="edge", color=_hex(color), label=_short(title))  # fmt: skip
            bottom = bottom + n
        axes.set(xlim=(0, 1), xlabel=measure, ylabel="objects")
        axes.grid(visible=False, axis="x")
        _legend(axes, classes)
        svg = inline_svg(drawing, name)
    rows = tuple(
        (f"{k / bins:.2f} to {(k + 1) / bins:.2f}", *(f"{n:,}" for n in counts[:, k].tolist()))
        for k in range(bins)
    )
    table = Table(f"Objects by {measure}", (measure, *classes), rows)
    alt = f"Number of objects by {measure}: " + "; ".join(
        f"{_percent(n[: bins // 2])} of {title or 'all'} below 0.5"
        for title, n in zip(classes, counts, strict=True)
        if n.sum()
    )
    return Figure(svg, alt, f"Number of objects of each class by {measure}.", table)


def _percent(part: AnyArray) -> str:
    return f"{int(part.sum()):,}"


def _legend(axes: object, classes: Sequence[str]) -> None:
    """Name the classes above the plot, where there are several and not too many."""
    if 1 < len(classes) <= LEGEND:
        axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=4, frameon=False, borderaxespad=0.2)  # type: ignore[attr-defined]


def _short(name: str) -> str:
    return legible(shortened(name, 30))
