"""What objects share beyond their class (an image, a region of it, a track): they are held out together."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, FloatArray, IntArray
from objclass.errors import UsageError
from objclass.evaluation.settings import GROUPINGS
from objclass.project.training_table import TrainingTable

REGIONS = 10
"""Regions of a single image, and stretches of time of a single movie."""


@dataclass(frozen=True)
class Groups:
    """The groups of the objects of a table.

    Parameters
    ----------
    name
        What is shared: ``"image"``, ``"region"``, ``"time"``, ``"track"``, the name of a column; ``""``: nothing, each
        object is a group of its own.
    of
        The group of each object (n,), from 0; each has an object at least.
    """

    name: str
    of: NDArray[np.intp]

    @property
    def count(self) -> int:
        """Number of groups."""
        return int(self.of.max(initial=-1)) + 1


def canonical(table: TrainingTable) -> TrainingTable:
    """The table with its images sorted by name, and its rows by image, time step and id, or by values without ids.

    An evaluation does not depend on the order in which images and objects are given.
    """
    order = sorted(range(len(table.images)), key=lambda k: table.images[k])
    place = np.empty(len(order), np.intp)
    place[order] = np.arange(len(order))
    moved = replace(
        table,
        image=place[table.image],
        images=tuple(table.images[k] for k in order),
        extents=tuple(table.extents[k] for k in order) if table.extents else (),
    )
    of_object = moved.label if moved.has_ids else _by_values(moved)
    return moved.take(np.lexsort((of_object, moved.timestep, moved.image)))


def _by_values(table: TrainingTable) -> NDArray[np.intp]:
    """A number for each row, the same for rows that differ in nothing."""
    group = np.unique(table.group, return_inverse=True)[1] if table.group else np.zeros(len(table), int)
    values = np.column_stack([table.rows, table.classes, np.nan_to_num(table.center), group])
    return np.unique(values, axis=0, return_inverse=True)[1].ravel()


def groups_of(table: TrainingTable, group_by: str = "") -> Groups:
    """The groups by which a table is cross-validated.

    Parameters
    ----------
    table
        A canonical one.
    group_by
        As in `EvaluationSettings`.

    Raises
    ------
    UsageError
        If the table cannot be grouped so.
    """
    if not group_by:
        return next(found for choose in _CHOICES if (found := choose(table)) is not None)
    choices: dict[str, Callable[[TrainingTable], Groups | None]] = {
        "image": by_image,
        "region": by_region,
        "time": by_time,
    }
    if any(table.group) or table.group_name not in choices:
        choices[table.group_name] = by_group  # groups that were given, whatever they are called
    if group_by not in choices:
        message = f"--group_by '{group_by}': expected {', '.join([*GROUPINGS, table.group_name])}"
        raise UsageError(message)
    found = choices[group_by](table)
    if found is None:
        lacks = {
            "image": "only one image",
            "region": "no positions of the objects",
            "time": "only one time step",
        }
        lack = lacks.get(group_by, f"no {group_by}")
        if choices[group_by] is by_group and any(table.group):
            lack = f"only one {group_by}"
        message = f"--group_by '{group_by}': the labelled objects have {lack}"
        raise UsageError(message)
    return found


def by_image(table: TrainingTable) -> Groups | None:
    """Images; None if there is a single one."""
    return _several("image", table.image)


def by_group(table: TrainingTable) -> Groups | None:
    """Groups that were given; None if there are none. Tracks are other ones in each image; no track is one of its own."""
    if not any(table.group):
        return None
    given = np.array([name or f"\0{row}" for row, name in enumerate(table.group)], str)
    is_track = table.group_name == "track"
    return _several(table.group_name, _numbered([table.image, given]) if is_track else given)


def by_time(table: TrainingTable) -> Groups | None:
    """Contiguous stretches of time in each image, of about as many objects; None if there is one time step."""
    return _several("time", _within(table, lambda rows: _stretches(table.timestep[rows])))


def by_region(table: TrainingTable) -> Groups | None:
    """Compact regions of each image, of about as many objects; None if positions are not known."""
    center = known_center(table)
    if not center.size:
        return None
    return _several("region", _within(table, lambda rows: regions(center[rows], REGIONS)))


def known_center(table: TrainingTable) -> FloatArray:
    """The centres along the axes on which all are known (n, axes): in 2D without z."""
    return table.center[:, np.isfinite(table.center).all(axis=0)]


def by_nothing(table: TrainingTable) -> Groups:
    """Each object for itself."""
    return Groups("", np.arange(len(table)))


_CHOICES = (by_image, by_group, by_time, by_region, by_nothing)


def regions(center: FloatArray, count: int) -> NDArray[np.intp]:
    """Cut the points of an image (n, 3) into so many regions, or one for each point if these are fewer.

    The longer extent is cut, so that either part has its share of the points, again and again.

    Examples
    --------
    >>> regions(np.array([[0.0, 0, 0], [9, 0, 0], [1, 0, 0], [8, 0, 0]]), 2).tolist()
    [0, 1, 0, 1]
    """
    region = np.zeros(len(center), np.intp)
    count = min(count, len(center))
    if count < 2:
        return region
    axis = int(np.argmax(np.ptp(center, axis=0)))
    others = [center[:, other] for other in range(center.shape[1]) if other != axis]
    order = np.lexsort((*others, center[:, axis]))
    low = count // 2
    cut = len(center) * low // count
    region[order[:cut]] = regions(center[order[:cut]], low)
    region[order[cut:]] = low + regions(center[order[cut:]], count - low)
    return region


def _stretches(timestep: IntArray) -> NDArray[np.intp]:
    """Stretches of time; a time step is never cut."""
    _, step, objects = np.unique(timestep, return_inverse=True, return_counts=True)
    before = np.cumsum(objects) - objects
    middle = 2 * before + objects  # twice the rank of its middle object: integers
    return (middle * min(REGIONS, len(objects)) // (2 * len(timestep)))[step]


def _within(table: TrainingTable, cut: Callable[[NDArray[np.intp]], NDArray[np.intp]]) -> NDArray[np.intp]:
    """Parts of each image, all with different numbers."""
    part = np.zeros(len(table), np.intp)
    for number in np.unique(table.image):
        rows = np.flatnonzero(table.image == number)
        part[rows] = cut(rows)
    return _numbered([table.image, part])


def _several(name: str, values: AnyArray) -> Groups | None:
    """Groups of equal values; None if there is a single one."""
    groups = Groups(name, _numbered([values]))
    return groups if groups.count > 1 else None


def _numbered(columns: list[AnyArray]) -> NDArray[np.intp]:
    """Rows of equal values get the same number, from 0."""
    codes = np.stack([np.unique(column, return_inverse=True)[1] for column in columns])
    return np.unique(codes, axis=1, return_inverse=True)[1].ravel()
