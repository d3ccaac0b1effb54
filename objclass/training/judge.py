"""Judge a project: by cross-validation of its own labels, or by labels of images that it was not trained on."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from objclass.compute.context import Context
from objclass.core import Lane
from objclass.errors import ProjectError, UsageError, listed
from objclass.evaluation.account import account_of
from objclass.evaluation.cross_validation import CrossValidation, cross_validate
from objclass.evaluation.groups import canonical, groups_of
from objclass.evaluation.result import Evaluation
from objclass.evaluation.settings import EvaluationSettings
from objclass.project.model import Project
from objclass.project.training_table import TrainingTable
from objclass.training.adding import check_known_classes, lane_numbers, rows_of_project
from objclass.training.learn import extents_of, table_of, training_lane, training_table
from objclass.training.lessons import Lessons, read_lessons
from objclass.training.novelty_of import novelty_of
from objclass.training.provenance import is_trained_on, with_caution_of_choice
from objclass.training.request import TrainingRequest


def evaluate_project(project: Project, settings: EvaluationSettings, context: Context) -> Evaluation:
    """The evaluation of `cross_validate_project`, which documents the errors."""
    return cross_validate_project(project, settings, context).evaluation


def cross_validate_project(
    project: Project, settings: EvaluationSettings, context: Context
) -> CrossValidation:
    """Judge a project by cross-validation of its own labels.

    Raises
    ------
    ProjectError
        If it has no labels, or neither features of the labelled objects nor the images are there.
    InputError, UsageError
        As `cross_validate` raises.
    """
    found = cross_validate(own_table(project, context), settings, context)
    return with_caution_of_choice(found, project.facts)


def grown_like(project: Project, settings: EvaluationSettings, seed: int | None = None) -> EvaluationSettings:
    """The settings, with forests that are grown as that of the project was, as far as that is known.

    Parameters
    ----------
    seed
        In place of that of the training.
    """
    known = project.facts.get("seed")
    stored = known if isinstance(known, int) and 0 <= known < 2**32 else 0
    return replace(
        settings,
        trees=project.forest.trees if project.forest is not None else settings.trees,
        seed=stored if seed is None else seed,
        balanced=project.facts.get("class_weight") == "balanced",
    )


def own_table(project: Project, context: Context) -> TrainingTable:
    """The labelled objects of a project: those that it stores, else measured in its images.

    Raises
    ------
    ProjectError
        If it has no labels, or neither features of the labelled objects nor the images are there.
    """
    if project.training is not None:
        is_known = len(project.lanes) == len(project.training.images)
        return replace(project.training, extents=extents_of(project)) if is_known else project.training
    tables, classes, lanes = rows_of_project(project, {}, context)
    if not tables or classes.max() > len(project.classes):
        message = f"{project.path} has no labels of its classes: give images and --labels to judge it by"
        raise ProjectError(message)
    return training_table(project, tables[0], classes, lanes)


def with_own_novelty(project: Project, context: Context) -> Project:
    """The project with a model of novelty of its labelled objects, if they can be known."""
    if project.novelty is not None:
        return project
    try:
        table = own_table(project, context)
    except ProjectError:
        return project
    return replace(project, novelty=novelty_of(table, project.check_trained()))


@dataclass(frozen=True)
class JudgedImages:
    """The labelled images by which a project was judged.

    Parameters
    ----------
    table
        Their labelled objects, in the order of the evaluation.
    lanes
        Name of an image -> the image.
    """

    table: TrainingTable
    lanes: Mapping[str, Lane]


def evaluate_on_images(
    project: Project, request: TrainingRequest, settings: EvaluationSettings, context: Context
) -> tuple[Evaluation, JudgedImages]:
    """Judge the forest of a project by labelled objects of other images.

    Parameters
    ----------
    request
        The images and labels; it names no file to write.

    Raises
    ------
    ObjclassError
        If images or labels cannot be used, or the labels have classes that the project does not know.
    """
    forest = project.check_trained()
    if project.pixels is not None:
        message = (
            f"{project.path} classifies pixels and objects: evaluate it by its own labels, without images"
        )
        raise UsageError(message)
    lessons = read_lessons(request, project, context)
    check_known_classes(project, lessons.classes)  # those of paint are not known before
    judged = replace(
        project, lanes=tuple(training_lane(lessons.request, n, lane) for n, lane in enumerate(lessons.lanes))
    )
    given = table_of(judged, lessons)
    table = canonical(given)
    groups = groups_of(table, settings.group_by)
    probabilities = forest.predict(table.rows, context).probabilities
    absent = len(project.classes) - probabilities.shape[1]
    found = account_of(
        table,
        groups,
        np.pad(probabilities, ((0, 0), (0, max(absent, 0))))[None],
        settings,
        method="held-out images",
        fold=np.zeros(len(table), int),
        cautions=_seen(project, lessons, context),
    )
    return found, JudgedImages(table, dict(zip(given.images, lessons.lanes, strict=True)))


def _seen(project: Project, lessons: Lessons, context: Context) -> Iterator[str]:
    """Which of the images the project was trained on: those with the same path, or the same pixels."""
    numbers = lane_numbers(project, lessons.lanes, lessons.request.inputs.paths)
    trained = {n for n, steps in project.labels.items() if any(given.any() for given in steps.values())}
    inputs = project.facts.get("inputs")
    names = [
        lane.nickname
        for lane, n in zip(lessons.lanes, numbers, strict=True)
        if n in trained or is_trained_on(lane, inputs, context)
    ]
    if names:
        yield (
            f"The classifier was trained on {listed(names, 3)}: scores of these images are optimistic. Give other images, or "
            "leave images and labels out for a cross-validation."
        )
