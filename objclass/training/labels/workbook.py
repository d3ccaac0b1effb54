"""The first sheet of a workbook (.xlsx) as a table; formulas have the values that the workbook holds for them."""

import io
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from objclass.errors import InputError
from objclass.images.trust import unpacked_size
from objclass.training.labels.rows import AS_TEXT, OLD_WORKBOOK, REMEDY, WORKBOOK, Table, Used
from objclass.training.labels.text import MAXIMUM_BYTES, read_bytes, reason

MAXIMUM_ROWS = 1 << 20
"""Of a sheet."""


def read_workbook(path: str, used: Used) -> Table:
    """The first sheet of a workbook; ``used`` as in `Table.of`.

    Raises
    ------
    InputError
        If it is none, or openpyxl is not installed.
    """
    data = read_bytes(path)
    if data.startswith(OLD_WORKBOOK) or not data.startswith(WORKBOOK):
        message = f"labels {path} are no .xlsx workbook, whatever the name: {REMEDY}"
        raise InputError(message)
    if find_spec("openpyxl") is None:
        message = (
            f"labels {path}: workbooks are read with openpyxl, which is not installed: "
            f'pip install "objclass[xlsx]", or {AS_TEXT}'
        )
        raise InputError(message)
    try:
        return Table.of(path, _lines(path, data), used)
    except InputError:
        raise
    except Exception as fault:  # noqa: BLE001  a library that reads damaged XML may raise anything
        message = f"labels {path} cannot be read as a workbook (damaged?): {reason(fault)}"
        raise InputError(message) from None


def _lines(path: str, data: bytes) -> Iterator[tuple[str, Sequence[str]]]:
    from openpyxl import load_workbook

    _check_size(path, data)
    book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    if not book.worksheets:
        message = f"labels {path}: the workbook has no sheet of cells"
        raise InputError(message)
    sheet: Any = book.worksheets[0]
    sheet.reset_dimensions()  # what the file says of them may be wrong
    for number, cells in enumerate(sheet.iter_rows(min_row=1, min_col=1), 1):
        if number > MAXIMUM_ROWS:
            message = f"labels {path}: more than {MAXIMUM_ROWS} rows"
            raise InputError(message)
        line = f"{path} row {number}"
        texts = [_text(cell, line) for cell in cells]
        if any(texts):
            yield line, texts


def _check_size(path: str, data: bytes) -> None:
    """Refuse a workbook that would fill the memory when it is unpacked."""
    size = unpacked_size(data)
    if size > MAXIMUM_BYTES:
        message = (
            f"labels {path}: {size >> 20} MB when it is unpacked: expected at most {MAXIMUM_BYTES >> 20}"
        )
        raise InputError(message)


def _text(cell: Any, line: str) -> str:
    """The content of a cell as in CSV: whole numbers without a point."""
    value = cell.value
    if value is None:
        return ""
    if cell.data_type == "e":
        message = f"labels {line}: a formula of column {cell.column_letter} has the error {value}"
        raise InputError(message)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()
