"""How much memory a run may use, and how many threads."""

from dataclasses import dataclass

from objclass.compute import machine
from objclass.compute.slabs import VOXEL_BYTES, VOXELS, Slab, slabs
from objclass.settings import MINIMUM_MEMORY, ResourceSettings

OVERHEAD = 300_000_000
"""Bytes that Python and the libraries take, whatever the images."""

CACHED_TILE_BYTES = CACHED_CHUNK_BYTES = 1 << 28
"""Most bytes that are kept of unpacked tiles, and of unpacked chunks of inputs."""


@dataclass(frozen=True)
class Limits:
    """How much may be held in memory and done at once.

    Parameters
    ----------
    memory
        Bytes of pixels and of what is made of them; None: as many as it takes.
    block
        Planes and rows of a slab, in place of what would be chosen.
    jobs
        Threads.
    images
        How many images of this size the run has, a time step of a lane each: what is loaded for one serves all.
    """

    memory: int | None = None
    block: tuple[int, int] | None = None
    jobs: int = 1
    images: int = 1

    def slabs(
        self, shape: tuple[int, int, int], unit: tuple[int, int] = (1, 1), voxels: int = VOXELS
    ) -> list[Slab]:
        """How a time step (z, y, x) is cut: into slabs of at most so many voxels, made of pieces of
        ``unit`` planes and rows where that is said.
        """
        if self.memory is not None:  # as many slabs as there are threads, and one that is read ahead
            voxels = min(voxels, self.memory // (2 * VOXEL_BYTES * (self.jobs + 1)))
        return list(slabs(shape, max(voxels, 1), self.block, unit))

    def share(self, most: int) -> int:
        """Bytes, up to ``most``, for one of the things that stay in memory besides the slabs.

        Slabs take half of the memory; labels, raw data and unpacked chunks a sixth each.
        """
        return most if self.memory is None else min(most, self.memory // 6)

    def holds(self, size: int) -> bool:
        """Whether so many bytes may stay in memory besides the slabs."""
        return self.share(size) == size


ALL = Limits()
"""No limits, one thread."""


def limits_for(resources: ResourceSettings) -> Limits:
    """What the user allows, else what the machine has: all cores, and half of the free memory."""
    if resources.max_memory is not None:
        memory = resources.max_memory - OVERHEAD
    else:
        memory = max(machine.free_memory() // 2, MINIMUM_MEMORY - OVERHEAD)
    return Limits(memory, resources.block_shape, resources.jobs or machine.cores())
