"""The report of a run: what it has found in its images, collected lane by lane."""

from collections import defaultdict
from collections.abc import Iterator
from math import nan
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np

from objclass.core import IntArray
from objclass.errors import listed
from objclass.export.columns import Columns
from objclass.export.report import (
    BINS,
    COLUMN,
    NOVEL,
    TYPICAL,
    UNCERTAIN,
    Example,
    Findings,
    Report,
    findings_of,
)
from objclass.report.facts import counted, facts_section
from objclass.report.figures import number
from objclass.report.gallery import TITLES, pictures_for
from objclass.report.page import (
    BAR,
    Cell,
    Folded,
    Gallery,
    Headline,
    Page,
    Part,
    Picture,
    Section,
    Strip,
    Table,
    Text,
    rendered,
)
from objclass.report.run_figures import certainty_figure, images_figure, time_figure
from objclass.report.thumbnails import Contrast, thumbnail

CELLS = 30_000
"""Cells of the table of images, at most."""

FIRST = BINS // 2
"""First bin of the objects that count as uncertain."""

NAMED = 20
"""Images that are named for one reason, at most."""

DOUBT = FIRST / BINS
"""Uncertainty from which an object counts as uncertain."""


CHANNELS = {
    2: "The first channel is green, the second magenta.",
    3: "The first channel is cyan, the second magenta, the third yellow; further channels are not shown.",
}
"""Number of channels of the pictures -> how they are shown."""

MEASURE = {TYPICAL: "probability", UNCERTAIN: "uncertainty", NOVEL: "novelty"}
"""Kind of example -> the value that it is chosen by."""


class Shown(NamedTuple):
    """An example, and the name of its image."""

    example: Example
    lane: int
    image: str

    @property
    def place(self) -> tuple[int, int, int]:
        """Which object it is."""
        return self.lane, self.example.frame, self.example.label

    @property
    def rank(self) -> tuple[float, ...]:
        """What sorts examples, the best one first."""
        return (*self.example.rank, self.lane)


class Row(NamedTuple):
    """What is kept of a lane.

    ``counts`` are those of each class, ``uncertainty`` the mean and ``doubtful`` the number of uncertain objects.
    """

    image: str
    metadata: tuple[tuple[str, str], ...]
    inputs: tuple[tuple[str, str], ...]
    steps: int
    counts: tuple[int, ...]
    doubtful: int
    uncertainty: float


class RunReport:
    """The report of a run; lanes are added in their order.

    Parameters
    ----------
    path
        Its temporary file.
    report
        What is known of the run.
    """

    def __init__(self, path: str, report: Report) -> None:
        self._file: BinaryIO = Path(path).open("wb")  # noqa: SIM115 (closed by close)
        self._report, self._rows = report, list[Row]()
        groups = len(report.classes)
        self._pixels = np.zeros(groups, np.int64)
        self._doubts = np.zeros((groups, BINS), np.int64)
        self._times = np.zeros((0, groups), np.int64)
        self._best: dict[tuple[int, str], list[Shown]] = defaultdict(list)

    def append(self, columns: Columns) -> None:
        """Add the findings of lanes."""
        for text in columns[COLUMN].tolist():
            self._add(findings_of(text))

    def _add(self, found: Findings) -> None:
        counts = np.array(found.counts)
        doubts = np.array([spread.counts for spread in found.uncertainty]).reshape(-1, BINS)
        total = sum(spread.total for spread in found.uncertainty)
        lane, objects = len(self._rows), int(counts.sum())
        self._rows.append(
            Row(
                found.image,
                found.metadata,
                found.inputs,
                len(counts),
                tuple(counts.sum(axis=0).tolist()),
                int(doubts[:, FIRST:].sum()),
                total / objects if objects else nan,
            )
        )
        self._pixels += found.pixels
        if len(doubts):
            self._doubts += doubts
        if len(counts) > 1:
            longer = max(len(counts) - len(self._times), 0)
            self._times = np.pad(self._times, ((0, longer), (0, 0)))
            self._times[: len(counts)] += counts
        most = 2 * pictures_for(len(self._report.classes))  # an object is shown for one reason only
        for example in found.examples:
            best = self._best[example.group, example.kind]
            best.append(Shown(example, lane, found.image))
            best.sort(key=lambda shown: shown.rank)
            del best[most:]

    def close(self) -> None:
        """Draw the page."""
        self._file.write(rendered(self._page()))
        self._file.close()

    def abort(self) -> None:
        """Close the file without finishing it."""
        self._file.close()

    @property
    def _classes(self) -> tuple[str, ...]:
        return self._report.classes

    @property
    def _is_classified(self) -> bool:
        return bool(self._doubts.any()) or self._classes != ("",)

    @property
    def _counts(self) -> IntArray:
        """Number of objects (images, classes)."""
        return np.array([row.counts for row in self._rows])

    def _page(self) -> Page:
        project, total = self._report.project, int(self._counts.sum())
        images = counted(len(self._rows), "image")
        what = f"classified by {project}" if project else "measured"
        return Page(
            "Results of a run",
            f"{counted(total, 'object')} in {images}, {what}.",
            tuple(self._sections()),
            tuple(self._headlines()),
            tuple(self._cautions()),
        )

    def _missing(self) -> dict[str, str]:
        """Lanes that are not in the report, and why."""
        there = {row.image for row in self._rows}
        return {
            name: self._report.failed.get(name, "not run") for name in self._report.lanes if name not in there
        }

    def _headlines(self) -> Iterator[Headline]:
        total = int(self._counts.sum())
        empty = sum(not any(row.counts) for row in self._rows)
        steps = sum(row.steps for row in self._rows)
        details = [counted(steps, "time step")] if steps > len(self._rows) else []
        details += [f"{empty:,} without objects"] if empty else []
        yield Headline("Images", f"{len(self._rows):,}", ", ".join(details))
        mean = f"{total / len(self._rows):,.1f} in an image" if len(self._rows) > 1 else ""
        yield Headline("Objects", f"{total:,}", mean)
        if self._is_classified:
            doubtful = sum(row.doubtful for row in self._rows)
            detail = f"{counted(doubtful, 'object')} of an uncertainty of {DOUBT:g} or more"
            yield Headline("Uncertain", _share(doubtful, total), detail)

    def _cautions(self) -> Iterator[str]:
        missing = self._missing()
        if missing:
            yield f"{len(missing):,} of {counted(len(self._report.lanes), 'image')} failed or were not run, and are not in the numbers: {listed(missing)}."
        empty = [row.image for row in self._rows if not any(row.counts)]
        if empty:
            yield f"Without objects: {listed(empty)}."

    def _sections(self) -> Iterator[Section]:
        yield Section("Classes" if self._is_classified else "Objects", (self._table_of_classes(),))
        if len(self._times) > 1:
            figure = time_figure(self._times, self._classes, self._report.colors)
            yield Section("Time", (figure,))
        if len(self._rows) > 1 or self._rows[0].metadata:
            yield Section("Images", tuple(self._parts_of_images()))
        if self._is_classified:
            yield Section(
                "Certainty",
                tuple(self._parts_of_certainty()),
                "The uncertainty of an object is 1 less the gap between its two highest probabilities: 0 is sure, 1 is a tie. "
                "It says how sure the classifier is, not how right.",
            )
        galleries = tuple(self._galleries())
        if galleries:
            yield Section("Pictures", galleries, "Outlines have the color of the class. " + self._contrast)
        missing = self._missing()
        if missing:
            rows = tuple((name, why) for name, why in [*missing.items()][: CELLS // 10])
            yield Section("Not in this report", (Table("Images that failed or were not run", ("image", "why"), rows, texts=2),))  # fmt: skip
        inputs = tuple(f"{row.image}: {', '.join(f'{role} {name}' for role, name in row.inputs)}" for row in self._rows)  # fmt: skip
        yield facts_section([*self._report.facts, ("input images", inputs)])

    def _table_of_classes(self) -> Table:
        counts = self._counts.sum(axis=0)
        total = int(counts.sum())
        columns = ["class", "objects", "share", "mean size in pixels"]
        columns += ["uncertain"] if self._is_classified else []
        rows = tuple(
            self._row_of_class(k, name, int(n), total)
            for k, (name, n) in enumerate(zip(self._classes, counts, strict=True))
        )
        return Table("Objects in all images", tuple(columns), rows)

    def _row_of_class(self, k: int, name: str, n: int, total: int) -> tuple[str | Cell, ...]:
        size = number(self._pixels[k] / n if n else nan, 1)
        doubtful = (_share(int(self._doubts[k, FIRST:].sum()), n),) if self._is_classified else ()
        return name or "all", f"{n:,}", Cell(_share(n, total), n / (total or 1), BAR), size, *doubtful

    def _parts_of_images(self) -> Iterator[Part]:
        names = [row.image for row in self._rows]
        yield images_figure(names, self._counts, self._classes, self._report.colors)
        metadata = [name for name, _ in self._rows[0].metadata]
        several = len(self._classes) > 1
        columns = ["image", *metadata, "objects", *(self._classes if several else ())]
        columns += ["uncertain"] if self._is_classified else []
        shown = self._rows[: max(CELLS // len(columns), NAMED)]
        rows = tuple(
            (
                row.image,
                *(text for _, text in row.metadata),
                f"{sum(row.counts):,}",
                *(f"{n:,}" for n in (row.counts if several else ())),
                *([_share(row.doubtful, sum(row.counts))] if self._is_classified else ()),
            )
            for row in shown
        )
        table = Table("Objects in each image", tuple(columns), rows, texts=1 + len(metadata))
        if len(shown) < len(self._rows):
            yield Text(
                f"The first {len(shown):,} of {len(self._rows):,} images; --summary_filename writes the numbers of all."
            )
        yield (
            table if len(rows) <= NAMED else Folded(f"The numbers of {counted(len(rows), 'image')}", (table,))
        )

    def _parts_of_certainty(self) -> Iterator[Part]:
        yield certainty_figure(self._doubts.T, self._classes, self._report.colors, "uncertainty")
        if len(self._rows) > 1:
            first = sorted(
                (row for row in self._rows if any(row.counts)), key=lambda row: (-row.uncertainty, row.image)
            )[:NAMED]
            rows = tuple(
                (
                    row.image,
                    number(row.uncertainty),
                    _share(row.doubtful, sum(row.counts)),
                    f"{sum(row.counts):,}",
                )
                for row in first
            )
            table = Table("Images of the highest mean uncertainty", ("image", "mean uncertainty", "uncertain", "objects"), rows)  # fmt: skip
            yield Folded("The images with the least certain objects", (table,))

    @property
    def _contrast(self) -> str:
        shown = next((shown for best in self._best.values() for shown in best), None)
        if shown is None or shown.example.is_color:
            return "Colours are those of the images."
        channels = CHANNELS.get(shown.example.crop.raw.shape[2], "")
        return f"The contrast is the same in all pictures of an image. {channels}"

    def _galleries(self) -> Iterator[Gallery]:
        count = pictures_for(len(self._classes))
        for k, name in enumerate(self._classes):
            shown = chosen({kind: self._best[k, kind] for kind in (NOVEL, TYPICAL, UNCERTAIN)}, count)
            color = self._report.colors[k]
            strips = []
            for kind, (title, lead) in TITLES.items():
                pictures = tuple(_picture(found, kind, name, color) for found in shown.get(kind, ()))
                if pictures:
                    strips.append(
                        Strip(title, lead, pictures) if name else Strip("A sample", "Chosen at random.", pictures)
                    )  # fmt: skip
            if strips:
                yield Gallery(name or "Objects", color, tuple(strips))


def chosen(best: dict[str, list[Shown]], count: int) -> dict[str, list[Shown]]:
    """The examples of a class to show, by kind; no object twice."""
    taken: set[tuple[int, int, int]] = set()
    shown = {}
    for kind, found in best.items():
        shown[kind] = [one for one in found if one.place not in taken][:count]
        taken |= {one.place for one in shown[kind]}
    return shown


def _picture(shown: Shown, kind: str, name: str, color: tuple[int, int, int]) -> Picture:
    """The picture of an example."""
    example = shown.example
    crop = example.crop
    channels = crop.raw.shape[2]
    contrast = Contrast(np.zeros(channels), np.full(channels, 255.0), is_color=example.is_color)
    png = thumbnail(crop, contrast, color)
    place = ", ".join(f"{axis} {n:.0f}" for axis, n in zip("xyz", example.center, strict=False))
    step = f", time step {example.frame}" if example.frame else ""
    values = ", ".join(f"{what} {number(value, 2)}" for what, value in example.values.items())
    why = f"{MEASURE[kind]} {number(example.values[MEASURE[kind]])}" if name else ""
    what = f"{kind} object of {name}" if name else "object"
    alt = f"{what} in {shown.image}{step}, at {place}{': ' if values else ''}{values}"
    return Picture(png, alt, why, f"{shown.image}{step}, object {example.label}")


def _share(part: int, total: int) -> str:
    return f"{part / total:.1%}" if total else "–"
