"""Tables in Apache Parquet."""

import json
from typing import Any

import numpy as np

from objclass.export.columns import Columns
from objclass.export.tables.spool import SpoolWriter

METADATA_KEY = "objclass"
"""Key of the metadata of a file: JSON, the units of columns and the facts of the run."""

GROUP_ROWS, GROUP_BYTES, VALUE_BYTES = 122_880, 1 << 26, 8
"""A row group has so many rows, which other programs take for usual, unless these are more than so many bytes."""


class ParquetWriter(SpoolWriter):
    """Row groups of one size, written one after the other; NaN and infinite values as they are."""

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
        schema = _frame(
            {name: np.empty(0, object if t.kind == "S" else t) for name, t in types.items()}
        ).schema
        table = register_io_source(lambda *_: map(_frame, self.rows.parts()), schema=schema)
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


def _frame(columns: Columns) -> Any:
    import polars

    return polars.DataFrame(
        {
            name: polars.Series(values.tolist(), dtype=polars.String) if values.dtype.kind == "O" else values
            for name, values in columns.items()
        }
    )
