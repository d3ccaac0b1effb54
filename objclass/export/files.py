"""The files of a run: each gets its name when the last lane that writes to it is whole."""

import logging
import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from objclass.compute import lock
from objclass.compute.signals import uninterrupted
from objclass.errors import OutputError
from objclass.export.atomic import Pending, lock_file
from objclass.export.naming import Task

log = logging.getLogger("objclass")


class SharedFile(Protocol):
    """A file that several lanes, or several outputs of a lane, are written to."""

    def flush(self) -> None:
        """Write all that there is so far; raises what could not be written."""

    def mark(self) -> None:
        """Keep what was written by the last `flush`, whatever comes."""

    def undo(self) -> None:
        """Go back to the last `mark`, or to an empty file, even from a file that is closed."""

    def close(self) -> None:
        """Finish the file; raises what could not be written."""

    def abort(self) -> None:
        """Let go of the file at once: it is thrown away."""


@dataclass(frozen=True)
class PartialFile:
    """A file that lacks lanes: its name, how many lanes are in it, and of how many."""

    path: str
    lanes: int
    of: int


class RunFiles:
    """All files of a run.

    A lane is kept whole, all its files and its part of those that lanes share, or not at all. A file that
    many lanes share is opened once and gets its name once: with its last lane, or when the run ends early.
    It never replaces an older one while it lacks lanes.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.pending = Pending()
        self.partial: dict[str, PartialFile] = {}
        """What ended early, by the name that it was to have."""
        self._lanes = Counter(path for task in tasks for path in {*task.shared})
        self._kept: Counter[str] = Counter()
        self._open: dict[str, SharedFile] = {}
        self._opening = Lock()
        self._locks = ExitStack()
        self._claimed: set[str] = set()
        tables = {task.table for task in tasks if task.table is not None}
        try:
            for table in sorted(tables):
                if self._lanes[table] > 1 or len(tables) == 1:
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

    def lane(self) -> "LaneFiles":
        """The files of one lane."""
        return LaneFiles(self)

    def open(self, path: str, make: Callable[[str], Any]) -> Any:
        """The file that lanes share, made with its temporary name by the first of them."""
        with self._opening:
            if path not in self._open:
                self._open[path] = make(self.pending.add(path))
            return self._open[path]

    def has_last(self, path: str) -> bool:
        """Whether one lane more makes a shared file whole."""
        return self._kept[path] + 1 == self._lanes[path]

    def keep(self, own: Sequence[str], shared: Sequence[str]) -> None:
        """Give the files of a lane their names, and those shared ones that it has made whole."""
        whole = [path for path in shared if self.has_last(path)]
        self.pending.rename([*own, *whole])
        self._kept.update(shared)
        for path in shared:
            if path in whole:
                del self._open[path]
            else:
                self._open[path].mark()

    def undo(self, path: str) -> None:
        """Take a lane out of a shared file."""
        file = self._open.get(path)
        if file is None:
            return
        try:
            if self._kept[path]:
                file.undo()
                return
        except Exception as fault:  # noqa: BLE001  the lane's own fault is what is said
            log.error("%s: its finished lanes are lost: %s", path, fault)  # noqa: TRY400
            self._kept[path] = 0
        file.abort()
        del self._open[path]
        self.pending.discard([path])

    def close(self) -> None:
        """Give what lanes share its name as far as it has come, and remove everything else.

        Raises
        ------
        OSError
            If it could not be written; no lane of it is kept then.
        """
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
            names[path] = _beside(path) if os.path.lexists(path) else path
        self.pending.sync(names)
        with uninterrupted():
            self.pending.rename(names, names)
            self._open.clear()
        for path, name in names.items():
            self.partial[path] = PartialFile(name, self._kept[path], self._lanes[path])
            earlier = f": {path} is of an earlier run and stays" if name != path else ""
            log.warning("%s has %d of %d lanes%s", name, self._kept[path], self._lanes[path], earlier)


def _beside(path: str) -> str:
    """A name for a file that lacks lanes, next to the one that it does not replace."""
    target = Path(path)
    for number in count(1):
        found = target.with_name(f"{target.stem}.partial{number if number > 1 else ''}{target.suffix}")
        if not os.path.lexists(found):
            return str(found)
    raise AssertionError


class LaneFiles:
    """The files of one lane, and those that it shares with others."""

    def __init__(self, run: RunFiles) -> None:
        self._run = run
        self._own: list[str] = []
        self._shared: dict[str, bool] = {}
        self._is_kept = False

    def add(self, path: str) -> str:
        """The temporary name of a file of this lane alone."""
        self._own.append(path)
        return self._run.pending.add(path)

    def add_slices(self, paths: Sequence[str]) -> str:
        """The temporary folder of the files of a sequence."""
        self._own += paths
        return self._run.pending.add_slices(paths)

    def share(self, path: str, make: Callable[[str], Any], *, merge: bool = False) -> Any:
        """A file that other lanes write to as well; with ``merge``, what is there under its name is kept."""
        self._shared[path] = merge
        return self._run.open(path, make)

    def commit(self, kept: Callable[[], None]) -> None:
        """Give the files of this lane their names, with those that it has made whole: all, or none.

        No signal comes between the last of them and ``kept``, which is called then.

        Raises
        ------
        OutputError, OSError
            If one of them could not be written.
        """
        try:
            for path, merge in sorted(self._shared.items()):  # in one order for all: who waits, waits in turn
                self._finish(path, merge=merge)
            self._run.pending.sync([*self._own, *self._shared])
            with uninterrupted():
                self._run.keep(self._own, list(self._shared))
                self._is_kept = True
                kept()
        finally:
            self._run.pending.unlock()

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
        """Throw away what was not committed."""
        if self._is_kept:
            return
        self._run.pending.discard(self._own)
        self._own.clear()
        for path in self._shared:
            self._run.undo(path)
        self._shared.clear()
