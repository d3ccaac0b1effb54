"""The lanes of a shard, and the names of the parts of files that it writes."""

import os
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from objclass.batch.request import Request
from objclass.compute.context import Context
from objclass.errors import OutputError, UsageError
from objclass.export.atomic import check_writable
from objclass.export.files import RunFiles
from objclass.export.naming import DICTIONARY, Task, dictionary_path
from objclass.export.parts import Part, part_of, whole_of
from objclass.export.sinks import empty_rows, maker_of
from objclass.export.tables import format_of, writer_for
from objclass.pipeline.plan import Plan
from objclass.registry import table_format
from objclass.shard import Shard


@dataclass(frozen=True)
class Share:
    """What a process does of a run: all of it, or a shard.

    Parameters
    ----------
    tasks
        Its lanes; files that they share with those of other shards have the names of parts.
    every
        All lanes of the run.
    first
        The number of its first lane among all, from 0.
    shard
        The shard; None for the whole run.
    empty
        Parts without lanes, as another shard has them all: path -> a lane that shares the file.
    """

    tasks: Sequence[Task]
    every: Sequence[Task]
    first: int = 0
    shard: Shard | None = None
    empty: dict[str, Task] = field(default_factory=dict)

    @property
    def described(self) -> str:
        """Which lanes it has."""
        count, every = len(self.tasks), len(self.every)
        if not count:
            return f"shard {self.shard}: no lane: the run has {every}"
        lanes = f"lanes {self.first + 1} to {self.first + count}" if count > 1 else f"lane {self.first + 1}"
        return f"shard {self.shard}: {lanes} of {every}"

    @property
    def parts(self) -> list[str]:
        """The parts of files that it writes."""
        paths = dict.fromkeys(path for task in self.tasks for path in task.tables if Part.of(path))
        return [*paths, *self.empty]


def share_of(request: Request, every: Sequence[Task]) -> Share:
    """What is to be done of all lanes.

    Raises
    ------
    UsageError
        If the parts of a table cannot be joined.
    OutputError
        If images of several shards are in one file, or the part of a file cannot be written.
    """
    shard = request.batch.shard
    if shard is None:
        return Share(every, every)
    lanes = shard.lanes(len(every))
    _check_containers(every, lanes)
    shared = _shared_tables(every, request.table)
    parts = _Parts(every[0], shard, shared)
    tasks = [parts.renamed(every[number]) for number in lanes]
    there = {path for task in tasks for path in task.tables}
    firsts = {task.table: task for task in reversed(every) if task.table in shared}
    others = map(parts.renamed, [every[0], *firsts.values()])
    empty = {path: task for task in others for path in task.tables if Part.of(path) and path not in there}
    for path in (*there, *empty):
        _check_part(path)
    return Share(tasks, every, lanes.start, shard, empty)


def _check_part(path: str) -> None:
    """Refuse a table that cannot be written, or a part that cannot be joined with others."""
    check_writable(path)
    if Part.of(whole_of(path)):
        message = f"{whole_of(path)}: is the name of a part: expected that of the whole, from which --shard makes those of parts"
        raise UsageError(message)
    if Part.of(path) and table_format(path) and not hasattr(writer_for(path), "merge"):
        message = (
            f"{path}: parts of tables in {format_of(path).suffix} cannot be joined: give a table of another format, or one for "
            "each lane, with {nickname} in its name"
        )
        raise UsageError(message)


def _check_containers(every: Sequence[Task], lanes: range) -> None:
    """Refuse files with images of several shards: their bytes would depend on which shard is the first."""
    mine, others = (
        {
            output.path
            for number, task in enumerate(every)
            if (number in lanes) is is_mine
            for output in task.outputs
            if output.is_shared
        }
        for is_mine in (True, False)
    )
    for path in sorted(mine & others):
        message = (
            f"{path}: images of several shards would be written there: expected a file for each lane, with {{nickname}} in "
            "--output_filename_format"
        )
        raise OutputError(message)


def _shared_tables(every: Sequence[Task], template: str | None) -> set[str | None]:
    """The tables that have parts: all but those of a single lane, whose name says so."""
    lanes = Counter(task.table for task in every if task.table is not None)
    is_of_all = template is not None and "{nickname" not in template and len(every) == 1
    return {path for path, count in lanes.items() if count > 1 or is_of_all}


class _Parts:
    """The names of files that lanes share, in a shard.

    Parameters
    ----------
    first
        The first lane of the run.
    shard
        The shard.
    tables
        The tables that have parts.
    """

    def __init__(self, first: Task, shard: Shard, tables: set[str | None]) -> None:
        self._shard, self._tables = shard, tables
        self._summary = first.summary and replace(first.summary, path=part_of(first.summary.path, shard))
        self._report = first.report and replace(first.report, path=part_of(first.report.path, shard))

    def renamed(self, task: Task) -> Task:
        """A lane with the names of the parts that it is in."""
        if task.table is not None and task.table in self._tables:
            table = part_of(task.table, self._shard)
            task = replace(task, table=table, dictionary=task.dictionary and dictionary_path(table))
        return replace(task, summary=self._summary, report=self._report)


def make_empty(share: Share, plan: Plan, files: RunFiles, context: Context) -> None:
    """Make the parts without lanes: tables have their columns, and no row.

    Raises
    ------
    OSError
        If one could not be written.
    """
    for path, task in share.empty.items():
        files.make(path, maker_of(task, path), empty_rows(task, path, plan, context))


def remove_incomplete(share: Share) -> None:
    """Remove what earlier attempts have left of parts that are complete now."""
    for part in filter(None, map(Part.of, share.parts)):
        for incomplete in (part.incomplete, replace(part.incomplete, suffix=DICTIONARY)):
            with suppress(OSError):
                os.unlink(incomplete.path)
