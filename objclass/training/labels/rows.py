"""The rows of a table of labels: of CSV or TSV, or of the first sheet of a workbook."""

import csv
import io
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass

from objclass.errors import InputError
from objclass.training.labels.text import decoded, read_bytes

WORKBOOK = b"PK\x03\x04"
"""The first bytes of a workbook, which is a zip file."""

OLD_WORKBOOK = b"\xd0\xcf\x11\xe0"

AS_TEXT = "save it as CSV in UTF-8 (in Excel: CSV UTF-8)"

REMEDY = "save it as .xlsx, or as CSV in UTF-8 (in Excel: CSV UTF-8)"


Used = Callable[[Sequence[str]], Collection[str]]
"""The columns of a header whose cells are used."""


@dataclass(frozen=True)
class Row:
    """A row of a table that is not empty: where it is, for messages, and the cells of columns that are used."""

    line: str
    cells: dict[str, str]


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Parameters
    ----------
    path
        Its file.
    columns
        The whole header, in lower case.
    rows
        The rows; cells have no space around them.
    """

    path: str
    columns: Sequence[str]
    rows: Sequence[Row]

    @classmethod
    def of(cls, path: str, lines: Iterator[tuple[str, Sequence[str]]], used: Used, hint: str = "") -> "Table":
        """The table of lines, of which the first one is the header.

        Parameters
        ----------
        lines
            The name of each line for messages, and its cells.
        used
            The columns to keep, of those of the header: tables of measurements have hundreds.
        hint
            What to do where a line has more cells than the header.

        Raises
        ------
        InputError
            If a line has more cells than the header.
        """
        _, header = next(lines, ("", ()))
        columns = [name.strip().lower() for name in header]
        while columns and not columns[-1]:
            columns.pop()
        kept = used(columns)
        places = [(k, name) for k, name in enumerate(columns) if name in kept]
        rows = []
        for line, cells in lines:
            texts = [cell.strip() for cell in cells]
            if any(texts[len(columns) :]):
                message = f"labels {line}: {len(texts)} fields, but the header has {len(columns)}{hint}"
                raise InputError(message)
            if any(texts):
                cells_of = {name: texts[k] if k < len(texts) else "" for k, name in places}
                rows.append(Row(line, cells_of))
        return cls(path, columns, rows)


def read_text_table(path: str, used: Used) -> Table:
    """A table of text in UTF-8, separated by comma, semicolon or tab; ``used`` as in `Table.of`.

    Raises
    ------
    InputError
        If it is no such text; the message names the line.
    """
    data = read_bytes(path)
    if data.startswith((WORKBOOK, OLD_WORKBOOK)):
        message = f"labels {path} are a spreadsheet, not text: {REMEDY}"
        raise InputError(message)
    text = decoded(path, data, AS_TEXT)
    header = text.partition("\n")[0]
    separator = max("\t;,", key=header.count)
    hint = f': put text that contains "{separator}" in quotes'
    try:
        return Table.of(path, _lines(path, text, separator), used, hint)
    except csv.Error as fault:  # a quote that is never closed makes the rest of the file one field
        message = f"labels {path}: {fault}: expected CSV (is a quote not closed?)"
        raise InputError(message) from None


def _lines(path: str, text: str, separator: str) -> Iterator[tuple[str, Sequence[str]]]:
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    for cells in rows:
        if cells:
            yield f"{path} line {rows.line_num}", cells
