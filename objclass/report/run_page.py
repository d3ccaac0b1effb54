"""The page of a run: what it has found, in all images and in each, how certain it is, and what its objects look like."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import nan
from typing import NamedTuple

import numpy as np

from objclass.batch.unlike import UnlikeImages
from objclass.core import IntArray
from objclass.errors import listed
from objclass.export.report import BINS, NOVEL, TYPICAL, UNCERTAIN, UPPER, Example, Findings, Report, Spread
from objclass.novelty import EXPECTED
from objclass.report.facts import MAXIMUM_ROWS, counted, facts_section, left_out
from objclass.report.figures import number
from objclass.report.gallery import MAXIMUM_CLASSES, TITLES, maximum_of, pictures_for
from objclass.report.page import (
    BAR,
    Cell,
    Color,
    Folded,
    Gallery,
    Headline,
    Page,
    Part,
    Picture,
    Rows,
    Section,
    Strip,
    Table,
    Text,
    shortened,
)
from objclass.report.run_figures import images_figure, spread_figure, time_figure
from objclass.report.thumbnails import Contrast, thumbnail

CELLS = 30_000
"""Cells of the table of images, at most."""

NAMED = 20
"""Images that are named for one reason, at most; tables of more are folded."""

DOUBT = 0.5
"""Uncertainty from which an object counts as uncertain."""

CHANNELS = {
    2: ("The first channel is green, the second magenta.",),
    3: ("The first channel is cyan, the second magenta, the third yellow; further channels are not shown.",),
}
"""Number of channels of the pictures -> how they are shown."""

MEASURE = {NOVEL: "novelty", TYPICAL: "probability", UNCERTAIN: "uncertainty"}
"""Kind of example -> the value that it is chosen by; an object that is of several kinds is shown as the first one."""


class Row(NamedTuple):
    """What is kept of a lane.

    ``counts`` are those of each class; ``doubtful`` and ``novel`` the numbers of uncertain and of novel objects, None where
    they are not known; ``uncertainty`` is the mean.
    """

    image: str
    metadata: tuple[tuple[str, str], ...]
    inputs: tuple[tuple[str, str], ...]
    steps: int
    counts: tuple[int, ...]
    doubtful: int | None
    novel: int | None
    uncertainty: float

    @property
    def objects(self) -> int:
        """Number of objects."""
        return sum(self.counts)


class Shown(NamedTuple):
    """An example, the number and name of its image, and whether this has time."""

    example: Example
    lane: int
    image: str
    has_time: bool

    @property
    def place(self) -> tuple[int, int, int]:
        """Which object it is."""
        return self.lane, self.example.frame, self.example.label

    @property
    def rank(self) -> tuple[float, ...]:
        """What sorts examples, the best one first."""
        return (*self.example.rank, self.lane)


class Run:
    """What is kept of all lanes: sums, the best examples, and a row for each.

    Parameters
    ----------
    report
        What is known of the run.

    Attributes
    ----------
    rows
        What is kept of each lane.
    pixels
        Number of pixels of the objects of each class.
    spreads
        Measure -> number of objects (bins, classes); only those that are known.
    novel
        Number of novel objects of each class.
    times
        Number of objects (time steps, classes), of all lanes with time.
    """

    def __init__(self, report: Report) -> None:
        groups = len(report.classes)
        self.report = report
        self.rows: list[Row] = []
        self.pixels = np.zeros(groups, np.int64)
        self.spreads: dict[str, IntArray] = {}
        self.novel = np.zeros(groups, np.int64)
        self.times = np.zeros((0, groups), np.int64)
        self._best: dict[tuple[int, str], list[Shown]] = defaultdict(list)

    def add(self, found: Findings) -> None:
        """Add a lane."""
        counts = np.array(found.counts)
        self._add_examples(found)
        self.rows.append(_row(found, counts))
        self.pixels += found.pixels
        for measure, of_classes in found.spreads.items():
            self.spreads[measure] = self.spreads.get(measure, 0) + _bins(of_classes)
        if found.novel:
            self.novel += found.novel
        if len(counts) > 1:
            longer = max(len(counts) - len(self.times), 0)
            self.times = np.pad(self.times, ((0, longer), (0, 0)))
            self.times[: len(counts)] += counts

    def _add_examples(self, found: Findings) -> None:
        most = 2 * pictures_for(len(self.report.classes))  # an object is shown for one reason only
        for example in found.examples:
            best = self._best[example.group, example.kind]
            best.append(Shown(example, len(self.rows), found.image, len(found.counts) > 1))
            best.sort(key=lambda shown: shown.rank)
            del best[most:]

    def best(self, group: int) -> dict[str, list[Shown]]:
        """The best examples of a class, by kind."""
        return {kind: self._best[group, kind] for kind in MEASURE}

    @property
    def counts(self) -> IntArray:
        """Number of objects (lanes, classes)."""
        return np.array([row.counts for row in self.rows])

    @property
    def objects(self) -> int:
        """Number of all objects."""
        return sum(row.objects for row in self.rows)

    @property
    def is_classified(self) -> bool:
        """Whether objects have classes."""
        return bool(self.report.project)

    @property
    def missing(self) -> dict[str, str]:
        """Name of each lane that is not there, and why."""
        there, failed = {row.image for row in self.rows}, self.report.failed
        return {name: failed.get(name, "not run") for name in self.report.lanes if name not in there}


def _row(found: Findings, counts: IntArray) -> Row:
    objects, uncertainty = int(counts.sum()), found.spreads.get("uncertainty", ())
    return Row(
        found.image,
        found.metadata,
        found.inputs,
        len(counts),
        tuple(counts.sum(axis=0).tolist()),
        int(_doubtful(_bins(uncertainty)).sum()) if uncertainty else None,
        sum(found.novel) if found.novel else None,
        sum(spread.total for spread in uncertainty) / objects if objects else nan,
    )


def _bins(of_classes: Sequence[Spread]) -> IntArray:
    """Number of objects (bins, classes)."""
    return np.array([spread.counts for spread in of_classes]).T


def _doubtful(bins: IntArray) -> IntArray:
    """Number of uncertain objects of each class."""
    return bins[round(DOUBT * BINS) :].sum(axis=0)


def page_of(run: Run) -> Page:
    """The page."""
    what = f"classified by {run.report.project}" if run.is_classified else "measured"
    lead = f"{counted(run.objects, 'object')} in {counted(len(run.rows), 'image')}, {what}."
    return Page("Results of a run", lead, tuple(_sections(run)), tuple(_headlines(run)), tuple(_cautions(run)))  # fmt: skip


def _headlines(run: Run) -> Iterator[Headline]:
    images, steps = len(run.rows), sum(row.steps for row in run.rows)
    empty = sum(not row.objects for row in run.rows)
    details = [counted(steps, "time step")] if steps > images else []
    details += [f"{empty:,} without objects"] if empty else []
    yield Headline("Images", f"{images:,}", ", ".join(details))
    yield Headline("Objects", f"{run.objects:,}", f"{run.objects / images:,.1f} in an image" if images > 1 else "")  # fmt: skip
    if "uncertainty" in run.spreads:
        doubtful = int(_doubtful(run.spreads["uncertainty"]).sum())
        detail = f"{counted(doubtful, 'object')} of an uncertainty of {DOUBT:g} or more"
        yield Headline("Uncertain", _share(doubtful, run.objects), detail)
    if "novelty" in run.spreads:
        novel = int(run.novel.sum())
        detail = f"{counted(novel, 'object')}; expected {EXPECTED:.0%}"
        yield Headline("Novel", _share(novel, run.objects), detail)


def _cautions(run: Run) -> Iterator[str]:
    missing = run.missing
    if missing:
        images = counted(len(run.report.lanes), "image")
        yield f"{len(missing):,} of {images} failed or were not run, and are not in the numbers: {listed(missing)}."
    unlike = UnlikeImages(run.report.trained_on)
    for row in run.rows:
        unlike.add(row.image, row.objects, row.novel or 0)
    if unlike.line:
        yield unlike.line
    empty = [row.image for row in run.rows if not row.objects]
    if empty:
        yield f"Without objects: {listed(empty)}."


def _sections(run: Run) -> Iterator[Section]:
    yield Section("Classes" if run.is_classified else "Objects", (_table_of_classes(run),))
    if len(run.times) > 1:
        yield Section("Time", (time_figure(run.times, run.report.classes, run.report.colors),))
    if len(run.rows) > 1 or run.rows[0].metadata:
        yield Section("Images", tuple(_parts_of_images(run)))
    if "uncertainty" in run.spreads:
        yield _certainty(run)
    if "novelty" in run.spreads:
        yield _novelty(run)
    galleries = tuple(_galleries(run))
    if galleries:
        rest = left_out(len(run.report.classes), MAXIMUM_CLASSES)
        yield Section("Pictures", (*galleries, *rest), _lead(run))
    if run.missing:
        yield _missing(run.missing)
    inputs = tuple(f"{row.image}: {', '.join(f'{role} {name}' for role, name in row.inputs)}" for row in run.rows)  # fmt: skip
    yield facts_section([*run.report.facts, ("input images", inputs)])


def _table_of_classes(run: Run) -> Table:
    counts, total = run.counts.sum(axis=0), run.objects
    columns = {
        "class": [name or "all" for name in run.report.classes],
        "objects": [f"{n:,}" for n in counts.tolist()],
        "share": [Cell(_share(n, total), n / (total or 1), BAR) for n in counts.tolist()],
        "mean size in pixels": [
            number(size / n if n else nan, 1) for size, n in zip(run.pixels, counts, strict=True)
        ],
    }
    known = {}
    if "uncertainty" in run.spreads:
        known["uncertain"] = _doubtful(run.spreads["uncertainty"])
    if "novelty" in run.spreads:
        known["novel"] = run.novel
    shares = {
        name: [_share(int(part), int(n)) for part, n in zip(parts, counts, strict=True)]
        for name, parts in known.items()
    }
    rows = tuple(zip(*(columns | shares).values(), strict=True))
    return Table("Objects in all images", (*columns, *shares), rows)


def _parts_of_images(run: Run) -> Iterator[Part]:
    classes = run.report.classes
    yield images_figure([row.image for row in run.rows], run.counts, classes, run.report.colors)
    metadata = [name for name, _ in run.rows[0].metadata]
    columns = ["image", *metadata, "objects", *(classes if len(classes) > 1 else ()), *_rates(run)]
    shown = run.rows[: max(CELLS // len(columns), NAMED)]
    rows = tuple(_cells(row, run) for row in shown)
    if len(shown) < len(run.rows):
        yield Text(
            f"The first {len(shown):,} of {len(run.rows):,} images; --summary_filename writes the numbers of all."
        )
    yield _folded("Objects in each image", columns, rows, 1 + len(metadata))


def _rates(run: Run) -> list[str]:
    """Heads of the columns of an image's rates."""
    return [
        name
        for name, measure in (("uncertain", "uncertainty"), ("novel", "novelty"))
        if measure in run.spreads
    ]


def _cells(row: Row, run: Run) -> tuple[str, ...]:
    parts = {"uncertain": row.doubtful, "novel": row.novel}
    return (
        row.image,
        *(text for _, text in row.metadata),
        f"{row.objects:,}",
        *(f"{n:,}" for n in (row.counts if len(row.counts) > 1 else ())),
        *(_share(parts[name] or 0, row.objects) for name in _rates(run)),
    )


def _folded(caption: str, columns: Sequence[str], rows: Rows, texts: int = 1) -> Part:
    """A table, folded if it is long."""
    table = Table(caption, tuple(columns), rows, texts=texts)
    return table if len(rows) <= NAMED else Folded(f"{caption} ({len(rows):,})", (table,))


def _certainty(run: Run) -> Section:
    parts: list[Part] = [_spread(run, "uncertainty")]
    found = [row for row in run.rows if row.objects]
    if len(found) > 1:
        first = sorted(found, key=lambda row: (-row.uncertainty, row.image))[:NAMED]
        rows = tuple((row.image, number(row.uncertainty), _share(row.doubtful or 0, row.objects), f"{row.objects:,}") for row in first)  # fmt: skip
        table = Table("The images of the highest mean uncertainty", ("image", "mean uncertainty", "uncertain", "objects"), rows)  # fmt: skip
        parts.append(Folded("The images with the least certain objects", (table,)))
    if "novelty" not in run.spreads:
        parts.append(
            Text("Whether objects are unlike those of the training is not known; --novelty compares them.")
        )
    lead = (
        "The uncertainty of an object is 1 less the gap between its two highest probabilities: 0 is sure, 1 is a tie. It says "
        "how sure the classifier is, not how right."
    )
    return Section("Certainty", tuple(parts), lead)


def _novelty(run: Run) -> Section:
    parts: list[Part] = [_spread(run, "novelty")]
    unlike = UnlikeImages(run.report.trained_on)
    if len(run.rows) > 1:
        first = sorted(
            (row for row in run.rows if row.novel), key=lambda row: (-(row.novel or 0) / row.objects, row.image)
        )[:NAMED]  # fmt: skip
        rows = tuple(
            (row.image, _share(row.novel or 0, row.objects), f"{row.novel:,}", f"{row.objects:,}",
             "unlike the training images" if unlike.is_unlike(row.objects, row.novel or 0) else "")
            for row in first
        )  # fmt: skip
        if rows:
            columns = ("image", "novel", "novel objects", "objects", "")
            parts.append(Table("The images with the largest share of novel objects", columns, rows))
    lead = (
        "The novelty of an object is its distance to the nearest object of the training (of many, a choice of 1,000): above 1 it is novel, as "
        f"{EXPECTED:.0%} of the objects are in images like those of the training. Many novel objects say that an image looks unlike "
        "these, so that its classes are less reliable than the classifier itself says."
    )
    return Section("Novelty", tuple(parts), lead)


def _spread(run: Run, measure: str) -> Part:
    return spread_figure(run.spreads[measure], run.report.classes, run.report.colors, measure, UPPER[measure])


def _missing(missing: Mapping[str, str]) -> Section:
    rows = tuple(list(missing.items())[:MAXIMUM_ROWS])
    table = Table("Images that failed or were not run", ("image", "why"), rows, texts=2)
    return Section("Not in this report", (table, *left_out(len(missing))))


def _lead(run: Run) -> str:
    """What to know of all pictures."""
    groups = range(len(run.report.classes))
    shown = next(shown for group in groups for best in run.best(group).values() for shown in best)
    lines = ["Outlines have the colour of the class."]
    if shown.example.is_color:
        lines.append("Colours are those of the images.")
    else:
        channels = shown.example.crop.raw.shape[2]
        lines += ["The contrast is the same in all pictures of an image.", *CHANNELS.get(channels, ())]
    has_ids = shown.example.original is not None
    lines.append(
        "Ids are those of the label images."
        if has_ids
        else "Numbers of objects are those of tables (labelimage_oid)."
    )
    return " ".join(lines)


def _galleries(run: Run) -> Iterator[Gallery]:
    classes = run.report.classes
    for group, (name, color) in enumerate(zip(classes[:MAXIMUM_CLASSES], run.report.colors, strict=False)):
        shown = chosen(run.best(group), pictures_for(len(classes)))
        titles = TITLES if run.is_classified else {TYPICAL: ("A sample", "Chosen at random.")}
        strips = tuple(
            Strip(*titles[kind], tuple(_picture(found, kind, name, color) for found in shown[kind]))
            for kind in titles
            if shown.get(kind)
        )
        if strips:
            yield Gallery(name or "Objects", color, strips)


def chosen(best: Mapping[str, Sequence[Shown]], count: int) -> dict[str, list[Shown]]:
    """The examples of a class to show, by kind; no object twice."""
    free = {one.place for found in best.values() for one in found}
    shown = {}
    for kind, found in best.items():
        maximum = maximum_of(kind, count, len(free)) if best.get(UNCERTAIN) else count
        shown[kind] = [one for one in found if one.place in free][:maximum]
        free -= {one.place for one in shown[kind]}
    return shown


def _picture(shown: Shown, kind: str, name: str, color: Color) -> Picture:
    """The picture of an example."""
    example, crop = shown.example, shown.example.crop
    channels = crop.raw.shape[2]
    contrast = Contrast(np.zeros(channels), np.full(channels, 255.0), is_color=example.is_color)
    place = ", ".join(f"{axis} {n:.0f}" for axis, n in zip("xyz", example.center, strict=False))
    step = f", time step {example.frame}" if shown.has_time else ""
    values = {what: f"{what} {number(value, 2)}" for what, value in example.values.items()}
    image = shortened(shown.image)
    what = f"{kind} object of {shortened(name)}" if values else "object"
    label = f"object {example.label}" if example.original is None else f"id {example.original}"
    alt = "; ".join([f"{what} in {image}{step}, at {place}", *values.values()])
    why = values.get(MEASURE[kind], "")
    return Picture(thumbnail(crop, contrast, color), alt, why, f"{image}, {label}{step}")


def _share(part: int, total: int) -> str:
    return f"{part / total:.1%}" if total else "–"
