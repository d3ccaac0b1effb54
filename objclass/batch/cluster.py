"""Clusters of Dask: one of the user's, or one of local processes that ends with the run."""

import json
import logging
import os
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import monotonic, sleep
from typing import Any, NamedTuple

from objclass.batch.dask_workers import DaskWorkers, one_line
from objclass.batch.processes import shared_out, started
from objclass.batch.worker import differences, versions
from objclass.compute import machine
from objclass.compute.context import Context
from objclass.compute.limits import OVERHEAD, Limits
from objclass.errors import Stop, UsageError, listed
from objclass.settings import MINIMUM_MEMORY, EngineSettings, ResourceSettings

log = logging.getLogger("objclass")

PATIENCE = 60.0
"""Seconds to wait for the file of a scheduler, and for a first worker."""

REACHED = 10
"""Seconds in which a scheduler is reached."""

LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application", "asyncio")
"""Loggers of Dask, whose messages are not for users of a run."""


@contextmanager
def dask_workers(
    settings: EngineSettings, resources: ResourceSettings, context: Context
) -> Iterator[tuple[DaskWorkers, Limits]]:
    """The workers of the cluster that is asked for, and the memory and threads of this process besides.

    Raises
    ------
    UsageError
        If Dask is not installed, the scheduler or its workers cannot be reached, or are of another version.
    """
    if find_spec("distributed") is None:
        message = (
            '--engine dask: needs dask.distributed, which is not installed: pip install "objclass[dask]"'
        )
        raise UsageError(message)
    with _quiet(), ExitStack() as stack:
        if settings.scheduler is None and settings.scheduler_file is None:
            yield stack.enter_context(_local(context))
        else:
            yield stack.enter_context(_existing(settings, resources, context))


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Dask says of itself from the user's terminal."""
    import dask

    with warnings.catch_warnings(), dask.config.set(logging=dict.fromkeys(LOGGERS, "critical")):
        warnings.simplefilter("ignore")
        import distributed  # noqa: F401  sets up its loggers, if it is the first time

        before = {name: logging.getLogger(name).level for name in LOGGERS}
        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)


@contextmanager
def _local(context: Context) -> Iterator[tuple[DaskWorkers, Limits]]:
    """The workers of a cluster of processes of this machine."""
    from distributed import Client

    count, each = shared_out(context.limits)
    with ExitStack() as stack:
        processes = stack.enter_context(started(count))
        client = stack.enter_context(Client(processes.cluster, timeout=REACHED, set_as_default=False))  # type: ignore[no-untyped-call]
        processes.start(client, context.stop)
        workers = DaskWorkers(client, each, context, processes.restart, count)
        yield workers, replace(each, jobs=context.limits.jobs)


@contextmanager
def _existing(
    settings: EngineSettings, resources: ResourceSettings, context: Context
) -> Iterator[tuple[DaskWorkers, Limits]]:
    """The workers of a scheduler that is running."""
    from distributed import Client

    address = settings.scheduler or _address(str(settings.scheduler_file), context.stop)
    _check_address(address)
    try:
        client = Client(address, timeout=REACHED, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TypeError, RuntimeError, ImportError) as fault:
        message = f"--engine dask: no scheduler responds at {address} ({one_line(fault)}): is it running, and reached from here?"
        raise UsageError(message) from None
    with client:
        yield DaskWorkers(client, _limits(client, address, resources, context.stop), context), context.limits


def _check_address(address: str) -> None:
    """Refuse what cannot be the address of a scheduler, before it is waited for.

    Raises
    ------
    UsageError
        If it is none.
    """
    from distributed.comm.registry import backends

    scheme, _, place = address.rpartition("://")
    if (scheme or "tcp") not in backends or not re.fullmatch(r"\S+:\d+", place):
        message = (
            f"--engine dask: {address} is no address of a scheduler: expected one such as tcp://host:8786"
        )
        raise UsageError(message)


def _address(path: str, stop: Stop) -> str:
    """The address in a scheduler file, which may still have to be written.

    Raises
    ------
    UsageError
        If there is none.
    """
    end = monotonic() + PATIENCE
    if not Path(path).exists():
        log.info("waiting for %s, at most %.0f s", path, PATIENCE)
    while not Path(path).exists() and monotonic() < end:
        stop.check()
        sleep(0.2)
    try:
        return str(json.loads(Path(path).read_text(encoding="utf-8"))["address"])
    except OSError as fault:
        why = fault.strerror or "cannot be read"
    except (ValueError, KeyError, TypeError):
        why = "is no scheduler file"
    message = f"--scheduler_file {path}: {why}: expected the file that the scheduler of Dask writes"
    raise UsageError(message)


def _limits(client: Any, address: str, resources: ResourceSettings, stop: Stop) -> Limits:
    """Memory and threads of each task, once there is a worker.

    Raises
    ------
    UsageError
        If there is no worker, one does not respond, or the scheduler or a worker is of another version.
    """
    end = monotonic() + PATIENCE
    if not _asked(address, client.sync, client.scheduler.ncores):
        log.info("%s has no workers: waiting for one, at most %.0f s", address, PATIENCE)
    _check({"the scheduler": _asked(address, client.sync, client.run_on_scheduler, scheduler_facts)})
    while not (found := _asked(address, _facts_of_workers, client, resources.max_memory)):
        stop.check()
        if monotonic() > end:
            message = f"--engine dask: the scheduler {address} has no workers after {PATIENCE:.0f} s: start some, or have more patience with the queue"
            raise UsageError(message)
        sleep(0.2)
    _check(found)
    return Limits(min(facts.memory for facts in found.values()), resources.block_shape)


def _asked(address: str, ask: Callable[..., Any], *given: Any) -> Any:
    """What processes of a cluster say: ``ask(*given, callback_timeout=…)``.

    Raises
    ------
    UsageError
        If one does not respond in time, or cannot load objclass.
    """
    try:
        return ask(*given, callback_timeout=PATIENCE)
    except TimeoutError:
        message = f"--engine dask: the scheduler {address} or one of its workers does not respond for {PATIENCE:.0f} s: restart it"
        raise UsageError(message) from None
    except Exception as fault:  # noqa: BLE001  of any module that is missing there
        message = f"--engine dask: the scheduler {address} or one of its workers cannot load {versions()[0]} ({one_line(fault)}): expected the same environment"
        raise UsageError(message) from None


class Facts(NamedTuple):
    """What a process of a cluster says of itself.

    Parameters
    ----------
    versions
        As of `versions`.
    memory
        Bytes that each of its tasks may use.
    is_without
        Whether it does not see the working folder of the run.
    """

    versions: tuple[str, ...]
    memory: int = 0
    is_without: bool = False


def _facts_of_workers(client: Any, given: int | None, callback_timeout: float) -> dict[str, Facts]:
    """What the workers say of themselves; without those that are just being started, or killed."""
    ask = partial(client.run, worker_facts, given=given, folder=os.getcwd(), on_error="return")
    found = client.sync(ask, callback_timeout=callback_timeout)
    for fault in found.values():
        if isinstance(fault, Exception) and not isinstance(fault, OSError):
            raise fault
    return {name: facts for name, facts in found.items() if not isinstance(facts, Exception)}


def scheduler_facts() -> Facts:
    """What a scheduler says."""
    return Facts(versions())


def worker_facts(dask_worker: Any, given: int | None, folder: str) -> Facts:
    """What a worker says; its tasks share the memory that is ``given``, else half of what it may use."""
    memory = given or (dask_worker.memory_manager.memory_limit or machine.free_memory()) // 2
    each = max(memory, MINIMUM_MEMORY) - OVERHEAD
    return Facts(versions(), each // dask_worker.state.nthreads, not os.path.isdir(folder))


def _check(facts: Mapping[str, Facts]) -> None:
    """Refuse processes that cannot take part."""
    for name, found in facts.items():
        if found.versions != versions():
            there, here = differences(found.versions, versions())
            message = f"--engine dask: {there} at {name}, {here} here: expected the same versions"
            raise UsageError(message)
    without = [name for name, found in facts.items() if found.is_without]
    if without:
        message = f"--engine dask: {os.getcwd()} is not there for {listed(without)}: expected a disk that all workers see"
        raise UsageError(message)
