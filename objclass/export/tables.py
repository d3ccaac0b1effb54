"""Table files: a writer for each format."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from objclass import registry
from objclass.compute.hdf5_file import Hdf5File
from objclass.core import AXES, AnyArray, from_canonical
from objclass.errors import UsageError
from objclass.export.columns import Columns
from objclass.pipeline.crops import ObjectImage

PICTURE_AXES = "xyzc"

MAXIMUM_DESCRIBED = 64_000

SMALL, VALUE_BYTES = 2_500_000, 10
"""Tables of up to so many bytes, at no more than so many bytes a value, are written without polars, which takes as long
to load as a small run.
"""


class TableWriter(Protocol):
    """Writes rows, lane after lane; constructed with the path of a temporary file.

    A writer that can store pictures of objects also has a method ``append_pictures``.
    """

    @classmethod
    def refusal(cls, header: Sequence[str]) -> str | None:
        """The reason why it cannot hold these columns, and a format that can; None if it can."""

    def append(self, columns: Columns) -> None:
        """Write rows; the first call defines the columns."""

    def flush(self) -> None:
        """Write all rows so far; raise an error if that fails."""

    def mark(self) -> None:
        """Mark the rows that were written by the last `flush` as permanent."""

    def undo(self) -> None:
        """Remove the rows since the last `mark`, even from a closed file."""

    def close(self) -> None:
        """Finish the file; raise an error if it could not be written."""

    def abort(self) -> None:
        """Close the file at once, without finishing it: it is discarded."""


def format_of(path: str) -> registry.TableFormat:
    """The table format of the suffix of a path.

    Raises
    ------
    UsageError
        If the suffix is not that of a table.
    """
    found = registry.table_format(Path(path).suffix.lower())
    if found is None:
        known = ", ".join(entry.suffix for entry in registry.table_formats(plugins=True))
        message = f"table {path}: expected a name that ends in {known}"
        raise UsageError(message)
    return found


def writer_for(path: str) -> Any:
    """The writer for the suffix of a table.

    Raises
    ------
    UsageError
        If the suffix is not that of a table.
    """
    return registry.resolve(format_of(path).writer)


class CsvWriter:
    """UTF-8, RFC 4180 quoting, one header row, shortest round-trip numbers; NaN and infinite = empty."""

    separator = ","

    @classmethod
    def refusal(cls, _: Sequence[str]) -> str | None:
        """None: CSV can hold any columns."""
        return None

    def __init__(self, path: str) -> None:
        self._file: BinaryIO = Path(path).open("wb")  # noqa: SIM115 (closed by close)
        self._marked = 0

    def append(self, columns: Columns) -> None:
        """Write rows."""
        done = self._file.tell()
        if done + VALUE_BYTES * sum(map(len, columns.values())) <= SMALL:
            self._file.write(_lines(columns, self.separator, header=done == 0).encode())
            return
        import polars

        frame = polars.DataFrame(
            {name: _finite(values) for name, values in columns.items()}, nan_to_null=True
        )
        frame.write_csv(self._file, include_header=done == 0, separator=self.separator, null_value="")

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

    separator = "\t"


def _lines(columns: Columns, separator: str, *, header: bool) -> str:
    """Rows as polars writes them."""
    texts = [_texts(values, separator) for values in columns.values()]
    rows = [[_quoted(name, separator) for name in columns]] if header else []
    return "".join(f"{separator.join(row)}\n" for row in [*rows, *zip(*texts, strict=True)])


def _texts(values: NDArray[Any], separator: str) -> list[str]:
    if values.dtype.kind != "f":
        shown = np.char.lower(values.astype("U")) if values.dtype.kind == "b" else values  # true, false
        return [_quoted(str(value), separator) for value in shown.tolist()]
    texts = values.astype("U").tolist()  # the shortest text of the same number
    finite = np.isfinite(values).tolist()
    minimum, maximum = (-6, 12) if values.dtype.itemsize == 4 else (-5, 15)
    return [
        (_positional(text, minimum, maximum) if "e" in text else text) if known else ""
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


class Hdf5TableWriter:
    """ilastik's HDF5 table: dataset ``/table``, a compound type with a field for each column.

    Pictures of row i are ``/images/i/labeling`` and ``/images/i/raw``, axes x, y, z, c without those of
    length 1.
    """

    @classmethod
    def refusal(cls, header: Sequence[str]) -> str | None:
        """HDF5 describes all columns within 64 KiB."""
        import h5py

        described = len(h5py.h5t.py_create(np.dtype([(name, float) for name in header])).encode())
        if described > MAXIMUM_DESCRIBED:
            return f"{len(header)} columns are more than an HDF5 table can have: write .csv or .tsv"
        return None

    def __init__(self, path: str) -> None:
        # many columns need a newer layout of the file than h5py's default
        self._file = Hdf5File(path, libver="latest")
        self._parts: list[Columns] = []
        self._pictures = 0
        self._marked = 0, 0

    def append(self, columns: Columns) -> None:
        """Keep rows until the end: a text field is as wide as the longest text of all rows."""
        self._parts.append(columns)

    def append_pictures(self, pictures: Sequence[ObjectImage]) -> None:
        """Write a picture of each object, in the order of the rows."""
        for row, picture in enumerate(pictures, self._pictures):
            self._write_picture(f"images/{row}/labeling", picture.mask, "labeling")
            if picture.raw is not None:
                self._write_picture(f"images/{row}/raw", picture.raw, "image")
        self._pictures += len(pictures)

    def _write_picture(self, name: str, pixels: AnyArray, kind: str) -> None:
        from objclass.images.attributes import axistags

        lengths = dict(zip(AXES, pixels.shape, strict=True))
        axes = "".join(axis for axis in PICTURE_AXES if lengths[axis] > 1)
        data = self._file.h5.create_dataset(
            name, data=from_canonical(pixels, axes), track_times=False, compression="gzip" if axes else None
        )
        data.attrs["axistags"] = axistags(axes)
        data.attrs["type"] = kind
        self._file.check()

    def flush(self) -> None:
        """Write the pictures so far."""
        self._file.flush()

    def mark(self) -> None:
        """Mark the rows and pictures so far as permanent."""
        self._file.mark()
        self._marked = len(self._parts), self._pictures

    def undo(self) -> None:
        """Remove the rows and pictures since the last `mark`."""
        rows, self._pictures = self._marked
        del self._parts[rows:]
        self._file.undo()

    def close(self) -> None:
        """Write the rows, and finish the file."""
        names = list(self._parts[0])
        whole = {n: _stored(np.concatenate([part[n] for part in self._parts])) for n in names}
        kind = np.dtype([(n, whole[n].dtype) for n in names])
        rows = np.zeros(len(whole[names[0]]), kind)
        for n in names:
            rows[n] = whole[n]
        self._file.h5.create_dataset("table", data=rows, track_times=False)
        self._file.close()

    def abort(self) -> None:
        """Close the file without finishing it."""
        self._file.abort()


def _stored(values: NDArray[Any]) -> NDArray[Any]:
    """Text as UTF-8 bytes of fixed length."""
    if values.dtype.kind != "O":
        return values
    return np.array([str(v).encode() for v in values] or [b""], np.bytes_)[: len(values)]
