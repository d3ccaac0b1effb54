"""The dictionary of a table: a CSV file that describes its columns."""

import csv
import os
from collections.abc import Sequence
from pathlib import Path

from objclass.export.atomic import Pending
from objclass.export.columns import Column
from objclass.export.files import RunFiles
from objclass.export.naming import Task, dictionary_path
from objclass.export.profiles import columns_of
from objclass.pipeline.plan import Plan

HEADER = ("name", "unit", "definition", "dimensions", "source")


def write_dictionaries(tasks: Sequence[Task], plan: Plan, files: RunFiles, *, resumed: bool) -> None:
    """Write the dictionary of each table that has got rows; if ``resumed``, those that an earlier run has missed, too.

    That of an incomplete table is named after it.

    Raises
    ------
    OutputError, OSError
        If one could not be written; then none is.
    """
    described = {task.table: task for task in tasks if task.table is not None and task.dictionary is not None}
    pending = Pending()
    try:
        for table, task in described.items():
            written = files.partial[table].path if table in files.partial else table
            path = dictionary_path(written)
            is_missed = resumed and os.path.exists(written) and not os.path.exists(path)
            if files.has_rows(table) or is_missed:
                _write(pending.add(path), columns_of(task.lane, plan))
        pending.commit()
    finally:
        pending.discard()


def _write(path: str, columns: Sequence[Column]) -> None:
    with Path(path).open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(HEADER)
        for column in columns:
            dims = " ".join(f"{d}D" for d in column.dims)
            rows.writerow([column.name, column.unit, column.definition, dims, column.source])
