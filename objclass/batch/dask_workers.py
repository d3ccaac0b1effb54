"""The workers of a cluster of Dask, as the process sees them that gives them work."""

import logging
import os
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import CancelledError
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

from objclass.batch.worker import Common, Outcome, Run, packed, perform
from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.compute.workers import Item, Result
from objclass.errors import EngineError, LaneError

log = logging.getLogger("objclass")

AHEAD = 2
"""Tasks under way for each that is done at once: a worker has its next one when it asks for it."""

DEATHS = 12
"""How often workers may die at a task before it is given up: those of a cluster are killed for many reasons."""

COMMONS = 4
"""What several tasks need stays with the workers until so many others came."""

TICK = 2.0
"""Seconds between two looks at the cluster while a task is waited for."""

SILENCE = 20.0
"""Seconds in which a scheduler responds."""

RESTARTED = 15.0
"""Seconds in which workers that ended at once are usually replaced: a run does not mention it."""

WITHOUT_WORKERS = 300.0
"""Seconds for which a run waits where all workers are gone: some may be restarted."""


class DaskWorkers:
    """The workers of a cluster.

    Parameters
    ----------
    client
        A connected `distributed.Client`.
    limits
        Memory and threads of each task.
    context
        Of the run.
    restart
        Called where there are fewer workers than expected.
    expected
        Number of threads of all workers, where it is known.
    """

    def __init__(
        self,
        client: Any,
        limits: Limits,
        context: Context,
        restart: Callable[[], object] | None = None,
        expected: int = 1,
    ) -> None:
        self._client, self.limits, self._stop = client, limits, context.stop
        self._run = Run(uuid.uuid4().hex, limits, context.follow_links, os.getcwd(), log.getEffectiveLevel())
        self._restart, self._expected = restart, expected
        self._commons: deque[tuple[Any, Any]] = deque(maxlen=COMMONS)
        self._alone: float | None = None
        self._has_warned = False
        self._count = self._counted()

    @property
    def count(self) -> int:
        """Number of tasks that are done at once: the threads of all workers."""
        return max(self._count, self._expected)

    def ordered(
        self, function: Callable[[Any, Item], Result], common: Any, items: Iterable[Item]
    ) -> Generator[Result, None, None]:
        """``function(common, item)`` for each item; the results in the order of the items (`Workers.ordered`)."""
        with closing(self.outcomes(function, common, items)) as outcomes:
            for outcome in outcomes:
                outcome.log()
                if outcome.fault is not None:
                    raise outcome.fault
                yield outcome.result

    def outcomes(
        self, function: Callable[[Any, Item], Any], common: Any, items: Iterable[Item]
    ) -> Generator[Outcome, None, None]:
        """The same; a task that fails does not end it.

        Raises
        ------
        EngineError
            If the cluster is gone.
        """
        waiting: deque[_Task] = deque()
        try:
            shared = self._shared(common)
            for item in items:
                self._stop.check()
                waiting.append(self._begun(shared, function, item))
                while len(waiting) > AHEAD * self.count:
                    yield self._outcome(waiting[0])
                    waiting.popleft()
            while waiting:
                yield self._outcome(waiting[0])
                waiting.popleft()
        finally:
            with suppress(Exception):
                self._client.cancel([task.future for task in waiting if task.future is not None], force=True)

    def _shared(self, common: Any) -> Any:
        """What tasks need, on the cluster: the result of a task, which is done again where a worker dies."""
        for known, future in self._commons:
            if known is common:
                return future
        future = self._submitted(Common, packed(common), self._run)
        self._commons.append((common, future))
        return future

    def _begun(self, shared: Any, function: Callable[..., Any], item: Any) -> "_Task":
        """A task that the cluster does; one that cannot be sent has failed."""
        try:
            payload = packed((function, item))
        except LaneError as fault:
            return _Task(outcome=Outcome(fault=fault))
        begin = partial(self._submitted, perform, shared, payload, self._run)
        return _Task(begin, begin())

    def _submitted(self, function: Callable[..., Any], *given: Any) -> Any:
        try:
            return self._client.submit(function, *given, key=f"objclass-{uuid.uuid4().hex}", pure=False)
        except Exception as fault:
            raise _gone(fault) from fault

    def _outcome(self, task: "_Task") -> Outcome:
        """Wait for a task, which is begun anew where the cluster gives it up too soon."""
        from distributed.scheduler import KilledWorker

        while task.outcome is None:
            self._stop.check()
            try:
                task.outcome = task.future.result(timeout=TICK)
            except TimeoutError:
                self._watch()
            except KilledWorker as fault:
                task.deaths += fault.allowed_failures + 1
                if task.deaths >= DEATHS:
                    message = f"a task has ended its worker process {task.deaths} times (too little memory?)"
                    return Outcome(fault=LaneError(message))
                assert task.begin is not None
                task.future = task.begin()
            except EngineError:
                raise
            except Exception as fault:
                raise _gone(fault) from fault
        if isinstance(task.outcome.fault, EngineError):
            raise task.outcome.fault
        return task.outcome

    def _watch(self) -> None:
        """Look after the workers.

        Raises
        ------
        EngineError
            If there have been none for too long.
        """
        self._count = self._counted()
        if self._restart is not None and self._count < self._expected:
            self._restart()
        if self._count:
            self._alone, self._has_warned = None, False
            return
        self._alone = monotonic() if self._alone is None else self._alone
        seconds = monotonic() - self._alone
        if seconds > RESTARTED and not self._has_warned:
            log.warning("all workers are gone: waiting for others")
            self._has_warned = True
        if seconds > WITHOUT_WORKERS:
            message = f"the workers are gone, and there were no others for {WITHOUT_WORKERS:.0f} s"
            raise EngineError(message)

    def _counted(self) -> int:
        """Number of threads of all workers.

        Raises
        ------
        EngineError
            If the scheduler does not respond.
        """
        try:
            found = self._client.sync(self._client.scheduler.ncores, callback_timeout=SILENCE)
        except Exception as fault:
            raise _gone(fault) from fault
        return sum(found.values())


@dataclass
class _Task:
    """A task that is under way.

    Parameters
    ----------
    begin
        Begins it; returns its future. None if it cannot be begun.
    future
        Of Dask.
    outcome
        Once it is known.
    deaths
        How often its worker has died.
    """

    begin: Callable[[], Any] | None = None
    future: Any = None
    outcome: Outcome | None = None
    deaths: int = 0


def _gone(fault: BaseException) -> EngineError:
    """The error of a run whose scheduler is gone; the text of a cancelled task says only that it was cancelled."""
    is_cancelled = isinstance(fault, CancelledError)
    why = "the connection was lost" if is_cancelled else one_line(fault)
    return EngineError(f"the scheduler is gone: {why}")


def one_line(fault: BaseException) -> str:
    """The text of an error of a library."""
    return " ".join(str(fault).split()) or type(fault).__name__
