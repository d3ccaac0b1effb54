"""Images and labels -> measured objects -> forest -> project."""

import dataclasses
import logging
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import FeatureTable, IntArray, Lane
from objclass.errors import InputError, UsageError
from objclass.evaluation.cross_validation import Choice, cross_validate, evaluate
from objclass.evaluation.result import Evaluation
from objclass.evaluation.selection import choose_features
from objclass.evaluation.settings import EvaluationSettings
from objclass.evaluation.writing import as_json
from objclass.export.projects import moved, save_project
from objclass.forest import fit
from objclass.images import dataset_name
from objclass.images.paths import relative, split_stack
from objclass.pipeline.inputs import distinguished
from objclass.pipeline.lane import CENTER
from objclass.project.model import Project, TrainingInput, class_colors, find, sorted_keys
from objclass.project.open import open_project
from objclass.project.training_table import TrainingTable
from objclass.training.adding import joined, lane_numbers, merged, rows_of_project, with_groups
from objclass.training.lessons import Found, Lessons, read_lessons
from objclass.training.new_project import new_project
from objclass.training.novelty_of import novelty_of
from objclass.training.provenance import (
    choice_facts,
    input_facts,
    kept_choice_facts,
    training_facts,
    with_caution_of_choice,
)
from objclass.training.request import TrainingRequest
from objclass.training.suggest_objects import Suggestion, check_suggestions, suggestions, write_suggestions

log = logging.getLogger("objclass")

MINIMUM_LABELS = 4
"""Labelled objects that are needed to hold some out."""


@dataclass(frozen=True)
class TrainingResult:
    """The result of a training.

    Parameters
    ----------
    project
        What was written.
    table
        The objects that it was trained on.
    accuracy
        Out-of-bag accuracy.
    lessons
        The images and labels that were given.
    evaluation
        How good it is; None if that was not asked for, or there are too few labels to say.
    suggested
        Number of objects that were written as those to label next.
    """

    project: Project
    table: TrainingTable
    accuracy: float
    lessons: Lessons
    evaluation: Evaluation | None = None
    suggested: int = 0

    @property
    def counts(self) -> dict[str, int]:
        """Number of labelled objects of each class."""
        counts = Counter(self.table.classes.tolist())
        return {name: counts[k] for k, name in enumerate(self.project.classes, 1)}

    @property
    def left_out(self) -> tuple[str, ...]:
        """Messages about labels that were left out."""
        return self.lessons.left_out


def train(request: TrainingRequest, context: Context | None = None) -> TrainingResult:
    """Measure the labelled objects, fit a forest, write the project.

    Raises
    ------
    ObjclassError
        If images, labels or output cannot be used; then nothing is written.
    """
    context = context or Context()
    base = open_project(request.project) if request.output is not None else None
    if base is not None and base.pixels is not None:
        message = (
            f"{base.path} classifies pixels and objects: labels are added to such a project in ilastik alone"
        )
        raise UsageError(message)
    if request.suggest:
        check_suggestions(request.suggestions, request.labels, overwrite=request.overwrite)
    lessons = read_lessons(request, base, context)
    if base is None:
        project, table = _new(lessons, context)
    else:
        project, table = _extended(base, lessons, context)
    _check_classes(table, lessons)
    candidates = None
    if request.chooses_features:
        project, table, candidates = _with_chosen_features(project, table, lessons, context)
    return _fitted(project, table, candidates, lessons, context)


@dataclass(frozen=True)
class _Candidates:
    """The features from which those of the project were chosen.

    Parameters
    ----------
    table
        The objects with all of them.
    choice
        The columns that were chosen, and how.
    """

    table: TrainingTable
    choice: Choice


def _with_chosen_features(
    project: Project, table: TrainingTable, lessons: Lessons, context: Context
) -> tuple[Project, TrainingTable, _Candidates]:
    """The project and the table with those features that help to distinguish the classes."""
    request, plan = lessons.request, lessons.plan
    keys = [key for key in project.selected for _ in range(lessons.table.values[key].shape[1])]
    settings = _settings(request)
    inner = dataclasses.replace(settings, group_by="")  # a part of the table may have a single image

    def choose(some: TrainingTable) -> tuple[int, ...]:
        return choose_features(some, keys, inner, Context()).columns

    found = choose_features(table, keys, settings, context)
    for line in found.lines:
        log.info("%s", line)
    margin = plan.margin if any(f.scope != "object" for f in plan.shown if f.key in found.kept) else ()
    fewer = new_project(project.role, project.classes, tuple(sorted(found.kept)), margin)
    fewer = dataclasses.replace(
        fewer,
        path=project.path,
        threshold=project.threshold,
        labels=project.labels,
        lanes=project.lanes,
        facts={**project.facts, **choice_facts(found)},
    )
    choice = Choice(found.columns, choose)
    return fewer, table.with_columns(found.columns), _Candidates(table, choice)


def _check_classes(table: TrainingTable, lessons: Lessons) -> None:
    """Refuse labels of a single class."""
    present = np.unique(table.classes)
    if len(present) < 2:
        lost = f" ({lessons.left_out[0]})" if lessons.left_out else ""
        message = f"labels of {len(present)} classes: expected labelled objects of at least two classes{lost}"
        raise InputError(message)


def _new(lessons: Lessons, context: Context) -> tuple[Project, TrainingTable]:
    """A new project without its forest, and the table to train it on."""
    request, lanes = lessons.request, lessons.lanes
    numbers = {name: k for k, name in enumerate(lessons.classes, 1)}
    labels = {n: _label_inputs(steps, numbers) for n, steps in lessons.found.items()}
    project = dataclasses.replace(
        new_project(lanes[0].role, lessons.classes, sorted_keys(lessons.plan.shown), lessons.plan.margin),
        path=request.project,
        threshold=request.threshold,
        labels=labels,
        lanes=tuple(training_lane(request, number, lane) for number, lane in enumerate(lanes)),
        facts={"inputs": input_facts(dict(enumerate(lanes)), labels, (), context)},
    )
    given = _classes_of(lessons.found, numbers)
    return project, training_table(project, lessons.table, given, _lane_of(lessons.found), lessons.group)


def _extended(base: Project, lessons: Lessons, context: Context) -> tuple[Project, TrainingTable]:
    """A project with further labels, and the table to train its forest on: all labels."""
    request, lanes, found = lessons.request, lessons.lanes, lessons.found
    classes = lessons.classes
    numbers = {name: k for k, name in enumerate(classes, 1)}
    places = lane_numbers(base, lanes, request.inputs.paths)
    new: dict[int, dict[int, NDArray[Any]]] = {}
    for n, steps in found.items():
        new.setdefault(places[n], {}).update(_label_inputs(steps, numbers))
    labels, changed = merged(base, new)
    if changed:
        log.warning("%d objects had another class in %s: the new class is used", changed, base.path)
    old, given_before, lanes_before = rows_of_project(base, new, context)
    lanes_after = dict(enumerate(moved(base, str(request.output)).lanes))
    for n, lane in enumerate(lanes):
        lanes_after.setdefault(places[n], training_lane(request, n, lane))
    readable = dict(zip(places, lanes, strict=True))
    project = dataclasses.replace(
        base,
        path=str(request.output),
        classes=classes,
        colors=class_colors(base.colors, len(classes)),
        labels={n: labels.get(n) or {0: np.zeros(2)} for n in lanes_after},
        lanes=tuple(lanes_after.values()),
        facts={
            "inputs": input_facts(readable, labels, base.facts.get("inputs"), context),
            **kept_choice_facts(base.facts),
        },
    )
    image = np.concatenate([lanes_before, np.array(places, int)[_lane_of(found)]])
    given = np.concatenate([given_before, _classes_of(found, numbers)])
    table = training_table(project, joined(base, old, lessons.table), given, image)
    return project, with_groups(table, base.training, lessons.group)


def training_table(
    project: Project, table: FeatureTable, classes: IntArray, lanes: IntArray, group: tuple[str, ...] = ()
) -> TrainingTable:
    """The labelled objects of a project as its forest sees them.

    Parameters
    ----------
    project
        The project; its forest is not needed.
    table
        A row for each object: features of the forest, and the centre (`CENTER`).
    classes, lanes
        Class of each object, from 1, and its lane in the project.
    group
        What each object belongs to, ``""`` for nothing; empty if nothing is known.
    """
    titled = [(feature, table.values[key].shape[1]) for key in project.selected if (feature := find(*key))]
    names = [
        (feature.set_name, f"{feature.title}_{k}" if width > 1 else feature.title)
        for feature, width in titled
        for k in range(width)
    ]
    known = table.values[CENTER]
    center = np.full((len(table), 3), np.nan if known.shape[1] == 1 else 0.0)  # one column: not known
    center[:, : known.shape[1]] = known
    return TrainingTable(
        project.matrix(table),
        classes,
        lanes,
        table.timestep,
        table.label,
        center,
        project.classes,
        image_names(project),
        tuple(name for _, name in names),
        tuple(name for name, _ in names),
        group,
        extents=extents_of(project),
    )


def image_names(project: Project) -> tuple[str, ...]:
    """A name for each training image, no two the same."""
    return tuple(distinguished([_folder_and_name(next(iter(lane.values()))) for lane in project.lanes]))


def _folder_and_name(image: TrainingInput) -> tuple[str, str]:
    """The folder and the name of an image; one that is inside of the project has no file to be named after."""
    if image.inside and image.nickname:
        return "", image.nickname
    nickname, folder = dataset_name(image.path)
    return folder, nickname


def extents_of(project: Project) -> tuple[tuple[int, int, int], ...]:
    """Lengths x, y, z of each training image."""
    return tuple(_extents(next(iter(lane.values()))) for lane in project.lanes)


def _extents(image: TrainingInput) -> tuple[int, int, int]:
    """Lengths x, y, z of an image; 1 for axes that it lacks."""
    lengths = dict(zip(image.axes, image.shape, strict=False))
    return lengths.get("x", 1), lengths.get("y", 1), lengths.get("z", 1)


def table_of(project: Project, lessons: Lessons) -> TrainingTable:
    """The labelled objects that were given, as the forest of a project of these images sees them."""
    numbers = {name: k for k, name in enumerate(lessons.classes, 1)}
    given = _classes_of(lessons.found, numbers)
    return training_table(project, lessons.table, given, _lane_of(lessons.found), lessons.group)


def _classes_of(found: Found, numbers: Mapping[str, int]) -> IntArray:
    """Class of each labelled object, in the order in which they are measured."""
    return np.array(
        [numbers[steps[t][i]] for steps in found.values() for t in sorted(steps) for i in sorted(steps[t])],
        int,
    )


def _lane_of(found: Found) -> IntArray:
    """Given lane of each labelled object, in the order in which they are measured."""
    return np.repeat(list(found), [sum(map(len, steps.values())) for steps in found.values()]).astype(int)


def _fitted(
    project: Project,
    table: TrainingTable,
    candidates: _Candidates | None,
    lessons: Lessons,
    context: Context,
) -> TrainingResult:
    """Fit the forest, judge it, and write the project."""
    request = lessons.request
    forest, accuracy = fit(
        table.rows,
        table.classes,
        len(project.classes),
        request.trees,
        request.seed,
        balanced=request.class_weight == "balanced",
        context=context,
    )
    evaluation = _judged(project, table, candidates, request, context)
    scores = {"evaluation": as_json(evaluation)} if evaluation is not None else {}
    facts = {
        **project.facts,
        **training_facts(request.trees, request.seed, request.class_weight, accuracy),
        **scores,
    }
    model = novelty_of(table, forest)
    project = dataclasses.replace(project, forest=forest, training=table, facts=facts, novelty=model)
    suggested = _suggested(project, lessons, context) if request.suggest else []
    save_project(
        project.path,
        project,
        overwrite=True,
        base=None if request.output is None else request.project,
    )
    if suggested:
        write_suggestions(request.suggestions, suggested, lessons.lanes, project)
    return TrainingResult(project, table, accuracy, lessons, evaluation, len(suggested))


def _suggested(project: Project, lessons: Lessons, context: Context) -> list[Suggestion]:
    """The objects of the given images to label next."""
    request, lanes = lessons.request, lessons.lanes
    is_new = request.output is None
    places = range(len(lanes)) if is_new else lane_numbers(project, lanes, request.inputs.paths)
    labels = [project.labels.get(place, {}) for place in places]
    return suggestions(project, lanes, labels, request.suggest, context)


def _judged(
    project: Project,
    table: TrainingTable,
    candidates: _Candidates | None,
    request: TrainingRequest,
    context: Context,
) -> Evaluation | None:
    """How good the forest is that is trained on a table, if there are enough labels to hold some out."""
    if request.evaluation is None:
        return None
    if len(table) < MINIMUM_LABELS and not request.evaluation.learning_curve:  # it is nobody's only purpose
        return None
    if candidates is None:
        found = cross_validate(table, _settings(request), context)
        return with_caution_of_choice(found, project.facts).evaluation
    return evaluate(candidates.table, _settings(request), context, candidates.choice)


def _settings(request: TrainingRequest) -> EvaluationSettings:
    """How the forest of a training is judged."""
    return dataclasses.replace(
        request.evaluation or EvaluationSettings(),
        trees=request.trees,
        seed=request.seed,
        balanced=request.class_weight == "balanced",
    )


def _label_inputs(
    steps: Mapping[int, Mapping[int, str]], numbers: Mapping[str, int]
) -> dict[int, NDArray[Any]]:
    """Class of each object by id, 0 for none, for each time step."""
    result = {}
    for t, labels in steps.items():
        classes = np.zeros(max([1, *labels]) + 1)
        for label, name in labels.items():
            classes[label] = numbers[name]
        result[t] = classes
    return result


def training_lane(request: TrainingRequest, number: int, lane: Lane) -> dict[str, TrainingInput]:
    """A lane as the project stores it; paths are relative to the project, so that both can be moved together."""
    folder = Path(request.target).resolve().parent
    given = {"raw_data": lane.raw, lane.role: lane.objects}
    result = {}
    for role, image in given.items():
        if image is None:
            continue
        path = request.inputs.paths[role][number]
        parts = [relative(part, str(folder)) for part in split_stack(path)]
        nickname, _ = dataset_name(path)
        result[role] = TrainingInput(os.pathsep.join(parts), image.axes, image.stored.shape, nickname)
    return result
