"""The kinds of statistics: what features are made of, and how each is gathered from the voxels.

A statistic is of one of four kinds, and its kind says how it is computed:

`Merged`
    ``scan(voxels) -> S`` and ``S + S -> S``: any blocks, in any order.
`Folded`
    ``state.fold(voxels) -> state``: the voxels of each object come in scan order (x fastest), block
    after block. vigra's running sums need this: without their order the last bits, and for
    symmetric objects the axes, would be others.
`Derived`
    ``of(done)``: from finished statistics, without pixels.
`PerObject`
    ``of(crop)``: each object whole, with ``reach`` voxels around it (`objclass.features.statistics.per_object`).

``after`` names the statistics that must be finished before.
"""

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar, Self

from objclass.features.statistics.runs import Fold
from objclass.features.voxels import Block, Voxels

Done = Mapping[type["Statistic"], Any]
"""Finished statistics by type."""


class Statistic:
    """Base of the four kinds."""

    after: ClassVar[tuple[type["Statistic"], ...]] = ()
    pixels: ClassVar[bool] = True
    """Whether pixel values are looked at (not only where the objects are)."""

    def compiled(self, block: Block, done: Done) -> Fold | None:
        """What lets compiled code bring this state up to date in place; None if numpy is to do it.

        The state of a merged statistic that has it begins with ``start``, too.
        """
        return None


class Merged(Statistic):
    """Any blocks, any order."""

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self | None:
        """The statistic of no voxels, for those that are compiled."""
        return None

    @classmethod
    def scan(cls, voxels: Voxels, done: Done) -> Self:
        """The statistic of one block."""
        raise NotImplementedError

    def __add__(self, other: Self) -> Self:
        """The statistic of both blocks."""
        raise NotImplementedError


class Folded(Statistic):
    """Blocks in scan order."""

    @classmethod
    def start(cls, voxels: Voxels, done: Done) -> Self:
        """The state before the first block (``voxels`` shows counts and channels)."""
        raise NotImplementedError

    def fold(self, voxels: Voxels, done: Done) -> Self:
        """The state after this block."""
        raise NotImplementedError


class Derived(Statistic):
    """From finished statistics."""

    @classmethod
    def of(cls, done: Done) -> Self:
        """Compute it."""
        raise NotImplementedError


def closure(statistics: Iterable[type[Statistic]]) -> list[type[Statistic]]:
    """The statistics and all that they need, each after what it needs."""
    ordered: dict[type[Statistic], None] = {}
    for statistic in statistics:
        ordered |= dict.fromkeys(closure(statistic.after))
        ordered[statistic] = None
    return list(ordered)
