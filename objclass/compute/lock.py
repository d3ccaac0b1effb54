"""Locks between processes, on files; they end with the process that holds them."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import sleep

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

WAIT = 0.05
"""Seconds between two attempts: short enough to react to a signal at once."""


HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
"""What systems say of a file that another process has locked; anything else is a fault of the file system."""


def try_lock(descriptor: int) -> bool:
    """Lock an open file; False if another process holds it.

    Raises
    ------
    OSError
        If the file system has no locks, as some of clusters.
    """
    try:
        if fcntl is None:
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as fault:
        if fault.errno not in HELD:
            raise
        return False
    return True


def lock_if_possible(descriptor: int) -> bool:
    """The same; True as well where the file system has no locks: what is written there must still be written."""
    try:
        return try_lock(descriptor)
    except OSError:
        return True


def is_same(descriptor: int, path: str) -> bool:
    """Whether a path still names an open file, which another process may have removed or replaced."""
    try:
        there = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(os.fstat(descriptor), there)


def _locked(path: str) -> int | None:
    """The open and locked file; None if another process holds it."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o666)
        is_free = lock_if_possible(descriptor)
        if is_free and is_same(descriptor, path):
            return descriptor
        let_go(descriptor)
        if not is_free:
            return None  # else the previous holder has removed it


def let_go(descriptor: int) -> None:
    """Close a lock file, and so unlock it; it has no content that could be lost."""
    with suppress(OSError):
        os.close(descriptor)


@contextmanager
def held(path: str, *, wait: bool = True) -> Iterator[None]:
    """Hold a lock file, which is made and removed.

    Raises
    ------
    BlockingIOError
        If another process holds it, and not ``wait``.
    """
    descriptor = _locked(path)
    while descriptor is None:
        if not wait:
            raise BlockingIOError(path)
        sleep(WAIT)
        descriptor = _locked(path)
    try:
        yield
    finally:
        with suppress(OSError):  # another process has removed it
            os.unlink(path)
        let_go(descriptor)
