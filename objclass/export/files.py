"""The files of a run: each gets its final name when the last lane that writes to it is complete."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from threading import Lock
from typing import Any, Protocol

from objclass.compute import lock
from objclass.compute.signals import uninterrupted
from objclass.errors import OutputError
from objclass.export.atomic import Pending, Stamp, lock_file, remove, stamp
from objclass.export.columns import Columns
from objclass.export.naming import Task, split_suffix
from objclass.export.parts import Part
from objclass.export.spool import Rows, Spool, SpooledTable, spool_path

log = logging.getLogger("objclass")


class SharedFile(Protocol):
    """A file that is shared by several lanes, or by several outputs of a lane."""

    def flush(self) -> None:
        """Write everything so far; raise an error if that fails."""

    def mark(self) -> None:
        """Mark the content that was written by the last `flush` as permanent."""

    def undo(self) -> None:
        """Go back to the last `mark`, or to an empty file, even from a file that is closed."""

    def close(self) -> None:
        """Finish the file; raise an error if it could not be written."""

    def abort(self) -> None:
        """Close the file at once, without finishing it: it is discarded."""


@dataclass(frozen=True)
class PartialFile:
    """An incomplete file: its name, the number of lanes in it, and the number that it was to have."""

    path: str
    lanes: int
    of: int


@dataclass(frozen=True)
class Earlier:
    """What an earlier run has left that this one resumes.

    Parameters
    ----------
    lanes
        The numbers of the lanes that are complete.
    rows
        Table -> number of a lane -> its rows in the spool of the table.
    """

    lanes: frozenset[int] = frozenset()
    rows: Mapping[str, Mapping[int, Rows]] = field(default_factory=dict)


class RunFiles:
    """All files of a run.

    A lane is kept completely, all its files and its part of shared files, or not at all. A file that
    many lanes share is opened once and renamed once: with its last lane, or when the run ends early.
    An incomplete file never replaces an older one.
    """

    def __init__(self, tasks: Sequence[Task], earlier: Earlier | None = None) -> None:
        self.pending = Pending()
        self._earlier = earlier or Earlier()
        self.partial: dict[str, PartialFile] = {}
        """Incomplete files, by their intended names."""
        self._lanes = Counter(
            path
            for number, task in enumerate(tasks)
            for path in task.shared
            if number not in self._earlier.lanes or path in self._earlier.rows
        )
        self._kept = Counter({path: len(rows) for path, rows in self._earlier.rows.items()})
        self._open: dict[str, SharedFile] = {}
        self._complete: list[SpooledTable] = []
        self._opening = Lock()
        self._locks = ExitStack()
        self._claimed: set[str] = set()
        shared = {path for task in tasks for path in task.tables}
        own = {path for path in shared if self._lanes[path] == 1 and len(tasks) > 1}
        try:
            for table in sorted(shared - own):
                self._claim(table)
        except BaseException:
            self._locks.close()
            raise

    def _claim(self, table: str) -> None:
        """Refuse to write a table that another process is writing: one of them would be lost."""
        os.makedirs(os.path.dirname(table) or ".", exist_ok=True)
        try:
            self._locks.enter_context(lock.held(lock_file(table), wait=False))
        except BlockingIOError:
            message = f"{table}: another run is writing it: give each run a table of its own"
            raise OutputError(message) from None
        self._claimed.add(table)

    def lane(self, number: int) -> "OwnLaneFiles":
        """The files of the lane of a number, from 0."""
        return OwnLaneFiles(self, number)

    def open(self, path: str, make: Callable[[str], Any]) -> Any:
        """The shared file of that path; the first lane makes it under its temporary name."""
        with self._opening:
            if path not in self._open:
                self._open[path] = make(self.pending.add(path))
            return self._open[path]

    def open_table(self, path: str, writer: Any) -> Any:
        """The table of that path; one that lanes share collects their rows in a spool."""
        if self._lanes[path] == 1:
            return self.open(path, writer)
        return self.open(path, partial(self._spooled, table=path, writer=writer))

    def _spooled(self, temporary: str, table: str, writer: Any) -> SpooledTable:
        earlier = self._earlier.rows.get(table, {})
        return SpooledTable(temporary, writer, Spool(spool_path(table), anew=not earlier), earlier)

    @contextmanager
    def folder(self, path: str) -> Iterator[str]:
        """A folder for temporary data on the disk of a path, which other processes see; removed afterwards."""
        made = self.pending.folder_for(path)
        try:
            yield made
        finally:
            with suppress(OSError):
                remove(made)

    def unsynced(self, shared: Iterable[str]) -> list[str]:
        """Those of some shared files that `SharedFile.flush` leaves to the system."""
        return [
            path for path in shared if self.has_last(path) or not isinstance(self._open[path], SpooledTable)
        ]

    def has_rows(self, path: str) -> bool:
        """Whether a table has got rows, now or in the run that this one resumes."""
        return self._kept[path] > 0

    def has_last(self, path: str) -> bool:
        """Whether the next lane completes a shared file."""
        return self._kept[path] + 1 == self._lanes[path]

    def keep(self, own: Sequence[str], shared: Sequence[str]) -> None:
        """Give the files of a lane their final names, and the shared files that it completes."""
        whole = [path for path in shared if self.has_last(path)]
        self.pending.rename([*own, *whole])
        self._kept.update(shared)
        for path in shared:
            file = self._open.pop(path) if path in whole else self._open[path]
            if path not in whole:
                file.mark()
            elif isinstance(file, SpooledTable):
                self._complete.append(file)

    def undo(self, path: str) -> None:
        """Remove the last lane from a shared file."""
        file = self._open.get(path)
        if file is None:
            return
        try:
            if self._kept[path]:
                file.undo()
                return
        except Exception as fault:  # noqa: BLE001  the fault of the lane itself is reported
            log.error("%s: its finished lanes are lost: %s", path, fault)  # noqa: TRY400
            self._kept[path] = 0
        file.abort()
        del self._open[path]
        self.pending.discard([path])

    def make_missing(self, maker_of: Callable[[str], Callable[[str], Any]]) -> None:
        """Make the tables whose rows are all there already, but which are not.

        Raises
        ------
        OSError
            If one could not be written.
        """
        for path, rows in self._earlier.rows.items():
            if len(rows) == self._lanes[path] and path not in self._open:
                table = self.open_table(path, maker_of(path))
                table.close()
                self.pending.sync([path])
                self.pending.rename([path])
                self._complete.append(self._open.pop(path))  # type: ignore[arg-type]

    def make(self, path: str, maker: Callable[[str], Any], columns: Columns) -> None:
        """Make a table at once, with these rows alone.

        Raises
        ------
        OSError
            If it could not be written.
        """
        table = self.open(path, maker)
        table.append(columns)
        table.close()
        self.pending.sync([path])
        self.pending.rename([path])
        del self._open[path]
        self._kept[path] += 1

    def close(self) -> None:
        """Give shared files their names although they are incomplete, and remove everything else.

        The rows of an incomplete table stay in its spool, for a run that resumes this one.

        Raises
        ------
        OSError
            If one could not be written; then none of its lanes is kept.
        """
        for table in self._complete:
            table.done()
        try:
            if self._open:
                self._close_early()
        finally:
            for file in self._open.values():
                with suppress(Exception):
                    file.abort()
            self._open.clear()
            self.pending.discard()
            self._locks.close()

    def _close_early(self) -> None:
        names = {}
        for path, file in sorted(self._open.items()):
            file.close()
            if path not in self._claimed:
                self.pending.lock(path)
            names[path] = _partial_name(path)
        self.pending.sync(names)
        with uninterrupted():
            self.pending.rename(names, names)
            for file in self._open.values():
                if isinstance(file, SpooledTable):
                    file.abort()
            self._open.clear()
        for path, name in names.items():
            self.partial[path] = PartialFile(name, self._kept[path], self._lanes[path])
            earlier = (
                f": {path} is of an earlier run and stays" if os.path.lexists(path) and name != path else ""
            )
            log.warning(
                "%s is incomplete: %d of %d lanes%s", name, self._kept[path], self._lanes[path], earlier
            )


def _partial_name(path: str) -> str:
    """The name of an incomplete file: that of a part says so, and any other replaces no older file."""
    if part := Part.of(path):
        return part.incomplete.path
    if not os.path.lexists(path):
        return path
    stem, suffix = split_suffix(path)
    for number in count(1):
        found = f"{stem}.partial{number if number > 1 else ''}{suffix}"
        if not os.path.lexists(found):
            return found
    raise AssertionError


class LaneFiles(Protocol):
    """The files of one lane, as its sinks see them."""

    def add(self, path: str) -> str:
        """The temporary name of a file that only this lane writes."""

    def add_slices(self, paths: Sequence[str]) -> str:
        """The temporary folder of the files of a sequence."""

    def share(self, path: str, make: Callable[[str], Any], *, merge: bool = False) -> Any:
        """A shared file; with ``merge``, the content of an existing file of its name is kept."""

    def append(self, table: str, writer: Any, columns: Columns) -> None:
        """Add the rows of this lane to a table, which other lanes may share."""

    def commit(self, kept: Callable[[], None]) -> None:
        """Complete the files, then call ``kept``: all, or none."""

    def abort(self) -> None:
        """Discard what was not committed."""


class OwnLaneFiles:
    """The files of a lane that this process writes, and those that it shares with other lanes."""

    def __init__(self, run: RunFiles, number: int) -> None:
        self._run, self._number = run, number
        self.rows: dict[str, Rows] = {}
        """The rows of this lane in the spools of tables."""
        self._own: list[str] = []
        self._merged: dict[str, Stamp] = {}
        self._shared: dict[str, bool] = {}
        self._completed: list[str] = []
        self._is_kept = False

    def add(self, path: str) -> str:
        """The temporary name of a file that only this lane writes."""
        self._own.append(path)
        return self._run.pending.add(path)

    def add_slices(self, paths: Sequence[str]) -> str:
        """The temporary folder of the files of a sequence."""
        self._own += paths
        return self._run.pending.add_slices(paths)

    def adopt(self, parts: Mapping[str, str], merged: Mapping[str, Stamp]) -> None:
        """Take over files that another process has written.

        Parameters
        ----------
        parts
            Path -> temporary name.
        merged
            Path -> the file whose content was taken over into the new one.
        """
        self._own += parts
        self._merged |= merged
        self._run.pending.adopt(parts)

    def share(self, path: str, make: Callable[[str], Any], *, merge: bool = False) -> Any:
        """A shared file; with ``merge``, the content of an existing file of its name is kept."""
        self._shared[path] = merge
        return self._run.open(path, make)

    def append(self, table: str, writer: Any, columns: Columns) -> None:
        """Add the rows of this lane to a table, which other lanes may share."""
        self._shared.setdefault(table, False)
        file = self._run.open_table(table, writer)
        if isinstance(file, SpooledTable):
            self.rows[table] = file.append(columns, self._number)
        else:
            file.append(columns)

    @property
    def completed(self) -> list[str]:
        """The paths that got their final names with this lane."""
        return [*self._own, *self._completed]

    def commit(self, kept: Callable[[], None]) -> None:
        """Give the files of this lane their final names, and the shared files that it completes: all, or none.

        ``kept`` is called after the last one; no signal is handled in between.

        Raises
        ------
        OutputError, OSError
            If one of them could not be written.
        """
        try:
            self._check_merged()
            for path, merge in sorted(
                self._shared.items()
            ):  # always in the same order, so that no two processes wait for each other
                self._finish(path, merge=merge)
            self._completed = [path for path in self._shared if self._run.has_last(path)]
            self._run.pending.sync([*self._own, *self._run.unsynced(self._shared)])
            with uninterrupted():
                self._run.keep(self._own, list(self._shared))
                self._is_kept = True
                kept()
        finally:
            self._run.pending.unlock()

    def _check_merged(self) -> None:
        """Refuse to replace a file that was changed since its content was taken over."""
        for path, before in sorted(self._merged.items()):
            self._run.pending.lock(path)
            if stamp(path) != before:
                message = f"{path}: another process has changed it meanwhile: run again with --resume"
                raise OutputError(message)

    def _finish(self, path: str, *, merge: bool) -> None:
        file = self._run.open(path, str)
        if not self._run.has_last(path):
            file.flush()
        elif merge:
            self._run.pending.lock(path)
            file.close(path if os.path.lexists(path) else None)
        else:
            file.close()

    def abort(self) -> None:
        """Discard what was not committed."""
        if self._is_kept:
            return
        self._run.pending.discard(self._own)
        self._own.clear()
        for path in self._shared:
            self._run.undo(path)
        self._shared.clear()
