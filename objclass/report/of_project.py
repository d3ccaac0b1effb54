"""The report of a project: what it is, how good it is, and pictures from the images that it was trained on."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from objclass.compute.context import Context
from objclass.core import FloatArray, Lane
from objclass.errors import InputError
from objclass.evaluation.groups import groups_of
from objclass.evaluation.result import Evaluation
from objclass.novelty import novelty_within
from objclass.project.model import Project, TrainingInput, class_colors
from objclass.report.facts import counted
from objclass.report.file import save_page
from objclass.report.of_evaluation import Subject, objects_to_show, page_of
from objclass.report.page import Page
from objclass.report.pictures import read_crops
from objclass.training.retrain import open_training_lane


def save_report(path: str, found: Evaluation, project: Project, context: Context) -> None:
    """Write the page of an evaluation of a project.

    Parameters
    ----------
    path
        The file.
    found
        An evaluation of the labels of the project.
    project
        The project; of its images only what is around the objects that are shown is read, as far as they are found.
    """
    save_page(path, report_of(found, project, context))


def report_of(found: Evaluation, project: Project, context: Context) -> Page:
    """The page of an evaluation of a project, as `save_report` writes it."""
    shown = objects_to_show(found, _novelty(found, project))
    rows = [row for kinds in shown.values() for of_kind in kinds.values() for row in of_kind.tolist()]
    needed = {int(found.objects.image[row]) for row in rows}
    crops = read_crops(
        found.objects, rows, _lanes(found, project, needed, context), project.threshold, context
    )
    colors = class_colors(project.colors, len(found.names))
    subject = Subject(f"How good is {Path(project.path).name}?", tuple(_facts(found, project)), colors)
    return page_of(found, subject, shown, crops)


def _novelty(found: Evaluation, project: Project) -> FloatArray | None:
    """How little each object is like those of other images; None where the project does not hold what it measured."""
    table, objects = project.training, found.objects
    if table is None or project.forest is None:
        return None
    scores = novelty_within(table.rows, table.classes, groups_of(table).of, project.forest.splits)
    names = [table.images[k] for k in table.image.tolist()]
    known = dict(
        zip(
            zip(names, table.timestep.tolist(), table.label.tolist(), strict=True),
            scores.tolist(),
            strict=True,
        )
    )
    places = zip(objects.image.tolist(), objects.timestep.tolist(), objects.label.tolist(), strict=True)
    return np.array([known.get((found.images[image], t, label), 0.0) for image, t, label in places])


def _lanes(found: Evaluation, project: Project, needed: set[int], context: Context) -> dict[int, Lane]:
    """The training images of some numbers in the evaluation, without those that are not found."""
    numbers = {
        name: k for k, name in enumerate(project.training.images if project.training is not None else ())
    }
    lanes = {}
    for image in sorted(needed):
        number = numbers.get(found.images[image])
        if number is not None:
            try:
                lanes[image] = open_training_lane(project, number, context)
            except InputError:
                continue  # the page says so
    return lanes


def _facts(found: Evaluation, project: Project) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Where the classifier and its evaluation come from."""
    stored = project.facts
    yield "project", (Path(project.path).name,)
    yield "workflow", (project.workflow,)
    if "version" in stored:
        yield "trained by", (f"objclass {stored['version']}",)
    if project.forest is not None:
        yield "classifier", (f"random forest of {len(project.forest.roots)} trees",)
    for name in ("seed", "class_weight"):
        if stored.get(name) is not None:
            yield name.replace("_", " "), (str(stored[name]),)
    yield "judged by", (_method(found),)
    yield "random state of the folds", (str(found.seed),)
    if project.role == "prediction_maps":
        yield "thresholds", (_thresholds(project),)
    yield "features", tuple(f"{set_name}: {name}" for set_name, name in project.selected)
    yield "images", tuple(_images(project))


def _method(found: Evaluation) -> str:
    grouped = f", grouped by {found.grouped_by}" if found.grouped_by else ""
    return f"{found.method}: {found.folds} folds, {counted(found.repeats, 'repeat')}{grouped}"


def _thresholds(project: Project) -> str:
    settings = project.threshold
    largest = "" if settings.max_size is None else f" to {settings.max_size}"
    return f"{settings.method}, channel {settings.channel}, {settings.threshold:g}, {settings.min_size}{largest} pixels"


def _images(project: Project) -> Iterator[str]:
    """The images that it was trained on, and the digests of their pixels, as far as these are known."""
    inputs = project.facts.get("inputs")
    digests = inputs if isinstance(inputs, list) else []
    for number, lane in enumerate(project.lanes):
        known = digests[number] if number < len(digests) and isinstance(digests[number], dict) else {}
        for role, given in lane.items():
            digest = f", sha256 {known[role]}" if role in known else ""
            yield f"{role.replace('_', ' ')} {_described(given)}{digest}"


def _described(given: TrainingInput) -> str:
    first, *more = given.path.split(os.pathsep)
    files = f" and {len(more)} more files" if more else ""
    return f"{first}{files}, axes {given.axes}, {' × '.join(map(str, given.shape))}"
