"""Tables as text, compressed by Zstandard: part of Python from 3.14 on."""

import sys
from contextlib import AbstractContextManager
from typing import Any, BinaryIO

from objclass.export.tables.compressed import CompressedWriter
from objclass.export.tables.text import CSV, TSV, EvenBlocks

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


class ZstdCsvWriter(CompressedWriter):
    """CSV in Zstandard."""

    dialects = CSV

    @classmethod
    def packed(cls, file: BinaryIO) -> AbstractContextManager[Any]:
        """A file that compresses what is written to it."""
        return EvenBlocks(zstd.ZstdFile(file, "wb"))

    @classmethod
    def unpacked(cls, path: str) -> AbstractContextManager[Any]:
        """A table, opened to read its text."""
        return zstd.open(path)


class ZstdTsvWriter(ZstdCsvWriter):
    """As CSV, with tabs between columns."""

    dialects = TSV
