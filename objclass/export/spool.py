"""The rows of a table that lanes share: each lane's in a spool, as soon as it is complete.

A spool outlives the process, even one that is killed: a later run takes the rows of complete lanes from it. The
table itself is made from it in the order of the lanes, so that its bytes do not depend on which run measured
which lane; its format need not be one that can be continued.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from io import BufferedRandom
from pathlib import Path
from secrets import token_hex
from typing import IO, Any, NamedTuple

import numpy as np

from objclass.errors import OutputError
from objclass.export.columns import Columns
from objclass.export.packing import packed, unpacked

BATCH = 20_000
"""Rows that are given to the writer of a table together, or a few more."""

LANES = 200
"""Lanes whose rows are given to the writer together, at most: each column of a lane is an array."""


class Rows(NamedTuple):
    """Where the rows of a lane are: the name of a spool's content, and bytes in it."""

    spool: str
    start: int
    stop: int


def spool_path(table: str) -> str:
    """The spool of a table: a hidden file next to it."""
    return str(Path(table).with_name(f".{Path(table).name}.rows"))


def spooled(table: str) -> tuple[str, int]:
    """The name of the content of the spool of a table, and its size; empty and 0 if there is none."""
    try:
        with Path(spool_path(table)).open("rb") as file:
            return _name(file), os.fstat(file.fileno()).st_size
    except OSError:
        return "", 0


class Spool:
    """A file of rows, lane after lane; each addition is a line of JSON (name, type and length of each column), and the columns.

    Parameters
    ----------
    path
        The file.
    anew
        Whether to remove what an earlier run has left there.
    """

    def __init__(self, path: str, *, anew: bool) -> None:
        self._path = path
        flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
        descriptor = os.open(path, flags | (os.O_TRUNC if anew else 0), 0o666)
        self._file: BufferedRandom = os.fdopen(descriptor, "r+b")
        self.name = _name(self._file)
        if not self.name:
            self.name = token_hex(_NAME_BYTES)
            self._file.seek(0)
            self._file.truncate()
            self._file.write(f"{self.name}\n".encode())
        self._file.seek(0, os.SEEK_END)
        self._end = self._marked = self._file.tell()

    def add(self, columns: Columns) -> Rows:
        """Add the rows of a lane."""
        start = self._end
        self._file.seek(start)
        parts = [packed(values) for values in columns.values()]
        head = [(name, kind, len(data)) for name, (kind, data) in zip(columns, parts, strict=True)]
        self._file.write(json.dumps(head).encode() + b"\n")
        self._file.writelines(data for _, data in parts)
        self._end = self._file.tell()
        return Rows(self.name, start, self._end)

    def read(self, rows: Rows) -> Columns:
        """The rows of a lane.

        Raises
        ------
        OutputError
            If the file was changed by somebody.
        """
        self._file.seek(rows.start)
        data = memoryview(self._file.read(rows.stop - rows.start))
        try:
            head, _, _ = bytes(data).partition(b"\n")
            columns, place = {}, len(head) + 1
            for name, kind, length in json.loads(head):
                columns[name] = unpacked(kind, data[place : place + length])
                place += length
            is_whole = place == len(data) and len({len(values) for values in columns.values()}) == 1
        except (ValueError, TypeError):
            is_whole = False
        if not is_whole:
            message = f"{self._path}: damaged: run again without --resume"
            raise OutputError(message)
        return columns

    def flush(self) -> None:
        """Wait until all rows are on the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def mark(self) -> None:
        """Mark the rows so far as permanent."""
        self._marked = self._end

    def undo(self) -> None:
        """Remove the rows since the last `mark`."""
        self._end = self._marked
        with suppress(OSError):  # what is behind the end is not looked at
            self._file.truncate(self._end)

    def close(self) -> None:
        """Close the file; it stays."""
        with suppress(OSError):
            self._file.close()

    def remove(self) -> None:
        """Close and remove the file."""
        self.close()
        with suppress(OSError):
            os.unlink(self._path)


_NAME_BYTES = 8


def _name(file: IO[bytes]) -> str:
    """The name of the content, which another run would change; empty for a file that is not a spool."""
    file.seek(0)
    line = file.read(2 * _NAME_BYTES + 1)
    is_name = len(line) == 2 * _NAME_BYTES + 1 and line.endswith(b"\n")
    return line[:-1].decode("ascii", "replace") if is_name else ""


def _joined(parts: Sequence[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _types(columns: Columns) -> list[np.dtype[Any]]:
    return [values.dtype for values in columns.values()]


class SpooledTable:
    """A table that many lanes share.

    Parameters
    ----------
    path
        The temporary name of the table.
    writer
        Class of the writer of its format.
    spool
        Its spool.
    earlier
        Number of a lane -> its rows that an earlier run has left in the spool.
    """

    def __init__(self, path: str, writer: Any, spool: Spool, earlier: Mapping[int, Rows]) -> None:
        self._path, self._writer, self._spool = path, writer, spool
        self._rows = dict(earlier)
        self._new: list[int] = []

    def append(self, columns: Columns, lane: int) -> Rows:
        """Add the rows of a lane, and return where they are."""
        self._rows[lane] = self._spool.add(columns)
        self._new.append(lane)
        return self._rows[lane]

    def flush(self) -> None:
        """Wait until all rows are on the disk."""
        self._spool.flush()

    def mark(self) -> None:
        """Mark the rows so far as permanent."""
        self._spool.mark()
        self._new.clear()

    def undo(self) -> None:
        """Remove the rows since the last `mark`."""
        for lane in self._new:
            del self._rows[lane]
        self._new.clear()
        self._spool.undo()

    def close(self) -> None:
        """Make the table, lane after lane."""
        self._spool.flush()
        table = self._writer(self._path)
        try:
            for columns in self._batches():
                table.append(columns)
            table.close()
        except BaseException:
            table.abort()
            raise

    def _batches(self) -> Iterator[Columns]:
        """The rows of small lanes of the same types together: what is called for each lane costs more than they."""
        parts: list[Columns] = []
        count = 0
        for lane in sorted(self._rows):
            columns = self._spool.read(self._rows[lane])
            if parts and (count >= BATCH or len(parts) == LANES or _types(columns) != _types(parts[0])):
                yield _joined(parts)
                parts, count = [], 0
            parts.append(columns)
            count += len(next(iter(columns.values())))
        if parts:
            yield _joined(parts)

    def done(self) -> None:
        """Remove the spool: the table is complete and has its name."""
        self._spool.remove()

    def abort(self) -> None:
        """Close the spool, which stays for a later run if there are rows in it."""
        self.undo()
        self._spool.close() if self._rows else self._spool.remove()
