"""Environment variables: defaults for options that are not given."""

import os
from argparse import ArgumentTypeError
from dataclasses import fields

from objclass.errors import UsageError
from objclass.settings import ResourceSettings, parse_size

THREADS, MEMORY = "LAZYFLOW_THREADS", "LAZYFLOW_TOTAL_RAM_MB"
"""ilastik's variables, which many job scripts set; a memory of 0 means no limit, 0 threads mean one."""

ILASTIK_NAMES = "OBJCLASS_ILASTIK_NAMES"
"""Set to 1 where a program calls objclass in place of ilastik, with a command line that cannot be changed."""

ADDRESSES = 1_500_000_000
"""Bytes of address space below which libraries end the process without an error that could be caught."""


def resources(options: ResourceSettings) -> ResourceSettings:
    """Threads and memory: as given, else from ilastik's variables.

    Raises
    ------
    UsageError
        If one of them is no number, or too little memory.
    """
    given = {f.name: getattr(options, f.name) for f in fields(ResourceSettings)}
    threads, megabytes = _number(THREADS), _number(MEMORY)
    if given["jobs"] is None and threads is not None:
        given["jobs"] = max(threads, 1)
    if given["max_memory"] is None and megabytes:
        try:
            given["max_memory"] = parse_size(f"{megabytes}MB")
        except ArgumentTypeError as fault:
            message = f"{MEMORY}: {fault}"
            raise UsageError(message) from None
    return ResourceSettings(**given)


def check_address_space() -> None:
    """Refuse to run where libraries could not even be loaded.

    Raises
    ------
    UsageError
        If the process may use fewer addresses than `ADDRESSES`.
    """
    try:
        from resource import RLIM_INFINITY, RLIMIT_AS, getrlimit
    except ImportError:  # Windows
        return
    limit, _ = getrlimit(RLIMIT_AS)
    if limit != RLIM_INFINITY and limit < ADDRESSES:
        message = (
            f"this process may use {limit // 10**6} MB of addresses (ulimit -v): expected at least "
            f"{ADDRESSES // 10**6} MB, which libraries take; --max_memory limits the memory of a run"
        )
        raise UsageError(message)


def wants_ilastik_names() -> bool:
    """Whether files are to be named as ilastik names them."""
    return os.environ.get(ILASTIK_NAMES, "").lower() in ("1", "true", "yes", "on")


def _number(name: str) -> int | None:
    text = os.environ.get(name, "").strip()
    if text and not text.isdecimal():
        message = f"{name}={text}: expected a whole number"
        raise UsageError(message)
    return int(text) if text else None
