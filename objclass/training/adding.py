"""Add labels to those of a project, which keeps its images, labels, features and thresholds."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.core import FeatureTable, IntArray, Lane, concatenate
from objclass.errors import InputError, UsageError, listed
from objclass.pipeline.lane import CENTER
from objclass.project.model import Project
from objclass.project.pixel_model import PixelProject
from objclass.project.training_table import TrainingTable
from objclass.training.retrain import labelled_features

Labels = Mapping[int, Mapping[int, NDArray[Any]]]
"""Lane -> time step -> class of each object by id, 0 for none."""


def lane_numbers(project: Project, lanes: Sequence[Lane], paths: Mapping[str, Sequence[str]]) -> list[int]:
    """The number in the project of each given lane: that of the lane with the same images, else a new one.

    Parameters
    ----------
    paths
        Role -> the path of each given lane, as in `Inputs`.
    """
    folder = Path(project.path).resolve().parent
    known = {
        tuple(_real(lane[role].path, folder) for role in ("raw_data", project.role)): number
        for number, lane in enumerate(project.lanes)
        if {"raw_data", project.role} <= set(lane)
    }
    further = count(len(project.lanes))
    numbers = []
    for k in range(len(lanes)):
        given = tuple(_real(paths[role][k], Path()) for role in ("raw_data", project.role))
        if given not in known:
            known[given] = next(further)
        numbers.append(known[given])
    return numbers


def _real(path: str, folder: Path) -> str:
    return os.pathsep.join(os.path.realpath(folder / part) for part in path.split(os.pathsep))


def check_class_names(project: Project | PixelProject, names: Sequence[str]) -> None:
    """Refuse names that do not begin with those of the project, since its labels refer to them by number.

    Raises
    ------
    UsageError
        If they do not; the message lists both.
    """
    if names and tuple(names[: len(project.classes)]) != project.classes:
        message = (
            f"--class_names {' '.join(names)}: {project.path} has the classes {', '.join(project.classes)}; new "
            "ones must follow these"
        )
        raise UsageError(message)


def check_known_classes(project: Project, names: Collection[str]) -> None:
    """Refuse classes that a project does not know, where it is judged by them.

    Raises
    ------
    InputError
        If there are some; the message lists them and those of the project.
    """
    unknown = sorted(set(names) - set(project.classes))
    if unknown:
        message = f"labels of the classes {listed(unknown)}: {project.path} knows {listed(project.classes)}"
        raise InputError(message)


def all_classes(project: Project, names: Collection[str]) -> tuple[str, ...]:
    """The classes of a project, in their order, followed by new ones, sorted."""
    return (*project.classes, *sorted(set(names) - set(project.classes)))


def merged(project: Project, new: Labels) -> tuple[Labels, int]:
    """The labels of the project, replaced by new ones, and the number of labels whose class has changed."""
    result = {lane: dict(steps) for lane, steps in project.labels.items()}
    changed = 0
    for lane, steps in new.items():
        for t, classes in steps.items():
            old = result.setdefault(lane, {}).get(t, np.zeros(2))
            both = np.zeros(max(len(old), len(classes)))
            both[: len(old)] = old
            over = np.flatnonzero(classes)
            changed += int(np.count_nonzero((both[over] > 0) & (both[over] != classes[over])))
            both[over] = classes[over]
            result[lane][t] = both
    return result, changed


def rows_of_project(
    project: Project, new: Labels, context: Context
) -> tuple[list[FeatureTable], IntArray, IntArray]:
    """Features, classes and lanes of the labelled objects of the project that have no new label.

    Raises
    ------
    ProjectError
        If the project does not store their features, and its images are not found.
    """
    ids, classes, lanes = {}, [], []
    for lane, steps in sorted(project.labels.items()):
        for t, stored in sorted(steps.items()):
            again = new.get(lane, {}).get(t, np.zeros(0))
            kept = np.array([i for i in np.flatnonzero(stored) if i >= len(again) or not again[i]], np.intp)
            if len(kept):
                ids[lane, t] = kept
                classes.append(stored[kept].astype(int))
                lanes.append(np.full(len(kept), lane))
    if not ids:
        return [], np.zeros(0, int), np.zeros(0, int)
    table, _ = labelled_features(project, ids, context)
    return [_selected(project, table)], np.concatenate(classes), np.concatenate(lanes)


def _selected(project: Project, table: FeatureTable) -> FeatureTable:
    """The features that the forest uses and the centre, NaN where it is not known; no other columns."""
    unknown = np.full((len(table), 1), np.nan)
    values = {key: table.values[key] for key in project.selected}
    return FeatureTable(table.timestep, table.label, {CENTER: table.values.get(CENTER, unknown)} | values)


def with_groups(table: TrainingTable, before: TrainingTable | None, new: Sequence[str]) -> TrainingTable:
    """The labelled objects of a project with what they belong to, such as tracks.

    Parameters
    ----------
    table
        The objects, without groups.
    before
        The training table that the project had: its objects keep their groups.
    new
        The groups that new labels give, which are those of the last rows; ``""`` for nothing. They are tracks.
    """
    known = (
        dict(zip(_places(before), before.group, strict=True)) if before is not None and before.group else {}
    )
    name = before.group_name if before is not None and known else table.group_name
    tracks = new if name == table.group_name else ()  # a track is none of the project's patients
    given = (*("" for _ in range(len(table) - len(tracks))), *tracks)
    group = tuple(one or known.get(place, "") for one, place in zip(given, _places(table), strict=True))
    return replace(table, group=group if any(group) else (), group_name=name)


def _places(table: TrainingTable) -> list[tuple[int, int, int]]:
    """Lane, time step and id of each object."""
    return list(zip(table.image.tolist(), table.timestep.tolist(), table.label.tolist(), strict=True))


def joined(project: Project, old: Sequence[FeatureTable], new: FeatureTable) -> FeatureTable:
    """The rows of the project, followed by new ones.

    Raises
    ------
    InputError
        If images of the project have other columns than the new ones.
    """
    tables = [*old, _selected(project, new)]
    widths = [[table.values[key].shape[1] for key in project.selected] for table in tables]
    if any(width != widths[0] for width in widths):
        message = f"{project.path} was trained on images of other dimensions or channels than those given"
        raise InputError(message)
    ndim = max(table.values[CENTER].shape[1] for table in tables)
    return concatenate([_with_axes(table, ndim) for table in tables])


def _with_axes(table: FeatureTable, ndim: int) -> FeatureTable:
    """The table with centres of so many axes; all are NaN where there are fewer."""
    center = table.values[CENTER]
    if center.shape[1] == ndim:
        return table
    return FeatureTable(
        table.timestep, table.label, {**table.values, CENTER: np.full((len(table), ndim), np.nan)}
    )
