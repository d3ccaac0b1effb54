"""Table files: a writer for each kind."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from objclass import registry
from objclass.core import AXES, AnyArray, from_canonical
from objclass.errors import UsageError
from objclass.export.columns import Columns
from objclass.pipeline.crops import ObjectImage

PICTURE_AXES = "xyzc"

MAXIMUM_DESCRIBED = 64_000


class TableWriter(Protocol):
    """Writes rows; it is made with the path of a temporary file beside the final one."""

    @classmethod
    def refusal(cls, header: Sequence[str]) -> str | None:
        """Why it cannot hold these columns and what can, None if it can."""

    def append(self, columns: Columns, crops: Sequence[ObjectImage] = ()) -> None:
        """Write rows, and a picture of each object where asked for; the first call says which columns."""

    def close(self) -> None:
        """Finish the file."""


def format_of(path: str) -> registry.TableFormat:
    """The kind of table that the suffix says.

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
        """Any columns will do."""
        return None

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("wb")  # noqa: SIM115 (closed by close)
        self._begun = False

    def append(self, columns: Columns, crops: Sequence[ObjectImage] = ()) -> None:
        """Write rows; pictures do not fit into text."""
        import polars

        frame = polars.DataFrame(
            {name: _finite(values) for name, values in columns.items()}, nan_to_null=True
        )
        frame.write_csv(self._file, include_header=not self._begun, separator=self.separator, null_value="")
        self._begun = True

    def close(self) -> None:
        """Finish the file."""
        self._file.close()


class TsvWriter(CsvWriter):
    """The same with tabs between columns."""

    separator = "\t"


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
        import h5py

        # many columns need a newer layout of the file than h5py's default
        self._file = h5py.File(path, "w", libver="latest")
        self._parts: list[Columns] = []

    def append(self, columns: Columns, crops: Sequence[ObjectImage] = ()) -> None:
        """Keep rows: fields for text are as wide as the longest text of all rows. Write pictures."""
        first = sum(len(part["object_id"]) for part in self._parts)
        for row, crop in enumerate(crops, first):
            self._write_picture(f"images/{row}/labeling", crop.mask, "labeling")
            if crop.raw is not None:
                self._write_picture(f"images/{row}/raw", crop.raw, "image")
        self._parts.append(columns)

    def _write_picture(self, name: str, pixels: AnyArray, kind: str) -> None:
        from objclass.images.attributes import axistags

        lengths = dict(zip(AXES, pixels.shape, strict=True))
        axes = "".join(axis for axis in PICTURE_AXES if lengths[axis] > 1)
        data = self._file.create_dataset(
            name, data=from_canonical(pixels, axes), track_times=False, compression="gzip" if axes else None
        )
        data.attrs["axistags"] = axistags(axes)
        data.attrs["type"] = kind

    def close(self) -> None:
        """Write the file."""
        names = list(self._parts[0])
        whole = {n: _stored(np.concatenate([part[n] for part in self._parts])) for n in names}
        kind = np.dtype([(n, whole[n].dtype) for n in names])
        rows = np.zeros(len(whole[names[0]]), kind)
        for n in names:
            rows[n] = whole[n]
        self._file.create_dataset("table", data=rows, track_times=False)
        self._file.close()


def _stored(values: NDArray[Any]) -> NDArray[Any]:
    """Text as UTF-8 bytes of fixed length."""
    if values.dtype.kind != "O":
        return values
    return np.array([str(v).encode() for v in values] or [b""], np.bytes_)[: len(values)]
