"""Tables as compressed text: what is unpacked is the same as without compression."""

import gzip
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, BinaryIO, ClassVar

from objclass.export.tables.spool import SpoolWriter
from objclass.export.tables.text import CSV, SMALL, TSV, Dialect, EvenBlocks, TextParts, write_rows

LEVEL = 5
"""The level of ``gzip``: the usual one, 6, takes twice as long for four percent."""


class CompressedWriter(TextParts, SpoolWriter):
    """Text as one compressed stream: many programs read only the first of several."""

    dialects: ClassVar[Mapping[str, Dialect]]

    def close(self) -> None:
        """Write the file."""
        dialect = self.dialects[self.details.dialect]
        is_small = self.rows.size <= SMALL
        with open(self.path, "wb") as file, self.packed(file) as text:
            for number, columns in enumerate(self.rows.parts()):
                write_rows(text, columns, dialect, header=number == 0, is_small=is_small)


class GzipCsvWriter(CompressedWriter):
    """CSV in gzip, without name and time."""

    dialects = CSV

    @classmethod
    def packed(cls, file: BinaryIO) -> AbstractContextManager[Any]:
        """A file that compresses what is written to it."""
        return EvenBlocks(gzip.GzipFile("", "wb", LEVEL, file, mtime=0))

    @classmethod
    def unpacked(cls, path: str) -> AbstractContextManager[Any]:
        """A table, opened to read its text."""
        return gzip.open(path)


class GzipTsvWriter(GzipCsvWriter):
    """As CSV, with tabs between columns."""

    dialects = TSV
