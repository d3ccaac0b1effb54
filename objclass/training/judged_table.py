"""Judge the classifier that a DataFrame trains."""

from dataclasses import replace
from typing import Any

import numpy as np

from objclass.compute.context import Context
from objclass.core import AnyArray
from objclass.errors import InputError
from objclass.evaluation.cross_validation import Choice, evaluate
from objclass.evaluation.frames import EvaluationResult
from objclass.evaluation.measurements import grouping_by, training_table
from objclass.evaluation.settings import EvaluationSettings
from objclass.project.training_table import TrainingTable
from objclass.training.classifier import Classifier, frame_of


def evaluate_table(
    classifier: Classifier,
    table: Any,
    classes: Any,
    groups: Any,
    settings: EvaluationSettings,
    context: Context,
) -> EvaluationResult:
    """Judge a classifier by cross-validation of a table.

    Parameters
    ----------
    classifier
        How it learns; whether it has learnt is of no importance.
    table, classes
        As `Classifier.fit` has them.
    groups
        What each row is held out with, as a column or its name; None: its image.
    settings
        Those of the cross-validation; those of the forest are the classifier's.

    Raises
    ------
    InputError
        If groups do not match the rows; also as `Classifier.fit` and `evaluate` raise.
    """
    frame = frame_of(table)
    held, name = _groups(frame, groups, is_indexed=frame is table)
    lesson = classifier.lesson(table, classes, name)
    labelled = np.flatnonzero(lesson.labelled)
    if name is not None and not settings.group_by:
        settings = replace(settings, group_by=grouping_by(name))
    columns = {str(name): frame[name].to_numpy()[labelled] for name in frame.columns}
    made = training_table(
        columns,
        lesson.rows,
        lesson.classes,
        [str(one) for one in lesson.names],
        lesson.columns,
        sets=lesson.sets,
        groups=held[labelled].tolist() if held is not None else None,
        group_name=name,
    )
    choice = None
    if classifier.chooses_features:

        def choose(some: TrainingTable) -> tuple[int, ...]:
            return classifier.choose(some, lesson.features, Context())

        choice = Choice(classifier.choose(made, lesson.features, context), choose)
    found = evaluate(made, settings, context, choice)
    places = {
        key: place for place, key in zip(labelled.tolist(), _keys(made.image, made.images, made), strict=True)
    }
    judged = _keys(found.objects.image, found.images, found.objects)
    return EvaluationResult(found, np.array([places[key] for key in judged]), frame.index)


def _groups(frame: Any, groups: Any, *, is_indexed: bool) -> tuple[AnyArray | None, str | None]:
    """The group of each row, and what it is called."""
    from pandas import Series

    if groups is None:
        return None, None
    if isinstance(groups, str):
        if groups not in frame.columns:
            message = f"groups={groups!r}: the table has no such column"
            raise InputError(message)
        return frame[groups].to_numpy(), groups
    if is_indexed and isinstance(groups, Series) and not groups.index.equals(frame.index):
        message = "groups= has another index than the table: expected one group for each of its rows"
        raise InputError(message)
    given = np.asarray(groups, object)
    if given.shape != (len(frame),):
        message = f"{len(given)} groups for {len(frame)} rows: expected one for each"
        raise InputError(message)
    return given, str(getattr(groups, "name", None) or "group")


def _keys(image: AnyArray, images: tuple[str, ...], rows: Any) -> list[tuple[str, int, int]]:
    """What each object is known by."""
    names = [images[k] for k in image.tolist()]
    return list(zip(names, rows.timestep.tolist(), rows.label.tolist(), strict=True))
