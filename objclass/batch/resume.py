"""What a run can take over from earlier ones in its folder: complete lanes, and the rows of tables.

A lane is complete if an earlier run says so, its outputs are as that run left them, and its inputs, the project,
the options and the version are the same: by size and time of change, with ``--verify`` by content.
"""

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence

from objclass.batch.digests import file_entry, output_entry
from objclass.batch.journal import Journal, lanes_of
from objclass.batch.run_file import Record
from objclass.export.files import Earlier
from objclass.export.naming import Task
from objclass.export.spool import Rows, spooled


def find(tasks: Sequence[Task], journal: Journal, *, verify: bool) -> tuple[Earlier, dict[int, Record]]:
    """The lanes that need not be run again.

    Returns
    -------
    Earlier
        What the files of the run take over.
    dict
        Number of a lane -> its record.
    """
    records: dict[str, list[Record]] = defaultdict(list)
    left: dict[str, dict[str, Record]] = defaultdict(dict)  # run -> path -> its entry
    mark = "content" if verify else "fingerprint"
    for record in journal.earlier_records():
        records[str(record.get(mark))].append(record)
        left[record["from_run"]] |= {entry["path"]: entry for entry in record.get("files", ())}
    done = {}
    for number, task in enumerate(tasks):
        candidates = records.get(journal.fingerprint(task, content=verify), [])
        found = next((r for r in candidates if _has_tables(task, left[r["from_run"]], verify=verify)), None)
        found = found or next(iter(candidates), None)
        if found is not None and _has_images(task, left[found["from_run"]], verify=verify):
            done[number] = found
    rows: dict[str, dict[int, Rows]] = {}
    before = -1
    while before != len(done):  # a lane that is run again adds its rows to all of its tables
        before = len(done)
        rows = _tables(tasks, journal, done, left, verify=verify)
    return Earlier(frozenset(done), rows), done


def _tables(
    tasks: Sequence[Task],
    journal: Journal,
    done: dict[int, Record],
    left: Mapping[str, Mapping[str, Record]],
    *,
    verify: bool,
) -> dict[str, dict[int, Rows]]:
    """The rows of the tables that are to be made; lanes whose rows are gone are taken out of ``done``."""
    rows = {}
    for table, sharing in lanes_of(tasks).items():
        here = [number for number in sharing if number in done]
        entries = [left[done[number]["from_run"]].get(table) for number in here]
        expected = journal.sharing(table)
        is_there = any(e and e.get("lanes") == expected and _is_same(e, verify=verify) for e in entries)
        if is_there and len(here) == len(sharing):
            continue
        rows[table] = _rows(table, here, done) if len(sharing) > 1 else {}
        for number in set(here) - rows[table].keys():
            del done[number]
    return rows


def _has_tables(task: Task, left: Mapping[str, Record], *, verify: bool) -> bool:
    """Whether the tables are those of the earlier run: that of a shard has others than what was merged of it."""
    return all(_is_same(left.get(path), verify=verify) for path in task.tables)


def _has_images(task: Task, left: Mapping[str, Record], *, verify: bool) -> bool:
    """Whether all files but tables are as the earlier run has left them."""
    return all(_is_same(left.get(path), verify=verify) for path in task.paths if path not in task.tables)


def _is_same(entry: Record | None, *, verify: bool) -> bool:
    """Whether a file or folder is as it was recorded: by size and time of change, or by content."""
    if entry is None or not os.path.lexists(entry["path"]):
        return False
    if verify:
        return bool(entry.get("sha256") == file_entry(entry["path"], "content").get("sha256"))
    now = output_entry(entry["path"])
    return all(entry.get(name) == now.get(name) for name in ("files", "size", "modified"))


def _rows(table: str, lanes: Sequence[int], done: Mapping[int, Record]) -> dict[int, Rows]:
    """The rows of complete lanes that are in the spool of a table."""
    name, size = spooled(table)
    found = {}
    for number in lanes:
        where = done[number].get("rows", {}).get(table)
        if name and where and where[0] == name and where[2] <= size:
            found[number] = Rows(*where)
    return found
