"""Worker processes of this machine, one thread each: a cluster of Dask that ends with the run."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from importlib.util import find_spec
from multiprocessing import resource_tracker
from pathlib import Path
from tempfile import gettempdir
from time import monotonic, sleep
from typing import Any

from objclass.compute.limits import OVERHEAD, Limits
from objclass.errors import Stop, UsageError
from objclass.export.atomic import Workspace
from objclass.settings import MINIMUM_MEMORY

log = logging.getLogger("objclass")

STARTS = 5
"""How often processes that end while they are started are started again."""

STARTED = 300.0
"""Seconds in which the first of them is started, even on a busy machine."""

ENDED = 10
"""Seconds in which processes end that were killed."""

CONFIGURATION = {
    "distributed.admin.large-graph-warning-threshold": "1 TiB",
    "distributed.deploy.lost-worker-timeout": "1 day",  # a process takes its time to start on a busy machine
    # the server of web pages cannot be left out, and is neither encrypted nor protected: it has no pages
    "distributed.scheduler.http.routes": [],
    "distributed.worker.http.routes": [],
}


class Processes:
    """Worker processes of this machine.

    On the loopback, with a key of their own where that can be made: other users of the machine have no access.

    Parameters
    ----------
    count
        Their number.
    folder
        For their temporary files.
    """

    def __init__(self, count: int, folder: str) -> None:
        from distributed import LocalCluster

        self.count = count
        self.cluster: Any = LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=0,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            security=find_spec("cryptography") is not None,
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=0,
            local_directory=folder,
            silence_logs=logging.CRITICAL + 1,
        )
        self.cluster.sync(_without_interrupts)  # type: ignore[no-untyped-call]

    def start(self, client: Any, stop: Stop) -> None:
        """Start them, and wait for the first.

        Raises
        ------
        UsageError
            If they end at once, or none is ready in time.
        """
        failures, end = 0, monotonic() + STARTED
        self.restart()
        while not client.nthreads():
            stop.check()
            if monotonic() > end:
                message = f"--engine dask: no worker process was ready after {STARTED:.0f} s: is the machine too busy?"
                raise UsageError(message)
            nannies = self.cluster.workers.values()
            if nannies and all(nanny.status.name == "failed" for nanny in nannies):
                failures += 1
                if failures == STARTS:
                    message = (
                        "--engine dask: worker processes end when they are started (a script that calls this does so below "
                        "if __name__ == '__main__':)"
                    )
                    raise UsageError(message)
                self.restart()
            sleep(0.05)

    def restart(self) -> None:
        """Start those that have ended while they were started; Dask itself starts those again that end later."""
        for name, nanny in list(self.cluster.workers.items()):
            if nanny.status.name == "failed":
                self.cluster.workers.pop(name, None)
        self.cluster.scale(self.count)

    def close(self) -> None:
        """End them at once: what they still do is of no use."""
        import psutil

        for nanny in list(self.cluster.workers.values()):
            nanny.close_gracefully()  # so that it starts no other one
            number = nanny.pid
            if number is not None:  # psutil takes None for this process
                with suppress(psutil.Error):
                    psutil.Process(number).kill()
        with suppress(Exception):
            self.cluster.close(ENDED)


async def _without_interrupts() -> None:
    """Leave Ctrl-C, which a terminal sends to all processes, to the main thread; those that this thread starts inherit that."""
    if hasattr(signal, "pthread_sigmask"):
        resource_tracker.ensure_running()  # which would allow it again, were it started later
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


@contextmanager
def started(count: int) -> Iterator[Processes]:
    """So many processes, without a word of theirs on the terminal."""
    import dask

    with ExitStack() as stack:
        folder = stack.enter_context(closing(Workspace(Path(gettempdir())))).path
        stack.enter_context(_without_warnings())
        stack.enter_context(dask.config.set({**CONFIGURATION, "temporary-directory": folder}))
        found = Processes(count, folder)
        stack.callback(found.close)
        yield found


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Processes that are started meanwhile print no warnings of libraries."""
    before = os.environ.get("PYTHONWARNINGS")
    os.environ["PYTHONWARNINGS"] = "ignore"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHONWARNINGS"]
        else:
            os.environ["PYTHONWARNINGS"] = before


def shared_out(limits: Limits) -> tuple[int, Limits]:
    """The number of processes, and the limits of each: this one has as much memory as each of them."""
    if limits.memory is None:
        return limits.jobs, Limits(None, limits.block)
    total = limits.memory + OVERHEAD
    count = max(min(limits.jobs, total // MINIMUM_MEMORY - 1), 1)
    if count < limits.jobs:
        log.info("%d processes, not %d: each takes %d MB", count, limits.jobs, MINIMUM_MEMORY // 10**6)
    each = max(total // (count + 1), MINIMUM_MEMORY) - OVERHEAD
    return count, Limits(each, limits.block)
