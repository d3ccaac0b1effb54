"""The slabs of a time step to measure: in scan order, or divided among threads by where objects begin.

An object belongs to the stretch of slabs that holds its first voxel. Objects are numbered by their first
voxel, so those of a stretch have consecutive ids; the slabs that they reach into are known from the lowest
and highest id of each part. A thread goes through these slabs in scan order, and need not wait for others.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from objclass.compute.slabs import Slab
from objclass.core import IntArray
from objclass.features.frame import Frame
from objclass.features.statistics.folding import Visit, lines_of_part
from objclass.features.voxels import Block

UNEVEN = 1.25
"""Parts of a slab that a thread visits, at most: so many times its share of those that hold objects."""

Stretch = Sequence[tuple[Slab, Visit]]
"""The slabs with objects of a thread, in scan order."""


@dataclass(frozen=True)
class FrameBlocks:
    """The slabs of a time step.

    Parameters
    ----------
    frame
        The time step.
    pixels
        Whether raw pixels are needed.
    """

    frame: Frame
    pixels: bool

    def __iter__(self) -> Iterator[Block]:
        """All slabs, in scan order."""
        return self.frame.context.ordered(self.read, self.slabs)

    @cached_property
    def slabs(self) -> Sequence[Slab]:
        """How the time step is cut."""
        frame = self.frame
        return frame.context.limits.slabs(frame.shape) if frame.slabs is None else frame.slabs

    def read(self, slab: Slab) -> Block:
        """Labels and pixels of a slab."""
        frame = self.frame
        where = slab.within(frame.shape)
        labels = np.ascontiguousarray(frame.objects.labels[where])
        if self.pixels and frame.read_raw is not None:
            raw = frame.read_raw(where)
        else:
            raw = np.zeros((*labels.shape, 0), np.uint8)
        total = int(np.prod(frame.shape)) * frame.context.limits.images
        return Block(
            *(labels, raw, slab.origin, frame.objects.count, total, frame.objects.ndim, frame.spacing),
            frame.value_range,
        )

    @cached_property
    def stretches(self) -> Sequence[Stretch]:
        """The objects divided into at most one stretch for each thread.

        Empty where threads share each slab instead: there is one thread, the label image is not an array in
        memory, or its objects are as long as stretches.
        """
        labels, context = self.frame.objects.labels, self.frame.context
        most = min(context.limits.jobs, len(self.slabs))
        if most == 1 or not isinstance(labels, np.ndarray):
            return []
        ids = list(context.ordered(lambda s: _ids(labels[s.within(self.frame.shape)]), self.slabs))
        full = sum(np.count_nonzero(high) for _, high in ids)
        for number in range(most, 1, -1):
            divided = _divided(self.slabs, ids, number)
            longest = max(sum(np.count_nonzero(visit.parts) for _, visit in stretch) for stretch in divided)
            if longest * number <= UNEVEN * full:
                return divided
        return []


def _ids(labels: NDArray[np.uint32]) -> tuple[IntArray, IntArray]:
    """The lowest and the highest id of each part of a slab; where there is none, the lowest is above the highest."""
    lines = labels.reshape(-1, labels.shape[2])
    step = lines_of_part(labels.shape[2])
    parts = [lines[line : line + step] for line in range(0, len(lines), step)]
    low = [int((part - np.uint32(1)).min()) + 1 for part in parts]  # background wraps to the largest number
    return np.array(low), np.array([int(part.max()) for part in parts])


def _divided(
    slabs: Sequence[Slab], ids: Sequence[tuple[IntArray, IntArray]], number: int
) -> Sequence[Stretch]:
    """``number`` stretches that begin in about as many parts with objects each."""
    begun = np.maximum.accumulate([0, *(int(high.max()) for _, high in ids)])  # objects before each slab
    full = np.cumsum([0, *(np.count_nonzero(high) for _, high in ids)])
    cuts = np.searchsorted(full, full[-1] * np.arange(number + 1) / number)
    divided = []
    for first, last in pairwise(begun[cuts].tolist()):
        visits = [Visit(first, last, (low <= last) & (high > first)) for low, high in ids]
        divided.append([(s, v) for s, v in zip(slabs, visits, strict=True) if v.parts.any()])
    return divided
