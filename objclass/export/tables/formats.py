"""The format of a table by its name."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from objclass import registry
from objclass.errors import UsageError
from objclass.export.tables.writer import TableDetails


def format_of(path: str) -> registry.TableFormat:
    """The table format of the suffix of a path.

    Raises
    ------
    UsageError
        If the suffix is not that of a table.
    """
    found = registry.table_format(path)
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
        If the suffix is not that of a table, or its writer needs a library that is not installed.
    """
    entry = format_of(path)
    try:
        return registry.resolve(entry.writer)
    except ImportError as fault:
        if not entry.extra:
            raise
        message = f'table {path}: {entry.suffix} is written with {fault.name}, which is not installed: pip install "objclass[{entry.extra}]"'
        raise UsageError(message) from None


def table_maker(path: str, details: TableDetails) -> Callable[[str], Any]:
    """The function that opens a table, given the path of its temporary file."""
    return partial(writer_for(path), details=details)


def table_refusal(path: str, header: Sequence[str]) -> str | None:
    """The reason why the format of a table cannot hold these columns; None if it can."""
    refusal = writer_for(path).refusal(header)
    return f"{path}: {refusal}" if refusal else None
