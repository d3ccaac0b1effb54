"""The context of a run (limits, threads, caches, progress), passed to everything that works for it.

Two runs in one process have separate contexts.
"""

import sys
from collections.abc import Callable, Generator, Iterable, Sized
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Any

from objclass.compute import meter
from objclass.compute.limits import ALL, CACHED_CHUNK_BYTES, Limits, limits_for
from objclass.compute.lru import ByteLRU
from objclass.compute.scratch import ScratchFolder
from objclass.compute.threads import Item, Result, Threads
from objclass.compute.timings import Timings
from objclass.compute.workers import Workers
from objclass.core import Progress
from objclass.errors import Stop
from objclass.settings import ResourceSettings

TASKS = 4
"""Tasks for each thread in which small work is done: several, so that none waits long for another."""


def _quiet(_: str, __: float) -> None:
    """Report no progress."""


@dataclass(frozen=True, eq=False)
class Context:
    """The resources of a run. Without arguments: unlimited memory, and one thread.

    Parameters
    ----------
    limits
        Memory, blocks and threads.
    progress
        Called with the name of a lane and its completed fraction, from any thread.
    stop
        Whether the run was asked to end.
    timings
        Time of each part, summed over all threads.
    follow_links
        Whether files may refer to other files (links, virtual datasets, companions). Otherwise only the
        named files are read.
    workers
        Processes that paint and write the images of a lane where its format allows that; what these are made of must
        be such that it crosses to them. None: all is done here.

    Attributes
    ----------
    threads
        The pool of threads.
    chunks
        Cache of unpacked chunks.
    decoded
        Cache of images that can only be decoded whole.
    scratch
        Where temporary files go.
    """

    limits: Limits = ALL
    progress: Progress = _quiet
    stop: Stop = field(default_factory=Stop)
    timings: Timings = field(default_factory=Timings)
    follow_links: bool = False
    workers: Workers | None = None
    threads: Threads = field(init=False)
    chunks: ByteLRU = field(init=False)
    decoded: ByteLRU = field(init=False)
    scratch: ScratchFolder = field(init=False, default_factory=ScratchFolder)

    def __post_init__(self) -> None:
        memory = self.limits.memory
        object.__setattr__(self, "threads", Threads(self.limits.jobs, self.stop))
        object.__setattr__(self, "chunks", ByteLRU(self.limits.share(CACHED_CHUNK_BYTES)))
        # room for two of the largest images that are accepted: raw data and objects
        object.__setattr__(self, "decoded", ByteLRU(sys.maxsize if memory is None else memory // 3))

    @classmethod
    def of(
        cls,
        resources: ResourceSettings | None = None,
        *,
        progress: Progress | None = None,
        stop: Stop | None = None,
        follow_links: bool = False,
    ) -> "Context":
        """The context of a run from the user's options; each has a default.

        Parameters
        ----------
        resources
            Threads, memory and blocks; what is None in them is chosen by the machine.
        progress
            Called with the name of a lane and its completed fraction.
        stop
            Asks the run to end.
        follow_links
            Whether files may refer to other files.
        """
        limits = limits_for(resources or ResourceSettings())
        return cls(limits, progress or _quiet, stop or Stop(), follow_links=follow_links)

    def within(self, limits: Limits) -> "Context":
        """The context of one of several lanes of the run: with its own limits, thread and timings."""
        return self._part(limits=limits, timings=Timings())

    def with_workers(self, workers: Workers) -> "Context":
        """The context of a lane whose images workers paint."""
        return self._part(workers=workers)

    def _part(self, **changes: Any) -> "Context":
        """A context that shares caches, scratch and threads with this one."""
        part = replace(self, **changes)
        for shared in ("chunks", "decoded", "scratch"):
            object.__setattr__(part, shared, getattr(self, shared))
        if part.limits.jobs > 1:
            object.__setattr__(part, "threads", self.threads)
        return part

    def ordered(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        drop: Callable[[Result], object] | None = None,
        *,
        helps: bool = True,
    ) -> Generator[Result, None, None]:
        """``function`` of each item by the threads of the run, in the order of the items (`Threads.ordered`).

        Where the number of items is known, they move the meter of the lane on; loops within ``function`` do not.
        """
        advance = meter.loop(len(items)) if isinstance(items, Sized) else None
        with closing(self.threads.ordered(meter.unmetered(function), items, drop, helps=helps)) as results:
            for result in results:
                yield result
                if advance is not None:
                    advance()

    def each(self, function: Callable[[Item], object], items: Iterable[Item]) -> None:
        """Apply ``function`` to each item, in any order: for work so small that a task for each would cost more."""
        every = list(items)
        tasks = min(len(every), TASKS * self.limits.jobs)

        def some(first: int) -> None:
            for item in every[first::tasks]:
                function(item)

        for _ in self.ordered(some, range(tasks)):
            pass

    def __reduce__(self) -> tuple[Any, tuple[Limits, bool]]:
        """Pickle without threads, caches and workers: another process has its own."""
        return _elsewhere, (self.limits, self.follow_links)


def _elsewhere(limits: Limits, follow_links: bool) -> Context:  # noqa: FBT001  pickle knows no names
    return Context(limits, follow_links=follow_links)
