"""The workers of a cluster of Dask.

What crosses is pickled here, between equal versions of objclass; the context of the run is left out: each
process has its own, with the memory and threads of a task.
"""

import io
import logging
import os
import pickle
import platform
import sys
import threading
import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import CancelledError
from contextlib import closing, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from logging.handlers import QueueHandler
from queue import Queue
from signal import SIGTERM
from time import monotonic
from typing import Any
from weakref import WeakValueDictionary

from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.compute.machine import tune_allocator
from objclass.compute.workers import Item, Result
from objclass.errors import EngineError, LaneError, Stop, TerminatedError
from objclass.version import __version__

log = logging.getLogger("objclass")

VERSION = f"objclass {__version__}, Python {sys.version_info.major}.{sys.version_info.minor}"
"""What is the same in all processes of a run."""

AHEAD = 2
"""Tasks under way for each that is done at once: a worker has its next one when it asks for it."""

DEATHS = 10
"""How often workers may die at a task before it is given up: those of a cluster are killed for many reasons."""

COMMONS = 4
"""What several tasks need stays with the workers until so many others came."""

TICK = 2.0
"""Seconds between two looks at the cluster while a task is waited for."""

SILENCE = 20.0
"""Seconds in which a scheduler responds."""

WITHOUT_WORKERS = 300.0
"""Seconds for which a run waits where all workers are gone: some may be restarted."""


# --------------------------------------------------------------------------- what crosses


class _Pickler(pickle.Pickler):
    """Pickles all but contexts."""

    def persistent_id(self, thing: Any) -> str | None:
        return "context" if isinstance(thing, Context) else None


class _Unpickler(pickle.Unpickler):
    """Unpickles data of `_Pickler`; their context is that of this process."""

    def __init__(self, data: bytes, context: Context) -> None:
        super().__init__(io.BytesIO(data))
        self._context = context

    def persistent_load(self, _: Any) -> Context:
        return self._context


def packed(thing: Any) -> bytes:
    """Plain data as bytes.

    Raises
    ------
    LaneError
        If it cannot leave this process, such as an image of a plug-in that is an open file.
    """
    data = io.BytesIO()
    try:
        _Pickler(data, protocol=5).dump(thing)
    except Exception as fault:
        message = f"cannot be sent to a worker: {fault}: run it without --engine dask"
        raise LaneError(message) from fault
    return data.getvalue()


@dataclass(frozen=True)
class Run:
    """A run, as its workers see it.

    Parameters
    ----------
    name
        Which no other run has.
    limits
        Memory and threads of a task.
    follow_links
        As of `Context`.
    folder
        The working folder of the coordinator, where relative paths start.
    level
        Of the messages that count.
    version
        Of the coordinator.
    """

    name: str
    limits: Limits
    follow_links: bool = False
    folder: str = "."
    level: int = logging.INFO
    version: str = VERSION

    def check(self) -> None:
        """Refuse the work of another version.

        Raises
        ------
        EngineError
            If this process is of another version.
        """
        if self.version != VERSION:
            message = f"a worker on {platform.node()} has {VERSION}, expected {self.version}"
            raise EngineError(message)

    def context(self) -> Context:
        """The context of all tasks of the run in this process, as long as one needs it."""
        with _opening:
            found = _contexts.get(self.name)
            if found is None:
                tune_allocator(self.limits.memory)
                found = Context(self.limits, stop=_TaskStop(), follow_links=self.follow_links)
                _contexts[self.name] = found
            return found


_opening = threading.Lock()

_contexts: "WeakValueDictionary[str, Context]" = WeakValueDictionary()
"""Name of a run -> its context here."""


class _TaskStop(Stop):
    """Asks a task to end that the coordinator has given up."""

    @property
    def is_asked(self) -> bool:
        """Whether the present task was cancelled."""
        is_cancelled = _is_cancelled.get()
        return super().is_asked or (is_cancelled is not None and is_cancelled())

    def check(self) -> None:
        """Raise `TerminatedError` if it was."""
        if self.is_asked:
            raise TerminatedError(SIGTERM)


class Common:
    """What several tasks need, in a worker: loaded by the first of them.

    Parameters
    ----------
    data
        Of `packed`.
    run
        What tasks of the run have in common.
    """

    def __init__(self, data: bytes, run: "Run") -> None:
        self._data, self._run = data, run
        self._lock, self._loaded = threading.Lock(), False
        self._context = run.context()
        self._value: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Go from one worker to another as it has come."""
        return Common, (self._data, self._run)

    @property
    def value(self) -> Any:
        """What tasks need: the same object for all tasks of this process."""
        with self._lock:
            if not self._loaded:
                self._run.check()
                self._value, self._loaded = self.unpacked(self._data), True
            return self._value

    def unpacked(self, data: bytes) -> Any:
        """Data of `packed`, with the context of this process."""
        return _Unpickler(data, self._context).load()


@dataclass
class Outcome:
    """What came of a task: its result, or the error that it raised; and its messages."""

    result: Any = None
    fault: Exception | None = None
    records: list[logging.LogRecord] = field(default_factory=list)

    def log(self) -> None:
        """Send the messages to the log, as if they came from here."""
        for record in self.records:
            log.handle(record)


def perform(common: Common, payload: bytes, run: Run) -> Outcome:
    """Do a task, a function and its item of `packed`: what a worker does."""
    outcome = Outcome()
    with _recorded(outcome.records, run.level), _until_cancelled(), _folder.entered(run.folder):
        try:
            value = common.value
            function, item = common.unpacked(payload)
            outcome.result = function(value, item)
        except Exception as fault:
            outcome.fault = _portable(fault)
            log.debug("", exc_info=fault)
    return outcome


_is_cancelled: ContextVar[Callable[[], bool] | None] = ContextVar("is_cancelled", default=None)
"""Whether the present task was cancelled."""


@contextmanager
def _until_cancelled() -> Iterator[None]:
    """Tasks within, and threads that work for them, are asked to end once Dask has cancelled them."""
    from distributed import get_worker

    try:
        worker = get_worker()
    except ValueError:  # done by this process itself
        yield
        return
    tasks, key = worker.state.tasks, worker.get_current_task()
    token = _is_cancelled.set(lambda: key not in tasks or tasks[key].state == "cancelled")
    try:
        yield
    finally:
        _is_cancelled.reset(token)


def _portable(fault: Exception) -> Exception:
    """The error, or one that says the same and pickles."""
    try:
        pickle.loads(pickle.dumps(fault))  # noqa: S301  made here
    except Exception:  # noqa: BLE001  whatever its class does
        return LaneError(f"unexpected {type(fault).__name__}: {fault} (a bug: --debug shows where)")
    return fault


class _Recorder(QueueHandler):
    """Keeps the messages of the present task; their arguments become text."""

    def __init__(self) -> None:
        super().__init__(Queue())  # which is not used

    def enqueue(self, record: logging.LogRecord) -> None:
        found = _task.get()
        if found is not None and record.levelno >= found[1]:
            found[0].append(record)


_task: ContextVar[tuple[list[logging.LogRecord], int] | None] = ContextVar("task", default=None)
"""The messages of the present task, and their least level."""

_recorder = _Recorder()


@contextmanager
def _recorded(records: list[logging.LogRecord], level: int) -> Iterator[None]:
    """Keep messages that are sent within, in this thread and those that work for it."""
    log.addHandler(_recorder)  # once for a process
    log.setLevel(min(level, log.level or level))
    token = _task.set((records, level))
    try:
        yield
    finally:
        _task.reset(token)


class _WorkingFolder:
    """The working folder of this process, for one run at a time.

    A worker of several threads may have tasks of several runs, whose relative paths start at different folders.
    """

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._path, self._tasks = "", 0

    @contextmanager
    def entered(self, path: str) -> Iterator[None]:
        """Work in a folder; wait for the tasks in another one.

        Raises
        ------
        EngineError
            If this machine does not see it.
        """
        with self._free:
            self._free.wait_for(lambda: not self._tasks or self._path == path)
            try:
                os.chdir(path)
            except OSError as fault:
                message = f"{path}: {fault.strerror} on the worker {platform.node()}: expected a disk that all workers share"
                raise EngineError(message) from None
            self._path = path
            self._tasks += 1
        try:
            yield
        finally:
            with self._free:
                self._tasks -= 1
                self._free.notify_all()


_folder = _WorkingFolder()


# --------------------------------------------------------------------------- the coordinator


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

        alone: float | None = None
        while task.outcome is None:
            self._stop.check()
            try:
                task.outcome = task.future.result(timeout=TICK)
            except TimeoutError:
                alone = self._watched(alone)
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

    def _watched(self, alone: float | None) -> float | None:
        """Look after the workers; return since when there are none, if so."""
        self._count = self._counted()
        if self._restart is not None and self._count < self._expected:
            self._restart()
        if self._count:
            return None
        if alone is None:
            log.warning("all workers are gone: waiting for others")
            return monotonic()
        if monotonic() - alone > WITHOUT_WORKERS:
            message = f"the workers are gone, and there were no others for {WITHOUT_WORKERS:.0f} s"
            raise EngineError(message)
        return alone

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
