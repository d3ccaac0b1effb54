"""The report of a project: what it is, how good it is, and pictures from the images that it was trained on."""

import os
from collections.abc import Iterator
from pathlib import Path

from objclass.compute.context import Context
from objclass.core import FloatArray, Lane
from objclass.errors import InputError
from objclass.evaluation.groups import canonical, groups_of
from objclass.evaluation.result import Evaluation
from objclass.novelty import novelty_within
from objclass.project.model import Project, TrainingInput, class_colors
from objclass.report.file import save_page
from objclass.report.of_evaluation import Subject, method_facts, objects_to_show, page_of
from objclass.report.page import Page
from objclass.report.pictures import read_crops
from objclass.training.judge import JudgedImages
from objclass.training.learn import image_names
from objclass.training.retrain import open_training_lane


def save_report(
    path: str, found: Evaluation, project: Project, context: Context, judged: JudgedImages | None = None
) -> None:
    """Write the page of an evaluation of a project.

    Parameters
    ----------
    path
        The file.
    found
        An evaluation.
    project
        The project.
    judged
        The images by which it was judged; None for its own labels: then pictures are those of its training images, as far
        as these are found. The objects of each time step that is shown are found again; of the raw data only what is
        around the objects that are shown is read.
    """
    save_page(path, report_of(found, project, context, judged))


def report_of(
    found: Evaluation, project: Project, context: Context, judged: JudgedImages | None = None
) -> Page:
    """The page of an evaluation of a project, as `save_report` writes it."""
    shown = objects_to_show(found, _novelty(project, judged, context))
    rows = [row for kinds in shown.values() for of_kind in kinds.values() for row in of_kind.tolist()]
    needed = {int(found.objects.image[row]): found.images[found.objects.image[row]] for row in rows}
    lanes = {k: lane for k, name in sorted(needed.items()) if (lane := _lane(name, project, judged, context))}
    crops = read_crops(found.objects, rows, lanes, project.threshold, context)
    colors = class_colors(project.colors, len(found.names))
    subject = Subject(f"How good is {Path(project.path).name}?", tuple(_facts(found, project)), colors)
    return page_of(found, subject, shown, crops)


def _novelty(project: Project, judged: JudgedImages | None, context: Context) -> FloatArray | None:
    """Novelty of the objects of an evaluation; None if the project does not hold what it was trained on."""
    if judged is not None:
        return project.novelty.score(judged.table.rows, context) if project.novelty is not None else None
    if project.training is None or project.forest is None:
        return None
    table = canonical(project.training)
    return novelty_within(table.rows, table.classes, groups_of(table).of, project.forest.splits)


def _lane(name: str, project: Project, judged: JudgedImages | None, context: Context) -> Lane | None:
    """An image of the evaluation; None if it is not found, which the page says."""
    if judged is not None:
        return judged.lanes[name]
    names = project.training.images if project.training is not None else image_names(project)
    if name not in names:
        return None
    try:
        return open_training_lane(project, names.index(name), context)
    except InputError:
        return None


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
    yield from method_facts(found)
    if project.role == "prediction_maps":
        yield "thresholds", (_thresholds(project),)
    yield "features", tuple(f"{set_name}: {name}" for set_name, name in project.selected)
    yield "training images", tuple(_images(project))


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
