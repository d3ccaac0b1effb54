"""Formats that can only be written when all rows are known."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import accumulate, pairwise
from tempfile import TemporaryFile
from typing import IO, Any
from weakref import finalize

import numpy as np
from numpy.typing import NDArray

from objclass.export.columns import Columns
from objclass.export.packing import packed, unpacked
from objclass.export.tables.writer import TableDetails

PART = 1 << 22
"""Bytes of rows that are read at once, unless a single lane has more."""

LENGTH_BYTES = 8


class Spool:
    """Rows of a table in a temporary file without a name: a record for each lane.

    A record is the length of its header, the header in JSON (number of rows; type and number of bytes of each column) and
    the columns, numbers as they are and text as JSON.

    Parameters
    ----------
    folder
        Folder of the file, on the disk that the table goes to.
    """

    def __init__(self, folder: str) -> None:
        self._file = TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 (closed by finalize)
        finalize(self, _close, self._file)  # not earlier: a table that is closed can still be undone
        self._names: list[str] = []
        self._end = self._marked = 0

    @property
    def size(self) -> int:
        """Number of bytes of all rows."""
        return self._end

    def append(self, columns: Columns) -> None:
        """Write the rows of a lane."""
        self._names = list(columns)
        parts = [packed(values) for values in columns.values()]
        rows = len(next(iter(columns.values())))
        head = json.dumps([rows, [(kind, len(data)) for kind, data in parts]]).encode()
        self._file.seek(self._end)
        pieces = [len(head).to_bytes(LENGTH_BYTES, "little"), head, *(data for _, data in parts)]
        is_small = sum(map(len, pieces)) < PART
        for piece in [b"".join(pieces)] if is_small else pieces:
            self._write(piece)
        self._end = self._file.tell()

    def mark(self) -> None:
        """Mark the rows so far as permanent."""
        self._marked = self._end

    def undo(self) -> None:
        """Remove the rows since the last `mark`."""
        self._end = self._marked
        self._file.truncate(self._end)

    def types(self) -> tuple[int, dict[str, np.dtype[Any]]]:
        """The number of rows, and the type of each column that holds all of its values.

        Text is UTF-8 bytes of the largest length, at least 1.
        """
        count, kinds = 0, [set[str]() for _ in self._names]
        for rows, columns, _ in self._heads():
            count += rows
            for found, (kind, _) in zip(kinds, columns, strict=True):
                found.add(kind)
        types = [common_type(found) for found in kinds]
        return count, dict(zip(self._names, types, strict=True))

    def parts(self) -> Iterator[Columns]:
        """The rows in their order, in parts of at least one lane, of the types of their lanes; text is of the dtype object."""
        part: list[list[NDArray[Any]]] = []
        size, before = 0, None
        for _, columns, start in self._heads():
            types = ["S" if kind.startswith("S") else kind for kind, _ in columns]
            if part and (size >= PART or types != before):
                yield _joined(part, self._names)
                part, size = [], 0
            part.append(self._record(start, columns))
            size += sum(length for _, length in columns)
            before = types
        if part:
            yield _joined(part, self._names)

    def records(self) -> Iterator[Columns]:
        """What was appended, one after the other; here columns may differ in length."""
        for _, columns, start in self._heads():
            yield dict(zip(self._names, self._record(start, columns), strict=True))

    def _heads(self) -> Iterator[tuple[int, list[tuple[str, int]], int]]:
        """For each record the number of its rows, type and length of its columns, and where they begin."""
        position = 0
        while position < self._end:
            self._file.seek(position)
            length = int.from_bytes(self._read(LENGTH_BYTES), "little")
            rows, columns = json.loads(self._read(length))
            start = position + LENGTH_BYTES + length
            yield rows, columns, start
            position = start + sum(length for _, length in columns)

    def _record(self, start: int, columns: Sequence[tuple[str, int]]) -> list[NDArray[Any]]:
        """The columns of a lane."""
        self._file.seek(start)
        ends = list(accumulate((length for _, length in columns), initial=0))
        data = memoryview(self._read(ends[-1]))
        return [unpacked(kind, data[a:b]) for (kind, _), (a, b) in zip(columns, pairwise(ends), strict=True)]

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.write(rest) :]

    def _read(self, length: int) -> bytearray:
        data = bytearray(length)
        rest = memoryview(data)
        while rest:
            rest = rest[self._file.readinto(rest) :]
        return data


def common_type(kinds: Iterable[str]) -> np.dtype[Any]:
    """The type of a column that has several types, each a text such as ``<f8``.

    It is NumPy's, but at least float64 where integers meet floating-point numbers. So it does not depend on how lanes are
    grouped: NumPy has float32 for int8, uint16 and float32, but float64 for int32, the type of the former two, and float32.
    """
    types = [np.dtype(kind) for kind in kinds]
    found = np.result_type(*types)
    has_both = found.kind == "f" and any(kind.kind in "iu" for kind in types)
    return np.result_type(found, np.float64) if has_both else found


def _close(file: IO[bytes]) -> None:
    with suppress(OSError):  # nobody needs what is in it
        file.close()


def _joined(part: Sequence[Sequence[NDArray[Any]]], names: Sequence[str]) -> Columns:
    """Columns of several lanes."""
    return {name: np.concatenate(values) for name, values in zip(names, zip(*part, strict=True), strict=True)}


class SpoolWriter:
    """A `TableWriter` whose file is written when it is closed, from rows that wait in a `Spool`."""

    @classmethod
    def refusal(cls, header: Sequence[str]) -> str | None:
        """None: it can hold any columns."""
        return None

    def __init__(self, path: str, details: TableDetails | None = None) -> None:
        self.path, self.details = path, details or TableDetails()
        self.rows = Spool(os.path.dirname(path) or ".")
        open(path, "wb").close()  # what cannot be written shows before the rows are known

    def append(self, columns: Columns) -> None:
        """Keep rows."""
        self.rows.append(columns)

    def flush(self) -> None:
        """Do nothing: rows are kept unbuffered."""

    def mark(self) -> None:
        """Mark the rows so far as permanent."""
        self.rows.mark()

    def undo(self) -> None:
        """Remove the rows since the last `mark`."""
        self.rows.undo()

    def close(self) -> None:
        """Write the file."""
        raise NotImplementedError

    def abort(self) -> None:
        """Do nothing: there is no file yet, or it is discarded."""
