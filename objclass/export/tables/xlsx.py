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

    def close(self) -> None:
        """Write the file.

        Raises
        ------
        OSError
            If it could not be written.
        """
        count, types = self.rows.types()
        rows, sheets = self._rows(), max(1, -(-count // (MAXIMUM_ROWS - 1)))
        if sheets > 1:
            log.warning(
                "%s rows are more than a worksheet can have (%s): they continue in the worksheets 'objects 2' to 'objects %d': "
                ".csv and .parquet have all rows in one table",
                *(f"{count:,}", f"{MAXIMUM_ROWS - 1:,}", sheets),
            )
        try:
            book = xlsxwriter.Workbook(self.path, {**OPTIONS, "tmpdir": os.path.dirname(self.path) or "."})
            book.set_properties({"created": CREATED})
            for number in range(1, sheets + 1):
                sheet = book.add_worksheet("objects" if number == 1 else f"objects {number}")
                _write(sheet, chain([list(types)], islice(rows, MAXIMUM_ROWS - 1)))
            book.close()
        except XlsxWriterException as fault:
            message = f"the table could not be written: {fault}"
            raise OSError(message) from fault

    def _rows(self) -> Iterator[Sequence[Any]]:
        for columns in self.rows.parts():
            yield from zip(*map(_cells, columns.values()), strict=True)


def _write(sheet: Any, rows: Iterable[Sequence[Any]]) -> None:
    write = {
        bool: sheet.write_boolean,
        int: sheet.write_number,
        float: sheet.write_number,
        str: sheet.write_string,
    }
    sheet.freeze_panes(1, 0)
    for row, values in enumerate(rows):
        for column, value in enumerate(values):
            if value is not None:
                write[type(value)](row, column, value)


def _cells(values: NDArray[Any]) -> list[Any]:
    """The values of a column; None for an empty cell."""
    if values.dtype.kind == "O":
        return [str(value) for value in values]
    if values.dtype.kind in "iu":
        return [value if abs(value) < MAXIMUM_INTEGER else str(value) for value in values.tolist()]
    if values.dtype.kind == "f":  # single precision by the shortest text of the number, as in CSV
        finite = np.isfinite(values).tolist()
        numbers = values.astype("U").astype(float).tolist()
        return [number if known else None for number, known in zip(numbers, finite, strict=True)]
    return values.tolist()
