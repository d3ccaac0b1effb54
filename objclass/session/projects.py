"""Projects of sessions: opened as a state, and saved from one."""

import logging
import os
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from glob import glob
from itertools import chain, count
from pathlib import Path

import numpy as np

from objclass.compute.context import Context
from objclass.core import Image, Lane
from objclass.errors import (
    ImageError,
    InputError,
    MissingImagesError,
    OutputError,
    ProjectError,
    UsageError,
    listed,
)
from objclass.evaluation.writing import as_json
from objclass.export.atomic import check_writable
from objclass.export.projects import save_project
from objclass.features.contract import choose
from objclass.images import dataset_name, open_image
from objclass.images.paths import joined_to, split_internal, split_stack
from objclass.images.urls import is_url
from objclass.project.model import Project, TrainingInput, class_colors
from objclass.project.open import check_workflow, open_project
from objclass.project.pixel_model import PIXEL_WORKFLOWS
from objclass.registry import PROJECT_WRITERS
from objclass.session.classification import project_of
from objclass.session.images import FoundObjects, SessionImage
from objclass.session.labelling import History, LabelClass, Labelling, Mark, StoredObject
from objclass.session.state import Opened, SessionSettings, State
from objclass.settings import CLASS_WEIGHTS
from objclass.training.adding import with_groups
from objclass.training.provenance import input_facts
from objclass.training.retrain import SEED, TREES, stored_lane
from objclass.training.stored_images import input_of, stored_path

log = logging.getLogger("objclass")


@dataclass(frozen=True, eq=False)
class SavedProject:
    """The file of a session.

    Parameters
    ----------
    path
        Its absolute path.
    state
        What it holds.
    lanes
        What it says of its images: role -> image; files by absolute paths.
    """

    path: str
    state: State
    lanes: tuple[Mapping[str, TrainingInput], ...]

    def holds(self, state: State) -> bool:
        """Whether nothing was changed since."""
        return (
            state.images == self.state.images
            and lanes_of(state) == self.lanes
            and state.settings == self.state.settings
            and state.labelling == self.state.labelling
        )

    def located(self, found: Sequence[FoundObjects]) -> "SavedProject":
        """With labels at the objects that are found now, which is no change."""
        state = self.state
        for one in found:
            state = state.located(one)
        return replace(self, state=state)


def lanes_of(state: State) -> tuple[Mapping[str, TrainingInput], ...]:
    """What a project says of the images of a state."""
    return tuple(image.inputs for image in state.images)


# ---------------------------------------------------------------------------- opening


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
    return SavedProject(path, state, stored)


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
        without = f", or open it without them (--allow_misses: their {lost} labels are left out)"
        message = (
            f"{project.path}: {what}: put them where the project expects them, say in which folder they are"
            f"{without if lanes else ''}"
        )
        raise MissingImagesError(message)
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


def new_image(state: State, lane: Lane) -> SessionImage:
    """An image that is added to a state, with a name of its own, and a place in the project."""
    first = lane.raw if lane.raw is not None else lane.objects
    name = lane.nickname or (dataset_name(first.name)[0] if first.files else "image")
    name = distinct(name, [image.lane.nickname for image in state.images])
    image = SessionImage(state.added, replace(lane, nickname=name))
    taken = {one.inside for other in state.images for one in other.inputs.values()}
    stem = re.sub(r"[^\w-]+", "_", name)
    inputs = {role: input_of(_named(one), f"{stem}_{role}", taken) for role, one in image.by_role.items()}
    named = {role: replace(one, nickname=name) if one.inside else one for role, one in inputs.items()}
    return replace(image, inputs=named)


def check_fits(lane: Lane, project: Project) -> None:
    """Refuse an image whose objects a project would not classify.

    Raises
    ------
    ImageError, ProjectError
        If it is of another kind than those of the project.
    """
    if lane.role != project.role:
        message = (
            f"{lane.objects.name}: a {lane.role.replace('_', ' ')}: {project.path} is of the workflow "
            f"'{project.workflow}': expected a {project.role.replace('_', ' ')}"
        )
        raise ImageError(message)
    if project.forest is not None:
        project.check_columns(lane.objects.ndim, lane.channels, lane.objects.name)


def _named(image: Image) -> Image:
    """The image, without its files where their names do not say how they are stacked."""
    if len(image.files) < 2 or open_image(image.name).stored.shape == image.stored.shape:
        return image
    return replace(image, files=())


def _images(project: Project, lanes: Sequence[Lane]) -> tuple[SessionImage, ...]:
    """The images of a session, whose keys are the numbers of the lanes of the project."""
    names: list[str] = []
    for lane, given in zip(lanes, project.lanes, strict=True):
        names.append(distinct(given["raw_data"].nickname or lane.nickname, names))
    return tuple(
        SessionImage(key, replace(lane, nickname=name), _absolute(project, given))
        for key, (lane, name, given) in enumerate(zip(lanes, names, project.lanes, strict=True))
    )


def distinct(name: str, taken: Collection[str]) -> str:
    """The name, with a number where another image has it."""
    wishes = chain([name], (f"{name}_{k}" for k in count(2)))
    return next(wish for wish in wishes if wish not in taken)


def settings_of(project: Project, images: tuple[SessionImage, ...]) -> SessionSettings:
    """The settings of a project, as a session has them."""
    facts, weight = project.facts, project.facts.get("class_weight")
    seed = facts.get("seed")
    return SessionSettings(
        features=_names(project, images),
        margin=max(project.margin[0], 1) if project.margin else SessionSettings().margin,
        trees=project.forest.trees if project.forest is not None else TREES,
        seed=seed if isinstance(seed, int) and 0 <= seed < 2**32 else SEED,
        threshold=project.threshold,
        class_weight=weight if weight in CLASS_WEIGHTS else None,
    )


def _names(project: Project, images: tuple[SessionImage, ...]) -> tuple[str, ...]:
    """The features of a project: a set by its name, where all of it is selected that would be for its images."""
    sets: dict[str, list[str]] = {}
    for set_name, name in project.selected:
        sets.setdefault(set_name, []).append(name)
    found: list[str] = []
    for set_name, names in sets.items():
        lane = images[0].lane if images else None
        whole = _whole(set_name, lane) if lane is not None else None
        found += [set_name] if whole == set(names) else [f"{set_name}:{name}" for name in names]
    return tuple(found)


def _whole(set_name: str, lane: Lane) -> set[str]:
    """Names of the features of a set that training chooses for an image."""
    try:
        chosen = choose([set_name], lane.objects.ndim, lane.channels, training=True)
    except UsageError:  # not defined for it
        return set()
    return {feature.name for feature in chosen}


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


# ---------------------------------------------------------------------------- saving


def check_target(path: str, *, overwrite: bool) -> None:
    """Refuse a file that cannot be written, before any work.

    Raises
    ------
    UsageError, OutputError
        If it cannot.
    """
    if Path(path).suffix.lower() not in PROJECT_WRITERS:
        message = f"project {path}: expected a name that ends in {' or '.join(PROJECT_WRITERS)}"
        raise UsageError(message)
    if os.path.lexists(path) and not overwrite:
        message = f"project {path} exists already: --overwrite replaces it"
        raise OutputError(message)
    check_writable(path)


def save_state(state: State, path: str, saved: SavedProject | None, context: Context) -> None:
    """Write the project of a state that knows all that follows from it; an existing file is replaced.

    Parameters
    ----------
    state
        The state; without labels of two classes, its project has no forest.
    path
        The file to write.
    saved
        The file that the session has: of a project that was opened, other content is kept.
    context
        Memory and threads.

    Raises
    ------
    UsageError
        If there are no images, classes or features.
    OutputError, ProjectError
        If the file cannot be written.
    """
    if not state.images or not state.labelling.classes or state.feature_fault:
        message = state.obstacle or "nothing to save"
        raise UsageError(message)
    base = saved.path if saved is not None and _is_extended(state, saved) else None
    if base is None and state.opened is not None and state.opened.project.classifies_pixels:
        message = f"{state.opened.project.path} classifies pixels, and its images cannot be removed here: remove them in ilastik"
        raise ProjectError(message)
    project = _project(state, context)
    if base is not None and saved is not None:
        known = {name for image in saved.state.images for name in image.inside}
        new = {name: image for name, image in project.images.items() if name not in known}
        project = replace(project, images=new)
    if state.lost:
        log.warning("%s: saved without %d labels, which have no object at these thresholds", path, state.lost)
    save_project(path, project, overwrite=True, base=base)


def _is_extended(state: State, saved: SavedProject) -> bool:
    """Whether the file is of a project that was opened, and its images are the first ones still."""
    before = saved.state.images
    is_complete = len(saved.lanes) == len(before) and state.images[: len(before)] == before
    return state.opened is not None and is_complete and os.path.exists(saved.path)


def _project(state: State, context: Context) -> Project:
    """The project to be written."""
    measured = [state.measured[image.key] for image in state.images]
    last, base = state.classification, state.opened.project if state.opened is not None else None
    if last is None:
        return project_of(measured, state.labelling, state.features, state.margin, base)
    if state.is_as_opened and base is not None:
        training = base.training
        if training is not None:
            training = replace(training, names=last.trained.classes)
        return replace(last.trained, training=training, novelty=base.novelty)
    project, facts = last.project, dict(base.facts) if base is not None else {}
    keeps_numbers = base is not None and [image.key for image in state.images] == list(range(len(measured)))
    lanes = {number: image.lane for number, image in enumerate(state.images)}
    known = facts.get("inputs") if keeps_numbers else None
    further: Mapping[str, object] = {"inputs": input_facts(lanes, project.labels, known, context)}
    result = state.judgement.result if state.is_judged and state.judgement is not None else None
    if result is not None:
        further = {**further, "evaluation": as_json(result.evaluation)}
    training = project.training
    if keeps_numbers and base is not None and training is not None:
        training = with_groups(training, base.training, ())
    return replace(project, training=training, facts={**project.facts, **further})
