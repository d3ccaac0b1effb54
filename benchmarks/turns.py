"""Taking turns: what is compared is run side by side, round by round. Standard library only.

The process that starts others stays small: the peak memory of a child begins with that of its parent.
"""

import os
import resource
import statistics
import subprocess
import time
from dataclasses import dataclass

SLOW = 20
"""Seconds from which on a call is made only once."""


@dataclass(frozen=True)
class Taken:
    """What a call, or a whole process, took."""

    wall: float
    user: float
    system: float
    peak: int = 0
    """Bytes of the largest resident set."""

    def __str__(self):
        return f"{short(self.wall)} s ({short(self.user)} + {short(self.system)})"


def short(number):
    """Three digits."""
    return f"{number:.2f}" if number < 10 else f"{number:.1f}" if number < 100 else f"{number:.0f}"


def process(command, **options):
    """Run a whole process, as in an installation, which keeps its bytecode."""
    env = options.pop("env", os.environ)
    env = {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    child = subprocess.Popen([str(part) for part in command], env=env, **options)
    _, status, used = os.wait4(child.pid, 0)
    wall = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, child.args)
    return Taken(wall, used.ru_utime, used.ru_stime, used.ru_maxrss * 1024)


def call(function):
    """Call a function; the times are those of all threads."""
    start, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF)
    function()
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF)
    return Taken(wall, after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime)


def shortest(taken):
    """The one that took the least time: of calls so short that whatever else the machine does shows."""
    return min(taken, key=lambda one: one.wall)


def by_turns(jobs, rounds):
    """Name -> all that was taken, round by round: of functions that answer what they took.

    A first round warms files and kernels and counts only for jobs that are too slow to be repeated.
    """
    found = {name: [job()] for name, job in jobs.items()}
    slow = {name for name, (first,) in found.items() if first.wall > SLOW}
    for number in range(rounds):
        for name, job in jobs.items():
            if name not in slow:
                taken = job()
                found[name] = [*found[name], taken] if number else [taken]
    return found


def middle(taken):
    """The medians; of memory the most."""
    parts = ([getattr(t, part) for t in taken] for part in ("wall", "user", "system"))
    return Taken(*map(statistics.median, parts), max(t.peak for t in taken))
