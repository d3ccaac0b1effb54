"""Scratch: compressed arrays in memory, or in a temporary file on a disk."""

import logging
import os
from collections.abc import Callable, Hashable
from contextlib import ExitStack
from io import BytesIO
from tempfile import TemporaryFile, gettempdir
from threading import Lock
from typing import IO, Any, cast
from weakref import finalize

import numpy as np

from objclass.compute.machine import disk_type
from objclass.core import AnyArray
from objclass.errors import LaneError

log = logging.getLogger("objclass")

RAM_DISKS = ("tmpfs", "ramfs")
"""Types of file systems that keep files in memory, which scratch is meant to save."""

ON_DISK = ("/var/tmp", ".")  # noqa: S108  the files have no name
"""Folders for scratch where that of the system is a RAM disk, in this order."""


def choose_folder(
    given: str | None, usual: str, kind: Callable[[str], str] = disk_type, others: tuple[str, ...] = ON_DISK
) -> tuple[str, str]:
    """The folder of temporary files, and a message if it is not the expected one, else ``""``.

    Parameters
    ----------
    given
        The folder given by the user (TMPDIR), if any: it is used even in a RAM disk.
    usual
        The folder that Python chooses: the given one if it is writable.
    kind
        Returns the type of the file system of a folder.
    others
        Folders to try if the usual one is in a RAM disk.
    """
    ram = kind(usual) in RAM_DISKS
    if given and os.path.abspath(given) != os.path.abspath(usual):
        return usual, f"scratch data are written to {usual}, since TMPDIR={given} is not a writable folder"
    if given and ram:
        return usual, f"scratch data use memory: TMPDIR={given} is a RAM disk"
    if not ram:
        return usual, ""
    on_disk = (path for path in others if os.access(path, os.W_OK | os.X_OK) and kind(path) not in RAM_DISKS)
    folder = next(on_disk, None)
    if folder is None:
        return usual, f"scratch data use memory: {usual} is a RAM disk; set TMPDIR to a folder on a disk"
    folder = os.path.abspath(folder)
    return (
        folder,
        f"scratch data are written to {folder}, since {usual} is a RAM disk; set TMPDIR for another folder",
    )


class ScratchFolder:
    """The folder of the temporary files of a run, chosen when the first of them is needed."""

    def __init__(self) -> None:
        self._path: str | None = None
        self._lock = Lock()

    @property
    def path(self) -> str:
        """On a disk where there is one; a warning says, once, where it is not what one would expect."""
        with self._lock:
            if self._path is None:
                # the variables of the tempfile module, in its order
                given = next(filter(None, map(os.environ.get, ("TMPDIR", "TEMP", "TMP"))), None)
                self._path, line = choose_folder(given, gettempdir())
                if line:
                    log.warning(line)
            return self._path


class Scratch:
    """Compressed arrays, in memory while they are small, else in a temporary file.

    The file is removed with this object, or with the process.

    Parameters
    ----------
    held
        Maximum bytes in memory.
    folder
        Where the file goes.
    """

    def __init__(self, held: int, folder: ScratchFolder) -> None:
        self._held, self._folder = held, folder
        self._file: IO[bytes] = BytesIO()
        self._on_disk = False
        self._places: dict[Hashable, tuple[int, int]] = {}
        self._lock = Lock()
        self._open = ExitStack()
        finalize(self, self._open.close)

    def put(self, key: Hashable, pixels: AnyArray) -> None:
        """Store an array under a key."""
        from imagecodecs import zstd_encode

        packed = zstd_encode(np.ascontiguousarray(pixels).data.cast("B"), level=1)  # type: ignore[arg-type]
        with self._lock:
            start = self._file.seek(0, os.SEEK_END)
            try:
                if not self._on_disk and start + len(packed) > self._held:
                    self._move_to_disk()
                self._file.write(packed)
            except OSError as fault:
                message = (
                    f"scratch data in {self._folder.path}: {fault.strerror} (set TMPDIR for another folder)"
                )
                raise LaneError(message) from fault
            self._places[key] = start, len(packed)

    def _move_to_disk(self) -> None:
        file = self._open.enter_context(TemporaryFile(dir=self._folder.path))  # noqa: SIM115  closed with this
        file.write(cast("BytesIO", self._file).getbuffer())
        self._file, self._on_disk = file, True

    def get(self, key: Hashable, shape: tuple[int, ...], dtype: Any) -> AnyArray:
        """The array stored under a key."""
        from imagecodecs import zstd_decode

        with self._lock:
            start, size = self._places[key]
            self._file.seek(start)
            packed = self._file.read(size)
        pixels = np.empty(shape, dtype)
        zstd_decode(packed, out=pixels.data.cast("B"))
        return pixels
