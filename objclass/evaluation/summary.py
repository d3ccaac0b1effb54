"""An evaluation as a few lines of text."""

from collections.abc import Iterator
from math import isfinite

from objclass.evaluation.cautions import noun
from objclass.evaluation.result import ClassScores, Evaluation, Score

SHOWN = 5
"""Importances that are listed."""

ASKED, LOWER = 10, 0.1
"""An image of so many objects is named if its accuracy is so much lower than that of all."""


def summary_lines(evaluation: Evaluation) -> list[str]:
    """One line for each fact; names are as in the project, so they have to be made printable.

    Examples
    --------
    ``balanced accuracy 0.93 (95 % interval 0.90 to 0.95), the mean recall of the classes``
    """
    return [
        *score_lines(evaluation),
        method_line(evaluation),
        *_table(evaluation),
        *_further(evaluation),
        *(f"caution: {sentence}" for sentence in evaluation.cautions),
    ]


def described(score: Score | None, *, words: str = "") -> str:
    """``0.93 (0.90 to 0.95)``; ``–`` where it is not known.

    Examples
    --------
    >>> described(Score(0.934, 0.9, 0.951)), described(None)
    ('0.93 (0.90 to 0.95)', '–')
    """
    if score is None or not isfinite(score.value):
        return "–"
    if not isfinite(score.low):
        return rate(score.value)
    return f"{rate(score.value)} ({words}{rate(score.low)} to {rate(score.high)})"


def rate(value: float) -> str:
    """Two digits; more where these would say that nothing is wrong, but something is.

    Examples
    --------
    >>> [rate(value) for value in (0.934, 0.9984, 0.99999, 1, -0.001)]
    ['0.93', '0.998', '>0.999', '1.00', '0.00']
    """
    if value < 1 and f"{value:.2f}" == "1.00":
        return f"{value:.3f}" if f"{value:.3f}" != "1.000" else ">0.999"
    return f"{value:.2f}".replace("-0.00", "0.00")


def score_lines(evaluation: Evaluation) -> Iterator[str]:
    """Scores over all classes: the balanced accuracy first."""
    if isfinite(evaluation.balanced_accuracy.value):
        balanced = described(evaluation.balanced_accuracy, words="95 % interval ")
        yield f"balanced accuracy {balanced}: the part of its objects that is recognised, mean over classes"
    else:
        yield "balanced accuracy cannot be judged: fewer than two classes have objects to learn from and others to be judged by"
    yield (
        f"accuracy {described(evaluation.accuracy)}, F1 {described(evaluation.f1)}, Matthews "
        f"{described(evaluation.matthews)}"
    )


def method_line(evaluation: Evaluation) -> str:
    """How the scores came about."""
    objects, groups = len(evaluation.objects.given), f"{evaluation.groups} {noun(evaluation.grouped_by)}"
    if evaluation.method != "cross-validation":
        return f"judged by {objects} labelled objects of {groups}, as the classifier of the project predicts them"
    times = f", {evaluation.repeats} times" if evaluation.repeats > 1 else ""
    of = f"{objects} objects of {groups}" if evaluation.grouped_by else f"{objects} objects"
    return (
        f"judged by cross-validation of {of}: {evaluation.folds} folds{times}, each judged by a forest that was "
        "trained on the others"
    )


def _table(evaluation: Evaluation) -> Iterator[str]:
    """The classes, as columns of text."""
    header = ("class", "objects", noun(evaluation.grouped_by), "recall", "precision", "F1")
    rows = [header, *(class_cells(one) for one in evaluation.by_class)]
    if not evaluation.grouped_by:
        rows = [(*row[:2], *row[3:]) for row in rows]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def class_cells(one: ClassScores) -> tuple[str, ...]:
    """A class: name, number of objects and groups, recall, precision, F1; counts where it is too rare for rates."""
    name = " ".join(one.name.split())
    counts = (name, str(one.objects), str(one.images))
    if one.recall is None:
        return (*counts, f"{one.correct} of {one.objects}", f"{one.correct} of {one.predicted}", "–")
    return (*counts, described(one.recall), described(one.precision), described(one.f1))


def _further(evaluation: Evaluation) -> Iterator[str]:
    yield _confused(evaluation)
    yield from _worst_image(evaluation)
    claimed = evaluation.calibration
    known = sum(n * p for n, p in zip(claimed.objects, claimed.probability, strict=True) if n)
    yield (
        f"probabilities: on average the forest claims {known / max(sum(claimed.objects), 1):.2f} and is right in "
        f"{rate(evaluation.accuracy.value)} of the cases (calibration error {claimed.error:.2f})"
    )
    if evaluation.learning_curve is not None:
        yield f"learning curve: {evaluation.learning_curve.verdict}"
    if evaluation.importances:
        lost = ", ".join(f"{one.group} {rate(one.loss.value)}" for one in evaluation.importances[:SHOWN])
        yield f"features that matter most, and how much balanced accuracy is lost without each: {lost}"


def _worst_image(evaluation: Evaluation) -> Iterator[str]:
    """The image with the lowest accuracy, if it is much lower than that of all."""
    asked = [(accuracy, name, count) for name, count, accuracy in evaluation.by_image if count >= ASKED]
    if len(asked) > 1 and min(asked)[0] < evaluation.accuracy.value - LOWER:
        accuracy, name, count = min(asked)
        yield f"least accurate image: {name} ({round(accuracy * count)} of {count} objects are correct)"


def _confused(evaluation: Evaluation) -> str:
    """The most frequent mistake."""
    wrong = evaluation.confusion.copy()
    for k in range(len(wrong)):
        wrong[k, k] = 0
    if not wrong.any():
        return "most frequent mistake: none"
    true, found = divmod(int(wrong.argmax()), len(wrong))
    return (
        f"most frequent mistake: {wrong[true, found]} of {evaluation.confusion[true].sum()} "
        f"{evaluation.names[true]} are taken for {evaluation.names[found]}"
    )
