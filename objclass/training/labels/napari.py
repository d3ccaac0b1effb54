"""Points layers that napari has saved as CSV: columns index, axis-0, axis-1 …, and the properties of the points.

The last axes are y and x, and z before them in volumes; what is before that is time. Coordinates are whole numbers at the
centres of pixels.
"""

import re
from collections.abc import Collection, Sequence

from objclass.errors import InputError, listed
from objclass.training.labels.given import GivenLanes
from objclass.training.labels.rows import Row, Table

CLASS = ("class", "label", "classification", "category", "name")
"""Properties that are the class, the first one that is there; else the only property."""

OWN = ("index", "image", "track")
"""Columns that are no class."""

SHAPES = ("shape-type", "vertex-index")


def is_napari(columns: Sequence[str]) -> bool:
    """Whether a table has the columns of a layer of napari."""
    return {"axis-0", "axis-1"} <= set(columns)


def used_of_napari(columns: Sequence[str]) -> Collection[str]:
    """The columns of a layer that may say something of a label."""
    properties = _properties(columns)
    single = properties if len(properties) == 1 else ()
    return {*_axes(columns), *CLASS, *OWN, *single}


def _axes(columns: Sequence[str]) -> list[str]:
    return [column for column in columns if re.fullmatch(r"axis-\d+", column)]


def _properties(columns: Sequence[str]) -> list[str]:
    axes = _axes(columns)
    return [column for column in columns if column and column not in OWN and column not in axes]


def from_napari(table: Table, given: GivenLanes) -> Table:
    """The table with columns class, timestep, z, y and x.

    Raises
    ------
    InputError
        If it is of another layer, has no class, or other axes than the images.
    """
    if set(SHAPES) & set(table.columns):
        message = f"labels {table.path}: a shapes layer of napari: expected a points layer, or a label image of shapes"
        raise InputError(message)
    name = _class_column(table)
    letters = _letters(table.path, _axes(table.columns), given)
    names = {name: "class"} | {f"axis-{k}": letter for k, letter in enumerate(letters)}
    names |= {own: own for own in OWN[1:] if own in table.columns}
    rows = [
        Row(row.line, {new: _text(row.cells[old], new) for old, new in names.items()}) for row in table.rows
    ]
    return Table(table.path, list(names.values()), rows)


def _class_column(table: Table) -> str:
    """The property that is the class."""
    properties = _properties(table.columns)
    known = [name for name in CLASS if name in properties]
    if known or len(properties) == 1:
        return [*known, *properties][0]
    message = (
        f"labels {table.path}: a points layer of napari with the properties {listed(properties)}: expected one "
        "called class, which names the class of each point (layer.features in napari)"
    )
    raise InputError(message)


def _letters(path: str, axes: Sequence[str], given: GivenLanes) -> Sequence[str]:
    """What each axis of the points is."""
    steps, depth = (max(given.shape(lane)[k] for lane in range(len(given.lanes))) for k in (0, 1))
    several = [name for name, n in (("timestep", steps), ("z", depth)) if n > 1]
    count = len(axes)
    if sorted(axes) == [f"axis-{k}" for k in range(count)]:
        if count == 4:
            return ("timestep", "z", "y", "x")
        if count == 3 and len(several) < 2:
            return (*(several or ["z"]), "y", "x")
        if count == 2 and not several:
            return ("y", "x")
    needed = " and ".join(["time" if name == "timestep" else name for name in several] + ["y", "x"])
    message = f"labels {path}: points with {count} axes ({listed(axes)}), but the images have {needed}"
    raise InputError(message)


def _text(text: str, column: str) -> str:
    """A cell; napari's time steps are numbers such as 3.0, and may lie between two."""
    if column != "timestep":
        return text
    try:
        return str(round(float(text)))
    except (ValueError, OverflowError):
        return text
