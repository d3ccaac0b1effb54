"""The run files of shards: found next to their parts, compared with these, and joined to that of one run."""

import logging
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from typing import Any

from objclass.batch.digests import essence, file_entry
from objclass.batch.journal import claim_of, digest_of_lanes
from objclass.batch.run_file import Record, check_idle, read_run, write_run
from objclass.errors import InputError
from objclass.export.naming import DICTIONARY
from objclass.export.parts import Part, whole_of
from objclass.shard import Shard

log = logging.getLogger("objclass")

OF_SHARD = ("host", "process", "jobs", "memory", "shard", "partial", "seconds", "peak_memory", "error")
"""What the run file of a shard says that holds for this shard alone."""


@dataclass(frozen=True)
class ShardRun:
    """The run file of a shard.

    Parameters
    ----------
    path
        The file.
    head
        What it says of the run.
    shard, total
        The shard, and the number of lanes of all shards.
    lanes
        Part -> the names of the lanes in it, in order.
    done
        Number of lanes that are done.
    is_ended
        Whether no lane has failed, and all files were written.
    files
        Part -> its size, and the digest of its content, when it was written.
    """

    path: str
    head: Record
    shard: Shard
    total: int
    lanes: Mapping[str, Sequence[str]]
    done: int
    is_ended: bool
    files: Mapping[str, Record]

    @classmethod
    def read(cls, path: str) -> "ShardRun":
        """Read it.

        Raises
        ------
        InputError
            If it is not the run file of a shard.
        """
        run = read_run(Path(path))
        try:
            return cls._of(path, run.pop("lanes"), run)
        except (KeyError, TypeError, ValueError, AttributeError):
            message = f"{path}: expected the run file of a shard"
            raise InputError(message) from None

    @classmethod
    def _of(cls, path: str, records: Sequence[Record], head: Record) -> "ShardRun":
        known: Record = {name: str(head[name]) for name in ("run", "started", "folder")}
        known["seconds"] = float(head.get("seconds") or 0)
        known["peak_memory"] = int(head.get("peak_memory") or 0)
        number, count, total = (int(head["shard"][name]) for name in ("number", "of", "lanes"))
        if not 1 <= number <= count:
            raise ValueError(number)
        lanes = {
            str(part): [str(record["image"]) for record in records if part in record.get("outputs", ())]
            for part in head["shard"]["parts"]
        }
        done = sum(record["status"] == "done" for record in records)
        is_ended = done == len(records) and not head.get("error")
        entries = (entry for record in records for entry in record.get("files", ()))
        files = {entry["path"]: entry for entry in entries if entry["path"] in lanes}
        return cls(path, {**head, **known}, Shard(number, count), total, lanes, done, is_ended, files)

    def recorded(self, path: str) -> str | None:
        """The part, by the path that it had in the run, that a file is; None if it is none of them.

        A file may have been moved: the path counts only where it wrote several files of one name.
        """
        parts = [name for part in self.lanes for name in (part, description_of(part))]
        same = [part for part in parts if os.path.basename(part) == os.path.basename(path)]
        if len(same) > 1:
            same = [part for part in same if os.path.realpath(self.within(part)) == os.path.realpath(path)]
        return same[0] if same else None

    def within(self, path: str) -> str:
        """A path, which may be relative to the folder where the run was started."""
        return os.path.join(self.head["folder"], path)

    def check(self) -> None:
        """Refuse a shard that is not complete.

        Raises
        ------
        InputError
            If lanes are missing; the message names the run file.
        """
        every = len(self.shard.lanes(self.total))
        if self.done != every or not self.is_ended:
            message = f"{self.path}: {self.done} of {every} lanes of shard {self.shard} are done: run it again with --resume"
            raise InputError(message)

    def check_part(self, part: Part) -> None:
        """Refuse a part that is not what this run has written.

        Raises
        ------
        InputError
            If its size is another one, or its content, where that is known.
        """
        entry = self.files.get(self.recorded(part.path) or "", {})
        now = file_entry(part.path, "content" if "sha256" in entry else "none")
        if any(entry[name] != now.get(name) for name in ("size", "sha256") if name in entry):
            message = (
                f"{part.path} is not as {self.path} says: expected {entry['size']} bytes, and none changed"
            )
            raise InputError(message)


def find_runs(parts: Sequence[Part], given: Sequence[Part]) -> list[ShardRun]:
    """The run files of all shards, in order; none if they are not all there.

    Parameters
    ----------
    parts
        Parts of files, of all shards of a run; the latest runs that have written them are looked for next to them.
    given
        Run files that were given.

    Raises
    ------
    InputError
        If a shard is not complete, a part is not what it has written, or the shards are of different runs.
    OutputError
        If one is being written.
    """
    for folder in dict.fromkeys(part.folder for part in parts):
        claims = {claim_of(os.path.realpath(part.path)) for part in parts if part.folder == folder}
        check_idle(Path(folder or "."), claims)
    found = [ShardRun.read(part.path) for part in given]
    runs_in = lru_cache(_runs_in)
    for part in parts:
        own = [run for run in runs_in(part.folder) if run.recorded(part.path) is not None]
        if own:
            latest = max(own, key=lambda run: (run.head["started"], run.done))
            latest.check_part(part)
            found.append(latest)
    for run in found:
        run.check()
    return _of_one_run(found)


def _runs_in(folder: str) -> list[ShardRun]:
    """The run files of shards in a folder."""
    runs = []
    for path in sorted(Path(folder or ".").glob("objclass_run*.json")):
        with suppress(InputError):
            runs.append(ShardRun.read(os.path.join(folder, path.name)))
    return runs


def _of_one_run(found: Sequence[ShardRun]) -> list[ShardRun]:
    """The runs, each once, in order; none if some are not there.

    Raises
    ------
    InputError
        If they are not of one run.
    """
    runs: dict[int, ShardRun] = {}
    for run in found:
        first = runs.setdefault(run.shard.number, run)
        other = next(iter(runs.values()))
        if first.head["run"] != run.head["run"]:
            message = f"{first.path} and {run.path}: both are of shard {run.shard}: expected parts of one run"
            raise InputError(message)
        if _options(run) != _options(other):
            what = "was run with another project, other options or other lanes than"
            message = f"{run.path}: shard {run.shard} {what} {other.path}: expected parts of one run"
            raise InputError(message)
    if runs and len(runs) < found[0].shard.count:
        log.warning(
            "no run file is written: expected those of all %d shards next to their parts",
            found[0].shard.count,
        )
        return []
    return [runs[number] for number in sorted(runs)]


def _options(run: ShardRun) -> list[Any]:
    """What is the same for all shards of a run."""
    projects = [run.head.get(name) or {} for name in ("project", "pixel_project")]
    return [run.shard.count, run.head["shard"].get("run"), *map(essence, projects)]


@dataclass(frozen=True)
class Merged:
    """A file that was made of parts: its path, and where it is until it gets that name."""

    path: str
    temporary: str


def write_merged_run(runs: Sequence[ShardRun], files: Mapping[str, Merged], path: str) -> None:
    """Write the run file of all shards: as if one run had done all lanes.

    Parameters
    ----------
    runs
        Those of the shards, in order.
    files
        Path of a part -> the file that it has become a part of.
    path
        Where to write it.
    """
    write_run(_records(runs, dict(_as_recorded(runs, files))), path)


def _as_recorded(runs: Sequence[ShardRun], files: Mapping[str, Merged]) -> Iterator[tuple[str, Merged]]:
    """Path of a part, as its run file has it -> the file, by the name that one run would have given it."""
    by_shard = {run.shard: run for run in runs}
    for path, file in files.items():
        part = Part.of(path)
        run = by_shard.get(part.shard) if part is not None else None
        recorded = run.recorded(path) if run is not None else None
        if run is not None and recorded is not None:
            usual = whole_of(recorded)
            is_usual = os.path.realpath(runs[0].within(usual)) == os.path.realpath(file.path)
            yield recorded, replace(file, path=usual if is_usual else os.path.abspath(file.path))


def _records(runs: Sequence[ShardRun], files: Mapping[str, Merged]) -> Iterator[Record]:
    """What the journal of one run would hold."""
    first = runs[0].head
    yield {name: value for name, value in first.items() if name not in OF_SHARD} | {
        "run": token_hex(4),
        "started": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "arguments": without_shard(first.get("arguments", ())),
        "shards": [_summary(run) for run in runs],
    }
    digest = "content" if any("sha256" in entry for run in runs for entry in run.files.values()) else "none"
    lanes: dict[Merged, list[str]] = defaultdict(list)
    for run in runs:
        for part in run.lanes.keys() & files.keys():
            lanes[files[part]] += run.lanes[part]
    left = Counter({file: len(names) for file, names in lanes.items()})
    for run in runs:
        for record in read_run(Path(run.path))["lanes"]:
            shared = [files[path] for path in record["outputs"] if path in run.lanes and path in files]
            left.subtract(shared)
            completed = [
                {
                    **file_entry(file.temporary, digest),
                    "path": file.path,
                    "lanes": digest_of_lanes(lanes[file]),
                }
                for file in shared
                if not left[file]
            ]
            yield {"lane": _of_whole(record, run, files, first["folder"], completed)}
    seconds = round(sum(run.head["seconds"] for run in runs), 4)
    memory = max(run.head["peak_memory"] for run in runs)
    yield {"end": {"partial": [], "seconds": seconds, "peak_memory": memory}}


def _of_whole(
    record: Record, run: ShardRun, files: Mapping[str, Merged], folder: str, completed: Sequence[Record]
) -> Record:
    """The record of a lane as one run in that folder would have written it."""
    parts = {path for part in run.lanes for path in (part, description_of(part))}
    place = str if run.head["folder"] == folder else run.within

    def placed(entries: Sequence[Record]) -> list[Record]:
        return [{**entry, "path": place(entry["path"])} for entry in entries if entry["path"] not in parts]

    outputs = [
        files[path].path if path in files else place(path)
        for path in record["outputs"]
        if path in files or path not in parts
    ]
    return {name: value for name, value in record.items() if name not in ("rows", "from_run")} | {
        "inputs": [{**image, "files": placed(image["files"])} for image in record["inputs"]],
        "outputs": outputs,
        "files": [*placed(record.get("files", ())), *completed],
    }


def description_of(part: str) -> str:
    """The description of the columns that belongs to a part of a table."""
    found = Part.of(part)
    return part if found is None else replace(found, suffix=DICTIONARY).path


def _summary(run: ShardRun) -> Record:
    """What is kept of the run file of a shard."""
    names = ("run", "started", "host", "process", "jobs", "memory", "seconds", "peak_memory")
    return {"number": run.shard.number, **{name: run.head.get(name) for name in names}}


def without_shard(arguments: Sequence[str]) -> list[str]:
    """The arguments of the whole run.

    Examples
    --------
    >>> without_shard(["--shard", "1/4", "--quiet", "--shard=1/4"])
    ['--quiet']
    """
    pairs = zip(["", *arguments], arguments, strict=False)
    return [text for before, text in pairs if before != "--shard" and text.partition("=")[0] != "--shard"]
