"""Table files: a writer for each format."""

from objclass.export.tables.formats import format_of, table_maker, table_refusal, writer_for
from objclass.export.tables.writer import TableDetails, TableWriter

__all__ = ["TableDetails", "TableWriter", "format_of", "table_maker", "table_refusal", "writer_for"]
