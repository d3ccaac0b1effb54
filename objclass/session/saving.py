"""Sessions are saved as projects."""

import logging
import os
from collections.abc import Mapping
from dataclasses import replace

from objclass.compute.context import Context
from objclass.errors import ProjectError, UsageError
from objclass.evaluation.writing import as_json
from objclass.export.projects import save_project
from objclass.project.model import Project
from objclass.session.classification import project_of
from objclass.session.projects import SavedProject
from objclass.session.state import State
from objclass.training.adding import with_groups
from objclass.training.provenance import input_facts

log = logging.getLogger("objclass")


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
