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
    base = _base(state, saved)
    project = _project(state, context)
    before = base.lanes_in(state) if base is not None else {}
    known = {name for image in state.images if image.key in before for name in image.inside}
    project = replace(project, images={k: one for k, one in project.images.items() if k not in known})
    if state.lost:
        log.warning("%s: saved without %d labels, which have no object at these thresholds", path, state.lost)
    source = base.path if base is not None else None
    save_project(path, project, overwrite=True, base=source, kept=list(before.values()))


def _base(state: State, saved: SavedProject | None) -> SavedProject | None:
    """The file whose other content is kept: that of a project that was opened; None if there is none."""
    if saved is None or state.opened is None:
        return None
    if os.path.exists(saved.path):
        return saved
    if state.opened.project.classifies_pixels:
        message = f"{saved.path} is not there any more, and holds the classifier of pixels: put it back"
        raise ProjectError(message)
    return None


def _project(state: State, context: Context) -> Project:
    """The project to be written."""
    measured = [state.measured[image.key] for image in state.images]
    last, base = state.classification, state.opened.project if state.opened is not None else None
    if last is None:
        return project_of(measured, state.labelling, state.features, state.margin, base)
    keys = [image.key for image in state.images]
    if state.is_as_opened and base is not None and keys[: len(base.lanes)] == list(range(len(base.lanes))):
        training = base.training
        if training is not None:
            training = replace(training, names=last.trained.classes)
        return replace(last.trained, training=training, novelty=base.novelty)
    project, facts = last.project, dict(base.facts) if base is not None else {}
    keeps_numbers = base is not None and keys == list(range(len(measured)))
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
