"""Tables in Apache Parquet."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from objclass.errors import InputError
from objclass.export.columns import Columns
from objclass.export.tables.spool import SpoolWriter
from objclass.export.tables.writer import TableDetails, other_columns, reading

METADATA_KEY = "objclass"
"""Key of the metadata of a file: JSON, the units of columns and the facts of the run."""

GROUP_ROWS, GROUP_BYTES, VALUE_BYTES = 122_880, 1 << 26, 8
"""A row group has so many rows, which other programs take for usual, unless these are more than so many bytes."""

PART_ROWS = 20_000
"""Rows of a part that are read at once."""


class ParquetWriter(SpoolWriter):
    """Row groups of one size, written one after the other; NaN and infinite values as they are."""

    @classmethod
    def names(cls, path: str) -> list[str]:
        """The names of the columns of a table."""
        import polars

        with reading(path):
            return list(polars.read_parquet_schema(path))

    @classmethod
    def merge(cls, parts: Sequence[str], path: str) -> None:
        """Write a table with the rows of its parts."""
        names, described = cls.names(parts[0]), _described(parts[0])
        units = described.get("units", {})
        facts = {name: fact for name, fact in described.items() if name != "units"}
        table = cls(path, TableDetails(units=units, facts=facts))
        for part in parts:
            if cls.names(part) != names:
                raise other_columns(part, parts[0])
            if _described(part) != described:
                message = f"{part} was written with another project or other options than {parts[0]}: expected parts of one run"
                raise InputError(message)
            for columns in _rows(part):
                table.append(columns)
        table.close()

    def close(self) -> None:
        """Write the file.

        Raises
        ------
        OSError
            If it could not be written.
        """
        from polars.exceptions import PolarsError
        from polars.io.plugins import register_io_source

        types = self.rows.types()[1]
        empty = {name: np.empty(0, object if kind.kind == "S" else kind) for name, kind in types.items()}
        frames = (_frame(columns, types) for columns in self.rows.parts())
        table = register_io_source(lambda *_: frames, schema=_frame(empty, types).schema)
        units = self.details.units
        described = {"units": {name: units[name] for name in types if name in units}, **self.details.facts}
        try:
            table.sink_parquet(
                self.path,
                row_group_size=min(GROUP_ROWS, max(1, GROUP_BYTES // (VALUE_BYTES * len(types)))),
                metadata={METADATA_KEY: json.dumps(described, ensure_ascii=False)},
                engine="streaming",
            )
        except PolarsError as fault:
            message = f"the table could not be written: {fault}"
            raise OSError(message) from fault


def _frame(columns: Columns, types: Mapping[str, np.dtype[Any]]) -> Any:
    """Rows as a frame of the types of the whole table."""
    import polars

    return polars.DataFrame(
        {
            name: polars.Series(values.tolist(), dtype=polars.String)
            if values.dtype.kind == "O"
            else values.astype(types[name], copy=False)
            for name, values in columns.items()
        }
    )


def _described(path: str) -> dict[str, Any]:
    """The metadata of a table that we have written."""
    import polars

    with reading(path):
        return dict(json.loads(polars.read_parquet_metadata(path)[METADATA_KEY]))


def _rows(path: str) -> Iterator[Columns]:
    """The rows of a table; of an empty one its columns."""
    import polars

    with reading(path):
        table = polars.scan_parquet(path)
        total = table.select(polars.len()).collect().item()
        for start in range(0, max(total, 1), PART_ROWS):
            frame = table.slice(start, PART_ROWS).collect()
            yield {name: _values(frame[name]) for name in frame.columns}


def _values(series: Any) -> NDArray[Any]:
    import polars

    return np.array(series.to_list(), object) if series.dtype == polars.String else series.to_numpy()
