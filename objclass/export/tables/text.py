"""Tables as text: comma- and tab-separated values."""

import codecs
import csv
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, Self, cast

import numpy as np
from numpy.typing import NDArray

from objclass.errors import InputError
from objclass.export.columns import Columns
from objclass.export.tables.writer import TableDetails, other_columns, reading

SMALL, VALUE_BYTES = 2_500_000, 10
"""Tables of up to so many bytes, at no more than so many bytes a value, are written without polars, which takes as long
to load as a small run.
"""


BLOCK = 1 << 18
"""Bytes of text that are compressed, or copied, at once."""

SEPARATORS = (",", ";", "\t")
"""What may be between the columns of a part that is joined."""


@dataclass(frozen=True)
class Dialect:
    """How rows become text.

    Parameters
    ----------
    separator, decimal
        What is between two fields, and before the fraction of a number.
    is_for_excel
        Whether the text begins with a byte order mark, without which Excel takes it for another encoding than UTF-8, and
        text that Excel would run as a formula begins with an apostrophe.
    """

    separator: str = ","
    decimal: str = "."
    is_for_excel: bool = False


CSV: Mapping[str, Dialect] = {
    "standard": Dialect(),
    "excel": Dialect(is_for_excel=True),
    "excel-eu": Dialect(";", ",", is_for_excel=True),
}
"""Value of ``--csv_dialect`` -> the dialect."""

TSV: Mapping[str, Dialect] = dict.fromkeys(CSV, Dialect("\t"))
"""The same for tab-separated values, which have no dialects."""


class TextParts:
    """What tables as text have in common: parts are joined as they are, with one header."""

    @classmethod
    def packed(cls, file: BinaryIO) -> AbstractContextManager[Any]:
        """A file that compresses what is written to it, where the format does."""
        return nullcontext(file)

    @classmethod
    def unpacked(cls, path: str) -> AbstractContextManager[Any]:
        """A table, opened to read its text."""
        return Path(path).open("rb")

    @classmethod
    def names(cls, path: str) -> list[str]:
        """The names of the columns of a table."""
        with reading(path):
            header = next(cls._texts(path)).decode("utf-8-sig")
            lines = (next(csv.reader([header], delimiter=separator)) for separator in SEPARATORS)
            return max(lines, key=len)

    @classmethod
    def merge(cls, parts: Sequence[str], path: str) -> None:
        """Write a table with the rows of its parts."""
        header = b""
        with open(path, "wb") as file, cls.packed(file) as text:
            for part in parts:
                texts = cls._texts(part)
                found = next(texts)
                if not header:
                    header = found
                    text.write(header)
                elif header != found:
                    raise other_columns(part, parts[0])
                for block in texts:
                    text.write(block)

    @classmethod
    def _texts(cls, path: str) -> Iterator[bytes]:
        """The line of names, then blocks of text."""
        with reading(path), cls.unpacked(path) as file:
            line = file.readline()
            while line.count(b'"') % 2 and (more := file.readline()):  # a line break within quotes
                line += more
            last = line
            yield line
            while block := file.read(BLOCK):
                last = block
                yield block
            if not last.endswith(b"\n"):
                message = f"{path}: its last line is cut off"
                raise InputError(message)


class CsvWriter(TextParts):
    """UTF-8, RFC 4180 quoting, one header row, shortest round-trip numbers; NaN and infinite = empty."""

    dialects: ClassVar[Mapping[str, Dialect]] = CSV

    @classmethod
    def refusal(cls, _: Sequence[str]) -> str | None:
        """None: CSV can hold any columns."""
        return None

    def __init__(self, path: str, details: TableDetails | None = None) -> None:
        self._dialect = self.dialects[(details or TableDetails()).dialect]
        self._file: BinaryIO = Path(path).open("wb")  # noqa: SIM115 (closed by close)
        self._marked = 0

    def append(self, columns: Columns) -> None:
        """Write rows."""
        done = self._file.tell()
        is_small = done + VALUE_BYTES * sum(map(len, columns.values())) <= SMALL
        write_rows(self._file, columns, self._dialect, header=done == 0, is_small=is_small)

    def flush(self) -> None:
        """Write the rows so far."""
        self._file.flush()

    def mark(self) -> None:
        """Mark the rows so far as permanent."""
        self._marked = self._file.tell()

    def undo(self) -> None:
        """Cut off the rows since the last `mark`."""
        path = self._file.name
        self.abort()  # buffered rows could not be written, or are discarded
        self._file = Path(path).open("r+b")  # noqa: SIM115 (closed by close)
        self._file.truncate(self._marked)
        self._file.seek(self._marked)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def abort(self) -> None:
        """Close the file without finishing it."""
        with suppress(OSError):
            self._file.close()


class TsvWriter(CsvWriter):
    """As CSV, with tabs between columns."""

    dialects = TSV


def write_rows(file: BinaryIO, columns: Columns, dialect: Dialect, *, header: bool, is_small: bool) -> None:
    """Write rows as text; ``is_small`` says whether to do so without polars, which makes no difference to the text."""
    if dialect.is_for_excel:
        columns = {defused(name): _defused(values) for name, values in columns.items()}
        if header:
            file.write(codecs.BOM_UTF8)
    if is_small:
        file.write(_lines(columns, dialect, header=header).encode())
        return
    import polars

    frame = polars.DataFrame({name: _finite(values) for name, values in columns.items()}, nan_to_null=True)
    frame.write_csv(
        file,
        include_header=header,
        separator=dialect.separator,
        decimal_comma=dialect.decimal == ",",
        null_value="",
    )


class EvenBlocks:
    """Hands text on in blocks of one size, and never flushes: the bytes that compressors make may depend on both.

    Parameters
    ----------
    file
        The file that compresses.
    """

    def __init__(self, file: Any) -> None:
        self._file, self._rest = file, bytearray()

    def write(self, data: Any) -> int:
        """Write text."""
        self._rest += data
        whole = len(self._rest) // BLOCK * BLOCK
        for start in range(0, whole, BLOCK):
            self._file.write(self._rest[start : start + BLOCK])
        del self._rest[:whole]
        return len(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._file.write(self._rest)
        self._file.close()


FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")


def defused(text: str) -> str:
    """The text, after an apostrophe if a spreadsheet would run it as a formula.

    Examples
    --------
    >>> defused("=1+1"), defused("a=1")
    ("'=1+1", 'a=1')
    """
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _defused(values: NDArray[Any]) -> NDArray[Any]:
    if values.dtype.kind not in "OU":
        return values
    return np.array([defused(str(value)) for value in values.tolist()], dtype=object)


def _lines(columns: Columns, dialect: Dialect, *, header: bool) -> str:
    """Rows as polars writes them."""
    separator = dialect.separator
    texts = [_texts(values, dialect) for values in columns.values()]
    rows = [[_quoted(name, separator) for name in columns]] if header else []
    return "".join(f"{separator.join(row)}\n" for row in [*rows, *zip(*texts, strict=True)])


def _texts(values: NDArray[Any], dialect: Dialect) -> list[str]:
    if values.dtype.kind != "f":
        shown = np.char.lower(values.astype("U")) if values.dtype.kind == "b" else values  # true, false
        return [_quoted(str(value), dialect.separator) for value in shown.tolist()]
    texts = values.astype("U").tolist()  # the shortest text of the same number
    finite = np.isfinite(values).tolist()
    minimum, maximum = (-6, 12) if values.dtype.itemsize == 4 else (-5, 15)
    return [
        (_positional(text, minimum, maximum) if "e" in text else text).replace(".", dialect.decimal)
        if known
        else ""
        for text, known in zip(texts, finite, strict=True)
    ]


def _positional(text: str, minimum: int, maximum: int) -> str:
    """A number without exponent, where its exponent is from ``minimum`` to ``maximum``.

    Examples
    --------
    >>> _positional("-1.5e+07", -6, 12), _positional("1e-05", -6, 12), _positional("1e-09", -6, 12)
    ('-15000000.0', '0.00001', '1e-9')
    """
    mantissa, _, shown = text.partition("e")
    exponent = int(shown)
    if not minimum <= exponent <= maximum:
        return f"{mantissa}e{exponent:+d}"
    sign, digits = text[: text[0] == "-"], mantissa.lstrip("-").replace(".", "")
    if exponent < 0:
        return f"{sign}0.{'0' * (-exponent - 1)}{digits}"
    digits = digits.ljust(exponent + 2, "0")
    return f"{sign}{digits[: exponent + 1]}.{digits[exponent + 1 :]}"


def _quoted(text: str, separator: str) -> str:
    """The text in quotes, where it is empty or contains a character that would end the field."""
    if text and not any(sign in text for sign in (separator, '"', "\n", "\r")):
        return text
    return '"{}"'.format(text.replace('"', '""'))


def _finite(values: NDArray[Any]) -> NDArray[Any] | list[str]:
    """Infinite values as NaN; text as a list, which needs no guess at its type."""
    if values.dtype.kind == "f":
        return np.where(np.isfinite(values), values, values.dtype.type(np.nan))
    return cast("list[str]", values.tolist()) if values.dtype.kind == "O" else values
