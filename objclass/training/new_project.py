"""A project of ours."""

from objclass.features.contract import Key
from objclass.forest import Forest
from objclass.project.model import WORKFLOWS, Project, TableSettings, class_colors

ALWAYS_COMPUTED = ("Coord<Maximum>", "Coord<Minimum>", "Count", "RegionCenter")
"""Features that ilastik writes into every table."""


def new_project(
    role: str,
    classes: tuple[str, ...],
    selected: tuple[Key, ...],
    margin: tuple[int, ...] = (),
    forest: Forest | None = None,
) -> Project:
    """A project of ours, without images and labels.

    Parameters
    ----------
    role
        Role of its second input: ``segmentation_image``, ``prediction_maps`` or ``label_image``.
    classes
        Names of the classes.
    selected
        Keys of the features that the forest uses, in the order of its columns.
    margin
        Neighbourhood along x, y(, z) in pixels; empty if no feature needs one.
    forest
        The classifier.
    """
    names = tuple(dict.fromkeys([*ALWAYS_COMPUTED, *(name for _, name in selected)]))
    return Project(
        path="",
        workflow=next(name for name, r in WORKFLOWS.items() if r == role),
        version="",
        role=role,
        classes=classes,
        computed=tuple(sorted({*selected, *(("Standard Object Features", n) for n in ALWAYS_COMPUTED)})),
        selected=selected,
        margin=margin,
        forest=forest,
        colors=class_colors((), len(classes)),
        table=TableSettings("csv", "{dataset_dir}/{nickname}.csv", names),
    )
