"""What every writer of tables does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

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
