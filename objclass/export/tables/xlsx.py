"""Tables for spreadsheets: Office Open XML."""

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any

import numpy as np
import xlsxwriter
from numpy.typing import NDArray
from xlsxwriter.exceptions import XlsxWriterException

from objclass.errors import OutputError
from objclass.export.columns import Columns
from objclass.export.tables.spool import SpoolWriter
from objclass.export.tables.writer import other_columns, reading

log = logging.getLogger("objclass")

MAXIMUM_ROWS, MAXIMUM_COLUMNS = 1_048_576, 16_384
"""Of a worksheet, with the header."""

MAXIMUM_TEXT = 32_767
"""Characters of a cell."""

MAXIMUM_INTEGER = 10**15
"""Larger integers are written as text, since cells have 15 digits."""

OPTIONS = {"constant_memory": True, "use_zip64": True}

CREATED = datetime(1980, 1, 1, tzinfo=UTC)
"""The time in every file: the same rows are the same bytes."""


class XlsxWriter(SpoolWriter):
    """Worksheets of numbers and text, never of formulas; NaN and infinite = empty.

    Rows that are too many for a worksheet continue in the next one.
    """

    @classmethod
    def refusal(cls, header: Sequence[str]) -> str | None:
        """A worksheet has no more than `MAXIMUM_COLUMNS`."""
        if len(header) > MAXIMUM_COLUMNS:
            return f"{len(header)} columns are more than a worksheet can have ({MAXIMUM_COLUMNS:,}): write .csv or .parquet"
        return None

    def append(self, columns: Columns) -> None:
        """Keep rows.

        Raises
        ------
        OutputError
            If a text is too long for a cell.
        """
        for name, values in columns.items():
            if values.dtype.kind in "OU" and any(len(str(value)) > MAXIMUM_TEXT for value in values):
                message = f"column '{name}': a text has more characters than a cell of .xlsx can have ({MAXIMUM_TEXT:,}): write .csv or .parquet"
                raise OutputError(message)
        super().append(columns)

    @classmethod
    def names(cls, path: str) -> list[str]:
        """The names of the columns of a table."""
        return list(next(_rows(path)))

    @classmethod
    def merge(cls, parts: Sequence[str], path: str) -> None:
        """Write a table with the rows of its parts."""
        names = cls.names(parts[0])
        for part in parts[1:]:
            if cls.names(part) != names:
                raise other_columns(part, parts[0])
        _write(path, names, chain.from_iterable(islice(_rows(part), 1, None) for part in parts))

    def close(self) -> None:
        """Write the file.

        Raises
        ------
        OSError
            If it could not be written.
        """
        rows = (
            row for columns in self.rows.parts() for row in zip(*map(_cells, columns.values()), strict=True)
        )
        _write(self.path, list(self.rows.types()[1]), rows)


def _write(path: str, names: Sequence[str], rows: Iterator[Sequence[Any]]) -> None:
    """Write rows of cells, sheet after sheet.

    Raises
    ------
    OSError
        If they could not be written.
    """
    count = sheets = 0
    try:
        book = xlsxwriter.Workbook(path, {**OPTIONS, "tmpdir": os.path.dirname(path) or "."})
        book.set_properties({"created": CREATED})
        first = next(rows, None)
        while first is not None or not sheets:
            sheets += 1
            sheet = book.add_worksheet("objects" if sheets == 1 else f"objects {sheets}")
            of_sheet = islice(chain([] if first is None else [first], rows), MAXIMUM_ROWS - 1)
            count += _fill(sheet, names, of_sheet)
            first = next(rows, None)
        book.close()
    except XlsxWriterException as fault:
        message = f"the table could not be written: {fault}"
        raise OSError(message) from fault
    if sheets > 1:
        log.warning(
            "%s rows are more than a worksheet can have (%s): they continue in the worksheets 'objects 2' to 'objects %d': "
            ".csv and .parquet have all rows in one table",
            *(f"{count:,}", f"{MAXIMUM_ROWS - 1:,}", sheets),
        )


def _fill(sheet: Any, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Write the rows of a sheet, and return their number."""
    write = {
        bool: sheet.write_boolean,
        int: sheet.write_number,
        float: sheet.write_number,
        str: sheet.write_string,
    }
    sheet.freeze_panes(1, 0)
    row = 0
    for row, values in enumerate(chain([names], rows)):
        for column, value in enumerate(values):
            if value is not None:
                write[type(value)](row, column, value)
    return row


def _rows(path: str) -> Iterator[Sequence[Any]]:
    """The names of the columns of a table that we have written, then its rows of cells, those of all sheets."""
    from openpyxl import load_workbook
    from openpyxl.utils.escape import unescape

    with reading(path):
        book = load_workbook(path, read_only=True)
        for number, sheet in enumerate(book.worksheets):
            for row in sheet.iter_rows(min_row=1 if number == 0 else 2, values_only=True):
                yield [unescape(value) if isinstance(value, str) else value for value in row]
        book.close()


def _cells(values: NDArray[Any]) -> list[Any]:
    """The values of a column; None for an empty cell."""
    if values.dtype.kind == "O":
        return [str(value) for value in values]
    if values.dtype.kind in "iu":
        return [value if abs(value) < MAXIMUM_INTEGER else str(value) for value in values.tolist()]
    if values.dtype.kind == "f":  # single precision by the shortest text of the number, as in CSV
        finite = np.isfinite(values).tolist()
        numbers = (values.astype("U").astype(float) + 0.0).tolist()  # cells have no -0
        return [number if known else None for number, known in zip(numbers, finite, strict=True)]
    return values.tolist()
