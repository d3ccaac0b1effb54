"""The objects of a part of a time step, of which some go on in other parts.

A component is *open* if other parts decide on it: it touches a side at which another part follows, or (with
hysteresis) it holds a core that does. All others are closed: what is to be known of them is known here.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.compute.context import Context
from objclass.compute.slabs import Slab
from objclass.core import AnyArray, Image, IntArray, Lane
from objclass.images.window import window
from objclass.segmentation import labelling
from objclass.segmentation.components import numbered
from objclass.segmentation.sized import Sides, SizedComponents
from objclass.segmentation.threshold import Map, components_of
from objclass.settings import ThresholdSettings

NONE = np.zeros(0, np.int64)


@dataclass(frozen=True)
class OpenComponents:
    """The open components of a part, k of them.

    Parameters
    ----------
    ids
        Their ids in the part, ascending (k,).
    values
        Their values in the segmentation (k,): those of equal value join.
    sizes
        Their numbers of voxels in the part (k,); None where there are no size limits.
    holds_core
        Whether it is known already that they hold a core (k,); None without hysteresis.
    """

    ids: IntArray
    values: AnyArray
    sizes: IntArray | None = None
    holds_core: NDArray[np.bool_] | None = None


@dataclass(frozen=True)
class PartObjects:
    """The objects of a part of a time step.

    Parameters
    ----------
    labels
        Label image of the part as in `objclass.core.Objects`: ids 1 … ``count``, by first voxel, of closed objects and
        open components.
    count
        Number of these.
    open
        The open components.
    original
        For a label image: the ids in it (count,).
    cores
        With hysteresis: the open components of cores, in a label image of their own.
    overlaps
        Pairs (2, n) of ids of an open component, and an open core that it holds.
    top
        For prediction maps: the largest value that was read.
    """

    labels: Any
    count: int
    open: OpenComponents
    original: AnyArray | None = None
    cores: "PartObjects | None" = None
    overlaps: IntArray | None = None
    top: float | None = None


def sides_of(part: Slab, shape: tuple[int, int, int]) -> Sides:
    """The sides of a part of a time step (z, y, x) at which it goes on."""
    return Sides(part.z > 0, part.stop_z < shape[0], part.y > 0, part.stop_y < shape[1])


def find_part(lane: Lane, t: int, part: Slab, settings: ThresholdSettings, context: Context) -> PartObjects:
    """The objects of a part of a time step of a lane, by the methods that need not see all of it.

    Raises
    ------
    LaneError
        If values cannot be labels: fractions, negative ids of a label image.
    """
    sides = sides_of(part, lane.objects.shape[1:4])
    if lane.role == "prediction_maps":
        return thresholded(lane.objects, t, part, sides, settings, context)
    image = window(lane.objects, t, part.within(lane.objects.shape[1:4]))
    if lane.role == "label_image":
        objects = labelling.renumbered(image, 0, context)
        return PartObjects(objects.labels, objects.count, OpenComponents(NONE, NONE), objects.original)
    return segmented(image, sides, context)


def segmented(image: Image, sides: Sides, context: Context) -> PartObjects:
    """Components of the segmentation of a part."""
    found = labelling.components_of(image, 0, context)
    root = found.components.roots()
    return chosen(found, root, np.ones(len(root), bool), found.at_sides(root, sides))


def thresholded(
    image: Image, t: int, part: Slab, sides: Sides, settings: ThresholdSettings, context: Context
) -> PartObjects:
    """Components of the prediction map of a part, without the closed ones that are not kept."""
    found = components_of(Map(image, t, settings, context, part), context)
    root = found.objects.components.roots()
    kept, is_open = found.objects.kept(root, settings), found.objects.at_sides(root, sides)
    if found.cores is None:
        return replace(chosen(found.objects, root, kept | is_open, is_open), top=found.top)
    core_root = found.cores.components.roots()
    is_open_core = found.cores.at_sides(core_root, sides)
    is_core = found.cores.kept(core_root, settings) & ~is_open_core
    with_core, core = root[found.overlaps[0]], core_root[found.overlaps[1]]
    holds, may_hold = np.zeros((2, len(root)), bool)
    holds[with_core[is_core[core]]] = True
    may_hold[with_core[is_open_core[core]]] = True
    is_open |= kept & ~holds & may_hold
    objects = chosen(found.objects, root, is_open | (kept & holds), is_open, holds)
    cores = chosen(found.cores, core_root, is_open_core, is_open_core)
    ids, core_ids = numbered(is_open | (kept & holds), root)[0], numbered(is_open_core, core_root)[0]
    both = is_open[with_core] & is_open_core[core]
    overlaps = np.unique(np.stack([ids[with_core[both]], core_ids[core[both]]]), axis=1).astype(np.int64)
    return replace(objects, cores=cores, overlaps=overlaps, top=found.top)


def chosen(
    found: SizedComponents,
    root: IntArray,
    kept: NDArray[np.bool_],
    is_open: NDArray[np.bool_],
    holds_core: NDArray[np.bool_] | None = None,
) -> PartObjects:
    """The kept components of a part, numbered; all is given for each root."""
    ids, _ = numbered(kept, root)
    first = np.flatnonzero(is_open & (root == np.arange(len(root))))
    sizes = found.sizes(root)
    ends = OpenComponents(
        ids[first].astype(np.int64),
        found.components.values[first],
        sizes[first] if sizes is not None else None,
        holds_core[first] if holds_core is not None else None,
    )
    objects = found.objects(root, kept)
    return PartObjects(objects.labels, objects.count, ends)
