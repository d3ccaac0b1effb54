"""Why scores are optimistic, or cannot be judged: plain sentences."""

from collections.abc import Iterator

import numpy as np

from objclass.core import IntArray
from objclass.errors import listed
from objclass.evaluation.groups import Groups
from objclass.evaluation.scores import MINIMUM_OBJECTS, Scores
from objclass.evaluation.settings import EvaluationSettings
from objclass.project.training_table import TrainingTable

FEW_OBJECTS, FEW_GROUPS = 50, 5
"""So many labelled objects, or images, are enough for scores that mean something."""

CORNER, ASKED = 0.25, 10
"""Labels of an image, if these are so many, that lie in a smaller part of it."""

CLEAR = 0.02
"""A difference of balanced accuracy that is worth a sentence."""

NOUNS = {
    "image": "images",
    "region": "regions",
    "time": "stretches of time",
    "track": "tracks",
    "": "objects",
}
"""Name of a grouping -> its groups."""


def cautions_of(
    table: TrainingTable,
    groups: Groups,
    scores: Scores,
    settings: EvaluationSettings,
    method: str,
    mixed: tuple[float, float] | None,
) -> tuple[str, ...]:
    """All sentences that hold for an evaluation.

    Parameters
    ----------
    mixed
        What `mixing` returns.
    """
    is_crossed = method == "cross-validation"
    return (
        *_origin(table, groups),
        *(_folds(table, groups, settings) if is_crossed else ()),
        *_untracked(table, groups),
        *_few(table, groups),
        *_rare(table, groups, scores, is_crossed=is_crossed),
        *_corners(table),
        *_confounded(table),
        *(_mixed(groups, *mixed) if mixed is not None else ()),
    )


def mixing(table: TrainingTable, scores: Scores, pair: IntArray | None) -> tuple[float, float] | None:
    """Balanced accuracy of folds of whole groups and of random ones, if the latter is clearly higher; else None.

    Clearly: for these objects (McNemar), by more than two standard errors.
    """
    if pair is None or not len(scores.judged) or len(table) < MINIMUM_OBJECTS * len(scores.judged):
        return None
    hits = (pair == table.classes).astype(float)
    difference, variance, means = 0.0, 0.0, np.zeros(2)
    for k in scores.judged.tolist():
        here = hits[:, table.classes == k + 1]
        step = here[1] - here[0]
        difference += step.mean() / len(scores.judged)
        variance += step.var() / len(step) / len(scores.judged) ** 2
        means += here.mean(axis=1) / len(scores.judged)
    clear = difference >= CLEAR and difference > 2 * np.sqrt(variance)
    return (float(means[0]), float(means[1])) if clear else None


def noun(grouped_by: str) -> str:
    """What groups are called."""
    return NOUNS.get(grouped_by, f"groups ({grouped_by})")


def _origin(table: TrainingTable, groups: Groups) -> Iterator[str]:
    images = len(np.unique(table.image))
    is_known = table.images[int(table.image[0])] != ""
    if images == 1 and not is_known and groups.name in ("", "region", "time"):
        yield (
            "It is not known which image each object comes from: scores are those of objects of the same images, "
            "and optimistic for others."
        )
    elif images == 1 and is_known:
        yield (
            f"All labels come from one image ({table.images[int(table.image[0])]}): the scores are those of other "
            "parts of it, and optimistic for other images. Label objects in several images."
        )


def _folds(table: TrainingTable, groups: Groups, settings: EvaluationSettings) -> Iterator[str]:
    images = len(np.unique(table.image))
    if 1 < images < np.unique(np.stack([table.image, groups.of]), axis=1).shape[1]:
        yield (
            f"Folds share images, since they are grouped by {groups.name}: the scores are optimistic for other images."
        )
    if groups.count < settings.folds:
        yield f"{groups.count} folds rather than {settings.folds}: there are only {groups.count} {noun(groups.name)}."


def _untracked(table: TrainingTable, groups: Groups) -> Iterator[str]:
    """Some objects of a movie have no track."""
    missing = sum(not name for name in table.group)
    if groups.name == table.group_name and 0 < missing < len(table):
        yield (
            f"{missing} of {len(table)} objects have no {groups.name}: each counts as one for itself, though others may be "
            f"the same one, so that the scores may be optimistic. Give the {groups.name} of all."
        )


def _few(table: TrainingTable, groups: Groups) -> Iterator[str]:
    if groups.name == "image" and groups.count < FEW_GROUPS:
        yield (
            f"The labels come from {groups.count} images: intervals are wide, since so few say little about the next "
            "image."
        )
    if len(table) < FEW_OBJECTS:
        yield f"There are only {len(table)} labelled objects: take the scores as a first impression."


def _rare(table: TrainingTable, groups: Groups, scores: Scores, *, is_crossed: bool) -> Iterator[str]:
    objects = scores.objects.tolist()
    few = []
    for k, name in enumerate(table.names):
        count, holders = objects[k], int(scores.holders[k])
        if count == 0:
            yield f"No object of {name!r} is labelled."
        elif is_crossed and k not in scores.judged:
            where = f"All {count} objects of {name!r} are in one {groups.name}"
            where = where if count > 1 else f"{name!r} has one object only"
            yield (
                f"{where}: while it is held out no forest knows the class, so that it cannot be judged, and does not "
                "count in means over classes."
            )
        elif count < MINIMUM_OBJECTS:
            few.append(f"{name!r} ({count} objects in {holders} {noun(groups.name)})")
    if few:
        yield (
            f"Too rare to judge: {listed(few)}. Counts are given, no rates; label at least {MINIMUM_OBJECTS} of a class."
        )


def _corners(table: TrainingTable) -> Iterator[str]:
    """Labels that lie in a small part of their image; only where its size is known."""
    if not table.extents:
        return
    axes = np.flatnonzero(np.isfinite(table.center).all(axis=0))
    narrow, asked = [], 0
    for number in np.unique(table.image).tolist():
        center = table.center[table.image == number]
        if len(center) < ASKED or not len(axes):
            continue
        asked += 1
        extents = np.array(table.extents[number], float)
        spread = np.ptp(center, axis=0)
        if np.prod([spread[axis] / extents[axis] for axis in axes if extents[axis] > 1]) < CORNER:
            narrow.append(table.images[number])
    if len(narrow) * 2 > asked:
        yield (
            f"The labels lie in less than a quarter of the image, in {listed(narrow, 3)}: other parts of it may look "
            "different. Label objects all over it."
        )


def _confounded(table: TrainingTable) -> Iterator[str]:
    """Images that have one class each, and several objects."""
    pairs = np.unique(np.stack([table.image, table.classes]), axis=1)
    images = len(np.unique(table.image))
    if 1 < images == pairs.shape[1] and len(table) > 2 * images:
        yield (
            "Each image has objects of one class only: whether the classes or the images are told apart cannot be "
            "known. Label several classes in each image."
        )


def _mixed(groups: Groups, grouped: float, random: float) -> Iterator[str]:
    what, one = noun(groups.name), "stretch of time" if groups.name == "time" else groups.name
    yield (
        f"{what[0].upper()}{what[1:]} differ: balanced accuracy is {random:.2f} where objects of the same "
        f"{one} are in training, {grouped:.2f} where they are not. Label objects in more {what}"
        f"{', and look for what differs, such as staining or brightness' if groups.name == 'image' else ''}."
    )
