"""Clusters of Dask: one of the user's, or one of local processes that ends with the run."""

import json
import logging
import platform
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic, sleep
from typing import Any

from objclass.batch.dask_workers import DaskWorkers
from objclass.compute import machine
from objclass.compute.context import Context
from objclass.compute.limits import OVERHEAD, Limits
from objclass.errors import UsageError, listed
from objclass.settings import MINIMUM_MEMORY, EngineSettings, ResourceSettings
from objclass.version import __version__

log = logging.getLogger("objclass")

PATIENCE = 60.0
"""Seconds to wait for the file of a scheduler, and for a first worker."""

REACHED = 10
"""Seconds in which a scheduler is reached."""

DEATHS = 9
"""How often a worker may die at a task before the task is given up; of local workers."""

LOGGERS = ("distributed", "distributed.client", "distributed.gc", "tornado", "tornado.application", "asyncio")
"""Loggers of Dask, whose messages are not for users of a run."""


@contextmanager
def dask_workers(
    settings: EngineSettings, resources: ResourceSettings, context: Context
) -> Iterator[DaskWorkers]:
    """The workers of the cluster that is asked for.

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
            client, limits = stack.enter_context(_local(context.limits))
        else:
            client, limits = stack.enter_context(_existing(settings, resources))
        yield DaskWorkers(client, limits, context)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Dask says of itself from the user's terminal."""
    import dask

    before = {name: logging.getLogger(name).level for name in LOGGERS}
    with warnings.catch_warnings(), dask.config.set(logging=dict.fromkeys(LOGGERS, "critical")):
        warnings.simplefilter("ignore")
        import distributed  # noqa: F401  sets up its loggers

        for name in LOGGERS:
            logging.getLogger(name).setLevel(logging.CRITICAL + 1)
        try:
            yield
        finally:
            for name, level in before.items():
                logging.getLogger(name).setLevel(level)


# --------------------------------------------------------------------------- local processes


@contextmanager
def _local(limits: Limits) -> Iterator[tuple[Any, Limits]]:
    """A cluster of processes of this machine, one thread each; on the loopback, with its own key."""
    import dask
    from distributed import Client, LocalCluster

    count, each = processes(limits)
    config = {
        "distributed.scheduler.allowed-failures": DEATHS,
        "distributed.admin.large-graph-warning-threshold": "1 TiB",
        "distributed.nanny.environ": {"PYTHONWARNINGS": "ignore"},
    }
    with TemporaryDirectory(prefix="objclass-") as folder, dask.config.set(config), ExitStack() as stack:
        try:
            cluster = stack.enter_context(
                LocalCluster(  # type: ignore[no-untyped-call]
                    n_workers=count,
                    threads_per_worker=1,
                    processes=True,
                    host="127.0.0.1",
                    security=find_spec("cryptography") is not None,
                    dashboard_address=":0",
                    scheduler_kwargs={"dashboard": False},
                    memory_limit=0,
                    local_directory=folder,
                    silence_logs=logging.CRITICAL + 1,
                )
            )
        except RuntimeError as fault:
            message = f"--engine dask: worker processes could not be started: {fault}"
            raise UsageError(message) from fault
        stack.callback(_kill, cluster)
        client = stack.enter_context(Client(cluster, timeout=REACHED))  # type: ignore[no-untyped-call]
        yield client, each


def processes(limits: Limits) -> tuple[int, Limits]:
    """The number of processes that share limits, and the limits of each."""
    if limits.memory is None:
        return limits.jobs, Limits(None, limits.block)
    total = limits.memory + OVERHEAD
    count = max(min(limits.jobs, total // MINIMUM_MEMORY), 1)
    if count < limits.jobs:
        log.info("%d processes, not %d: each takes %d MB", count, limits.jobs, MINIMUM_MEMORY // 10**6)
    return count, Limits(total // count - OVERHEAD, limits.block)


def _kill(cluster: Any) -> None:
    """End the processes at once: what they still do is of no use."""
    import psutil

    for nanny in cluster.workers.values():
        with suppress(Exception):
            nanny.close_gracefully()  # so that it starts no other one
            psutil.Process(nanny.pid).kill()


# --------------------------------------------------------------------------- an existing cluster


@contextmanager
def _existing(settings: EngineSettings, resources: ResourceSettings) -> Iterator[tuple[Any, Limits]]:
    """The cluster of a scheduler that is running."""
    from distributed import Client

    address = settings.scheduler or _address(str(settings.scheduler_file))
    try:
        client = Client(address, timeout=REACHED, set_as_default=False)  # type: ignore[no-untyped-call]
    except (OSError, ValueError, TypeError, RuntimeError, ImportError) as fault:
        message = f"--engine dask: no scheduler responds at {address} ({_line(fault)}): is it running, and reached from here?"
        raise UsageError(message) from None
    with client:
        yield client, _limits(client, address, resources)


def _address(path: str) -> str:
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
        sleep(0.2)
    try:
        return str(json.loads(Path(path).read_text(encoding="utf-8"))["address"])
    except OSError as fault:
        why = fault.strerror or "cannot be read"
    except (ValueError, KeyError, TypeError):
        why = "is no scheduler file"
    message = f"--scheduler_file {path}: {why}: expected the file that the scheduler of Dask writes"
    raise UsageError(message)


def _limits(client: Any, address: str, resources: ResourceSettings) -> Limits:
    """Memory and threads of each task, once there is a worker.

    Raises
    ------
    UsageError
        If there is no worker, or one of another version.
    """
    if not client.nthreads():
        log.info("%s has no workers: waiting for one, at most %.0f s", address, PATIENCE)
    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        message = f"--engine dask: the scheduler {address} has no workers after {PATIENCE:.0f} s: start some, or have more patience with the queue"
        raise UsageError(message) from None
    try:
        facts = {
            "the scheduler": client.run_on_scheduler(scheduler_facts),
            **client.run(worker_facts, given=resources.max_memory),
        }
    except Exception as fault:  # noqa: BLE001  of any module that is missing there
        message = f"--engine dask: the scheduler or a worker of {address} cannot load objclass {__version__} ({_line(fault)}): expected the same environment"
        raise UsageError(message) from None
    _check_versions(facts)
    return Limits(
        min(found["memory"] for found in facts.values() if "memory" in found), resources.block_shape
    )


def scheduler_facts() -> dict[str, Any]:
    """Versions of this process."""
    return {"objclass": __version__, "python": _python()}


def worker_facts(dask_worker: Any, given: int | None) -> dict[str, Any]:
    """The same of a worker, and the memory of each of its tasks: of what is ``given``, else of half of what it may use."""
    memory = given or (dask_worker.memory_manager.memory_limit or machine.free_memory()) // 2
    each = max(memory, MINIMUM_MEMORY) - OVERHEAD
    return scheduler_facts() | {"memory": each // dask_worker.state.nthreads}


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])


def _check_versions(facts: Mapping[str, Mapping[str, Any]]) -> None:
    expected = {"objclass": __version__, "python": _python()}
    for what, version in expected.items():
        others = {name: found[what] for name, found in facts.items() if found[what] != version}
        if others:
            where = listed(f"{found} at {name}" for name, found in others.items())
            message = f"--engine dask: {what} {version} here, {where}: expected the same version"
            raise UsageError(message)


def _line(fault: BaseException) -> str:
    return " ".join(str(fault).split()) or type(fault).__name__
