"""The dictionary of a table: a CSV file that describes its columns."""

import csv
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

from objclass.export.columns import Column
from objclass.export.tables import format_of

HEADER = ("name", "unit", "definition", "dimensions", "source")


def dictionary_path(table: str) -> str:
    """The path of the dictionary of a table.

    Examples
    --------
    >>> dictionary_path("out/cells.1.csv")
    'out/cells.1_columns.csv'
    """
    return f"{table[: -len(format_of(table).suffix)]}_columns.csv"


class DictionaryFile:
    """A row for each column of a table; constructed with the path of a temporary file.

    Lanes that share a table share its dictionary: the first one writes it.
    """

    def __init__(self, path: str) -> None:
        self._file: TextIO = Path(path).open("w", encoding="utf-8", newline="")  # noqa: SIM115 (closed by close)
        self._is_written = False

    def describe(self, columns: Sequence[Column]) -> None:
        """Write the rows, unless another lane has."""
        if self._is_written:
            return
        rows = csv.writer(self._file, lineterminator="\n")
        rows.writerow(HEADER)
        for column in columns:
            dims = " ".join(f"{d}D" for d in column.dims)
            rows.writerow([column.name, column.unit, column.definition, dims, column.source])
        self._is_written = True

    def flush(self) -> None:
        """Write what is not written yet."""
        self._file.flush()

    def mark(self) -> None:
        """Do nothing: all lanes have the same rows."""

    def undo(self) -> None:
        """Do nothing: all lanes have the same rows."""

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def abort(self) -> None:
        """Close the file without finishing it."""
        with suppress(OSError):
            self._file.close()
