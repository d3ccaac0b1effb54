"""Which open components are one object, and the numbers of all objects: the only part of a cut that is not divided.

What is done here grows with the components that touch seams, not with the voxels, and not with the objects, but for
label images, whose ids may be anywhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from objclass.core import AnyArray, IntArray
from objclass.segmentation.components import roots
from objclass.segmentation.part import OpenComponents
from objclass.segmentation.sized import within_limits
from objclass.settings import ThresholdSettings

Seam = tuple[int, int]
"""Numbers of two parts that touch."""


@dataclass(frozen=True)
class Found:
    """What a task found in a part, but for the label image.

    Parameters
    ----------
    count
        Number of closed objects and open components.
    open
        The open components.
    original
        For a label image: its ids (count,).
    cores, overlaps
        See `objclass.segmentation.part.PartObjects`.
    top
        For prediction maps: the largest value.
    value_range
        The smallest and the largest raw value of all that was found; None where it is not needed, or where some of it
        may be no objects in the end.
    """

    count: int
    open: OpenComponents
    original: AnyArray | None = None
    cores: OpenComponents | None = None
    overlaps: IntArray | None = None
    top: float | None = None
    value_range: tuple[float, float] | None = None


@dataclass(frozen=True)
class Numbers:
    """The numbers of the objects of a time step.

    Parameters
    ----------
    before
        Number of objects that begin before each part, and that of all.
    known
        For each part what is known of its open components: see `objclass.pipeline.cut.labels`.
    members
        For each part the other parts into which its objects reach.
    """

    before: IntArray
    known: list[IntArray]
    members: list[tuple[int, ...]]

    @property
    def count(self) -> int:
        """Number of objects."""
        return int(self.before[-1])


class Joined:
    """The open components of all parts, one part after the other, and those that are one object.

    Parameters
    ----------
    parts
        The open components of each part.
    seams, pairs
        For each pair of parts that touch, which of their components do: pairs (2, n) of ids.
    """

    def __init__(
        self, parts: Sequence[OpenComponents], seams: Sequence[Seam], pairs: Sequence[IntArray]
    ) -> None:
        self.parts = parts
        self.starts = np.cumsum([0, *(len(part.ids) for part in parts)])
        self.ids, self.values = joined([part.ids for part in parts]), joined([part.values for part in parts])
        found = [
            np.stack([self.places(a, ids[0]), self.places(b, ids[1])])
            for (a, b), ids in zip(seams, pairs, strict=True)
        ]
        touching = np.concatenate([np.zeros((2, 0), np.int64), *found], axis=1)
        alike = self.values[touching[0]] == self.values[touching[1]]
        self.root = roots(len(self.ids), touching[:, alike])

    def places(self, part: int, ids: IntArray) -> IntArray:
        """The components (from 0, over all parts) of these ids of a part."""
        return np.searchsorted(self.parts[part].ids, ids) + self.starts[part]

    def kept(self, settings: ThresholdSettings) -> NDArray[np.bool_]:
        """For each root, whether the size of its component is within the limits."""
        sizes = [part.sizes for part in self.parts if part.sizes is not None]
        if not sizes:
            return np.ones(len(self.root), bool)
        total = np.bincount(self.root, joined(sizes), len(self.root))
        return within_limits(total, len(self.root), settings)


def joined(arrays: Sequence[AnyArray]) -> AnyArray:
    """The arrays one after the other, in the type of those that have elements."""
    full = [array for array in arrays if len(array)]
    return np.concatenate(full) if full else np.zeros(0, np.int64)


def numbers_of(
    found: Sequence[Found],
    settings: ThresholdSettings,
    seams: Sequence[Seam],
    pairs: Sequence[IntArray],
    core_pairs: Sequence[IntArray],
) -> Numbers:
    """Join the components of a segmentation or a map that touch at the seams, and number what is kept."""
    objects = Joined([part.open for part in found], seams, pairs)
    kept = objects.kept(settings)
    if found[0].cores is not None:
        kept &= _hold_core(found, objects, settings, seams, core_pairs)
    return numbered([part.count for part in found], objects.ids, objects.starts, objects.root, kept)


def _hold_core(
    found: Sequence[Found],
    objects: Joined,
    settings: ThresholdSettings,
    seams: Sequence[Seam],
    pairs: Sequence[IntArray],
) -> NDArray[np.bool_]:
    """For each root, whether its component holds a core of a size within the limits."""
    cores = Joined([part.cores for part in found if part.cores is not None], seams, pairs)
    is_core = cores.kept(settings)[cores.root]
    holds = np.zeros(len(objects.root), bool)
    for number, part in enumerate(found):
        assert part.overlaps is not None
        assert part.open.holds_core is not None
        of_part = objects.root[objects.starts[number] : objects.starts[number + 1]]
        holds[of_part[part.open.holds_core]] = True
        with_core, core = part.overlaps
        holding = objects.places(number, with_core)[is_core[cores.places(number, core)]]
        holds[objects.root[holding]] = True
    return holds


def numbers_of_ids(originals: Sequence[AnyArray]) -> tuple[Numbers, AnyArray]:
    """Number the ids of a label image by first occurrence, given those of each part; and the ids of the objects."""
    counts = [len(ids) for ids in originals]
    every = np.concatenate(originals)
    _, first, inverse, times = np.unique(every, return_index=True, return_inverse=True, return_counts=True)
    where = np.flatnonzero(times[inverse] > 1)  # ids in several parts
    root = np.searchsorted(where, first[inverse[where]])
    begins = np.cumsum([0, *counts])
    starts = np.searchsorted(where, begins)
    ids = where - np.repeat(begins[:-1], np.diff(starts)) + 1
    return numbered(counts, ids, starts, root, np.ones(len(root), bool)), every[np.sort(first)]


def numbered(
    counts: Sequence[int], ids: IntArray, starts: IntArray, root: IntArray, kept: NDArray[np.bool_]
) -> Numbers:
    """Number the objects by their first voxel.

    Parameters
    ----------
    counts
        Number of ids of each part.
    ids, starts
        Those of open components, ascending in each part; ``starts`` says where each part begins.
    root, kept
        The first member of each component, and for each of these whether it is kept.
    """
    lengths, parts = np.diff(starts), len(counts)
    part = np.repeat(np.arange(parts), lengths)
    is_first = kept & (root == np.arange(len(root)))
    firsts = np.concatenate([[0], np.cumsum(is_first)])  # objects that begin with open components, so far
    before = np.concatenate([[0], np.cumsum(np.array(counts) - lengths + np.diff(firsts[starts]))])
    # closed objects of the part with lower ids, and objects that begin with open components, up to each
    closed = ids - 1 - (np.arange(len(ids)) - np.repeat(starts[:-1], lengths))
    rank = before[part] + closed + firsts[1:] - firsts[starts][part]
    final = np.where(kept[root], rank[root], 0)
    apart = kept[root] & (part[root] != part)
    owner, member = np.divmod(np.unique(part[root[apart]] * parts + part[apart]), parts)
    at = np.searchsorted(owner, np.arange(parts + 1))
    known = np.stack([ids, final, is_first])
    return Numbers(
        before,
        [known[:, a:b] for a, b in pairwise(starts)],
        [tuple(member[a:b].tolist()) for a, b in pairwise(at)],
    )
