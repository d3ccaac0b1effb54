"""Limits of a run: memory and threads."""

from dataclasses import dataclass, replace

from objclass.compute import machine
from objclass.compute.slabs import VOXEL_BYTES, VOXELS, Slab, slabs
from objclass.settings import MINIMUM_MEMORY, ResourceSettings

OVERHEAD = 300_000_000
"""Bytes that Python and the libraries need, independent of the images."""

CACHED_TILE_BYTES = CACHED_CHUNK_BYTES = 1 << 28
"""Maximum bytes of cached tiles, and of cached chunks of inputs."""


@dataclass(frozen=True)
class Limits:
    """The memory and threads that a run may use.

    Parameters
    ----------
    memory
        Bytes of pixels and results; None: unlimited.
    block
        Planes and rows of a slab; None: chosen by memory.
    jobs
        Threads.
    images
        Number of images (time steps of lanes) of the run: loading code repays for all of them together.
    """

    memory: int | None = None
    block: tuple[int, int] | None = None
    jobs: int = 1
    images: int = 1

    def slabs(
        self, shape: tuple[int, int, int], unit: tuple[int, int] = (1, 1), voxels: int = VOXELS
    ) -> list[Slab]:
        """Cut a time step (z, y, x) into slabs of at maximum ``voxels`` voxels; their planes and rows are
        multiples of ``unit`` if it is given.
        """
        if self.memory is not None:  # a slab for each thread, and one that is read ahead
            voxels = min(voxels, self.memory // (2 * VOXEL_BYTES * (self.jobs + 1)))
        return list(slabs(shape, max(voxels, 1), self.block, unit))

    def share(self, maximum: int) -> int:
        """Bytes, up to ``maximum``, for one of the parts that stay in memory besides the slabs.

        Slabs take half of the memory; labels, raw data and unpacked chunks a sixth each.
        """
        return maximum if self.memory is None else min(maximum, self.memory // 6)

    def holds(self, size: int) -> bool:
        """Whether so many bytes may stay in memory besides the slabs."""
        return self.share(size) == size

    def divided(self, count: int, voxels: int) -> "tuple[int, Limits]":
        """The number of lanes that are worked on at once, and the limits of each.

        Small lanes are worked on in parallel, each by one thread; large ones one after the other, in blocks.

        Parameters
        ----------
        count
            The number of lanes.
        voxels
            Of a time step of the largest one.
        """
        at_once = min(self.jobs, count)
        if at_once <= 1:
            return 1, self
        each = replace(self, memory=self.memory // at_once if self.memory is not None else None, jobs=1)
        return (at_once, each) if each.holds(voxels * VOXEL_BYTES) else (1, self)


ALL = Limits()
"""No limits, one thread."""


def limits_for(resources: ResourceSettings) -> Limits:
    """The user's limits, else those of the machine: all cores, and half of the free memory."""
    if resources.max_memory is not None:
        memory = resources.max_memory - OVERHEAD
    else:
        memory = max(machine.free_memory() // 2, MINIMUM_MEMORY - OVERHEAD)
    return Limits(memory, resources.block_shape, resources.jobs or machine.cores())
