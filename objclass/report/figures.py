"""Figures: plots as inline SVG, in the colors of the page, light or dark.

Plots are drawn by matplotlib without a window and without state of its own. What is drawn in one of four ink colors gets
the color that the style of the page has for it.
"""

import io
import logging
import re
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import isfinite
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from objclass.errors import listed
from objclass.evaluation.result import Calibration, Importance, LearningCurve, Score
from objclass.evaluation.summary import rate
from objclass.report.page import Figure, Table, legible, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Drawing

logging.getLogger("matplotlib").addHandler(
    logging.NullHandler()
)  # where it keeps its fonts is no affair of the user

INK, MUTED, LINE, ACCENT = "#010203", "#040506", "#070809", "#0a0b0c"
"""Stand-ins for colors of the style of the page."""

_STYLED = {INK: "var(--ink)", MUTED: "var(--muted)", LINE: "var(--line)", ACCENT: "var(--right)"}

_SVG, _XLINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}"
"""Namespaces, which HTML needs not."""

DOT = 90
"""Area of the dot of most objects, in square points."""

MAXIMUM_GROUPS = 15
"""Groups whose importances are drawn; what follows loses little or nothing."""

MAXIMUM_NUMBERS = 200
"""Groups whose importances are listed."""

WIDTH = 6.4
"""Inches; the page scales plots to its own width."""

STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "objclass",
    "font.size": 10,
    "font.family": "sans-serif",
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.grid": True,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "figure.constrained_layout.use": True,
}


_DRAWING = threading.Lock()
"""Held while a plot is drawn: styles, and filters of warnings, are those of the whole process."""


def number(value: float, digits: int = 2) -> str:
    """A number with so many decimals; a dash where it is not known.

    Examples
    --------
    >>> number(0.5), number(float("nan")), number(-0.00001)
    ('0.50', '–', '0.00')
    """
    if not isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.removeprefix("-") if float(text) == 0 else text.replace("-", "−")


def score_text(value: float) -> str:
    """A score with two decimals, more where these would say that nothing is wrong; a dash where it is not known.

    Examples
    --------
    >>> score_text(0.934), score_text(0.998), score_text(1), score_text(float("nan"))
    ('0.93', '0.998', '1.00', '–')
    """
    return rate(value) if isfinite(value) else number(value)


def interval(score: Score) -> str:
    """The interval of a score: ``0.81 to 0.90``; ``""`` if it has none."""
    if not (isfinite(score.low) and isfinite(score.high)):
        return ""
    return f"{score_text(score.low)} to {score_text(score.high)}"


def calibration_figure(found: Calibration) -> Figure:
    """Fraction of correct predictions by probability, and below how many predictions have it."""
    filled = [k for k, n in enumerate(found.objects) if n]
    with empty_plot(4.6, rows=(3, 1)) as (drawing, (upper, lower)):
        upper.plot((0, 1), (0, 1), color=MUTED, linewidth=1, linestyle=(0, (4, 3)))
        upper.plot(
            [found.probability[k] for k in filled],
            [found.correct[k] for k in filled],
            color=LINE,
            linewidth=1.6,
        )
        upper.scatter(
            [found.probability[k] for k in filled],
            [found.correct[k] for k in filled],
            s=[DOT * found.objects[k] / max(found.objects) + 6 for k in filled],
            color=ACCENT, zorder=3, clip_on=False,
        )  # fmt: skip
        upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="fraction correct")
        widths = [b - a for a, b in zip(found.edges, found.edges[1:], strict=False)]
        lower.bar(
            found.edges[:-1], found.objects, width=[0.92 * w for w in widths], align="edge", color=ACCENT
        )
        lower.set(xlim=(0, 1), xlabel="highest probability", ylabel="predictions")
        svg = inline_svg(drawing, "calibration")
    rows = tuple(
        (
            f"{number(found.edges[k])} to {number(found.edges[k + 1])}",
            f"{found.objects[k]:,}",
            number(found.probability[k]),
            number(found.correct[k]),
        )
        for k in filled
    )
    table = Table(
        "Calibration", ("highest probability", "predictions", "mean probability", "fraction correct"), rows
    )
    alt = (
        "Fraction of correct predictions against their probability, on the diagonal where probabilities are right: "
        + "; ".join(f"{correct} correct at {probability}" for _, _, probability, correct in rows)
    )
    return Figure(svg, alt, "On the dashed line, objects that get a probability of 0.8 are right in 80 of 100 cases. Larger dots are more predictions.", table)  # fmt: skip


def learning_figure(found: LearningCurve) -> Figure:
    """Balanced accuracy by number of labels, with intervals."""
    values = [score.value for score in found.scores]
    with empty_plot(3.2) as (drawing, (axes,)):
        below = [max(0.0, score.value - _or(score.low, score.value)) for score in found.scores]
        above = [max(0.0, _or(score.high, score.value) - score.value) for score in found.scores]
        axes.errorbar(
            found.objects, values, yerr=(below, above),
            color=ACCENT, ecolor=MUTED, elinewidth=1, capsize=3, marker="o", markersize=5, linewidth=1.6,
        )  # fmt: skip
        axes.set(xlim=(0, None), xlabel="labelled objects in training", ylabel="balanced accuracy")
        svg = inline_svg(drawing, "learning")
    rows = tuple(
        (f"{n:,}", score_text(score.value), interval(score))
        for n, score in zip(found.objects, found.scores, strict=True)
    )
    table = Table("Learning curve", ("labelled objects", "balanced accuracy", "95 % interval"), rows)
    alt = "Balanced accuracy against the number of labelled objects: " + "; ".join(
        f"{value} with {n}" for n, value, _ in rows
    )
    return Figure(svg, alt, "Balanced accuracy of classifiers that were trained on fewer labels; bars are 95 % intervals.", table)  # fmt: skip


def importance_figure(every: Sequence[Importance]) -> Figure:
    """Loss of balanced accuracy of each group, largest first; of many groups the first ones."""
    found = every[:MAXIMUM_GROUPS]
    places = range(len(found))
    with empty_plot(0.9 + 0.3 * len(found)) as (drawing, (axes,)):
        for place, importance in zip(places, found, strict=True):
            loss = importance.loss
            axes.plot((_or(loss.low, loss.value), _or(loss.high, loss.value)), (place, place), color=MUTED, linewidth=1.2)  # fmt: skip
        axes.plot([importance.loss.value for importance in found], places, "o", color=ACCENT, markersize=6)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set_yticks(places, [legible(shortened(importance.group, 40)) for importance in found])
        axes.locator_params(axis="x", nbins=6)
        axes.set(ylim=(len(found) - 0.4, -0.6), xlabel="loss of balanced accuracy when shuffled")
        axes.spines["left"].set_visible(False)
        svg = inline_svg(drawing, "importances")
    rows = tuple(
        (
            i.group,
            listed(i.shared_with, 3) if i.shared_with else "",
            f"{len(i.columns):,}",
            score_text(i.loss.value),
            interval(i.loss),
        )
        for i in every[:MAXIMUM_NUMBERS]
    )
    columns = ("group", "others that say most of it", "columns", "loss", "95 % interval")
    table = Table("Importances", columns, rows, texts=2)
    alt = "Loss of balanced accuracy when the columns of a group are shuffled: " + "; ".join(
        f"{shortened(one.group)} {score_text(one.loss.value)}" for one in found
    )
    shared = (
        ""
        if not any(one.shared_with for one in found)
        else " A group that other ones can stand in for loses little, however much it says."
    )
    return Figure(svg, alt, f"What held-out objects lose in balanced accuracy when all columns of a group are shuffled together; lines are 95 % intervals.{shared}", table)  # fmt: skip


def _or(value: float, other: float) -> float:
    return value if isfinite(value) else other


@contextmanager
def empty_plot(height: float, rows: Sequence[int] = (1,)) -> "Iterator[tuple[Drawing, list[Axes]]]":
    """An empty plot of one or more axes, one above the other, in the style of the page."""
    import matplotlib as mpl
    from matplotlib.figure import Figure as Drawing

    with _DRAWING, mpl.rc_context(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # letters that matplotlib's own font lacks: the page has others
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        drawing = Drawing(figsize=(WIDTH, height))
        made = drawing.subplots(len(rows), sharex=True, height_ratios=rows, squeeze=False)
        yield drawing, list(made[:, 0])


def inline_svg(drawing: "Drawing", name: str) -> str:
    """The plot as inline SVG: without header, date and style sheet, its colors those of the page, its ids its own."""
    file = io.StringIO()
    drawing.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    root = ElementTree.fromstring(file.getvalue())  # noqa: S314  it was written above
    for parent in list(root.iter()):
        parent.tag = parent.tag.removeprefix(_SVG)
        for child in list(parent):
            if child.tag in (f"{_SVG}metadata", f"{_SVG}style"):
                parent.remove(child)
        parent.attrib = {
            key.removeprefix(_XLINK): _of_page(value, name) if key != "id" else f"{name}-{value}"
            for key, value in parent.attrib.items()
        }
    root.attrib = {"viewBox": root.attrib["viewBox"], "aria-hidden": "true"}
    return ElementTree.tostring(root, encoding="unicode")


def _of_page(value: str, name: str) -> str:
    """The value of an attribute with the colors of the page, and the ids of a plot."""
    value = re.sub(r"(?<=^)#(?=[a-z]\w*$)|(?<=url\()#", f"#{name}-", value)
    for color, variable in _STYLED.items():
        value = value.replace(color, variable)
    return value
