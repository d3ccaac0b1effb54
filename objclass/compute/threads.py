"""The threads of a run: one pool, whose work the thread that waits for it takes part in."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from functools import partial
from threading import Lock, Thread, current_thread, main_thread
from typing import Generic, TypeVar

from objclass.errors import Stop

Item = TypeVar("Item")

Result = TypeVar("Result")

PATIENCE = 0.2
"""Seconds that a run which was asked to end waits for a piece of work: it sees that at its next check."""


class Task(Generic[Result]):
    """Work that is done once, by whichever thread comes first."""

    def __init__(self, work: Callable[[], Result]) -> None:
        self._work, self._turn, self._future = work, Lock(), Future[Result]()

    def run(self) -> None:
        """Do the work unless somebody has begun it."""
        if not self._turn.acquire(blocking=False):
            return
        try:
            self._future.set_result(self._work())
        except BaseException as fault:
            self._future.set_exception(fault)
            if not isinstance(fault, Exception):
                raise  # an interruption concerns whoever works

    def cancel(self) -> bool:
        """Have it never done; False if somebody has begun it."""
        is_mine = self._turn.acquire(blocking=False)
        if is_mine:
            self._future.set_exception(CancelledError())
        return is_mine

    @property
    def is_done(self) -> bool:
        """Whether the work is done, or went wrong."""
        return self._future.done()

    def result(self, *, helps: bool = True) -> Result:
        """What came of it, once it is done; raises what went wrong.

        Whoever asks for work that nobody has begun does it, unless it is not to help.
        """
        if helps:
            self.run()
        return self._future.result()

    def fault(self, patience: float | None = None) -> BaseException | None:
        """What went wrong, once it is done; after so many seconds of ``patience`` it is left to itself."""
        try:
            return self._future.exception(patience)
        except TimeoutError as fault:
            return fault


def interruptible(work: Callable[[], Result]) -> Result:
    """What ``work`` returns; done by a thread of its own where the main thread asks for it.

    Signals wait for the end of a call of C, and libraries swallow what they raise amid Python's: waiting for
    another thread has neither. A thread that is waited for no longer goes on to its end.
    """
    if current_thread() is not main_thread():
        return work()
    task = Task(work)
    Thread(target=task.run).start()
    return task.result(helps=False)


class Threads:
    """A pool of threads for all that is done side by side, also within work that it does itself.

    Work may be handed in from within work, since nobody waits for a thread to become free: whoever waits for
    work that nobody has begun does it.

    Parameters
    ----------
    jobs
        Threads; with 1 the work is done where it is handed in.
    stop
        Looked at between pieces of work.
    """

    def __init__(self, jobs: int, stop: Stop) -> None:
        self.jobs, self._stop = jobs, stop
        self._pool = ThreadPoolExecutor(jobs) if jobs > 1 else None  # ends when nobody refers to it

    def begin(self, work: Callable[[], Result]) -> Task[Result]:
        """Hand in work."""
        task = Task(work)
        if self._pool is None:
            task.run()
        else:
            self._pool.submit(task.run)
        return task

    def ordered(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        drop: Callable[[Result], object] | None = None,
        *,
        helps: bool = True,
    ) -> Generator[Result, None, None]:
        """``function`` of each item, returned in the order of the items.

        At most one result more than there are threads waits to be taken; results that are never taken, since
        the caller stops or an earlier one failed, are given to ``drop``. With ``helps`` false the caller only
        waits: to take a result as soon as it is there, and to be interrupted at any time.
        """
        if self._pool is None:
            for item in items:
                self._stop.check()
                yield function(item)
            return
        waiting: deque[Task[Result]] = deque()

        def take() -> Result:
            result = waiting[0].result(
                helps=helps
            )  # may be interrupted: until it is here, it is one of those left
            waiting.popleft()
            return result

        try:
            for item in items:
                self._stop.check()
                waiting.append(self.begin(partial(function, item)))
                if len(waiting) > self.jobs:
                    yield take()
            while waiting:
                self._stop.check()
                yield take()
        finally:
            patience = PATIENCE if self._stop.is_asked else None
            for task in [task for task in waiting if not task.cancel()]:
                if task.fault(patience) is None and drop is not None:
                    drop(task.result())
