"""Run files and journals on the disk: read, published, and those of processes that were killed."""

import json
import logging
import platform
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from time import time
from typing import Any, TextIO

from objclass.compute import lock, machine
from objclass.errors import InputError, OutputError
from objclass.export.atomic import Pending, lock_file

log = logging.getLogger("objclass")

RUN_FILE = "objclass_run.json"

_JOURNAL = re.compile(r"objclass_run_\d{8}T\d{6}_[0-9a-f]{8}\.jsonl")

Record = dict[str, Any]
"""An entry of a run file."""


def read_run(path: Path) -> Record:
    """A run file.

    Raises
    ------
    InputError
        If it is none.
    """
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(run["lanes"], list):
            return dict(run)
    except (OSError, ValueError, TypeError, KeyError):
        pass
    message = f"{path}: expected a run file of objclass ({RUN_FILE})"
    raise InputError(message)


def check_others(folder: Path, claims: set[str]) -> None:
    """Refuse to run beside another process that writes the same files; make run files of journals of the dead."""
    for path in sorted(folder.iterdir()):
        if not _JOURNAL.fullmatch(path.name):
            continue
        try:
            head = next(_lines(path), {})
            if not _is_written(path, head):
                _bury(path, head)
                continue
        except OSError:  # it has ended meanwhile, or is of another user
            continue
        if claims & set(head.get("claims", ())):
            message = (
                f"{folder}: another run writes the same files (process {head.get('process')} on {head.get('host')}, since "
                f"{head.get('started')}): wait for its end, or give other names"
            )
            raise OutputError(message)


def check_idle(folder: Path, claims: set[str]) -> None:
    """Refuse files that a run is writing.

    Raises
    ------
    OutputError
        If one of the claims is that of a run at work.
    """
    try:
        with lock.held(lock_file(str(folder / RUN_FILE))):
            check_others(folder, claims)
    except OutputError:
        raise
    except OSError:  # a folder that may only be read
        return


def _is_written(path: Path, head: Record) -> bool:
    """Whether the process of a journal is at work."""
    with path.open("r+", encoding="utf-8") as file:
        try:
            return not lock.try_lock(file.fileno())
        except OSError:  # a file system without locks
            return head.get("host") != platform.node() or machine.has_process(int(head.get("process", 0)))


FORGOTTEN = 24 * 3600
"""Seconds without a line after which a journal of another host is removed: hosts may not see the locks of each other."""


def _bury(path: Path, head: Record) -> None:
    """Make a run file of the journal of a process that was killed."""
    try:
        publish(path, path.with_suffix(".json"))
        if head.get("host") == platform.node() or time() - path.stat().st_mtime > FORGOTTEN:
            path.unlink()
    except (OSError, ValueError) as fault:
        log.warning("%s: the journal of an interrupted run stays: %s", path, fault)


def _lines(path: Path) -> Iterator[Record]:
    """The records of a journal; the last line of a process that was killed may be cut off."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            try:
                record = json.loads(line)
            except ValueError:
                return
            if isinstance(record, dict):
                yield record


def publish(journal: Path, final: Path) -> None:
    """Write the run file from the journal; that of an earlier run is kept."""
    pending = Pending()
    try:
        write_run(_lines(journal), pending.add(str(final)))
        pending.lock(str(final))
        set_aside(final)
        pending.commit()
    finally:
        pending.discard()


def write_run(records: Iterator[Record], path: str) -> None:
    """Write a run file from the records of a journal, in bounded memory: one JSON document, with a line for each lane."""
    with open(path, "w", encoding="utf-8") as file:
        _copy(records, file)


def _copy(records: Iterator[Record], file: TextIO) -> None:
    head = next(records, {})
    head.pop("claims", None)
    file.write("{\n")
    file.writelines(f" {json.dumps(name)}: {json.dumps(value)},\n" for name, value in head.items())
    file.write(' "lanes": [')
    end: Record = {"partial": [], "error": "the process was killed"}
    separator = "\n"
    for record in records:
        if "lane" in record:
            file.write(f"{separator}  {json.dumps(record['lane'])}")
            separator = ",\n"
        end = record.get("end", end)
    file.write("\n ]")
    file.writelines(f",\n {json.dumps(name)}: {json.dumps(value)}" for name, value in end.items())
    file.write("\n}\n")


def set_aside(path: Path) -> None:
    """Keep the file of an earlier run under a name with its date; one that has such a name is of the same run."""
    if _JOURNAL.fullmatch(f"{path.name}l"):
        return
    try:
        earlier = json.loads(path.read_text(encoding="utf-8"))
        started, run = datetime.fromisoformat(str(earlier["started"])), str(earlier["run"])
    except FileNotFoundError:
        return
    except (ValueError, TypeError, KeyError):  # of an earlier version, or damaged
        started, run = datetime.fromtimestamp(path.stat().st_mtime, UTC), token_hex(4)
    kept = path.with_name(
        f"{Path(RUN_FILE).stem}_{started:%Y%m%dT%H%M%S}_{re.sub(r'[^0-9a-f]', '', run)}{path.suffix}"
    )
    if not kept.exists():
        path.rename(kept)
