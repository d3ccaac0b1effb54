"""Projects are opened: their images, labels and settings become the state of a session."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from glob import glob

import numpy as np

from objclass.compute.context import Context
from objclass.core import Lane
from objclass.errors import ImageError, InputError, MissingImagesError, ProjectError, listed
from objclass.images.paths import joined_to, split_internal, split_stack
from objclass.images.urls import is_url
from objclass.project.model import Project, TrainingInput, class_colors
from objclass.project.open import check_workflow, open_project
from objclass.project.pixel_model import PIXEL_WORKFLOWS
from objclass.session.features import names_of, offered_features
from objclass.session.images import SessionImage
from objclass.session.labelling import History, LabelClass, Labelling, Mark, StoredObject
from objclass.session.projects import SavedProject, distinct
from objclass.session.state import Opened, SessionSettings, State
from objclass.settings import CLASS_WEIGHTS
from objclass.training.retrain import SEED, TREES, stored_lane
from objclass.training.stored_images import stored_path

log = logging.getLogger("objclass")


def open_saved(
    path: str,
    context: Context,
    *,
    folder: str | None = None,
    allow_servers: bool = False,
    allow_misses: bool = False,
) -> SavedProject:
    """Open a project with its images, labels and settings; pixels are not read.

    Parameters
    ----------
    path
        The project.
    context
        Memory and threads.
    folder
        Where images are looked for by their names if they are not where the project says.
    allow_servers
        Whether images on servers are requested.
    allow_misses
        Whether images that cannot be opened are left out, and their labels with them.

    Raises
    ------
    ProjectError
        If it classifies no objects, or images cannot be opened; the message says what to do.
    """
    path = os.path.abspath(path)
    if check_workflow(path) in PIXEL_WORKFLOWS:
        message = (
            f"{path} classifies pixels, and has no objects to label: run it, and add its Probabilities as "
            "prediction maps, with the raw data"
        )
        raise ProjectError(message)
    project = open_project(path)
    if project.classifies_pixels and project.pixels is None:
        message = (
            f"{path} has no trained pixel classifier: open it in ilastik, turn on Live Update and save it"
        )
        raise ProjectError(message)
    project.features()  # refuses those that objclass does not have
    _check_labels(project)
    stored = tuple(map(partial(_absolute, project), project.lanes))
    if folder is not None:
        project = _with_images_in(project, folder)
    lanes = _lanes(project, context, allow_servers=allow_servers, allow_misses=allow_misses)
    if any(number not in lanes for number in (*range(len(project.lanes)), *project.labels)):
        project = _without_others(project, list(lanes))
    images = _images(project, list(lanes.values()))
    settings = settings_of(project, images)
    labelling = Labelling(_classes(project), tuple(_marks(project)))
    opened = Opened(project, labelling, settings)
    state = State(settings, images, History(labelling), opened=opened, added=len(images))
    return SavedProject(path, state, stored, tuple(lanes))


def _absolute(project: Project, lane: Mapping[str, TrainingInput]) -> dict[str, TrainingInput]:
    """The images of a lane, files by absolute paths."""
    folder = os.path.dirname(os.path.realpath(project.path))
    return {
        role: one if one.inside else replace(one, path=joined_to(folder, one.path))
        for role, one in lane.items()
    }


def _check_labels(project: Project) -> None:
    given = [np.asarray(classes) for steps in project.labels.values() for classes in steps.values()]
    values = np.concatenate([np.zeros(1), *given])
    wrong = values[~np.isin(values, np.arange(len(project.classes) + 1))]
    if len(wrong):
        message = f"{project.path}: labels of class {wrong[0]:g}: there are {len(project.classes)} classes"
        raise ProjectError(message)


def _with_images_in(project: Project, folder: str) -> Project:
    """The project with images of a folder in place of those of the same names that are not where it says."""

    def found(given: TrainingInput) -> TrainingInput:
        paths = [_found(piece, folder) for piece in split_stack(stored_path(project, given))]
        return given if given.inside else replace(given, path=os.pathsep.join(paths))

    lanes = tuple({role: found(given) for role, given in lane.items()} for lane in project.lanes)
    return replace(project, lanes=lanes)


def _found(path: str, folder: str) -> str:
    file, internal = split_internal(path)
    here = os.path.join(os.path.abspath(folder), os.path.basename(file))
    is_moved = not is_url(path) and not glob(file) and glob(here)
    return os.path.join(here, internal) if is_moved and internal else here if is_moved else path


def _lanes(project: Project, context: Context, *, allow_servers: bool, allow_misses: bool) -> dict[int, Lane]:
    """The lanes of a project that can be opened, by their numbers."""
    lanes, faults = {}, {}
    numbers = range(max(len(project.lanes), 1 + max(project.labels, default=-1)))
    for number in numbers:
        try:
            lanes[number] = stored_lane(project, number, context, allow_servers=allow_servers)
            _check_shapes(project, number, lanes[number])
        except InputError as fault:
            lanes.pop(number, None)
            faults[number] = str(fault)
    if not faults:
        return lanes
    lost = sum(int(np.count_nonzero(c)) for n in faults for c in project.labels.get(n, {}).values())
    what = f"{len(faults)} of {len(numbers)} images cannot be opened: {listed(faults.values(), 3)}"
    if not allow_misses or not lanes:
        without = f", or leave them out, with their {lost} labels (--allow_misses)"
        message = (
            f"{project.path}: {what}: put them where the project expects them, say in which folder they are"
            f"{without if lanes else ''}"
        )
        raise MissingImagesError(message, has_others=bool(lanes))
    log.warning("%s: %s: they are left out, with %d labels", project.path, what, lost)
    return lanes


def _check_shapes(project: Project, number: int, lane: Lane) -> None:
    """Refuse images of other lengths than those that the project was made with: labels would be for other objects."""
    for role, image in SessionImage(number, lane).by_role.items():
        expected, own = project.lanes[number][role].shape, image.stored.shape
        if expected and sorted(n for n in expected if n > 1) != sorted(n for n in own if n > 1):
            message = (
                f"{image.name} has the shape {own}: the project was made with one of the shape {expected}"
            )
            raise ImageError(message)


def _without_others(project: Project, kept: list[int]) -> Project:
    """The project with some of its lanes."""
    return replace(
        project,
        lanes=tuple(project.lanes[number] for number in kept),
        labels={k: project.labels[number] for k, number in enumerate(kept) if number in project.labels},
        training=None,
        facts={name: fact for name, fact in project.facts.items() if name != "inputs"},
    )


def _images(project: Project, lanes: Sequence[Lane]) -> tuple[SessionImage, ...]:
    """The images of a session, whose keys are the numbers of the lanes of the project."""
    names: list[str] = []
    for lane, given in zip(lanes, project.lanes, strict=True):
        names.append(distinct(given["raw_data"].nickname or lane.nickname, names))
    return tuple(
        SessionImage(key, replace(lane, nickname=name), _absolute(project, given))
        for key, (lane, name, given) in enumerate(zip(lanes, names, project.lanes, strict=True))
    )


def settings_of(project: Project, images: tuple[SessionImage, ...]) -> SessionSettings:
    """The settings of a project, as a session has them."""
    facts, weight = project.facts, project.facts.get("class_weight")
    seed = facts.get("seed")
    sets = [set_name for set_name, _ in project.selected]
    offered = offered_features(images[0].lane, sets) if images else {}
    return SessionSettings(
        features=names_of(project.selected, offered),
        margin=max(project.margin[0], 1) if project.margin else SessionSettings().margin,
        trees=project.forest.trees if project.forest is not None else TREES,
        seed=seed if isinstance(seed, int) and 0 <= seed < 2**32 else SEED,
        threshold=project.threshold,
        class_weight=weight if weight in CLASS_WEIGHTS else None,
    )


def _classes(project: Project) -> tuple[LabelClass, ...]:
    colors = class_colors(project.colors, len(project.classes))
    return tuple(LabelClass(name, color) for name, color in zip(project.classes, colors, strict=True))


def _marks(project: Project) -> list[Mark]:
    """The labels of a project; its lanes are the images of the session."""
    return [
        Mark(StoredObject(lane, t, label), int(classes[label]))
        for lane, steps in sorted(project.labels.items())
        for t, classes in sorted(steps.items())
        for label in np.flatnonzero(classes).tolist()
    ]
