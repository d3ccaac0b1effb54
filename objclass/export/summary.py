"""The summary of a run: a row for each image, time step and class."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import fsum, nan, prod
from typing import NamedTuple

import numpy as np

from objclass.core import FloatArray, Lane, PixelSize
from objclass.export.columns import Columns
from objclass.pipeline.lane import COUNT, Step


@dataclass(frozen=True)
class Summary:
    """The summary of a run: its file, and its columns, which are those of all lanes.

    Parameters
    ----------
    path
        The file.
    has_classes
        Whether objects are classified: a row for each class, else one for all objects.
    has_sizes
        Whether the pixel size of any lane is known: sizes also in its unit.
    has_novelty
        Whether it is known how unlike the objects of the training each object is.
    """

    path: str
    has_classes: bool
    has_sizes: bool
    has_novelty: bool = False


class Group(NamedTuple):
    """The objects of a time step, or those of one class; means over no objects are NaN.

    ``share`` is their part of the objects of the time step; ``size`` their mean number of pixels;
    ``novel`` the part of them that is novel.
    """

    frame: int
    name: str
    objects: int
    share: float
    size: float
    uncertainty: float
    novel: float = nan


def groups_of(step: Step, classes: Sequence[str]) -> list[Group]:
    """The objects of a time step, class by class; all together where they are not classified."""
    sizes = step.table.values[COUNT][:, 0]
    total = len(sizes)
    if step.predictions is None:
        return [Group(step.t, "", total, nan, _mean(sizes), nan)]
    groups, is_novel = [], step.predictions.is_novel
    for number, name in enumerate(classes, 1):
        rows = step.predictions.classes == number
        count = int(np.count_nonzero(rows))
        share = count / total if total else nan
        uncertainty = _mean(step.predictions.uncertainty[rows])
        novel = _mean(is_novel[rows]) if is_novel is not None else nan
        groups.append(Group(step.t, name, count, share, _mean(sizes[rows]), uncertainty, novel))
    return groups


def _mean(values: FloatArray) -> float:
    """The exactly rounded mean, which no order of the values changes."""
    return fsum(values.tolist()) / len(values) if len(values) else nan


def summary_columns(
    groups: Sequence[Group], summary: Summary, lane: Lane, image: str, pixel_size: PixelSize | None
) -> Columns:
    """The rows of a lane.

    Parameters
    ----------
    groups
        Those of its time steps, one after the other.
    summary
        The summary to which the rows are added.
    lane, image
        The lane, and its name in tables.
    pixel_size
        Its pixel size, None if unknown.
    """
    columns: Columns = {
        "image": np.full(len(groups), image, dtype=object),
        **{name: np.full(len(groups), text, dtype=object) for name, text in lane.metadata},
        "frame": np.array([group.frame for group in groups], int),
    }
    if summary.has_classes:
        columns["class"] = np.array([group.name for group in groups], dtype=object)
    columns["object_count"] = np.array([group.objects for group in groups], int)
    if summary.has_classes:
        columns["share"] = np.array([group.share for group in groups], float)
    sizes = np.array([group.size for group in groups], float)
    columns["mean_size_px"] = sizes
    if summary.has_sizes:
        voxel, unit = voxel_size(lane, pixel_size)
        columns["mean_size"] = sizes * voxel
        columns["size_unit"] = np.full(len(groups), unit, dtype=object)
    if summary.has_classes:
        columns["mean_uncertainty"] = np.array([group.uncertainty for group in groups], float)
    if summary.has_novelty:
        columns["novel_share"] = np.array([group.novel for group in groups], float)
    return columns


def is_summary(names: Sequence[str]) -> bool:
    """Whether these are the columns of a summary, not those of a table of objects."""
    return names[:1] == ["image"] and {"frame", "object_count", "mean_size_px"} <= {*names}


def is_known(pixel_size: PixelSize | None) -> bool:
    """Whether it is a size in a unit of length."""
    return pixel_size is not None and pixel_size.unit not in ("", "px")


def voxel_size(lane: Lane, pixel_size: PixelSize | None) -> tuple[float, str]:
    """The size of a pixel (area, in 3D volume) and its unit, such as ``um2``; NaN and ``""`` if unknown."""
    if pixel_size is None or not is_known(pixel_size):
        return nan, ""
    ndim = lane.objects.ndim
    return prod(pixel_size.spacing(ndim)), f"{pixel_size.unit}{ndim}"
