"""HDF5 files that report write errors, and that can return to an earlier consistent state.

HDF5 buffers data until a dataset is released or the file is closed. A write error at that time is
swallowed by Python, or crashes the process at its end. So HDF5 writes through `Disk`, which hides errors
from HDF5 and reports them to the caller.
"""

import io
import os
from contextlib import suppress
from types import TracebackType
from typing import Any


class Disk(io.RawIOBase):
    """The file object that HDF5 writes to: the first error is kept, and from then on nothing is written.

    Content that is overwritten after the last `mark` is saved, so that `undo` can restore it.

    Parameters
    ----------
    path
        Path of the file, which is made if it does not exist.
    before
        The `Disk` of the same file, closed by now, whose saved content is taken over.
    """

    def __init__(self, path: str, before: "Disk | None" = None) -> None:
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        self.fault: OSError | None = None
        self.is_dropped = False
        self._at = 0
        self._marked: int = 0 if before is None else before._marked  # noqa: SLF001
        self._overwritten: list[tuple[int, bytes]] = [] if before is None else before._overwritten  # noqa: SLF001

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Set the position."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size()}[whence]
        self._at = start + offset
        return self._at

    def tell(self) -> int:
        """Return the position."""
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """Read from the position on."""
        os.lseek(self._descriptor, self._at, os.SEEK_SET)
        count = os.readv(self._descriptor, [buffer]) if hasattr(os, "readv") else self._copied(buffer)
        self._at += count
        return count

    def _copied(self, buffer: Any) -> int:
        data = os.read(self._descriptor, len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def write(self, data: Any, /) -> int:
        """Write at the position, or keep the error; report success to HDF5 in any case."""
        rest = memoryview(data).cast("B")
        size = len(rest)
        if not self.is_dropped:
            try:
                self._remember(self._at, size)
                os.lseek(self._descriptor, self._at, os.SEEK_SET)
                while len(rest):
                    rest = rest[os.write(self._descriptor, rest) :]
            except OSError as fault:
                self.fault, self.is_dropped = fault, True
        self._at += size
        return size

    def truncate(self, size: int | None = None, /) -> int:
        """Set the length of the file."""
        size = self._at if size is None else size
        if not self.is_dropped:
            try:
                os.ftruncate(self._descriptor, size)
            except OSError as fault:
                self.fault, self.is_dropped = fault, True
        return size

    def flush(self) -> None:
        """Do nothing: writes are not buffered."""

    def mark(self) -> None:
        """Mark the present content as consistent."""
        self._marked = self._size()
        self._overwritten.clear()

    def undo(self) -> None:
        """Restore the content at the last `mark`."""
        for offset, content in reversed(self._overwritten):
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            rest = memoryview(content)
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
        os.ftruncate(self._descriptor, self._marked)
        self._overwritten.clear()
        self._at, self.fault, self.is_dropped = 0, None, False

    def close(self) -> None:
        """Close the file."""
        if not self.closed:
            with suppress(OSError):  # write errors show when the file is synced
                os.close(self._descriptor)
        super().close()

    def _remember(self, offset: int, size: int) -> None:
        marked = min(offset + size, self._marked) - offset
        if marked > 0:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            self._overwritten.append((offset, os.read(self._descriptor, marked)))

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size


class Hdf5File:
    """An HDF5 file that is written; ``h5`` is the open `h5py.File`.

    As a context manager it is closed at the end, or aborted if the block raises.

    Parameters
    ----------
    path, mode
        ``"w"``: an existing file is replaced; ``"r+"``: it is changed.
    options
        As for `h5py.File`.
    """

    def __init__(self, path: str, mode: str = "w", **options: Any) -> None:
        self._path, self._options = path, options
        self._disk = Disk(path)
        if mode == "w":
            self._disk.truncate(0)
        self._disk.mark()
        self.h5 = self._opened(mode)

    def _opened(self, mode: str) -> Any:
        import h5py

        return h5py.File(self._disk, mode, **self._options)

    def __enter__(self) -> Any:
        return self.h5

    def __exit__(self, kind: type[BaseException] | None, _: object, __: TracebackType | None) -> None:
        if kind is None:
            self.close()
            return
        fault = self._disk.fault
        self.abort()
        if fault is not None:  # the error that HDF5 made of it
            raise fault

    def check(self) -> None:
        """Raise the first write error so far.

        Raises
        ------
        OSError
            If anything could not be written.
        """
        if self._disk.fault is not None:
            raise self._disk.fault

    def flush(self) -> None:
        """Write all.

        Raises
        ------
        OSError
            If anything could not be written.
        """
        self.h5.flush()
        self.check()

    def mark(self) -> None:
        """Mark the file as consistent as of the last `flush`: `undo` returns to this state."""
        self._disk.mark()

    def undo(self) -> None:
        """Return to the last `mark`, or to the initial content, even if the file is closed."""
        self.abort()
        self._disk = Disk(self._path, self._disk)
        self._disk.undo()
        is_empty = os.path.getsize(self._path) == 0
        self.h5 = self._opened("w" if is_empty else "r+")

    def close(self) -> None:
        """Write all, and close the file.

        Raises
        ------
        OSError
            If anything could not be written.
        """
        try:
            self.h5.flush()
            self.h5.close()
            self.check()
        finally:
            self.abort()

    def abort(self) -> None:
        """Close the file as it is; it may be damaged."""
        self._disk.is_dropped = True
        self.h5.close()
        self._disk.close()
