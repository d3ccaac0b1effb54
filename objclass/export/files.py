"""The files of a run: images of a lane, tables of all lanes."""

import contextlib
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from objclass.compute.context import Context
from objclass.export.atomic import Pending
from objclass.export.columns import Columns
from objclass.export.naming import Output, Task
from objclass.export.tables import TableWriter, writer_for
from objclass.images.sequence import writer_of
from objclass.images.writer import Writer
from objclass.pipeline.crops import ObjectImage


class ImageFiles:
    """The images of one lane, written together."""

    def __init__(self, outputs: Sequence[Output], context: Context | None = None) -> None:
        self._pending = Pending()
        self.writers: list[Writer] = []
        self._outputs, self._context = outputs, context or Context()

    def __enter__(self) -> Self:
        try:
            for output in self._outputs:
                self.writers.append(self._begin(output))  # one by one: those before a failure are closed
        except BaseException:
            self.discard()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.discard()

    def _begin(self, output: Output) -> Writer:
        make = writer_of(output.format.name)
        if output.is_url:
            return make(output.path, output.export.image, None, self._context)
        if output.slices:
            return make(self._pending.add_slices(output.slices), output.export.image, None, self._context)
        previous = output.path if Path(output.path).exists() else None
        return make(self._pending.add(output.path), output.export.image, previous, self._context)

    def close(self) -> None:
        """Finish all files, under their temporary names."""
        while self.writers:
            self.writers.pop(0).close()

    def commit(self) -> None:
        """Give the files their names."""
        self.close()
        self._pending.commit()
        for output in self._outputs:
            output.export.warn(output.path)

    def discard(self) -> None:
        """Remove what was not committed."""
        for writer in self.writers:
            with contextlib.suppress(Exception):
                writer.close()
        self.writers.clear()
        self._pending.discard()


class TableFiles:
    """The tables of a run: rows in the order of the lanes, each table renamed with its last lane.

    Only rows of finished lanes are ever appended, so what is there when a run ends early is whole.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._lanes = Counter(task.table for task in tasks if task.table is not None)
        self._open: dict[str, tuple[TableWriter, Pending]] = {}

    def __enter__(self) -> Self:
        return self

    def append(self, path: str, columns: Columns, crops: Sequence[ObjectImage] = ()) -> None:
        """Add the rows of a finished lane."""
        if path not in self._open:
            pending = Pending()
            self._open[path] = writer_for(path)(pending.add(path)), pending
        try:
            self._open[path][0].append(columns, crops)
        except BaseException:
            self._open.pop(path)[1].discard()
            raise
        self._lanes[path] -= 1
        if not self._lanes[path]:
            self._finish(path)

    def _finish(self, path: str) -> None:
        writer, pending = self._open.pop(path)
        try:
            writer.close()
            pending.commit()
        finally:
            pending.discard()

    def __exit__(self, *_: object) -> None:
        for path in list(self._open):
            self._finish(path)
