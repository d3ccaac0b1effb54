"""Merge: the parts that all shards of a run have written become its files, the same bytes as those of one run."""

import filecmp
import os
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from glob import glob
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from objclass.batch.run_file import RUN_FILE, set_aside
from objclass.batch.shard_runs import Merged, ShardRun, description_of, find_runs, write_merged_run
from objclass.errors import InputError, UsageError, listed
from objclass.export.atomic import Pending, check_distinct, check_output
from objclass.export.findings import joined_findings
from objclass.export.naming import DICTIONARY, dictionary_path
from objclass.export.parts import Part, whole_of
from objclass.export.report import COLUMN, report_kind
from objclass.export.summary import is_summary
from objclass.export.tables import format_of, writer_for
from objclass.registry import resolve

TABLE, SUMMARY, REPORT, DESCRIPTION, RUN = "table", "summary", "report", "description of columns", "run file"
"""Kinds of files that have parts."""

OPTIONS = {TABLE: "table_filename", SUMMARY: "summary_filename", REPORT: "report"}
"""Kind of a file -> the option that names it."""


@dataclass(frozen=True)
class Group:
    """The parts of a file, in order; ``path`` is the file to write."""

    kind: str
    parts: tuple[Part, ...]
    path: str = ""

    @property
    def paths(self) -> list[str]:
        """The paths of its parts."""
        return [part.path for part in self.parts]

    @property
    def what(self) -> str:
        """What it is, for a message."""
        return f"the {self.kind} {self.path}"


def merge(given: Sequence[str], outputs: Mapping[str, str | None], *, overwrite: bool = False) -> list[str]:
    """Join the parts of tables, summaries, reports and run files; return the paths of the files that are written.

    Parameters
    ----------
    given
        The parts, or patterns of their names, in any order. Run files and descriptions of columns are found next to them.
    outputs
        `TABLE`, `SUMMARY`, `REPORT` -> the file to write; None for the name without the shard, next to the first part.
    overwrite
        Whether files may be replaced.

    Raises
    ------
    UsageError
        If a file is no part, or it is not clear what is to be written.
    InputError
        If a part is missing, incomplete, damaged, or of another run.
    OutputError
        If a file cannot be written.
    """
    groups = _groups(_parts(given))
    run_files = [part for group in groups if group.kind == RUN for part in group.parts]
    files = [_named(group, groups, outputs) for group in groups if group.kind in OPTIONS]
    _check_options(files, outputs)
    files += filter(None, (_description(file, groups) for file in files if file.kind == TABLE))
    for file in files:
        _check_output(file, overwrite=overwrite)
    check_distinct(*((file.what, file.path) for file in files))
    if not files and not run_files:
        message = f"{groups[0].paths[0]}: descriptions of columns are joined with their table: give the parts of that"
        raise UsageError(message)
    runs = find_runs([part for file in files for part in file.parts], run_files)
    first = files[0].path if files else run_files[0].path
    return _write(files, runs, os.path.dirname(first))


def _parts(given: Sequence[str]) -> Iterator[Part]:
    """The parts of these names, each once.

    Raises
    ------
    UsageError
        If a file is no part.
    InputError
        If it is not there, or incomplete.
    """
    paths = [
        path for name in given for path in ([name] if os.path.lexists(name) else sorted(glob(name)) or [name])
    ]
    for path in {os.path.realpath(path): path for path in paths}.values():
        part = Part.of(path)
        if part is None:
            message = f"{path}: expected a part of a run, such as t.shard-1-of-4.csv"
            raise UsageError(message)
        if not os.path.isfile(path):
            message = f"{path}: there is no such file"
            raise InputError(message)
        if part.is_partial or os.path.lexists(part.incomplete.path):
            message = f"{part.incomplete.path} is incomplete: run shard {part.shard} again with --resume (its run file says what is missing)"
            raise InputError(message)
        yield part


def _groups(parts: Iterable[Part]) -> list[Group]:
    """The parts, file by file.

    Raises
    ------
    InputError
        If one is missing, or there twice.
    """
    by_name: dict[tuple[str, str], list[Part]] = defaultdict(list)
    for part in parts:
        by_name[part.stem, part.suffix].append(part)
    groups = []
    for found in by_name.values():
        in_order = tuple(sorted(found, key=lambda part: part.shard.number))
        if in_order[0].suffix != DICTIONARY:  # one of them is enough
            _check_whole(in_order)
        groups.append(Group(_kind(in_order[0]), in_order))
    counts = {group.parts[0].shard.count: group.paths[0] for group in groups}
    if len(counts) > 1:
        message = f"{listed(counts.values())} are of runs of {listed(map(str, counts))} shards: expected parts of one run"
        raise InputError(message)
    return groups


def _check_whole(parts: Sequence[Part]) -> None:
    name, count = os.path.basename(parts[0].whole), parts[0].shard.count
    other = next((part for part in parts if part.shard.count != count), None)
    if other is not None:
        message = f"{name}: {parts[0].path} is one of {count} parts, {other.path} one of {other.shard.count}: expected parts of one run"
        raise InputError(message)
    for number, times in Counter(part.shard.number for part in parts).items():
        if times > 1:
            same = listed(part.path for part in parts if part.shard.number == number)
            message = f"{name}: part {number} of {count} is given {times} times: {same}"
            raise InputError(message)
    there = {part.shard.number for part in parts}
    if len(there) < count:
        first = islice((number for number in range(1, count + 1) if number not in there), 5)
        missing = listed(map(str, first)) + f" and {count - len(there) - 5} more" * (count - len(there) > 5)
        what = (
            f"parts {missing} of {count} are" if count - len(there) > 1 else f"part {missing} of {count} is"
        )
        message = f"{name}: {what} missing: run what is missing, and give all parts"
        raise InputError(message)


def _kind(part: Part) -> str:
    """What a part is of."""
    if part.suffix == DICTIONARY:
        return DESCRIPTION
    if os.path.basename(part.whole) == RUN_FILE:
        return RUN
    if part.is_report:
        return REPORT
    return SUMMARY if is_summary(_writer(part.path).names(part.path)) else TABLE


def _writer(path: str) -> Any:
    """The writer of the tables of a path, which can join them.

    Raises
    ------
    UsageError
        If it cannot.
    """
    writer = writer_for(path)
    if not hasattr(writer, "merge"):
        message = f"{path}: parts of tables in {format_of(path).suffix} cannot be joined"
        raise UsageError(message)
    return writer


def _named(group: Group, groups: Sequence[Group], outputs: Mapping[str, str | None]) -> Group:
    """The parts of a file, and the path to write.

    Raises
    ------
    UsageError
        If a path is given for several files.
    """
    path = outputs.get(group.kind)
    same = [os.path.basename(other.parts[0].whole) for other in groups if other.kind == group.kind]
    if path is not None and len(same) > 1:
        message = f"--{OPTIONS[group.kind]} {path}: parts of {len(same)} files are given: {listed(same)}: join them one by one"
        raise UsageError(message)
    return replace(group, path=path or group.parts[0].whole)


def _check_options(files: Sequence[Group], outputs: Mapping[str, str | None]) -> None:
    """Refuse a path for a file of which there are no parts."""
    kinds = {file.kind for file in files}
    for kind, path in outputs.items():
        if path is not None and kind not in kinds:
            found = listed(f"of a {file.kind}: {file.paths[0]}" for file in files)
            message = f"--{OPTIONS[kind]} {path}: expected parts of a {kind}, found those {found}"
            raise UsageError(message)


def _description(table: Group, groups: Sequence[Group]) -> Group | None:
    """The descriptions of the columns of a table, where there are any.

    Raises
    ------
    InputError
        If they differ.
    """
    given = {
        part
        for group in groups
        if group.kind == DESCRIPTION
        for part in group.parts
        if part.stem == table.parts[0].stem
    }
    near = {
        part for path in table.paths if (part := Part.of(description_of(path))) and os.path.isfile(part.path)
    }
    parts = tuple(sorted(given | near, key=lambda part: part.shard.number))
    if not parts:
        return None
    first, *others = [part.path for part in parts]
    other = next((path for path in others if not filecmp.cmp(first, path, shallow=False)), None)
    if other is not None:
        message = f"{other} is not as {first}: expected parts of one run"
        raise InputError(message)
    return Group(DESCRIPTION, parts, dictionary_path(table.path))


def _check_output(file: Group, *, overwrite: bool) -> None:
    """Refuse a file that cannot be written, or has another format than its parts.

    Raises
    ------
    UsageError, OutputError
        If it is so.
    """
    if Part.of(file.path) is not None:
        message = f"{file.path}: is the name of a part: expected that of the whole {file.kind}, such as {whole_of(file.path)}"
        raise UsageError(message)
    if file.kind == REPORT:
        report_kind(file.path)
    else:
        expected = format_of(file.paths[0]).suffix
        if format_of(file.path).suffix != expected:
            message = f"{file.path}: its parts are tables in {expected}: expected a name that ends so"
            raise UsageError(message)
    check_output(file.what, file.path, file.paths, overwrite=overwrite)


def _write(files: Sequence[Group], runs: Sequence[ShardRun], folder: str) -> list[str]:
    """Write all files, and the run file into a folder: all, or none."""
    pending = Pending()
    merged: dict[str, Merged] = {}
    written = [file.path for file in files]
    try:
        for file in files:
            temporary = pending.add(file.path)
            _WRITERS[file.kind](file, temporary)
            merged |= dict.fromkeys(file.paths, Merged(file.path, temporary))
        if runs:
            run_file = os.path.join(folder, RUN_FILE)
            written.append(run_file)
            write_merged_run(runs, merged, pending.add(run_file))
            pending.lock(run_file)
            set_aside(Path(run_file))
        pending.commit()
    finally:
        pending.discard()
    return written


def _write_table(file: Group, temporary: str) -> None:
    _writer(file.paths[0]).merge(file.paths, temporary)


def _write_report(file: Group, temporary: str) -> None:
    """Draw the page of all lanes."""
    report, findings = joined_findings(file.paths, file.path)
    page = resolve(report_kind(file.path).of_run)(temporary, report)
    try:
        for text in findings:
            page.append({COLUMN: np.array([text], object)})
        page.close()
    except BaseException:
        page.abort()
        raise


def _write_description(file: Group, temporary: str) -> None:
    shutil.copyfile(file.paths[0], temporary)


_WRITERS = {
    TABLE: _write_table,
    SUMMARY: _write_table,
    REPORT: _write_report,
    DESCRIPTION: _write_description,
}
"""Kind of a file -> what joins its parts."""
