"""What every writer of tables does."""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from objclass.errors import InputError, ObjclassError
from objclass.export.columns import Columns


@dataclass(frozen=True)
class TableDetails:
    """What a writer needs to know of a table besides its rows; the same for all lanes in it.

    Parameters
    ----------
    dialect
        The value of ``--csv_dialect``; of no importance for formats other than CSV.
    units
        Name of a column -> its unit, where it has one.
    facts
        Facts of the run, as JSON can hold them; none that differs between two runs with the same results.
    """

    dialect: str = "standard"
    units: Mapping[str, str] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


class TableWriter(Protocol):
    """Writes rows, lane after lane; constructed with the path of a temporary file and `TableDetails`.

    A writer that can store pictures of objects also has a method ``append_pictures``. One whose tables can be joined has two
    class methods: ``names(path)`` returns the columns of a table; ``merge(parts, path)`` writes the rows of tables that it has
    written to another one: the same bytes as if all rows had been appended to that.
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


@contextmanager
def reading(path: str) -> Iterator[None]:
    """While a table is read that somebody may have changed.

    Raises
    ------
    InputError
        Whatever is wrong with it.
    """
    try:
        yield
    except ObjclassError:
        raise
    except Exception as fault:
        message = f"{path} cannot be read as {os.path.splitext(path)[1]} (damaged?): {fault}"
        raise InputError(message) from fault


def other_columns(part: str, first: str) -> InputError:
    """What is raised for a part with other columns than the first."""
    return InputError(f"{part} has other columns than {first}: expected parts of one run")
