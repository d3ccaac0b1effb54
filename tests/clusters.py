"""Clusters of Dask for tests: its own processes, on the loopback."""

import os
import subprocess
import sys
from contextlib import contextmanager

from tests.conftest import ROOT


def environment(path=ROOT):
    """Variables of a process that takes objclass from a folder."""
    return {**os.environ, "PYTHONPATH": str(path), "PYTHONWARNINGS": "ignore"}


@contextmanager
def dask(folder, *arguments, path=ROOT):
    """A process of Dask, as users start it."""
    module, *options = arguments
    process = subprocess.Popen(
        [sys.executable, "-m", f"distributed.cli.{module}", *options],
        cwd=folder, env=environment(path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()


SCHEDULER = ("dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
WORKER = ("dask_worker", "--host", "127.0.0.1", "--nthreads", "2", "--no-nanny", "--no-dashboard")


@contextmanager
def a_cluster(folder, workers=1, path=ROOT):
    """The file of a scheduler with workers, which work in another folder than the run."""
    file = str(folder / "scheduler.json")
    with dask(folder, *SCHEDULER, "--scheduler-file", file, path=path) as scheduler:
        others = [dask(folder, *WORKER, "--scheduler-file", file, path=path) for _ in range(workers)]
        entered = [process.__enter__() for process in others]
        try:
            yield file, scheduler, entered
        finally:
            for process in others:
                process.__exit__(None, None, None)
