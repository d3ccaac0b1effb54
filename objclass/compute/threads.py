"""The threads of a run: one pool; a thread that waits for work helps to do it."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from threading import Lock, Thread, current_thread, main_thread
from typing import Generic, TypeVar

from objclass.errors import Stop

Item = TypeVar("Item")

Result = TypeVar("Result")

PATIENCE = 0.2
"""Seconds to wait for a task at a time. When a run is asked to end, the task notices at its next check."""


class Task(Generic[Result]):
    """Work that is done once, by the first thread that begins it, with the context variables of who wants it.

    It lets go of the work then: a pool whose threads are busy still has the task in its queue, and the work
    holds arrays.
    """

    def __init__(self, work: Callable[[], Result]) -> None:
        self._turn, self._future = Lock(), Future[Result]()
        self._work: Callable[[], Result] | None = partial(copy_context().run, work)

    def run(self) -> None:
        """Do the work, unless another thread has begun it."""
        if not self._turn.acquire(blocking=False):
            return
        work, self._work = self._work, None
        assert work is not None
        try:
            self._future.set_result(work())
        except BaseException as fault:
            self._future.set_exception(fault)
            if not isinstance(fault, Exception):
                raise  # an interruption concerns the thread that works

    def cancel(self) -> bool:
        """Cancel the work; return False if a thread has begun it."""
        is_mine = self._turn.acquire(blocking=False)
        if is_mine:
            self._work = None
            self._future.set_exception(CancelledError())
        return is_mine

    @property
    def is_done(self) -> bool:
        """Whether the work has ended, with a result or an error."""
        return self._future.done()

    def result(self, *, helps: bool = True) -> Result:
        """Wait for the result; raise the error of the work.

        With ``helps``, the caller does the work itself if no thread has begun it.
        """
        if helps:
            self.run()
        while not self.is_done:
            self.fault(PATIENCE)  # again and again: a signal just before a wait begins does not end that wait
        return self._future.result()

    def fault(self, patience: float | None = None) -> BaseException | None:
        """Wait for the error of the work, at most ``patience`` seconds; None if there is none."""
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
    """A pool of threads for all parallel work, including work that is started by its own tasks.

    Tasks may start tasks, since no thread waits for another one to become free: a thread that waits for
    a task that has not begun does it itself.

    Parameters
    ----------
    jobs
        Number of threads; with 1 tasks are done by the caller.
    stop
        Checked between tasks.
    """

    def __init__(self, jobs: int, stop: Stop) -> None:
        self.jobs, self._stop = jobs, stop
        self._pool = ThreadPoolExecutor(jobs) if jobs > 1 else None  # ends when it is no longer referenced

    def begin(self, work: Callable[[], Result]) -> Task[Result]:
        """Start a task."""
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
        """Apply ``function`` to each item; yield the results in the order of the items.

        At most one result more than there are threads is buffered; results that are never used, since
        the caller stops or an earlier item failed, are passed to ``drop``. With ``helps`` false the caller only
        waits, so that it gets each result at once and can be interrupted at any time.
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
            )  # may be interrupted: until it returns, the task counts as unused
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
