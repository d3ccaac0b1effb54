"""What workers do: tasks that come to them pickled, between equal versions of objclass.

The context of the run is left out: each process has its own, with the memory and threads of a task.
"""

import io
import logging
import os
import pickle
import platform
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from logging.handlers import QueueHandler
from queue import Queue
from signal import SIGTERM
from typing import Any
from weakref import WeakValueDictionary

from objclass.compute.context import Context
from objclass.compute.limits import Limits
from objclass.compute.machine import tune_allocator
from objclass.errors import EngineError, LaneError, Stop, TerminatedError
from objclass.version import __version__

log = logging.getLogger("objclass")

LIBRARIES = ("numpy", "scipy", "numba", "imagecodecs", "tifffile", "pillow", "h5py", "zarr", "polars")
"""Their versions decide the bytes of outputs."""

WAIT = 0.5
"""Seconds between two checks of a waiting task whether it is still needed."""


@cache
def versions() -> tuple[str, ...]:
    """What is the same in all processes of a run: names with versions, in a fixed order."""
    from importlib import metadata

    python = ".".join(platform.python_version_tuple()[:2])
    return (
        f"objclass {__version__}",
        f"Python {python}",
        *(f"{name} {metadata.version(name)}" for name in LIBRARIES),
    )


def differences(found: Sequence[str], expected: Sequence[str]) -> tuple[str, str]:
    """What of two `versions` is not the same, of each."""
    ours, theirs = set(expected), set(found)
    return (
        ", ".join(name for name in found if name not in ours),
        ", ".join(name for name in expected if name not in theirs),
    )


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
    versions
        Of the coordinator.
    """

    name: str
    limits: Limits
    follow_links: bool = False
    folder: str = "."
    level: int = logging.INFO
    versions: tuple[str, ...] = field(default_factory=versions)

    def check(self) -> None:
        """Refuse the work of another version.

        Raises
        ------
        EngineError
            If this process is of another version.
        """
        if self.versions != versions():
            found, expected = differences(versions(), self.versions)
            message = f"a worker on {platform.node()} has {found}, expected {expected}"
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
    with (
        _recorder.recorded(outcome.records, run.level),
        _until_cancelled(),
        _folder.entered(run.folder, run.context().stop),
    ):
        try:
            value = common.value
            function, item = common.unpacked(payload)
            outcome.result = function(value, item)
        except Exception as fault:
            log.debug("", exc_info=fault)  # where it was raised is not known elsewhere
            outcome.fault = portable(fault)
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


def portable(fault: Exception) -> Exception:
    """The error without what caused it, whose class may not pickle; or one that says the same, if it does not itself."""
    fault.__cause__ = fault.__context__ = None
    try:
        pickle.loads(pickle.dumps(fault))  # noqa: S301  made here
    except Exception:  # noqa: BLE001  whatever its class does
        return LaneError(f"unexpected {type(fault).__name__}: {fault} (a bug: --debug shows where)")
    return fault


class _Recorder(QueueHandler):
    """Keeps the messages of the present task; their arguments become text.

    The log of the process is as it was when no task is left.
    """

    def __init__(self) -> None:
        super().__init__(Queue())  # which is not used
        self._tasks, self._before, self._counting = 0, log.level, threading.Lock()

    @contextmanager
    def recorded(self, records: list[logging.LogRecord], level: int) -> Iterator[None]:
        """Keep messages that are sent within, in this thread and those that work for it."""
        with self._counting:
            if not self._tasks:
                self._before = log.level
                log.addHandler(self)
            log.setLevel(min(level, log.level or level))
            self._tasks += 1
        token = _task.set((records, level))
        try:
            yield
        finally:
            _task.reset(token)
            with self._counting:
                self._tasks -= 1
                if not self._tasks:
                    log.removeHandler(self)
                    log.setLevel(self._before)

    def enqueue(self, record: logging.LogRecord) -> None:
        found = _task.get()
        if found is not None and record.levelno >= found[1]:
            found[0].append(record)


_task: ContextVar[tuple[list[logging.LogRecord], int] | None] = ContextVar("task", default=None)
"""The messages of the present task, and their least level."""

_recorder = _Recorder()


class _WorkingFolder:
    """The working folder of this process, for one run at a time; without tasks, that of the process itself.

    A worker of several threads may have tasks of several runs, whose relative paths start at different folders.
    """

    def __init__(self) -> None:
        self._free = threading.Condition()
        self._path, self._tasks = "", 0
        self._own: str | None = None

    @contextmanager
    def entered(self, path: str, stop: Stop) -> Iterator[None]:
        """Work in a folder; wait for the tasks in another one.

        Raises
        ------
        EngineError
            If this machine does not see it.
        """
        with self._free:
            while not self._free.wait_for(lambda: not self._tasks or self._path == path, WAIT):
                stop.check()
            if not self._tasks:
                self._go(path)
            self._tasks += 1
        try:
            yield
        finally:
            with self._free:
                self._tasks -= 1
                if not self._tasks:
                    self._go_back()
                self._free.notify_all()

    def _go(self, path: str) -> None:
        self._own = None
        with suppress(OSError):  # it may have been removed
            self._own = os.getcwd()
        try:
            os.chdir(path)
        except OSError as fault:
            message = f"{path}: {fault.strerror} on the worker {platform.node()}: expected a disk that all workers share"
            raise EngineError(message) from None
        self._path = path

    def _go_back(self) -> None:
        with suppress(OSError):
            os.chdir(self._own or os.sep)


_folder = _WorkingFolder()
