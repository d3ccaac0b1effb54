"""The page of an evaluation: how good a classifier is, where it errs, and what its objects look like."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from objclass.core import FloatArray, IntArray
from objclass.evaluation.cautions import CLEAR, noun
from objclass.evaluation.result import ClassScores, Evaluation, Score
from objclass.report import gallery
from objclass.report.facts import MAXIMUM_ROWS, Facts, counted, facts_section, left_out
from objclass.report.figures import (
    calibration_figure,
    importance_figure,
    interval,
    learning_figure,
    number,
    score_text,
)
from objclass.report.gallery import TITLES, Candidates, chosen, pictures_for
from objclass.report.page import (
    BAR,
    RIGHT,
    WRONG,
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
from objclass.report.pictures import Crops
from objclass.report.thumbnails import contrast_of, thumbnail

FIRST_ROWS = 20
"""Rows of the table of images that are not folded away."""

MAXIMUM_CLASSES, MAXIMUM_CONFUSIONS = 30, 40
"""Classes of a matrix, confusions of a list: what is more is counted, so that pages can be read."""

Shown = Mapping[int, Mapping[str, IntArray]]
"""Class -> kind -> rows of the objects to show."""


@dataclass(frozen=True)
class Subject:
    """What was evaluated.

    Parameters
    ----------
    title
        The heading of the page.
    facts
        Parameters and provenance.
    colors
        Of the classes.
    """

    title: str
    facts: Facts
    colors: tuple[Color, ...]


def objects_to_show(found: Evaluation, novelty: FloatArray | None = None) -> dict[int, dict[str, IntArray]]:
    """The objects of the gallery, of each class.

    Parameters
    ----------
    novelty
        Of the objects of the evaluation (n,), above 1 they are novel; None if unknown.
    """
    objects = found.objects
    candidates = Candidates(objects.predicted, objects.probabilities, objects.image, objects.given, novelty)
    count = pictures_for(len(found.names))
    classes = range(1, min(len(found.names), gallery.MAXIMUM_CLASSES) + 1)
    return {k: chosen(candidates, k, count) for k in classes}


def page_of(found: Evaluation, subject: Subject, shown: Shown, crops: Crops) -> Page:
    """The page.

    Parameters
    ----------
    found
        The evaluation.
    subject
        What was evaluated.
    shown
        The objects of the gallery.
    crops
        Their crops, as far as their images were found.
    """
    sections = [
        _classes(found),
        _confusion(found),
        _calibration(found),
        *_learning(found),
        *_importances(found),
        *([_gallery(found, subject.colors, shown, crops)] if shown else []),
        *([_images(found)] if _has_images(found) else []),
        facts_section(subject.facts),
    ]
    return Page(subject.title, _lead(found), tuple(sections), _headlines(found), found.cautions)


def method_facts(found: Evaluation) -> Iterator[tuple[str, tuple[str, ...]]]:
    """How the evaluation was made."""
    grouped = f", grouped by {found.grouped_by}" if found.grouped_by else ""
    if found.method != "cross-validation":
        yield "judged by", (f"{found.method}{grouped}",)
    else:
        folds = f"{found.folds} folds, {counted(found.repeats, 'repeat')}"
        yield "judged by", (f"{found.method}: {folds}{grouped}",)
        yield "random state of the folds", (str(found.seed),)
    if _has_images(found):
        yield "images of the evaluation", found.images


def _has_images(found: Evaluation) -> bool:
    """Whether the objects come from images whose names are known; those of a table may not."""
    return any(found.images)


def _lead(found: Evaluation) -> str:
    images = f" in {counted(len(found.images), 'image')}" if _has_images(found) else ""
    objects = f"{len(found.objects.given):,} labelled objects of {len(found.names)} classes{images}"
    if found.method != "cross-validation":
        return f"{objects}, compared with what the classifier predicts. Intervals are 95 %."
    held_out = f"whole {noun(found.grouped_by)}" if found.grouped_by else "objects drawn at random"
    repeats = f", {counted(found.repeats, 'time')}" if found.repeats > 1 else ""
    return (
        f"{objects}, each judged by classifiers that were not trained on it: {found.method} in {found.folds} folds{repeats}, "
        f"by which {held_out} are held out. Intervals are 95 %."
    )


def _headlines(found: Evaluation) -> tuple[Headline, ...]:
    named = {
        "Balanced accuracy": found.balanced_accuracy,
        "Accuracy": found.accuracy,
        "F1, mean of classes": found.f1,
        "Matthews correlation": found.matthews,
    }
    return tuple(Headline(name, score_text(score.value), interval(score)) for name, score in named.items())


def _classes(found: Evaluation) -> Section:
    groups = (noun(found.grouped_by),) if found.grouped_by else ()
    columns = ("class", "objects", *groups, "predicted", "correct", "precision", "recall", "F1")
    rows: Rows = tuple(_class_row(scores, is_grouped=bool(groups)) for scores in found.by_class)
    is_rare = any(scores.recall is None for scores in found.by_class)
    rare = (Text("A class without rates has too few objects to judge: its counts are all that can be said."),) if is_rare else ()  # fmt: skip
    lead = "Precision: of the objects predicted as a class, the fraction that are of it. Recall: of the objects of a class, the fraction that are found."
    return Section("Classes", (Table("Scores by class, with 95 % intervals", columns, rows), *rare), lead)


def _class_row(scores: ClassScores, *, is_grouped: bool) -> tuple[str | Cell, ...]:
    counts = (scores.objects, *((scores.images,) if is_grouped else ()), scores.predicted, scores.correct)
    return (
        scores.name,
        *(f"{n:,}" for n in counts),
        *map(_rate, (scores.precision, scores.recall, scores.f1)),
    )


def _rate(score: Score | None) -> Cell:
    return Cell("too few") if score is None else Cell(score_text(score.value), detail=interval(score))


def _confusion(found: Evaluation) -> Section:
    """The matrix; of many classes the most frequent confusions."""
    if len(found.names) > MAXIMUM_CLASSES:
        return Section("Confusions", (_confusions(found),))
    rows: Rows = tuple((name, *_shades(found.confusion[k].tolist(), k)) for k, name in enumerate(found.names))
    table = Table("Counts of labelled objects", ("label", *found.names), rows, spanning="predicted")
    lead = "Rows are labels, columns predictions; shades are fractions of a row."
    return Section("Confusion matrix", (table,), lead)


def _shades(counts: Sequence[int], own: int) -> list[Cell]:
    """The cells of a row, whose class is at the place ``own``."""
    total = max(1, sum(counts))
    return [Cell(f"{n:,}", n / total, RIGHT if j == own else WRONG) for j, n in enumerate(counts)]


def _confusions(found: Evaluation) -> Table:
    wrong = found.confusion * (1 - np.eye(len(found.names), dtype=int))
    order = np.argsort(-wrong, axis=None, kind="stable")[:MAXIMUM_CONFUSIONS].tolist()
    pairs = [divmod(place, len(found.names)) for place in order]
    rows = tuple((found.names[k], found.names[j], f"{wrong[k, j]:,}") for k, j in pairs if wrong[k, j])
    caption = f"The most frequent confusions of {len(found.names)} classes"
    return Table(caption, ("label", "predicted", "objects"), rows, texts=2)


def _calibration(found: Evaluation) -> Section:
    claimed = found.calibration
    total = sum(n * p for n, p in zip(claimed.objects, claimed.probability, strict=True) if n)
    lead = (
        f"On average the classifier claims a probability of {number(total / max(sum(claimed.objects), 1))}, and is right in "
        f"{score_text(found.accuracy.value)} of the cases. Expected calibration error {number(claimed.error)}, Brier score "
        f"{number(claimed.brier)}: 0 is perfect for both."
    )
    return Section("Calibration of the probabilities", (calibration_figure(claimed),), lead)


def _learning(found: Evaluation) -> list[Section]:
    curve = found.learning_curve
    if curve is None:
        return []
    verdict = f"{curve.verdict[:1].upper()}{curve.verdict[1:].rstrip('.')}."
    return [Section("Would more labels help?", (learning_figure(curve),), verdict)]


def _importances(found: Evaluation) -> list[Section]:
    if not found.importances:
        return []
    return [Section("Importance of the features", (importance_figure(found.importances),))]


def _images(found: Evaluation) -> Section:
    """Counts of labelled objects by image and class, the least accurate images first."""
    counts = np.zeros((len(found.images), len(found.names)), int)
    np.add.at(counts, (found.objects.image, found.objects.given - 1), 1)
    totals = counts.sum(axis=1)
    accuracy = {name: share for name, _, share in found.by_image}
    shares = np.array([accuracy.get(name, 0.0) for name in found.images])
    order = [k for k in np.argsort(shares, kind="stable").tolist() if totals[k]]
    named = found.names if len(found.names) <= MAXIMUM_CLASSES else ()
    rows = tuple(
        (
            found.images[k],
            Cell(score_text(shares[k]), shares[k], BAR),
            f"{totals[k]:,}",
            *(f"{n:,}" for n in counts[k, : len(named)]),
        )
        for k in order[:MAXIMUM_ROWS]
    )
    columns = ("image", "accuracy", "objects", *named)
    first = Table("Accuracy and number of labelled objects", columns, rows[:FIRST_ROWS])
    others = Table("Accuracy and number of labelled objects", columns, rows[FIRST_ROWS:])
    folded = (Folded(f"{counted(len(others.rows), 'more image')}", (others, *left_out(len(order)))),)
    return Section(
        "Images", (first, *(folded if others.rows else ())), f"The least accurate first. {_mixed(found)}"
    )


def _mixed(found: Evaluation) -> str:
    """How good the classifier would look if objects of a group could be on both sides, where this is clearly better."""
    random, whole = found.ungrouped, found.balanced_accuracy
    # where there is no interval (NaN), only the difference counts
    if random is None or random.value < whole.value + CLEAR or random.value <= whole.high:
        return ""
    return (
        f"If objects were held out at random, and not {noun(found.grouped_by)} as a whole, balanced accuracy would be "
        f"{score_text(random.value)}: too optimistic for new ones."
    )


def _gallery(found: Evaluation, colors: Sequence[Color], shown: Shown, crops: Crops) -> Section:
    """The pictures of each class."""
    if not crops.by_row:
        return Section(
            "Objects",
            (Text("No pictures: the images of the labelled objects were not found, or have changed."),),
        )
    contrast = contrast_of([*crops.by_row.values()], is_color=crops.is_color)
    parts: list[Part] = []
    for k, kinds in shown.items():
        strips = []
        for kind, rows in kinds.items():
            pictures = tuple(
                Picture(thumbnail(crops.by_row[row], contrast, colors[k - 1]), *_described(found, row, crops.original.get(row)))
                for row in rows.tolist() if row in crops.by_row
            )  # fmt: skip
            if pictures:
                strips.append(Strip(*TITLES[kind], pictures))
        if strips:
            parts.append(Gallery(found.names[k - 1], colors[k - 1], tuple(strips)))
    hidden = len(found.names) - len(shown)
    if hidden > 0:
        parts.append(Text(f"… and {counted(hidden, 'more class', 'more classes')} without pictures."))
    absent = sum(len(rows) for kinds in shown.values() for rows in kinds.values()) - len(crops.by_row)
    lost = (
        (Text(f"{counted(absent, 'object')} cannot be shown: their images were not found, or have changed."),)
        if absent
        else ()
    )
    lead = (
        f"Most pictures show {crops.window} × {crops.window} pixels; larger objects are reduced. {contrast.described} "
        f"{'Ids are those of the label images.' if crops.original else 'Numbers of objects are those of tables (labelimage_oid).'}"
    )
    return Section("Objects", (*lost, *parts), lead)


def _described(found: Evaluation, row: int, original: int | None) -> tuple[str, str, str]:
    """Alternative text, caption and place of a picture; ``original`` is the id of an object in its label image."""
    objects, image = found.objects, shortened(found.images[found.objects.image[row]])
    given, predicted = (
        shortened(found.names[numbers[row] - 1]) for numbers in (objects.given, objects.predicted)
    )
    probability = number(float(objects.probabilities[row, objects.predicted[row] - 1]))
    t = f", time step {objects.timestep[row]}" if objects.timestep.any() else ""
    label = f"object {objects.label[row]}" if original is None else f"id {original}"
    alt = f"{label}{t} of {image}, labelled {given}, predicted {predicted} with probability {probability}"
    said = probability if predicted == given else f"→ {predicted} {probability}"
    return (
        f"{alt[:1].upper()}{alt[1:]}",
        said,
        f"{label}{t}" if len(found.images) == 1 else f"{image}, {label}{t}",
    )
