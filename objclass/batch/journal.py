"""The run file: the arguments, inputs, outputs and results of a run, and where a later run can go on.

While a run goes on it is a journal, ``objclass_run_TIME_ID.jsonl``: a line for the run and one for each lane,
written when the lane is complete. At the end it becomes ``objclass_run.json``, one JSON document with a line for
each lane; that of an earlier run in the folder is kept as ``objclass_run_TIME_ID.json``. The journal of a process that was killed
becomes such a file, too, when the next run finds it.
"""

import contextlib
import hashlib
import json
import logging
import os
import platform
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from secrets import token_hex
from typing import Any, TextIO

import numpy as np

from objclass.batch.digests import file_entry, output_entry
from objclass.batch.request import Request
from objclass.batch.run_file import RUN_FILE, Record, check_others, publish, read_run
from objclass.batch.shards import Share
from objclass.batch.task import written
from objclass.compute import lock, machine
from objclass.compute.limits import Limits
from objclass.core import AXES
from objclass.errors import InputError, OutputError, without_secrets
from objclass.export.atomic import lock_file
from objclass.export.files import PartialFile
from objclass.export.naming import Task
from objclass.export.parts import part_of, whole_of
from objclass.export.spool import Rows
from objclass.pipeline.plan import Plan
from objclass.settings import ThresholdSettings
from objclass.shard import Shard
from objclass.version import __version__

log = logging.getLogger("objclass")


def journal_folder(request: Request, tasks: Sequence[Task]) -> Path | None:
    """The folder of the run file: next to the table if it was given, else next to the first image."""
    paths = [o.path for t in tasks for o in t.outputs]
    tables = [t.table for t in tasks if t.table]
    # not where the project stores the table
    first = next(iter([*tables, *paths] if request.table else [*paths, *tables]), None)
    return Path(first).parent if first and "://" not in first else None


class Journal:
    """What a run does, written as it goes.

    Raises
    ------
    OutputError
        If another run is writing one of the same files.
    """

    def __init__(self, request: Request, plan: Plan, share: Share, limits: Limits) -> None:
        tasks, shard = share.tasks, share.shard
        self._folder = journal_folder(request, share.every)
        self._name = RUN_FILE if shard is None else part_of(RUN_FILE, shard)
        self._plan, self._digest = plan, request.batch.digest
        self._numbers = {task.name: number for number, task in enumerate(tasks, share.first)}
        self._waiting = dict(self._numbers)
        self._tasks = tasks
        self.fault: OSError | None = None
        """Why lanes could not be recorded."""
        self._entry = lru_cache(1024)(lambda path: file_entry(path, self._digest))  # lanes may share a file
        self._options = _options(request, plan)
        lanes = lanes_of(tasks)
        self._sharing = lru_cache(16)(lambda table: digest_of_lanes(tasks[n].name for n in lanes[table]))
        project, pixels = plan.trained, plan.pixels
        self._started = datetime.now(UTC)
        self._run = token_hex(4)
        self._head: Record = {
            "objclass": __version__,
            "run": self._run,
            "started": self._started.isoformat(timespec="milliseconds"),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "arguments": [without_secrets(argument) for argument in request.arguments],
            "folder": os.getcwd(),
            "host": platform.node(),
            "process": os.getpid(),
            "project": self._entry(project.path) if project else None,
            "pixel_project": self._entry(pixels.path) if pixels is not None else None,
            "engine": request.engine.engine,
            "jobs": limits.jobs,
            "memory": limits.memory,
            "threshold": _plain(plan.threshold),
            "features": [": ".join(feature.key) for feature in plan.features],
            "classes": list(project.classes) if project else [],
        }
        if shard is not None:
            self._head["shard"] = _shard_record(request, plan, share, shard)
        self._partial: list[Record] = []
        self._error: str | None = None
        self._file: TextIO | None = None
        if self._folder is not None:
            self._open(self._folder, _claims(tasks, share.parts))

    def _open(self, folder: Path, claims: set[str]) -> None:
        """Begin the journal, unless another run writes the same files."""
        with contextlib.ExitStack() as stack:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(lock.held(lock_file(str(folder / RUN_FILE))))
                check_others(folder, claims)
                name = f"objclass_run_{self._started:%Y%m%dT%H%M%S}_{self._run}.jsonl"
                self._path = folder / name
                self._file = self._path.open("x", encoding="utf-8")
                lock.lock_if_possible(self._file.fileno())
                self._write({"claims": sorted(claims), **self._head})
            except OutputError:
                raise
            except OSError as fault:
                self._fail(fault)

    def _write(self, record: Record, *, wait: bool = True) -> None:
        """Add a line, and ``wait`` until it is on the disk."""
        if self._file is None:
            return
        try:
            self._file.write(_line(record) + "\n")
            if wait:
                self._file.flush()
                os.fsync(self._file.fileno())
        except OSError as fault:
            self._fail(fault)

    def _fail(self, fault: OSError) -> None:
        self.fault = self.fault or fault
        self.close()

    def fingerprint(self, task: Task, *, content: bool = False) -> str:
        """A digest of all that the results of a lane depend on; where it is equal, results are.

        With ``content``, files count by their digests, else by size and time of change.
        """
        compared = {"sha256"} if content else {"path", "size", "modified"}
        files = [self._head["project"], self._head["pixel_project"]]
        inputs = self._inputs(task)
        files += [entry for image in inputs for entry in image.pop("files")]
        entries = [entry and {n: entry[n] for n in sorted(compared & entry.keys())} for entry in files]
        of_lane = {
            "image": task.name,
            "metadata": task.lane.metadata,
            **self._units(task),
            "inputs": inputs,
            "outputs": _described_outputs(task),
            "files": entries,
        }
        return _digest({**self._options, **of_lane})

    def sharing(self, table: str) -> str:
        """A digest of the names of the lanes that share a table."""
        return self._sharing(table)

    def _inputs(self, task: Task) -> list[Record]:
        return [
            {
                "name": image.name,
                "axes": image.axes,
                "axes_from": image.axes_from,
                "shape": list(image.stored.shape),
                "dtype": str(image.dtype),
                "files": [self._entry(path) for path in image.files],
                **({"version": dict(image.version)} if image.version else {}),
            }
            for image in task.lane.images
        ]

    def finished(
        self,
        task: Task,
        counts: Mapping[str, int],
        novel: int | None,
        seconds: Mapping[str, float],
        within: Mapping[str, float],
        completed: Iterable[str] = (),
        rows: Mapping[str, Rows] | None = None,
        warnings: Sequence[str] = (),
    ) -> None:
        """Record a complete lane.

        Parameters
        ----------
        task
            The lane.
        counts
            Numbers of objects, in all and of each class.
        novel
            Number of objects that are unlike those of the training; None if it is not known.
        seconds, within
            Seconds of each part, and of parts of these summed over threads.
        completed
            The files that got their names with this lane.
        rows
            Table -> the rows of the lane in its spool.
        warnings
            What was said about the lane while it was run.
        """
        rounded = {name: round(taken, 4) for name, taken in seconds.items()}
        threads = {name: round(taken, 4) for name, taken in within.items()}
        has_content = self._digest == "content"
        files = [output_entry(path, "content" if has_content else "none") for path in completed]
        for entry in files:
            if entry["path"] in task.tables:
                entry["lanes"] = self.sharing(entry["path"])
        marks = {"content": self.fingerprint(task, content=True)} if has_content else {}
        self._add(
            task,
            "done",
            counts=dict(counts),
            novel=novel,
            seconds=rounded,
            thread_seconds=threads,
            warnings=list(warnings),
            fingerprint=self.fingerprint(task),
            **marks,
            files=files,
            rows={table: list(where) for table, where in (rows or {}).items()},
        )

    def earlier(self, task: Task, record: Record) -> None:
        """Record a lane that an earlier run has completed."""
        del self._waiting[task.name]
        # many at once: the next line that is waited for is behind them
        self._write({"lane": {**record, "number": self._numbers[task.name]}}, wait=False)

    def failed(self, task: Task, fault: str) -> None:
        """Record a lane that failed."""
        self._add(task, "failed", error=fault)

    def ended(self, partial: Mapping[str, PartialFile]) -> list[str]:
        """Record that the run has ended; return the names of the lanes that were not run."""
        names = self.waiting
        for task in [task for task in self._tasks if task.name in self._waiting]:
            del self._waiting[task.name]
            images = [
                {"name": image.name, "files": [{"path": path} for path in image.files]}
                for image in task.lane.images
            ]
            record = {
                "number": self._numbers[task.name],
                "image": task.name,
                "status": "not run",
                "inputs": images,
            }
            self._write({"lane": record}, wait=False)  # many at once, when a job's time may be over
        self._partial = [
            {"output": path, "written": file.path, "lanes": file.lanes, "of": file.of}
            for path, file in partial.items()
        ]
        return names

    def lost(self, fault: str) -> None:
        """Record that files shared by finished lanes could not be written."""
        self._error = fault

    def _add(self, task: Task, status: str, **more: Any) -> None:
        del self._waiting[task.name]
        record = {
            "number": self._numbers[task.name],
            "image": task.name,
            "metadata": dict(task.lane.metadata),
            "status": status,
            "inputs": self._inputs(task),
            **self._units(task),
            "outputs": written(task),
            "offset": _offset(task),
            **more,
        }
        self._write({"lane": record})

    def _units(self, task: Task) -> Record:
        """The unit of lengths in the table, and the pixel size that is stored in the images."""
        size = self._plan.carried_size(task.lane)
        unit = self._plan.measured_size(task.lane).unit
        return {"unit": unit, "pixel_size": size.record if size is not None else None}

    @property
    def path(self) -> str | None:
        """The run file, if there is one."""
        return str(self._folder / self._name) if self._folder is not None else None

    @property
    def waiting(self) -> list[str]:
        """The names of the lanes that were not run so far."""
        return [task.name for task in self._tasks if task.name in self._waiting]

    def discard(self) -> None:
        """Remove the journal: the run is refused."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._path.unlink()
        self.close()

    def earlier_records(self) -> Iterator[Record]:
        """The records of complete lanes of all runs of this folder, the latest run first."""
        if self._folder is None:
            return
        runs = []
        for path in self._folder.glob("objclass_run*.json"):
            with contextlib.suppress(InputError):
                run = read_run(path)
                runs.append((str(run.get("started", "")), path.name, run))
        for _, _, run in sorted(runs, key=lambda found: found[:2], reverse=True):
            for record in run["lanes"]:
                if record.get("status") == "done":
                    yield {"from_run": run.get("run"), **record}

    def close(self) -> None:
        """Close the file; a journal that was not published is that of a run that was killed."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None

    def publish(self, seconds: float) -> None:
        """Make the run file of the journal.

        Raises
        ------
        OSError
            If it, or a record before, could not be written.
        """
        if self._folder is None:
            return
        end: Record = {
            "partial": self._partial,
            "seconds": round(seconds, 4),
            "peak_memory": machine.peak_memory(),
        }
        if self._error is not None:
            end["error"] = self._error
        self._write({"end": end})
        if self.fault is not None or self._file is None:
            raise self.fault or OSError(f"{self._path} was closed")
        publish(self._path, self._folder / self._name)
        with contextlib.suppress(OSError):  # while it is still locked
            self._path.unlink()
        with contextlib.suppress(OSError):  # made of the journal by a host that does not see the lock
            self._path.with_suffix(".json").unlink()


def lanes_of(tasks: Sequence[Task]) -> dict[str, list[int]]:
    """Table -> the numbers of the lanes that share it."""
    lanes = defaultdict(list)
    for number, task in enumerate(tasks):
        for table in task.tables:
            lanes[table].append(number)
    return dict(lanes)


NO_OPTIONS = ("resources", "arguments", "inputs", "batch", "engine", "project", "pixel_project")
"""What a request says besides: of inputs and projects the files count."""

NAMES = ("table", "summary", "report", "objects")
"""Names of outputs."""


def _options(request: Request, plan: Plan, without: Sequence[str] = ()) -> Record:
    """The options on which results depend."""
    names = (f.name for f in fields(Request) if f.name not in (*NO_OPTIONS, *without))
    kept = {name: getattr(request, name) for name in names}
    return {"objclass": __version__, "options": repr(kept), "plan": [": ".join(f.key) for f in plan.features]}


def _offset(task: Task) -> dict[str, int]:
    """Where the result images of a lane begin in the whole image, in pixels along each axis."""
    region = task.outputs[0].export.region if task.outputs else ()
    return {axis: part.start for axis, part in zip(AXES[:4], region, strict=False)}


def _described_outputs(task: Task) -> list[Any]:
    """All that decides what the files of a lane hold."""
    images = [
        [
            o.path,
            o.format.name,
            o.export.source,
            repr(o.export.region),
            str(o.export.image.dtype),
            o.export.image.axes,
        ]
        for o in task.outputs
    ]
    table = task.table and whole_of(task.table)  # a shard gives the same rows as the whole run
    return [images, task.pictures, table, task.crop_margin, task.first_step]


def _shard_record(request: Request, plan: Plan, share: Share, shard: Shard) -> Record:
    """What a run file says of a shard; ``run`` is equal in all shards of a run, each of which may have a folder of its own."""
    request = replace(request, export=replace(request.export, output_filename_format=None))
    lanes = [(task.name, task.lane.metadata) for task in share.every]
    return {
        "number": shard.number,
        "of": shard.count,
        "lanes": len(lanes),
        "run": _digest({**_options(request, plan, NAMES), "lanes": lanes}),
        "parts": share.parts,
    }


def digest_of_lanes(names: Iterable[str]) -> str:
    """A digest of the names of lanes."""
    return _digest({"lanes": list(names)})


def _digest(record: Record) -> str:
    return hashlib.sha256(_line(record).encode("utf-8", "surrogateescape")).hexdigest()


def _line(record: Record) -> str:
    return json.dumps(record, default=str)


def _claims(tasks: Sequence[Task], parts: Iterable[str]) -> set[str]:
    """Digests of the paths that only one run may write; containers are completed by one run after the other."""
    paths = {path for task in tasks for o in task.outputs if not o.is_shared for path in o.files}
    paths |= {os.path.realpath(path) for task in tasks for path in (*task.pictures, *task.tables)}
    return {claim_of(path) for path in (*paths, *map(os.path.realpath, parts))}


def claim_of(path: str) -> str:
    """What a journal says of a real path that only its run may write."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:16]


def _plain(settings: ThresholdSettings) -> Record:
    values = {name: getattr(settings, name) for name in settings.__dataclass_fields__}
    return values | {name: str(size) for name, size in settings.physical_sizes.items()}
