"""What the objects of a run are compared with to see how unlike those of the training they are."""

from dataclasses import replace

import numpy as np

from objclass.core import IntArray
from objclass.errors import ProjectError
from objclass.evaluation.groups import groups_of
from objclass.forest import Forest
from objclass.novelty import NoveltyModel, model_of
from objclass.project.model import Project
from objclass.project.training_table import TrainingTable


def novelty_of(table: TrainingTable, forest: Forest) -> NoveltyModel | None:
    """The objects that a forest was trained on as a model of novelty; None if its features do not tell them apart."""
    groups = groups_of(table)
    images = groups.count if groups.name == "image" else 1
    return model_of(table.rows, table.classes, groups.of, forest.splits, images)


def with_novelty(project: Project) -> Project:
    """The project with its model of novelty, made of its training table, or of the features that ilastik stored.

    Raises
    ------
    ProjectError
        If it holds neither.
    """
    if project.novelty is not None:
        return project
    table = project.training or _stored(project)
    model = novelty_of(table, project.check_trained()) if table is not None else None
    if model is None:
        message = (
            f"--novelty: {project.path} holds no features of its labelled objects to compare others with: open it in "
            "ilastik, compute the features of all images that have labels, and save it; or train it with objclass"
        )
        raise ProjectError(message)
    return replace(project, novelty=model)


def _stored(project: Project) -> TrainingTable | None:
    """The labelled objects whose features ilastik stored; None if any is missing."""
    from objclass.project.ilp_read import read_stored_features  # needs h5py

    labels: dict[tuple[int, int], IntArray] = {
        (lane, t): ids
        for lane, steps in sorted(project.labels.items())
        for t, given in sorted(steps.items())
        if len(ids := np.flatnonzero(given))
    }
    stored = read_stored_features(project, labels) if labels else None
    if stored is None:
        return None
    rows = project.matrix(stored)
    classes = np.concatenate([project.labels[lane][t][ids].astype(int) for (lane, t), ids in labels.items()])
    image = np.concatenate([np.full(len(ids), lane) for (lane, _), ids in labels.items()])
    nothing = ("",) * rows.shape[1]
    return TrainingTable(
        rows,
        classes,
        image,
        stored.timestep,
        stored.label,
        np.full((len(rows), 3), np.nan),
        project.classes,
        tuple(f"lane {n}" for n in range(len(project.lanes))),
        nothing,
        nothing,
    )
