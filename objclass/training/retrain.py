"""Train a project that was saved without its forest again, on its own labels.

ilastik does the same when it opens such a project. Its training is random, so two of its own forests
differ as well. Here scikit-learn trains the forest, with a seed.
"""

import dataclasses
import logging
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import FeatureTable, Lane, concatenate
from objclass.errors import ImageError, ProjectError
from objclass.forest import fit
from objclass.images import dataset_name, open_image
from objclass.images.paths import check_here
from objclass.pipeline.inputs import computed, with_training_axes
from objclass.pipeline.lane import CENTER, measure_step
from objclass.pipeline.plan import check_features, plan_for
from objclass.project.model import Project
from objclass.project.training_table import TrainingTable
from objclass.segmentation.find import find_objects
from objclass.training.stored_images import stored_path

log = logging.getLogger("objclass")

TREES, SEED = 100, 0

MAXIMUM_TREES = 100_000
"""Maximum number of trees, as in training."""


def retrained(project: Project, context: Context | None = None) -> Project:
    """The project with a new forest, from its training table, or from its labels and the features that it stores.

    Labels of a single class result in a forest that predicts this class for every object; such projects are
    used as filters.

    Features that are not stored are measured in the training images, if these are found.

    Raises
    ------
    ProjectError
        If there are no labels, or neither features nor images.
    """
    if project.training is not None:
        return _grown_again(project, project.training)
    labels = _labelled(project)
    given = np.concatenate(
        [project.labels[lane][t][ids].astype(int) for (lane, t), ids in sorted(labels.items())]
    )
    table, is_stored = labelled_features(project, labels, context or Context())
    forest, _ = fit(project.matrix(table), given, len(project.classes), TREES, SEED, context=context)
    log.warning(
        "%s: the classifier is trained again on %d labelled objects, from %s; ilastik's own training is "
        "random, so probabilities differ a little",
        project.path,
        len(given),
        "the features that it stores" if is_stored else "the images that it was trained on",
    )
    return dataclasses.replace(project, forest=forest)


def _grown_again(project: Project, table: TrainingTable) -> Project:
    """The project with the forest that objclass trained on its table."""
    trees, seed = (
        value if isinstance(value := project.facts.get(name), int) and 0 <= value < 2**32 else default
        for name, default in (("trees", TREES), ("seed", SEED))
    )
    balanced = project.facts.get("class_weight") == "balanced"
    count = min(max(trees, 1), MAXIMUM_TREES)
    forest, _ = fit(table.rows, table.classes, len(project.classes), count, seed, balanced=balanced)
    log.warning(
        "%s: the classifier is trained again on its %d labelled objects, as it was", project.path, len(table)
    )
    return dataclasses.replace(project, forest=forest)


def check_retrainable(project: Project) -> None:
    """Refuse a project that could not be trained again, without doing it.

    Raises
    ------
    ProjectError
        If labels are missing, or both features and images.
    """
    from objclass.project.ilp_read import read_stored_features

    if project.training is not None:
        return
    labels = _labelled(project)
    if read_stored_features(project, labels) is None:
        for number in sorted({lane for lane, _ in labels}):
            open_training_lane(project, number, Context())


def _labelled(project: Project) -> dict[tuple[int, int], NDArray[np.intp]]:
    """Lane and time step -> ids of the labelled objects.

    Raises
    ------
    ProjectError
        If there are none, or they are of classes that do not exist.
    """
    labels = {
        (lane, t): np.flatnonzero(given)
        for lane, steps in project.labels.items()
        for t, given in steps.items()
        if given.any()
    }
    if not labels:
        message = (
            f"{project.path} has no trained classifier and no labels to train one: label objects in ilastik, "
            "turn on Live Update and save it"
        )
        raise ProjectError(message)
    wrong = [
        int(value)
        for (lane, t), ids in labels.items()
        for value in project.labels[lane][t][ids]
        if not 1 <= value <= len(project.classes)
    ]
    if wrong:
        message = f"{project.path}: labels of class {wrong[0]}: there are {len(project.classes)} classes"
        raise ProjectError(message)
    return labels


def labelled_features(
    project: Project, labels: Mapping[tuple[int, int], NDArray[np.intp]], context: Context
) -> tuple[FeatureTable, bool]:
    """Features of labelled objects, and whether they are stored in the project (else they are measured).

    Parameters
    ----------
    labels
        Lane and time step -> ids of the objects.

    Raises
    ------
    ProjectError
        If neither features nor images are found.
    """
    from objclass.project.ilp_read import read_stored_features

    stored = read_stored_features(project, labels, (CENTER,))
    return (stored, True) if stored is not None else (_measured(project, labels, context), False)


def _measured(
    project: Project, labels: Mapping[tuple[int, int], NDArray[np.intp]], context: Context
) -> FeatureTable:
    """Features of the labelled objects, from the training images."""
    tables = []
    for number in sorted({lane for lane, _ in labels}):
        lane = open_training_lane(project, number, context)
        plan = plan_for(project, [lane])
        check_features(lane, plan)
        for t, ids in sorted((t, ids) for (n, t), ids in labels.items() if n == number):
            if t >= lane.objects.shape[0]:
                message = f"{project.path}: labels of time step {t}: {lane.objects.name} has fewer time steps"
                raise ProjectError(message)
            objects = find_objects(lane, t, plan.threshold, context)
            if ids.max() > objects.count:
                message = (
                    f"{project.path}: object {ids.max()} of {lane.objects.name} is labelled, but there are only "
                    f"{objects.count} objects: the image is not the one that the project was trained on"
                )
                raise ProjectError(message)
            tables.append(measure_step(lane, plan, t, objects, context).rows(ids - 1))
    return concatenate(tables)


def open_training_lane(project: Project, number: int, context: Context) -> Lane:
    """A training lane of the project, to train on its labels.

    Raises
    ------
    ProjectError
        If the project does not name an image of it, or the image cannot be opened.
    """
    try:
        return stored_lane(project, number, context)
    except ImageError as fault:
        message = (
            f"{project.path}{' has no trained classifier, and' if project.forest is None else ':'} to train "
            f"on its labels, stored features or the training images are needed: {fault}"
        )
        raise ProjectError(message) from None


def stored_lane(project: Project, number: int, context: Context, *, allow_servers: bool = False) -> Lane:
    """A training lane of the project; paths are relative to the project.

    Parameters
    ----------
    project, number
        The project, and the number of the lane in it.
    context
        Of those who read the images.
    allow_servers
        Whether images on servers are requested.

    Raises
    ------
    ProjectError
        If the project does not name an image of it.
    ImageError
        If an image cannot be opened.
    """
    given = project.lanes[number] if number < len(project.lanes) else {}
    own = dataclasses.replace(project, lanes=(given,))
    needed = ("raw_data", *(() if project.pixels is not None else (project.role,)))
    for role in needed:
        if role not in given:
            message = f"{project.path} does not name the {role.replace('_', ' ')} of lane {number}"
            raise ProjectError(message)
    found = {}
    for role in (*needed, *(("atlas",) if "atlas" in given else ())):
        path = stored_path(project, given[role])
        if not allow_servers:
            check_here(path)
        found[role] = with_training_axes(open_image(path, context=context), role, own)
    nickname, directory = dataset_name(stored_path(project, given["raw_data"]))
    raw, atlas = found["raw_data"], found.get("atlas")
    if project.pixels is not None:
        found[project.role] = computed(project.pixels, raw, atlas, None, project, context)
    return Lane(raw, found[project.role], project.role, nickname, directory, atlas)
