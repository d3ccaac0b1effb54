"""Worker processes of this machine, one thread each: a cluster of Dask that ends with the run."""

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from time import sleep
from typing import Any

from objclass.compute.limits import OVERHEAD, Limits
from objclass.errors import UsageError
from objclass.settings import MINIMUM_MEMORY

log = logging.getLogger("objclass")

STARTS = 5
"""How often processes that end while they are started are started again."""

ENDED = 10
"""Seconds in which processes end that were killed."""

CONFIGURATION = {
    "distributed.admin.large-graph-warning-threshold": "1 TiB",
    "distributed.deploy.lost-worker-timeout": "1 day",  # a process takes its time to start on a busy machine
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
            dashboard_address=":0",
            scheduler_kwargs={"dashboard": False},
            memory_limit=0,
            local_directory=folder,
            silence_logs=logging.CRITICAL + 1,
        )

    def start(self, client: Any) -> None:
        """Start them, and wait for the first.

        Raises
        ------
        UsageError
            If they end at once.
        """
        failures = 0
        self.restart()
        while not client.nthreads():
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


@contextmanager
def started(count: int) -> Iterator[Processes]:
    """So many processes, without a word of theirs on the terminal."""
    import dask

    with TemporaryDirectory(prefix="objclass-", ignore_cleanup_errors=True) as folder, ExitStack() as stack:
        stack.enter_context(_without_warnings())
        stack.enter_context(dask.config.set(CONFIGURATION))
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
